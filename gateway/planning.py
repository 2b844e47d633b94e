"""Planning: what recurs in the city, so that it is mended for good and not again and again.

Pure. Decides over plain records what fails again, which places grow rougher, which bins are too
small, emptied too early or full before their round. What was seen too seldom is counted apart and
never judged: a figure says on how much it rests.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from statistics import median
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from gateway.cases.places import Pass, Place
from gateway.inventory.assets import Asset
from gateway.telemetry import Address, Reading
from gateway.values import heard
from rules.local_time import LocalTime, Schedule
from rules.runtime import trend

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS

EPISODES_MIN = 2
"""Once is no recurrence."""
GAPS_MIN = 2
"""One pause between two failures tells nothing of the next."""
PASSES_MIN = 8
"""In each half: with fewer no difference is more than chance."""
SPAN_MS_MIN = 2 * WEEK_MS
"""A shorter while is one weather, or one road work."""
RISE_MIN = 0.2
CHANCE_Z = 2.326
"""One-sided 1 %: with hundreds of places a few would stand out at 5 % by chance alone."""
FULL_MIN = 3
EMPTYINGS_MIN = 4
EARLY_PCT = 40.0
"""Half of what a round is planned for: level sensors count 75 to 85 % as full."""
DROP_PCT = 20.0
LEFT_SHARE = 0.5
"""As `bin_emptied` of the library."""
HIGH_PCT = 80.0
AHEAD_MS = 72 * HOUR_MS
WINDOW_MS = DAY_MS
SPEED_PCT_H_MIN = 0.5
READINGS_MIN = 6
STALE_MS = 26 * HOUR_MS
"""As `overflow_risk` of the library; without a schedule the horizon is that of `bin_forecast`."""
HORIZON_MS = DAY_MS

Row = TypeVar("Row")


class Found(NamedTuple, Generic[Row]):
    """What stands out, the worst first; of how many that could be judged; and how many were seen
    too seldom for it.
    """

    rows: list[Row]
    judged: int
    too_few: int


# -- what fails again ------------------------------------------------------------------------------


class Episode(NamedTuple):
    """One fault. `filed`: a request was made of it; `again`: the city had closed one for it."""

    rule: str
    subject: str
    fired_ms: int
    cleared_ms: int | None
    filed: bool
    again: bool


class Recurring(NamedTuple):
    """`mean_days` between two failures; None where there were too few."""

    subject: str
    episodes: int
    rules: Mapping[str, int]
    mean_days: float | None
    last_ms: int
    unrepaired: int
    """After the city had closed the request."""
    lamps: int
    """Of a circuit: episodes of its single lamps in the same time."""


def recurring(
    episodes: Iterable[Episode], circuits: Mapping[str, str] | None = None
) -> Found[Recurring]:
    """`circuits`: lamp -> the circuit that it hangs on."""
    by_subject: dict[str, list[Episode]] = defaultdict(list)
    on_circuit = Counter[str]()
    for episode in episodes:
        if episode.filed:
            by_subject[episode.subject].append(episode)
            on_circuit[(circuits or {}).get(episode.subject, "")] += 1
    rows = [
        _recurring(subject, sorted(some, key=lambda one: one.fired_ms), on_circuit[subject])
        for subject, some in by_subject.items()
        if len(some) >= EPISODES_MIN
    ]
    rows.sort(key=lambda row: (-row.episodes, -row.last_ms, row.subject))
    return Found(rows, len(by_subject), sum(row.mean_days is None for row in rows))


def _recurring(subject: str, episodes: Sequence[Episode], lamps: int) -> Recurring:
    times = [one.fired_ms for one in episodes]
    mean_days = None
    if len(times) > GAPS_MIN:
        mean_days = (times[-1] - times[0]) / (len(times) - 1) / DAY_MS
    return Recurring(
        subject,
        len(episodes),
        dict(Counter(one.rule for one in episodes).most_common()),
        mean_days,
        times[-1],
        sum(one.again for one in episodes),
        lamps,
    )


# -- what grows rougher ----------------------------------------------------------------------------


class Week(NamedTuple):
    since_ms: int
    passes: int
    hits: int


class Rougher(NamedTuple):
    """`before`, `after`: the share of passes that felt it, in each half of the time."""

    place: str
    rule: str
    lat: float
    lon: float
    before: float
    after: float
    passes: Sequence[Pass]

    @property
    def weeks(self) -> list[Week]:
        """Those with passes, oldest first."""
        counted, hits = Counter[int](), Counter[int]()
        for one in self.passes:
            week = one.last_ms // WEEK_MS
            counted[week] += 1
            hits[week] += one.hit
        return [Week(week * WEEK_MS, counted[week], hits[week]) for week in sorted(counted)]


def rougher(places: Iterable[Place], since_ms: int) -> Found[Rougher]:
    """By the passes since then that each place remembers."""
    rows, judged, too_few = list[Rougher](), 0, 0
    for place in places:
        passes = [one for one in place.passes if one.last_ms >= since_ms]
        if not passes:
            continue
        middle_ms = (passes[0].last_ms + passes[-1].last_ms) / 2
        early = [one.hit for one in passes if one.last_ms <= middle_ms]
        late = [one.hit for one in passes if one.last_ms > middle_ms]
        span_ms = passes[-1].last_ms - passes[0].last_ms
        if span_ms < SPAN_MS_MIN or min(len(early), len(late)) < PASSES_MIN:
            too_few += 1
            continue
        judged += 1
        if _has_risen(early, late):
            at = place.id, place.rule, place.lat, place.lon
            rows.append(Rougher(*at, _share(early), _share(late), passes))
    rows.sort(key=lambda row: (row.before - row.after, row.place))
    return Found(rows, judged, too_few)


def _has_risen(early: Sequence[bool], late: Sequence[bool]) -> bool:
    """More than chance: the test of two shares, pooled."""
    rise = _share(late) - _share(early)
    if rise < RISE_MIN:
        return False
    pooled = _share([*early, *late])
    spread = sqrt(pooled * (1 - pooled) * (1 / len(early) + 1 / len(late)))
    return rise >= CHANCE_Z * spread


def _share(hits: Sequence[bool]) -> float:
    return sum(hits) / len(hits)


# -- bins ------------------------------------------------------------------------------------------


class Bin(NamedTuple):
    """What is known of one; `schedule` and `clock` None: nobody said when it is emptied."""

    id: str
    high_pct: float = HIGH_PCT
    schedule: Schedule | None = None
    clock: LocalTime | None = None


class Fill(NamedTuple):
    ts_ms: int
    pct: float


class Small(NamedTuple):
    """`early`: times that it was full before its round began; None: it has no schedule.
    `hours_full`: the median until it was emptied; None: it never was.
    """

    bin: str
    times: int
    weeks: int
    early: int | None
    hours_full: float | None
    last_ms: int


def too_small(episodes: Iterable[Episode], bins: Mapping[str, Bin]) -> Found[Small]:
    """`episodes`: those of rules about full bins, filed or not."""
    by_bin: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        if episode.subject in bins:
            by_bin[episode.subject].append(episode)
    rows = [_small(bins[name], some) for name, some in by_bin.items() if len(some) >= FULL_MIN]
    rows.sort(key=lambda row: (-row.times, -(row.hours_full or 0.0), row.bin))
    return Found(rows, len(bins), len(by_bin) - len(rows))


def _small(one: Bin, episodes: Sequence[Episode]) -> Small:
    early, clock, schedule = None, one.clock, one.schedule
    if clock is not None and schedule is not None:
        early = sum(not clock.is_in(schedule, episode.fired_ms) for episode in episodes)
    hours = [(e.cleared_ms - e.fired_ms) / HOUR_MS for e in episodes if e.cleared_ms is not None]
    return Small(
        one.id,
        len(episodes),
        len({episode.fired_ms // WEEK_MS for episode in episodes}),
        early,
        median(hours) if hours else None,
        max(episode.fired_ms for episode in episodes),
    )


class Early(NamedTuple):
    """A bin that is emptied while there is room in it; `median_pct`: its fill then."""

    bin: str
    emptyings: int
    median_pct: float
    last_ms: int


def too_often(series: Mapping[str, Sequence[Fill]]) -> Found[Early]:
    """`series`: each bin's fills in the order of time."""
    rows, judged, too_few = list[Early](), 0, 0
    for name, fills in series.items():
        found = emptyings(fills)
        judged += len(found) >= EMPTYINGS_MIN
        too_few += len(found) < EMPTYINGS_MIN
        if len(found) >= EMPTYINGS_MIN:
            usual_pct = median(one.pct for one in found)
            if usual_pct <= EARLY_PCT:
                rows.append(Early(name, len(found), usual_pct, found[-1].ts_ms))
    rows.sort(key=lambda row: (row.median_pct, -row.emptyings, row.bin))
    return Found(rows, judged, too_few)


def emptyings(fills: Sequence[Fill]) -> list[Fill]:
    """When a bin was emptied, and how full it was then: two reports in a row were high, and the
    next two low. One report alone may be a bag on its way down, or no echo.
    """
    found = []
    for i in range(1, len(fills) - 2):
        after = fills[i + 1].pct
        if fills[i].pct - after < DROP_PCT:
            continue  # nearly always
        before = min(fills[i - 1].pct, fills[i].pct)
        low = before * LEFT_SHARE
        if before - after >= DROP_PCT and after <= low and fills[i + 2].pct <= low:
            found.append(Fill(fills[i + 1].ts_ms, before))
    return found


class Forecast(NamedTuple):
    """A bin that will be full before its round; `round_ms` None: it has no schedule."""

    bin: str
    fill_pct: float
    speed_pct_h: float
    full_ms: int
    round_ms: int | None
    readings: int


def forecasts(
    series: Mapping[str, Sequence[Fill]], bins: Mapping[str, Bin], now_ms: int
) -> Found[Forecast]:
    """By the speed of the last day, as the library's rules forecast it."""
    rows, judged, too_few = list[Forecast](), 0, 0
    for name, one in bins.items():
        fills = series.get(name, ())
        last_ms = fills[-1].ts_ms if fills else 0
        recent = [fill for fill in fills if fill.ts_ms > last_ms - WINDOW_MS]
        if last_ms < now_ms - STALE_MS or len(recent) < READINGS_MIN:
            too_few += 1
            continue
        judged += 1
        found = forecast(recent, one)
        if found is not None:
            rows.append(found)
    rows.sort(key=lambda row: (row.full_ms, row.bin))
    return Found(rows, judged, too_few)


def forecast(recent: Sequence[Fill], one: Bin) -> Forecast | None:
    """As of the last report; None: it is full, or it will be emptied in time."""
    at_ms, fill_pct = recent[-1]
    per_ms = trend([number for fill in recent for number in fill])
    if per_ms is None or per_ms * HOUR_MS < SPEED_PCT_H_MIN or fill_pct >= one.high_pct:
        return None
    left_ms, round_ms = HORIZON_MS, None
    if one.clock is not None and one.schedule is not None:
        left_ms = one.clock.time_to_ms(one.schedule, at_ms)
        round_ms = at_ms + left_ms
    if left_ms > AHEAD_MS or fill_pct + per_ms * left_ms < one.high_pct:
        return None
    full_ms = at_ms + round((one.high_pct - fill_pct) / per_ms)
    return Forecast(one.id, fill_pct, per_ms * HOUR_MS, full_ms, round_ms, len(recent))


class _Body(msgspec.Struct):
    values: dict[str, Any]


_body = msgspec.json.Decoder(_Body).decode
_NOBODY = Address("", "bin", "", "telemetry")


def fills_of(
    rows: Iterable[tuple[str, int, bytes]], assets: Mapping[str, Asset]
) -> dict[str, list[Fill]]:
    """(asset, time, message) of bins as their fills, in the order of time; what rules would not
    hear as a fill is left out.
    """
    series: dict[str, list[Fill]] = defaultdict(list)
    for name, ts_ms, body in rows:
        asset = assets.get(name)
        if asset is None:
            continue
        values = _body(body).values
        reading = Reading(_NOBODY, ts_ms, None, None, values, None, (), False, None, b"")
        pct = heard(reading, asset, ts_ms).get("fill_pct")
        if pct is not None:
            series[name].append(Fill(ts_ms, float(pct)))
    for fills in series.values():
        fills.sort()
    return series
