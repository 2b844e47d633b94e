"""The page for planners: what recurs and what does not fit, each figure with its definition.

Says with every figure what is counted, over which time, and on how much it rests; what rests on too
little says so before it shows anything.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from nicegui import ui

from gateway.cases.places import subject_name
from gateway.console.city import kinds
from gateway.console.frame import Console, Visit
from gateway.console.parts import Cell, chip, heading, scrolling, table
from gateway.phrases import Phrases
from gateway.views.planning import (
    DAYS,
    EarlyRow,
    Figure,
    ForecastRow,
    PlanningView,
    RecurringRow,
    RougherRow,
    SmallRow,
    planning_of,
)

HERE = "/planning"
PERIODS_DAYS = (30, 90, 180, 365)
ROWS = 25
"""Of each figure, the worst: these are where to begin."""


def add_to(console: Console) -> None:
    @console.page(HERE)
    async def planning(visit: Visit) -> None:
        asked = visit.query.get("days", "")
        days = int(asked) if asked in map(str, PERIODS_DAYS) else DAYS
        view = await asyncio.to_thread(planning_of, visit.books, days, visit.words)
        with visit.frame(visit.words.say("Planning"), HERE):
            _periods(visit.words, days)
            _figures(visit, view)


def _periods(words: Phrases, days: int) -> None:
    with ui.element("nav").classes("s-row") as row:
        row.props["aria-label"] = words.say("Which time is looked at")
        for period in PERIODS_DAYS:
            text = words.say("{days} days", days=str(period))
            link = ui.link(text, f"{HERE}?days={period}")
            if period == days:
                link.props('aria-current="page"').style("font-weight: 600")


def _figures(visit: Visit, view: PlanningView) -> None:
    say = visit.words.say
    asset, last, since = say("Asset"), say("Last"), say("Full at")
    _figure(
        visit,
        view.recurring,
        [
            say("What"), say("Kind"), say("Failures"), say("Days between"), last,
            say("After the city had closed it"), say("Lamps that failed on it"), say("Rules"),
        ],
        lambda row: _recurring(visit, row),
    )  # fmt: skip
    _figure(
        visit,
        view.rougher,
        [say("Place"), say("Rule"), say("Felt before"), say("Felt now"), say("Passes by week")],
        lambda row: _rougher(visit.words, row),
    )
    _figure(
        visit,
        view.too_small,
        [asset, say("Times full"), say("In weeks"), say("Early"), say("Hours full"), last],
        lambda row: _small(visit, row),
    )
    _figure(
        visit,
        view.too_often,
        [asset, say("Times emptied"), say("Fill then"), last],
        lambda row: _early(visit, row),
    )
    _figure(
        visit,
        view.forecast,
        [asset, say("Fill"), say("Fills by"), since, say("Next collection"), say("Reports")],
        lambda row: _forecast(visit, row),
    )


def _figure(
    visit: Visit, figure: Figure[Any], columns: Sequence[str], row: Callable[[Any], list[Cell]]
) -> None:
    say = visit.words.say
    with scrolling(figure.title).classes("s-card"):
        heading(figure.title)
        ui.label(figure.definition).classes("s-text s-quiet")
        if figure.note:
            chip(figure.note, "warn").style("white-space: normal")
        told = say(
            "From {since} to {until}. Judged: {judged}. Too little data: {too_few}.",
            since=visit.time(figure.since), until=visit.time(figure.until),
            judged=f"{figure.judged:,}", too_few=f"{figure.too_few:,}",
        )  # fmt: skip
        ui.label(told).classes("s-text")
        shown = figure.rows[:ROWS]
        if not shown:
            ui.label(say("Nothing stands out."))
            return
        table(figure.title, columns, [row(one) for one in shown])
        if figure.found > len(shown):
            text = say(
                "The {shown} worst of {count}.", shown=str(len(shown)), count=f"{figure.found:,}"
            )
            ui.label(text).classes("s-quiet")


# -- rows ------------------------------------------------------------------------------------------


def _recurring(visit: Visit, row: RecurringRow) -> list[Cell]:
    words = visit.words
    rules = ", ".join(f"{rule}: {count}" for rule, count in row.rules.items())
    return [
        subject_name(row.subject),
        {**kinds(words), "asset": words.say("Asset")}.get(row.kind, row.kind),
        f"{row.episodes:,}",
        words.say("too few") if row.mean_days is None else f"{row.mean_days:.1f}",
        visit.time(row.last_at),
        f"{row.unrepaired:,}",
        f"{row.lamps:,}" if row.kind == "circuit" else "-",
        rules,
    ]


def _rougher(words: Phrases, row: RougherRow) -> list[Cell]:
    weeks = ", ".join(
        words.say("{hits} of {passes}", hits=str(week.hits), passes=str(week.passes))
        for week in row.weeks
    )
    place = f"{row.lat:.5f}, {row.long:.5f}"
    return [place, row.rule, _percent(row.before_pct), _percent(row.after_pct), weeks]


def _small(visit: Visit, row: SmallRow) -> list[Cell]:
    early = visit.words.say("no schedule") if row.early is None else f"{row.early:,}"
    hours = "-" if row.hours_full is None else f"{row.hours_full:.1f}"
    last = visit.time(row.last_at)
    return [row.asset, f"{row.times:,}", f"{row.weeks:,}", early, hours, last]


def _early(visit: Visit, row: EarlyRow) -> list[Cell]:
    fill = _percent(row.median_fill_pct)
    return [row.asset, f"{row.emptyings:,}", fill, visit.time(row.last_at)]


def _forecast(visit: Visit, row: ForecastRow) -> list[Cell]:
    say = visit.words.say
    return [
        row.asset,
        _percent(row.fill_pct),
        say("{speed} % an hour", speed=f"{row.speed_pct_h:.1f}"),
        visit.time(row.full_at),
        say("no schedule") if row.pickup_at is None else visit.time(row.pickup_at),
        f"{row.readings:,}",
    ]


def _percent(value: float) -> str:
    return f"{value:.0f} %"
