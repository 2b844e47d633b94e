"""Charts as plain values: a figure is what plotly's JavaScript is given, a dict of data and layout.

Pure. Draws signals over time with the limits they are held to and the spans in which a rule was
pending and firing; curves over a parameter. Text that came from outside is escaped here, since
plotly reads tags. A line is thinned out to what an eye can tell apart, its extremes kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import cycle, groupby
from typing import Any

from gateway.workbench.signals import Limit, Line, Points

POINTS_MAX = 600  # a line of a chart; more cannot be told apart on a page
MARKERS_MAX = 150  # more would be a smear
ROW_PX, HEAD_PX = 150, 72
INK, GRID, PAPER = "#1f2933", "#e4e7eb", "#ffffff"
INKS = ("#1d4ed8", "#0f766e", "#7c3aed", "#b45309", "#be185d", "#475569")
PHASES = {"pending": "rgba(245,158,11,.20)", "firing": "rgba(220,38,38,.18)",
          "clearing": "rgba(16,185,129,.18)"}  # fmt: skip
ROLES = {"fires": "#dc2626", "hit": "#dc2626", "clears": "#059669"}
LABEL_INK, FILED_INK = "#334155", "#111827"

Figure = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Band:
    """A span of time: a phase, or what the labels say."""

    name: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant with a name."""

    name: str
    at_ms: int


def timeline(
    lines: Sequence[Line],
    limits: Sequence[Limit],
    bands: Iterable[Band],
    labels: Iterable[Band],
    marks: Iterable[Mark],
    window: tuple[int, int],
) -> Figure:
    """Signals over a window, one row for each unit, all on one axis of time."""
    units = list(dict.fromkeys(line.unit for line in lines)) or [""]
    rows = {unit: len(units) - i for i, unit in enumerate(units)}
    row_by_key = {line.key: rows[line.unit] for line in lines}
    data = [
        _trace(line, rows[line.unit], ink) for line, ink in zip(lines, cycle(INKS), strict=False)
    ]
    data += [_limit_trace(x, row_by_key[x.key]) for x in limits if x.key in row_by_key]
    layout = _layout(len(units), window)
    for unit, row in rows.items():
        layout[_axis("yaxis", row)] |= {"title": {"text": escape(_unit_name(unit))}}
        if unit == "bool":
            layout[_axis("yaxis", row)] |= {"tickvals": [0, 1], "ticktext": ["off", "on"],
                                            "range": [-0.15, 1.15]}  # fmt: skip
    layout["shapes"] = [*_shades(bands, window), *_truths(labels, window)]
    layout["annotations"] = []
    for mark in marks:
        layout["shapes"].append(_upright(_when(mark.at_ms)))
        layout["annotations"].append(_flag(mark.name, _when(mark.at_ms)))
    return {"data": data or [_nothing(window)], "layout": layout}


def curve(
    title: str,
    shares: Sequence[tuple[str, Sequence[tuple[float, float | None]]]],
    unit: str,
    marks: Sequence[tuple[str, float]],
) -> Figure:
    """Shares over the values of a parameter, with upright marks."""
    data = [
        {
            "type": "scatter", "mode": "lines+markers", "name": escape(name),
            "x": [x for x, _ in points], "y": [y for _, y in points],
            "line": {"color": ink, "width": 2},
            "hovertemplate": f"%{{x:.4g}} {escape(unit)}: %{{y:.3f}}",
        }
        for (name, points), ink in zip(shares, INKS, strict=False)
    ]  # fmt: skip
    layout = _layout(1, None)
    layout["height"] = 380
    layout["xaxis"] |= {"title": {"text": f"{escape(title)} ({escape(unit)})"}, "type": "linear"}
    layout["yaxis"] |= {"range": [-0.03, 1.05], "title": {"text": ""}}
    layout["shapes"] = [_upright(at, dash="dot" if i else "solid") for i, (_, at) in
                        enumerate(marks)]  # fmt: skip
    layout["annotations"] = [
        _flag(name, at) | {"yshift": -14 * i} for i, (name, at) in enumerate(marks)
    ]
    return {"data": data, "layout": layout}


def precision_recall(points: Sequence[tuple[str, float | None, float | None]]) -> Figure:
    """Precision over recall, each point with what it stands for; equal neighbours are one."""
    known = [
        (f"{some[0][0]} to {some[-1][0]}" if len(some) > 1 else some[0][0], p, r)
        for (p, r), group in groupby(points, key=lambda point: point[1:])
        if (some := list(group)) and p is not None and r is not None
    ]
    layout = _layout(1, None)
    layout["height"] = 380
    layout["xaxis"] |= {"title": {"text": "recall"}, "range": [-0.03, 1.05], "type": "linear"}
    layout["yaxis"] |= {"title": {"text": "precision"}, "range": [-0.03, 1.08]}
    trace = {
        "type": "scatter", "mode": "lines+markers+text", "x": [r for _, _, r in known],
        "y": [p for _, p, _ in known], "text": [escape(name) for name, _, _ in known],
        "textposition": "bottom left", "textfont": {"size": 10},
        "line": {"color": INKS[0], "width": 1.5}, "marker": {"size": 7},
        "hovertemplate": "%{text}: precision %{y:.3f}, recall %{x:.3f}<extra></extra>",
    }  # fmt: skip
    return {"data": [trace], "layout": layout}


def thinned(points: Points) -> Points:
    """At most POINTS_MAX of them: the lowest and the highest of each stretch, in order."""
    if len(points) <= POINTS_MAX:
        return points
    stretches = POINTS_MAX // 2
    kept: Points = []
    for i in range(stretches):
        part = points[i * len(points) // stretches : (i + 1) * len(points) // stretches]
        both = {min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])}
        kept.extend(sorted(both))
    return kept


# -- parts ----------------------------------------------------------------------------------------


def _trace(line: Line, row: int, ink: str) -> dict[str, Any]:
    points = thinned(line.points)
    on_off = line.unit == "bool"
    mode = "lines+markers" if len(points) <= MARKERS_MAX else "lines"
    return {
        "type": "scatter", "mode": mode, "name": escape(line.key),
        "x": [_when(at_ms) for at_ms, _ in points], "y": [value for _, value in points],
        "line": {"color": ink, "width": 1.6, "shape": "hv" if on_off else "linear"},
        "marker": {"size": 4}, "yaxis": _axis("y", row),
        "hovertemplate": f"%{{y:.4g}} {escape(_unit_name(line.unit))}",
    }  # fmt: skip


def _limit_trace(limit: Limit, row: int) -> dict[str, Any]:
    points = thinned(limit.points)
    return {
        "type": "scatter", "mode": "lines", "name": escape(limit.text),
        "x": [_when(at_ms) for at_ms, _ in points], "y": [value for _, value in points],
        "line": {"color": ROLES.get(limit.role, INK), "width": 1.2, "dash": "dash"},
        "yaxis": _axis("y", row), "hovertemplate": "%{y:.4g}",
    }  # fmt: skip


def _nothing(window: tuple[int, int]) -> dict[str, Any]:
    """An axis of time without signals: a circuit without a meter."""
    times = [_when(at_ms) for at_ms in window]
    return {"type": "scatter", "mode": "lines", "x": times, "y": [None, None], "showlegend": False}


def _layout(rows: int, window: tuple[int, int] | None) -> dict[str, Any]:
    layout: dict[str, Any] = {
        "height": HEAD_PX + ROW_PX * rows, "margin": {"l": 58, "r": 14, "t": 26, "b": 40},
        "paper_bgcolor": PAPER, "plot_bgcolor": PAPER, "hovermode": "x unified",
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": INK},
        "showlegend": False,
        "xaxis": {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "type": "date",
                  "anchor": "y"},
    }  # fmt: skip
    if window is not None:
        layout["xaxis"]["range"] = [_when(at_ms) for at_ms in window]
    gap = 0.06 if rows > 1 else 0.0
    height = (1 - gap * (rows - 1)) / rows
    for row in range(1, rows + 1):
        low = (row - 1) * (height + gap)
        layout[_axis("yaxis", row)] = {
            "domain": [low, min(1.0, low + height)], "gridcolor": GRID, "zeroline": False,
            "linecolor": GRID,
        }  # fmt: skip
    return layout


def _shades(bands: Iterable[Band], window: tuple[int, int]) -> list[dict[str, Any]]:
    return [
        _box(band, window, 0.0, 1.0)
        | {"fillcolor": PHASES[band.name], "line": {"width": 0}, "layer": "below"}
        for band in bands
        if _within(band, window)
    ]


def _truths(labels: Iterable[Band], window: tuple[int, int]) -> list[dict[str, Any]]:
    """What was really wrong, as a bar above the signals."""
    return [
        _box(band, window, 1.02, 1.06)
        | {"fillcolor": LABEL_INK, "opacity": 0.85, "line": {"width": 0}}
        for band in labels
        if _within(band, window)
    ]


def _within(band: Band, window: tuple[int, int]) -> bool:
    return band.start_ms < window[1] and band.end_ms > window[0]


def _box(band: Band, window: tuple[int, int], low: float, high: float) -> dict[str, Any]:
    return {
        "type": "rect", "xref": "x", "yref": "paper", "y0": low, "y1": high,
        "x0": _when(max(band.start_ms, window[0])), "x1": _when(min(band.end_ms, window[1])),
    }  # fmt: skip


def _upright(x: str | float, dash: str = "solid") -> dict[str, Any]:
    return {
        "type": "line", "xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1,
        "line": {"color": FILED_INK, "width": 1.4, "dash": dash},
    }  # fmt: skip


def _flag(name: str, x: str | float) -> dict[str, Any]:
    return {
        "x": x, "xref": "x", "y": 1, "yref": "paper", "text": escape(name),
        "showarrow": False, "xanchor": "left", "yanchor": "top", "xshift": 3,
        "font": {"size": 11, "color": FILED_INK}, "bgcolor": "rgba(255,255,255,.75)",
    }  # fmt: skip


def _axis(name: str, row: int) -> str:
    return name if row == 1 else f"{name}{row}"


def _unit_name(unit: str) -> str:
    return {"bool": "", "degC": "°C", "deg": "°", "1": "", "m/s2": "m/s²"}.get(unit, unit)


def _when(at_ms: float) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")[:19]
