"""What the network does to messages: it loses none in silence, makes none up, keeps the order."""

import json
from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.city import City
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.losses import Cause, Losses
from simulators.network import BATCH_MAX, WILL_MS, bursts, on_the_air, over_the_uplinks
from simulators.outages import Outage, outages_of
from simulators.plan import Plan, messages, plan_of
from simulators.scenario import Network
from simulators.timeline import PROMPT_MS, in_order
from simulators.wire import Message

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
CALM = Network(duplicate=0, late=0)


def _sent(count: int, every_ms: int = 1000, device: str = "bs-1", line: str = "lora-1"):
    topic = f"city/v1/z/bin/{device}/telemetry"
    return [
        Message(n * every_ms, topic, b'{"seq":%d,"values":{}}' % n, 1, False, line, device)
        for n in range(count)
    ]


def _heard(network: Network, sent, seed: int = 1) -> tuple[list[Message], Losses]:
    losses = Losses()
    return list(on_the_air(network, dice(seed, "air"), sent, losses)), losses


def _times(stream) -> list[int]:
    return [message.t_ms for message in stream]


def _lost(losses: Losses, *causes: Cause) -> int:
    return sum(one.messages for one in losses.all() if not causes or one.cause in causes)


# --- on the air ---------------------------------------------------------------------------------


def test_calm_air_carries_everything_as_it_is():
    """Nothing lost, late, twice or bent."""
    assert _heard(CALM, _sent(50))[0] == _sent(50)


@pytest.mark.parametrize("share", [0.004, 0.2, 1.0])
@pytest.mark.parametrize("name", ["loss", "corrupt", "late", "duplicate"])
def test_each_trouble_comes_as_often_as_the_scenario_says(name, share):
    """In so many messages of twenty thousand, and nothing else comes with it."""
    sent = _sent(20_000, every_ms=MINUTE_MS)
    heard, losses = _heard(CALM.model_copy(update={name: share}), sent)
    payloads, times = {m.payload for m in sent}, {m.t_ms for m in sent}
    bent = sum(m.payload not in payloads for m in heard)
    moved = sum(m.t_ms not in times for m in heard)
    counted = {
        "loss": (len(sent) - len(heard), 0, 0),
        "corrupt": (0, bent, 0),
        "late": (0, 0, moved),
        "duplicate": (len(sent) - len(heard), 0, moved),
    }
    happened = (len(sent) - len(heard), bent, moved)
    assert happened == counted[name]
    assert max(map(abs, happened)) == pytest.approx(share * len(sent), abs=150)
    assert _lost(losses) == (max(happened) if name in ("loss", "corrupt") else 0)


SHARES = st.sampled_from((0.0, 0.01, 0.3, 1.0))


@settings(max_examples=80, deadline=None)
@given(SHARES, SHARES, SHARES, SHARES, st.integers(0, 99))
def test_the_air_loses_nothing_in_silence(loss, duplicate, late, corrupt, seed):
    """What was sent was heard whole, or bent, or is told as lost; and all of it in order."""
    network = Network(loss=loss, duplicate=duplicate, late=late, corrupt=corrupt)
    sent = _sent(200)
    heard, losses = _heard(network, sent, seed)
    assert _times(heard) == sorted(_times(heard))
    whole = {m.payload for m in heard} & {m.payload for m in sent}
    assert len(whole) + _lost(losses) >= len(sent)
    assert len(whole) + _lost(losses, Cause.RADIO) <= len(sent)
    copies = Counter(m.payload for m in heard if m.payload in whole)
    assert max(copies.values(), default=0) <= 2
    when = {m.payload: m.t_ms for m in sent}
    for message in heard:
        if message.payload in when:
            assert 0 <= message.t_ms - when[message.payload] <= 150_000


def test_what_lies_retained_is_beyond_the_air():
    """The broker holds it: it is neither lost nor late."""
    retained = [message._replace(retain=True) for message in _sent(20)]
    assert _heard(Network(loss=1.0, late=1.0), retained)[0] == retained


def test_the_luck_of_one_device_is_not_that_of_another():
    """One fault or one device more changes nothing of what the others say."""
    city = City.sized(5, lamps=40, bins=12, road=6, duration="8h")
    plan = plan_of(city)
    lamp, bin_ = city.all_lamps[0], city.all_bins[0]
    struck = {lamp.device, bin_.device}
    more = (
        Fault(Kind.REPEATED, lamp.device, city.start_ms, None),
        Fault(Kind.SICK, bin_.device, city.start_ms, None),
    )
    without = [m for m in messages(plan) if m.speaker not in struck]
    assert [m for m in messages(Plan(city, (*plan.faults, *more))) if m.speaker not in struck] == (
        without
    )


# --- uplinks ------------------------------------------------------------------------------------


def _words(concentrator: str, t_ms: int, online: bool):
    payload = json.dumps({"online": online}).encode()
    yield Message(t_ms, f"city/v1/z/bin/{concentrator}/status", payload, 1, True, concentrator)


def _carried(outages, sent, end_ms: int = 10**9) -> tuple[list[Message], Losses]:
    losses = Losses()
    return list(over_the_uplinks(outages, sent, _words, losses, end_ms)), losses


def _numbers(carried) -> list[int]:
    """The messages within, also those in batches."""
    numbers = []
    for message in carried:
        if not message.retain:
            body = json.loads(message.payload)
            numbers += [one["seq"] for one in (body if isinstance(body, list) else [body])]
    return numbers


def test_a_concentrator_that_keeps_what_it_hears_sends_it_in_a_batch_on_return():
    """Oldest first, on the batch topic, at the moment of its return and before anything newer."""
    outage = Outage(10_000, 40_000, None)
    carried, losses = _carried({"lora-1": [outage]}, _sent(60))
    assert _numbers(carried) == list(range(60))
    batch = carried[10]
    assert (batch.t_ms, batch.topic) == (40_000, "city/v1/z/bin/bs-1/batch")
    assert [one["seq"] for one in json.loads(batch.payload)] == list(range(10, 40))
    assert losses.all() == []


def test_a_buffer_that_is_full_drops_the_oldest():
    """What was dropped is told: whose, how many, sent from when to when."""
    carried, losses = _carried({"lora-1": [Outage(10_000, 40_000, 12)]}, _sent(60))
    assert _numbers(carried) == [*range(10), *range(28, 60)]
    assert losses.all() == [("bs-1", Cause.BUFFER_FULL, 18, 10_000, 27_000)]


def test_a_concentrator_that_keeps_nothing_loses_everything():
    """And says so, as lost for want of an uplink."""
    carried, losses = _carried({"lora-1": [Outage(10_000, 40_000, 0)]}, _sent(60))
    assert _numbers(carried) == [*range(10), *range(40, 60)]
    assert losses.all() == [("bs-1", Cause.NO_UPLINK, 30, 10_000, 39_000)]


def test_a_concentrator_that_never_returns_keeps_for_nobody():
    """What it holds when the run ends is lost, too."""
    carried, losses = _carried({"lora-1": [Outage(10_000, 99_000, None)]}, _sent(60), 60_000)
    assert _numbers(carried) == list(range(10))
    assert losses.all() == [("bs-1", Cause.NEVER_BACK, 50, 10_000, 59_000)]


@pytest.mark.parametrize(("length_ms", "words"), [(WILL_MS, []), (WILL_MS + 1, [False, True])])
def test_the_broker_says_so_when_a_connection_is_gone_for_long(length_ms, words):
    """The will comes when the connection is given up, and is taken back on return."""
    outage = Outage(10_000, 10_000 + length_ms, None)
    carried, _ = _carried({"lora-1": [outage]}, _sent(90))
    said = [(m.t_ms, json.loads(m.payload)["online"]) for m in carried if m.retain]
    assert [online for _, online in said] == words
    assert [t_ms for t_ms, _ in said] == [10_000 + WILL_MS, outage.end_ms][: len(words)]


def test_other_concentrators_go_on():
    """Nobody waits for the one that is gone."""
    other = _sent(60, device="bs-2", line="lora-2")
    both = sorted([*_sent(60), *other], key=lambda m: m.t_ms)
    carried, _ = _carried({"lora-1": [Outage(10_000, 40_000, 0)]}, both)
    assert [m for m in carried if m.concentrator == "lora-2"] == other


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 100_000), max_size=120),
    st.lists(
        st.tuples(
            st.integers(0, 90_000), st.integers(1, 60_000), st.sampled_from((None, 0, 1, 5, 500))
        ),
        max_size=4,
    ),
    st.integers(50_000, 120_000),
)
def test_uplinks_lose_nothing_in_silence(times, drawn, end_ms):
    """Each message arrives once, alone or in a batch, or is told as lost; all of it in order."""
    outages, free_ms = [], 0
    for start_ms, length_ms, keeps in sorted(drawn, key=lambda one: one[0]):
        if start_ms >= free_ms:
            free_ms = start_ms + length_ms
            outages.append(Outage(start_ms, free_ms, keeps))
    sent = [
        Message(t_ms, "city/v1/z/bin/bs-1/telemetry", b'{"seq":%d}' % n, 1, False, "lora-1", "bs-1")
        for n, t_ms in enumerate(sorted(times))
    ]
    carried, losses = _carried({"lora-1": outages}, sent, end_ms)
    assert _times(carried) == sorted(_times(carried))
    arrived = _numbers(carried)
    assert len(arrived) == len(set(arrived))
    assert len(arrived) + _lost(losses) == len(sent)


def test_a_batch_holds_no_more_than_the_contract_allows():
    """A long backlog is several batches; a single message is none."""
    sizes = []
    for message in bursts(_sent(2 * BATCH_MAX + 1), 9):
        body = json.loads(message.payload)
        sizes.append(len(body) if isinstance(body, list) else 0)
    assert sizes == [BATCH_MAX, BATCH_MAX, 0]


def test_what_is_bent_retained_or_of_another_format_comes_singly():
    """None of them may spoil a batch."""
    bent, kept, foreign, *sound = _sent(6)
    bent = bent._replace(payload=b'{"seq":0,"val')
    kept = kept._replace(retain=True)
    foreign = foreign._replace(topic="v3/app/devices/bs-1/up")
    sent = list(bursts([bent, kept, foreign, *sound], 9))
    assert [m.payload for m in sent[:3]] == [bent.payload, kept.payload, foreign.payload]
    assert [m.topic for m in sent[3:]] == ["city/v1/z/bin/bs-1/batch"]


def test_disconnects_come_as_often_and_last_as_long_as_the_scenario_says():
    """For each concentrator by its own luck; where a fault strikes one, the fault alone counts."""
    network = {"disconnects_per_day": 24, "disconnected_for": ["1min", "5min"], "buffer": 7}
    city = City.sized(3, lamps=200, bins=9, road=9, duration="10d", network=network)
    name, *_ = names = sorted(city.concentrators())
    fault = Fault(Kind.BACKFILL, name, city.start_ms + HOUR_MS, city.start_ms + 9 * HOUR_MS)
    outages = outages_of(city, [fault])
    assert set(outages) == set(names)
    for each in outages.values():
        assert 150 < len(each) < 300
        for one, other in pairwise(each):
            assert one.end_ms < other.start_ms
        lucky = [one for one in each if one.keeps == 7]
        assert all(MINUTE_MS <= one.end_ms - one.start_ms <= 5 * MINUTE_MS for one in lucky)
    assert [one for one in outages[name] if one.keeps is None] == [
        (fault.start_ms, fault.end_ms, None)
    ]
    assert outages[names[1]] != outages[names[2]]


# --- a whole city -------------------------------------------------------------------------------


@cache
def _city_run(kind: Kind) -> tuple[Plan, tuple[Message, ...], Fault]:
    city = City.sized(5, lamps=120, bins=9, road=3, duration="10h", faults=[])
    start_ms = city.start_ms + 2 * HOUR_MS
    fault = Fault(kind, city.circuits[0].concentrator, start_ms, start_ms + 2 * HOUR_MS)
    plan = Plan(city, (fault,))
    return plan, tuple(messages(plan)), fault


def test_a_mass_silence_is_told_device_by_device():
    """Every report of that time is in the losses, none of it on the broker."""
    plan, sent, fault = _city_run(Kind.MASS_SILENCE)
    devices = plan.city.concentrators()[fault.target]
    lost = [one for one in plan.losses if one.cause is Cause.NO_UPLINK]
    assert {one.device for one in lost} == set(devices)
    assert all(fault.start_ms <= one.first_ms <= one.last_ms < fault.end_ms for one in lost)
    heard = [m for m in sent if m.concentrator == fault.target and fault.active(m.t_ms)]
    assert {m.payload for m in heard} == {b'{"online":false}'}
    assert len(heard) == len(devices)


def test_a_backfill_loses_nothing():
    """Every number of every device arrives, those of the silence in batches on return."""
    silence, heard, _ = _city_run(Kind.MASS_SILENCE)
    plan, sent, fault = _city_run(Kind.BACKFILL)
    assert plan.losses == []
    batches = [m for m in sent if m.leaf == "batch"]
    assert {m.t_ms for m in batches} == {fault.end_ms}
    inside = sum(len(json.loads(m.payload)) for m in batches)
    assert inside > 4 * len(batches) > 0
    single, spared = (sum(m.leaf == "telemetry" for m in run) for run in (sent, heard))
    assert inside + single == spared + sum(one.messages for one in silence.losses)


# --- the timeline -------------------------------------------------------------------------------

STREAM = st.lists(st.integers(0, 5 * PROMPT_MS), max_size=30).map(sorted)


@settings(max_examples=100, deadline=None)
@given(st.lists(STREAM, max_size=8), st.sampled_from([1, 777, PROMPT_MS, 99 * PROMPT_MS]))
def test_the_timeline_holds_every_message_in_order(streams, slice_ms):
    """By time, equal times by topic, and of one device in its own order, however it is cut."""
    devices = [
        [Message(t_ms, f"topic-{n}", b"%d" % nth) for nth, t_ms in enumerate(times)]
        for n, times in enumerate(streams)
    ]
    everything = [message for device in devices for message in device]
    expected = sorted(everything, key=lambda m: (m.t_ms, m.topic, int(m.payload)))
    assert list(in_order(map(iter, devices), slice_ms)) == expected


def test_the_timeline_asks_each_device_for_no_more_than_it_needs():
    """A run of a year begins at once: one message of each device and a slice are made ahead."""
    asked = Counter()

    def device(name: str):
        for n in range(1000):
            asked[name] += 1
            yield Message(n * PROMPT_MS, name, b"")

    stream = in_order((device(name) for name in "abc"), PROMPT_MS)
    for _ in range(30):
        next(stream)
    assert max(asked.values()) <= 12
