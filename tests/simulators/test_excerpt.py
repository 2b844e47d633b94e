"""Excerpts: which messages of a recording are played, when, and that no round repeats another."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.excerpt import Excerpt, Playing
from simulators.topics import checked, matches, without_covered
from simulators.wire import Message, encode, parse_rfc3339, rfc3339

MINUTE_MS = 60_000
START_MS = 1_768_500_000_000


def told(minute, device="a", boot=1, seq=None, kind="bin"):
    body = {"ts": rfc3339(START_MS + minute * MINUTE_MS), "boot": boot, "seq": seq or minute,
            "values": {"fill_pct": 1.5}}  # fmt: skip
    topic = f"city/v1/north/{kind}/{device}/telemetry"
    return Message(START_MS + minute * MINUTE_MS, topic, encode(body), 1, False)


def played(messages, **excerpt):
    return list(Playing(lambda: messages, Excerpt(**excerpt)).messages())


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("#", "a", True),
        ("#", "a/b/c", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "b/c", False),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/+", "a/", True),
        ("+", "a/b", False),
        ("+/+", "a/b", True),
        ("#", "$SYS/load", False),
        ("+/load", "$SYS/load", False),
        ("$SYS/#", "$SYS/load", True),
        ("A", "a", False),
    ],
)
def test_filters_mean_what_mqtt_says(topic_filter, topic, expected):
    """A level, all levels below, and $ for itself."""
    assert matches(topic_filter, topic) is expected


@pytest.mark.parametrize("text", ["", "a/#/b", "a#", "a/+b", "#/", "a\0"])
def test_a_filter_that_no_broker_takes_is_refused(text):
    """With the way it is meant."""
    with pytest.raises(ValueError, match="topic filter"):
        checked(text)


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (["a/b", "a/#"], ["a/#"]),
        (["a/b", "a/b"], ["a/b"]),
        (["a/+", "a/b"], ["a/+"]),
        (["a/+", "a/#"], ["a/#"]),
        (["a/+/c", "a/b/#"], ["a/+/c", "a/b/#"]),
        (["#", "$SYS/#", "x"], ["#", "$SYS/#"]),
        (["a/#", "a"], ["a/#"]),
        (["+/b", "+/+"], ["+/+"]),
        (["a/b", "a"], ["a/b", "a"]),
    ],
)
def test_what_another_filter_includes_is_asked_for_once(filters, left):
    """Some brokers deliver once for each filter that matches."""
    assert without_covered(filters) == left


TOPICS = st.lists(st.sampled_from(["a", "b", "$c"]), min_size=1, max_size=4).map("/".join)
LEVELS = st.sampled_from(["a", "b", "+", "$c"])
FILTERS = st.lists(LEVELS, min_size=1, max_size=3).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"]), "#"])
)


@settings(max_examples=300, deadline=None)
@given(st.lists(FILTERS, max_size=4), TOPICS)
def test_leaving_out_covered_filters_changes_nothing_that_is_heard(filters, topic):
    """For every topic."""
    left = without_covered(filters)
    assert any(matches(x, topic) for x in left) == any(matches(x, topic) for x in filters)


@pytest.mark.parametrize(
    ("excerpt", "minutes"),
    [
        ({}, [0, 1, 2, 3]),
        ({"topics": ("city/v1/+/bin/#",)}, [0, 2]),
        ({"topics": ("city/v1/+/bin/#", "city/v1/+/+/d/+")}, [0, 2, 3]),
        ({"exclude": ("+/+/+/+/c/#",)}, [0, 1, 3]),
        ({"topics": ("city/v1/+/bin/#",), "exclude": ("+/+/+/+/c/#",)}, [0]),
        ({"from_ms": START_MS + MINUTE_MS}, [1, 2, 3]),
        ({"to_ms": START_MS + MINUTE_MS}, [0, 1]),
        ({"from_ms": START_MS + 1, "to_ms": START_MS + MINUTE_MS}, [1]),
        ({"from_ms": START_MS + 9 * MINUTE_MS}, []),
    ],
)
def test_an_excerpt_is_chosen_by_topic_and_time(excerpt, minutes):
    """Times of receipt, both ends included."""
    messages = [told(0), told(1, "b", kind="road"), told(2, "c"), told(3, "d", kind="road")]
    assert played(messages, **excerpt) == [messages[minute] for minute in minutes]


def test_the_first_message_that_is_played_happens_at_the_time_asked_for():
    """What was left out before it does not count; the stamps inside move along."""
    to_ms = START_MS + 1000 * MINUTE_MS
    messages = [told(0), told(5), told(7)]
    moved = played(messages, from_ms=START_MS + 1, shift_to_ms=to_ms)
    assert [m.t_ms - to_ms for m in moved] == [0, 2 * MINUTE_MS]
    assert [parse_rfc3339(json.loads(m.payload)["ts"]) for m in moved] == [m.t_ms for m in moved]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab"), st.integers(0, 4)), min_size=1),
    st.integers(1, 5),
)
def test_rounds_follow_each_other_and_repeat_no_number(steps, rounds):
    """Ordered by time, and (device, boot, seq) is as distinct as in one round."""
    messages = [told(minute, device, boot, seq)
                for seq, (minute, device, boot) in enumerate(sorted(steps))]  # fmt: skip
    found = played(messages, rounds=rounds)
    assert [m.t_ms for m in found] == sorted(m.t_ms for m in found)
    assert found[: len(messages)] == messages
    numbers = {(m.topic, (body := json.loads(m.payload))["boot"], body["seq"]) for m in found}
    once = {(m.topic, (body := json.loads(m.payload))["boot"], body["seq"]) for m in messages}
    assert (len(found), len(numbers)) == (rounds * len(messages), rounds * len(once))
    assert len({m.payload for m in found}) == rounds * len({m.payload for m in messages})


def test_a_day_goes_round_in_a_day():
    """So that night stays night."""
    found = played([told(0), told(24 * 60 - 1)], rounds=2)
    assert found[2].t_ms - found[0].t_ms == 24 * 60 * MINUTE_MS


def test_messages_of_other_formats_go_as_they_are_and_are_counted():
    """Nobody knows where in them the time stands; ours that have none are not counted."""
    messages = [
        Message(START_MS, "v3/app/devices/x/up", b'{"received_at":"2026-01-15T20:05:00Z"}'),
        Message(START_MS, "city/v1/a/bin/b/status", b'{"online":true}', 1, True),
        Message(START_MS, "city/v1/a/bin/b/telemetry", b"\xff"),
    ]
    playing = Playing(lambda: messages, Excerpt(shift_to_ms=0))
    assert [(m.topic, m.payload, m.retain) for m in playing.messages()] == [
        (m.topic, m.payload, m.retain) for m in messages
    ]
    assert playing.unmoved == 1
