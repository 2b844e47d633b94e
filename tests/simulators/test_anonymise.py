"""Anonymising: what belonged together still does, and nothing that was said by hand is left."""

import json
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulators.anonymise import Anonymiser
from simulators.city import City
from simulators.plan import messages, plan_of
from simulators.score import distance_m
from simulators.truth import Label
from simulators.wire import Message

SECRET = "Mrs Smith, 12 High Street"


def message(body, leaf="telemetry", kind="bin"):
    topic = f"city/v1/oldtown/{kind}/smith-bin/{leaf}"
    return Message(1_000, topic, json.dumps(body).encode(), 1, False)


def said(**more):
    return {"ts": "2026-01-15T20:05:00Z", "boot": 1, "seq": 2, "values": {"fill_pct": 3}} | more


def test_a_city_stays_whole_under_other_names():
    """Recording, register and labels name the same things; counts and values are as they were."""
    plan = plan_of(City.sized(3, lamps=30, bins=10, road=6, duration="6h"))
    mask = Anonymiser("key")
    sent = [m for m in messages(plan) if _is_sound(m)]
    masked = list(mask.messages(sent))
    register = mask.assets(plan.assets())["features"]
    labels = [mask.label(label) for label in plan.labels]
    devices = {device for feature in register for device in feature["properties"]["devices"]}
    names = {feature["properties"]["asset_id"] for feature in register}
    assert mask.dropped == 0
    assert {label.asset_id for label in labels} - {""} <= names
    of_things = {m.device for m in masked} & devices
    assert len(of_things) == len({m.device for m in sent} & {
        device for f in plan.assets()["features"] for device in f["properties"]["devices"]
    })  # fmt: skip
    before, after = ([json.loads(m.payload).get("values") for m in x] for x in (sent, masked))
    assert before == after
    text = b"".join(m.topic.encode() + m.payload for m in masked) + json.dumps(register).encode()
    for name in ("lamp-0", "bin-0", "north", "circuit-", "near 41"):
        assert name.encode() not in text, name


def _is_sound(message):
    """As the contract has it; the spoilt ones are left out, and tested below."""
    return Anonymiser("any").message(message) is not None


@settings(max_examples=60, deadline=None)
@given(st.floats(-60, 60), st.floats(-170, 170), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01),
       st.text(min_size=1, max_size=5))  # fmt: skip
def test_places_move_together_by_the_distance_asked_for(lat, lon, north, east, key):
    """And the distances between them stay, to a metre in a hundred."""
    assume(abs(lat) + abs(lon) > 0.1)
    mask = Anonymiser(key, 2_000)
    one, two = (lat, lon), (lat + north, lon + east)
    there = mask.place(*one), mask.place(*two)
    assert math.isclose(distance_m(*one, *there[0]), 2_000, rel_tol=0.01)
    between = distance_m(*one, *two), distance_m(*there[0], *there[1])
    assert math.isclose(*between, rel_tol=0.01, abs_tol=0.1)


def test_the_same_key_gives_the_same_names_and_another_key_others():
    """So that a second recording can be joined to the first."""
    one, again, other = Anonymiser("a"), Anonymiser("a"), Anonymiser("b")
    assert one.name("lamp-1") == again.name("lamp-1") != other.name("lamp-1")
    assert one.place(41.0, -87.0) == again.place(41.0, -87.0) != other.place(41.0, -87.0)


@pytest.mark.parametrize(
    "body",
    [
        said(note=SECRET),
        said(values={"fill_pct": 3, "owner": 7, SECRET: 1}),
        said(faults=["lamp_failure", "mrs_smith"]),
        said(values={"accel": {"rate_hz": 50, "z_ms2": [1.5], SECRET: 1}}),
    ],
)
def test_what_the_contract_does_not_know_is_dropped(body):
    """The rest of the message is kept."""
    mask = Anonymiser("key")
    kept = mask.message(message(body)).payload.decode().lower()
    assert "smith" not in kept
    assert "owner" not in kept
    assert json.loads(kept)["seq"] == 2


@pytest.mark.parametrize(
    "one",
    [
        Message(0, "v3/app/devices/x/up", b"{}"),
        Message(0, "city/v1/dead-letter/native/smith-bin", b"{}"),
        message(said(), leaf="notes"),
        message(said(), kind="smith"),
        message(said(ts=SECRET)),
        message(said(values={"fill_pct": SECRET})),
        message(said(loc=[SECRET, 1])),
        message([1, 2]),
        Message(0, "city/v1/a/bin/b/telemetry", b"{"),
    ],
)
def test_what_cannot_be_made_anonymous_is_left_out_and_counted(one):
    """Whole, rather than with a name in it."""
    mask = Anonymiser("key")
    assert mask.message(one) is None
    assert mask.dropped == 1


@pytest.mark.parametrize(
    ("leaf", "body", "kept"),
    [
        ("status", {"online": False, "by": SECRET}, {"online": False}),
        ("ack", {"boot": 3, "upto": 9, "server_time": "x"}, {"boot": 3, "upto": 9}),
        ("telemetry", said(loc=[0, 0]), said(loc=[0, 0])),
        ("telemetry", said(sim=True), said(sim=True)),
        ("batch", [said(x=1)], [said()]),
    ],
)
def test_what_a_device_says_keeps_its_meaning(leaf, body, kept):
    """A receiver without a fix stays one."""
    assert json.loads(Anonymiser("key").message(message(body, leaf)).payload) == kept


def test_a_register_loses_address_and_owner_and_keeps_its_calibration():
    """And whatever else the contract does not know."""
    told = {"asset_id": "lamp-1", "kind": "streetlight", "zone": "oldtown", "address": SECRET,
            "owner": SECRET, "devices": ["sl-1"], "circuit": "c-1", "nominal_power_w": 60,
            "note": SECRET}  # fmt: skip
    point = {"type": "Point", "coordinates": [-87.0, 41.0]}
    feature = {"type": "Feature", "geometry": point, "properties": told}
    found = Anonymiser("key").assets({"features": [feature]})
    kept = found["features"][0]["properties"]
    assert set(kept) == {"asset_id", "kind", "zone", "devices", "circuit", "nominal_power_w"}
    assert kept["nominal_power_w"] == 60
    assert "Smith" not in json.dumps(found)


@pytest.mark.parametrize("bad", [{}, {"features": [{}]}, {"features": 3}, []])
def test_what_is_no_register_is_refused(bad):
    """One sentence."""
    with pytest.raises(ValueError, match="FeatureCollection"):
        Anonymiser("key").assets(bad)


def test_a_place_without_an_asset_moves_and_gets_no_name():
    """Labels of potholes."""
    masked = Anonymiser("key").label(Label(0, None, "pothole", "", 41.0, -87.0))
    assert masked.asset_id == ""
    assert (masked.lat, masked.lon) == Anonymiser("key").place(41.0, -87.0)
