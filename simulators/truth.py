"""Ground truth: what was wrong in the city, where, from when to when, and must it be filed.

Labels say what happened to the things themselves, not what any rule made of it. A label that must
not be filed is a look-alike. Written and read as the contract's CSV; a bad row is refused with
its line and reason.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from simulators.wire import parse_rfc3339, rfc3339

COLUMNS = ("start", "end", "rule", "asset_id", "lat", "long", "must_file")


class LabelsError(ValueError):
    """Labels that cannot be read; the message names file, line and what to mend."""


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that happened. `end_ms` None: it lasted. A place has lat, lon and no asset."""

    start_ms: int
    end_ms: int | None
    rule: str
    asset_id: str = ""
    lat: float | None = None
    lon: float | None = None
    must_file: bool = True


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Writes them by start, then rule and asset."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(label) for label in sorted(labels, key=_order))


def read_labels(path: Path) -> list[Label]:
    """Raises LabelsError for a missing column or a bad row."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise LabelsError(f"{path}:1: no column {missing[0]!r}; needed: {', '.join(COLUMNS)}")
        return [_parse(path, reader.line_num, row) for row in reader]


def _order(label: Label) -> tuple[int, str, str, float]:
    return label.start_ms, label.rule, label.asset_id, label.lat or 0.0


def _row(label: Label) -> tuple[str, ...]:
    end = "" if label.end_ms is None else rfc3339(label.end_ms)
    lat, lon = ("" if at is None else f"{at:.6f}" for at in (label.lat, label.lon))
    must = "true" if label.must_file else "false"
    return rfc3339(label.start_ms), end, label.rule, label.asset_id, lat, lon, must


def _parse(path: Path, line: int, row: dict[str, str]) -> Label:
    try:
        must = {"true": True, "false": False}[row["must_file"].strip().lower()]
        end = parse_rfc3339(row["end"]) if row["end"] else None
        lat, lon = (float(row[name]) if row[name] else None for name in ("lat", "long"))
        return Label(parse_rfc3339(row["start"]), end, row["rule"], row["asset_id"], lat, lon, must)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise LabelsError(
            f"{path}:{line}: {error}; times are RFC 3339 with zone, must_file is true or false"
        ) from None
