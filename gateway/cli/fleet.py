"""Commands about the devices of a city: `devices ls`, `show`, `adopt`, and `dlq`.

They look at the gateway's books beside it, with its own decoder and its own assets; `adopt` writes
an asset file, `dlq replay` publishes to the broker, and nothing here writes to the store.
"""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.ask import database_of
from gateway.cli.output import Code, Json, answer, fail, table, told_plainly
from gateway.cli.service import ConfigFile

if TYPE_CHECKING:
    from gateway.config import Config
    from gateway.field.dead_letters import Letter
    from gateway.field.fleet import Now

devices = typer.Typer(no_args_is_help=True, help="Field devices: what each said, who may speak.")
dlq = typer.Typer(no_args_is_help=True, help="Messages that were refused.")

_COLUMNS = (
    "device", "state", "kind", "zone", "asset", "last_seen", "clock_skew_s", "missing",
    "duplicates", "late", "rejected", "resets", "battery_v", "refused",
)  # fmt: skip
_READING_COLUMNS = ("at", "received_at", "verdict", "values")
_REFUSAL_COLUMNS = ("id", "received_at", "device", "reason", "path", "message", "topic")
SHOWN_MAX = 10
INTERRUPTED = 130  # as shells report Ctrl-C

Device = Annotated[str, typer.Argument(help="Its name, as topics have it.")]


# -- devices ---------------------------------------------------------------------------------------


@devices.command("ls")
def list_devices(
    config: ConfigFile,
    *,
    state: Annotated[
        str, typer.Option(help="Only those: online, late, silent, quarantined, fault.")
    ] = "",
    kind: Annotated[str, typer.Option(help="Only those: streetlight, cabinet, bin, road.")] = "",
    json: Json = False,
) -> None:
    """Every device that was ever heard of, and how it stands."""
    from gateway.books.survey import fleet_of
    from gateway.field.device_status import DeviceState
    from gateway.inventory.asset_files import read_whole

    if state and state not in list(DeviceState):
        fail(f"--state {state}: one of {', '.join(DeviceState)}", Code.USAGE, as_json=json)
    with told_plainly(as_json=json):
        settings = _settings(config)
        city = read_whole(settings.assets.files)
        database = database_of(config)
        fleet = fleet_of(database, city, _now(settings, database))
        rows = [fleet.member(name).as_dict() for name in fleet.names()]
    rows = [row for row in rows if state in ("", row["state"]) and kind in ("", row["kind"])]
    answer({"devices": rows}, table(rows, _COLUMNS), as_json=json)


@devices.command("show")
def show_device(config: ConfigFile, device: Device, *, json: Json = False) -> None:
    """One device: whose clock is believed, what it said last, what was refused of it and why."""
    from gateway.books.ledger import last_readings, refusals_of
    from gateway.books.survey import member_of
    from gateway.field.device_status import in_words
    from gateway.inventory.asset_files import read_whole
    from gateway.views.devices import reading_row, refusal_row

    with told_plainly(as_json=json):
        settings = _settings(config)
        city, database = read_whole(settings.assets.files), database_of(config)
        member = member_of(database, device, city, _now(settings, database))
        if member is None:
            help_ = "`sense311 devices ls` names all"
            text = f"nobody has heard of a device {device!r}; {help_}"
            fail(text, Code.FINDINGS, as_json=json)
        readings = last_readings(database, device, SHOWN_MAX)
        refused = refusals_of(database, device=device, limit=SHOWN_MAX)
    told = member.as_dict() | {
        "clock": in_words(member.device),
        "readings": [reading_row(one).model_dump() for one in readings],
        "refusals": [refusal_row(one).model_dump() for one in refused],
    }
    lines = [f"{key}: {value}" for key, value in told.items() if key not in _TABLES]
    lines += ["last readings:", *table(told["readings"], _READING_COLUMNS)]
    lines += ["last refusals:", *table(told["refusals"], (*_REFUSAL_COLUMNS, "hint"))]
    answer(told, lines, as_json=json)


_TABLES = ("readings", "refusals")


@devices.command("adopt")
def adopt(
    config: ConfigFile,
    device: Device,
    asset: Annotated[str, typer.Option(help="Whose device it is.")],
    *,
    reload: Annotated[bool, typer.Option("--reload", help="Put it in force at once.")] = False,
    json: Json = False,
) -> None:
    """Enter a device among those of an asset, in the asset file; nothing else there changes."""
    from gateway.clock import SystemClock
    from gateway.inventory.adopting import NotAdoptedError
    from gateway.inventory.adopting import adopt as take_in

    with told_plainly(as_json=json):
        try:
            adopted = take_in(_settings(config), device, asset, SystemClock().now_ms())
        except NotAdoptedError as no:
            fail(str(no), Code.FINDINGS, as_json=json)
    listed, file = adopted
    told = {"device": device, "asset": asset, "devices": listed, "file": str(file)}
    if reload:
        from gateway.cli.workbench.bundle import reload as put_in_force

        put_in_force(config, timeout=60.0, json=json)
        return
    next_ = f"next: sense311 rules reload, then sense311 dlq replay --device {device}"
    answer(told, [f"{device} speaks for {asset}, in {file}", next_], as_json=json)


def _settings(config: Path) -> "Config":
    from gateway.config import read_settings

    return read_settings(config)


def _now(settings: "Config", database: Path) -> "Now":
    from gateway.books.survey import now_of
    from gateway.clock import SystemClock

    follows = settings.ingest.clock == "follow"
    return now_of(database, SystemClock().now_ms(), follows=follows)


# -- what was refused ------------------------------------------------------------------------------

Reason = Annotated[str, typer.Option(help="Only those refused for it: unknown_device, ...")]
OfDevice = Annotated[str, typer.Option("--device", help="Only those of this device.")]


@dlq.command("ls")
def list_letters(
    config: ConfigFile,
    *,
    reason: Reason = "",
    device: OfDevice = "",
    limit: Annotated[int, typer.Option(min=1, help="So many, the latest.")] = 100,
    json: Json = False,
) -> None:
    """What was refused, the latest first."""
    from gateway.books.ledger import refusals_of
    from gateway.views.devices import refusal_row

    with told_plainly(as_json=json):
        kept = refusals_of(database_of(config), reason=reason, device=device, limit=limit)
    rows = [refusal_row(one).model_dump() for one in kept]
    answer({"letters": rows}, table(rows, _REFUSAL_COLUMNS), as_json=json)


@dlq.command("show")
def show_letter(config: ConfigFile, number: int, *, json: Json = False) -> None:
    """One refused message, with what was in it and how many there were of the kind."""
    from gateway.books.ledger import refusals_by_id, refusals_like
    from gateway.field.device_status import shown_time
    from gateway.views.devices import refusal_row

    with told_plainly(as_json=json):
        database = database_of(config)
        found = refusals_by_id(database, [number])
        if not found:
            help_ = "`sense311 dlq ls` names those that are kept"
            fail(f"there is no {number}; {help_}", Code.FINDINGS, as_json=json)
        count, first_ms, last_ms = refusals_like(database, found[0])
    told = refusal_row(found[0]).model_dump() | {
        "count": count,
        "first_seen": shown_time(first_ms),
        "last_seen": shown_time(last_ms),
    }
    try:
        told["payload"] = found[0].payload.decode("utf-8")
    except UnicodeDecodeError:
        told["payload_b64"] = base64.b64encode(found[0].payload).decode()
    answer(told, [f"{key}: {value}" for key, value in told.items()], as_json=json)


@dlq.command("replay")
def replay_letters(
    config: ConfigFile,
    numbers: Annotated[list[int] | None, typer.Argument(metavar="ID...")] = None,
    reason: Reason = "",
    device: OfDevice = "",
    credentials: Annotated[
        Path | None, typer.Option(help="Of the broker; else those that the configuration names.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="A user of the broker that may speak for the devices.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password.")] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would become of each.")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Also those that would be refused again.")
    ] = False,
    json: Json = False,
) -> None:
    """Publish refused messages again, after what was wrong has been mended."""
    if not (numbers or reason or device):
        fail("name messages, or give --reason or --device", Code.USAGE, as_json=json)
    letters = _letters(config, numbers or [], reason, device, as_json=json)
    chosen = [letter for letter in letters if _goes(letter, all_=all_)]
    if not dry_run:
        _publish(config, chosen, (credentials, user, password_file), as_json=json)
    rows = [letter.as_dict() | {"sent": not dry_run and letter in chosen} for letter in letters]
    count = sum(len(letter.messages) for letter in chosen)
    what = "would be published" if dry_run else "published"
    lines = [*table(rows, ("id", "device", "was", "prospect", "topic", "why")),
             f"{count} messages {what}"]  # fmt: skip
    answer({"letters": rows, "messages": count, "dry_run": dry_run}, lines, as_json=json)
    left = [x for x in letters if x not in chosen and x.prospect not in ("stored", "repeated")]
    raise typer.Exit(Code.FINDINGS if left else Code.GOOD)


def _goes(letter: "Letter", *, all_: bool) -> bool:
    return letter.prospect == "accepted" or (all_ and bool(letter.messages))


def _letters(
    config: Path, numbers: list[int], reason: str, device: str, *, as_json: bool
) -> "list[Letter]":
    """Oldest first, as they came."""
    from gateway.books.ledger import refusals_by_id, refusals_of, stored_among
    from gateway.clock import SystemClock
    from gateway.config import read_settings
    from gateway.field.dead_letters import Reader
    from gateway.plans import prepare
    from gateway.sources import Sources

    with told_plainly(as_json=as_json):
        plans, database = prepare(read_settings(config)), database_of(config)
        if numbers:
            kept = refusals_by_id(database, numbers)
            kept = [x for x in kept if reason in ("", x.reason) and device in ("", x.device)]
        else:
            kept = refusals_of(database, reason=reason, device=device)[::-1]
    missing = set(numbers) - {one.id for one in kept}
    if missing:
        told = ", ".join(map(str, sorted(missing)))
        fail(f"{told}: not kept, or of another kind", Code.FINDINGS, as_json=as_json)
    sources = Sources(plans.sources, plans.city.by_device)
    simulated = plans.config.ingest.allow_simulated
    reader = Reader(sources, plans.city, allow_simulated=simulated)
    since_ms = min((one.received_ms for one in kept), default=0)
    with told_plainly(as_json=as_json):
        return list(
            reader.letters(
                kept,
                lambda bodies: stored_among(database, bodies, since_ms),
                SystemClock().now_ms(),
            )
        )


def _publish(
    config: Path,
    letters: "list[Letter]",
    login: tuple[Path | None, str | None, Path | None],
    *,
    as_json: bool,
) -> None:
    import asyncio

    from gateway.cli.simulating.options import login_of
    from gateway.clock import SystemClock
    from gateway.config import read_config
    from gateway.field.dead_letters import paced
    from simulators.publisher import play
    from simulators.wire import Message

    with told_plainly(as_json=as_json):
        settings, secrets = read_config(config)
    pairs = [pair for letter in letters for pair in letter.messages]
    moments = paced([topic for topic, _ in pairs], settings.ingest.device_per_minute_max)
    now_ms = SystemClock().now_ms()
    messages = [Message(now_ms + at_ms, *pair) for at_ms, pair in zip(moments, pairs, strict=True)]
    messages.sort(key=lambda message: message.t_ms)
    credentials, user, password_file = login
    try:
        who = login_of(credentials or settings.broker.credentials, user, password_file)
        asyncio.run(play(messages, secrets.broker_url, who, speed=1.0))
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=as_json)
    except OSError as error:
        fail(str(error), Code.OUTSIDE, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
