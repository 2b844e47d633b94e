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
_BYTE_ORDER_MARK = "\ufeff"
_TAGGED = (yaml.ScalarEvent, yaml.CollectionStartEvent)
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
        self.skipped = int(text.startswith(_BYTE_ORDER_MARK))
        """Characters that the parser does not count and nobody sees."""
        lengths = (len(line) + 1 for line in text.split("\n"))
        self._starts = [0, *accumulate(lengths)][:-1]

    def position(self, index: int) -> tuple[int, int]:
        """(line, column) of a character, both from 1."""
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + (0 if self.skipped and line == 1 else 1)

    def place(self, index: int) -> tuple[str, int, int]:
        """File, line and column of what the parser calls by this index. Its own lines are not those
        of an editor.
        """
        return self.file, *self.position(index + self.skipped)


class Scalar:
    """A text value and where each of its characters stands."""

    def __init__(self, page: Page, text: str, span: tuple[int, int], style: str = "") -> None:
        self.page = page
        self.text = text
        self.span = span
        """Where it begins and ends in the file, with its quotes."""
        self.style = style
        """Its quote, | or >, or nothing."""

    @classmethod
    def of(cls, text: str, file: str = "expression") -> "Scalar":
        """A text that is in no YAML file."""
        return cls(Page(file, text), text, (0, len(text)))

    @property
    def file(self) -> str:
        return self.page.file

    @property
    def line(self) -> int:
        return self.at(0)[0]

    @cached_property
    def _indexes(self) -> list[int]:
        """The place in the file of each character: blanks may have been folded, quotes doubled."""
        return positions(self.page.text, self.span[0], self.style, self.text)

    @property
    def is_block(self) -> bool:
        """Written below its key, after | or >."""
        return self.style in BLOCK_STYLES

    def at(self, offset: int) -> tuple[int, int]:
        return self.page.position(self._indexes[min(offset, len(self.text))])

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


class _Collection:
    """What lists and mappings have in common."""

    page: Page
    span: tuple[int, int]

    def finding(self, code: str, message: str, hint: str = "") -> Finding:
        place = (self.page.file, *self.page.position(self.span[0]))
        return Finding(*place, code, _short(message), _short(hint))


@dataclass(slots=True)
class Sequence(_Collection):
    page: Page
    span: tuple[int, int]
    is_flow: bool
    """Written in brackets."""
    items: list["Node"]


@dataclass(slots=True)
class Mapping(_Collection):
    """Keys in order; duplicates have been refused."""

    page: Page
    span: tuple[int, int]
    is_flow: bool
    """Written in braces."""
    entries: dict[str, tuple[Scalar, "Node"]]

    def get(self, key: str) -> "Node | None":
        entry = self.entries.get(key)
        return entry[1] if entry else None

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
        top = composer.document()
    except yaml.YAMLError as error:
        return None, composer.findings or [_broken(page, error)]
    findings = composer.findings or composer.key_findings
    if findings:
        return None, findings
    if isinstance(top, Mapping):
        return top, []
    hint = "begin with `apiVersion: sense311/v1`"
    message = "a rule file is a mapping: apiVersion, rules..."
    place = page.position(top.span[0]) if top else (1, 1)
    return None, [Finding(file, *place, "E001", message, hint)]


class _Composer:
    """Events -> nodes, in one pass, refusing on the way what rule files do not have."""

    def __init__(self, page: Page) -> None:
        self.findings: list[Finding] = []
        self.key_findings: list[Finding] = []
        """Told only of a file in which nothing else is wrong."""
        self._page = page
        self._nodes = self._documents = 0

    def document(self) -> "Node | None":
        """The one document of a file; None when it is empty or refused before its end."""
        opened: list[yaml.CollectionStartEvent] = []
        children: list[list[Node]] = [[]]
        for event in yaml.parse(self._page.text, Loader=_LOADER):
            if self._refuses(event, len(opened)):
                return None
            if isinstance(event, yaml.ScalarEvent):
                children[-1].append(self._scalar(event))
            elif isinstance(event, yaml.CollectionStartEvent):
                opened.append(event)
                children.append([])
            elif isinstance(event, yaml.CollectionEndEvent):
                node = self._collection(opened.pop(), event, children.pop())
                children[-1].append(node)
        return children[0][0] if children[0] else None

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        return Scalar(self._page, event.value, self._span(event, event), event.style or "")

    def _collection(
        self, start: yaml.CollectionStartEvent, end: yaml.Event, children: list["Node"]
    ) -> "Node":
        place = (self._page, self._span(start, end), bool(start.flow_style))
        if isinstance(start, yaml.SequenceStartEvent):
            return Sequence(*place, children)
        return Mapping(*place, self._entries(children[::2], children[1::2]))

    def _entries(
        self, keys: list["Node"], values: list["Node"]
    ) -> dict[str, tuple[Scalar, "Node"]]:
        entries: dict[str, tuple[Scalar, Node]] = {}
        for key, value in zip(keys, values, strict=True):
            if not isinstance(key, Scalar):
                hint = "a text that begins with { or [ needs quotes"
                self.key_findings.append(key.finding("E001", "a key must be a word", hint))
            elif key.text in entries:
                first = entries[key.text][0].line
                message = f"duplicate key {quoted(key.text)}: it is on line {first} already"
                self.key_findings.append(key.finding(0, "E001", message, "keep one of the two"))
            else:
                entries[key.text] = (key, value)
        return entries

    def _refuses(self, event: yaml.Event, depth: int) -> bool:
        """Note what is not allowed; whether to stop reading."""
        message = hint = ""
        if isinstance(event, yaml.NodeEvent):
            self._nodes += 1
            message, hint = _forbidden(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                message, hint = "one document a file", "remove the line ---"
        too_large = self._nodes > NODES_MAX
        too_deep = depth >= DEPTH_MAX and isinstance(event, yaml.CollectionStartEvent)
        if too_large or too_deep:
            message = f"more than {NODES_MAX} values" if too_large else "nested too deep"
            hint = "split the file" if too_large else f"rule files nest at most {DEPTH_MAX} deep"
        if message and len(self.findings) < FINDINGS_MAX:
            mark = event.start_mark
            assert mark is not None  # the parser sets it; its type allows for others
            self.findings.append(Finding(*self._page.place(mark.index), "E001", message, hint))
        return too_large or too_deep or isinstance(event, yaml.AliasEvent)

    def _span(self, start: yaml.Event, end: yaml.Event) -> tuple[int, int]:
        assert start.start_mark is not None
        assert end.end_mark is not None
        shift = self._page.skipped
        return start.start_mark.index + shift, end.end_mark.index + shift


def _forbidden(event: yaml.NodeEvent) -> tuple[str, str]:
    """What YAML allows and rule files do not, and what to do instead."""
    once = "write it out, or use a param or a let; a text that begins with {} needs quotes"
    if isinstance(event, yaml.AliasEvent):
        return "aliases are not allowed", once.format("*")
    if event.anchor is not None:
        return "anchors are not allowed", once.format("&")
    if isinstance(event, _TAGGED) and event.tag:
        return "tags are not allowed", "remove it; a text that begins with ! needs quotes"
    return "", ""


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
    return Finding(*page.place(mark.index), "E001", f"not YAML: {problem}", hint)


def _strange(page: Page, index: int) -> Finding:
    line, column = page.position(index)
    message = "not YAML: a character that text does not have"
    return Finding(page.file, line, column, "E001", message, "save the file as UTF-8 text")
