"""What a backtest found, as the console is told it: bounded, judged, with figures over time.

By labels where there are any, else by the city's word on what the gateway filed; about the rules
that were asked for, though all of them ran.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from gateway.cli.workbench.judgement import Judgement
from gateway.plans import Plans
from gateway.views.rule_results import (
    BacktestResult,
    Difference,
    FilingRow,
    MissedRow,
    MovedRow,
    NearRow,
    OneSidedRow,
    ScoreRow,
    SeriesRow,
    SignalChart,
    SignalLine,
    Span,
)
from gateway.workbench.backtest import Filing, Result
from gateway.workbench.charts import thinned
from gateway.workbench.difference import Change, OneSided, difference
from gateway.workbench.inquiry import Received
from gateway.workbench.outcomes import Answered, Judged, Verdict
from gateway.workbench.outcomes import judge as judge_by_city
from gateway.workbench.signals import Signals, View
from rules.rule import Bundle

FILINGS_MAX, MISSED_MAX, NEAR_MAX, DIFFERENT_MAX, CHARTS_MAX = 500, 100, 30, 100, 6
HOUR_MS = 3_600_000
BY_HOUR_MS_MAX = 3 * 24 * HOUR_MS
"""A shorter period is counted by hours, a longer one by days."""
PAD_MS_MIN, PAD_MS_MAX = 3 * HOUR_MS, 24 * HOUR_MS
_BAD = ("false", "unfounded", "twice")


@dataclass(frozen=True, slots=True)
class Told:
    """All that is known when a backtest has ended. `sides`: the new rules, then those in force."""

    plans: Plans
    sides: Sequence[tuple[Bundle, Result]]
    focus: Sequence[str]
    cut_ms: int | None
    seconds: float
    messages: Callable[[int, int], Iterator[Received]]
    """Of a period, once more."""
    answered: Sequence[Answered]
    judged: Judgement | None
    """By labels, where there are any."""

    @property
    def bundle(self) -> Bundle:
        return self.sides[0][0]

    @property
    def result(self) -> Result:
        return self.sides[0][1]


def answer_of(told: Told) -> BacktestResult:
    result = told.result
    filings = [one for one in result.filings if one.rule in told.focus]
    city = None if told.judged else _by_city(told)
    verdicts = _verdicts(told.judged, city)
    missed = list(_missed(told, city))
    by_hour = result.last_ms - result.first_ms <= BY_HOUR_MS_MAX
    judged_by = "labels" if told.judged else "city" if city else ""
    return BacktestResult(
        messages=result.messages, readings=result.readings, late=result.late,
        refusals=dict(result.refusals), first_ms=result.first_ms, last_ms=result.last_ms,
        cut_ms=told.cut_ms, seconds=round(told.seconds, 2),
        filings=[row_of(one, verdicts) for one in filings[:FILINGS_MAX]],
        filings_total=len(filings), undecided=result.undecided, judged_by=judged_by,
        scores=list(_scores(told, city)), missed=missed[:MISSED_MAX], missed_total=len(missed),
        labels_ignored=told.judged.ignored if told.judged else 0,
        near=list(_near(told)), series=_series(filings, told, by_hour=by_hour), by_hour=by_hour,
        charts=_charts(told, filings, verdicts),
        difference=_difference(told) if len(told.sides) > 1 else None,
    )  # fmt: skip


# -- judged ---------------------------------------------------------------------------------------


def _by_city(told: Told) -> Judged | None:
    """None: the city has said nothing yet of what these rules file in that time."""
    rules = told.bundle.rules.values()
    services = {r.id: r.file.service for r in rules if r.file is not None and r.id in told.focus}
    answered = [one for one in told.answered if one.service in services.values()]
    if all(one.verdict is Verdict.UNKNOWN for one in answered):
        return None
    filings = [one for one in told.result.filings if one.rule in told.focus]
    return judge_by_city(filings, answered, services)


def _verdicts(labels: Judgement | None, city: Judged | None) -> Mapping[int, str]:
    if labels is not None:
        return {number: str(verdict) for number, verdict in labels.verdicts.items()}
    return {number: str(verdict) for number, verdict in city.verdicts.items()} if city else {}


def _scores(told: Told, city: Judged | None) -> Iterator[ScoreRow]:
    if told.judged is not None:
        for rule, one in told.judged.scores.items():
            if rule in told.focus:
                yield ScoreRow(
                    rule=rule, right=one.tp, false=one.fp, twice=one.duplicates, unknown=0,
                    missed=one.fn, precision=one.precision, recall=one.recall,
                )  # fmt: skip
    for rule, score in city.scores.items() if city else ():
        yield ScoreRow(
            rule=rule, right=score.confirmed, false=score.unfounded, twice=0,
            unknown=score.unknown, missed=score.missed, precision=score.precision,
            recall=score.recall,
        )  # fmt: skip


def _missed(told: Told, city: Judged | None) -> Iterator[MissedRow]:
    for one in told.judged.missed if told.judged else ():
        label = one.label
        if label.rule in told.focus:
            where = label.asset_id or _place(label.lat or 0.0, label.lon or 0.0)
            yield MissedRow(rule=label.rule, where=where, started_ms=label.start_ms, why=one.why)
    for rule, asked in city.missed if city else ():
        keys = [(rule, asked.subject)]
        why = told.result.nearest(keys, asked.started_ms, asked.cleared_ms)
        where = asked.asset_id or _place(asked.lat, asked.long)
        yield MissedRow(rule=rule, where=where, started_ms=asked.started_ms, why=why)


def _near(told: Told) -> Iterator[NearRow]:
    near = (one for one in told.result.near if one.rule in told.focus)
    for one, _ in zip(near, range(NEAR_MAX), strict=False):
        yield NearRow(
            rule=one.rule, where=one.subject, started_ms=one.start_ms,
            lasted_ms=one.end_ms - one.start_ms, share=one.share, cause=one.cause,
        )  # fmt: skip


def row_of(filing: Filing, verdicts: Mapping[int, str]) -> FilingRow:
    return FilingRow(
        number=filing.number, rule=filing.rule, service=filing.service, where=_where(filing),
        started_ms=filing.started_ms, fired_ms=filing.fired_ms, filed_ms=filing.filed_ms,
        cleared_ms=filing.cleared_ms, description=filing.description, shadow=filing.shadow,
        verdict=verdicts.get(filing.number, ""),
    )  # fmt: skip


def _where(filing: Filing) -> str:
    return filing.asset_id or _place(filing.lat, filing.long)


def _place(lat: float, long: float) -> str:
    return f"{lat:.5f}, {long:.5f}"


# -- over time ------------------------------------------------------------------------------------


def _series(filings: Sequence[Filing], told: Told, *, by_hour: bool) -> list[SeriesRow]:
    """On the city's clocks; hours and days without a filing are there, too."""
    zone = ZoneInfo(told.plans.city.time_zone or "UTC")
    steps = _steps(told.result.first_ms, told.result.last_ms, zone, by_hour=by_hour)
    rows = []
    for rule in told.focus:
        counts = Counter(
            _beginning(one.filed_ms, zone, by_hour=by_hour) for one in filings if one.rule == rule
        )
        if counts:
            points = [(at_ms, counts[at_ms]) for at_ms in sorted({*steps, *counts})]
            rows.append(SeriesRow(rule=rule, points=points))
    return rows


def _steps(first_ms: int, last_ms: int, zone: ZoneInfo, *, by_hour: bool) -> list[int]:
    step_ms = HOUR_MS if by_hour else 24 * HOUR_MS
    return sorted(
        {_beginning(at_ms, zone, by_hour=by_hour) for at_ms in range(first_ms, last_ms, step_ms)}
    )


def _beginning(at_ms: int, zone: ZoneInfo, *, by_hour: bool) -> int:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    begun = at.replace(minute=0, second=0, microsecond=0)
    return int((begun if by_hour else begun.replace(hour=0)).timestamp() * 1000)


# -- signals --------------------------------------------------------------------------------------


def _charts(
    told: Told, filings: Sequence[Filing], verdicts: Mapping[int, str]
) -> list[SignalChart]:
    """Of those that failed first, then of each rule in turn."""
    order = sorted(filings, key=lambda one: verdicts.get(one.number) not in _BAD)
    chosen = _spread(order)
    views = {one.number: _view(told, one) for one in chosen}
    if not views:
        return []
    signals = Signals(told.plans.city, views.values())
    since_ms = min(view.since_ms for view in views.values())
    until_ms = max(view.until_ms for view in views.values())
    for received in told.messages(since_ms, until_ms):
        signals.feed(received)
    return [_chart(told, one, views[one.number], signals, verdicts) for one in chosen]


def _spread(filings: Sequence[Filing]) -> list[Filing]:
    turns: Counter[str] = Counter()
    ranked = []
    for place, filing in enumerate(filings):
        ranked.append((turns[filing.rule], place, filing))
        turns[filing.rule] += 1
    return [filing for _, _, filing in sorted(ranked, key=lambda one: one[:2])[:CHARTS_MAX]]


def _view(told: Told, filing: Filing) -> View:
    end_ms = max(filing.filed_ms, filing.cleared_ms or filing.filed_ms)
    pad_ms = min(max((end_ms - filing.started_ms) // 2, PAD_MS_MIN), PAD_MS_MAX)
    rule, last_ms = told.bundle.rules[filing.rule], told.result.last_ms
    since_ms = max(told.result.first_ms, filing.started_ms - pad_ms)
    until_ms = max(since_ms + 1, min(last_ms, end_ms + pad_ms))
    return View(rule, filing.subject, since_ms, until_ms, filing.lat, filing.long)


def _chart(
    told: Told, filing: Filing, view: View, signals: Signals, verdicts: Mapping[int, str]
) -> SignalChart:
    lines = [
        SignalLine(name=x.key, unit=x.unit, role="", points=thinned(x.points))
        for x in signals.lines(view)
    ]
    units = {line.name: line.unit for line in lines}
    lines += [
        SignalLine(name=x.text, unit=units[x.key], role=x.role, points=thinned(x.points))
        for x in signals.limits(view)
        if x.key in units
    ]
    return SignalChart(
        rule=filing.rule, where=_where(filing), verdict=verdicts.get(filing.number, ""),
        since_ms=view.since_ms, until_ms=view.until_ms, filed_ms=filing.filed_ms, lines=lines,
        spans=list(_spans(told, filing, view)),
    )  # fmt: skip


def _spans(told: Told, filing: Filing, view: View) -> Iterator[Span]:
    last_ms = told.result.last_ms
    for one in told.result.stretches.get((filing.rule, filing.subject), ()):
        end_ms = last_ms if one.end_ms is None else one.end_ms
        if one.start_ms < view.until_ms and end_ms > view.since_ms:
            yield Span(
                phase=one.phase, start_ms=max(one.start_ms, view.since_ms),
                end_ms=min(end_ms, view.until_ms),
            )  # fmt: skip
    for label in told.judged.labels_of(filing) if told.judged else ():
        end_ms = last_ms if label.end_ms is None else label.end_ms
        if label.must_file and label.start_ms < view.until_ms and end_ms > view.since_ms:
            yield Span(
                phase="label", start_ms=max(label.start_ms, view.since_ms),
                end_ms=min(end_ms, view.until_ms),
            )  # fmt: skip


# -- against what is in force ---------------------------------------------------------------------


def _difference(told: Told) -> Difference:
    new, old = told.sides
    found = difference(old, new)
    added, removed = found.added[:DIFFERENT_MAX], found.removed[:DIFFERENT_MAX]
    moved = found.changed[:DIFFERENT_MAX]
    total = len(found.added) + len(found.removed) + len(found.changed)
    return Difference(
        added=[_one_sided(one) for one in added],
        removed=[_one_sided(one) for one in removed],
        moved=[_moved(one) for one in moved],
        same=found.same,
        left_off=total - len(added) - len(removed) - len(moved),
    )


def _one_sided(one: OneSided) -> OneSidedRow:
    return OneSidedRow(filing=row_of(one.filing, {}), instead=one.instead)


def _moved(change: Change) -> MovedRow:
    cleared_ms = change.cleared_ms
    return MovedRow(
        filing=row_of(change.new, {}), started_s=change.started_ms // 1000,
        filed_s=change.filed_ms // 1000,
        cleared_s=None if cleared_ms is None else cleared_ms // 1000,
    )  # fmt: skip
