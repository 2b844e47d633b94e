"""`rules new`, `templates`, `schema`, `fmt`, `docs`: help for those who write rules.

Everything that is written is checked before: `new` writes no file that would not load, `fmt` none
that it could not read.
"""

from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from gateway.cli.output import Code, Json, answer, fail, findings_answer, say, table
from gateway.cli.workbench.check import read_sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.finding import Finding
    from rules.rule import Bundle

_Template = Annotated[str, typer.Argument(metavar="TEMPLATE", help="See `rules templates`.")]
_Id = Annotated[str, typer.Option("--id", help="The id of the rule; default: the template's name.")]
_With = Annotated[
    list[str] | None, typer.Option("--with", metavar="NAME=VALUE", help="A value for an input.")
]
_Sensor = Annotated[str, typer.Option("--sensor", help="The kind, where a template fits several.")]
_Out = Annotated[Path | None, typer.Option("-o", "--out", metavar="FILE", help="Write it here.")]
_Folder = Annotated[
    Path | None, typer.Option("-o", "--out", metavar="DIR", help="Write pages here.")
]
_Files = Annotated[list[Path], typer.Argument(help="Rule files, or folders of them.")]
_Check = Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if it would.")]
_Diff = Annotated[bool, typer.Option("--diff", help="Change nothing; show what would change.")]
_Subject = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="A rule, template, code, function, field.")
]
_Rules = Annotated[
    list[Path] | None, typer.Option("--rules", help="Rule files or folders; default: the shipped.")
]


def add_to(app: typer.Typer) -> None:
    app.command("new")(new)
    app.command("templates")(templates)
    app.command("schema")(schema)
    app.command("fmt")(fmt)
    app.command("docs")(docs)


def new(
    template: _Template,
    rule_id: _Id = "",
    with_: _With = None,
    sensor: _Sensor = "",
    out: _Out = None,
    as_json: Json = False,
) -> None:
    """Begin a rule file from a template."""
    from rules.document import near
    from rules.files import load, read_library, shipped_templates
    from rules.starter import starter

    known = shipped_templates()
    if template not in known:
        hint = near(template, known)
        fail(f"there is no template {template!r}; {hint}", Code.USAGE, as_json=as_json)
    given = _given(with_ or [], as_json=as_json)
    shipped, _ = load(read_library())
    taken = shipped.rules if shipped else {}
    text = starter(known[template], known, given, rule_id=rule_id, sensor=sensor, taken=taken)
    name = str(out or "the new rule")
    bundle, findings = load({name: text})
    if bundle is None:
        _refuse(findings, as_json=as_json)
    if out is not None:
        _create(out, text, as_json=as_json)
        say(f"{out}: next, `sense311 rules test {out}`")
    if template in taken:
        say(
            f"the shipped rule {template} finds the same: disable one of the two, or set its params"
        )
    answer(
        {"ok": True, "file": out, "text": text}, () if out else text.splitlines(), as_json=as_json
    )


def _given(pairs: list[str], *, as_json: bool) -> dict[str, str]:
    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name or not value:
            fail(f"--with {pair}: write NAME=VALUE", Code.USAGE, as_json=as_json)
        given[name.strip()] = value.strip()
    return given


def _create(path: Path, text: str, *, as_json: bool) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{path} exists already: name another file", Code.USAGE, as_json=as_json)
    except OSError as error:
        fail(f"{path}: {error.strerror or error}", Code.USAGE, as_json=as_json)


def _refuse(findings: "list[Finding]", *, as_json: bool) -> NoReturn:
    if as_json:
        answer(findings_answer(findings), (), as_json=True)
    for finding in findings:
        say(str(finding))
    raise typer.Exit(Code.FINDINGS)


def templates(as_json: Json = False) -> None:
    """List the templates that come with the project."""
    from rules.files import shipped_templates

    found = shipped_templates().values()
    rows: list[dict[str, Any]] = [
        {
            "template": item.name,
            "sensor": ", ".join(item.sensors),
            "finds": item.doc.split(": ")[0].split(". ")[0].removesuffix("."),
        }
        for item in found
    ]
    inputs = {
        item.name: {
            name: {
                "type": one.type,
                "default": one.default.text if one.default else None,
                "doc": one.doc,
                "source": one.source,
            }
            for name, one in item.inputs.items()
        }
        for item in found
    }
    result = {"templates": [row | {"inputs": inputs[row["template"]]} for row in rows]}
    answer(result, table(rows, ("template", "sensor", "finds")), as_json=as_json)


def schema(out: _Out = None, as_json: Json = False) -> None:
    """The JSON Schema of rule files, for editors: completion, checks, and help where you point."""
    import json

    from rules.files import shipped_templates
    from rules.schema import schema as made

    found = made(shipped_templates())
    if out is None:
        answer(found, [json.dumps(found, indent=1)], as_json=as_json)
        return
    _write({out: json.dumps(found, indent=1) + "\n"}, as_json=as_json)
    answer({"ok": True, "file": out}, [f"wrote {out}"], as_json=as_json)


def fmt(files: _Files, check: _Check = False, diff: _Diff = False, as_json: Json = False) -> None:
    """Bring rule files into their one layout; comments stay, no value changes."""
    from rules.layout import layout

    sources = read_sources(files, as_json=as_json)
    made = {name: layout(name, text) for name, text in sources.items()}
    findings = [finding for _, found in made.values() for finding in found]
    changed = {n: text for n, (text, _) in made.items() if text is not None and text != sources[n]}
    if not (check or diff):
        _write({Path(name): text for name, text in changed.items()}, as_json=as_json)
    lines = [line for name in changed if diff for line in _difference(name, sources, changed)]
    verb = "would change" if check or diff else "changed"
    for name in changed:
        say(f"{name}: {verb}")
    for finding in findings:
        say(str(finding))
    failed = bool(findings) or (check and bool(changed))
    result = {**findings_answer(findings), "ok": not failed, "changed": list(changed)}
    answer(result, lines, as_json=as_json)
    raise typer.Exit(Code.FINDINGS if failed else Code.GOOD)


def _difference(name: str, before: "Mapping[str, str]", after: "Mapping[str, str]") -> list[str]:
    old, new = before[name].splitlines(), after[name].splitlines()
    return list(unified_diff(old, new, name, f"{name} (formatted)", lineterm=""))


def docs(
    name: _Subject = None, out: _Folder = None, rules: _Rules = None, as_json: Json = False
) -> None:
    """A page about a rule, template, code, function or field; with -o the pages of all rules."""
    from rules import codes, pages
    from rules.document import near
    from rules.files import load, shipped_templates

    bundle, findings = load(read_sources(rules or [], as_json=as_json))
    if bundle is None:
        _refuse(findings, as_json=as_json)
    if out is not None:
        _write(_all_pages(bundle, out, name, as_json=as_json), as_json=as_json)
        answer({"ok": True, "folder": out}, [f"wrote the pages to {out}"], as_json=as_json)
        return
    found = shipped_templates()
    if name is None:
        text: str | None = pages.index_page(bundle.rules.values())
    else:
        text = pages.page(name, bundle.rules, found) or codes.page(name)
    if text is None:
        known = [*pages.subjects(bundle.rules, found), *codes.codes()]
        fail(f"there is no page {name!r}; {near(name or '', known)}", Code.USAGE, as_json=as_json)
    answer({"name": name, "text": text}, text.splitlines(), as_json=as_json)


def _all_pages(
    bundle: "Bundle", folder: Path, name: str | None, *, as_json: bool
) -> dict[Path, str]:
    from rules import pages

    chosen = bundle.rules if name is None else {k: v for k, v in bundle.rules.items() if k == name}
    if not chosen:
        fail(f"there is no rule {name!r}", Code.USAGE, as_json=as_json)
    made = {folder / f"{rule.id}.md": pages.rule_page(rule) for rule in chosen.values()}
    return made | {folder / "index.md": pages.index_page(chosen.values())}


def _write(texts: "Mapping[Path, str]", *, as_json: bool) -> None:
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            fail(f"{path}: {error.strerror or error}", Code.USAGE, as_json=as_json)
