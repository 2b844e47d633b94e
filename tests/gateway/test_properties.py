"""What holds of the core for any series of reports: order, repetition, batches, restarts."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_city import Gate, at, city_of, lamp

from gateway.books.store import Store
from gateway.cases.incident import Why

pytestmark = pytest.mark.slow

LIT, DIM, DARK = 58.0, 20.0, 0.0
LAMPS = 4
LATENESS_S = 300
END_MIN = 300  # after the last report, and all that comes of it

reports_of = st.lists(
    st.tuples(
        st.integers(0, LAMPS - 1),
        st.integers(1, 6),
        st.sampled_from([LIT, DIM, DARK, DARK, DARK]),
    ),
    min_size=5,
    max_size=40,
)
"""(lamp, minutes since the report before, power)"""


def series(reports):
    """(minute, message) in the order of their time, each numbered by its device."""
    minute, seqs, result = 0, [0] * LAMPS, []
    for i, pause, power_w in reports:
        minute += pause
        seqs[i] += 1
        result.append((minute, lamp(f"d{i}", minute, power_w, seqs[i])))
    return result


def play(gate, coming):
    """Messages as they arrive, time passing in between, and then nothing for hours."""
    passed = 0
    for minute, message in coming:
        gate.pass_to(*range(passed, int(minute) + 1))
        passed = int(minute) + 1
        gate.take(message, now_ms=at(minute))
    gate.pass_to(*range(passed, END_MIN))


def requests(gate):
    return [(row.service, row.request.asset_id, row.reference) for row in gate.rows]


def faults(gate):
    """What the lamps say was wrong, whatever became of it. Silence and circuits are not among
    them: they are about what has been heard so far.
    """
    return sorted(
        (i.rule, i.subject, i.started_ms)
        for i in gate.incidents.values()
        if i.rule == "lamp_out" and i.why != Why.LATE_SAMPLE
    )


@settings(deadline=None)
@given(reports_of, st.integers(1, 12))
def test_it_does_not_matter_how_messages_are_batched(reports, batch):
    """Any split gives the same readings, incidents, requests and journal."""
    coming = series(reports)
    one, many = Gate(city_of(LAMPS)), Gate(city_of(LAMPS))
    now_ms = at(coming[-1][0])
    for _, message in coming:
        one.take(message, now_ms=now_ms)
    for k in range(0, len(coming), batch):
        many.take(*(message for _, message in coming[k : k + batch]), now_ms=now_ms)
    for gate in (one, many):
        gate.pass_to(*range(1000, 1010))
    assert one.rows == many.rows
    assert one.journal == many.journal
    assert one.incidents == many.incidents
    assert one.readings == many.readings


@settings(deadline=None)
@given(reports_of)
def test_one_open_fault_is_one_request(reports):
    """Never a second one for a lamp whose first is still open, and no reference twice."""
    gate = Gate(city_of(LAMPS))
    play(gate, series(reports))
    assert len({row.reference for row in gate.rows}) == len(gate.rows)
    incidents = {row.incident_id for row in gate.rows}
    assert len(incidents) == len(gate.rows)
    assert {i.id for i in gate.incidents.values() if i.state == "queued"} == incidents
    episodes = [(i.rule, i.subject, i.episode) for i in gate.incidents.values()]
    assert len(set(episodes)) == len(episodes)


@settings(deadline=None)
@given(reports_of, st.data())
def test_any_order_and_repetition_within_the_lateness_show_the_same_faults(reports, data):
    """G3. Each report may come up to five minutes late, and up to three times."""
    coming = series(reports)
    late = st.lists(st.integers(0, LATENESS_S - 1), min_size=1, max_size=3)
    mixed = sorted(
        (
            (minute + delay_s / 60, message)
            for minute, message in coming
            for delay_s in data.draw(late)
        ),
        key=lambda arrival: arrival[0],
    )
    prompt, tardy = Gate(city_of(LAMPS)), Gate(city_of(LAMPS))
    play(prompt, coming)
    play(tardy, mixed)
    assert faults(tardy) == faults(prompt)
    assert sorted(r.body for r in tardy.readings) == sorted(r.body for r in prompt.readings)
    for i in range(LAMPS):
        assert tardy.phase("lamp_out", f"SL-{i}") == prompt.phase("lamp_out", f"SL-{i}")


@settings(max_examples=25, deadline=None)
@given(reports_of, st.sets(st.integers(0, 39), max_size=4), st.booleans())
def test_a_crash_after_any_batch_loses_and_doubles_nothing(reports, crashes, unacknowledged):
    """On a real store; the broker sends again what it heard no acknowledgement of."""
    coming = series(reports)
    plain = Gate(city_of(LAMPS))
    play(plain, coming)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "state")
        try:
            gate = Gate(city_of(LAMPS), store=store)
            for k, (minute, message) in enumerate(coming):
                gate.pass_to(*range(coming[k - 1][0] + 1 if k else 0, minute + 1))
                gate.take(message, now_ms=at(minute))
                if k in crashes:
                    gate.restart()
                    if unacknowledged:
                        gate.take(message, now_ms=at(minute))
            gate.pass_to(*range(coming[-1][0] + 1, END_MIN))
            filed = store.outbox_rows()
        finally:
            store.close()
    services = [(row.service, row.request.asset_id or "") for row in filed]
    assert sorted(services) == sorted(row[:2] for row in requests(plain))
    assert faults(gate) == faults(plain)
    assert len(gate.readings) == len(plain.readings)
