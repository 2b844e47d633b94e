"""What is new is admitted once, what is repeated never, whatever order it comes in."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.field import devices
from gateway.field.devices import (
    DIGESTS_MAX,
    LIVES_MAX,
    RUNS_MAX,
    SETTLE_MS,
    UNTIMED_REPEAT_MS,
    Device,
    Times,
    Trust,
    Verdict,
    admit,
    note_refused,
)
from gateway.telemetry import Address, Reading

ADDRESS = Address("zone", "bin", "dev", "telemetry")
NOW_MS = 1_768_507_500_000


def message(
    seq: int | None, ts_ms: int | None, boot: int | None = None, note: object = ""
) -> Reading:
    body = repr((ts_ms, boot, seq, note)).encode()
    return Reading(ADDRESS, ts_ms, boot, seq, {}, None, (), False, None, body)


def times(now_ms: int = NOW_MS) -> Times:
    return Times(now_ms, now_ms + devices.SKEW_MS_MAX, now_ms - devices.AGE_MS_MAX)


def verdicts(device: Device, messages: list[Reading], now_ms: int = NOW_MS) -> list[bool]:
    """Whether each was new; the record goes through the store between any two."""
    found = []
    for one in messages:
        verdict, _ = admit(device, one, times(now_ms))
        found.append(verdict is not Verdict.DUPLICATE)
        copy = devices.load(devices.dump(device))
        assert copy == device
    return found


def first_comings(messages: list[Reading]) -> list[bool]:
    seen: set[bytes] = set()
    return [not (one.body in seen or seen.add(one.body)) for one in messages]


def interleaved(stream: list[Reading]) -> st.SearchStrategy[list[Reading]]:
    """Every message once and some again, in any order."""
    repeats = st.lists(st.sampled_from(stream), max_size=20)
    return repeats.flatmap(lambda again: st.permutations([*stream, *again]))


def stream(count: int, start: int, boot: int | None, ts_ms: int | None) -> list[Reading]:
    return [
        message(start + n, None if ts_ms is None else ts_ms + n * 1000, boot, (boot, ts_ms))
        for n in range(count)
    ]


# -- each exactly once ------------------------------------------------------------------------


@settings(deadline=None)
@given(st.data())
def test_each_numbered_message_is_admitted_exactly_once(data: st.DataObject):
    """In any order with any repeats over several boots, new is new and a repeat is a repeat."""
    boots = data.draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=LIVES_MAX, unique=True))
    clocked = data.draw(st.booleans())
    messages = [
        one
        for n, boot in enumerate(boots)
        for one in stream(10, 0, boot, NOW_MS - 90_000 + n * 20_000 if clocked else None)
    ]
    came = data.draw(interleaved(messages))
    assert verdicts(Device("dev"), came) == first_comings(came)


@settings(deadline=None)
@given(interleaved(stream(30, 5, None, NOW_MS - 60_000)))
def test_a_device_that_does_not_count_its_boots_is_told_by_number(came: list[Reading]):
    """Out of order is not a repeat, and a repeat is one, without a boot number too."""
    assert verdicts(Device("dev"), came) == first_comings(came)


@settings(deadline=None)
@given(interleaved(stream(25, 0, None, None)))
def test_without_boot_and_clock_content_tells(came: list[Reading]):
    """Numbers that begin again cannot be told from repeats then, but the latest texts can."""
    assert len(came) <= DIGESTS_MAX
    assert verdicts(Device("dev"), came) == first_comings(came)


@settings(deadline=None)
@given(interleaved([message(None, NOW_MS - n * 1000) for n in range(30)]))
def test_unnumbered_messages_are_told_by_content(came: list[Reading]):
    """Messages without a number are repeats if the same text is among the latest."""
    assert verdicts(Device("dev"), came) == first_comings(came)


@settings(deadline=None)
@given(st.data(), st.sampled_from([None, 1]), st.booleans())
def test_a_counter_that_begins_again_loses_nothing(
    data: st.DataObject, boot: int | None, clocked: bool
):
    """After a restart unseen in the boot number, old numbers with new times are new messages."""
    clocked = clocked or boot is not None
    before = stream(12, 0, boot, NOW_MS - 60_000 if clocked else None)
    after = stream(12, 0, boot, NOW_MS - 30_000 if clocked else None)
    after = [message(r.seq, r.ts_ms, r.boot, "after") for r in after]
    came = data.draw(interleaved(before))
    for one in after:
        came += [one, *data.draw(st.lists(st.sampled_from([*before, one]), max_size=1))]
    device = Device("dev")
    assert verdicts(device, came) == first_comings(came)
    assert device.resets == 1


def test_a_device_that_is_replaced_is_heard_at_once():
    """A new device under the old name that begins at the same boot is not taken for repeats."""
    device = Device("dev")
    verdicts(device, stream(50, 0, 1, NOW_MS - 60_000))
    assert all(verdicts(device, stream(50, 0, 1, NOW_MS), NOW_MS + 60_000))


def test_late_messages_after_a_reset_are_told_by_their_time():
    """What was under way when the counter began again is still taken once, and once only."""
    device = Device("dev")
    old = stream(10, 0, None, NOW_MS - 60_000)
    verdicts(device, [*old[:5], *old[6:]])
    verdicts(device, stream(5, 0, None, NOW_MS - 30_000))
    assert verdicts(device, [old[5], old[5], old[2]]) == [True, False, False]
    assert verdicts(device, stream(8, 0, None, NOW_MS - 30_000)) == [False] * 5 + [True] * 3


def test_a_repeat_that_time_has_caught_up_with_is_a_repeat():
    """A message from a clock that ran ahead is no new one when its time has come."""
    for boot in (None, 3):
        device = Device("dev")
        ahead = message(7, NOW_MS + 3_600_000, boot)
        assert verdicts(device, [ahead]) == [True]
        assert verdicts(device, [ahead], NOW_MS + 7_200_000) == [False]


def test_a_device_without_clock_and_number_may_say_the_same_again():
    """The same words are a repeat for a while, then they are news."""
    device = Device("dev")
    same = message(None, None)
    assert verdicts(device, [same, same]) == [True, False]
    assert verdicts(device, [same], NOW_MS + UNTIMED_REPEAT_MS) == [False]
    assert verdicts(device, [same], NOW_MS + UNTIMED_REPEAT_MS + 1) == [True]
    assert device.seen_ms == NOW_MS + UNTIMED_REPEAT_MS + 1


def test_a_device_that_begins_to_count_its_boots_loses_nothing():
    """Boot 0 is another life than none."""
    device = Device("dev")
    assert all(verdicts(device, stream(5, 0, None, NOW_MS - 5_000)))
    assert all(verdicts(device, stream(5, 0, 0, NOW_MS - 5_000)))


# -- bounds -----------------------------------------------------------------------------------


def test_memory_of_a_device_is_bounded():
    """Holes, boots and texts beyond the bounds are forgotten, the oldest first."""
    device = Device("dev")
    for n in range(2 * RUNS_MAX):
        admit(device, message(2 * n, NOW_MS + n, 1), times())
    for n in range(2 * LIVES_MAX):
        admit(device, message(0, NOW_MS, 10 + n), times())
    for n in range(2 * DIGESTS_MAX):
        admit(device, message(None, NOW_MS + n), times())
    assert len(device.lives) == LIVES_MAX
    assert len(device.digests) == DIGESTS_MAX
    assert len(devices.dump(device)) < 8_000


def test_holes_beyond_the_bound_stay_counted():
    """What is given up is still missing, and no longer holds up the acknowledgement."""
    device = Device("dev")
    for n in range(RUNS_MAX + 5):
        admit(device, message(2 * n, NOW_MS, 1), times())
    assert len(device.lives[0].runs) == RUNS_MAX
    assert device.missing == RUNS_MAX + 4
    assert device.acknowledged() == (1, 10)


@given(st.sets(st.integers(0, 60), min_size=1), st.randoms())
def test_runs_are_the_numbers_that_came(numbers: set[int], dice):
    """Runs ascend, do not touch, and hold exactly what was admitted."""
    order = sorted(numbers)
    dice.shuffle(order)
    device = Device("dev")
    for seq in order:
        admit(device, message(seq, NOW_MS, 1), times())
    (life,) = device.lives
    assert {n for first, last in life.runs for n in range(first, last + 1)} == numbers
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(life.runs))
    assert device.missing == max(numbers) - min(numbers) + 1 - len(numbers)


# -- acknowledgement --------------------------------------------------------------------------


def test_what_is_acknowledged_has_come_without_a_hole():
    """A number is acknowledged once all before it have come; refused ones count as come."""
    device = Device("dev")
    assert device.acknowledged() is None
    for seq, upto in ((1, 1), (2, 2), (5, 2), (4, 2)):
        admit(device, message(seq, NOW_MS, 3), times())
        assert device.acknowledged() == (3, upto)
    note_refused(device, (3, 3))
    note_refused(device, (3, 3))
    note_refused(device, None)
    assert device.acknowledged() == (3, 5)
    assert device.rejected == 3


def test_a_boot_heard_in_the_middle_is_not_acknowledged_at_once():
    """A live message before the backlog of an outage does not make the device drop the backlog."""
    device = Device("dev")
    admit(device, message(50, NOW_MS, 3), times())
    assert device.acknowledged() is None
    for seq in range(50):
        admit(device, message(seq, NOW_MS - 60_000, 3), times())
    assert device.acknowledged() == (3, 50)


def test_a_counter_that_was_high_from_the_first_is_acknowledged_after_a_while():
    """What was said to an earlier gateway never comes; it is not waited for without end."""
    device = Device("dev")
    admit(device, message(5000, NOW_MS, None), times())
    assert device.acknowledged() is None
    admit(device, message(5001, NOW_MS + SETTLE_MS, None), times(NOW_MS + SETTLE_MS))
    assert device.acknowledged() == (None, 5001)


def test_after_a_reset_only_the_new_numbers_are_acknowledged():
    """The watermark of the counter before it would make the device drop what it must still send."""
    device = Device("dev")
    old = stream(100, 0, None, NOW_MS - 200_000)
    verdicts(device, old)
    verdicts(device, stream(3, 0, None, NOW_MS - 60_000))
    verdicts(device, [old[50]])
    assert device.acknowledged() == (None, 2)


def test_the_boot_last_heard_is_acknowledged():
    """A backlog of the boot before is acknowledged while it comes, then the present boot again."""
    device = Device("dev")
    verdicts(device, [message(0, NOW_MS, 4), message(0, NOW_MS - 9_000, 3)])
    assert device.acknowledged() == (3, 0)
    verdicts(device, [message(1, NOW_MS, 4)])
    assert device.acknowledged() == (4, 1)


# -- time -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ts_ms", "event_ms", "trust", "skew_s"),
    [
        (NOW_MS - 5000, NOW_MS - 5000, Trust.DEVICE, -5.0),
        (NOW_MS + 120_000, NOW_MS + 120_000, Trust.DEVICE, 120.0),
        (NOW_MS + 120_001, NOW_MS, Trust.AHEAD, 120.001),
        (None, NOW_MS, Trust.UNSET, 0.0),
        (0, NOW_MS, Trust.BEHIND, 0.0),
        (-62_135_596_800_000, NOW_MS, Trust.BEHIND, 0.0),
        (devices.EPOCH_MS_MIN, devices.EPOCH_MS_MIN, Trust.DEVICE, 0.0),
    ],
)
def test_a_clock_that_cannot_be_right_is_replaced_by_the_time_of_receipt(
    ts_ms: int | None, event_ms: int, trust: Trust, skew_s: float
):
    """No message is dropped because of its clock; whose time it carries is told."""
    device = Device("dev")
    verdict, found_ms = admit(device, message(1, ts_ms, 1), times())
    assert verdict is not Verdict.DUPLICATE
    assert found_ms == event_ms
    assert (device.trust, device.clock_skew_s) == (trust, skew_s)


def test_skew_is_forgotten_once_the_clock_is_right():
    """What is shown of a device is its present state."""
    device = Device("dev")
    verdicts(device, [message(1, NOW_MS + 10**9, 1), message(2, NOW_MS, 1)])
    assert (device.trust, device.clock_skew_s) == (Trust.DEVICE, 0.0)


def test_the_quickest_message_of_late_tells_the_skew():
    """Ten seconds behind on the way of some; a backlog hides it for as long as it lasts."""
    device = Device("dev")
    for seq, late_ms in enumerate((10_000, 40_000, 12_000, 10_000)):
        verdicts(device, [message(seq, NOW_MS + seq * 60_000 - late_ms, 1)],
                 now_ms=NOW_MS + seq * 60_000)  # fmt: skip
    assert device.clock_skew_s == -10.0
    verdicts(device, [message(9, NOW_MS + 240_000 - 3_600_000, 1)], now_ms=NOW_MS + 240_000)
    assert -300 < device.clock_skew_s < -200
    verdicts(device, [message(10, NOW_MS + 300_000 - 10_000, 1)], now_ms=NOW_MS + 300_000)
    assert device.clock_skew_s == -10.0


def test_the_usual_pause_is_learned_by_the_times_of_the_readings():
    """Every five minutes by night and nothing by day: the day is usual on the next one too, and a
    backlog that comes all at once teaches nothing else."""
    device = Device("dev")
    night = [NOW_MS - 30 * 3_600_000 + minute * 60_000 for minute in range(0, 720, 5)]
    for seq, ts_ms in enumerate(night):
        verdicts(device, [message(seq, ts_ms, 1)], now_ms=NOW_MS - 12 * 3_600_000)
    assert device.pause_s == 300
    verdicts(device, [message(200, night[-1] + 12 * 3_600_000, 1)], now_ms=NOW_MS)
    assert device.pause_s == 12 * 3600
    for step in range(1, 145):
        ts_ms = night[-1] + 12 * 3_600_000 + step * 300_000
        verdicts(device, [message(200 + step, ts_ms, 1)], now_ms=ts_ms)
    assert 12 * 3600 / 3 < device.pause_s < 12 * 3600


def test_old_readings_are_kept_but_not_judged():
    """Older than the bound is late; at the bound it still counts."""
    device = Device("dev")
    oldest_ms = times().oldest_ms
    assert admit(device, message(1, oldest_ms - 1, 1), times())[0] is Verdict.LATE
    assert admit(device, message(2, oldest_ms, 1), times())[0] is Verdict.FRESH
    assert (device.late, device.duplicates) == (1, 0)
    assert admit(device, message(1, oldest_ms - 1, 1), times())[0] is Verdict.DUPLICATE
    assert (device.late, device.duplicates) == (1, 1)
