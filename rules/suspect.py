"""A rule under a closer look: its conditions with their text and trees, and where each part stands.

What the lints ask of a rule. Owns the way from a part of a tree back to the characters that it was
written as: a let name is shown where it is used, a part of a template at the `use:` that a person
wrote. Judges nothing itself.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from rules.document import Mapping as YamlMapping
from rules.document import Scalar
from rules.fields import Field
from rules.finding import Finding
from rules.head import Head
from rules.names import Context
from rules.proof import Logic, Wanted
from rules.rule import Condition, Rule
from rules.tree import PEERS, Node, Op, Span

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")

Ranges = Mapping[str, Field]


class Part(NamedTuple):
    """A part of a condition as it is written."""

    node: Node
    logic: Logic
    """Of the fields in it: those of the members inside of peers."""

    @property
    def ranges(self) -> Ranges:
        return self.logic.ranges


@dataclass(frozen=True, eq=False)
class Asked:
    """One condition of a rule."""

    name: str
    scalar: Scalar
    tree: Node
    logic: Logic
    members: Logic

    @property
    def ranges(self) -> Ranges:
        return self.logic.ranges

    @cached_property
    def parts(self) -> Sequence[Part]:
        """All that is written in its own text, outermost first: not what let names stand for."""
        return tuple(self._parts(self.tree, self.logic))

    def _parts(self, node: Node, logic: Logic) -> Iterator[Part]:
        yield Part(node, logic)
        if _NAME.fullmatch(self.quoted(node)):
            return
        inner = self.members if node.op in PEERS else logic
        for arg in node.args:
            yield from self._parts(arg, inner)

    def quoted(self, node: Node) -> str:
        return self.scalar.text[node.span.start : node.span.end]


@dataclass(frozen=True, eq=False)
class Suspect:
    rule: Rule
    head: Head
    context: Context
    logic: Logic
    """Of what `when` is about; many rules may share one."""
    inner: Logic
    """Of what a reading or a member is: for `hit` and inside of peers."""
    parents: Sequence[Scalar]
    children: Sequence[Scalar]
    used: frozenset[str]
    """Params."""

    @property
    def ranges(self) -> Ranges:
        return self.logic.ranges

    @cached_property
    def asked(self) -> Mapping[str, Asked]:
        """The conditions by name: when, unless, clear, hit."""
        conditions = {
            "when": self.rule.when,
            "unless": self.rule.unless,
            "clear": self.rule.clear,
            "hit": self.rule.hit,
        }
        found = {}
        for name, one in conditions.items():
            scalar = self.value("clear", "when") if name == "clear" else self.value(name)
            if isinstance(one, Condition) and one.tree is not None and isinstance(scalar, Scalar):
                logic = self.inner if name == "hit" else self.logic
                found[name] = Asked(name, scalar, one.tree, logic, self.inner)
        return found

    @cached_property
    def firing(self) -> Sequence[Wanted]:
        """What must be for it to fire."""
        wanted = [Wanted(self.asked["when"].tree)]
        if "unless" in self.asked:
            wanted.append(Wanted(self.asked["unless"].tree, truth=False))
        return wanted

    @property
    def files(self) -> bool:
        return self.rule.file is not None

    def value(self, *keys: str) -> object:
        """What stands under a key of the rule; None when nothing does."""
        node: object = self.head.body
        for key in keys:
            node = node.get(key) if isinstance(node, YamlMapping) else None
        return node

    def key(self, *keys: str) -> Scalar | None:
        """The last of the keys, where it stands."""
        mapping: object = self.head.body
        for key in keys[:-1]:
            mapping = mapping.get(key) if isinstance(mapping, YamlMapping) else None
        if isinstance(mapping, YamlMapping) and keys[-1] in mapping.entries:
            return mapping.entries[keys[-1]][0]
        return None

    @property
    def home(self) -> Scalar:
        return self.head.home

    def at(self, scalar: Scalar | None, code: str, message: str, hint: str = "") -> Finding:
        """At a key or value of the rule, or at the rule when it has no such."""
        if scalar is None or scalar.file != self.home.file:
            scalar = self.home
        return scalar.finding(0, code, message, hint, (0, len(scalar.text), ""))

    def within(
        self, asked: Asked, code: str, message: str, hint: str, *nodes: Node | Span
    ) -> Finding:
        """At parts of a condition: the first is where the fault stands."""
        if asked.scalar.file != self.home.file:
            return self.at(self.home, code, f"{asked.name}: {message}", hint)
        spans = [node.span if isinstance(node, Node) else node for node in nodes]
        marks = [(span.start, span.end, "") for span in spans]
        return asked.scalar.finding(spans[0].start, code, message, hint, *marks)


def is_measured(node: Node) -> bool:
    """A number as a sensor gives it, or a plain statistic of one."""
    if node.op in (Op.CONVERT, Op.AVG_OVER, Op.MIN_OVER, Op.MAX_OVER, Op.PREV, Op.ABS):
        return is_measured(node.args[0])
    return node.op is Op.FIELD and node.unit is not None
