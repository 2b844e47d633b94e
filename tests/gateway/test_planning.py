"""What planners see: what recurs, what grows worse, which bins do not fit; or that nobody knows."""

import json
from itertools import product

import msgspec
import pytest
from books import BINS, Books
from conftest import a_bin
from hypothesis import given
from hypothesis import strategies as st

from gateway import planning
from gateway.books import survey
from gateway.books.store import Store
from gateway.cases.incident import Incident, State
from gateway.cases.places import PASSES_MAX, Pass, Place
from gateway.cityhall.delivery import Row, ServiceRequest
from gateway.cityhall.delivery import State as Delivery
from gateway.clock import ManualClock
from gateway.effects import Effects, StoredReading
from gateway.inventory.assets import Asset
from gateway.phrases import Phrases
from gateway.planning import (
    DAY_MS,
    HOUR_MS,
    WEEK_MS,
    Bin,
    Episode,
    Fill,
    emptyings,
    forecast,
    forecasts,
    recurring,
    rougher,
    too_often,
    too_small,
)
from gateway.views.books import Books as Shown
from gateway.views.planning import DAYS_MAX, ROWS_MAX, planning_of
from rules.files import load
from rules.local_time import LocalTimes, schedule_of
from rules.rule import Bundle
from rules.scene import Scene
from rules.track import Subject, Track, make_plan

pytestmark = pytest.mark.slow

T0 = 1_768_453_200_000  # 2026-01-14T23:00 in Chicago, a Wednesday
CHICAGO = LocalTimes().of("America/Chicago")
THURSDAY = schedule_of("thu 06:00-10:00")
BIN = Bin("B-1", schedule=THURSDAY, clock=CHICAGO)


def failed(day, subject="L-1", rule="lamp_out", hours=1.0, filed=True, again=False):
    fired_ms = T0 + round(day * DAY_MS)
    cleared_ms = None if hours is None else fired_ms + round(hours * HOUR_MS)
    return Episode(rule, subject, fired_ms, cleared_ms, filed, again)


# -- what fails again ------------------------------------------------------------------------------


def test_what_fails_again_is_counted_over_all_its_rules_and_the_worst_comes_first():
    """The mean is of the pauses, from the first failure to the last."""
    found = recurring([
        failed(0), failed(3, rule="day_burner"), failed(9, again=True), failed(1, "L-2"),
        failed(0, "L-3"), failed(2, "L-3"),
    ])  # fmt: skip
    assert [row.subject for row in found.rows] == ["L-1", "L-3"]
    worst = found.rows[0]
    assert (worst.episodes, worst.mean_days, worst.unrepaired) == (3, 4.5, 1)
    assert worst.rules == {"lamp_out": 2, "day_burner": 1}
    assert worst.last_ms == T0 + 9 * DAY_MS


def test_a_single_pause_is_no_mean():
    """It is told how many failures there were, and that they are too few for more."""
    found = recurring([failed(0), failed(3)])
    assert [(row.episodes, row.mean_days) for row in found.rows] == [(2, None)]
    assert found.too_few == 1


def test_only_faults_of_which_a_request_was_made_count():
    """What another fault explained is no failure of its own."""
    assert recurring([failed(0), failed(1, filed=False)]).rows == []


def test_a_circuit_says_how_often_its_single_lamps_failed():
    """Which tells a bad cable from bad lamps."""
    episodes = [failed(0, "circuit:C1"), failed(5, "circuit:C1"), failed(1), failed(2, "L-2")]
    (row,) = recurring(episodes, {"L-1": "circuit:C1", "L-2": "circuit:C2"}).rows
    assert (row.subject, row.episodes, row.lamps) == ("circuit:C1", 2, 1)


@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("abc"), st.booleans()), max_size=60))
def test_nothing_is_counted_twice_or_left_out(told):
    """The order of the episodes does not matter, and every filed one is in a row or alone."""
    episodes = [failed(day, subject, filed=filed) for day, subject, filed in told]
    found = recurring(episodes)
    assert found == recurring(episodes[::-1])
    filed = [one.subject for one in episodes if one.filed]
    alone = [subject for subject in set(filed) if filed.count(subject) == 1]
    assert sum(row.episodes for row in found.rows) + len(alone) == len(filed)


# -- what grows rougher ----------------------------------------------------------------------------


def place(*weeks, name="p", per_week=8):
    """A place with so many hits of `per_week` passes in each week."""
    passes = []
    for week, hits in enumerate(weeks):
        for i in range(per_week):
            at_ms = T0 + week * WEEK_MS + i * DAY_MS // 2
            passes.append(Pass(f"v{i}", at_ms, at_ms, i < hits))
    return Place(name, "pothole", 41.88, -87.63, 1, 9.0, False, passes)


@pytest.mark.parametrize(
    ("weeks", "is_rougher", "judged"),
    [
        ((1, 1, 6, 8), True, 1),
        ((0, 0, 2, 2), False, 1),  # 0 of 16, then 4 of 16: chance brings that
        ((8, 8, 8, 8), False, 1),
        ((8, 6, 1, 1), False, 1),
        ((0, 8), False, 0),  # one week after the other is no while
    ],
)
def test_a_place_grows_rougher_by_more_than_chance(weeks, is_rougher, judged):
    """And is not judged by few passes, or by a short while."""
    found = rougher([place(*weeks)], T0)
    assert (len(found.rows), found.judged) == (is_rougher, judged)
    assert found.too_few == 1 - judged


def test_what_a_place_shows_is_by_week():
    """The shares of both halves, and what was felt in each week."""
    (row,) = rougher([place(0, 2, 7, 8)], T0).rows
    assert (row.before, row.after) == (2 / 16, 15 / 16)
    assert sum(week.passes for week in row.weeks) == 32
    assert sum(week.hits for week in row.weeks) == 17
    assert [week.since_ms % WEEK_MS for week in row.weeks] == [0] * len(row.weeks)


def test_passes_from_before_the_time_asked_for_do_not_count():
    """A place that was rough all the time and smooth long ago is not rougher now."""
    one = place(0, 0, 8, 8, 8, 8)
    assert len(rougher([one], T0).rows) == 1
    assert rougher([one], T0 + 2 * WEEK_MS).rows == []


@given(st.lists(st.booleans(), min_size=16, max_size=PASSES_MAX))
def test_the_same_road_felt_backwards_in_time_is_not_rougher_too(hits):
    """No place is called rougher in both directions of time."""

    def found(felt):
        passes = [Pass("v", T0 + i * DAY_MS, T0 + i * DAY_MS, hit) for i, hit in enumerate(felt)]
        return rougher([Place("p", "pothole", 0.0, 0.0, passes=passes)], T0).rows

    assert not (found(hits) and found(hits[::-1]))


# -- bins ------------------------------------------------------------------------------------------


def test_a_bin_that_is_full_again_and_again_is_too_small():
    """With how often that was before its collection, and how long it stood full."""
    episodes = [
        failed(0, "B-1", "bin_full", 7),
        failed(7 / 24, "B-1", "bin_full", 1),  # Thursday 06:00: they are on their way
        failed(8, "B-1", "bin_full", 30),
        failed(0, "B-2", "bin_full"), failed(1, "B-2", "bin_full"),
        failed(0, "L-1"), failed(1, "L-1"), failed(2, "L-1"),
    ]  # fmt: skip
    found = too_small(episodes, {"B-1": BIN, "B-2": Bin("B-2"), "B-3": Bin("B-3")})
    assert [row.bin for row in found.rows] == ["B-1"]
    row = found.rows[0]
    assert (row.times, row.early, row.hours_full, row.weeks) == (3, 2, 7.0, 2)
    assert (found.judged, found.too_few) == (3, 1)


def test_without_a_schedule_nobody_says_early_and_one_that_stays_full_has_no_hours():
    """Unknown is not zero."""
    episodes = [failed(day, "B-2", "bin_full", None) for day in range(3)]
    (row,) = too_small(episodes, {"B-2": Bin("B-2")}).rows
    assert (row.early, row.hours_full) == (None, None)


def fills(*percents, step_ms=HOUR_MS, start_ms=T0):
    return [Fill(start_ms + i * step_ms, float(pct)) for i, pct in enumerate(percents)]


@pytest.mark.parametrize(
    ("percents", "before"),
    [
        ((50, 60, 5, 6), [50]),
        ((60, 60, 30, 30), [60]),
        ((60, 60, 31, 31), []),  # more than half is left
        ((20, 90, 20, 20), []),  # a bag on its way down
        ((60, 60, 0, 60, 60), []),  # no echo
        ((19, 19, 0, 0), []),
        ((20, 20, 0, 0), [20]),
        ((60, 60, 5), []),  # the next report will tell
        ((80, 80, 5, 5, 40, 70, 10, 10), [80, 40]),
        ((), []),
    ],
)
def test_an_emptying_is_a_fall_that_the_reports_around_it_bear_out(percents, before):
    """And tells how full the bin was."""
    assert [one.pct for one in emptyings(fills(*percents))] == before


def test_a_bin_that_is_emptied_with_room_in_it_is_emptied_too_often():
    """Judged after four emptyings, by the median, so that a holiday changes nothing."""
    early, late = (30, 30, 5, 5), (90, 90, 5, 5)
    series = {
        "early": fills(*early * 3, *late),
        "late": fills(*late * 3, *early),
        "seldom": fills(*early * 3),
    }
    found = too_often(series)
    assert [(row.bin, row.emptyings, row.median_pct) for row in found.rows] == [("early", 4, 30)]
    assert (found.judged, found.too_few) == (2, 1)


def test_a_bin_is_forecast_to_fill_before_its_round_with_when():
    """By the speed of the last day; who says little, or said it long ago, is not judged."""
    rising = fills(*range(40, 60, 2), start_ms=T0 - 9 * HOUR_MS)
    schedule = schedule_of("sat 06:00-10:00")
    bins = {name: Bin(name, schedule=schedule, clock=CHICAGO) for name in ("a", "b", "c", "d")}
    series = {
        "a": rising,
        "b": fills(*[40] * 10, start_ms=T0 - 9 * HOUR_MS),
        "c": rising[-5:],
        "d": fills(*range(40, 60, 2), start_ms=T0 - 60 * HOUR_MS),
    }
    found = forecasts(series, bins, T0)
    assert (found.judged, found.too_few) == (2, 2)
    (row,) = found.rows
    assert (row.bin, row.fill_pct, row.readings) == ("a", 58.0, 10)
    assert row.speed_pct_h == pytest.approx(2.0)
    assert row.full_ms == pytest.approx(T0 + 11 * HOUR_MS, abs=2)
    assert row.round_ms == T0 + 55 * HOUR_MS


def test_without_a_schedule_the_horizon_is_a_day():
    """As `bin_forecast` of the library has it."""
    assert forecast(fills(*range(40, 60, 2)), Bin("B")) is not None
    assert forecast(fills(*range(30, 42)), Bin("B")) is None


def _whens():
    """The conditions of the library's rules about what is to come, as the engine compiles them."""
    text = (
        "apiVersion: sense311/v1\nsensor: bin\nrules:\n"
        "  - use: overflow_risk\n  - use: bin_forecast\n"
    )
    bundle, findings = load({"mine.yaml": text})
    assert bundle is not None, findings
    return [bundle.rules[name] for name in ("overflow_risk", "bin_forecast")]


WHENS = _whens()
STEPS = st.lists(
    st.tuples(st.integers(5, 300), st.floats(0, 100).map(lambda pct: round(pct, 1))), max_size=40
)


def agree(told, has_schedule):
    """Whether planners are told what the library's rule says at the last report."""
    rule = WHENS[0 if has_schedule else 1]
    attributes = {"pickup": "mon,thu 06:00-10:00"}
    one = Bin("B", schedule=schedule_of(attributes["pickup"]), clock=CHICAGO)
    scene, memory, truth = Scene(lambda _: iter(())), list(rule.slots), None
    subject = Subject("B", "bin", attributes, time_zone="America/Chicago")
    track = Track(subject, make_plan("bin", Bundle({}, "")), None, CHICAGO)
    for fill in told:
        scene.at(track, fill.ts_ms)
        truth = rule.when.judge({"fill_pct": fill.pct}, attributes, scene, memory)
    bins = {"B": one if has_schedule else Bin("B")}
    found = forecasts({"B": told}, bins, told[-1].ts_ms if told else T0)
    return bool(found.rows) == bool(truth), bool(truth)


@given(STEPS, st.booleans(), st.integers(0, 167))
def test_what_is_forecast_is_what_the_rules_of_the_library_fire_on(steps, has_schedule, hour):
    """One forecast, not two: at the last report the template's condition holds, or does not."""
    at_ms, told = T0 + hour * HOUR_MS, []
    for minutes, pct in steps:
        at_ms += minutes * 60_000
        told.append(Fill(at_ms, pct))
    assert agree(told, has_schedule)[0]


@pytest.mark.parametrize("has_schedule", [True, False])
def test_so_it_is_at_the_edges_of_what_they_ask_for(has_schedule):
    """Reports, speeds, fills and hours of the week on both sides of each limit."""
    truths = set()
    edges = (5, 6, 7, 25), (20, 45, 60, 75), (0.45, 0.55, 0.8, 2.0), (20, 60, 285, 290)
    for count, start_pct, speed, minutes, hour in product(*edges, range(0, 168, 8)):
        step_ms = minutes * 60_000
        percents = [min(100.0, start_pct + i * speed * minutes / 60) for i in range(count)]
        told = fills(*percents, step_ms=step_ms, start_ms=T0 + hour * HOUR_MS)
        same, truth = agree(told, has_schedule)
        assert same, (count, start_pct, speed, minutes, hour)
        truths.add(truth)
    assert truths == {True, False}


def test_a_distance_is_heard_as_rules_hear_it():
    """By the bin's own height; what is no fill is left out, as is what no asset has."""
    has = {"height_mm": 1000.0}
    asset = Asset("B-1", "bin", "z", 41.9, -87.6, None, ("d",), has, ((0, has),))
    said = [{"distance_mm": 250}, {"fill_pct": 40}, {"distance_mm": 0}, {"tilt_deg": 3}]
    rows = [("B-1", T0 - i, json.dumps({"values": one}).encode()) for i, one in enumerate(said)]
    rows.append(("gone", T0, rows[1][2]))
    assert planning.fills_of(rows, {"B-1": asset}) == {"B-1": [Fill(T0 - 1, 40), Fill(T0, 75)]}


# -- as it is shown --------------------------------------------------------------------------------


def incident(number, subject, day, rule="lamp_out", state=State.QUEUED, **more):
    fired_ms = T0 - round(day * DAY_MS)
    return Incident(
        number, rule, subject, number, state, fired_ms, fired_ms, fired_ms, {}, **more
    )  # fmt: skip


def stored(number, name, at_ms, **values):
    body = json.dumps({"values": values}).encode()
    return StoredReading(number, name, "bin", "z", name, at_ms, at_ms, "fresh", body)


@pytest.fixture
def books(tmp_path):
    return Books(tmp_path, [*BINS, a_bin(4) | {"pickup": "sat 06:00-10:00"}])


def shown(books, days=90, **more):
    return planning_of(Shown(books.config, ManualClock(T0)), days, **more)


def commit(books, **effects):
    store = Store(books.folder / "data")
    store.commit(Effects(**effects))
    store.close()


def test_planners_see_five_figures_each_with_its_definition(books):
    """From the books of a gateway, through the same store."""
    incidents = [incident(i, "L-1", 10 * i) for i in range(1, 5)]
    incidents += [incident(10 + i, "B-1", i, "bin_full", cleared_ms=T0) for i in range(3)]
    readings = [stored(1, "B-4", T0 - 80 * DAY_MS, fill_pct=5)]
    readings += [
        stored(2 + i, "B-4", T0 - (9 - i) * HOUR_MS, fill_pct=40 + 2 * i) for i in range(10)
    ]
    rough = place(0, 0, 8, 8)
    for one in rough.passes:
        one.first_ms = one.last_ms = one.last_ms - 30 * DAY_MS
    commit(
        books,
        incidents={one.id: one for one in incidents},
        readings=readings,
        places=[(rough.id, msgspec.msgpack.encode(rough))],
    )
    view = shown(books)
    assert [(row.subject, row.kind, row.episodes) for row in view.recurring.rows] == [
        ("L-1", "asset", 4), ("B-1", "asset", 3),
    ]  # fmt: skip
    assert [(row.place, row.before_pct, row.after_pct) for row in view.rougher.rows] == [
        ("p", 0.0, 100.0)
    ]
    assert [(row.asset, row.times) for row in view.too_small.rows] == [("B-1", 3)]
    assert [(row.asset, row.fill_pct) for row in view.forecast.rows] == [("B-4", 58.0)]
    assert view.forecast.too_few == 3
    assert view.too_often.note.startswith("Too little data")
    figures = (view.recurring, view.rougher, view.too_small, view.too_often, view.forecast)
    assert all(len(figure.definition) > 100 and figure.title for figure in figures)
    assert {figure.note for figure in figures if figure is not view.too_often} == {""}


def test_what_was_withdrawn_or_ran_in_shadow_is_no_failure(books):
    """Nor what was held back before it was sent."""
    incidents = [
        incident(1, "L-1", 1), incident(2, "L-1", 2, state=State.WITHDRAWN),
        incident(3, "L-1", 3, state=State.SHADOW), incident(4, "L-1", 4),
        incident(5, "L-1", 200), incident(6, "L-1", 5, state=State.NOTED),
    ]  # fmt: skip
    request = ServiceRequest(41.9, -87.6, "dark", 1, "lamp_out", asset_id="L-1")
    gone = Row("R-4", 4, "LAMP", request, created_ms=T0, state=Delivery.WITHDRAWN)
    commit(books, incidents={one.id: one for one in incidents}, outbox=[gone])
    found = survey.episodes_since(books.folder / "data" / "sense311.db", T0 - 90 * DAY_MS)
    assert {(one.fired_ms - T0) // DAY_MS: one.filed for one in found} == {
        -1: True, -4: False, -5: False
    }  # fmt: skip
    assert shown(books).recurring.rows == []
    assert len(shown(books, days=365).recurring.rows) == 1


def test_a_young_gateway_says_that_it_knows_too_little(books):
    """And since when it knows anything, whatever was asked for."""
    commit(books, readings=[stored(1, "B-1", T0 - 3 * DAY_MS, fill_pct=20)])
    view = shown(books)
    assert view.recurring.note == (
        "Too little data: the books reach back 3.0 days, and 14 are needed."
    )
    assert view.recurring.since == "2026-01-12T05:00:00Z"
    assert view.since == "2025-10-17T05:00:00Z"


def test_looking_back_has_an_end_and_the_figure_says_where(books, monkeypatch):
    """In a city with more readings than can be looked at."""
    readings = [stored(1 + i, "B-1", T0 - (40 - i) * DAY_MS, fill_pct=20) for i in range(40)]
    commit(books, readings=readings)
    assert shown(books).too_often.since == "2025-12-06T05:00:00Z"
    for bound in ("LOOK_BACK_ROWS", "FILLS_MAX"):
        with monkeypatch.context() as patch:
            patch.setattr(survey, bound, 10)
            assert shown(books).too_often.since == "2026-01-05T05:00:00Z"


@pytest.mark.parametrize(("asked", "shown_days"), [(-5, 1), (0, 1), (30, 30), (10**9, DAYS_MAX)])
def test_the_time_asked_for_is_bounded(books, asked, shown_days):
    """No question costs more than that of a year."""
    commit(books, readings=[stored(1, "B-1", T0, fill_pct=20)])
    assert shown(books, days=asked).days == shown_days


def test_definitions_are_in_the_language_of_the_reader(books):
    """Titles and notes too."""
    commit(books, readings=[stored(1, "B-1", T0, fill_pct=20)])
    words = Phrases("es", {"What fails again": "Lo que vuelve a fallar"})
    assert shown(books, words=words).recurring.title == "Lo que vuelve a fallar"


def test_where_time_is_that_of_the_data_the_figures_go_by_it(tmp_path):
    """A replay of last year is planned with as it was then."""
    books = Books(tmp_path, ingest='clock = "follow"')
    commit(books, incidents={i: incident(i, "L-1", i) for i in (1, 2)}, follow_ms=T0)
    view = planning_of(Shown(books.config, ManualClock(T0 + 999 * DAY_MS)))
    assert (view.until, len(view.recurring.rows)) == ("2026-01-15T05:00:00Z", 1)


@pytest.mark.slow
def test_a_city_of_20_000_assets_is_surveyed_whole(tmp_path):
    """With 20,000 failures, 2,000 places and 300,000 readings; what is shown of it is bounded."""
    bins = [a_bin(i) | {"devices": [f"bin-{i}"]} for i in range(20_000)]
    books = Books(tmp_path, bins)
    names = [f"B-{i}" for i in range(20_000)]
    store, number = Store(books.folder / "data"), 0
    for turn in range(15):
        readings = []
        for name in names:
            number += 1
            at_ms = T0 - (15 - turn) * DAY_MS
            readings.append(stored(number, name, at_ms, fill_pct=(7 * turn) % 100))
        store.commit(Effects(readings=readings))
    incidents = {i: incident(i, names[i % 15_000], i % 89, "bin_full") for i in range(1, 20_001)}
    rough = [place(0, 2, 6, 8, name=f"p{i}", per_week=16) for i in range(2_000)]
    store.commit(
        Effects(
            incidents=incidents, places=[(one.id, msgspec.msgpack.encode(one)) for one in rough]
        )
    )
    store.close()
    asked = Shown(books.config, ManualClock(T0))
    asked.plans()
    view = planning_of(asked)
    assert view.recurring.found == 5_000
    assert len(view.recurring.rows) == ROWS_MAX
    assert view.too_often.judged + view.too_often.too_few == 20_000
