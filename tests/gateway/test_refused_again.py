"""Refused messages that come again once the cause is mended are taken in, once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_city import Gate, at, body, city_of, lamp, sent

from gateway.books.store import Store
from gateway.field.devices import (
    LIVES_MAX,
    REFUSED_RUNS_MAX,
    Device,
    Times,
    Verdict,
    admit,
    dump,
    load,
    note_refused,
)
from gateway.telemetry import Address, Reading

NOW_MS = 1_768_507_500_000
TIMES = Times(NOW_MS, NOW_MS + 120_000, NOW_MS - 86_400_000)


def a_reading(seq, ts_ms=NOW_MS, boot=1):
    body = repr((ts_ms, boot, seq)).encode()
    return Reading(Address("z", "bin", "d", "telemetry"), ts_ms, boot, seq, {}, None, (), False,
                   None, body)  # fmt: skip


def is_new(device, reading):
    return admit(device, reading, TIMES)[0] is not Verdict.DUPLICATE


SIMULATED = sent("d0", body(at(1), {"active_power_w": 58.0}, seq=2, sim=True))


def test_a_refused_message_counts_once_after_its_cause_was_mended():
    """Simulated readings are refused; where they are allowed later the same message is taken in,
    and no second time."""
    gate = Gate(city_of())
    gate.take(lamp("d0", 0, 58.0, 1), SIMULATED, lamp("d0", 2, 58.0, 3), minute=2)
    assert [refusal.reason for refusal in gate.refusals] == ["simulated"]
    gate.settings = gate.settings.__class__(start_ms=gate.settings.start_ms, allow_simulated=True)
    known = gate.core.devices.get("d0")
    gate.restart()
    gate.core.devices.put_back([known])
    gate.take(SIMULATED, SIMULATED, lamp("d0", 2, 58.0, 3), minute=3)
    gate.take(SIMULATED, minute=4)
    assert [json.loads(one.body)["seq"] for one in gate.readings] == [1, 3, 2]
    assert gate.duplicates == 3


def test_it_is_still_refused_while_nothing_is_mended():
    """However often it comes; its number is never held up for."""
    gate = Gate(city_of())
    gate.take(lamp("d0", 0, 58.0, 1), SIMULATED, SIMULATED, lamp("d0", 2, 58.0, 3), minute=2)
    assert (len(gate.readings), len(gate.refusals)) == (2, 2)
    assert gate.acknowledged("d0") == (1, 3)


def test_a_device_that_was_unknown_and_is_adopted_loses_nothing(tmp_path):
    """It said that it is online, so that its numbers are kept; then its asset gets it."""
    store = Store(tmp_path / "state")
    gate = Gate(city_of(), store=store)
    online = sent("d1", {"online": True}, leaf="status")
    early = [lamp("d1", minute, 58.0, minute) for minute in range(1, 6)]
    gate.take(online, *early, minute=6)
    assert {refusal.reason for refusal in gate.refusals} == {"unknown_device"}
    gate.city = city_of(lamps=2)
    gate.restart()
    gate.take(lamp("d1", 6, 58.0, 6), *early, *early, minute=7)
    store.close()
    assert sorted(json.loads(one.body)["seq"] for one in gate.readings) == [1, 2, 3, 4, 5, 6]


def test_a_repeat_of_what_was_taken_in_is_none_the_less_one():
    """A bad copy of a good message does not open its number again."""
    device = Device("d")
    assert is_new(device, a_reading(1))
    note_refused(device, (1, 1))
    assert not is_new(device, a_reading(1))


def test_a_counter_that_began_again_is_not_mistaken_for_a_refused_message():
    """The refused number belongs to the life before; in the next one a repeat is a repeat."""
    device = Device("d")
    assert is_new(device, a_reading(4, NOW_MS - 9000))
    note_refused(device, (1, 5))
    assert is_new(device, a_reading(4, NOW_MS - 5000))
    assert device.resets == 1
    assert [is_new(device, a_reading(5, NOW_MS - 4000)) for _ in range(3)] == [True, False, False]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=80),
    st.permutations(range(31)),
)
def test_every_message_is_taken_in_exactly_once_whatever_was_refused_before(history, again):
    """Messages come good or refused in any order; then all come twice more, mended."""
    device, taken = Device("d"), []
    for seq, good in history:
        if good:
            taken += [seq] if is_new(device, a_reading(seq)) else []
        else:
            note_refused(device, (1, seq))
        device = load(dump(device))
    for seq in [*again, *again]:
        taken += [seq] if is_new(device, a_reading(seq)) else []
    assert sorted(taken) == list(range(31))


def test_the_record_stays_small_whatever_is_refused():
    """Stretches of refused numbers are bounded; the one longest ago is forgotten."""
    device = Device("d")
    for seq in range(0, 4 * REFUSED_RUNS_MAX, 2):
        note_refused(device, (1, seq))
    for seq in range(10_000, 10_400):
        note_refused(device, (1, seq))
    for seq in range(10_000, 10_400, 2):
        is_new(device, a_reading(seq))
    assert len(device.lives) <= LIVES_MAX
    assert len(device.lives[-1].refused) <= REFUSED_RUNS_MAX
    assert not is_new(device, a_reading(0))


@pytest.mark.parametrize("lives", [[[1, 0, 0, [[0, 5]]]], []])
def test_a_record_from_before_reads_as_one_in_which_nothing_was_refused(lives):
    """Stores outlive releases."""
    import msgspec

    old = msgspec.msgpack.encode(["d", "z", "bin", 0, 0, None, lives])
    assert [life.refused for life in load(old).lives] == [[] for _ in lives]
