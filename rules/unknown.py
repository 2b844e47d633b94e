"""Which values of a typed tree may be unknown.

Owns the list of operations that are never unknown and of those that may be though all that they
are made of is known. Errs on the side of unknown. Pure.
"""

from rules.tree import PEERS, WINDOWS, Node, Op

_NEVER_UNKNOWN = frozenset(
    {
        Op.NUMBER, Op.TRUTH, Op.KNOWN, Op.PHASE, Op.SINCE, Op.PEERS_ALL, Op.PEERS_COUNT,
        Op.COUNT_OVER, Op.CHANGES_OVER, Op.TEXT, Op.CLAIMS,
    }
)  # fmt: skip
_UNKNOWN_BY_THEMSELVES = frozenset(
    {
        Op.FIELD, Op.ATTRIBUTE, Op.SUN, Op.NIGHT, Op.SILENT, Op.EXPECTED, Op.DIVIDE,
        Op.PREV, Op.CHANGED, Op.RATE, Op.AGE, Op.HOUR, Op.WEEKDAY, Op.SCHEDULE,
        Op.TIME_TO,
        *WINDOWS - _NEVER_UNKNOWN, *PEERS - _NEVER_UNKNOWN,
    }
)  # fmt: skip


def may_be_unknown(node: Node) -> bool:
    """Whether there is a sample for which this has no value."""
    if node.op in _NEVER_UNKNOWN:
        return False
    if node.op in _UNKNOWN_BY_THEMSELVES:
        return True
    if node.op is Op.COALESCE:
        return all(may_be_unknown(arg) for arg in node.args)
    return any(may_be_unknown(arg) for arg in node.args)
