"""Casting: who plays in which fault, and that the truth of it is sound whatever the seed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.booking import Booking
from simulators.casting import cast_faults
from simulators.catalogue import CATALOGUE, Strikes, When
from simulators.city import City
from simulators.draw import Hours, passes, span_of
from simulators.faults import Fault, Kind
from simulators.scenario import FaultLine
from simulators.things import Spot
from simulators.truth import Label

DAY_S = 86_400
SIZES = {"lamps": {"count": 150, "circuit_lamps": 15}, "bins": {"count": 40},
         "road_sensors": {"count": 6}, "vehicles": {"count": 12}}  # fmt: skip


def a_city(*faults: dict, seed: int = 1, duration: str = "3d", **more: object) -> City:
    return City.sized(seed, fleets=SIZES, faults=list(faults), duration=duration, **more)


def of(kind: Kind, **more: object) -> dict:
    return {"kind": kind.value, **more}


def a_whole_cast(seed: int, **more: object) -> tuple[City, tuple[Fault, ...]]:
    """A fault of each kind that finds room, in a city that has room for most."""
    rated = [{"kind": kind.value, "rate": 0.001} for kind in Kind]
    city = a_city(*rated, seed=seed, **more)
    return city, cast_faults(city)


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_can_be_drawn(kind: Kind) -> None:
    """In a city of all fleets and three days: it lies in the run and carries its label."""
    more = {"extent": {"days": 1}} if kind is Kind.POTHOLE_GROWS else {}
    city = a_city(of(kind, count=1, **more))
    faults = cast_faults(city)

    assert {fault.kind for fault in faults} == {kind}
    for fault in faults:
        assert city.start_ms <= fault.start_ms < city.end_ms
        assert fault.end_ms is None or fault.start_ms < fault.end_ms <= city.end_ms
    entry = CATALOGUE[kind]
    own = [fault.labels[0] for fault in faults if fault.labels]
    assert bool(own) == _has_label(faults[0], city)
    assert all(label.must_file == entry.must_file for label in own)
    if entry.must_file:
        assert {label.rule for label in own} == {entry.rule}


def _has_label(fault: Fault, city: City) -> bool:
    """What has neither asset nor place cannot be filed for."""
    return fault.target not in {vehicle.device for vehicle in city.vehicles}


BY_PASSES = (Kind.POTHOLE, Kind.POTHOLE_GROWS)  # tested below
SHOWN = [kind for kind in Kind if CATALOGUE[kind].must_file and kind not in BY_PASSES]


@pytest.mark.parametrize("kind", SHOWN)
def test_a_fault_that_must_be_filed_shows_long_enough(kind: Kind) -> None:
    """In its own hours, for as long as the catalogue says at least."""
    city = a_city(of(kind, count=2))
    spans = Hours(city).of(CATALOGUE[kind].when)
    for fault in cast_faults(city):
        end = city.end_ms if fault.end_ms is None else fault.end_ms
        shown = sum(max(0, min(end, b) - max(fault.start_ms, a)) for a, b in spans)
        assert shown >= min(CATALOGUE[kind].minutes[0], 60) * 60_000


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_no_truth_lies_over_another(seed: int) -> None:
    """On a thing, its circuit or its concentrator there is one fault at a time."""
    city, faults = a_whole_cast(seed)
    booking = Booking(city)
    taken: dict[str, list[tuple[int, int]]] = {}
    assert len({fault.kind for fault in faults}) > 40
    for fault in faults:
        target = next(t for t in booking.targets(fault.kind) if t.name == fault.target)
        start, end = span_of((fault.start_ms, fault.end_ms))
        for name in target.holds:
            assert not any(a < end and start < b for a, b in taken.get(name, ()))
            taken.setdefault(name, []).append((start, end))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(list(Kind)))
def test_one_line_more_changes_nothing_for_the_others(seed: int, kind: Kind) -> None:
    """Lines on other fleets stay as they were; one story more of a line leaves its others."""
    lines = [of(Kind.LAMP_OUT, count=3), of(Kind.BIN_FIRE, count=2)]
    before = set(map(_essence, cast_faults(a_city(*lines, seed=seed))))
    strikes = CATALOGUE[kind].strikes
    more = {"extent": {"days": 1}} if kind is Kind.POTHOLE_GROWS else {}
    after = set(map(_essence, cast_faults(a_city(*lines, of(kind, **more), seed=seed))))
    others = {
        Strikes.LAMP: Kind.BIN_FIRE, Strikes.CIRCUIT: Kind.BIN_FIRE, Strikes.BIN: Kind.LAMP_OUT,
    }.get(strikes)  # fmt: skip
    kept = {one for one in before if others is None or one[0] == others}
    if strikes in (Strikes.SPOT, Strikes.VEHICLE):
        assert before < after
    elif others:
        assert kept <= after

    lines[0]["count"] = 4
    assert before < set(map(_essence, cast_faults(a_city(*lines, seed=seed))))


def _essence(fault: Fault) -> tuple[Kind, str, int, int | None]:
    return fault.kind, fault.target, fault.start_ms, fault.end_ms


def test_what_is_named_keeps_its_thing_and_its_time() -> None:
    """By asset or by device; others are drawn around it."""
    city = a_city(
        of(Kind.LAMP_OUT, count=100),
        of(Kind.LAMP_OUT, target="lc-0007", at="9h", **{"for": "2h"}),
        of(Kind.FEEDER_OUTAGE, count=1),
    )
    faults = cast_faults(city)
    (named,) = [fault for fault in faults if fault.target == "lc-0007"]

    assert named.start_ms == city.start_ms + 9 * 3_600_000
    assert named.end_ms == named.start_ms + 2 * 3_600_000
    assert named.labels[0].asset_id == "lamp-0007"
    assert len(faults) == 102


@pytest.mark.parametrize(
    ("rate", "hours", "count"),
    [(20, 24, 3), (20, 48, 6), (0.001, 24, 1), (100, 24, 15)],
)
def test_a_rate_is_per_thousand_and_day(rate: float, hours: int, count: int) -> None:
    """Of 150 lamps; one at least."""
    city = a_city(of(Kind.LAMP_AGED, rate=rate), duration=f"{hours}h")

    assert len(cast_faults(city)) == count


@pytest.mark.parametrize("kind", BY_PASSES)
def test_enough_sound_vehicles_pass_a_pothole(kind: Kind) -> None:
    """Four at least while it is open, also where vehicles of its route are out of order."""
    extent = {"extent": {"days": 0.5}} if kind is Kind.POTHOLE_GROWS else {}
    city = a_city(
        of(Kind.GPS_JUMP, count=4), of(Kind.SENSOR_LOOSE, count=2), of(kind, count=3, **extent)
    )
    booking, faults = Booking(city), cast_faults(city)
    sick = {fault.target for fault in faults if fault.kind is not kind}
    spots = {spot.id: spot for spot in city.spots}
    holes = [fault for fault in faults if fault.kind is kind]
    assert len(holes) == 3
    for hole in holes:
        spot: Spot = spots[hole.target]
        grown = hole.start_ms + (43_200_000 if extent else 0)
        times = [
            t_ms for t_ms, vehicle in passes(booking, spot)
            if vehicle not in sick and grown <= t_ms < (hole.end_ms or city.end_ms)
        ]  # fmt: skip
        assert len(times) > 4


def test_extents_go_with_the_fault() -> None:
    """As the line says them."""
    city = a_city(of(Kind.OVERVOLTAGE, count=2, extent={"volts": 280}))

    assert [dict(fault.extent) for fault in cast_faults(city)] == [{"volts": 280.0}] * 2


def test_labels_of_a_circuit_name_its_lamps_as_look_alikes() -> None:
    """One request for the circuit, none for the lamps in it."""
    city = a_city(of(Kind.FEEDER_OUTAGE, count=1), of(Kind.PHOTOCELL_FAILED, count=1))
    for fault in cast_faults(city):
        own, *lamps = fault.labels
        assert own == Label(
            fault.start_ms, fault.end_ms, fault.kind.value, fault.target, own.lat, own.lon
        )
        rule = {Kind.FEEDER_OUTAGE: "lamp_out", Kind.PHOTOCELL_FAILED: "day_burner"}[fault.kind]
        assert {(label.rule, label.must_file) for label in lamps} == {(rule, False)}
        assert len(lamps) == 15


def test_what_cannot_be_seen_is_not_cast_by_rate() -> None:
    """Under the midnight sun no lamp goes out, in an hour nothing that takes longer."""
    north = {"lat": 69.6, "lon": 18.9, "time_zone": "Europe/Oslo"}
    _, bright = a_whole_cast(3, start="2026-06-09T10:13:20Z", place=north)
    _, short = a_whole_cast(3, duration="1h")

    night = {kind for kind in Kind if CATALOGUE[kind].when is When.NIGHT}
    assert {fault.kind for fault in bright}.isdisjoint(night)
    assert not any(CATALOGUE[fault.kind].must_file for fault in short)


def test_a_line_without_a_number_is_one() -> None:
    """`- kind: lamp_out` says what it means."""
    line = FaultLine.model_validate({"kind": "lamp_out"})

    assert (line.count, line.rate) == (None, None)
    assert len(cast_faults(a_city(of(Kind.LAMP_OUT)))) == 1
