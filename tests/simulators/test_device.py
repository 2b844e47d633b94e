"""What ails a device shows in its messages, while it lasts, and nowhere else."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.city import City
from simulators.device import opening, speak
from simulators.faults import Fault, Kind
from simulators.wire import EPOCH, Said, Voice, encode, parse_rfc3339, rfc3339

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
CITY = City.sized(5, lamps=40, bins=9, road=9)
BEGIN_MS = CITY.start_ms + 6 * HOUR_MS
END_MS = BEGIN_MS + 2 * HOUR_MS
LAMP, BIN, VEHICLE = CITY.all_lamps[3], CITY.all_bins[2], CITY.vehicles[0]
WINDOW = {"rate_hz": 100, "z_ms2": [9.81, 10.3, 9.2]}
SPEAKERS = {
    "streetlight": (LAMP, {"active_power_w": 57.9, "current_a": 0.25, "dim_level_pct": 100}),
    "bin": (BIN, {"distance_mm": 850, "temperature_c": 17.5, "battery_v": 3.58}),
    "road": (VEHICLE, {"accel": WINDOW, "speed_mps": 9.5, "heading_deg": 90.0}),
}


def _fault(kind: Kind, target: str, **extent: float) -> Fault:
    return Fault(kind, target, BEGIN_MS, END_MS, (), extent)


def _says(kind: str, every_ms: int = 10 * MINUTE_MS) -> list[Said]:
    values = SPEAKERS[kind][1]
    times = range(CITY.start_ms + 7 * MINUTE_MS, CITY.end_ms, every_ms)
    return [Said(t_ms + 400, t_ms, dict(values)) for t_ms in times]


def _messages(kind: str, *faults: Fault, city: City = CITY, alias: str = ""):
    return list(speak(city, kind, SPEAKERS[kind][0], _says(kind), faults, alias))


def _split(messages) -> tuple[list, list]:
    """(sent while it lasts, sent before and after)"""
    during = [m for m in messages if BEGIN_MS <= m.t_ms < END_MS]
    return during, [m for m in messages if not BEGIN_MS <= m.t_ms < END_MS]


def _bodies(messages) -> list[dict]:
    return [json.loads(message.payload) for message in messages]


def _struck(kind: Kind, device: str = "streetlight", **extent: float):
    """The messages of a struck device: while it lasts, and before and after."""
    alias = CITY.all_lamps[4].device
    fault = _fault(kind, SPEAKERS[device][0].device, **extent)
    return _split(_messages(device, fault, alias=alias))


def test_a_sound_device_numbers_stamps_and_packs_what_its_sensor_says():
    """Nothing is added but the number, the time and that it is simulated."""
    bodies = _bodies(_messages("streetlight"))
    assert [parse_rfc3339(body["ts"]) for body in bodies] == [x.ts_ms for x in _says("streetlight")]
    first = bodies[0]["seq"]
    assert [body["seq"] for body in bodies] == list(range(first, first + len(bodies)))
    assert all(body["values"] == SPEAKERS["streetlight"][1] for body in bodies)
    assert all(body["sim"] is True for body in bodies)


# What only shows in some messages, or in their numbers, has a test of its own.
OUTSIDE_SAME = (
    Kind.DEVICE_SILENT, Kind.CLOCK_AHEAD, Kind.SICK, Kind.WRONG_UNIT, Kind.WRONG_VERSION,
    Kind.SENTINEL, Kind.SPOOFED, Kind.REPEATED, Kind.BATTERY_DECAY,
)  # fmt: skip


@pytest.mark.parametrize("kind", OUTSIDE_SAME)
@pytest.mark.parametrize("device", SPEAKERS)
def test_outside_its_time_an_ailment_changes_nothing(kind, device):
    """Before it begins and after it is over, the messages are those of a sound device."""
    _, outside = _struck(kind, device, times=2.0)
    _, sound = _split(_messages(device))
    assert [m._replace(t_ms=0) for m in outside][-9:] == [m._replace(t_ms=0) for m in sound][-9:]
    assert [m for m in outside if m.t_ms < BEGIN_MS] == [m for m in sound if m.t_ms < BEGIN_MS]


@pytest.mark.parametrize("kind", [*OUTSIDE_SAME, Kind.EPOCH_CLOCK, Kind.BOOT_LOOP])
@pytest.mark.parametrize("device", SPEAKERS)
def test_every_ailment_keeps_the_order_and_the_mark_of_the_simulation(kind, device):
    """Whatever is wrong with it, a device sends one message after the other, marked."""
    during, outside = _struck(kind, device)
    times = [m.t_ms for m in sorted([*during, *outside], key=lambda m: m.t_ms)]
    sent = _messages(device, _fault(kind, SPEAKERS[device][0].device), alias="lc-9")
    assert [m.t_ms for m in sent] == times
    assert {m.speaker for m in sent} == {SPEAKERS[device][0].device}
    whole = [m for m in sent if kind is not Kind.SICK or m.payload.endswith(b"}")]
    assert all(b'"sim":true' in m.payload for m in whole)


def test_a_silent_device_says_nothing():
    """Not a word while it lasts."""
    during, outside = _struck(Kind.DEVICE_SILENT)
    assert during == []
    assert len(outside) == len(_split(_messages("streetlight"))[1])


def test_a_battery_falls_to_its_end_and_never_recovers():
    """From the end of the plateau to the voltage that the fault names, ever lower."""
    during, _ = _struck(Kind.BATTERY_DECAY, "bin", volts=2.7)
    volts = [body["values"]["battery_v"] for body in _bodies(during)]
    assert 3.2 < volts[0] < 3.45
    assert volts[-1] == pytest.approx(2.7, abs=0.1)
    assert all(b < a + 0.05 for a, b in pairwise(volts))
    assert sum(v < 3.3 for v in volts) > 0.8 * len(volts)


def test_a_boot_loop_counts_starts_and_sends_the_first_message_of_each():
    """The boot counter goes up, the numbers begin anew, and afterwards it goes on from there."""
    during, outside = _struck(Kind.BOOT_LOOP, every_s=60.0)
    bodies = _bodies(during)
    assert len(bodies) == pytest.approx(120, abs=8)
    assert {body["seq"] for body in bodies} == {1}
    boots = [body["boot"] for body in bodies]
    assert boots == list(range(boots[0], boots[0] + len(boots)))
    after = [body for m, body in zip(outside, _bodies(outside), strict=True) if m.t_ms >= END_MS]
    assert {body["boot"] for body in after} == {boots[-1]}
    assert [body["seq"] for body in after] == list(range(2, 2 + len(after)))
    assert all(body["values"] == SPEAKERS["streetlight"][1] for body in bodies)


def test_a_vehicle_that_starts_again_and_again_feels_no_road():
    """A window takes longer than it lives; the last one must not count again and again."""
    during, _ = _struck(Kind.BOOT_LOOP, "road")
    assert len(during) > 300
    assert all("accel" not in body["values"] for body in _bodies(during))


@pytest.mark.parametrize(
    ("kind", "off_ms"),
    [(Kind.EPOCH_CLOCK, -BEGIN_MS), (Kind.CLOCK_AHEAD, round(2.5 * HOUR_MS))],
)
def test_a_wrong_clock_shows_in_the_stamps(kind, off_ms):
    """A clock that begins at 1970 counts from there; one that is ahead is so by the hours given."""
    during, _ = _struck(kind, **({"hours": 2.5} if kind is Kind.CLOCK_AHEAD else {}))
    expected = [said.ts_ms + off_ms for said in _says("streetlight")
                if BEGIN_MS <= said.ts_ms < END_MS]  # fmt: skip
    assert [parse_rfc3339(body["ts"]) for body in _bodies(during)] == expected


def test_a_clock_that_begins_at_1970_begins_with_a_start():
    """The device has lost its power: it boots, and its numbers begin anew."""
    before = _bodies(_split(_messages("streetlight"))[1])[0]
    during, _ = _struck(Kind.EPOCH_CLOCK)
    bodies = _bodies(during)
    assert {body["boot"] for body in bodies} == {before["boot"] + 1}
    assert [body["seq"] for body in bodies] == list(range(1, len(bodies) + 1))


def test_a_sick_device_spoils_some_of_its_messages_in_several_ways():
    """What is spoilt is no sound reading; what is not, is."""
    during, _ = _struck(Kind.SICK)
    sound = {m.t_ms: m.payload for m in _split(_messages("streetlight"))[0]}
    spoilt = [m.payload for m in during if m.payload != sound[m.t_ms]]
    assert 2 <= len(spoilt) < len(during)
    city = City.sized(9, lamps=40, bins=0, road=0)
    kinds = set()
    for lamp in city.all_lamps[:30]:
        says = _says("streetlight")
        fault = Fault(Kind.SICK, lamp.device, city.start_ms, None)
        for message in speak(city, "streetlight", lamp, says, [fault]):
            kinds.add(_flaw(message.payload))
    assert kinds == {"", "cut", "bytes", "NaN", "range", "text"}


def _flaw(payload: bytes) -> str:
    if payload.startswith(b"\xff"):
        return "bytes"
    if not payload.endswith(b"}"):
        return "cut"
    if b"NaN" in payload:
        return "NaN"
    values = json.loads(payload)["values"]
    if any(isinstance(value, str) for value in values.values()):
        return "text"
    return "range" if 99_999 in values.values() else ""


@pytest.mark.parametrize(
    ("device", "name", "share"),
    [("streetlight", "active_power_w", 0.001), ("bin", "distance_mm", 0.001),
     ("road", "speed_mps", 3.6)],
)  # fmt: skip
def test_a_wrong_unit_is_a_wrong_number(device, name, share):
    """Kilowatts for watts, metres for millimetres, km/h for m/s; the keys say what they said."""
    during, _ = _struck(Kind.WRONG_UNIT, device)
    sound = SPEAKERS[device][1]
    for body in _bodies(during):
        assert body["values"][name] == pytest.approx(sound[name] * share)
        assert set(body["values"]) == set(sound)


def test_a_window_in_g_weighs_one():
    """Gravity is 1 in it, and the rate is still a rate."""
    during, _ = _struck(Kind.WRONG_UNIT, "road")
    accel = _bodies(during)[0]["values"]["accel"]
    assert accel == {"rate_hz": 100, "z_ms2": [1.0003, 1.0503, 0.9381]}


def test_another_firmware_writes_other_keys():
    """None of them is one of the contract's."""
    during, _ = _struck(Kind.WRONG_VERSION)
    assert {tuple(body["values"]) for body in _bodies(during)} == {
        ("activePower", "current", "dimLevel")
    }


def test_a_sentinel_stands_for_every_value_of_a_report():
    """Some reports bear one of the marks, the same for all; the others are sound."""
    during, _ = _struck(Kind.SENTINEL, "bin")
    shown = Counter(str(body["values"]["distance_mm"]) for body in _bodies(during))
    assert set(shown) <= {"65535", "-1", "n/a", "850"}
    assert 0 < shown["850"] < len(during)
    for body in _bodies(during):
        assert len(set(map(str, body["values"].values()))) in (1, 3)


def test_a_spoofed_device_speaks_under_another_name():
    """On the other's topic, in the order and with the numbers of its own."""
    during, _ = _struck(Kind.SPOOFED)
    other = CITY.all_lamps[4].device
    assert {m.device for m in during} == {other}
    assert {m.speaker for m in during} == {LAMP.device}
    assert [m.payload for m in during] == [m.payload for m in _split(_messages("streetlight"))[0]]


def test_a_repeating_device_sends_the_same_bytes_so_many_times():
    """Each message of that time, neither more nor less often."""
    fault = _fault(Kind.REPEATED, LAMP.device, times=7.0)
    counted = Counter(m.payload for m in _messages("streetlight", fault))
    for message in _messages("streetlight"):
        assert counted[message.payload] == (7 if fault.active(message.t_ms) else 1)


def test_clocks_that_are_set_now_and_then_are_never_far_off():
    """Off by what the scenario says, before or behind, each device by its own."""
    network = {"clock_steps_per_day": 12, "clock_off_by": ["5s", "30s"]}
    city = City.sized(5, lamps=40, bins=9, road=9, network=network)
    stamps = [parse_rfc3339(b["ts"]) for b in _bodies(_messages("streetlight", city=city))]
    off = [stamp - said.ts_ms for stamp, said in zip(stamps, _says("streetlight"), strict=True)]
    errors = {error for error in off if error}
    assert len(errors) > 4
    assert all(5000 <= abs(error) <= 30_000 for error in errors)
    assert min(errors) < 0 < max(errors)


def test_the_day_begins_with_what_lies_retained():
    """That the device is there, and for a stale one a reading of three days ago before it."""
    sound = list(opening(CITY, "bin", BIN, ()))
    assert [(m.leaf, m.retain, m.payload) for m in sound] == [("status", True, b'{"online":true}')]
    old, _ = opening(CITY, "bin", BIN, [Fault(Kind.STALE, BIN.device, CITY.start_ms, None)])
    assert (old.leaf, old.retain) == ("telemetry", True)
    body = json.loads(old.payload)
    assert parse_rfc3339(body["ts"]) == CITY.start_ms - 3 * 24 * HOUR_MS
    assert body["values"]["temperature_c"] > 60


@given(st.integers(0, 4_000_000_000_000))
def test_stamps_are_those_of_the_calendar(ts_ms):
    """The same text as the calendar's own, whole seconds without a fraction."""
    moment = EPOCH + timedelta(milliseconds=ts_ms)
    spec = "milliseconds" if ts_ms % 1000 else "seconds"
    assert rfc3339(ts_ms) == moment.isoformat(timespec=spec).replace("+00:00", "Z")
    assert datetime.fromisoformat(rfc3339(ts_ms)).astimezone(UTC) == moment


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0, float("-inf")]])
def test_what_is_no_number_is_never_sent(value):
    """JSON has no word for it; null, which it has, may stand."""
    with pytest.raises(ValueError, match="JSON"):
        encode({"values": {"fill_pct": value}})
    assert encode({"ts": None}) == b'{"ts":null}'


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(), st.integers(-(2**53), 2**53))
def test_what_is_sent_reads_back(number, text, whole):
    """The shortest digits that say the number, and any text."""
    value = {"a": number, "b": text, "c": [whole, True, None]}
    assert json.loads(encode(value)) == value


def test_numbers_never_repeat_over_a_start():
    """(boot, seq) goes up whatever happens."""
    voice = Voice("z", "bin", "bs-1", "lora-1", 3, 17, sim=True)
    numbers = []
    for n in range(6):
        if n == 3:
            voice.restart()
        body = json.loads(voice.say(Said(n, n, {"fill_pct": 1.0})).payload)
        numbers.append((body["boot"], body["seq"]))
    assert numbers == sorted(set(numbers))
