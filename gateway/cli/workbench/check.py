"""`sense311 rules check`: what is wrong with rule files, before anything runs.

Exit code 1 for errors, with --strict for warnings too; 2 when a file cannot be read.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.output import Code, Json, answer, fail, findings_answer


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    SARIF = "sarif"


Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Rule files, or folders of them; none: the rules that are shipped."),
]
AFormat = Annotated[Format, typer.Option("--format", help="How to tell the findings.")]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")]


def check(
    files: Files = None, form: AFormat = Format.TEXT, strict: Strict = False, as_json: Json = False
) -> None:
    """Find what is wrong with rule files: names, units, impossible conditions, and more."""
    from rules.checks import check as checked

    form = Format.JSON if as_json else form
    sources = read_sources(files or [], as_json=form is Format.JSON)
    _, findings = checked(sources)
    failed = any(finding.is_error or strict for finding in findings)
    if form is Format.JSON:
        answer({**findings_answer(findings), "ok": not failed}, (), as_json=True)
    else:
        from rules import listing

        if form is Format.GITHUB:
            told = list(listing.github(findings))
        elif form is Format.SARIF:
            told = [listing.sarif(findings, _version())]
        else:
            told = [*listing.lines(findings, sources), listing.summary(findings, len(sources))]
        # A file name that is no text is shown by its escapes, never refused.
        text = "".join(line + "\n" for line in told)
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
    raise typer.Exit(Code.FINDINGS if failed else Code.GOOD)


def read_sources(paths: list[Path], *, as_json: bool = False) -> dict[str, str]:
    """File name -> text. Of a folder its *.yaml; of nothing, what is shipped."""
    from rules.files import read_folder, read_library

    if not paths:
        return read_library()
    sources: dict[str, str] = {}
    for path in paths:
        try:
            found = read_folder(path) if path.is_dir() else {str(path): _read(path)}
        except OSError as error:
            fail(f"{path}: {error.strerror or error}", Code.USAGE, as_json=as_json)
        if not found:
            fail(f"{path}: there is no rule file (*.yaml) in it", Code.USAGE, as_json=as_json)
        sources |= found
    return sources


def _read(path: Path) -> str:
    from rules.document import TEXT_MAX

    with path.open("rb") as file:
        # One byte more than any character takes tells that it is too long, and spares the rest.
        return file.read(4 * TEXT_MAX + 1).decode("utf-8", errors="surrogateescape")


def _version() -> str:
    from importlib.metadata import version

    return version("sense311")


def add_to(app: typer.Typer) -> None:
    app.command("check")(check)
