"""Charts of backtests, as options of ECharts: plain values, no scripts.

Times are those of the city's clocks, whatever the browser's are. What a line or bar means stands in
its name and its pattern, never in its colour alone.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.phrases import Phrases
from gateway.views.rule_results import BacktestResult, ScoreRow, SignalChart

LIGHT_INKS = ("#0b5cad", "#0f766e", "#7c3aed", "#b45309", "#be185d", "#475569")
DARK_INKS = ("#7db7f2", "#5fd0c3", "#c4a7fa", "#f2b861", "#f59ac1", "#b6c2cf")
_SHADES = {
    "pending": "#f59e0b33",
    "firing": "#dc262633",
    "clearing": "#10b98133",
    "label": "#64748b55",
}
INK, LINE = ("#16202b", "#e8edf2"), ("#c9d0d8", "#3a4754")
"""In the light, and in the dark."""
_DASHES = {"fires": "dashed", "hit": "dashed", "clears": "dotted"}
ROW_PX, FOOT_PX = 150, 70
Options = dict[str, Any]


def filings_chart(result: BacktestResult, words: Phrases, zone: ZoneInfo, *, dark: bool) -> Options:
    """How many each rule files, by day or hour."""
    steps = [at_ms for at_ms, _ in result.series[0].points] if result.series else []
    title = words.say("Filings by hour") if result.by_hour else words.say("Filings by day")
    bars = [
        {
            "type": "bar",
            "name": one.rule,
            "stack": "all",
            "data": [count for _, count in one.points],
        }
        for one in result.series
    ]
    return _base(title, dark=dark) | {
        "grid": {"left": 40, "right": 12, "top": 16, "bottom": FOOT_PX},
        "xAxis": _axis(dark=dark)
        | {
            "type": "category",
            "data": [step_text(at_ms, zone, by_hour=result.by_hour) for at_ms in steps],
        },
        "yAxis": _axis(dark=dark) | {"type": "value", "minInterval": 1},
        "series": bars,
    }


def scores_chart(scores: Sequence[ScoreRow], words: Phrases, *, dark: bool) -> Options:
    """Precision and recall of each rule."""
    parts = {
        words.say("Precision"): [one.precision for one in scores],
        words.say("Recall"): [one.recall for one in scores],
    }
    bars = [
        {"type": "bar", "name": name, "barMaxWidth": 28, "data": [_share(x) for x in values]}
        for name, values in parts.items()
    ]
    return _base(words.say("Precision and recall by rule"), dark=dark) | {
        "grid": {"left": 40, "right": 12, "top": 16, "bottom": FOOT_PX},
        "xAxis": _axis(dark=dark) | {"type": "category", "data": [one.rule for one in scores]},
        "yAxis": _axis(dark=dark) | {"type": "value", "min": 0, "max": 1},
        "series": bars,
    }


def signal_chart(chart: SignalChart, words: Phrases, zone: ZoneInfo, *, dark: bool) -> Options:
    """What a rule looked at: a row for each unit, its limits, and the spans of its phases."""
    units = list(dict.fromkeys(line.unit for line in chart.lines)) or [""]
    title = words.say("{rule} at {where}", rule=chart.rule, where=chart.where)
    names = phase_names(words)
    rows = [
        {"left": 56, "right": 12, "top": 24 + ROW_PX * i, "height": ROW_PX - 40}
        for i in range(len(units))
    ]
    ends = wall_ms(chart.since_ms, zone), wall_ms(chart.until_ms, zone)
    axis = _axis(dark=dark)
    across = axis | {"type": "time", "min": ends[0], "max": ends[1]}
    lines = [
        {
            "type": "line", "name": line.name, "xAxisIndex": units.index(line.unit),
            "yAxisIndex": units.index(line.unit), "showSymbol": line.role == "",
            "symbolSize": 4, "step": "end" if line.unit == "bool" else False,
            "lineStyle": {"type": _DASHES.get(line.role, "solid"), "width": 2},
            "data": [[wall_ms(at_ms, zone), value] for at_ms, value in line.points],
        }
        for line in chart.lines
    ]  # fmt: skip
    spans = [
        [
            {"name": names[one.phase], "xAxis": wall_ms(one.start_ms, zone),
             "itemStyle": {"color": _SHADES[one.phase]}},
            {"xAxis": wall_ms(one.end_ms, zone)},
        ]
        for one in chart.spans if one.phase in _SHADES
    ]  # fmt: skip
    ink = INK[dark]
    marks = {
        "type": "line", "name": words.say("Filed"), "data": [], "xAxisIndex": 0, "yAxisIndex": 0,
        "markArea": {
            "silent": True, "data": spans,
            "label": {"color": ink, "fontSize": 11, "position": "insideBottom"},
        },
        "markLine": {
            "silent": True, "symbol": "none", "lineStyle": {"color": ink, "type": "solid"},
            "label": {"formatter": words.say("Filed"), "color": ink},
            "data": [{"xAxis": wall_ms(chart.filed_ms, zone)}],
        },
    }  # fmt: skip
    return _base(title, dark=dark) | {
        "useUTC": True,
        "grid": rows,
        "xAxis": [across | {"gridIndex": i} for i in range(len(units))],
        "yAxis": [
            axis | {"type": "value", "gridIndex": i, "name": unit_text(unit), "scale": True}
            for i, unit in enumerate(units)
        ],
        "series": [*lines, marks],
    }


def chart_height_px(chart: SignalChart) -> int:
    return ROW_PX * max(1, len({line.unit for line in chart.lines})) + FOOT_PX


def phase_names(words: Phrases) -> Mapping[str, str]:
    return {
        "pending": words.say("pending"),
        "firing": words.say("firing"),
        "clearing": words.say("clearing"),
        "label": words.say("really wrong"),
    }


def unit_text(unit: str) -> str:
    return {"bool": "", "degC": "°C", "deg": "°", "1": "", "m/s2": "m/s²"}.get(unit, unit)


def wall_ms(at_ms: int, zone: ZoneInfo) -> int:
    """The instant at which UTC's clocks show what those of the zone show at this one."""
    there = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return int(there.replace(tzinfo=UTC).timestamp() * 1000)


def step_text(at_ms: int, zone: ZoneInfo, *, by_hour: bool) -> str:
    """As every language reads it: 2026-01-15, 01-15 14:00."""
    there = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return there.strftime("%m-%d %H:00" if by_hour else "%Y-%m-%d")


def _base(title: str, *, dark: bool) -> Options:
    ink = INK[dark]
    return {
        "aria": {"enabled": True, "label": {"description": title}, "decal": {"show": True}},
        "color": list(DARK_INKS if dark else LIGHT_INKS),
        "darkMode": dark,
        "textStyle": {"color": ink},
        "animation": False,
        "tooltip": {"trigger": "axis", "confine": True},
        "legend": {"type": "scroll", "bottom": 0, "textStyle": {"color": ink}},
    }


def _axis(*, dark: bool) -> Options:
    return {
        "axisLabel": {"color": INK[dark], "hideOverlap": True},
        "nameTextStyle": {"color": INK[dark]},
        "axisLine": {"lineStyle": {"color": LINE[dark]}},
        "splitLine": {"lineStyle": {"color": LINE[dark]}},
    }


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
