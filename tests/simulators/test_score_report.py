"""The report of a score: whole in one file, harmless, and what went wrong first."""

import re
from html.parser import HTMLParser

import pytest

from simulators.demands import PERFECT, Demands, expected_of, shortfalls
from simulators.losses import Cause, Loss
from simulators.scenario import Expect
from simulators.score import score
from simulators.score_report import Run, page
from simulators.truth import Label
from simulators.wire import rfc3339

MINUTE = 60_000
NASTY = "<script>alert(1)</script>\"'&"
KINDS = {
    Label(100 * MINUTE, 200 * MINUTE, "lamp_out", "right-1", 41.0, -87.0): "lamp_out",
    Label(100 * MINUTE, None, "lamp_out", "missed-1", 41.1, -87.1): "gear_failure",
    Label(100 * MINUTE, 300 * MINUTE, "lamp_out", "alike-1", 41.2, -87.0, False): "lamp_dimmed",
    Label(90 * MINUTE, 300 * MINUTE, "lamp_out", "twice-1", 41.2, -87.2): "lamp_out",
    Label(90 * MINUTE, None, "pothole", "", 41.3, -87.2): NASTY,
}


def asked(asset, minute, **times):
    attributes = {"asset_id": asset, "observed_at": rfc3339(minute * MINUTE)}
    attributes |= {f"{name}_at": rfc3339(at * MINUTE) for name, at in times.items()}
    return {"service_request_id": f"{asset}-{minute}", "service_code": "lamp_out",
            "lat": 41.2, "long": -87.0, "attributes": attributes}  # fmt: skip


LEDGER = [asked("right-1", 130, started=105, fired=120, filed=130), asked("alike-1", 150),
          asked("twice-1", 100), asked("twice-1", 120), asked(NASTY, 100)]  # fmt: skip
REGISTER = {"features": [
    {"geometry": {"coordinates": [-87.05, 41.05]}, "properties": {"asset_id": NASTY}},
    {"geometry": None}, {"geometry": {"coordinates": ["x", 1]}},
]}  # fmt: skip


@pytest.fixture
def run():
    lost = [Loss("sl-1", Cause.RADIO, 7, 100 * MINUTE, 110 * MINUTE)]
    judged = score(KINDS, LEDGER, {"lamp_out": "lamp_out"}, kinds=KINDS, device_days=30,
                   losses=lost, things={"sl-1": ["missed-1"]})  # fmt: skip
    return Run(
        "night",
        judged,
        ["lamp_out: recall 0.5 is below 1"],
        KINDS,
        REGISTER,
        ["no pass", "silence"],
    )


class Reader(HTMLParser):
    """Tags, classes and texts, in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.classes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.classes += [(tag, dict(attrs).get("class", ""))]

    def handle_data(self, data):
        self.texts.append(data)


def test_it_asks_for_nothing_and_runs_nothing(run):
    """One file: no script, no address, and a policy that forbids both."""
    text = page([run, run])
    assert not {"script", "link", "img", "iframe", "object"} & set(Reader(text).tags)
    assert not re.search(r"(?:https?:)?//|url\(|@import", text)
    assert "default-src 'none'" in text


def test_what_went_wrong_comes_first(run):
    """False ones, then missed, then asked twice; what is right last."""
    lanes = re.findall(r'class="lane"><div><span class="badge \w+">([\w ]+)<', page([run]))
    assert lanes == ["false", "false", "missed", "missed", "asked twice", "right"]


def test_it_says_what_is_known_of_each(run):
    """Why it was missed, what was never delivered, what was there instead."""
    text = " ".join(Reader(page([run])).texts)
    for words in ("silence; 7 readings of it were never delivered", "7 messages were never",
                  "what was there: lamp_dimmed", "what was there: nothing", "filed after 30 min",
                  "lamp_out: recall 0.5 is below 1", NASTY):  # fmt: skip
        assert words in text


def test_the_map_shows_assets_faults_and_requests(run):
    """A dot for each that has a place, by what became of it; the others do no harm."""
    dots = [kind for tag, kind in Reader(page([run])).classes if tag == "circle"]
    assert sorted(dots) == ["alike", "false", "false", "missed", "missed", "right", "thing",
                            "twice"]  # fmt: skip


def test_all_dots_lie_within_the_map(run):
    """To scale, whatever the size of the city."""
    text = page([run])
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)" role="img" aria-label="Map"',
                                       text).groups())  # fmt: skip
    for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', text):
        assert 0 <= float(x) <= width
        assert 0 <= float(y) <= height


def test_a_timeline_shows_the_truth_and_the_times_of_the_request(run):
    """When it was first seen, fired and filed."""
    lane = page([run]).split("right-1</b>")[1]
    for name, minute in (("started", 105), ("fired", 120), ("filed", 130)):
        assert re.search(rf'class="{name} "[^>]*><title>{name} {rfc3339(minute * MINUTE)}', lane)
    assert f"{rfc3339(100 * MINUTE)} to {rfc3339(200 * MINUTE)}" in lane


def test_a_run_with_nothing_to_file_says_so():
    """Without empty tables."""
    text = page([Run("quiet", score([], [], {}))])
    assert "Nothing was to be filed" in text
    assert "<table" not in text
    assert "<svg" not in text


# -- what is asked of a score ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("demands", "words"),
    [
        (Demands(), []),
        (PERFECT, ["lamp_out: precision", "lamp_out: recall", "pothole: recall", "duplicates 1"]),
        (Demands(precision=0.5, recall=0.6), ["pothole: recall"]),
        (Demands(duplicates=1), []),
        (Demands(false_per_1000_device_days=66), ["false requests per 1,000 device-days 66.6"]),
        (Demands(false_per_1000_device_days=67), []),
        (Demands(time_to_detect_s=1799), ["nine in ten"]),
        (Demands(time_to_detect_s=1800), []),
        (Demands(requests={"lamp_out": 5, "pothole": 0}), []),
        (Demands(requests={"lamp_out": 4}), ["lamp_out: 5 requests, 4 expected"]),
        (Demands(requests={"lamp_out": 5, "bin_full": 1}), ["bin_full: 0 requests, 1 expected"]),
    ],
)
def test_only_what_is_asked_is_looked_at_and_each_rule_by_itself(run, demands, words):
    """One line for each shortfall."""
    found = shortfalls(run.score, demands)
    assert len(found) == len(words)
    for line, word in zip(found, words, strict=True):
        assert word in line


def test_a_scenario_expects_perfection_unless_it_says_otherwise():
    """Its `expect`, key by key."""
    assert expected_of(Expect()) == PERFECT
    told = Expect(precision="90%", duplicates=2, time_to_detect="1h", requests={"lamp_out": 3})
    assert expected_of(told) == Demands(0.9, 1.0, 2, None, 3600.0, {"lamp_out": 3})
