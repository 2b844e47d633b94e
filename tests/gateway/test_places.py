"""One hole in the road is one place, whoever passes it and in whatever order."""

import itertools
import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.cases.places import (
    EARTH_M_PER_DEG,
    PASSES_MAX,
    REACH,
    Observation,
    Place,
    Places,
    _cell,
    _neighbours,
    metres,
    subject_name,
)
from rules.rule import PlaceShape

RULE = "pothole"
SHAPE = PlaceShape()
QUORUM = 3
T0_MS = 1_768_507_500_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LAT, LON = 41.8807, -87.6301


def north(lat: float, distance_m: float) -> float:
    return lat + distance_m / EARTH_M_PER_DEG


def observation(
    device: str = "bus",
    ts_ms: int = T0_MS,
    *,
    north_m: float = 0.0,
    east_m: float = 0.0,
    at: tuple[float, float] = (LAT, LON),
    hit: bool = True,
    peak_ms2: float = 5.0,
    heading_deg: float | None = None,
) -> Observation:
    lat, lon = at
    lon += east_m / EARTH_M_PER_DEG / math.cos(math.radians(lat))
    lon = (lon + 540) % 360 - 180
    return Observation(device, ts_ms, north(lat, north_m), lon, hit, peak_ms2, heading_deg)


def noisy_passes(
    dice: random.Random, at: tuple[float, float], sigma_m: float, count: int
) -> list[Observation]:
    passes = [
        observation(
            f"car{n}",
            T0_MS + n * HOUR_MS,
            north_m=dice.gauss(0, sigma_m),
            east_m=dice.gauss(0, sigma_m),
            at=at,
        )
        for n in range(count)
    ]
    dice.shuffle(passes)
    return passes


def corroborated(places: Places, passes: list[Observation], *, fires: bool) -> set[str]:
    """The places that reach the quorum; marked as fired at once, or never."""
    reached = set()
    for seen in passes:
        found = places.observe(RULE, SHAPE, seen)
        assert found is not None
        place, values = found
        if values["passes"] >= QUORUM:
            reached.add(place.id)
            if fires and not place.fired:
                places.mark_fired(place.id, fired=True)
    return reached


# -- one spot, one place ----------------------------------------------------------------------


@pytest.mark.parametrize("fires", [False, True])
@pytest.mark.parametrize("sigma_m", [0.0, 3.0, 4.0])
def test_one_hole_is_one_place_under_gps_noise(sigma_m: float, fires: bool):
    """Of 300 holes anywhere on earth, each passed 15 times, each reaches the quorum once, and the
    place stands where the hole is.
    """
    dice = random.Random(311)
    for _ in range(300):
        at = (dice.uniform(-70, 70), dice.uniform(-180, 180))
        places = Places()
        reached = corroborated(places, noisy_passes(dice, at, sigma_m, 15), fires=fires)
        assert len(reached) == 1
        place = places.get(reached.pop())
        assert place is not None
        assert metres(place.lat, place.lon, *at) < 1.5 * sigma_m + 0.01


def test_two_places_that_noise_made_of_one_spot_do_not_both_reach_the_quorum():
    """Where the first passes lie so far apart that they found two places, one takes the rest."""
    dice = random.Random(7)
    for _ in range(200):
        apart_m = SHAPE.radius_m * REACH / 2 + 0.1
        first = [
            observation("a", T0_MS, north_m=apart_m),
            observation("b", T0_MS + HOUR_MS, north_m=-apart_m),
        ]
        rest = noisy_passes(dice, (LAT, LON), 4.0, 15)
        places = Places()
        assert len(corroborated(places, [*first, *rest], fires=True)) == 1
        assert len(places) == 2


def test_two_holes_further_apart_are_two_places():
    """Holes that a crew would mend at two stops are not taken for one."""
    dice = random.Random(5)
    other = (north(LAT, 50), LON)
    passes = [*noisy_passes(dice, (LAT, LON), 4.0, 10), *noisy_passes(dice, other, 4.0, 10)]
    dice.shuffle(passes)
    assert len(corroborated(Places(), passes, fires=True)) == 2


@pytest.mark.parametrize(
    ("distance_m", "hit", "belongs"),
    [(11.9, True, True), (23.9, True, True), (24.1, True, False), (11.9, False, True),
     (12.1, False, False)],
)  # fmt: skip
def test_a_hit_reaches_twice_as_far_as_a_clean_pass(distance_m: float, hit: bool, belongs: bool):
    """Without a hit a pass tells only of what it surely went over."""
    places = Places()
    places.observe(RULE, SHAPE, observation("a"))
    places.observe(RULE, SHAPE, observation("b", T0_MS + 1, north_m=distance_m, hit=hit))
    counts = [len(place.passes) for place in places.restore([], {})]
    assert counts == ([2] if belongs else [1, 1] if hit else [1])


def test_a_hit_near_a_place_that_has_fired_belongs_to_it():
    """Even where another place is nearer: a second request for one hole is worse."""
    places = Places()
    (fired, _), (near, _) = (
        places.observe(RULE, SHAPE, observation("a", north_m=m)) or (None, {}) for m in (0.0, 25.0)
    )
    assert fired is not None
    assert near is not None
    places.mark_fired(fired.id, fired=True)
    found = places.observe(RULE, SHAPE, observation("b", north_m=20.0))
    assert found is not None
    assert found[0] is fired


def test_rules_do_not_share_places():
    """What one rule feels is nothing to another."""
    places = Places()
    places.observe(RULE, SHAPE, observation())
    found = places.observe("bump", SHAPE, observation("b"))
    assert found is not None
    assert found[1]["passes"] == 1
    assert len(places) == 2


# -- passes -----------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 60), st.booleans()), min_size=1, max_size=6
    ),
    st.randoms(),
)
def test_passes_are_the_same_in_any_order(seen: list[tuple[str, int, bool]], dice):
    """Messages of one device with gaps under ten minutes are one pass, whichever came first."""

    def passes(order: list[tuple[str, int, bool]]) -> list[tuple[str, int, int, bool]]:
        places = Places()
        places.observe(RULE, SHAPE, observation("founder", T0_MS - DAY_MS))
        for device, minute, hit in order:
            places.observe(RULE, SHAPE, observation(device, T0_MS + minute * 60_000, hit=hit))
        (place,) = places.restore([], {})
        return [(p.device, p.first_ms, p.last_ms, p.hit) for p in place.passes]

    other = seen.copy()
    dice.shuffle(other)
    assert sorted(passes(seen)) == sorted(passes(other))


@pytest.mark.parametrize(
    ("device", "minutes", "hit", "expected"),
    [
        ("bus", 0.0, True, None),
        ("bus", 9.9, True, None),
        ("bus", -9.9, True, None),
        ("bus", 9.9, False, None),
        ("bus", 10.0, True, 2.0),
        ("car", 0.0, True, 2.0),
        ("car", 1.0, False, 1.0),
    ],
)
def test_only_another_pass_is_news(device: str, minutes: float, hit: bool, expected: float | None):
    """Nothing is learnt from a vehicle that stands in the hole."""
    places = Places()
    places.observe(RULE, SHAPE, observation("bus"))
    again = observation(device, T0_MS + int(minutes * 60_000), hit=hit)
    found = places.observe(RULE, SHAPE, again)
    assert (found and found[1]["passes"]) == expected


def test_a_clean_message_before_the_hit_is_the_same_pass():
    """Of one drive over a place the hit counts, whichever window came first."""
    places = Places()
    places.observe(RULE, SHAPE, observation("a", T0_MS - HOUR_MS))
    clean = places.observe(RULE, SHAPE, observation("b", T0_MS, hit=False))
    assert clean is not None
    share = 1 / (1 + 0.5 ** (-HOUR_MS / SHAPE.half_life_ms))
    assert clean[1] == {
        "passes": 1.0, "clean_passes": 1.0, "hit_share": pytest.approx(share), "peak_ms2": 5.0
    }  # fmt: skip
    hit = places.observe(RULE, SHAPE, observation("b", T0_MS + 1000, peak_ms2=7.0))
    assert hit is not None
    assert hit[1] == {"passes": 2.0, "clean_passes": 0.0, "hit_share": 1.0, "peak_ms2": 7.0}


def test_clean_passes_count_from_the_last_hit():
    """A repair shows in passes that feel nothing, and one more hit ends it."""
    places = Places()
    places.observe(RULE, SHAPE, observation("a"))
    for n in range(1, 4):
        found = places.observe(RULE, SHAPE, observation(f"c{n}", T0_MS + n * HOUR_MS, hit=False))
        assert found is not None
        assert found[1]["clean_passes"] == n
    found = places.observe(RULE, SHAPE, observation("d", T0_MS + 9 * HOUR_MS))
    assert found is not None
    assert (found[1]["passes"], found[1]["clean_passes"]) == (2.0, 0.0)


def test_an_old_pass_counts_less_in_the_share_of_hits():
    """One a half-life old counts half: two old hits and one clean pass now are half and half."""
    places = Places()
    for name in "ab":
        places.observe(RULE, SHAPE, observation(name, T0_MS))
    found = places.observe(RULE, SHAPE, observation("c", T0_MS + SHAPE.half_life_ms, hit=False))
    assert found is not None
    assert found[1]["hit_share"] == pytest.approx(0.5)


def test_a_clean_pass_where_nothing_is_founds_nothing():
    """An even road has no places."""
    places = Places()
    assert places.observe(RULE, SHAPE, observation(hit=False)) is None
    assert len(places) == 0
    assert places.take_dirty() == []


def test_passes_leave_the_window():
    """Hits that lie further back than the window corroborate nothing, even if they come late."""
    places = Places()
    places.observe(RULE, SHAPE, observation("a", T0_MS))
    found = places.observe(RULE, SHAPE, observation("b", T0_MS + SHAPE.window_ms + 1))
    assert found is not None
    assert found[1]["passes"] == 1
    late = places.observe(RULE, SHAPE, observation("c", T0_MS + 700_000))
    assert late is not None
    assert late[1]["passes"] == 2


def test_memory_of_a_place_is_bounded():
    """The latest passes are kept, and the quorum stays reached."""
    places = Places()
    for n in range(2 * PASSES_MAX):
        found = places.observe(RULE, SHAPE, observation(f"car{n}", T0_MS + n * 1000))
    assert found is not None
    place, values = found
    assert values["passes"] == len(place.passes) == PASSES_MAX
    assert place.passes[0].device == f"car{PASSES_MAX}"


# -- repair and forgetting --------------------------------------------------------------------


def test_after_a_repair_the_place_begins_anew():
    """What was felt before speaks for nothing, and the next hole stands where it is felt."""
    places = Places()
    for n in range(20):
        found = places.observe(RULE, SHAPE, observation(f"car{n}", T0_MS, peak_ms2=9.0))
    assert found is not None
    place = found[0]
    places.mark_fired(place.id, fired=True)
    places.mark_fired(place.id, fired=False)
    found = places.observe(RULE, SHAPE, observation("next", T0_MS + DAY_MS, north_m=10.0))
    assert found is not None
    fresh = {"passes": 1.0, "clean_passes": 0.0, "hit_share": 1.0, "peak_ms2": 5.0}
    assert found == (place, fresh)
    assert place.lat == pytest.approx(north(LAT, 10.0), abs=1e-9)


def test_places_that_came_to_nothing_are_forgotten():
    """Old places go, those that fired or were passed lately stay and are still found."""
    places = Places()
    spots = {"old": (0, 0), "fired": (1000, 0), "young": (2000, DAY_MS)}
    ids = {}
    for name, (north_m, after_ms) in spots.items():
        found = places.observe(RULE, SHAPE, observation("a", T0_MS + after_ms, north_m=north_m))
        assert found is not None
        ids[name] = found[0].id
    places.mark_fired(ids["fired"], fired=True)
    assert places.forget(T0_MS + 1) == [ids["old"]]
    assert places.get(ids["old"]) is None
    assert ids["old"] not in dict(places.take_dirty())
    for name, (north_m, _) in spots.items():
        found = places.observe(RULE, SHAPE, observation("b", T0_MS + 2 * DAY_MS, north_m=north_m))
        assert found is not None
        assert (found[1]["passes"] == 2) == (name != "old")


def test_places_come_back_from_the_store_as_they_were():
    """After a restart every further pass has the same result as without one."""
    dice = random.Random(3)
    passes = noisy_passes(dice, (LAT, LON), 4.0, 12)
    lasting, restarted = Places(), Places()
    saved: dict[str, bytes] = {}
    for seen in passes:
        expected = lasting.observe(RULE, SHAPE, seen)
        found = restarted.observe(RULE, SHAPE, seen)
        assert found == expected
        saved |= dict(restarted.take_dirty())
        restarted = Places()
        assert len(restarted.restore(saved.values(), {RULE: SHAPE})) == len(lasting)


def test_a_hit_that_only_moves_a_place_is_kept_too():
    """A second message of one pass is no news for rules, but the place remembers it."""
    places = Places()
    places.observe(RULE, SHAPE, observation("a"))
    places.take_dirty()
    assert places.observe(RULE, SHAPE, observation("a", north_m=4.0)) is None
    assert len(places.take_dirty()) == 1


def test_places_of_rules_that_are_gone_are_left_out():
    """A rule that is no more has no places."""
    places = Places()
    places.observe("gone", SHAPE, observation())
    blobs = [blob for _, blob in places.take_dirty()]
    assert Places().restore(blobs, {RULE: SHAPE}) == []


# -- geometry ---------------------------------------------------------------------------------


@given(
    st.floats(-89.9, 89.9),
    st.floats(-180, 180),
    st.floats(0, 2 * math.pi),
    st.floats(0, 1),
    st.sampled_from([5.0, 12.0, 40.0]),
)
@example(52.0, 180.0, 0.0, 0.0, 12.0)
def test_what_is_within_reach_is_found(
    lat: float, lon: float, direction: float, part: float, radius_m: float
):
    """No border between cells, degrees or hemispheres hides a place."""
    shape = PlaceShape(radius_m=radius_m)
    reach_m = REACH * radius_m * part
    there = observation(
        at=(lat, lon), north_m=reach_m * math.cos(direction), east_m=reach_m * math.sin(direction)
    )
    if metres(lat, lon, there.lat, there.lon) <= REACH * radius_m:
        assert _cell(shape, lat, lon) in _neighbours(shape, there.lat, there.lon)


@pytest.mark.parametrize("at", [(41.5, -87.0), (0.0, 0.0), (52.0, 180.0), (-17.0, -180.0)])
def test_a_hole_on_a_border_is_one_place(at: tuple[float, float]):
    """Half degrees, the equator and the date line are roads like others."""
    dice = random.Random(1)
    places = Places()
    assert len(corroborated(places, noisy_passes(dice, at, 4.0, 15), fires=True)) == 1
    (place,) = places.restore([], {})
    assert metres(place.lat, place.lon, *at) < 4.0


@pytest.mark.parametrize(
    ("a", "b", "expected_m"),
    [
        ((0.0, 0.0), (0.0, 0.001), 111.195),
        ((60.0, 10.0), (60.0, 10.001), 55.5975),
        ((0.0, 179.9995), (0.0, -179.9995), 111.195),
        ((41.0, -87.0), (41.001, -87.0), 111.195),
    ],
)
def test_distances(a: tuple[float, float], b: tuple[float, float], expected_m: float):
    """A thousandth of a degree is 111 m along a meridian, and less along a parallel."""
    assert metres(*a, *b) == pytest.approx(expected_m, abs=0.01)
    assert metres(*b, *a) == pytest.approx(expected_m, abs=0.01)


@pytest.mark.parametrize(
    ("headings", "count"),
    [
        ((90, 90, 100), 1),
        ((90, 270, 90), 2),
        ((350, 10, 5), 1),
        ((0, 44, 0), 1),
        ((0, 46, 0), 2),
        ((None, 90, 270), 2),
        ((90, None, None), 1),
        ((None, None, None), 1),
    ],
)
def test_the_two_directions_of_a_street_are_two_spots(headings, count):
    """Where vehicles say which way they go; a direction that nobody knows fits any."""
    places = Places()
    for i, heading_deg in enumerate(headings):
        places.observe(RULE, SHAPE, observation(f"bus-{i}", heading_deg=heading_deg))
    assert len(places) == count


def test_clean_passes_the_other_way_repair_nothing():
    """Nor do they after a restart."""
    places = Places()
    for i in range(3):
        places.observe(RULE, SHAPE, observation(f"bus-{i}", heading_deg=90))
    again = Places()
    again.restore([blob for _, blob in places.take_dirty()], {RULE: SHAPE})
    back = observation("taxi", T0_MS + HOUR_MS, hit=False, heading_deg=270)
    assert again.observe(RULE, SHAPE, back) is None


def test_after_a_repair_a_spot_has_no_direction():
    """What is felt there next may come from anywhere."""
    places = Places()
    (place, _) = places.observe(RULE, SHAPE, observation(heading_deg=90))
    places.mark_fired(place.id, fired=False)
    places.observe(RULE, SHAPE, observation("taxi", T0_MS + HOUR_MS, heading_deg=270))
    assert len(places) == 1


def test_a_place_without_passes_reads_zero():
    """After a repair nothing speaks for a hole."""
    assert Place("p", RULE, LAT, LON).reading(SHAPE) == {
        "passes": 0.0,
        "clean_passes": 0.0,
        "hit_share": 0.0,
        "peak_ms2": 0.0,
    }


def test_all_orders_of_a_few_passes_agree():
    """Every permutation of five passes over one hole ends in one place with five passes."""
    dice = random.Random(11)
    passes = noisy_passes(dice, (LAT, LON), 3.0, 5)
    for order in itertools.permutations(passes):
        places = Places()
        corroborated(places, list(order), fires=True)
        (place,) = places.restore([], {})
        assert place.reading(SHAPE)["passes"] == 5


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("place:pothole:41.88593,-87.59896:1789524004320", "41.88593, -87.59896"),
        ("place:pothole:41.88593,-87.59896:1789524004320-2", "41.88593, -87.59896"),
        ("SL-7", "SL-7"),
        ("circuit:C12", "circuit:C12"),
        ("place:rehearsal", "place:rehearsal"),
        ("a place:pothole:1,2:3", "a place:pothole:1,2:3"),
    ],
)
def test_people_read_where_a_place_is_and_all_else_by_its_name(subject, name):
    """The name of a place says also which rule found it, and when: nobody looks for that."""
    assert subject_name(subject) == name


def test_a_place_that_was_found_reads_as_where_it_is():
    """Whatever its name is made of."""
    places = Places()
    places.observe(RULE, SHAPE, observation())
    (place,) = places._by_id.values()
    assert subject_name(place.id) == f"{LAT:.5f}, {LON:.5f}"
