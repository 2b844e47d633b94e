"""Names in expressions: what each may stand for, depending on what a condition is about.

Owns the order of meanings (let, param, field, built-in) and which names a context allows: a circuit
has no attributes, a place no other rules. A name that is unknown is refused with its nearest
neighbours. It types no operators and parses nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from rules.document import Scalar, near
from rules.fields import ATTRIBUTE_TEXTS, ATTRIBUTES, Field
from rules.finding import Finding
from rules.syntax import Refused
from rules.tree import Fault, Node, Op, Span, number
from rules.units import MILLISECOND, TEXT, UNITS, WATT, WEEKDAY

PHASES = ("ok", "pending", "firing", "clearing", "blind")
BUILT_IN = ("nominal_power", "expected_power", "silent", "pickup")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What a condition is about, and so which names it may use."""

    about: str
    fields: Mapping[str, Field]
    """By name in rules."""
    has_attributes: bool = True
    has_history: bool = True
    """There is one subject whose samples come in order: prev, since, silent... may be used."""
    is_lamp: bool = False
    phases: frozenset[str] = frozenset()
    """Ids of the rules on the same subject."""
    members: "Context | None" = None
    """What `peers` are."""

    def ranges(self) -> dict[str, Field]:
        """For `rules.bounds`."""
        own = {item.key: item for item in self.fields.values()}
        return own | {f"asset.{item.key}": item for item in ATTRIBUTES.values()}


@dataclass(slots=True)
class Names:
    """The names that one rule defines; shared by all its expressions."""

    params: Mapping[str, Node] = field(default_factory=dict)
    lets: Mapping[str, Scalar] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Params that some expression refers to."""
    warnings: list[Finding] = field(default_factory=list)
    known: dict[tuple[str, int], Node] = field(default_factory=dict)
    """Trees of let names by (name, id of context)."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names that a template has for rules -> their ids."""
    broken: dict[str, Finding] = field(default_factory=dict)
    """Names whose definition is wrong -> what was said of it: not to be said again elsewhere."""
    open: list[str] = field(default_factory=list)
    """Let names being read, to refuse circles."""


_LITERAL = "write a value: 15min, 20%, 3 or true"

Read = Callable[[Scalar, Context], Node]


def resolve(parts: list[str], here: Node, context: Context, names: Names, read_let: Read) -> Node:
    """The node of a name such as `fill`, `asset.nominal_power`, `lamp_out.firing`. Raises Fault."""
    if len(parts) == 1:
        return _single(parts[0], here, context, names, read_let)
    if len(parts) == 2 and parts[0] == "asset":
        return _attribute(parts[1], here, context)
    if len(parts) == 2 and parts[1] in PHASES:
        return _phase(names.aliases.get(parts[0], parts[0]), parts[1], here, context)
    hint = near(parts[-1], PHASES) if parts[0] not in context.fields else ""
    raise Fault("E101", "unknown name {0}", here, help=hint)


def field_node(op: Op, item: Field, span: Span) -> Node:
    return Node(op, None if item.is_bool else UNITS[item.unit], (), item.key, span)


def need(allowed: bool, message: str, here: Node, context: Context) -> None:
    """Refuse what this context does not have."""
    if not allowed:
        raise Fault("E103", f"{message}; this condition is about {context.about}", here)


def _single(name: str, here: Node, context: Context, names: Names, read_let: Read) -> Node:
    if name in names.broken:
        raise Refused(names.broken[name])
    if name in names.lets:
        return _let(name, here, context, names, read_let)
    if name in names.params:
        names.used.add(name)
        return names.params[name].at(here.span)
    if name in context.fields:
        return field_node(Op.FIELD, context.fields[name], here.span)
    if name in BUILT_IN:
        return _built_in(name, here, context)
    if name in WEEKDAYS:
        return number(Fraction(WEEKDAYS.index(name)), WEEKDAY, here.span)
    known = {*names.lets, *names.params, *context.fields, *_built_in_names(context)}
    day = name[:3].lower()
    hint = f"days are written {day}" if day in WEEKDAYS else near(name, known) or _LITERAL
    raise Fault("E101", f"unknown name {{0}} for {context.about}", here, help=hint)


def _built_in_names(context: Context) -> tuple[str, ...]:
    return BUILT_IN if context.is_lamp else BUILT_IN[2:] if context.has_history else ()


def _let(name: str, here: Node, context: Context, names: Names, read_let: Read) -> Node:
    key = (name, id(context))
    if name in names.open:
        hint = "let names may use others, in no circle"
        raise Fault("E101", "{0} is defined by itself", here, help=hint)
    if key not in names.known:
        names.open.append(name)
        try:
            names.known[key] = read_let(names.lets[name], context)
        finally:
            names.open.pop()
    return names.known[key].at(here.span)


def _built_in(name: str, here: Node, context: Context) -> Node:
    if name == "silent":
        need(context.has_history, "{0} is about something that reports", here, context)
        return Node(Op.SILENT, MILLISECOND, (), None, here.span)
    if name == "pickup":
        return _attribute(name, here, context)
    need(context.is_lamp, "{0} is about a lamp", here, context)
    if name == "nominal_power":
        return Node(Op.ATTRIBUTE, WATT, (), "nominal_power_w", here.span)
    level = field_node(Op.FIELD, context.fields["dim_level"], here.span)
    return Node(Op.EXPECTED, WATT, (level,), None, here.span)


def _attribute(name: str, here: Node, context: Context) -> Node:
    need(context.has_attributes, "{0} is about an asset", here, context)
    if name in ATTRIBUTE_TEXTS:
        return Node(Op.ATTRIBUTE, TEXT, (), name, here.span)
    known = {item.name: item for item in ATTRIBUTES.values()}
    if name not in known:
        hint = near(name, (*known, *ATTRIBUTE_TEXTS))
        raise Fault("E101", "unknown attribute {0}", here, help=hint)
    return field_node(Op.ATTRIBUTE, known[name], here.span)


def _phase(rule: str, phase: str, here: Node, context: Context) -> Node:
    if rule not in context.phases:
        message = f"no rule {rule!r} for {context.about}, in {{0}}"
        hint = near(rule, context.phases) or "a rule asks only for other rules on the same subject"
        raise Fault("E101", message, here, help=hint)
    return Node(Op.PHASE, None, (), (rule, phase), here.span)
