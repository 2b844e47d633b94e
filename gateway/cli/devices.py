"""Commands for makers of field devices: `decode`.

They run the decoder of the gateway itself, on a message at hand; nothing is sent or stored.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail


def add_to(app: typer.Typer) -> None:
    app.command()(decode)


def decode(
    file: Annotated[str, typer.Argument(help="A file, or - for standard input.")] = "-",
    topic: Annotated[str | None, typer.Option(help="The topic it would be published to.")] = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="auto, native, tts, chirpstack, sparkplug, ngsi, senml, "
            "or a codec: em400-mud, r718x, ...",
        ),
    ] = "auto",
    codec: Annotated[str | None, typer.Option(help="Of the bytes within an envelope.")] = None,
    hex_: Annotated[
        str | None, typer.Option("--hex", help="The bytes themselves, in place of a file.")
    ] = None,
    fport: Annotated[int, typer.Option(min=0, max=255, help="Their port.")] = 0,
    mapping: Annotated[
        Path | None, typer.Option(help="A mapping file, for a vendor's JSON.")
    ] = None,
    kind: Annotated[str, typer.Option(help="Of the device, where neither says it.")] = "",
    *,
    json: Json = False,
) -> None:
    """What the gateway would make of a message: readings, or what is wrong and how to mend it."""
    from gateway.cli.decoding import Asked, decoded_lines

    payload = _payload(file, hex_, as_json=json)
    asked = Asked(topic, format_, codec, fport if hex_ is not None else None, mapping, kind)
    try:
        decoded = decoded_lines(asked, payload)
    except (ValueError, OSError) as error:
        fail(str(error), Code.USAGE, as_json=json)
    readings = [_shown(reading) for one in decoded for reading in one.readings]
    statuses = [one.status for one in decoded if one.status is not None]
    readings += [{"device": s.address.device, "online": s.online} for s in statuses]
    refusals = [refusal._asdict() for one in decoded for refusal in one.refusals]
    lines = [f"reading: {reading}" for reading in readings]
    lines += [f"refused ({r['reason']}) at {r['path'] or 'the message'}: {r['message']}\n"
              f"    = help: {r['hint']}" for r in refusals]  # fmt: skip
    answer({"readings": readings, "refusals": refusals}, lines, as_json=json)
    raise typer.Exit(Code.FINDINGS if refusals else Code.GOOD)


def _payload(file: str, hex_: str | None, *, as_json: bool) -> bytes:
    try:
        if hex_ is not None:
            return bytes.fromhex(hex_)
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except ValueError:
        fail("--hex: pairs of hexadecimal digits", Code.USAGE, as_json=as_json)
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}", Code.USAGE, as_json=as_json)


def _shown(reading: Any) -> dict[str, Any]:
    from gateway.cityhall.requests import rfc3339

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
