"""What speaks for an incident, from books that a gateway wrote, and what is left of it later."""

import json

import pytest
from conftest import CANARY_KEY
from hypothesis import given
from hypothesis import strategies as st
from staffed import MINUTE_MS, T0_MS, Staffed

from gateway.books.store import Store
from gateway.cases.incident import Incident
from gateway.cases.incident import State as IncidentState
from gateway.cityhall.requests import rfc3339
from gateway.config import read_config
from gateway.core import Core
from gateway.effects import Incoming, Settings
from gateway.plans import prepare
from gateway.views import incident_page
from gateway.views.books import Books
from gateway.views.incident_page import (
    Missing,
    briefs_of,
    circuit_of,
    fields_of,
    incident_evidence,
    is_missing,
    spans_of,
    time_zone_of,
)

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def staffed(tmp_path):
    return Staffed(tmp_path, full=3)


def anew(staffed):
    """The books as one sees them who comes now."""
    return Books(staffed.config, staffed.clock)


def without_asset(staffed, name):
    tree = json.loads(staffed.assets.read_text())
    tree["features"] = [f for f in tree["features"] if f["properties"]["asset_id"] != name]
    staffed.assets.write_text(json.dumps(tree))


# -- all of it is there ----------------------------------------------------------------------------


def test_the_chart_has_the_signal_its_limits_and_its_spans(staffed):
    """From before it began to the last reading: what was measured, and what it was held to."""
    number = staffed.incidents()[0]
    chart = incident_evidence(staffed.books, number).chart
    assert chart.lines[0].name == "fill_pct"
    assert {line.role for line in chart.lines} == {"", "fires", "clears"}
    assert {value for _, value in chart.lines[0].points} == {95.0}
    fired = staffed.rows("SELECT * FROM incidents WHERE id = ?", number)[0]
    assert [(one.phase, one.start_ms) for one in chart.spans] == [
        ("pending", fired["started_ms"]), ("firing", fired["fired_ms"]),
    ]  # fmt: skip
    queued = staffed.rows(
        "SELECT at_ms FROM journal WHERE incident = ? AND after = 'queued'", number
    )
    assert chart.filed_ms == queued[0]["at_ms"]


def test_each_clause_is_judged_with_its_values(staffed):
    """True for what made it fire, false for what would end it, with the values and the margin."""
    found = incident_evidence(staffed.books, staffed.incidents()[0])
    clauses = found.trial.clauses
    assert (clauses["when"].truth, clauses["clear"].truth) == (True, False)
    assert clauses["when"].said == "95% >= 80%"
    assert clauses["when"].margin == "15%"
    assert (found.trial.same, found.trial.phase) == (True, "firing")
    assert found.judged == 2


def test_the_request_is_shown_as_the_city_gets_it(staffed):
    """Each field of the form, and never the key."""
    reference = staffed.references()[0]
    fields = {one.name: one.value for one in fields_of(staffed.books, staffed.incidents()[0])}
    assert fields["attribute[reference]"] == reference
    assert reference in fields["description"]
    assert CANARY_KEY not in repr(fields)


def test_what_was_never_asked_has_no_fields(staffed):
    """One in shadow asks for nothing."""
    assert fields_of(staffed.books, staffed.incidents("slow_bin")[0]) == []


def test_a_service_that_the_profile_does_not_map_says_so(staffed):
    """Instead of the fields: why the city cannot be asked."""
    staffed.change("UPDATE outbox SET service = 'UFO'")
    assert fields_of(staffed.books, staffed.incidents()[0]) == (
        "the city profile maps no service UFO"
    )


def test_other_incidents_are_named_in_a_line(staffed):
    """Those that are there; what is not is left out."""
    first, second, _ = staffed.incidents()
    briefs = briefs_of(staffed.books, [second, 4_000, first])
    assert {number: one.subject for number, one in briefs.items()} == {first: "B-0", second: "B-1"}


def test_it_is_told_by_the_clocks_of_its_asset(staffed):
    """One of another zone than the city's has its own; what is no asset goes by the city's."""
    tree = json.loads(staffed.assets.read_text())
    tree["features"][0]["properties"] |= {"time_zone": "America/Denver", "circuit": "C7"}
    staffed.assets.write_text(json.dumps(tree))
    books = anew(staffed)
    assert time_zone_of(books, "B-0") == "America/Denver"
    assert time_zone_of(books, "place:x") == books.plans().profile.timezone
    assert (circuit_of(books, "B-0"), circuit_of(books, "B-1")) == ("C7", "")


def test_a_reading_that_came_late_is_judged_from_when_it_came(staffed):
    """By the system's clock the gateway knew of it only then; so does the page."""
    text = staffed.config.read_text().replace('clock = "follow"', "max_age_h = 8000")
    staffed.config.write_text(text)
    staffed.database.unlink()
    plans = prepare(*read_config(staffed.config))
    store = Store(staffed.data)
    core = Core(plans.city, plans.bundle, Settings(start_ms=T0_MS), store.load())
    store.save_rules(plans.texts.to_json(), core.layout, core.all_states())
    for minute in range(0, 60, 10):
        at_ms = T0_MS + minute * MINUTE_MS
        body = {"ts": rfc3339(at_ms), "boot": 1, "seq": minute + 1, "values": {"fill_pct": 95}}
        message = Incoming("city/v1/z/bin/bin-0/telemetry", json.dumps(body).encode())
        store.commit(core.process([message], at_ms + 40_000))
        if (effects := core.pass_time(at_ms + 60_000)) is not None:
            store.commit(effects)
    store.close()
    found = incident_evidence(anew(staffed), staffed.incidents()[0])
    assert (found.trial.same, found.trial.clauses["when"].truth) == (True, True)


# -- something is gone -----------------------------------------------------------------------------


def test_a_rule_that_is_gone_leaves_nothing_to_judge_by(staffed):
    """And that is said."""
    number = staffed.incidents()[0]
    staffed.change("UPDATE incidents SET rule = 'gone' WHERE id = ?", number)
    found = incident_evidence(staffed.books, number)
    assert (found.chart, found.trial) == (None, None)
    assert (found.chart_missing, found.trial_missing) == (Missing.RULE, Missing.RULE)
    assert is_missing(staffed.books, "gone", "B-0") is Missing.RULE


def test_an_asset_that_is_gone_has_no_readings_any_more(staffed):
    """Nobody can say which devices spoke for it."""
    number = staffed.incidents()[0]
    without_asset(staffed, "B-0")
    books = anew(staffed)
    found = incident_evidence(books, number)
    assert (found.chart, found.trial) == (None, None)
    assert (found.chart_missing, found.trial_missing) == (Missing.ASSET, Missing.ASSET)
    assert is_missing(books, "bin_full", "B-0") is Missing.ASSET
    assert is_missing(books, "bin_full", "B-1") is Missing.NOTHING


def test_readings_that_retention_has_removed_are_missed(staffed):
    """The incident stays, with what the books say of it."""
    staffed.change("DELETE FROM readings")
    found = incident_evidence(staffed.books, staffed.incidents()[0])
    assert (found.chart_missing, found.trial_missing) == (Missing.READINGS, Missing.READINGS)
    assert found.judged == 0


def test_silence_of_one_device_is_told_from_readings_that_are_gone(staffed):
    """Others spoke at that time, and are kept."""
    staffed.change("DELETE FROM readings WHERE device = 'bin-0'")
    found = incident_evidence(staffed.books, staffed.incidents()[0])
    assert (found.chart_missing, found.trial_missing) == (Missing.SIGNAL, Missing.SIGNAL)


def test_more_readings_than_a_page_can_wait_for_are_left_alone(staffed, monkeypatch):
    """The command is there for that."""
    monkeypatch.setattr(incident_page, "READINGS_MAX", 1)
    found = incident_evidence(staffed.books, staffed.incidents()[0])
    assert (found.chart_missing, found.trial_missing) == (Missing.TOO_MANY, Missing.TOO_MANY)


@pytest.mark.parametrize("number", [0, -1, 4_000, 2**63 - 1, 2**63, 10**30])
def test_a_number_that_is_none_finds_nothing(staffed, number):
    """Also one that the database could not hold."""
    assert incident_evidence(staffed.books, number) is None


def test_what_a_journal_says_stays_text(staffed):
    """Nothing from outside becomes more than text on its way, nor breaks it."""
    number = staffed.incidents()[0]
    staffed.change(
        "UPDATE incidents SET subject = ?, why = ? WHERE id = ?", HOSTILE, HOSTILE, number
    )
    found = incident_evidence(staffed.books, number)
    assert found.chart_missing is Missing.ASSET
    assert briefs_of(staffed.books, [number])[number].subject == HOSTILE


# -- spans -----------------------------------------------------------------------------------------

STEP = st.tuples(
    st.integers(0, 100), st.sampled_from(["pending", "firing", "clearing", "ok", "queued", HOSTILE])
)


@given(
    st.tuples(st.integers(0, 50), st.integers(0, 50)),
    st.none() | st.integers(0, 60),
    st.lists(STEP, max_size=8),
)
def test_spans_follow_each_other_from_begin_to_end(times, lasted, steps):
    """Whatever the journal holds: in order, without overlap, and within the episode."""
    started_ms, fired_ms = sorted(times)
    cleared_ms = None if lasted is None else fired_ms + lasted
    incident = Incident(1, "r", "s", 1, IncidentState.QUEUED, started_ms, fired_ms, 0, {},
                        cleared_ms=cleared_ms)  # fmt: skip
    journal = [{"at_ms": at_ms, "after": after} for at_ms, after in sorted(steps)]
    end_ms = max(200, fired_ms) if cleared_ms is None else cleared_ms
    spans = list(spans_of(incident, journal, end_ms))
    edges = [edge for one in spans for edge in (one.start_ms, one.end_ms)]
    assert edges == sorted(edges)
    assert all(one.start_ms < one.end_ms for one in spans)
    if spans:
        assert started_ms <= spans[0].start_ms
        assert spans[-1].end_ms <= end_ms
    if end_ms > fired_ms > started_ms:
        assert spans[0] == incident_page.Span(phase="pending", start_ms=started_ms, end_ms=fired_ms)
