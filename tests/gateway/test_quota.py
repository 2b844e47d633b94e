"""How much one device may say in a minute; the rest is not drowned, and nothing is lost."""

import json

from small_city import NIGHT_MS, Gate, at, body, city_of, lamp, sent

SECOND_MS = 1000


def test_what_is_over_the_quota_is_refused_until_the_minute_is_over():
    """Three a minute: the fourth is refused, the next minute has its own three."""
    gate = Gate(city_of(), device_per_minute_max=3)
    for second in range(5):
        message = sent("d0", body(NIGHT_MS + second * SECOND_MS, {"active_power_w": 58}, second))
        gate.take(message, now_ms=NIGHT_MS + second * SECOND_MS)
    assert [refusal.reason for refusal in gate.refusals] == ["over_quota"] * 2
    assert "as one batch" in gate.refusals[0].hint
    gate.take(lamp("d0", 1, 58, 3), minute=1)
    assert len(gate.readings) == 4


def test_other_devices_are_not_held_up_by_one_that_floods():
    """Five hundred boots in a minute of one; the reading of the other is taken."""
    gate = Gate(city_of(lamps=2), device_per_minute_max=60)
    for boot in range(500):
        message = body(NIGHT_MS + boot * 100, {"active_power_w": 58}) | {"boot": boot, "seq": 0}
        gate.take(sent("d0", message), now_ms=NIGHT_MS + boot * 100)
    gate.take(lamp("d1", 0.9, 58, 0), minute=0.9)
    assert [reading.device for reading in gate.readings] == ["d0"] * 60 + ["d1"]
    assert len(gate.refusals) == 440


def test_a_number_over_the_quota_is_not_acknowledged_and_is_taken_when_it_comes_again():
    """The device keeps what is not acknowledged: nothing is lost, nothing counts twice."""
    gate = Gate(city_of(), device_per_minute_max=2)
    messages = [lamp("d0", minute, 58, minute) for minute in range(4)]
    gate.take(*messages, minute=4)
    assert gate.acknowledged("d0") == (1, 1)
    gate.take(*messages[2:], minute=5)
    assert gate.acknowledged("d0") == (1, 3)
    assert [json.loads(reading.body)["seq"] for reading in gate.readings] == [0, 1, 2, 3]


def test_a_batch_counts_as_one_message():
    """A backlog in batches is within every quota."""
    gate = Gate(city_of(), device_per_minute_max=1)
    batch = [body(at(minute), {"active_power_w": 58}, minute) for minute in range(10)]
    gate.take(sent("d0", batch, leaf="batch"), minute=10)
    assert len(gate.readings) == 10


def test_without_a_quota_everything_is_taken():
    """None is the default: a backlog may come message by message."""
    gate = Gate(city_of())
    gate.take(*(lamp("d0", minute, 58, minute) for minute in range(700)), minute=700)
    assert len(gate.readings) == 700
