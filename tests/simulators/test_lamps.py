"""Simulated street lamps and their cabinets: physics that holds, faults that show, no more."""

import math
from datetime import datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import sky
from simulators.cabinets import OWN_W, cabinet_says
from simulators.catalogue import CATALOGUE, Strikes
from simulators.city import City
from simulators.faults import Fault, Kind
from simulators.feeder import Feeder
from simulators.lamps import lamp_says
from simulators.photoperiod import burning_hours, orders_of
from simulators.power import driver_watts, led_power_factor, warmth
from simulators.things import Lamp
from simulators.wire import Said, parse_rfc3339

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
START = "2026-09-15T17:00:00Z"  # noon in Chicago
START_MS = parse_rfc3339(START)
NIGHT_MS = START_MS + 9 * HOUR_MS  # 21:00, dark, before it dims
MORNING_MS = START_MS + 21 * HOUR_MS  # 09:00


def _city(duration: str = "36h", lamps: int = 60, **more) -> City:
    fleet = {"count": lamps} | more.pop("fleet", {})
    more = {"start": START, "duration": duration, "fleets": {"lamps": fleet}} | more
    return City.sized(7, **more)


CITY = _city()
CIRCUIT = CITY.circuits[0]
LED = next(lamp for lamp in CIRCUIT.lamps if lamp.dimmable)
SODIUM = next(lamp for lamp in CIRCUIT.lamps if not lamp.dimmable)
MANY = _city(lamps=400).all_lamps
BOTH = pytest.mark.parametrize("lamp", [LED, SODIUM], ids=["led", "sodium"])


def _says(lamp: Lamp, *faults: Fault, city: City = CITY) -> list[Said]:
    circuit = next(one for one in city.circuits if one.asset_id == lamp.circuit)
    return list(lamp_says(Feeder(city, circuit, faults), lamp, faults))


def _cabinet(*faults: Fault, city: City = CITY) -> list[Said]:
    return list(cabinet_says(Feeder(city, city.circuits[0], faults)))


def _fault(kind: Kind, start_ms: int, hours: float | None, **extent: float) -> Fault:
    end_ms = None if hours is None else start_ms + round(hours * HOUR_MS)
    return Fault(kind, LED.device, start_ms, end_ms, (), extent)


def _of(said: list[Said], name: str) -> list[float]:
    return [one.values[name] for one in said]


def _during(said: list[Said], fault: Fault) -> list[Said]:
    return [one for one in said if fault.active(one.ts_ms)]


def _told(lamp: Lamp, one: Said) -> float:
    """The level in per cent that its values name."""
    return one.values["dim_level_pct"] if lamp.dimmable else 100.0 * one.values["relay_on"]


def _warming(lamp: Lamp, said: list[Said]) -> set[int]:
    """When it reports within a quarter of an hour after it was lit: a sodium lamp is cold."""
    pairs = pairwise(said)
    return {b.ts_ms for a, b in pairs if _told(lamp, b) and not _told(lamp, a)}


def _dusk_ms(city: City) -> int:
    hours = burning_hours(city, CIRCUIT.on_below_deg)
    return next(on_ms for on_ms, _ in hours if on_ms > city.start_ms)


def _expected_w(lamp: Lamp, one: Said) -> float:
    """What a register knows of it, worked out anew."""
    level, points = _told(lamp, one), lamp.dim_curve or ((0.0, 0.0), (100.0, lamp.nominal_w))
    for (low, low_w), (high, high_w) in pairwise(points):
        if low <= level <= high:
            return low_w + (high_w - low_w) * (level - low) / (high - low)
    raise AssertionError(level)


# --- what is commanded --------------------------------------------------------------------------


@pytest.mark.parametrize("cloud", [0.0, 0.5, 1.0])
def test_a_photocell_lights_the_lamps_in_twilight_and_never_by_day(cloud):
    """On between 3 degrees above and 4 below the horizon, off a little later in more light."""
    city = _city("7d", weather={"cloud": cloud})
    for circuit in city.circuits:
        hours = [span for span in burning_hours(city, circuit.on_below_deg) if span[0] > START_MS]
        assert len(hours) in (7, 8)
        for on_ms, off_ms in hours[:7]:
            on, off = (sky.elevation_deg(city.lat, city.lon, ts) for ts in (on_ms, off_ms))
            assert -4 < on < 3
            assert -4 < off < 3
            assert 8 * HOUR_MS < off_ms - on_ms < 14 * HOUR_MS
            if cloud == 0:
                assert on == pytest.approx(circuit.on_below_deg, abs=0.05)
                assert on < off - 0.2


def test_clouds_make_the_night_longer():
    """Dusk comes earlier and dawn later under a covered sky."""
    clear, covered = (
        burning_hours(_city(weather={"cloud": cloud}), CIRCUIT.on_below_deg)[1] for cloud in (0, 1)
    )
    assert covered[0] < clear[0] - 3 * MINUTE_MS
    assert covered[1] > clear[1] + 3 * MINUTE_MS


@pytest.mark.parametrize(
    ("lat", "start", "hours"),
    [(78.2, "2026-06-15T12:00:00Z", 0.0), (78.2, "2026-12-15T12:00:00Z", 48.0)],
    ids=["midnight sun", "polar night"],
)
def test_lamps_burn_never_or_always_where_the_sun_never_sets_or_rises(lat, start, hours):
    """There is no dusk to wait for, at either end of the year."""
    city = _city("48h", start=start, place={"lat": lat, "lon": 15.6, "time_zone": "UTC"})
    spans = burning_hours(city, -2.0)
    lit = sum(max(0, min(b, city.end_ms) - max(a, city.start_ms)) for a, b in spans)
    assert lit == hours * HOUR_MS


@pytest.mark.parametrize(
    ("fleet", "dim_hours"),
    [
        ({}, {23, 0, 1, 2, 3, 4}),
        ({"dim_from_h": 1, "dim_to_h": 3}, {1, 2}),
        ({"dim_from_h": 2, "dim_to_h": 2}, set()),
    ],
)
def test_lamps_that_dim_do_so_in_the_small_hours_of_their_city(fleet, dim_hours):
    """By local time, over midnight or not, also in the night when the clocks change."""
    city = _city("5d", start="2026-10-30T17:00:00Z", fleet=fleet | {"dim_pct": 45})
    orders = orders_of(city, burning_hours(city, -2.0), dims=True)
    times = np.arange(city.start_ms, city.end_ms, 7 * MINUTE_MS)
    levels, lit = orders.at(times)
    zone = city.zone_info
    for ts_ms, level in zip(times.tolist(), levels.tolist(), strict=True):
        if level:
            hour = datetime.fromtimestamp(ts_ms / 1000, zone).hour
            assert level == (45 if hour in dim_hours else 100)
    assert set(levels) == ({0, 45, 100} if dim_hours else {0, 100})
    assert ((lit > 0) == (levels > 0)).all()
    assert set(orders_of(city, burning_hours(city, -2.0), dims=False).pct) == {0, 100}


def test_the_lamps_of_a_circuit_are_switched_within_seconds():
    """Group switching: all of a circuit follow one order, one after the other."""
    city = _city("12h", fleet={"every": "10s", "led": 1.0})
    lit = [next(one.ts_ms for one in _says(lamp, city=city) if _told(lamp, one) > 0)
           for lamp in city.circuits[0].lamps[:8]]  # fmt: skip
    assert 0 < max(lit) - min(lit) < 20_000


# --- physics ------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 100), min_size=2, max_size=9).map(sorted))
@settings(deadline=None)
def test_more_light_takes_more_power_at_a_better_power_factor(levels):
    """Monotone in the dim level, with a profile or without."""
    leds = [lamp for lamp in MANY if lamp.dimmable]
    curved = next(lamp for lamp in leds if lamp.dim_curve)
    plain = next(lamp for lamp in leds if not lamp.dim_curve)
    for lamp in (curved, plain):
        watts = driver_watts(lamp, np.array(levels))
        assert (np.diff(watts) >= 0).all()
        assert watts[-1] <= lamp.nominal_w
    assert (np.diff(led_power_factor(np.array(levels))) >= 0).all()


def test_power_factors_are_those_of_led_drivers_and_sodium_lamps():
    """0.95 in full light, 0.7 at a fifth; low when off; 0.85 to 0.9 of a sodium lamp."""
    assert led_power_factor(np.array([100.0, 20.0, 0.0])).tolist() == [0.95, 0.70, 0.34]
    said = _says(SODIUM)
    for one in said:
        if one.values["relay_on"] and one.ts_ms not in _warming(SODIUM, said):
            assert 0.83 < one.values["power_factor"] < 0.92


def test_a_sodium_lamp_warms_up_within_minutes():
    """A third of its power at first, rising, nearly all of it after ten minutes."""
    warm = warmth(np.arange(0, 3_600_000, 60_000))
    assert warm[0] == pytest.approx(0.3)
    assert (np.diff(warm) >= 0).all()
    assert 0.95 < warm[10] < 1
    assert warm[40] == 1.0
    said = [one for one in _says(SODIUM, city=_city("12h", fleet={"every": "1min"}))
            if one.values["relay_on"]]  # fmt: skip
    assert said[0].values["active_power_w"] < 0.6 * SODIUM.nominal_w
    assert said[15].values["active_power_w"] > 0.94 * SODIUM.nominal_w


@BOTH
def test_a_sound_lamp_draws_what_its_profile_says_and_nothing_by_day(lamp):
    """Within a twentieth by night, its standby by day; never outside the ranges of the wire."""
    said = _says(lamp)
    for one in said:
        watts, told = one.values["active_power_w"], _told(lamp, one)
        if not told:
            assert 0.4 <= watts <= 1.2
        elif lamp.dimmable or one.ts_ms not in _warming(lamp, said):
            assert watts == pytest.approx(_expected_w(lamp, one), rel=0.06)
        if sky.elevation_deg(lamp.lat, lamp.lon, one.ts_ms) > 3:
            assert watts < 6
        volts, factor = one.values["voltage_v"], one.values["power_factor"]
        assert 228 < volts < 250
        assert one.values["current_a"] == pytest.approx(watts / volts / factor, abs=0.01, rel=0.03)
        assert one.t_ms - one.ts_ms in range(100, 2000)
        assert one.claims == ()
    assert len({one.ts_ms for one in said}) == 36 * 4


@BOTH
def test_a_lamp_counts_the_energy_that_it_draws(lamp):
    """Whole watt hours that never fall and sum up its power."""
    said = _says(lamp)
    energy, watts = _of(said, "energy_wh"), _of(said, "active_power_w")
    assert all(before <= after for before, after in pairwise(energy))
    steps = zip(pairwise(said), pairwise(watts), strict=True)
    drawn = sum((b.ts_ms - a.ts_ms) / HOUR_MS * (p + q) / 2 for (a, b), (p, q) in steps)
    assert energy[-1] - energy[0] == pytest.approx(drawn, abs=3)
    assert drawn > 8 * 0.5 * lamp.nominal_w


def test_the_voltage_is_high_at_night_and_sags_along_a_burning_feeder():
    """Lowest in the evening, at the far end; nothing sags while nothing burns."""
    feeder = Feeder(CITY, CIRCUIT)
    noon, evening, small = (np.array([START_MS + h * HOUR_MS]) for h in (1, 8, 15))
    assert feeder.volts(noon, 0.0) == feeder.volts(noon, 1.0)
    assert feeder.volts(evening, 1.0) < feeder.volts(evening, 0.5) < feeder.volts(evening, 0.0)
    assert feeder.volts(evening, 0.0) < feeder.volts(noon, 0.0) < feeder.volts(small, 0.0)
    sagged = feeder.volts(evening, 0.0) - feeder.volts(evening, 1.0)
    dimmed = feeder.volts(small, 0.0) - feeder.volts(small, 1.0)
    assert dimmed < sagged < 6


def test_a_cabinet_meters_the_sum_of_its_lamps():
    """By night and by day, within a few per cent, and its contactor says what they are told."""
    sound = {lamp.device: _says(lamp) for lamp in CIRCUIT.lamps}
    for one in _cabinet():
        near = [min(said, key=lambda lamp: abs(lamp.ts_ms - one.ts_ms)) for said in sound.values()]
        lit = {lamp.values["active_power_w"] > 6 for lamp in near}
        if len(lit) > 1 or len({lamp.values.get("dim_level_pct", 0) for lamp in near}) > 2:
            continue  # dusk
        total = sum(lamp.values["active_power_w"] for lamp in near)
        assert one.values["relay_on"] == (lit == {True})
        if one.ts_ms > NIGHT_MS or lit == {False}:
            assert one.values["active_power_w"] - OWN_W == pytest.approx(total, rel=0.05, abs=8)
        assert 230 < one.values["voltage_v"] < 250


def test_a_cabinet_without_a_meter_tells_of_its_contactor_only():
    """And of its door."""
    said = _cabinet(city=_city(fleet={"metered": False}))
    assert {tuple(one.values) for one in said} == {("relay_on", "door_open")}
    assert set(_of(said, "relay_on")) == {True, False}


# --- faults -------------------------------------------------------------------------------------

NIGHT_KINDS = [
    Kind.LAMP_OUT, Kind.GEAR_FAILURE, Kind.LOW_POWER, Kind.LOW_POWER_FACTOR, Kind.DIM_STUCK,
    Kind.LAMP_AGED, Kind.OVERVOLTAGE, Kind.UNDERVOLTAGE, Kind.METER_ZERO,
]  # fmt: skip


def _extremes(kind: Kind) -> list[dict[str, float]]:
    """Its default, and each extent at both ends."""
    extents = CATALOGUE[kind].extents
    return [{}, *({name: x} for name, e in extents.items() for x in (e.low, e.high))]


def _shows(kind: Kind, lamp: Lamp, one: Said) -> bool:
    """What somebody who knows the lamp sees of it, by margins that no sound lamp reaches."""
    values, told = one.values, _told(lamp, one)
    share = values["active_power_w"] / _expected_w(lamp, one) if told else math.nan
    return {
        Kind.LAMP_OUT: told > 0 and share < 0.2,
        Kind.GEAR_FAILURE: told > 0 and share < 0.2 and "control_gear_failure" in one.claims,
        Kind.LOW_POWER: 0.2 < share < 0.85,
        Kind.LAMP_AGED: 0.85 < share < 1.02,
        Kind.LOW_POWER_FACTOR: told > 0 and values["power_factor"] < 0.65 and share > 0.9,
        Kind.DIM_STUCK: 0.2 < share < 0.85,
        Kind.OVERVOLTAGE: values["voltage_v"] > 264,
        Kind.UNDERVOLTAGE: values["voltage_v"] < 216,
        Kind.METER_ZERO: values["voltage_v"] == values["active_power_w"] == 0,
    }[kind]


@BOTH
@pytest.mark.parametrize("kind", NIGHT_KINDS)
def test_a_fault_shows_in_each_report_while_it_lasts_and_in_no_other(lamp, kind):
    """At its mildest and its worst, in full light and dimmed; before and after it, nothing."""
    for extent in _extremes(kind):
        fault = _fault(kind, NIGHT_MS, 4, **extent)
        told = _says(lamp, fault)
        during = _during(told, fault)
        assert len(during) == 16
        # A sodium lamp strikes cold again: for some minutes it draws less.
        again = [one for one in told if 0 <= one.ts_ms - fault.end_ms < 15 * MINUTE_MS]
        assert all(_shows(kind, lamp, one) for one in during), extent
        others = [one for one in told if one not in during and one not in again]
        if kind is not Kind.LAMP_AGED:
            warm = [one for one in others if one.ts_ms not in _warming(lamp, told)]
            assert not any(_shows(kind, lamp, one) for one in warm)
        sound = {one.ts_ms: one.values for one in _says(lamp)}
        for one in others:
            same = dict(one.values) | {"energy_wh": 0}
            assert same == dict(sound[one.ts_ms]) | {"energy_wh": 0}


@BOTH
@pytest.mark.parametrize("kind", [Kind.DAY_BURNER, Kind.RELAY_STUCK])
def test_a_lamp_that_burns_by_day_draws_its_full_power_untold(lamp, kind):
    """From the first report on; the day before and the hours after it is dark by day."""
    fault = _fault(kind, MORNING_MS, 3)
    told = _says(lamp, fault)
    assert all(_told(lamp, one) == 0 for one in _during(told, fault))
    assert all(one.values["active_power_w"] > 0.28 * lamp.nominal_w for one in _during(told, fault))
    assert _during(told, fault)[-1].values["active_power_w"] > 0.93 * lamp.nominal_w
    by_day = [one for one in told if not fault.active(one.ts_ms) and not _told(lamp, one)]
    assert max(_of(by_day, "active_power_w")) < 6


@BOTH
def test_a_relay_that_sticks_all_the_run_burns_night_and_day(lamp):
    """Whatever it is told."""
    told = _says(lamp, _fault(Kind.RELAY_STUCK, CITY.start_ms, 36))
    assert min(_of(told[4:], "active_power_w")) > 0.93 * lamp.nominal_w


@BOTH
@pytest.mark.parametrize("extent", _extremes(Kind.CYCLING))
def test_a_cycling_lamp_goes_out_and_comes_back_and_says_so(lamp, extent):
    """At least four times in two hours, each time dark for less than a quarter of an hour."""
    fault = _fault(Kind.CYCLING, NIGHT_MS, 5, **extent)
    told = _says(lamp, fault)
    during = [(one.ts_ms, one.values["active_power_w"] > 6) for one in _during(told, fault)]
    changes = [ts for (_, before), (ts, after) in pairwise(during) if before != after]
    assert all(later - ts <= 2 * HOUR_MS for ts, later in zip(changes, changes[6:], strict=False))
    for (ts, before), (later, _) in pairwise(during):
        assert before or later - ts < 15 * MINUTE_MS
    dark = [one for one in told if _told(lamp, one) and one.values["active_power_w"] < 6]
    assert all(fault.active(one.ts_ms) for one in dark)
    assert told[-1].ts_ms > fault.end_ms


def test_a_lamp_cycles_only_while_it_is_told_to_burn():
    """By day nothing can go out."""
    fault = _fault(Kind.CYCLING, START_MS, 4)
    assert len(_says(LED, fault)) == len(_says(LED))


def test_a_pole_that_is_hit_reports_its_tilt_once_and_is_silent_then():
    """The report comes at once, whatever the turn; nothing else ever names a tilt."""
    fault = _fault(Kind.KNOCKED_DOWN, NIGHT_MS + 123_000, None, tilt_deg=55)
    told = _says(LED, fault)
    assert told[-1].values["tilt_deg"] == 55
    assert 0 <= told[-1].ts_ms - fault.start_ms < 10_000
    assert not any("tilt_deg" in one.values for one in told[:-1])
    assert len(told) == sum(one.ts_ms < fault.start_ms for one in _says(LED)) + 1


@BOTH
def test_a_dip_is_dark_and_short(lamp):
    """The report within it sees it, the next one does not."""
    at = next(one.ts_ms for one in _says(lamp) if one.ts_ms > NIGHT_MS)
    told = _says(lamp, Fault(Kind.LAMP_DIP, lamp.device, at - 210_000, at + 210_000))
    dark = [one.ts_ms for one in told if _shows(Kind.LAMP_OUT, lamp, one)]
    assert dark == [at]


def test_a_lamp_dimmed_by_command_says_the_command():
    """It draws what that level asks for: nothing is wrong with it. Off is off."""
    for extent in _extremes(Kind.LAMP_DIMMED):
        fault = _fault(Kind.LAMP_DIMMED, NIGHT_MS, 2, **extent)
        for one in _during(_says(LED, fault), fault):
            assert one.values["dim_level_pct"] == extent.get("dim_pct", 40)
            assert one.values["active_power_w"] == pytest.approx(_expected_w(LED, one), rel=0.06)
    assert _says(SODIUM, _fault(Kind.LAMP_DIMMED, NIGHT_MS, 2)) == _says(SODIUM)
    by_day = _fault(Kind.LAMP_DIMMED, START_MS, 2)
    assert _says(LED, by_day) == _says(LED)


@BOTH
def test_a_flicker_at_dusk_is_a_command_that_changes_its_mind_twice(lamp):
    """Five changes at most, none of them a lamp that is dark while it is told to burn."""
    city = _city("12h", fleet={"every": "1min"})
    dusk = _dusk_ms(city)
    told = _says(lamp, Fault(Kind.DUSK_FLICKER, lamp.device, dusk, dusk + 30 * MINUTE_MS),
                 city=city)  # fmt: skip
    lit = [one.values["active_power_w"] > 6 for one in told]
    assert sum(a != b for a, b in pairwise(lit)) == 5
    assert all(burns == (_told(lamp, one) > 0) for burns, one in zip(lit, told, strict=True))


# --- circuits -----------------------------------------------------------------------------------


def test_a_feeder_without_power_leaves_its_lamps_dark_and_talking_at_once():
    """0 W and 0 V within a minute, then on turn, then a report when it is back."""
    fault = _fault(Kind.FEEDER_OUTAGE, NIGHT_MS, 1.5)
    for lamp in CIRCUIT.lamps[:6]:
        during = _during(_says(lamp, fault), fault)
        assert during[0].ts_ms - fault.start_ms <= MINUTE_MS
        for one in during:
            assert one.values["active_power_w"] == one.values["voltage_v"] == 0
            assert one.values["current_a"] == one.values["power_factor"] == 0
        after = [one for one in _says(lamp, fault) if one.ts_ms >= fault.end_ms]
        assert after[0].ts_ms - fault.end_ms <= 2 * MINUTE_MS
        assert after[0].values["active_power_w"] > 0.25 * lamp.nominal_w
        energy = _of(during, "energy_wh")
        assert energy[-1] == energy[0]
    cabinet = _during(_cabinet(fault), fault)
    assert max(_of(cabinet, "voltage_v")) < 3
    assert max(_of(cabinet, "active_power_w")) == 0


def test_a_failed_photocell_lights_its_whole_circuit_by_day():
    """Every lamp and the cabinet, for as long as it lasts."""
    fault = _fault(Kind.PHOTOCELL_FAILED, MORNING_MS, 3)
    soon = MORNING_MS + 15_000
    for lamp in CIRCUIT.lamps[:6]:
        told = _says(lamp, fault)
        for one in told:
            burns, lit = one.values["active_power_w"] > 6, _told(lamp, one) > 0
            assert burns == lit
            if soon < one.ts_ms < fault.end_ms:
                assert burns
            elif one.ts_ms > fault.end_ms + 15_000 and one.ts_ms < MORNING_MS + 8 * HOUR_MS:
                assert not burns
    assert all(_of(_during(_cabinet(fault), fault), "relay_on"))
    assert min(_of(_during(_cabinet(fault), fault), "active_power_w")) > 500


def test_a_photocell_that_fails_at_dusk_keeps_one_span_of_light():
    """Overlapping reasons to burn are one."""
    dusk = _dusk_ms(CITY)
    fault = Fault(Kind.PHOTOCELL_FAILED, CIRCUIT.asset_id, dusk - HOUR_MS, dusk + HOUR_MS)
    assert dusk - HOUR_MS in [on for on, _ in burning_hours(CITY, CIRCUIT.on_below_deg, [fault])]
    assert len(burning_hours(CITY, CIRCUIT.on_below_deg, [fault])) == len(
        burning_hours(CITY, CIRCUIT.on_below_deg)
    )


@pytest.mark.parametrize("late_min", [5, 25, 30])
def test_a_cabinet_whose_clock_is_off_switches_late_and_early(late_min):
    """By so many minutes, yet never so late that a lamp is dark in what is surely night."""
    fault = _fault(Kind.SCHEDULE_SHIFT, CITY.start_ms, 36, late_min=late_min)
    plain = next(a for a in burning_hours(CITY, CIRCUIT.on_below_deg) if a[0] == _dusk_ms(CITY))
    spans = burning_hours(CITY, CIRCUIT.on_below_deg, [fault])
    shifted = next(span for span in spans if span[0] > _dusk_ms(CITY))
    late, early = shifted[0] - plain[0], plain[1] - shifted[1]
    assert late == early == late_min * MINUTE_MS
    dark = [*range(plain[0], shifted[0], MINUTE_MS), *range(shifted[1], plain[1], MINUTE_MS)]
    for ts_ms in dark:
        around = (ts_ms - 20 * MINUTE_MS, ts_ms + 20 * MINUTE_MS)
        assert max(sky.elevation_deg(CITY.lat, CITY.lon, ts) for ts in around) > -6


# --- determinism --------------------------------------------------------------------------------


@BOTH
def test_a_lamp_says_the_same_however_long_the_run_is(lamp):
    """The first day of a week is that day."""
    day = _says(lamp, city=_city("20h"))
    assert _says(lamp, city=_city("5d"))[: len(day)] == day


@BOTH
@pytest.mark.parametrize(
    "kind", [k for k, entry in CATALOGUE.items() if entry.strikes is Strikes.LAMP]
)
def test_a_fault_changes_nothing_before_it_begins(lamp, kind):
    """Not one digit of what the lamp said until then."""
    fault = _fault(kind, NIGHT_MS, 3)
    before = [one for one in _says(lamp) if one.ts_ms < NIGHT_MS]
    assert [one for one in _says(lamp, fault) if one.ts_ms < NIGHT_MS] == before


def test_one_lamp_more_changes_nothing_of_the_others():
    """Nor does the number of another lamp's faults: all chance belongs to one thing."""
    more = _city(fleet={"circuit_lamps": 100})
    fewer = _city(lamps=59, fleet={"circuit_lamps": 100})
    for lamp in fewer.all_lamps[:5]:
        same = next(one for one in more.all_lamps if one.device == lamp.device)
        assert _says(lamp, city=fewer) == _says(same, city=more)


@pytest.mark.parametrize("every", ["10s", "15min", "4h", "2d"])
def test_reports_keep_their_cadence_and_come_in_order(every):
    """At any interval, also one that is longer than the run's last part."""
    city = _city("3d" if every != "10s" else "1h", lamps=3, fleet={"every": every})
    for lamp in city.all_lamps:
        times = [one.ts_ms for one in _says(lamp, city=city)]
        gaps = {after - before for before, after in pairwise(times)}
        assert gaps <= {round(city.scenario.fleets.lamps.every * 1000)}
        assert all(city.start_ms <= ts < city.end_ms for ts in times)
        assert times
