"""What devices are told, and how often: the last word always, a flood of words never."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.effects import Effects, StoredRefusal
from gateway.field.devices import Device, Life
from gateway.field.replies import ACK_EVERY_MS, DEAD_LETTER_EVERY_MS, Replies


def a_device(name, upto):
    return Device(name, "z", "bin", lives=[Life(3, 0, 0, [[0, upto]])])


def batch(*devices):
    return Effects(devices={device.name: device for device in devices})


def refusal(device="bin-1", reason="not_json", received_ms=0):
    return StoredRefusal(
        received_ms, "city/v1/z/bin/x/batch", device, reason, "line 1", "m", "h", 3, b"abc"
    )


def told(replies, effects, now_ms):
    replies.note(effects)
    return list(replies.due(now_ms))


def uptos(replies):
    return [(reply.topic.split("/")[4], json.loads(reply.payload)["upto"]) for reply in replies]


def test_a_device_hears_at_once_how_far_it_is():
    """Boot, number and time, on its own topic."""
    (reply,) = told(Replies(device_acks=True), batch(a_device("bin-1", 7)), 1_768_453_200_000)
    assert reply.topic == "city/v1/z/bin/bin-1/ack"
    assert json.loads(reply.payload) == {
        "boot": 3,
        "upto": 7,
        "server_time": "2026-01-15T05:00:00Z",
    }


def test_nobody_hears_anything_unless_it_is_wanted():
    """Acknowledgements to devices are opt-in."""
    assert told(Replies(device_acks=False), batch(a_device("bin-1", 7)), 0) == []


def test_many_batches_are_one_word_and_the_last_is_said():
    """While it waits, only the latest counts; then it is said by itself, once."""
    replies = Replies(device_acks=True)
    assert uptos(told(replies, batch(a_device("a", 1)), 1000)) == [("a", 1)]
    assert uptos(told(replies, batch(a_device("a", 2), a_device("b", 9)), 1001)) == [("b", 9)]
    assert uptos(told(replies, batch(a_device("a", 3)), 1002)) == []
    assert uptos(replies.due(1000 + ACK_EVERY_MS - 1)) == []
    assert uptos(replies.due(1000 + ACK_EVERY_MS)) == [("a", 3)]
    assert uptos(replies.due(9_999_999)) == []


def test_what_is_said_is_what_was_on_disk():
    """The device's record runs on with the next batch, which may never be committed."""
    replies = Replies(device_acks=True)
    device = a_device("a", 1)
    told(replies, batch(device), 0)
    told(replies, batch(device), 1)
    device.lives[0].runs[0][1] = 99
    assert uptos(replies.due(ACK_EVERY_MS)) == [("a", 1)]


def test_what_could_not_be_taken_is_said_again():
    """The broker was away after the first of three: the others wait for it."""
    replies = Replies(device_acks=True)
    replies.note(batch(a_device("a", 1), a_device("b", 2)))
    replies.note(Effects(refusals=[refusal()]))
    for nth, _ in enumerate(replies.due(0)):
        if nth == 1:
            break
    assert uptos(replies.due(1)) == [("a", 1), ("b", 2)]


PAUSES = st.integers(0, 2000)


@given(st.lists(st.tuples(st.sampled_from("abc"), PAUSES | st.integers(-2000, 0)), max_size=60))
def test_the_last_word_is_always_said(steps):
    """Whatever the batches and the clock do, also backwards."""
    replies, now_ms, reached, said = Replies(device_acks=True), 10_000, {}, {}
    for name, pause_ms in steps:
        now_ms += pause_ms
        reached[name] = reached.get(name, 0) + 1
        said |= uptos(told(replies, batch(a_device(name, reached[name])), now_ms))
    said |= uptos(replies.due(now_ms + 10**6))
    assert said == reached


@given(st.lists(st.tuples(st.sampled_from("abc"), PAUSES), max_size=60))
def test_no_device_hears_two_words_in_half_a_second(steps):
    """However many batches there are."""
    replies, now_ms, last = Replies(device_acks=True), 10_000, {}
    for number, (name, pause_ms) in enumerate(steps):
        now_ms += pause_ms
        for who, _ in uptos(told(replies, batch(a_device(name, number)), now_ms)):
            assert now_ms - last.get(who, -ACK_EVERY_MS) >= ACK_EVERY_MS
            last[who] = now_ms


@pytest.mark.parametrize(
    ("second", "letters"),
    [
        (refusal(), 1),
        (refusal(reason="too_deep"), 2),
        (refusal(device="bin-2"), 2),
        (refusal(received_ms=DEAD_LETTER_EVERY_MS), 2),
    ],
)
def test_one_dead_letter_a_minute_for_each_device_and_reason(second, letters):
    """A flood of one kind is one letter; another kind or device has its own."""
    found = told(Replies(device_acks=False), Effects(refusals=[refusal(), second]), 0)
    assert len(found) == letters


def test_a_later_letter_says_for_how_many_it_stands():
    """Ninety-nine were held back: the next one counts them."""
    replies = Replies(device_acks=False)
    told(replies, Effects(refusals=[refusal()] * 100), 0)
    (later,) = told(replies, Effects(refusals=[refusal(received_ms=DEAD_LETTER_EVERY_MS)]), 0)
    assert json.loads(later.payload)["count"] == 100
    assert later.topic == "city/v1/dead-letter/native/bin-1"


def test_a_letter_without_a_device_goes_to_unknown():
    """Where the topic itself was wrong."""
    (letter,) = told(Replies(device_acks=False), Effects(refusals=[refusal(device="")]), 0)
    assert letter.topic == "city/v1/dead-letter/native/unknown"
