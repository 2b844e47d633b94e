"""Inquiry: why a rule stood as it did on one subject at one time, from messages that were kept.

Pure. The history of the subject, and of its circuit where the rule or a fault above it looks there,
goes through the very core of the gateway up to the time asked for, minute by minute; the rule's
conditions are looked into as they are judged. What had not been received by then is not used, so
the answer is what the gateway knew. Decides nothing and changes nothing.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from gateway.cases.incident import Incident, State
from gateway.cityhall.delivery import Row
from gateway.clock import TICK_MS
from gateway.core import Core
from gateway.effects import Effects, Incoming, Saved, Settings, StoredReading
from gateway.inventory.assets import Asset, City, circuit_id, zone_id
from rules.document import near
from rules.evidence import Evidence, Judgement, Standing, Written
from rules.explain import Explanation, explain
from rules.instance import Phase
from rules.interpret import Tracer, traced
from rules.rule import Bundle, Condition, Judge, Rule, Values
from rules.rule import Scene as SceneProtocol
from rules.scene import Scene
from rules.track import ZONE
from rules.tree import Op, walk
from rules.wording import duration_text

HISTORY_MS = 14 * 86_400_000
"""As far back as the longest window of a rule can look."""
KNOWN_MAX = 20  # names told where none is like the one asked for
NAME_MAX = 64  # characters compared
_PREFIX = "circuit:"


class Unanswerable(Exception):  # noqa: N818 - the question is at fault, not the program
    """What is wrong with a question, and what could be asked instead."""


class Received(NamedTuple):
    """A message and when it came."""

    at_ms: int
    message: Incoming


@dataclass(frozen=True, slots=True)
class Question:
    rule: str
    asset: str
    """An asset, a circuit or a place."""
    at_ms: int


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A question that can be asked of this city: what it is about, and whose messages it needs."""

    rule: Rule
    subject: str
    at_ms: int
    city: City
    """What stands there and matters."""
    bundle: Bundle
    devices: frozenset[str]
    needs_road: bool
    """Those of every vehicle: a place is made of their passes."""

    def wants(self, kind: str, device: str) -> bool:
        return kind == "road" if self.needs_road else device in self.devices

    def answer(
        self, messages: Iterable[Received], written: Written, settings: Settings | None = None
    ) -> Explanation:
        """From the messages in the order of receipt; those that it does not want change nothing.
        Raises Unanswerable.
        """
        recorder = _Recorder(self.rule, self.subject, self.at_ms)
        watched = {**self.bundle.rules, self.rule.id: recorder.rule}
        run = _Run(self, replace(self.bundle, rules=watched), settings or Settings())
        run.play(messages, written)
        return explain(run.evidence(recorder, written), written)


def inquire(question: Question, city: City, bundle: Bundle) -> Inquiry:
    """Raises Unanswerable, with the nearest names."""
    rule = bundle.rules.get(question.rule)
    if rule is None:
        hint = near(question.rule, bundle.rules)
        raise Unanswerable(f"there is no rule {question.rule!r}; {hint}")
    if rule.scope == "place":
        return Inquiry(
            rule, question.asset, question.at_ms, _roads(city), bundle, frozenset(), True
        )
    subject, assets = _subject(question.asset, rule, city, bundle)
    by_device = {d: a for d, a in city.by_device.items() if a.id in assets}
    devices = frozenset(by_device)
    part = City(assets, by_device, city.time_zone)
    return Inquiry(rule, subject, question.at_ms, part, bundle, devices, False)


def _roads(city: City) -> City:
    """Vehicles that are assets are no part of any place."""
    by_device = {device: asset for device, asset in city.by_device.items() if asset.kind == "road"}
    assets = {asset.id: asset for asset in by_device.values()}
    return City(assets, by_device, city.time_zone)


def _subject(name: str, rule: Rule, city: City, bundle: Bundle) -> tuple[str, dict[str, Asset]]:
    """The id of what the rule is about, and the assets that it takes to judge that."""
    circuits = {str(a.attributes["circuit"]) for a in city.assets.values()
                if a.attributes.get("circuit")}  # fmt: skip
    asset = city.assets.get(name)
    circuit = asset.attributes.get("circuit") if asset is not None else name.removeprefix(_PREFIX)
    if rule.scope == "circuit":
        if circuit not in circuits:
            known = sorted({*circuits, *city.assets})
            hint = "it has no circuit" if asset is not None else _nearest(name, known)
            raise Unanswerable(f"{rule.id} is about circuits, and {name!r} is none; {hint}")
        return circuit_id(str(circuit)), _on_circuit(city, str(circuit))
    if rule.scope == "zone":
        bare = name.removeprefix(ZONE).removesuffix(f":{rule.sensor}")
        zone = bare if asset is None else asset.zone
        inside = {a.id: a for a in city.assets.values() if (a.zone, a.kind) == (zone, rule.sensor)}
        if not inside:
            known = sorted({a.zone for a in city.assets.values() if a.kind == rule.sensor})
            message = f"{rule.id} is about zones, and there is no {rule.sensor} in {zone!r}"
            raise Unanswerable(f"{message}; {_nearest(zone, known)}")
        return zone_id(zone, rule.sensor), inside
    if asset is None:
        of_kind = [a.id for a in city.assets.values() if a.kind == rule.sensor]
        raise Unanswerable(f"there is no {rule.sensor} {name!r}; {_nearest(name, of_kind)}")
    if asset.kind != rule.sensor:
        others = [r.id for r in bundle.rules.values() if r.sensor == asset.kind]
        message = f"{rule.id} is about a {rule.sensor}, and {name!r} is a {asset.kind}"
        raise Unanswerable(f"{message}; rules about that: {', '.join(others) or 'none'}")
    if circuit and _looks_at_circuit(rule, bundle):
        return asset.id, _on_circuit(city, str(circuit))
    return asset.id, {asset.id: asset}


def _nearest(name: str, known: Collection[str]) -> str:
    """A city is too large to be listed."""
    some = get_close_matches(name[:NAME_MAX], known, n=3) or sorted(known)[:KNOWN_MAX]
    return near(name, some) if len(known) > KNOWN_MAX else near(name, known)


def _on_circuit(city: City, circuit: str) -> dict[str, Asset]:
    return {a.id: a for a in city.assets.values() if a.attributes.get("circuit") == circuit}


def _looks_at_circuit(rule: Rule, bundle: Bundle) -> bool:
    """It, or a rule that it waits for or refers to, is about the circuit."""
    seen: set[str] = set()
    open_ = [rule.id]
    while open_:
        one = bundle.rules.get(open_.pop())
        if one is None or one.id in seen:
            continue
        if one.scope == "circuit":
            return True
        seen.add(one.id)
        open_.extend((*one.absorbed_by, *_referred(one)))
    return False


def _referred(rule: Rule) -> Iterator[str]:
    for condition in (rule.when, rule.unless, rule.clear):
        for node in walk(condition.tree) if condition is not None and condition.tree else ():
            if node.op is Op.PHASE and isinstance(node.detail, tuple):
                yield str(node.detail[0])


# -- looking in -------------------------------------------------------------------------------


class _Recorder:
    """Keeps what the conditions of a rule came to when they were last judged on one subject."""

    def __init__(self, rule: Rule, subject: str, at_ms: int) -> None:
        self._subject = subject
        # What is judged at every tick need only be looked into at the last one.
        self._from_ms = at_ms - at_ms % TICK_MS if rule.on_tick else 0
        self._judge: Judge = rule.when.judge
        self._when = _tracer(rule.when)
        self._unless = _tracer(rule.unless) if rule.unless is not None else None
        self._clear = _tracer(rule.clear) if rule.clear is not None else None
        self.judgement: Judgement | None = None
        self.rule = replace(rule, when=replace(rule.when, compiled=lambda: self.judge))
        """The rule, looked into."""

    def judge(
        self, values: Values, attributes: Values, scene: SceneProtocol, slots: list[Any]
    ) -> Any:
        """`when` is judged first and always: from here all conditions see the same memory."""
        here = isinstance(scene, Scene) and scene.track.subject.id == self._subject
        if here and scene.ts_ms >= self._from_ms:
            self.look(values, attributes, scene, slots)
        return self._judge(values, attributes, scene, slots)

    def look(
        self, values: Values, attributes: Values, scene: SceneProtocol, slots: list[Any]
    ) -> None:
        whens = (self._when, self._unless, self._clear)
        when, unless, clear = (
            None if trace is None else trace(values, attributes, scene, list(slots))
            for trace in whens
        )
        assert when is not None
        self.judgement = Judgement(scene.ts_ms, when, unless, clear)


def _tracer(condition: Condition) -> Tracer:
    assert condition.tree is not None  # loaded from a file, not made by hand
    return traced(condition.tree, condition.first_slot, condition.text)


# -- running ----------------------------------------------------------------------------------


class _Run:
    """The history of a question, through the core, up to its time."""

    def __init__(self, inquiry: Inquiry, bundle: Bundle, settings: Settings) -> None:
        self._inquiry = inquiry
        self._bundle = bundle
        self._settings = replace(settings, follow=False)
        self._core: Core | None = None
        self._minute_ms = 0
        self._incidents: dict[int, Incident] = {}
        self._rows: dict[int, tuple[Row, int]] = {}

    def play(self, messages: Iterable[Received], written: Written) -> None:
        at_ms = self._inquiry.at_ms
        first_ms = None
        for received in messages:
            first_ms = received.at_ms if first_ms is None else first_ms
            if received.at_ms > at_ms:
                break
            self._pass_to(received.at_ms - 1)
            self._note(self._running(received.at_ms).process([received.message], received.at_ms))
        if first_ms is None:
            who = ", ".join(sorted(self._inquiry.devices)[:5]) or "any vehicle"
            when = f"in the {duration_text(HISTORY_MS)} before {written(at_ms)}"
            raise Unanswerable(f"there is no message of {who} {when}")
        if first_ms > at_ms:
            before = duration_text(first_ms - at_ms)
            message = f"{written(at_ms)} is {before} before the first message"
            raise Unanswerable(f"{message}, which came at {written(first_ms)}")
        self._pass_to(at_ms)

    def evidence(self, recorder: _Recorder, written: Written) -> Evidence:
        rule, subject, at_ms = recorder.rule, self._inquiry.subject, self._inquiry.at_ms
        engine = self._running(at_ms).running
        if not engine.watches(subject, rule.id):
            hint = _nearest(subject, {incident.subject for incident in self._incidents.values()})
            raise Unanswerable(f"there is no place {subject!r} at {written(at_ms)}; {hint}")
        judged = recorder.judgement
        if rule.on_tick and (judged is None or judged.at_ms < engine.tick_ms):
            recorder.look(*engine.view(subject, rule.id, engine.tick_ms))
        sample_ms = engine.seen_ms(subject)
        return Evidence(
            rule,
            subject,
            at_ms,
            engine.instance(subject, rule.id),
            None if sample_ms < 0 else sample_ms,
            recorder.judgement,
            self._standing(rule, subject),
        )

    def _running(self, now_ms: int) -> Core:
        if self._core is None:
            started = replace(self._settings, start_ms=now_ms - now_ms % TICK_MS, passing=True)
            self._core = Core(self._inquiry.city, self._bundle, started, Saved("inquiry"))
            self._minute_ms = now_ms
        return self._core

    def _pass_to(self, now_ms: int) -> None:
        """As the clock of a running gateway does, which ticks though nothing comes."""
        core = self._running(now_ms)
        first_ms = self._minute_ms - self._minute_ms % TICK_MS + TICK_MS
        for minute_ms in range(first_ms, now_ms + 1, TICK_MS):
            effects = core.pass_time(minute_ms)
            if effects is not None:
                self._note(effects)
        self._minute_ms = max(self._minute_ms, now_ms)

    def _note(self, effects: Effects) -> None:
        if not effects.incidents:
            return
        self._incidents |= effects.incidents
        for row in (*effects.outbox, *effects.unfiled):
            self._rows[row.incident_id] = row, effects.tick_ms

    def _standing(self, rule: Rule, subject: str) -> Standing | None:
        own = [i for i in self._incidents.values() if (i.rule, i.subject) == (rule.id, subject)]
        if not own:
            return None
        last = max(own, key=lambda incident: incident.id)
        row, filed_ms = self._rows.get(last.id, (None, None))
        return Standing(
            str(last.state),
            last.why,
            last.fired_ms,
            last.due_ms,
            last.is_open,
            last.cleared_ms,
            self._parent(rule, last),
            "" if row is None else row.service,
            filed_ms,
        )

    def _parent(self, rule: Rule, incident: Incident) -> str:
        """The fault that explains it, or that must be judged first."""
        if incident.parent is not None and incident.parent in self._incidents:
            parent = self._incidents[incident.parent]
            return f"{parent.rule} of {parent.subject}"
        asset = self._inquiry.city.assets.get(incident.subject)
        circuit = asset.attributes.get("circuit") if asset is not None else None
        if incident.state is not State.HELD or not circuit:
            return ""
        above = circuit_id(str(circuit))
        phase = self._running(0).running.phase
        waits = [r for r in rule.absorbed_by if phase(above, r) is Phase.PENDING]
        return f"{waits[0]} of {above}" if waits else ""


def from_store(readings: Iterable[StoredReading], *, follow: bool) -> Iterator[Received]:
    """Stored readings as the messages that they came in. `follow`: the time was that of the data
    when they came, so they are taken to have come when they were made.
    """
    latest_ms = 0
    for reading in readings:
        topic = f"city/v1/{reading.zone}/{reading.kind}/{reading.device}/telemetry"
        latest_ms = max(latest_ms, reading.ts_ms)
        at_ms = latest_ms if follow else reading.received_ms
        yield Received(at_ms, Incoming(topic, reading.body))


def spoken(topic: str) -> tuple[str, str]:
    """(kind, device) of a topic; empty where it names none."""
    parts = topic.split("/")
    return (parts[3], parts[4]) if len(parts) > 4 else ("", "")


def only(inquiry: Inquiry, messages: Iterable[Received]) -> Iterator[Received]:
    """Those of the messages that an inquiry wants."""
    return (one for one in messages if inquiry.wants(*spoken(one.message.topic)))
