"""`sense311 rules test`: runs the tests that stand beside the rules.

Exit code 1 when one fails, when there is none, or when the files have errors; 2 when a file cannot
be read. With --coverage and --mutate it says what the tests would not notice.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from xml.etree import ElementTree as ET

import typer

from gateway.cli.output import Code, Json, answer, fail, findings_answer, say

if TYPE_CHECKING:
    from gateway.mutants import Survivor
    from gateway.trial import Outcome
    from rules.case import Case
    from rules.rule import Bundle

Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Rule files, or folders of them; none: the rules that are shipped."),
]
Keyword = Annotated[
    str, typer.Option("-k", help="Only tests whose rule and name match this.", metavar="REGEX")
]
Junit = Annotated[Path | None, typer.Option("--junit", help="Write JUnit XML too.")]
Watch = Annotated[bool, typer.Option("--watch", help="Again whenever a file changes.")]
Coverage = Annotated[bool, typer.Option("--coverage", help="Clauses that never decided.")]
Mutate = Annotated[bool, typer.Option("--mutate", help="Changes of the rules that no test sees.")]

_LOOK_MS = 200


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for on the command line."""

    paths: Sequence[Path]
    keyword: re.Pattern[str]
    junit: Path | None
    coverage: bool
    mutate: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Told:
    """A test that was run, and how long it took."""

    outcome: "Outcome"
    seconds: float

    @property
    def case(self) -> "Case":
        return self.outcome.case

    def as_dict(self) -> dict[str, Any]:
        failures = [
            {"line": f.line, "expected": f.expected, "got": f.got} for f in self.outcome.failures
        ]
        return {
            "rule": self.case.rule,
            "name": self.case.name,
            "passed": self.outcome.passed,
            "file": self.case.file,
            "line": self.case.line,
            "seconds": round(self.seconds, 6),
            "failures": failures,
        }


def run_tests(
    files: Files = None,
    keyword: Keyword = "",
    junit: Junit = None,
    watch: Watch = False,
    coverage: Coverage = False,
    mutate: Mutate = False,
    json: Json = False,
) -> None:
    """Run the tests of rules: pending, firing, filed, absorbed, cleared, at the right times."""
    try:
        pattern = re.compile(keyword)
    except re.error as error:
        fail(f"-k {keyword}: {error}", Code.USAGE, as_json=json)
    wanted = _Wanted(files or [], pattern, junit, coverage, mutate, json)
    if not watch:
        raise typer.Exit(_once(wanted))
    _watch(wanted)


def _watch(wanted: _Wanted) -> None:
    from watchfiles import watch as changes

    if not wanted.paths:
        fail("--watch needs files or folders to watch", Code.USAGE, as_json=wanted.as_json)
    first = True  # the watch stands before the first run: no change falls between them
    for changed in changes(*wanted.paths, yield_on_timeout=True, rust_timeout=_LOOK_MS):
        if first or changed:
            first = False
            _once(wanted)


def _once(wanted: _Wanted) -> Code:
    from gateway.cli.workbench.check import read_sources
    from rules.files import load

    sources = read_sources(list(wanted.paths), as_json=wanted.as_json)
    bundle, findings = load(sources)
    if bundle is None:
        from rules.listing import lines

        told = findings_answer(findings)
        if wanted.as_json:
            answer(told, (), as_json=True)
        for line in lines([f for f in findings if f.is_error], sources):
            say(line)
        return Code.FINDINGS
    told_cases = list(_run(bundle, wanted.keyword))
    return _report(bundle, told_cases, wanted)


def _run(bundle: "Bundle", keyword: re.Pattern[str]) -> Iterator[_Told]:
    from gateway.trial import relatives, run

    for rule in bundle.rules.values():
        chosen = [case for case in rule.cases if keyword.search(f"{rule.id}:{case.name}")]
        family = relatives(rule.id, bundle) if chosen else bundle
        for case in chosen:
            started = time.perf_counter()
            outcome = run(case, family)
            yield _Told(outcome, time.perf_counter() - started)


def _report(bundle: "Bundle", told: Sequence[_Told], wanted: _Wanted) -> Code:
    failed = [one for one in told if not one.outcome.passed]
    result: dict[str, Any] = {
        "passed": len(told) - len(failed),
        "failed": len(failed),
        "cases": [one.as_dict() for one in told],
    }
    lines = [*_lines(told), *_summary(bundle, told, wanted)]
    good = bool(told) and not failed
    if wanted.coverage and good:
        from gateway.coverage import undecided

        clauses = undecided(bundle, [one.case for one in told])
        result["coverage"] = [clause.as_dict() for clause in clauses]
        lines += [f"never decided: {clause}" for clause in clauses]
        lines.append(f"{len(clauses)} clauses that no test decides")
    if wanted.mutate and good:
        killed, survivors = _mutated(bundle, [one.case for one in told])
        result["mutants"] = {
            "killed": killed,
            "survived": [survivor.as_dict() for survivor in survivors],
        }
        lines += [f"survived: {survivor}" for survivor in survivors]
        total = killed + len(survivors)
        lines.append(f"{killed} of {total} mutants killed ({killed / max(total, 1):.0%})")
    answer(result, lines, as_json=wanted.as_json)
    if wanted.junit is not None:
        _write_junit(wanted.junit, told)
    return Code.GOOD if good else Code.FINDINGS


def _mutated(bundle: "Bundle", cases: "Sequence[Case]") -> "tuple[int, list[Survivor]]":
    from gateway.mutants import trial_by_mutants

    return trial_by_mutants(bundle, cases)


def _lines(told: Sequence[_Told]) -> Iterator[str]:
    for one in told:
        word = "ok    " if one.outcome.passed else "FAILED"
        yield f"{word} {one.case.file}:{one.case.line}  {one.case.rule}: {one.case.name}"
        for failure in one.outcome.failures:
            where = f"{one.case.file}:{failure.line}"
            yield f"       {where}: expected {failure.expected}, got {failure.got}"
        if not one.outcome.passed:
            yield "       what happened, in minutes since the start:"
            events = one.outcome.timeline or ("nothing",)
            yield from (f"       {event}" for event in events)


def _summary(bundle: "Bundle", told: Sequence[_Told], wanted: _Wanted) -> Iterator[str]:
    failed = sum(not one.outcome.passed for one in told)
    seconds = sum(one.seconds for one in told)
    bare = [rule.id for rule in bundle.rules.values() if not rule.cases]
    if bare:
        yield f"without tests: {', '.join(bare)}"
    if not told:
        asked = f" that matches {wanted.keyword.pattern!r}" if wanted.keyword.pattern else ""
        yield f"there is no test{asked}; a rule's tests stand under `tests:`"
        return
    yield f"{len(told) - failed} passed, {failed} failed in {seconds:.2f} s"


def _write_junit(path: Path, told: Sequence[_Told]) -> None:
    failed = sum(not one.outcome.passed for one in told)
    suite = ET.Element(
        "testsuite", name="sense311 rules", tests=str(len(told)), failures=str(failed)
    )
    for one in told:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=f"{one.case.file}:{one.case.rule}",
            name=one.case.name,
            time=f"{one.seconds:.6f}",
        )
        for failure in one.outcome.failures:
            message = f"line {failure.line}: expected {failure.expected}, got {failure.got}"
            element = ET.SubElement(case, "failure", message=message)
            element.text = "\n".join(one.outcome.timeline)
    ET.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def add_to(app: typer.Typer) -> None:
    app.command("test")(run_tests)
