"""What is remembered of a vehicle, and what it says that cannot be judged."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cases.ride import KNOWN_FROM, MOVES_MPS, Ride, Unfit

T0_MS = 1_790_000_000_000
HERE = (41.88, -87.63)
ROUGH = {"rate_hz": 50.0, "z_ms2": [9.81, 10.4, 9.1, 10.9, 8.9, 9.9, 9.7, 10.1]}
FELT = {"jolt_ms2": 1.1, "speed_mps": 9.0}


def fault(ride, loc=HERE, after_s=0.0, accel=ROUGH, values=FELT):
    return ride.fault(loc, T0_MS + round(1000 * after_s), accel, values)


# -- what it usually feels ------------------------------------------------------------------------


def test_the_usual_jolt_is_the_median_of_what_it_felt():
    """To a tenth, whatever jolts are among them."""
    dice, ride = random.Random(4), Ride()
    for n in range(400):
        ride.feel(40.0 if n % 5 == 0 else dice.uniform(1.0, 3.0), 10.0)
    assert ride.feel(2.0, 10.0) == pytest.approx(2.25, rel=0.12)


def test_it_is_not_told_before_the_vehicle_is_known():
    """From a few windows nothing follows."""
    ride = Ride()
    told = [ride.feel(2.0, 10.0) for _ in range(KNOWN_FROM + 1)]
    assert told[:KNOWN_FROM] == [None] * KNOWN_FROM
    assert told[KNOWN_FROM] == pytest.approx(2.0)


def test_a_new_sensor_in_the_same_vehicle_is_learnt():
    """Twice the gain is usual after some hundred windows."""
    ride = Ride()
    for strength in (2.0, 4.0):
        for _ in range(150):
            ride.feel(strength, 10.0)
    assert ride.feel(4.0, 10.0) == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize(("speed_mps", "counts"), [(MOVES_MPS - 0.1, 0), (MOVES_MPS, 1), (None, 1)])
def test_a_vehicle_that_creeps_feels_nothing_that_tells(speed_mps, counts):
    """One whose speed is not known counts."""
    ride = Ride()
    ride.feel(2.0, speed_mps)
    assert ride.windows == counts


@given(st.lists(st.floats(0, 4000), min_size=1, max_size=60))
def test_the_usual_jolt_stays_within_what_was_felt(jolts):
    """By no more than a step."""
    ride = Ride()
    for jolt in jolts:
        ride.feel(jolt, 10.0)
    assert min(jolts) * 0.3 <= ride.usual_ms2 <= max(0.05, *jolts) * 3


# -- what cannot be judged ------------------------------------------------------------------------


def test_a_sound_window_is_judged():
    """Also one without samples, whose features the device worked out."""
    assert fault(Ride()) is None
    assert fault(Ride(), accel=None) is None


@pytest.mark.parametrize("loc", [(0.0, 0.0), (0.004, -0.002)])
def test_nobody_drives_at_the_null_island(loc):
    """A receiver without a fix says so."""
    assert fault(Ride(), loc) is Unfit.NULL_ISLAND


@pytest.mark.parametrize(
    ("metres", "after_s", "found"),
    [(90, 1, None), (500, 1, Unfit.GPS_JUMP), (500, 10, None), (5000, 60, Unfit.GPS_JUMP),
     (50_000, 900, None)],
)  # fmt: skip
def test_a_position_that_nobody_could_have_come_to_is_a_jump(metres, after_s, found):
    """Measured from the last one believed, if that is not too old."""
    ride = Ride()
    fault(ride)
    there = (HERE[0] + metres / 111_195, HERE[1])
    assert fault(ride, there, after_s) is found


def test_after_a_jump_the_true_way_is_believed():
    """The jump itself is not what the next one is measured from."""
    ride = Ride()
    fault(ride)
    assert fault(ride, (42.5, -87.63), 10) is Unfit.GPS_JUMP
    assert fault(ride, HERE, 20) is None


def test_a_message_that_comes_late_is_measured_the_same_way():
    """And does not move the vehicle back."""
    ride = Ride()
    fault(ride, HERE, 60)
    assert fault(ride, (HERE[0] + 0.001, HERE[1]), 30) is None
    assert (ride.lat, ride.fix_ms) == (HERE[0], T0_MS + 60_000)


@pytest.mark.parametrize(
    ("z", "jolt", "speed_mps", "found"),
    [
        ([9.81] * 8, 0.0, 9.0, Unfit.FLAT),
        ([0.0] * 8, 0.0, None, Unfit.FLAT),
        ([9.81] * 8, 0.0, 0.0, None),
        ([9.8, 19.6, 19.6, 19.6, 9.8, 7.0, 9.9, 9.7], 9.0, 9.0, Unfit.CLIPPED),
        ([9.8, 0.0, 0.0, 0.0, 9.8, 12.0, 9.9, 9.7], 9.0, 9.0, Unfit.CLIPPED),
        ([9.8, 19.6, 9.0, 19.6, 9.8, 19.6, 9.9, 9.7], 9.0, 9.0, None),
        ([9.8, 9.8, 9.8, 9.9, 9.7, 19.6, 5.0, 9.7], 9.0, 9.0, None),
    ],
)
def test_a_window_that_tells_nothing_has_a_reason(z, jolt, speed_mps, found):
    """A sensor that stands still while it moves, or has reached the end of its range."""
    values = {"jolt_ms2": jolt} | ({} if speed_mps is None else {"speed_mps": speed_mps})
    ride = Ride()
    assert fault(ride, accel={"rate_hz": 50.0, "z_ms2": z}, values=values) is found
