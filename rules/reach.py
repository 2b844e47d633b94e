"""How far back in time a condition reaches: the silence it waits for, the windows it looks over.

Pure: a tree -> milliseconds. Says nothing of what is seen there.
"""

from fractions import Fraction

from rules.tree import WINDOWS, Node, Op, walk
from rules.units import MILLISECOND


def silence_ms_min_of(tree: Node) -> int:
    """The silence that `when` asks for at least, from `silent > T` beside its other terms."""
    terms = tree.args if tree.op is Op.AND else (tree,)
    found = [0]
    for term in terms:
        if term.op is not Op.COMPARE:
            continue
        left, right = term.args
        if str(term.detail) in ("<", "<="):
            left, right = right, left
        if (
            str(term.detail) in ("<", "<=", ">", ">=")
            and left.op is Op.SILENT
            and (right.op is Op.NUMBER and right.unit == MILLISECOND)
        ):
            found.append(int(right.number))
    return max(found)


def memory_ms_of(tree: Node) -> int:
    """The longest window in it; 0 where it looks at the present alone."""
    return max((_window_ms(node) for node in walk(tree) if node.op in WINDOWS), default=0)


def _window_ms(node: Node) -> int:
    length = node.detail[0] if isinstance(node.detail, tuple) else node.detail
    assert isinstance(length, Fraction)
    return int(length)
