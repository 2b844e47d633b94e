"""How commands answer: a JSON object on standard output, or lines for people.

Owns the exit codes. Everything that is not the answer goes to standard error.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer

from rules.finding import Finding

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


_FINDING_KEYS = ("file", "line", "column", "code", "message", "help")


class Code(IntEnum):
    """Exit codes, the same for every command."""

    GOOD = 0
    FINDINGS = 1
    USAGE = 2
    OUTSIDE = 3


def answer(result: Mapping[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    """The answer of a command: the object, or its lines."""
    if as_json:
        sys.stdout.write(json.dumps(result, default=str) + "\n")
    else:
        sys.stdout.writelines(line + "\n" for line in lines)
    sys.stdout.flush()


def say(line: str) -> None:
    """Something on the side."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def fail(message: str, code: Code, *, as_json: bool = False) -> NoReturn:
    """End with an error: what, where, how to mend it."""
    if as_json:
        sys.stdout.write(json.dumps({"ok": False, "error": message}) + "\n")
    say(f"sense311: {message}")
    raise typer.Exit(code)


def findings_answer(findings: Sequence[Finding]) -> dict[str, Any]:
    errors = [finding for finding in findings if finding.code.startswith("E")]
    shown = [{key: getattr(found, key) for key in _FINDING_KEYS} for found in findings]
    return {"ok": not errors, "findings": shown}


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """Aligned columns; an empty table says so."""
    if not rows:
        yield "(none)"
        return
    cells = [[str(row.get(column, "") or "") for column in columns] for row in rows]
    widths = [max(len(c), *(len(row[i]) for row in cells)) for i, c in enumerate(columns)]
    for line in [list(columns), *cells]:
        yield "  ".join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()


@contextmanager
def told_plainly(*, as_json: bool = False) -> Iterator[None]:
    """Errors of configuration and of outside parts as one clear message and their exit code."""
    from gateway.access.credentials import BrokerError
    from gateway.errors import ConfigError, StoreError

    try:
        yield
    except ConfigError as error:
        if as_json:
            answer(findings_answer(error.findings), (), as_json=True)
        for finding in error.findings:
            say(str(finding))
        raise typer.Exit(Code.USAGE) from None
    except (BrokerError, StoreError, OSError) as error:
        fail(str(error), Code.OUTSIDE, as_json=as_json)
