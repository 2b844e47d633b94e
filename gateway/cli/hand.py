"""Commands by which a person steps in: `incidents merge`, `requests approve`, `silence add`.

They write an order, or move a request, beside the running gateway, each with who did it and why;
what an order means is decided by the gateway, whose answer they wait for.
"""

import getpass
import json as json_
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.ask import database_of, incidents, requests
from gateway.cli.output import Code, Json, answer, fail, table, told_plainly
from gateway.cli.service import ConfigFile

if TYPE_CHECKING:
    from gateway.delivery import Event
    from gateway.orders import Order
    from gateway.silences import Silence

silence = typer.Typer(help="Maintenance windows, in which nothing is filed.", no_args_is_help=True)

DAY_MS = 86_400_000


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
    from gateway.orders import Merged

    _ordered(config, Merged(number, into), who, why, as_json=json)


@incidents.command("split")
def split(config: ConfigFile, number: int, who: Who, why: Why = "", *, json: Json = False) -> None:
    """It is a fault of its own, whatever it was taken to be part of: filed on its own."""
    from gateway.orders import Split

    _ordered(config, Split(number), who, why, as_json=json)


@incidents.command("reopen")
def reopen(config: ConfigFile, number: int, who: Who, why: Why = "", *, json: Json = False) -> None:
    """It is not repaired, whatever the city or the sensor says: asked for again."""
    from gateway.orders import Reopened

    _ordered(config, Reopened(number), who, why, as_json=json)


@incidents.command("link")
def link(
    config: ConfigFile,
    number: int,
    request_id: Annotated[str, typer.Argument(help="The city's number of the request.")],
    who: Who,
    *,
    json: Json = False,
) -> None:
    """The city has a request for it already: it is followed, and none is filed."""
    from gateway.delivery import Found
    from gateway.ledger import incident_story

    with told_plainly(as_json=json):
        story = incident_story(database_of(config), number)
    if story is None or story["request"] is None:
        fail(f"incident {number} has asked nothing of the city", Code.FINDINGS, as_json=json)
    note = f"linked to {request_id} by {who}"
    _moved(config, [story["request"]["reference"]], Found(request_id, note), as_json=json)


# -- requests --------------------------------------------------------------------------------------


@requests.command("approve")
def approve(
    config: ConfigFile,
    who: Who,
    references: Annotated[list[str] | None, typer.Argument(metavar="REFERENCE...")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that wait for it.")] = False,
    json: Json = False,
) -> None:
    """Let requests pass that wait for a person: over a budget, kept back, or in approval mode."""
    from gateway.delivery import Approved
    from gateway.ledger import requests_of

    chosen = list(references or ())
    if all_ == bool(chosen):
        fail("name requests, or give --all", Code.USAGE, as_json=json)
    if all_:
        with told_plainly(as_json=json):
            rows = requests_of(database_of(config))
        chosen = [row["reference"] for row in rows if row["state"] == "review"]
    _moved(config, chosen, Approved(who), as_json=json)


@requests.command("hold")
def hold(
    config: ConfigFile, reference: Reference, who: Who, why: Why = "", *, json: Json = False
) -> None:
    """Keep a request back that was not sent yet, until it is approved."""
    from gateway.delivery import Diverted

    event = Diverted(f"kept back by {who}" + (f": {why}" if why else ""))
    _moved(config, [reference], event, as_json=json)


@requests.command("retry")
def retry(config: ConfigFile, reference: Reference, *, json: Json = False) -> None:
    """Try a refused or held request again, after what was wrong has been mended."""
    from gateway.delivery import Retry

    _moved(config, [reference], Retry(), as_json=json)


@requests.command("stop")
def stop(config: ConfigFile, who: Who, why: Why = "no reason given", *, json: Json = False) -> None:
    """Send nothing to any desk any more, from this moment; what is found waits."""
    from gateway.by_hand import stop as stop_filing

    with told_plainly(as_json=json):
        stop_filing(database_of(config), who, why)
    text = "nothing is sent until `sense311 requests go`"
    answer({"stopped": f"by {who}: {why}"}, [text], as_json=json)


@requests.command("go")
def go_on(config: ConfigFile, *, json: Json = False) -> None:
    """Send again, after `requests stop`."""
    from gateway.by_hand import go_on as go_on_filing

    with told_plainly(as_json=json):
        go_on_filing(database_of(config))
    answer({"stopped": ""}, ["requests are sent again"], as_json=json)


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
    from gateway.orders import Silenced

    about = _About(asset, circuit, zone, rule, service, polygon)
    made = _silence(config, (start, for_, repeat, time_zone), (who, why), about, as_json=json)
    _ordered(config, Silenced(made), who, why, as_json=json)


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
    from gateway.clock import SystemClock
    from gateway.config import read_config
    from gateway.ledger import fired_between
    from gateway.plans import prepare
    from gateway.preview import preview

    about = _About(asset, circuit, zone, rule, service, polygon)
    made = _silence(config, (start, for_, repeat, time_zone), ("preview", "-"), about, as_json=json)
    now_ms = SystemClock().now_ms()
    with told_plainly(as_json=json):
        plans = prepare(*read_config(config))
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
    from gateway.clock import SystemClock
    from gateway.ledger import silences_of
    from gateway.preview import told

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
    from gateway.orders import Unsilenced

    _ordered(config, Unsilenced(number), who, why, as_json=json)


# -- what they have in common ----------------------------------------------------------------------


def _ordered(config: Any, order: "Order", who: str, why: str, *, as_json: bool) -> None:
    from gateway import by_hand
    from gateway.clock import SystemClock

    with told_plainly(as_json=as_json):
        database = database_of(config)
        number = by_hand.order(database, order, who, why, SystemClock().now_ms())
        state, text = by_hand.answer_to(database, number)
    if state == "refused":
        fail(text, Code.FINDINGS, as_json=as_json)
    answer({"order": number, "state": state, "answer": text}, [text], as_json=as_json)


def _moved(config: Any, references: list[str], event: "Event", *, as_json: bool) -> None:
    """Every one of them, or the first that cannot be."""
    from gateway import by_hand
    from gateway.clock import SystemClock

    rows = []
    with told_plainly(as_json=as_json):
        database = database_of(config)
        for reference in references:
            try:
                after = by_hand.move(database, reference, event, SystemClock().now_ms())
            except by_hand.NotPossibleError as no:
                fail(str(no), Code.FINDINGS, as_json=as_json)
            rows.append({"reference": reference, "state": str(after.state)})
    lines = [f"{row['reference']}: {row['state']}" for row in rows] or ["nothing waits"]
    answer(rows[0] if len(rows) == 1 else {"requests": rows}, lines, as_json=as_json)


def _silence(
    config: Any,
    when: tuple[str, str, str, str],
    whose: tuple[str, str],
    about: _About,
    *,
    as_json: bool,
) -> "Silence":
    """The window that the options speak of, or the end of the command with what is wrong."""
    from gateway.cli.simulating.options import seconds_of, time_ms
    from gateway.silences import Silence, faults_of, ring_of

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
    from gateway.config import read_config
    from gateway.profile import read_profile

    with told_plainly(as_json=as_json):
        return read_profile(read_config(config)[0].city.profile).timezone


def _polygon(path: Path | None, ring_of: Callable[[Any], Any]) -> Any:
    if path is None:
        return ()
    try:
        return ring_of(json_.loads(path.read_text("utf-8")))
    except OSError as error:
        raise ValueError(f"--polygon {path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"--polygon {path}: {error}") from None
