"""When each sample was taken, by the sun and by the clocks there, on columns.

Guarantees what `rules.scene` says of the same instants. Comparisons with the elevation of the sun
are looked up in the almanac; the elevation itself is worked out sample by sample. Pure.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from rules.formulas import Step
from rules.kleene import NO, Amounts, Column, Truths
from rules.local_time import DAY_MS, EPOCH_WEEKDAY, HOUR_MS, WEEK_MS, Schedule, schedule_of
from rules.series import Block
from rules.tree import Node, Op

_MINUTE_MS = 60_000
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def against_the_sun(node: Node) -> tuple[str, float] | None:
    """`sun_elev() > 6deg`: the sign and the limit."""
    if node.op is not Op.COMPARE:
        return None
    left, right = node.args
    sign = str(node.detail)
    if left.op is Op.SUN and right.op is Op.NUMBER:
        return sign, float(right.number)
    if right.op is Op.SUN and left.op is Op.NUMBER:
        return _MIRRORED.get(sign, sign), float(left.number)
    return None


def sun_compared(sign: str, limit_deg: float) -> Step:
    def step(block: Block) -> Column:
        if block.almanac is None or not block.size:
            return Truths(NO, NO)
        return Truths(block.almanac.compared(sign, limit_deg, block.ts_ms))

    return step


def _night(node: Node) -> Step:
    assert isinstance(node.detail, Fraction)
    margin_ms = int(node.detail)

    def step(block: Block) -> Column:
        if block.almanac is None or not block.size:
            return Truths(NO, NO)
        return Truths(block.almanac.nights(margin_ms, block.ts_ms))

    return step


def _sun(_node: Node) -> Step:
    def step(block: Block) -> Column:
        if block.almanac is None:
            return Amounts(np.float64(np.nan), NO)
        return Amounts(block.almanac.elevations(block.ts_ms))

    return step


def _local(compute: Callable[[Any], Any]) -> Callable[[Node], Step]:
    """Something that the local time in ms says."""

    def make(_node: Node) -> Step:
        def step(block: Block) -> Column:
            if block.clock is None:
                return Amounts(np.float64(np.nan), NO)
            return Amounts(compute(_local_ms(block)))

        return step

    return make


def _schedule(node: Node) -> Step:
    def step(block: Block) -> Column:
        schedule = _named(node.args[0], block)
        if block.clock is None or schedule is None:
            return Truths(NO, NO)
        return Truths(_within(schedule, _week_ms(block)))

    return step


def _time_to(node: Node) -> Step:
    def step(block: Block) -> Column:
        schedule = _named(node.args[0], block)
        if block.clock is None or schedule is None:
            return Amounts(np.float64(np.nan), NO)
        week_ms = _week_ms(block)
        begins = [(start * _MINUTE_MS - week_ms) % WEEK_MS for start, _ in schedule.spans]
        next_ms = np.minimum.reduce(begins).astype(np.float64)
        return Amounts(np.where(_within(schedule, week_ms), 0.0, next_ms))

    return step


def _named(text: Node, block: Block) -> Schedule | None:
    """A schedule that the rule has, or the asset."""
    named = text.detail if text.op is Op.TEXT else block.subject.attributes.get(str(text.detail))
    return None if named is None else schedule_of(named)


def _within(schedule: Schedule, week_ms: Any) -> Any:
    minutes = week_ms // _MINUTE_MS
    return np.logical_or.reduce([(s <= minutes) & (minutes < e) for s, e in schedule.spans])


def _week_ms(block: Block) -> Any:
    """Since Monday 00:00 by the clocks there."""
    return (_local_ms(block) + EPOCH_WEEKDAY * DAY_MS) % WEEK_MS


def _local_ms(block: Block) -> Any:
    """No zone changes its clocks twice a day: where both ends of a day agree, all of it does."""
    assert block.clock is not None
    ts_ms, offset_ms = block.ts_ms, block.clock.offset_ms
    days, day_of = np.unique(ts_ms // DAY_MS, return_inverse=True)
    starts = np.array([offset_ms(day * DAY_MS) for day in days.tolist()], dtype=np.int64)
    ends = np.array([offset_ms(day * DAY_MS + DAY_MS - 1) for day in days.tolist()], dtype=np.int64)
    offsets = starts[day_of]
    for row in np.flatnonzero((starts != ends)[day_of]).tolist():
        offsets[row] = offset_ms(int(ts_ms[row]))
    return ts_ms + offsets


OCCASIONS: dict[Op, Callable[..., Step]] = {
    Op.NIGHT: _night,
    Op.SUN: _sun,
    Op.HOUR: _local(lambda local_ms: local_ms % DAY_MS / HOUR_MS),
    Op.WEEKDAY: _local(lambda local_ms: ((local_ms // DAY_MS + EPOCH_WEEKDAY) % 7).astype(float)),
    Op.SCHEDULE: _schedule,
    Op.TIME_TO: _time_to,
}
