"""A city's CSV becomes a recording and a register of assets, by a mapping.

Every row becomes one message or is counted with its row number and reason; exact duplicates are
kept, for real exports have them and the gateway must cope. Messages are in order of time, rows of
one time in the order of the file. A bad row never stops the others.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from simulators.mapping import NAME, Finding, Match, Number, TableMapping, When, load_mapping
from simulators.wire import EPOCH, Message, encode, parse_rfc3339, rfc3339

BAD_ROWS_SHOWN_MAX = 100  # a wrong mapping makes every row bad; the first ones tell why


@dataclass(slots=True)
class Imported:
    """`ok` false: nothing was read, `findings` say why. `bad_rows` counts all, `findings` hold the
    first of them.
    """

    ok: bool = True
    rows: int = 0
    skipped: int = 0
    bad_rows: int = 0
    messages: list[Message] = field(default_factory=list)
    assets: dict[str, Any] | None = None
    findings: list[Finding] = field(default_factory=list)

    def bad(self, finding: Finding) -> None:
        self.bad_rows += 1
        if self.bad_rows <= BAD_ROWS_SHOWN_MAX:
            self.findings.append(finding)


class BadRowError(ValueError):
    """One row cannot be used; the message says why."""


def from_csv(mapping_path: Path, table_path: Path) -> Imported:
    """Reads both files. Findings instead of exceptions for all that can be wrong inside them;
    OSError where one cannot be opened.
    """
    try:
        mapping, findings = load_mapping(
            str(mapping_path), mapping_path.read_text(encoding="utf-8")
        )
    except UnicodeDecodeError:
        return _refused(Finding(str(mapping_path), "file", "is not UTF-8"))
    if mapping is None:
        return Imported(ok=False, findings=findings)
    with table_path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file, delimiter=mapping.delimiter)
        return convert(mapping, str(table_path), reader.fieldnames or (), _rows(reader))


def _rows(reader: "csv.DictReader[str]") -> Iterator[tuple[int, Mapping[str, str | None]]]:
    for row in reader:
        yield reader.line_num, row


def _refused(finding: Finding) -> Imported:
    return Imported(ok=False, findings=[finding])


def convert(
    mapping: TableMapping,
    file: str,
    columns: Iterable[str],
    rows: Iterable[tuple[int, Mapping[str, str | None]]],
) -> Imported:
    """`rows`: (line number, column -> text; None where the row is too short)."""
    columns = list(columns)
    missing = sorted(mapping.columns() - set(columns))
    if missing:
        hint = "the file has: " + ", ".join(columns)
        return _refused(Finding(file, "header", f"no column {missing[0]!r}", hint))
    result, features = Imported(), dict[str, dict[str, Any]]()
    for line, row in rows:
        result.rows += 1
        try:
            whole = _whole(row)
            if not _wanted(mapping, whole):
                result.skipped += 1
                continue
            result.messages.append(_message(mapping, whole))
            _note_asset(mapping, whole, features)
        except BadRowError as error:
            result.bad(Finding(file, f"row {line}", str(error)))
    result.messages.sort(key=lambda message: message.t_ms)
    if mapping.asset is not None:
        result.assets = {"type": "FeatureCollection", "features": list(features.values())}
    return result


def _whole(row: Mapping[str, str | None]) -> dict[str, str]:
    """DictReader gives None for missing cells and keeps surplus ones under None."""
    cells = {key: value for key, value in row.items() if isinstance(value, str)}
    if len(cells) != len(row):
        raise BadRowError("has more or fewer cells than the header")
    return cells


def _wanted(mapping: TableMapping, row: Mapping[str, str]) -> bool:
    if any(_matches(match, row) for match in mapping.skip):
        return False
    return not mapping.keep or any(_matches(match, row) for match in mapping.keep)


def _matches(match: Match, row: Mapping[str, str]) -> bool:
    return row[match.column].strip() in match.equals


def _message(mapping: TableMapping, row: Mapping[str, str]) -> Message:
    ts_ms = read_time(mapping.when, row[mapping.when.column].strip())
    zone = _name("zone", mapping.zone.fill(row))
    device = _name("device", mapping.device.fill(row))
    values = dict(mapping.constants) | dict(_values(mapping.values, row))
    if not values:
        raise BadRowError("has no value at all")
    body: dict[str, Any] = {"ts": rfc3339(ts_ms)}
    if mapping.seq is not None:
        body |= {"boot": mapping.boot, "seq": _whole_number(mapping.seq, row[mapping.seq])}
    body["values"] = values
    if mapping.loc is not None:
        body["loc"] = [_number(Number(column), row) for column in mapping.loc]
    if mapping.sim:
        body["sim"] = True
    return Message(ts_ms, f"city/v1/{zone}/{mapping.kind}/{device}/telemetry", encode(body))


def _values(
    numbers: Mapping[str, Number], row: Mapping[str, str]
) -> Iterator[tuple[str, float | int]]:
    for name, number in numbers.items():
        if number.skip_blank and not row[number.column].strip():
            continue
        yield name, _number(number, row)


def _number(number: Number, row: Mapping[str, str]) -> float | int:
    text = row[number.column].strip()
    try:
        value = float(text) * number.scale + number.offset
    except ValueError:
        raise BadRowError(f"{number.column}: {text!r} is no number") from None
    if not math.isfinite(value):
        raise BadRowError(f"{number.column}: {text!r} is no finite number")
    value = round(value, 9)  # 0.1 * 3 is 0.3 to the reader of the table
    return int(value) if value.is_integer() else value


def _whole_number(column: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadRowError(f"{column}: {text!r} is no whole number") from None


def _name(what: str, text: str) -> str:
    if not NAME.fullmatch(text):
        raise BadRowError(f"{what} {text!r} is not 1 to 64 letters, digits, _ and -")
    return text


def read_time(when: When, text: str) -> int:
    """A table's time as milliseconds since the epoch. Raises BadRowError."""
    try:
        if when.format == "rfc3339":
            return parse_rfc3339(text)
        if when.format in ("unix_s", "unix_ms"):
            return round(float(text) * (1000 if when.format == "unix_s" else 1))
        moment = datetime.strptime(text, when.format)  # noqa: DTZ007 (the zone follows)
        if when.at is not None:
            moment = moment.replace(hour=when.at.hour, minute=when.at.minute)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=when.zone)
        return round((moment - EPOCH).total_seconds() * 1000)
    except (ValueError, OverflowError, TypeError):
        raise BadRowError(f"{when.column}: {text!r} is no time as {when.format!r}") from None


def _note_asset(
    mapping: TableMapping, row: Mapping[str, str], features: dict[str, dict[str, Any]]
) -> None:
    """The first row of an asset describes it; later ones may add devices."""
    if mapping.asset is None:
        return
    asset_id = _name("asset", mapping.asset.id.fill(row))
    device = mapping.device.fill(row)
    feature = features.get(asset_id)
    if feature is None:
        features[asset_id] = _feature(mapping, asset_id, device, row)
    elif device not in feature["properties"]["devices"]:
        feature["properties"]["devices"].append(device)


def _feature(
    mapping: TableMapping, asset_id: str, device: str, row: Mapping[str, str]
) -> dict[str, Any]:
    asset = mapping.asset
    assert asset is not None
    lon, lat = (
        _number(Number(at), row) if isinstance(at, str) else at for at in (asset.lon, asset.lat)
    )
    properties = {
        "asset_id": asset_id, "kind": mapping.kind, "zone": mapping.zone.fill(row),
        "devices": [device], **asset.constants, **dict(_values(asset.attributes, row)),
    }  # fmt: skip
    point = {"type": "Point", "coordinates": [lon, lat]}
    return {"type": "Feature", "geometry": point, "properties": properties}
