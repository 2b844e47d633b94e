"""The life of an incident: held, filed once, absorbed, withdrawn, ended (rules.md section 3)."""

from dataclasses import replace

import msgspec
import pytest

from gateway.cases.incident import Incident, Step, key_of
from gateway.cases.incidents import Book
from gateway.cases.neighbourhood import Neighbourhood
from rules.engine import Transition
from rules.instance import Cause, Phase
from rules.rule import Condition, Filing, Rule, Template

MINUTE_MS = 60_000
NEVER = Condition("", lambda: lambda _v, _a, _x, _s: None)
FILE = Filing("OUT", Template("", lambda _v, _a, _f: ""))


def at(minute):
    return round(minute * MINUTE_MS)


def rule_of(name, **changes):
    scaled = {key: at(value) if "_ms" in key else value for key, value in changes.items()}
    defaults = {"file": FILE, "lateness_ms": at(5)}
    return Rule(name, "", "streetlight", "asset", NEVER, **(defaults | scaled))


RULES = {
    "lamp": rule_of("lamp", hold_ms=5, absorbed_by=("feeder",), blind_after_ms=120),
    "feeder": rule_of("feeder", absorbs=("lamp",)),
    "slow": rule_of("slow", hold_ms=20),
    "sure": rule_of("sure", monotone=True, lateness_ms=0),
    "fire": rule_of("fire", file=Filing("FIRE", FILE.description, urgent=True)),
    "silent": rule_of("silent", file=None),
}


class World:
    """Phases and last samples, set by hand; a book that looks at them."""

    def __init__(self):
        self.rules = dict(RULES)
        self.phases = {}
        self.seen = {}
        self.book = self.new_book()

    def new_book(self):
        return Book(
            Neighbourhood(
                self.rules.__getitem__,
                lambda subject, rule: self.phases.get((rule, subject), Phase.OK),
                lambda subject: "C1" if subject.startswith("L") else None,
                lambda subject: self.seen.get(subject, -1),
            )
        )

    def turn(self, rule, subject, before, after, minute, **more):
        """A transition and its steps, as `lamp L1 held fired`."""
        self.phases[rule, subject] = after
        now = at(more.pop("now", minute))
        started = at(more.pop("started", minute))
        transition = Transition(
            subject, rule, before, after, at(minute), started, Cause.GAP, **({"values": {}} | more)
        )
        return lines(self.book.apply(transition, now))

    def fire(self, rule, subject, minute, **more):
        return self.turn(rule, subject, Phase.PENDING, Phase.FIRING, minute, **more)

    def clearing(self, rule, subject, minute):
        return self.turn(rule, subject, Phase.FIRING, Phase.CLEARING, minute)

    def clear(self, rule, subject, minute, **more):
        return self.turn(rule, subject, Phase.CLEARING, Phase.OK, minute, **more)

    def withdraw(self, rule, subject, minute):
        return self.turn(rule, subject, Phase.FIRING, Phase.OK, minute, withdrawn=True)

    def due(self, minute):
        return lines(self.book.due(at(minute)))

    def reload(self, **modes):
        """Rules in other modes; then a new book, as the gateway makes it."""
        for name, mode in modes.items():
            self.rules[name] = replace(self.rules[name], mode=mode)
        self.restart()

    def restart(self):
        """A new book from what the store would hold."""
        old = self.book._shelf
        kept = [*old._open.values(), *old._ended.values()]
        rows = [msgspec.convert(msgspec.structs.astuple(i), Incident) for i in kept]
        self.book = self.new_book()
        self.book.restore(rows, old._episodes, old._last_id)


def lines(steps):
    assert all(isinstance(step, Step) for step in steps)
    return [
        f"{s.incident.rule} {s.incident.subject} {s.incident.state}{' FILE' if s.queue else ''}: "
        f"{s.why.name}"
        for s in steps
    ]


@pytest.fixture
def world():
    return World()


# -- from firing to filing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "first", "wait_min"),
    [
        ("feeder", "held: FIRED", 5),
        ("slow", "held: FIRED", 20),
        ("sure", "queued FILE: FIRED", None),
        ("fire", "queued FILE: URGENT", None),
        ("silent", "noted: NO_FILING", None),
    ],
)
def test_when_a_fault_is_filed(world, rule, first, wait_min):
    """After lateness and storm hold; at once if urgent or sure; never if nothing is asked."""
    assert world.fire(rule, "X", 10) == [f"{rule} X {first}"]
    if wait_min is not None:
        assert world.due(10 + wait_min - 0.01) == []
        assert world.due(10 + wait_min) == [f"{rule} X queued FILE: STOOD"]
    assert world.due(1000) == []


def test_what_is_heard_of_late_waits_from_then_on(world):
    """After an outage one device may tell its story before the others tell theirs."""
    world.fire("slow", "X", 10, now=100)
    assert world.due(119) == []
    assert world.due(120) == ["slow X queued FILE: STOOD"]


def test_an_incident_keeps_what_the_sensor_said(world):
    """Numbers and truths only: what a request's text may show."""
    world.fire("slow", "X", 10, values={"x": 1.5, "on": True, "name": "?"}, started=3)
    (incident,) = world.book.open_incidents()
    assert incident.values == {"x": 1.5, "on": True}
    assert (incident.started_ms, incident.fired_ms) == (at(3), at(10))


def test_a_fault_that_is_over_before_it_is_due_is_never_filed(world):
    """Withdrawn, with its reason."""
    world.fire("feeder", "X", 10)
    world.clearing("feeder", "X", 11)
    assert world.clear("feeder", "X", 12) == ["feeder X withdrawn: OVER_BEFORE_DUE"]
    assert world.due(100) == []


def test_a_fault_that_may_be_clearing_waits(world):
    """Until it is over or true again."""
    world.fire("feeder", "X", 10)
    world.clearing("feeder", "X", 14)
    assert world.due(15) == []
    world.turn("feeder", "X", Phase.CLEARING, Phase.FIRING, 16)
    assert world.due(17) == ["feeder X queued FILE: STOOD"]


def test_a_filed_fault_ends_with_its_sensor(world):
    """The request is the city's; the incident is closed."""
    world.fire("sure", "X", 10)
    assert world.clear("sure", "X", 50) == ["sure X queued: CLEARED"]
    assert list(world.book.open_incidents()) == []


def test_the_second_episode_is_a_second_request(world):
    """Dedup must never eat the second pothole; the key tells them apart."""
    world.fire("sure", "X", 10)
    (first,) = world.book.open_incidents()
    assert world.fire("sure", "X", 20) == []
    world.clear("sure", "X", 50)
    assert world.fire("sure", "X", 60) == ["sure X queued FILE: FIRED"]
    (second,) = world.book.open_incidents()
    assert (first.episode, second.episode) == (1, 2)
    assert key_of("here", first) != key_of("here", second)
    assert key_of("here", first) != key_of("there", first)


# -- late samples ---------------------------------------------------------------------------------


def test_what_never_was_is_withdrawn(world):
    """Held: nothing was asked, nothing is."""
    world.fire("slow", "X", 10)
    assert world.withdraw("slow", "X", 12) == ["slow X withdrawn: LATE_SAMPLE"]
    assert world.due(100) == []


@pytest.mark.parametrize(
    ("rule", "state"), [("slow", "withdrawn"), ("sure", "queued"), ("silent", "withdrawn")]
)
def test_what_is_over_and_never_was_is_known_as_a_mistake(world, rule, state):
    """Once; and if it was after all, it is the same episode."""
    world.fire(rule, "X", 10)
    world.clear(rule, "X", 14)
    assert world.withdraw(rule, "X", 16) == [f"{rule} X {state}: LATE_SAMPLE"]
    assert world.withdraw(rule, "X", 17) == []
    world.fire(rule, "X", 11, now=18)
    (incident,) = world.book.open_incidents()
    assert (incident.id, incident.episode) == (1, 1)


def test_what_was_asked_of_the_city_cannot_be_unsaid(world):
    """An urgent fault that was none: it ends, its request stays in the books."""
    world.fire("fire", "X", 10)
    assert world.withdraw("fire", "X", 12) == ["fire X queued: LATE_SAMPLE"]
    assert list(world.book.open_incidents()) == []


@pytest.mark.parametrize(("rule", "again"), [("slow", "held"), ("fire", "queued")])
def test_withdrawn_and_after_all_true_is_the_same_episode(world, rule, again):
    """And what was filed is not filed a second time."""
    world.fire(rule, "X", 10)
    world.withdraw(rule, "X", 12)
    assert world.fire(rule, "X", 11, now=13) == [f"{rule} X {again}: GOES_ON"]
    (incident,) = world.book.open_incidents()
    assert (incident.id, incident.episode, incident.cleared_ms) == (1, 1, None)


def test_a_new_fault_after_a_withdrawn_one_is_a_new_episode(world):
    """A fire on Friday is not the false alarm of Monday."""
    world.fire("fire", "X", 10)
    world.withdraw("fire", "X", 12)
    assert world.fire("fire", "X", 5000) == ["fire X queued FILE: URGENT"]


def test_a_late_sample_may_move_the_beginning(world):
    """Of what is held; the text of what is filed stands."""
    world.fire("slow", "X", 10)
    assert world.fire("slow", "X", 8, started=7) == ["slow X held: CORRECTED"]
    (incident,) = world.book.open_incidents()
    assert (incident.started_ms, incident.fired_ms, incident.due_ms) == (at(7), at(8), at(30))
    world.due(30)
    assert world.fire("slow", "X", 6) == []


@pytest.mark.parametrize(
    ("rule", "state"), [("slow", "held"), ("sure", "queued"), ("silent", "noted")]
)
def test_an_end_that_did_not_happen_is_taken_back(world, rule, state):
    """The same incident is open again; the city is not asked twice."""
    world.fire(rule, "X", 10)
    world.clear(rule, "X", 14)
    assert world.turn(rule, "X", Phase.OK, Phase.CLEARING, 10) == [f"{rule} X {state}: GOES_ON"]
    (incident,) = world.book.open_incidents()
    assert (incident.id, incident.cleared_ms) == (1, None)


def test_what_was_over_too_soon_and_goes_on_is_filed_once_it_is_due(world):
    """A withdrawn fault that is open after all must not be lost."""
    world.fire("slow", "X", 10)
    world.clear("slow", "X", 14)
    world.turn("slow", "X", Phase.OK, Phase.FIRING, 10, now=16)
    assert world.due(35) == []
    assert world.due(36) == ["slow X queued FILE: STOOD"]


def test_an_end_that_nobody_remembers_and_that_was_none_is_a_new_episode(world):
    """Lost is worse than twice."""
    assert world.turn("sure", "X", Phase.OK, Phase.FIRING, 10) == ["sure X queued FILE: FIRED"]


# -- parents --------------------------------------------------------------------------------------


def test_the_parent_explains_its_children(world):
    """One request; the children are kept with it."""
    for i in range(3):
        world.fire("lamp", f"L{i}", 10 + i)
    world.fire("feeder", "C1", 12)
    assert world.due(17) == [
        "lamp L0 absorbed: EXPLAINED", "lamp L1 absorbed: EXPLAINED",
        "lamp L2 absorbed: EXPLAINED", "feeder C1 queued FILE: STOOD",
    ]  # fmt: skip
    assert {i.parent for i in world.book.open_incidents() if i.rule == "lamp"} == {4}


def test_children_wait_while_the_parent_is_being_judged(world):
    """Without a word; then they are absorbed, or filed if it came to nothing."""
    world.fire("lamp", "L1", 10)
    world.phases["feeder", "C1"] = Phase.PENDING
    assert world.due(15) == []
    world.phases["feeder", "C1"] = Phase.OK
    assert world.due(16) == ["lamp L1 queued FILE: STOOD"]


def test_what_was_filed_before_the_parent_stays_filed(world):
    """Its request is out."""
    world.fire("lamp", "L1", 10)
    world.due(15)
    world.fire("feeder", "C1", 16)
    assert world.due(30) == ["feeder C1 queued FILE: STOOD"]


def storm(world, lamps=3):
    for i in range(lamps):
        world.fire("lamp", f"L{i}", 10)
    world.fire("feeder", "C1", 12)
    world.due(20)


def test_after_the_parent_exactly_what_is_still_dark_is_filed(world):
    """Each child by its own state: lit again, still dark, dimming back."""
    storm(world)
    world.clear("lamp", "L0", 58)
    assert world.clear("feeder", "C1", 60) == [
        "feeder C1 queued: CLEARED", "lamp L1 held: PARENT_GONE", "lamp L2 held: PARENT_GONE",
    ]  # fmt: skip
    world.seen |= {"L1": at(61), "L2": at(61)}
    world.clearing("lamp", "L1", 61)
    assert world.due(65) == ["lamp L2 queued FILE: STOOD"]
    assert world.clear("lamp", "L1", 71) == ["lamp L1 withdrawn: OVER_BEFORE_DUE"]
    assert world.due(1000) == []


def test_a_child_is_not_judged_by_what_it_said_in_the_dark(world):
    """A lamp that has not reported since the power came back may well be lit."""
    storm(world, 1)
    world.seen["L0"] = at(55)
    world.clear("feeder", "C1", 60)
    assert world.due(70) == []
    world.seen["L0"] = at(71)
    assert world.due(72) == ["lamp L0 queued FILE: STOOD"]


def test_a_child_that_never_speaks_again_is_taken_at_its_last_word(world):
    """Dark when last seen, and silent since the repair for as long as makes blind: not lost."""
    storm(world, 1)
    world.clear("feeder", "C1", 60)
    assert world.due(179) == []
    assert world.due(180) == ["lamp L0 queued FILE: STOOD"]


def test_a_child_may_be_absorbed_again(world):
    """The feeder trips a second time."""
    storm(world, 1)
    world.clear("feeder", "C1", 60)
    world.fire("feeder", "C1", 62)
    world.seen["L0"] = at(63)
    assert world.due(66) == ["lamp L0 absorbed: EXPLAINED"]


def test_a_parent_that_never_was_lets_its_children_go(world):
    """Withdrawn by a late sample, like ended."""
    for i in range(2):
        world.fire("lamp", f"L{i}", 10)
    world.fire("feeder", "C1", 14)
    world.due(15)
    assert world.withdraw("feeder", "C1", 16)[1:] == [
        "lamp L0 held: PARENT_GONE", "lamp L1 held: PARENT_GONE",
    ]  # fmt: skip


def test_a_child_that_ends_first_is_simply_over(world):
    """And is not held again when the parent ends."""
    storm(world, 1)
    assert world.clear("lamp", "L0", 30) == ["lamp L0 absorbed: CLEARED"]
    assert world.clear("feeder", "C1", 60) == ["feeder C1 queued: CLEARED"]


# -- restarts -------------------------------------------------------------------------------------


def story(world, restart_before=None):
    deeds = [
        lambda: world.fire("lamp", "L0", 10) + world.fire("lamp", "L1", 10),
        lambda: world.fire("feeder", "C1", 12),
        lambda: world.due(20),
        lambda: world.clear("lamp", "L0", 50) + world.clear("feeder", "C1", 60),
        lambda: world.turn("lamp", "L0", Phase.OK, Phase.FIRING, 10, now=61),
        lambda: world.due(200),
    ]
    said = []
    for i, deed in enumerate(deeds):
        if i == restart_before:
            world.restart()
        said += deed()
    return said


@pytest.mark.parametrize("moment", range(6))
def test_a_restart_at_any_moment_changes_nothing(world, moment):
    """Held, absorbed, released, ended: all of it is in the rows."""
    plain = story(World())
    assert sorted(plain[-2:]) == ["lamp L0 queued FILE: STOOD", "lamp L1 queued FILE: STOOD"]
    assert story(world, moment) == plain


def test_children_of_a_parent_that_is_not_there_any_more_are_judged_again(world):
    """Its rule was taken out of the configuration: they must not wait for ever."""
    storm(world, 1)
    orphan = next(i for i in world.book.open_incidents() if i.rule == "lamp")
    world.book = world.new_book()
    world.book.restore([orphan], {("lamp", "L0"): 1}, 2)
    world.seen["L0"] = at(30)
    assert world.due(31) == ["lamp L0 queued FILE: STOOD"]


# -- shadow ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "at_first", "when_due"),
    [
        ("slow", "held: FIRED", "slow X shadow FILE: SHADOW"),
        ("sure", "shadow FILE: SHADOW", None),
        ("fire", "shadow FILE: SHADOW", None),
        ("silent", "noted: NO_FILING", None),
    ],
)
def test_a_rule_in_shadow_asks_when_it_would_have_filed(world, rule, at_first, when_due):
    """The same waits; its request goes on record (`FILE` in state shadow), not into the outbox."""
    world.reload(**{rule: "shadow"})
    assert world.fire(rule, "X", 10) == [f"{rule} X {at_first}"]
    assert world.due(1000) == ([when_due] if when_due else [])
    assert world.due(2000) == []


def test_a_fault_that_is_over_before_it_is_due_is_withdrawn_in_shadow_too(world):
    """So that what it would have filed is counted truly."""
    world.reload(slow="shadow")
    world.fire("slow", "X", 10)
    assert world.clear("slow", "X", 12) == ["slow X withdrawn: OVER_BEFORE_DUE"]


def test_what_still_stands_when_its_rule_is_promoted_is_filed_once(world):
    """However often the book is made anew before and after."""
    world.reload(slow="shadow")
    world.fire("slow", "X", 10)
    assert world.due(30) == ["slow X shadow FILE: SHADOW"]
    world.restart()
    assert world.due(40) == []
    world.reload(slow="live")
    world.restart()
    assert world.due(50) == ["slow X queued FILE: STOOD"]
    world.reload(slow="shadow")
    world.reload(slow="live")
    assert world.due(60) == []
    assert world.clear("slow", "X", 70) == ["slow X queued: CLEARED"]


def test_what_ended_in_shadow_is_never_filed(world):
    """Not when the rule is promoted, and not by a late sample that moves its end."""
    world.reload(slow="shadow")
    world.fire("slow", "X", 10)
    world.due(30)
    assert world.clear("slow", "X", 40) == ["slow X shadow: CLEARED"]
    world.reload(slow="live")
    assert world.due(1000) == []


def test_a_fault_that_begins_to_clear_just_after_its_promotion_is_not_filed(world):
    """Its sensor says now that it is over; nothing but the shadow kept it from being filed."""
    world.reload(slow="shadow")
    world.fire("slow", "X", 10)
    world.due(30)
    world.reload(slow="live")
    assert world.clearing("slow", "X", 40) == []
    assert world.due(41) == []
    assert world.clear("slow", "X", 50) == ["slow X shadow: CLEARED"]


def test_an_episode_that_ended_in_shadow_and_goes_on_after_all_is_filed_when_live(world):
    """A late sample shows that it never ended: it stands, and its rule is live."""
    world.reload(slow="shadow")
    world.fire("slow", "X", 10)
    world.due(30)
    world.clear("slow", "X", 40)
    world.reload(slow="live")
    goes_on = world.turn("slow", "X", Phase.OK, Phase.FIRING, 38, now=42)
    assert goes_on == ["slow X held: GOES_ON"]
    assert world.due(100) == ["slow X queued FILE: STOOD"]


def test_a_held_fault_whose_rule_goes_into_shadow_is_recorded_only(world):
    """What was queued before stays queued, and is not asked for again when it comes back."""
    world.fire("slow", "X", 10)
    world.fire("sure", "Y", 10)
    world.reload(slow="shadow", sure="shadow")
    assert world.due(100) == ["slow X shadow FILE: SHADOW"]
    world.reload(sure="live")
    assert world.due(200) == []
    assert world.clear("sure", "Y", 210) == ["sure Y queued: CLEARED"]


@pytest.mark.parametrize("parent", ["pending", "held", "recorded"])
def test_a_parent_in_shadow_explains_and_delays_no_live_child(world, parent):
    """The city does not hear of it, so the child is filed as if it were not there."""
    world.reload(feeder="shadow")
    if parent == "pending":
        world.phases["feeder", "C1"] = Phase.PENDING
    else:
        world.fire("feeder", "C1", 10 if parent == "held" else 1)
    world.fire("lamp", "L1", 9)
    lamp = [line for line in world.due(14) if line.startswith("lamp")]
    assert lamp == ["lamp L1 queued FILE: STOOD"]


@pytest.mark.parametrize("mode", ["live", "shadow"])
def test_a_child_in_shadow_is_absorbed_like_a_live_one(world, mode):
    """So that it shows what it would file beside its parent."""
    world.reload(lamp="shadow", feeder=mode)
    world.fire("feeder", "C1", 1)
    world.fire("lamp", "L1", 9)
    assert "lamp L1 absorbed: EXPLAINED" in world.due(14)


def test_a_child_that_leaves_the_shadow_before_its_parent_is_judged_on_its_own(world):
    """Nobody files for it any more, so it must be filed."""
    world.reload(lamp="shadow", feeder="shadow")
    world.fire("feeder", "C1", 1)
    world.fire("lamp", "L1", 9)
    world.due(14)
    world.seen["L1"] = at(20)
    world.reload(lamp="live")
    assert world.due(30) == ["lamp L1 queued FILE: STOOD"]


def test_a_parent_that_was_filed_explains_its_children_also_when_it_goes_into_shadow(world):
    """Its request is with the city: the lamps are not filed beside it."""
    world.fire("feeder", "C1", 1)
    world.due(6)
    world.fire("lamp", "L1", 9)
    world.due(14)
    world.reload(feeder="shadow")
    assert world.due(100) == []
    world.fire("lamp", "L2", 101)
    assert world.due(110) == ["lamp L2 absorbed: EXPLAINED"]


def test_a_rule_that_asks_nothing_any_more_files_nothing_that_was_held(world):
    """Its `file:` was taken out while a fault waited."""
    world.fire("slow", "X", 10)
    world.rules["slow"] = replace(world.rules["slow"], file=None)
    world.restart()
    assert world.due(100) == ["slow X noted: NO_FILING"]
