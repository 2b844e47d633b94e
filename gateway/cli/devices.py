"""Commands for makers of field devices: `decode`.

They run the decoder of the gateway itself, on a message at hand; nothing is sent or stored.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail

EXAMPLE_TOPIC = "city/v1/zone/{kind}/device/telemetry"


def add_to(app: typer.Typer) -> None:
    app.command()(decode)


def decode(
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.")] = "-",
    topic: Annotated[
        str, typer.Option(help="The topic it would be published to.")
    ] = EXAMPLE_TOPIC.format(kind="streetlight"),
    *,
    json: Json = False,
) -> None:
    """What the gateway would make of a message: readings, or what is wrong and how to mend it."""
    from gateway.telemetry import Decoder

    try:
        payload = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}", Code.USAGE, as_json=json)
    decoded = Decoder().decode(topic, payload)
    readings = [_shown(reading) for reading in decoded.readings]
    if decoded.status is not None:
        readings.append({"device": decoded.status.address.device, "online": decoded.status.online})
    refusals = [refusal._asdict() for refusal in decoded.refusals]
    lines = [f"reading: {reading}" for reading in readings]
    lines += [f"refused ({r['reason']}) at {r['path'] or 'the message'}: {r['message']}\n"
              f"    = help: {r['hint']}" for r in refusals]  # fmt: skip
    answer({"readings": readings, "refusals": refusals}, lines, as_json=json)
    raise typer.Exit(Code.FINDINGS if refusals else Code.GOOD)


def _shown(reading: Any) -> dict[str, Any]:
    from gateway.requests import rfc3339

    shown: dict[str, Any] = {
        "device": reading.address.device,
        "kind": reading.address.kind,
        "zone": reading.address.zone,
        "ts": rfc3339(reading.ts_ms) if reading.ts_ms is not None else None,
        "boot": reading.boot,
        "seq": reading.seq,
        "values": dict(reading.values),
        "loc": reading.loc,
        "faults": list(reading.faults),
        "sim": reading.sim,
    }
    if reading.accel is not None:
        from rules.signal import features

        shown["values"] |= features(reading.accel)
    return shown
