"""Adoption: the devices of one asset, rewritten in the text of its asset file.

Pure. Changes the one list and leaves every other character as it is, spaces, order and line ends
included. ValueError: the text has no such entry, or not in a form that could be changed safely.
"""

import csv
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from json import JSONDecoder
from typing import Any, NamedTuple

from gateway.inventory.asset_writing import Sheet

_value_at = JSONDecoder().raw_decode
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""As the reader of tables counts them."""
_BLANKS = re.compile(r"[ \t\n\r]*")
BOM = "\ufeff"


class _Span(NamedTuple):
    start: int
    end: int
    value: Any


def with_devices(text: str, form: str, entry: int, devices: Sequence[str]) -> str:
    """The text with these devices in an entry: the feature's number, or the last line of a row.
    `form`: "geojson" or "csv".
    """
    change = _in_table if form == "csv" else _in_collection
    return change(text, entry, devices)


# -- GeoJSON --------------------------------------------------------------------------------------


def _in_collection(text: str, number: int, devices: Sequence[str]) -> str:
    start = 1 if text.startswith(BOM) else 0
    features = _member(text, _skip(text, start), "features")
    feature = next(islice(_elements(text, features.start), number - 1, None), None)
    if feature is None:
        raise ValueError(f"there is no feature {number}")
    properties = _member(text, feature.start, "properties")
    told = json.dumps(list(devices))
    for key, span in _members(text, properties.start):
        if key == "devices":
            return text[: span.start] + told + text[span.end :]
    after = properties.start + 1
    comma = ", " if properties.value else ""
    return f'{text[:after]}"devices": {told}{comma}{text[after:]}'


def _member(text: str, at: int, wanted: str) -> _Span:
    found = None
    for key, span in _members(text, at):
        if key == wanted:
            found = span
    if found is None:
        raise ValueError(f"there is no {wanted!r} where it should be")
    return found


def _members(text: str, at: int) -> Iterator[tuple[str, _Span]]:
    """Of the object that begins there: each key, and where its value stands."""
    at = _opened(text, at, "{")
    while text[at : at + 1] != "}":
        key, end = _value_at(text, at)
        colon = _skip(text, end)
        if not isinstance(key, str) or text[colon : colon + 1] != ":":
            raise ValueError("a key without a value")
        span = _span(text, _skip(text, colon + 1))
        yield key, span
        at = _after(text, span.end, "}")


def _elements(text: str, at: int) -> Iterator[_Span]:
    at = _opened(text, at, "[")
    while text[at : at + 1] != "]":
        span = _span(text, at)
        yield span
        at = _after(text, span.end, "]")


def _opened(text: str, at: int, bracket: str) -> int:
    """The first of what stands within."""
    if text[at : at + 1] != bracket:
        raise ValueError(f"there should be a {bracket}")
    return _skip(text, at + 1)


def _after(text: str, at: int, bracket: str) -> int:
    """What follows an item: the next one, or the end."""
    at = _skip(text, at)
    if text[at : at + 1] == ",":
        return _skip(text, at + 1)
    if text[at : at + 1] != bracket:
        raise ValueError(f"there should be a {bracket}")
    return at


def _span(text: str, at: int) -> _Span:
    value, end = _value_at(text, at)
    return _Span(at, end, value)


def _skip(text: str, at: int) -> int:
    match = _BLANKS.match(text, at)
    assert match is not None
    return match.end()


# -- tables ---------------------------------------------------------------------------------------


def _in_table(text: str, line: int, devices: Sequence[str]) -> str:
    """A table without that column gets it, in every row."""
    lines = _LINES.findall(text)
    rows = [row for row in _rows(lines) if row.value]
    target = next((row for row in rows[1:] if row.end == line), None)
    if target is None:
        raise ValueError(f"no row ends at line {line}")
    first, *others = rows[0].value
    header = [first.removeprefix(BOM), *others]
    told = ";".join(devices)
    if "devices" not in header:
        added = {rows[0].end: "devices", target.end: told}
        longer = {row.end: _longer(lines, row, len(header), added.get(row.end, "")) for row in rows}
        return "".join(
            longer.get(row.end, "".join(lines[row.start : row.end])) for row in _rows(lines)
        )
    cells = [*target.value, *[""] * (len(header) - len(target.value))]
    cells[header.index("devices")] = told
    before, whole = "".join(lines[: target.start]), "".join(lines[target.start : target.end])
    end = whole[len(whole.rstrip("\r\n")) :]
    return before + _row(cells) + end + "".join(lines[target.end :])


def _rows(lines: Sequence[str]) -> Iterator[_Span]:
    """Each row from its first line (counted from 0) up to its last (from 1), and its cells."""
    reader = csv.reader(iter(lines), strict=True)
    start = 0
    try:
        for cells in reader:
            yield _Span(start, reader.line_num, cells)
            start = reader.line_num
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from None


def _longer(lines: Sequence[str], row: _Span, columns: int, cell: str) -> str:
    """The row with one more cell, which stands behind all columns."""
    whole = "".join(lines[row.start : row.end])
    body = whole.rstrip("\r\n")
    commas = "," * (1 + columns - len(row.value))
    return f"{body}{commas}{_row([cell]) if cell else ''}{whole[len(body) :]}"


def _row(cells: Sequence[str]) -> str:
    sheet = Sheet()
    csv.writer(sheet).writerow(cells)  # which quotes a cell with the characters of its line end
    return "".join(sheet).removesuffix("\r\n")
