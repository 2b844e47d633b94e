"""Places: where on the road something is felt that has no asset id (rules.md section 4.2).

Pure. Hits of moving devices within a radius are one place; a place counts distinct passes, and
passes that felt nothing since. What rules see are readings of the place itself (kind `place`), so
corroboration is an ordinary rule. One spot is one place: a hit near a place that has already fired
belongs to it even somewhat further out, since a second request for one hole is worse than a
widened one.
"""

import math
from collections.abc import Iterable

import msgspec

from rules.rule import PlaceShape

EARTH_M_PER_DEG = 111_195.0  # mean sphere, IUGG radius 6371.0088 km
PASSES_MAX = 64  # passes remembered per place: more than any quorum


class Pass(msgspec.Struct, array_like=True):
    """One drive of one device over a place."""

    device: str
    ts_ms: int
    hit: bool


class Place(msgspec.Struct, array_like=True):
    """A spot on the road. `lat`, `lon`: mean position of its hits."""

    id: str
    rule: str
    lat: float
    lon: float
    hits: int
    peak_ms2: float
    fired: bool
    passes: list[Pass]


class Observation(msgspec.Struct):
    """What a moving device felt, judged by the rule's `hit` condition."""

    device: str
    ts_ms: int
    lat: float
    lon: float
    hit: bool
    peak_ms2: float


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Place).decode


class Places:
    """All places of all rules, found by cells of about the search radius."""

    def __init__(self) -> None:
        self._by_id: dict[str, Place] = {}
        self._cells: dict[tuple[str, int, int], list[Place]] = {}
        self._dirty: dict[str, Place] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def observe(
        self, rule: str, shape: PlaceShape, seen: Observation
    ) -> tuple[Place, dict[str, float]] | None:
        """The place that this pass is about and its new reading; None if nothing was learnt."""
        place = self._nearest(rule, shape, seen)
        if place is None:
            if not seen.hit:
                return None
            place = self._found(rule, shape, seen)
        elif not self._passed(place, shape, seen):
            return None
        self._dirty[place.id] = place
        horizon_ms = seen.ts_ms - shape.window_ms
        hits = [p for p in place.passes if p.hit and p.ts_ms >= horizon_ms]
        last_ms = max((p.ts_ms for p in hits), default=0)
        clean = sum(1 for p in place.passes if not p.hit and p.ts_ms > last_ms)
        reading = {"passes": float(len(hits)), "clean_passes": float(clean)}
        return place, reading | {"peak_ms2": place.peak_ms2}

    def get(self, place_id: str) -> Place | None:
        return self._by_id.get(place_id)

    def mark_fired(self, place_id: str, *, fired: bool) -> None:
        place = self._by_id[place_id]
        place.fired = fired
        if not fired:
            place.passes.clear()  # repaired: what was felt before speaks for nothing any more
        self._dirty[place_id] = place

    def take_dirty(self) -> list[tuple[str, bytes]]:
        rows = [(place_id, _encode(place)) for place_id, place in self._dirty.items()]
        self._dirty.clear()
        return rows

    def restore(self, blobs: Iterable[bytes], shapes: dict[str, PlaceShape]) -> list[Place]:
        """Take up saved places; those of rules that are gone are left out."""
        for blob in blobs:
            place = _decode(blob)
            if place.rule in shapes:
                self._put(place, shapes[place.rule])
        return list(self._by_id.values())

    def _nearest(self, rule: str, shape: PlaceShape, seen: Observation) -> Place | None:
        near = [
            (metres(place.lat, place.lon, seen.lat, seen.lon), place)
            for place in self._around(rule, shape, seen.lat, seen.lon)
        ]
        reach_m = shape.radius_m * 2 if seen.hit else shape.radius_m
        within = [
            (distance_m, place)
            for distance_m, place in near
            if distance_m <= (reach_m if place.fired else shape.radius_m)
        ]
        return min(within, key=lambda item: (not item[1].fired, item[0]))[1] if within else None

    def _around(self, rule: str, shape: PlaceShape, lat: float, lon: float) -> Iterable[Place]:
        row, column = _cell(shape, lat, lon)
        for r in (row - 1, row, row + 1):
            for c in (column - 1, column, column + 1):
                yield from self._cells.get((rule, r, c), ())

    def _found(self, rule: str, shape: PlaceShape, seen: Observation) -> Place:
        name = f"place:{rule}:{seen.lat:.5f},{seen.lon:.5f}:{seen.ts_ms}"
        first = [Pass(seen.device, seen.ts_ms, True)]  # noqa: FBT003
        place = Place(name, rule, seen.lat, seen.lon, 1, seen.peak_ms2, False, first)  # noqa: FBT003
        self._put(place, shape)
        return place

    def _put(self, place: Place, shape: PlaceShape) -> None:
        self._by_id[place.id] = place
        key = (place.rule, *_cell(shape, place.lat, place.lon))
        self._cells.setdefault(key, []).append(place)

    def _passed(self, place: Place, shape: PlaceShape, seen: Observation) -> bool:
        """Note a pass; False if it is one that is known already."""
        if seen.hit:
            self._move(place, shape, seen)
            place.peak_ms2 = max(place.peak_ms2, seen.peak_ms2)
        for known in reversed(place.passes):
            if known.device == seen.device and abs(known.ts_ms - seen.ts_ms) < shape.pass_gap_ms:
                if seen.hit and not known.hit:
                    known.hit = True
                    return True
                return False
        place.passes.append(Pass(seen.device, seen.ts_ms, seen.hit))
        if len(place.passes) > PASSES_MAX:
            del place.passes[0]
        return True

    def _move(self, place: Place, shape: PlaceShape, seen: Observation) -> None:
        before = _cell(shape, place.lat, place.lon)
        place.hits += 1
        place.lat += (seen.lat - place.lat) / place.hits
        place.lon += (seen.lon - place.lon) / place.hits
        after = _cell(shape, place.lat, place.lon)
        if after != before:
            self._cells[(place.rule, *before)].remove(place)
            self._cells.setdefault((place.rule, *after), []).append(place)


def metres(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Distance in metres, flat earth: exact to a millimetre over a few hundred metres."""
    north = (lat_b - lat_a) * EARTH_M_PER_DEG
    turn = (lon_b - lon_a + 540.0) % 360.0 - 180.0
    east = turn * EARTH_M_PER_DEG * math.cos(math.radians((lat_a + lat_b) / 2))
    return math.hypot(north, east)


def _cell(shape: PlaceShape, lat: float, lon: float) -> tuple[int, int]:
    """Cells at least twice the radius wide, so that a search of nine finds all within it."""
    size_deg = 2 * shape.radius_m / EARTH_M_PER_DEG
    narrowing = max(0.01, math.cos(math.radians(round(lat))))
    return math.floor(lat / size_deg), math.floor(lon * narrowing / size_deg)
