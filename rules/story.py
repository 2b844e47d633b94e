"""What was told of a rule, what holds after a late sample, what is to be said now.

Pure: two stories from the same beginning -> the net change. Whoever listened to the old story and
hears this too knows as much as one who heard the new story only: what fired without ground is
withdrawn, what ended without ground goes on, and nothing is said twice.
"""

from typing import NamedTuple

from rules.instance import Cause, Change, Instance, Phase

_OPEN = (Phase.FIRING, Phase.CLEARING)


class Correction(NamedTuple):
    """One thing to be said. `withdrawn`: the last episode, open or ended, never was."""

    change: Change
    withdrawn: bool = False


def net_change(
    old: list[Change], new: list[Change], was: Instance, now: Instance, at_ms: int
) -> list[Correction]:
    """What to say, given the states `was` and `now` to which the stories have led. `at_ms`: the
    sample that came late.
    """
    told, held = _firings(old), _firings(new)
    shared = min(len(told), len(held))
    old_rest = old[told[shared - 1] + 1 :] if shared else old
    new_rest = new[held[shared - 1] + 1 :] if shared else new
    if len(told) > shared:
        return _never_were(len(told) - shared, was, now, at_ms)
    told_end, end = _end_of(old_rest), _end_of(new_rest)
    if told_end is not None:
        rest = _goes_on(now) if end is None else _said(new_rest[end + 1 :])
    else:
        rest = _said(new_rest[_common(old_rest, new_rest) :])
        if shared and old[told[-1]] != new[held[shared - 1]]:
            rest = [Correction(new[held[shared - 1]]), *rest]
    if not rest and shown(was) is not shown(now):
        rest = [Correction(Change(shown(was), shown(now), at_ms, Cause.LATE_SAMPLE))]
    return rest


def shown(state: Instance) -> Phase:
    """The phase as it is told: blind where nothing is seen."""
    return Phase.BLIND if state.blind else state.phase


def _never_were(count: int, was: Instance, now: Instance, at_ms: int) -> list[Correction]:
    """The last episodes told have no ground; an earlier one may still go on."""
    before = was.phase if was.phase in _OPEN else Phase.FIRING
    after = Phase.OK if now.phase in _OPEN else now.phase
    undone = Correction(Change(before, after, at_ms, Cause.LATE_SAMPLE), withdrawn=True)
    return [undone] * count + _goes_on(now)


def _goes_on(now: Instance) -> list[Correction]:
    """The end that was told did not happen."""
    if now.phase not in _OPEN:
        return []
    reopened = Change(Phase.OK, now.phase, now.fired_ms, Cause.LATE_SAMPLE, now.started_ms)
    return [Correction(reopened)]


def _firings(story: list[Change]) -> list[int]:
    return [
        i
        for i, change in enumerate(story)
        if change.before is Phase.PENDING and change.after is Phase.FIRING
    ]


def _end_of(story: list[Change]) -> int | None:
    """Where the episode ends that the story begins in."""
    for i, change in enumerate(story):
        if change.before is Phase.CLEARING and change.after is Phase.OK:
            return i
    return None


def _common(old: list[Change], new: list[Change]) -> int:
    """How many steps are the same, their times aside."""
    count = 0
    for one, other in zip(old, new, strict=False):
        if one[:2] != other[:2]:
            break
        count += 1
    return count


def _said(changes: list[Change]) -> list[Correction]:
    return [Correction(change) for change in changes]
