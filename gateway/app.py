"""The running gateway: wires the rooms and owns their life.

Four threads: the network (paho), the core (this one: take a batch, decide, commit, acknowledge,
reply), the filer, and history. The order in `_ingest` is the promise: nothing is acknowledged
before it is on disk. When the disk is full it stops taking, says so, and begins again from what the
store holds; when the disk is broken it ends. Other rules come into force between two batches, whole
and from what the store holds, or not at all.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from gateway.books.store import PRUNE_ROWS, Store
from gateway.broker import Delivery, Session
from gateway.cityhall.desks import desks_of
from gateway.cityhall.requests import rfc3339
from gateway.clock import Clock, SystemClock
from gateway.core import Core
from gateway.effects import Effects, Settings
from gateway.errors import StoreError, StoreFull
from gateway.exhibits.exhibit import evidence_of
from gateway.field.replies import Replies
from gateway.phrases import read_phrases
from gateway.plans import Plans
from gateway.refusal import Reason, Refusal
from gateway.reload import Reloader
from gateway.sources import Sources
from gateway.watch import condition
from gateway.watch.condition import DeskSeen, Halt, Link, Parts, Trouble
from gateway.watch.counters import Counters
from gateway.watch.logs import Log, Said
from gateway.watch.status import write_status
from gateway.watch.supervisor import Supervisor

TAKE_S = 0.2  # how long an idle turn waits for a message
STATUS_EVERY_S = 1.0
ORDERS_EVERY_S = 0.5
ORDERS_MAX = 500  # at once: readings are not kept waiting
PRUNE_EVERY_S = 60.0
FULL_RETRY_S = 2.0
FRESH_MS = 60_000  # a reading this young came without a backlog before it
STOP_S = 10.0

REAL = SystemClock()
"""The city's time, whatever time it is for the rules."""
log = Log(__name__)


class Gateway:
    """One gateway: `run` until `stop` is called from a signal handler or another thread."""

    def __init__(
        self,
        plans: Plans,
        clock: Clock | None = None,
        read_again: Callable[[], Plans] | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """`read_again`: the plans of the files as they are when it is called. ConfigError.
        `supervisor`: who is told that it lives.
        """
        self._plans = plans
        self._config = plans.config
        self._clock = clock or SystemClock()
        self._supervisor = supervisor or Supervisor({})
        self._stopping = threading.Event()
        self._store = Store(plans.config.store.folder)
        self._started_ms = self._loaded_ms = self._clock.now_ms()
        self._reloader = Reloader(
            plans.config.store.folder, read_again or (lambda: plans), plans, self._loaded_ms
        )
        try:
            self._build()
        except BaseException:
            self._store.close()
            raise

    def _build(self) -> None:
        plans = self._plans
        self._sources = Sources(plans.sources, plans.city.by_device)
        self._core = self._build_core(plans)
        ingest = plans.config.ingest
        words = {"device_acks": ingest.device_acks, "device_status": ingest.device_status}
        self._replies = Replies(**words, follows=ingest.clock == "follow")
        self._replies.begin(self._core.devices, self._clock.now_ms())
        self._session = Session(plans.broker_settings(), known=len(self._core.devices) > 0)
        self._desks = desks_of(plans, self._store, REAL.now_ms)
        self._history = None
        if plans.history is not None:
            from gateway.history import HistoryWriter  # only where it is wanted: see `plans`

            self._history = HistoryWriter(self._store, plans.history)
        self._evidence = None
        if plans.config.evidence is not None:
            from gateway.exhibits.evidence_http import EvidenceServer  # likewise

            self._evidence = EvidenceServer(
                lambda reference: evidence_of(self._plans, reference=reference),
                plans.config.evidence.port,
                plans.profile.timezone,
            )
        self._threads: list[threading.Thread] = []
        self.counters = Counters()
        self._trouble = Trouble()
        self._failure: StoreError | None = None
        self._quiet_since = time.monotonic()
        self._next_status = 0.0
        self._next_orders = 0.0
        self._held_back: tuple[dict[str, int], str] = ({}, "")
        self._next_prune = time.monotonic() + PRUNE_EVERY_S

    def stop(self) -> None:
        self._stopping.set()

    def reload(self) -> None:
        """From a signal handler or another thread: take up the rules and assets as they are now."""
        self._reloader.ask()

    def run(self) -> None:
        """Until `stop`. StoreBroken: the disk cannot be trusted any more."""
        self._start_threads()
        self._session.start()
        self._supervisor.began()
        try:
            while not self._stopping.is_set():
                self._turn()
        finally:
            self._shut_down()
        if self._failure is not None:
            raise self._failure

    # -- the core's thread --------------------------------------------------------------------

    def _turn(self) -> None:
        deliveries = self._session.take(self._config.ingest.batch_max, TAKE_S)
        try:
            if deliveries:
                self._quiet_since = time.monotonic()
                self._ingest(deliveries)
            else:
                self._let_time_pass()
            self._speak()
            self._take_up_rules()
            self._obey()
            self._keep_house()
        except StoreFull as error:
            self._wait_for_room(error)

    def _ingest(self, deliveries: Sequence[Delivery]) -> None:
        now_ms, began_s = self._clock.now_ms(), time.monotonic()
        try:
            effects = self._core.process([delivery.incoming for delivery in deliveries], now_ms)
        except Exception:
            count, topic = len(deliveries), deliveries[0].incoming.topic
            log.exception(Said.CORE_FAILED, "a batch broke the core", messages=count, topic=topic)
            self._core = self._build_core(self._plans)  # nothing of the batch is in effect
            if len(deliveries) > 1:
                middle = len(deliveries) // 2
                self._ingest(deliveries[:middle])
                self._ingest(deliveries[middle:])
                return
            effects = self._quarantine(deliveries[0], now_ms)
        decided_s = time.monotonic()
        self._store.commit(effects)
        stored_s = time.monotonic()
        self._session.ack(deliveries)
        self.counters.time(len(deliveries), time.monotonic() - began_s, stored_s - decided_s)
        self._after(effects)
        if len(deliveries) < self._config.ingest.batch_max and _is_fresh(effects, now_ms):
            self._pass_time(now_ms)

    def _quarantine(self, delivery: Delivery, now_ms: int) -> Effects:
        """The one message that meets a fault of ours: kept and told, so that it cannot stall the
        city by coming again and again.
        """
        incoming = delivery.incoming
        effects = self._core.process([], now_ms)
        what = "the gateway failed on this message", "tell its makers"
        refusal = Refusal(Reason.INTERNAL_ERROR, "", *what)
        effects.refuse(incoming, "", refusal, now_ms, incoming.payload)
        return effects

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
            self._after(effects)

    def _after(self, effects: Effects) -> None:
        """What may happen once the effects are on disk."""
        self.counters.add(effects)
        for desk in self._desks if effects.outbox else ():
            desk.new_rows.set()
        self._replies.note(effects)
        self._speak()

    def _obey(self) -> None:
        """What was ordered from beside, and what the city said of its requests."""
        if time.monotonic() < self._next_orders:
            return
        self._next_orders = time.monotonic() + ORDERS_EVERY_S
        given = self._store.orders_waiting(ORDERS_MAX)
        if given:
            effects = self._core.obey(given, self._clock.now_ms())
            self._store.commit(effects)
            self._after(effects)
            self._next_orders = 0.0

    def _speak(self) -> None:
        for command in self._sources.commands():
            self._session.publish(*command)
        for reply in self._replies.due(self._clock.now_ms()):
            if not self._session.publish(reply.topic, reply.payload, retain=reply.retain):
                return

    def _wait_for_room(self, error: StoreFull) -> None:
        """The disk is full: take nothing, say so, begin again from what is stored."""
        log.critical(Said.DISK_FULL, "nothing is acknowledged until there is room", why=error)
        self._trouble = Trouble(Halt.DISK_FULL, str(error))
        self._session.pause()
        self._write_status()
        while not self._stopping.is_set():
            try:
                self._store.make_room()
                self._prune()
                self._store.probe()
                self._core = self._build_core(self._plans)
            except StoreFull:
                self._write_status()
                self._stopping.wait(FULL_RETRY_S)
                continue
            log.warning(Said.DISK_ROOM, "there is room again")
            self._trouble = Trouble()
            self._session.resume()
            return

    # -- other rules --------------------------------------------------------------------------

    def _take_up_rules(self) -> None:
        """What was read since the last turn; then look whether somebody asks."""
        offer = self._reloader.take()
        if offer is not None:
            now_ms = self._clock.now_ms()
            try:
                self._reloader.answer(offer, self._plans, self._put_in_force, now_ms)
            finally:
                self.counters.reload(refused=self._reloader.outcome.refused)
                self._write_status()
        self._reloader.look()

    def _put_in_force(self, plans: Plans) -> None:
        """All of the core is built before anything of it counts."""
        self._core = self._build_core(plans)
        self._sources.know(plans.city.by_device)
        self._plans, self._loaded_ms = plans, self._clock.now_ms()

    # -- keeping house ------------------------------------------------------------------------

    def _keep_house(self) -> None:
        now = time.monotonic()
        if now >= self._next_status:
            self._next_status = now + STATUS_EVERY_S
            self._held_back = self._store.waiting(), self._store.stopped()
            self._write_status()
        if now >= self._next_prune:
            more = self._prune() == PRUNE_ROWS  # then the next part at once, lest the file grows
            self._next_prune = now if more else now + PRUNE_EVERY_S
            self._store.keep_ballast()

    def _prune(self) -> int:
        keep = self._config.store
        oldest_ms = self._clock.now_ms() - int(keep.retention_days * 86_400_000)
        cursor = self._store.history_cursor() if self._history is not None else None
        return self._store.prune(oldest_ms, keep.size_mb * 1024 * 1024, cursor)

    def status(self) -> dict[str, Any]:
        """What the gateway says of itself: green; amber, which works but waits for somebody; or
        red; with the reason. `figures` are for machines.
        """
        session, outcome = self._session, self._reloader.outcome
        waiting, stopped = self._held_back
        desks = [
            DeskSeen(desk.name, not one.down, one.told, one.paused_until_ms, one.reason)
            for desk in self._desks
            for one in [desk.health]
        ]
        link = Link(session.is_ready, session.problem, session.sessions_lost)
        refused = outcome.problem if outcome.refused else ""
        parts = Parts(self._trouble, link, desks, refused, stopped, waiting)
        return {
            **condition.told(parts),
            "at_ms": self._clock.now_ms(),
            **self.counters.told(),
            "tick_ms": self._core.tick_ms,
            "rules": self._plans.rules_told() | {"since": rfc3339(self._loaded_ms)},
            "reload": outcome.told(),
            "figures": {
                "started_ms": self._started_ms,
                **condition.figures(parts),
                **self.counters.figures(),
                "history": self._history.stats.told() if self._history is not None else None,
            },
        }

    def _write_status(self) -> None:
        """For `sense311 status` and the service manager; where even a file is impossible, the log
        has to do. A gateway whose network thread hangs does not live.
        """
        status = self.status()
        try:
            write_status(self._config.store.folder, status)
        except OSError as error:
            log.warning(Said.STATUS_UNWRITTEN, "the status cannot be written", why=error.strerror)
        if not self._session.is_stuck:
            self._supervisor.lives(": ".join(filter(None, (status["state"], status["problem"]))))

    # -- life ---------------------------------------------------------------------------------

    def _build_core(self, plans: Plans) -> Core:
        """From what is stored. What the store keeps of the rules is changed last, in one piece."""
        ingest = plans.config.ingest
        settings = Settings(
            follow=ingest.clock == "follow",
            start_ms=self._start_ms(),
            allow_simulated=ingest.allow_simulated,
            max_skew_ms=int(ingest.max_skew_s * 1000),
            device_per_minute_max=ingest.device_per_minute_max,
            max_age_ms=int(ingest.max_age_h * 3_600_000),
            emergency=plans.emergency is not None,
            reopens=plans.profile.reopen and plans.profile.updates,
            evidence_url=plans.evidence_url(),
            phrases=read_phrases(plans.profile.language),
        )
        saved = self._store.load()
        core = Core(plans.city, plans.bundle, settings, saved, self._sources)
        texts = plans.texts.to_json()
        if core.layout != saved.layout or texts != saved.texts:
            self._store.save_rules(texts, core.layout, core.all_states())
        return core

    def _start_ms(self) -> int:
        """When time begins for a new store: what was kept for us from before is not judged."""
        ingest = self._plans.config.ingest
        if ingest.clock == "system":
            return self._clock.now_ms()
        return int(ingest.follow_from.timestamp() * 1000) if ingest.follow_from else 0

    def _start_threads(self) -> None:
        runs = [(desk.name, desk.run) for desk in self._desks]
        beside = (("history", self._history), ("evidence", self._evidence))
        runs += [(name, part.run) for name, part in beside if part is not None]
        for name, run in runs:
            thread = threading.Thread(target=self._attend, args=(run,), name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _attend(self, run: Callable[[], None]) -> None:
        """A thread that the store fails ends the gateway: it must not be missing in silence."""
        try:
            run()
        except StoreError as error:
            self._failure = error
            self._stopping.set()

    def _shut_down(self) -> None:
        self._supervisor.ends()
        self._session.stop()
        for desk in self._desks:
            desk.stop()
        for part in (self._history, self._evidence):
            if part is not None:
                part.stop()
        for thread in self._threads:
            thread.join(STOP_S)
        self._trouble = Trouble(Halt.STOPPED, "stopped")
        self._write_status()
        for desk in self._desks:
            desk.close()
        self._store.close()


def _is_fresh(effects: Effects, now_ms: int) -> bool:
    """Whether the batch shows that no backlog is left: its readings are of this minute."""
    return any(abs(now_ms - reading.ts_ms) < FRESH_MS for reading in effects.readings[-10:])
