"""Where each character of a YAML text value stands in its file.

Pure, from the source alone. Folded lines, doubled quotes and escapes stand for other characters
than those in the file; this room owns the way back, for every style in which a text can be written.
It reads no YAML: what the value is, the parser has said.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

BLOCK_STYLES = ("|", ">")
QUOTES = ("'", '"')
_BROKEN_LINES = re.compile(r"(?:\\\r?\n[ \t]*)*")
"""In double quotes: line breaks that stand for nothing."""
_FOLD = re.compile(r"\s*")
_ESCAPE_LENGTHS: Mapping[str, int] = MappingProxyType({"x": 4, "u": 6, "U": 10})
_ESCAPE_LENGTH = 2  # all others: \n, \", \\
_NOT_ITSELF: Mapping[str, str] = MappingProxyType({"'": "'", '"': "\\"})
"""The character that stands for more than itself; all others do where they come next."""


def positions(source: str, start: int, style: str, text: str) -> list[int]:
    """The index in `source` of each character of a value, and of its end. `start`: where the value
    begins, with its quote or | or >.
    """
    place = start
    if style in BLOCK_STYLES:
        place = source.find("\n", start) + 1
    elif style in QUOTES:
        place = start + 1
    found = []
    not_itself = _NOT_ITSELF.get(style)
    for character in text:
        after = place + 1
        if source[place:after] != character or character == not_itself:
            place, after = _next(source, place, character, style)
        found.append(place)
        place = after
    return [*found, place]


def _next(source: str, place: int, character: str, style: str) -> tuple[int, int]:
    """Where `character` is from `place` on, and where what comes after it may begin."""
    is_blank = character.isspace()
    if not is_blank:
        place = _end_of(_FOLD, source, place)
    if style == '"':
        place = _end_of(_BROKEN_LINES, source, place)
        if source.startswith("\\", place):
            return place, place + _ESCAPE_LENGTHS.get(source[place + 1], _ESCAPE_LENGTH)
    if is_blank:
        return place, place + 1
    found = max(place, source.find(character, place))
    return found, found + (2 if style == character == "'" else 1)


def _end_of(pattern: re.Pattern[str], source: str, place: int) -> int:
    found = pattern.match(source, place)
    return found.end() if found else place
