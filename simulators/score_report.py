"""The score as one HTML file: a map and a timeline for each fault, what went wrong first.

Everything is in the file: it asks nothing of any network, and no script is in it. All text that
comes from outside is escaped. The map has no tiles: things stand where they stand, to scale.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from simulators.score import Outcome, Request, Score, Stray
from simulators.score_map import Mark, draw
from simulators.tally import Tally
from simulators.truth import Label
from simulators.wire import rfc3339

LANE_WIDTH, LANE_HEIGHT = 620, 34
LANES_MAX = 400  # timelines of what went well; what went wrong is shown whole
MINUTE_MS = 60_000
MARGIN_MS = 30 * MINUTE_MS  # of a timeline, on both sides


@dataclass(frozen=True, slots=True)
class Run:
    """`truth`: every label and the kind of its fault. `register`: the assets as GeoJSON, empty
    where they are not known. `why`: of each missed label, in order, what came closest.
    """

    name: str
    score: Score
    shortfalls: Sequence[str] = ()
    truth: Mapping[Label, str] = field(default_factory=dict)
    register: Mapping[str, Any] = field(default_factory=dict)
    why: Sequence[str] = ()


def page(runs: Sequence[Run]) -> str:
    """The whole file."""
    title = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    body = "".join(_overview(runs) if len(runs) > 1 else ())
    body += "".join(part for run in runs for part in _run(run, single=len(runs) == 1))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Score: {escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>"
        f"<header><h1>Score: {escape(title)}</h1></header><main>{body}</main></body></html>\n"
    )


def _overview(runs: Sequence[Run]) -> Iterator[str]:
    rows = [
        (
            f'<a href="#{escape(run.name)}">{escape(run.name)}</a>',
            _badge("not as asked", "bad") if run.shortfalls else _badge("as asked", "good"),
            *map(str, _sums(run.score)),
        )
        for run in sorted(runs, key=lambda run: not run.shortfalls)
    ]
    yield _table(("run", "", ">faults", ">requests", ">missed", ">false", ">twice"), rows)


def _sums(score: Score) -> tuple[int, int, int, int, int]:
    return (score.faults_injected, score.requests_filed, score.missed, score.false,
            score.duplicates)  # fmt: skip


def _run(run: Run, *, single: bool) -> Iterator[str]:
    score = run.score
    if not single:
        yield f'<h2 id="{escape(run.name)}">{escape(run.name)}</h2>'
    yield "".join(_numbers(score))
    for line in run.shortfalls:
        yield f"<p>{_badge('not as asked', 'bad')} {escape(line)}</p>"
    if score.undelivered:
        yield (f'<p class="note">{score.undelivered:,} messages were never delivered; what was '
               "missed for want of them is missed all the same.</p>")  # fmt: skip
    picture = draw(run.register, list(_marks(run)))
    if picture:
        yield f"<figure>{picture}<figcaption>{_MAP_LEGEND}</figcaption></figure>"
    if score.kinds:
        yield "<h3>By kind of fault</h3>" + _tallies(score.kinds, "kind")
    if not score.scores:
        yield '<p class="note">Nothing was to be filed, and nothing was.</p>'
        return
    yield "<h3>By rule</h3>" + _tallies(score.scores, "rule")
    yield "<h3>Timelines</h3>" + _LEGEND
    yield from _lanes(run)


def _numbers(score: Score) -> Iterator[str]:
    names = ("faults", "requests", "missed", "false", "twice")
    shown = {name: f"{value:,}" for name, value in zip(names, _sums(score), strict=True)}
    shown["median time to detect"] = _minutes(score.time_to_detect_s) or "-"
    shown["nine in ten within"] = _minutes(score.time_to_detect_s_p90) or "-"
    if score.false_per_1000_device_days is not None:
        shown["false per 1,000 device-days"] = f"{score.false_per_1000_device_days:.2f}"
    yield '<div class="numbers">'
    for name, value in shown.items():
        yield f"<div><b>{value}</b><span>{name}</span></div>"
    yield "</div>"


def _tallies(tallies: Mapping[str, Tally], head: str) -> str:
    counts = ("faults", "look-alikes", "right", "missed", "false", "twice")
    figures = ("precision", "recall", "F1", "median", "9 in 10", "requests a fault")
    columns = (head, *(f">{name}" for name in (*counts, *figures)))
    worst_first = sorted(tallies.items(), key=lambda item: (-_wrong(item[1]), item[0]))
    rows = [
        (
            escape(name),
            *map(str, (one.tp + one.fn, one.look_alikes, one.tp, one.fn, one.fp, one.duplicates)),
            *map(_figure, (one.precision, one.recall, one.f1)),
            *map(_minutes, (one.delay_s_median, one.delay_s_p90)),
            _figure(one.requests_per_fault),
        )
        for name, one in worst_first
    ]
    return _table(columns, rows)


def _wrong(tally: Tally) -> int:
    return tally.fn + tally.fp + tally.duplicates


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML; columns that begin with > are numbers."""
    sides = [' class="n"' if column.startswith(">") else "" for column in columns]
    head = "".join(f"<th{side}>{escape(column.removeprefix('>'))}</th>"
                   for side, column in zip(sides, columns, strict=True))  # fmt: skip
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{cell}</td>"
                         for side, cell in zip(sides, row, strict=True)) + "</tr>"
        for row in rows
    )  # fmt: skip
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>{body}</table></div>'


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _minutes(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 180 else f"{minutes / 60:.1f} h"


def _badge(text: str, tone: str) -> str:
    return f'<span class="badge {tone}">{escape(text)}</span>'


# -- the map --------------------------------------------------------------------------------------


def _marks(run: Run) -> Iterator[Mark]:
    """What is marked, the most important last, for it lies on top."""
    for label, kind in run.truth.items():
        if not label.must_file:
            title = f"{kind or label.rule}: not to be filed, {_thing_of(label)}"
            yield Mark(label.lat, label.lon, "alike", title)
    for outcome in run.score.outcomes:
        label, tone = outcome.label, _tone(outcome)
        title = f"{outcome.kind or label.rule} at {_thing_of(label)}: {_WORDS[tone]}"
        yield Mark(label.lat, label.lon, tone, title)
    for stray in run.score.strays:
        request = stray.request
        title = f"{request.rule} at {_asked_for(request)}: false"
        yield Mark(request.lat, request.lon, "false", title)


# -- timelines ------------------------------------------------------------------------------------


def _lanes(run: Run) -> Iterator[str]:
    reasons = iter(run.why)
    lanes: list[tuple[int, int, str]] = []
    for outcome in run.score.outcomes:
        why = next(reasons, "") if not outcome.requests else ""
        rank = _RANKS[_tone(outcome)]
        lanes.append((rank, outcome.label.start_ms, _lane(outcome, why)))
    lanes += [(_RANKS["false"], x.request.observed_ms or 0, _stray(x)) for x in run.score.strays]
    lanes.sort(key=lambda lane: lane[:2])
    wrong = [lane for rank, _, lane in lanes if rank < _RANKS["right"]]
    right = [lane for rank, _, lane in lanes if rank == _RANKS["right"]]
    yield from wrong
    yield from right[:LANES_MAX]
    left = len(right) - LANES_MAX
    if left > 0:
        yield f'<p class="note">and {left} more that went well</p>'


def _tone(outcome: Outcome) -> str:
    if not outcome.requests:
        return "missed"
    return "twice" if len(outcome.requests) > 1 else "right"


def _lane(outcome: Outcome, why: str) -> str:
    label, tone = outcome.label, _tone(outcome)
    notes = [why] if why else []
    if outcome.undelivered:
        notes.append(f"{outcome.undelivered} readings of it were never delivered")
    if outcome.requests and outcome.requests[0].observed_ms is not None:
        after = _minutes((outcome.requests[0].observed_ms - label.start_ms) / 1000)
        notes.append(f"filed after {after}")
    title = f"{outcome.kind or label.rule} at {_thing_of(label)}"
    return _row(tone, title, notes, _line_of(label, outcome.requests))


def _stray(stray: Stray) -> str:
    request = stray.request
    notes = [f"what was there: {stray.kind}"]
    return _row("false", f"{request.rule} at {_asked_for(request)}", notes,
                _line_of(stray.label, (request,)))  # fmt: skip


def _row(tone: str, title: str, notes: Sequence[str], line: str) -> str:
    badge = _badge(_WORDS[tone], "good" if tone == "right" else "bad")
    said = escape("; ".join(notes))
    return (f'<article class="lane"><div>{badge} <b>{escape(title)}</b><p>{said}</p></div>'
            f"{line}</article>")  # fmt: skip


def _line_of(label: Label | None, requests: Sequence[Request]) -> str:
    moments = [ms for request in requests for ms in _times(request).values()]
    begun = moments if label is None else [*moments, label.start_ms]
    if not begun:
        return ""
    low = min(begun)
    ends = [] if label is None or label.end_ms is None else [label.end_ms]
    high = max(*begun, *ends, low + MINUTE_MS) + MARGIN_MS
    low -= MARGIN_MS

    def x(ms: int) -> float:
        return round((ms - low) / (high - low) * LANE_WIDTH, 1)

    parts = []
    if label is not None:
        end = LANE_WIDTH if label.end_ms is None else x(label.end_ms)
        until = "" if label.end_ms is None else f" to {rfc3339(label.end_ms)}"
        tone = "truth" if label.must_file else "alike"
        parts.append(
            f'<rect class="{tone}" x="{x(label.start_ms)}" y="3" rx="2" height="9" '
            f'width="{max(2.0, end - x(label.start_ms)):.1f}"><title>{rfc3339(label.start_ms)}'
            f"{until}</title></rect>"
        )
    for number, request in enumerate(requests):
        for name, ms in _times(request).items():
            tone = "again" if number else ""
            parts.append(
                f'<path class="{name} {tone}" d="M{x(ms)} 14v8"><title>{name} {rfc3339(ms)}'
                "</title></path>"
            )
    words = (
        f'<text x="0" y="32">{rfc3339(low)}</text>'
        f'<text x="{LANE_WIDTH}" y="32" text-anchor="end">{rfc3339(high)}</text>'
    )
    return (f'<svg viewBox="0 0 {LANE_WIDTH} {LANE_HEIGHT}" role="img" aria-label="Timeline">'
            f"{''.join(parts)}{words}</svg>")  # fmt: skip


def _times(request: Request) -> Mapping[str, int]:
    if request.spans:
        return request.spans
    return {} if request.observed_ms is None else {"filed": request.observed_ms}


def _thing_of(label: Label) -> str:
    return label.asset_id or f"{label.lat}, {label.lon}"


def _asked_for(request: Request) -> str:
    return request.asset_id or f"{request.lat}, {request.lon}"


_RANKS = {"false": 0, "missed": 1, "twice": 2, "right": 3}
_WORDS = {"false": "false", "missed": "missed", "twice": "asked twice", "right": "right"}

_MAP_LEGEND = (
    '<i class="missed"></i>missed <i class="false"></i>false <i class="twice"></i>asked twice '
    '<i class="right"></i>right <i class="alike"></i>looks like a fault, must not be filed '
    '<i class="thing"></i>assets'
)
_LEGEND = (
    '<p class="note"><i class="truth"></i>what was wrong <i class="alike"></i>a look-alike '
    '<i class="started"></i>first seen <i class="fired"></i>fired <i class="filed"></i>filed '
    '<i class="cleared"></i>cleared</p>'
)
_STYLE = """
:root{color-scheme:light;--ink:#1c2630;--soft:#66727e;--line:#d9dee3;--good:#1a7f4b;--bad:#c0352b;
--twice:#b26a00;--alike:#7c6bb0;--truth:#f1c9c4;--fired:#2f6db5}
body{margin:0;font:15px/1.45 system-ui,sans-serif;color:var(--ink);background:#fff}
header,main{max-width:960px;margin:0 auto;padding:0 20px}h1{font-size:24px;margin:24px 0 12px}
h2{margin:44px 0 12px;padding-top:16px;border-top:2px solid var(--ink)}h3{margin:28px 0 8px}
.numbers{display:flex;flex-wrap:wrap;gap:10px 28px;margin:12px 0}.numbers b{display:block;
font-size:22px}.numbers span,.note,.lane p,figcaption{color:var(--soft);font-size:13px}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px}th,td{padding:4px 12px 4px 0;
border-bottom:1px solid var(--line);text-align:left;white-space:nowrap}.n{text-align:right}
.badge{display:inline-block;padding:1px 7px;border-radius:9px;color:#fff;font-size:12px}
.badge.good{background:var(--good)}.badge.bad{background:var(--bad)}
figure{margin:20px 0}svg{width:100%;height:auto;display:block}.map{background:#f6f8fa;
border:1px solid var(--line);border-radius:6px}
circle.thing{fill:#b9c2cb}circle.missed,circle.false{stroke:#fff}circle.missed{fill:var(--bad)}
circle.false{fill:#fff;stroke:var(--bad);stroke-width:2.5}circle.twice{fill:var(--twice)}
circle.right{fill:var(--good)}circle.alike{fill:var(--alike)}
i{display:inline-block;width:10px;height:10px;border-radius:5px;margin:0 4px 0 10px}
i.missed{background:var(--bad)}i.false{box-sizing:border-box;border:2.5px solid var(--bad)}
i.twice{background:var(--twice)}i.right{background:var(--good)}i.alike{background:var(--alike)}
i.thing{background:#b9c2cb}i.truth{background:var(--truth);border-radius:2px;width:18px}
i.started,i.fired,i.filed,i.cleared{width:3px;border-radius:0}i.started{background:#9aa5b1}
i.fired{background:var(--fired)}i.filed{background:var(--ink)}i.cleared{background:var(--good)}
.lane{display:grid;grid-template-columns:300px 1fr;gap:14px;padding:8px 0;
border-bottom:1px solid var(--line);break-inside:avoid}.lane p{margin:2px 0}
.lane div{overflow-wrap:anywhere}.lane text{font-size:11px;fill:var(--soft)}
rect.truth{fill:var(--truth)}rect.alike{fill:#d5cfe8}path{stroke-width:3}
path.started{stroke:#9aa5b1}
path.fired{stroke:var(--fired)}path.filed{stroke:var(--ink)}path.cleared{stroke:var(--good)}
path.again{stroke:var(--twice)}
@media(max-width:700px){.lane{grid-template-columns:1fr}}
"""
