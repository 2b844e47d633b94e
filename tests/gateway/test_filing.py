"""Filing: whatever the desk, the line and the gateway do, each row becomes one request."""

import threading
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import pytest
from delivery import KEY, T0_MS, SqliteLedger, a_row, running_desk
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.cityhall.delivery import (
    CannotTell,
    Cause,
    Claimed,
    Filed,
    Found,
    NotSent,
    Prefer,
    Recovered,
    Refused,
    State,
    Tokened,
    TokenResolved,
    Unknown,
)
from gateway.cityhall.filing import (
    DOWN_PAUSE_MS_MAX,
    FAILURES_IN_A_ROW_MAX,
    ROWS_PER_PASS,
    TOKENS_PER_PASS,
    Filer,
    Health,
    event_name,
    judged,
)
from gateway.cityhall.georeport_http import Timeouts
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.outbox import RowChangedError, advance
from gateway.cityhall.profile import Listing, Profile, read_profile

H_S = 60
PROFILE = Profile.model_validate(
    {
        "title": "model",
        "listing": {"visibility_s": H_S, "absent_gap_s": 10},
        "services": {"STREETLIGHT_OUT": {"code": "A"}, "BIN_FULL": {"code": "B"}},
    }
)


class Crash(BaseException):
    """The process ends here: no handler of the code under test may see it."""


class Clock:
    def __init__(self):
        self.ms = T0_MS

    def __call__(self):
        return self.ms


class DictLedger:
    """Durable as far as it got; can end the process before or after a chosen save."""

    def __init__(self):
        self.stored = {}
        self.crash_at = None
        self.journal = []

    def add(self, *rows):
        self.stored |= {row.reference: row for row in rows}

    def outbox_due(self, now_ms, limit, desk="city"):
        waiting = {State.READY, State.SENDING, State.UNCERTAIN, State.TOKENED}
        due = [r for r in self.stored.values() if r.state in waiting and r.next_ms <= now_ms]
        return sorted(due, key=lambda row: row.created_ms)[:limit]

    def outbox_knows(self, references):
        return self.stored.keys() & set(references)

    def stopped(self):
        return ""

    def outbox_save(self, before, after, event, at_ms):
        self._maybe_crash()
        stored = self.stored[before.reference]
        if (stored.state, stored.attempts) != (before.state, before.attempts):
            raise RowChangedError(before.reference)
        self.stored[after.reference] = after
        self.journal.append((after.reference, event))
        self._maybe_crash()

    def _maybe_crash(self):
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at < 0:
                self.crash_at = None
                raise Crash


@dataclass
class Stored:
    reference: str
    request_id: str
    listed_ms: int
    token: str | None = None


class ModelDesk:
    """A city that stores, lists within H of the last byte, and answers as it is told to."""

    def __init__(self, clock):
        self.clock = clock
        self.requests = []
        self.script = []
        self.posts = 0
        self.gets = 0
        self.lag_ms = 0
        self.blind = False

    def post(self, row):
        self.posts += 1
        how = self.script.pop(0) if self.script else "file"
        if how == "refused line":
            return NotSent(Cause.UNREACHABLE, "no connection")
        if how == "throttle":
            return NotSent(Cause.THROTTLED, "later", 2.0)
        if how == "drop before":
            return Unknown(Cause.DROPPED, "the line broke")
        if how == "crash before":
            raise Crash
        token = f"t{self.posts}" if how == "token" else None
        stored = Stored(row.reference, str(self.posts), self.clock.ms + self.lag_ms, token)
        self.requests.append(stored)
        if how == "crash after":
            raise Crash
        if how == "hang after":
            self.clock.ms += 30_000
            stored.listed_ms = self.clock.ms + self.lag_ms
            return Unknown(Cause.TIMEOUT, "silence")
        if how == "error after":
            return Unknown(Cause.SERVER_ERROR, "HTTP 500")
        return Tokened(token) if token else Filed(stored.request_id)

    def residents(self, row, now_ms, knows):
        return None

    def look(self, service, references, since_ms, until_ms):
        self.gets += 1
        if self.blind:
            return dict.fromkeys(references, CannotTell(Cause.SERVER_ERROR, "HTTP 500"))
        listed = [r for r in self.requests if r.listed_ms <= self.clock.ms]
        return {r.reference: Found(r.request_id) for r in listed if r.reference in references}

    def token(self, token):
        self.gets += 1
        for stored in self.requests:
            if stored.token == token and stored.listed_ms <= self.clock.ms and not self.blind:
                return TokenResolved(stored.request_id)
        return CannotTell(Cause.PENDING, "not yet")


def a_stand(profile=PROFILE):
    clock = Clock()
    desk, ledger = ModelDesk(clock), DictLedger()
    return clock, desk, ledger, Filer(ledger, desk, profile, clock)


def settle(filer, clock, ledger, hours=48, every_s=15):
    """Passes with time going by, until nothing waits any more."""
    for _ in range(hours * 3600 // every_s):
        filer.step()
        states = {row.state for row in ledger.stored.values()}
        if states <= {State.FILED, State.REFUSED, State.HELD}:
            return
        clock.ms += every_s * 1000
    raise AssertionError(f"still waiting: {Counter(r.state for r in ledger.stored.values())}")


HOW = [
    "file",
    "token",
    "refused line",
    "throttle",
    "drop before",
    "hang after",
    "error after",
    "crash before",
    "crash after",
]


class Delivery(RuleBasedStateMachine):
    """Any answers, any crashes, any time in between; the city lists within H."""

    def __init__(self):
        super().__init__()
        self.clock, self.desk, self.ledger, self.filer = a_stand()

    def boot(self):
        self.filer = Filer(self.ledger, self.desk, PROFILE, self.clock)

    @rule(service=st.sampled_from(["STREETLIGHT_OUT", "BIN_FULL"]))
    @precondition(lambda self: len(self.ledger.stored) < 4)
    def a_fault(self, service):
        self.ledger.add(a_row(f"fault-{len(self.ledger.stored)}", service, self.clock.ms))

    @rule(script=st.lists(st.sampled_from(HOW), max_size=4), crash_at=st.none() | st.integers(0, 6))
    def a_pass(self, script, crash_at):
        self.desk.script, self.ledger.crash_at = script, crash_at
        try:
            self.filer.step()
        except Crash:
            self.boot()
        self.ledger.crash_at = None

    @rule(passed_s=st.sampled_from([1, 3, 9, 10, 30, 59, 60, 61, 600, 4_000]))
    def time_passes(self, passed_s):
        self.clock.ms += passed_s * 1000

    @rule(lag_s=st.sampled_from([0, 1, 30, H_S - 1]), blind=st.booleans())
    def the_city_changes(self, lag_s, blind):
        self.desk.lag_ms, self.desk.blind = lag_s * 1000, blind

    @rule()
    def a_kill(self):
        self.boot()

    @invariant()
    def never_two_requests_for_one_fault(self):
        counts = Counter(stored.reference for stored in self.desk.requests)
        assert not counts or max(counts.values()) == 1, counts

    def teardown(self):
        self.desk.script, self.desk.blind = [], False
        settle(self.filer, self.clock, self.ledger)
        filed = {row.reference: row.request_id for row in self.ledger.stored.values()}
        assert filed == {stored.reference: stored.request_id for stored in self.desk.requests}


TestDelivery = Delivery.TestCase
TestDelivery.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("crash_at", [None, 0, 1, 2, 3])
def test_one_fault_one_request_for_each_answer_and_each_place_to_crash(how, crash_at):
    """The answer of the first attempt and the save to die at, each with each."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(a_row())
    desk.script, ledger.crash_at = [how], crash_at
    try:
        filer.step()
    except Crash:
        filer = Filer(ledger, desk, PROFILE, clock)
    desk.script, ledger.crash_at = [], None
    settle(filer, clock, ledger)
    assert [stored.reference for stored in desk.requests] == [a_row().reference]


@pytest.mark.parametrize("how", ["hang after", "error after", "crash after"])
@pytest.mark.parametrize("lag_s", [1, H_S // 2, H_S - 1])
@pytest.mark.parametrize("every_s", [1, 5, 12])
def test_a_city_that_lists_late_but_within_h_gets_no_second_request(how, lag_s, every_s):
    """However often the filer looks meanwhile."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(a_row())
    desk.script, desk.lag_ms = [how], lag_s * 1000
    with suppress(Crash):
        filer.step()
    settle(Filer(ledger, desk, PROFILE, clock), clock, ledger, every_s=every_s)
    assert len(desk.requests) == 1


def test_the_claim_is_durable_before_the_desk_is_asked():
    """A crash at the claim asks nothing; a crash after it is in doubt."""
    _, desk, ledger, filer = a_stand()
    ledger.add(a_row())
    ledger.crash_at = 0
    with pytest.raises(Crash):
        filer.step()
    assert (desk.posts, next(iter(ledger.stored.values())).state) == (0, State.READY)
    ledger.crash_at = 1
    with pytest.raises(Crash):
        filer.step()
    assert (desk.posts, next(iter(ledger.stored.values())).state) == (0, State.SENDING)


def test_the_journal_tells_the_way_of_a_row():
    """Each step by name, with the cause where there is one."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(a_row())
    desk.script = ["error after"]
    settle(filer, clock, ledger)
    assert [event for _, event in ledger.journal] == ["claimed", "unknown:server_error", "found"]
    assert event_name(Recovered()) == "recovered"


def test_one_listing_serves_all_rows_of_a_service():
    """Fifty rows in doubt cost one read for each service and pass."""
    _, desk, ledger, filer = a_stand()
    services = ["STREETLIGHT_OUT", "BIN_FULL"]
    for n in range(50):
        sent = {"attempts": 1, "first_sent_ms": T0_MS, "last_sent_ms": T0_MS}
        ledger.add(replace(a_row(f"{n}", services[n % 2]), state=State.UNCERTAIN, **sent))
        desk.requests.append(Stored(a_row(f"{n}").reference, str(n), T0_MS))
    filer.step()
    assert desk.gets == 2
    assert {row.state for row in ledger.stored.values()} == {State.FILED}


def test_a_row_in_doubt_is_looked_up_once_more_right_before_it_is_sent_again():
    """The city may have shown it late while the gateway was down."""
    _, desk, ledger, filer = a_stand()
    doubted = {"attempts": 1, "first_sent_ms": T0_MS, "last_sent_ms": T0_MS, "absent_reads": 2}
    ledger.add(replace(a_row(), **doubted))
    desk.requests.append(Stored(a_row().reference, "77", T0_MS))
    filer.step()
    assert desk.posts == 0
    assert next(iter(ledger.stored.values())).request_id == "77"


def test_a_row_in_doubt_is_not_sent_while_the_list_cannot_be_read():
    """It waits, however ready it is, and new rows pass it by."""
    _, desk, ledger, filer = a_stand()
    doubted = {"attempts": 1, "first_sent_ms": T0_MS, "last_sent_ms": T0_MS, "absent_reads": 2}
    ledger.add(replace(a_row(), **doubted), a_row("new"))
    desk.blind = True
    filer.step()
    assert [stored.reference for stored in desk.requests] == [a_row("new").reference]


@pytest.mark.parametrize(
    ("prefer", "state", "posts"),
    [(Prefer.NO_DUPLICATE, State.HELD, 1), (Prefer.NO_LOSS, State.FILED, 2)],
)
def test_a_city_that_shows_nobody_what_it_has(prefer, state, posts):
    """No look is of use: the profile says whether the doubt is held or sent again."""
    blind = {"listing": Listing(read_back=False), "prefer": prefer}
    clock, desk, ledger, filer = a_stand(PROFILE.model_copy(update=blind))
    ledger.add(a_row())
    desk.script = ["drop before"]
    settle(filer, clock, ledger)
    assert [row.state for row in ledger.stored.values()] == [state]
    assert (desk.posts, desk.gets) == (posts, 0)


def test_a_desk_that_is_down_is_asked_with_one_row_after_growing_pauses():
    """Five failures in a row stop the pass; then one probe at a time."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(*(a_row(f"{n}") for n in range(20)))
    desk.script = ["refused line"] * 1_000
    filer.step()
    assert desk.posts == FAILURES_IN_A_ROW_MAX
    assert filer.health.down
    assert filer.step() == 0, "paused"
    for probe in range(1, 12):
        clock.ms = filer.health.paused_until_ms
        filer.step()
        assert desk.posts == FAILURES_IN_A_ROW_MAX + probe
    assert filer.health.paused_until_ms - clock.ms > 0.7 * DOWN_PAUSE_MS_MAX
    desk.script = []
    settle(filer, clock, ledger, hours=2)
    assert len(desk.requests) == 20
    assert not filer.health.down


def test_a_desk_that_asks_for_a_pause_is_left_alone_by_all_rows():
    """429 speaks for the desk, not for one row."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(*(a_row(f"{n}") for n in range(5)))
    desk.script = ["throttle"]
    filer.step()
    assert desk.posts == 1
    clock.ms += 1_999
    assert filer.step() == 0
    clock.ms += 1
    filer.step()
    assert len(desk.requests) == 4


def test_a_pause_from_a_clock_that_was_set_back_does_not_hold():
    """A year ahead is no pause of ours."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(*(a_row(f"{n}", created_ms=0) for n in range(9)))
    desk.script = ["refused line"] * FAILURES_IN_A_ROW_MAX
    filer.step()
    clock.ms -= 365 * 86_400_000
    assert filer.step() > 0


@pytest.mark.parametrize("cause", list(Cause))
def test_only_a_desk_that_fails_counts_as_down(cause):
    """A pending token or an unreadable page is an answer."""
    health = Health()
    for _ in range(FAILURES_IN_A_ROW_MAX):
        health = judged(health, CannotTell(cause, "x"), T0_MS)
    failing = {Cause.UNREACHABLE, Cause.TIMEOUT, Cause.DROPPED, Cause.SERVER_ERROR}
    assert health.down == (cause in failing)
    assert not judged(health, Filed("1"), T0_MS).down


def test_slow_tokens_do_not_keep_new_faults_waiting():
    """New rows go first, a few polls a pass, the others are put off."""
    _, desk, ledger, filer = a_stand()
    tokened = {"state": State.TOKENED, "token": "t", "attempts": 1}
    ledger.add(*(replace(a_row(f"t{n}", created_ms=0), **tokened) for n in range(ROWS_PER_PASS)))
    ledger.add(a_row("new"))
    filer.step()
    assert desk.gets == TOKENS_PER_PASS
    filer.step()
    assert len(desk.requests) == 1


def test_a_token_is_polled_for_days_and_never_posted_again():
    """The number comes after three days."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(a_row())
    desk.script, desk.lag_ms = ["token"], 3 * 86_400_000
    settle(filer, clock, ledger, hours=96)
    assert desk.posts == 1
    assert desk.gets < 150


def test_a_refusal_is_parked_until_a_person_asks_again():
    """Parked is not dropped: the row and the reason stay."""
    clock, desk, ledger, filer = a_stand()
    ledger.add(a_row(service="STREETLIGHT_OUT"))
    desk.post = lambda _row: Refused("HTTP 403: wrong key")
    settle(filer, clock, ledger)
    clock.ms += 10**9
    assert filer.step() == 0
    assert next(iter(ledger.stored.values())).reason == "HTTP 403: wrong key"


def test_a_row_that_somebody_else_moved_is_left_to_them():
    """Two gateways on one store: whoever claims first sends."""
    clock, desk, ledger, filer = a_stand()
    row = a_row()
    ledger.add(row)
    stale = ledger.outbox_due(clock.ms, 9)
    ledger.outbox_save(
        row, advance(row, Claimed(), clock.ms, PROFILE.policy(row.service)), "claimed", clock.ms
    )
    ledger.outbox_due = lambda _now_ms, _limit, _desk: stale
    filer.step()
    assert desk.posts == 0


def until(condition, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


@contextmanager
def running(filer):
    thread = threading.Thread(target=filer.run)
    thread.start()
    try:
        yield thread
    finally:
        filer.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_a_store_that_fails_does_not_end_the_filer():
    """The pass breaks, the next one goes on from what is durable; stop works meanwhile."""
    clock, desk, ledger, _ = a_stand()
    wake = threading.Event()
    broken, due = threading.Event(), ledger.outbox_due

    def failing(now_ms, limit, desk):
        if not broken.is_set():
            broken.set()
            raise OSError("disk full")
        return due(now_ms, limit, desk)

    ledger.outbox_due = failing
    ledger.add(a_row())
    with running(Filer(ledger, desk, PROFILE, clock, wake)):
        until(broken.is_set)
        wake.set()
        until(lambda: desk.requests)


def wall_ms():
    return time.time_ns() // 1_000_000


QUICK = read_profile("desk").model_copy(
    update={"listing": read_profile("desk").listing.model_copy(update={"visibility_s": 2})}
)


@pytest.fixture
def real_desk(tmp_path_factory):
    """Of its own: what other books have filed there is linked, not filed again."""
    with running_desk(tmp_path_factory.mktemp("desk")) as running_one:
        yield running_one


@contextmanager
def real_stand(desk, folder, profile=QUICK):
    ledger = SqliteLedger(folder / "outbox.db")
    limits = Timeouts(connect_s=2, read_s=0.5, write_s=2, total_s=2)
    try:
        with Open311Client(desk.endpoint, KEY, profile, limits) as client:
            yield ledger, client
    finally:
        ledger.close()


FAULTS = {
    "a desk that behaves": {},
    "drops the line after storing": {"drop_after_rate": 0.5, "seed": 1},
    "drops the line before storing": {"drop_before_rate": 0.2, "seed": 2},
    "5xx after storing": {"error_after_rate": 0.5, "seed": 3},
    "5xx before storing": {"error_before_rate": 0.2, "seed": 4},
    "tokens": {"token": True, "token_delay_s": 1.0},
    "late listing": {"listing_delay_s": 1.5, "drop_after_rate": 0.5, "seed": 5},
    "throttling": {"throttle_rate": 0.3, "retry_after_s": 1, "seed": 6},
    "all at once": {
        "drop_after_rate": 0.2,
        "drop_before_rate": 0.2,
        "error_after_rate": 0.2,
        "listing_delay_s": 1.0,
        "reads_fail": True,
        "seed": 7,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("case", FAULTS)
def test_one_request_each_at_a_real_desk_that(case, real_desk, tmp_path):
    """The desk's own ledger is the judge: every reference once, under the id that we hold."""
    rows = [a_row(f"{case}-{n}", list(QUICK.services)[n % 6], wall_ms()) for n in range(12)]
    with real_stand(real_desk, tmp_path) as (ledger, client):
        ledger.add(*rows)
        real_desk.misbehave(**FAULTS[case])
        try:
            filer = Filer(ledger, client, QUICK, wall_ms)
            deadline = time.monotonic() + 240  # pauses double with each attempt that fails
            while {row.state for row in ledger.rows()} != {State.FILED}:
                assert time.monotonic() < deadline, ledger.journal[-20:]
                if not filer.step():
                    time.sleep(0.05)
        finally:
            real_desk.misbehave()
        held = {row.reference: row.request_id for row in ledger.rows()}
    mine = [r for r in real_desk.stored() if r["attributes"]["reference"] in held]
    assert len(mine) == len(rows)
    assert {r["attributes"]["reference"]: r["service_request_id"] for r in mine} == held


@pytest.mark.slow
@pytest.mark.parametrize("stored_first", [True, False])
def test_a_filer_killed_between_claim_and_answer(stored_first, real_desk, tmp_path):
    """A new filer on the same store finds out whether the desk has it, and files once."""
    row = a_row(f"killed-{stored_first}", created_ms=wall_ms())
    with real_stand(real_desk, tmp_path) as (ledger, client):
        ledger.add(row)
        claimed = advance(row, Claimed(), wall_ms(), QUICK.policy(row.service))
        ledger.outbox_save(row, claimed, "claimed", wall_ms())
        if stored_first:
            client.post(claimed)
        with running(Filer(ledger, client, QUICK, wall_ms)):
            until(lambda: ledger.rows()[0].state is State.FILED, 30)
        journal = [event for event, _, _ in ledger.journal]
    assert journal[1] == "recovered"
    assert ("found" in journal) == stored_first
    mine = [r for r in real_desk.stored() if r["attributes"]["reference"] == row.reference]
    assert len(mine) == 1


@pytest.mark.slow
def test_stop_waits_for_no_more_than_the_exchange_under_way(real_desk, tmp_path):
    """A desk that never answers holds the filer for one time limit, not for the queue."""
    with real_stand(real_desk, tmp_path) as (ledger, client):
        ledger.add(*(a_row(f"stop-{n}", created_ms=wall_ms()) for n in range(20)))
        real_desk.misbehave(delay_s=5)
        try:
            filer = Filer(ledger, client, QUICK, wall_ms)
            thread = threading.Thread(target=filer.run)
            thread.start()
            until(lambda: ledger.journal)
            asked = time.monotonic()
            filer.stop()
            thread.join(10)
            assert time.monotonic() - asked < 3
        finally:
            real_desk.misbehave()
