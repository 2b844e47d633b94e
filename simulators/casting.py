"""Casting: which lamp, bin or spot plays in which fault of the run, and when.

Faults are cast from the seed: each device plays in one story at most, and each story is placed
where it can be seen before the run ends (a lamp by night, a pothole where enough vehicles still
pass). Every story carries its labels: the truth it will be judged by. Where the city or the run
is too small for a story, it is left out, never squeezed in.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TypeVar

from simulators import sky
from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.things import Bin, Circuit, Lamp, Post, Spot
from simulators.truth import Label

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
NIGHT_DEG, NIGHT_MARGIN_MS = -6.0, 25 * MINUTE_MS  # a little inside the 20 minutes of the rules
DAY_DEG, DAY_MARGIN_MS = 6.0, 10 * MINUTE_MS
PASS_GAP_MS = 11 * MINUTE_MS  # hits closer than 10 minutes may count as one pass
PASSES_MIN = 4  # a pothole is confirmed by 3; one more in case one is missed
SILENCE_MS = HOUR_MS


Thing = TypeVar("Thing")


@dataclass
class Cast:
    """Who is still free to play, and when it is night and day."""

    city: City
    rng: Random
    nights: list[tuple[int, int]]
    days: list[tuple[int, int]]
    circuits: list[Circuit]
    lamps: list[Lamp] = field(default_factory=list)
    bins: list[Bin] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)

    def span(self, spans: list[tuple[int, int]], needed_ms: int) -> tuple[int, int] | None:
        """A span at least that long, by chance."""
        long_enough = [span for span in spans if span[1] - span[0] >= needed_ms]
        return self.rng.choice(long_enough) if long_enough else None

    def between(self, low_ms: int, high_ms: int) -> int:
        """A whole second, as devices stamp whole seconds."""
        return self.rng.randint(low_ms // 1000, high_ms // 1000) * 1000


def cast_faults(city: City) -> tuple[Fault, ...]:
    """All stories of the run, by start."""
    cast = _open_casting(city)
    stories: list[Fault] = [*_mass_silence(cast), *_feeder_outages(cast)]
    cast.lamps = _shuffled(cast, [lamp for circuit in cast.circuits for lamp in circuit.lamps])
    cast.bins = _shuffled(cast, city.all_bins)
    cast.spots = _shuffled(cast, city.spots)
    for size, default_size, story, count in _programme(city):
        for _ in range(_scaled(count, size, default_size)):
            stories.extend(story(cast))
    return tuple(sorted(stories, key=lambda fault: (fault.start_ms, fault.kind, fault.target)))


Story = Callable[[Cast], Iterator[Fault]]


def _programme(city: City) -> Sequence[tuple[int, int, Story, int]]:
    """(size of the fleet, its default size, story, how many at the default size)."""
    fleets = city.scenario.fleets
    lamps, bins, road = (
        (fleets.lamps.count, 500),
        (fleets.bins.count, 150),
        (fleets.vehicles.count, 20),
    )
    return (
        (*lamps, _lamp_out_for_good, 4), (*lamps, _lamp_out_repaired, 3),
        (*lamps, _lamp_out_by_day, 2), (*lamps, _day_burner, 4),
        (*bins, _bin_full, 10), (*bins, _bin_fire, 2),
        (*road, _pothole, 5), (*road, _manhole, 4),
        (*lamps, _lamp_dip, 6), (*lamps, _lamp_dimmed, 5), (*bins, _sun_warmed, 4),
        (*lamps, partial(_odd_lamp, Kind.DEVICE_SILENT, "device_silent"), 3),
        (*lamps, partial(_odd_lamp, Kind.SICK, "lamp_out"), 2),
        (*lamps, partial(_odd_lamp, Kind.STALE, "lamp_out"), 2),
        (*lamps, partial(_odd_lamp, Kind.EPOCH_CLOCK, "lamp_out"), 2),
        (*bins, partial(_odd_bin, Kind.DEVICE_SILENT, "device_silent"), 2),
        (*bins, partial(_odd_bin, Kind.SICK, "bin_full"), 1),
        (*bins, partial(_odd_bin, Kind.STALE, "bin_fire"), 2),
    )  # fmt: skip


def _scaled(count: int, size: int, default_size: int) -> int:
    return max(1, round(count * size / default_size)) if size else 0


def _open_casting(city: City) -> Cast:
    def elevation(ts_ms: int) -> float:
        return sky.elevation_deg(city.lat, city.lon, ts_ms)

    run = (city.start_ms, city.end_ms)
    nights = sky.spans(*run, lambda ts: elevation(ts) < NIGHT_DEG, NIGHT_MARGIN_MS)
    days = sky.spans(*run, lambda ts: elevation(ts) > DAY_DEG, DAY_MARGIN_MS)
    return Cast(city, dice(city.seed, "faults"), list(nights), list(days), list(city.circuits))


def _shuffled(cast: Cast, items: Sequence[Thing]) -> list[Thing]:
    return cast.rng.sample(items, len(items))


def _asset_label(
    post: Post, start_ms: int, end_ms: int | None, rule: str, must_file: bool
) -> Label:
    return Label(start_ms, end_ms, rule, post.asset_id, post.lat, post.lon, must_file)


def _on_post(
    kind: Kind, post: Post, start_ms: int, end_ms: int | None, rule: str = "", must: bool = True
) -> Fault:
    label = _asset_label(post, start_ms, end_ms, rule or kind.value, must)
    return Fault(kind, post.device, start_ms, end_ms, (label,))


# --- whole circuits and concentrators -----------------------------------------------------------


def _mass_silence(cast: Cast) -> Iterator[Fault]:
    """One lamp concentrator loses its uplink for an hour; its circuits play in nothing else."""
    names = sorted({circuit.concentrator for circuit in cast.circuits})
    if len(names) < 2 or cast.city.scenario.duration < 6 * 3600:
        return
    name = cast.rng.choice(names)
    night = cast.span(cast.nights, 2 * HOUR_MS) or (cast.city.start_ms, cast.city.end_ms)
    start = cast.between(night[0], night[1] - SILENCE_MS)
    silent = [circuit for circuit in cast.circuits if circuit.concentrator == name]
    end = start + SILENCE_MS
    labels = tuple(_asset_label(one, start, end, Kind.FEEDER_OUTAGE.value, False) for one in silent)
    cast.circuits = [circuit for circuit in cast.circuits if circuit.concentrator != name]
    yield Fault(Kind.MASS_SILENCE, name, start, end, labels)


def _feeder_outages(cast: Cast) -> Iterator[Fault]:
    """Whole circuits without power by night; lamps report 0 W from their backup supply."""
    big = [circuit for circuit in cast.circuits if len(circuit.lamps) >= 8]
    for _ in range(min(_scaled(2, cast.city.scenario.fleets.lamps.count, 500), len(big) - 1)):
        night = cast.span(cast.nights, 4 * HOUR_MS)
        if night is None:
            return
        circuit = big.pop(cast.rng.randrange(len(big)))
        cast.circuits.remove(circuit)
        start = cast.between(night[0] + 20 * MINUTE_MS, night[1] - 3 * HOUR_MS)
        end = start + cast.between(60 * MINUTE_MS, 100 * MINUTE_MS)
        own = _asset_label(circuit, start, end, Kind.FEEDER_OUTAGE.value, True)
        dark = (_asset_label(lamp, start, end, "lamp_out", False) for lamp in circuit.lamps)
        yield Fault(Kind.FEEDER_OUTAGE, circuit.asset_id, start, end, (own, *dark))


# --- lamps --------------------------------------------------------------------------------------


def _lamp_out_for_good(cast: Cast) -> Iterator[Fault]:
    night = cast.span(cast.nights, 3 * HOUR_MS)
    if night and cast.lamps:
        start = cast.between(night[0], night[1] - 2 * HOUR_MS)
        yield _on_post(Kind.LAMP_OUT, cast.lamps.pop(), start, None)


def _lamp_out_repaired(cast: Cast) -> Iterator[Fault]:
    """Mended in the same night, long enough before dawn to be seen burning again."""
    night = cast.span(cast.nights, 5 * HOUR_MS)
    if night and cast.lamps:
        start = cast.between(night[0], night[1] - 4 * HOUR_MS)
        end = start + cast.between(90 * MINUTE_MS, 150 * MINUTE_MS)
        yield _on_post(Kind.LAMP_OUT, cast.lamps.pop(), start, end)


def _lamp_out_by_day(cast: Cast) -> Iterator[Fault]:
    """Breaks by day, when nobody can know; dark from dusk on."""
    night = cast.span(cast.nights, 3 * HOUR_MS)
    if night and cast.lamps:
        start = max(cast.city.start_ms, night[0] - cast.between(2 * HOUR_MS, 4 * HOUR_MS))
        yield _on_post(Kind.LAMP_OUT, cast.lamps.pop(), start, None)


def _day_burner(cast: Cast) -> Iterator[Fault]:
    """The relay sticks by day; one in two is released while it is still day."""
    day = cast.span(cast.days, 4 * HOUR_MS)
    if day is None or not cast.lamps:
        return
    start = cast.between(day[0], day[1] - int(3.5 * HOUR_MS))
    released = cast.between(start + 110 * MINUTE_MS, day[1] - HOUR_MS)
    end = released if cast.rng.random() < 0.5 else None
    yield _on_post(Kind.DAY_BURNER, cast.lamps.pop(), start, end)


def _lamp_dip(cast: Cast) -> Iterator[Fault]:
    """Dark for seven minutes: one report sees it."""
    night = cast.span(cast.nights, 3 * HOUR_MS)
    if night is None or not cast.lamps:
        return
    lamp, report_ms = cast.lamps.pop(), cast.between(night[0] + HOUR_MS, night[1] - HOUR_MS)
    first_ms = cast.city.start_ms + lamp.phase_s * 1000
    report_ms -= (report_ms - first_ms) % (round(cast.city.scenario.fleets.lamps.every * 1000))
    start, end = report_ms - 210_000, report_ms + 210_000
    yield _on_post(Kind.LAMP_DIP, lamp, start, end, "lamp_out", must=False)


def _lamp_dimmed(cast: Cast) -> Iterator[Fault]:
    """Told to dim to 40 %: it draws little because it was told to."""
    night = cast.span(cast.nights, 3 * HOUR_MS)
    dimmable = next((lamp for lamp in cast.lamps if lamp.dimmable), None)
    if night and dimmable:
        cast.lamps.remove(dimmable)
        start = cast.between(night[0], night[1] - 2 * HOUR_MS)
        end = start + 100 * MINUTE_MS
        yield _on_post(Kind.LAMP_DIMMED, dimmable, start, end, "lamp_out", must=False)


def _odd_lamp(kind: Kind, rule: str, cast: Cast) -> Iterator[Fault]:
    if cast.lamps:
        yield _odd_device(cast, kind, rule, cast.lamps.pop())


def _odd_device(cast: Cast, kind: Kind, rule: str, post: Post) -> Fault:
    """A sound thing with a bad device: silent from some time on, sick all day, stale at start,
    or with a clock that starts at 1970 for the first hours.
    """
    start, end = cast.city.start_ms, cast.city.end_ms
    if kind is Kind.DEVICE_SILENT:
        start = cast.between(start + (end - start) // 4, start + (end - start) // 2)
    if kind is Kind.EPOCH_CLOCK:
        end = start + (end - start) // 2
    return _on_post(kind, post, start, end, rule, must=False)


# --- bins ---------------------------------------------------------------------------------------


def _bin_full(cast: Cast) -> Iterator[Fault]:
    """Filled at a stroke (a market, a party), emptied hours later; one in three fills again."""
    latest = cast.city.end_ms - 4 * HOUR_MS
    start = cast.city.start_ms + 90 * MINUTE_MS
    if latest <= start or not cast.bins:
        return
    item, start = cast.bins.pop(), cast.between(start, latest)
    again = cast.rng.random() < 1 / 3
    while True:
        end = start + cast.between(int(3.2 * HOUR_MS), 6 * HOUR_MS)
        lasts = end > cast.city.end_ms
        yield _on_post(Kind.BIN_FULL, item, start, None if lasts else end)
        start = end + cast.between(3 * HOUR_MS, 5 * HOUR_MS)
        if not again or start > latest:
            return
        again = False


def _bin_fire(cast: Cast) -> Iterator[Fault]:
    earliest, latest = cast.city.start_ms + HOUR_MS, cast.city.end_ms - 150 * MINUTE_MS
    if earliest < latest and cast.bins:
        start = cast.between(earliest, latest)
        end = start + cast.between(25 * MINUTE_MS, 45 * MINUTE_MS)
        yield _on_post(Kind.BIN_FIRE, cast.bins.pop(), start, end)


def _sun_warmed(cast: Cast) -> Iterator[Fault]:
    """A dark bin in the sun: 48 degrees in the afternoon, slowly."""
    if cast.bins:
        run = (cast.city.start_ms, cast.city.end_ms)
        yield _on_post(Kind.SUN_WARMED, cast.bins.pop(), *run, Kind.BIN_FIRE.value, must=False)


def _odd_bin(kind: Kind, rule: str, cast: Cast) -> Iterator[Fault]:
    if cast.bins:
        yield _odd_device(cast, kind, rule, cast.bins.pop())


# --- roads --------------------------------------------------------------------------------------


def _pothole(cast: Cast) -> Iterator[Fault]:
    """Opens at a spot after which enough vehicles still pass; one in four is filled in again."""
    while cast.spots:
        spot = cast.spots.pop()
        times = distinct_passes(cast.city, spot)
        if len(times) < PASSES_MIN + 1:
            continue
        nth = cast.rng.randrange(min(len(times) - PASSES_MIN, max(1, len(times) // 2)))
        start = times[nth] - 30_000
        mended = nth + PASSES_MIN + 8 < len(times) and cast.rng.random() < 0.25
        end = times[nth + PASSES_MIN + 2] + 30_000 if mended else None
        label = Label(start, end, Kind.POTHOLE.value, "", spot.lat, spot.lon)
        yield Fault(Kind.POTHOLE, spot.id, start, end, (label,))
        return


def _manhole(cast: Cast) -> Iterator[Fault]:
    """One wheel hits a lid once; all others pass beside it."""
    while cast.spots:
        spot = cast.spots.pop()
        times = [t_ms for t_ms, _ in passes(cast.city, spot)]
        if times:
            start, end = (at := cast.rng.choice(times)) - 500, at + 500
            label = Label(start, end, Kind.POTHOLE.value, "", spot.lat, spot.lon, must_file=False)
            yield Fault(Kind.MANHOLE, spot.id, start, end, (label,))
            return


def passes(city: City, spot: Spot) -> list[tuple[int, str]]:
    """When each vehicle is at the spot: (time, device), in order."""
    return sorted(
        (drive.start_ms + int(spot.along_m / drive.speed_mps * 1000), vehicle.device)
        for vehicle in city.vehicles
        if vehicle.route == spot.route
        for drive in vehicle.drives
    )


def distinct_passes(city: City, spot: Spot) -> list[int]:
    """Passes so far apart that nobody can take two for one, whoever drives; early enough that an
    hour is left to act on them.
    """
    times: list[int] = []
    for t_ms, _ in passes(city, spot):
        if t_ms > city.end_ms - HOUR_MS:
            break
        if not times or t_ms - times[-1] > PASS_GAP_MS:
            times.append(t_ms)
    return times
