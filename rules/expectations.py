"""What a test expects: `{at: +25min, state: firing, filed: 1}` -> Expectation.

Guarantees that each is about a time within the test, a rule and an asset that are there and words
that have a meaning. Decides nothing: whether it holds is seen when the case is run.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from rules import settings
from rules.case import Case, Expectation
from rules.document import Mapping as YamlMapping
from rules.document import Node as YamlNode
from rules.document import Scalar, Sequence
from rules.expression import constant
from rules.feeds import Part
from rules.functions import duration_ms
from rules.names import Names
from rules.stands import which
from rules.syntax import Refused
from rules.tree import Fault

KEYS = (
    "at", "state", "filed", "service", "absorbed", "incident", "never", "on", "rule", "says",
    "because",
)  # fmt: skip
STATES = ("ok", "pending", "firing", "clearing", "blind")
NEVER = ("pending", "firing", "clearing", "blind", "filed")
INCIDENTS = (
    "none", "open", "sensor_clear", "held", "queued", "absorbed", "noted", "withdrawn",
)  # fmt: skip
"""Of the last incident: still open, seen to be over by the sensor, or its state."""
_ABOUT_WHAT = ("state", "filed", "service", "absorbed", "incident", "says")
_COUNT_MAX = 100_000
_SERVICE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_WHEN = re.compile(r"(end)?\s*(?:\+\s*(.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class About:
    """The test that it stands in."""

    case: Case
    """Without its expectations."""
    rules: Collection[str]
    span_ms_max: int
    names: Names


def expectation(node: YamlNode, about: About) -> Expectation:
    """Raises Refused."""
    entries = settings.mapping(node, KEYS, "an expectation")
    never = entries.get("never")
    asked = [key for key in _ABOUT_WHAT if key in entries.entries]
    if never is None and not asked:
        message = "an expectation says what is expected"
        raise Refused(entries.finding("E003", message, "keys: never, " + ", ".join(_ABOUT_WHAT)))
    if never is not None and (asked or "at" in entries.entries):
        key = entries.entries["never"][0]
        message = "`never` is about the whole test: it stands without `at` and other keys"
        raise Refused(key.finding(0, "E005", message, "make it an expectation of its own"))
    at = None if never is not None else settings.required(entries, "at", "an expectation")
    return Expectation(
        line=_line(entries),
        text=_shown(entries),
        at_ms=None if at is None else _instant(settings.text(at, "at"), about),
        rule=_chosen(entries, "rule", about.rules),
        on=_asset(entries, about),
        state=_chosen(entries, "state", STATES),
        filed=_count(entries, "filed", about),
        service=_word(entries, "service"),
        absorbed=_count(entries, "absorbed", about),
        incident=_chosen(entries, "incident", INCIDENTS),
        says=_text(entries, "says"),
        never=() if never is None else _never(never),
    )


def _line(entries: YamlMapping) -> int:
    return next(iter(entries.entries.values()))[0].line


def _shown(entries: YamlMapping) -> str:
    """On one line; what is long was shown where it stands."""
    parts = []
    for key, (_, node) in entries.entries.items():
        said = node.text if isinstance(node, Scalar) else "[...]"
        parts.append(f"{key}: {said}")
    return ", ".join(parts)[:200]


def _instant(scalar: Scalar, about: About) -> int:
    match = _WHEN.fullmatch(scalar.text)
    if match is None or not (match[1] or match[2]):
        message = f"`at` is a time such as +25min, end or end + 10min, not `{scalar.text[:64]}`"
        raise Refused(scalar.finding(0, "E005", message))
    later_ms = 0
    if match[2]:
        part = Part(scalar, match.start(2), match.end(2))
        later_ms = _duration(part, about.names)
    at_ms = (about.case.end_ms if match[1] else about.case.start_ms) + later_ms
    if at_ms - about.case.start_ms > about.span_ms_max:
        raise Refused(scalar.finding(0, "E005", "a test may run for 60 d of its own time"))
    return at_ms


def _duration(part: Part, names: Names) -> int:
    try:
        value = duration_ms(constant(part, names), "at")
    except Fault:
        message = f"`at` is a time such as +25min, not `{part.text[:64]}`"
        raise Refused(part.finding(0, "E005", message)) from None
    if value < 0 or value.denominator != 1:
        raise Refused(part.finding(0, "E005", "`at` must be whole milliseconds, and not before 0"))
    return int(value)


def _chosen(entries: YamlMapping, key: str, choices: Collection[str]) -> str | None:
    node = entries.get(key)
    return None if node is None else settings.choice(node, choices, key)


def _asset(entries: YamlMapping, about: About) -> str | None:
    node = entries.get("on")
    if node is None:
        return None
    return which(settings.text(node, "on"), [stand.id for stand in about.case.stands])


def _count(entries: YamlMapping, key: str, about: About) -> int | None:
    node = entries.get(key)
    return None if node is None else settings.whole(node, about.names, key, 0, _COUNT_MAX)


def _word(entries: YamlMapping, key: str) -> str | None:
    node = entries.get(key)
    return None if node is None else settings.word(node, f"a {key}", _SERVICE).text


def _text(entries: YamlMapping, key: str) -> str | None:
    node = entries.get(key)
    return None if node is None else settings.text(node, key).text


def _never(node: YamlNode) -> tuple[str, ...]:
    """`never: firing` or `never: [pending, filed]`."""
    items = settings.words(node, "never") if isinstance(node, Sequence) else [node]
    return tuple(settings.choice(item, NEVER, "never") for item in items)
