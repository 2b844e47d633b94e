"""The rules engine: samples and ticks in, transitions out (rules.md S1 to S11).

Owns the running state of every rule on every subject. It has no wall clock: time advances with the
samples of a subject and with ticks. The same samples and ticks in the same order give the same
transitions, and samples of one subject may come in any order within the lateness. It reads no
files, keeps nothing on disk (`take_dirty` and `restore` carry its state) and files nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec

from rules.instance import QUIET, Cause, Change, Instance, Phase, advance, go_blind, observe
from rules.rule import Bundle, Rule, Truth, Values
from rules.scene import Scene, Sun
from rules.track import (
    NOWHERE,
    Entry,
    Plan,
    Subject,
    Track,
    Watch,
    carry_over,
    make_plan,
    replaced,
    wake_ms,
)


class Transition(NamedTuple):
    """One rule on one subject changed its phase. `withdrawn`: it never should have fired."""

    subject: str
    rule: str
    before: Phase
    after: Phase
    at_ms: int
    started_ms: int
    """When it fires: the first sample of the episode."""
    cause: Cause
    values: Values
    withdrawn: bool = False


class Verdict(StrEnum):
    JUDGED = "judged"
    TOO_LATE = "too_late"


class Engine:
    """All rules on all subjects."""

    def __init__(self, bundle: Bundle, subjects: Iterable[Subject] = ()) -> None:
        self._plans: dict[str, Plan] = {}
        self._bundle = bundle
        self._tracks: dict[str, Track] = {}
        self._circuits: list[Track] = []
        self._dirty: dict[str, Track] = {}
        self._scene = Scene(Sun(), self._members)
        self._encode = msgspec.msgpack.Encoder().encode
        self.tick_ms = 0
        """The last tick."""
        for subject in subjects:
            self.add(subject)

    def add(self, subject: Subject) -> None:
        """Start to watch a subject; one that is already there is left as it is."""
        if subject.id in self._tracks:
            return
        track = Track(subject, self._plan(subject.kind))
        self._tracks[subject.id] = track
        if subject.kind == "circuit":
            self._circuits.append(track)

    def knows(self, subject_id: str) -> bool:
        return subject_id in self._tracks

    def subject(self, subject_id: str) -> Subject:
        return self._tracks[subject_id].subject

    def scene_at(self, ts_ms: int) -> "Scene":
        """A scene that is nowhere in particular: for conditions on a moving device."""
        self._scene.at(NOWHERE, ts_ms)
        return self._scene

    def phase(self, subject_id: str, rule_id: str) -> Phase:
        """The phase of a rule on a subject, blindness aside; ok where the rule does not apply."""
        track = self._tracks.get(subject_id)
        i = None if track is None else track.plan.index.get(rule_id)
        return Phase.OK if track is None or i is None else track.instances[i].phase

    def feed(
        self, subject_id: str, ts_ms: int, values: dict[str, Any]
    ) -> tuple[Verdict, Sequence[Transition]]:
        """Judge one sample. Late ones are put in their place; too late ones change nothing."""
        track = self._tracks[subject_id]
        if ts_ms >= track.last_ms:
            self._dirty[subject_id] = track
            return Verdict.JUDGED, self._append(track, ts_ms, values)
        if ts_ms < track.last_ms - track.plan.lateness_ms or not track.ring:
            return Verdict.TOO_LATE, ()
        self._dirty[subject_id] = track
        return Verdict.JUDGED, self._insert(track, ts_ms, values)

    def tick(self, now_ms: int) -> list[Transition]:
        """Time has reached `now_ms` for everyone: timers run out, silence is noticed, circuits are
        judged by their lamps.
        """
        if now_ms <= self.tick_ms:
            return []
        self.tick_ms = now_ms
        transitions: list[Transition] = []
        for track in self._tracks.values():
            if track.wake_ms <= now_ms:
                transitions.extend(self._wake(track, now_ms))
        for circuit in self._circuits:
            transitions.extend(self._judge_now(circuit, now_ms))
        return transitions

    def count_phase(self, subject_id: str, rule_ids: Iterable[str]) -> int:
        """How many members of a circuit have one of these rules pending, firing or clearing."""
        wanted = set(rule_ids)
        return sum(
            any(
                member.instances[i].phase is not Phase.OK
                for rule_id, i in member.plan.index.items()
                if rule_id in wanted
            )
            for member in self._members(self._tracks[subject_id])
        )

    # -- state that outlives the process ------------------------------------------------------

    def layout(self) -> dict[str, list[list[str]]]:
        """Which rules the saved states are about: kind -> [[rule id, state hash], ...]."""
        return {
            kind: [[watch.rule.id, watch.rule.state_hash] for watch in plan.watches]
            for kind, plan in sorted(self._plans.items())
        }

    def take_dirty(self) -> list[tuple[str, bytes]]:
        """The states changed since the last call, ready to be stored."""
        saved = [
            (subject_id, self._encode((t.last_ms, t.instances, t.slots, t.ring)))
            for subject_id, t in self._dirty.items()
        ]
        self._dirty.clear()
        return saved

    def restore(
        self, rows: Iterable[tuple[str, bytes]], layout: Mapping[str, Sequence[Sequence[str]]]
    ) -> None:
        """Take up saved states. A rule that is new or was changed since starts quiet; then all
        states are dirty, to be saved under the new layout.
        """
        decode = msgspec.msgpack.Decoder(
            tuple[int, tuple[Instance, ...], tuple[tuple[Any, ...], ...], list[Entry]]
        ).decode
        same = {kind: list(map(list, layout.get(kind, ()))) for kind in self._plans}
        unchanged = {kind: same[kind] == rules for kind, rules in self.layout().items()}
        for subject_id, blob in rows:
            track = self._tracks.get(subject_id)
            if track is None:
                continue
            kind = track.subject.kind
            track.last_ms, instances, slots, ring = decode(blob)
            if ring:
                track.values = ring[-1].values
            if unchanged[kind]:
                track.instances = tuple(QUIET if i == QUIET else i for i in instances)
                track.slots, track.ring = slots, ring
            else:
                carry_over(track, same[kind], instances, slots)
                self._dirty[subject_id] = track
            track.wake_ms = wake_ms(track)

    def resume(self, subject_id: str, rule_id: str, started_ms: int, fired_ms: int) -> None:
        """An episode is open though its state was lost (the rule was changed): go on with it."""
        track = self._tracks.get(subject_id)
        if track is None or rule_id not in track.plan.index:
            return
        i = track.plan.index[rule_id]
        if track.instances[i].phase in (Phase.OK, Phase.PENDING):
            firing = Instance(Phase.FIRING, started_ms, fired_ms, 0, fired_ms)
            track.instances = replaced(track.instances, i, firing)
            self._dirty[subject_id] = track

    # -- the parts ----------------------------------------------------------------------------

    def _plan(self, kind: str) -> Plan:
        if kind not in self._plans:
            self._plans[kind] = make_plan(kind, self._bundle)
        return self._plans[kind]

    def _members(self, circuit: Track) -> Iterator[Track]:
        tracks = self._tracks
        return (tracks[member] for member in circuit.subject.members if member in tracks)

    def _append(self, track: Track, ts_ms: int, values: dict[str, Any]) -> Sequence[Transition]:
        ring = track.ring
        instances, slots = track.instances, track.slots
        changes = self._step(track, ts_ms, values)
        oldest_ms = ts_ms - track.plan.lateness_ms
        if ring and ring[0].ts_ms < oldest_ms:
            track.ring = ring = [entry for entry in ring if entry.ts_ms >= oldest_ms]
        ring.append(Entry(ts_ms, values, instances, slots, changes))
        track.wake_ms = wake_ms(track)
        if not changes:
            return ()
        return [_transition(track, i, change) for i, change in changes]

    def _insert(self, track: Track, ts_ms: int, values: dict[str, Any]) -> list[Transition]:
        """Run again from before the late sample; report only the net change."""
        place = next(i for i, entry in enumerate(track.ring) if entry.ts_ms > ts_ms)
        redo = track.ring[place:]
        del track.ring[place:]
        told = [change for entry in redo for change in entry.changes]
        track.instances, track.slots = redo[0].instances, redo[0].slots
        track.last_ms = track.ring[-1].ts_ms if track.ring else ts_ms
        now: list[tuple[int, Change]] = []
        for sample_ms, sample in [(ts_ms, values), *((e.ts_ms, e.values) for e in redo)]:
            before = track.instances, track.slots
            changes = self._step(track, sample_ms, sample)
            track.ring.append(Entry(sample_ms, sample, *before, changes))
            now.extend(changes)
        timed = self._advance(track, self.tick_ms)
        track.ring[-1] = track.ring[-1]._replace(changes=track.ring[-1].changes + timed)
        now.extend(timed)
        track.wake_ms = wake_ms(track)
        return _net(track, told, now)

    def _step(
        self, track: Track, ts_ms: int, values: dict[str, Any]
    ) -> tuple[tuple[int, Change], ...]:
        """Judge every rule on one sample, in the order of time."""
        track.last_ms = ts_ms
        track.values = values
        scene = self._scene
        scene.at(track, ts_ms)
        attributes = track.subject.attributes
        changes: list[tuple[int, Change]] = []
        for i, watch in enumerate(track.plan.watches):
            state = track.instances[i]
            if watch.on_silence:
                if state is QUIET:
                    continue
            elif watch.reads.isdisjoint(values):
                continue
            memory: list[Any] = []
            if watch.slotted:
                memory = list(track.slots[i])
            when, clear = judge(watch, values, attributes, scene, memory, state)
            if watch.slotted and (after := tuple(memory)) != track.slots[i]:
                track.slots = replaced(track.slots, i, after)
            if state is QUIET and not when:
                continue
            new, changed = observe(watch.rule, state, when, clear, ts_ms)
            if new is not state:
                track.instances = replaced(track.instances, i, new)
            changes.extend((i, change) for change in changed)
        return tuple(changes)

    def _advance(self, track: Track, now_ms: int) -> tuple[tuple[int, Change], ...]:
        changes: list[tuple[int, Change]] = []
        for i, state in enumerate(track.instances):
            if not state.running:
                continue
            new, changed = advance(track.plan.watches[i].rule, state, now_ms)
            if new is not state:
                track.instances = replaced(track.instances, i, new)
            changes.extend((i, change) for change in changed)
        return tuple(changes)

    def _wake(self, track: Track, now_ms: int) -> list[Transition]:
        changes = list(self._advance(track, now_ms))
        silent_ms = now_ms - track.last_ms
        for i, watch in enumerate(track.plan.watches):
            blind_ms = watch.rule.blind_after_ms
            if blind_ms is not None and track.last_ms >= 0 and silent_ms >= blind_ms:
                new, changed = go_blind(track.instances[i], now_ms)
                if changed:
                    track.instances = replaced(track.instances, i, new)
                changes.extend((i, change) for change in changed)
        if track.ring and changes:
            last = track.ring[-1]
            track.ring[-1] = last._replace(changes=last.changes + tuple(changes))
        if changes:
            self._dirty[track.subject.id] = track
        transitions = [_transition(track, i, change) for i, change in changes]
        if track.subject.kind != "circuit":
            transitions.extend(self._judge_now(track, now_ms))
        track.wake_ms = wake_ms(track)
        return transitions

    def _judge_now(self, track: Track, now_ms: int) -> list[Transition]:
        """Rules about silence and about peers: judged at a tick, without a sample."""
        transitions: list[Transition] = []
        for i, watch in enumerate(track.plan.watches):
            state = track.instances[i]
            if not watch.rule.on_tick or (
                state is QUIET and now_ms - track.last_ms < watch.rule.silence_ms_min
            ):
                continue
            self._scene.at(track, now_ms)
            memory = list(track.slots[i])
            values = self._present_values(track, watch.rule, now_ms)
            attributes = track.subject.attributes
            when, clear = judge(watch, values, attributes, self._scene, memory, state)
            new, changed = observe(watch.rule, state, when, clear, now_ms)
            slots = tuple(memory)
            if new is not state or slots != track.slots[i]:
                track.instances = replaced(track.instances, i, new)
                track.slots = replaced(track.slots, i, slots)
                self._dirty[track.subject.id] = track
            transitions.extend(_transition(track, i, change) for change in changed)
        return transitions

    def _present_values(self, track: Track, rule: Rule, now_ms: int) -> Values:
        """What a circuit's meter last said, while that is fresh; nothing for other subjects."""
        meter = self._tracks.get(track.subject.meter or "")
        if meter is None or meter.last_ms < 0 or now_ms - meter.last_ms > rule.gap_ms_max:
            return {}
        return meter.values


def judge(
    watch: Watch,
    values: Values,
    attributes: Values,
    scene: Scene,
    memory: list[Any],
    state: Instance,
) -> tuple[Truth, Truth]:
    """`when and not unless`, and `clear` where it matters. Conditions with a memory are folded on
    every sample, needed or not.
    """
    when: Truth = watch.when.judge(values, attributes, scene, memory)
    if watch.unless is not None and (when is not False or watch.slotted):
        unless = watch.unless.judge(values, attributes, scene, memory)
        if when is not False:
            when = False if unless is True else None if unless is None else when
    clear: Truth = None
    if watch.clear is not None and (
        watch.slotted or state.phase is Phase.FIRING or state.phase is Phase.CLEARING
    ):
        clear = watch.clear.judge(values, attributes, scene, memory)
    return when, clear


def _transition(track: Track, i: int, change: Change) -> Transition:
    return Transition(
        subject=track.subject.id,
        rule=track.plan.watches[i].rule.id,
        before=change.before,
        after=change.after,
        at_ms=change.at_ms,
        started_ms=change.started_ms,
        cause=change.cause,
        values=track.values,
    )


def _net(
    track: Track, told: list[tuple[int, Change]], now: list[tuple[int, Change]]
) -> list[Transition]:
    """What to say after running again: the new story where it departs from the one told."""
    transitions: list[Transition] = []
    for i in range(len(track.instances)):
        old = [change for at, change in told if at == i]
        new = [change for at, change in now if at == i]
        while old and new and old[0][:2] == new[0][:2]:
            del old[0], new[0]
        fired_before = any(change.after is Phase.FIRING for change in old)
        fires_now = any(change.after is Phase.FIRING for change in new)
        if fired_before and not fires_now:
            undone = Change(Phase.FIRING, Phase.OK, track.last_ms, Cause.LATE_SAMPLE)
            transitions.append(_transition(track, i, undone)._replace(withdrawn=True))
        elif not fired_before or not fires_now:
            transitions.extend(_transition(track, i, change) for change in new)
    return transitions
