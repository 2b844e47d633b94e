"""What samples that come late can do to a condition: which way they can move it.

A late sample enters the history before the newest. What is said of the newest sample alone stays as
it is; a count over a window can only grow, the largest value only rise; an average can go either
way. A rule whose condition late samples cannot undo files at once, every other one waits for them.
It may only overestimate: what is called steady is. (A window that is full forgets its oldest sample
for a new one: a flood is not what this is about.)
"""

from collections.abc import Mapping
from types import MappingProxyType

from rules.tree import MEMORIES, PEERS, Node, Op

Moves = frozenset[int]
"""+1: up, or from false to true; -1: down, or from true to false."""

STEADY: Moves = frozenset()
UP: Moves = frozenset({1})
DOWN: Moves = frozenset({-1})
ANY: Moves = UP | DOWN

MEMORY_MOVES: Mapping[Op, Moves] = MappingProxyType(
    dict.fromkeys(MEMORIES, ANY) | {Op.COUNT_OVER: UP, Op.MAX_OVER: UP, Op.MIN_OVER: DOWN}
)
"""Of memories of what is steady itself."""

_KEEP = (Op.AND, Op.OR, Op.ADD, Op.MIN, Op.MAX)
_TURN = (Op.NOT, Op.NEGATE)
_BY_TIME_OR_OTHERS = (Op.SILENT, Op.PHASE, *PEERS)


def moves(node: Node) -> Moves:
    """Which ways late samples can move the value of a tree."""
    if node.op in _BY_TIME_OR_OTHERS:
        return ANY
    inner = [moves(arg) for arg in node.args]
    if node.op in MEMORY_MOVES:
        return ANY if any(inner) else MEMORY_MOVES[node.op]
    if not any(inner):
        return STEADY
    return _combined(node, inner)


def _combined(node: Node, inner: list[Moves]) -> Moves:
    if node.op in _KEEP:
        return STEADY.union(*inner)
    if node.op in _TURN:
        return _turned(inner[0])
    if node.op is Op.CONVERT:  # factors of units are positive
        return inner[0]
    if node.op is Op.SUBTRACT or (node.op is Op.COMPARE and node.detail in (">", ">=")):
        return inner[0] | _turned(inner[1])
    if node.op is Op.COMPARE and node.detail in ("<", "<="):
        return _turned(inner[0]) | inner[1]
    return ANY


def _turned(found: Moves) -> Moves:
    return frozenset(-way for way in found)
