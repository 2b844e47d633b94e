"""Assets as text: GeoJSON or a table that reads back as the same city.

Pure. Writes what an asset file says, never what was made of it: a rating that a lamp has from
others of its model is not its own. Where something stands, and which devices speak for it, is known
of today only, and stands with every calibration.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.inventory.assets import ALWAYS_MS, Asset, Properties

FORMATS = ("geojson", "csv")
_COLUMNS = tuple(Properties.model_fields)
_AS_JSON = ("dim_curve", "pickup")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Sheet(list[str]):
    """What a table is written to, row by row."""

    def write(self, row: str) -> None:
        self.append(row)


def written(assets: Iterable[Asset], form: str) -> str:
    """`form`: one of FORMATS."""
    entries = ((asset, entry) for asset in assets for entry in entries_of(asset))
    return _table(entries) if form == "csv" else _collection(entries)


def entries_of(asset: Asset) -> Iterator[dict[str, Any]]:
    """The properties of each of its calibrations, oldest first."""
    for i, (since_ms, attributes) in enumerate(asset.calibrations, 1):
        said: dict[str, Any] = {"asset_id": asset.id, "kind": asset.kind, **attributes}
        if i == len(asset.calibrations) and asset.address is not None:
            said["address"] = asset.address
        if asset.devices:
            said["devices"] = list(asset.devices)
        if since_ms != ALWAYS_MS:
            said["valid_from"] = dated(since_ms)
        yield {column: said[column] for column in _COLUMNS if column in said}


def dated(ms: int) -> str:
    """To the millisecond: a calibration begins exactly where it did."""
    at = _EPOCH + timedelta(milliseconds=ms)
    return at.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def _collection(entries: Iterable[tuple[Asset, Mapping[str, Any]]]) -> str:
    """A feature a line, so that a change is a line in a difference of texts."""
    lines = ",\n".join(
        json.dumps(
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [asset.lon, asset.lat]},
                "properties": properties,
            },
            ensure_ascii=False,
        )
        for asset, properties in entries
    )
    return f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}\n'


def _table(entries: Iterable[tuple[Asset, Mapping[str, Any]]]) -> str:
    """The columns that some asset needs."""
    rows = [
        {"lat": repr(asset.lat), "long": repr(asset.lon)}
        | {key: _cell(key, value) for key, value in properties.items()}
        for asset, properties in entries
    ]
    used = {key for row in rows for key in row}
    first = ("asset_id", "kind", "lat", "long")
    columns = [*first, *(c for c in _COLUMNS if c in used and c not in first)]
    sheet = Sheet()
    table = csv.DictWriter(sheet, columns, restval="")
    table.writeheader()
    table.writerows(rows)
    return "".join(sheet)


def _cell(key: str, value: Any) -> str:
    if key == "devices":
        return ";".join(value)
    if key in _AS_JSON:  # a schedule has ; within, which parts a list
        return json.dumps([value] if isinstance(value, str) else value, ensure_ascii=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
