"""What a backtest works on: rules, a city, and the messages of a recording or of a gateway's store.

Reads files and hands out streams; every fault in a file is told with its place, and nothing is
begun with half of it. Decides nothing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.output import Code, fail, say, told_plainly

if TYPE_CHECKING:
    from gateway.effects import Settings
    from gateway.inventory.assets import City
    from gateway.workbench.inquiry import Received
    from rules.finding import Finding
    from rules.rule import Bundle
    from simulators.truth import Label

NEVER_MS = 1 << 62
_TOLD_EVERY = 500  # messages between two steps of the progress

Rules = Annotated[
    list[Path] | None,
    typer.Argument(help="Rule files or folders; none: the shipped rules, or those of -c."),
]
Recording = Annotated[
    Path | None, typer.Option("--recording", help="JSON Lines of messages, .gz or not.")
]
Assets = Annotated[
    list[Path] | None, typer.Option("--assets", help="What stands there: GeoJSON or CSV.")
]
Config = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Use the store of this gateway instead.", metavar="FILE"),
]
TimeZone = Annotated[
    str | None,
    typer.Option(
        "--time-zone",
        help="The clocks of a recording, as America/Chicago; with -c those of the city's profile.",
        metavar="ZONE",
    ),
]
Labels = Annotated[Path | None, typer.Option("--labels", help="What was wrong: labels.csv.")]
Since = Annotated[str | None, typer.Option("--from", help="RFC 3339; earlier ones are left out.")]
Until = Annotated[str | None, typer.Option("--to", help="RFC 3339; later ones are left out.")]
Params = Annotated[
    list[str] | None, typer.Option("--param", help="RULE.NAME=VALUE, as often as wanted.")
]
Html = Annotated[Path | None, typer.Option("--html", help="Write a report, one file.")]


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is, as it was said on the command line."""

    recording: Path | None
    assets: Sequence[Path]
    config: Path | None
    since: str | None = None
    until: str | None = None
    time_zone: str | None = None
    """Of assets that name none."""

    def check(self) -> None:
        """ValueError: not one source, or half of one."""
        if (self.recording is None) == (self.config is None):
            raise ValueError("give --recording with --assets, or -c CONFIG")
        if self.recording is not None and not self.assets:
            raise ValueError("--recording needs --assets FILE: who is who")
        if self.config is not None and self.assets:
            raise ValueError("--assets goes with --recording: -c CONFIG names its own")
        if self.config is not None and self.time_zone is not None:
            raise ValueError("--time-zone goes with --recording: the profile of -c CONFIG names it")

    def span_ms(self) -> tuple[int, int]:
        since_ms = 0 if self.since is None else _time_ms("--from", self.since)
        until_ms = NEVER_MS if self.until is None else _time_ms("--to", self.until)
        if since_ms >= until_ms:
            raise ValueError(f"--from {self.since} is not before --to {self.until}")
        return since_ms, until_ms


@dataclass(frozen=True, slots=True)
class Material:
    """A city, how its gateway takes readings, and its messages as often as they are asked for."""

    city: "City"
    settings: "Settings"
    messages: "Callable[[], Iterator[Received]]"
    sources: Mapping[str, str]
    """Rule files that are in force there: name -> text."""
    params: Mapping[str, str]
    disable: Sequence[str]


def city_of(place: Place) -> "tuple[City, list[Finding]]":
    """What stands there beside a recording, by its clocks. ValueError: there are no such clocks."""
    from dataclasses import replace

    from gateway.inventory.assets import read_assets
    from rules.local_time import zone_of

    zone = place.time_zone or ""
    if zone_of(zone) is None and place.time_zone is not None:
        raise ValueError(f"--time-zone {zone}: write a name such as America/Chicago")
    city, findings = read_assets(place.assets)
    return replace(city, time_zone=zone), findings


def gather(place: Place) -> Material:
    """ValueError, ConfigError, OSError: what is wrong with what was named."""
    place.check()
    return _of_store(place) if place.config is not None else _of_recording(place)


def bundle_of(material: Material, paths: Sequence[Path], params: Sequence[str] = ()) -> "Bundle":
    """The rules of some files, or where none is named those in force. ConfigError: the findings."""
    from dataclasses import replace

    from gateway.errors import ConfigError
    from rules.files import load

    own = {} if paths else dict(material.params)
    overrides = own | dict(_override(text) for text in params)
    bundle, findings = load(sources_of(paths) if paths else material.sources, overrides)
    if bundle is None:
        raise ConfigError(findings)
    if paths:
        return bundle
    left = {name: rule for name, rule in bundle.rules.items() if name not in material.disable}
    return replace(bundle, rules=left)


def tell_clockless(city: "City", bundle: "Bundle") -> None:
    """Rules by the calendar are unknown, and so silent, where there are no clocks: say so."""
    from rules.tree import Op, uses

    kinds = {a.kind for a in city.assets.values() if not city.time_zone_of(a)}
    kinds |= set() if city.time_zone else {"road"}
    trees = (
        (rule.id, condition.tree)
        for rule in bundle.rules.values()
        if rule.sensor in kinds
        for condition in (rule.when, rule.unless, rule.clear, rule.hit)
        if condition is not None and condition.tree is not None
    )
    calendar = (Op.HOUR, Op.WEEKDAY, Op.SCHEDULE, Op.TIME_TO)
    lost = {name: None for name, tree in trees if uses(tree, *calendar)}
    if lost:
        say(f"no clocks, so unknown: the calendar of {', '.join(lost)}; give --time-zone")


def sources_of(paths: Sequence[Path]) -> dict[str, str]:
    """File name -> text of files and folders. ValueError: there is none."""
    from rules.files import read_folder

    found: dict[str, str] = {}
    for path in paths:
        texts = read_folder(path) if path.is_dir() else {str(path): _text(path)}
        if not texts:
            raise ValueError(f"{path}: no rule file (*.yaml) in this folder")
        found |= texts
    return found


def labels_of(path: Path | None) -> "list[Label]":
    """ValueError: they cannot be read."""
    from simulators.truth import read_labels

    if path is None:
        return []
    try:
        return read_labels(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot read: {error}") from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", errors="surrogateescape")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None


def _override(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or "." not in key or not value.strip():
        raise ValueError(f"--param {text}: write RULE.NAME=VALUE, as bin_full.high=85%")
    return key.strip(), value.strip()


def _time_ms(option: str, text: str) -> int:
    from gateway.clock import ms_of

    found = ms_of(text)
    if found is None:
        raise ValueError(f"{option} {text}: write a time with zone, as 2026-01-15T20:05:00Z")
    return found


def _of_recording(place: Place) -> Material:
    from gateway.effects import Settings
    from gateway.errors import ConfigError
    from rules.files import read_library

    assert place.recording is not None
    city, findings = city_of(place)
    if any(finding.code.startswith("E") for finding in findings):
        raise ConfigError(findings)
    path, span_ms = place.recording, place.span_ms()
    if not path.is_file():
        raise ValueError(f"{path}: no such recording")
    return Material(
        city,
        Settings(allow_simulated=True),
        lambda: _recorded(path, *span_ms),
        read_library(),
        {},
        (),
    )


def _recorded(path: Path, since_ms: int, until_ms: int) -> "Iterator[Received]":
    from gateway.effects import Incoming
    from gateway.workbench.inquiry import Received
    from simulators.recording import read_recording

    for message in read_recording(path):
        if message.t_ms > until_ms:
            return
        if message.t_ms >= since_ms:
            incoming = Incoming(message.topic, message.payload, message.retain)
            yield Received(message.t_ms, incoming)


def _of_store(place: Place) -> Material:
    from gateway.books.ledger import all_readings
    from gateway.config import read_settings
    from gateway.plans import prepare
    from gateway.workbench.inquiry import from_store

    assert place.config is not None
    plans = prepare(read_settings(place.config))
    rules, follow = plans.config.rules, plans.config.ingest.clock == "follow"
    since_ms, until_ms = place.span_ms()
    database = plans.config.store.folder / "sense311.db"

    def messages() -> "Iterator[Received]":
        kept = all_readings(database, since_ms=since_ms, until_ms=until_ms, by_receipt=not follow)
        return from_store(kept, follow=follow)

    texts, settings = plans.texts, plans.settings_again()
    return Material(plans.city, settings, messages, texts.sources, rules.params, rules.disable)


def told(messages: "Iterator[Received]", title: str) -> "Iterator[Received]":
    """The same messages, with their progress on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from gateway.cityhall.requests import rfc3339

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from messages
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title)
        for number, received in enumerate(messages, start=1):
            if number % _TOLD_EVERY == 0:
                text = f"{title}: {rfc3339(received.at_ms)}, {number:,} messages"
                progress.update(task, description=text)
            yield received


@contextmanager
def asked_well(*, as_json: bool) -> Iterator[None]:
    """What was asked wrongly, or of files that cannot be read, as one message."""
    try:
        with told_plainly(as_json=as_json):
            yield
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=as_json)


def write_page(path: Path, page: str, *, as_json: bool) -> None:
    try:
        path.write_text(page, "utf-8", newline="\n")
    except OSError as error:
        fail(f"{path}: {error.strerror}", Code.OUTSIDE, as_json=as_json)
