"""The rules engine: samples and ticks in, transitions out.

Owns the running state of every rule on every subject. It has no wall clock: time advances with the
samples of a subject and with ticks. The same samples and ticks in the same order give the same
transitions, and samples of one subject may come in any order within the lateness. It reads no
files, keeps nothing on disk (`take_dirty` and `restore` carry its state) and files nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from rules.instance import QUIET, Cause, Change, Instance, Phase, ask
from rules.judging import elapse, judge_now, step
from rules.local_time import LocalTimes
from rules.ring import begin_here, heard, place_in, read, remember, rewind
from rules.rule import Bundle, Values
from rules.saved import dump, restore
from rules.scene import Scene
from rules.sky import Skies
from rules.story import Correction, net_change
from rules.track import (
    NEVER_MS,
    NOWHERE,
    Plan,
    Subject,
    Told,
    Track,
    is_group,
    make_plan,
    set_instance,
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
    """The sample that speaks for it; when it fires, the last one that told the rule anything."""
    withdrawn: bool = False


class View(NamedTuple):
    """The arguments of a condition."""

    values: Values
    attributes: Values
    scene: Scene
    slots: list[Any]


class Verdict(StrEnum):
    JUDGED = "judged"
    TOO_LATE = "too_late"


_JUDGED: tuple[Verdict, Sequence[Transition]] = (Verdict.JUDGED, ())
_TOO_LATE: tuple[Verdict, Sequence[Transition]] = (Verdict.TOO_LATE, ())


class Engine:
    """All rules on all subjects."""

    def __init__(self, bundle: Bundle, subjects: Iterable[Subject] = ()) -> None:
        self._plans: dict[str, Plan] = {}
        self._bundle = bundle
        self._tracks: dict[str, Track] = {}
        self._groups: list[Track] = []
        self._dirty: dict[str, Track] = {}
        self._skies = Skies()
        self._clocks = LocalTimes()
        self._scene = Scene(self._members)
        self.tick_ms = 0
        """The last tick."""
        for subject in subjects:
            self.add(subject)

    def add(self, subject: Subject) -> None:
        """Start to watch a subject; one that is already there is left as it is."""
        if subject.id in self._tracks:
            return
        sky = self._skies.over(subject.lat, subject.lon)
        clock = self._clocks.of(subject.time_zone)
        track = Track(subject, self._plan(subject.kind), sky, clock)
        self._tracks[subject.id] = track
        if is_group(subject.kind):
            self._groups.append(track)

    def drop(self, subject_id: str) -> None:
        """Watch a subject no longer; its state is gone."""
        self._tracks.pop(subject_id, None)
        self._dirty.pop(subject_id, None)

    def knows(self, subject_id: str) -> bool:
        return subject_id in self._tracks

    def watches(self, subject_id: str, rule_id: str) -> bool:
        """Whether the rule is one about this subject."""
        return self.knows(subject_id) and rule_id in self._tracks[subject_id].plan.index

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

    def instance(self, subject_id: str, rule_id: str) -> Instance:
        """The whole state of a rule on a subject that it watches."""
        track = self._tracks[subject_id]
        return track.instances[track.plan.index[rule_id]]

    def view(self, subject_id: str, rule_id: str, now_ms: int) -> View:
        """What a rule that needs no sample is judged on, were it judged now."""
        track = self._tracks[subject_id]
        i = track.plan.index[rule_id]
        values = self._present_values(track, track.plan.watches[i].rule.gap_ms_max, now_ms)
        self._scene.at(track, now_ms)
        return View(values, track.subject.attributes, self._scene, list(track.slots[i]))

    def seen_ms(self, subject_id: str) -> int:
        """The last sample of a subject; -1 if there was none."""
        return self._tracks[subject_id].last_ms

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

    @property
    def wake_ms(self) -> int:
        """Before then no tick changes anything; groups are judged at each."""
        if any(group.plan.watches for group in self._groups):
            return self.tick_ms
        return min((track.wake_ms for track in self._tracks.values()), default=NEVER_MS)

    # -- samples and time ---------------------------------------------------------------------

    def feed(
        self, subject_id: str, ts_ms: int, values: dict[str, Any]
    ) -> tuple[Verdict, Sequence[Transition]]:
        """Judge one sample. Late ones are put in their place; too late ones, and those that are
        there already, change nothing.
        """
        track = self._tracks[subject_id]
        timed = track.timed
        if ts_ms <= track.last_ms or (timed and any(c.at_ms >= ts_ms for _, c in timed)):
            return self._insert(track, ts_ms, values)
        self._dirty[subject_id] = track
        changes = step(track, self._scene, ts_ms, values)
        if not timed and not changes:
            remember(track, ())
            track.wake_ms = wake_ms(track)
            return _JUDGED
        story, _ = _sorted_out(track, changes)
        remember(track, (*timed, *story))
        track.timed = ()
        track.wake_ms = wake_ms(track)
        return Verdict.JUDGED, [_transition(track, i, change) for i, change in changes]

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
        for group in self._groups:
            transitions.extend(self._judge_now(group, now_ms))
        return transitions

    # -- state that outlives the process ------------------------------------------------------

    def layout(self) -> dict[str, list[list[str]]]:
        """Which rules the saved states are about: kind -> [[rule id, state hash], ...]."""
        return {
            kind: [[watch.rule.id, watch.rule.state_hash] for watch in plan.watches]
            for kind, plan in sorted(self._plans.items())
        }

    def take_dirty(self) -> list[tuple[str, bytes]]:
        """The states changed since the last call, ready to be stored."""
        saved = [(subject_id, dump(track)) for subject_id, track in self._dirty.items()]
        self._dirty.clear()
        return saved

    def restore(
        self, rows: Iterable[tuple[str, bytes]], layout: Mapping[str, Sequence[Sequence[str]]]
    ) -> None:
        """Take up saved states. A rule that is new or was changed since starts quiet; then all
        states are dirty, to be saved under the new layout.
        """
        today = self.layout()
        then = {kind: [list(rule) for rule in layout.get(kind, ())] for kind in today}
        for subject_id, blob in rows:
            track = self._tracks.get(subject_id)
            if track is None:
                continue
            kind = track.subject.kind
            same = then[kind] == today[kind]
            restore(track, blob, None if same else then[kind])
            if not same:
                self._dirty[subject_id] = track

    def resume(self, subject_id: str, rule_id: str, started_ms: int, fired_ms: int) -> None:
        """An episode is open though its state was lost (the rule was changed): go on with it."""
        track = self._tracks.get(subject_id)
        if track is None or rule_id not in track.plan.index:
            return
        i = track.plan.index[rule_id]
        if track.instances[i].phase in (Phase.OK, Phase.PENDING):
            firing = Instance(Phase.FIRING, started_ms, fired_ms, 0, fired_ms)
            set_instance(track, i, firing)
            begin_here(track)
            track.wake_ms = wake_ms(track)
            self._dirty[subject_id] = track

    def ask(self, subject_id: str, rule_id: str, from_ms: int) -> bool:
        """Whether samples will tell. Somebody says that it is repaired. If it is not, a transition
        from firing to firing says so, by samples from then on alone: what conditions remember must
        be of that time too. Nothing is asked of groups, which are judged by what their members said
        long ago.
        """
        track = self._tracks.get(subject_id)
        i = None if track is None else track.plan.index.get(rule_id)
        if track is None or i is None or is_group(track.subject.kind):
            return False
        state = track.instances[i]
        if state.phase not in (Phase.FIRING, Phase.CLEARING):
            return False
        set_instance(track, i, ask(state, from_ms + track.plan.watches[i].rule.memory_ms))
        begin_here(track)
        self._dirty[subject_id] = track
        return True

    # -- the parts ----------------------------------------------------------------------------

    def _plan(self, kind: str) -> Plan:
        if kind not in self._plans:
            self._plans[kind] = make_plan(kind, self._bundle)
        return self._plans[kind]

    def _members(self, circuit: Track) -> Iterator[Track]:
        tracks = self._tracks
        return (tracks[member] for member in circuit.subject.members if member in tracks)

    def _insert(
        self, track: Track, ts_ms: int, values: dict[str, Any]
    ) -> tuple[Verdict, Sequence[Transition]]:
        """A sample from before the last one, or from before what time alone has changed: run again
        from there, and report the net change.
        """
        if ts_ms < track.last_ms - track.plan.lateness_ms:
            return _TOO_LATE
        place = place_in(track, ts_ms, values)
        if place is None:
            return _JUDGED
        if place == 0:
            return _TOO_LATE
        self._dirty[track.subject.id] = track
        redo = [(at_ms, read(raw)) for at_ms, raw in track.ring[place:]]
        told = (*(change for _, entry in redo for change in entry.changes), *track.timed)
        was = track.instances
        del track.ring[place:]
        rewind(track)
        samples = [(ts_ms, values), *((at_ms, entry.values) for at_ms, entry in redo)]
        story, said = self._run_again(track, samples)
        track.wake_ms = wake_ms(track)
        transitions = [_transition(track, i, change) for i, change in said]
        for i in sorted({i for i, _ in (*told, *story)}):
            old = [change for at, change in told if at == i]
            new = [change for at, change in story if at == i]
            said_now = net_change(old, new, was[i], track.instances[i], ts_ms)
            transitions.extend(_correction(track, i, correction) for correction in said_now)
        return Verdict.JUDGED, transitions

    def _run_again(
        self, track: Track, samples: Iterable[tuple[int, dict[str, Any]]]
    ) -> tuple[Told, Told]:
        """The new story up to the last tick, and what rules on silence and phases say beside it."""
        stories: list[tuple[int, Change]] = []
        said: list[tuple[int, Change]] = []
        for ts_ms, values in samples:
            story, other = _sorted_out(track, step(track, self._scene, ts_ms, values))
            remember(track, story)
            stories.extend(story)
            said.extend(other)
        if self.tick_ms > track.last_ms:
            track.timed = elapse(track, self.tick_ms)
            stories.extend(track.timed)
        return tuple(stories), tuple(said)

    def _wake(self, track: Track, now_ms: int) -> list[Transition]:
        changes = elapse(track, now_ms)
        transitions = [_transition(track, i, change) for i, change in changes]
        if changes:
            track.timed = (*track.timed, *changes)
            self._dirty[track.subject.id] = track
        if not is_group(track.subject.kind):
            transitions.extend(self._judge_now(track, now_ms))
        track.wake_ms = wake_ms(track)
        return transitions

    def _judge_now(self, track: Track, now_ms: int) -> list[Transition]:
        """Rules about silence and about peers: judged at a tick, without a sample."""
        transitions: list[Transition] = []
        for i, watch in enumerate(track.plan.watches):
            heard = now_ms - track.last_ms < watch.rule.silence_ms_min
            if not watch.on_tick or (heard and track.instances[i] is QUIET):
                continue
            values = self._present_values(track, watch.rule.gap_ms_max, now_ms)
            changes, changed = judge_now(track, self._scene, i, values, now_ms)
            if changed:
                self._dirty[track.subject.id] = track
            transitions.extend(_transition(track, i, change) for change in changes)
        return transitions

    def _present_values(self, track: Track, fresh_ms: int, now_ms: int) -> Values:
        """What a subject last said, for a circuit its meter, while that is fresh."""
        if track.subject.kind == "circuit":
            meter = self._tracks.get(track.subject.meter or "", NOWHERE)
        else:
            meter = track
        return meter.values if now_ms - meter.last_ms <= fresh_ms else {}


def _sorted_out(track: Track, changes: Told) -> tuple[Told, Told]:
    """Changes that late samples may rewrite, and those of rules that are judged as time passes."""
    watches = track.plan.watches
    return (
        tuple(told for told in changes if not watches[told[0]].on_tick),
        tuple(told for told in changes if watches[told[0]].on_tick),
    )


def _transition(track: Track, i: int, change: Change) -> Transition:
    watch = track.plan.watches[i]
    values: Values = track.values
    if change.after is Phase.FIRING:
        values = heard(track, watch.reads, change.at_ms)
    return Transition(
        subject=track.subject.id,
        rule=watch.rule.id,
        before=change.before,
        after=change.after,
        at_ms=change.at_ms,
        started_ms=change.started_ms,
        cause=change.cause,
        values=values,
    )


def _correction(track: Track, i: int, correction: Correction) -> Transition:
    transition = _transition(track, i, correction.change)
    return transition._replace(withdrawn=True) if correction.withdrawn else transition
