"""The clocks and the calendar of a place, and schedules by them."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_scenes import BIN, LAMP, Scene, fault_of, judged

from rules.engine import Engine
from rules.files import load
from rules.local_time import LocalTimes, Schedule, schedule_of
from rules.scene import Scene as EngineScene
from rules.track import NOWHERE, Subject, Track

ZONES = ("America/Chicago", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "UTC")


def ms(text):
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@given(st.integers(ms("2015-01-01T00:00Z"), ms("2040-01-01T00:00Z")), st.sampled_from(ZONES))
def test_hours_and_days_are_those_of_the_zone(ts_ms, zone):
    """In every zone, on every day, summer time or not."""
    clock = LocalTimes().of(zone)
    local = datetime.fromtimestamp(ts_ms / 1000, ZoneInfo(zone))
    seconds = 3600 * local.hour + 60 * local.minute + local.second + local.microsecond / 1e6
    assert clock.hour(ts_ms) * 3600 == pytest.approx(seconds, abs=0.002)
    assert clock.weekday(ts_ms) == local.weekday()


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "America", "/etc/hosts", "\0"])
def test_a_zone_that_is_none_has_no_clock(name):
    """Unknown, never somebody else's time."""
    assert LocalTimes().of(name) is None


@pytest.mark.parametrize(
    ("schedule", "moments", "expected"),
    [
        (
            "mon,thu 06:00-10:00",
            ["2026-01-15T06:00", "2026-01-15T09:59", "2026-01-15T10:00"],
            "110",
        ),
        ("Mon-Fri 6:00-10:00", ["2026-01-16T07:00", "2026-01-17T07:00", "2026-01-19T07:00"], "101"),
        (
            "fri-mon 06:00-10:00",
            ["2026-01-16T07:00", "2026-01-18T07:00", "2026-01-20T07:00"],
            "110",
        ),
        ("daily 22:00-02:00", ["2026-01-15T23:00", "2026-01-15T01:59", "2026-01-15T02:00"], "110"),
        ("sun 22:00-02:00", ["2026-01-18T23:00", "2026-01-19T01:00", "2026-01-18T01:00"], "110"),
        ("sat 00:00-24:00; sun 08:00-09:00", ["2026-01-17T23:59", "2026-01-18T08:30"], "11"),
    ],
)
def test_a_schedule_holds_from_its_first_minute_to_before_its_last(schedule, moments, expected):
    """Hours past midnight belong to the day that they begin on."""
    clock = LocalTimes().of("UTC")
    found = [clock.is_in(Schedule.parse(schedule), ms(f"{moment}Z")) for moment in moments]
    assert found == [sign == "1" for sign in expected]


@pytest.mark.parametrize(
    "text",
    ["", "mon", "06:00-10:00", "mon 6-10", "mox 06:00-10:00", "mon 06:00-06:00", "mon 24:00-02:00",
     "mon 06:00-25:00", "mon 06:70-07:00", "mon 06:00-10:00;", "mon,, 06:00-10:00", "x" * 300],
)  # fmt: skip
def test_a_text_that_is_no_schedule_is_refused(text):
    """With a reason when it is read, unknown where it is met at run time."""
    with pytest.raises(ValueError, match=r"\w"):
        Schedule.parse(text)
    assert schedule_of(text) is None


@given(st.text(alphabet="mondaily,;- 0123456789:ue", max_size=80))
def test_any_text_is_a_schedule_or_none(text):
    """And a schedule lies within the week."""
    found = schedule_of(text)
    assert found is None or all(0 <= start < end <= 7 * 1440 for start, end in found.spans)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("local_hour() >= 20 h", True),
        ("20h <= local_hour() < 22h", True),
        ("local_hour() > 1230min", False),
        ("weekday() == thu", True),
        ("weekday() in [sat, sun]", False),
        ("weekday() not in [sat, sun]", True),
        ('in_schedule("mon-fri 20:00-21:00")', True),
        ('in_schedule("mon-wed 20:00-21:00")', False),
        ("in_schedule(asset.pickup)", None),
        ('time_to("thu 20:00-21:00") == 0h', True),
        ('time_to("thu 21:00-22:00") == 30min', True),
        ('time_to("thu 20:00-20:30") == 7d - 30min', True),
        ('time_to("mon,fri 06:00-07:00") == 9.5h', True),
        ("time_to(asset.pickup) < 24h", None),
    ],
)
def test_conditions_ask_the_clocks(text, expected):
    """It is Thursday, half past eight in the evening."""
    assert judged(text, {}) is expected


def test_a_bare_hour_is_read_in_hours():
    """`local_hour() >= 22` is no 22 milliseconds."""
    assert judged("local_hour() >= 22", {}, scene=Scene(hour=21.0)) is False
    assert judged("local_hour() >= 22", {}, scene=Scene(hour=22.0)) is True


@pytest.mark.parametrize(
    ("text", "code", "column"),
    [
        ("weekday() > mon", "E102", 1),
        ("weekday() == 3", "E102", 1),
        ('weekday() == "mon"', "E102", 1),
        ("weekday() + 1 == tue", "E102", 1),
        ("mon == tue", "E102", 1),
        ("weekday() == monday", "E101", 14),
        ("local_hour() > 25 h", "E110", 1),
        ("local_hour() > 5 W", "E104", 1),
        ('in_schedule("monday 6-10")', "E102", 13),
        ("in_schedule(fill)", "E102", 13),
        ("in_schedule()", "E102", 1),
        ('time_to("monday 6-10") < 1h', "E102", 9),
        ("time_to(asset.pickup) < 30%", "E104", 1),
    ],
)
def test_what_the_calendar_cannot_say_is_refused(text, code, column):
    """Days have no order and no numbers; a schedule is read when the rule is."""
    finding = fault_of(text, BIN)
    assert (finding.code, finding.column) == (code, column)


def test_a_subject_has_the_clocks_of_its_own_zone():
    """The same instant is Thursday in Chicago and Friday in Berlin; nowhere it is neither."""
    at_ms = ms("2026-01-15T20:30-06:00")
    found = []
    for zone in ("America/Chicago", "Europe/Berlin", ""):
        subject = Subject("a", "bin", {"pickup": "thu 20:00-21:00"}, time_zone=zone)
        track = Track(subject, NOWHERE.plan, None, LocalTimes().of(zone))
        scene = EngineScene(lambda _: iter(()))
        scene.at(track, at_ms)
        schedule = "thu 20:00-21:00"
        left_ms = scene.time_to_ms(schedule)
        found.append((scene.local_hour(), scene.weekday(), scene.in_schedule(schedule), left_ms))
    to_thursday_ms = (6 * 24 + 16) * 3_600_000 + 1_800_000
    assert found == [
        (20.5, 3, True, 0), (3.5, 4, False, to_thursday_ms), (None, None, None, None),
    ]  # fmt: skip


RULE = """
apiVersion: sense311/v1
sensor: bin
rules:
  - id: late
    title: Full on Thursday evening
    when: fill > 50% and weekday() == thu and local_hour() >= 20 h
    identity: [asset.id]
"""


@pytest.mark.parametrize(("zone", "fires"), [("America/Chicago", 1), ("Europe/Berlin", 0), ("", 0)])
def test_the_engine_judges_each_subject_by_its_own_clocks(zone, fires):
    """From the zone that the subject names; without one the rule is not judged."""
    bundle, findings = load({"late.yaml": RULE})
    assert bundle is not None, findings
    engine = Engine(bundle, [Subject("a", "bin", time_zone=zone)])
    _, transitions = engine.feed("a", ms("2026-01-15T20:30-06:00"), {"fill_pct": 80.0})
    assert sum(transition.after == "firing" for transition in transitions) == fires


def test_lamps_know_the_day_too():
    """The calendar is there for every kind."""
    assert judged("weekday() == thu and relay_on", {"relay_on": True}, LAMP) is True
