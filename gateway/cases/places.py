"""Places: where on the road something is felt that has no asset id.

Pure. Hits of moving devices near each other are one place; a place counts distinct passes, and
passes that felt nothing since. What rules see are readings of the place itself (kind `place`), so
corroboration is an ordinary rule. One spot is one place, in whatever order its passes come: a hit
belongs to a place within twice the radius, first of all to one that has fired, since a second
request for one hole is worse than a widened one. The two directions of a street are two spots,
where vehicles say which way they go.
"""

import math
import re
from collections.abc import Iterable, Mapping

import msgspec

from rules.rule import PlaceShape

EARTH_M_PER_DEG = 111_195.0  # mean sphere, IUGG radius 6371.0088 km
PASSES_MAX = 64  # passes remembered per place: more than any quorum
REACH = 2.0  # radii within which a hit belongs to a place: eight sigma of GPS between two passes
CELL = 1.01 * REACH  # radii: a little more, since a degree of longitude varies within a cell


_SPOT = re.compile(r"\Aplace:[^:]*:([^,:]+),([^,:]+):.*")


class Pass(msgspec.Struct, array_like=True):
    """One drive of one device over a place, from its first to its last message there."""

    device: str
    first_ms: int
    last_ms: int
    hit: bool


class Place(msgspec.Struct, array_like=True):
    """A spot on the road. `lat`, `lon`: mean position of its `hits`; `passes` by time."""

    id: str
    rule: str
    lat: float
    lon: float
    hits: int = 0
    peak_ms2: float = 0.0
    fired: bool = False
    passes: list[Pass] = []
    north: float = 0.0
    """With `east` the sum of the directions of the hits, each of length 1; 0, 0: none is known."""
    east: float = 0.0

    def leads(self, heading_deg: float | None, shape: PlaceShape) -> bool:
        """Whether who travels that way may pass it; an unknown direction is any."""
        if heading_deg is None or not (self.north or self.east):
            return True
        own_deg = math.degrees(math.atan2(self.east, self.north))
        return abs(_turn(heading_deg - own_deg)) <= shape.heading_deg_max

    def reading(self, shape: PlaceShape) -> dict[str, float]:
        """What rules see of it: passes with a hit within the window, clean ones since the last, and
        the share of hits among all passes, the older the less they count.
        """
        if not self.passes:
            return {
                "passes": 0.0, "clean_passes": 0.0, "hit_share": 0.0, "peak_ms2": self.peak_ms2
            }  # fmt: skip
        latest_ms = max(p.last_ms for p in self.passes)
        hits = [p for p in self.passes if p.hit and p.last_ms >= latest_ms - shape.window_ms]
        hit_ms = max((p.last_ms for p in hits), default=0)
        clean = sum(not p.hit and p.first_ms > hit_ms for p in self.passes)
        weights = [
            (p.hit, 0.5 ** ((latest_ms - p.last_ms) / shape.half_life_ms)) for p in self.passes
        ]
        return {
            "passes": float(len(hits)),
            "clean_passes": float(clean),
            "hit_share": sum(w for hit, w in weights if hit) / sum(w for _, w in weights),
            "peak_ms2": self.peak_ms2,
        }


class Observation(msgspec.Struct):
    """What a moving device felt, judged by the rule's `hit` condition."""

    device: str
    ts_ms: int
    lat: float
    lon: float
    hit: bool
    peak_ms2: float
    heading_deg: float | None = None
    """Clockwise from north."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Place).decode


class Places:
    """All places of all rules, found by cells of about the reach of a hit."""

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
        if seen.hit:
            self._move(place, shape, seen)
            place.peak_ms2 = max(place.peak_ms2, seen.peak_ms2)
            self._dirty[place.id] = place
        if not _note_pass(place, shape, seen):
            return None
        self._dirty[place.id] = place
        return place, place.reading(shape)

    def get(self, place_id: str) -> Place | None:
        return self._by_id.get(place_id)

    def mark_fired(self, place_id: str, *, fired: bool) -> None:
        place = self._by_id[place_id]
        place.fired = fired
        if not fired:
            self.forget_passes(place_id)
        self._dirty[place_id] = place

    def forget_passes(self, place_id: str) -> None:
        """It was repaired, it is said: what was felt before speaks for nothing any more."""
        place = self._by_id[place_id]
        place.passes.clear()
        place.hits = 0
        place.peak_ms2 = place.north = place.east = 0.0
        self._dirty[place_id] = place

    def take_dirty(self) -> list[tuple[str, bytes]]:
        rows = [(place_id, _encode(place)) for place_id, place in self._dirty.items()]
        self._dirty.clear()
        return rows

    def restore(self, blobs: Iterable[bytes], shapes: Mapping[str, PlaceShape]) -> list[Place]:
        """Take up saved places; those of rules that are gone are left out."""
        for blob in blobs:
            place = _decode(blob)
            if place.rule in shapes:
                self._put(place, shapes[place.rule])
        return list(self._by_id.values())

    def forget(self, oldest_ms: int) -> list[str]:
        """Drop places that have not fired and that nothing passed since `oldest_ms`; their ids."""
        gone = [
            place
            for place in self._by_id.values()
            if not place.fired and all(p.last_ms < oldest_ms for p in place.passes)
        ]
        for place in gone:
            del self._by_id[place.id]
            self._dirty.pop(place.id, None)
        ids = {place.id for place in gone}
        for key, places in list(self._cells.items()):
            self._cells[key] = [place for place in places if place.id not in ids]
            if not self._cells[key]:
                del self._cells[key]
        return sorted(ids)

    def _nearest(self, rule: str, shape: PlaceShape, seen: Observation) -> Place | None:
        """A hit goes to what has fired before what is nearer: of two places that noise made of one
        spot, one takes all. A pass without a hit tells only of what lies within the radius.
        """
        reach_m = shape.radius_m * (REACH if seen.hit else 1.0)
        near = [
            (not place.fired, distance_m, place.id, place)
            for place in self._around(rule, shape, seen.lat, seen.lon)
            if (distance_m := metres(place.lat, place.lon, seen.lat, seen.lon)) <= reach_m
            and place.leads(seen.heading_deg, shape)
        ]
        return min(near)[-1] if near else None

    def _around(self, rule: str, shape: PlaceShape, lat: float, lon: float) -> Iterable[Place]:
        for row, column in _neighbours(shape, lat, lon):
            yield from self._cells.get((rule, row, column), ())

    def _found(self, rule: str, shape: PlaceShape, seen: Observation) -> Place:
        name = f"place:{rule}:{seen.lat:.5f},{seen.lon:.5f}:{seen.ts_ms}"
        while name in self._by_id:  # the other direction, at the same instant
            name += "-2"
        place = Place(name, rule, seen.lat, seen.lon)
        self._put(place, shape)
        return place

    def _put(self, place: Place, shape: PlaceShape) -> None:
        self._by_id[place.id] = place
        key = (place.rule, *_cell(shape, place.lat, place.lon))
        self._cells.setdefault(key, []).append(place)

    def _move(self, place: Place, shape: PlaceShape, seen: Observation) -> None:
        """The place stands at the mean of its hits."""
        before = (place.rule, *_cell(shape, place.lat, place.lon))
        place.hits += 1
        place.lat += (seen.lat - place.lat) / place.hits
        place.lon = _turn(place.lon + _turn(seen.lon - place.lon) / place.hits)
        if seen.heading_deg is not None:
            place.north += math.cos(math.radians(seen.heading_deg))
            place.east += math.sin(math.radians(seen.heading_deg))
        after = (place.rule, *_cell(shape, place.lat, place.lon))
        if after != before:
            self._cells[before].remove(place)
            if not self._cells[before]:
                del self._cells[before]
            self._cells.setdefault(after, []).append(place)


def _note_pass(place: Place, shape: PlaceShape, seen: Observation) -> bool:
    """Messages of one device closer in time than the gap are one pass, in whatever order they come;
    it is a hit if any of them is. False if nothing changed that rules can see.
    """
    same = [
        p
        for p in place.passes
        if p.device == seen.device
        and p.first_ms - shape.pass_gap_ms < seen.ts_ms < p.last_ms + shape.pass_gap_ms
    ]
    one = Pass(
        seen.device,
        min([seen.ts_ms, *(p.first_ms for p in same)]),
        max([seen.ts_ms, *(p.last_ms for p in same)]),
        seen.hit or any(p.hit for p in same),
    )
    rest = [p for p in place.passes if p not in same]
    place.passes = sorted([*rest, one], key=lambda p: (p.last_ms, p.device))[-PASSES_MAX:]
    return len(same) != 1 or one.hit != same[0].hit


def metres(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Distance in metres, flat earth: exact to a millimetre over a few hundred metres."""
    north = (lat_b - lat_a) * EARTH_M_PER_DEG
    east = _turn(lon_b - lon_a) * EARTH_M_PER_DEG * math.cos(math.radians((lat_a + lat_b) / 2))
    return math.hypot(north, east)


def _turn(degrees: float) -> float:
    """The same direction within -180 to 180."""
    return (degrees + 540.0) % 360.0 - 180.0


def _row(shape: PlaceShape, lat: float) -> int:
    return math.floor(lat * EARTH_M_PER_DEG / (CELL * shape.radius_m))


def _columns(shape: PlaceShape, row: int) -> int:
    """Cells in a row around the earth, each at least as wide as high."""
    cell_deg = CELL * shape.radius_m / EARTH_M_PER_DEG
    polewards_deg = max(abs(row), abs(row + 1)) * cell_deg
    narrowing = math.cos(math.radians(min(90.0, polewards_deg)))
    return max(1, math.floor(360.0 * narrowing / cell_deg))


def _column(lon: float, columns: int) -> int:
    return math.floor((lon + 180.0) / 360.0 * columns) % columns


def _cell(shape: PlaceShape, lat: float, lon: float) -> tuple[int, int]:
    row = _row(shape, lat)
    return row, _column(lon, _columns(shape, row))


def _neighbours(shape: PlaceShape, lat: float, lon: float) -> set[tuple[int, int]]:
    """The cells that can hold anything within reach: cells are as wide as that, each row has its
    own number of them, and the last is beside the first.
    """
    row = _row(shape, lat)
    found = set()
    for near in (row - 1, row, row + 1):
        columns = _columns(shape, near)
        column = _column(lon, columns)
        found |= {(near, (column + step) % columns) for step in (-1, 0, 1)}
    return found


def subject_name(subject: str) -> str:
    """What an incident is about as people read it: a place by where it was found first."""
    return _SPOT.sub(r"\1, \2", subject)
