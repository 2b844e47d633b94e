"""The head of a rule: what must be known of it before any rule is read.

Rules may refer to each other, so all ids, scopes and params stand before the first condition is
typed. Owns how a param set from outside changes those that follow from it. Reads no body.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rules.document import Mapping as YamlMapping
from rules.document import Scalar
from rules.expression import constant
from rules.finding import Finding
from rules.names import Names
from rules.rule import Note
from rules.settings import Param, shown
from rules.templates import Use
from rules.tree import Node


@dataclass(frozen=True, slots=True)
class Head:
    id: str
    scope: str
    sensor: str
    owner: str
    params: Mapping[str, Node]
    """With overrides applied."""
    broken: Mapping[str, Finding]
    """Params whose definition is wrong -> what was said of it."""
    body: YamlMapping
    line: int
    known: Mapping[str, Param] = field(default_factory=dict)
    """What may be set from outside."""
    use: Use | None = None
    """The template that the body comes from."""
    overridden: frozenset[str] = frozenset()
    """Params that were set from outside."""

    @property
    def home(self) -> Scalar:
        """Where the rule begins in the file of whoever wrote it: its id, or the `use:`."""
        if self.use:
            return self.use.id
        named = self.body.get("id")
        assert isinstance(named, Scalar)
        return named

    def having(self, name: str, value: Node) -> "Head":
        """With a param set from outside; what follows from it follows."""
        chosen = self.overridden | {name}
        params = {**self.params, name: value}
        for other, scalar in (self.use.derived if self.use else {}).items():
            if other not in chosen:
                params[other] = constant(scalar, Names(params))
        return replace(self, params=params, overridden=chosen)

    def names(self) -> Names:
        aliases = self.use.aliases if self.use else {}
        return Names(self.params, broken=dict(self.broken), aliases=aliases)

    def notes(self) -> dict[str, Note]:
        """What may be set from outside, as people read it."""
        return {name: _note(param, self.params[name]) for name, param in self.known.items()}


def _note(param: Param, value: Node) -> Note:
    ends = param.low and f"{shown(param.low)} to {shown(param.high)}"
    return Note(shown(value), ends or "", param.doc, param.source)
