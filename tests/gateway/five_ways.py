"""Rules and what some lamps send, through everything that judges: the running gateway, a restarted
one, `rules test`, `rules backtest` over a recording and over the gateway's store, columns.

A scene is told once and put into the form that each of them takes: JSON on a topic, a recording,
the feeds of a test. All but columns tell their story as the journal does: with what a late sample
took back. Columns tell only what is true in the end; `Ending` gathers that from a running engine.
"""

import json
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from gateway.books.ledger import all_readings
from gateway.cli.workbench.materials import Place, gather
from gateway.core import Core
from gateway.effects import Incoming, Saved, Settings
from gateway.inventory.assets import read_assets
from gateway.telemetry import Decoder
from gateway.values import heard
from gateway.workbench.backtest import Backtest
from gateway.workbench.inquiry import Received, from_store, inquire
from gateway.workbench.trial import _Trial
from rules.case import FAULTS, Feed, Mark
from rules.fields import HEARD
from rules.files import load
from rules.ring import read
from rules.series import series_of
from rules.story import shown
from rules.sweep import Sweep
from simulators.recording import write_recording
from simulators.wire import Message, rfc3339
from tests.rules.random_rules import file_of

MINUTE_MS = 60_000
ZONE = "z"


class Sent(NamedTuple):
    """A message on its way. `faults`: what the lamp itself claims."""

    step: int
    values: dict
    faults: tuple = ()
    late_ms: int = 0
    again: int = -1
    """The message that this one repeats."""
    timed: bool = True
    """False: the lamp has no clock at the moment; then the message is not late."""
    lamp: int = 0
    number: int | None = None
    """Where its sequence number is not the next."""


@dataclass(frozen=True)
class Scene:
    """`rules` as they stand in a file; the first is the one that is asked about. `regular`: at most
    one message a lamp and step, lamp by lamp. `others`: repeats, and other words of the same time.
    """

    rules: tuple
    lamp: dict
    start_ms: int
    every_ms: int
    regular: tuple
    others: tuple = ()
    numbered: bool = True
    later_min: int = 0
    """How long nothing comes in the end."""
    lamps: int = 1
    """All alike."""

    @property
    def ids(self):
        return ["L"] if self.lamps == 1 else [f"L-{i + 1}" for i in range(self.lamps)]

    @property
    def asked(self):
        return self.rules[0]["id"]

    def ts_ms(self, sent):
        return self.start_ms + sent.step * self.every_ms

    def came_ms(self, sent):
        return self.ts_ms(sent) + sent.late_ms

    @property
    def count(self):
        return max(one.step for one in self.sent) + 1

    @property
    def sent(self):
        return (*self.regular, *self.others)

    @property
    def until_ms(self):
        """A whole minute after all of it."""
        last_ms = max(map(self.came_ms, self.sent))
        last_ms = max(last_ms, self.start_ms + self.count * self.every_ms)
        return (last_ms // MINUTE_MS + 1 + self.later_min) * MINUTE_MS

    def arrivals(self):
        """In the order of receipt: (when, the lamp, the message)."""
        told = [
            (self.came_ms(one), self.ids[one.lamp], body)
            for one, body in zip(self.sent, self._bodies(), strict=True)
        ]
        return sorted(told, key=_first)

    def _bodies(self):
        sent, numbers = self.sent, self._numbers()
        bodies = []
        for i, one in enumerate(sent):
            if one.again >= 0:
                bodies.append(bodies[one.again])
                continue
            message = {"ts": rfc3339(self.ts_ms(one)) if one.timed else None, "values": one.values}
            message |= {"boot": 1, "seq": numbers[i]} if self.numbered else {}
            message |= {"faults": list(one.faults)} if one.faults else {}
            bodies.append(message)
        return bodies

    def _numbers(self):
        """In the order in which each lamp made them."""
        sent, numbers = self.sent, {}
        for lamp in range(self.lamps):
            made = [i for i, one in enumerate(sent) if one.again < 0 and one.lamp == lamp]
            made.sort(key=lambda i: sent[i].step)
            for number, i in enumerate(made, start=1):
                numbers[i] = number if sent[i].number is None else sent[i].number
        return numbers

    # -- the forms that it is told in ---------------------------------------------------------

    def rule_file(self, *tests):
        first, *others = self.rules
        return file_of({**first, "tests": tests} if tests else first, *others)

    def asset_file(self, folder):
        lon, lat = self.lamp["lon"], self.lamp["lat"]
        known = {key: value for key, value in self.lamp.items() if key not in ("lat", "lon")}
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [lon, lat]},
                "properties": {"asset_id": lamp, "kind": "streetlight", "zone": ZONE, **known},
            }
            for lamp in self.ids
        ]
        path = folder / "assets.geojson"
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    def test(self, state):
        """A test of the first rule, as an author writes it."""
        end_ms = self.start_ms + self.count * self.every_ms
        lamp = {"id": "L", "zone": ZONE, **dict(_written(*item) for item in self.lamp.items())}
        return {
            "name": "as it was",
            "start": rfc3339(self.start_ms).replace("Z", "+00:00"),
            "every": f"{self.every_ms} ms",
            **({"asset": lamp} if self.lamps == 1 else {"assets": {"count": self.lamps, **lamp}}),
            "feed": [{"assets": str(i + 1), **self._feed(i)} for i in range(self.lamps)],
            "expect": [
                {"at": f"end + {self.until_ms - end_ms} ms", "on": self.ids[0], "state": state}
            ],
        }

    def _feed(self, lamp):
        rows = [None] * self.count
        for one in self.regular:
            if one.lamp == lamp:
                rows[one.step] = one
        keys = {key for one in self.regular for key in one.values}
        feed = {
            HEARD["streetlight"][key].name: _runs(
                "_" if row is None or key not in row.values else _literal(key, row.values[key])
                for row in rows
            )
            for key in sorted(keys)
        }
        feed["faults"] = _runs(
            "_" if row is None else "+".join(row.faults) or "none" for row in rows
        )
        feed["late"] = _runs("0 s" if row is None else f"{row.late_ms} ms" for row in rows)
        return feed

    def feeds(self):
        """What no author can write: two messages of one step."""
        for one in self.others:
            alone = [Mark.MISSING] * self.count
            late = [0.0] * self.count
            late[one.step] = float(one.late_ms)
            said = {key: _as_heard(value) for key, value in one.values.items()}
            series = {}
            for key, value in (said | {FAULTS: one.faults}).items():
                series[key] = (*alone[: one.step], value, *alone[one.step + 1 :])
            yield Feed((self.ids[one.lamp],), "streetlight", series, late_ms=tuple(late))


def _runs(words):
    """`58 W x3, _ x2`."""
    runs = ((word, len(list(run))) for word, run in groupby(words))
    return ", ".join(word if count == 1 else f"{word} x{count}" for word, count in runs)


def _as_heard(value):
    """Numbers of messages are all of one type."""
    return value if isinstance(value, bool) else float(value)


def _literal(key, value):
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value} {HEARD['streetlight'][key].unit}"


def _written(key, value):
    """A property of an asset in the words of a test."""
    if key == "dim_curve":
        return key, [[f"{level} %", f"{power} W"] for level, power in value]
    if key == "nominal_power_w":
        return "nominal_power", f"{value} W"
    return key, str(value).lower() if isinstance(value, bool) else str(value)


# -- the ways ---------------------------------------------------------------------------------


def bundle_of(text):
    """None where the text is refused (as a condition that can never be true)."""
    return load({"odd.yaml": text})[0]


def city_of(scene, folder):
    city, findings = read_assets([scene.asset_file(folder)])
    assert not findings, findings
    return city


class Gateway:
    """A core whose clock ticks as that of a running gateway. `store`: everything is committed to
    it, and `restart` begins anew from there.
    """

    def __init__(self, city, bundle, start_ms, store=None):
        self.city, self._bundle, self._store = city, bundle, store
        self._settings = Settings(start_ms=start_ms)
        self._minute_ms = start_ms
        self.journal, self.readings, self.incidents, self.rows = [], [], {}, []
        self._begin()

    def _begin(self):
        saved = Saved("here") if self._store is None else self._store.load()
        self.core = Core(self.city, self._bundle, self._settings, saved)
        if self._store is not None and self.core.layout != saved.layout:
            self._store.save_rules("", self.core.layout, self.core.all_states())

    def restart(self):
        self._begin()

    def pass_before(self, now_ms):
        """Every minute that began before `now_ms`."""
        while self._minute_ms + MINUTE_MS < now_ms:
            self._minute_ms += MINUTE_MS
            self.pass_time(self._minute_ms)

    def pass_time(self, now_ms):
        self._note(self.core.pass_time(now_ms))

    def take(self, messages, now_ms):
        self._note(self.core.process(messages, now_ms))

    def play(self, coming, until_ms, cuts=None, restarts=(), asked=None):
        """`cuts`: after how many messages a batch ends, in turn. `restarts`: before and after which
        batches. Returns the state at an instant that is `asked` for, with subject and rule.
        """
        batches, found = 0, None
        for at_ms, messages in sorted([*coming, *([(asked[0], [])] if asked else [])], key=_first):
            self.pass_before(at_ms)
            rest = list(messages)
            while rest:
                size = cuts[batches % len(cuts)] if cuts else len(rest)
                if batches in restarts:
                    self.restart()
                self.take(rest[:size], at_ms)
                if batches in restarts:
                    self.restart()
                rest, batches = rest[size:], batches + 1
            self.pass_time(at_ms)
            if asked and asked[0] == at_ms:
                found = self.state(*asked[1:])
        self.pass_before(until_ms + 1)
        return found

    def state(self, subject, rule):
        return str(shown(self.core.running.instance(subject, rule)))

    def _note(self, effects):
        if effects is None:
            return
        if self._store is not None:
            self._store.commit(effects)
        self.journal += effects.journal
        self.readings += effects.readings
        self.incidents |= effects.incidents
        self.rows += effects.outbox


def _first(pair):
    return pair[0]


class Ending(list):
    """A ring that keeps what it forgets, so that the whole story can be read in the end."""

    def __init__(self, ring):
        super().__init__(ring)
        self.forgotten = []

    def __delitem__(self, where):
        if where == 0:
            self.forgotten.append(self[0])
        super().__delitem__(where)

    @classmethod
    def of(cls, gateway, subject):
        track = gateway.core.running._tracks[subject]
        track.ring = cls(track.ring)
        return track

    @staticmethod
    def told(track):
        """What is true after all corrections."""
        entries = [read(raw) for _, raw in (*track.ring.forgotten, *track.ring)]
        story = (*(told for entry in entries for told in entry.changes), *track.timed)
        return tuple(change for _, change in story)


def messages_of(scene, together):
    """As the broker gives them: by instant, with the messages of one instant in one `batch` where
    `together` says so.
    """
    for at_ms, arrivals in groupby(scene.arrivals(), key=lambda arrival: arrival[0]):
        messages = []
        for lamp, told in groupby(arrivals, key=lambda arrival: arrival[1]):
            bodies = [body for _, _, body in told]
            if together and len(bodies) > 1:
                messages.append(_message(lamp, "batch", bodies))
            else:
                messages += [_message(lamp, "telemetry", body) for body in bodies]
        yield at_ms, messages


def _message(lamp, leaf, value):
    payload = json.dumps(value).encode()
    return Incoming(f"city/v1/{ZONE}/streetlight/{lamp}/{leaf}", payload)


def _alive(scene):
    """Says nothing to a rule: it only shows that the data goes on."""
    return _message(scene.ids[0], "status", {"online": True})


class Told(Backtest):
    """A backtest with its journal."""

    def __init__(self, *args):
        super().__init__(*args)
        self.journal = []

    def _note(self, effects):
        self.journal += effects.journal
        super()._note(effects)


def by_recording(scene, coming, folder, bundle):
    path = folder / "recording.jsonl"
    said = [(at_ms, one.topic, one.payload) for at_ms, some in coming for one in some]
    said.append((scene.until_ms, *_alive(scene)[:2]))
    write_recording(path, (Message(*one) for one in said))
    material = gather(Place(path, [scene.asset_file(folder)], None))
    run = Told(material.city, bundle, material.settings)
    for received in material.messages():
        run.feed(received)
    return _journal_of(run, scene)


def by_store(scene, city, database, bundle):
    kept = all_readings(database, since_ms=0, until_ms=1 << 62, by_receipt=True)
    run = Told(city, bundle, Settings())
    for received in from_store(kept, follow=False):
        run.feed(received)
    run.feed(Received(scene.until_ms, _alive(scene)))
    return _journal_of(run, scene)


def _journal_of(run, scene):
    """Up to the end of the scene: a backtest waits on for what is held."""
    run.finish()
    return [entry for entry in run.journal if entry.tick_ms <= scene.until_ms]


def by_test(scene, state):
    """`rules test`: its journal, and what failed. A case with more than an author can write gets it
    as further feeds.
    """
    bundle, findings = load({"odd.yaml": scene.rule_file(scene.test(state))})
    assert bundle is not None, findings
    (case,) = bundle.rules[scene.asked].cases
    case = replace(case, feeds=(*case.feeds, *scene.feeds()))
    trial = _Trial(case, bundle)
    failures = list(trial.run())
    return trial.journal, failures


def by_columns(city, rule, lamp, readings, until_ms):
    """The whole history at once, from what the gateway has judged."""
    decoder = Decoder()
    topic = f"city/v1/{ZONE}/streetlight/{lamp}/telemetry"
    samples = []
    for reading in readings:
        if (reading.asset_id, reading.verdict) == (lamp, "fresh"):
            (decoded,) = decoder.decode(topic, reading.body).readings
            samples.append((reading.ts_ms, heard(decoded, city.assets[lamp], reading.ts_ms)))
    (subject,) = (one for one in city.subjects() if one.id == lamp)
    return Sweep(rule).story(subject, series_of(samples), until_ms)


def explained(city, bundle, database, question):
    """The state that `rules explain` tells from the gateway's own store."""
    kept = all_readings(database, since_ms=0, until_ms=1 << 62, by_receipt=True)
    said = inquire(question, city, bundle).answer(from_store(kept, follow=False), rfc3339)
    return "blind" if said.blind else said.phase


def transitions(journal):
    """(subject, rule, when, from, to, why); steps of incidents are left out."""
    told = attrgetter("subject", "rule", "at_ms", "before", "after", "cause")
    return [told(entry) for entry in journal if entry.incident is None]


def without_numbers(journal):
    """Without those of readings: what comes twice is not numbered alike by all."""
    return [entry._replace(reading=None) for entry in journal]


def subject_of(scene, rule):
    """What a rule is about in this city."""
    lamp = scene.ids[0]
    subjects = {
        "circuit": f"circuit:{scene.lamp.get('circuit')}",
        "zone": f"zone:{ZONE}:streetlight",
    }
    return subjects.get(rule.scope, lamp)


def as_transitions(subject, rule, changes):
    return [(subject, rule, *attrgetter("at_ms", "before", "after", "cause")(c)) for c in changes]


def state_after(changes):
    """What these leave behind: what is blind keeps its phase unseen, and may still change it."""
    phase, blind = "ok", False
    for change in changes:
        blind = change.after == "blind" or (blind and change.before != "blind")
        phase = phase if change.after == "blind" else str(change.after)
    return "blind" if blind else phase


def firings(changes):
    """(when its condition became true, when it fired) of each episode."""
    return sorted((c.started_ms, c.at_ms) for c in changes if c[:2] == ("pending", "firing"))


def episodes(incidents):
    """The same of the incidents that were not found to have been mistakes."""
    mistaken = "a late sample showed that it never fired"
    return sorted((i.started_ms, i.fired_ms) for i in incidents if i.why != mistaken)
