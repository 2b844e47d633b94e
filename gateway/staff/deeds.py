"""What a person may do: each deed checked, written into the audit log, and done once.

Used by the pages, by the HTTP interface and by the commands, so that all three allow and say the
same. Asks for the role first, then for the reason, then whether what is named is there; whatever
becomes of it stands in the audit log, in the same transaction where there is one. Everything that
the gateway itself must do is an order, whose answer is waited for some seconds: call it in a thread
of its own. Never raises for what a person can get wrong: the outcome says it.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gateway.books import by_hand
from gateway.books.audit import Entry
from gateway.books.ledger import incident_story, rules_in_force, silences_of
from gateway.cases import orders
from gateway.cases.silences import Silence
from gateway.cityhall.delivery import Approved, Diverted, Event, Found, Retry
from gateway.config import Config, read_settings
from gateway.errors import ConfigError, StoreError
from gateway.inventory.adopting import adopt
from gateway.plans import RuleTexts, read_rules
from gateway.staff.deed import (
    NAME_CHARS_MAX,
    NUMBER_MAX,
    WHO_CHARS_MAX,
    WHY_CHARS_MAX,
    Code,
    Deed,
    NotDoneError,
    Outcome,
    Via,
    fault_of,
    fault_of_text,
    faults_of_window,
    is_plain,
    kept,
    may,
    told_of,
)
from gateway.staff.people import Person
from gateway.staff.reload_by_hand import IdleError, NoAnswerError, is_running, reload_by_hand
from gateway.staff.rule_files import checked, editable, set_mode, write_over
from gateway.staff.undone import EXPECTED, outcome_of
from gateway.views.books import Books
from rules.document import TEXT_MAX
from rules.finding import Finding

__all__ = ["Code", "Deed", "Deeds", "Outcome", "Via", "may"]

ANSWER_S_MAX = 5.0
RELOAD_S_MAX = 20.0
"""Large files take some seconds to be read."""
PER_MINUTE_MAX = 300
"""Of one person: more than a hand can do, less than would fill a disk with refusals."""
PEOPLE_MAX = 1_000
MINUTE_MS = 60_000


class Deeds:
    """Of one gateway. Any thread may call."""

    def __init__(
        self,
        books: Books,
        via: Via = Via.CONSOLE,
        *,
        answer_s: float = ANSWER_S_MAX,
        per_minute_max: int = PER_MINUTE_MAX,
    ) -> None:
        self._books = books
        self._via = via
        self._answer_s = answer_s
        self._per_minute_max = per_minute_max
        self._counts: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._lock = threading.Lock()

    # -- requests -----------------------------------------------------------------------------

    def approve(self, person: Person, reference: str, why: str = "") -> Outcome:
        """A request that waits for a person goes."""
        event = Approved(person.name)
        return self._moved(person, Deed.APPROVE, reference, event, why)

    def hold(self, person: Person, reference: str, why: str) -> Outcome:
        """A request that was not sent yet is kept back until it is approved."""
        event = Diverted(f"kept back by {person.name}: {kept(why, WHY_CHARS_MAX)}")
        return self._moved(person, Deed.HOLD, reference, event, why)

    def retry(self, person: Person, reference: str, why: str = "") -> Outcome:
        """A refused or held request is tried again."""
        return self._moved(person, Deed.RETRY, reference, Retry(), why)

    def link(self, person: Person, incident: int, request_id: str, why: str) -> Outcome:
        """The city has a request for it already: that one is followed, and none is filed."""

        def act(entry: Entry, database: Path) -> Outcome:
            if fault := fault_of_text("the city's number", request_id):
                raise NotDoneError(Code.INVALID, fault)
            asked = _story(database, incident)["request"]
            if asked is None:
                text = f"incident {incident} has asked nothing of the city"
                raise NotDoneError(Code.REFUSED, text)
            found = Found(request_id.strip(), f"linked to {request_id.strip()} by {person.name}")
            return _move(database, asked["reference"], found, entry)

        return self._tried(person, Deed.LINK, f"incident {incident}", why, act)

    # -- incidents ----------------------------------------------------------------------------

    def merge(self, person: Person, incident: int, into: int, why: str) -> Outcome:
        """Both are one fault; the first asks nothing of the city on its own any more."""
        about = f"incident {incident} into {into}"
        what = orders.Merged(incident, into)
        return self._ordered(person, Deed.MERGE, about, why, what, incident, into)

    def split(self, person: Person, incident: int, why: str) -> Outcome:
        """It is a fault of its own, whatever explains it."""
        about, what = f"incident {incident}", orders.Split(incident)
        return self._ordered(person, Deed.SPLIT, about, why, what, incident)

    def reopen(self, person: Person, incident: int, why: str) -> Outcome:
        """It is not repaired, whatever the city or the sensor says: asked for again."""
        about, what = f"incident {incident}", orders.Reopened(incident)
        return self._ordered(person, Deed.REOPEN, about, why, what, incident)

    # -- silences -----------------------------------------------------------------------------

    def silence(self, person: Person, silence: Silence, why: str) -> Outcome:
        """A maintenance window. Who and why in it are those given here."""
        window = replace(silence, who=person.name, why=why.strip())

        def act(entry: Entry, database: Path) -> Outcome:
            if faults := faults_of_window(window):
                raise NotDoneError(Code.INVALID, "; ".join(faults))
            return self._order(database, orders.Silenced(window), entry)

        return self._tried(person, Deed.SILENCE, told_of(window), why, act)

    def end_silence(self, person: Person, number: int, why: str) -> Outcome:
        """A maintenance window is over from now on."""

        def act(entry: Entry, database: Path) -> Outcome:
            if number not in dict(silences_of(database)):
                raise NotDoneError(Code.NOT_FOUND, f"there is no silence {number}")
            return self._order(database, orders.Unsilenced(number), entry)

        return self._tried(person, Deed.END_SILENCE, f"silence {number}", why, act)

    # -- all filing ---------------------------------------------------------------------------

    def stop_filing(self, person: Person, why: str) -> Outcome:
        """Nothing is sent to any desk any more; what is found waits."""

        def act(entry: Entry, database: Path) -> Outcome:
            told = by_hand.stop(database, entry)
            return Outcome(Code.DONE, "nothing is sent until filing is resumed", {"stopped": told})

        return self._tried(person, Deed.STOP_FILING, "filing", why, act)

    def resume_filing(self, person: Person, why: str) -> Outcome:
        def act(entry: Entry, database: Path) -> Outcome:
            by_hand.go_on(database, entry)
            return Outcome(Code.DONE, "requests are sent again", {"stopped": ""})

        return self._tried(person, Deed.RESUME_FILING, "filing", why, act)

    # -- devices and rules --------------------------------------------------------------------

    def adopt(self, person: Person, device: str, asset_id: str, why: str = "") -> Outcome:
        """A device is entered among those of an asset, in the asset file."""

        def act(config: Config) -> Outcome:
            for name, text in (("the device", device), ("the asset", asset_id)):
                if fault := fault_of_text(name, text):
                    raise NotDoneError(Code.INVALID, fault)
            listed = adopt(config, device, asset_id, self._books.now_ms())
            told = {"device": device, "asset": asset_id, "devices": listed.devices}
            text = f"{device} speaks for {asset_id}"
            if not _rules_are_in_force(config):
                later = "in force with the next reload: rule files have changed too"
                return Outcome(Code.WAITING, f"{text}, {later}", told)
            return _and_then(text, told, self._reload(config))

        return self._written(person, Deed.ADOPT, f"{device} for {asset_id}", why, act)

    def reload(self, person: Person, why: str = "") -> Outcome:
        """The gateway takes up rules and assets as they lie in their files."""

        def act(config: Config) -> Outcome:
            return self._reload(config)

        return self._written(person, Deed.RELOAD, "rules and assets", why, act)

    def promote(self, person: Person, rule: str, why: str) -> Outcome:
        """A rule out of the shadow: what it finds is filed."""
        return self._set_mode(person, Deed.PROMOTE, rule, "live", why)

    def shadow(self, person: Person, rule: str, why: str) -> Outcome:
        """A rule into the shadow: judged and recorded, not filed."""
        return self._set_mode(person, Deed.SHADOW, rule, "shadow", why)

    def save_rule(self, person: Person, file: str, text: str, was_sha256: str, why: str) -> Outcome:
        """A rule file, over the text of that hash (empty: a new file), and the reload of it."""

        def act(config: Config) -> Outcome:
            if len(text) > TEXT_MAX or not is_plain(text):
                fault = f"a rule file is plain text of at most {TEXT_MAX} characters"
                raise NotDoneError(Code.INVALID, fault)
            path = editable(config, file)
            checked(config, str(path), text)
            write_over(path, text, was_sha256)
            return _and_then(f"{path.name} is saved", {"file": file}, self._reload(config))

        return self._written(person, Deed.SAVE_RULE, file, why, act)

    def _set_mode(self, person: Person, deed: Deed, rule: str, mode: str, why: str) -> Outcome:
        def act(config: Config) -> Outcome:
            texts, findings = read_rules(config)
            bundle, faults = texts.whole()
            if findings or bundle is None:
                raise ConfigError([*findings, *faults])
            if rule not in bundle.rules:
                raise NotDoneError(Code.NOT_FOUND, f"there is no rule {kept(rule, 64)!r}")
            written = set_mode(texts, rule, mode)
            said = f"{rule}: mode {mode}" + ("" if written.changed else ", as its file said before")
            return _and_then(said, {"rule": rule, "mode": mode}, self._reload(config))

        return self._written(person, deed, rule, why, act)

    # -- what they have in common -------------------------------------------------------------

    def _moved(self, person: Person, deed: Deed, reference: str, event: Event, why: str) -> Outcome:
        def act(entry: Entry, database: Path) -> Outcome:
            if fault := fault_of_text("the reference", reference):
                raise NotDoneError(Code.INVALID, fault)
            return _move(database, reference, event, entry)

        return self._tried(person, deed, reference, why, act)

    def _ordered(
        self, person: Person, deed: Deed, subject: str, why: str, what: orders.Order, *named: int
    ) -> Outcome:
        """`named`: the incidents that must be there."""

        def act(entry: Entry, database: Path) -> Outcome:
            if len(set(named)) < len(named):
                raise NotDoneError(Code.INVALID, "an incident is not merged into itself")
            for number in named:
                _story(database, number)
            return self._order(database, what, entry)

        return self._tried(person, deed, subject, why, act)

    def _order(self, database: Path, what: orders.Order, entry: Entry) -> Outcome:
        number = by_hand.order(database, what, entry)
        waits_s = self._answer_s if is_running(database.parent, self._books.now_ms()) else 0.0
        try:
            state, text = by_hand.answer_to(database, number, waits_s)
        except StoreError:  # it is given, whatever can be seen of it now
            state, text = "waiting", "it is given; its answer cannot be read now"
        code = {"done": Code.DONE, "refused": Code.REFUSED}.get(state, Code.WAITING)
        return Outcome(code, text, {"order": number, "state": state})

    def _reload(self, config: Config) -> Outcome:
        try:
            said = reload_by_hand(config.store.folder, self._books.clock, RELOAD_S_MAX)
        except NoAnswerError as no:
            idle = isinstance(no, IdleError)
            return Outcome(Code.WAITING, "in force when the gateway starts" if idle else str(no))
        told = {name: said["reload"][name] for name in ("result", "problem", "at_restart")}
        told["version"] = said["rules"]["version"]
        if told["result"] == "refused":
            findings = [Finding(**one) for one in said["reload"]["findings"]]
            return Outcome(Code.REFUSED, f"not in force: {told['problem']}", told, findings)
        same = told["result"] == "unchanged"
        return Outcome(Code.DONE, "nothing else differs" if same else "in force", told)

    def _written(
        self,
        person: Person,
        deed: Deed,
        subject: str,
        why: str,
        change: Callable[[Config], Outcome],
    ) -> Outcome:
        """A deed on files: its entry stands before it begins, and how it ended beside it."""

        def act(entry: Entry, database: Path) -> Outcome:
            number = by_hand.record(database, entry, Code.WAITING, "begun")
            try:
                outcome = change(read_settings(self._books.config_path))
            except EXPECTED as error:
                outcome = outcome_of(error)
            end = self._books.now_ms(), outcome.code, kept(outcome.text, WHY_CHARS_MAX)
            with suppress(StoreError):  # what was done is done; the entry says that it was begun
                by_hand.record_end(database, number, *end)
            return outcome

        return self._tried(person, deed, subject, why, act)

    def _tried(
        self,
        person: Person,
        deed: Deed,
        subject: str,
        why: str,
        act: Callable[[Entry, Path], Outcome],
    ) -> Outcome:
        """`act` writes the entry of what it does, or raises before it has done anything."""
        now_ms = self._books.now_ms()
        if self._too_many(person, now_ms):
            text = f"more than {self._per_minute_max} deeds in a minute: wait for the next"
            return Outcome(Code.TOO_MANY, text)
        whose = kept(person.name, WHO_CHARS_MAX), person.role, self._via, deed
        about = kept(subject, NAME_CHARS_MAX), kept(why, WHY_CHARS_MAX)
        entry = Entry(now_ms, *whose, *about)
        try:
            database = read_settings(self._books.config_path).store.folder / "sense311.db"
        except ConfigError as error:
            text = "the configuration cannot be used: see `sense311 check`"
            return Outcome(Code.FAILED, text, findings=error.findings)
        outcome = fault_of(person, deed, why)
        if outcome is None:
            try:
                return act(entry, database)
            except EXPECTED as error:
                outcome = outcome_of(error)
        with suppress(StoreError):  # nothing has changed; where the log cannot be written either
            by_hand.record(database, entry, outcome.code, kept(outcome.text, WHY_CHARS_MAX))
        return outcome

    def _too_many(self, person: Person, now_ms: int) -> bool:
        key = person.name, now_ms // MINUTE_MS
        with self._lock:
            self._counts[key] = count = self._counts.get(key, 0) + 1
            while len(self._counts) > PEOPLE_MAX:
                self._counts.popitem(last=False)
        return count > self._per_minute_max


def _move(database: Path, reference: str, event: Event, entry: Entry) -> Outcome:
    after = by_hand.move(database, reference, event, entry.at_ms, entry)
    told = {"reference": reference, "state": str(after.state)}
    return Outcome(Code.DONE, f"{reference}: {after.state}", told)


def _story(database: Path, number: int) -> dict[str, Any]:
    """Of the incident, which is there."""
    story = incident_story(database, number) if 0 < number <= NUMBER_MAX else None
    if story is None:
        raise NotDoneError(Code.NOT_FOUND, f"there is no incident {number}")
    return story


def _and_then(text: str, told: dict[str, Any], after: Outcome) -> Outcome:
    """What was written, and what the reload made of it."""
    return Outcome(after.code, f"{text}; {after.text}", {**told, **after.told}, after.findings)


def _rules_are_in_force(config: Config) -> bool:
    """Whether a reload would leave the rules as they are: one for the assets' sake is then no
    more than that.
    """
    texts, findings = read_rules(config)
    known = rules_in_force(config.store.folder / "sense311.db")
    return not findings and (not known or texts == RuleTexts.from_json(known))
