"""`rules backtest`, `diff` and `tune`, as a person or a pipeline uses them."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from conftest import a_bin, a_free_port, write_city
from typer.testing import CliRunner

from gateway.books.store import Store
from gateway.cli import app
from gateway.config import read_config
from gateway.core import Core, Incoming, Settings
from gateway.plans import prepare
from simulators.recording import write_recording
from simulators.truth import Label, write_labels
from simulators.wire import Message, Said, Voice, rfc3339

START_MS = 1_768_521_600_000
MINUTE_MS = 60_000
RULES = """\
apiVersion: sense311/v1
sensor: bin
owner: o
params:
  high: {default: 80%, range: [10%, 100%], doc: d}
rules:
  - id: full_bin
    title: t
    when: fill >= high
    for: 20min
    cover: {min_samples: 2, max_gap: 45min}
    clear: {when: fill < high - 10%, for: 10min}
    identity: [asset.id]
    file: {service: BIN_FULL, description: "{fill:.0f %} full"}
"""
FILLS = {1: [50] * 4 + [95] * 8 + [20] * 4, 2: [50] * 6 + [85] * 5 + [20] * 5, 3: [30] * 16}
"""Bin -> what it says every ten minutes: 1 is full, 2 looks like it, 3 is not."""


def at(minute):
    return START_MS + minute * MINUTE_MS


def messages():
    voices = {n: Voice("z", "bin", f"bin-{n}", "", 1, 0, sim=False) for n in FILLS}
    for step in range(16):
        for n, voice in voices.items():
            said = Said(at(step * 10) + n, at(step * 10), {"fill_pct": FILLS[n][step]})
            yield voice.say(said)


@pytest.fixture
def place(tmp_path):
    """A folder with rules, assets, labels and a recording with one message that is none."""
    write_city(tmp_path / "assets.geojson", [a_bin(n) for n in FILLS])
    noise = Message(at(0), "city/v1/z/bin/bin-1/telemetry", b"not json")
    write_recording(tmp_path / "r.jsonl.gz", [noise, *messages()])
    (tmp_path / "rules.yaml").write_text(RULES)
    truth = [
        Label(at(35), at(119), "full_bin", NAMES[1], 41.88, -87.63),
        Label(at(60), at(100), "full_bin", NAMES[2], 41.88, -87.63, must_file=False),
        Label(at(60), at(100), "lamp_out", "elsewhere", 41.88, -87.63),
    ]
    write_labels(tmp_path / "labels.csv", truth)
    return tmp_path


NAMES = {n: a_bin(n)["asset_id"] for n in FILLS}


@pytest.fixture
def data(place):
    return ["--recording", place / "r.jsonl.gz", "--assets", place / "assets.geojson"]


def rules(*words):
    """Exit code, the object on standard output, the words on standard error."""
    done = CliRunner().invoke(app, ["rules", *map(str, words), "--json"])
    body = json.loads(done.stdout) if done.stdout else {}
    return done.exit_code, body, done.stderr


def in_words(*words):
    done = CliRunner().invoke(app, ["rules", *map(str, words)])
    return done.exit_code, done.stdout


def test_a_backtest_is_told_as_the_contract_says(place, data):
    """Readings, filings with their times, and scores by rule."""
    code, told, _ = rules("backtest", place / "rules.yaml", *data, "--labels", place / "labels.csv")

    assert (code, told["readings"]) == (0, 48)
    first = told["filings"][0]
    assert [filing["asset_id"] for filing in told["filings"]] == [NAMES[1], NAMES[2]]
    assert first["rule"] == "full_bin"
    assert first["started_at"] == rfc3339(at(40))
    assert first["fired_at"] == rfc3339(at(60))
    assert first["filed_at"] == rfc3339(at(65))
    assert first["cleared_at"] == rfc3339(at(130))
    assert {"lat", "long"} <= first.keys()
    score = told["scores"]["full_bin"]
    assert (score["tp"], score["fp"], score["fn"]) == (1, 1, 0)
    assert (score["precision"], score["recall"]) == (0.5, 1.0)
    assert score["f1"] == pytest.approx(2 / 3)
    assert score["delay_s_median"] == 30 * 60
    assert told["refusals"] == {"not_json": 1}
    assert told["labels_ignored"] == 1


def test_labels_of_rules_and_times_that_are_not_here_do_not_count(place, data):
    """They are neither missed nor found."""
    words = ("backtest", place / "rules.yaml", *data, "--labels", place / "labels.csv")
    _, told, _ = rules(*words, "--to", rfc3339(at(20)))

    assert told["scores"] == {}
    assert told["labels_ignored"] == 3


def test_a_missed_label_is_told_with_what_came_nearest(place, data):
    """So that one knows where to turn."""
    words = ("backtest", place / "rules.yaml", *data, "--labels", place / "labels.csv")
    code, told, _ = rules(*words, "--param", "full_bin.high=97%")

    (missed,) = told["missed"]
    assert (code, missed["asset_id"]) == (0, NAMES[1])
    assert "never true" in missed["why"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--min-recall", "1"], 0),
        (["--min-precision", "0.5"], 0),
        (["--min-precision", "0.6"], 1),
        (["--min-precision", "0.6", "--param", "full_bin.high=90%"], 0),
        (["--min-recall", "0.9", "--param", "full_bin.high=97%"], 1),
    ],
)
def test_a_pipeline_can_ask_for_precision_and_recall(place, data, words, code):
    """Exit code 1 where a rule falls short, and it is named."""
    found, told, _ = rules(
        "backtest", place / "rules.yaml", *data, "--labels", place / "labels.csv", *words
    )

    assert found == code
    assert bool(told["shortfalls"]) is bool(code)


def test_only_the_time_asked_for_is_looked_at(place, data):
    """Messages before and after are left out."""
    words = ("backtest", place / "rules.yaml", *data)
    _, told, _ = rules(*words, "--from", rfc3339(at(30)), "--to", rfc3339(at(59)))

    assert told["readings"] == 9
    assert told["filings"] == []


WRONG = {
    "no source": (["backtest"], "--recording"),
    "no assets": (["backtest", "--recording", "r"], "--assets"),
    "two sources": (["backtest", "--recording", "r", "-c", "c"], "-c CONFIG"),
    "no recording there": (["backtest", "--recording", "none", "--assets", "A"], "none"),
    "no assets there": (["backtest", "--recording", "R", "--assets", "none"], "none"),
    "no rules there": (["backtest", "none.yaml", "--recording", "R", "--assets", "A"], "none.yaml"),
    "a bad time": (["backtest", "--recording", "R", "--assets", "A", "--from", "x"], "--from x"),
    "no such param": (
        ["backtest", "RULES", "--recording", "R", "--assets", "A", "--param", "full_bin.low=1%"],
        "low",
    ),
    "a param out of its range": (
        ["backtest", "RULES", "--recording", "R", "--assets", "A", "--param", "full_bin.high=1%"],
        "high",
    ),
    "no param at all": (
        ["backtest", "RULES", "--recording", "R", "--assets", "A", "--param", "high"],
        "RULE.NAME=VALUE",
    ),
    "a gate without labels": (
        ["backtest", "RULES", "--recording", "R", "--assets", "A", "--min-recall", "1"],
        "--labels",
    ),
    "labels that are none": (
        ["backtest", "RULES", "--recording", "R", "--assets", "A", "--labels", "RULES"],
        "column",
    ),
    "a recording that is none": (["backtest", "--recording", "RULES", "--assets", "A"], ":1"),
    "no such rule": (
        ["tune", "no", "RULES", "--recording", "R", "--assets", "A", "--labels", "L",
         "--param", "high=10%..90%"], "full_bin",
    ),
    "no range": (
        ["tune", "full_bin", "RULES", "--recording", "R", "--assets", "A", "--labels", "L",
         "--param", "high=10%"], "LOW..HIGH",
    ),
    "clocks beside those of the gateway": (
        ["backtest", "-c", "c", "--time-zone", "America/Chicago"], "--time-zone",
    ),
    "no such clocks": (
        ["backtest", "RULES", "--recording", "R", "--assets", "A", "--time-zone", "Chicago"],
        "America/Chicago",
    ),
    "nothing to tune to": (
        ["tune", "full_bin", "RULES", "--recording", "R", "--assets", "A",
         "--param", "high=1%..9%"],
        "--labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_asked_wrongly_is_told(place, case):
    """Exit code 2, with what to write instead, before anything is run."""
    words, hint = WRONG[case]
    files = {"R": "r.jsonl.gz", "A": "assets.geojson", "L": "labels.csv", "RULES": "rules.yaml",
             "none": "none", "none.yaml": "none.yaml"}  # fmt: skip
    code, _, said = rules(*(place / files[word] if word in files else word for word in words))

    assert code == 2
    assert hint in said


def test_the_report_is_one_file_with_what_failed_first(place, data):
    """The false filing before the right one, each with its chart."""
    page = place / "report.html"
    labels = ("--labels", place / "labels.csv")
    rules("backtest", place / "rules.yaml", *data, *labels, "--html", page)
    text = page.read_text("utf-8")

    assert text.index("False or twice") < text.index("<h2>Right</h2>")
    assert text.count('type="application/json"') == 2
    assert "a look-alike that must not be filed" in text


def test_a_report_that_cannot_be_written_is_told(place, data):
    """Exit code 3: the disk is not ours."""
    page = place / "no" / "report.html"
    code, _, said = rules("backtest", place / "rules.yaml", *data, "--html", page)

    assert (code, "report.html" in said) == (3, True)


def test_for_people_it_is_a_table(place, data):
    """With the scores and what was refused."""
    code, text = in_words("backtest", place / "rules.yaml", *data, "--labels", place / "labels.csv")

    assert code == 0
    assert "not_json 1" in text
    assert any(line.split()[:3] == ["false", "full_bin", NAMES[2]] for line in text.splitlines())


# -- the clocks of the city ----------------------------------------------------------------------

ZONES = {
    "America/Chicago": ([NAMES[1], NAMES[2]], 1.0),
    "Europe/Berlin": ([], 0.0),  # Friday there
    None: ([], 0.0),
}


@pytest.fixture
def thursdays(place):
    """The rule, on Thursdays only; the recording begins on one at 18:00 in Chicago."""
    path = place / "thursdays.yaml"
    path.write_text(RULES.replace("fill >= high\n", "fill >= high and weekday() == thu\n"))
    return path


@pytest.mark.parametrize("zone", ZONES)
def test_rules_by_the_calendar_go_by_the_clocks_that_are_said(place, data, thursdays, zone):
    """In backtest, diff, tune and explain; without any they are unknown, which is told."""
    clocks = [] if zone is None else ["--time-zone", zone]
    labels = ["--labels", place / "labels.csv"]
    filed, recall = ZONES[zone]

    _, told, said = rules("backtest", thursdays, *data, *clocks)
    _, differ, _ = rules("diff", place / "rules.yaml", thursdays, *data, *clocks)
    steps = ("--param", "high=70%..80%", "--steps", "2")
    _, curve, _ = rules("tune", "full_bin", thursdays, *data, *labels, *clocks, *steps)
    asked = ("full_bin", "--asset", NAMES[1], "--at", rfc3339(at(70)), "--rules", thursdays)
    _, why, _ = rules("explain", *asked, *data, *clocks)

    assert [filing["asset_id"] for filing in told["filings"]] == filed
    assert ("--time-zone" in said) is (zone is None)
    assert [one["asset_id"] for one in differ["removed"]] == [
        name for name in (NAMES[1], NAMES[2]) if name not in filed
    ]
    assert {point["recall"] for point in curve["points"]} == {recall}
    assert why["phase"] == ("firing" if filed else "ok")


def test_an_asset_goes_by_its_own_clocks_first(place, data, thursdays):
    """`--time-zone` is for those that name none."""
    write_city(
        place / "assets.geojson",
        [a_bin(n) | ({"time_zone": "Europe/Berlin"} if n == 1 else {}) for n in FILLS],
    )
    _, told, _ = rules("backtest", thursdays, *data, "--time-zone", "America/Chicago")

    assert [filing["asset_id"] for filing in told["filings"]] == [NAMES[2]]


# -- the gateway's own store ----------------------------------------------------------------------


@pytest.fixture
def config(place):
    """The configuration of a gateway that has lived through these messages."""
    path = place / "sense311.toml"
    path.write_text(
        f'[broker]\nurl = "mqtt://127.0.0.1:{a_free_port()}"\n'
        f'[city]\nendpoint = "http://127.0.0.1:9/v2"\n[assets]\nfiles = ["assets.geojson"]\n'
        '[rules]\nlibrary = false\nfiles = ["rules.yaml"]\n[store]\nfolder = "data"\n'
    )
    plans = prepare(*read_config(path))
    with closing(Store(place / "data")) as store:
        core = Core(plans.city, plans.bundle, Settings(start_ms=at(-1)), store.load())
        for message in messages():
            for effects in (
                core.pass_time(message.t_ms),
                core.process([Incoming(message.topic, message.payload)], message.t_ms),
            ):
                if effects is not None:
                    store.commit(effects)
    return path


def test_the_store_of_a_gateway_is_a_history_too(place, data, config):
    """It gives what the recording of the same messages gives."""
    _, stored, _ = rules("backtest", "-c", config)
    _, recorded, _ = rules("backtest", place / "rules.yaml", *data)

    assert stored["filings"] == recorded["filings"]
    assert len(stored["filings"]) == 2


def test_the_store_is_read_for_the_time_asked_for(config):
    """And not beyond."""
    _, told, _ = rules("backtest", "-c", config, "--to", rfc3339(at(59)))

    assert told["readings"] == 18


# -- diff -----------------------------------------------------------------------------------------


@pytest.fixture
def stricter(place):
    path = place / "stricter.yaml"
    path.write_text(RULES.replace("default: 80%", "default: 90%"))
    return path


def test_a_difference_is_told_with_its_scores(place, data, stricter):
    """What is no longer filed, what moved, and what that does to precision."""
    words = (place / "rules.yaml", stricter, *data, "--labels", place / "labels.csv")
    code, told, _ = rules("diff", *words)

    assert code == 0
    assert [one["asset_id"] for one in told["removed"]] == [NAMES[2]]
    assert (told["added"], told["changed"], told["same"]) == ([], [], 1)
    assert told["scores"]["full_bin"]["precision"] == [0.5, 1.0]


@pytest.mark.parametrize(("other", "code"), [("stricter.yaml", 1), ("rules.yaml", 0)])
def test_a_pipeline_can_ask_whether_anything_differs(place, data, stricter, other, code):
    """As with other tools that compare."""
    assert stricter.exists()
    assert rules("diff", place / "rules.yaml", place / other, *data, "--exit-code")[0] == code


def test_a_difference_can_be_a_comment(place, data, stricter):
    """Markdown in which no name of a rule or an asset can end a cell."""
    code, text = in_words("diff", place / "rules.yaml", stricter, *data, "--format", "md")

    assert code == 0
    assert "### Rules on history: 1 no longer filed" in text
    assert "full\\_bin" in text


def test_rules_in_force_are_a_side(config, stricter):
    """Those of the gateway's configuration."""
    _, told, _ = rules("diff", "in-force", stricter, "-c", config)

    assert [one["asset_id"] for one in told["removed"]] == [NAMES[2]]


# -- tune -----------------------------------------------------------------------------------------


def test_the_curve_of_a_parameter_names_its_best_value(place, data):
    """The present one among them, and told how it was worked out."""
    page = place / "tune.html"
    words = ("tune", "full_bin", place / "rules.yaml", *data, "--labels", place / "labels.csv")
    code, told, _ = rules(*words, "--param", "high=60%..100%", "--steps", 5, "--html", page)

    assert code == 0
    assert (told["best"], told["now"], told["by"]) == ("90%", "80%", "columns")
    by_value = {point["value"]: (point["tp"], point["fp"], point["fn"]) for point in told["points"]}
    assert by_value == {"60%": (1, 1, 0), "70%": (1, 1, 0), "80%": (1, 1, 0), "90%": (1, 0, 0),
                        "100%": (0, 0, 1)}  # fmt: skip
    assert "best: 90%" in page.read_text("utf-8")


def test_columns_and_core_give_the_same_curve(place, data, monkeypatch):
    """Whichever is used is a matter of time only."""
    words = ("tune", "full_bin", place / "rules.yaml", *data, "--labels", place / "labels.csv")
    asked = (*words, "--param", "high=60%..100%")
    _, fast, _ = rules(*asked)
    monkeypatch.setattr("gateway.workbench.tuning.stands_alone", lambda *_: False)
    _, slow, _ = rules(*asked)

    assert (fast["by"], slow["by"]) == ("columns", "core")
    assert fast["points"] == slow["points"]


def test_a_curve_for_people_has_bars(place, data):
    """And says which value is in force."""
    words = ("tune", "full_bin", place / "rules.yaml", *data, "--labels", place / "labels.csv")
    _, text = in_words(*words, "--param", "high=60%..100%", "--steps", 3)

    assert "█" in text
    assert any("80%" in line and "now" in line for line in text.splitlines())


def test_a_folder_without_rules_is_told(place, data):
    """An empty side would differ in everything."""
    empty = place / "empty"
    Path(empty).mkdir()
    code, _, said = rules("diff", empty, place / "rules.yaml", *data)

    assert (code, "no rule file" in said) == (2, True)


# -- rules about a zone ---------------------------------------------------------------------------

ZONE_RULES = """\
apiVersion: sense311/v1
sensor: bin
owner: o
rules:
  - id: zone_full
    title: "The bins of {zone.id} are full"
    scope: zone
    when: peers.count() >= 3 and peers.fraction(fill > 80%) >= 60%
    for: 20min
    clear: {when: peers.avg(fill) < 40%}
    identity: [zone.id]
    file: {service: BIN_FULL, description: "Most of the bins of {zone.id} are full"}
"""


@pytest.fixture
def zoned(place):
    """The three bins in one zone, labelled as full twice; they are it once."""
    assets = [{**a_bin(n), "zone": "north"} for n in FILLS]
    write_city(place / "assets.geojson", assets)
    path = place / "zone.yaml"
    path.write_text(ZONE_RULES)
    truth = [
        Label(at(60), at(110), "zone_full", "north", None, None),
        Label(at(130), at(150), "zone_full", "north", None, None),
    ]
    write_labels(place / "labels.csv", truth)
    return path


def test_a_zone_is_backtested_and_reported_as_one_thing(place, data, zoned):
    """Matched with labels by its name, drawn with the mean of what its assets said."""
    page = place / "report.html"
    labels = ("--labels", place / "labels.csv")
    code, told, _ = rules("backtest", zoned, *data, *labels, "--html", page)

    assert code == 0
    (filing,) = told["filings"]
    assert (filing["asset_id"], filing["verdict"]) == ("north", "right")
    assert filing["fired_at"] == rfc3339(at(81))
    assert [one["why"] for one in told["missed"]] == [
        "the condition was never true while it lasted"
    ]
    text = page.read_text("utf-8")
    assert text.count('type="application/json"') == 2
    assert "fill_pct, mean of 3" in text


def test_a_zone_is_compared_and_explained(place, data, zoned):
    """By its name, or by one of its assets."""
    other = place / "other.yaml"
    other.write_text(ZONE_RULES.replace("60%", "70%"))
    _, differ, _ = rules("diff", zoned, other, *data)
    assert [one["asset_id"] for one in differ["removed"]] == ["north"]

    for name in ("north", NAMES[2]):
        asked = ("zone_full", "--asset", name, "--at", rfc3339(at(90)), "--rules", zoned)
        code, why, _ = rules("explain", *asked, *data)
        assert (code, why["phase"], why["subject"]) == (0, "firing", "zone:north:bin")
