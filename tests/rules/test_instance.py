"""The state machine of one rule on one subject, step by step (rules.md S3 to S6)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.instance import (
    QUIET,
    QUIET_BLIND,
    Cause,
    Change,
    Instance,
    Phase,
    advance,
    go_blind,
    observe,
)
from rules.rule import Condition, Rule

MINUTE_MS = 60_000
NEVER = Condition("", lambda: lambda _v, _a, _x, _s: None)


def rule_of(**settings):
    """A rule with its times in minutes."""
    scaled = {key: value * MINUTE_MS if "_ms" in key else value for key, value in settings.items()}
    return Rule("r", "", "streetlight", "asset", NEVER, **({"clear": NEVER} | scaled))


def at(minute):
    return round(minute * MINUTE_MS)


class Story:
    """A rule, its state, and what it said: `12 pending>firing`, times in minutes."""

    def __init__(self, **settings):
        self.rule = rule_of(**settings)
        self.state = QUIET
        self.said = []

    def sample(self, minute, when, clear=None):
        self.state, changes = observe(self.rule, self.state, when, clear, at(minute))
        return self._say(changes)

    def tick(self, minute):
        self.state, changes = advance(self.rule, self.state, at(minute))
        return self._say(changes)

    def blind(self, minute):
        self.state, changes = go_blind(self.state, at(minute))
        return self._say(changes)

    def _say(self, changes):
        lines = [f"{c.at_ms / MINUTE_MS:g} {c.before}>{c.after}" for c in changes]
        self.said += lines
        return lines


def told(steps, **settings):
    """The story of (minute, when[, clear]) samples and plain-number ticks."""
    story = Story(**settings)
    for step in steps:
        if isinstance(step, tuple):
            story.sample(*step)
        else:
            story.tick(step)
    return story.said


T, F, U = True, False, None
FIRES = {"for_ms": 15, "gap_ms_max": 45}


@pytest.mark.parametrize(
    ("why", "steps", "expected"),
    [
        ("false says nothing", [(0, F), (5, F)], []),
        ("unknown says nothing", [(0, U), (5, U)], []),
        ("true begins it", [(0, T)], ["0 ok>pending"]),
        ("false ends it", [(0, T), (5, F)], ["0 ok>pending", "5 pending>ok"]),
        ("it fires when held", [(0, T), (5, T), (15, T)], ["0 ok>pending", "15 pending>firing"]),
        (
            "at its own instant, between samples",
            [(0, T), (10, T), (20, T)],
            ["0 ok>pending", "15 pending>firing"],
        ),
        (
            "the last sample covers it to there, whatever comes next",
            [(0, T), (10, T), (20, F, T)],
            ["0 ok>pending", "15 pending>firing", "20 firing>clearing", "20 clearing>ok"],
        ),
        ("a tick is enough", [(0, T), 14.9, 15], ["0 ok>pending", "15 pending>firing"]),
        ("a late tick too", [(0, T), 40], ["0 ok>pending", "15 pending>firing"]),
        (
            "unknown pauses: only what was seen counts",
            [(0, T), (10, U), (30, T), 34.9, 35],
            ["0 ok>pending", "35 pending>firing"],
        ),
        (
            "unknown twice pauses once",
            [(0, T), (5, U), (10, U), (20, T), (29, T), (31, T)],
            ["0 ok>pending", "30 pending>firing"],
        ),
        (
            "unknown for longer than the gap ends it",
            [(0, T), (10, U), (40, U), (46, U)],
            ["0 ok>pending", "45 pending>ok"],
        ),
    ],
)
def test_pending_and_firing(why, steps, expected):
    """S3, S4: `for` counts time that samples cover, and stands still while the truth is unknown."""
    assert told(steps, **FIRES) == expected, why


@pytest.mark.parametrize(
    ("why", "steps", "expected"),
    [
        ("45 minutes are no gap", [(0, T), (45, T)], ["0 ok>pending", "45 pending>firing"]),
        (
            "more is: it begins anew",
            [(0, T), (46, T), (91, T)],
            ["0 ok>pending", "45 pending>ok", "46 ok>pending", "91 pending>firing"],
        ),
        ("a tick notices it too", [(0, T), 45, 46], ["0 ok>pending", "45 pending>ok"]),
        ("too few samples", [(0, T), 30], ["0 ok>pending"]),
        ("enough of them", [(0, T), (2, T), 30], ["0 ok>pending", "15 pending>firing"]),
        ("enough, but late", [(0, T), (20, T)], ["0 ok>pending", "20 pending>firing"]),
    ],
)
def test_cover(why, steps, expected):
    """S3, S4: a gap that is too long resets what is pending; too few samples never fire."""
    assert told(steps, samples_min=2, **FIRES) == expected, why


def test_a_for_beyond_the_cover_of_one_sample_needs_more():
    """One sample speaks for at most the gap, or for less where silence makes blind sooner."""
    long = {"for_ms": 60, "gap_ms_max": 45}
    assert told([(0, T), 44], **long) == ["0 ok>pending"]
    assert told([(0, T), (30, T), 61], **long) == ["0 ok>pending", "60 pending>firing"]
    assert told([(0, T), 44], for_ms=30, gap_ms_max=45, blind_after_ms=20) == ["0 ok>pending"]


def test_firing_names_the_first_sample_of_the_episode():
    """Not the one that let it fire; a pause or more samples move nothing."""
    story = Story(**FIRES)
    for minute, when in [(3, T), (8, U), (10, T)]:
        story.sample(minute, when)
    state, (change,) = advance(story.rule, story.state, at(30))
    assert change == Change(
        Phase.PENDING, Phase.FIRING, at(20), Cause.HELD_LONG_ENOUGH, started_ms=at(3)
    )
    assert (state.started_ms, state.fired_ms) == (at(3), at(20))


ENDS = {"clear_for_ms": 10, "gap_ms_max": 45}
FIRED = (0, T)


@pytest.mark.parametrize(
    ("why", "steps", "expected"),
    [
        ("neither true nor clear stays", [(5, F, F), (50, F, F)], []),
        ("unknown stays", [(5, U, U)], []),
        ("silence stays", [5, 500], []),
        ("a gap stays", [(500, T)], []),
        ("clear begins the end", [(5, F, T)], ["5 firing>clearing"]),
        ("held, it ends", [(5, F, T), (15, F, T)], ["5 firing>clearing", "15 clearing>ok"]),
        ("by a tick", [(5, F, T), 14.9, 15], ["5 firing>clearing", "15 clearing>ok"]),
        (
            "at its own instant",
            [(5, F, T), (14, F, T), (20, T)],
            ["5 firing>clearing", "15 clearing>ok", "20 ok>pending", "20 pending>firing"],
        ),
        (
            "true again returns to the same episode",
            [(5, F, T), (10, T, F), (12, F, T), 21, 22],
            ["5 firing>clearing", "10 clearing>firing", "12 firing>clearing", "22 clearing>ok"],
        ),
        (
            "not clear any more returns too",
            [(5, F, T), (10, F, F)],
            ["5 firing>clearing", "10 clearing>firing"],
        ),
        (
            "unknown pauses",
            [(5, F, T), (10, U, U), 30, (40, F, T), 44, 45],
            ["5 firing>clearing", "45 clearing>ok"],
        ),
        (
            "true outweighs clear",
            [(5, T, T)],
            [],
        ),
    ],
)
def test_clearing(why, steps, expected):
    """S5: hysteresis; an episode ends only when the clear condition held for its time."""
    assert told([FIRED, *steps], **ENDS)[2:] == expected, why


def test_clearing_begins_anew_after_a_gap():
    """What nobody watched does not count as clear."""
    steps = [FIRED, (5, F, T), (14, F, T), 15, (16, F, T), (23, F, T), 23.9, 24]
    said = told(steps, clear_for_ms=10, gap_ms_max=8)
    assert said[2:] == ["5 firing>clearing", "24 clearing>ok"]


def test_without_a_clear_condition_it_is_clear_when_it_is_not_true():
    """And unknown is neither."""
    story = Story(clear=None, clear_for_ms=0)
    story.sample(0, T)
    assert story.sample(1, U) == []
    assert story.sample(2, F) == ["2 firing>clearing", "2 clearing>ok"]


def test_blind_never_ends_an_episode():
    """S6: nothing is known is not nothing is wrong; what comes next goes on where it was."""
    story = Story(**ENDS)
    story.sample(0, T)
    assert story.blind(120) == ["120 firing>blind"]
    assert story.blind(130) == []
    assert story.tick(10_000) == []
    assert story.state.phase is Phase.FIRING
    assert story.sample(10_000, T) == ["10000 blind>firing"]


def test_blind_stops_the_end():
    """A lamp that seemed to recover and fell silent has not recovered."""
    story = Story(**(ENDS | {"clear_for_ms": 30, "blind_after_ms": 20}))
    story.sample(0, T)
    story.sample(5, F, T)
    assert story.blind(25) == ["25 clearing>blind"]
    assert story.tick(500) == []
    assert story.sample(501, F, T) == ["501 blind>clearing"]
    assert story.state.held_ms == 0


def test_a_quiet_subject_can_be_blind_and_see_again():
    """Blind is said though nothing was wrong; then it is plainly quiet again."""
    story = Story(**FIRES)
    assert story.blind(60) == ["60 ok>blind"]
    assert story.state == QUIET_BLIND
    assert story.sample(70, U) == ["70 blind>ok"]
    assert story.state is QUIET


def test_pending_and_blind_is_forgotten_after_the_gap():
    """It stays blind."""
    story = Story(**FIRES)
    story.sample(0, T)
    story.blind(20)
    assert story.tick(46) == ["45 pending>ok"]
    assert story.state is QUIET_BLIND


def test_at_once_means_at_once():
    """Without `for`, the first true sample fires."""
    assert told([(0, T)]) == ["0 ok>pending", "0 pending>firing"]


def test_a_state_that_nothing_happens_to_is_the_same_object():
    """Whoever keeps states sees by `is` that nothing is to be stored."""
    story = Story(**ENDS)
    story.sample(0, F)
    assert story.state is QUIET
    story.sample(1, T)
    firing = story.state
    for minute, when, clear in [(2, T, F), (3, F, F), (4, U, U)]:
        story.sample(minute, when, clear)
        assert story.state is firing


steps = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from([T, F, U]), st.sampled_from([T, F, U])),
    max_size=12,
)
rules_of = st.fixed_dictionaries(
    {
        "for_ms": st.integers(0, 30),
        "clear_for_ms": st.integers(0, 20),
        "gap_ms_max": st.integers(1, 30),
        "samples_min": st.integers(1, 3),
    }
)


@settings(deadline=None)
@given(rules_of, steps, st.sets(st.integers(0, 240)))
def test_it_makes_no_difference_whether_a_tick_or_the_next_sample_comes_first(rule, steps, ticks):
    """S2, S4: the same changes at the same instants, and the same state in the end."""
    plain, ticked = Story(**rule), Story(**rule)
    minute = 0
    for pause, when, clear in steps:
        for tick in sorted(t for t in ticks if minute <= t <= minute + pause):
            ticked.tick(tick)
        minute += pause
        plain.sample(minute, when, clear)
        ticked.sample(minute, when, clear)
    plain.tick(1000)
    ticked.tick(1000)
    assert plain.said == ticked.said
    assert plain.state == ticked.state


@settings(deadline=None)
@given(rules_of, steps)
def test_every_change_goes_on_from_the_one_before(rule, steps):
    """A story has no holes, its times never go back, and it ends in the phase of the state."""
    story, minute, changes = Story(**rule), 0, []
    for pause, when, clear in steps:
        minute += pause
        story.state, now = observe(story.rule, story.state, when, clear, at(minute))
        changes += now
    phase, time_ms = Phase.OK, 0
    for change in changes:
        assert change.before is phase
        assert change.at_ms >= time_ms
        phase, time_ms = change.after, change.at_ms
    assert phase is story.state.phase
    assert isinstance(story.state, Instance)
