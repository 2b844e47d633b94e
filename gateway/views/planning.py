"""Planning as it is shown: five figures, each with its definition and on how much it rests.

What is counted is decided in `planning`; here it is asked of the books and put in words. A figure
that rests on too little says so, and shows what it has all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict

from gateway import planning
from gateway.books.survey import episodes_since, fills_since, known_since_ms, places_of
from gateway.cases.places import PASSES_MAX
from gateway.field.device_status import shown_time
from gateway.inventory.assets import City
from gateway.phrases import ENGLISH, Phrases
from gateway.planning import DAY_MS, Bin, Episode, Found
from gateway.views.books import Books
from gateway.views.devices import now_of
from rules.local_time import LocalTimes, schedule_of
from rules.rule import Bundle
from rules.track import ZONE

DAYS = 90
DAYS_MAX = 365
ROWS_MAX = 200
"""Shown of each figure, the worst; `found` says how many there are."""
DAYS_MIN = 14.0
"""Of what recurs nothing is known after less."""
FULL_FAULT = "container_full"
CIRCUIT = "circuit:"
PLACE = "place:"
KINDS = {CIRCUIT: "circuit", PLACE: "place", ZONE: "zone"}


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class RecurringRow(_Record):
    """`kind`: asset, circuit, place or zone. `mean_days`: between two failures; None: too few."""

    subject: str
    kind: str
    episodes: int
    rules: dict[str, int]
    mean_days: float | None
    last_at: str | None
    unrepaired: int
    """Failures after the city had closed the request for the one before."""
    lamps: int
    """Of a circuit: failures of its single lamps."""


class WeekRow(_Record):
    since: str | None
    passes: int
    hits: int


class RougherRow(_Record):
    """`before_pct`, `after_pct`: passes that felt it, of the earlier and of the later half."""

    place: str
    rule: str
    lat: float
    long: float
    before_pct: float
    after_pct: float
    passes: int
    weeks: list[WeekRow]


class SmallRow(_Record):
    """`early` None: nobody said when the bin is emptied; `hours_full` None: it never was."""

    asset: str
    times: int
    weeks: int
    early: int | None
    hours_full: float | None
    last_at: str | None


class EarlyRow(_Record):
    asset: str
    emptyings: int
    median_fill_pct: float
    last_at: str | None


class ForecastRow(_Record):
    """`pickup_at` None: nobody said when the bin is emptied."""

    asset: str
    fill_pct: float
    speed_pct_h: float
    full_at: str | None
    pickup_at: str | None
    readings: int


Row = TypeVar("Row", bound=_Record)


class Figure(_Record, Generic[Row]):
    """`judged`: how many there was enough data of; `too_few`: how many were seen too seldom.
    `note`: why it says little, where it does.
    """

    title: str
    definition: str
    since: str | None
    until: str | None
    found: int
    judged: int
    too_few: int
    note: str
    rows: list[Row]


class PlanningView(_Record):
    days: int
    since: str | None
    until: str | None
    recurring: Figure[RecurringRow]
    rougher: Figure[RougherRow]
    too_small: Figure[SmallRow]
    too_often: Figure[EarlyRow]
    forecast: Figure[ForecastRow]


def planning_of(books: Books, days: int = DAYS, words: Phrases = ENGLISH) -> PlanningView:
    """Of the last `days`, at most DAYS_MAX. StoreBroken: there are no books yet."""
    days = min(max(days, 1), DAYS_MAX)
    plans, until_ms, database = books.plans(), now_of(books).ms, books.database
    since_ms = until_ms - days * DAY_MS
    known_ms = max(since_ms, known_since_ms(database) or until_ms)
    episodes = episodes_since(database, since_ms)
    said = fills_since(database, since_ms)
    fills = planning.fills_of(said.rows, plans.city.assets)
    bins = bins_of(plans.city)
    fills_ms = max(known_ms, said.since_ms)
    whole, of_fills = _Span(known_ms, until_ms, words), _Span(fills_ms, until_ms, words)
    return PlanningView(
        days=days,
        since=shown_time(since_ms),
        until=shown_time(until_ms),
        recurring=_recurring(whole, planning.recurring(episodes, _circuits(plans.city))),
        rougher=_rougher(whole, planning.rougher(places_of(database), since_ms)),
        too_small=_too_small(whole, _full_bins(episodes, bins, plans.bundle)),
        too_often=_too_often(of_fills, planning.too_often(fills)),
        forecast=_forecast(of_fills, planning.forecasts(fills, bins, until_ms)),
    )


def bins_of(city: City) -> dict[str, Bin]:
    """All bins, with when each is full and when it is emptied."""
    clocks = LocalTimes()
    found = {}
    for asset in city.assets.values():
        if asset.kind == "bin":
            schedule = schedule_of(asset.attributes.get("pickup", ""))
            high_pct = float(asset.attributes.get("fill_threshold_pct", planning.HIGH_PCT))
            found[asset.id] = Bin(asset.id, high_pct, schedule, clocks.of(city.time_zone_of(asset)))
    return found


def _circuits(city: City) -> dict[str, str]:
    """Lamp -> its circuit, as a subject."""
    return {
        asset.id: f"{CIRCUIT}{circuit}"
        for asset in city.assets.values()
        if asset.kind == "streetlight" and (circuit := asset.attributes.get("circuit"))
    }


def _full_bins(
    episodes: Sequence[Episode], bins: Mapping[str, Bin], bundle: Bundle
) -> Found[planning.Small]:
    """Without a rule about full bins none can be judged."""
    rules = {rule.id for rule in bundle.rules.values() if rule.fault == FULL_FAULT}
    about = [episode for episode in episodes if episode.rule in rules]
    return planning.too_small(about, bins if rules else {})


# -- the figures -----------------------------------------------------------------------------------


class _Span(NamedTuple):
    """What the books cover, and the words for it."""

    since_ms: int
    until_ms: int
    words: Phrases

    def figure(self, found: Found[Any], days_min: float = DAYS_MIN) -> dict[str, Any]:
        """What all figures say alike."""
        return {
            "since": shown_time(self.since_ms),
            "until": shown_time(self.until_ms),
            "found": len(found.rows),
            "judged": found.judged,
            "too_few": found.too_few,
            "note": self._note(found, days_min),
        }

    def _note(self, found: Found[Any], days_min: float) -> str:
        say, days = self.words.say, (self.until_ms - self.since_ms) / DAY_MS
        if days < days_min:
            return say(
                "Too little data: the books reach back {days} days, and {least} are needed.",
                days=f"{days:.1f}",
                least=f"{days_min:.0f}",
            )
        if not found.judged:
            return say("Too little data: nothing was seen often enough to be judged.")
        return ""


def _recurring(span: _Span, found: Found[planning.Recurring]) -> Figure[RecurringRow]:
    say = span.words.say
    return Figure(
        title=say("What fails again"),
        definition=say(
            "Assets, circuits and places with {least} or more failures in this time: faults of "
            "which a request was made, whichever rule found them. The days between are those from "
            "the first failure to the last, by the number of pauses; of a single pause they are "
            "not told.",
            least=str(planning.EPISODES_MIN),
        ),
        rows=[_recurring_row(row) for row in found.rows[:ROWS_MAX]],
        **span.figure(found),
    )


def _recurring_row(row: planning.Recurring) -> RecurringRow:
    kind = next((kind for begin, kind in KINDS.items() if row.subject.startswith(begin)), "asset")
    return RecurringRow(
        subject=row.subject,
        kind=kind,
        episodes=row.episodes,
        rules=dict(row.rules),
        mean_days=_rounded(row.mean_days),
        last_at=shown_time(row.last_ms),
        unrepaired=row.unrepaired,
        lamps=row.lamps,
    )


def _rougher(span: _Span, found: Found[planning.Rougher]) -> Figure[RougherRow]:
    say = span.words.say
    return Figure(
        title=say("Roads that grow rougher"),
        definition=say(
            "Places on the road where more passes of vehicles are felt in the later half of the "
            "time than in the earlier: by {rise} points or more, and more than chance brings once "
            "in a hundred. Judged with {passes} passes in each half, over {weeks} weeks or more; a "
            "place remembers its last {kept} passes.",
            rise=f"{100 * planning.RISE_MIN:.0f}",
            passes=str(planning.PASSES_MIN),
            weeks=str(planning.SPAN_MS_MIN // planning.WEEK_MS),
            kept=str(PASSES_MAX),
        ),
        rows=[_rougher_row(row) for row in found.rows[:ROWS_MAX]],
        **span.figure(found),
    )


def _rougher_row(row: planning.Rougher) -> RougherRow:
    weeks = [
        WeekRow(since=shown_time(week.since_ms), passes=week.passes, hits=week.hits)
        for week in row.weeks
    ]
    return RougherRow(
        place=row.place,
        rule=row.rule,
        lat=row.lat,
        long=row.lon,
        before_pct=round(100 * row.before, 1),
        after_pct=round(100 * row.after, 1),
        passes=len(row.passes),
        weeks=weeks,
    )


def _too_small(span: _Span, found: Found[planning.Small]) -> Figure[SmallRow]:
    say = span.words.say
    return Figure(
        title=say("Bins that are too small"),
        definition=say(
            "Bins that became full {least} times or more in this time, as the rules about full "
            "bins saw it. Early are the times at which their collection had not begun; the hours "
            "full are the median from full until emptied. Such a bin needs to be larger, or to be "
            "emptied more often.",
            least=str(planning.FULL_MIN),
        ),
        rows=[
            SmallRow(
                asset=row.bin,
                times=row.times,
                weeks=row.weeks,
                early=row.early,
                hours_full=_rounded(row.hours_full),
                last_at=shown_time(row.last_ms),
            )
            for row in found.rows[:ROWS_MAX]
        ],
        **span.figure(found),
    )


def _too_often(span: _Span, found: Found[planning.Early]) -> Figure[EarlyRow]:
    say = span.words.say
    return Figure(
        title=say("Bins that are emptied too often"),
        definition=say(
            "Bins that were emptied {least} times or more in this time, and then held {fill} % or "
            "less, in the median. An emptying is a fall of the fill by {drop} points or more, to "
            "at most half, with two reports before it and two after it that agree.",
            least=str(planning.EMPTYINGS_MIN),
            fill=f"{planning.EARLY_PCT:.0f}",
            drop=f"{planning.DROP_PCT:.0f}",
        ),
        rows=[
            EarlyRow(
                asset=row.bin,
                emptyings=row.emptyings,
                median_fill_pct=round(row.median_pct, 1),
                last_at=shown_time(row.last_ms),
            )
            for row in found.rows[:ROWS_MAX]
        ],
        **span.figure(found),
    )


def _forecast(span: _Span, found: Found[planning.Forecast]) -> Figure[ForecastRow]:
    say = span.words.say
    return Figure(
        title=say("Bins that will be full before they are emptied"),
        definition=say(
            "Bins that are not full yet and will be before their next collection, if they go on "
            "filling as in the {hours} hours before their last report, of which {least} reports "
            "are needed. Without a known collection: within {ahead} hours. Full is what is said of "
            "the bin, else {high} %.",
            hours=str(planning.WINDOW_MS // planning.HOUR_MS),
            least=str(planning.READINGS_MIN),
            ahead=str(planning.HORIZON_MS // planning.HOUR_MS),
            high=f"{planning.HIGH_PCT:.0f}",
        ),
        rows=[
            ForecastRow(
                asset=row.bin,
                fill_pct=round(row.fill_pct, 1),
                speed_pct_h=round(row.speed_pct_h, 2),
                full_at=shown_time(row.full_ms),
                pickup_at=None if row.round_ms is None else shown_time(row.round_ms),
                readings=row.readings,
            )
            for row in found.rows[:ROWS_MAX]
        ],
        **span.figure(found, days_min=0.0),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
