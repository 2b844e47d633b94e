"""Stories: when a fault begins and ends on the thing that it strikes.

Every story is placed where it is seen before the run ends: a lamp's by night, a pothole's where
enough vehicles still pass. What a scenario says of the time is kept or refused, never bent. Where
the run has no room for a story, `Unfit` says why; where only this thing has none, it is not told.
"""

from collections.abc import Callable, Mapping, Sequence

from simulators.catalogue import When
from simulators.draw import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    PASSES_MIN,
    Draw,
    Story,
    Unfit,
    check_begins,
    check_brief,
    check_shows,
    distinct_passes,
    lasting,
    no_room,
    passes,
)
from simulators.faults import Kind
from simulators.things import Lamp, Spot

DIP_MS = 210_000  # before and after the one report that sees it


def stories_of(draw: Draw) -> Sequence[Story] | None:
    """The stories of one thing; None where this thing has no room for it. Raises Unfit."""
    line = draw.line
    if line.kind in _BY_PLACE:
        return _BY_PLACE[line.kind](draw)
    if line.at is not None:
        return [_as_said(draw, draw.city.start_ms + round(line.at * 1000))]
    special = _DRAWN.get(line.kind)
    if special and line.for_ is None and not (line.lasts and line.kind not in _MAY_LAST):
        return special(draw)
    return [_drawn(draw)]


# --- told by the scenario ------------------------------------------------------------------------


def _as_said(draw: Draw, start: int) -> Story:
    city, entry = draw.city, draw.entry
    check_begins(draw, start)
    if draw.line.lasts or (draw.for_ms is None and not entry.minutes[1]):
        end = None
    elif draw.for_ms is not None:
        end = start + draw.for_ms
        if end > city.end_ms:
            over = lasting(end - city.end_ms)
            raise Unfit(f"it would end {over} after the run", "or say `lasts: true`", "for")
        check_brief(draw, draw.for_ms)
    else:
        drawn = start + draw.between(*(minutes * MINUTE_MS for minutes in entry.minutes))
        end = drawn if drawn <= city.end_ms else None
    check_shows(draw, start, end)
    return start, end


# --- drawn ---------------------------------------------------------------------------------------


def _drawn(draw: Draw) -> Story:
    """A story of any kind: as long as the catalogue or the line says, where it shows."""
    entry, line, run = draw.entry, draw.line, draw.hours.run
    shortest, longest = (minutes * MINUTE_MS for minutes in entry.minutes)
    if entry.when is When.WHOLE_RUN and draw.for_ms is None:
        if run[1] - run[0] < draw.seen_ms:
            raise Unfit(*no_room(draw, [run], draw.seen_ms))
        return run if not line.lasts else (run[0], None)
    if draw.for_ms is not None:
        shortest = longest = draw.for_ms
        check_brief(draw, draw.for_ms)
    lasts = line.lasts or not longest
    needed = draw.seen_ms if lasts else max(shortest, draw.seen_ms)
    low, high = draw.span(draw.hours.of(entry.when), needed)
    start = draw.between(low, high - needed)
    if lasts:
        return start, None
    return start, min(start + draw.between(shortest, longest), high)


def _lamp_out(draw: Draw) -> Sequence[Story]:
    """Mended in the same night, long enough before dawn to be seen burning again. One that lasts
    breaks by night, and every third by day, when nobody can know: it is dark from dusk on.
    """
    if not draw.line.lasts:
        low, high = draw.span(draw.hours.nights, 5 * HOUR_MS)
        start = draw.between(low, high - 4 * HOUR_MS)
        return [(start, start + draw.between(90 * MINUTE_MS, 150 * MINUTE_MS))]
    low, high = draw.span(draw.hours.nights, 3 * HOUR_MS)
    if draw.number % 3 != 1:
        return [(draw.between(low, high - 2 * HOUR_MS), None)]
    return [(max(draw.city.start_ms, low - draw.between(2 * HOUR_MS, 4 * HOUR_MS)), None)]


def _day_burner(draw: Draw) -> Sequence[Story]:
    """The relay sticks by day, and is released while it is still day."""
    low, high = draw.span(draw.hours.days, 4 * HOUR_MS)
    start = draw.between(low, high - int(3.5 * HOUR_MS))
    if draw.line.lasts:
        return [(start, None)]
    return [(start, draw.between(start + 110 * MINUTE_MS, high - HOUR_MS))]


def _dusk_flicker(draw: Draw) -> Sequence[Story] | None:
    """Begins when its circuit is switched on."""
    lamp = draw.target.thing
    assert isinstance(lamp, Lamp)
    below = next(c.on_below_deg for c in draw.city.circuits if c.asset_id == lamp.circuit)
    dusks = [a for a, _ in draw.hours.below(below) if a > draw.city.start_ms]
    if not dusks:
        raise Unfit("there is no dusk in this run", "a longer duration or another start")
    start = draw.rng.choice(dusks)
    return [(start, start + draw.entry.minutes[0] * MINUTE_MS)]


def _lamp_dimmed(draw: Draw) -> Sequence[Story] | None:
    lamp = draw.target.thing
    if not (isinstance(lamp, Lamp) and lamp.dimmable):
        return None
    low, high = draw.span(draw.hours.nights, 3 * HOUR_MS)
    start = draw.between(low, high - 2 * HOUR_MS)
    return [(start, start + 100 * MINUTE_MS)]


def _feeder_outage(draw: Draw) -> Sequence[Story] | None:
    """Of a circuit of some size, not the last one that is whole."""
    free = [one for one in draw.booking.targets(draw.line.kind) if draw.booking.is_free(one)]
    big = [one for one in free if len(one.holds) >= 10]
    if draw.line.target is None and (draw.target not in big or len(big) < 2):
        return None
    low, high = draw.span(draw.hours.nights, 4 * HOUR_MS)
    start = draw.between(low + 20 * MINUTE_MS, high - 3 * HOUR_MS)
    return [(start, start + draw.between(60 * MINUTE_MS, 100 * MINUTE_MS))]


def _mass_silence(draw: Draw) -> Sequence[Story] | None:
    """Of a concentrator of lamps for an hour by night, where there are others."""
    ours = {circuit.concentrator for circuit in draw.city.circuits}
    drawn = draw.line.target is None
    if drawn and (len(ours) < 2 or draw.target.name not in ours):
        return None
    run = draw.hours.run
    if run[1] - run[0] < 6 * HOUR_MS:
        raise Unfit("the run is too short for mass_silence", "it takes 6h")
    nights = [night for night in draw.hours.nights if night[1] - night[0] >= 2 * HOUR_MS]
    low, high = draw.rng.choice(nights) if nights else run
    start = draw.between(low, high - HOUR_MS)
    return [(start, start + HOUR_MS)]


def _bin_full(draw: Draw) -> Sequence[Story]:
    """Filled at a stroke (a market, a party), emptied hours later; one in three fills again."""
    city = draw.city
    start, latest = city.start_ms + 90 * MINUTE_MS, city.end_ms - 4 * HOUR_MS
    if latest <= start:
        raise Unfit("the run is too short for bin_full", "it takes 6h")
    start, again = draw.between(start, latest), draw.rng.random() < 1 / 3
    stories: list[Story] = []
    while True:
        end = start + draw.between(int(3.2 * HOUR_MS), 6 * HOUR_MS)
        stories.append((start, None if end > city.end_ms or draw.line.lasts else end))
        start = end + draw.between(3 * HOUR_MS, 5 * HOUR_MS)
        if not again or start > latest or draw.line.lasts:
            return stories
        again = False


def _bin_fire(draw: Draw) -> Sequence[Story]:
    earliest, latest = draw.city.start_ms + HOUR_MS, draw.city.end_ms - 150 * MINUTE_MS
    if earliest >= latest:
        raise Unfit("the run is too short for bin_fire", "it takes 4h")
    start = draw.between(earliest, latest)
    return [(start, start + draw.between(25 * MINUTE_MS, 45 * MINUTE_MS))]


def _device_silent(draw: Draw) -> Sequence[Story]:
    """From some time on."""
    start, end = draw.hours.run
    return [(draw.between(start + (end - start) // 4, start + (end - start) // 2), end)]


def _epoch_clock(draw: Draw) -> Sequence[Story]:
    """Until somebody sets it."""
    start, end = draw.hours.run
    return [(start, start + (end - start) // 2)]


# --- where and when something passes, or reports -------------------------------------------------


def _lamp_dip(draw: Draw) -> Sequence[Story]:
    """Dark around one report of the lamp: that one sees it."""
    lamp = draw.target.thing
    assert isinstance(lamp, Lamp)
    every_ms = round(draw.city.scenario.fleets.lamps.every * 1000)
    first_ms, half_ms = draw.city.start_ms + lamp.phase_s * 1000, min(DIP_MS, every_ms * 2 // 5)
    if draw.line.at is None:
        low, high = draw.span(draw.hours.nights, 3 * HOUR_MS)
        report_ms = draw.between(low + HOUR_MS, high - HOUR_MS)
        report_ms -= (report_ms - first_ms) % every_ms
    else:
        report_ms = draw.city.start_ms + round(draw.line.at * 1000)
        check_begins(draw, report_ms)
        report_ms += (first_ms - report_ms) % every_ms
        check_shows(draw, report_ms, report_ms + MINUTE_MS)
    check_brief(draw, draw.for_ms or 0)
    return [(report_ms - half_ms, report_ms + half_ms)]


def _pothole(draw: Draw) -> Sequence[Story] | None:
    """After it has opened, enough vehicles still pass; one in four is filled in again."""
    spot = draw.target.thing
    assert isinstance(spot, Spot)
    grows_ms = _grows_ms(draw)
    if draw.line.at is None:
        return _pothole_drawn(draw, distinct_passes(draw.booking, spot), grows_ms)
    start = draw.city.start_ms + round(draw.line.at * 1000)
    check_begins(draw, start)
    end = None if draw.for_ms is None else start + draw.for_ms
    until = end or draw.city.end_ms
    times = distinct_passes(draw.booking, spot, start + grows_ms)
    left = sum(t_ms < until for t_ms in times)
    if left <= PASSES_MIN:
        raise Unfit(f"vehicles pass {spot.id} {left} times while it is open; {PASSES_MIN + 1} "
                    "tell it from a chance", "begin earlier, or more vehicles", "at")  # fmt: skip
    return [(start, end)]


def _pothole_drawn(draw: Draw, times: Sequence[int], grows_ms: int) -> Sequence[Story] | None:
    latest = next((t for t in reversed(times[: len(times) - PASSES_MIN])), None)
    open_ms = [t for t in times[: len(times) - PASSES_MIN] if t - grows_ms > draw.city.start_ms]
    if latest is None or not open_ms:
        return None
    nth = times.index(open_ms[draw.rng.randrange(max(1, min(len(open_ms), len(times) // 2)))])
    start = times[nth] - 30_000 - grows_ms
    mended = nth + PASSES_MIN + 8 < len(times) and draw.rng.random() < 0.25
    if draw.for_ms is not None:
        return [(start, start + draw.for_ms)]
    if grows_ms or draw.line.lasts or not mended:
        return [(start, None)]
    return [(start, times[nth + PASSES_MIN + 2] + 30_000)]


def _grows_ms(draw: Draw) -> int:
    if draw.line.kind is not Kind.POTHOLE_GROWS:
        return 0
    extent = draw.entry.extents["days"]
    return round(draw.line.extent.get("days", extent.default) * DAY_MS)


def _manhole(draw: Draw) -> Sequence[Story] | None:
    """One wheel hits a lid once; all others pass beside it."""
    spot = draw.target.thing
    assert isinstance(spot, Spot)
    times = [t_ms for t_ms, _ in passes(draw.booking, spot)]
    if draw.line.at is not None:
        start = draw.city.start_ms + round(draw.line.at * 1000)
        check_begins(draw, start)
        times = [t_ms for t_ms in times if t_ms >= start][:1]
    if not times:
        return None
    at = draw.rng.choice(times)
    return [(at - 500, at + 500)]


Place = Callable[[Draw], Sequence[Story] | None]
_BY_PLACE: Mapping[Kind, Place] = {
    Kind.LAMP_DIP: _lamp_dip, Kind.POTHOLE: _pothole, Kind.POTHOLE_GROWS: _pothole,
    Kind.MANHOLE: _manhole,
}  # fmt: skip
_DRAWN: Mapping[Kind, Place] = {
    Kind.LAMP_OUT: _lamp_out, Kind.DAY_BURNER: _day_burner, Kind.DUSK_FLICKER: _dusk_flicker,
    Kind.LAMP_DIMMED: _lamp_dimmed, Kind.FEEDER_OUTAGE: _feeder_outage,
    Kind.MASS_SILENCE: _mass_silence, Kind.BIN_FULL: _bin_full, Kind.BIN_FIRE: _bin_fire,
    Kind.DEVICE_SILENT: _device_silent, Kind.EPOCH_CLOCK: _epoch_clock,
}  # fmt: skip
_MAY_LAST = frozenset({Kind.LAMP_OUT, Kind.DAY_BURNER, Kind.BIN_FULL})
