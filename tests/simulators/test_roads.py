"""Vehicles feel the road as physics has it, and only where and when something is there."""

import time
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from math import pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.catalogue import CATALOGUE, Strikes
from simulators.city import City, route_length_m
from simulators.drives import CRUISE_MPS
from simulators.faults import Fault, Kind
from simulators.plan import messages, plan_of
from simulators.roads import HUMP_MPS, grown, sensor_says, vehicle_says
from simulators.vibration import (
    BUSH_HZ,
    PATCH_M,
    SPAN_S,
    SUSPENSIONS,
    Form,
    response,
    ride,
    roughness,
)

pytestmark = pytest.mark.slow

HOUR_MS = 3_600_000
GATE_MPS = 15 / 3.6


def _city(count=8, **vehicles) -> City:
    fleets = {"lamps": {"count": 0}, "bins": {"count": 0}, "road_sensors": {"count": 12},
              "vehicles": {"count": count, **vehicles}}  # fmt: skip
    return City.sized(4, fleets=fleets, faults=[])


def _everywhere(city, kind, **extent):
    """The same at every spot, all day; or in every vehicle."""
    return {spot.id: (Fault(kind, spot.id, city.start_ms, None, (), extent),)
            for spot in city.spots}  # fmt: skip


def _says(city, stories=None, own=(), vehicles=None):
    return [
        said
        for vehicle in vehicles or city.vehicles
        for said in vehicle_says(city, vehicle, stories or {}, own)
    ]


def _around_mean(said):
    z = np.asarray(said.values["accel"]["z_ms2"])
    return z - z.mean()


def _at_spots(city, said_all):
    """Those taken at a watched spot, by their times."""
    times = {drive.at_ms(spot.along_m) for vehicle in city.vehicles for drive in vehicle.drives
             for spot in city.spots}  # fmt: skip
    return [said for said in said_all if said.ts_ms in times]


@lru_cache
def _peaks(kind: Kind | None, **extent):
    city = _city()
    stories = {} if kind is None else _everywhere(city, kind, **dict(extent))
    windows = [_around_mean(said) for said in _at_spots(city, _says(city, stories))]
    return np.asarray([[np.abs(z).max(), z.std(), (z**4).mean() / z.var() ** 2] for z in windows])


# kind -> median peak and rms in m/s2, at least and at most.
FELT = {
    None: ((0.6, 1.6), (0.2, 0.6)),
    Kind.POTHOLE: ((5.5, 8.0), (1.3, 2.2)),
    Kind.MANHOLE: ((4.5, 7.0), (1.0, 1.9)),
    Kind.SPEED_BUMP: ((2.2, 3.8), (1.1, 2.2)),
    Kind.EXPANSION_JOINT: ((0.8, 2.0), (0.2, 0.7)),
    Kind.WORN_SURFACE: ((2.2, 3.8), (0.9, 1.5)),
}


@pytest.mark.parametrize("kind", FELT, ids=str)
def test_each_kind_of_spot_is_felt_as_hard_as_it_is(kind):
    """Median peak and rms of passes, within what is written in the table."""
    peak, rms, _ = np.median(_peaks(kind), axis=0)
    (peak_low, peak_high), (rms_low, rms_high) = FELT[kind]
    assert peak_low < peak < peak_high
    assert rms_low < rms < rms_high


def test_the_table_names_every_kind_of_spot():
    """A hole that grows is felt as a hole."""
    spots = {kind for kind, entry in CATALOGUE.items() if entry.strikes is Strikes.SPOT}
    assert spots == {kind for kind in FELT if kind} | {Kind.POTHOLE_GROWS}


def test_holes_jolt_and_rough_roads_shake():
    """Kurtosis tells them apart: a blow is far above 3, noise is near it."""
    assert np.median(_peaks(Kind.POTHOLE)[:, 2]) > 6
    assert np.median(_peaks(Kind.WORN_SURFACE)[:, 2]) < 3.6
    assert np.median(_peaks(None)[:, 2]) < 3.6


def test_every_pass_over_a_hole_stands_out_of_every_pass_over_sound_road():
    """So that a label that must be filed is true for whoever looks."""
    assert _peaks(Kind.POTHOLE)[:, 0].min() > _peaks(None)[:, 0].max() + 0.5


@pytest.mark.parametrize("body", SUSPENSIONS)
@pytest.mark.parametrize(("form", "first"), [(Form.HOLE, -1), (Form.HUMP, 1)])
def test_a_hole_goes_down_first_and_a_hump_up(body, form, first):
    """The first movement of a tenth of the largest has the sign of what lies there."""
    row = response(form, ride(body, 8, 400))[0]
    begin = int(np.argmax(np.abs(row) > 0.1 * np.abs(row).max()))
    assert np.sign(row[begin]) == first


def test_a_hump_is_long_and_slow():
    """Nearly all of it below 3 Hz, and nobody drives faster than 25 km/h there."""
    city = _city()
    for said in _at_spots(city, _says(city, _everywhere(city, Kind.SPEED_BUMP))):
        assert said.values["speed_mps"] <= HUMP_MPS[1] * 1.03 + 0.01
    hertz, power = _spectrum(response(Form.HUMP, ride("car", 6, 100))[0], 100)
    assert power[hertz < 3].sum() > 0.85 * power.sum()
    hertz, power = _spectrum(response(Form.SHORT_HOLE, ride("car", 10, 100))[0], 100)
    assert power[(hertz > 3) & (hertz < 16)].sum() > 0.7 * power.sum()


def _spectrum(row, rate_hz):
    return np.fft.rfftfreq(len(row), 1 / rate_hz), np.abs(np.fft.rfft(row)) ** 2


@pytest.mark.parametrize("body", SUSPENSIONS)
@pytest.mark.parametrize("speed", [8, 13])
def test_a_joint_clicks_twice(body, speed):
    """Once for each axle, a wheelbase apart."""
    row = np.abs(response(Form.JOINT, ride(body, speed, 400))[0])
    apart = SUSPENSIONS[body].wheelbase_m / speed * 400
    strongest = int(row.argmax())
    other = row[strongest + round(apart) - 6 : strongest + round(apart) + 7].max()
    between = row[strongest + round(apart * 0.45) : strongest + round(apart * 0.6)].mean()
    assert other > 2 * between


@pytest.mark.parametrize("body", SUSPENSIONS)
@pytest.mark.parametrize("speed", [5, 12])
def test_responses_are_those_of_the_equations_of_motion(body, speed):
    """The same hole, stepped through in time: quarter car for each axle, patch, bushes."""
    car, rate, steps = SUSPENSIONS[body], 400, 20
    dt = 1 / (rate * steps)
    t = np.arange(-SPAN_S, SPAN_S, dt)
    ahead = min(car.wheelbase_m / 2, 0.25 * speed)
    patch = max(1, round(PATCH_M / speed / dt))

    def road(at_m):
        x = t * speed + at_m
        hole = -np.clip((0.4 - np.abs(x)) / 0.12, 0, 1)
        return np.convolve(hole, np.ones(patch) / patch, "same")

    z = car.front * road(ahead) + (1 - car.front) * road(ahead - car.wheelbase_m)
    spring = (2 * pi * car.body_hz) ** 2
    damper = 2 * car.damping * sqrt(spring)
    tyre = car.wheel_share * (2 * pi * car.wheel_hz) ** 2 - spring
    body_m = wheel_m = body_v = wheel_v = felt = 0.0
    stepped = np.empty(len(t))
    for n, height in enumerate(z):
        push = spring * (wheel_m - body_m) + damper * (wheel_v - body_v)
        body_v += push * dt
        wheel_v += (tyre * (height - wheel_m) - push) / car.wheel_share * dt
        body_m, wheel_m = body_m + body_v * dt, wheel_m + wheel_v * dt
        felt += (push - felt) * 2 * pi * BUSH_HZ * dt
        stepped[n] = felt
    expected = stepped[::steps] * 0.6
    found = response(Form.HOLE, ride(body, speed, rate))[0]
    assert np.abs(found - expected[: len(found)]).max() < 0.05 * np.abs(expected).max()


def test_roughness_grows_with_speed_and_bounces_the_body():
    """About with its root; the strongest line below wheel hop is that of the body."""
    slow, fast = (roughness(ride("car", speed, 100)) for speed in (6, 24))
    assert 1.5 < fast.std() / slow.std() < 3
    hertz, power = _spectrum(slow, 100)
    smooth = np.convolve(power, np.ones(160) / 160, "same")
    low = hertz < 6
    assert 1.0 < hertz[low][smooth[low].argmax()] < 2.2


def test_a_worn_stretch_is_as_long_as_it_is():
    """Rough for `metres` about its spot, and sound beyond."""
    city = _city()
    spot = city.spots[0]
    story = {spot.id: (Fault(Kind.WORN_SURFACE, spot.id, city.start_ms, None, (),
                             {"metres": 400.0}),)}  # fmt: skip
    sound, worn = _says(city), _says(city, story)
    changed = [b for a, b in zip(sound, worn, strict=True) if a != b]
    rough = [said for said in changed if _around_mean(said).std() > 0.7]
    assert len(rough) > 0.8 * len(changed)
    assert len(changed) > len([said for said in changed if said in _at_spots(city, changed)])
    assert all(abs(said.loc[1] - spot.lon) * 82_900 < 200 + 8 for said in changed)


@pytest.mark.parametrize("kind", [kind for kind in FELT if kind], ids=str)
def test_a_spot_changes_nothing_elsewhere(kind):
    """All windows at other places are the same, value for value."""
    city = _city()
    spot = city.spots[2]
    story = {spot.id: (Fault(kind, spot.id, city.start_ms, None),)}
    near = [drive.at_ms(spot.along_m) for vehicle in city.vehicles if vehicle.route == spot.route
            for drive in vehicle.drives]  # fmt: skip
    for before, after in zip(_says(city), _says(city, story), strict=True):
        if before.ts_ms in near:
            assert before != after
        elif kind is not Kind.WORN_SURFACE:
            assert before == after


def test_a_hole_is_there_from_its_start_to_its_end():
    """Not before, and not after it is mended."""
    city = _city()
    middle = city.start_ms + 12 * HOUR_MS
    stories = {
        spot.id: (Fault(Kind.POTHOLE, spot.id, middle, middle + 3 * HOUR_MS),)
        for spot in city.spots
    }
    for said in _at_spots(city, _says(city, stories)):
        felt = np.abs(_around_mean(said)).max() > 4
        assert felt == (middle <= said.ts_ms < middle + 3 * HOUR_MS)


def test_some_drive_beside_a_hole_where_the_scenario_says_so():
    """`hit` is the share of passes through it."""
    city = _city()
    at = _at_spots(city, _says(city, _everywhere(city, Kind.POTHOLE, hit=0.4)))
    felt = sum(np.abs(_around_mean(said)).max() > 4 for said in at)
    assert felt / len(at) == pytest.approx(0.4, abs=0.05)


def test_deeper_holes_jolt_harder():
    """In proportion, above the noise."""
    shallow, deep = (np.median(_peaks(Kind.POTHOLE, depth_mm=mm)[:, 0]) for mm in (40, 120))
    assert 2.3 < deep / shallow < 3.1


@given(days=st.floats(0.5, 30), first=st.integers(0, 2**40), second=st.integers(0, 2**40))
def test_a_growing_hole_never_shrinks_and_is_whole_in_time(days, first, second):
    """Full depth after `days`, a crack before."""
    fault = Fault(Kind.POTHOLE_GROWS, "spot", 0, None, (), {"days": days})
    early, late = sorted((first, second))
    assert 0.25 <= grown(fault, early) <= grown(fault, late) <= 1.0
    assert grown(fault, int(days * 86_400_000) + 1) == 1.0


# --- vehicles ------------------------------------------------------------------------------------


def _own(city, kind, from_h=0.0, to_h=24.0, **extent):
    start = city.start_ms
    span = (start + int(from_h * HOUR_MS), start + int(to_h * HOUR_MS))
    return (Fault(kind, city.vehicles[0].device, *span, (), extent),)


def test_an_idle_vehicle_stands_and_hums():
    """Speed zero at the start of its route, 20 to 30 Hz, and no round begins meanwhile."""
    city = _city(rate_hz=[100], samples=256)
    one = city.vehicles[:1]
    first = one[0].drives[3].start_ms
    fault = replace(_own(city, Kind.VEHICLE_IDLE)[0], start_ms=first, end_ms=first + 2 * HOUR_MS)
    sound, idle = _says(city, vehicles=one), _says(city, own=(fault,), vehicles=one)
    new = [said for said in idle if said not in sound]
    assert len(new) > 40
    for said in new:
        assert fault.active(said.ts_ms)
        assert said.values["speed_mps"] == 0.0
        z = _around_mean(said)
        hertz, power = _spectrum(z, 100)
        assert 19.5 < hertz[power.argmax()] < 30.5
        assert np.abs(z).max() < 1
    gone = [said for said in sound if said not in idle]
    assert {d.start_ms for d in one[0].drives if fault.active(d.start_ms)}
    assert all(said.ts_ms >= fault.start_ms for said in gone)
    times = [said.ts_ms for said in idle]
    assert times == sorted(times)


def test_a_loose_sensor_rattles_wherever_it_drives():
    """Knocks of several m/s2, at spots and between them; while standing at a light it is quiet."""
    city = _city()
    one = city.vehicles[:1]
    loose = _says(city, own=_own(city, Kind.SENSOR_LOOSE), vehicles=one)
    driving = [np.abs(_around_mean(s)).max() for s in loose if s.values["speed_mps"] > GATE_MPS]
    assert 0.25 < np.mean(np.asarray(driving) > 4) < 0.8
    assert all(np.abs(_around_mean(s)).max() < 1 for s in loose if s.values["speed_mps"] == 0.0)


def test_a_receiver_that_jumps_is_as_far_off_as_it_is():
    """And everything else of the window is as it was."""
    city = _city()
    one = city.vehicles[:1]
    jumps = _says(city, own=_own(city, Kind.GPS_JUMP, metres=1000.0), vehicles=one)
    for before, after in zip(_says(city, vehicles=one), jumps, strict=True):
        north = (after.loc[0] - before.loc[0]) * 111_320
        east = (after.loc[1] - before.loc[1]) * 111_320 * np.cos(np.radians(city.lat))
        assert sqrt(north**2 + east**2) == pytest.approx(1000, abs=1)
        assert before._replace(loc=None) == after._replace(loc=None)


def test_a_receiver_without_a_fix_says_null_island():
    """Zero, zero, while it lasts."""
    city = _city()
    faults = _own(city, Kind.NULL_ISLAND, 6, 18)
    for said in _says(city, own=faults, vehicles=city.vehicles[:1]):
        assert (said.loc == [0.0, 0.0]) == faults[0].active(said.ts_ms)


def test_a_tilted_sensor_feels_the_same_along_gravity():
    """Three axes at an angle: their mean is gravity, and along it the jolt is that of z upright."""
    upright, tilted = _city(), _city(tilted=1.0)
    vertical = []
    for city in (upright, tilted):
        peaks = []
        for said in _at_spots(city, _says(city, _everywhere(city, Kind.POTHOLE))):
            accel = said.values["accel"]
            axes = np.asarray([accel.get(f"{axis}_ms2", [0.0] * len(accel["z_ms2"]))
                               for axis in "xyz"])  # fmt: skip
            down = axes.mean(axis=1)
            assert np.linalg.norm(down) == pytest.approx(9.81, abs=0.7)
            along = (down / np.linalg.norm(down)) @ axes
            peaks.append(np.abs(along - along.mean()).max())
        vertical.append(np.asarray(peaks))
    assert all(vehicle.mount is not None for vehicle in tilted.vehicles)
    assert np.abs(vertical[0] - vertical[1]).max() < 1.5
    assert np.median(vertical[0]) == pytest.approx(np.median(vertical[1]), rel=0.05)


@pytest.mark.parametrize(("rate_hz", "samples"), [(50, 64), (100, 128), (200, 200), (400, 512)])
def test_windows_are_as_the_scenario_says_and_a_hole_is_in_them_at_any_rate(rate_hz, samples):
    """The peak of a jolt lies near the middle sample, whose time and place the message bears."""
    city = _city(rate_hz=[rate_hz], samples=samples)
    for said in _at_spots(city, _says(city, _everywhere(city, Kind.POTHOLE))):
        accel = said.values["accel"]
        assert accel["rate_hz"] == rate_hz
        assert len(accel["z_ms2"]) == samples
        z = np.abs(_around_mean(said))
        assert z.max() > 4
        assert abs(int(z.argmax()) - samples // 2) < 0.5 * rate_hz
        assert said.t_ms > said.ts_ms + 500 * samples // rate_hz


def test_positions_scatter_as_the_scenario_says():
    """Three metres in each direction, never more than three times that."""
    city = _city(gps_m=3.0)
    calm = _city(gps_m=0.0)
    pairs = zip(_says(city), _says(calm), strict=True)
    north = np.asarray([(a.loc[0] - b.loc[0]) * 111_320 for a, b in pairs])
    assert north.std() == pytest.approx(3.0, rel=0.1)
    assert np.abs(north).max() <= 9.1


# --- rounds --------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(number=st.integers(0, 10_000), share=st.floats(0, 1))
def test_where_and_when_agree(number, share):
    """The place at a time has that time, give or take a wait at a light."""
    drives = _city(1).vehicles[0].drives
    lap = drives[number % len(drives)].round
    along_m = share * route_length_m()
    passing = lap.at(along_m)
    assert lap.along_m(passing.after_s) == pytest.approx(along_m, abs=0.01)
    assert lap.when(passing.after_s).speed_mps == pytest.approx(passing.speed_mps, abs=0.2)
    assert 0 <= passing.speed_mps <= CRUISE_MPS[1] + 0.01
    assert 0 <= passing.after_s <= lap.lasts_s + 0.01


def test_vehicles_stop_and_go_but_are_fast_enough_at_every_spot():
    """Lights and corners are far from the spots, so that everyone feels the road there."""
    city = _city()
    for vehicle in city.vehicles:
        for a, b in pairwise(vehicle.drives):
            assert b.start_ms >= a.end_ms + 60_000
        for drive in vehicle.drives:
            for spot in city.spots:
                assert drive.round.at(spot.along_m).speed_mps > 6.9
    speeds = [said.values["speed_mps"] for said in _says(city)]
    assert 0.0 in speeds
    assert max(speeds) < 14


# --- fixed sensors -------------------------------------------------------------------------------


def test_fixed_sensors_hear_the_traffic_of_the_hour():
    """Three times as much in the rush hours as at night, now and then a lorry, never a limit."""
    city = _city()
    day, night, largest = [], [], 0.0
    for sensor in city.road_sensors:
        for said in sensor_says(city, sensor):
            ppv = said.values["ppv_mm_s"]
            hour = (said.ts_ms // HOUR_MS - 5) % 24  # Chicago in September
            if hour in (7, 8, 16, 17):
                day.append(ppv)
            elif hour in (1, 2, 3):
                night.append(ppv)
            largest = max(largest, ppv)
            assert 0 < ppv <= 5
    assert 2.5 < np.median(day) / np.median(night) < 6
    assert largest > 3 * np.median(day)


# --- the run -------------------------------------------------------------------------------------


def test_faults_of_a_scenario_reach_the_road_and_the_vehicle():
    """A day with a hole, a hump and a lost receiver, end to end."""
    faults = [{"kind": "pothole", "target": "spot-1-1", "at": "12h", "lasts": True},
              {"kind": "speed_bump", "target": "spot-1-2"},
              {"kind": "null_island", "target": "veh-01", "at": "0h", "for": "24h"}]  # fmt: skip
    fleets = {"lamps": {"count": 0}, "bins": {"count": 0}, "road_sensors": {"count": 0},
              "vehicles": {"count": 4}}  # fmt: skip
    sent = list(messages(plan_of(City.sized(4, fleets=fleets, faults=faults))))
    nowhere = {message.device for message in sent if b'"loc":[0.0,0.0]' in message.payload}
    assert nowhere == {"veh-01"}


def test_a_window_costs_little():
    """A day of windows of 100 samples; many times what it takes, for slow machines."""
    city = _city(rate_hz=[100], samples=100)
    stories = _everywhere(city, Kind.POTHOLE)
    count = len(_says(city, stories))
    begin = time.process_time()
    _says(city, stories)
    assert (time.process_time() - begin) / count < 200e-6
