"""Bins: how they fill through the week, when they are emptied, and what each fault looks like."""

import hashlib
import os
import subprocess
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import mean
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import bins
from simulators.catalogue import CATALOGUE, Strikes
from simulators.city import City
from simulators.contents import MARGIN_PCT, Contents
from simulators.faults import Fault, Kind
from simulators.sites import PROFILES, People, Site, site_of
from simulators.wire import Said

ROOT = Path(__file__).parents[2]
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
MONDAY = "2026-09-14T05:00:00Z"  # midnight in Chicago


def _city(seed=5, count=40, duration="2d", **more) -> City:
    fleet = more.pop("fleet", {})
    more = {"start": MONDAY, "duration": duration, **more}
    return City.sized(seed, 0, count, 0, **more, fleets={"bins": {"count": count, **fleet}})


def _fault(city, item, kind, extent=None, hours=(20, 32)) -> Fault:
    start, end = (city.start_ms + round(h * HOUR_MS) if h is not None else None for h in hours)
    return Fault(kind, item.device, start, end, (), extent or {})


def _says(city, item, *story) -> list[Said]:
    return list(bins.bin_says(city, item, story))


def _during(said, fault, skip_ms=0):
    return [s for s in said if fault.start_ms + skip_ms <= s.ts_ms and fault.active(s.ts_ms)]


def _fill(item, said) -> float | None:
    """As the contract has it, from the distance that can be measured at all."""
    if "fill_pct" in said.values:
        return said.values["fill_pct"]
    if "distance_mm" not in said.values:
        return None
    seen = max(said.values["distance_mm"], item.dead_zone_mm)
    return min(100.0, max(0.0, 100 * (1 - (seen - item.offset_mm) / item.height_mm)))


def _fills(item, said) -> list[float]:
    return [fill for one in said if (fill := _fill(item, one)) is not None]


def _runs_above(fills, threshold) -> int:
    """The longest run of reports at or above the threshold."""
    longest = now = 0
    for fill in fills:
        now = now + 1 if fill >= threshold else 0
        longest = max(longest, now)
    return longest


# --- how an ordinary bin lives ------------------------------------------------------------------


def test_an_ordinary_bin_stays_below_its_threshold_whatever_happens_around_it():
    """Fast filling, rare rounds and a festival do not make a request where there is no story."""
    city = _city(
        duration="9d",
        fleet={"rate_pct_h": [3.0, 9.0], "rounds_every": "5d"},
        events=[{"at": "1d", "for": "3d", "fill": 40}],
    )
    for item in city.all_bins:
        contents = Contents(city, item, ())
        levels = [contents.level_pct(t) for t in range(city.start_ms, city.end_ms, 10 * MINUTE_MS)]
        assert 0 < min(levels) < max(levels) <= item.threshold_pct - MARGIN_PCT
        assert _runs_above(_fills(item, _says(city, item)), item.threshold_pct - 12) < 2


def test_bins_rise_and_are_emptied_on_rounds_in_the_early_morning():
    """A fall happens at the hour of the bin's round, to almost nothing; else the level rises."""
    city, zone = _city(duration="10d"), ZoneInfo("America/Chicago")
    emptied = 0
    for item in city.all_bins:
        contents = Contents(city, item, ())
        times = range(city.start_ms, city.end_ms, 5 * MINUTE_MS)
        levels = [(t, contents.level_pct(t)) for t in times]
        for (_, before), (ts_ms, now) in pairwise(levels):
            if now >= before:
                continue
            emptied += 1
            assert before > 30
            assert now < 8
            local = datetime.fromtimestamp(ts_ms / 1000, zone)
            assert abs(local.hour + local.minute / 60 - item.round_hour) < 0.5
    assert 100 < emptied < 400


def test_some_rounds_miss_a_bin_that_is_worth_the_stop():
    """At the hour of a daily round most such bins are emptied, some are not."""
    city = _city(count=150, duration="20d", fleet={"rate_pct_h": [1.6, 1.6]})
    came = missed = 0
    for item in city.all_bins:
        contents = Contents(city, item, ())
        first = city.start_ms + round(item.round_hour * HOUR_MS)
        for ts_ms in range(first, city.end_ms, DAY_MS):
            before = contents.level_pct(ts_ms - 30 * MINUTE_MS)
            after = contents.level_pct(ts_ms + 30 * MINUTE_MS)
            if before > 40:
                came, missed = came + (after < before), missed + (after >= before)
    assert 0.03 < missed / (came + missed) < 0.10


@pytest.mark.parametrize(
    ("site", "busy", "calm"),
    [
        (Site.OFFICE, (2, 12), (5, 12)),  # Wednesday noon, Saturday noon
        (Site.PARK, (6, 15), (1, 15)),  # Sunday, Tuesday
        (Site.MARKET, (5, 11), (0, 11)),  # Saturday, Monday
        (Site.RESIDENTIAL, (0, 18), (0, 13)),  # evening, noon
        (Site.STREET, (4, 13), (4, 3)),  # day, night
    ],
)
def test_every_kind_of_site_has_its_hours(site, busy, calm):
    """The local weekday and hour decide, and an ordinary week has a mean of one."""
    zone = ZoneInfo("America/Chicago")
    start = round(datetime(2026, 9, 14, tzinfo=zone).timestamp() * 1000)
    use = People(zone, start, start, start + 7 * DAY_MS).use(site, "north")

    def weight(day, hour):
        from_ms = start + day * DAY_MS + hour * HOUR_MS
        return use.at(from_ms + HOUR_MS) - use.at(from_ms)

    assert weight(*busy) > 1.5 * weight(*calm)
    assert use.at(start + 7 * DAY_MS) - use.at(start) == pytest.approx(168, rel=1e-9)


def test_the_clock_change_moves_the_hours_with_the_people():
    """An office fills at noon local time before and after it."""
    zone = ZoneInfo("America/Chicago")
    start = round(datetime(2026, 10, 30, tzinfo=zone).timestamp() * 1000)
    use = People(zone, start, start, start + 7 * DAY_MS).use(Site.OFFICE, "north")

    def busiest(day):
        midnight = round(datetime(*day, tzinfo=zone).timestamp() * 1000)
        hours = [midnight + h * HOUR_MS for h in range(24)]
        best = max(hours, key=lambda t: use.at(t + HOUR_MS) - use.at(t))
        return datetime.fromtimestamp(best / 1000, zone).hour

    assert busiest((2026, 10, 30)) == busiest((2026, 11, 2)) == 12


def test_an_event_fills_the_bins_of_its_zone_alone():
    """So many times as fast while it lasts; elsewhere and afterwards nothing changes."""
    event = {"at": "12h", "for": "4h", "zone": "market", "fill": 5}
    calm, busy = _city(), _city(events=[event])
    at, end = calm.start_ms + 12 * HOUR_MS, calm.start_ms + 16 * HOUR_MS
    for zone, factor in (("market", 5), ("north", 1)):
        one, two = calm.people.use(Site.STREET, zone), busy.people.use(Site.STREET, zone)
        assert two.at(end) - two.at(at) == pytest.approx(factor * (one.at(end) - one.at(at)))
        later = end + 10 * HOUR_MS
        assert two.at(later) - two.at(end) == pytest.approx(one.at(later) - one.at(end))


def test_sites_come_as_often_as_their_shares_say():
    """And the shares are those of one city."""
    assert sum(profile.share for profile in PROFILES.values()) == pytest.approx(1)
    found = [site_of((n + 0.5) / 1000) for n in range(1000)]
    for site, profile in PROFILES.items():
        assert found.count(site) == pytest.approx(1000 * profile.share, abs=1)


# --- what the sensor makes of it ----------------------------------------------------------------


def test_the_sensor_measures_the_level_with_its_noise_blind_zone_and_steps():
    """Distances in whole millimetres, fills in whole percent, nothing nearer than the dead zone."""
    city = _city(count=60)
    for item in city.all_bins:
        contents, off = Contents(city, item, ()), []
        for said in _says(city, item):
            fill, level = _fill(item, said), contents.level_pct(said.ts_ms)
            if fill is None:
                continue
            key = "distance_mm" if item.sends_distance else "fill_pct"
            assert isinstance(said.values[key], int)
            assert said.values.get("distance_mm", item.dead_zone_mm) >= item.dead_zone_mm
            off.append(abs(fill - level))
        off.sort()
        assert off[len(off) * 9 // 10] < 2.5
        assert off[-1] > 0


def test_now_and_then_an_echo_is_lost_or_false_but_never_false_twice_in_a_row():
    """Within a factor of two of their shares, over many reports; everything else still comes."""
    city = _city(count=150, duration="10d")
    lost = false = total = 0
    for item in city.all_bins:
        fills = [_fill(item, said) for said in _says(city, item)]
        contents = Contents(city, item, ())
        wrong = [
            fill is not None and fill - contents.level_pct(said.ts_ms) > 15
            for fill, said in zip(fills, _says(city, item), strict=True)
        ]
        lost, false = lost + fills.count(None), false + sum(wrong)
        assert not any(a and b for a, b in pairwise(wrong))
        total += len(fills)
    assert 0.5 < lost / total / bins.LOST_ECHO < 2
    assert 0.5 < false / total / bins.FALSE_ECHO < 2


def test_more_noise_is_asked_for_in_millimetres():
    """Fluctuations about the level grow with it."""

    def spread(noise_mm):
        city = _city(count=20, fleet={"noise_mm": noise_mm, "distance": "100%"})
        off = []
        for item in city.all_bins:
            contents = Contents(city, item, ())
            for said in _says(city, item):
                if "distance_mm" in said.values:
                    deep = item.height_mm * (1 - contents.level_pct(said.ts_ms) / 100)
                    off.append(abs(said.values["distance_mm"] - item.offset_mm - deep))
        return sorted(off)[len(off) // 2]

    assert spread(0) < 8 < 20 < spread(40) < 60


def test_cold_lowers_the_cell_and_the_air_follows_the_scenario():
    """A winter in the north is cold, and its batteries show it, none of them low."""
    warm = _city(count=10)
    cold = _city(
        count=10,
        start="2026-01-12T00:00:00Z",
        weather={"mean_c": -12, "swing_c": 4},
        place={"lat": 59.9, "lon": 10.7, "time_zone": "Europe/Oslo"},
    )

    def means(city, name):
        return mean(s.values[name] for item in city.all_bins for s in _says(city, item))

    assert 14 < means(warm, "temperature_c") < 18
    assert -14 < means(cold, "temperature_c") < -10
    assert means(warm, "battery_v") - means(cold, "battery_v") > 0.06
    assert min(s.values["battery_v"] for i in cold.all_bins for s in _says(cold, i)) > 3.35


def test_days_are_warmest_in_the_afternoon_and_drift_with_the_season():
    """At 15:00 local time; from September to December the north cools, the south warms."""
    north = _city(count=0, duration="90d")
    south = _city(count=0, duration="90d", place={"lat": -41.0, "lon": -87.63})
    climate = north.climate
    hours = [climate.ambient_c(north.start_ms + h * HOUR_MS) for h in range(24)]
    assert abs(hours.index(max(hours)) - 15) <= 1

    def noon(city, day):
        return city.climate.ambient_c(city.start_ms + day * DAY_MS + 12 * HOUR_MS)

    assert noon(north, 89) - noon(north, 0) < -8
    assert noon(south, 89) - noon(south, 0) > 8


# --- what each fault looks like -----------------------------------------------------------------


def _above(margin_pct):
    def check(item, said):
        fills = _fills(item, said)
        assert min(fills) >= item.threshold_pct + margin_pct

    return check


def _tilted(item, said):
    assert all(60 <= s.values["tilt_deg"] <= 100 for s in said)
    assert max(_fills(item, said)) < 40 or _runs_above(_fills(item, said), 40) < 2


def _open(item, said):
    assert all(s.values["lid_open"] is True and s.claims == ("cover_open",) for s in said)
    assert len(_fills(item, said)) <= 1


def _blocked(item, said):
    if item.sends_distance:
        seen = {s.values["distance_mm"] for s in said}
        assert len(seen) == 1
        assert max(seen) < item.dead_zone_mm
    else:
        assert all(s.claims == ("measurement_quality",) for s in said)
        assert not _fills(item, said)


def _stuck(item, said):
    fills = _fills(item, said)
    assert len(set(fills[2:])) == 1
    assert len(fills) >= 10


def _near(item, said):
    fills = _fills(item, said)
    assert _runs_above(fills, item.threshold_pct) < 2
    assert sorted(fills)[len(fills) // 2] > item.threshold_pct - 16


def _not_full(item, said):
    assert _runs_above(_fills(item, said), item.threshold_pct - 2) < 2


def _hot(item, said):
    # Hot within ten minutes; then to the end.
    late = [s.values["temperature_c"] for s in said if s.ts_ms >= said[0].ts_ms + 8 * MINUTE_MS]
    assert min(late) >= 60
    assert max(late) < 130


def _sunny(item, said):
    temperatures = [s.values["temperature_c"] for s in said]
    assert 44 < max(temperatures) < 50
    assert max(b - a for a, b in pairwise(temperatures)) < 9  # an hour, not a minute
    _not_full(item, said)


# kind -> (extent, hours from the start of the run, what is seen in that time)
SEEN = {
    Kind.BIN_FULL: ({}, (20, 32), _above(6)),
    Kind.OVERFLOW: ({}, (20, 32), lambda item, said: _above(96 - item.threshold_pct)(item, said)),
    Kind.CROWD: ({}, (20, 26), _near),
    Kind.BIN_FIRE: ({}, (20, 20.6), _hot),
    Kind.BIN_TIPPED: ({}, (20, 25), _tilted),
    Kind.LID_OPEN: ({}, (20, 21.3), _open),
    Kind.SENSOR_BLOCKED: ({}, (20, 32), _blocked),
    Kind.STUCK_VALUE: ({}, (0, None), _stuck),
    Kind.SWAPPED_BIN: ({"share": 0.7}, (20, None), _not_full),
    Kind.SUN_WARMED: ({}, (0, None), _sunny),
}  # fmt: skip


def test_every_fault_of_bins_is_in_the_table():
    """A new kind of the catalogue needs its row."""
    assert set(SEEN) == {kind for kind, entry in CATALOGUE.items() if entry.strikes is Strikes.BIN}


@pytest.mark.parametrize("kind", SEEN)
def test_a_fault_is_seen_while_it_lasts_and_not_before_or_after(kind):
    """Of every sensor that it can strike; the reports before it are those of a sound bin."""
    extent, hours, check = SEEN[kind]
    city = _city(fleet={"every": "30min"})
    for item in city.all_bins:
        fault = _fault(city, item, kind, extent, hours)
        said, sound = _says(city, item, fault), _says(city, item)
        skip_ms = 5 * MINUTE_MS if hours[0] and kind is not Kind.LID_OPEN else 0
        if kind is Kind.LID_OPEN:
            skip_ms = 1
        check(item, _during(said, fault, skip_ms))
        before = [s for s in said if s.ts_ms < fault.start_ms]
        assert [_measured(s) for s in before] == [
            _measured(s) for s in sound if s.ts_ms < fault.start_ms
        ]
        if fault.end_ms:
            after = [s for s in said if s.ts_ms >= fault.end_ms + 45 * MINUTE_MS]
            assert _runs_above(_fills(item, after), item.threshold_pct - 12) < 2
            assert all(s.values["temperature_c"] < 45 for s in after)
            assert all(s.values.get("tilt_deg", 0) < 5 for s in after)
            assert not any(s.claims or s.values.get("lid_open") for s in after)


def _measured(said) -> tuple:
    """What every sensor says, whatever it can besides."""
    values = {k: v for k, v in said.values.items() if k not in ("tilt_deg", "lid_open")}
    return said.ts_ms, said.t_ms, values


def test_moving_things_and_heat_are_reported_out_of_turn():
    """A lid and a fallen bin within half a minute, a fire every minute until it is cold."""
    city = _city()
    item = city.all_bins[3]
    for kind in (Kind.LID_OPEN, Kind.BIN_TIPPED):
        fault = _fault(city, item, kind, hours=(20.01, 22.02))
        times = [s.ts_ms for s in _says(city, item, fault)]
        assert any(0 <= t - fault.start_ms <= 30_000 for t in times)
        assert any(0 <= t - fault.end_ms <= 30_000 for t in times)
    fire = _fault(city, item, Kind.BIN_FIRE, hours=(20, 20.6))
    times = [s.ts_ms for s in _says(city, item, fire)]
    hot = [t for t in times if fire.start_ms + 2 * MINUTE_MS <= t < fire.end_ms]
    assert all(b - a <= MINUTE_MS for a, b in pairwise(hot))
    assert times == sorted(set(times))


def test_a_full_bin_is_empty_after_its_end_and_the_rounds_leave_it_alone_till_then():
    """The label's end is the emptying; no round comes before it."""
    city = _city(duration="6d")
    for item in city.all_bins[:10]:
        fault = _fault(city, item, Kind.BIN_FULL, hours=(20, 92))
        contents = Contents(city, item, (fault,))
        for ts_ms in range(fault.start_ms + 5 * MINUTE_MS, fault.end_ms, 20 * MINUTE_MS):
            assert contents.level_pct(ts_ms) >= item.threshold_pct + 10 - 1
        assert contents.level_pct(fault.end_ms) < 8


def test_a_swapped_bin_shifts_the_level_and_stays_a_look_alike_at_any_share():
    """A nearer bottom reads fuller, a deeper one emptier; neither comes to the threshold."""
    city = _city(fleet={"distance": "100%"})
    item = city.all_bins[0]
    means = []
    for share in (0.7, 0.85, 1.2):
        fault = _fault(city, item, Kind.SWAPPED_BIN, {"share": share}, (10, None))
        fills = _fills(item, _during(_says(city, item, fault), fault))
        assert _runs_above(fills, item.threshold_pct) < 2
        means.append(mean(fills))
    assert means == sorted(means, reverse=True)


def test_one_fault_changes_nothing_of_the_other_bins():
    """Nor does another bin more in the fleet."""
    city, larger = _city(), _city(count=41)
    for item, same in zip(city.all_bins[:5], larger.all_bins, strict=False):
        assert _says(city, item) == _says(larger, same)


@given(
    kind=st.sampled_from(sorted(SEEN)),
    start_h=st.integers(0, 40),
    hours=st.one_of(st.none(), st.floats(0.1, 30)),
    n=st.integers(0, 9),
    mean_c=st.integers(-50, 50),
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_the_contract_is_kept(kind, start_h, hours, n, mean_c):
    """In order, in range, with the devices' own types, in any weather."""
    city = _city(count=10, weather={"mean_c": mean_c, "swing_c": 10})
    item = city.all_bins[n]
    end = None if hours is None else start_h + hours
    said = _says(city, item, _fault(city, item, kind, {}, (start_h, end)))
    assert [s.ts_ms for s in said] == sorted({s.ts_ms for s in said})
    for one in said:
        values = dict(one.values)
        assert 0 < one.t_ms - one.ts_ms < 5000
        assert -60 <= values.pop("temperature_c") <= 150
        assert 3 < values.pop("battery_v") < 3.7
        assert 0 <= values.pop("fill_pct", 0) <= 100
        assert 0 <= values.pop("distance_mm", 0) <= 10_000
        assert 0 <= values.pop("tilt_deg", 0) <= 180
        assert 0 <= values.pop("weight_kg", 0) < 60
        assert isinstance(values.pop("lid_open", False), bool)
        assert not values


def _digest() -> str:
    city = _city(seed=9, count=6)
    faults = [
        _fault(city, item, kind) for item, kind in zip(city.all_bins, sorted(SEEN), strict=False)
    ]
    said = [_says(city, i, f) for i, f in zip(city.all_bins, faults, strict=True)]
    return hashlib.sha256(repr(said).encode()).hexdigest()


def test_bins_say_the_same_in_any_process():
    """Neither hash seed nor time zone of the machine reaches them."""
    code = "import test_bins; print(test_bins._digest())"
    path = os.pathsep.join((str(ROOT), str(Path(__file__).parent)))
    env = {**os.environ, "PYTHONHASHSEED": "99", "TZ": "Asia/Tokyo", "PYTHONPATH": path}
    other = subprocess.check_output([sys.executable, "-c", code], env=env, cwd=ROOT, text=True)
    assert other.strip() == _digest()
