"""A report: one HTML file with everything in it, for a browser without a network, or paper.

Owns how a report looks and that nothing in it can run but its own charts: every text is escaped,
figures go in as data, and the page forbids itself any request. It knows tables, cards and figures,
not what they are about.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files

from gateway.workbench.charts import Figure

CARDS_MAX = 40  # with a chart; a report with more is not read


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` that begin with > are numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Card:
    """One thing that happened. `tone`: good, bad or plain."""

    badge: str
    tone: str
    title: str
    text: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    figure: Figure | None = None


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    parts: Sequence[Table | Card | Figure]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """`figures` of the head: name -> number, large."""

    title: str
    subtitle: str
    numbers: Mapping[str, str]
    sections: Sequence[Section]
    shows_time: bool = True
    """Whether its charts have the shades that the legend explains."""


def page(report: Report) -> str:
    """The whole file."""
    library = files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8")
    scripts = (library, _DRAW)
    body = "".join(_body(report))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">\n'
        f"<title>{escape(report.title)}</title>\n<style>{_STYLE}</style></head>\n<body>{body}\n"
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body></html>\n"
    )


def _policy(scripts: Iterable[str]) -> str:
    """Only these scripts run, and nothing is fetched."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
            "img-src data: blob:")  # fmt: skip


def _body(report: Report) -> Iterator[str]:
    yield f"<header><h1>{escape(report.title)}</h1><p>{escape(report.subtitle)}</p></header><main>"
    yield '<div class="numbers">'
    for name, number in report.numbers.items():
        yield f"<div><b>{escape(number)}</b><span>{escape(name)}</span></div>"
    yield "</div>"
    if report.shows_time:
        yield _LEGEND
    count = 0
    for section in report.sections:
        yield f"<section><h2>{escape(section.title)}</h2>"
        if section.note:
            yield f'<p class="note">{escape(section.note)}</p>'
        for part in section.parts:
            count += 1
            yield _part(part, count)
        yield "</section>"
    yield "</main>"


def _part(part: Table | Card | Figure, number: int) -> str:
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Card):
        return _card(part, number)
    return f"<article>{_figure(part, number)}</article>"


def _table(table: Table) -> str:
    numeric = [column.startswith(">") for column in table.columns]
    head = "".join(
        f"<th{_side(right)}>{escape(column.removeprefix('>'))}</th>"
        for column, right in zip(table.columns, numeric, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(f"<td{_side(right)}>{escape(cell)}</td>"
                         for cell, right in zip(row, numeric, strict=True)) + "</tr>"
        for row in table.rows
    )  # fmt: skip
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>{rows}</table></div>{note}'


def _side(right: bool) -> str:
    return ' class="n"' if right else ""


def _card(card: Card, number: int) -> str:
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
                    for name, value in card.facts.items())  # fmt: skip
    text = f"<p>{escape(card.text)}</p>" if card.text else ""
    figure = _figure(card.figure, number) if card.figure is not None else ""
    badge = f'<span class="badge {escape(card.tone)}">{escape(card.badge)}</span>'
    return (f"<article><h3>{badge} {escape(card.title)}</h3>{text}"
            f"<dl>{facts}</dl>{figure}</article>")  # fmt: skip


def _figure(figure: Figure, number: int) -> str:
    """The data of a chart lies beside its place; in it no tag can end."""
    data = json.dumps(figure, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    height = int(figure["layout"]["height"])
    return (f'<div class="chart" id="c{number}" style="min-height:{height}px"></div>{_keys(figure)}'
            f'<script type="application/json" data-for="c{number}">{data}</script>')  # fmt: skip


def _keys(figure: Figure) -> str:
    """Which line is which, below the chart, where it can wrap. The names are escaped already."""
    keys = "".join(
        f'<span><i style="border-top:2px {_LINES[trace["line"].get("dash", "solid")]} '
        f'{trace["line"]["color"]}"></i>{trace["name"]}</span>'
        for trace in figure["data"]
        if "name" in trace
    )
    return f'<p class="keys">{keys}</p>' if keys else ""


_LINES = {"solid": "solid", "dash": "dashed", "dot": "dotted"}

_DRAW = """
for (const data of document.querySelectorAll("script[data-for]")) {
  const figure = JSON.parse(data.textContent);
  Plotly.newPlot(data.dataset.for, figure.data, figure.layout,
    {responsive: true, displaylogo: false, displayModeBar: false});
}
function fit() {
  for (const chart of document.querySelectorAll(".chart")) Plotly.Plots.resize(chart);
}
fit();
addEventListener("beforeprint", fit);
"""

_LEGEND = """<p class="legend"><span class="k pending">pending</span>
<span class="k firing">firing</span> <span class="k clearing">clearing</span>
<span class="k label">what was really wrong (labels)</span>
<span class="k limit">limit, fires</span> <span class="k limit clears">limit, clears</span>
<span>times are UTC</span></p>"""

_STYLE = """
:root{--ink:#1f2933;--soft:#52606d;--line:#e4e7eb;--back:#f5f7fa;--good:#047857;--bad:#b91c1c}
*{box-sizing:border-box}
body{margin:0;background:var(--back);color:var(--ink);
 font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header{background:#102a43;color:#fff;padding:1.6rem max(1rem,calc(50vw - 34rem))}
h1{margin:0;font-size:1.5rem;letter-spacing:-.01em}
header p{margin:.3rem 0 0;color:#bcccdc}
main{max-width:68rem;margin:0 auto;padding:1rem}
h2{margin:2.2rem 0 .6rem;font-size:1.15rem}
h3{margin:0 0 .35rem;font-size:1rem;font-weight:600;overflow-wrap:anywhere}
.numbers{display:grid;grid-template-columns:repeat(auto-fit,minmax(7.5rem,1fr));gap:.7rem;
 margin:1rem 0}
.numbers div,article,.wide{background:#fff;border:1px solid var(--line);border-radius:10px}
.numbers div{padding:.7rem .9rem}
.numbers b{display:block;font-size:1.45rem;line-height:1.2;font-variant-numeric:tabular-nums}
.numbers span,.note,dt{color:var(--soft);font-size:.85rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.45rem .8rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
tr:last-child td{border-bottom:0}
th{font-weight:600;color:var(--soft);font-size:.85rem}
.n{text-align:right}
.chart{overflow:hidden}
.keys{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;color:var(--soft);font-size:.82rem}
.keys i{display:inline-block;width:1.3rem;margin-right:.4rem;vertical-align:.28rem}
article{padding:.9rem 1rem .4rem;margin:0 0 .9rem;break-inside:avoid}
article p{margin:.1rem 0 .4rem;overflow-wrap:anywhere}
dl{display:flex;flex-wrap:wrap;gap:.2rem 1.4rem;margin:.2rem 0 .3rem}
dl div{display:flex;gap:.4rem;align-items:baseline}
dd{margin:0;font-variant-numeric:tabular-nums;font-size:.9rem;overflow-wrap:anywhere}
.badge{display:inline-block;padding:.05rem .5rem;border-radius:99px;font-size:.8rem;
 background:#e4e7eb;color:#323f4b;margin-right:.2rem}
.badge.good{background:#d1fae5;color:var(--good)}
.badge.bad{background:#fee2e2;color:var(--bad)}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;color:var(--soft);font-size:.85rem}
.k::before{content:"";display:inline-block;width:1rem;height:.75rem;margin-right:.35rem;
 border-radius:2px;vertical-align:-.05rem}
.pending::before{background:#fde7c3}.firing::before{background:#f8d4d4}
.clearing::before{background:#cfefe3}.label::before{background:#334155;height:.35rem;
 vertical-align:.15rem}
.limit::before{height:0;border-top:2px dashed #dc2626;border-radius:0;vertical-align:.25rem}
.clears::before{border-color:#059669}
@media (max-width:40rem){main{padding:.6rem}.chart{overflow:hidden}
.keys{display:flex;flex-wrap:wrap;gap:.1rem 1.1rem;color:var(--soft);font-size:.82rem}
.keys i{display:inline-block;width:1.3rem;margin-right:.4rem;vertical-align:.28rem}
article{padding:.7rem .6rem .2rem}
 th,td{padding:.4rem .55rem}}
@media print{body{background:#fff;font-size:11pt}header{background:#fff;color:#000;
 padding:0 1rem}header p{color:#333}main{max-width:none}.numbers{break-inside:avoid}}
"""
