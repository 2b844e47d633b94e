"""The rules of one subject, judged on a sample or on the passing of time.

Pure but for the `Track` that it moves along, and the `Scene` that it points there. It knows one
subject at a time and no order of arrival: `rules.engine` sees to both.
"""

from typing import Any

from rules.instance import QUIET, Change, Instance, Phase, advance, go_blind, observe
from rules.rule import Truth, Values
from rules.scene import Scene
from rules.track import Told, Track, Watch, set_instance, set_slots

_NONE: Told = ()
_NO_MEMORY: list[Any] = []
_NO_CHANGES: tuple[Change, ...] = ()


def step(track: Track, scene: Scene, ts_ms: int, values: dict[str, Any]) -> Told:
    """Judge every rule on one sample, in the order of time."""
    changes: Told = _NONE
    plan = track.plan
    if ts_ms - track.last_ms >= plan.quiet_ms and track.last_ms >= 0:
        changes = elapse(track, ts_ms)
    track.last_ms = ts_ms
    track.values = values
    scene.track = track
    scene.ts_ms = ts_ms
    quiet = track.instances is plan.instances
    for watch in plan.by_samples if quiet else plan.watches:
        if not watch.reads.isdisjoint(values) or watch.on_silence:
            changed = _judge_sample(track, scene, watch, values)
            if changed:
                changes = (*changes, *((watch.i, change) for change in changed))
    return changes


def _judge_sample(track: Track, scene: Scene, watch: Watch, values: Values) -> tuple[Change, ...]:
    i = watch.i
    state = track.instances[i]
    attributes = track.subject.attributes
    if watch.slotted:
        memory = list(track.slots[i])
        new, changed = judged(watch, values, attributes, scene, memory, state)
        set_slots(track, i, memory)
    else:
        new, changed = judged(watch, values, attributes, scene, _NO_MEMORY, state)
    if new is not state:
        set_instance(track, i, new)
    return changed


def judged(
    watch: Watch,
    values: Values,
    attributes: Values,
    scene: Scene,
    memory: list[Any],
    state: Instance,
) -> tuple[Instance, tuple[Change, ...]]:
    """The state of a rule after a sample, and what changed."""
    when: Truth = watch.when(values, attributes, scene, memory)
    if when is False and state is QUIET:
        if watch.fold is not None:
            watch.fold(values, attributes, scene, memory)
        return state, _NO_CHANGES
    when, clear = _beside(watch, when, values, attributes, scene, memory, state)
    if state is QUIET and not when:
        return state, _NO_CHANGES
    return observe(watch.rule, state, when, clear, scene.ts_ms)


def elapse(track: Track, now_ms: int) -> Told:
    """Time passes up to `now_ms` without a sample: timers run out, and what has not been seen for
    too long is blind, each at its own instant.
    """
    changes: list[tuple[int, Change]] = []
    for i, watch in enumerate(track.plan.watches):
        if watch.on_tick:
            continue
        state = track.instances[i]
        blind_ms = watch.rule.blind_after_ms
        goes_blind = (
            blind_ms is not None and not state.blind and 0 <= track.last_ms <= now_ms - blind_ms
        )
        if state is QUIET and not goes_blind:
            continue
        if goes_blind:
            assert blind_ms is not None
            new, changed = _until_blind(watch, state, track.last_ms + blind_ms)
        else:
            new, changed = state, _NO_CHANGES
        new, later = advance(watch.rule, new, now_ms)
        if new is not state:
            set_instance(track, i, new)
        changes.extend((i, change) for change in (*changed, *later))
    return tuple(changes)


def _until_blind(watch: Watch, state: Instance, at_ms: int) -> tuple[Instance, tuple[Change, ...]]:
    state, timed = advance(watch.rule, state, at_ms)
    state, blinded = go_blind(state, at_ms)
    return state, (*timed, *blinded)


def judge_now(
    track: Track, scene: Scene, i: int, values: Values, now_ms: int
) -> tuple[tuple[Change, ...], bool]:
    """Judge one rule that needs no sample. Its changes, and whether its state is another one."""
    watch, state = track.plan.watches[i], track.instances[i]
    scene.at(track, now_ms)
    memory = list(track.slots[i])
    when, clear = judge(watch, values, track.subject.attributes, scene, memory, state)
    new, changed = observe(watch.rule, state, when, clear, now_ms)
    if new is not state:
        set_instance(track, i, new)
    remembers = watch.slotted and set_slots(track, i, memory)
    return changed, remembers or new is not state


def judge(
    watch: Watch,
    values: Values,
    attributes: Values,
    scene: Scene,
    memory: list[Any],
    state: Instance,
) -> tuple[Truth, Truth]:
    """`when and not unless`, and `clear` where it may matter: what is pending may turn out to have
    fired before.
    """
    when = watch.when(values, attributes, scene, memory)
    return _beside(watch, when, values, attributes, scene, memory, state)


def _beside(
    watch: Watch,
    when: Truth,
    values: Values,
    attributes: Values,
    scene: Scene,
    memory: list[Any],
    state: Instance,
) -> tuple[Truth, Truth]:
    """Conditions with a memory are folded on every sample, needed or not."""
    if watch.unless is not None and (when is not False or watch.slotted):
        unless = watch.unless(values, attributes, scene, memory)
        if when is not False:
            when = False if unless is True else None if unless is None else when
    clear: Truth = None
    if watch.clear is not None and (watch.slotted or state.phase is not Phase.OK):
        clear = watch.clear(values, attributes, scene, memory)
    return when, clear
