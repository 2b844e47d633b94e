"""The score: one request for each fault, and every way of failing at that is seen."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.city import City
from simulators.losses import Cause, Loss
from simulators.plan import plan_of
from simulators.score import distance_m, score
from simulators.truth import Label
from simulators.wire import rfc3339

SERVICES = {
    "SL-OUT": "lamp_out", "SL-CIRCUIT": "feeder_outage", "WASTE:Bin & Litter": "bin_full",
    "POTHOLE 01": "pothole",
}  # fmt: skip
CODES = {rule: code for code, rule in SERVICES.items()}
MINUTE = 60_000
LAMP = Label(100 * MINUTE, 200 * MINUTE, "lamp_out", "lamp-1", 41.0, -87.0)
LASTING = Label(100 * MINUTE, None, "lamp_out", "lamp-2", 41.1, -87.0)
ALIKE = Label(100 * MINUTE, 200 * MINUTE, "lamp_out", "lamp-3", 41.2, -87.0, must_file=False)
HOLE = Label(50 * MINUTE, None, "pothole", "", 41.3, -87.0)
FULL = [
    Label(100 * MINUTE, 200 * MINUTE, "bin_full", "bin-1", 41.4, -87.0),
    Label(220 * MINUTE, 300 * MINUTE, "bin_full", "bin-1", 41.4, -87.0),
]


def _request(rule: str, minute: float | None, asset: str = "", lat=None, lon=-87.0) -> dict:
    attributes = {"asset_id": asset} if asset else {}
    if minute is not None:
        attributes["observed_at"] = rfc3339(round(minute * MINUTE))
    return {
        "service_request_id": f"{rule}-{asset}-{minute}", "service_code": CODES.get(rule, rule),
        "lat": lat, "long": lon if lat is not None else None, "attributes": attributes,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("labels", "requests", "expected"),
    [
        ([], [], (0, 0, 0)),
        ([LAMP], [_request("lamp_out", 115, "lamp-1")], (0, 0, 0)),
        ([LAMP], [], (1, 0, 0)),
        ([ALIKE], [], (0, 0, 0)),
        ([ALIKE], [_request("lamp_out", 115, "lamp-3")], (0, 1, 0)),
        ([LAMP], [_request("lamp_out", 115, "lamp-1")] * 2, (0, 0, 1)),
        ([LAMP], [_request("lamp_out", 115, "lamp-1")] * 3, (0, 0, 2)),
        ([LAMP], [_request("lamp_out", 115, "lamp-9")], (1, 1, 0)),
        ([LAMP], [_request("bin_full", 115, "lamp-1")], (1, 1, 0)),
        ([LAMP], [_request("NO SUCH CODE", 115, "lamp-1")], (1, 1, 0)),
        ([LAMP], [_request("lamp_out", 99, "lamp-1")], (1, 1, 0)),
        ([LAMP], [_request("lamp_out", 229, "lamp-1")], (0, 0, 0)),
        ([LAMP], [_request("lamp_out", 231, "lamp-1")], (1, 1, 0)),
        ([LASTING], [_request("lamp_out", 90_000, "lamp-2")], (0, 0, 0)),
        ([LAMP], [_request("lamp_out", None, "lamp-1")], (0, 0, 0)),
        ([LAMP], [_request("lamp_out", 115, lat=41.0002)], (0, 0, 0)),
        ([LAMP], [_request("lamp_out", 115, lat=41.0003)], (1, 1, 0)),
        ([HOLE], [_request("pothole", 60, lat=41.3001)], (0, 0, 0)),
        ([HOLE], [_request("pothole", 60, "place-77", lat=41.3001)], (0, 0, 0)),
        ([HOLE], [_request("pothole", 60)], (1, 1, 0)),
        (FULL, [_request("bin_full", 110, "bin-1"), _request("bin_full", 230, "bin-1")], (0, 0, 0)),
        (FULL, [_request("bin_full", 110, "bin-1"), _request("bin_full", 120, "bin-1")], (1, 0, 1)),
        (FULL, [_request("bin_full", 225, "bin-1")], (1, 0, 0)),
    ],
)  # fmt: skip
def test_missed_false_and_duplicate_requests(labels, requests, expected):
    """(missed, false, duplicates), by asset or within 25 m, in time or within the grace."""
    result = score(labels, requests, SERVICES)
    assert (result.missed, result.false, result.duplicates) == expected
    assert result.perfect is (expected == (0, 0, 0))
    assert result.faults_injected == sum(label.must_file for label in labels)
    assert result.requests_filed == len(requests)


def test_rules_are_counted_apart_with_their_delay():
    """Precision, recall, and how long after the start it was observed."""
    requests = [
        _request("lamp_out", 110, "lamp-1"),
        _request("lamp_out", 130, "lamp-2"),
        _request("lamp_out", 130, "lamp-3"),
    ]
    result = score([LAMP, LASTING, ALIKE, HOLE], requests, SERVICES, device_days=500)
    lamp, hole = result.scores["lamp_out"], result.scores["pothole"]
    assert (lamp.tp, lamp.fp, lamp.fn, lamp.precision, lamp.recall) == (2, 1, 0, 2 / 3, 1.0)
    assert lamp.delay_s_median == 20 * 60
    assert (hole.tp, hole.fn, hole.precision, hole.recall) == (0, 1, None, 0.0)
    assert result.false_per_1000_device_days == 2.0
    assert result.as_dict()["scores"]["lamp_out"]["fp"] == 1
    assert result.false_requests == ["lamp_out-lamp-3-130"]


def test_another_rule_of_the_family_may_answer_where_families_are_given():
    """And not where they are not."""
    requests = [_request("feeder_outage", 110, "lamp-1")]
    families = {"lamp_out": "light", "feeder_outage": "light"}
    assert score([LAMP], requests, SERVICES, families=families).perfect
    assert not score([LAMP], requests, SERVICES).perfect


def test_a_row_with_unreadable_fields_is_judged_not_refused():
    """What a desk stored may be anything."""
    row = {"service_code": "SL-OUT", "attributes": {"observed_at": "soon", "asset_id": "lamp-1"},
           "lat": "north", "long": None}  # fmt: skip
    assert score([LAMP], [row], SERVICES).perfect


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 50), st.data())
def test_a_perfect_run_scores_perfectly_and_each_spoiling_costs_one(seed, data):
    """On the labels of a real city: drop, repeat or invent one request and exactly that shows."""
    labels = plan_of(City.sized(seed % 5, lamps=60, bins=20, road=12)).labels
    must = [label for label in labels if label.must_file]
    services = SERVICES | {label.rule: label.rule for label in labels}
    requests = [_request(x.rule, x.start_ms / MINUTE + 1, x.asset_id, x.lat, x.lon) for x in must]
    random.Random(seed).shuffle(requests)
    assert score(labels, requests, services).perfect
    nth = data.draw(st.integers(0, len(requests) - 1))
    dropped = score(labels, requests[:nth] + requests[nth + 1 :], services)
    assert (dropped.missed, dropped.false, dropped.duplicates) == (1, 0, 0)
    repeated = score(labels, [*requests, requests[nth]], services)
    assert (repeated.missed, repeated.false, repeated.duplicates) == (0, 0, 1)
    invented = score(labels, [*requests, _request("lamp_out", 1, "no-such")], services)
    assert (invented.missed, invented.false, invented.duplicates) == (0, 1, 0)


def test_distance_is_a_metre_for_a_metre():
    """A degree of latitude is 111.2 km; of longitude at 60 degrees, half of that."""
    assert distance_m(41, -87, 42, -87) == pytest.approx(111_195, rel=1e-4)
    assert distance_m(60, 10, 60, 11) == pytest.approx(55_597, rel=1e-3)


# -- by kind --------------------------------------------------------------------------------------

KINDS = {LAMP: "gear_failure", LASTING: "lamp_out", ALIKE: "lamp_dimmed", HOLE: "pothole"}


def test_kinds_of_faults_are_counted_apart():
    """What was fooled by a look-alike is that look-alike's false request."""
    requests = [
        _request("lamp_out", 110, "lamp-1"),
        _request("lamp_out", 120, "lamp-1"),
        _request("lamp_out", 110, "lamp-3"),
        _request("bin_full", 110, "bin-9"),
    ]
    kinds = score(list(KINDS), requests, SERVICES, kinds=KINDS).kinds
    assert list(kinds) == ["gear_failure", "lamp_dimmed", "lamp_out", "nothing", "pothole"]
    gear = kinds["gear_failure"]
    assert (gear.tp, gear.duplicates, gear.requests_per_fault) == (1, 1, 2.0)
    assert (kinds["lamp_dimmed"].fp, kinds["lamp_dimmed"].recall) == (1, None)
    assert (kinds["nothing"].fp, kinds["lamp_out"].fn, kinds["pothole"].recall) == (1, 1, 0.0)


def test_a_fault_taken_for_another_is_missed_and_brought_about_a_false_request():
    """A request for the wrong service counts against the kind that it was made for."""
    kinds = score([LAMP], [_request("bin_full", 115, "lamp-1")], SERVICES, kinds=KINDS).kinds
    assert (kinds["gear_failure"].fp, kinds["gear_failure"].fn) == (1, 1)
    assert "nothing" not in kinds


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=1, max_size=40))
def test_nine_in_ten_are_detected_within_the_ninth_decile(minutes):
    """And it is the shortest such time that was measured."""
    labels = [Label(0, None, "lamp_out", f"lamp-{n}") for n in range(len(minutes))]
    requests = [_request("lamp_out", late, f"lamp-{n}") for n, late in enumerate(minutes)]
    p90 = score(labels, requests, SERVICES).time_to_detect_s_p90
    assert sum(late * 60 <= p90 for late in minutes) >= 0.9 * len(minutes)
    assert sum(late * 60 < p90 for late in minutes) < 0.9 * len(minutes)


@pytest.mark.parametrize(
    ("first", "last", "undelivered"),
    [(110, 120, 7), (50, 99, 0), (50, 100, 7), (200, 300, 7), (201, 300, 0)],
)
def test_what_was_never_delivered_is_named_and_excuses_nothing(first, last, undelivered):
    """Lost readings of the thing, while its fault lasted."""
    lost = Loss("sl-1", Cause.RADIO, 7, first * MINUTE, last * MINUTE)
    other = Loss("sl-2", Cause.RADIO, 5, 0, 10**9)
    result = score([LAMP], [], SERVICES, losses=[lost, other], things={"sl-1": ["lamp-1"]})
    assert (result.missed, result.undelivered) == (1, 12)
    assert result.missed_labels[0]["undelivered"] == undelivered
