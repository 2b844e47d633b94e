"""What is over a budget, or waits for approval, is looked at by a person and never lost."""

from dataclasses import replace

import pytest
from delivery import T0_MS, a_row

from gateway.cityhall.clearance import DAY_MS, HOUR_MS, Clearance, Mode, Terms
from gateway.cityhall.delivery import Approved, Filed, Found, Policy, Retry, State, Withdrawn
from gateway.cityhall.filing import Filer
from gateway.cityhall.outbox import advance
from gateway.cityhall.profile import read_profile


def row_in(zone="north", service="STREETLIGHT_OUT", key="lamp-1", **more):
    row = a_row(key, service, extra={"zone": zone})
    return replace(row, **more)


@pytest.mark.parametrize(
    ("terms", "sent", "objection"),
    [
        (Terms(), 10_000, None),
        (Terms(per_hour=3), 2, None),
        (Terms(per_hour=3), 3, "over the budget of 3 an hour for STREETLIGHT_OUT in north"),
        (Terms(per_day=3), 3, "over the budget of 3 a day for STREETLIGHT_OUT in north"),
        (Terms(all_per_hour=3), 3, "over the budget of 3 an hour for everything"),
        (Terms(Mode.APPROVE), 0, "it waits for approval"),
        (Terms(Mode.DRY_RUN), 0, "dry run: it would have been sent now"),
    ],
)
def test_what_may_be_sent_now(terms, sent, objection):
    """The budgets count what was sent; the reason names the one that is used up."""
    clearance = Clearance(terms, [(T0_MS - 1, "STREETLIGHT_OUT", "north")] * sent)
    assert clearance.objection(row_in(), T0_MS) == objection


@pytest.mark.parametrize(
    ("row", "passes"),
    [
        (row_in(), False),
        (row_in(zone="south"), True),
        (row_in(service="POTHOLE"), True),
        (row_in(urgent=True), True),
        (row_in(approved=True), True),
    ],
)
def test_a_budget_is_of_one_service_in_one_district(row, passes):
    """What is urgent, or was approved, passes every one."""
    clearance = Clearance(Terms(per_hour=1), [(T0_MS, "STREETLIGHT_OUT", "north")])
    assert (clearance.objection(row, T0_MS) is None) == passes


@pytest.mark.parametrize("mode", [Mode.LIVE, Mode.APPROVE])
def test_what_is_urgent_waits_for_nobody(mode):
    """A burning bin; but nothing leaves in a dry run."""
    terms = Terms(mode, per_hour=1, per_day=1, all_per_hour=1)
    sent = [(T0_MS, "STREETLIGHT_OUT", "north")] * 5
    assert Clearance(terms, sent).objection(row_in(urgent=True), T0_MS) is None
    assert Clearance(Terms(Mode.DRY_RUN)).objection(row_in(urgent=True), T0_MS) is not None


def test_a_budget_is_free_again_when_its_time_has_passed():
    """An hour, a day; urgent ones count nowhere."""
    clearance = Clearance(Terms(per_hour=1, per_day=2))
    clearance.note(row_in(urgent=True), T0_MS)
    for later_ms, free in [(0, True), (HOUR_MS - 1, False), (HOUR_MS, True)]:
        assert (clearance.objection(row_in(), T0_MS + later_ms) is None) == free
        if free:
            clearance.note(row_in(), T0_MS + later_ms)
    assert clearance.objection(row_in(), T0_MS + 2 * HOUR_MS) is not None
    assert clearance.objection(row_in(), T0_MS + DAY_MS + 1) is None


class Books:
    def __init__(self, *rows):
        self.rows = {row.reference: row for row in rows}
        self.halt = ""

    def outbox_due(self, now_ms, limit, desk):
        return [row for row in self.rows.values() if row.state is State.READY]

    def outbox_knows(self, references):
        return self.rows.keys() & set(references)

    def stopped(self):
        return self.halt

    def outbox_save(self, before, after, event, at_ms):
        self.rows[after.reference] = after


class City:
    def __init__(self):
        self.posted = []

    def residents(self, row, now_ms, knows):
        return None

    def post(self, row):
        self.posted.append(row.reference)
        return Filed("7")


def filer_of(books, city, terms):
    return Filer(books, city, read_profile("desk"), lambda: T0_MS, clearance=Clearance(terms))


def test_what_is_over_the_budget_is_in_review_with_its_reason_until_it_is_approved():
    """Three faults, a budget of two."""
    rows = [row_in(key=f"k{n}") for n in range(3)]
    books, city = Books(*rows), City()
    filer = filer_of(books, city, Terms(per_hour=2))
    filer.step()
    held = books.rows[rows[2].reference]
    assert [row.state for row in books.rows.values()] == ["filed", "filed", "review"]
    assert "over the budget of 2 an hour" in held.reason
    books.rows[held.reference] = advance(held, Approved("ann"), T0_MS, Policy())
    filer.step()
    assert [row.state for row in books.rows.values()] == ["filed"] * 3
    assert len(city.posted) == 3


def test_nothing_is_sent_while_filing_is_stopped():
    """Not even what is urgent; and all of it after."""
    books, city = Books(row_in(urgent=True), row_in(key="other")), City()
    filer = filer_of(books, city, Terms())
    books.halt = "by ann: a rule went mad"
    filer.step()
    assert city.posted == []
    books.halt = ""
    filer.step()
    assert len(city.posted) == 2


def test_in_a_dry_run_nothing_is_sent_though_it_be_approved():
    """All is on record."""
    books, city = Books(row_in()), City()
    filer = filer_of(books, city, Terms(Mode.DRY_RUN))
    for _ in range(3):
        filer.step()
        (row,) = books.rows.values()
        assert row.state == "review"
        books.rows[row.reference] = advance(row, Approved("ann"), T0_MS, Policy())
    assert city.posted == []


@pytest.mark.parametrize(
    ("event", "state"),
    [(Approved("a"), "ready"), (Withdrawn("part of 3"), "withdrawn"), (Found("9"), "filed")],
)
def test_what_is_in_review_is_let_pass_taken_back_or_linked(event, state):
    """And cannot be retried, since nothing was tried."""
    row = replace(row_in(), state=State.REVIEW)
    assert advance(row, event, T0_MS, Policy()).state == state
    with pytest.raises(AssertionError):
        advance(row, Retry(), T0_MS, Policy())
