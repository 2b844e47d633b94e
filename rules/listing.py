"""Findings for people and machines: lines with carets, GitHub's commands, SARIF, an object.

Pure text from findings and the sources they are about. What comes from a file is shown without
control characters, so that no rule file can steer a terminal or a build's log.
"""

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rules.codes import codes
from rules.finding import Finding, Mark

FORMATS = ("text", "json", "github", "sarif")
COLUMNS = 100
"""Of a source line that are shown around the fault."""
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


def lines(findings: Sequence[Finding], sources: Mapping[str, str]) -> Iterator[str]:
    """For people: place, code, message, the line with carets, help."""
    texts = {file: text.split("\n") for file, text in sources.items()}
    for finding in findings:
        kind = "error" if finding.is_error else "warning"
        place = f"{finding.file}:{finding.line}:{finding.column}"
        yield plain(f"{place}: {kind}[{finding.code}]: {finding.message}")
        text = texts.get(finding.file, [])
        if 0 < finding.line <= len(text):
            yield from _pointed(finding, text[finding.line - 1])
        asked = f"docs: sense311 rules docs {finding.code}" if finding.code in codes() else ""
        hint = "  ".join(part for part in (finding.help, asked) if part)
        if hint:
            yield plain(f"    = help: {hint}")


def summary(findings: Sequence[Finding], files: int) -> str:
    errors = sum(finding.is_error for finding in findings)
    warnings = len(findings) - errors
    return f"{_many(files, 'file')}: {_many(errors, 'error')}, {_many(warnings, 'warning')}"


def github(findings: Sequence[Finding]) -> Iterator[str]:
    """Workflow commands: they show the findings beside the changed lines."""
    for finding in findings:
        kind = "error" if finding.is_error else "warning"
        place = f"file={_property(finding.file)},line={finding.line},col={finding.column}"
        if finding.marks:
            place += f",endColumn={finding.marks[0].end_column}"
        text = finding.message + (f" (help: {finding.help})" if finding.help else "")
        yield f"::{kind} {place},title={finding.code}::{_data(text)}"


def sarif(findings: Sequence[Finding], version: str) -> str:
    """SARIF 2.1.0, as code scanning takes it."""
    used = sorted({finding.code for finding in findings})
    driver = {"name": "sense311", "version": version, "rules": [_sarif_rule(c) for c in used]}
    results = [_sarif_result(finding) for finding in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SARIF, "version": "2.1.0", "runs": [run]}, indent=2)


def plain(text: str) -> str:
    """Without what could steer a terminal."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character == "\t":
        return " "
    kind = unicodedata.category(character)
    return "\N{REPLACEMENT CHARACTER}" if kind in ("Cc", "Cf", "Cs", "Zl", "Zp") else character


def _pointed(finding: Finding, line: str) -> Iterator[str]:
    """The source line, and under it what is meant."""
    line = line.removesuffix("\r")
    marks = sorted(finding.marks or (_word(finding, line),), key=lambda mark: mark.column)
    start = max(0, min(finding.column - COLUMNS // 2, len(line) - COLUMNS))
    shown = plain(line[start : start + COLUMNS])
    number = f"{finding.line:>4} | "
    yield number + shown
    under = ""
    for mark in marks:
        column, end = mark.column - 1 - start, min(mark.end_column - 1 - start, COLUMNS)
        if column < len(under.rstrip()) or column >= COLUMNS:
            continue
        before = _width(shown[:column])
        carets = "^" * max(1, _width(shown[column:end]))
        under = under.ljust(before) + carets + (f" {mark.note}" if mark.note else "")
    yield " " * (len(number) - 2) + "| " + plain(under)


def _width(text: str) -> int:
    """Columns of a terminal: wide characters take two, combining ones none."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _word(finding: Finding, line: str) -> Mark:
    """The word at the fault, where it is not known how far it reaches."""
    start = end = finding.column - 1
    while end < len(line) and (line[end].isalnum() or line[end] in "_."):
        end += 1
    return Mark(start + 1, max(end, start + 1) + 1)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _data(text: str) -> str:
    return plain(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _sarif_rule(code: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"id": code}
    if entry := codes().get(code):
        rule["shortDescription"] = {"text": entry.title}
        rule["fullDescription"] = {"text": entry.means}
        rule["help"] = {"text": f"{entry.means}\nwrong:\n{entry.wrong}right:\n{entry.right}"}
    return rule


def _sarif_result(finding: Finding) -> dict[str, Any]:
    region = {"startLine": finding.line, "startColumn": finding.column}
    if finding.marks:
        region["endColumn"] = finding.marks[0].end_column
    place = {"artifactLocation": {"uri": finding.file.replace("\\", "/")}, "region": region}
    text = finding.message + (f" (help: {finding.help})" if finding.help else "")
    return {
        "ruleId": finding.code,
        "level": "error" if finding.is_error else "warning",
        "message": {"text": plain(text)},
        "locations": [{"physicalLocation": place}],
    }
