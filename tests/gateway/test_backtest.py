"""Backtests: what the gateway would have filed, no more and no less."""

import pytest
from history_scenes import FULL, SILENCE, bundle_of, live, report, run, series
from hypothesis import given, settings
from hypothesis import strategies as st
from small_city import at, city_of, sent

from gateway.effects import Settings
from gateway.workbench.backtest import NEAR_MAX, SPANS_MAX, own_delay_ms
from gateway.workbench.inquiry import Received

MINUTE_MS = 60_000


def test_a_fault_is_filed_once_with_all_its_times():
    """Fired when it had held for its time, filed after the wait for late samples."""
    (filing,) = run(series([50, 90, 90, 90, 90, 50, 50, 50])).filings

    assert (filing.rule, filing.asset_id, filing.service) == ("full_bin", "BIN-0", "BIN_FULL")
    times = (filing.started_ms, filing.fired_ms, filing.filed_ms, filing.cleared_ms)
    assert times == tuple(map(at, (15, 35, 40, 85)))
    assert filing.description.replace(" %", "%") == "90% full. Confirmed over 20 min."


def test_what_is_held_at_the_end_is_decided():
    """The wait of its rule passes after the last message, and no more than that."""
    result = run([*series([50, 90, 90]), report("b1", 36, 50)])

    assert [filing.filed_ms for filing in result.filings] == [at(40)]
    assert result.settled_ms == 4 * MINUTE_MS
    assert result.undecided == 0


def test_silence_after_the_end_files_nothing():
    """Nobody knows what would have come."""
    messages = [*series([90, 90, 90]), *series([50] * 7, device="b1")]
    messages = sorted(messages, key=lambda received: received.at_ms)[:-1]
    result = run(messages, bundle_of(FULL, SILENCE))

    assert {filing.subject for filing in result.filings} == {"BIN-0"}
    assert all(filing.fired_ms <= result.last_ms for filing in result.filings)


def test_silence_within_the_data_is_noticed_to_the_minute():
    """Though nothing comes that could move the time."""
    (filing,) = run([report("b0", 0, 50), report("b0", 300, 50)], bundle_of(FULL, SILENCE)).filings

    assert (filing.rule, filing.fired_ms) == ("silent_bin", at(36))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff", "not_utf8"),
        (b"{", "not_json"),
        (b'{"ts": null, "values": {"x": 1}}', "unknown_key"),
    ],
)
def test_what_the_gateway_refuses_is_counted_by_reason(payload, reason):
    """And changes nothing else."""
    bad = Received(at(20), sent("b0", payload, kind="bin"))
    messages = sorted([*series([50, 90, 90, 90]), bad])
    result = run(messages)

    assert result.refusals == {reason: 1}
    assert len(result.filings) == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=40), st.binary(max_size=40)), max_size=10))
def test_no_message_breaks_it(garbage):
    """Whatever topic and bytes."""
    from gateway.effects import Incoming

    messages = [Received(at(i), Incoming(topic, payload)) for i, (topic, payload) in
                enumerate(garbage)]  # fmt: skip

    assert run(messages).messages == len(garbage)


def test_no_messages_are_an_empty_result():
    """Nothing to say is not an error."""
    result = run([])

    assert (result.messages, result.filings, result.settled_ms) == (0, (), 0)


_FILLS = st.lists(st.sampled_from([None, 40.0, 75.0, 79.0, 80.0, 95.0]), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(_FILLS, _FILLS, st.integers(0, 20), st.randoms(use_true_random=False))
def test_it_files_what_a_running_gateway_files(one, other, late, random):
    """The same messages in the same order, some late, give the same requests and the same phases at
    the same times. None comes at the very instant of a tick: which of the two is first then is
    nobody's promise.
    """
    messages = series(one, every=7) + series(other, device="b1", every=11)
    shaken = [
        Received(received.at_ms + random.randrange(late + 1) * MINUTE_MS // 4 + 1, received.message)
        for received in messages
    ]
    stream = sorted(shaken, key=lambda received: received.at_ms)
    bundle = bundle_of(FULL, SILENCE)
    if not stream:
        return
    gate = live(stream, bundle)
    result = run(stream, bundle)

    filed = {(row.request.asset_id, row.service, row.request.observed_at_ms) for row in gate.rows}
    early = {(x.asset_id, x.service, x.started_ms) for x in result.filings
             if x.filed_ms <= result.last_ms - result.last_ms % MINUTE_MS}  # fmt: skip
    assert early <= filed <= {(x.asset_id, x.service, x.started_ms) for x in result.filings}
    fired = {(e.rule, e.subject, e.at_ms) for e in gate.journal
             if e.incident is None and e.after == "firing"}  # fmt: skip
    seen = {
        (rule, subject, x.start_ms)
        for (rule, subject), some in result.stretches.items()
        for x in some
        if x.phase == "firing" and x.start_ms <= stream[-1].at_ms - 60_000
    }
    assert seen <= fired


def test_a_near_miss_tells_how_near():
    """Its share of the time, what was left, and what ended it."""
    (miss,) = run(series([50, 90, 90, 50], every=8)).near

    assert (miss.subject, miss.start_ms, miss.end_ms) == ("BIN-0", at(8), at(24))
    assert (miss.share, miss.margin_ms) == (0.8, 4 * MINUTE_MS)
    assert miss.cause == "the condition became false"


def test_what_fired_is_no_near_miss():
    """Nor what had hardly begun."""
    assert run(series([50, 90, 90, 90, 50])).near == ()
    assert run(series([50, 90, 50], every=9)).near == ()


def test_memory_does_not_grow_with_the_history():
    """Phases and near misses are kept up to a number, the latest and the nearest."""
    flutter = [50, 90, 90, 50] * (NEAR_MAX + 20)
    result = run(series(flutter, every=6))

    assert len(result.near) == NEAR_MAX
    assert len(result.stretches["full_bin", "BIN-0"]) <= SPANS_MAX + 1


def test_a_rule_in_shadow_files_on_record_only():
    """Its filings are told as such."""
    shadow = FULL.replace("    title: t\n", "    title: t\n    mode: shadow\n")
    (filing,) = run(series([50, 90, 90, 90]), bundle_of(shadow)).filings

    assert filing.shadow


def test_the_nearest_thing_is_told_in_the_order_of_what_matters():
    """An incident that came to nothing, before a phase, before nothing at all."""
    key = [("full_bin", "BIN-0")]
    fills = {10: 90, 25: 90, 32: 50, 50: 50}
    withdrawn = run([report("b0", minute, fill) for minute, fill in fills.items()])
    pending = run(series([50, 90, 90, 50], every=8))

    assert "withdrawn" in withdrawn.nearest(key, at(0), at(60))
    assert "pending for 16 min" in pending.nearest(key, at(0), None)
    assert "never true" in pending.nearest(key, at(30), None)


def test_the_delay_of_a_rule_is_all_that_it_waits_for():
    """Its time, or its samples, then late samples, then the minute."""
    rule = bundle_of().rules["full_bin"]

    assert own_delay_ms(rule) == (45 + 5 + 1) * MINUTE_MS


def test_a_hole_in_the_recording_costs_no_year_of_minutes():
    """The silence is judged all the same."""
    year = 365 * 24 * 60
    result = run([report("b0", 0, 50), report("b0", year, 50)], bundle_of(FULL, SILENCE))

    assert [filing.rule for filing in result.filings] == ["silent_bin"]


def test_settings_of_the_gateway_count():
    """Simulated readings are refused unless they are allowed."""
    from gateway.workbench.backtest import backtest

    simulated = Received(at(0), sent("b0", {"ts": None, "values": {"fill_pct": 1}, "sim": True},
                                     kind="bin"))  # fmt: skip
    for allowed, readings in ((False, 0), (True, 1)):
        rules = Settings(allow_simulated=allowed)
        assert backtest(city_of(0, bins=1), bundle_of(), rules, [simulated]).readings == readings
