"""A load and its proof: what a store may have done to numbered messages, and what is told of it."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.load import Audit, Load, Stored, audit, register

LOAD = Load(devices=3, rate=10.0, messages=8, start_ms=1_790_000_000_000)


def stored(load: Load, *numbers: int) -> list[Stored]:
    """The rows of a sound store."""
    rows = []
    for number in numbers:
        _, _, zone, kind, device, _ = load.topic(number).split("/")
        rows.append(Stored(device, kind, zone, load.payload(number)))
    return rows


def counts(found: Audit) -> tuple[int, int, int, int]:
    return found.missing, found.extra, found.altered, found.twice


def test_a_store_that_has_each_message_once_is_proved_whole():
    """In whatever order."""
    found = audit(LOAD, b"\1" * 8, stored(LOAD, 7, 0, 3, 1, 2, 6, 5, 4))

    assert counts(found) == (0, 0, 0, 0)
    assert (found.stored, found.wrong) == (8, [])


def test_a_message_that_the_broker_spoke_for_is_missing_when_it_is_not_there():
    """By device and number, so that it can be looked up."""
    found = audit(LOAD, b"\1" * 8, stored(LOAD, 0, 1, 2, 3, 5, 6, 7))

    assert counts(found) == (1, 0, 0, 0)
    assert found.examples == {"missing": [f"load-000001 boot {LOAD.boot} seq 2"]}


@pytest.mark.parametrize("there", [(), (4,)])
def test_a_message_that_the_broker_never_spoke_for_may_be_there_or_not(there):
    """It was sent, and nothing was promised of it."""
    promised = bytes(number != 4 for number in range(8))
    found = audit(LOAD, promised, stored(LOAD, 0, 1, 2, 3, 5, 6, 7, *there))

    assert counts(found) == (0, 0, 0, 0)


def test_a_message_that_is_there_twice_is_told():
    """Once for each time too many."""
    found = audit(LOAD, b"\1" * 8, stored(LOAD, *range(8), 2, 2))

    assert counts(found) == (0, 0, 0, 2)


def test_a_message_whose_bytes_differ_is_altered():
    """And is not missing."""
    rows = stored(LOAD, *range(8))
    said = json.loads(rows[3].body)
    said["values"]["fill_pct"] += 0.001
    rows[3] = rows[3]._replace(body=json.dumps(said).encode())

    assert counts(audit(LOAD, b"\1" * 8, rows)) == (0, 0, 1, 0)


def test_a_message_in_another_zone_is_altered():
    """Its topic is part of it."""
    rows = stored(LOAD, *range(8))
    rows[3] = rows[3]._replace(zone="north")

    assert counts(audit(LOAD, b"\1" * 8, rows)) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    "change", [{"boot": LOAD.boot + 1}, {"seq": 9}, {"seq": 0}, {"boot": "x"}], ids=str
)
def test_a_reading_of_its_devices_that_was_never_sent_is_extra(change):
    """Whatever number it bears."""
    [row] = stored(LOAD, 3)
    invented = row._replace(body=json.dumps(json.loads(row.body) | change).encode())

    assert counts(audit(LOAD, b"\1" * 8, [*stored(LOAD, *range(8)), invented])) == (0, 1, 0, 0)


def test_readings_of_other_devices_and_earlier_loads_prove_nothing():
    """They are counted apart."""
    earlier = replace(LOAD, start_ms=LOAD.start_ms - 3_600_000)
    lamp = Stored("lamp-1", "streetlight", "north", b'{"boot": 1, "seq": 1, "values": {}}')
    found = audit(LOAD, b"\1" * 8, [*stored(LOAD, *range(8)), *stored(earlier, 0, 1), lamp])

    assert counts(found) == (0, 0, 0, 0)
    assert found.others == 3


@given(
    st.integers(1, 500), st.integers(1, 2000), st.sampled_from(["bin", "streetlight"]), st.data()
)
def test_every_message_is_known_by_its_device_and_number(devices, messages, kind, data):
    """So the proof needs no memory of what was sent."""
    load = Load(devices, 100.0, messages, LOAD.start_ms, kind)
    number = data.draw(st.integers(0, messages - 1))
    device, seq = load.topic(number).split("/")[4], json.loads(load.payload(number))["seq"]

    assert load.number_of(device, seq) == number


@pytest.mark.parametrize("device", ["load-000003", "load-3", "load-x", "lamp-1", "load-0000001"])
def test_a_device_that_is_not_of_the_load_has_no_number(device):
    """Also one that is only written differently."""
    assert LOAD.number_of(device, 1) is None


def test_the_register_names_every_device_of_the_load_once():
    """Each at a place of its own."""
    features = register(1000, "bin")["features"]
    devices = [device for one in features for device in one["properties"]["devices"]]
    load = replace(LOAD, devices=1000, messages=1000)

    assert devices == [load.topic(number).split("/")[4] for number in range(1000)]
    assert len({tuple(one["geometry"]["coordinates"]) for one in features}) == 1000
