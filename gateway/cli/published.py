"""Commands about the published contract: `contract` and `validate`.

What is published is made from the models, and what is validated is judged by the gateway's own
decoder. Nothing is sent; whether a device is known, and how old a message is, is not looked at.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import Code, Json, answer, fail

_Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write all of it here, a file each.")
]
_File = Annotated[str, typer.Argument(help="A file, or - for standard input.")]
_Kind = Annotated[str, typer.Option(help="Of the device: streetlight, cabinet, road or bin.")]
_Topic = Annotated[str, typer.Option(help="The topic it would be published to.")]


def add_to(app: typer.Typer) -> None:
    app.command()(contract)
    app.command()(validate)


def contract(out: _Out = None, *, as_json: Json = False) -> None:
    """What devices may publish, for machines: AsyncAPI, and with --out the JSON Schemas too."""
    import json

    from gateway.field.asyncapi import asyncapi
    from gateway.field.published import schemas

    document = asyncapi()
    if out is None:
        answer(document, [json.dumps(document, indent=2)], as_json=as_json)
        return
    texts = {f"{name}.schema.json": schema for name, schema in schemas().items()}
    files = [out / name for name in ("asyncapi.json", *texts)]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, content in zip(files, (document, *texts.values()), strict=True):
            path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}", Code.USAGE, as_json=as_json)
    answer({"ok": True, "files": files}, [f"wrote {path}" for path in files], as_json=as_json)


def validate(
    file: _File = "-", kind: _Kind = "", topic: _Topic = "", *, as_json: Json = False
) -> None:
    """Whether the gateway would take a message, a batch, JSON Lines of them, or a recording."""
    from gateway.cli.judging import accepted, judged, refusals_of

    try:
        found = judged(_text(file), kind=kind, topic=topic)
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}", Code.USAGE, as_json=as_json)
    except ValueError as error:
        fail(str(error), Code.USAGE, as_json=as_json)
    valid = sum(accepted(decoded) for _, decoded in found)
    refusals = list(refusals_of(found))
    lines = [f"line {r['line']}: refused ({r['reason']}) at {r['path'] or 'the message'}: "
             f"{r['message']}\n    = help: {r['hint']}" for r in refusals]  # fmt: skip
    lines.append(f"{valid} valid, {len(refusals)} refused")
    answer({"valid": valid, "refusals": refusals}, lines, as_json=as_json)
    raise typer.Exit(Code.FINDINGS if refusals else Code.GOOD)


def _text(file: str) -> bytes:
    return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
