"""Charts and reports: everything in one file, and nothing in it but what was put there."""

import base64
import hashlib
import json
import re

from history_scenes import bundle_of, series
from hypothesis import given
from hypothesis import strategies as st
from small_city import at, city_of

from gateway.workbench.charts import (
    POINTS_MAX,
    Band,
    Mark,
    curve,
    precision_recall,
    thinned,
    timeline,
)
from gateway.workbench.report import Card, Report, Section, Table, page
from gateway.workbench.signals import Limit, Line, Signals, View

NASTY = "</script><script>alert(1)</script> \"&' <img src=x onerror=alert(1)>"
LINES = [Line("fill_pct", "%", [(at(0), 1.0), (at(9), 2.0)]), Line("lid_open", "bool", [])]


def figure(name="pending"):
    bands, marks = [Band(name, at(2), at(4))], [Mark(NASTY, at(3))]
    limits = [Limit("fill_pct", "fires", NASTY, [(at(0), 5.0)])]
    return timeline(LINES, limits, bands, [Band("label", at(1), at(5))], marks, (at(0), at(9)))


def nasty_page():
    card = Card(NASTY, "bad", NASTY, NASTY, {NASTY: NASTY}, figure())
    table = Table((NASTY, ">n"), [(NASTY, "1")], NASTY)
    sections = [Section(NASTY, [card, table, figure()], NASTY)]
    return page(Report(NASTY, NASTY, {NASTY: NASTY}, sections))


def without_library(html):
    """The page, its largest script left out."""
    scripts = re.findall(r"<script>.*?</script>", html, re.DOTALL)
    return html.replace(max(scripts, key=len), "")


def test_text_from_outside_is_text():
    """No tag of it, in the page or inside a chart's data."""
    own = without_library(nasty_page())

    assert "<img" not in own
    assert "<script>alert" not in own
    assert len(re.findall(r"<script[ >]", own)) == 3


def test_charts_are_data_that_reads_back():
    """And plotly is given no tag in it: it reads some."""
    own = without_library(nasty_page())
    blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', own, re.DOTALL)

    figures = [json.loads(block) for block in blocks]
    assert len(figures) == 2
    for one in figures:
        assert "<" not in json.dumps(one)
        assert {"data", "layout"} <= one.keys()


def test_a_page_asks_nobody_for_anything():
    """No address in it, and a policy that forbids any; only its own two scripts may run."""
    html = nasty_page()
    own = without_library(html)
    policy = re.search(r'Security-Policy" content="([^"]*)"', html)[1]

    assert "http" not in own.replace("http-equiv", "")
    assert "default-src 'none'" in policy
    for script in re.findall(r"<script>(.*?)</script>\n", html, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_a_page_says_its_encoding_first():
    """Before any text that could be read wrongly."""
    assert nasty_page().index('<meta charset="utf-8">') < 100


@given(st.lists(st.floats(-1e6, 1e6), max_size=3000))
def test_a_thinned_line_keeps_its_extremes_and_order(values):
    """However long it was."""
    points = list(enumerate(values))
    kept = thinned(points)

    assert len(kept) <= POINTS_MAX
    assert kept == sorted(kept)
    assert set(kept) <= set(points)
    if values:
        drawn = [value for _, value in kept]
        assert (min(drawn), max(drawn)) == (min(values), max(values))


def test_spans_are_cut_to_the_window():
    """What lies outside is not drawn."""
    bands = [Band("firing", at(-9), at(2)), Band("firing", at(20), at(30))]
    shapes = timeline([], [], bands, [], [], (at(0), at(9)))["layout"]["shapes"]

    assert [(shape["x0"], shape["x1"]) for shape in shapes] == [
        ("2026-01-16T02:00:00", "2026-01-16T02:02:00")
    ]


def test_each_unit_has_its_row():
    """So that watts and percent share time, not height."""
    layout = figure()["layout"]

    assert {"yaxis", "yaxis2"} <= layout.keys()
    assert "yaxis3" not in layout


def test_values_that_score_the_same_are_one_point():
    """Their names would lie upon each other."""
    points = [("1 W", 0.5, 1.0), ("2 W", 1.0, 1.0), ("3 W", 1.0, 1.0), ("4 W", None, 0.0)]
    (trace,) = precision_recall(points)["data"]

    assert trace["text"] == ["1 W", "2 W to 3 W"]


def test_a_curve_shows_where_nothing_is_known_as_a_gap():
    """Precision of a rule that files nothing."""
    drawn = curve("high", [("precision", [(1.0, None), (2.0, 0.5)])], "%", [("now", 2.0)])

    assert drawn["data"][0]["y"] == [None, 0.5]
    assert drawn["layout"]["shapes"][0]["x0"] == 2.0


def test_signals_are_those_that_the_rule_reads_within_the_window():
    """With the limits that it holds them to, in the author's words."""
    bundle = bundle_of()
    messages = series([10, 20, 90, 90, 90])
    view = View(bundle.rules["full_bin"], "BIN-0", at(10), at(50))
    signals = Signals(city_of(0, bins=2), [view])
    for received in [*messages, *series([33], device="b1")]:
        signals.feed(received)

    (line,) = signals.lines(view)
    assert (line.key, line.unit) == ("fill_pct", "%")
    assert line.points == [(at(15), 20.0), (at(30), 90.0), (at(45), 90.0)]
    limits = {limit.text: {value for _, value in limit.points} for limit in signals.limits(view)}
    assert limits == {"fires >= high": {80.0}, "clears < high - 10%": {70.0}}
