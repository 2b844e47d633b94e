"""Commands by which a person steps in: `incidents merge`, `requests approve`, `silence add`.

They go by the same deeds as the console, as an admin, and stand in the same log with who did it and
why; what an order means is decided by the gateway, whose answer they wait for.
"""

import getpass
import json as json_
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.ask import database_of, incidents, requests
from gateway.cli.output import Code, Json, answer, fail, say, table, told_plainly
from gateway.cli.service import ConfigFile

if TYPE_CHECKING:
    from gateway.cases.silences import Silence
    from gateway.staff.deeds import Deeds, Outcome
    from gateway.staff.people import Person

silence = typer.Typer(help="Maintenance windows, in which nothing is filed.", no_args_is_help=True)

DAY_MS = 86_400_000
UNSAID = "no reason given"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return "operator"


Who = Annotated[str, typer.Option(default_factory=_user, help="Who does it: for the log.")]
Why = Annotated[str, typer.Option(help="For the log, and for whoever asks later.")]
Reference = Annotated[str, typer.Argument(metavar="REFERENCE", help="SCG-..., as `ls` has it.")]


# -- incidents -------------------------------------------------------------------------------------


@incidents.command("merge")
def merge(
    config: ConfigFile, number: int, into: int, who: Who, why: Why = "", *, json: Json = False
) -> None:
    """Both are one fault: the first asks nothing of the city on its own any more."""
    outcome = _deeds(config).merge(_person(who), number, into, why or UNSAID)
    _tell(outcome, as_json=json)


@incidents.command("split")
def split(config: ConfigFile, number: int, who: Who, why: Why = "", *, json: Json = False) -> None:
    """It is a fault of its own, whatever it was taken to be part of: filed on its own."""
    _tell(_deeds(config).split(_person(who), number, why or UNSAID), as_json=json)


@incidents.command("reopen")
def reopen(config: ConfigFile, number: int, who: Who, why: Why = "", *, json: Json = False) -> None:
    """It is not repaired, whatever the city or the sensor says: asked for again."""
    _tell(_deeds(config).reopen(_person(who), number, why or UNSAID), as_json=json)


@incidents.command("link")
def link(
    config: ConfigFile,
    number: int,
    request_id: Annotated[str, typer.Argument(help="The city's number of the request.")],
    who: Who,
    why: Why = "",
    *,
    json: Json = False,
) -> None:
    """The city has a request for it already: it is followed, and none is filed."""
    outcome = _deeds(config).link(_person(who), number, request_id, why or UNSAID)
    _tell(outcome, as_json=json)


# -- requests --------------------------------------------------------------------------------------


@requests.command("approve")
def approve(
    config: ConfigFile,
    who: Who,
    references: Annotated[list[str] | None, typer.Argument(metavar="REFERENCE...")] = None,
    why: Why = "",
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that wait for it.")] = False,
    json: Json = False,
) -> None:
    """Let requests pass that wait for a person: over a budget, kept back, or in approval mode."""
    from gateway.books.ledger import requests_of

    chosen = list(references or ())
    if all_ == bool(chosen):
        fail("name requests, or give --all", Code.USAGE, as_json=json)
    if all_:
        with told_plainly(as_json=json):
            rows = requests_of(database_of(config))
        chosen = [row["reference"] for row in rows if row["state"] == "review"]
    deeds, rows = _deeds(config), []
    for reference in chosen:
        outcome = deeds.approve(_person(who), reference, why)
        _check(outcome, as_json=json)
        rows.append(dict(outcome.told))
    lines = [f"{row['reference']}: {row['state']}" for row in rows] or ["nothing waits"]
    answer(rows[0] if len(rows) == 1 else {"requests": rows}, lines, as_json=json)


@requests.command("hold")
def hold(
    config: ConfigFile, reference: Reference, who: Who, why: Why = "", *, json: Json = False
) -> None:
    """Keep a request back that was not sent yet, until it is approved."""
    _tell(_deeds(config).hold(_person(who), reference, why or UNSAID), as_json=json)


@requests.command("retry")
def retry(
    config: ConfigFile, reference: Reference, who: Who, why: Why = "", *, json: Json = False
) -> None:
    """Try a refused or held request again, after what was wrong has been mended."""
    _tell(_deeds(config).retry(_person(who), reference, why), as_json=json)


@requests.command("stop")
def stop(config: ConfigFile, who: Who, why: Why = "", *, json: Json = False) -> None:
    """Send nothing to any desk any more, from this moment; what is found waits."""
    outcome = _deeds(config).stop_filing(_person(who), why or UNSAID)
    _tell(outcome, "nothing is sent until `sense311 requests go`", as_json=json)


@requests.command("go")
def go_on(config: ConfigFile, who: Who, why: Why = "", *, json: Json = False) -> None:
    """Send again, after `requests stop`."""
    _tell(_deeds(config).resume_filing(_person(who), why or UNSAID), as_json=json)


# -- silences --------------------------------------------------------------------------------------

Many = list[str] | None
Start = Annotated[str, typer.Option("--from", help="RFC 3339; of the first window.")]
For = Annotated[str, typer.Option("--for", help="How long each lasts: 90min, 8h, 3d.")]
Repeat = Annotated[str, typer.Option(help='RFC 5545: "FREQ=WEEKLY;BYDAY=TU".')]
Zone = Annotated[str, typer.Option(help="Whose clocks `--repeat` goes by; else the city's.")]
Polygon = Annotated[Path | None, typer.Option(help="A GeoJSON file with one polygon.")]


@dataclass(frozen=True, slots=True)
class _About:
    assets: Many
    circuits: Many
    zones: Many
    rules: Many
    services: Many
    polygon: Path | None


@silence.command("add")
def add_silence(
    config: ConfigFile,
    start: Start,
    for_: For,
    who: Who,
    why: Why,
    repeat: Repeat = "",
    time_zone: Zone = "",
    asset: Annotated[Many, typer.Option()] = None,
    circuit: Annotated[Many, typer.Option()] = None,
    zone: Annotated[Many, typer.Option()] = None,
    rule: Annotated[Many, typer.Option()] = None,
    service: Annotated[Many, typer.Option()] = None,
    polygon: Polygon = None,
    *,
    json: Json = False,
) -> None:
    """A maintenance window: what fires in it is filed after it, if it is seen again then."""
    about = _About(asset, circuit, zone, rule, service, polygon)
    made = _silence(config, (start, for_, repeat, time_zone), (who, why), about, as_json=json)
    _tell(_deeds(config).silence(_person(who), made, why), as_json=json)


@silence.command("preview")
def preview_silence(
    config: ConfigFile,
    start: Start,
    for_: For,
    repeat: Repeat = "",
    time_zone: Zone = "",
    asset: Annotated[Many, typer.Option()] = None,
    circuit: Annotated[Many, typer.Option()] = None,
    zone: Annotated[Many, typer.Option()] = None,
    rule: Annotated[Many, typer.Option()] = None,
    service: Annotated[Many, typer.Option()] = None,
    polygon: Polygon = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="Of the past to look at.")] = 30,
    *,
    json: Json = False,
) -> None:
    """What such a window is about, when it comes, and which past incidents are of its kind."""
    from gateway.books.ledger import fired_between
    from gateway.cases.preview import preview
    from gateway.clock import SystemClock
    from gateway.config import read_settings
    from gateway.plans import prepare

    about = _About(asset, circuit, zone, rule, service, polygon)
    made = _silence(config, (start, for_, repeat, time_zone), ("preview", "-"), about, as_json=json)
    now_ms = SystemClock().now_ms()
    with told_plainly(as_json=json):
        plans = prepare(read_settings(config))
        database = database_of(config)
        past = fired_between(database, now_ms - days * DAY_MS, now_ms) if database.exists() else []
    told = preview(made, plans.city, plans.bundle, past, now_ms)
    lines = [f"{key}: {value}" for key, value in told.items() if key != "incidents"]
    columns = ("rule", "subject", "fired_at", "state", "within")
    answer(told, [*lines, *table(told["incidents"], columns)], as_json=json)


@silence.command("ls")
def list_silences(
    config: ConfigFile,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Those too that are over.")] = False,
    json: Json = False,
) -> None:
    """The maintenance windows, with the next time that each is in force."""
    from gateway.books.ledger import silences_of
    from gateway.cases.preview import told
    from gateway.clock import SystemClock

    now_ms = SystemClock().now_ms()
    with told_plainly(as_json=json):
        known = silences_of(database_of(config))
    rows = [{"id": number} | told(one, now_ms) for number, one in known]
    rows = [row for row in rows if all_ or row["next_at"]]
    columns = ("id", "state", "next_at", "until", "about", "who", "why")
    answer({"silences": rows}, table(rows, columns), as_json=json)


@silence.command("end")
def end_silence(
    config: ConfigFile, number: int, who: Who, why: Why = "", *, json: Json = False
) -> None:
    """The window is over from now on."""
    _tell(_deeds(config).end_silence(_person(who), number, why or UNSAID), as_json=json)


# -- what they have in common ----------------------------------------------------------------------


def _deeds(config: Path) -> "Deeds":
    """A command is held to no number of deeds a minute: who may give it may do anything."""
    from gateway.staff.deeds import Deeds, Via
    from gateway.views.books import Books

    return Deeds(Books(config), Via.COMMAND, per_minute_max=sys.maxsize)


def _person(who: str) -> "Person":
    from gateway.staff.people import Person, Role

    return Person(who, Role.ADMIN)


def _tell(outcome: "Outcome", text: str = "", *, as_json: bool) -> None:
    """The answer, or the end of the command with why it was not done."""
    _check(outcome, as_json=as_json)
    told = {"answer": outcome.text} if "order" in outcome.told else {}
    answer({**outcome.told, **told}, [text or outcome.text], as_json=as_json)


def _check(outcome: "Outcome", *, as_json: bool) -> None:
    if outcome.code in ("done", "waiting"):
        return
    for finding in outcome.findings:
        say(str(finding))
    codes = {"failed": Code.USAGE if outcome.findings else Code.OUTSIDE, "invalid": Code.USAGE}
    fail(outcome.text, codes.get(outcome.code, Code.FINDINGS), as_json=as_json)


def _silence(
    config: Any,
    when: tuple[str, str, str, str],
    whose: tuple[str, str],
    about: _About,
    *,
    as_json: bool,
) -> "Silence":
    """The window that the options speak of, or the end of the command with what is wrong."""
    from gateway.cases.silences import Silence, faults_of, ring_of
    from gateway.cli.simulating.options import seconds_of, time_ms

    start, for_, repeat, time_zone = when
    reading: list[Callable[[], Any]] = [
        lambda: time_ms("--from", start),
        lambda: round(1000 * seconds_of(for_)),
        lambda: _polygon(about.polygon, ring_of),
    ]
    read = []
    for value in reading:
        try:
            read.append(value())
        except ValueError as error:
            fail(str(error), Code.USAGE, as_json=as_json)
    from_ms, for_ms, ring = read
    made = Silence(
        who=whose[0],
        why=whose[1],
        from_ms=from_ms,
        for_ms=for_ms,
        repeat=repeat,
        time_zone=time_zone or _time_zone(config, as_json=as_json),
        assets=tuple(about.assets or ()),
        circuits=tuple(about.circuits or ()),
        zones=tuple(about.zones or ()),
        rules=tuple(about.rules or ()),
        services=tuple(about.services or ()),
        within=ring,
    )
    if faults := faults_of(made):
        fail("; ".join(faults), Code.USAGE, as_json=as_json)
    return made


def _time_zone(config: Any, *, as_json: bool) -> str:
    from gateway.cityhall.profile import read_profile
    from gateway.config import read_settings

    with told_plainly(as_json=as_json):
        return read_profile(read_settings(config).city.profile).timezone


def _polygon(path: Path | None, ring_of: Callable[[Any], Any]) -> Any:
    if path is None:
        return ()
    try:
        return ring_of(json_.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ValueError(f"--polygon {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"--polygon {path}: {error}") from None
