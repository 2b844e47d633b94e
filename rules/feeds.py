"""The notation of samples in a test: "58W x3, 0W x8, _ x30" -> the value of each sample.

Guarantees that a series is as long as it says (`58W x3` is exactly three samples), within its
limit before it is laid out, and that every value is one that the field can have: right unit, within
range, so that what a test feeds in is what a gateway would take. Values may be computed from the
rule's params. Knows neither times nor assets.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType

from rules.case import FAULTS, Claims, Mark, Value
from rules.document import Node as YamlNode
from rules.document import Scalar, Sequence, quoted
from rules.expression import constant
from rules.fields import Field
from rules.finding import Finding
from rules.names import Names
from rules.settings import shown
from rules.syntax import Refused
from rules.tree import Node, Op, in_unit
from rules.units import ONE, UNITS

SAMPLES_MAX = 5000
"""Of one feed: a fortnight at five minutes."""


LATE = Field("late", "late", "ms", 0, 30 * 86_400_000)
OFFSET = Field("offset", "offset", "m", -1000, 1000)
CLAIMED = Field(FAULTS, FAULTS, "claims")
PSEUDO: Mapping[str, Field] = MappingProxyType({"late": LATE, "offset": OFFSET, FAULTS: CLAIMED})
"""Beside the fields: how much later a sample arrives, how far north of the place it is, and what
the device itself says is wrong.
"""
NO_CLAIM = "none"
CLAIMS_MAX = 32
"""In one message, as in the contract."""

_CLAIM = re.compile(r"[a-z0-9_]{1,64}")
_REPEAT = re.compile(r"\s+x\s*([0-9]{1,64})$")


class Part(Scalar):
    """Some characters of a scalar; findings about it stand where they are in the file."""

    def __init__(self, whole: Scalar, start: int, end: int) -> None:
        text = whole.text[start:end]
        self._whole = whole
        self._start = start + len(text) - len(text.lstrip())
        self.text = text.strip()

    @property
    def file(self) -> str:
        return self._whole.file

    def at(self, offset: int) -> tuple[int, int]:
        return self._whole.at(self._start + min(offset, len(self.text)))

    def finding(
        self, offset: int, code: str, message: str, hint: str = "", *spans: tuple[int, int, str]
    ) -> Finding:
        moved = ((start + self._start, end + self._start, note) for start, end, note in spans)
        return self._whole.finding(self._start + offset, code, message, hint, *moved)


def series(node: YamlNode, field: Field, names: Names) -> tuple[Value, ...]:
    """The value of each sample. Raises Refused."""
    scalars = node.items if isinstance(node, Sequence) else [node]
    values: list[Value] = []
    for scalar in scalars:
        if not isinstance(scalar, Scalar):
            message = f'the feed of {field.name} is a text such as "58W x3, 0W x8, _ x30"'
            raise Refused(scalar.finding("E005", message))
        for part in _parts(scalar):
            values += _run(part, field, names, SAMPLES_MAX - len(values))
    return tuple(values)


def _parts(scalar: Scalar) -> Iterator[Part]:
    """What stands between the commas that are in no brackets."""
    depth = start = 0
    for i, character in enumerate(scalar.text):
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            yield Part(scalar, start, i)
            start = i + 1
    yield Part(scalar, start, len(scalar.text))


def _run(part: Part, field: Field, names: Names, room: int) -> list[Value]:
    """One entry: a value, a mark or a ramp, as often as it says."""
    repeat = _REPEAT.search(part.text)
    count = int(repeat[1]) if repeat else 1
    value = Part(part, 0, repeat.start()) if repeat else part
    if count > room:
        raise Refused(part.finding(0, "E005", f"more than {SAMPLES_MAX} samples in one feed"))
    if not count:
        raise Refused(part.finding(0, "E005", "a sample that is repeated 0 times", "leave it out"))
    if value.text in tuple(Mark):
        return [Mark(value.text)] * count
    if field is CLAIMED:
        return [_claims(value)] * count
    low, dots, _ = value.text.partition("..")
    if not dots:
        return [_value(value, field, names)] * count
    if field.is_bool or count < 2:
        message = f"a ramp has at least two samples: {value.text} x10"
        raise Refused(value.finding(0, "E005", message))
    first = _exact(Part(value, 0, len(low)), field, names)
    last = _exact(Part(value, len(low) + 2, len(value.text)), field, names)
    return [float(first + (last - first) * i / (count - 1)) for i in range(count)]


def number_of(scalar: Scalar, field: Field, names: Names) -> float:
    """A single number, in the field's unit. Raises Refused."""
    return float(_exact(scalar, field, names))


def _value(scalar: Scalar, field: Field, names: Names) -> float | bool:
    if not field.is_bool:
        return float(_exact(scalar, field, names))
    node = _constant(scalar, field, names)
    if node.op is not Op.TRUTH:
        raise Refused(scalar.finding(0, "E104", f"{field.name} is true or false"))
    return node.detail is True


def _claims(value: Scalar) -> Claims:
    """`none`, or names of faults with a + between them."""
    if value.text == NO_CLAIM:
        return ()
    names = tuple(name.strip() for name in value.text.split("+"))
    if len(names) > CLAIMS_MAX or not all(map(_CLAIM.fullmatch, names)) or NO_CLAIM in names:
        message = f"faults are names in small letters, not {quoted(value.text)}"
        hint = 'write faults: "none x3, lamp_failure x4, lamp_failure + relay_failure x2"'
        raise Refused(value.finding(0, "E005", message, hint))
    return names


def _exact(scalar: Scalar, field: Field, names: Names) -> Fraction:
    """A number in the field's unit, and one that it can have."""
    node, unit = _constant(scalar, field, names), UNITS[field.unit]
    if node.unit is None:
        raise Refused(scalar.finding(0, "E104", f"{field.name} is a number in {unit}"))
    bare = node.unit == ONE and unit != ONE
    if bare and node.number:
        message = f"{field.name} is in {unit}: write {shown(node)} {unit}"
        raise Refused(scalar.finding(0, "E104", message))
    if not bare and node.unit.dimension != unit.dimension:
        message = f"{field.name} is in {unit}, not in {node.unit}"
        raise Refused(scalar.finding(0, "E104", message))
    number = node.number if bare else in_unit(node, unit).number
    if not field.low <= float(number) <= field.high:
        message = f"{field.name} is from {field.low:g} to {field.high:g} {unit}"
        hint = "the gateway refuses such a sample: write `reject`"
        raise Refused(scalar.finding(0, "E005", message, hint))
    return number


def _constant(scalar: Scalar, field: Field, names: Names) -> Node:
    if not scalar.text:
        hint = 'write "58W x3, 0W x8"; _ is a missing sample'
        raise Refused(scalar.finding(0, "E005", f"a value of {field.name} is missing", hint))
    return constant(scalar, names)
