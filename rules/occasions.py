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
from rules.local_time import DAY_MINUTES, DAY_MS, EPOCH_WEEKDAY, HOUR_MS, WEEK_MINUTES, schedule_of
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
    text = node.args[0]

    def step(block: Block) -> Column:
        named = (
            text.detail if text.op is Op.TEXT else block.subject.attributes.get(str(text.detail))
        )
        schedule = None if named is None else schedule_of(named)
        if block.clock is None or schedule is None:
            return Truths(NO, NO)
        minutes = _local_ms(block) // _MINUTE_MS + EPOCH_WEEKDAY * DAY_MINUTES
        minutes %= WEEK_MINUTES
        within = [(start <= minutes) & (minutes < end) for start, end in schedule.spans]
        return Truths(np.logical_or.reduce(within))

    return step


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
}
