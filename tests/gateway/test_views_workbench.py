"""Rules as their engineers see them: listed, shown, checked as they are typed, run over history."""

import asyncio
import json
import os
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from conftest import a_bin, write_city
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.books.store import Store
from gateway.cityhall.requests import rfc3339
from gateway.cli.workbench import bench as bench_child
from gateway.config import read_config
from gateway.console.rule_editor import marks, notes
from gateway.core import Core
from gateway.effects import Incoming, Settings
from gateway.plans import RuleTexts, prepare
from gateway.views import rule_runs
from gateway.views.books import Books
from gateway.views.rule_page import rule_page
from gateway.views.rule_results import Job, Period, Progress, Trouble
from gateway.views.rule_runs import Bench, history_of
from gateway.views.rule_sheets import draft_of, own_copy, sheet_of
from gateway.views.workbench import FoundFault, check_text, diff, edited, rules_of, shown
from rules.checks import check
from rules.files import load, read_library

pytestmark = pytest.mark.slow

START_MS = 1_768_521_600_000
MINUTE_MS = 60_000
OWN = """\
apiVersion: sense311/v1
sensor: bin
owner: o
params:
  high: {default: 80%, range: [10%, 100%], doc: "<b>d</b>"}
rules:
  - id: own_full
    title: "<script>t</script>"
    mode: shadow
    when: fill >= high
    for: 20min
    cover: {min_samples: 2, max_gap: 45min}
    clear: {when: fill < high - 10%, for: 10min}
    no_data: {hold: 2d}
    identity: [asset.id]
    file: {service: BIN_FIRE, description: "{fill:.0f %} full"}
    tests:
      - name: a full one is found
        every: 10min
        feed: {fill: "50% x2, 95% x6"}
        expect: [{at: +60min, state: firing}]
      - name: an empty one is not
        every: 10min
        feed: {fill: "20% x8"}
        expect: [{at: +60min, state: firing}]
"""
FILLS = {1: [50] * 4 + [95] * 8 + [20] * 4, 2: [50] * 6 + [85] * 5 + [20] * 5, 3: [30] * 16}
"""Bin -> what it says every ten minutes."""


def at(minute):
    return START_MS + minute * MINUTE_MS


def messages():
    for step in range(16):
        for n, fills in FILLS.items():
            values = {"fill_pct": fills[step]}
            body = {"ts": rfc3339(at(step * 10)), "boot": 1, "seq": step, "values": values}
            topic = f"city/v1/z/bin/bin-{n}/telemetry"
            yield at(step * 10) + n, Incoming(topic, json.dumps(body).encode())


class Still:
    """A clock that stands a day after the last message."""

    def now_ms(self):
        return at(24 * 60)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder of a gateway that has lived through these messages with a rule file of its own."""
    folder = tmp_path_factory.mktemp("workbench")
    write_city(folder / "assets.geojson", [a_bin(n) for n in FILLS])
    (folder / "own").mkdir()
    (folder / "own" / "bins.yaml").write_text(OWN)
    path = folder / "sense311.toml"
    path.write_text(
        '[broker]\nurl = "mqtt://127.0.0.1:9"\n'
        '[city]\nendpoint = "http://127.0.0.1:9/v2"\n[assets]\nfiles = ["assets.geojson"]\n'
        '[rules]\nfiles = ["own"]\ndisable = ["bin_fire"]\n[store]\nfolder = "data"\n'
        '[rules.params]\n"own_full.high" = "75%"\n'
    )
    plans = prepare(*read_config(path))
    with closing(Store(folder / "data")) as store:
        core = Core(plans.city, plans.bundle, Settings(start_ms=at(-1)), store.load())
        store.save_rules(plans.texts.to_json(), core.layout, core.all_states())
        for now_ms, message in messages():
            for effects in (core.pass_time(now_ms), core.process([message], now_ms)):
                if effects is not None:
                    store.commit(effects)
    return folder


@pytest.fixture
def books(place):
    """What the gateway had in force, whatever a test has written to the disk."""
    file = place / "own" / "bins.yaml"
    file.write_text(OWN)
    yield Books(place / "sense311.toml", Still())
    file.write_text(OWN)


@pytest.fixture
def own(place):
    return str(place / "own" / "bins.yaml")


# -- the list and the page ------------------------------------------------------------------------


def test_each_rule_is_listed_with_how_it_stands(books, own):
    """Live, in shadow or left out; what it has open and filed, and would file."""
    view = rules_of(books)
    by_id = {rule.id: rule for rule in view.rules}

    assert by_id["own_full"].state == "shadow"
    assert by_id["bin_fire"].state == "left_out"
    assert by_id["bin_full"].state == "live"
    assert (by_id["own_full"].file, by_id["own_full"].own) == (own, True)
    assert by_id["own_full"].tests == 2
    assert (by_id["own_full"].filed, by_id["own_full"].would_file) == (0, 2)
    assert {file.file: file.differs for file in view.files}[own] is False


def test_a_file_that_was_changed_on_the_disk_is_told(books, own):
    """It is not what is in force, whether it is any good or not."""
    Path(own).write_text("no rules at all")

    view = rules_of(books)

    assert {file.file for file in view.files if file.differs} == {own}
    assert "own_full" in {rule.id for rule in view.rules}


def test_the_page_of_a_rule_says_what_is_in_force(books):
    """Conditions with their values, settings with who set them, tests with what they expect."""
    page = rule_page(books, "own_full")

    assert page is not None
    conditions = {one.part: (one.text, [c.text for c in one.clauses]) for one in page.conditions}
    assert conditions["when"] == ("fill >= high", ["fill >= 75%"])
    assert [(one.name, one.value, one.set_here) for one in page.params] == [("high", "75%", True)]
    assert (page.timing.lasts, page.timing.samples) == ("20min", 2)
    assert page.filed is not None
    assert page.filed.service == "BIN_FIRE"
    assert [test.name for test in page.tests] == ["a full one is found", "an empty one is not"]
    assert [(week.monday, week.count) for week in page.shadow_weeks] == [("2026-01-12", 2)]
    assert page.rule.title == "<script>t</script>"


def test_there_is_no_page_of_what_is_no_rule(books):
    """Nor is a name from outside ever a path."""
    assert rule_page(books, "../own_full") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "own/bins.yaml",
        "../sense311.toml",
        "sense311.toml",
        "bin.yaml\0",
        "\ud800",
    ],
)
def test_only_files_that_the_configuration_names_are_opened(books, name):
    """By the very name that it gives them."""
    assert sheet_of(books, name) is None


def test_a_gateway_started_with_a_shorter_path_has_the_same_files(books, own, place):
    """Its names for them are found again here, so that no rule is there twice."""
    with closing(sqlite3.connect(place / "data" / "sense311.db")) as db:
        (kept,) = db.execute("SELECT value FROM meta WHERE key = 'rules'").fetchone()
        short = RuleTexts.from_json(kept.replace(own, "own/bins.yaml")).to_json()
        db.execute("UPDATE meta SET value = ? WHERE key = 'rules'", (short,))
        db.commit()

    sheet, found = sheet_of(books, own), check_text(books, own, OWN)

    assert "own/bins.yaml" in books.plans().texts.sources
    assert sheet is not None
    assert (sheet.differs, found.good, found.rules) == (False, True, ["own_full"])
    with closing(sqlite3.connect(place / "data" / "sense311.db")) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'rules'", (kept,))
        db.commit()


def test_a_file_that_is_no_utf_8_is_shown_and_not_edited(books, own):
    """What was not read whole could not be written back."""
    Path(own).write_bytes(b"owner: \xff\xfe\r\n")

    sheet = sheet_of(books, own)

    assert sheet is not None
    assert (sheet.problem, sheet.text) == ("not_utf8", "owner: ??\n")


# -- checked as it is typed -----------------------------------------------------------------------


def test_an_error_is_told_with_its_place_among_the_rules_in_force(books, own):
    """Line, column and end of what is meant, and what could be meant."""
    found = check_text(books, own, OWN.replace("fill >= high", "filll >= high"))

    assert not found.good
    first = found.findings[0]
    assert (first.file, first.line, first.column, first.end_column) == (own, 10, 11, 16)
    assert first.code == "E101"
    assert "fill" in first.help


def test_what_a_reload_would_refuse_is_an_error_at_once(books, own):
    """A service that the city does not offer: not the rule's fault, and not in force either."""
    found = check_text(books, own, OWN.replace("BIN_FIRE", "BIN_FULLER"))

    assert [(one.code, one.file, one.line) for one in found.findings if one.error] == [
        ("E407", own, 7)
    ]


def test_good_rules_are_said_to_be_good(books, own):
    """With what the file holds."""
    found = check_text(books, own, OWN)

    assert (found.good, found.rules, found.tests) == (True, ["own_full"], 2)


@given(st.text(max_size=300))
@settings(max_examples=25, deadline=None)
def test_any_text_has_findings_and_no_other_end(text):
    """Whatever is typed: every finding has a place, and can be sent."""
    _, findings = check({**read_library(), "bin.yaml": text})

    for finding in map(shown, findings):
        assert finding.line >= 1
        assert finding.end_column > finding.column >= 1
        finding.model_dump_json().encode()


def fault(line, column, end_column, *, error=True, code="E101", message="m", help_="h"):
    return FoundFault(
        file="f", line=line, column=column, end_column=end_column, code=code, message=message,
        help=help_, error=error,
    )  # fmt: skip


def test_a_finding_is_marked_on_its_line_and_at_its_characters():
    """Offsets are those of the text; what is wrong stands at the end of the line."""
    text = "one\ntwo words\n\U0001f5d1 three"

    found = marks(text, [fault(2, 5, 10), fault(3, 3, 8, error=False, code="W1")])

    assert found[0] == {"kind": "line", "line": 2, "class": "s-line-error"}
    assert text[found[1]["from"] : found[1]["to"]] == "words"
    assert (found[2]["position"], found[2]["text"]) == (len("one\ntwo words"), "E101: m")
    assert text[found[4]["from"] : found[4]["to"]] == "three"
    assert found[3]["class"] == "s-line-warning"


@given(
    st.text(st.sampled_from("ab\n\U0001f5d1"), max_size=40),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 50), st.integers(1, 9)), max_size=6),
)
def test_no_mark_lies_outside_of_its_line(text, places):
    """Findings may be of the end of the text, or of a line that is not there any more."""
    lines = text.split("\n")

    for one in marks(text, [fault(line, at, at + more) for line, at, more in places]):
        if one["kind"] == "line":
            assert one["line"] <= len(lines)
        elif one["kind"] == "mark":
            assert 0 <= one["from"] < one["to"] <= len(text)
            assert "\n" not in text[one["from"] : one["to"]]
        else:
            assert 0 <= one["position"] <= len(text)


def test_all_that_is_said_of_a_line_is_in_its_note():
    """Two findings on one line are both there."""
    assert notes([fault(1, 1, 2), fault(1, 3, 4, message="n", help_="")]) == {
        1: "E101: m\nh\nE101: n"
    }


# -- compared, and copied -------------------------------------------------------------------------


def test_a_changed_text_is_compared_with_the_one_in_force(books, own):
    """Its lines, and what they mean for what runs."""
    found = diff(books, own, OWN.replace("for: 20min", "for: 25min"))

    assert [(one.sign, one.text.strip()) for one in found.lines if one.sign in "+-"] == [
        ("-", "for: 20min"),
        ("+", "for: 25min"),
    ]
    (change,) = found.changes
    assert (change.rule, change.kind, change.keeps_timers) == ("own_full", "changed", False)
    assert change.parts == [("for", "20min", "25min")]
    assert diff(books, own, OWN).same


def test_a_very_long_text_is_not_compared_line_by_line(books, own):
    """That would take longer than anybody waits."""
    assert diff(books, own, "\n" * 20_000).too_long


@pytest.mark.parametrize("name", sorted(read_library()))
def test_a_shipped_rule_copied_stands_for_itself_in_shadow(name):
    """Every rule that no other one names; the copy means what the shipped one does."""
    library = read_library()
    bundle, _ = load(library)
    assert bundle is not None
    for rule in bundle.rules.values():
        file, _, line = rule.source.rpartition(":")
        if file != name or rule.absorbs or rule.absorbed_by:
            continue

        text = own_copy(library[name], int(line), f"{rule.id}_own")

        copied, findings = check({**library, "own.yaml": text})
        assert copied is not None, findings
        assert copied.rules[f"{rule.id}_own"].in_shadow
        assert copied.rules[f"{rule.id}_own"].when.text == rule.when.text
        assert len(copied.rules) == len(bundle.rules) + 1


def test_a_copy_is_to_lie_in_a_folder_that_is_named(books, place):
    """There it can be saved; of rules that name each other there is no copy of one."""
    sheet = draft_of(books, "bin_full")

    assert sheet is not None
    assert (sheet.file, sheet.sha256) == (str(place / "own" / "bin_full_own.yaml"), "")
    assert draft_of(books, "lamp_out") is None
    assert draft_of(books, "no_such_rule") is None


# -- run in a process of their own ----------------------------------------------------------------


def job(books, own, text=OWN, task="backtest", **more):
    texts = edited(books, own, text).to_json()
    return Job(task=task, config=books.config_path, file=own, texts=texts, **more)


@pytest.fixture
def told(monkeypatch):
    """What the child says on its way, in this process."""
    said = []
    monkeypatch.setattr(bench_child, "_say", said.append)
    return said


def test_tests_are_told_one_by_one_with_what_was_expected(books, own):
    """Of this file alone; what held instead, and what happened."""
    found = bench_child.done(job(books, own, task="test")).tests

    assert found is not None
    assert (found.passed, found.failed) == (1, 1)
    bad = found.cases[1]
    assert (bad.rule, bad.name, bad.line) == ("own_full", "an empty one is not", 22)
    assert [(one.line, one.expected, one.got) for one in bad.failures] == [
        (25, "state: firing", "ok")
    ]


def test_a_backtest_runs_the_edited_rules_over_the_stored_history(books, own, told):
    """With the settings of the configuration; figures over time, signals, and how far it was."""
    found = bench_child.done(job(books, own)).backtest

    assert found is not None
    assert (found.readings, found.filings_total, found.judged_by) == (48, 2, "")
    assert [one.where for one in found.filings] == ["B-1", "B-2"]
    assert all(one.shadow for one in found.filings)
    assert sum(count for _, count in found.series[0].points) == 2
    assert found.by_hour
    chart = found.charts[0]
    assert (chart.lines[0].name, chart.lines[0].role) == ("fill_pct", "")
    assert {"pending", "firing"} <= {one.phase for one in chart.spans}
    assert isinstance(told[0].progress, Progress)


def test_a_backtest_says_what_would_be_filed_differently(books, own, told):
    """Against what is in force: what is no longer filed, and what the other side made of it."""
    running = books.plans().texts.to_json()
    text = OWN.replace("fill >= high", "fill >= high + 15%")

    found = bench_child.done(job(books, own, text, running=running)).backtest

    assert found is not None
    assert found.difference is not None
    assert [one.filing.where for one in found.difference.removed] == ["B-2"]
    assert found.difference.removed[0].instead.startswith("the condition was never true")
    assert told


def test_labels_judge_a_backtest(books, own, told):
    """Right, false and missed of the rule that files the service, and the scores of it."""
    labels = (
        "start,end,rule,asset_id,lat,long,must_file\n"
        f"{rfc3339(at(35))},{rfc3339(at(119))},own_full,B-1,41.88,-87.63,true\n"
        f"{rfc3339(at(60))},{rfc3339(at(150))},own_full,B-3,41.88,-87.62,true\n"
    )

    found = bench_child.done(job(books, own, labels=labels)).backtest

    assert found is not None
    (score,) = found.scores
    assert (score.rule, score.right, score.false, score.missed) == ("own_full", 1, 1, 1)
    assert (score.precision, score.recall, found.judged_by) == (0.5, 0.5, "labels")
    assert [(one.where, one.why) for one in found.missed] == [
        ("B-3", "the condition was never true while it lasted")
    ]
    assert [one.verdict for one in found.filings] == ["right", "false"]
    assert told


def test_labels_that_cannot_be_read_are_told_with_their_place(books, own):
    """And without the name of the file that nobody gave."""
    trouble = bench_child.done(job(books, own, labels="start,end\n")).trouble

    assert trouble is not None
    assert trouble.code == "labels"
    assert trouble.text.startswith("labels:1: no column 'rule'")


def test_the_city_s_word_judges_where_there_are_no_labels(books, own, told, place):
    """A request that it closed was a fault, and the rules that find it again are right."""
    database = place / "data" / "sense311.db"
    before = database.with_suffix(".before")
    with closing(sqlite3.connect(database)) as db, closing(sqlite3.connect(before)) as copy:
        db.backup(copy)
        db.execute("UPDATE outbox SET state = 'filed', last_sent_ms = ?", (at(200),))
        db.execute(
            "INSERT INTO followed SELECT reference, 'closed', 'emptied', '', 0, 0, '' FROM outbox"
        )
        db.commit()

    found = bench_child.done(job(books, own, focus=("bin_full", "own_full"))).backtest

    assert found is not None
    assert found.judged_by == "city"
    by_rule = {score.rule: score for score in found.scores}
    assert (by_rule["bin_full"].precision, by_rule["bin_full"].recall) == (1.0, 1.0)
    assert {one.verdict for one in found.filings if one.rule == "bin_full"} == {"confirmed"}
    assert told
    with closing(sqlite3.connect(database)) as db, closing(sqlite3.connect(before)) as copy:
        copy.backup(db)


def test_a_backtest_without_time_shows_what_it_has(books, own, monkeypatch, told):
    """And from when on it has nothing."""
    monkeypatch.setattr(bench_child, "SOFT_S", -1.0)

    found = bench_child.done(job(books, own)).backtest

    assert found is not None
    assert found.cut_ms is not None
    assert found.filings == []
    assert told == []


def test_rules_with_errors_are_not_run(books, own):
    """What is wrong is told instead."""
    trouble = bench_child.done(job(books, own, "apiVersion: x\n")).trouble

    assert trouble is not None
    assert trouble.code == "findings"
    assert trouble.findings[0].file == own


def test_the_history_that_is_kept_has_its_ends(books):
    """Those of what was received."""
    history = history_of(books)

    assert history is not None
    assert (history.first_ms, history.last_ms) == (at(0) + 1, at(150) + 3)


@pytest.mark.slow
def test_the_child_answers_over_its_pipes(books, own):
    """A real process: tests, then a backtest with its progress."""

    async def both():
        bench = Bench()
        seen = []
        period = Period(since_ms=at(0), until_ms=at(300))
        tests = await bench.tests(books, own, OWN)
        texts = edited(books, own, OWN)
        return tests, await bench.backtest(books, own, texts, period, told=seen.append), seen

    tests, found, seen = asyncio.run(both())

    assert (tests.passed, tests.failed) == (1, 1)
    assert found.filings_total == 2
    assert seen
    assert 0 <= seen[-1].share <= 1


@pytest.fixture
def child_that(monkeypatch, tmp_path):
    """In place of the child: a program that does as it is told, and leaves its number."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(rule_runs, "CHILD", "a_child")

    def make(body):
        text = (
            f"import os, sys, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n"
        )
        (tmp_path / "a_child.py").write_text(text + body)
        return tmp_path / "pid"

    return make


def is_gone(pid):
    with suppress(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("time.sleep(60)\n", "time"),
        ("print('no json')\n", "broken"),
        ("sys.exit(3)\n", "broken"),
        ("os.kill(os.getpid(), 9)\n", "broken"),
        ("print('x' * 40_000_000)\ntime.sleep(60)\n", "broken"),
    ],
)
def test_a_child_without_an_answer_is_ended_and_told(books, own, child_that, body, code):
    """Whatever it does, nothing of it is left."""
    pid = child_that(body)

    trouble = asyncio.run(Bench(run_s=3.0).tests(books, own, OWN))

    assert isinstance(trouble, Trouble)
    assert trouble.code == code
    assert is_gone(pid)


@pytest.mark.slow
def test_a_run_that_nobody_waits_for_is_ended(books, own, child_that, wait_for):
    """The browser has gone: so does the child, and its room is free again."""
    pid = child_that("time.sleep(60)\n")

    async def gone():
        bench = Bench(runs_max=1)
        run = asyncio.create_task(bench.tests(books, own, OWN))
        await asyncio.to_thread(wait_for, lambda: pid.exists() and pid.read_text(), "it runs")
        was_full = bench.is_full
        run.cancel()
        await asyncio.wait([run])
        return was_full, bench.is_full, run.cancelled()

    assert asyncio.run(gone()) == (True, False, True)
    assert is_gone(pid)


@pytest.mark.slow
def test_a_child_has_no_more_memory_than_is_given_to_it(books, own, tmp_path):
    """It says so, and the console goes on."""
    text = (
        "import gateway.cli.workbench.bench as bench\n"
        "bench.DATA_BYTES_MAX = 400 * 1024**2\n"
        "bench.done = lambda job: bytearray(10**9)\n"
        "bench.main()\n"
    )
    (tmp_path / "child.py").write_text(text)

    async def said():
        child = await asyncio.create_subprocess_exec(
            sys.executable, str(tmp_path / "child.py"), stdin=-1, stdout=-1,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )  # fmt: skip
        out, _ = await child.communicate(job(books, own).model_dump_json().encode())
        return json.loads(out)

    assert asyncio.run(said())["trouble"]["code"] == "memory"
