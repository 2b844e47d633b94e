"""The running gateway: wires the rooms and owns their life.

Four threads: the network (paho), the core (this one: take a batch, decide, commit, acknowledge,
reply), the filer, and history. The order in `_ingest` is the promise: nothing is acknowledged
before it is on disk. When the disk is full it stops taking, says so, and begins again from what the
store holds; when the disk is broken it ends.
"""

import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.assets import City, read_assets
from gateway.broker import BrokerSettings, Delivery, Session
from gateway.clock import Clock, SystemClock
from gateway.config import Config, Secrets
from gateway.core import Core, Effects, Settings
from gateway.errors import ConfigError, StoreFull
from gateway.filing import Filer
from gateway.history import HistoryConfig, HistoryWriter
from gateway.open311 import Open311Client
from gateway.profile import Profile, ProfileError, read_profile
from gateway.replies import Replies
from gateway.store import Store
from rules.files import load, read_folder, read_library
from rules.finding import Finding
from rules.rule import Bundle

TAKE_S = 0.2  # how long an idle turn waits for a message
STATUS_EVERY_S = 1.0
PRUNE_EVERY_S = 60.0
FULL_RETRY_S = 2.0
FRESH_MS = 60_000  # a reading this young came without a backlog before it
STOP_S = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plans:
    """All that is read from files, checked, before anything starts."""

    config: Config
    secrets: Secrets
    city: City
    bundle: Bundle
    profile: Profile
    warnings: Sequence[Finding] = ()


def prepare(config: Config, secrets: Secrets) -> Plans:
    """Read what the configuration names. ConfigError: with the findings of all of it."""
    city, findings = read_assets(config.assets.files)
    bundle, rule_findings = _load_rules(config)
    findings = [*findings, *rule_findings]
    profile = None
    try:
        profile = read_profile(config.city.profile)
    except ProfileError as error:
        findings.extend(error.findings)
    if bundle is not None and profile is not None:
        findings.extend(_unserved(bundle, profile, config.city.profile))
    errors = [finding for finding in findings if finding.code.startswith("E")]
    if errors or bundle is None or profile is None:
        raise ConfigError(findings)
    return Plans(config, secrets, city, bundle, profile, findings)


def _load_rules(config: Config) -> tuple[Bundle | None, list[Finding]]:
    sources = read_library() if config.rules.library else {}
    findings = []
    for path in config.rules.files:
        try:
            text = {str(path): path.read_text("utf-8")} if path.is_file() else read_folder(path)
        except (OSError, UnicodeDecodeError) as error:
            help_ = "rules.files names rule files or folders of them"
            findings.append(Finding(str(path), 1, 1, "E301", f"cannot read: {error}", help_))
            continue
        sources |= text
    bundle, faults = load(sources, config.rules.params)
    if bundle is None or findings:
        return None, [*findings, *faults]
    unknown = [rule for rule in config.rules.disable if rule not in bundle.rules]
    faults += [
        Finding("rules.disable", 1, 1, "E409", f"no rule {rule!r}", ", ".join(bundle.rules))
        for rule in unknown
    ]
    return _without(bundle, set(config.rules.disable)), faults


def _without(bundle: Bundle, disabled: set[str]) -> Bundle:
    left = {rule_id: rule for rule_id, rule in bundle.rules.items() if rule_id not in disabled}
    return replace(bundle, rules=left)


def _unserved(bundle: Bundle, profile: Profile, name: str) -> list[Finding]:
    """Rules whose service the city does not offer: better known now than when a lamp fails."""
    return [
        Finding(
            rule.source.rpartition(":")[0] or name,
            int(rule.source.rpartition(":")[2] or 1),
            1,
            "E407",
            f"{rule.id} files {rule.file.service}, which the city profile {name!r} does not map",
            f'services there: {", ".join(profile.services)}; or rules.disable = ["{rule.id}"]',
        )
        for rule in bundle.rules.values()
        if rule.file is not None and rule.file.service not in profile.services
    ]


@dataclass(slots=True)
class Counters:
    """Since the start of this process."""

    messages: int = 0
    readings: int = 0
    duplicates: int = 0
    refusals: int = 0
    batches: int = 0
    requests: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def add(self, messages: int, effects: Effects) -> None:
        self.batches += 1
        self.messages += messages
        self.readings += len(effects.readings)
        self.duplicates += effects.duplicates
        self.refusals += len(effects.refusals)
        self.requests += len(effects.outbox)
        for refusal in effects.refusals:
            self.reasons[refusal.reason] = self.reasons.get(refusal.reason, 0) + 1


class Gateway:
    """One gateway: `run` until `stop` is called from a signal handler or another thread."""

    def __init__(self, plans: Plans, clock: Clock | None = None) -> None:
        self._plans = plans
        self._config = plans.config
        self._clock = clock or SystemClock()
        self._stopping = threading.Event()
        self._store = Store(plans.config.store.folder)
        self._core = self._build_core()
        self._replies = Replies(device_acks=plans.config.ingest.device_acks)
        self._session = Session(_broker_settings(plans))
        self._client = _client(plans)
        self._new_rows = threading.Event()
        self._filer = Filer(
            self._store, self._client, plans.profile, SystemClock().now_ms, self._new_rows
        )
        self._history = _history(plans, self._store)
        self._threads: list[threading.Thread] = []
        self.counters = Counters()
        self._trouble = ""
        self._quiet_since = time.monotonic()
        self._next_status = 0.0
        self._next_prune = time.monotonic() + PRUNE_EVERY_S

    def stop(self) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`. StoreBroken: the disk cannot be trusted any more."""
        self._start_threads()
        self._session.start()
        try:
            while not self._stopping.is_set():
                self._turn()
        finally:
            self._shut_down()

    # -- the core's thread --------------------------------------------------------------------

    def _turn(self) -> None:
        deliveries = self._session.take(self._config.ingest.batch_max, TAKE_S)
        try:
            if deliveries:
                self._quiet_since = time.monotonic()
                self._ingest(deliveries)
            else:
                self._let_time_pass()
            self._keep_house()
        except StoreFull as error:
            self._wait_for_room(error)

    def _ingest(self, deliveries: Sequence[Delivery]) -> None:
        now_ms = self._clock.now_ms()
        effects = self._core.process([delivery.incoming for delivery in deliveries], now_ms)
        self._store.commit(effects)
        self._session.ack(deliveries)
        self.counters.add(len(deliveries), effects)
        self._after(effects, now_ms)
        if len(deliveries) < self._config.ingest.batch_max and _is_fresh(effects, now_ms):
            self._pass_time(now_ms)

    def _let_time_pass(self) -> None:
        """Nothing came. Only when the broker is there and long enough silent has all arrived."""
        if not self._session.is_ready:
            self._quiet_since = time.monotonic()
        elif time.monotonic() - self._quiet_since >= self._config.ingest.idle_s:
            self._pass_time(self._clock.now_ms())

    def _pass_time(self, now_ms: int) -> None:
        effects = self._core.pass_time(now_ms)
        if effects is not None:
            self._store.commit(effects)
            self._after(effects, now_ms)

    def _after(self, effects: Effects, now_ms: int) -> None:
        """What may happen once the effects are on disk."""
        if effects.outbox:
            self._new_rows.set()
        for reply in self._replies.to(effects, now_ms):
            self._session.publish(*reply)

    def _wait_for_room(self, error: StoreFull) -> None:
        """The disk is full: take nothing, say so, begin again from what is stored."""
        log.critical("%s: nothing is acknowledged until there is room", error)
        self._trouble = str(error)
        self._session.pause()
        while not self._stopping.wait(FULL_RETRY_S):
            self._write_status()
            try:
                self._store.make_room()
                self._prune()
                self._store.probe()
            except StoreFull:
                continue
            break
        else:
            return
        log.warning("there is room again")
        self._trouble = ""
        self._core = self._build_core()
        self._session.resume()

    # -- keeping house ------------------------------------------------------------------------

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now >= self._next_status:
            self._next_status = now + STATUS_EVERY_S
            self._write_status()
        if now >= self._next_prune:
            self._next_prune = now + PRUNE_EVERY_S
            self._prune()

    def _prune(self) -> None:
        keep = self._config.store
        oldest_ms = self._clock.now_ms() - int(keep.retention_days * 86_400_000)
        cursor = self._store.history_cursor() if self._history is not None else None
        self._store.prune(oldest_ms, keep.size_mb * 1024 * 1024, cursor)

    def status(self) -> dict[str, Any]:
        """What the gateway says of itself; red with a reason, or green."""
        problem = self._trouble or self._session.problem
        desk = self._filer.health
        return {
            "state": "red" if problem else "green",
            "problem": problem,
            "broker": "connected" if self._session.is_ready else self._session.problem,
            "sessions_lost": self._session.sessions_lost,
            "desk": "down: " + desk.reason if desk.down else "up",
            "messages": self.counters.messages,
            "readings": self.counters.readings,
            "duplicates": self.counters.duplicates,
            "refusals": self.counters.refusals,
            "refusal_reasons": self.counters.reasons,
            "batches": self.counters.batches,
            "requests": self.counters.requests,
            "tick_ms": self._core.tick_ms,
        }

    def _write_status(self) -> None:
        """For `sense311 status`; a full disk must not stop the gateway from saying so elsewhere."""
        path = self._config.store.folder / "status.json"
        draft = path.with_suffix(".tmp")
        try:
            draft.write_text(json.dumps(self.status()), "utf-8")
            draft.replace(path)
        except OSError as error:
            log.warning("cannot write %s: %s", path.name, error.strerror)

    # -- life ---------------------------------------------------------------------------------

    def _build_core(self) -> Core:
        plans = self._plans
        ingest = plans.config.ingest
        settings = Settings(
            follow=ingest.clock == "follow",
            start_ms=self._start_ms(),
            allow_simulated=ingest.allow_simulated,
            max_skew_ms=int(ingest.max_skew_s * 1000),
            max_age_ms=int(ingest.max_age_h * 3_600_000),
        )
        saved = self._store.load()
        core = Core(plans.city, plans.bundle, settings, saved)
        if core.layout != saved.layout:
            self._store.save_layout(core.layout, core.all_states())
        return core

    def _start_ms(self) -> int:
        """When time begins for a new store: what was kept for us from before is not judged."""
        ingest = self._plans.config.ingest
        if ingest.clock == "system":
            return self._clock.now_ms()
        return int(ingest.follow_from.timestamp() * 1000) if ingest.follow_from else 0

    def _start_threads(self) -> None:
        runs = [("filer", self._filer.run)]
        if self._history is not None:
            runs.append(("history", self._history.run))
        for name, run in runs:
            thread = threading.Thread(target=run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _shut_down(self) -> None:
        self._session.stop()
        self._filer.stop()
        if self._history is not None:
            self._history.stop()
        for thread in self._threads:
            thread.join(STOP_S)
        self._write_status()
        self._client.close()
        self._store.close()


def _is_fresh(effects: Effects, now_ms: int) -> bool:
    """Whether the batch shows that no backlog is left: its readings are of this minute."""
    return any(abs(now_ms - reading.ts_ms) < FRESH_MS for reading in effects.readings[-10:])


def _broker_settings(plans: Plans) -> BrokerSettings:
    secrets = plans.secrets
    password = secrets.broker_password
    return BrokerSettings(
        secrets.broker_url,
        secrets.broker_user,
        password.get_secret_value() if password is not None else None,
        plans.config.broker.client_id,
        plans.config.broker.ca_file,
    )


def _client(plans: Plans) -> Open311Client:
    key = plans.secrets.api_key
    return Open311Client(
        plans.config.city.endpoint, key.get_secret_value() if key else "", plans.profile
    )


def _history(plans: Plans, store: Store) -> HistoryWriter | None:
    section = plans.config.history
    token = plans.secrets.history_token
    if section is None or token is None:
        return None
    config = HistoryConfig(url=section.url, org=section.org, bucket=section.bucket, token=token)
    return HistoryWriter(store, config)
