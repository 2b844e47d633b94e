"""The nearest flip: what would have to be different for a condition to come out the other way.

Pure, over the values of one judgement. For an `and` that should be true it names every term that is
not, for an `or` the one that is nearest. A comparison that is linear in a reported value is solved
for it, within the range that the value can have; else its varying side is named as it is written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rules.fields import HEARD
from rules.interpret import Traced
from rules.tree import MEMORIES, PEERS, Op, uses
from rules.units import PERCENT
from rules.wording import amount_text, attribute_name, field_name, pair_text


class Need(NamedTuple):
    """One thing that would have to be so. `what` alone could do it, by going over its `limit`."""

    text: str
    now: str
    """As it is instead."""
    distance: float
    """How far it is, as a share of what it can be; 1 where that has no meaning."""
    what: str = ""
    sign: str = ""
    limit: float = 0.0
    limit_text: str = ""

    @property
    def stays(self) -> str:
        """The words for its not happening."""
        if not self.what:
            return ""
        if self.limit_text in _TRUTHS:
            return f"{self.what} stays {_TRUTHS[self.limit_text]}"
        return f"{self.what} stays {OPPOSITE[self.sign]} {self.limit_text}"


_FAR = 1.0
_TRUTHS: Mapping[str, str] = {"true": "false", "false": "true"}
OPPOSITE: Mapping[str, str] = {
    "<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "==",
}  # fmt: skip
_MIRRORED: Mapping[str, str] = {
    "<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!=",
}  # fmt: skip
_RANGES: Mapping[str, tuple[float, float]] = {
    key: (
        min(kind[key].low for kind in HEARD.values() if key in kind),
        max(kind[key].high for kind in HEARD.values() if key in kind),
    )
    for every in HEARD.values()
    for key in every
}
"""What a value can be in any kind of sensor: what none can report is surely out of reach."""


def needs(part: Traced, target: bool) -> Sequence[Need] | None:  # noqa: PLR0911 - one a form
    """What must change for the part to be `target`: nothing if it is; None: nothing could."""
    if part.value is target:
        return ()
    match part.node.op:
        case Op.NOT:
            return needs(part.parts[0], not target)
        case Op.AND:
            return _all(part.parts, target) if target else _any(part.parts, target)
        case Op.OR:
            return _any(part.parts, target) if target else _all(part.parts, target)
        case Op.TRUTH:
            return None
        case Op.COMPARE if part.node.args[0].unit is not None:
            return _comparison(part, target)
        case _:
            return _other(part, target)


def ways(part: Traced, target: bool) -> Sequence[Sequence[Need] | None]:
    """All the ways there are, where one term would do."""
    one_will_do = part.node.op is (Op.OR if target else Op.AND)
    if part.value is target or not one_will_do:
        return (needs(part, target),)
    return [needs(inner, target) for inner in part.parts]


def together(*found: Sequence[Need] | None) -> Sequence[Need] | None:
    """All of them; of two limits on one value the one that reaches further."""
    merged: list[Need] = []
    for needs_ in found:
        if needs_ is None:
            return None
        for need in needs_:
            _add(merged, need)
    return merged


def _add(merged: list[Need], need: Need) -> None:
    for i, other in enumerate(merged):
        same = need.what and need.what == other.what and need.sign[0] == other.sign[0]
        if need == other:
            return
        if same and need.sign[0] in "<>":
            further = need.limit > other.limit if need.sign[0] == ">" else need.limit < other.limit
            if further:
                merged[i] = need
            return
    merged.append(need)


def missing(part: Traced) -> list[str]:
    """Why a part is unknown, in words; nothing where it is known."""
    if part.value is not None:
        return []
    # A term that decides nothing still leaves the whole unknown only through those without value.
    below = [reason for inner in part.parts for reason in missing(inner)]
    own = "" if below and part.node.op not in MEMORIES else _absence(part)
    return list(dict.fromkeys([*below, own] if own else below))


def _all(parts: Sequence[Traced], target: bool) -> Sequence[Need] | None:
    return together(*(needs(part, target) for part in parts))


def nearest(ways: Iterable[Sequence[Need] | None]) -> Sequence[Need] | None:
    """The way with the fewest changes, of these the shortest; None if there is none."""
    open_ = [way for way in ways if way is not None]
    return min(open_, key=lambda way: (len(way), sum(need.distance for need in way)), default=None)


def _any(parts: Sequence[Traced], target: bool) -> Sequence[Need] | None:
    return nearest(needs(part, target) for part in parts)


def _absence(part: Traced) -> str:  # noqa: PLR0911 - one a form
    node = part.node
    match node.op:
        case Op.FIELD:
            return f"{field_name(str(node.detail))} was not in the sample"
        case Op.ATTRIBUTE:
            return f"the asset has no {attribute_name(str(node.detail)).removeprefix('asset.')}"
        case Op.EXPECTED:
            return "the asset has no nominal_power and no dim_curve for this level"
        case Op.SUN | Op.NIGHT:
            return "it has no position, so no sun"
        case Op.SILENT:
            return "it has never reported"
        case Op.DIVIDE:
            return f"`{part.text}` divides by zero"
        case _ if node.op in MEMORIES:
            return f"`{part.text}` has no samples to go by yet"
        case _ if node.op in PEERS:
            return "there are no members to ask"
        case _:
            return f"`{part.text}` has no value"


def _other(part: Traced, target: bool) -> Sequence[Need]:
    node = part.node
    now = amount_text(part.value, node.unit)
    match node.op:
        case Op.NIGHT:
            elevation = amount_text(part.fact, None)
            said = f"the sun is at {elevation} deg" if part.fact is not None else now
            return (Need(part.text if target else f"not {part.text}", said, _FAR),)
        case Op.PHASE if isinstance(node.detail, tuple):
            rule, phase = map(str, node.detail)
            text = f"{rule} {phase}" if target else f"{rule} not {phase}"
            return (Need(text, f"{part.fact}", _FAR),)
        case Op.FIELD:
            name = field_name(str(node.detail))
            reported = now if part.value is not None else "not reported"
            text = f"{name} {'true' if target else 'false'}"
            return (Need(text, reported, _FAR, name, "==", float(target), str(target).lower()),)
        case _:
            return (Need(part.text if target else f"not {part.text}", now, _FAR),)


# -- comparisons ------------------------------------------------------------------------------


def _comparison(part: Traced, target: bool) -> Sequence[Need] | None:
    sign = str(part.node.detail)
    wanted = sign if target else OPPOSITE[sign]
    left, right = part.parts
    keys = dict.fromkeys(
        str(inner.node.detail) for inner in part.all() if inner.node.op is Op.FIELD
    )
    out_of_reach = False
    for key in keys:
        one, other = _line(left, key), _line(right, key)
        if one is None or other is None or one[0] == other[0]:
            continue
        solved = _solved(part, key, wanted, (one[0] - other[0], one[1] - other[1]))
        if solved is not None:
            return (solved,)
        out_of_reach = True
    if not out_of_reach:
        return (_as_written(part, wanted),)
    if len(keys) == 1 and not _has_other_movers(part):
        return None
    return (
        Need(part.text if target else f"not {part.text}", " against ".join(sides_text(part)), _FAR),
    )


def _solved(part: Traced, key: str, wanted: str, line: tuple[float, float]) -> Need | None:
    """`slope * x + offset <wanted> 0` for x, if any x that can be reported does it."""
    slope, offset = line
    limit = -offset / slope
    sign = wanted if slope > 0 else _MIRRORED[wanted]
    low, high = _RANGES[key]
    feasible = {
        "<": limit > low, "<=": limit >= low, ">": limit < high,
        ">=": limit <= high, "==": low <= limit <= high, "!=": True,
    }[sign]  # fmt: skip
    if not feasible:
        return None
    found = next(inner for inner in part.all() if inner.node.op is Op.FIELD
                 and inner.node.detail == key)  # fmt: skip
    unit, value = found.node.unit, found.value
    limit_text, value_text = pair_text(limit, value, unit)
    name = field_name(key)
    now = value_text if value is not None else "not reported"
    reach = high - low
    distance = _FAR if value is None else min(_FAR, abs(value - limit) / reach)
    text = f"{name} {sign} {limit_text}"
    return Need(text, now, distance, name, sign, limit, limit_text)


def _as_written(part: Traced, wanted: str) -> Need:
    left, right = part.parts
    left_text, right_text = sides_text(part)
    if left.node.is_constant or (_is_fixed(left) and not _is_fixed(right)):
        left, right, wanted = right, left, _MIRRORED[wanted]
        left_text, right_text = right_text, left_text
    if right.value is None or isinstance(right.value, str):
        return Need(f"{left.text} {wanted} {right.text}", left_text, _FAR)
    text, limit = f"{left.text} {wanted} {right_text}", float(right.value)
    return Need(text, left_text, _FAR, left.text, wanted, limit, right_text)


def sides_text(part: Traced) -> tuple[str, str]:
    """The two sides of a comparison in values."""
    left, right = part.parts
    if is_share(part) and left.value is not None and right.value is not None:
        return share_text(left.value), share_text(right.value)
    return pair_text(left.value, right.value, left.node.unit)


def is_share(part: Traced) -> bool:
    """A comparison of a share of the members: people say it in %."""
    return any(side.node.op is Op.PEERS_FRACTION for side in part.parts)


def share_text(value: float) -> str:
    return amount_text(100 * value, PERCENT)


_MOVERS = frozenset({Op.FIELD, Op.SUN, Op.SILENT, *MEMORIES, *PEERS})


def _is_fixed(part: Traced) -> bool:
    return not uses(part.node, *_MOVERS)


def _has_other_movers(part: Traced) -> bool:
    return uses(part.node, *(_MOVERS - {Op.FIELD}))


_Line = tuple[float, float]


def _line(part: Traced, key: str) -> _Line | None:
    """(slope, offset) of a part as a function of one reported value, all else as it was; None
    where it is not linear, or where something else in it is unknown.
    """
    node = part.node
    if node.op is Op.FIELD and node.detail == key:
        return 1.0, 0.0
    if not _depends(part, key):
        return None if part.value is None else (0.0, float(part.value))
    lines = [_line(inner, key) for inner in part.parts]
    if node.op is Op.COALESCE:
        return lines[0]
    known = [line for line in lines if line is not None]
    return _combined(node.op, node.detail, known) if len(known) == len(lines) else None


def _combined(  # noqa: PLR0911 - one a form
    op: Op, detail: Any, lines: Sequence[tuple[float, float]]
) -> _Line | None:
    (a, b), (c, d) = lines[0], lines[-1]
    match op:
        case Op.ADD:
            return a + c, b + d
        case Op.SUBTRACT:
            return a - c, b - d
        case Op.MULTIPLY if a == 0 or c == 0:
            return a * d + c * b, b * d
        case Op.DIVIDE if c == 0 and d != 0:
            return a / d, b / d
        case Op.NEGATE:
            return -a, -b
        case Op.CONVERT:
            factor, shift = map(float, detail)
            return a * factor, b * factor + shift
        case _:
            return None


def _depends(part: Traced, key: str) -> bool:
    """Whether the value now would change with the reported one. What `prev` gives does not."""
    if part.node.op is Op.PREV:
        return False
    if part.node.op is Op.FIELD:
        return part.node.detail == key
    return any(_depends(inner, key) for inner in part.parts)
