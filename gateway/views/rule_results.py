"""What a run of rules is asked, and what it answers: records only.

Between the console and the child that runs tests and backtests, as lines of JSON; the pages and the
interface show the same records.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from gateway.views.rule_sheets import Shown
from gateway.views.workbench import FoundFault


class Job(Shown):
    """What the child is asked. `running`: the rules in force, for what would be filed differently;
    `focus`: the rules that the answer is about.
    """

    task: Literal["test", "backtest"]
    config: Path
    file: str
    texts: str
    running: str = ""
    focus: tuple[str, ...] = ()
    since_ms: int = 0
    until_ms: int = 1 << 62
    labels: str = ""


class Progress(Shown):
    """`share`: of the period, 0 to 1."""

    messages: int
    at_ms: int
    share: float


class Expected(Shown):
    line: int
    expected: str
    got: str


class CaseResult(Shown):
    rule: str
    name: str
    line: int
    passed: bool
    seconds: float
    failures: list[Expected]
    timeline: list[str]


class TestsResult(Shown):
    """`cut`: there was no time for all of them. `without`: rules of the file that have no test."""

    cases: list[CaseResult]
    passed: int
    failed: int
    without: list[str]
    cut: bool


class FilingRow(Shown):
    """`verdict`: right, false, twice by labels; confirmed, unfounded, unknown by the city."""

    number: int
    rule: str
    service: str
    where: str
    started_ms: int
    fired_ms: int
    filed_ms: int
    cleared_ms: int | None
    description: str
    shadow: bool
    verdict: str = ""


class ScoreRow(Shown):
    """`unknown`: of those the city has not said, or was never asked."""

    rule: str
    right: int
    false: int
    twice: int
    unknown: int
    missed: int
    precision: float | None
    recall: float | None


class MissedRow(Shown):
    rule: str
    where: str
    started_ms: int
    why: str


class NearRow(Shown):
    rule: str
    where: str
    started_ms: int
    lasted_ms: int
    share: float
    cause: str


class SeriesRow(Shown):
    """How many a rule files, by day or hour: (beginning, count)."""

    rule: str
    points: list[tuple[int, int]]


class SignalLine(Shown):
    """`role`: empty for a signal; fires, clears or hit for what it is compared with."""

    name: str
    unit: str
    role: str
    points: list[tuple[int, float]]


class Span(Shown):
    """A phase, or "label" for what was really wrong."""

    phase: str
    start_ms: int
    end_ms: int


class SignalChart(Shown):
    """What a rule looked at around one filing."""

    rule: str
    where: str
    verdict: str
    since_ms: int
    until_ms: int
    filed_ms: int
    lines: list[SignalLine]
    spans: list[Span]


class OneSidedRow(Shown):
    filing: FilingRow
    instead: str


class MovedRow(Shown):
    """Shifts in seconds, later is positive."""

    filing: FilingRow
    started_s: int
    filed_s: int
    cleared_s: int | None


class Difference(Shown):
    added: list[OneSidedRow]
    removed: list[OneSidedRow]
    moved: list[MovedRow]
    same: int
    left_off: int
    """How many more there are than are told."""


class BacktestResult(Shown):
    """`cut_ms`: there was no time for what came after it. `judged_by`: empty where nobody can."""

    messages: int
    readings: int
    late: int
    refusals: dict[str, int]
    first_ms: int
    last_ms: int
    cut_ms: int | None
    seconds: float
    filings: list[FilingRow]
    filings_total: int
    undecided: int
    judged_by: Literal["", "labels", "city"]
    scores: list[ScoreRow]
    missed: list[MissedRow]
    missed_total: int
    labels_ignored: int
    near: list[NearRow]
    series: list[SeriesRow]
    by_hour: bool
    charts: list[SignalChart]
    difference: Difference | None


class Trouble(Shown):
    """Why there is no answer. `code`: findings, labels, time, memory, broken, config."""

    code: Literal["findings", "labels", "time", "memory", "broken", "config"]
    text: str = ""
    findings: tuple[FoundFault, ...] = ()


class Answer(Shown):
    """One line of the child: how far it is, or how it ended."""

    progress: Progress | None = None
    tests: TestsResult | None = None
    backtest: BacktestResult | None = None
    trouble: Trouble | None = None


class Period(Shown):
    since_ms: int = Field(default=0, ge=0)
    until_ms: int = Field(default=1 << 62, ge=0)
