"""The layout of a rule file: one form for what means the same, comments kept.

Keys in the order in which a rule is read, two blanks a level, a blank line between rules, long
conditions one clause a line, long texts folded. What an author may choose stays: the order of names
in `let` and `params`, lists and mappings on one line where they fit, quotes, single blank lines.
Formatting twice is formatting once, and no value changes; a comment goes with what it stands above
or beside.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rules.document import Node as YamlNode
from rules.document import Scalar, Sequence, read
from rules.finding import Finding
from rules.folding import WIDTH, Kind, key_of, one_line, written

_RULE = (
    "use", "id", "scope", "title", "doc", "fault", "mode", "with", "let", "hit", "place", "when",
    "unless", "for", "cover", "clear", "no_data", "lateness", "monotone", "identity",
    "absorbed_by", "absorbs", "file", "tests",
)  # fmt: skip
_ORDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "top": (
            "apiVersion", "template", "doc", "sensor", "owner", "params", "inputs", "rules", "rule",
        ),
        "rule": _RULE,
        "param": ("type", "default", "example", "range", "doc", "source"),
        "clear": ("when", "for"),
        "cover": ("min_samples", "max_gap"),
        "absorbs": ("rules", "hold"),
        "file": ("service", "urgent", "description", "translations"),
        "translations": ("es", "fr", "zh"),
        "test": (
            "name", "doc", "start", "every", "asset", "assets", "cabinet", "place", "vehicles",
            "feed", "expect",
        ),
        "expectation": ("at", "never", "rule", "on", "state", "filed"),
    }
)  # fmt: skip
"""What a mapping is -> the order of its keys; others come after these, as they are."""
_INSIDE: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("top", "rules"): "rule",
        ("top", "rule"): "rule",
        ("top", "params"): "names",
        ("top", "inputs"): "names",
        ("rule", "let"): "let",
        ("rule", "clear"): "clear",
        ("rule", "cover"): "cover",
        ("rule", "absorbs"): "absorbs",
        ("rule", "file"): "file",
        ("file", "translations"): "translations",
        ("rule", "tests"): "test",
        ("test", "expect"): "expectation",
    }
)
"""(what a mapping is, key) -> what stands under the key; the items of a list are what it is."""
_CONDITIONS = frozenset({("rule", "when"), ("rule", "unless"), ("rule", "hit"), ("clear", "when")})
_PROSE = frozenset({"doc", "description", "title", "because", "source", "es", "fr", "zh"})
_APART = frozenset({"params", "inputs", "rules", "rule"})
"""Top keys with a blank line before them."""
_HASH = re.compile(r"(?:^|(?<=\s))#")


@dataclass(slots=True)
class _Notes:
    """What an author wrote around an entry."""

    above: list[str] = field(default_factory=list)
    beside: str = ""
    blank: bool = False


@dataclass(slots=True)
class _Entry:
    """A key with its value, or an item of a list, which has no key."""

    key: str
    start: int
    end: int
    value: "Scalar | list[_Entry]"
    is_mapping: bool
    what: str
    """What its mapping or its items are."""
    inside: str
    """What it stands in."""
    block: bool = False
    """It was written so, or has comments inside."""
    notes: _Notes = field(default_factory=_Notes)


def layout(file: str, text: str) -> tuple[str | None, list[Finding]]:
    """The text in its one form, or what keeps it from being read."""
    top, findings = read(file, text)
    if top is None:
        return None, findings
    entries = [_entry(key, value, "top") for key, value in top.entries.values()]
    if not entries:
        return text, []
    head, tail = _annotate(text, entries, sorted(_scalars(top)))
    lines = [*head, *_mapping(_ordered(entries, "top"), 0), *tail]
    return "\n".join(lines) + "\n", []


# -- from nodes to entries ------------------------------------------------------------------------


def _entry(key: Scalar | None, value: YamlNode, inside: str) -> _Entry:
    name = key.text if key else ""
    what = inside if key is None else _INSIDE.get((inside, name), "")
    what = "param" if inside == "names" else what
    start = (key or value).span[0]
    if isinstance(value, Scalar):
        return _Entry(name, start, value.span[1], value, False, what, inside)
    if isinstance(value, Sequence):
        items = [_entry(None, item, what) for item in value.items]
        return _Entry(name, start, value.span[1], items, False, what, inside, not value.is_flow)
    entries = [_entry(*pair, what) for pair in value.entries.values()]
    block = not value.is_flow
    return _Entry(name, start, value.span[1], entries, True, what, inside, block)


def _all(entries: Iterable[_Entry]) -> Iterator[_Entry]:
    for entry in entries:
        yield entry
        if not isinstance(entry.value, Scalar):
            yield from _all(entry.value)


def _ordered(entries: list[_Entry], what: str) -> list[_Entry]:
    order = _ORDERS.get(what, ())
    ranks = {key: rank for rank, key in enumerate(order)}
    return sorted(entries, key=lambda entry: ranks.get(entry.key, len(order)))


# -- comments -------------------------------------------------------------------------------------


def _scalars(node: YamlNode) -> Iterator[tuple[int, int]]:
    """Where a # is no comment."""
    if isinstance(node, Scalar):
        yield node.span
    elif isinstance(node, Sequence):
        for item in node.items:
            yield from _scalars(item)
    else:
        for key, value in node.entries.values():
            yield key.span
            yield from _scalars(value)


def _comments(text: str, spans: list[tuple[int, int]]) -> Iterator[tuple[int, str, bool]]:
    """(index, comment, whether it has its line for itself)."""
    starts = [start for start, _ in spans]
    index = 0
    for line in text.split("\n"):
        for found in _HASH.finditer(line):
            place = index + found.start()
            before = bisect_right(starts, place) - 1
            if before >= 0 and place < spans[before][1]:
                continue
            yield place, line[found.start() :].rstrip(), not line[: found.start()].strip()
            break
        index += len(line) + 1


def _annotate(
    text: str, entries: list[_Entry], spans: list[tuple[int, int]]
) -> tuple[list[str], list[str]]:
    """Give every comment and blank line to its entry; those before all and after all come back."""
    everything = list(_all(entries))
    starts = [entry.start for entry in everything]
    head: list[tuple[int, str]] = []
    tail: list[tuple[int, str]] = []
    above: dict[int, list[tuple[int, str]]] = {}
    comments = list(_comments(text, spans))
    for entry in everything:
        entry.block |= any(entry.start < place < entry.end for place, _, _ in comments)
    for place, comment, alone in comments:
        following = bisect_left(starts, place)
        if not alone and following:
            notes = _beside(everything[:following]).notes
            notes.above += [notes.beside] if notes.beside else []
            notes.beside = comment
        elif following == 0:
            head.append((place, comment))
        elif following == len(starts):
            tail.append((place, comment))
        else:
            first = bisect_left(starts, starts[following])
            above.setdefault(first, []).append((place, comment))
    for index, found in above.items():
        everything[index].notes.above[:0] = _joined(found, text)
    for index, entry in enumerate(everything):
        if index and starts[index - 1] != entry.start:
            entry.notes.blank = _blank_before(text, above.get(index, [(entry.start, "")])[0][0])
    end = [""] if head and _blank_before(text, starts[0]) else []
    apart = [""] if tail and _blank_before(text, tail[0][0]) else []
    return _joined(head, text) + end, apart + _joined(tail, text)


def _beside(before: list[_Entry]) -> _Entry:
    """What a comment stands beside: the last entry, or the brackets that it is in."""
    last = before[-1]
    around = (e for e in before if not e.block and e.start <= last.start < e.end)
    return next(around, last)


def _joined(comments: list[tuple[int, str]], text: str) -> list[str]:
    """With one blank line where there were some."""
    lines: list[str] = []
    for place, comment in comments:
        lines += [""] if lines and _blank_before(text, place) else []
        lines.append(comment)
    return lines


def _blank_before(text: str, place: int) -> bool:
    """Whether the line above is empty."""
    start = text.rfind("\n", 0, place)
    return start > 0 and not text[text.rfind("\n", 0, start) + 1 : start].strip()


# -- from entries to lines ------------------------------------------------------------------------


def _mapping(entries: list[_Entry], indent: int) -> Iterator[str]:
    for index, entry in enumerate(entries):
        spaced = entry.inside == "top" and entry.key in _APART
        yield from _before(entry, indent, first=index == 0, spaced=spaced)
        head = f"{' ' * indent}{key_of(entry.key)}:"
        yield from _written(entry, head, indent)


def _list(entries: list[_Entry], indent: int, *, spaced: bool) -> Iterator[str]:
    for index, entry in enumerate(entries):
        yield from _before(entry, indent, first=index == 0, spaced=spaced)
        yield from _item(entry, indent)


def _before(entry: _Entry, indent: int, *, first: bool, spaced: bool) -> Iterator[str]:
    if not first and (spaced or entry.notes.blank):
        yield ""
    for line in entry.notes.above:
        yield " " * indent + line if line else ""


def _written(entry: _Entry, head: str, indent: int) -> Iterator[str]:
    beside = f"  {entry.notes.beside}" if entry.notes.beside else ""
    if isinstance(entry.value, Scalar):
        first, *rest = written(entry.value, _kind(entry), len(head) + 1, indent + 2)
        yield f"{head} {first}".rstrip() + beside
        yield from rest
        return
    flow = _flow(entry)
    if flow is not None and len(head) + 1 + len(flow) <= WIDTH:
        yield f"{head} {flow}{beside}"
        return
    yield head + beside
    yield from _block(entry, indent + 2)


def _kind(entry: _Entry) -> Kind:
    if (entry.inside, entry.key) in _CONDITIONS or entry.inside == "let":
        return Kind.CONDITION
    return Kind.PROSE if entry.key in _PROSE else Kind.WORD


def _block(entry: _Entry, indent: int) -> Iterator[str]:
    assert not isinstance(entry.value, Scalar)
    if entry.is_mapping:
        return _mapping(_ordered(entry.value, entry.what), indent)
    return _list(entry.value, indent, spaced=entry.inside == "top")


def _item(entry: _Entry, indent: int) -> Iterator[str]:
    dash = " " * indent + "-"
    beside = f"  {entry.notes.beside}" if entry.notes.beside else ""
    if isinstance(entry.value, Scalar):
        yield from _written(entry, dash, indent)
        return
    flow = _flow(entry)
    if flow is not None and len(dash) + 1 + len(flow) <= WIDTH:
        yield f"{dash} {flow}{beside}"
        return
    lines = list(_block(entry, indent + 2))
    bare = next(i for i, line in enumerate(lines) if line and not line.lstrip().startswith("#"))
    yield from (line[2:] for line in lines[:bare])
    yield f"{dash} {lines[bare][indent + 2 :]}{beside}"
    yield from lines[bare + 1 :]


def _flow(entry: _Entry) -> str | None:
    """On one line, if it was written so and nothing speaks against it."""
    if entry.block or isinstance(entry.value, Scalar):
        return None
    parts = []
    for part in _ordered(entry.value, entry.what) if entry.is_mapping else entry.value:
        inner = part.value
        said = (
            one_line(inner, _kind(part), in_flow=True) if isinstance(inner, Scalar) else _flow(part)
        )
        if said is None:
            return None
        parts.append(f"{key_of(part.key)}: {said}".rstrip() if entry.is_mapping else said)
    return ("{" + ", ".join(parts) + "}") if entry.is_mapping else ("[" + ", ".join(parts) + "]")
