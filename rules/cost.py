"""What a condition costs to judge, at most: known when it is loaded, from its tree alone.

Owns the price of each operation and the limit. Prices are for the largest window that a memory can
hold and for a usual circuit, on one core of a small server; they are there to refuse what would
hold up a city, and to compare rules, not to foretell a measurement.
"""

from rules.runtime import WINDOW_SAMPLES_MAX
from rules.tree import PEERS, WINDOWS, Node, Op

COST_US_MAX = 1_000.0
"""For one condition on one sample."""

MEMBERS = 100
"""Of a circuit, as a rule."""

_PLAIN_US = 0.05
_SCENE_US = 0.3
_SAMPLE_US = 0.03  # of a window: kept, copied, added up
_DEAR_SAMPLE_US = 0.25
_SCENE = frozenset(
    {Op.SUN, Op.NIGHT, Op.SILENT, Op.PHASE, Op.HOUR, Op.WEEKDAY, Op.SCHEDULE, Op.TIME_TO}
)
_DEAR = frozenset({Op.PERCENTILE_OVER, Op.SLOPE_OVER, Op.STD_OVER, Op.TREND_OVER})


def cost_us(node: Node) -> float:
    """Microseconds, at most. A memory that is asked for twice is kept once."""
    return _cost(node, set())


def _cost(node: Node, seen: set[Node]) -> float:
    if node.op in WINDOWS:
        if node in seen:
            return _PLAIN_US
        seen.add(node)
    if node.op in PEERS:
        return MEMBERS * (_SCENE_US + sum(_cost(arg, set()) for arg in node.args))
    return _own_us(node) + sum(_cost(arg, seen) for arg in node.args)


def _own_us(node: Node) -> float:
    if node.op in _SCENE:
        return _SCENE_US
    if node.op is Op.HELD_OVER:  # keeps three numbers, whatever the window
        return _SCENE_US
    if node.op in WINDOWS:
        dear = node.op in _DEAR
        return WINDOW_SAMPLES_MAX * (_DEAR_SAMPLE_US if dear else _SAMPLE_US)
    return _PLAIN_US
