"""The keys of a rule that are not conditions: durations, numbers, words, lists, parameters.

Guarantees that a setting is in its range or refused at its place in the file. Settings may name
params and compute with them, as conditions may; what comes out is always a constant.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from rules.document import Mapping as YamlMapping
from rules.document import Node as YamlNode
from rules.document import Scalar, Sequence, near
from rules.expression import constant
from rules.finding import Finding
from rules.functions import duration_ms
from rules.names import BUILT_IN, Names
from rules.syntax import Refused
from rules.tree import Fault, Node, Op, in_unit
from rules.units import ONE, Unit

WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
DAY_MS = 86_400_000
DURATION_MS_MAX = 366 * DAY_MS
TESTS_MAX = 100
_RESERVED = frozenset({*BUILT_IN, "asset", "peers"})
_PARAM_KEYS = ("default", "range", "doc")


@dataclass(frozen=True, slots=True)
class Param:
    """A value that whoever installs the rules may set within [low, high]."""

    name: str
    default: Node
    low: Node | None
    high: Node | None
    scalar: Scalar
    """Its name in the file."""
    doc: str = ""
    source: str = ""
    """Where its default comes from."""

    def folded(self, value: Node) -> Node:
        """The value in the param's own unit: 0.95 for a param in % is 95 %."""
        return value if self.default.unit is None else in_unit(value, self.default.unit)

    def refusal(self, value: Node) -> str:
        """Why it cannot have this value, or ""."""
        if (value.unit is None) != (self.default.unit is None):
            return f"{self.name} must be {'a number' if self.default.unit else 'true or false'}"
        if value.unit is None or self.default.unit is None:
            return ""
        if value.unit.dimension != self.default.unit.dimension:
            return f"{self.name} is in {self.default.unit}, not in {value.unit}"
        amount = in_unit(value, self.default.unit).number
        low = in_unit(self.low, self.default.unit).number if self.low else amount
        high = in_unit(self.high, self.default.unit).number if self.high else amount
        if not low <= amount <= high:
            return f"{self.name} is out of its range {shown(self.low)} to {shown(self.high)}"
        return ""


def shown(node: Node | None) -> str:
    """A constant as people write it."""
    if node is None:
        return "..."
    if node.op is Op.TRUTH:
        return "true" if node.detail else "false"
    unit = "" if node.unit is None or node.unit == ONE else node.unit.symbol
    return f"{float(node.number):g}{'' if unit == '%' else ' ' if unit else ''}{unit}"


_EXAMPLES = MappingProxyType(
    {
        "id": "add id: bin_full, say",
        "title": 'add title: "Bin {asset.id} is full", say',
        "when": "add when: fill > 80%, say",
        "apiVersion": "add apiVersion: sense311/v1",
        "sensor": "add sensor: streetlight, cabinet, road or bin",
        "rules": "add rules: and below it a list, each rule beginning with - id:",
        "service": "add service: BIN_FULL, say",
        "description": 'add description: "{fill:.0f %} full", say',
        "default": "add default: 80%, say",
    }
)


def _duration_hint(text: str) -> str:
    """For what is not a duration, or not one that fits."""
    digits = re.fullmatch(r"\s*([0-9.]+)\s*(m?)\s*", text)
    if digits:
        metres = "m is metres: " if digits.group(2) else ""
        return f"{metres}write {digits.group(1)}min"
    return "write one number and one unit: 90s, 15min, 2h, 1d"


def _respelt(text: str, pattern: re.Pattern[str]) -> str:
    """A word that fits the pattern and looks like the text."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text[:64])
    plain = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    for one in (plain.lower(), plain.upper(), f"my_{plain.lower()}"):
        if pattern.fullmatch(one) and one not in _RESERVED:
            return f"write {one}: it must match {pattern.pattern}"
    return f"it must match {pattern.pattern}"


def text(node: YamlNode, what: str) -> Scalar:
    if not isinstance(node, Scalar):
        raise Refused(node.finding("E005", f"{what} must be a text", "without [ ] and { }"))
    return node


def mapping(node: YamlNode, keys: Collection[str], what: str) -> YamlMapping:
    if not isinstance(node, YamlMapping):
        hint = "keys: " + ", ".join(keys)
        raise Refused(at(node, "E005", f"{what} must be a mapping", hint))
    for finding in node.unknown(keys, what):
        raise Refused(finding)
    return node


def required(node: YamlMapping, key: str, what: str) -> YamlNode:
    value = node.get(key)
    if value is None:
        raise Refused(
            node.finding(
                "E003", f"{what} needs the key {key!r}", _EXAMPLES.get(key, f"add {key}: ...")
            )
        )
    return value


def words(node: YamlNode, what: str) -> list[Scalar]:
    """A list of texts."""
    if not isinstance(node, Sequence):
        hint = f"write [{node.text}]" if isinstance(node, Scalar) else ""
        raise Refused(at(node, "E005", f"{what} must be a list: [a, b]", hint))
    return [text(item, what) for item in node.items]


def tests(node: YamlNode) -> list[YamlNode]:
    """What stands under `tests:`."""
    if not isinstance(node, Sequence):
        raise Refused(at(node, "E005", "tests must be a list: each starts with - name:"))
    if len(node.items) > TESTS_MAX:
        raise Refused(node.finding("E005", f"more than {TESTS_MAX} tests for one rule"))
    return node.items


def choice(node: YamlNode, choices: Collection[str], what: str) -> str:
    scalar = text(node, what)
    if scalar.text not in choices:
        message = f"{what} {scalar.text!r} is not known"
        raise Refused(scalar.finding(0, "E005", message, near(scalar.text, choices)))
    return scalar.text


def word(node: YamlNode, what: str, pattern: re.Pattern[str] = WORD) -> Scalar:
    scalar = text(node, what)
    if not pattern.fullmatch(scalar.text) or scalar.text in _RESERVED:
        message = f"{scalar.text!r} cannot be {what}"
        raise Refused(scalar.finding(0, "E005", message, _respelt(scalar.text, pattern)))
    return scalar


def truth(node: YamlNode, names: Names, what: str) -> bool:
    scalar = text(node, what)
    value = constant(scalar, names)
    if value.op is not Op.TRUTH:
        raise Refused(scalar.finding(0, "E005", f"{what} must be true or false", "write true"))
    return value.detail is True


def duration(node: YamlNode, names: Names, what: str, low_ms: int = 0) -> int:
    """Milliseconds of a duration such as 15min."""
    scalar = text(node, what)
    try:
        value = duration_ms(constant(scalar, names), what)
    except Fault as fault:
        message = f"{what} must be a duration such as 15min, not `{scalar.text}`"
        raise Refused(scalar.finding(0, "E005", message, _duration_hint(scalar.text))) from fault
    if value.denominator != 1 or not low_ms <= value <= DURATION_MS_MAX:
        message = f"{what} must be whole milliseconds, from {low_ms} ms to 366 d"
        raise Refused(scalar.finding(0, "E005", message, _duration_hint(scalar.text)))
    return int(value)


def whole(node: YamlNode, names: Names, what: str, low: int, high: int) -> int:
    scalar = text(node, what)
    value = constant(scalar, names)
    if value.unit != ONE or value.number.denominator != 1 or not low <= value.number <= high:
        message = f"{what} must be a whole number from {low} to {high}"
        raise Refused(scalar.finding(0, "E005", message, f"write {low + 1}, without a unit"))
    return int(value.number)


def amount(node: YamlNode, names: Names, what: str, unit: Unit, ends: tuple[float, float]) -> float:
    """A number in `unit`, within the ends."""
    scalar = text(node, what)
    value = constant(scalar, names)
    low, high = ends
    if value.unit is not None and value.unit.dimension == unit.dimension:
        found = float(in_unit(value, unit).number)
        if low <= found <= high:
            return found
    message = f"{what} must be from {low:g} {unit} to {high:g} {unit}"
    example = f"{min(high, low + 9):g} {unit}"
    raise Refused(scalar.finding(0, "E005", message, f"write it as {example}"))


def param(key: Scalar, node: YamlNode, taken: Mapping[str, str]) -> Param:
    """A parameter's definition. `taken`: names that mean something already -> what."""
    name = word(key, "the name of a param").text
    if name in taken:
        message = f"{name!r} is {taken[name]} already"
        raise Refused(key.finding(0, "E004", message, f"another name, such as {name}_limit"))
    definition = mapping(node, _PARAM_KEYS, f"param {name}")
    literal = text(required(definition, "default", f"param {name}"), "default")
    default = constant(literal, Names())
    ends = definition.get("range")
    doc = definition.get("doc")
    doc_text = "" if doc is None else text(doc, "doc").text
    result = Param(name, default, None, None, key, doc_text)
    if ends is not None:
        low, high = (_end(end, result) for end in _pair(ends, f"the range of {name}"))
        result = replace(result, low=low, high=high)
    if reason := result.refusal(default):
        hint = "the default lies in the range: [lowest, highest]"
        raise Refused(literal.finding(0, "E005", reason, hint))
    return result


def _pair(node: YamlNode, what: str) -> list[Scalar]:
    scalars = words(node, what)
    if len(scalars) != 2:
        raise Refused(at(node, "E005", f"{what} must be [lowest, highest]", "[5%, 50%]"))
    return scalars


def _end(scalar: Scalar, of: Param) -> Node:
    """One end of a range: something the param could be."""
    value = constant(scalar, Names())
    if reason := of.refusal(value):
        hint = f"write it in the unit of the default, {shown(of.default)}"
        raise Refused(scalar.finding(0, "E005", reason, hint))
    return value


def at(node: YamlNode, code: str, message: str, hint: str = "") -> Finding:
    """A finding at a value of any kind."""
    if isinstance(node, Scalar):
        return node.finding(0, code, message, hint)
    return node.finding(code, message, hint)
