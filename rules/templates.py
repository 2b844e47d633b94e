"""Templates: rules with typed inputs, which a rule file uses by name.

A file says `- use: bin_full` and `with: {high: 85%}`; out comes the same body that it could have
written itself. Inputs stand in a template as whole words and are bound as values, names or texts,
never pasted: no input can change the syntax of a condition. Every fault inside a used template is
reported where it can be mended, at the input in the user's file or at its `use:`. What needs an
input that is `none` is left out: an item of a list, a mapping and the key that holds it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from rules import settings
from rules.document import Mapping as YamlMapping
from rules.document import Node as YamlNode
from rules.document import Scalar, Sequence, near, read
from rules.expression import constant
from rules.fields import REPORTED_KINDS, by_name
from rules.finding import Finding
from rules.names import Names
from rules.settings import Param
from rules.syntax import Refused
from rules.tree import Node
from rules.units import MILLISECOND, ONE, find

NAMES = ("field", "rule", "service", "text")
"""Types of inputs that stand for a word; all others are amounts."""
TYPES = ("number", "duration", "bool", *NAMES)
"""Besides these, any unit is a type: "%", W, degC/min; `1` is a plain number."""
NONE = "none"
KEYS = ("apiVersion", "template", "doc", "sensor", "inputs", "rule")
INPUT_KEYS = ("type", "default", "example", "range", "doc", "source")
USE_KEYS = ("use", "with", "id", "title", "doc", "mode", "absorbed_by", "file", "tests")
"""What a `use:` may say besides: these replace the template's own, `tests` come after them and
`file` may give some of its keys."""
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that the user of a template may or must give."""

    key: Scalar
    type: str
    default: Scalar | None
    """None: it must be given. The text `none`: it may be left open."""
    example: str
    """What to begin with where there is no default."""
    ends: tuple[Scalar, Scalar] | None
    """Its range, as written."""
    low: Node | None
    high: Node | None
    doc: str
    source: str

    @property
    def name(self) -> str:
        return self.key.text

    def param(self, value: Node) -> Param:
        return Param(self.name, value, self.low, self.high, self.key, self.doc, self.source)


@dataclass(frozen=True, slots=True)
class Template:
    name: str
    doc: str
    sensors: tuple[str, ...]
    """The kinds it fits."""
    inputs: Mapping[str, Input]
    body: YamlMapping
    text: str
    """The whole file."""


@dataclass(slots=True)
class Use:
    """A template with its inputs bound."""

    template: Template
    id: Scalar
    body: YamlMapping
    params: dict[str, Param] = field(default_factory=dict)
    """The amounts, with the given values as their defaults."""
    derived: dict[str, Scalar] = field(default_factory=dict)
    """Amounts that were not given and follow from others."""
    lets: dict[str, Scalar] = field(default_factory=dict)
    """Fields."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Rules."""
    given: Mapping[str, Scalar] = field(default_factory=dict)
    """The inputs as the user wrote them."""
    tests: Callable[[], Iterator[YamlNode]] = lambda: iter(())
    """Those of the template, made anew: most uses are read for their rule alone."""


# -- reading a template ---------------------------------------------------------------------------


def read_template(file: str, text: str) -> tuple[Template | None, list[Finding]]:
    """A template file, or what is wrong with it."""
    top, findings = read(file, text)
    return (None, findings) if top is None else template_of(top, text)


def template_of(top: YamlMapping, text: str) -> tuple[Template | None, list[Finding]]:
    """The same, from a file that is read already."""
    findings = list(top.unknown(KEYS, "a template"))
    try:
        name = settings.word(settings.required(top, "template", "a template"), "a template's name")
        doc = settings.text(settings.required(top, "doc", "a template"), "doc").text
        inputs = {item.name: item for item in _inputs(top)}
        result = Template(name.text, doc, _sensors(top), inputs, _body(top), text)
    except Refused as refused:
        return None, [*findings, refused.finding]
    return (None if findings else result), findings


def _body(top: YamlMapping) -> YamlMapping:
    body = settings.required(top, "rule", "a template")
    if not isinstance(body, YamlMapping):
        raise Refused(top.entries["rule"][0].finding(0, "E005", "rule must be a mapping"))
    if "tests" in body.entries:
        settings.tests(body.entries["tests"][1])
    return body


def _sensors(top: YamlMapping) -> tuple[str, ...]:
    node = top.get("sensor")
    if node is None:
        return REPORTED_KINDS
    nodes = node.items if isinstance(node, Sequence) else [node]
    return tuple(settings.choice(item, REPORTED_KINDS, "sensor") for item in nodes)


def _inputs(top: YamlMapping) -> Iterator[Input]:
    node = top.get("inputs")
    if node is None:
        return
    if not isinstance(node, YamlMapping):
        raise Refused(top.entries["inputs"][0].finding(0, "E005", "inputs must be a mapping"))
    for key, value in node.entries.values():
        yield _input(settings.word(key, "the name of an input"), value)


def _input(key: Scalar, node: YamlNode) -> Input:
    what = f"input {key.text}"
    keys = settings.mapping(node, INPUT_KEYS, what)
    type_ = settings.text(settings.required(keys, "type", what), "type")
    if type_.text not in TYPES and find(type_.text) is None:
        hint = near(type_.text, TYPES) + ", or a unit"
        raise Refused(type_.finding(0, "E005", f"{type_.text!r} is not a type", hint))
    default, ends = keys.get("default"), keys.get("range")
    pair = None if ends is None else _range(ends, what)
    low, high = (constant(end, Names()) for end in pair) if pair else (None, None)
    return Input(
        key,
        type_.text,
        None if default is None else settings.text(default, "default"),
        _text(keys, "example"),
        pair,
        low,
        high,
        _text(keys, "doc"),
        _text(keys, "source"),
    )


def _range(node: YamlNode, what: str) -> tuple[Scalar, Scalar]:
    scalars = settings.words(node, f"the range of {what}")
    if len(scalars) != 2:
        assert isinstance(node, Sequence)
        raise Refused(node.finding("E005", f"the range of {what} must be [lowest, highest]"))
    return scalars[0], scalars[1]


def _text(keys: YamlMapping, key: str) -> str:
    node = keys.get(key)
    return "" if node is None else settings.text(node, key).text


# -- using one ------------------------------------------------------------------------------------


def expand(item: YamlMapping, sensor: str, templates: Mapping[str, Template]) -> Use:
    """The rule that `- use:` asks for. Raises Refused."""
    name = settings.text(settings.required(item, "use", "a use"), "use")
    template = templates.get(name.text)
    if template is None:
        message = f"there is no template {name.text!r}"
        raise Refused(name.finding(0, "E101", message, near(name.text, templates)))
    if sensor not in template.sensors:
        message = f"template {template.name} is for sensor {' or '.join(template.sensors)}"
        raise Refused(name.finding(0, "E005", message, f"this file is for sensor {sensor}"))
    for finding in item.unknown(USE_KEYS, "a use"):
        raise Refused(finding)
    given = _given(item, template)
    rule_id = settings.text(item.get("id") or name, "the id of a rule")
    use = Use(template, rule_id, item, given=given)
    filling = _Filling(item, name, given, {}, template)
    filling = replace(filling, words=_bound(use, filling, sensor))
    use.body, use.tests = filling.body(), filling.tests
    return use


def _given(item: YamlMapping, template: Template) -> dict[str, Scalar]:
    node = item.get("with")
    if node is None:
        return {}
    if not isinstance(node, YamlMapping):
        message = "with must be a mapping of inputs: {name: value}"
        raise Refused(item.entries["with"][0].finding(0, "E005", message, _choices(template)))
    for finding in node.unknown(template.inputs, f"with of {template.name}"):
        raise Refused(finding)
    return {key: settings.text(value, f"input {key}") for key, (_, value) in node.entries.items()}


def _choices(template: Template) -> str:
    return "inputs: " + ", ".join(template.inputs)


def _bound(use: Use, filling: "_Filling", sensor: str) -> dict[str, Scalar | None]:
    """Gives each input its value: amounts and fields to `use`, words are returned."""
    values: dict[str, Node] = {}
    words: dict[str, Scalar | None] = {}
    for item in use.template.inputs.values():
        scalar = _said(item, filling)
        if item.type in NAMES:
            words[item.name] = _word_of(item, scalar, use, sensor)
            continue
        is_given = item.name in filling.given
        value = _amount_of(item, scalar, values, is_given=is_given)
        use.params[item.name] = item.param(value)
        values[item.name] = value
        if not is_given and _refers(scalar, values):
            use.derived[item.name] = scalar
    return words


def _said(item: Input, filling: "_Filling") -> Scalar:
    """What stands for an input: what was given, or its default."""
    if item.name in filling.given:
        return filling.given[item.name]
    if item.default is not None:
        return _Placed(item.default, filling)
    message = f"template {filling.template.name} needs the input {item.name!r}: {item.doc}"
    raise Refused(filling.name.finding(0, "E003", message, f"with: {{{item.name}: ...}}"))


def _refers(scalar: Scalar, values: Mapping[str, Node]) -> bool:
    return any(found in values for found in _WORD.findall(scalar.text))


def _amount_of(item: Input, scalar: Scalar, before: Mapping[str, Node], *, is_given: bool) -> Node:
    """The value of an amount; a default may follow from the inputs before it."""
    value = constant(scalar, Names({} if is_given else before))
    reason = _unfit(item, value)
    own = item.default
    if not reason and is_given and own is not None and not _refers(own, before):
        model = item.param(constant(own, Names(before)))
        reason = model.refusal(value)
        value = model.folded(value) if value.unit == ONE and not reason else value
    elif not reason and is_given:
        reason = item.param(value).refusal(value)
    if reason:
        raise Refused(scalar.finding(0, "E005", reason, item.doc))
    return value


def _unfit(item: Input, value: Node) -> str:
    """Why a value is not of the input's type, or ""."""
    if item.type == "bool":
        return f"{item.name} must be true or false" if value.unit else ""
    if value.unit is None:
        return f"{item.name} must be a number"
    unit = MILLISECOND if item.type == "duration" else find(item.type)
    if unit is None or unit.dimension == value.unit.dimension:
        return ""
    wanted = "a duration such as 15min" if item.type == "duration" else f"in {unit}"
    return f"{item.name} is {wanted}, not in {value.unit}"


def _word_of(item: Input, scalar: Scalar, use: Use, sensor: str) -> Scalar | None:
    if scalar.text == NONE and item.default is not None:
        return None
    if item.type == "field":
        settings.choice(scalar, by_name(sensor), f"the field for {item.name}")
        use.lets[item.name] = scalar
    elif item.type == "rule":
        use.aliases[item.name] = settings.word(scalar, "the id of a rule").text
    return scalar


# -- a body with its inputs in place --------------------------------------------------------------


class _Placed(Scalar):
    """A text of a template: its faults are told where the user can mend them."""

    def __init__(self, origin: Scalar, filling: "_Filling") -> None:
        super().__init__(origin.page, origin.text, origin.span, origin.style)
        self._filling = filling

    def finding(
        self, offset: int, code: str, message: str, hint: str = "", *spans: tuple[int, int, str]
    ) -> Finding:
        line, _ = self.at(offset)
        words = (_WORD.match(self.text, start) for start in (offset, *(span[0] for span in spans)))
        given, name = self._filling.given, self._filling.name
        where = next((given[w.group()] for w in words if w and w.group() in given), name)
        message = f"{message} (template {self._filling.template.name}, line {line})"
        return where.finding(0, code, message, hint, (0, len(where.text), ""))

    def anchor(self, start: int, end: int) -> tuple[Scalar, str]:
        found = self._filling.given.get(self.text[start:end], self._filling.name)
        return found, self._filling.template.name


@dataclass(frozen=True, slots=True)
class _Filling:
    """A template's body on its way into a user's file."""

    item: YamlMapping
    name: Scalar
    given: Mapping[str, Scalar]
    words: Mapping[str, Scalar | None]
    template: Template

    def body(self) -> YamlMapping:
        entries = dict(self._entries(self.template.body, but="tests"))
        for key in USE_KEYS[2:]:
            if key in self.item.entries:
                name, node = self.item.entries[key]
                entries[key] = (name, self._joined(key, entries, node))
        return replace(self.item, entries=entries)

    def _joined(
        self, key: str, entries: Mapping[str, tuple[Scalar, YamlNode]], node: YamlNode
    ) -> YamlNode:
        """What the user says of a key, with what the template says of it."""
        own = entries[key][1] if key in entries else None
        if key == "file" and isinstance(node, YamlMapping):
            kept = dict(own.entries) if isinstance(own, YamlMapping) else self._filing()
            if "description" in node.entries:  # what translates another text is no translation
                kept.pop("translations", None)
            return replace(node, entries={**kept, **node.entries})
        return node

    def tests(self) -> Iterator[YamlNode]:
        node = self.template.body.get("tests")
        for item in node.items if isinstance(node, Sequence) else ():
            if (filled := self._filled(item)) is not None:
                yield filled

    def _filing(self) -> dict[str, tuple[Scalar, YamlNode]]:
        """The template's `file`, though its service is none: the user names another."""
        node = self.template.body.get("file")
        return dict(self._entries(node)) if isinstance(node, YamlMapping) else {}

    def _items(self, items: list[YamlNode]) -> Sequence:
        """A list of the template; its faults stand at the `use:`."""
        return Sequence(self.item.page, self.item.span, self.item.is_flow, items)

    def _entries(
        self, mapping: YamlMapping, but: str = ""
    ) -> Iterator[tuple[str, tuple[Scalar, YamlNode]]]:
        for key, node in mapping.entries.values():
            if key.text == but:
                continue
            filled, name = self._filled(node), self._key(key)
            if filled is not None and name is not None:
                yield name.text, (name, filled)

    def _key(self, key: Scalar) -> Scalar | None:
        """A field that is an input may be fed in a test: `feed: {value: ...}`."""
        bound = self.template.inputs.get(key.text)
        if bound and bound.type == "field" and key.text in self.words:
            return self.words[key.text]
        return _Placed(key, self)

    def _filled(self, node: YamlNode) -> YamlNode | None:
        if isinstance(node, Scalar):
            return self.words[node.text] if node.text in self.words else _Placed(node, self)
        if isinstance(node, Sequence):
            items = [filled for item in node.items if (filled := self._filled(item)) is not None]
            return self._items(items) if items or not node.items else None
        entries = dict(self._entries(node))
        whole = len(entries) == len(node.entries)
        return replace(self.item, entries=entries) if whole else None
