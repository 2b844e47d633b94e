"""What a backtest found, on a page: figures, scores, charts, filings, differences.

Every chart has its figures beside it as a table. Shows what it is given and counts nothing.
"""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from gateway.cityhall.requests import duration
from gateway.console.frame import Visit
from gateway.console.parts import Cell, Tone, chip, heading, table
from gateway.console.rule_charts import (
    chart_height_px,
    filings_chart,
    phase_names,
    scores_chart,
    signal_chart,
    step_text,
    unit_text,
)
from gateway.console.rule_parts import more
from gateway.phrases import Phrases
from gateway.views.rule_results import BacktestResult, Difference, FilingRow, SignalChart

_TONES: dict[str, Tone] = {
    "right": "good", "confirmed": "good", "false": "bad", "unfounded": "bad", "twice": "bad",
}  # fmt: skip
FILINGS_SHOWN = 200
VALUES_SHOWN = 40
NONE = "-"


def show(found: BacktestResult, visit: Visit, zone: ZoneInfo, *, dark: bool) -> None:
    """All of it, into the element that is open."""
    words = visit.words
    _numbers(found, visit)
    _doubts(found, visit)
    if found.difference is not None:
        _difference(found.difference, visit)
    _scores(found, words, dark=dark)
    if found.series:
        heading(words.say("Filings over time"))
        _chart(filings_chart(found, words, zone, dark=dark), 300)
        with more(words.say("The figures of this chart")):
            _series_table(found, words, zone)
    _missed(found, visit)
    if found.charts:
        heading(words.say("What the rules looked at"))
        for chart in found.charts:
            _signal(chart, visit, zone, dark=dark)
    _filings(found, visit)
    _near(found, visit)


def _numbers(found: BacktestResult, visit: Visit) -> None:
    say = visit.words.say
    numbers = {
        say("Readings"): f"{found.readings:,}",
        say("Filings"): f"{found.filings_total:,}",
        say("From"): visit.time(found.first_ms),
        say("To"): visit.time(found.last_ms),
        say("Took"): f"{found.seconds:.1f} s",
    }
    with ui.element("dl").classes("s-numbers"):
        for name, value in numbers.items():
            with ui.element("div"):
                TextElement(tag="dt", text=name)
                TextElement(tag="dd", text=value)


def _doubts(found: BacktestResult, visit: Visit) -> None:
    """What may make it worth less than it looks."""
    say = visit.words.say
    if found.cut_ms is not None:
        text = say("There was no time for what came after {time}.", time=visit.time(found.cut_ms))
        ui.label(text).classes("s-state s-state-amber")
    if found.undecided:
        count = str(found.undecided)
        ui.label(say("Fired too near the end to be decided: {count}.", count=count))
    if found.late > found.readings // 2:
        ui.label(say("Most readings came later than a day and are not judged."))
    if found.labels_ignored:
        count = str(found.labels_ignored)
        ui.label(say("Labels of other rules or another time: {count}.", count=count))


# -- judged ---------------------------------------------------------------------------------------


def _scores(found: BacktestResult, words: Phrases, *, dark: bool) -> None:
    say = words.say
    heading(say("Precision and recall"))
    if not found.judged_by:
        ui.label(
            say("Nobody can judge this yet: no labels, and no request that the city closed.")
        ).classes("s-text")
        return
    if found.judged_by == "labels":
        told = say(
            "By labels. Precision: of what was filed, how much was right. Recall: of what was "
            "wrong, how much was filed."
        )
    else:
        told = say(
            "By the city's word. Right: the city closed the request. False: it closed it and says "
            "that nothing was wrong. Unknown: it was never asked, or has not answered. Precision "
            "is of those right or false, recall of all that the city found right."
        )
    ui.label(told).classes("s-text")
    columns = [say("Rule"), say("Right"), say("False"), say("Twice"), say("Unknown"),
               say("Missed"), say("Precision"), say("Recall")]  # fmt: skip
    rows = [
        [one.rule, str(one.right), str(one.false), str(one.twice), str(one.unknown),
         str(one.missed), _share(one.precision), _share(one.recall)]
        for one in found.scores
    ]  # fmt: skip
    known = [one for one in found.scores if one.precision is not None or one.recall is not None]
    if known:
        _chart(scores_chart(known, words, dark=dark), 260)
    table(say("Scores"), columns, rows)


def _missed(found: BacktestResult, visit: Visit) -> None:
    if not found.missed:
        return
    say = visit.words.say
    heading(say("Missed: {count}", count=str(found.missed_total)))
    columns = [say("Rule"), say("Where"), say("Since"), say("What came closest")]
    rows = [[one.rule, one.where, visit.time(one.started_ms), one.why] for one in found.missed]
    table(say("Missed"), columns, rows)


def verdict_texts(words: Phrases) -> dict[str, str]:
    return {
        "right": words.say("right"),
        "false": words.say("false"),
        "twice": words.say("filed twice"),
        "confirmed": words.say("confirmed by the city"),
        "unfounded": words.say("the city found nothing"),
        "unknown": words.say("unknown"),
    }


def _verdict(verdict: str, words: Phrases) -> Cell:
    if not verdict:
        return ""
    return lambda: chip(verdict_texts(words)[verdict], _TONES.get(verdict, ""))


# -- filings --------------------------------------------------------------------------------------


def _filings(found: BacktestResult, visit: Visit) -> None:
    say = visit.words.say
    heading(say("Filings"))
    shown = found.filings[:FILINGS_SHOWN]
    if not shown:
        ui.label(say("Nothing would have been filed."))
        return
    if found.filings_total > len(shown):
        counts = {"shown": str(len(shown)), "total": str(found.filings_total)}
        ui.label(say("The first {shown} of {total}.", **counts))
    columns = [say("Verdict"), say("Rule"), say("Where"), say("Started"), say("Filed"),
               say("Cleared"), say("Text")]  # fmt: skip
    rows = [_filing_row(one, visit) for one in shown]
    with ui.element("div").classes("s-scroll"):
        table(say("Filings"), columns, rows)


def _filing_row(one: FilingRow, visit: Visit) -> list[Cell]:
    verdict: Cell = _verdict(one.verdict, visit.words)
    if not verdict and one.shadow:
        verdict = visit.words.say("in shadow")
    times = [visit.time(at_ms) for at_ms in (one.started_ms, one.filed_ms, one.cleared_ms)]
    return [verdict, one.rule, one.where, *times, one.description]


def _near(found: BacktestResult, visit: Visit) -> None:
    if not found.near:
        return
    say = visit.words.say
    with more(say("Nearly fired: {count}", count=str(len(found.near)))):
        columns = [say("Rule"), say("Where"), say("From"), say("Lasted"), say("Of what is asked"),
                   say("Then")]  # fmt: skip
        rows = [
            [one.rule, one.where, visit.time(one.started_ms), duration(one.lasted_ms),
             f"{one.share:.0%}", one.cause]
            for one in found.near
        ]  # fmt: skip
        table(say("Nearly fired"), columns, rows)


# -- against what is in force ---------------------------------------------------------------------


def _difference(found: Difference, visit: Visit) -> None:
    say = visit.words.say
    heading(say("Against what is in force"))
    counts = (
        (say("filed anew: {count}", count=str(len(found.added))), found.added),
        (say("no longer filed: {count}", count=str(len(found.removed))), found.removed),
    )
    with ui.element("div").classes("s-row"):
        for text, some in counts:
            chip(text, "warn" if some else "")
        chip(say("moved: {count}", count=str(len(found.moved))), "warn" if found.moved else "")
        chip(say("the same: {count}", count=str(found.same)), "good")
    if found.left_off:
        ui.label(say("More that differ: {count}.", count=str(found.left_off)))
    columns = [say("Rule"), say("Where"), say("Started"), say("Filed"), say("The other side")]
    for text, some in counts:
        if some:
            heading(text, 3)
            rows = [
                [_rule(one.filing, visit.words), one.filing.where,
                 visit.time(one.filing.started_ms),
                 visit.time(one.filing.filed_ms), one.instead]
                for one in some
            ]  # fmt: skip
            table(text, columns, rows)
    if found.moved:
        title = say("moved: {count}", count=str(len(found.moved)))
        heading(title, 3)
        columns = [say("Rule"), say("Where"), say("Filed"), say("Begins"), say("Is filed"),
                   say("Clears")]  # fmt: skip
        rows = [
            [_rule(one.filing, visit.words), one.filing.where,
             visit.time(one.filing.filed_ms),
             *(_shift(s, visit.words) for s in (one.started_s, one.filed_s, one.cleared_s))]
            for one in found.moved
        ]  # fmt: skip
        table(title, columns, rows)


def _rule(filing: FilingRow, words: Phrases) -> str:
    return words.say("{rule} (in shadow)", rule=filing.rule) if filing.shadow else filing.rule


def _shift(seconds: int | None, words: Phrases) -> str:
    if seconds is None:
        return NONE
    if seconds == 0:
        return words.say("as before")
    time = duration(abs(seconds) * 1000)
    if seconds > 0:
        return words.say("{time} later", time=time)
    return words.say("{time} earlier", time=time)


# -- charts ---------------------------------------------------------------------------------------


def _chart(options: dict[str, object], height_px: int) -> None:
    ui.echart(options).classes("s-chart").style(f"height: {height_px}px")


def _series_table(found: BacktestResult, words: Phrases, zone: ZoneInfo) -> None:
    columns = [words.say("When"), *(one.rule for one in found.series)]
    steps = [at_ms for at_ms, _ in found.series[0].points]
    by_rule = [dict(one.points) for one in found.series]
    rows = [
        [step_text(at_ms, zone, by_hour=found.by_hour), *(str(x.get(at_ms, 0)) for x in by_rule)]
        for at_ms in steps
        if any(x.get(at_ms) for x in by_rule)
    ]
    table(words.say("Filings over time"), columns, rows)


def _signal(chart: SignalChart, visit: Visit, zone: ZoneInfo, *, dark: bool) -> None:
    say = visit.words.say
    with ui.element("div").classes("s-card"):
        with ui.element("div").classes("s-row"):
            heading(say("{rule} at {where}", rule=chart.rule, where=chart.where), 3)
            cell = _verdict(chart.verdict, visit.words)
            if callable(cell):
                cell()
        options = signal_chart(chart, visit.words, zone, dark=dark)
        _chart(options, chart_height_px(chart))
        with more(say("This chart as text")):
            _signal_tables(chart, visit)


def _signal_tables(chart: SignalChart, visit: Visit) -> None:
    say = visit.words.say
    names = phase_names(visit.words)
    spans = [[names[x.phase], visit.time(x.start_ms), visit.time(x.end_ms)]
             for x in chart.spans if x.phase in names]  # fmt: skip
    spans.append([say("Filed"), visit.time(chart.filed_ms), ""])
    table(say("Phases"), [say("Phase"), say("From"), say("To")], spans)
    for line in chart.lines:
        if not line.role:
            unit = unit_text(line.unit)
            rows = [
                [visit.time(at_ms), f"{value:.4g} {unit}"] for at_ms, value in _some(line.points)
            ]
            table(line.name, [say("When"), line.name], rows)
        elif line.points:
            text = say("{limit}: {value}", limit=line.name, value=f"{line.points[-1][1]:.4g}")
            ui.label(text).classes("s-text")


def _some(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """As many as anybody reads, evenly."""
    step = max(1, len(points) // VALUES_SHOWN)
    return points[::step]


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"
