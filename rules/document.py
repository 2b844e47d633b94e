"""YAML text -> nodes with positions: the outside of a rule file, before any meaning.

Guarantees that every value knows its line and column, and every character of a scalar its own, so
that faults inside an expression are shown where they stand. Anchors, aliases, tags, duplicate keys
and second documents are refused: a rule file says each thing once, in plain sight. Nodes are
composed, never constructed: no YAML type guesses a meaning.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from itertools import accumulate

import yaml

from rules.finding import Finding

TEXT_MAX = 256 * 1024  # characters: some thousand rules; more is not a rule file
DEPTH_MAX = 12  # a rule file nests six deep
_BLOCK_STYLES = ("|", ">")


class Page:
    """One file's text."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        lengths = (len(line) + 1 for line in text.split("\n"))
        self._starts = [0, *accumulate(lengths)][:-1]

    def position(self, index: int) -> tuple[int, int]:
        """(line, column) of a character, both from 1."""
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + 1


class Scalar:
    """A text value and where each of its characters stands."""

    def __init__(self, page: Page, node: yaml.ScalarNode) -> None:
        self._page = page
        self._node = node
        self.text: str = node.value

    @classmethod
    def of(cls, text: str, file: str = "expression") -> "Scalar":
        """A text that is in no YAML file."""
        return cls(Page(file, text), _bare_node(text))

    @property
    def file(self) -> str:
        return self._page.file

    @property
    def line(self) -> int:
        return self.at(0)[0]

    @cached_property
    def _indexes(self) -> list[int]:
        """The place in the file of each character: blanks may have been folded, quotes doubled."""
        source = self._page.text
        place = int(self._node.start_mark.index)
        if self._node.style in _BLOCK_STYLES:
            place = source.find("\n", place) + 1
        elif self._node.style in ("'", '"'):
            place += 1
        indexes = []
        for character in self.text:
            place = _next_place(source, place, character)
            indexes.append(place)
            place += 1
        return [*indexes, place]

    def at(self, offset: int) -> tuple[int, int]:
        return self._page.position(self._indexes[min(offset, len(self.text))])

    def finding(self, offset: int, code: str, message: str, hint: str = "") -> Finding:
        line, column = self.at(offset)
        return Finding(self.file, line, column, code, message, hint)


class Sequence:
    def __init__(self, page: Page, node: yaml.SequenceNode) -> None:
        self._page = page
        self._node = node

    @property
    def items(self) -> list["Node"]:
        return [_wrap(self._page, item) for item in self._node.value]

    def finding(self, code: str, message: str, hint: str = "") -> Finding:
        return _finding(self._page, self._node, code, message, hint)


@dataclass(slots=True)
class Mapping:
    """Keys in order; duplicates have been refused."""

    page: Page
    node: yaml.MappingNode
    entries: dict[str, tuple[Scalar, "Node"]]

    def get(self, key: str) -> "Node | None":
        entry = self.entries.get(key)
        return entry[1] if entry else None

    def finding(self, code: str, message: str, hint: str = "") -> Finding:
        return _finding(self.page, self.node, code, message, hint)

    def unknown(self, known: Iterable[str], what: str) -> Iterator[Finding]:
        """A finding for each key that is not one of `known`."""
        for key, (scalar, _) in self.entries.items():
            if key not in known:
                yield scalar.finding(0, "E002", f"{key!r} is not a key of {what}", near(key, known))


Node = Scalar | Sequence | Mapping


def near(word: str, known: Iterable[str]) -> str:
    """Help for a misspelt word."""
    choices = sorted(known)
    close = get_close_matches(word, choices, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "known: " + ", ".join(choices) if choices else ""


def read(file: str, text: str) -> tuple[Mapping | None, list[Finding]]:
    """The top of a file, which must be a mapping, or what is wrong with it."""
    page = Page(file, text)
    if len(text) > TEXT_MAX:
        return None, [Finding(file, 1, 1, "E001", f"longer than {TEXT_MAX} characters")]
    try:
        findings = list(_events(page))
        node = None if findings else yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        return None, [_broken(page, error)]
    if findings:
        return None, findings
    if not isinstance(node, yaml.MappingNode):
        return None, [Finding(file, 1, 1, "E001", "a rule file is a mapping: apiVersion, rules...")]
    findings = list(_keys(page, node))
    return (None if findings else _wrap_mapping(page, node)), findings


def _events(page: Page) -> Iterator[Finding]:
    """What YAML allows and rule files do not."""
    depth = documents = 0
    for event in yaml.parse(page.text, Loader=yaml.SafeLoader):
        message = ""
        if isinstance(event, yaml.AliasEvent):
            message = "aliases are not allowed: write it out, or use a param or a let"
        elif isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            message = "anchors are not allowed: write it out, or use a param or a let"
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
            message = "tags are not allowed"
        elif isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            message = "one document a file" if documents > 1 else ""
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        message = message or ("nested too deep" if depth > DEPTH_MAX else "")
        if message:
            mark = event.start_mark
            assert mark is not None  # the parser in Python sets it; its type allows for others
            yield Finding(page.file, mark.line + 1, mark.column + 1, "E001", message)
            if depth > DEPTH_MAX:
                return


def _keys(page: Page, node: yaml.Node) -> Iterator[Finding]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys(page, item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            yield _finding(page, key, "E001", "a key must be a word", "")
        elif key.value in seen:
            first = seen[key.value]
            message = f"duplicate key {key.value!r}: it is on line {first} already"
            yield _finding(page, key, "E001", message, "")
        else:
            seen[key.value] = key.start_mark.line + 1
        yield from _keys(page, value)


def _wrap(page: Page, node: yaml.Node) -> Node:
    if isinstance(node, yaml.MappingNode):
        return _wrap_mapping(page, node)
    if isinstance(node, yaml.SequenceNode):
        return Sequence(page, node)
    assert isinstance(node, yaml.ScalarNode)
    return Scalar(page, node)


def _wrap_mapping(page: Page, node: yaml.MappingNode) -> Mapping:
    entries = {
        key.value: (Scalar(page, key), _wrap(page, value))
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode)
    }
    return Mapping(page, node, entries)


def _finding(page: Page, node: yaml.Node, code: str, message: str, hint: str) -> Finding:
    mark = node.start_mark
    return Finding(page.file, mark.line + 1, mark.column + 1, code, message, hint)


def _broken(page: Page, error: yaml.YAMLError) -> Finding:
    if isinstance(error, yaml.MarkedYAMLError) and (mark := error.problem_mark):
        message = f"not YAML: {error.problem or 'it cannot be read'}"
        return Finding(page.file, mark.line + 1, mark.column + 1, "E001", message)
    line, column = page.position(int(getattr(error, "position", 0) or 0))
    message = "not YAML: a character that text does not have"
    return Finding(page.file, line, column, "E001", message)


def _next_place(source: str, place: int, character: str) -> int:
    """Where `character` comes next; what lies between is folding and escapes."""
    if character.isspace():
        return place
    found = source.find(character, place)
    return place if found < 0 else found


def _bare_node(text: str) -> yaml.ScalarNode:
    mark = yaml.Mark("", 0, 0, 0, None, 0)
    return yaml.ScalarNode("", text, mark, mark)
