"""The life of a batch: messages in, every effect of them out, as one value.

Pure: no clock, no disk, no network. `process` takes each message through the same steps (decode,
identify, admit, detect, decide, enqueue) and collects what is to be stored; the caller commits all
of it in one transaction and only then acknowledges. If that fails, this object is thrown away and
built again from the store: nothing in memory is ahead of the disk for longer than a batch.
"""

from collections.abc import Sequence

from gateway.cases.incident import Incident, State, Step, Why, key_of
from gateway.cases.incidents import Book
from gateway.cases.neighbourhood import Neighbourhood
from gateway.cases.obeying import Obedience
from gateway.cases.orders import Given
from gateway.cases.places import Place
from gateway.cases.roadway import Roadway
from gateway.cases.silences import silenced
from gateway.cityhall.delivery import Row
from gateway.cityhall.requests import news_of, reopening, row_for, service_request, spot_of
from gateway.clock import QUORUM, Frontier, minute_from
from gateway.effects import Effects, Incoming, Saved, Settings, StoredReading
from gateway.field import devices
from gateway.field.devices import Device, Times, Verdict
from gateway.field.identity import identify
from gateway.field.quota import Quota
from gateway.inventory.assets import Asset, City, circuit_id
from gateway.refusal import RETAINED, Refusal
from gateway.sources import Sources
from gateway.telemetry import Address, Reading, numbers_of
from gateway.values import heard
from rules import engine
from rules.engine import Engine, Transition
from rules.rule import Bundle
from rules.track import Subject

DAY_MS = 86_400_000
FOREVER_MS = 1 << 62
STEPS_MAX = 1440
"""Minutes that the data may skip and be made up for one by one: a day in which circuits, judged at
each, were not heard of."""


class Core:
    """Everything that decides, in memory. Built from what the store remembers."""

    def __init__(
        self,
        city: City,
        bundle: Bundle,
        settings: Settings,
        saved: Saved,
        sources: Sources | None = None,
    ) -> None:
        self._city = city
        self._rules = bundle.rules
        self._settings = settings
        self._installation = saved.installation
        self._sources = sources or Sources()
        self._quota = Quota(settings.device_per_minute_max)
        self.devices = devices.Register(saved.devices)
        self._roadway = Roadway(bundle.rules.values())
        self._engine = Engine(bundle, city.subjects())
        self._silences = dict(saved.silences)
        self._book = Book(
            Neighbourhood(
                self._rules.__getitem__,
                self._engine.phase,
                self._parent_of,
                self._engine.seen_ms,
                self._engine.ask,
                self._engine.resume,
                self._silenced_until,
                city.shadows().__contains__,
            )
        )
        start_ms = saved.tick_ms or settings.start_ms
        self._frontier = Frontier(start_ms, quorum=min(QUORUM, len(city.by_device)) or QUORUM)
        self._follow_ms = saved.follow_ms
        self._times = Times(0, 0, 0)
        self._now_ms = 0
        self._forgot_day = 0
        self._reading_id = saved.reading_id
        self._restore(saved)

    @property
    def tick_ms(self) -> int:
        """Up to when the rules have taken time to have passed."""
        return self._frontier.tick_ms

    @property
    def next_ms(self) -> int:
        """Before then no tick changes anything, if no reading comes."""
        day_ms = (self._engine.tick_ms // DAY_MS + 1) * DAY_MS
        return min(self._engine.wake_ms, self._book.due_ms, day_ms)

    @property
    def running(self) -> Engine:
        """The rules as they run: to be looked at, never to be fed."""
        return self._engine

    @property
    def layout(self) -> dict[str, list[list[str]]]:
        """To be saved with the states."""
        return self._engine.layout()

    def process(self, batch: Sequence[Incoming], now_ms: int) -> Effects:
        """Take a batch in the order of its messages. `now_ms`: the time of receipt."""
        effects = Effects()
        self._now_ms = now_ms
        for incoming in batch:
            self._receive(incoming, now_ms, effects)
        return self._finish(effects)

    def take(self, readings: Sequence[Reading], now_ms: int) -> Effects:
        """As `process`, for readings that are decoded already."""
        effects = Effects()
        self._now_ms = now_ms
        for reading in readings:
            incoming = Incoming("/".join(("city/v1", *reading.address)), reading.body)
            self._take(incoming, reading, now_ms, effects)
        return self._finish(effects)

    def pass_time(self, now_ms: int) -> Effects | None:
        """No message is waiting: time has passed up to `now_ms`, or, when time follows the data,
        up to the last of it. None if that is no new minute.
        """
        follows = self._settings.follow
        minute_ms = self._frontier.move_to(self._follow_ms if follows else now_ms)
        if minute_ms is None:
            return None
        effects = Effects()
        self._now_ms = now_ms
        if follows:
            self._run_to(minute_ms, effects)
        else:
            self._tick(minute_ms, effects)
        return self._finish(effects)

    def obey(self, given: Sequence[Given], now_ms: int) -> Effects:
        """Carry out what a person, or the city, said; each order has its answer in the effects."""
        effects = Effects()
        self._now_ms = now_ms
        obedience = Obedience(self._book, self._silences)
        before = dict(self._silences)
        for order in given:
            answer, steps = obedience.carry_out(order, self._engine.tick_ms)
            effects.answers.append(answer)
            self._follow_up(steps, effects)
        effects.silences |= {
            number: silence
            for number, silence in self._silences.items()
            if before.get(number) is not silence
        }
        return self._finish(effects)

    def all_states(self) -> Effects:
        """Every state of the rules, to be saved under a new layout."""
        effects = Effects()
        effects.states = self._engine.take_dirty()
        return effects

    # -- one message --------------------------------------------------------------------------

    def _receive(self, incoming: Incoming, now_ms: int, effects: Effects) -> None:
        decoded = self._sources.decode(incoming.topic, incoming.payload, now_ms)
        if decoded.status is not None:
            self._device(decoded.status.address, effects).online = decoded.status.online
        elif decoded.address is not None or decoded.readings:
            device = (decoded.address or decoded.readings[0].address).device
            refusal = RETAINED if incoming.retain else self._quota.refusal(device, now_ms)
            if refusal is not None:
                # Its number is not noted: the message itself may still come.
                effects.refuse(incoming, device, refusal, now_ms, incoming.payload)
                return
        for refusal, body in zip(decoded.refusals, decoded.refused, strict=True):
            self._refuse(incoming, decoded.address, refusal, now_ms, effects, body)
        for reading in decoded.readings:
            self._take(incoming, reading, now_ms, effects)

    def _take(self, incoming: Incoming, reading: Reading, now_ms: int, effects: Effects) -> None:
        asset = identify(reading, self._city, allow_simulated=self._settings.allow_simulated)
        if isinstance(asset, Refusal):
            self._refuse(incoming, reading.address, asset, now_ms, effects, reading.body)
            return
        device = self._device(reading.address, effects)
        admitted, ts_ms = devices.admit(device, reading, self._times_of(reading, now_ms))
        if admitted is Verdict.DUPLICATE:
            effects.duplicates += 1
            return
        verdict: str = admitted
        if admitted is Verdict.FRESH:
            if asset is None:
                verdict = self._detect_on_road(device, reading, ts_ms, effects)
            elif self._detect(device, reading, asset, ts_ms, effects) == engine.Verdict.TOO_LATE:
                device.late += 1
                verdict = Verdict.LATE
        self._keep(reading, asset, ts_ms, now_ms, verdict, effects)
        is_current = admitted is Verdict.FRESH and verdict is not Verdict.LATE
        if ts_ms >= self._frontier.next_ms and is_current:
            latest_ms = FOREVER_MS if self._settings.follow else now_ms
            minute_ms = self._frontier.pass_(device.name, ts_ms, latest_ms)
            if minute_ms is not None:
                self._run_to(minute_ms, effects)

    def _times_of(self, reading: Reading, now_ms: int) -> Times:
        """What its time is measured against; the same for all readings between two ticks, unless
        time follows the data.
        """
        times = self._times
        if self._settings.follow:
            self._follow_ms = max(self._follow_ms, reading.ts_ms or 0)
            now_ms, latest_ms = self._follow_ms, FOREVER_MS
        else:
            latest_ms = now_ms + self._settings.max_skew_ms
        oldest_ms = self._frontier.tick_ms - self._settings.max_age_ms
        if times.now_ms != now_ms or times.oldest_ms != oldest_ms:
            times = self._times = Times(now_ms, latest_ms, oldest_ms)
        return times

    def _detect_on_road(
        self, device: Device, reading: Reading, ts_ms: int, effects: Effects
    ) -> str:
        """The verdict, or why it is not judged. A pass becomes a reading of its place."""
        scene = self._engine.scene_at(ts_ms)
        verdict, news = self._roadway.take(device, reading, ts_ms, scene)
        for place, values in news:
            self._engine.add(_place_subject(place, self._city.time_zone))
            # The counts are our own, true from now on, though a pass may have come late.
            counted_ms = max(ts_ms, self._engine.seen_ms(place.id) + 1)
            _, transitions = self._engine.feed(place.id, counted_ms, values)
            self._decide(transitions, self._reading_id + 1, effects)
        return verdict

    def _detect(
        self, device: Device, reading: Reading, asset: Asset, ts_ms: int, effects: Effects
    ) -> engine.Verdict:
        values = heard(reading, asset, ts_ms)
        devices.note_heard(device, values)
        verdict, transitions = self._engine.feed(asset.id, ts_ms, values)
        if transitions:
            self._decide(transitions, self._reading_id + 1, effects)
        return verdict

    # -- what follows from it -----------------------------------------------------------------

    def _run_to(self, minute_ms: int, effects: Effects) -> None:
        """The data say that it is `minute_ms`: nobody said anything in between, so what falls due
        by then does so at its own minute, as if somebody had watched.
        """
        for _ in range(STEPS_MAX):
            step_ms = minute_from(max(self.next_ms, self._engine.tick_ms + 1))
            if step_ms >= minute_ms:
                break
            self._tick(step_ms, effects)
        self._tick(minute_ms, effects)

    def _tick(self, minute_ms: int, effects: Effects) -> None:
        self._decide(self._engine.tick(minute_ms), None, effects)
        self._follow_up(self._book.due(minute_ms), effects)
        if minute_ms // DAY_MS != self._forgot_day:
            self._forgot_day = minute_ms // DAY_MS
            self._forget_places(minute_ms, effects)

    def _forget_places(self, now_ms: int, effects: Effects) -> None:
        """Once a day: spots that came to nothing and that nothing passed for their whole window."""
        for place_id in self._roadway.places.forget(now_ms - self._roadway.window_ms):
            self._engine.drop(place_id)
            effects.places_gone.append(place_id)

    def _decide(
        self, transitions: Sequence[Transition], reading: int | None, effects: Effects
    ) -> None:
        """Transitions of rules -> steps of incidents."""
        for transition in transitions:
            effects.note_transition(transition, self._engine.tick_ms, reading)
            now_ms = max(transition.at_ms, self._engine.tick_ms)
            self._follow_up(self._book.apply(transition, now_ms), effects)

    def _follow_up(self, steps: Sequence[Step], effects: Effects) -> None:
        """Steps of incidents -> rows of the outbox."""
        for step in steps:
            incident = step.incident
            effects.incidents[incident.id] = incident
            effects.note_step(step, self._engine.tick_ms)
            place = self._roadway.places.get(incident.subject)
            if place is not None and place.fired != incident.is_open:
                self._roadway.places.mark_fired(place.id, fired=incident.is_open)
            if place is not None and step.why is Why.CITY_CLOSED:
                self._roadway.places.forget_passes(place.id)
            if step.queue and incident.state is State.SHADOW:
                effects.unfiled.append(self._row(step))
            elif step.queue:
                row = self._row(step)
                effects.outbox.append(row)
                effects.news += reopening(row, step.at_ms)
            effects.news += news_of(step, self._settings.phrases)
            if step.why is Why.MERGED:
                effects.unasked[incident.id] = f"it is part of incident {incident.parent}"

    def _row(self, step: Step) -> Row:
        incident = step.incident
        rule, subject = self._rules[incident.rule], self._engine.subject(incident.subject)
        absorbed = self._engine.count_phase(subject.id, rule.absorbs)
        asked = service_request(
            incident, rule, subject, at_ms=step.at_ms, absorbed=absorbed,
            phrases=self._settings.phrases,
        )  # fmt: skip
        key = key_of(self._installation, incident)
        return row_for(incident, rule, asked, key, self._now_ms, self._settings)

    # -- records ------------------------------------------------------------------------------

    def _keep(
        self,
        reading: Reading,
        asset: Asset | None,
        ts_ms: int,
        now_ms: int,
        verdict: str,
        effects: Effects,
    ) -> None:
        self._reading_id += 1
        address, about = reading.address, asset.id if asset is not None else None
        whose = address.device, address.kind, address.zone, about
        effects.readings.append(
            StoredReading(self._reading_id, *whose, ts_ms, now_ms, verdict, reading.body)
        )

    def _refuse(
        self,
        incoming: Incoming,
        address: Address | None,
        refusal: Refusal,
        now_ms: int,
        effects: Effects,
        body: bytes,
    ) -> None:
        """Refused messages count as arrived, of every device that is known: one bad message must
        not hold up the acknowledgement of those after it.
        """
        name = address.device if address is not None else ""
        if address is not None and self._speaks_for_somebody(name, effects):
            devices.note_refused(self._device(address, effects), numbers_of(body))
        effects.refuse(incoming, name, refusal, now_ms, body)

    def _speaks_for_somebody(self, name: str, effects: Effects) -> bool:
        return name in self._city.by_device or name in effects.devices or name in self.devices

    def _device(self, address: Address, effects: Effects) -> Device:
        name = address.device
        if name not in effects.devices:
            known = self.devices.get(name)
            effects.devices[name] = known or Device(name, address.zone, address.kind)
        return effects.devices[name]

    def _finish(self, effects: Effects) -> Effects:
        if not self._settings.passing:
            effects.states = self._engine.take_dirty()
        self.devices.put_back(effects.devices.values())
        effects.places = self._roadway.places.take_dirty()
        effects.tick_ms = self._frontier.tick_ms
        effects.follow_ms = self._follow_ms
        effects.at_ms = self._now_ms
        return effects

    # -- the world ----------------------------------------------------------------------------

    def _restore(self, saved: Saved) -> None:
        for place in self._roadway.restore(saved.places):
            self._engine.add(_place_subject(place, self._city.time_zone))
        self._engine.restore(saved.states, saved.layout)
        self._engine.tick_ms = self._frontier.tick_ms
        known = [i for i in saved.incidents if self._engine.watches(i.subject, i.rule)]
        self._book.restore(known, saved.episodes, saved.incident_id)
        for incident in known:
            if incident.is_open:
                self._engine.resume(
                    incident.subject, incident.rule, incident.started_ms, incident.fired_ms
                )

    def _silenced_until(self, incident: Incident, now_ms: int) -> int | None:
        """Counting the windows that it fired in, and those of now."""
        if not self._silences:
            return None
        subject, rule = self._engine.subject(incident.subject), self._rules[incident.rule]
        moments_ms = incident.fired_ms, now_ms
        return silenced(self._silences.values(), spot_of(subject, rule), moments_ms)

    def _parent_of(self, subject_id: str) -> str | None:
        asset = self._city.assets.get(subject_id)
        circuit = asset.attributes.get("circuit") if asset is not None else None
        return circuit_id(circuit) if circuit else None


def _place_subject(place: Place, time_zone: str) -> Subject:
    return Subject(place.id, "place", {}, place.lat, place.lon, time_zone=time_zone)
