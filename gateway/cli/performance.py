"""One performance of the demo: a simulated city, from its first process to its score.

Real parts on one stage: broker, 311 desk, gateway, and the city that plays into the broker. It ends
when everything that was sent is stored and every request has settled, and is judged by the truth
that the city was made with. It looks at the gateway only from outside: its database and its status.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.books.ledger import incidents_of, progress_of, requests_of
from gateway.cli.scoreboard import ledger_of, rules_by_code
from gateway.cli.stage import Stage, StageError
from gateway.clock import SystemClock
from gateway.staff.accounts import Accounts
from gateway.staff.people import Role
from simulators.plan import Plan
from simulators.register import write_assets
from simulators.score import Score, score
from simulators.truth import write_labels
from simulators.wire import parse_rfc3339

START_S = 90.0  # a slow machine, cold files
LOOK_S = 1.0  # between two looks at the books
TEND_S = 0.1
BROKER_SYNC = "2m"  # survives kill -9 as well; the demo does not cut the power
IDLE_S = 3.0  # then the gateway takes everything sent to have arrived
STILL_S_MAX = 240.0  # nothing moved for so long: something is stuck. Brokers repeat after 60 s
MINUTE_MS = 60_000
VISITOR = "demo"
"""Who may look on through the console, as an admin of this play."""
MOVING = frozenset({"ready", "sending", "uncertain", "tokened"})


@dataclass(frozen=True, slots=True)
class Script:
    """What is to be played: a scenario, with some of its values changed. `options`: the changes, as
    `sim run` takes them. `speed`: simulated seconds a second.
    """

    scenario: str
    options: tuple[str, ...]
    plan: Plan
    folder: Path
    speed: float
    desk_faults: str | None = None


@dataclass(slots=True)
class View:
    """How far it is. Counts since the beginning; `share`: of the simulated time, 0 to 1."""

    share: float = 0.0
    published: int = 0
    stored: int = 0
    filed: int = 0
    faults: int = 0
    scene: str = ""
    console: str = ""
    """Where to look on, and as whom; empty until it can be told."""


@dataclass(slots=True)
class Verdict:
    """What came of it."""

    score: Score
    readings: int
    requests: list[dict[str, Any]]
    restarts: dict[str, int]
    unsettled: str
    """What had not come to rest; empty if all had."""

    @property
    def perfect(self) -> bool:
        return self.score.perfect and not self.unsettled


Watch = Callable[[View], None]


class Performance:
    """`play` it on a stage, which stays up afterwards until it is left."""

    def __init__(self, script: Script, stage: Stage, watch: Watch) -> None:
        self.script = script
        self._stage = stage
        self._watch = watch
        self._plan = script.plan
        self._folder = script.folder
        self._database = script.folder / "data" / "sense311.db"
        self.view = View(faults=sum(label.must_file for label in self._plan.labels))
        self.desk_url = ""
        self.console_url = ""

    @property
    def plan(self) -> Plan:
        return self._plan

    def play(self) -> Verdict:
        """Raises StageError, OSError."""
        self._write_props()
        self._start_parts()
        self._run_city()
        return self._judge(self._settle())

    # -- before -------------------------------------------------------------------------------

    def _write_props(self) -> None:
        folder, plan = self._folder, self._plan
        write_assets(folder / "assets.geojson", plan.assets())
        write_labels(folder / "labels.csv", plan.labels)
        (folder / "devices.json").write_text(json.dumps(plan.concentrators()), "utf-8")
        key = folder / "desk.key"
        key.touch(mode=0o600)
        key.write_text(secrets.token_urlsafe(24) + "\n", "utf-8")
        accounts = Accounts(folder / "data")
        word = folder / "console.password"
        word.touch(mode=0o600)
        word.write_text(accounts.add_user(VISITOR, Role.ADMIN, SystemClock().now_ms()), "utf-8")

    def _start_parts(self) -> None:
        """What lay on the broker before comes first: it is old to a gateway that subscribes."""
        folder, stage = self._folder, self._stage
        self._scene("broker and desk")
        stage.start(
            "broker", "broker", "--json", "--dir", folder / "broker",
            "--devices", folder / "devices.json", "--sync", BROKER_SYNC,
        )  # fmt: skip
        faults = ["--faults", self.script.desk_faults] if self.script.desk_faults else []
        stage.start(
            "desk", "desk", "--json", "--db", folder / "desk.db",
            "--api-key-file", folder / "desk.key", *faults,
        )  # fmt: skip
        self._broker_url = stage.address("broker", START_S)
        self.desk_url = stage.address("desk", START_S)
        config = folder / "sense311.toml"
        config.write_text(_config(self.desk_url), "utf-8")
        self._start_city("before")
        stage.wait_for("old messages to be sent", START_S, lambda: stage.ended("city-before"))
        self._scene("gateway")
        stage.start("gateway", "run", "-c", config)
        stage.start("console", "console", "--json", "-c", config, "--port", "0")
        stage.wait_for("the gateway to be green", START_S, self._is_green)
        self.console_url = stage.address("console", START_S)
        word = (folder / "console.password").read_text("utf-8")
        self.view.console = f"{self.console_url}, as {VISITOR} with {word}"

    def _start_city(self, part: str) -> None:
        script = self.script
        self._stage.start(
            f"city-{part}", "sim", "run", script.scenario, "--json", "--part", part,
            "--live", self._broker_url,
            "--credentials", self._folder / "broker" / "credentials.json",
            *script.options, "--speed", str(script.speed), ends=True,
        )  # fmt: skip

    def _is_green(self) -> bool:
        return self._status().get("state") == "green"

    def _status(self) -> dict[str, Any]:
        """What the gateway says of itself; empty before its first word."""
        try:
            said: dict[str, Any] = json.loads((self._folder / "data/status.json").read_text())
        except (OSError, ValueError):
            return {}
        return said

    # -- while it runs ------------------------------------------------------------------------

    def _run_city(self) -> None:
        self._scene("the city")
        self._start_city("run")
        if not self._until(lambda: self._stage.ended("city-run")):
            raise StageError("the city no longer gets anything through to the broker")
        self.view.share = 1.0
        self.view.published = int(self._stage.output("city-run")["messages"])

    def _until(self, done: Callable[[], bool]) -> bool:
        """Keeps the stage up and the view fresh; False when nothing has moved for long."""
        seen, moved_s = (0, 0, 0), time.monotonic()
        looked_s = 0.0
        while True:
            self._stage.tend()
            if time.monotonic() - looked_s < LOOK_S:
                time.sleep(TEND_S)
                continue
            looked_s = time.monotonic()
            self._look()
            if done():
                return True
            now = (self.view.published, self.view.stored, self.view.filed)
            if now != seen:
                seen, moved_s = now, time.monotonic()
            elif time.monotonic() - moved_s > STILL_S_MAX:
                return False

    def _look(self) -> None:
        view, city = self.view, self._plan.city
        told = self._stage.progress("city-run")
        if "t_ms" in told and view.share < 1:
            span_ms = city.end_ms - city.start_ms
            view.share = min(1.0, max(0.0, (told["t_ms"] - city.start_ms) / span_ms))
            view.published = max(view.published, int(told["published"]))
        view.stored = progress_of(self._database)["readings"]
        view.filed = len(self._ledger())
        self._watch(view)

    def _ledger(self) -> list[dict[str, Any]]:
        try:
            return ledger_of(self.desk_url)
        except (OSError, ValueError):
            return []  # the desk is being started again

    def _scene(self, name: str) -> None:
        self.view.scene = name
        self._watch(self.view)

    # -- the end ------------------------------------------------------------------------------

    def _settle(self) -> str:
        """Until all is stored and nothing moves any more; what is left when nothing moves before
        that.
        """
        self._scene("settling")
        parts = [self._stage.output(f"city-{part}")["distinct"] for part in ("before", "run")]
        expected = sum(map(int, parts))
        if self._until(lambda: not self._unsettled(expected)):
            return ""
        return self._unsettled(expected)

    def _unsettled(self, expected: int) -> str:
        """What has not come to rest yet; empty if all has."""
        books = progress_of(self._database)
        arrived = books["readings"] + books["refused"]
        if arrived < expected:
            return f"{expected - arrived} of {expected} messages are not stored"
        end_ms = books["latest_ms"] - books["latest_ms"] % MINUTE_MS
        if int(self._status().get("tick_ms", 0)) < end_ms:
            return "the rules have not been told that time has passed"
        moving = [row for row in requests_of(self._database) if row["state"] in MOVING]
        if moving:
            return f"{len(moving)} requests are under way"
        held = [row for row in incidents_of(self._database, ended=False) if _is_due(row, end_ms)]
        return f"{len(held)} incidents are held" if held else ""

    def _judge(self, unsettled: str) -> Verdict:
        rows = ledger_of(self.desk_url)
        days = self._plan.city.scenario.duration / 86_400
        device_days = sum(map(len, self._plan.concentrators().values())) * days
        judged = score(self._plan.labels, rows, rules_by_code("desk"), device_days=device_days)
        readings = progress_of(self._database)["readings"]
        return Verdict(judged, readings, rows, self._stage.restarts, unsettled)


def _is_due(incident: Mapping[str, Any], now_ms: int) -> bool:
    return incident["state"] == "held" and parse_rfc3339(incident["due_at"]) <= now_ms


def _config(desk_url: str) -> str:
    return f"""\
[broker]
credentials = "broker/credentials.json"

[city]
profile = "desk"
endpoint = "{desk_url}/open311/v2"
api_key_file = "desk.key"

[assets]
files = ["assets.geojson"]

[ingest]
clock = "follow"
idle_s = {IDLE_S}
allow_simulated = true

[store]
folder = "data"
"""
