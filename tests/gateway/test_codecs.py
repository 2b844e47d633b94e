"""Vendor bytes become canonical values, or a reason: vectors as the makers document them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs import codec_named, codecs
from gateway.refusal import Reason
from rules.fields import CATALOGUE

NEON = (
    "2301 0100D2048813 0200D3048713 0300D4048613 0400D5048513 0500D6048413 0600D7048313"
    "61F0D204401F 15"
)
COUNTERS = "102A253438303030303030363330363832 04310102C0 0431020000 06310300000173 03510124"
VECTORS = [
    ("em400-mud", 85, "01755C 03670101 04824408 050001",
     {"battery_level_pct": 92, "temperature_c": 25.7, "distance_mm": 2116},
     ("out_of_position",), None),
    ("em400-mud", 85, "8367e80001 8482410601", {"temperature_c": 23.2, "distance_mm": 1601},
     ("temperature_alarm",), None),
    ("em400-mud", 85, "0367F6FF 04820000", {"temperature_c": -1.0, "distance_mm": 0}, (), None),
    ("em400-mud", 85, "FF0BFF FF0101 FF166136A24294220003", {}, (), Reason.NOT_A_READING),
    ("em400-mud", 85, "0B0B01", {}, (), Reason.UNKNOWN_FRAME),
    ("em400-mud", 85, "017564 0482", {"battery_level_pct": 100}, (), Reason.WRONG_LENGTH),
    ("em500-udl", 85, "01755A 03821E00", {"battery_level_pct": 90, "distance_mm": 30}, (), None),
    ("em320-tilt", 85, "017564 03D4 0000 0100 5046",
     {"battery_level_pct": 100, "tilt_deg": 0}, (), None),
    ("em320-tilt", 85, "03D4 0000 0000 A00F", {"tilt_deg": 70}, (), None),
    ("ldds75", 2, "0B49 0708 00 0105 01",
     {"battery_v": 2.889, "distance_mm": 1800, "temperature_c": 26.1}, (), None),
    ("ldds75", 2, "0B45 0708 00", {"battery_v": 2.885, "distance_mm": 1800}, (), None),
    ("ldds75", 2, "0B45 0000 00 0000 00", {"battery_v": 2.885}, (), Reason.SENSOR_FAULT),
    ("ldds75", 2, "0B45 0014 00 0000 01", {"battery_v": 2.885}, (), Reason.SENSOR_FAULT),
    ("ldds75", 5, "27010001FF0CE8", {}, (), Reason.NOT_A_READING),
    ("ldds45", 2, "0CE4 0BD6 00 FF9C 01",
     {"battery_v": 3.3, "distance_mm": 3030, "temperature_c": -10.0}, (), None),
    ("lht65n-vib", 2, "0CB2 09 00000011 0A1E 0203", {"battery_v": 3.25, "temperature_c": 25.9},
     (), None),
    ("lht65n-vib", 7, "0CB2 0001 0002 0003", {}, (), Reason.NOT_A_READING),
    ("r718x", 6, "0134 01 24 00 0837 010A 2D 05",
     {"battery_v": 3.6, "distance_mm": 2103, "temperature_c": 26.6, "fill_pct": 45, "tilt_deg": 5},
     (), None),
    ("r718x", 6, "01B1 01 9F 01 03E8 32 0000 00",
     {"battery_v": 3.1, "distance_mm": 1000, "fill_pct": 50}, ("low_battery",), None),
    ("r718x", 6, "0134 01 24 00 FFFF 010A FF 00",
     {"battery_v": 3.6, "temperature_c": 26.6, "tilt_deg": 0}, (), Reason.SENSOR_FAULT),
    ("r718x", 6, "0134 00 0A 01 2018 0608", {}, (), Reason.NOT_A_READING),
    ("r718x", 7, "8134 00 0000000000000000", {}, (), Reason.NOT_A_READING),
    ("dl-mbx", 1, "02 0BF1 0003 04D2 000A 0C60", {"distance_mm": 1234, "battery_v": 3.168}, (),
     None),
    ("dl-mbx", 1, "02 0BF1 0002 0C60", {"battery_v": 3.168}, (), None),
    ("dl-mbx", 1, "02 0BF1 0003 0000 0000 0C60", {"battery_v": 3.168}, (), Reason.SENSOR_FAULT),
    ("dl-mbx", 1, "01 0BF1 0002 0C60", {}, (), Reason.UNKNOWN_FRAME),
    ("brighterbins", 1, "308e30",
     {"battery_level_pct": 96, "temperature_c": 31, "fill_pct": 12}, (), None),
    ("brighterbins", 1, "308e31",
     {"battery_level_pct": 24, "temperature_c": -23, "distance_mm": 3960}, (), None),
    ("brighterbins", 1, "308ffd", {"battery_level_pct": 24, "temperature_c": -23}, (),
     Reason.SENSOR_FAULT),
    ("brighterbins", 1, "FFD2380163D06808013C63C2", {}, (), Reason.NOT_A_READING),
    ("wilsen-sonic-level", 1, "040B0206B6 030B063C 06020141B5999A 03510124",
     {"distance_mm": 1718, "fill_pct": 60, "temperature_c": 22.7, "battery_v": 3.6}, (), None),
    ("wilsen-sonic-level", 1, "040B010031 030B065D 06020141A66666 03510122",
     {"distance_mm": 490, "fill_pct": 93, "temperature_c": 20.8, "battery_v": 3.4}, (), None),
    ("wilsen-sonic-level", 1, COUNTERS, {}, (), Reason.NOT_A_READING),
    ("ul20xx", 25, "FF 33 10270000 3C00 5F E6",
     {"energy_wh": 10000, "active_power_w": 60, "power_factor": 0.95, "voltage_v": 230}, (), None),
    ("ul20xx", 24, "00F15365 80 3C 08 15 00 01 02 FE FF 50",
     {"temperature_c": 21, "relay_on": True, "dim_level_pct": 80}, (), None),
    ("ul20xx", 61, "84 01 6200 E600 50",
     {"active_power_w": 98, "voltage_v": 230, "power_factor": 0.8}, ("lamp_failure",), None),
    ("ul20xx", 61, "83 10 02 03", {}, ("control_gear_failure", "lamp_failure"), None),
    ("ul20xx", 99, "00 01020304 010203 00000000 00 00 00 00", {}, (), Reason.NOT_A_READING),
    ("ul20xx", 50, "06 0000 0000 0000", {}, (), Reason.NOT_A_READING),
    ("ul20xx", 1, "00", {}, (), Reason.UNKNOWN_FRAME),
    ("neon-vibration", 15, NEON, {"ppv_mm_s": 12.36, "temperature_c": 80}, (), None),
    ("neon-vibration", 15, "28" + "00" * 45, {}, (), Reason.NOT_A_READING),
    ("neon-vibration", 15, "20" + "00" * 45, {}, (), Reason.NOT_A_READING),
    ("neon-vibration", 15, "345678", {}, (), Reason.UNKNOWN_FRAME),
]  # fmt: skip


@pytest.mark.parametrize(("name", "port", "frame", "values", "faults", "reason"), VECTORS)
def test_a_frame_says_what_its_maker_documents(name, port, frame, values, faults, reason):
    """In canonical units; what is no reading, or no value, says why."""
    content = codecs()[name].decode(bytes.fromhex(frame), port)
    said = {key: value for one in content.frames for key, value in one.values.items()}
    assert said == pytest.approx(values)
    assert tuple(fault for one in content.frames for fault in one.faults) == faults
    assert [refusal.reason for refusal in content.refusals] == ([reason] if reason else [])


def test_a_stored_distance_has_its_own_time():
    """EM500-UDL sends what it kept while the network was away."""
    (past,) = codecs()["em500-udl"].decode(bytes.fromhex("20CE 00F15365 D204"), 85).frames
    assert (past.values, past.ts_ms) == ({"distance_mm": 1234.0}, 1_700_000_000_000)


def test_a_controller_whose_clock_was_never_set_has_no_time():
    """It counts from its start; the time of receipt counts."""
    frame = bytes.fromhex("10000000 00 3C 08 15 00")
    (said,) = codecs()["ul20xx"].decode(frame, 24).frames
    assert said.ts_ms is None


def test_every_family_has_its_vectors():
    """Twelve, each with a reading and with a frame that is none."""
    assert len(codecs()) >= 12
    for name in codecs():
        own = [vector for vector in VECTORS if vector[0] == name]
        assert any(vector[3] for vector in own), name


@pytest.mark.parametrize(
    ("text", "name"),
    [("EM400-MUD", "em400-mud"), ("em400_mud", "em400-mud"), ("Milesight EM400-MUD", "em400-mud"),
     ("Netvox R718X v2", "r718x"), ("UL2030", None), ("", None), ("sensor", None)],
)  # fmt: skip
def test_a_codec_is_found_under_the_names_that_platforms_give(text, name):
    """And is not guessed."""
    found = codec_named(text)
    assert (found.name if found else None) == name


@given(st.sampled_from(sorted(codecs())), st.binary(max_size=64), st.integers(0, 255))
def test_any_bytes_are_read_or_refused(name, data, port):
    """Never an error; and every value is one of the contract."""
    content = codecs()[name].decode(data, port)
    assert content.frames or content.refusals
    known = {key for kind in CATALOGUE.values() for key in kind}
    for frame in content.frames:
        assert set(frame.values) <= known
