"""A picture of the evidence: the signal, the limits it was held to, the span of the fault; as PNG.

The one file that imports matplotlib, when it draws. Text from outside is drawn as it is, never read
as mathematics; a picture has bounded size whatever is in it.
"""

from io import BytesIO
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from gateway.exhibits.evidence import Evidence
from gateway.workbench.charts import FILED_INK, GRID, INK, INKS, ROLES, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS_MAX = 4  # of signals with a unit of their own
WIDTH_IN, ROW_IN, HEAD_IN, DPI = 8.0, 1.7, 0.9, 110
FAULT_INK = "#dc2626"


def drawn(evidence: Evidence, time_zone: str) -> bytes:
    """The bytes of a PNG, times by the clocks of the city."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure

    zone = ZoneInfo(time_zone or "UTC")
    limited = {limit.key for limit in evidence.limits}
    lines = sorted(evidence.lines, key=lambda line: line.key not in limited)
    units = list(dict.fromkeys(line.unit for line in lines))[:ROWS_MAX] or [""]
    height = HEAD_IN + ROW_IN * len(units)
    figure = Figure(figsize=(WIDTH_IN, height), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(units), 1, sharex=True, squeeze=False)[:, 0]
    incident = evidence.case.incident
    title = f"{incident.subject}: {incident.rule}"
    figure.suptitle(title[:100], fontsize=11, color=INK, parse_math=False)
    for unit, axis in zip(units, axes, strict=True):
        _row(evidence, unit, axis)
    locator = AutoDateLocator(tz=zone)  # type: ignore[no-untyped-call]
    axes[-1].xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator, tz=zone)  # type: ignore[no-untyped-call]
    axes[-1].xaxis.set_major_formatter(formatter)
    picture = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _row(evidence: Evidence, unit: str, axis: "Axes") -> None:
    """The signals of one unit, and what they are compared with."""
    incident = evidence.case.incident
    view = evidence.case.view()
    seen_ms = max((line.points[-1][0] for line in evidence.lines), default=0)
    end_ms = incident.cleared_ms or max(seen_ms, incident.fired_ms)
    axis.axvspan(_days(incident.started_ms), _days(end_ms), color=FAULT_INK, alpha=0.12, lw=0)
    axis.axvline(_days(incident.fired_ms), color=FILED_INK, lw=1, ls=":")
    keys = [line.key for line in evidence.lines if line.unit == unit]
    for line, ink in zip(evidence.lines, INKS * (len(evidence.lines) + 1), strict=False):
        if line.key in keys:
            points = thinned(line.points)
            times, values = [_days(ts) for ts, _ in points], [value for _, value in points]
            axis.plot(times, values, color=ink, lw=1.4, marker=".", ms=3, label=line.key)
    for limit in evidence.limits:
        if limit.key in keys:
            points = thinned(limit.points)
            times, values = [_days(ts) for ts, _ in points], [value for _, value in points]
            ink = ROLES.get(limit.role, FILED_INK)
            axis.plot(times, values, color=ink, lw=1.2, ls="--", label=limit.text)
    axis.set_xlim(_days(view.since_ms), _days(end_ms))
    axis.set_ylabel(unit if unit not in ("1", "bool") else "", color=INK, parse_math=False)
    axis.grid(color=GRID)
    if keys:
        legend = axis.legend(
            loc="lower left",
            bbox_to_anchor=(0, 0.98),
            borderaxespad=0.2,
            fontsize=7,
            frameon=False,
            ncols=3,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    else:
        words = "its readings are not kept any more, or it is about others"
        axis.text(0.5, 0.5, words, ha="center", va="center", transform=axis.transAxes, color=INK)


def _days(ts_ms: int) -> float:
    """As matplotlib counts time."""
    return ts_ms / 86_400_000
