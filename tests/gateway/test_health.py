"""Whether the gateway lives and whether it takes messages, from what it said last of itself."""

import pytest

from gateway.watch.condition import DeskSeen, Halt, Link, Parts, Trouble, figures, told
from gateway.watch.health import AGE_MS_MAX, Unfit, age_ms, live, ready

NOW_MS = 1_768_453_200_000
WELL = Parts(Trouble(), Link(True, "", 0), [DeskSeen("city", True, "up")], "", "", {})
AWAY = Link(False, "cannot reach mqtt://b:1883", 0)
FULL = Trouble(Halt.DISK_FULL, "the disk is full")
STOPPED = Trouble(Halt.STOPPED, "stopped")


def status(parts=WELL, age=500):
    return {**told(parts), "at_ms": NOW_MS - age, "figures": figures(parts)}


@pytest.mark.parametrize(
    ("said", "readable", "alive", "not_ready"),
    [
        (status(), True, [], []),
        (status(age=AGE_MS_MAX), True, [], []),
        (status(age=AGE_MS_MAX + 1), True, [Unfit.STATUS_STALE], [Unfit.STATUS_STALE]),
        (status(age=-60_000), True, [], []),
        (status(WELL._replace(link=AWAY)), True, [], [Unfit.BROKER_DISCONNECTED]),
        (
            status(WELL._replace(trouble=FULL, link=AWAY)),
            True,
            [],
            [Unfit.DISK_FULL, Unfit.BROKER_DISCONNECTED],
        ),
        (status(WELL._replace(trouble=STOPPED)), True, [Unfit.STOPPED], [Unfit.STOPPED]),
        (status(), False, [Unfit.STORE_UNREADABLE], [Unfit.STORE_UNREADABLE]),
        ({"at_ms": 0}, False, [Unfit.NEVER_RAN], [Unfit.NEVER_RAN]),
        ({"at_ms": NOW_MS}, True, [], [Unfit.BROKER_DISCONNECTED]),
    ],
    ids=[
        "well", "just young enough", "old", "clock set back", "no broker", "disk full", "stopped",
        "no store", "never ran", "one of an older version",
    ],
)  # fmt: skip
def test_what_is_live_and_what_is_ready(said, readable, alive, not_ready):
    """A lost broker or a full disk is no reason to restart; silence and a lost store are."""
    assert live(said, NOW_MS, store_readable=readable) == (not alive, alive)
    assert ready(said, NOW_MS, store_readable=readable) == (not not_ready, not_ready)


def test_the_age_of_what_was_never_said():
    """There is none."""
    assert age_ms({"at_ms": 0}, NOW_MS) is None
    assert age_ms(status(age=1500), NOW_MS) == 1500


@pytest.mark.parametrize(
    ("parts", "state", "words"),
    [
        (WELL, "green", ""),
        (WELL._replace(link=AWAY), "red", "cannot reach"),
        (WELL._replace(trouble=FULL, link=AWAY, stopped="by ann: storm"), "red", "disk is full"),
        (WELL._replace(refused_reload="the rule files", stopped="by ann"), "amber", "rule files"),
        (WELL._replace(stopped="by ann: storm"), "amber", "nothing is filed: stopped by ann"),
        (WELL._replace(waiting={"review": 2, "held": 1}), "amber", "1 in held, 2 in review"),
    ],
    ids=["well", "no broker", "disk full", "reload refused", "filing stopped", "requests wait"],
)
def test_one_word_and_one_sentence(parts, state, words):
    """The worst counts: what stops the intake before what waits for a person."""
    said = told(parts)
    assert said["state"] == state
    assert words in said["problem"]


def test_the_desks_in_words_and_for_machines():
    """Where there is no desk for what is urgent, that is said."""
    down = DeskSeen("emergency", up=False, told="down: timed out")
    both = WELL._replace(desks=[*WELL.desks, down])
    assert (told(WELL)["desk"], told(WELL)["emergency_desk"]) == ("up", "none")
    assert told(both)["emergency_desk"] == "down: timed out"
    assert figures(both)["desks"] == {"city": True, "emergency": False}


def test_for_how_long_a_desk_is_left_alone_is_told():
    """And for what; 0 where it is not."""
    paused = DeskSeen("city", up=True, told="up", paused_until_ms=9_000, reason="429: later")
    assert figures(WELL._replace(desks=[paused]))["pauses"] == {
        "city": {"paused_until_ms": 9_000, "reason": "429: later"}
    }
    assert figures(WELL)["pauses"]["city"]["paused_until_ms"] == 0
