"""What a new bundle would change: rules added, removed, changed, and whose state it would keep.

Pure, on two bundles as they were loaded. A change names every part that differs, with its words
before and after; layout, comments and the order of files are no change. What is running now is not
known here: who holds the store adds it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, NamedTuple

from rules.rule import LANGUAGES, Bundle, Condition, Filing, PlaceShape, Rule, Template
from rules.tree import canonical

DERIVED = frozenset(
    {
        "cases",
        "id",
        "monotone",
        "notes",
        "on_tick",
        "origins",
        "silence_ms_min",
        "memory_ms",
        "slots",
        "source",
        "state_hash",
    }
)
"""Fields that follow from the others, say only where the rule stands, or are its tests."""
NONE = "none"
_KEYS = {
    "clear": "clear.when", "for_ms": "for", "clear_for_ms": "clear.for",
    "samples_min": "cover.min_samples", "gap_ms_max": "cover.max_gap",
    "blind_after_ms": "no_data.hold", "lateness_ms": "lateness", "hold_ms": "wait for a parent",
}  # fmt: skip
_TEXTS = frozenset(
    {"title", "doc", "fault", "template", "owner", "file.description"}
    | {f"translations.{language}" for language in LANGUAGES}
)
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Part(NamedTuple):
    """One key of a rule, in the words of its file. The same words may mean something else now:
    then a let or a param behind them has changed.
    """

    key: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    rule: str
    kind: Kind
    parts: tuple[Part, ...] = ()
    keeps_state: bool = False
    """Timers in progress go on; otherwise the rule begins quiet everywhere."""

    @property
    def only_texts(self) -> bool:
        """Only what people read: no other moment of firing, no other service."""
        return self.kind is Kind.CHANGED and {part.key for part in self.parts} <= _TEXTS

    def to_dict(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "change": str(self.kind),
            "parts": [part._asdict() for part in self.parts],
            "only_texts": self.only_texts,
            "state": "kept" if self.keeps_state else "reset",
        }


def changes(old: Bundle, new: Bundle) -> list[Change]:
    """From the rules in force to others, by rule."""
    found = []
    for rule_id in sorted({*old.rules, *new.rules}):
        before, after = old.rules.get(rule_id), new.rules.get(rule_id)
        if before is None:
            found.append(Change(rule_id, Kind.ADDED))
        elif after is None:
            found.append(Change(rule_id, Kind.REMOVED))
        else:
            parts = tuple(_parts(before, after))
            same_state = before.state_hash == after.state_hash
            if parts or not same_state:
                found.append(Change(rule_id, Kind.CHANGED, parts, same_state))
    return found


def _parts(before: Rule, after: Rule) -> Iterator[Part]:
    for field in fields(Rule):
        if field.name in DERIVED:
            continue
        was = _told(field.name, getattr(before, field.name))
        will = _told(field.name, getattr(after, field.name))
        for key in dict.fromkeys([*was, *will]):
            (old_meaning, old_words), (new_meaning, new_words) = (
                was.get(key, (NONE, NONE)),
                will.get(key, (NONE, NONE)),
            )
            if old_meaning != new_meaning:
                yield Part(key, old_words, new_words)


def _told(name: str, value: Any) -> dict[str, tuple[str, str]]:
    """A field as keys of the file -> (what it means, its words)."""
    key = _KEYS.get(name, name)
    if isinstance(value, Condition):
        words = " ".join(value.text.split())
        return {key: (canonical(value.tree) if value.tree else words, words)}
    if isinstance(value, Filing | PlaceShape):
        inner = {part.name: getattr(value, part.name) for part in fields(value)}
        return {f"{key}.{k}": told for n, v in inner.items() for k, told in _told(n, v).items()}
    if isinstance(value, Mapping):
        told = {n: _words(name, v) if isinstance(v, Template) else str(v) for n, v in value.items()}
        return {f"{key}.{n}": (words, words) for n, words in told.items()}
    words = _words(name, value)
    return {key: (words, words)}


def _words(name: str, value: Any) -> str:
    if isinstance(value, Template):
        return value.text
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or NONE
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _duration(value) if "_ms" in name else str(value)


def _duration(ms: int) -> str:
    """In the largest unit that leaves no fraction: 15min, 90s."""
    for unit_ms, unit in _UNITS:
        if ms % unit_ms == 0 and ms >= unit_ms:
            return f"{ms // unit_ms}{unit}"
    return "0s"
