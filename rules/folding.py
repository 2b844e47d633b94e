"""How one text of a rule file is written: after its key, folded, or line by line.

Guarantees that YAML reads back what stood there, but for blanks between the words of a condition.
A condition is folded before `and` and `or`, prose between words; what fits on a line is on one.
"""

import json
import re
from enum import Enum
from itertools import pairwise
from textwrap import wrap

from rules.document import Scalar, read

WIDTH = 100
_QUOTED = re.compile(r"(\"[^\"]*\"|'[^']*')")
_JOINT = re.compile(r"(?<![\w.])(?:and|or)(?![\w.])")


class Kind(Enum):
    """What a text is."""

    CONDITION = "condition"
    PROSE = "prose"
    WORD = "word"


def key_of(key: str) -> str:
    """A key, in quotes where YAML needs them."""
    return key if _reads_as(key, key, "{}: x") else json.dumps(key, ensure_ascii=False)


def written(value: Scalar, kind: Kind, column: int, indent: int) -> list[str]:
    """The lines of a text: the first comes after its key."""
    one = one_line(value, kind, in_flow=False)
    if one is not None and column + len(one) <= WIDTH:
        return [one]
    if value.style == "|" or "\n" in value.text:
        return _literal(value, indent)
    pieces = _folds(value, kind, WIDTH - indent)
    if len(pieces) > 1 and all(piece == piece.strip() for piece in pieces):
        return [">-", *(" " * indent + piece for piece in pieces)]
    return [one if one is not None else json.dumps(value.text, ensure_ascii=False)]


def _literal(value: Scalar, indent: int) -> list[str]:
    """Line by line as it was, where YAML can say it so."""
    body = value.text.rstrip("\n")
    ends = len(value.text) - len(body)
    lines = body.split("\n")
    if (
        ends > 1
        or value.text.startswith((" ", "\n"))
        or any(not line.isprintable() for line in lines)
    ):
        return [json.dumps(value.text, ensure_ascii=False)]
    return [
        "|" if ends else "|-",
        *((" " * indent + line).rstrip(" ") if not line else " " * indent + line for line in lines),
    ]


def one_line(value: Scalar, kind: Kind, *, in_flow: bool) -> str | None:
    """None: it has lines of its own."""
    text = _tidy(value.text) if kind is Kind.CONDITION else value.text
    if "\n" in text or value.style == "|":
        return None
    frame = "{{x: {}}}" if in_flow else "x: {}"
    if value.style not in ("'", '"') and _reads_as(text, text, frame):
        return text
    double = json.dumps(text, ensure_ascii=False)
    if "\\" in double and "'" not in text and _reads_as(f"'{text}'", text, frame):
        return f"'{text}'"
    return double


def _reads_as(said: str, text: str, frame: str) -> bool:
    """Whether YAML reads the text back from what would be written."""
    top, _ = read("", frame.format(said) + "\n")
    if top is None or len(top.entries) != 1:
        return False
    ((key, value),) = top.entries.values()
    return (key.text if frame == "{}: x" else getattr(value, "text", None)) == text


def _tidy(text: str) -> str:
    """A condition with single blanks, but for its quoted texts."""
    parts = _QUOTED.split(text.strip())
    return "".join(
        part if index % 2 else re.sub(r"\s+", " ", part) for index, part in enumerate(parts)
    )


def _folds(value: Scalar, kind: Kind, width: int) -> list[str]:
    if kind is Kind.CONDITION:
        return _clauses(_tidy(value.text))
    if kind is Kind.PROSE and "  " not in value.text:
        return wrap(value.text, width, break_long_words=False, break_on_hyphens=False)
    return [value.text]


def _clauses(text: str) -> list[str]:
    """A condition, cut before each `and` and `or` that is in no brackets or quotes."""
    plain = _QUOTED.sub(lambda found: "x" * len(found.group()), text)
    cuts = [
        found.start() for found in _JOINT.finditer(plain) if _depth(plain[: found.start()]) == 0
    ]
    ends = [0, *cuts, len(text)]
    return [text[start:end].strip() for start, end in pairwise(ends) if text[start:end].strip()]


def _depth(text: str) -> int:
    return sum(text.count(sign) for sign in "([") - sum(text.count(sign) for sign in ")]")
