"""One rule on one subject: ok, pending, firing, clearing, and back.

Pure: (state, truth, time) -> (state, changes). A state is an immutable tuple, so an earlier one can
be kept and run again when a late sample arrives. There is no wall clock: `advance` says that time
has passed without a sample. Being blind (no sample for too long) is a flag beside the phase: it
never ends an episode.
"""

from enum import StrEnum
from typing import NamedTuple

from rules.rule import Rule, Truth


class Phase(StrEnum):
    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    CLEARING = "clearing"
    BLIND = "blind"


class Cause(StrEnum):
    """Why a phase changed; shown to people and kept in the journal."""

    CONDITION_TRUE = "the condition became true"
    CONDITION_FALSE = "the condition became false"
    HELD_LONG_ENOUGH = "the condition held for its time"
    GAP = "samples were too far apart to go on counting"
    CLEAR_TRUE = "the clear condition became true"
    CLEAR_HELD = "the clear condition held for its time"
    TRUE_AGAIN = "the condition came back before it was clear"
    CLEAR_FALSE = "the clear condition no longer held"
    NO_DATA = "no usable sample for too long"
    DATA_AGAIN = "samples came again"
    LATE_SAMPLE = "a late sample changed what had happened"
    STILL_TRUE = "the condition held again for its time, though it was to be repaired"


class Instance(NamedTuple):
    """The state. Times in ms of event time; 0 where they do not apply."""

    phase: Phase = Phase.OK
    started_ms: int = 0
    """First sample of the episode for which the condition was true."""
    fired_ms: int = 0
    held_ms: int = 0
    """How long the present timer has run: `for` in pending, `clear.for` in clearing."""
    mark_ms: int = 0
    """Up to when the timer is counted."""
    running: bool = False
    """False while the truth is unknown: the timer pauses."""
    samples: int = 0
    blind: bool = False
    asked_ms: int = 0
    """Somebody says that it is repaired: while it fires, the timer runs on samples from then on,
    and says whether it is still there. 0: nobody does."""


QUIET = Instance()
QUIET_BLIND = Instance(blind=True)


class Change(NamedTuple):
    """From one phase to the next at an instant of event time."""

    before: Phase
    after: Phase
    at_ms: int
    cause: Cause
    started_ms: int = 0
    """When it fires: the first sample of the episode."""


_NONE: tuple[Change, ...] = ()


def observe(
    rule: Rule, state: Instance, when: Truth, clear: Truth, ts_ms: int
) -> tuple[Instance, tuple[Change, ...]]:
    """The state after a sample at `ts_ms`; `clear` is only looked at while firing or clearing."""
    if state.phase is Phase.OK and not when and not state.blind:
        return QUIET, _NONE
    changes: list[Change] = []
    state, timed = advance(rule, state, ts_ms)
    changes.extend(timed)
    if state.blind:
        changes.append(Change(Phase.BLIND, state.phase, ts_ms, Cause.DATA_AGAIN))
        state = state._replace(blind=False)
    if state.phase is Phase.FIRING or state.phase is Phase.CLEARING:
        state = _while_firing(rule, state, when, clear, ts_ms, changes)
    else:
        state = _before_firing(rule, state, when, ts_ms, changes)
    return state, tuple(changes)


def advance(rule: Rule, state: Instance, now_ms: int) -> tuple[Instance, tuple[Change, ...]]:
    """The state when time reaches `now_ms` and no sample came since. Timers run out at their own
    instant, provided that the last sample still covers it then, and what is pending ends where the
    gap becomes too long. So it makes no difference whether a tick or the next sample comes first.
    """
    if state.phase is Phase.PENDING:
        if state.running and state.samples >= rule.samples_min:
            fired, changes = _fire_if_due(rule, state, now_ms)
            if changes:
                return fired, changes
        if now_ms - state.mark_ms > rule.gap_ms_max:
            at_ms = state.mark_ms + rule.gap_ms_max
            change = Change(Phase.PENDING, Phase.OK, at_ms, Cause.GAP)
            return QUIET_BLIND if state.blind else QUIET, (change,)
    elif state.phase is Phase.CLEARING and state.running:
        return _end_if_due(rule, state, now_ms)
    return state, _NONE


def next_ms(rule: Rule, state: Instance) -> int | None:
    """The first instant at which `advance` changes this state, if no sample comes; None: never."""
    if state.phase is Phase.PENDING:
        gap_ms = state.mark_ms + rule.gap_ms_max + 1
        enough = state.running and state.samples >= rule.samples_min
        due_ms = _due_ms(rule, state, rule.for_ms) if enough else None
        return gap_ms if due_ms is None else min(due_ms, gap_ms)
    if state.phase is Phase.CLEARING and state.running:
        return _due_ms(rule, state, rule.clear_for_ms)
    return None


def _due_ms(rule: Rule, state: Instance, wanted_ms: int) -> int | None:
    """When the timer has run for so long, if the last sample still speaks for that instant."""
    left_ms = max(0, wanted_ms - state.held_ms)
    return None if left_ms > cover_ms(rule) else state.mark_ms + left_ms


def go_blind(state: Instance, now_ms: int) -> tuple[Instance, tuple[Change, ...]]:
    """No usable sample for too long: whatever was, is no longer seen."""
    if state.blind:
        return state, _NONE
    change = Change(state.phase, Phase.BLIND, now_ms, Cause.NO_DATA)
    return state._replace(blind=True, running=False), (change,)


def ask(state: Instance, from_ms: int) -> Instance:
    """An open episode is to show by samples from then on whether it is still there."""
    if state.phase is Phase.FIRING:
        state = state._replace(held_ms=0, mark_ms=from_ms, running=False, samples=0)
    return state._replace(asked_ms=from_ms)


def _paused(state: Instance, ts_ms: int) -> Instance:
    """The truth is unknown from here on: the last sample has spoken for the time up to now."""
    if state.phase is Phase.OK:
        return QUIET
    if not state.running:
        return state
    return state._replace(held_ms=state.held_ms + ts_ms - state.mark_ms, running=False)


def _before_firing(
    rule: Rule, state: Instance, when: Truth, ts_ms: int, changes: list[Change]
) -> Instance:
    if when is None:
        return _paused(state, ts_ms)
    if when is False:
        if state.phase is Phase.PENDING:
            changes.append(Change(Phase.PENDING, Phase.OK, ts_ms, Cause.CONDITION_FALSE))
        return QUIET
    if state.phase is Phase.OK:
        changes.append(Change(Phase.OK, Phase.PENDING, ts_ms, Cause.CONDITION_TRUE))
        state = Instance(Phase.PENDING, ts_ms, 0, 0, ts_ms, running=True, samples=1)
    else:
        held_ms = state.held_ms + (ts_ms - state.mark_ms if state.running else 0)
        state = state._replace(
            held_ms=held_ms, mark_ms=ts_ms, running=True, samples=state.samples + 1
        )
    if state.samples < rule.samples_min:
        return state
    state, fired = _fire_if_due(rule, state, ts_ms)
    changes.extend(fired)
    return state


def _fire_if_due(rule: Rule, state: Instance, now_ms: int) -> tuple[Instance, tuple[Change, ...]]:
    at_ms = _due_ms(rule, state, rule.for_ms)
    if at_ms is None or at_ms > now_ms:
        return state, _NONE
    fired = Instance(Phase.FIRING, state.started_ms, at_ms, 0, at_ms, running=False)
    cause = Cause.HELD_LONG_ENOUGH
    return fired, (Change(Phase.PENDING, Phase.FIRING, at_ms, cause, state.started_ms),)


def _end_if_due(rule: Rule, state: Instance, now_ms: int) -> tuple[Instance, tuple[Change, ...]]:
    at_ms = _due_ms(rule, state, rule.clear_for_ms)
    if at_ms is None or at_ms > now_ms:
        return state, _NONE
    return QUIET, (Change(Phase.CLEARING, Phase.OK, at_ms, Cause.CLEAR_HELD),)


def cover_ms(rule: Rule) -> int:
    """For how long one sample speaks for what comes after it."""
    if rule.blind_after_ms is None:
        return rule.gap_ms_max
    return min(rule.gap_ms_max, rule.blind_after_ms)


def _while_firing(
    rule: Rule,
    state: Instance,
    when: Truth,
    clear: Truth,
    ts_ms: int,
    changes: list[Change],
) -> Instance:
    if rule.clear is None:
        clear = None if when is None else not when
    if when is True or clear is False:
        if state.phase is Phase.FIRING:
            return _proved(rule, state, when, ts_ms, changes) if state.asked_ms else state
        cause = Cause.TRUE_AGAIN if when is True else Cause.CLEAR_FALSE
        changes.append(Change(Phase.CLEARING, Phase.FIRING, ts_ms, cause))
        state = state._replace(phase=Phase.FIRING, held_ms=0, mark_ms=ts_ms, running=False)
        return state._replace(samples=0)
    if clear is None:
        return _paused(state, ts_ms)
    if state.phase is Phase.FIRING:
        changes.append(Change(Phase.FIRING, Phase.CLEARING, ts_ms, Cause.CLEAR_TRUE))
        state = state._replace(phase=Phase.CLEARING, held_ms=0, mark_ms=ts_ms, running=True)
    else:
        gap = ts_ms - state.mark_ms > rule.gap_ms_max
        counted_ms = ts_ms - state.mark_ms if state.running else 0
        held_ms = 0 if gap else state.held_ms + counted_ms
        state = state._replace(held_ms=held_ms, mark_ms=ts_ms, running=True)
    state, ended = _end_if_due(rule, state, ts_ms)
    changes.extend(ended)
    return state


def _proved(
    rule: Rule, state: Instance, when: Truth, ts_ms: int, changes: list[Change]
) -> Instance:
    """It is still there when it holds as long, and in as many samples, as it took to fire."""
    if when is not True:
        return _paused(state, ts_ms)
    if ts_ms < state.asked_ms:
        return state
    if state.samples and ts_ms - state.mark_ms > rule.gap_ms_max:
        state = state._replace(held_ms=0, running=False, samples=0)
    held_ms = state.held_ms + (ts_ms - state.mark_ms if state.running else 0)
    samples = state.samples + 1
    if samples < rule.samples_min or held_ms < rule.for_ms:
        return state._replace(held_ms=held_ms, mark_ms=ts_ms, running=True, samples=samples)
    cause = Cause.STILL_TRUE
    changes.append(Change(Phase.FIRING, Phase.FIRING, ts_ms, cause, state.started_ms))
    return Instance(Phase.FIRING, state.started_ms, state.fired_ms, 0, ts_ms)
