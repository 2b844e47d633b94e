"""`rules explain` and `rules why-not`: a rule on one asset at one time, taken apart.

They read a recording, or the gateway's own store beside it, and only the lines that matter. What
they show is found out by `gateway.inquiry`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Code, Json, answer, fail, told_plainly
from gateway.cli.workbench.materials import (
    Assets,
    Config,
    Place,
    Recording,
    TimeZone,
    city_of,
    sources_of,
)

if TYPE_CHECKING:
    from gateway.inventory.assets import City
    from gateway.workbench.inquiry import Inquiry, Received
    from rules.explain import Explanation
    from rules.rule import Bundle

_AGO = re.compile(r"-([0-9]{1,6})(s|min|m|h|d)")
_STEP_MS = {"s": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TOPIC = re.compile(r'"topic"\s*:\s*"city/v1/[^/"\\]+/([^/"\\]+)/([^/"\\]+)/[a-z]+"')
_TIME = re.compile(r'"t"\s*:\s*"([^"\\]+)"')

_Rule = Annotated[str, typer.Argument(metavar="RULE", help="The id of the rule.")]
_Asset = Annotated[str, typer.Option("--asset", help="An asset, a circuit (C12) or a place.")]
_At = Annotated[
    str, typer.Option("--at", help="RFC 3339; with -c also `now` or how long ago: -2h.")
]
_Rules = Annotated[
    list[Path] | None,
    typer.Option("--rules", help="Rule files or folders; without them the shipped rules."),
]


def add_to(app: typer.Typer) -> None:
    app.command("explain")(explain)
    app.command("why-not")(why_not)


def explain(
    rule: _Rule,
    asset: _Asset,
    at: _At,
    recording: Recording = None,
    assets: Assets = None,
    rules: _Rules = None,
    config: Config = None,
    time_zone: TimeZone = None,
    *,
    json: Json = False,
) -> None:
    """Why a rule stood as it did: every clause with its values and margins, and what comes next."""
    place = Place(recording, assets or (), config, time_zone=time_zone)
    found = _ask((rule, asset, at), place, rules or (), as_json=json)
    answer(found.as_dict(), found.lines(), as_json=json)


def why_not(
    rule: _Rule,
    asset: _Asset,
    at: _At,
    recording: Recording = None,
    assets: Assets = None,
    rules: _Rules = None,
    config: Config = None,
    time_zone: TimeZone = None,
    *,
    json: Json = False,
) -> None:
    """Why a rule did not fire, or its request was not filed: first what stands in the way."""
    place = Place(recording, assets or (), config, time_zone=time_zone)
    found = _ask((rule, asset, at), place, rules or (), as_json=json)
    answer(found.as_dict(), found.lines(blockers_first=True), as_json=json)


def _ask(
    asked: tuple[str, str, str], place: Place, rules: Sequence[Path], *, as_json: bool
) -> "Explanation":
    from gateway.workbench.inquiry import Unanswerable

    rule, asset, at = asked
    try:
        with told_plainly(as_json=as_json):
            _check(place, rules)
            at_ms, zone = _time(at, is_live=place.config is not None)
            if place.config is not None:
                return explained_from_store((rule, asset, at_ms), zone, place.config)
            return _from_recording((rule, asset, at_ms), zone, place, rules)
    except (Unanswerable, ValueError) as error:
        fail(str(error), Code.USAGE, as_json=as_json)


def _check(place: Place, rules: Sequence[Path]) -> None:
    place.check()
    if place.config is not None and rules:
        raise ValueError("--rules goes with --recording: -c CONFIG names its own")


def _time(text: str, *, is_live: bool) -> tuple[int, tzinfo | None]:
    """The instant, and the zone in which times are shown."""
    from gateway.clock import SystemClock, ms_of

    ago = _AGO.fullmatch(text)
    if is_live and (ago or text == "now"):
        back_ms = int(ago[1]) * _STEP_MS[ago[2]] if ago else 0
        return SystemClock().now_ms() - back_ms, None
    at_ms = ms_of(text)
    if at_ms is None:
        hint = ", or now, or -2h" if is_live else ""
        raise ValueError(f"--at {text}: write 2026-01-15T20:25:00-06:00{hint}")
    return at_ms, datetime.fromisoformat(text.upper().replace(":60", ":59")).tzinfo


def _written(zone: tzinfo | None) -> Callable[[int], str]:
    """Times as people read them, in the zone in which they asked."""
    from gateway.cityhall.requests import rfc3339

    if zone is None or zone.utcoffset(None) == timedelta(0):
        return rfc3339
    return lambda ms: datetime.fromtimestamp(ms / 1000, zone).isoformat(timespec="seconds")


# -- a recording ------------------------------------------------------------------------------


def _from_recording(
    asked: tuple[str, str, int], zone: tzinfo | None, place: Place, rules: Sequence[Path]
) -> "Explanation":
    from gateway.effects import Settings
    from gateway.workbench.inquiry import HISTORY_MS, Question, inquire

    assert place.recording is not None
    if not place.recording.is_file():
        raise ValueError(f"{place.recording}: no such recording")
    inquiry = inquire(Question(*asked), *_world(place, rules))
    sieve = _Sieve(inquiry, place.recording, since_ms=inquiry.at_ms - HISTORY_MS)
    written = _written(zone)
    found = inquiry.answer(sieve.messages(), written, Settings(allow_simulated=True))
    ends_ms = sieve.ends_ms()
    if ends_ms is not None and ends_ms < inquiry.at_ms:
        note = f"the recording ends at {written(ends_ms)}: after it, silence is only assumed"
        found = replace(found, notes=(*found.notes, note))
    return found


def _world(place: Place, rules: Sequence[Path]) -> "tuple[City, Bundle]":
    from gateway.errors import ConfigError
    from rules.files import load, read_library

    city, findings = city_of(place)
    bundle, faults = load(sources_of(rules) if rules else read_library())
    errors = [finding for finding in (*findings, *faults) if finding.code.startswith("E")]
    if bundle is None or errors:
        raise ConfigError([*findings, *faults])
    return city, bundle


class _Sieve:
    """The messages of a recording that an inquiry wants; the others are passed over unread."""

    def __init__(self, inquiry: "Inquiry", path: Path, since_ms: int) -> None:
        self._inquiry = inquiry
        self._path = path
        self._since_ms = since_ms
        self._last_line = ""

    def messages(self) -> "Iterator[Received]":
        from gateway.effects import Incoming
        from gateway.workbench.inquiry import Received
        from simulators.recording import read_recording

        for message in read_recording(self._path, self._wants):
            if message.t_ms >= self._since_ms:
                incoming = Incoming(message.topic, message.payload, message.retain)
                yield Received(message.t_ms, incoming)

    def ends_ms(self) -> int | None:
        """When the last message came that was looked at, whoever sent it."""
        from gateway.clock import ms_of

        found = _TIME.search(self._last_line)
        return ms_of(found[1]) if found else None

    def _wants(self, line: str) -> bool:
        """A line that is written in another way is read, to be on the safe side."""
        self._last_line = line
        found = _TOPIC.search(line)
        return found is None or self._inquiry.wants(found[1], found[2])


# -- the store --------------------------------------------------------------------------------


def explained_from_store(
    asked: tuple[str, str, int], zone: tzinfo | None, config: Path
) -> "Explanation":
    """From what the gateway of a configuration has kept. Raises Unanswerable, ConfigError."""
    from gateway.books.ledger import record_of
    from gateway.config import read_settings
    from gateway.exhibits.exhibit import explanation_of
    from gateway.plans import prepare
    from gateway.workbench.inquiry import Question, inquire

    plans = prepare(read_settings(config))
    database = plans.config.store.folder / "sense311.db"
    inquiry = inquire(Question(*asked), plans.city, plans.bundle)
    found = explanation_of(plans, inquiry, _written(zone))
    record = record_of(database, inquiry.rule.id, inquiry.subject, inquiry.at_ms)
    return replace(found, notes=(*found.notes, *_record_lines(record, found, _written(zone))))


def _record_lines(
    record: dict[str, object], found: "Explanation", written: Callable[[int], str]
) -> Iterator[str]:
    """What the gateway itself wrote down; where that differs from what the history gives now, the
    rules, the assets or the readings kept are not those of then.
    """
    from gateway.clock import ms_of

    journal, incident = record["journal"], record["incident"]
    assert isinstance(journal, list)
    phases = [line["after"] for line in journal if line["incident"] is None]
    if phases and phases[-1] not in (found.phase, "blind"):
        yield f"the gateway itself had it {phases[-1]}: its rules or readings were others then"
    for line in journal:
        turn = f"{line['before']} -> {line['after']}" if line["before"] else line["after"]
        yield f"journal: {written(ms_of(line['at']) or 0)}  {turn}: {line['cause']}"
    if isinstance(incident, dict):
        request = incident["reference"]
        asked = f", request {request} {incident['request_state']}" if request else ""
        number = f" as {incident['request_id']}" if incident["request_id"] else ""
        yield f"incident {incident['id']}: {incident['state']}{asked}{number}"
