"""Rules as their engineers see them: each with its state, rule files, and edited texts checked.

What is in force is what the running gateway said last; an edited text is judged among those rules,
in place of its own file. Changes nothing.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import unified_diff
from typing import Any, Literal

from gateway.books.rule_book import Tally, tallies
from gateway.errors import ConfigError
from gateway.plans import RuleTexts, revised
from gateway.views.books import Books
from gateway.views.rule_sheets import (
    Shown,
    in_force,
    is_shipped,
    name_here,
    on_disk,
    place_of,
    plain,
    whole,
    with_plain_ends,
)
from rules.checks import check
from rules.document import TEXT_MAX
from rules.files import load
from rules.finding import Finding
from rules.plan import Change, changes
from rules.rule import Bundle, Rule

DAY_MS = 86_400_000
RECENT_DAYS = 30
DIFF_LINES_MAX = 8_000
"""Of each side; comparing more would take seconds."""
State = Literal["live", "shadow", "left_out"]


class RuleLine(Shown):
    """A rule in the list. `filed`, `would_file`: in the last RECENT_DAYS days."""

    id: str
    title: str
    sensor: str
    scope: str
    state: State
    file: str
    line: int
    own: bool
    """Of a file that the configuration names; else it comes with sense311."""
    service: str
    tests: int
    open: int
    filed: int
    would_file: int


class FoundFault(Shown):
    """One thing wrong with a file. Lines and columns count from 1; `end_column` is the first
    character after what is meant.
    """

    file: str
    line: int
    column: int
    end_column: int
    code: str
    message: str
    help: str
    error: bool


class FileLine(Shown):
    """A rule file. `differs`: what is on the disk is not what is in force."""

    file: str
    own: bool
    differs: bool
    rules: list[str]


class RulesView(Shown):
    version: str
    since: str
    rules: list[RuleLine]
    files: list[FileLine]
    refused: list[FoundFault]
    """Why the last reload was refused."""


class Checked(Shown):
    findings: list[FoundFault]
    rules: list[str]
    """Of this file, as far as it can be read."""
    tests: int
    good: bool
    ms: float


class DiffLine(Shown):
    sign: Literal["+", "-", " ", "@"]
    text: str


class RuleChange(Shown):
    rule: str
    kind: str
    keeps_timers: bool
    parts: list[tuple[str, str, str]]
    """(what, before, after)."""


class Diff(Shown):
    lines: list[DiffLine]
    changes: list[RuleChange]
    same: bool
    too_long: bool = False


# -- the list -------------------------------------------------------------------------------------


def rules_of(books: Books) -> RulesView:
    """Every rule and every rule file. ConfigError: there are none in force, and none to read."""
    plans, texts = books.plans(), in_force(books)
    counts = _tallies(books)
    bundle = whole(texts)
    lines = [rule_line(rule, texts, counts.get(rule.id, Tally())) for rule in bundle.rules.values()]
    status = books.status()
    findings = status.get("reload", {}).get("findings", [])
    refused = status.get("reload", {}).get("result") == "refused"
    return RulesView(
        version=plans.bundle.version,
        since=status.get("rules", {}).get("since", ""),
        rules=lines,
        files=list(_files(books, bundle)),
        refused=list(_refused(books, findings)) if refused else [],
    )


def _refused(books: Books, findings: Sequence[Mapping[str, Any]]) -> Iterator[FoundFault]:
    disk = on_disk(books)
    for one in findings:
        yield shown(Finding(**{**one, "file": name_here(one["file"], disk)}))


def rule_line(rule: Rule, texts: RuleTexts, tally: Tally) -> RuleLine:
    file, line = place_of(rule)
    left_out = rule.id in texts.disable
    return RuleLine(
        id=rule.id, title=rule.title, sensor=rule.sensor, scope=rule.scope,
        state="left_out" if left_out else "shadow" if rule.in_shadow else "live",
        file=file, line=line, own=not is_shipped(file),
        service=rule.file.service if rule.file else "", tests=len(rule.cases),
        open=tally.open, filed=tally.filed, would_file=tally.shadow,
    )  # fmt: skip


def _tallies(books: Books) -> Mapping[str, Tally]:
    """Nothing where the gateway has not run."""
    if not books.database.exists():
        return {}
    return tallies(books.database, books.now_ms() - RECENT_DAYS * DAY_MS)


def _files(books: Books, bundle: Bundle) -> Iterator[FileLine]:
    running, disk = in_force(books).sources, on_disk(books)
    by_file: dict[str, list[str]] = {}
    for rule in bundle.rules.values():
        by_file.setdefault(place_of(rule)[0], []).append(rule.id)
    for file in sorted({*running, *disk}):
        differs = running.get(file) != disk.get(file)
        yield FileLine(
            file=file, own=not is_shipped(file), differs=differs, rules=by_file.get(file, [])
        )


# -- an edited text -------------------------------------------------------------------------------


def edited(books: Books, file: str, text: str, instead_of: str = "") -> RuleTexts:
    """The rules in force with one file as it is edited. `instead_of`: a rule that it replaces."""
    texts = in_force(books)
    left_out = [*texts.disable, instead_of] if instead_of else texts.disable
    return RuleTexts({**texts.sources, file: plain(text)}, texts.params, left_out)


def check_text(books: Books, file: str, text: str, instead_of: str = "") -> Checked:
    """All that is wrong with a text, in a tenth of a second."""
    began_s = time.perf_counter()
    plans = books.plans()
    texts = edited(books, file, text, instead_of)
    bundle, findings = check(texts.sources, texts.params)
    if bundle is not None:
        try:
            revised(plans, replace(plans, bundle=texts.without(bundle), texts=texts))
        except ConfigError as error:
            findings = [*findings, *error.findings]
    mine = [rule for rule in bundle.rules.values() if place_of(rule)[0] == file] if bundle else []
    marked = [shown(finding) for finding in _once(findings)]
    return Checked(
        findings=sorted(marked, key=lambda one: (one.file != file, not one.error, one.line)),
        rules=[rule.id for rule in mine],
        tests=sum(len(rule.cases) for rule in mine),
        good=not any(finding.error for finding in marked),
        ms=(time.perf_counter() - began_s) * 1000,
    )


def diff(books: Books, file: str, text: str, instead_of: str = "") -> Diff:
    """An edited text against what is in force: its lines, and what they mean."""
    plans = books.plans()
    before = with_plain_ends(in_force(books).sources.get(file, ""))
    old = before.split("\n") if before else []
    new = text.split("\n")
    too_long = max(len(old), len(new)) > DIFF_LINES_MAX
    lines = [] if too_long else [_diff_line(line) for line in unified_diff(old, new, n=3)][2:]
    texts = edited(books, file, text, instead_of)
    bundle, _ = load(texts.sources, texts.params) if len(text) <= TEXT_MAX else (None, [])
    found = changes(plans.bundle, texts.without(bundle)) if bundle is not None else []
    return Diff(
        lines=lines, changes=[_change(one) for one in found], same=before == text,
        too_long=too_long,
    )  # fmt: skip


def shown(finding: Finding) -> FoundFault:
    """With the characters that are meant, where they are known."""
    end = finding.marks[0].end_column if finding.marks else finding.column + 1
    column = finding.marks[0].column if finding.marks else finding.column
    return FoundFault(
        file=plain(finding.file), line=finding.line, column=column,
        end_column=max(end, column + 1),
        code=finding.code, message=plain(finding.message), help=plain(finding.help),
        error=finding.is_error,
    )  # fmt: skip


def _once(findings: Sequence[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


def _diff_line(line: str) -> DiffLine:
    match line[:1]:
        case "+" | "-" as sign:
            return DiffLine(sign=sign, text=line[1:])
        case "@":
            return DiffLine(sign="@", text=line.strip())
    return DiffLine(sign=" ", text=line[1:])


def _change(change: Change) -> RuleChange:
    parts = [(part.key, part.before, part.after) for part in change.parts]
    return RuleChange(
        rule=change.rule, kind=str(change.kind), keeps_timers=change.keeps_state, parts=parts
    )
