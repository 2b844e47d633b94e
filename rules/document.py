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
from typing import Any

import yaml

from rules.finding import Finding, Mark
from rules.position import BLOCK_STYLES, positions

TEXT_MAX = 256 * 1024  # characters: some thousand rules; more is not a rule file
DEPTH_MAX = 12  # a rule file nests six deep
FINDINGS_MAX = 100  # no one mends more at a time
NODES_MAX = 6_000  # values of all kinds in one file: a hundred rules, or thirty with ten tests
MESSAGE_MAX = 300  # characters
WORD_MAX = 64  # characters of a word for which a neighbour is sought, and of a word quoted
# The C parser is 15 times faster and says the same; where it is missing, the one in Python serves.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HINTS = (
    (
        "mapping values are not allowed",
        "a text with `: ` in it needs quotes; or the line above is not indented as this one",
    ),
    (
        "cannot start any token",
        "indent with blanks, never tabs; a text that begins with %, @, ` or a tab needs quotes",
    ),
    (
        "could not find expected ':'",
        "each line of a mapping is `key: value`, with a blank after the colon",
    ),
    (
        "block end",
        "the keys of one mapping begin in one column; a text begins and ends with its quote",
    ),
    ("block entry", "the entries of one list begin in one column, each with `- `"),
    (
        "expected ',' or",
        "a `[` or `{` is not closed, or a comma is missing, or a text in it needs quotes",
    ),
    ("unexpected end of stream", "a quote is not closed"),
    ("document start", "the file must begin with apiVersion: in the first column"),
    ("expected alphabetic", "a text that begins with & or * needs quotes"),
    ("escape", "in double quotes \\ begins an escape: use single quotes"),
    ("block scalar", "after | or > the text begins on the next line, indented"),
)


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
        return positions(self._page.text, self.span[0], self.style, self.text)

    @property
    def is_block(self) -> bool:
        """Written below its key, after | or >."""
        return self._node.style in BLOCK_STYLES

    @property
    def span(self) -> tuple[int, int]:
        """Where it begins and ends in the text, with its quotes."""
        return int(self._node.start_mark.index), int(self._node.end_mark.index)

    @property
    def style(self) -> str:
        """Its quote, | or >, or nothing."""
        return self._node.style or ""

    def at(self, offset: int) -> tuple[int, int]:
        return self._page.position(self._indexes[min(offset, len(self.text))])

    def anchor(self, _start: int, _end: int) -> "tuple[Scalar, str]":
        """Where an author can mend these characters, and the template in which they stand."""
        return self, ""

    def finding(
        self, offset: int, code: str, message: str, hint: str = "", *spans: tuple[int, int, str]
    ) -> Finding:
        """`spans`: (start, end, note) in the text, to be marked where they stand on its line."""
        line, column = self.at(offset)
        marks = tuple(mark for span in spans if (mark := self._mark(line, *span)))
        return Finding(self.file, line, column, code, _short(message), _short(hint), marks)

    def _mark(self, line: int, start: int, end: int, note: str) -> Mark | None:
        """What of the span is on the line."""
        inside = range(start, min(end, len(self.text)))
        places = [self.at(offset) for offset in inside if not self.text[offset].isspace()]
        columns = [column for where, column in places if where == line]
        return Mark(min(columns), max(columns) + 1, note) if columns else None


class Sequence:
    def __init__(self, page: Page, node: yaml.SequenceNode) -> None:
        self._page = page
        self._node = node

    @property
    def span(self) -> tuple[int, int]:
        return int(self._node.start_mark.index), int(self._node.end_mark.index)

    @property
    def is_flow(self) -> bool:
        """Written in brackets."""
        return bool(self._node.flow_style)

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

    @property
    def span(self) -> tuple[int, int]:
        return int(self.node.start_mark.index), int(self.node.end_mark.index)

    def get(self, key: str) -> "Node | None":
        entry = self.entries.get(key)
        return entry[1] if entry else None

    def finding(self, code: str, message: str, hint: str = "") -> Finding:
        return _finding(self.page, self.node, code, message, hint)

    def unknown(self, known: Iterable[str], what: str) -> Iterator[Finding]:
        """A finding for each key that is not one of `known`."""
        for key, (scalar, _) in self.entries.items():
            if key not in known:
                yield scalar.finding(
                    0, "E002", f"{quoted(key)} is not a key of {what}", near(key, known)
                )


Node = Scalar | Sequence | Mapping


def near(word: str, known: Iterable[str]) -> str:
    """Help for a misspelt word."""
    choices = sorted(known)
    close = get_close_matches(word[:WORD_MAX], choices, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(close) + "?"
    return "known: " + ", ".join(choices) if choices else ""


def quoted(word: str) -> str:
    """A word of a file inside a message: never longer than one can read."""
    return repr(word if len(word) <= WORD_MAX else word[: WORD_MAX - 3] + "...")


def read(file: str, text: str) -> tuple[Mapping | None, list[Finding]]:
    """The top of a file, which must be a mapping, or what is wrong with it."""
    page = Page(file, text)
    if len(text) > TEXT_MAX:
        hint = "split it: the rules of a folder are one bundle"
        return None, [Finding(file, 1, 1, "E001", f"longer than {TEXT_MAX} characters", hint)]
    if strange := yaml.reader.Reader.NON_PRINTABLE.search(text):
        return None, [_strange(page, strange.start())]
    composer = _Composer(page)
    try:
        node = composer.document()
    except yaml.YAMLError as error:
        return None, composer.findings or [_broken(page, error)]
    if composer.findings:
        return None, composer.findings
    if not isinstance(node, yaml.MappingNode):
        hint = "begin with `apiVersion: sense311/v1`"
        message = "a rule file is a mapping: apiVersion, rules..."
        mark = node.start_mark if node else None
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return None, [Finding(file, *place, "E001", message, hint)]
    findings = list(_keys(page, node))
    return (None if findings else _wrap_mapping(page, node)), findings


class _Composer:
    """Events -> nodes, in one pass, refusing on the way what rule files do not have."""

    def __init__(self, page: Page) -> None:
        self.findings: list[Finding] = []
        self._page = page

    def document(self) -> yaml.Node | None:
        """The one document of a file; None when it is empty or refused before its end."""
        open_: list[yaml.CollectionNode] = []
        pending: list[list[yaml.Node]] = [[]]
        documents = nodes = 0
        for event in yaml.parse(self._page.text, Loader=_LOADER):
            documents += isinstance(event, yaml.DocumentStartEvent)
            nodes += isinstance(event, yaml.NodeEvent)
            if self._refuses(event, documents, nodes, len(open_)):
                return None
            if isinstance(event, yaml.ScalarEvent):
                pending[-1].append(_scalar(event))
            elif isinstance(event, yaml.CollectionStartEvent):
                open_.append(_opened(event))
                pending.append([])
            elif isinstance(event, yaml.CollectionEndEvent):
                node, children = open_.pop(), pending.pop()
                node.end_mark = event.end_mark
                pairs = isinstance(node, yaml.MappingNode)
                node.value = (
                    list(zip(children[::2], children[1::2], strict=True)) if pairs else children
                )
                pending[-1].append(node)
        return pending[0][0] if pending[0] else None

    def _refuses(self, event: yaml.Event, documents: int, nodes: int, depth: int) -> bool:
        """Note what is not allowed; whether to stop reading."""
        message, hint = _forbidden(event)
        if documents > 1 and isinstance(event, yaml.DocumentStartEvent):
            message, hint = "one document a file", "remove the line ---"
        too_large = nodes > NODES_MAX
        too_deep = depth >= DEPTH_MAX and isinstance(event, yaml.CollectionStartEvent)
        if too_large or too_deep:
            message = f"more than {NODES_MAX} values" if too_large else "nested too deep"
            hint = "split the file" if too_large else f"rule files nest at most {DEPTH_MAX} deep"
        if message and len(self.findings) < FINDINGS_MAX:
            mark = event.start_mark
            assert mark is not None  # the parser sets it; its type allows for others
            place = (self._page.file, mark.line + 1, mark.column + 1)
            self.findings.append(Finding(*place, "E001", message, hint))
        return too_large or too_deep or isinstance(event, yaml.AliasEvent)


def _opened(event: yaml.CollectionStartEvent) -> yaml.CollectionNode:
    is_map = isinstance(event, yaml.MappingStartEvent)
    kind: Any = yaml.MappingNode if is_map else yaml.SequenceNode
    node: yaml.CollectionNode = kind("", [], event.start_mark, event.end_mark, event.flow_style)
    return node


def _scalar(event: yaml.ScalarEvent) -> yaml.ScalarNode:
    kind: Any = yaml.ScalarNode
    node: yaml.ScalarNode = kind("", event.value, event.start_mark, event.end_mark, event.style)
    return node


def _forbidden(event: yaml.Event) -> tuple[str, str]:
    """What YAML allows and rule files do not, and what to do instead."""
    once = "write it out, or use a param or a let; a text that begins with {} needs quotes"
    if isinstance(event, yaml.AliasEvent):
        return "aliases are not allowed", once.format("*")
    if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
        return "anchors are not allowed", once.format("&")
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
        return "tags are not allowed", "remove it; a text that begins with ! needs quotes"
    return "", ""


def _keys(page: Page, node: yaml.Node) -> Iterator[Finding]:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _keys(page, item)
    if not isinstance(node, yaml.MappingNode):
        return
    seen: dict[str, int] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            hint = "a text that begins with { or [ needs quotes"
            yield _finding(page, key, "E001", "a key must be a word", hint)
        elif key.value in seen:
            first = seen[key.value]
            message = f"duplicate key {quoted(key.value)}: it is on line {first} already"
            yield _finding(page, key, "E001", message, "keep one of the two")
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
    place = (page.file, mark.line + 1, mark.column + 1)
    return Finding(*place, code, _short(message), _short(hint))


def _short(text: str) -> str:
    """What one can read: a message may quote a whole file."""
    return text if len(text) <= MESSAGE_MAX else text[: MESSAGE_MAX - 3] + "..."


def _broken(page: Page, error: yaml.YAMLError) -> Finding:
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return _strange(page, int(getattr(error, "position", 0) or 0))
    problem, mark = error.problem or "it cannot be read", error.problem_mark
    if error.context_mark and mark.index >= len(page.text.rstrip()):
        mark = error.context_mark  # what is open at the end: where it was opened
    elif error.context_mark and "expected ':'" in problem:
        mark = error.context_mark  # the line that is no key
    hint = next((hint for part, hint in _HINTS if part in problem), "see the line above it, too")
    place = (page.file, mark.line + 1, mark.column + 1)
    return Finding(*place, "E001", f"not YAML: {problem}", hint)


def _strange(page: Page, index: int) -> Finding:
    line, column = page.position(index)
    message = "not YAML: a character that text does not have"
    return Finding(page.file, line, column, "E001", message, "save the file as UTF-8 text")


def _bare_node(text: str) -> yaml.ScalarNode:
    mark = yaml.Mark("", 0, 0, 0, None, 0)
    return yaml.ScalarNode("", text, mark, mark)
