"""Tuning: the values that a parameter may take, and what one rule files with each of them.

Pure. `Range` turns `5%..50%` into literals. `Columns` holds the readings of a backtest as columns,
once, and works out what a rule files over them: transitions by `rules.sweep`, requests by the very
book of the gateway. It takes every reading to have come on time, and rules that stand alone; where
either does not hold, the caller runs the whole core for each value instead.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from gateway.cases.incident import Incident, State, Step, wait_ms
from gateway.cases.incidents import Book
from gateway.cases.neighbourhood import Neighbourhood
from gateway.clock import TICK_MS
from gateway.effects import StoredReading
from gateway.field.devices import Verdict
from gateway.inventory.assets import City
from gateway.telemetry import Decoder
from gateway.values import heard
from gateway.workbench.backtest import Filing
from rules.columns import Unfit
from rules.engine import Transition
from rules.instance import Change, Phase
from rules.rule import Bundle, Rule
from rules.series import Series, series_of
from rules.sweep import Sweep
from rules.track import Subject
from rules.tree import Op, walk

STEPS_MAX = 200
_AMOUNT = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\s*(\S.*)?")
_DIGITS = 4
_LIGHTING = frozenset({"streetlight", "cabinet"})


class Value(NamedTuple):
    """One value of a parameter: the number, and as it is written in a rule file."""

    number: float
    literal: str


class Range(NamedTuple):
    """The values to be tried, ascending."""

    name: str
    unit: str
    values: tuple[Value, ...]


def read_range(text: str, steps: int) -> Range:
    """`out_frac=5%..50%` -> its values, `steps` of them. ValueError: it is no such range. Whole
    numbers without a unit stay whole.
    """
    name, _, ends = text.partition("=")
    low, high = (_AMOUNT.fullmatch(end.strip()) for end in (*ends.split("..", 1), "")[:2])
    if not name.strip() or low is None or high is None:
        raise ValueError(f"--param {text}: write NAME=LOW..HIGH, as out_frac=5%..50%")
    unit = (high[2] or low[2] or "").strip()
    if (low[2] or unit).strip() != unit:
        raise ValueError(f"--param {text}: both ends in one unit")
    first, last = float(low[1]), float(high[1])
    if first >= last or not 2 <= steps <= STEPS_MAX:
        raise ValueError(f"--param {text}: from low to high, in 2 to {STEPS_MAX} steps")
    whole = not unit and first.is_integer() and last.is_integer()
    numbers = [first + (last - first) * i / (steps - 1) for i in range(steps)]
    rounded = dict.fromkeys(float(round(n) if whole else f"{n:.{_DIGITS}g}") for n in numbers)
    return Range(name.strip(), unit, tuple(_value(number, unit) for number in rounded))


def present_value(rule: Rule, tried: Range) -> Value | None:
    """What the parameter is now, if that can be put on the scale of the range."""
    found = _AMOUNT.fullmatch(str(rule.params.get(tried.name, "")))
    if found is None or (found[2] or "").strip() != tried.unit:
        return None
    return _value(float(found[1]), tried.unit)


def _value(number: float, unit: str) -> Value:
    text = f"{number:.12g}"
    return Value(number, text + (unit if unit == "%" else f" {unit}" if unit else ""))


def related(bundle: Bundle, rule_id: str) -> Bundle:
    """The rules that can have a say in what a rule files, down to how long its samples are waited
    for: those about the same kind of things. Circuits are lamps and their cabinet.
    """
    sensor = bundle.rules[rule_id].sensor
    kinds = _LIGHTING if sensor in _LIGHTING else frozenset({sensor})
    kept = {name: rule for name, rule in bundle.rules.items() if rule.sensor in kinds}
    return replace(bundle, rules=kept)


def stands_alone(rule: Rule, bundle: Bundle) -> bool:
    """Whether no other rule has a say in what this one files, nor it in what others do."""
    if rule.scope != "asset" or rule.on_tick or rule.absorbed_by or rule.absorbs:
        return False
    try:
        Sweep(rule)
    except Unfit:
        return False
    return not any(_asks_for(rule.id, other) for other in bundle.rules.values())


def _asks_for(rule_id: str, other: Rule) -> bool:
    conditions = [one for one in (other.when, other.unless, other.clear) if one]
    return any(
        part.op is Op.PHASE and isinstance(part.detail, tuple) and part.detail[0] == rule_id
        for condition in conditions
        if condition.tree
        for part in walk(condition.tree)
    )


class Columns:
    """The readings of one kind of asset, as they were admitted, by asset."""

    def __init__(self, city: City, rule: Rule) -> None:
        self._city = city
        self._kind = rule.sensor
        self._decoder = Decoder()
        self._samples: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        self._series: dict[str, Series] = {}

    def note(self, readings: Iterable[StoredReading]) -> None:
        """Readings of a backtest, in any order."""
        for reading in readings:
            judged = reading.kind == self._kind and reading.verdict == Verdict.FRESH
            if judged and reading.asset_id is not None:
                self._samples[reading.asset_id].append(self._sample(reading))

    def filings(self, rule: Rule, end_ms: int) -> list[Filing]:
        """What the rule would have filed up to the end of the data."""
        if self._samples:
            self._series |= {name: series_of(some) for name, some in self._samples.items()}
            self._samples.clear()
        sweep = Sweep(rule)
        found: list[Filing] = []
        for subject in self._city.subjects():
            series = self._series.get(subject.id)
            if series is not None and subject.kind == rule.sensor:
                changes = sweep.story(subject, series, end_ms)
                if any(change.after is Phase.FIRING for change in changes):
                    found.extend(_filed(rule, subject, changes, end_ms))
        found.sort(key=lambda filing: (filing.filed_ms, filing.subject))
        return [_numbered(filing, number) for number, filing in enumerate(found, start=1)]

    def _sample(self, reading: StoredReading) -> tuple[int, dict[str, Any]]:
        topic = f"city/v1/{reading.zone}/{reading.kind}/{reading.device}/telemetry"
        (decoded,) = self._decoder.decode(topic, reading.body).readings
        asset = self._city.assets[reading.asset_id] if reading.asset_id else None
        return reading.ts_ms, heard(decoded, asset, reading.ts_ms)


def _filed(
    rule: Rule, subject: Subject, changes: Iterable[Change], end_ms: int
) -> Iterator[Filing]:
    """Transitions of one subject through the book, minute by minute where that matters."""
    phase = Phase.OK
    book = Book(Neighbourhood(lambda _: rule, lambda *_: phase, lambda _: None, lambda _: end_ms))
    filed: dict[int, tuple[Incident, int]] = {}
    last_ms = 0
    for change in changes:
        _note(filed, _due(book, last_ms, change.at_ms))
        last_ms = change.at_ms
        if change.after is not Phase.BLIND and change.before is not Phase.BLIND:
            phase = change.after
        _note(filed, book.apply(_transition(rule, subject, change), change.at_ms))
    _note(filed, _due(book, last_ms, end_ms + wait_ms(rule) + TICK_MS))
    for incident, filed_ms in filed.values():
        yield _filing(rule, subject, incident, filed_ms)


def _due(book: Book, since_ms: int, until_ms: int) -> list[Step]:
    """The held incidents decided at the first minute after the last change that finds their wait
    over: a minute is told after the samples that come with it.
    """
    held = [one.due_ms for one in book.open_incidents() if one.state is State.HELD]
    minutes = [ms + -ms % TICK_MS for ms in (max(due_ms, since_ms) for due_ms in held)]
    return [step for ms in sorted(minutes) if ms < until_ms for step in book.due(ms)]


def _note(filed: dict[int, tuple[Incident, int]], steps: Iterable[Step]) -> None:
    for step in steps:
        if step.queue:
            filed[step.incident.id] = (step.incident, step.at_ms)


def _transition(rule: Rule, subject: Subject, change: Change) -> Transition:
    return Transition(
        subject.id, rule.id, change.before, change.after, change.at_ms, change.started_ms,
        change.cause, {},
    )  # fmt: skip


def _filing(rule: Rule, subject: Subject, incident: Incident, filed_ms: int) -> Filing:
    assert rule.file is not None
    return Filing(
        number=0,
        rule=rule.id,
        service=rule.file.service,
        subject=subject.id,
        asset_id=subject.id,
        lat=subject.lat or 0.0,
        long=subject.lon or 0.0,
        started_ms=incident.started_ms,
        fired_ms=incident.fired_ms,
        filed_ms=filed_ms,
        cleared_ms=incident.cleared_ms,
        description="",
        values={},
        shadow=rule.in_shadow,
    )


def _numbered(filing: Filing, number: int) -> Filing:
    return replace(filing, number=number)


def agree(one: Iterable[Filing], other: Iterable[Filing], rule: str) -> bool:
    """Whether two backtests file the same episodes of a rule, to the minute."""
    return _episodes(one, rule) == _episodes(other, rule)


def _episodes(filings: Iterable[Filing], rule: str) -> Mapping[tuple[str, int], int | None]:
    return {(x.subject, x.started_ms): x.cleared_ms for x in filings if x.rule == rule}
