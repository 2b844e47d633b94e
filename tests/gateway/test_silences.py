"""Maintenance windows: nothing is filed in them, and nothing is lost."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from small_city import Gate, at, city_of, lamp

from gateway.books.store import Store
from gateway.cases.incident import State, Why
from gateway.cases.orders import Silenced, Unsilenced
from gateway.cases.preview import preview, told
from gateway.cases.silences import GRACE_MS, Silence, Spot, decode, encode, faults_of, ring_of

HOUR_MS = 3_600_000
LIT, DARK = 58.0, 0.0
GRACE = GRACE_MS // 60_000


def ms(text, zone="America/Chicago"):
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def window(**more):
    return Silence(
        **({"who": "ann", "why": "works", "from_ms": at(0), "for_ms": HOUR_MS,
            "circuits": ("C12",)} | more)
    )  # fmt: skip


TUESDAYS = window(
    from_ms=ms("2026-01-06T22:00"), for_ms=6 * HOUR_MS, repeat="FREQ=WEEKLY;BYDAY=TU",
    time_zone="America/Chicago",
)  # fmt: skip


@pytest.mark.parametrize(
    ("silence", "when", "until"),
    [
        (TUESDAYS, "2026-01-06T21:59", None),
        (TUESDAYS, "2026-01-06T22:00", "2026-01-07T04:00"),
        (TUESDAYS, "2026-01-07T03:59", "2026-01-07T04:00"),
        (TUESDAYS, "2026-01-07T04:00", None),
        (TUESDAYS, "2026-07-07T23:00", "2026-07-08T04:00"),  # by the clocks there, in summer too
        (TUESDAYS, "2025-12-30T23:00", None),  # before the first
        (window(from_ms=ms("2026-01-06T22:00")), "2026-01-06T22:30", "2026-01-06T23:00"),
        (window(from_ms=ms("2026-01-06T22:00")), "2026-01-13T22:30", None),
        (window(from_ms=ms("2026-01-06T22:00"), ended_ms=ms("2026-01-06T22:20")),
         "2026-01-06T22:10", "2026-01-06T22:20"),
        (window(from_ms=ms("2026-01-06T22:00"), ended_ms=ms("2026-01-06T22:20")),
         "2026-01-06T22:30", None),
    ],
)  # fmt: skip
def test_a_window_lasts_as_long_as_it_says_each_time_it_comes(silence, when, until):
    """The end of the window that an instant lies in."""
    assert silence.until_ms(ms(when)) == (None if until is None else ms(until))


HERE = Spot("lamp_out", "STREETLIGHT_OUT", "SL-0", "C12", "north", 41.88, -87.63)
SQUARE = ((41.87, -87.64), (41.89, -87.64), (41.89, -87.62), (41.87, -87.62))


@pytest.mark.parametrize(
    ("about", "is_about"),
    [
        ({"circuits": ("C12",)}, True),
        ({"circuits": ("C13",)}, False),
        ({"circuits": ("C12",), "rules": ("lamp_out",)}, True),
        ({"circuits": ("C12",), "rules": ("day_burner",)}, False),
        ({"circuits": (), "assets": ("SL-1", "SL-0")}, True),
        ({"circuits": (), "zones": ("north",)}, True),
        ({"circuits": (), "services": ("BIN_FULL",)}, False),
        ({"circuits": (), "within": SQUARE}, True),
        ({"circuits": (), "within": tuple((lat + 1, lon) for lat, lon in SQUARE)}, False),
        ({"circuits": ("C13",), "within": SQUARE}, False),
    ],
)
def test_a_window_is_about_what_all_that_it_names_agrees_on(about, is_about):
    """Any of a list; every list that is given."""
    assert window(**about).is_about(HERE) == is_about


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"who": " "}, "who"),
        ({"why": ""}, "why"),
        ({"for_ms": 0}, "lasts"),
        ({"circuits": ()}, "what is silent"),
        ({"within": ((1.0, 2.0),)}, "points"),
        ({"repeat": "every tuesday"}, "RFC 5545"),
        ({"repeat": "FREQ=SECONDLY"}, "RFC 5545"),
        ({"repeat": "FREQ=WEEKLY;BYDAY=XX"}, "RFC 5545"),
        ({"repeat": "FREQ=DAILY;INTERVAL=0"}, "RFC 5545"),
        ({"repeat": "FREQ=DAILY;INTERVAL=00;COUNT=2"}, "RFC 5545"),
        ({"time_zone": "America/Nowhere"}, "time zone"),
        ({"repeat": "FREQ=WEEKLY;BYDAY=TU"}, "by the clocks of UTC it begins on Friday"),
    ],
)
def test_a_window_that_cannot_be_used_says_why(more, word):
    """Before it is in force."""
    (fault,) = faults_of(window(**more))
    assert word in fault
    gate = Gate(city_of())
    assert gate.obey(Silenced(window(**more))) == [(False, fault)]


def test_a_window_is_kept_as_it_is():
    """In the store."""
    one = window(within=SQUARE, repeat="FREQ=DAILY", time_zone="UTC")
    assert decode(encode(one)) == one


@pytest.mark.parametrize(
    "tree",
    [
        {"type": "Polygon", "coordinates": [[[2, 1], [4, 1], [4, 3], [2, 1]]]},
        {"type": "Feature", "geometry": {"type": "Polygon",
                                         "coordinates": [[[2, 1], [4, 1], [4, 3], [2, 1]]]}},
        {"type": "FeatureCollection", "features": [
            {"type": "Feature", "geometry": {"type": "Polygon",
                                             "coordinates": [[[2, 1], [4, 1], [4, 3], [2, 1]]]}}]},
    ],
)  # fmt: skip
def test_a_polygon_is_read_from_geojson(tree):
    """Longitude first there, latitude first here; the last point is the first."""
    assert ring_of(tree) == ((1, 2), (1, 4), (3, 4))


@pytest.mark.parametrize(
    "tree",
    [
        [], {}, {"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon"},
        {"type": "Polygon", "coordinates": []}, {"type": "Polygon", "coordinates": [[["x", 1]]]},
        {"type": "Polygon", "coordinates": [[[1, 100], [2, 100], [3, 100]]]},
        {"type": "FeatureCollection", "features": []},
    ],
)  # fmt: skip
def test_what_is_no_polygon_is_refused_in_words(tree):
    """With what it should look like."""
    with pytest.raises(ValueError, match=r"GeoJSON"):
        ring_of(tree)


def say(gate, power_w, start, end, every=5):
    for minute in range(start, end, every):
        gate.live(minute, lamp("d0", minute, power_w, minute + 1))
        gate.pass_to(*range(minute + 1, minute + every))


def test_what_fires_in_a_window_waits_and_is_filed_after_it_if_it_is_seen_again():
    """After the grace, by samples from then on."""
    gate = Gate(city_of())
    assert gate.obey(Silenced(window(for_ms=2 * HOUR_MS))) == [(True, "silence 1 is in force")]
    say(gate, DARK, 0, 120 + GRACE)
    assert gate.rows == []
    assert (gate.incidents[1].state, gate.incidents[1].why) == (State.HELD, Why.SILENCED)
    say(gate, DARK, 120 + GRACE, 180)
    assert gate.services() == ["STREETLIGHT_OUT"]
    assert gate.incidents[1].why == Why.STILL_SEEN


def test_what_was_repaired_in_the_window_is_never_filed():
    """Dark through the works, lit after them."""
    gate = Gate(city_of())
    gate.obey(Silenced(window(for_ms=2 * HOUR_MS)))
    say(gate, DARK, 0, 110)
    say(gate, LIT, 110, 240)
    assert gate.rows == []
    assert gate.incidents[1].state is State.WITHDRAWN


def test_what_falls_silent_in_the_window_is_taken_at_its_last_word():
    """Nothing is lost: filed once it is blind."""
    gate = Gate(city_of())
    gate.obey(Silenced(window(for_ms=2 * HOUR_MS)))
    say(gate, DARK, 0, 60)
    gate.pass_to(*range(60, 60 * 30, 10))
    assert gate.services() == ["STREETLIGHT_OUT"]


def test_a_window_that_is_ended_by_hand_ends():
    """What it held goes on after the grace."""
    gate = Gate(city_of())
    gate.obey(Silenced(window(for_ms=100 * HOUR_MS)))
    say(gate, DARK, 0, 60)
    assert gate.obey(Unsilenced(1), Unsilenced(1), Unsilenced(9)) == [
        (True, "silence 1 is over"),
        (False, "there is no silence 1 in force"),
        (False, "there is no silence 9 in force"),
    ]
    say(gate, DARK, 60, 120)
    assert gate.services() == ["STREETLIGHT_OUT"]


def test_other_faults_are_filed_meanwhile():
    """Of another asset."""
    gate = Gate(city_of())
    gate.obey(Silenced(window(circuits=(), assets=("SL-9",), for_ms=9 * HOUR_MS)))
    say(gate, DARK, 0, 60)
    assert gate.services() == ["STREETLIGHT_OUT"]


def test_windows_and_what_they_hold_survive_a_restart(tmp_path):
    """On a real store."""
    store = Store(tmp_path / "state")
    gate = Gate(city_of(), store=store)
    gate.obey(Silenced(window(for_ms=2 * HOUR_MS)))
    say(gate, DARK, 0, 60)
    gate.restart()
    say(gate, DARK, 60, 120 + GRACE)
    assert gate.rows == []
    gate.restart()
    say(gate, DARK, 120 + GRACE, 180)
    assert gate.services() == ["STREETLIGHT_OUT"]
    store.close()


def test_a_preview_says_when_it_comes_and_what_it_would_have_hushed():
    """Of the past incidents of its kind, those that fired in such a window."""
    gate = Gate(city_of(lamps=2))
    past = [
        ("lamp_out", "SL-0", ms("2026-01-06T23:00"), "queued"),
        ("lamp_out", "SL-1", ms("2026-01-08T23:00"), "queued"),
        ("lamp_out", "gone", ms("2026-01-06T23:00"), "queued"),
        ("gone", "SL-0", ms("2026-01-06T23:00"), "queued"),
    ]
    said = preview(TUESDAYS, gate.city, gate.bundle, past, ms("2026-01-14T12:00"))
    assert said["windows"][:2] == ["2026-01-21T04:00:00Z", "2026-01-28T04:00:00Z"]
    assert (said["assets"], said["of_its_kind"], said["would_have_waited"]) == (3, 2, 1)


@pytest.mark.parametrize(
    ("when", "state"),
    [
        ("2026-01-01T00:00", "coming"),
        ("2026-01-06T23:00", "in force"),
        ("2030-01-01T00:00", "coming"),
    ],
)
def test_a_window_says_whether_it_is_in_force(when, state):
    """And when it comes next."""
    assert told(TUESDAYS, ms(when))["state"] == state
    once = window(from_ms=ms("2026-01-06T22:00"))
    assert told(once, ms("2026-01-07T22:00")) | {"about": ""} == {
        "state": "over", "next_at": None, "until": None, "about": "", "repeat": "",
        "time_zone": "UTC", "who": "ann", "why": "works",
    }  # fmt: skip
    assert datetime.fromtimestamp(once.next_ms(0) / 1000, UTC).hour == 4
