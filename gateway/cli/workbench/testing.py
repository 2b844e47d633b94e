"""`sense311 rules test`: runs the tests that stand beside the rules.

Exit code 1 when one fails, when there is none, or when the files have errors; 2 when a file cannot
be read. With --coverage and --mutate it says what the tests would not notice, at its place.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from xml.etree import ElementTree as ET

import typer

from gateway.cli.output import Code, Json, answer, fail, findings_answer, say

if TYPE_CHECKING:
    from gateway.workbench.coverage import Undecided
    from gateway.workbench.mutants import Survivor, Tried
    from gateway.workbench.trial import Outcome
    from rules.case import Case
    from rules.finding import Finding
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


@dataclass(slots=True)
class _Gaps:
    """What the tests would not notice; None: not asked."""

    undecided: "list[Undecided] | None" = None
    survivors: "list[Survivor] | None" = None
    killed: int = 0

    def findings(self) -> "list[Finding]":
        return [one.finding() for one in (*(self.undecided or ()), *(self.survivors or ()))]

    def totals(self) -> Iterator[str]:
        if self.undecided is not None:
            yield f"clauses that no test decides: {len(self.undecided)}"
        if self.survivors is not None:
            total = self.killed + len(self.survivors)
            yield f"{self.killed} of {total} mutants killed ({self.killed / max(total, 1):.0%})"

    def as_dict(self) -> dict[str, Any]:
        told: dict[str, Any] = {}
        if self.undecided is not None:
            told["coverage"] = [gap.as_dict() for gap in self.undecided]
        if self.survivors is not None:
            survived = [survivor.as_dict() for survivor in self.survivors]
            told["mutants"] = {"killed": self.killed, "survived": survived}
        return told


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
    good = bool(told_cases) and all(one.outcome.passed for one in told_cases)
    gaps = _gaps(bundle, [one.case for one in told_cases], wanted) if good else _Gaps()
    _report(bundle, told_cases, gaps, wanted, sources)
    return Code.GOOD if good else Code.FINDINGS


def _run(bundle: "Bundle", keyword: re.Pattern[str]) -> Iterator[_Told]:
    from gateway.workbench.trial import relatives, run

    for rule in bundle.rules.values():
        chosen = [case for case in rule.cases if keyword.search(f"{rule.id}:{case.name}")]
        family = relatives(rule.id, bundle) if chosen else bundle
        for case in chosen:
            started = time.perf_counter()
            outcome = run(case, family)
            yield _Told(outcome, time.perf_counter() - started)


def _gaps(bundle: "Bundle", cases: "Sequence[Case]", wanted: _Wanted) -> _Gaps:
    gaps = _Gaps()
    if wanted.coverage:
        from gateway.workbench.coverage import undecided

        gaps.undecided = undecided(bundle, cases)
    if wanted.mutate:
        from gateway.workbench.mutants import trial_by_mutants

        rules = len({case.rule for case in cases})
        killed, survivors = trial_by_mutants(bundle, cases, lambda trials: _shown(trials, rules))
        gaps.killed, gaps.survivors = killed, survivors
    return gaps


def _shown(trials: "Iterator[Tried]", rules: int) -> "Iterator[Tried]":
    """The same, with their progress on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from trials
        return
    columns = (
        TextColumn("rules"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    seen: dict[str, None] = {}
    survived = 0
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=rules)
        for number, tried in enumerate(trials, start=1):
            survived += tried.survivor is not None
            seen[tried.rule] = None
            text = f"{tried.rule}: {number} mutants, {survived} survived"
            progress.update(task, description=text, completed=len(seen) - 1)
            yield tried


def _report(
    bundle: "Bundle",
    told: Sequence[_Told],
    gaps: _Gaps,
    wanted: _Wanted,
    sources: Mapping[str, str],
) -> None:
    from rules.listing import lines

    failed = sum(not one.outcome.passed for one in told)
    result: dict[str, Any] = {
        "passed": len(told) - failed,
        "failed": failed,
        "cases": [one.as_dict() for one in told],
        **gaps.as_dict(),
    }
    told_lines = [*_lines(told), *_summary(bundle, told, wanted)]
    told_lines += [*lines(gaps.findings(), sources), *gaps.totals()]
    answer(result, told_lines, as_json=wanted.as_json)
    if wanted.junit is not None:
        _write_junit(wanted.junit, told, gaps)


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


def _write_junit(path: Path, told: Sequence[_Told], gaps: _Gaps) -> None:
    failed = sum(not one.outcome.passed for one in told)
    suite = ET.Element(
        "testsuite", name="sense311 rules", tests=str(len(told)), failures=str(failed)
    )
    properties = list(_properties(gaps))
    if properties:  # before all cases, says the format
        ET.SubElement(suite, "properties").extend(properties)
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


def _properties(gaps: _Gaps) -> Iterator[ET.Element]:
    from rules.listing import plain

    for line in gaps.totals():
        yield ET.Element("property", name="total", value=line)
    for found in gaps.findings():
        value = plain(f"{found.file}:{found.line}:{found.column}: {found.message}; {found.help}")
        yield ET.Element("property", name=found.code, value=value)


def add_to(app: typer.Typer) -> None:
    app.command("test")(run_tests)
