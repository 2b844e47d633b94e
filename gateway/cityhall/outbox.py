"""The outbox: how one request reaches the city's 311 exactly once, as a pure state machine.

A row is one request to one city. `advance` takes it from state to state and decides when it is
looked at again; a transition that is not in the table is a bug and raises AssertionError. Its
promise: once a byte may have left, a row is sent again only after the city's own list has shown no
trace of its reference, often enough and late enough. No clock, no network, no randomness: the
spread of the pauses comes from the reference itself.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.cityhall.delivery import (
    Absent,
    Approved,
    CannotTell,
    Claimed,
    Diverted,
    Event,
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
    Row,
    State,
    Tokened,
    TokenResolved,
    Unknown,
    Withdrawn,
)

PAUSE_MS_MIN = 2_000
"""First pause after an attempt that failed; each further one is about twice as long."""
PAUSE_MS_MAX = 900_000
"""15 minutes: a desk that is back is found within that, and a dead one is not hammered."""
TOKEN_PAUSE_MS_MAX = 3_600_000
"""An hour: cities take days to turn a token into a number."""
LOOK_MS_MIN = 500
"""First look after an unknown outcome: most desks list at once."""
RETRY_AFTER_S_MAX = 3_600.0
"""A desk may ask for patience, but not for so much that a row is as good as lost."""
AHEAD_MS_MAX = 2 * TOKEN_PAUSE_MS_MAX
"""No row is ever put off for longer; one that is further ahead met a clock that was set back, and
is due."""
REASON_CHARS_MAX = 300
"""A reason is one line for a person, however long the answer it came from."""
REFERENCE_PREFIX = "SCG-"


class RowChangedError(Exception):
    """The stored row is no longer the one that was read: somebody else moved it."""


def reference_for(key: str) -> str:
    """The reference of an incident key: the same key gives the same one, on any machine.

    The key must name the installation too, or two gateways at one city could share a reference.
    """
    return REFERENCE_PREFIX + hashlib.sha256(key.encode()).hexdigest()[:32]


def pause_ms(reference: str, nth: int, floor_ms: int, ceiling_ms: int) -> int:
    """The pause before the next try after `nth` (from 1): doubling, capped, spread by +-25 %."""
    digest = hashlib.sha256(f"{reference}:{nth}".encode()).digest()
    spread = 0.75 + int.from_bytes(digest[:4], "big") / 2**33
    doubled = floor_ms * 2 ** min(max(nth, 1) - 1, 30)
    return int(min(doubled, ceiling_ms) * spread)


def in_doubt(row: Row) -> bool:
    """An earlier attempt had an unknown outcome: look at the city's list before sending."""
    return row.state is State.UNCERTAIN or (row.state is State.READY and row.absent_reads > 0)


def legal(state: State, event: type[Event]) -> bool:
    """Whether a row in `state` can take such an event at all (a person's Retry, say)."""
    return (state, event) in _TABLE


def advance(row: Row, event: Event, now_ms: int, policy: Policy) -> Row:
    """The row after the event. AssertionError: the event is impossible in the row's state."""
    step = _TABLE.get((row.state, type(event)))
    if step is None:
        raise AssertionError(f"{row.reference}: {type(event).__name__} in state {row.state}")
    after = step(row, event, now_ms, policy)
    return replace(after, reason=" ".join(after.reason.split())[:REASON_CHARS_MAX])


def _claimed(row: Row, _event: Claimed, now_ms: int, _policy: Policy) -> Row:
    first_ms = now_ms if row.first_sent_ms is None else row.first_sent_ms
    return replace(
        row,
        state=State.SENDING,
        attempts=row.attempts + 1,
        first_sent_ms=first_ms,
        last_sent_ms=now_ms,
        next_ms=now_ms,
        looks=0,
    )


def _filed(row: Row, event: Filed | Found | TokenResolved, now_ms: int, _policy: Policy) -> Row:
    note = event.note if isinstance(event, Found) else ""
    return replace(row, state=State.FILED, request_id=event.request_id, next_ms=now_ms, reason=note)


def _tokened(row: Row, event: Tokened, now_ms: int, _policy: Policy) -> Row:
    pause = pause_ms(row.reference, 1, PAUSE_MS_MIN, TOKEN_PAUSE_MS_MAX)
    return replace(
        row, state=State.TOKENED, token=event.token, looks=0, next_ms=now_ms + pause, reason=""
    )


def _refused(row: Row, event: Refused, now_ms: int, _policy: Policy) -> Row:
    return replace(row, state=State.REFUSED, next_ms=now_ms, reason=event.reason)


def _not_sent(row: Row, event: NotSent, now_ms: int, _policy: Policy) -> Row:
    pause = pause_ms(row.reference, row.attempts, PAUSE_MS_MIN, PAUSE_MS_MAX)
    next_ms = now_ms + max(pause, _asked_ms(event.retry_after_s))
    return replace(row, state=State.READY, next_ms=next_ms, reason=event.reason)


def _unknown(row: Row, event: Unknown, now_ms: int, _policy: Policy) -> Row:
    return _doubt(row, now_ms, event.reason)


def _recovered(row: Row, _event: Recovered, now_ms: int, _policy: Policy) -> Row:
    return _doubt(row, now_ms, "the gateway stopped while sending")


def _doubt(row: Row, now_ms: int, reason: str) -> Row:
    # Bytes may have left until now, so H counts from now; earlier absences prove nothing any more.
    return replace(
        row,
        state=State.UNCERTAIN,
        last_sent_ms=max(now_ms, row.last_sent_ms or 0),
        absent_reads=0,
        last_absent_ms=None,
        looks=0,
        next_ms=now_ms + pause_ms(row.reference, 1, LOOK_MS_MIN, PAUSE_MS_MAX),
        reason=reason,
    )


def _absent(row: Row, event: Absent, now_ms: int, policy: Policy) -> Row:
    looked = replace(row, looks=row.looks + 1)
    earliest_ms = _next_counting_ms(row, policy)
    if event.read_ms < earliest_ms:
        pause = pause_ms(row.reference, looked.looks, LOOK_MS_MIN, PAUSE_MS_MAX)
        # Never sleep past the first read that counts: that would only make the city wait.
        return replace(looked, next_ms=min(now_ms + pause, max(earliest_ms, now_ms)))
    counted = replace(looked, absent_reads=row.absent_reads + 1, last_absent_ms=event.read_ms)
    if counted.absent_reads < policy.absent_reads:
        return replace(counted, next_ms=event.read_ms + policy.absent_gap_ms)
    pause = pause_ms(row.reference, row.attempts, PAUSE_MS_MIN, PAUSE_MS_MAX)
    return replace(counted, state=State.READY, looks=0, next_ms=now_ms + pause)


def _next_counting_ms(row: Row, policy: Policy) -> int:
    assert row.last_sent_ms is not None, f"{row.reference}: in doubt, yet never sent"
    visible_ms = row.last_sent_ms + policy.visibility_ms
    if row.last_absent_ms is None:
        return visible_ms
    return max(visible_ms, row.last_absent_ms + policy.absent_gap_ms)


def _cannot_tell(row: Row, event: CannotTell, now_ms: int, _policy: Policy) -> Row:
    ceiling_ms = TOKEN_PAUSE_MS_MAX if row.state is State.TOKENED else PAUSE_MS_MAX
    pause = pause_ms(row.reference, row.looks + 1, PAUSE_MS_MIN, ceiling_ms)
    next_ms = now_ms + max(pause, _asked_ms(event.retry_after_s))
    return replace(row, looks=row.looks + 1, next_ms=next_ms, reason=event.reason)


def _no_read_back(row: Row, _event: NoReadBack, now_ms: int, policy: Policy) -> Row:
    if policy.prefer is Prefer.NO_DUPLICATE:
        return replace(row, state=State.HELD, next_ms=now_ms)
    pause = pause_ms(row.reference, row.attempts, PAUSE_MS_MIN, PAUSE_MS_MAX)
    return replace(row, state=State.READY, next_ms=now_ms + pause)


def _diverted(row: Row, event: Diverted, now_ms: int, _policy: Policy) -> Row:
    return replace(row, state=State.REVIEW, next_ms=now_ms, reason=event.reason, approved=False)


def _approved(row: Row, event: Approved, now_ms: int, _policy: Policy) -> Row:
    reason = f"approved by {event.by}"
    return replace(row, state=State.READY, next_ms=now_ms, approved=True, reason=reason)


def _withdrawn(row: Row, event: Withdrawn, now_ms: int, _policy: Policy) -> Row:
    assert row.first_sent_ms is None, f"{row.reference}: it may have been sent"
    return replace(row, state=State.WITHDRAWN, next_ms=now_ms, reason=event.reason)


def _not_reopened(row: Row, event: NotReopened, now_ms: int, _policy: Policy) -> Row:
    return replace(row, state=State.READY, next_ms=now_ms, request_id=None, reason=event.reason)


def _retry(row: Row, _event: Retry, now_ms: int, _policy: Policy) -> Row:
    return replace(row, state=State.READY, looks=0, next_ms=now_ms)


def _asked_ms(retry_after_s: float | None) -> int:
    return int(min(max(retry_after_s or 0.0, 0.0), RETRY_AFTER_S_MAX) * 1000)


Step = Callable[[Row, Any, int, Policy], Row]

_TABLE: Mapping[tuple[State, type[Event]], Step] = {
    (State.READY, Claimed): _claimed,
    (State.READY, Found): _filed,
    (State.READY, Tokened): _tokened,
    (State.READY, CannotTell): _cannot_tell,
    (State.SENDING, Filed): _filed,
    (State.SENDING, Tokened): _tokened,
    (State.SENDING, Refused): _refused,
    (State.SENDING, NotSent): _not_sent,
    (State.SENDING, Unknown): _unknown,
    (State.SENDING, Recovered): _recovered,
    (State.UNCERTAIN, Found): _filed,
    (State.UNCERTAIN, Tokened): _tokened,
    (State.UNCERTAIN, Absent): _absent,
    (State.UNCERTAIN, CannotTell): _cannot_tell,
    (State.UNCERTAIN, NoReadBack): _no_read_back,
    (State.TOKENED, TokenResolved): _filed,
    (State.TOKENED, Found): _filed,
    (State.TOKENED, CannotTell): _cannot_tell,
    (State.READY, Diverted): _diverted,
    (State.READY, Withdrawn): _withdrawn,
    (State.REVIEW, Approved): _approved,
    (State.REVIEW, Withdrawn): _withdrawn,
    (State.REVIEW, Found): _filed,
    (State.WITHDRAWN, Approved): _approved,
    (State.REOPENING, Found): _filed,
    (State.REOPENING, NotReopened): _not_reopened,
    (State.REFUSED, Found): _filed,
    (State.REFUSED, Retry): _retry,
    (State.HELD, Retry): _retry,
    (State.HELD, Found): _filed,
}
