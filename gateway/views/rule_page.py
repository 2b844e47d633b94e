"""One rule, whole: what it watches, when it fires, what it files, how it is set, how it is tested.

Made of the rule as it is in force, so that it says what is and not what a comment once said.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.books.ledger import unfiled_of
from gateway.books.rule_book import Tally, tallies
from gateway.views.books import Books
from gateway.views.rule_sheets import Shown, in_force, whole
from gateway.views.workbench import DAY_MS, RECENT_DAYS, RuleLine, rule_line
from rules.rule import Condition, Rule
from rules.tree import Node, Op
from rules.wording import duration_text, node_text

_SEVERAL = {Op.AND: "all", Op.OR: "any"}


class Clause(Shown):
    """A line of a condition with its values in place of names. `all` or `any`: of those below."""

    depth: int
    text: str


class ConditionView(Shown):
    """`part`: hit, when, unless or clear."""

    part: str
    text: str
    clauses: list[Clause]


class Timing(Shown):
    """In words: 15min, 2h 5min; empty where there is none."""

    lasts: str
    samples: int
    gap: str
    blind: str
    clears_after: str
    late: str
    holds: str


class Filed(Shown):
    service: str
    urgent: bool
    description: str
    translations: dict[str, str]


class ParamView(Shown):
    name: str
    value: str
    range: str
    doc: str
    source: str
    set_here: bool
    """By the gateway's configuration."""


class TestView(Shown):
    name: str
    line: int
    samples: int
    expected: list[str]


class Week(Shown):
    """What a rule in shadow would have filed in the week that begins on this day."""

    monday: str
    count: int
    open: int


class RulePage(Shown):
    rule: RuleLine
    doc: str
    fault: str
    owner: str
    template: str
    conditions: list[ConditionView]
    timing: Timing
    filed: Filed | None
    absorbs: list[str]
    absorbed_by: list[str]
    params: list[ParamView]
    tests: list[TestView]
    shadow_weeks: list[Week]


def rule_page(books: Books, rule_id: str) -> RulePage | None:
    """None: there is no such rule."""
    texts = in_force(books)
    rule = whole(texts).rules.get(rule_id)
    if rule is None:
        return None
    tally, record = Tally(), []
    if books.database.exists():
        since_ms = books.now_ms() - RECENT_DAYS * DAY_MS
        tally = tallies(books.database, since_ms).get(rule_id, tally)
        record = unfiled_of(books.database, rule_id)
    return RulePage(
        rule=rule_line(rule, texts, tally),
        doc=rule.doc,
        fault=rule.fault,
        owner=rule.owner,
        template=rule.template,
        conditions=list(_conditions(rule)),
        timing=_timing(rule),
        filed=_filed(rule),
        absorbs=list(rule.absorbs),
        absorbed_by=list(rule.absorbed_by),
        params=list(_params(rule, texts.params)),
        tests=list(_tests(rule)),
        shadow_weeks=_weeks(record),
    )


def _conditions(rule: Rule) -> Iterator[ConditionView]:
    parts = {"hit": rule.hit, "when": rule.when, "unless": rule.unless, "clear": rule.clear}
    for part, condition in parts.items():
        if condition is not None:
            yield ConditionView(part=part, text=condition.text, clauses=_clauses(condition))


def _clauses(condition: Condition) -> list[Clause]:
    return [] if condition.tree is None else list(_lines(condition.tree, 0))


def _lines(tree: Node, depth: int) -> Iterator[Clause]:
    if tree.op not in _SEVERAL:
        yield Clause(depth=depth, text=node_text(tree))
        return
    yield Clause(depth=depth, text=_SEVERAL[tree.op])
    for part in tree.args:
        yield from _lines(part, depth + 1)


def _timing(rule: Rule) -> Timing:
    waits = rule.file is not None and not rule.file.urgent
    return Timing(
        lasts=_span(rule.for_ms),
        samples=rule.samples_min,
        gap=_span(rule.gap_ms_max),
        blind=_span(rule.blind_after_ms or 0),
        clears_after=_span(rule.clear_for_ms),
        late=_span(rule.lateness_ms if waits and not rule.monotone else 0),
        holds=_span(rule.hold_ms if waits else 0),
    )


def _span(ms: int) -> str:
    return duration_text(ms) if ms else ""


def _filed(rule: Rule) -> Filed | None:
    if rule.file is None:
        return None
    translations = {name: text.text for name, text in rule.file.translations.items()}
    return Filed(
        service=rule.file.service, urgent=rule.file.urgent,
        description=rule.file.description.text, translations=translations,
    )  # fmt: skip


def _params(rule: Rule, overrides: Mapping[str, str]) -> Iterator[ParamView]:
    for name, note in rule.notes.items():
        yield ParamView(
            name=name, value=note.value, range=note.range, doc=note.doc, source=note.source,
            set_here=f"{rule.id}.{name}" in overrides,
        )  # fmt: skip


def _tests(rule: Rule) -> Iterator[TestView]:
    for case in rule.cases:
        expected = [expectation.text for expectation in case.expectations]
        yield TestView(name=case.name, line=case.line, samples=case.count, expected=expected)


def _weeks(record: Sequence[Mapping[str, Any]]) -> list[Week]:
    """By the week in which it fired."""
    filings: Counter[str] = Counter()
    still: Counter[str] = Counter()
    for row in record:
        fired = datetime.fromisoformat(row["fired_at"])
        monday = (fired - timedelta(days=fired.weekday())).date().isoformat()
        filings[monday] += 1
        still[monday] += row["cleared_at"] is None
    return [
        Week(monday=monday, count=count, open=still[monday]) for monday, count in filings.items()
    ]
