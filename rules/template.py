"""Titles and descriptions with holes: "Drawing {active_power:.0f W} on circuit {asset.circuit}".

Guarantees that every hole was known when the rule was loaded, and that rendering cannot fail: what
is not known at the time reads "unknown". A hole is `{name}`, `{name:.1f}` or `{name:.1f unit}`;
braces are written {{ and }}. No format language of Python's is reachable from a rule's text.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import cast

from rules.codegen import compiled
from rules.document import Scalar, near
from rules.expression import read
from rules.fields import ATTRIBUTE_TEXTS
from rules.names import Context, Names
from rules.rule import Judge, Scene, Template, Values
from rules.syntax import Refused
from rules.tree import MEMORIES, PEERS, Node, Op, in_unit, uses
from rules.units import Unit, find

TEXT_MAX = 1000  # characters: leaves room for filled holes where servers cut at about 4000
HOLES_MAX = 32  # no one reads more numbers than that
UNKNOWN = "unknown"
FACTS = (
    "started_at", "firing_for", "absorbed.count", "asset.id", "circuit.id", "zone.id",
    "place.id",
)  # fmt: skip
"""Holes that the engine's caller fills, as texts."""
ASSET_TEXTS = ("id", *ATTRIBUTE_TEXTS)
"""What is told of an asset in words."""

_HOLE_FILE = "(hole)"
_HOLE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_INSIDE = re.compile(r"\s*([A-Za-z_][\w.]*)\s*(?::\s*(?:\.([0-9])f)?\s*(\S*)\s*)?")
_SHOWN = MappingProxyType({"%": "%", "deg": "°", "degC": " °C", "1": "", "m/s2": " m/s²"})
_DIGITS = 3  # significant, where the rule does not say
_AT_RUN_TIME = (
    *MEMORIES, *PEERS, Op.SUN, Op.NIGHT, Op.SILENT, Op.PHASE, Op.HOUR, Op.WEEKDAY, Op.SCHEDULE,
    Op.TIME_TO,
)  # fmt: skip

_Part = Callable[[Values, Values, Mapping[str, str]], str]


@dataclass(frozen=True, slots=True)
class _Hole:
    name: str
    decimals: int | None
    unit: str
    offset: int


def template(scalar: Scalar, context: Context, names: Names) -> Template:
    """A checked template. Raises Refused."""
    if len(scalar.text) > TEXT_MAX:
        message = f"longer than {TEXT_MAX} characters"
        raise Refused(scalar.finding(TEXT_MAX, "E005", message, "say less"))
    parts = [
        part if isinstance(part, str) else _filled(part, scalar, context, names)
        for part in _split(scalar)
    ]

    def render(values: Values, attributes: Values, facts: Mapping[str, str]) -> str:
        return "".join(
            part if isinstance(part, str) else part(values, attributes, facts) for part in parts
        )

    return Template(scalar.text, render)


def _split(scalar: Scalar) -> list[str | _Hole]:
    parts: list[str | _Hole] = []
    end = holes = 0
    for found in _HOLE.finditer(scalar.text):
        parts.append(scalar.text[end : found.start()])
        end = found.end()
        if found.group() in ("{{", "}}"):
            parts.append(found.group()[0])
        else:
            holes += 1
            if holes > HOLES_MAX:
                message = f"more than {HOLES_MAX} holes"
                raise Refused(scalar.finding(found.start(), "E005", message, "say less"))
            parts.append(_hole(found, scalar))
    return [*parts, scalar.text[end:]]


def _hole(found: re.Match[str], scalar: Scalar) -> _Hole:
    inside = _INSIDE.fullmatch(found.group(1) or "")
    if inside is None or (inside.group(3) or "")[:1].isdigit():
        message = f"`{found.group()}` is not a hole"
        hint = "write {name}, {name:.1f} or {name:.1f W}; a brace itself is {{ or }}"
        raise Refused(scalar.finding(found.start(), "E100", message, hint))
    name, decimals, unit = inside.groups()
    return _Hole(name, int(decimals) if decimals else None, unit or "", found.start() + 1)


def _filled(hole: _Hole, scalar: Scalar, context: Context, names: Names) -> _Part:
    text = hole.name.removeprefix("asset.")
    if hole.name in FACTS or (hole.name != text and text in ASSET_TEXTS):
        return _text_part(hole.name, text)
    try:
        node = read(Scalar.of(hole.name, _HOLE_FILE), context, names)
    except Refused as refused:
        found = refused.finding
        if found.file != _HOLE_FILE:  # the definition of the name is wrong, not the hole
            raise
        hint = near(hole.name, {*FACTS, *context.fields, *names.lets, *names.params})
        message = found.message if found.code != "E101" else f"unknown name `{hole.name}`"
        raise Refused(scalar.finding(hole.offset, found.code, message, hint)) from None
    return _number_part(hole, _in_wanted_unit(hole, node, scalar), scalar)


def _in_wanted_unit(hole: _Hole, node: Node, scalar: Scalar) -> Node:
    if not hole.unit:
        return node
    unit = find(hole.unit)
    if unit is None or node.unit is None or unit.dimension != node.unit.dimension:
        message = f"`{hole.name}` ({node.unit or 'true or false'}) is not in {hole.unit}"
        hint = f"write {{{hole.name}}}, or a unit of the same kind"
        raise Refused(scalar.finding(hole.offset, "E104", message, hint))
    return in_unit(node, unit)


def _text_part(name: str, attribute: str) -> _Part:
    def part(_: Values, attributes: Values, facts: Mapping[str, str]) -> str:
        value = facts.get(name)
        if value is None and name.startswith("asset."):
            value = attributes.get(attribute)
        return UNKNOWN if value is None else str(value)

    return part


def _number_part(hole: _Hole, node: Node, scalar: Scalar) -> _Part:
    if uses(node, *_AT_RUN_TIME):
        message = f"`{hole.name}` is not known any more when the text is written"
        hint = "name a field or a let of fields; {started_at} and {firing_for} tell the time"
        raise Refused(scalar.finding(hole.offset, "E103", message, hint))
    judge, unit, decimals = cache(lambda: compiled(node)[0]), node.unit, hole.decimals

    def part(values: Values, attributes: Values, _: Mapping[str, str]) -> str:
        return _shown(_judged(judge(), values, attributes), unit, decimals)

    return part


def _judged(judge: Judge, values: Values, attributes: Values) -> float | bool | str | None:
    # Names that need a scene or a memory were refused.
    value: float | bool | str | None = judge(values, attributes, cast("Scene", None), [])
    return value


def _shown(value: float | bool | str | None, unit: Unit | None, decimals: int | None) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, str):
        return value
    if unit is None:
        return "yes" if value else "no"
    number = f"{value:.{decimals}f}" if decimals is not None else _significant(value)
    return number + _SHOWN.get(unit.symbol, f" {unit}")


def _significant(value: float) -> str:
    """At least the whole number, at most three digits: 1204, 57.9, 0.031."""
    return f"{value:.0f}" if abs(value) >= 10 ** (_DIGITS - 1) else f"{value:.{_DIGITS}g}"
