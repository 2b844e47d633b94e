"""Where the parts of a rule stand in the files that people wrote: file, line, column, characters.

Kept with a rule, outside of its meaning. A part of a rule that comes from a template is shown where
its user can see it, at the input that it is or at the `use:`, with its own words. Finds no faults;
who has something to say of a clause asks here where it is.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from rules.document import Mapping as YamlMapping
from rules.document import Node as YamlNode
from rules.document import Scalar
from rules.finding import Finding, Mark
from rules.tree import Span

_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "when": ("when",),
        "unless": ("unless",),
        "hit": ("hit",),
        "clear": ("clear", "when"),
        "clear.for": ("clear", "for"),
        "for": ("for",),
        "no_data": ("no_data", "hold"),
        "min_samples": ("cover", "min_samples"),
        "absorbed_by": ("absorbed_by",),
    }
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Characters [column, end_column) of a line of a file. `text`: what is meant by them, all of it
    where it goes on over more lines, the template's own words where they come from one.
    """

    file: str
    line: int
    column: int
    end_column: int
    text: str
    template: str = ""
    template_line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def finding(self, code: str, message: str, hint: str) -> Finding:
        """Something to be said of it."""
        if self.template:
            place = f"template {self.template}, line {self.template_line}"
            message += f" ({place}: `{self.text}`)"
        marks = (Mark(self.column, self.end_column),)
        return Finding(self.file, self.line, self.column, code, message, hint, marks)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Origins:
    """The texts of one rule. `home`: where it begins."""

    home: Scalar
    parts: Mapping[str, Scalar] = field(default_factory=dict)
    """By what a rule calls them: when, unless, clear, hit, for, clear.for, no_data..."""
    lets: Mapping[str, Scalar] = field(default_factory=dict)

    def of(self, part: str, span: Span | None = None) -> Origin:
        """Where a part stands, or characters of it; where the rule begins if it is not written."""
        scalar = self.parts.get(part)
        if span is not None and span.let:
            scalar = self.lets[span.let]
        if scalar is None:
            return _origin(self.home, None)
        return _origin(scalar, span)


NOWHERE = Origins(Scalar.of("", ""))


def origins(body: YamlMapping, home: Scalar, lets: Mapping[str, Scalar]) -> Origins:
    """Those of a rule, from its body."""
    found = {part: scalar for part, keys in _KEYS.items() if (scalar := _written(body, keys))}
    return Origins(home, found, lets)


def _written(body: YamlMapping, keys: tuple[str, ...]) -> Scalar | None:
    """The text under the keys; their last where what is under it is a list."""
    node: YamlNode = body
    for key in keys:
        if not isinstance(node, YamlMapping) or key not in node.entries:
            return None
        name, node = node.entries[key]
    return node if isinstance(node, Scalar) else name


def _origin(scalar: Scalar, span: Span | None) -> Origin:
    start, end = (span.start, span.end) if span else (0, len(scalar.text))
    text = " ".join(scalar.text[start:end].split())
    anchor, template = scalar.anchor(start, end)
    template_line = 0
    if anchor is not scalar:
        template_line, _ = scalar.at(start)
        start, end = 0, len(anchor.text)
    found = anchor.finding(start, "", "", "", (start, end, ""))
    end_column = found.marks[0].end_column if found.marks else found.column + 1
    place = (found.file, found.line, found.column, end_column)
    return Origin(*place, text, template, template_line)
