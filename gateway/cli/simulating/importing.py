"""`sim from-csv`: a table of readings becomes a recording.

What a mapping may say and how rows are read is the simulators'; here files are named and answers
given.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail


def add_to(app: typer.Typer) -> None:
    app.command("from-csv")(from_csv)


def from_csv(
    mapping: Annotated[Path, typer.Argument(help="TOML; simulators/mapping.py shows every key.")],
    file: Annotated[Path, typer.Argument(help="The table.")],
    out: Annotated[Path, typer.Option(help="The recording, .gz to compress.")],
    assets: Annotated[Path | None, typer.Option(help="GeoJSON of what the table is about.")] = None,
    *,
    json: Json = False,
) -> None:
    """Turn a table of readings into a recording that `sense311 replay` publishes."""
    from simulators import from_csv as tables
    from simulators.recording import write_recording
    from simulators.register import write_assets

    try:
        imported = tables.from_csv(mapping, file)
        findings = [_told(finding) for finding in imported.findings]
        if imported.ok:
            write_recording(out, imported.messages)
            if assets is not None:
                write_assets(assets, imported.assets or {"features": []})
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", Code.USAGE, as_json=json)
    result = {
        "ok": imported.ok, "rows": imported.rows, "messages": len(imported.messages),
        "skipped": imported.skipped, "bad_rows": imported.bad_rows, "findings": findings,
    }  # fmt: skip
    head = f"{out}: {len(imported.messages)} messages of {imported.rows} rows, "
    lines = [*map(str, imported.findings), f"{head}{imported.bad_rows} bad"]
    answer(result, lines, as_json=json)
    if not imported.ok:
        raise typer.Exit(Code.USAGE)
    raise typer.Exit(Code.FINDINGS if imported.bad_rows else Code.GOOD)


def _told(finding: Any) -> dict[str, str]:
    """A finding of the simulators as an object."""
    return {name: getattr(finding, name) for name in ("file", "where", "message", "hint")}
