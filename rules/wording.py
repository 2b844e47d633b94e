"""How conditions and amounts are put into words for people.

Owns the text of a tree where the author's own is not at hand (inside a `let`), and how an amount in
a unit reads: durations as `2h 5min`, shares in %, enough digits to tell two amounts apart. Texts
only: nothing here is read back.
"""

import re
from collections.abc import Mapping
from fractions import Fraction
from math import isfinite
from types import MappingProxyType
from typing import Any

from rules.fields import ATTRIBUTES, HEARD
from rules.names import WEEKDAYS
from rules.tree import Node, Op
from rules.units import MILLISECOND, ONE, UNITS, WEEKDAY, Unit

UNKNOWN = "unknown"
_NAMES: Mapping[str, str] = MappingProxyType(
    {key: item.name for kind in HEARD.values() for key, item in kind.items()}
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_STEPS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))
_PER_MS = "/ms"
_DIGITS, _DIGITS_MAX = 4, 12
_BINDS = MappingProxyType(
    {Op.OR: 1, Op.AND: 2, Op.NOT: 3, Op.COMPARE: 4, Op.ADD: 5, Op.SUBTRACT: 5, Op.MULTIPLY: 6,
     Op.DIVIDE: 6, Op.NEGATE: 7}
)  # fmt: skip
_ATOM = 9
_CHAINS = frozenset({Op.MIN, Op.MAX, Op.COALESCE})


def field_name(key: str) -> str:
    """The name in rules of a value on the wire."""
    return _NAMES.get(key, key)


def amount_text(value: Any, unit: Unit | None, digits: int = _DIGITS) -> str:
    """A value as people read it: 57.9 W, 20%, 2h 5min, true."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, int | float | Fraction):
        return str(value)
    if unit == WEEKDAY:
        return WEEKDAYS[int(value)]
    if unit is not None and unit.dimension == MILLISECOND.dimension:
        return duration_text(float(value) * float(unit.scale / MILLISECOND.scale))
    return _measured(float(value), unit or ONE, digits)


def _measured(value: float, unit: Unit, digits: int) -> str:
    if unit.symbol.endswith(_PER_MS):  # as it is counted; people say minutes
        return f"{_number(value * 60_000, digits)} {unit.symbol.removesuffix(_PER_MS)}/min"
    known = unit if unit.symbol in UNITS else _in_table(unit)
    symbol = "" if known == ONE else known.symbol
    number = _number(value * float(unit.scale / known.scale), digits)
    return number + ("" if symbol in ("", "%") else " ") + symbol


def _in_table(unit: Unit) -> Unit:
    """What came of a product as people say it: V*A in W; as it is where nobody does."""
    return next((known for known in UNITS.values() if known.dimension == unit.dimension), unit)


def pair_text(left: Any, right: Any, unit: Unit | None) -> tuple[str, str]:
    """Two amounts with as many digits as it takes to tell them apart."""
    for digits in range(_DIGITS, _DIGITS_MAX + 1, 4):
        texts = amount_text(left, unit, digits), amount_text(right, unit, digits)
        if left == right or texts[0] != texts[1]:
            break
    return texts


def _number(value: float, digits: int) -> str:
    """Without an exponent, as far as that can be read."""
    text = f"{value:.{digits}g}"
    if "e" not in text:
        return text
    return f"{value:.0f}" if 1 <= abs(value) < 10**_DIGITS_MAX else text


def duration_text(ms: float) -> str:
    """The two largest parts: `3d 4h`, `10min`, `1min 30s`."""
    if not isfinite(ms):
        return "never"
    if ms < 0:
        return "-" + duration_text(-ms)
    if ms < 1000:
        return f"{_number(ms, _DIGITS)} ms" if ms else "0s"
    rest = round(ms / 1000) * 1000
    parts: list[tuple[int, str]] = []
    for name, length in _STEPS:
        count, rest = divmod(rest, length)
        if count or parts:
            parts.append((count, name))
    return " ".join(f"{count}{name}" for count, name in parts[:2] if count)


def node_text(node: Node) -> str:
    """The text of a tree: what an author could have written, `let` names put in."""
    if node.op in (Op.AND, Op.OR):
        word = f" {node.op.value} "
        return word.join(_inside(arg, _BINDS[node.op]) for arg in node.args)
    if node.op is Op.NOT:
        return f"not {_inside(node.args[0], _BINDS[node.op])}"
    if node.op is Op.NEGATE:
        return f"-{_inside(node.args[0], _BINDS[node.op])}"
    if node.op in _BINDS:
        sign = str(node.detail) if node.op is Op.COMPARE else node.op.value
        left, right = node.args
        binds = _BINDS[node.op]
        return f"{_inside(left, binds)} {sign} {_inside(right, binds + 1)}"
    return _leaf(node)


def is_name(text: str) -> bool:
    """A name alone, such as that of a `let`: what it stands for is written elsewhere."""
    return _NAME.fullmatch(text) is not None


def _inside(node: Node, binds: int) -> str:
    while node.op is Op.CONVERT:
        node = node.args[0]
    text = node_text(node)
    return f"({text})" if _BINDS.get(node.op, _ATOM) < binds else text


def _leaf(node: Node) -> str:  # noqa: PLR0911 - one a form
    match node.op:
        case Op.NUMBER:
            return amount_text(node.number, node.unit)
        case Op.TRUTH:
            return "true" if node.detail is True else "false"
        case Op.FIELD:
            return field_name(str(node.detail))
        case Op.ATTRIBUTE:
            return attribute_name(str(node.detail))
        case Op.CONVERT:
            return node_text(node.args[0])
        case Op.SILENT:
            return "silent"
        case Op.PHASE if isinstance(node.detail, tuple):
            return ".".join(map(str, node.detail))
        case Op.NIGHT if isinstance(node.detail, Fraction):
            margin = f"margin={duration_text(float(node.detail))}" if node.detail else ""
            return f"is_night({margin})"
        case Op.EXPECTED if node.detail is None:
            return "expected_power"
        case _:
            return _call(node)


def attribute_name(key: str) -> str:
    if key == "nominal_power_w":
        return "nominal_power"
    known = ATTRIBUTES.get(key)
    return f"asset.{known.name if known else key}"


def _call(node: Node) -> str:
    """A function; what is over a window says so in its name."""
    if node.op in (Op.TEXT, Op.MATCHES, Op.CLAIMS):
        return _worded(node)
    name, over, _ = node.op.value.partition(" over")
    arguments = [node_text(arg) for arg in _arguments(node)]
    window = node.detail
    if node.op is Op.PERCENTILE_OVER and isinstance(window, tuple):
        window, share = window
        arguments = [f"{_number(float(100 * Fraction(str(share))), _DIGITS)}%", *arguments]
    if node.op is Op.COUNT_OVER and node.args[0].op is Op.TRUTH:
        arguments = []
    text = f"{name.removesuffix('()')}({', '.join(arguments)})"
    if over and isinstance(window, Fraction):
        text += f" over {duration_text(float(window))}"
    return text


def _worded(node: Node) -> str:
    """What is about words."""
    if node.op is Op.CLAIMS:
        return f"claims({node.detail})"
    literal = _quoted(str(node.detail))
    return literal if node.op is Op.TEXT else f"{node_text(node.args[0])} matches {literal}"


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'


def _arguments(node: Node) -> tuple[Node, ...]:
    """`max(a, b, c)` is a chain of two."""
    if node.op in _CHAINS and node.args and node.args[0].op is node.op:
        return (*_arguments(node.args[0]), *node.args[1:])
    return node.args
