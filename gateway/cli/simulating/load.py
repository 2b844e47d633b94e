"""`sim load`: a held rate from many devices into a broker, and the proof from the gateway's store.

Here the two sides are joined: what the simulators sent, and what the gateway's books hold of it.
"""

import time
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, told_plainly
from gateway.cli.simulating.options import login_of, seconds_of, tell_progress

if TYPE_CHECKING:
    from simulators.held_rate import Sent
    from simulators.load import Load, Stored
    from simulators.uplink import Login

LOOK_EVERY_S = 0.5
QUIET_S = 3.0  # without a new reading, when as many are there as were sent
GIVEN_UP_S = 15.0  # without a new reading, when some are missing
SETTLE_S_MAX = 600.0  # when others keep sending
CLOCKS_APART_MS = 3_600_000
FOREVER_MS = 1 << 60


class Kind(StrEnum):
    BIN = "bin"
    STREETLIGHT = "streetlight"


def add_to(app: typer.Typer) -> None:
    app.command("load")(load)


def load(
    url: Annotated[str | None, typer.Argument(help="mqtt://host:port.")] = None,
    devices: Annotated[int, typer.Option(min=1, max=100_000)] = 1000,
    rate: Annotated[float, typer.Option(min=1, max=100_000, help="Messages a second.")] = 500.0,
    for_: Annotated[str, typer.Option("--for", help="As 20s or 5min.")] = "20s",
    connections: Annotated[int, typer.Option(min=1, max=256)] = 8,
    kind: Annotated[Kind, typer.Option(help="Of the devices.")] = Kind.BIN,
    repeat: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of messages sent a second time.")
    ] = 1.0,
    store: Annotated[
        Path | None,
        typer.Option(help="Folder of the gateway's store: prove what came of it.", metavar="DIR"),
    ] = None,
    credentials: Annotated[
        Path | None, typer.Option(help="The file that `sense311 broker` writes.", metavar="FILE")
    ] = None,
    user: Annotated[str | None, typer.Option(help="A user of the broker.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="Its password.")] = None,
    write_assets: Annotated[
        Path | None,
        typer.Option(help="The register of the devices, for the gateway.", metavar="FILE"),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Publish numbered messages at a held rate and prove from the gateway's store that none is
    missing, extra, altered or accepted twice. Without a URL: only --write-assets.

    The gateway needs `allow_simulated = true`. Exit code 1 if anything is wrong or the rate was not
    held.
    """
    if url is None and write_assets is None:
        fail("say where to: mqtt://host:port; or --write-assets FILE", Code.USAGE, as_json=json)
    result: dict[str, Any] = {}
    lines: list[str] = []
    try:
        with told_plainly(as_json=json):
            if write_assets is not None:
                result |= _write_register(write_assets, devices, kind)
                lines.append(f"{write_assets}: {devices:,} assets")
            if url is not None:
                database = _database(store)
                login = login_of(credentials, user, password_file)
                burden = _load(devices, rate, seconds_of(for_), kind)
                before = _books(database)
                told = _send(url, login, connections, burden, repeat)
                result |= _sent(burden, told) | _proof(burden, told, database, before)
                lines += _lines(result)
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=json)
    answer(result, lines, as_json=json)
    raise typer.Exit(Code.GOOD if result.get("ok", True) else Code.FINDINGS)


def _write_register(path: Path, devices: int, kind: Kind) -> dict[str, Any]:
    from simulators.load import register
    from simulators.register import write_assets

    write_assets(path, register(devices, kind.value))
    return {"assets": str(path), "devices": devices}


def _database(store: Path | None) -> Path | None:
    if store is None:
        return None
    database = store / "sense311.db"
    if not database.exists():
        raise ValueError(f"--store {store}: no sense311.db in it; has the gateway run?")
    return database


# -- sending --------------------------------------------------------------------------------------


def _load(devices: int, rate: float, seconds: float, kind: Kind) -> "Load":
    from simulators.load import Load

    start_ms = time.time_ns() // 1_000_000
    return Load(devices, rate, max(1, round(rate * seconds)), start_ms, kind.value)


def _send(
    url: str, login: "Login | None", connections: int, burden: "Load", repeat_percent: float
) -> "Sent":
    from simulators.held_rate import lines_to

    every = round(100 / repeat_percent) if repeat_percent else 0

    def tell(sent: int) -> None:
        tell_progress(burden.start_ms + round(1000 * burden.due_s(sent)), sent)

    with lines_to(url, login, connections) as lines:
        return lines.send(burden, every, tell)


def _sent(burden: "Load", told: "Sent") -> dict[str, Any]:
    from simulators.held_rate import HELD_SHARE

    held = told.rate >= HELD_SHARE * burden.rate
    return {
        "ok": held and not told.unacknowledged,
        "messages": burden.messages, "repeats": told.repeats, "devices": burden.devices,
        "rate_asked": burden.rate, "rate": round(told.rate, 1), "held": held,
        "seconds": round(told.seconds, 2), "unacknowledged": told.unacknowledged,
        "reconnects": told.reconnects,
        "jitter_ms": asdict(told.jitter), "ack_ms": asdict(told.ack),
    }  # fmt: skip


# -- the proof ------------------------------------------------------------------------------------


def _books(database: Path | None) -> dict[str, int]:
    from gateway.books.ledger import progress_of

    return progress_of(database) if database is not None else {}


def _proof(
    burden: "Load", told: "Sent", database: Path | None, before: dict[str, int]
) -> dict[str, Any]:
    """What the store has of it, once nothing more comes in; nothing without a store."""
    from simulators.load import audit

    if database is None:
        return {}
    promised = len(told.acknowledged) - told.unacknowledged
    _settle(database, before["readings"] + promised)
    found = audit(burden, told.acknowledged, _rows(burden, database))
    refused = _books(database)["refused"] - before["refused"]
    ok = not found.wrong and _sent(burden, told)["ok"]
    return {"proof": asdict(found) | {"refused": refused}, "ok": ok}


def _settle(database: Path, expected: int) -> None:
    """Until so many readings are stored and a little longer, so that an extra one would show; or
    until nothing has come for long.
    """
    began_s = moved_s = time.monotonic()
    stored = -1
    while (now_s := time.monotonic()) - began_s < SETTLE_S_MAX:
        count = _books(database)["readings"]
        if count != stored:
            stored, moved_s = count, now_s
        if now_s - moved_s > (QUIET_S if stored >= expected else GIVEN_UP_S):
            return
        time.sleep(LOOK_EVERY_S)


def _rows(burden: "Load", database: Path) -> "Iterator[Stored]":
    from gateway.books.ledger import all_readings
    from simulators.load import Stored

    since_ms = burden.start_ms - CLOCKS_APART_MS
    for row in all_readings(database, since_ms=since_ms, until_ms=FOREVER_MS, by_receipt=True):
        yield Stored(row.device, row.kind, row.zone, row.body)


def _lines(result: dict[str, Any]) -> Iterator[str]:
    jitter, ack = result["jitter_ms"], result["ack_ms"]
    yield (
        f"{'ok   ' if result['ok'] else 'WRONG'} {result['messages']:,} messages of "
        f"{result['devices']:,} devices in {result['seconds']:g} s, {result['repeats']:,} of them "
        "sent twice"
    )
    yield f"rate    {result['rate']:,g} a second of {result['rate_asked']:,g} asked"
    yield f"jitter  p50 {jitter['p50']:g} ms, p99 {jitter['p99']:g} ms, max {jitter['max']:g} ms"
    yield f"broker  p50 {ack['p50']:g} ms, p99 {ack['p99']:g} ms, max {ack['max']:g} ms"
    lost = result["unacknowledged"]
    if lost or result["reconnects"]:
        yield f"        {lost:,} unacknowledged, {result['reconnects']} reconnects"
    yield from _proof_lines(result.get("proof"))


def _proof_lines(proof: dict[str, Any] | None) -> Iterator[str]:
    if proof is None:
        yield "proof   none: name the gateway's store with --store DIR"
        return
    counts = ", ".join(
        f"{proof[name]:,} {name}" for name in ("missing", "extra", "altered", "twice")
    )
    yield f"proof   {proof['stored']:,} stored: {counts}"
    for what, names in proof["examples"].items():
        yield f"        {what}: {', '.join(names)}"
    if proof["refused"]:
        yield f"        {proof['refused']:,} refused; `allow_simulated = true`, and the register?"
