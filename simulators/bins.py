"""What the sensors in the bins report: how full, how warm, upright or not, and how their cell is.

An ultrasonic sensor under the lid measures the distance to the rubbish: `offset_mm` to a full bin,
`offset_mm + height_mm` to the bottom, nothing nearer than its dead zone. Half of the sensors send
that distance, half work out the fill themselves, in whole percent. Now and then an echo is false
(a bag on its way down, never twice in a row) or lost. Regular reports, and extra ones when a lid
or the bin itself moves and every minute while it is hot. Their numbers belong to one device: a
story changes neither the noise of its regular reports nor anything of another bin.
"""

import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

from simulators.city import City
from simulators.contents import Contents
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.things import Bin
from simulators.weather import Climate
from simulators.wire import Said

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
LATENCY_MS = (400, 4000)
FALSE_ECHO, LOST_ECHO = 0.003, 0.004  # shares of all reports
BLOCKED_MM = (20.0, 50.0)  # nearer than any dead zone
RANGE_MM = 10_000
# The sensor corrects for the speed of sound by its own thermometer, which lags behind the air: an
# eighth of 0.17 % a kelvin is left.
SOUND_K, SOUND_C = 0.0002, 20.0
SUN_C = 3.0  # in full sun a bin is so much warmer than the shade
HOT_LOOK_ALIKE_C = 48.0
SUN_SEEN = 0.05  # with less sun in the whole run nothing gets warm
FIRE_RISE_C_MIN, FIRE_PEAK_C = 9.0, (90.0, 120.0)
FIRE_SENSOR_MAX_C = 125.0
FIRE_COOLS_MIN = 6.0  # time constant after the fire is out
FIRE_AFTER_MS = 40 * MINUTE_MS
MOVED_AFTER_MS = 20_000  # a lid or a bin that moved is reported so much later
# A lithium cell: flat over its life, lower in the cold.
CELL_V, CELL_SAG_V, COLD_V_K, COLD_C = 3.62, 0.05, 0.003, 20.0
TILT_SHARE, LID_SHARE, SCALE_SHARE = 0.6, 0.3, 0.1  # sensors that have such a thing besides
STANDS_DEG, LIES_DEG = 3.0, 85.0
SWAPPED_SHARE = 0.85
KG_A_LITRE = 0.07  # Edinburgh's weighed emptyings
LITRES_A_MM = 0.2
_SEEN = (
    Kind.BIN_TIPPED, Kind.SWAPPED_BIN, Kind.STUCK_VALUE, Kind.SENSOR_BLOCKED, Kind.LID_OPEN
)  # fmt: skip


def bin_says(city: City, item: Bin, story: Sequence[Fault]) -> Iterator[Said]:
    """The reports of one bin through the run, in order."""
    contents, sensor = Contents(city, item, story), Sensor(city, item, story)
    inside = Warmth(city, item, story)
    chance = dice(city.seed, "bin says", item.device)
    spare = dice(city.seed, "spare", item.device) if story else chance
    shortest_ms, longest_ms = LATENCY_MS
    for ts_ms, is_extra in _report_times(city, item, story):
        rng = spare if is_extra else chance
        t_ms = ts_ms + shortest_ms + int(rng.random() * (longest_ms - shortest_ms))
        warm_c = inside.celsius(ts_ms)
        values, claims = sensor.reading(ts_ms, contents.level_pct(ts_ms), warm_c, rng)
        yield Said(t_ms, ts_ms, values, None, claims)


def _report_times(
    city: City, item: Bin, story: Sequence[Fault]
) -> Iterator[tuple[int, bool]] | list[tuple[int, bool]]:
    """(time, is it an extra one), in order."""
    every_ms = round(city.scenario.fleets.bins.every * 1000)
    regular = range(city.start_ms + item.phase_s * 1000, city.end_ms, every_ms)
    extra = {ts_ms for fault in story for ts_ms in _alarms(city, fault)}
    extra = {ts_ms for ts_ms in extra if ts_ms < city.end_ms and ts_ms not in regular}
    if not extra:
        return ((ts_ms, False) for ts_ms in regular)
    return sorted([*((ts_ms, False) for ts_ms in regular), *((ts_ms, True) for ts_ms in extra)])


def _alarms(city: City, fault: Fault) -> Sequence[int]:
    """Every minute while hot; once when a lid or the bin has moved, and when it is back."""
    if fault.kind is Kind.BIN_FIRE:
        stop_ms = (fault.end_ms or city.end_ms) + FIRE_AFTER_MS
        return range(fault.start_ms + 2 * MINUTE_MS, stop_ms, MINUTE_MS)
    if fault.kind in (Kind.LID_OPEN, Kind.BIN_TIPPED):
        moved = (fault.start_ms, fault.end_ms) if fault.end_ms else (fault.start_ms,)
        return [ts_ms + MOVED_AFTER_MS for ts_ms in moved]
    return ()


class Sensor:
    """Of one bin: which things it can measure, and how well."""

    def __init__(self, city: City, item: Bin, story: Sequence[Fault]) -> None:
        rng = dice(city.seed, "sensor", item.device)
        tilts, lids, weighs = (rng.random() for _ in range(3))
        self._item, self._noise_mm = item, city.scenario.fleets.bins.noise_mm
        self._leans_deg, self._sag_v = rng.uniform(0, STANDS_DEG), rng.uniform(0, CELL_SAG_V)
        self._blocked_mm = rng.uniform(*BLOCKED_MM)
        kinds = {fault.kind for fault in story}
        self._has_tilt = tilts < TILT_SHARE or Kind.BIN_TIPPED in kinds
        self._has_lid = lids < LID_SHARE or Kind.LID_OPEN in kinds
        self._has_scale = weighs < SCALE_SHARE
        self._story = [fault for fault in story if fault.kind in _SEEN]
        self._stuck: dict[str, Any] = {}
        self._false_before = False

    def reading(
        self, ts_ms: int, level_pct: float, warm_c: float, rng: Random
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Values and the device's own claims. Draws as many numbers whatever the story is."""
        luck, echo = rng.random(), rng.random()
        noise_mm, noise_c, noise_v = rng.gauss(0, self._noise_mm), rng.gauss(0, 0.2), rng.random()
        lost = FALSE_ECHO <= luck < FALSE_ECHO + LOST_ECHO
        near = luck < FALSE_ECHO and not self._false_before
        self._false_before, was_false = near or (lost and self._false_before), self._false_before
        values: dict[str, Any] = {}
        if not lost:
            seen_mm = self._distance_mm(ts_ms, level_pct, warm_c) + noise_mm
            nearer_mm = self._item.dead_zone_mm * (1 + echo)
            self._see(values, min(seen_mm, nearer_mm) if near else seen_mm)
        claims: tuple[str, ...] = ()
        values["temperature_c"] = round(warm_c + noise_c, 1)
        cold_v = COLD_V_K * (warm_c - COLD_C) if warm_c < COLD_C else 0.0
        values["battery_v"] = round(CELL_V - self._sag_v + cold_v - 0.02 * noise_v, 2)
        if self._has_tilt:
            values["tilt_deg"] = round(self._leans_deg + 0.4 * noise_v, 1)
        if self._has_lid:
            values["lid_open"] = False
        if self._has_scale:
            litres = LITRES_A_MM * self._item.height_mm * level_pct / 100
            values["weight_kg"] = round(KG_A_LITRE * litres + 0.2 * noise_v, 1)
        for fault in self._story:
            if fault.active(ts_ms):
                claims = self._strike(fault, ts_ms, values, was_false)
        return values, claims

    def _distance_mm(self, ts_ms: int, level_pct: float, warm_c: float) -> float:
        height_mm: float = self._item.height_mm
        for fault in self._story:
            if fault.kind is Kind.SWAPPED_BIN and fault.active(ts_ms):
                height_mm *= fault.extent.get("share", SWAPPED_SHARE)
        true_mm = self._item.offset_mm + height_mm * (1 - level_pct / 100)
        return true_mm * (1 - SOUND_K * (warm_c - SOUND_C))

    def _see(self, values: dict[str, Any], distance_mm: float) -> None:
        """As the sensor sends it."""
        item = self._item
        seen_mm = min(RANGE_MM, max(item.dead_zone_mm, distance_mm))
        if item.sends_distance:
            values["distance_mm"] = round(seen_mm)
        else:
            fill = 100 * (1 - (seen_mm - item.offset_mm) / item.height_mm)
            values["fill_pct"] = round(min(100.0, max(0.0, fill)))

    def _strike(
        self, fault: Fault, ts_ms: int, values: dict[str, Any], was_false: bool
    ) -> tuple[str, ...]:
        """Changes what was measured to what is seen of the fault."""
        if fault.kind is Kind.BIN_TIPPED:
            lies_deg = fault.extent.get("tilt_deg", LIES_DEG)
            values["tilt_deg"] = round(values["tilt_deg"] + lies_deg - self._leans_deg, 1)
        elif fault.kind is Kind.STUCK_VALUE:
            # The first sound measurement stays.
            if not (self._stuck or self._false_before):
                self._stuck = _level_of(values)
            if self._stuck:
                values |= self._stuck
        elif fault.kind is Kind.SENSOR_BLOCKED:
            return self._blocked(values)
        elif fault.kind is Kind.LID_OPEN:
            hand = ts_ms == fault.start_ms + MOVED_AFTER_MS and not was_false
            return self._open(values, hand)
        return ()

    def _blocked(self, values: dict[str, Any]) -> tuple[str, ...]:
        """One that works out the fill knows that it cannot be so near."""
        _blind(values)
        if self._item.sends_distance:
            values["distance_mm"] = round(self._blocked_mm)
            return ()
        return ("measurement_quality",)

    def _open(self, values: dict[str, Any], hand: bool) -> tuple[str, ...]:
        """First the hand that opened it, then the sky, which gives no echo."""
        _blind(values)
        values["lid_open"] = True
        self._false_before = True
        if hand:
            self._see(values, self._item.dead_zone_mm)
        return ("cover_open",)


def _level_of(values: dict[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in ("distance_mm", "fill_pct") if key in values}


def _blind(values: dict[str, Any]) -> None:
    values.pop("distance_mm", None)
    values.pop("fill_pct", None)


class Warmth:
    """How warm it is in one bin: the air, the sun on it, and the fire."""

    def __init__(self, city: City, item: Bin, story: Sequence[Fault]) -> None:
        self._climate = city.climate
        kinds = (Kind.SUN_WARMED, Kind.BIN_FIRE)
        self._story = [fault for fault in story if fault.kind in kinds]
        if self._story:
            self._peak_c = dice(city.seed, "fire", item.device).uniform(*FIRE_PEAK_C)

    def celsius(self, ts_ms: int) -> float:
        climate = self._climate
        air_c = climate.ambient_c(ts_ms)
        for fault in self._story:
            if fault.kind is Kind.BIN_FIRE:
                air_c += _fire_c(fault, ts_ms, self._peak_c - air_c)
            elif fault.active(ts_ms):
                return air_c + _sunny_c(climate, ts_ms, air_c)
        return min(FIRE_SENSOR_MAX_C, air_c + SUN_C * climate.sun(ts_ms))


def _sunny_c(climate: Climate, ts_ms: int, air_c: float) -> float:
    """In the look-alike the highest sun of the run makes it as hot as the sun can."""
    if climate.sun_max < SUN_SEEN:
        return 0.0
    return climate.sun(ts_ms) / climate.sun_max * max(0.0, HOT_LOOK_ALIKE_C - air_c)


def _fire_c(fault: Fault, ts_ms: int, above_c: float) -> float:
    """What a fire adds; at its height `above_c`."""
    end_ms = fault.end_ms if fault.end_ms is not None else ts_ms
    burning_min = (min(ts_ms, end_ms) - fault.start_ms) / MINUTE_MS
    if burning_min <= 0:
        return 0.0
    heat_c = min(above_c, FIRE_RISE_C_MIN * burning_min)
    return heat_c * math.exp(-max(0.0, (ts_ms - end_ms) / MINUTE_MS) / FIRE_COOLS_MIN)
