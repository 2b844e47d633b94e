"""The core on the shipped rules: messages in, requests out."""

from itertools import pairwise

import pytest
from small_city import (
    LAT,
    LIBRARY,
    LON,
    MINUTE_MS,
    NIGHT_MS,
    NOON_MS,
    Gate,
    at,
    body,
    city_of,
    lamp,
    sent,
)

from gateway.books.store import Store
from gateway.core import STEPS_MAX
from rules.files import load, read_library

LIT, DARK = 58.0, 0.0


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def play(gate, powers, every=5, lamps=1):
    """The same power series for all lamps, one report of each every few minutes."""
    for k, power_w in enumerate(powers):
        if power_w is None:
            gate.pass_to(*range(k * every, (k + 1) * every))
            continue
        seq = k + 1
        reports = [lamp(f"d{i}", k * every, power_w, seq, gate.start_ms) for i in range(lamps)]
        gate.live(k * every, *reports)
        gate.pass_to(*range(k * every + 1, (k + 1) * every))


# -- the inline tests of the rule language's design -----------------------------------------------


def test_a_dark_lamp_is_filed_once_after_15_dark_minutes_and_clears_after_repair():
    """58 W three times, 0 W eight times, 58 W four times, every 5 minutes."""
    gate = Gate(city_of())
    play(gate, [LIT] * 3 + [DARK] * 3)
    assert (gate.phase("lamp_out", "SL-0"), gate.rows) == ("pending", [])
    gate = Gate(city_of())
    play(gate, [LIT] * 3 + [DARK] * 5 + [DARK])
    assert (gate.phase("lamp_out", "SL-0"), gate.services()) == ("firing", ["STREETLIGHT_OUT"])
    gate = Gate(city_of())
    play(gate, [LIT] * 3 + [DARK] * 8 + [LIT] * 4)
    assert (gate.phase("lamp_out", "SL-0"), gate.services()) == ("ok", ["STREETLIGHT_OUT"])
    (incident,) = gate.incidents.values()
    assert (incident.started_ms, incident.fired_ms, incident.cleared_ms) == (at(15), at(30), at(65))


def test_silence_is_not_recovery():
    """0 W eight times, then nothing: filed once, blind, still open."""
    gate = Gate(city_of())
    play(gate, [DARK] * 8 + [None] * 30)
    assert gate.services() == ["STREETLIGHT_OUT"]
    assert gate.phase("lamp_out", "SL-0") == "firing"
    assert [e.after for e in gate.journal if e.rule == "lamp_out"][-1] == "blind"
    assert gate.incidents[1].cleared_ms is None


def test_daylight_is_quiet():
    """A dark lamp at noon is as it should be."""
    gate = Gate(city_of(), start_ms=NOON_MS)
    play(gate, [DARK] * 12)
    assert gate.journal == []


def test_forty_dark_lamps_are_one_request():
    """The circuit; all forty are explained by it."""
    gate = Gate(city_of(lamps=40))
    play(gate, [LIT] * 3 + [DARK] * 8, lamps=40)
    (row,) = gate.rows
    assert (row.service, row.request.asset_id) == ("STREETLIGHT_CIRCUIT", "C12")
    assert "40 street lights are dark" in row.request.description
    states = [i.state for i in gate.incidents.values() if i.rule == "lamp_out"]
    assert states == ["absorbed"] * 40


def test_after_a_circuit_fault_exactly_the_lamps_that_stay_dark_are_filed():
    """Two of forty did not survive it; each gets its own request, once."""
    gate = Gate(city_of(lamps=40))
    play(gate, [LIT] * 3 + [DARK] * 8, lamps=40)
    for minute in range(55, 150, 5):
        reports = [lamp(f"d{i}", minute, DARK if i < 2 else LIT, minute) for i in range(40)]
        gate.live(minute, *reports)
        gate.pass_to(*range(minute + 1, minute + 5))
    filed = [(row.service, row.request.asset_id) for row in gate.rows]
    assert filed == [
        ("STREETLIGHT_CIRCUIT", "C12"), ("STREETLIGHT_OUT", "SL-0"), ("STREETLIGHT_OUT", "SL-1"),
    ]  # fmt: skip


def test_five_hundred_dark_lamps_are_one_request_and_the_three_left_dark_are_three():
    """One circuit; 497 are repaired."""
    gate = Gate(city_of(lamps=500))
    play(gate, [LIT] * 2 + [DARK] * 6, lamps=500)
    assert gate.services() == ["STREETLIGHT_CIRCUIT"]
    assert "500 street lights are dark" in gate.rows[0].request.description
    for minute in range(40, 100, 5):
        reports = [lamp(f"d{i}", minute, DARK if i < 3 else LIT, minute) for i in range(500)]
        gate.live(minute, *reports)
        gate.pass_to(*range(minute + 1, minute + 5))
    assert [row.request.asset_id for row in gate.rows[1:]] == ["SL-0", "SL-1", "SL-2"]


def test_lamps_that_report_rarely_are_not_filed_for_the_outage_that_is_over():
    """Every lamp speaks once in 15 minutes, at its own minute; all are lit again."""
    gate = Gate(city_of(lamps=15))
    for minute in range(240):
        power_w = DARK if 20 <= minute < 100 else LIT
        gate.live(minute, lamp(f"d{minute % 15}", minute, power_w, minute))
    assert gate.services() == ["STREETLIGHT_CIRCUIT"]
    assert all(incident.cleared_ms for incident in gate.incidents.values())


def test_a_backlog_of_a_circuit_is_one_request_too():
    """After an outage of the network the lamps tell their hours one after another."""
    gate = Gate(city_of(lamps=10))
    gate.pass_to(*range(130))
    for i in range(10):
        minutes = range(0, 120, 10)
        reports = [lamp(f"d{i}", m, LIT if m < 20 else DARK, m) for m in minutes]
        gate.take(*reports, now_ms=at(130 + i / 4))
        gate.pass_to(130 + i / 4)
    gate.pass_to(*range(133, 150))
    assert gate.services() == ["STREETLIGHT_CIRCUIT"]


# -- bins and roads -------------------------------------------------------------------------------


def bin_says(minute, **values):
    return sent("b0", body(at(minute), values), "bin")


def test_a_full_bin_is_filed_and_filed_again_when_it_is_full_again():
    """Two reports that agree; emptied in between; two episodes, two references."""
    gate = Gate(city_of(bins=1))
    for k, fill in enumerate([50, 85, 90, 95, 20, 85, 90]):
        gate.live(k * 60, bin_says(k * 60, fill_pct=fill))
        gate.pass_to(*range(k * 60 + 1, k * 60 + 20))
    assert gate.services() == ["BIN_FULL"] * 2
    assert len({row.reference for row in gate.rows}) == 2


def test_a_measured_distance_becomes_fill():
    """100 mm below the sensor in a bin of 1000 mm is 90 %."""
    gate = Gate(city_of(bins=1))
    for minute in (0, 60):
        gate.live(minute, bin_says(minute, distance_mm=100))
    gate.pass_to(66)
    assert gate.rows[0].request.description.startswith("Bin BIN-0 is 90% full")


def test_a_sensor_that_answers_nonsense_to_everything_is_known_and_files_nothing():
    """0 for no echo, 9999 for nothing in reach: counted at the device; the bin has said nothing."""
    gate = Gate(city_of(bins=1))
    for k, distance_mm in enumerate([0, 0, 9999, 0, 0, 9999]):
        gate.live(k * 60, bin_says(k * 60, distance_mm=distance_mm))
    assert (gate.rows, gate.phase("bin_full", "BIN-0")) == ([], "ok")
    assert gate.core.devices.get("b0").unfit == {"no_fill": 6}


@pytest.mark.parametrize(
    ("loc", "values", "reason"),
    [
        ([0.0, 0.0], {"peak_ms2": 50, "speed_mps": 10}, "null_island"),
        ([LAT + 1, LON], {"peak_ms2": 50, "speed_mps": 10}, "gps_jump"),
        ([LAT, LON], {"accel": {"rate_hz": 50, "z_ms2": [9.81] * 8}}, "flat_window"),
    ],
)
def test_what_a_vehicle_cannot_have_felt_is_known_and_files_nothing(loc, values, reason):
    """However many say so."""
    gate = Gate(city_of())
    for k in range(4):
        gate.take(jolt(f"v{k}", 60 * k, peak=0.1), minute=60 * k)
        gate.take(sent(f"v{k}", body(at(60 * k + 1), values, loc=loc), "road"), minute=60 * k + 1)
    assert gate.rows == []
    assert gate.core.devices.get("v0").unfit == {reason: 1}


def test_a_burning_bin_is_filed_at_once():
    """In the batch that says so, without a tick."""
    gate = Gate(city_of(bins=1))
    gate.take(bin_says(0, temperature_c=65), minute=0)
    assert gate.services() == ["BIN_FIRE"]


def test_a_silent_device_is_noted_and_never_filed():
    """For the operators."""
    gate = Gate(city_of())
    gate.live(0, lamp("d0", 0, LIT, 1))
    gate.pass_to(*range(1, 90))
    assert [(i.rule, i.state) for i in gate.incidents.values()] == [
        ("device_silent_streetlight", "noted")
    ]
    assert gate.rows == []


def jolt(vehicle, minute, peak=9.0, east_m=0.0):
    loc = [LAT, LON + east_m / 82_800]
    return sent(vehicle, body(at(minute), {"peak_ms2": peak, "speed_mps": 10}, loc=loc), "road")


def test_three_vehicles_over_one_hole_are_one_request():
    """A few metres apart; a fourth changes nothing."""
    gate = Gate(city_of())
    for k in range(3):
        assert gate.rows == []
        gate.take(jolt(f"v{k}", 10 * k, east_m=2 * k), minute=10 * k)
    gate.take(jolt("v9", 40), minute=40)
    (row,) = gate.rows
    assert row.service == "POTHOLE"
    assert row.request.asset_id is None
    assert row.request.place_id is not None
    assert abs(row.request.lat - LAT) < 1e-4
    assert row.request.description == (
        "Pothole felt in 3 passes of vehicles since 2026-01-16T02:20:00Z; hardest jolt 9.0 m/s²."
    )


def test_one_vehicle_is_no_quorum():
    """Standing at a red light over a manhole for as long as it likes."""
    gate = Gate(city_of())
    for minute in range(9):
        gate.take(jolt("v0", minute), minute=minute)
    assert gate.rows == []


def test_a_pass_that_is_heard_of_an_hour_late_makes_the_quorum():
    """The vehicle was in a tunnel; the hole is as deep."""
    gate = Gate(city_of())
    gate.take(jolt("v0", 0), minute=0)
    gate.take(jolt("v1", 90), minute=90)
    gate.take(jolt("v2", 30), minute=95)
    assert gate.services() == ["POTHOLE"]


# -- what a request says --------------------------------------------------------------------------


def test_a_request_says_what_a_crew_needs():
    """Where, since when, on what evidence; no braces, no unknowns."""
    gate = Gate(city_of())
    play(gate, [DARK] * 6)
    (row,) = gate.rows
    assert row.request.description == (
        "Street light SL-0 is dark at night: it draws 0 W of 60 W (circuit C12), "
        "since 2026-01-16T02:00:00Z, for 20 min. Confirmed over 15 min."
    )
    request = row.request
    assert (request.lat, request.long, request.address) == (LAT, LON, "1 Lake St")
    assert (request.asset_id, request.observed_at_ms, request.rule) == ("SL-0", at(0), "lamp_out")
    assert row.created_ms == at(20)


def test_a_report_without_power_does_not_spoil_the_text():
    """The evidence is the last report that had any."""
    gate = Gate(city_of())
    gate.take(lamp("d0", 0, DARK, 1), lamp("d0", 10, DARK, 2), minute=10)
    gate.take(sent("d0", body(at(14), {"temperature_c": 3}, 3)), minute=14)
    gate.pass_to(*range(15, 25))
    assert "it draws 0 W of 60 W" in gate.rows[0].request.description


# -- admission ------------------------------------------------------------------------------------


def test_retained_telemetry_has_no_effect():
    """A kept value has no age; the message itself, which may come after it, has all of it."""
    gate = Gate(city_of())
    message = lamp("d0", 0, DARK, 1)
    gate.take(message._replace(retain=True), minute=0)
    assert [r.reason for r in gate.refusals] == ["retained"]
    assert (gate.readings, gate.journal) == ([], [])
    gate.take(message, minute=1)
    assert len(gate.readings) == 1
    assert gate.duplicates == 0


def test_a_refused_message_does_not_hold_up_the_acknowledgement():
    """It is refused for good: the device must not keep it for ever."""
    gate = Gate(city_of())
    bad = sent("d0", body(at(1), {"active_power_w": -1}, 2))
    gate.take(lamp("d0", 0, LIT, 1), bad, lamp("d0", 2, LIT, 3), minute=2)
    assert gate.acknowledged("d0") == (1, 3)
    assert [(r.device, r.reason) for r in gate.refusals] == [("d0", "out_of_range")]


def test_a_refused_message_of_a_vehicle_does_not_either():
    """Known by what it has said, not by an asset."""
    gate = Gate(city_of())
    said = [body(at(m), {"peak_ms2": 1, "speed_mps": 9}, m + 1, loc=[LAT, LON]) for m in range(3)]
    del said[1]["loc"]
    gate.take(*(sent("v0", message, "road") for message in said), minute=3)
    assert [r.reason for r in gate.refusals] == ["no_position"]
    assert gate.acknowledged("v0") == (1, 3)


def test_strangers_leave_no_trace_but_their_refusal():
    """A flood of made-up names must not fill the memory."""
    gate = Gate(city_of())
    gate.take(lamp("nobody", 0, DARK, 1), sent("nobody", b"{"), minute=0)
    assert [r.reason for r in gate.refusals] == ["unknown_device", "not_json"]
    assert "nobody" not in gate.core.devices


def test_each_bad_message_of_a_batch_is_refused_by_itself():
    """And acknowledged; the good ones are taken."""
    gate = Gate(city_of())
    messages = [body(at(m), {"active_power_w": power}, m + 1) for m, power in
                [(0, 58), (1, -5), (2, 58)]]  # fmt: skip
    gate.take(sent("d0", messages, leaf="batch"), minute=5)
    assert [(r.path, r.reason) for r in gate.refusals] == [
        ("[1].values.active_power_w", "out_of_range")
    ]
    assert b"-5" in gate.refusals[0].payload
    assert b"58" not in gate.refusals[0].payload
    assert gate.acknowledged("d0") == (1, 3)


def test_the_same_message_twice_counts_once():
    """By number; and by content where it has none."""
    gate = Gate(city_of())
    gate.take(lamp("d0", 0, LIT, 1), lamp("d0", 0, LIT, 1), minute=0)
    gate.take(lamp("d0", 1, LIT), lamp("d0", 1, LIT), minute=1)
    assert (len(gate.readings), gate.duplicates) == (2, 2)


def test_a_device_without_a_clock_is_judged_by_the_time_of_receipt():
    """Dark for 15 minutes by ours."""
    gate = Gate(city_of())
    dark = {"active_power_w": 0, "dim_level_pct": 100}
    for k in range(5):
        gate.live(5 * k, sent("d0", body(None, dark, k + 1)))
    gate.pass_to(21, 22)
    assert gate.services() == ["STREETLIGHT_OUT"]
    assert gate.incidents[1].started_ms == at(0)


@pytest.mark.parametrize("wrong_ms", [at(24 * 60 * 365), 0])
def test_a_clock_that_cannot_be_right_is_not_believed(wrong_ms):
    """The reading counts at the time of receipt, and time does not jump for the others."""
    gate = Gate(city_of(lamps=2))
    values = {"active_power_w": 0, "dim_level_pct": 100}
    gate.take(sent("d0", body(wrong_ms, values, 1)), lamp("d1", 0, LIT, 1), minute=0)
    assert [r.ts_ms for r in gate.readings] == [at(0), at(0)]
    assert gate.core.tick_ms <= at(1)


def test_late_readings_are_stored_and_not_judged():
    """Later than the lateness behind what the lamp has said since; and older than a day."""
    gate = Gate(city_of())
    gate.take(lamp("d0", 100, LIT, 3), minute=100)
    gate.take(lamp("d0", 94, DARK, 1), lamp("d0", -24 * 60, DARK, 2), minute=101)
    assert [r.verdict for r in gate.readings] == ["fresh", "late", "late"]
    assert gate.journal == []
    assert gate.core.devices.get("d0").late == 2


def test_a_backfill_is_judged_in_its_own_time():
    """A batch of two dark hours, sent when the radio was back: started when it was."""
    gate = Gate(city_of())
    gate.take(lamp("d0", 0, LIT, 1), minute=0)
    dark = {"active_power_w": 0, "dim_level_pct": 100}
    messages = [body(at(10 * k), dark, k + 1) for k in range(1, 13)]
    gate.live(125, sent("d0", messages, leaf="batch"))
    gate.pass_to(*range(126, 135))
    assert gate.services() == ["STREETLIGHT_OUT"]
    assert gate.rows[0].request.observed_at_ms == at(10)


def test_a_backfill_that_ends_well_files_nothing():
    """It was dark for an hour and is lit again: there is nothing to repair."""
    gate = Gate(city_of())
    messages = [
        body(at(10 * k), {"active_power_w": DARK if 1 < k < 8 else LIT}, k + 1) for k in range(13)
    ]
    gate.live(125, sent("d0", messages, leaf="batch"))
    gate.pass_to(*range(126, 150))
    assert gate.rows == []
    assert [i.state for i in gate.incidents.values()] == ["withdrawn"]


def test_a_device_says_of_itself_that_it_is_online():
    """Kept with it; a retained status is as good as a fresh one."""
    gate = Gate(city_of())
    gate.take(sent("d0", {"online": False}, leaf="status", retain=True), minute=0)
    assert gate.core.devices.get("d0").online is False


def test_simulated_readings_are_refused_unless_allowed():
    """A test must not send a crew."""
    message = sent("d0", body(at(0), {"active_power_w": 0}, 1, sim=True))
    strict, test = Gate(city_of()), Gate(city_of(), allow_simulated=True)
    strict.take(message, minute=0)
    test.take(message, minute=0)
    assert [r.reason for r in strict.refusals] == ["simulated"]
    assert len(test.readings) == 1


# -- time -----------------------------------------------------------------------------------------


def test_time_goes_with_the_messages_while_there_is_a_backlog():
    """Three devices that agree; silence is not judged by the clock on the wall."""
    gate = Gate(city_of(lamps=3))
    for minute in range(5):
        gate.take(*(lamp(f"d{i}", minute, LIT, minute) for i in range(3)), now_ms=at(600))
    assert gate.core.tick_ms == at(4)


def test_a_recording_of_a_lone_device_needs_no_other_to_pass_the_time():
    """Nobody else says that time passes: a fault that outlasted its wait is filed when it ends."""
    gate = Gate(city_of(lamps=5), follow=True)

    power = [58] * 3 + [0] * 8 + [58] * 4
    gate.take(*(lamp("d0", 5 * i, watts) for i, watts in enumerate(power)), minute=0)

    assert [row.service for row in gate.rows] == ["STREETLIGHT_OUT"]


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("bins", [1, 3, 5])
def test_what_falls_due_between_two_days_of_reports_is_filed_as_if_watched(follow, bins):
    """Each bin is full on every third day, for that one report; all days come in one batch."""
    bundle, _ = load(read_library(), {"bin_full.reports": "1"})
    gate = Gate(city_of(bins=bins), bundle=bundle, follow=follow)
    reports = [
        sent(f"b{i}", body(at(day * 1440 + i), {"fill_pct": 90 if day % 3 == 0 else 10}), "bin")
        for day in range(9)
        for i in range(bins)
    ]

    gate.take(*reports, minute=9 * 1440)

    assert gate.services() == ["BIN_FULL"] * 3 * bins


def test_a_year_without_a_word_is_made_up_for_in_bounded_steps():
    """And what fell due in it is filed."""
    gate = Gate(city_of(lamps=3), follow=True)
    gate.take(*(lamp(f"d{i}", 5 * k, DARK, k) for k in range(4) for i in range(2)), minute=0)
    steps = []
    tick = gate.core._engine.tick
    gate.core._engine.tick = lambda ms: steps.append(ms) or tick(ms)

    gate.take(*(lamp(f"d{i}", 365 * 1440, LIT, 9) for i in range(3)), minute=0)

    assert gate.services() == ["STREETLIGHT_OUT"] * 2
    assert len(steps) <= STEPS_MAX + 1


def test_when_time_follows_the_data_the_clock_is_not_asked():
    """A replay of last year runs today."""
    gate = Gate(city_of(), follow=True)
    for k in range(6):
        gate.take(lamp("d0", 5 * k, DARK, k), now_ms=0)
    gate.pass_to(0)
    assert gate.services() == ["STREETLIGHT_OUT"]
    assert gate.core.tick_ms == at(25)


# -- restarts, on a real store --------------------------------------------------------------------


def test_a_repeat_after_a_restart_is_still_a_repeat(store):
    """What the broker sends again because it heard no acknowledgement."""
    gate = Gate(city_of(), store=store)
    gate.take(lamp("d0", 0, LIT, 1), lamp("d0", 1, LIT), minute=1)
    gate.restart()
    gate.take(lamp("d0", 0, LIT, 1), lamp("d0", 1, LIT), minute=2)
    assert (len(gate.readings), gate.duplicates) == (2, 2)


@pytest.mark.parametrize("moment", range(0, 60, 7))
def test_a_dark_lamp_is_filed_once_whenever_the_gateway_restarts(store, moment):
    """Pending, held, filed, clearing: the progress of every timer is on disk."""
    gate = Gate(city_of(), store=store)
    for minute in range(70):
        if minute == moment:
            gate.restart()
        power_w = DARK if 10 <= minute < 45 else LIT
        gate.live(minute, lamp("d0", minute, power_w, minute))
    assert gate.services() == ["STREETLIGHT_OUT"]
    (incident,) = store.load().episodes.items()
    assert incident == (("lamp_out", "SL-0"), 1)
    assert all(i.cleared_ms is not None for i in store.load().incidents)


def test_a_report_behind_the_clock_after_a_restart_finds_time_where_it_was(store):
    """The timer had run out before; it is not taken back to run out again."""
    gate = Gate(city_of(), store=store)
    gate.take(lamp("d0", 0, DARK, 1), lamp("d0", 10, DARK, 2), minute=10)
    gate.pass_to(16)
    gate.restart()
    gate.take(lamp("d0", 12, DARK, 3), minute=16)
    assert gate.phase("lamp_out", "SL-0") == "firing"
    assert [i.state for i in gate.incidents.values()] == ["held"]


def test_a_place_and_its_quorum_survive_a_restart(store):
    """Two passes before, one after."""
    gate = Gate(city_of(), store=store)
    for k in range(3):
        gate.take(jolt(f"v{k}", 10 * k), minute=10 * k)
        gate.restart()
    gate.take(jolt("v3", 40), minute=40)
    assert gate.services() == ["POTHOLE"]


def test_a_rule_that_is_changed_while_its_fault_is_open_files_nothing_again(store):
    """The open incident is taken up by the new rule, and ends by it."""
    gate = Gate(city_of(), store=store)
    play(gate, [DARK] * 6)
    assert gate.services() == ["STREETLIGHT_OUT"]
    gate.bundle, _ = load(read_library(), {"lamp_out.out_frac": "30%"})
    gate.restart()
    assert gate.phase("lamp_out", "SL-0") == "firing"
    for minute in range(30, 60, 5):
        gate.live(minute, lamp("d0", minute, DARK, minute))
    assert gate.services() == ["STREETLIGHT_OUT"]
    for minute in range(60, 80, 5):
        gate.live(minute, lamp("d0", minute, LIT, minute))
    assert gate.incidents[1].cleared_ms == at(70)


def test_a_rule_that_is_taken_out_and_put_back_knows_its_open_fault(store):
    """In between nobody looked; the lamp is dark as before."""
    gate = Gate(city_of(), store=store)
    play(gate, [DARK] * 6)
    without = {k: rule for k, rule in LIBRARY.rules.items() if k != "lamp_out"}
    gate.bundle = type(LIBRARY)(without, "less")
    gate.restart()
    gate.live(31, lamp("d0", 31, DARK, 31))
    gate.bundle = LIBRARY
    gate.restart()
    gate.live(35, lamp("d0", 35, DARK, 35))
    gate.pass_to(*range(36, 60))
    assert gate.services() == ["STREETLIGHT_OUT"]


def test_two_installations_never_share_a_reference():
    """Two cities, one 311: same lamps' names, other requests."""
    references = []
    for _ in range(2):
        gate = Gate(city_of())
        play(gate, [DARK] * 6)
        references.append(gate.rows[0].reference)
    assert references[0] == references[1]
    assert references[0].startswith("SCG-")


def test_the_journal_tells_the_whole_story_in_order():
    """Every change of phase with its cause and reading, every step of the incident."""
    gate = Gate(city_of())
    play(gate, [DARK] * 6 + [LIT] * 4)
    story = [(e.before, e.after) for e in gate.journal if e.rule == "lamp_out"]
    assert story == [
        ("ok", "pending"), ("pending", "firing"), ("", "held"), ("", "queued"),
        ("firing", "clearing"), ("clearing", "ok"), ("", "queued"),
    ]  # fmt: skip
    assert all(one.tick_ms <= other.tick_ms for one, other in pairwise(gate.journal))
    assert gate.journal[0].reading == 1
    assert gate.journal[0].tick_ms >= NIGHT_MS - MINUTE_MS


def test_a_spot_that_came_to_nothing_is_forgotten_after_its_window(store):
    """A jolt on one pass and no second one for weeks: memory and store let go of it."""
    gate = Gate(city_of(), store=store)
    jolt = {"peak_ms2": 9.0, "speed_mps": 10.0}
    gate.take(sent("v1", body(at(0), jolt, 1, loc=[LAT, LON]), kind="road"), minute=0)
    assert len(store.load().places) == 1

    gate.pass_to(15 * 24 * 60)

    assert list(store.load().places) == []
    gate.restart()
    gate.take(sent("v1", body(at(15 * 24 * 60), jolt, 2, loc=[LAT, LON]), kind="road"),
              minute=15 * 24 * 60)  # fmt: skip
    assert gate.rows == []
