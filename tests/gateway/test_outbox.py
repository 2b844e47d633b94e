"""The delivery state machine: what each event does in each state, and when a row is due again."""

from dataclasses import replace
from itertools import product

import pytest
from delivery import T0_MS, a_row
from hypothesis import given
from hypothesis import strategies as st

from gateway.cityhall.delivery import (
    Absent,
    Approved,
    CannotTell,
    Cause,
    Claimed,
    Diverted,
    Filed,
    Found,
    NoReadBack,
    NotReopened,
    NotSent,
    Policy,
    Prefer,
    Recovered,
    Refused,
    Retry,
    ServiceRequest,
    State,
    Tokened,
    TokenResolved,
    Unknown,
    Withdrawn,
)
from gateway.cityhall.outbox import (
    AHEAD_MS_MAX,
    PAUSE_MS_MAX,
    REASON_CHARS_MAX,
    advance,
    in_doubt,
    legal,
    pause_ms,
    reference_for,
)

H_MS = 300_000
GAP_MS = 60_000
POLICY = Policy(visibility_ms=H_MS, absent_gap_ms=GAP_MS)
EVENTS = [
    Claimed(),
    Filed("7"),
    Tokened("t"),
    Refused("no"),
    NotSent(Cause.UNREACHABLE, "down"),
    Unknown(Cause.TIMEOUT, "silence"),
    Recovered(),
    Found("7"),
    Absent(T0_MS),
    CannotTell(Cause.TIMEOUT, "silence"),
    NoReadBack(),
    TokenResolved("7"),
    Retry(),
    Diverted("over the budget"),
    Approved("ann"),
    Withdrawn("part of another"),
    NotReopened("no"),
]
AFTER = {
    ("ready", "Claimed"): "sending",
    ("ready", "Found"): "filed",
    ("ready", "Tokened"): "tokened",
    ("ready", "CannotTell"): "ready",
    ("ready", "Diverted"): "review",
    ("ready", "Withdrawn"): "withdrawn",
    ("review", "Approved"): "ready",
    ("review", "Withdrawn"): "withdrawn",
    ("review", "Found"): "filed",
    ("withdrawn", "Approved"): "ready",
    ("reopening", "Found"): "filed",
    ("reopening", "NotReopened"): "ready",
    ("refused", "Found"): "filed",
    ("sending", "Filed"): "filed",
    ("sending", "Tokened"): "tokened",
    ("sending", "Refused"): "refused",
    ("sending", "NotSent"): "ready",
    ("sending", "Unknown"): "uncertain",
    ("sending", "Recovered"): "uncertain",
    ("uncertain", "Found"): "filed",
    ("uncertain", "Tokened"): "tokened",
    ("uncertain", "Absent"): "uncertain",
    ("uncertain", "CannotTell"): "uncertain",
    ("uncertain", "NoReadBack"): "held",
    ("tokened", "TokenResolved"): "filed",
    ("tokened", "Found"): "filed",
    ("tokened", "CannotTell"): "tokened",
    ("refused", "Retry"): "ready",
    ("held", "Retry"): "ready",
    ("held", "Found"): "filed",
}


def in_state(state, **more):
    unsent = state in (State.READY, State.REVIEW)
    sent = {} if unsent else {"first_sent_ms": T0_MS, "last_sent_ms": T0_MS}
    attempts = 0 if unsent else 1
    return replace(a_row(), state=state, attempts=attempts, **(sent | more))


def events_id(event):
    return type(event).__name__


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", EVENTS, ids=events_id)
def test_every_event_in_every_state_does_what_the_law_says_or_is_a_bug(state, event):
    """A pair that the table does not name raises; no row is changed by it."""
    expected = AFTER.get((state.value, type(event).__name__))
    assert legal(state, type(event)) == (expected is not None)
    if expected is None:
        with pytest.raises(AssertionError, match=type(event).__name__):
            advance(in_state(state), event, T0_MS, POLICY)
    else:
        assert advance(in_state(state), event, T0_MS, POLICY).state == expected


def test_the_table_of_this_test_names_only_what_exists():
    """A misspelt pair would be a case that is never tried."""
    known = {(state.value, type(event).__name__) for state, event in product(State, EVENTS)}
    assert set(AFTER) <= known


def test_an_attempt_is_counted_when_it_begins():
    """The count and the time are in the row before any connection is opened."""
    once = advance(a_row(), Claimed(), T0_MS, POLICY)
    again = advance(replace(once, state=State.READY), Claimed(), T0_MS + 5, POLICY)
    assert (once.attempts, once.first_sent_ms, once.last_sent_ms) == (1, T0_MS, T0_MS)
    assert (again.attempts, again.first_sent_ms, again.last_sent_ms) == (2, T0_MS, T0_MS + 5)


@pytest.mark.parametrize(
    ("read_after_ms", "counted"), [(0, 0), (H_MS - 1, 0), (H_MS, 1), (H_MS + 1, 1)]
)
def test_an_absence_counts_only_when_the_read_began_after_h(read_after_ms, counted):
    """Before H the city may have the request without showing it."""
    row = advance(in_state(State.SENDING), Unknown(Cause.TIMEOUT, ""), T0_MS, POLICY)
    read_ms = T0_MS + read_after_ms
    assert advance(row, Absent(read_ms), read_ms, POLICY).absent_reads == counted


def test_a_row_is_ready_again_after_two_absences_that_are_apart():
    """Two reads within the gap are one; the second that is apart ends the doubt."""
    row = advance(in_state(State.SENDING), Unknown(Cause.TIMEOUT, ""), T0_MS, POLICY)
    first_ms = T0_MS + H_MS
    once = advance(row, Absent(first_ms), first_ms, POLICY)
    close = advance(once, Absent(first_ms + GAP_MS - 1), first_ms + GAP_MS - 1, POLICY)
    apart = advance(once, Absent(first_ms + GAP_MS), first_ms + GAP_MS, POLICY)
    assert once.next_ms == first_ms + GAP_MS
    assert (close.state, close.absent_reads) == (State.UNCERTAIN, 1)
    assert (apart.state, in_doubt(apart)) == (State.READY, True)


@pytest.mark.parametrize("event", [Unknown(Cause.DROPPED, ""), Recovered()], ids=events_id)
def test_a_new_doubt_starts_the_proof_anew(event):
    """H counts from when bytes may last have left; what was absent before proves nothing."""
    old = in_state(State.SENDING, absent_reads=2, last_absent_ms=T0_MS)
    row = advance(old, event, T0_MS + 9_000, POLICY)
    assert (row.absent_reads, row.last_absent_ms) == (0, None)
    early_ms = T0_MS + 9_000 + H_MS - 1
    assert advance(row, Absent(early_ms), early_ms, POLICY).absent_reads == 0


def test_a_row_that_was_once_in_doubt_stays_so_until_it_is_sent():
    """A refused connection after the doubt does not make the earlier attempt undone."""
    row = in_state(State.READY, absent_reads=2, first_sent_ms=T0_MS)
    claimed = advance(row, Claimed(), T0_MS, POLICY)
    assert in_doubt(advance(claimed, NotSent(Cause.UNREACHABLE, ""), T0_MS, POLICY))
    assert not in_doubt(a_row())


def test_without_read_back_the_city_profile_says_which_half_to_keep():
    """No duplicate: held for a person. No loss: sent again."""
    row = in_state(State.UNCERTAIN)
    for prefer, state in [(Prefer.NO_DUPLICATE, State.HELD), (Prefer.NO_LOSS, State.READY)]:
        policy = replace(POLICY, read_back=False, prefer=prefer)
        assert advance(row, NoReadBack(), T0_MS, policy).state is state


@pytest.mark.parametrize(
    ("asked_s", "pause_ms_least", "pause_ms_most"),
    [(None, 1_500, 2_500), (90.0, 90_000, 90_000), (1e9, 3_600_000, 3_600_000), (-5, 0, 2_500)],
)
def test_a_desk_that_asks_for_patience_gets_it_within_reason(
    asked_s, pause_ms_least, pause_ms_most
):
    """Retry-After is kept, but an hour is the most."""
    event = NotSent(Cause.THROTTLED, "later", asked_s)
    row = advance(in_state(State.SENDING), event, T0_MS, POLICY)
    assert pause_ms_least <= row.next_ms - T0_MS <= pause_ms_most


def test_a_reason_is_one_bounded_line():
    """What a city writes is shown to people, not stored by the page."""
    row = advance(in_state(State.SENDING), Refused("a\nb" + "x" * 5_000), T0_MS, POLICY)
    assert row.reason.startswith("a b")
    assert len(row.reason) == REASON_CHARS_MAX


@given(st.text(), st.integers(0, 10_000), st.integers(1, 10_000), st.integers(10_000, 900_000))
def test_pauses_are_bounded_and_the_same_each_time(reference, nth, floor_ms, ceiling_ms):
    """Spread by the reference, not by chance."""
    pause = pause_ms(reference, nth, floor_ms, ceiling_ms)
    assert pause == pause_ms(reference, nth, floor_ms, ceiling_ms)
    assert 0.74 * floor_ms - 1 <= pause <= 1.25 * ceiling_ms


def test_pauses_grow_to_their_ceiling_and_differ_between_rows():
    """A desk that comes back does not meet all rows in one instant."""
    pauses = [pause_ms("SCG-1", nth, 2_000, PAUSE_MS_MAX) for nth in range(1, 20)]
    assert pauses[0] < pauses[2] < pauses[4] < pauses[6]
    assert min(pauses[12:]) >= 0.75 * PAUSE_MS_MAX
    assert len({pause_ms(f"SCG-{n}", 1, 2_000, PAUSE_MS_MAX) for n in range(50)}) > 40


def journeys():
    return st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 2 * H_MS)), max_size=30)


@given(journeys())
def test_whatever_happens_a_row_keeps_its_identity_and_is_never_put_off_for_ever(journey):
    """Legal events in any order: identity fixed, attempts grow by claims only, filed is final."""
    row, now_ms = a_row(), T0_MS
    for event, passed_ms in journey:
        now_ms += passed_ms
        was_sent = isinstance(event, Withdrawn) and row.first_sent_ms is not None
        if was_sent or not legal(row.state, type(event)):
            continue
        read_now = Absent(now_ms) if isinstance(event, Absent) else event
        after = advance(row, read_now, now_ms, POLICY)
        assert row.state is not State.FILED
        assert (after.reference, after.request) == (row.reference, row.request)
        assert after.attempts == row.attempts + isinstance(event, Claimed)
        assert now_ms <= after.next_ms <= now_ms + AHEAD_MS_MAX
        assert (after.state is State.FILED) == (after.request_id is not None)
        row = after


def test_a_reference_is_128_bits_of_the_key():
    """The same key gives the same reference on any machine."""
    assert reference_for("a") == "SCG-ca978112ca1bbdcafac231b39a23dc4d"
    assert reference_for("a") != reference_for("b")


def test_a_request_survives_json():
    """What the store writes down is what is asked."""
    request = a_row(extra={"circuit": "C-7"}, address=None).request
    assert ServiceRequest.from_dict(request.to_dict()) == request
