"""The entries of asset files, one at a time: GeoJSON features or rows of a table.

Owns the two formats and no meaning: what is no entry at all is a finding with its place, what an
entry says is for `gateway.assets` to judge. A large city is never in memory as text and as tree.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from rules.finding import Finding

FILE_BYTES_MAX = 512 * 1024 * 1024


class Row(NamedTuple):
    """One asset as a file has it; `line` is the feature's number, or the line of a table."""

    file: str
    line: int
    properties: Any
    lat: float
    lon: float


def rows(path: Path, findings: list[Finding]) -> Iterator[Row]:
    """The entries of a file."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            help_ = f"at most {FILE_BYTES_MAX >> 20} MiB; split it into several files"
            findings.append(Finding(str(path), 1, 1, "E301", "too large", help_))
            return
        text = path.read_bytes().decode("utf-8-sig")  # tables come out of spreadsheets
    except (OSError, UnicodeDecodeError) as error:
        findings.append(Finding(str(path), 1, 1, "E301", f"cannot read: {error}"))
        return
    parse = _csv_rows if path.suffix.lower() == ".csv" else _geojson_rows
    yield from parse(str(path), text, findings)


class _Collection(msgspec.Struct):
    features: list[msgspec.Raw]


_read_collection = msgspec.json.Decoder(_Collection).decode
_read_feature = msgspec.json.Decoder().decode


def _features(text: str) -> Iterable[Any] | None:
    """The features, made one by one; all at once where the text is bent (a NaN, say), so that the
    finding can name the feature.
    """
    try:
        return map(_read_feature, _read_collection(text).features)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        features = json.loads(text)["features"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return features if isinstance(features, list) else None


def _geojson_rows(file: str, text: str, findings: list[Finding]) -> Iterator[Row]:
    features = _features(text)
    if features is None:
        help_ = "a FeatureCollection of Points, one feature an asset"
        findings.append(Finding(file, 1, 1, "E302", "not GeoJSON", help_))
        return
    for number, feature in enumerate(features, 1):
        try:
            lon, lat = feature["geometry"]["coordinates"][:2]
            if isinstance(lat, bool | str) or isinstance(lon, bool | str):
                raise TypeError  # noqa: TRY301
            yield Row(file, number, feature["properties"], float(lat), float(lon))
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            help_ = '"geometry": {"type": "Point", "coordinates": [longitude, latitude]}'
            findings.append(Finding(file, number, 1, "E303", "feature without a point", help_))


_LISTS = ("devices", "dim_curve", "pickup")


def _csv_rows(file: str, text: str, findings: list[Finding]) -> Iterator[Row]:
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            row = next(table, None)
            if row is None:
                return
            yield _csv_row(file, table.line_num, row)
        except csv.Error as error:
            findings.append(Finding(file, table.line_num + 1, 1, "E302", f"not CSV: {error}"))
            return
        except (KeyError, ValueError, RecursionError) as error:
            help_ = "columns lat and long hold degrees; devices are separated by ;"
            message = f"bad row: {error}"
            findings.append(Finding(file, table.line_num, 1, "E303", message, help_))


def _csv_row(file: str, line: int, row: Mapping[Any, Any]) -> Row:
    if None in row:
        raise ValueError("more cells than columns")
    cells: dict[str, Any] = {key: cell for key, cell in row.items() if cell not in (None, "")}
    lat = float(cells.pop("lat"))
    lon = float(cells.pop("long") if "long" in cells else cells.pop("lon"))
    for key in _LISTS:
        text = cells.get(key)
        if text is not None:
            cells[key] = json.loads(text) if text[0] in "[{" else text.split(";")
    return Row(file, line, cells, lat, lon)
