"""`sim list|new|check|schema|faults`: scenarios as files.

Shows what there is, begins a new one, says what is wrong with one. Runs none.
"""

import json as json_
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, say, table
from gateway.cli.simulating.options import staged_well, told_of

if TYPE_CHECKING:
    from simulators.scenario_file import Finding, ScenarioFile

STARTER = "tutorial"
_Scenario = Annotated[str, typer.Argument(metavar="FILE|NAME", help="A file, or of `sim list`.")]


def add_to(app: typer.Typer) -> None:
    app.command("list")(list_scenarios)
    app.command("new")(new)
    app.command("check")(check)
    app.command("schema")(schema)
    app.command("faults")(faults)


def list_scenarios(*, json: Json = False) -> None:
    """The scenarios that come along."""
    from simulators.scenario_file import read_scenario, ready

    files = [read_scenario(path) for path in ready()]
    rows = [
        {"name": one.scenario.name, "path": one.name, "description": one.scenario.description}
        for one in files
    ]
    answer({"scenarios": rows}, table(rows, ("name", "description")), as_json=json)


def new(
    name: Annotated[str, typer.Argument(help="Lower case letters, digits and hyphens.")],
    source: Annotated[
        str, typer.Option("--from", metavar="SCENARIO", help="What to begin with.")
    ] = STARTER,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", metavar="FILE", help="Default: NAME.yaml.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """Begin a scenario file that runs as it is."""
    from simulators.scenario_file import find, parse_scenario, read_scenario

    target = out or Path(f"{name}.yaml")
    with staged_well(as_json=json):
        model = read_scenario(source)
        text = find(source).read_text("utf-8-sig")
        text = re.sub(r"^name:.*$", f"name: {name}", text, count=1, flags=re.MULTILINE)
        parse_scenario(text, str(target))
        if target.exists():
            fail(f"{target} is there already; choose another --out", Code.USAGE, as_json=json)
        target.parent.mkdir(parents=True, exist_ok=True)
        copied = list(_bring_along(model, target.parent))
        target.write_text(text, "utf-8")
    say(f"{target}: next, `sense311 sim run {target} --out {name}`")
    answer({"ok": True, "file": str(target), "also": copied}, (), as_json=json)


def _bring_along(model: "ScenarioFile", folder: Path) -> list[str]:
    """The files that a scenario names, where they are not there yet."""
    names = [*model.scenario.rules, *filter(None, [model.scenario.assets])]
    missing = [one for one in names if not (folder / one).exists()]
    for one in missing:
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(model.path(one), folder / one)
    return missing


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE|NAME...", help="Scenarios.")],
    *,
    json: Json = False,
) -> None:
    """Say what is wrong with scenarios, without running them."""
    from simulators.scenario_file import ScenarioError
    from simulators.staging import stage

    findings: list[Finding] = []
    for file in files:
        try:
            stage(file)
        except ScenarioError as error:
            findings += error.findings
        except OSError as error:
            fail(f"{file}: {error.strerror}", Code.USAGE, as_json=json)
    lines = map(str, findings) if findings else [f"{len(files)} good"]
    answer(told_of(findings), lines, as_json=json)
    raise typer.Exit(Code.FINDINGS if findings else Code.GOOD)


def schema(*, json: Json = False) -> None:
    """The JSON Schema of scenario files, for editors."""
    from simulators.scenario_file import json_schema

    told = json_schema()
    answer(told, json_.dumps(told, indent=2).splitlines(), as_json=json)


def faults(*, json: Json = False) -> None:
    """The catalogue: every kind of fault and look-alike."""
    from simulators.catalogue import CATALOGUE

    rows: list[dict[str, Any]] = [
        {
            "kind": kind.value, "strikes": entry.strikes.value, "rule": entry.rule,
            "must_file": entry.must_file, "when": entry.when.value,
            "minutes": list(entry.minutes), "text": entry.text,
            "extents": {name: one._asdict() for name, one in entry.extents.items()},
        }
        for kind, entry in CATALOGUE.items()
    ]  # fmt: skip
    columns = ("kind", "strikes", "files", "shows", "extent", "what")
    answer({"faults": rows}, table([_row(row) for row in rows], columns), as_json=json)


def _row(fault: dict[str, Any]) -> dict[str, str]:
    extents = [
        f"{name} {one['low']:g}..{one['high']:g} {one['unit']}".rstrip()
        for name, one in fault["extents"].items()
    ]
    return {
        "kind": fault["kind"], "strikes": fault["strikes"],
        "files": fault["rule"] if fault["must_file"] else "nothing",
        "shows": fault["when"], "extent": ", ".join(extents), "what": fault["text"],
    }  # fmt: skip
