"""Time as it is written, and how far the rules may take it to have passed."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import (
    HOURS_KNOWN_MAX,
    QUORUM,
    TICK_MS,
    Frontier,
    ManualClock,
    SystemClock,
    ms_of,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER_MS = 1 << 62


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
    st.integers(-23 * 60, 23 * 60),
    st.booleans(),
)
def test_a_time_is_read_to_the_millisecond(
    at: datetime, timespec: str, offset_min: int, lower: bool
):
    """Any instant in any zone is the ms in which it lies, be the hour read before or not."""
    zone = timezone(timedelta(minutes=offset_min))
    local = at.replace(tzinfo=zone)
    text = local.isoformat(timespec=timespec)
    if offset_min == 0:
        text = text.replace("+00:00", "Z")
    if timespec == "seconds":
        local = local.replace(microsecond=0)
    expected = (local - EPOCH) // timedelta(milliseconds=1)
    for _ in range(2):
        assert ms_of(text.lower() if lower else text) == expected
    utc_text = local.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"
    assert ms_of(utc_text) == expected + offset_min * 60_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.999999999Z", 999),
        ("1969-12-31T23:59:59.999Z", -1),
        ("1970-01-01T05:30:00.0015+05:30", 1),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ("2017-01-01T05:29:60.5+05:30", 1_483_228_800_500),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_times_that_are_easily_got_wrong(text: str, ms: int):
    """Fractions are cut, days before the epoch count down, leap seconds are the next midnight."""
    assert ms_of(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "", "2026-01-15", "2026-01-15T20:05Z", "2026-01-15T20:05:00", "2026-01-15 20:05:00Z",
        "2026-01-15T20:05:00.Z", "2026-01-15T20:05:00.1234567890Z", "2026-01-15T20:05:00ZZ",
        "2026-01-15T20:05:00Z\n", " 2026-01-15T20:05:00Z", "2026-02-30T20:05:00Z",
        "2025-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
        "0000-01-01T00:00:00Z", "2026-01-15T24:00:00Z", "2026-01-15T23:60:00Z",
        "2026-01-15T20:05:60Z", "2016-12-31T23:58:60Z", "2026-01-15T20:05:61Z",
        "2026-01-15T20:05:00+24:00", "2026-01-15T20:05:00+0530", "2026-01-15T20:05:00+05",
        "2026-01-15T20:05:00-05:60", "+2026-01-15T20:05:00Z", "20260115T200500Z", "now",
        "\u0662026-01-15T20:05:00Z", "2026-01-15T20:05:0\u0660Z", "2026-W03-4T20:05:00Z",
    ],
)  # fmt: skip
def test_what_is_not_rfc_3339_with_a_zone_is_no_time(text: str):
    """Nothing is guessed: no missing zone, no other layout, no day that the calendar lacks."""
    ms_of("2026-01-15T20:00:00Z")  # the hour is known
    assert ms_of(text) is None


def test_reading_many_hours_stays_right():
    """The memory of hours is bounded and its overflow changes nothing."""
    hour_ms = 3_600_000
    for n in range(HOURS_KNOWN_MAX + 10):
        text = datetime.fromtimestamp(n * 3600, UTC).strftime("%Y-%m-%dT%H:00:01Z")
        assert ms_of(text) == n * hour_ms + 1000


def test_the_clocks_tell_ms_since_the_epoch():
    """The system's clock is the time of day; the manual one stands where it was put."""
    assert abs(SystemClock().now_ms() - datetime.now(UTC).timestamp() * 1000) < 60_000
    clock = ManualClock(5)
    clock.ms += 1
    assert clock.now_ms() == 6


# -- the frontier -----------------------------------------------------------------------------


readings = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20 * TICK_MS)), max_size=60)


def run(frontier: Frontier, said: list[tuple[str, int]], now_ms: int = NEVER_MS) -> list[int]:
    """As the core asks it: only what is beyond the next minute."""
    ticks = [
        frontier.pass_(device, ts_ms, now_ms) for device, ts_ms in said if ts_ms >= frontier.next_ms
    ]
    return [tick for tick in ticks if tick is not None]


@given(readings, st.integers(1, 4))
def test_time_has_passed_once_a_quorum_has_reported_it(said: list[tuple[str, int]], quorum: int):
    """The frontier is the minute that `quorum` devices have reached, in whatever order they did."""
    frontier = Frontier(quorum=quorum)
    run(frontier, said)
    latest: dict[str, int] = {}
    for device, ts_ms in said:
        latest[device] = max(ts_ms, latest.get(device, 0))
    reached = sorted(latest.values(), reverse=True)[quorum - 1 : quorum] or [0]
    assert frontier.tick_ms == reached[0] - reached[0] % TICK_MS


@given(readings)
def test_time_never_goes_back(said: list[tuple[str, int]]):
    """Ticks come in ascending order, each once, on whole minutes."""
    ticks = run(Frontier(), said)
    assert ticks == sorted(set(ticks))
    assert all(tick % TICK_MS == 0 for tick in ticks)


@given(readings, st.integers(0, NEVER_MS), st.integers(0, 60))
def test_one_wrong_clock_moves_nothing(said: list[tuple[str, int]], wrong_ms: int, at: int):
    """With one device anywhere in time, no minute is passed that two others have not reached."""
    frontier = Frontier()
    run(frontier, [*said[:at], ("wrong", wrong_ms), *said[at:]])
    latest: dict[str, int] = {}
    for device, ts_ms in said:
        latest[device] = max(ts_ms, latest.get(device, 0))
    second = [*sorted(latest.values(), reverse=True), 0, 0][QUORUM - 2]
    assert frontier.tick_ms <= second


def test_a_clock_ahead_of_the_time_is_not_heard():
    """Devices that agree on a time that cannot be yet move nothing, and are heard once it is."""
    frontier = Frontier()
    ahead = [(device, 10 * TICK_MS) for device in "abc"]
    assert run(frontier, ahead, now_ms=10 * TICK_MS - 1) == []
    assert run(frontier, ahead, now_ms=10 * TICK_MS) == [10 * TICK_MS]


def test_the_clock_moves_time_on_when_nothing_is_waiting():
    """`move_to` passes whole minutes, once, and what was reported before them counts no more."""
    frontier = Frontier()
    run(frontier, [("a", TICK_MS), ("b", TICK_MS)])
    assert frontier.move_to(3 * TICK_MS + 5) == 3 * TICK_MS
    assert frontier.move_to(3 * TICK_MS + 9) is None
    assert frontier.move_to(TICK_MS) is None
    assert run(frontier, [("c", 4 * TICK_MS), ("d", 4 * TICK_MS)]) == []
    assert run(frontier, [("e", 4 * TICK_MS)]) == [4 * TICK_MS]


def test_only_those_who_are_ahead_are_remembered():
    """However many devices report, fewer than a quorum of them wait for the others."""
    frontier = Frontier()
    run(frontier, [(f"d{n}", TICK_MS * (1 + n // 50)) for n in range(1000)])
    assert len(frontier._votes) < QUORUM


def test_a_small_city_needs_no_more_devices_than_it_has():
    """With a quorum of one, one device passes the time."""
    assert run(Frontier(quorum=1), [("a", TICK_MS)]) == [TICK_MS]
    assert run(Frontier(quorum=0), [("a", TICK_MS)]) == [TICK_MS]
