"""How devices stand, and when the world is told: a change at once, silence too, no flood."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.effects import Effects, StoredRefusal
from gateway.field.device_status import (
    HOUR_MS,
    OFFLINE_MS,
    DeviceState,
    LastRefusal,
    in_words,
    next_look_ms,
    patience_with,
    state_of,
)
from gateway.field.devices import Device, Trust
from gateway.field.notices import NOTICE_EVERY_MS, STRANGERS_MAX, Notices
from gateway.field.replies import Replies

T0 = 1_768_453_200_000
LATE, SILENT = patience_with(Device("d", kind="bin"))


def a_device(name="bin-1", seen_ms=T0, **more):
    return Device(name, "z", "bin", seen_ms=seen_ms, **more)


def refusal(device="bin-1", reason="out_of_range", at_ms=T0):
    topic = f"city/v1/z/bin/{device}/telemetry"
    return StoredRefusal(at_ms, topic, device, reason, "p", "m", "h", 1, b"x")


def batch(*devices, at_ms=T0, refusals=()):
    effects = Effects(devices={one.name: one for one in devices}, refusals=list(refusals))
    effects.at_ms = effects.follow_ms = at_ms
    return effects


def told(notices, now_ms):
    found = {}
    for notice in notices.due(now_ms):
        name = notice.topic.removeprefix("city/v1/device-status/")
        assert name not in found
        found[name] = json.loads(notice.payload)
    return found


def states(notices, now_ms):
    return {name: body["state"] for name, body in told(notices, now_ms).items()}


@pytest.mark.parametrize(
    ("device", "refused", "after_ms", "known", "state"),
    [
        (a_device(), None, 0, True, "online"),
        (a_device(), None, LATE, True, "late"),
        (a_device(), None, SILENT, True, "silent"),
        (a_device(online=False), None, OFFLINE_MS - 1, True, "online"),
        (a_device(online=False), None, OFFLINE_MS, True, "silent"),
        (a_device(), None, 0, False, "quarantined"),
        (a_device(), LastRefusal(T0 + 1, "not_json"), 2, True, "fault"),
        (a_device(), LastRefusal(T0, "not_json"), 2, True, "online"),
        (a_device(), LastRefusal(T0 + 1, "not_json"), SILENT + 1, True, "silent"),
        (a_device(seen_ms=0), LastRefusal(T0, "unknown_device"), 1, True, "online"),
        (a_device(trust=Trust.AHEAD), None, 0, True, "fault"),
        (a_device(trust=Trust.BEHIND), None, 0, True, "fault"),
        (a_device(trust=Trust.UNSET), None, 0, True, "online"),
    ],
)
def test_a_device_stands_in_one_word(device, refused, after_ms, known, state):
    """By when it was heard, by its clock, and by what was refused last."""
    assert state_of(device, refused, T0 + after_ms, known=known) == state


@given(
    st.integers(0, 3 * SILENT),
    st.sampled_from([None, True, False]),
    st.integers(0, SILENT),
    st.sampled_from(["bin", "streetlight", "road", "cabinet"]),
)
def test_between_two_looks_the_word_stays(after_ms, online, refused_ms, kind):
    """So that nobody has to be looked at in between."""
    device = Device("d", "z", kind, seen_ms=T0, online=online)
    refused = LastRefusal(T0 + refused_ms, "not_json")
    now_ms = T0 + refused_ms + after_ms
    next_ms = next_look_ms(device, refused, now_ms)
    later_ms = now_ms + 365 * 24 * HOUR_MS if next_ms is None else next_ms - 1
    seen = {state_of(device, refused, at, known=True) for at in (now_ms, later_ms)}
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("pause_s", "quiet_ms", "state"),
    [
        (300, 14 * 60_000, DeviceState.ONLINE),  # two readings may be lost
        (300, 15 * 60_000, DeviceState.LATE),
        (3600, 2 * HOUR_MS, DeviceState.ONLINE),
        (3600, 3 * HOUR_MS, DeviceState.LATE),
        (300, 48 * HOUR_MS, DeviceState.SILENT),
        (7 * 86_400, 20 * 24 * HOUR_MS, DeviceState.ONLINE),  # once a week
        (7 * 86_400, 42 * 24 * HOUR_MS, DeviceState.SILENT),
        (0, 23 * HOUR_MS, DeviceState.ONLINE),  # as those of its kind
    ],
)
def test_a_device_is_late_by_its_own_pauses(pause_s, quiet_ms, state):
    """Three of them, at least a quarter of an hour; silent as its kind is, or twice as late."""
    device = Device("d", "z", "bin", seen_ms=T0, pause_s=pause_s)
    assert state_of(device, None, T0 + quiet_ms, known=True) == state


@pytest.mark.parametrize(
    ("trust", "words"),
    [(Trust.DEVICE, "its own clock is believed: it is 90 s ahead"), (Trust.AHEAD, "90 s ahead"),
     (Trust.BEHIND, "never set"), (Trust.UNSET, "it sends no time")],
)  # fmt: skip
def test_whose_clock_is_believed_is_said_in_words(trust, words):
    """And by how much its own is wrong."""
    assert words in in_words(a_device(trust=trust, clock_skew_s=90.0))


# -- notices --------------------------------------------------------------------------------------


def test_a_notice_says_how_a_device_stands_and_is_to_be_kept():
    """As the contract has it."""
    replies = Replies(device_acks=False, device_status=True)
    replies.note(batch(a_device(duplicates=2, late=1, rejected=3, battery_v=3.6)))
    (reply,) = replies.due(T0)
    assert (reply.topic, reply.retain) == ("city/v1/device-status/bin-1", True)
    assert json.loads(reply.payload) == {
        "state": "online", "since": "2026-01-15T05:00:00Z", "last_seen": "2026-01-15T05:00:00Z",
        "clock_skew_s": 0.0, "duplicates": 2, "late": 1, "rejected": 3, "battery_v": 3.6,
    }  # fmt: skip


def test_nobody_is_told_unless_it_is_wanted():
    """It is opt-in, like acknowledgements."""
    replies = Replies(device_acks=False)
    replies.begin([a_device()], T0)
    replies.note(batch(a_device()))
    assert list(replies.due(T0)) == []


def test_what_changes_is_told_at_once_and_all_else_once_a_minute():
    """However often the device speaks."""
    notices = Notices(follows=False)
    found = []
    for second in range(180):
        now_ms = T0 + 1000 * second
        notices.note(batch(a_device(seen_ms=now_ms), at_ms=now_ms))
        found += [second for _ in told(notices, now_ms)]
    assert found == [0, 60, 120]
    now_ms = T0 + 180_500
    notices.note(batch(at_ms=now_ms, refusals=[refusal(at_ms=now_ms)]))
    assert states(notices, now_ms) == {"bin-1": "fault"}
    notices.note(batch(a_device(seen_ms=now_ms + 1), at_ms=now_ms + 1))
    assert states(notices, now_ms + 1) == {"bin-1": "online"}


def test_the_last_word_is_never_held_back_for_good():
    """What came within the minute is told when it is over, without another word."""
    notices = Notices(follows=False)
    notices.note(batch(a_device()))
    told(notices, T0)
    notices.note(batch(a_device(seen_ms=T0 + 10, duplicates=7), at_ms=T0 + 10))
    assert told(notices, T0 + NOTICE_EVERY_MS - 1) == {}
    assert told(notices, T0 + NOTICE_EVERY_MS)["bin-1"]["duplicates"] == 7
    assert told(notices, T0 + 2 * NOTICE_EVERY_MS) == {}


def test_silence_is_told_without_a_word():
    """Late, then silent, each once; back again when it speaks."""
    notices = Notices(follows=False)
    notices.note(batch(a_device()))
    found = [states(notices, T0 + hour * HOUR_MS) for hour in range(60)]
    assert [(hour, one["bin-1"]) for hour, one in enumerate(found) if one] == [
        (0, "online"), (24, "late"), (48, "silent"),
    ]  # fmt: skip
    notices.note(batch(a_device(seen_ms=T0 + 60 * HOUR_MS), at_ms=T0 + 60 * HOUR_MS))
    assert told(notices, T0 + 60 * HOUR_MS)["bin-1"]["since"] == "2026-01-17T17:00:00Z"


def test_what_happened_while_the_gateway_was_away_is_told_at_its_start():
    """Each device once; what said nothing yet is nobody."""
    notices = Notices(follows=False)
    notices.begin([a_device("a"), a_device("b", T0 - SILENT), a_device("c", 0)], T0)
    assert states(notices, T0) == {"a": "online", "b": "silent"}
    assert states(notices, T0 + 1) == {}


def test_an_unknown_device_is_quarantined_until_somebody_adopts_it():
    """The first message that is taken in says so."""
    notices = Notices(follows=False)
    online = a_device("new", 0, online=True)
    notices.note(batch(online))
    assert states(notices, T0) == {}
    notices.note(batch(online, refusals=[refusal("new", "unknown_device")]))
    assert states(notices, T0) == {"new": "quarantined"}
    notices.note(batch(a_device("new", T0 + 1), at_ms=T0 + 1))
    assert states(notices, T0 + 1) == {"new": "online"}


def test_of_strangers_only_so_many_are_remembered():
    """Their names are anybody's choice."""
    notices = Notices(follows=False)
    names = [f"x{i}" for i in range(STRANGERS_MAX + 5)]
    notices.note(batch(refusals=[refusal(name, "unknown_device") for name in names]))
    assert len(notices._standing) == STRANGERS_MAX
    assert len(told(notices, T0)) == STRANGERS_MAX


def test_what_could_not_be_taken_is_told_later():
    """The broker was away."""
    notices = Notices(follows=False)
    notices.note(batch(a_device("a"), a_device("b")))
    first = next(notices.due(T0)).topic
    assert first.endswith(("/a", "/b"))
    assert set(states(notices, T0)) == {"a", "b"}


def test_where_time_is_that_of_the_data_silence_is_too():
    """In a replay of last year nobody is silent for it; a day without a word of one is a day."""
    notices = Notices(follows=True)
    notices.note(batch(a_device("a"), a_device("b")))
    real_ms = T0 + 365 * 24 * HOUR_MS
    assert states(notices, real_ms) == {"a": "online", "b": "online"}
    notices.note(batch(a_device("b", T0 + LATE), at_ms=T0 + LATE))
    assert states(notices, real_ms + 1) == {"a": "late"}


@given(st.lists(st.tuples(st.integers(1, HOUR_MS), st.booleans(), st.booleans()), max_size=60))
def test_whatever_happens_the_last_notice_is_the_truth(story):
    """Words and refusals in any order; once a minute has passed the broker holds what is."""
    notices, kept, times, now_ms, device = Notices(follows=False), {}, [], T0, a_device(seen_ms=0)
    last = None
    for pause_ms, good, listens in story:
        now_ms += pause_ms
        if good:
            device = a_device(seen_ms=now_ms, duplicates=device.duplicates + 1)
            notices.note(batch(device, at_ms=now_ms))
        else:
            last = LastRefusal(now_ms, "not_json")
            notices.note(batch(at_ms=now_ms, refusals=[refusal("bin-1", "not_json", now_ms)]))
        if listens:
            found = told(notices, now_ms)
            times += [(now_ms, body["state"]) for body in found.values()]
            kept |= found
    kept |= told(notices, now_ms + NOTICE_EVERY_MS)
    if story:
        state = state_of(device, last, now_ms + NOTICE_EVERY_MS, known=True)
        assert (kept["bin-1"]["state"], kept["bin-1"]["duplicates"]) == (state, device.duplicates)
    same = [(a, b) for (a, x), (b, y) in pairwise(times) if x == y]
    assert all(b - a >= NOTICE_EVERY_MS for a, b in same)


def test_states_have_the_names_of_the_contract():
    """Five."""
    assert list(DeviceState) == ["online", "late", "silent", "quarantined", "fault"]
