"""How filing stands: the outbox by state, the city's servers, budgets and what is used of them.

Says what the running gateway said last and what the books hold; what budgets have used is counted
as the gateway counts it. What a maintenance window would do is tried on the past. Changes nothing.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit

from gateway.books.by_hand import stopped
from gateway.books.hall_book import Heap, heaps_of, sent_after, trouble_of
from gateway.books.ledger import fired_between
from gateway.cases.preview import preview
from gateway.cases.silences import Silence
from gateway.cityhall.clearance import DAY_MS, HOUR_MS
from gateway.cityhall.delivery import CITY, EMERGENCY, State
from gateway.config import FilingSection
from gateway.field.device_status import shown_time
from gateway.staff.reload_by_hand import is_running
from gateway.views.books import Books
from gateway.views.requests import Record

FOR_A_PERSON = (State.REVIEW, State.REFUSED, State.HELD)
PREVIEW_DAYS = 30
SHOWN_MAX = 20


class StateCount(Record):
    """How many requests stand so, and when the oldest of them was made."""

    state: State
    count: int
    oldest_at: str | None
    oldest_ms: int


class DeskView(Record):
    """A desk of the city. `up` None: not known, since the gateway does not run; `host`: where it
    is; `paused_until`: it is left alone until then, for `pause_reason`; `per_minute`: the calls it
    allows; `next_at`: when the next request to it is tried; `trouble`: what went wrong last with
    one that is still on its way.
    """

    name: str
    title: str
    host: str
    up: bool | None
    told: str
    paused_until: str | None
    pause_reason: str
    per_minute: int | None
    unsent: int
    next_at: str | None
    trouble: str


class BudgetUse(Record):
    """`of`: everything together; one service in one district; each of the others."""

    of: Literal["everything", "one", "each"]
    per: Literal["hour", "day"]
    service: str
    district: str
    used: int
    allowed: int


class CityHall(Record):
    """`mode`: live, approve or dry-run; `stopped`: who stopped all filing and why, or empty;
    `running`: whether the gateway is.
    """

    running: bool
    mode: str
    stopped: str
    states: list[StateCount]
    desks: list[DeskView]
    budgets: list[BudgetUse]
    waiting: int


class Choices(Record):
    """What a maintenance window can be about, by name."""

    zones: list[str]
    circuits: list[str]
    rules: list[str]
    services: list[str]
    time_zone: str


class PastIncident(Record):
    rule: str
    subject: str
    fired_at: str
    state: str
    within: bool


class WindowPreview(Record):
    """What a window would do. `things`: how many things it is about; `of_its_kind`: incidents of
    the last days that it is about; `would_have_waited`: those that fell into such a window.
    """

    windows: list[str]
    things: int
    of_its_kind: int
    would_have_waited: int
    incidents: list[PastIncident]


def cityhall_of(books: Books) -> CityHall:
    """StoreBroken: there are no books yet."""
    now_ms, filing = books.now_ms(), books.config.filing
    heaps = heaps_of(books.database)
    states = list(_states(heaps))
    waits = sum(one.count for one in states if one.state in FOR_A_PERSON)
    sent = sent_after(books.database, now_ms - DAY_MS)
    return CityHall(
        running=is_running(books.folder, now_ms),
        mode=filing.mode,
        stopped=stopped(books.database),
        states=states,
        desks=list(_desks(books, heaps, now_ms)),
        budgets=list(budgets_of(filing, sent, now_ms)),
        waiting=waits,
    )


def waiting_of(books: Books) -> int:
    """How many requests wait for a person. StoreBroken."""
    heaps = heaps_of(books.database)
    return sum(heap.rows for heap in heaps if heap.state in FOR_A_PERSON)


def budgets_of(
    filing: FilingSection, sent: list[tuple[int, str, str]], now_ms: int
) -> Iterator[BudgetUse]:
    """Each budget that is set, and what is used of it now, the fullest first."""
    day = Counter((service, district) for at_ms, service, district in sent
                  if at_ms > now_ms - DAY_MS)  # fmt: skip
    hour = Counter((service, district) for at_ms, service, district in sent
                   if at_ms > now_ms - HOUR_MS)  # fmt: skip
    if filing.all_per_hour is not None:
        yield BudgetUse(
            of="everything", per="hour", service="", district="", used=hour.total(),
            allowed=filing.all_per_hour,
        )  # fmt: skip
    limits: tuple[tuple[Literal["hour", "day"], int | None, Counter[tuple[str, str]]], ...] = (
        ("hour", filing.per_hour, hour),
        ("day", filing.per_day, day),
    )
    for per, allowed, used in limits:
        if allowed is None:
            continue
        yield BudgetUse(of="each", per=per, service="", district="", used=0, allowed=allowed)
        for (service, district), count in used.most_common():
            yield BudgetUse(
                of="one", per=per, service=service, district=district, used=count, allowed=allowed
            )


def choices_of(books: Books) -> Choices:
    plans = books.plans()
    assets, rules = plans.city.assets.values(), plans.bundle.rules.values()
    circuits = {str(one.attributes["circuit"]) for one in assets if one.attributes.get("circuit")}
    return Choices(
        zones=sorted({one.zone for one in assets if one.zone}),
        circuits=sorted(circuits),
        rules=sorted(rule.id for rule in rules),
        services=sorted({rule.file.service for rule in rules if rule.file is not None}),
        time_zone=plans.profile.timezone,
    )


def window_preview(books: Books, silence: Silence) -> WindowPreview:
    """The window is sound. May take a second in a large city."""
    now_ms, plans = books.now_ms(), books.plans()
    past = fired_between(books.database, now_ms - PREVIEW_DAYS * DAY_MS, now_ms)
    told = preview(silence, plans.city, plans.bundle, past, now_ms)
    return WindowPreview(
        windows=told["windows"],
        things=told["assets"],
        of_its_kind=told["of_its_kind"],
        would_have_waited=told["would_have_waited"],
        incidents=[PastIncident(**one) for one in told["incidents"][-SHOWN_MAX:]],
    )


def _states(heaps: list[Heap]) -> Iterator[StateCount]:
    for state in State:
        of_it = [heap for heap in heaps if heap.state == state]
        if of_it:
            oldest_ms = min(heap.oldest_ms for heap in of_it)
            yield StateCount(
                state=state, count=sum(heap.rows for heap in of_it), oldest_ms=oldest_ms,
                oldest_at=shown_time(oldest_ms),
            )  # fmt: skip


def _desks(books: Books, heaps: list[Heap], now_ms: int) -> Iterator[DeskView]:
    status, running = books.status(), is_running(books.folder, now_ms)
    told = {CITY: status.get("desk", ""), EMERGENCY: status.get("emergency_desk", "")}
    figures = status.get("figures", {})
    up, pauses = figures.get("desks", {}), figures.get("pauses", {}) if running else {}
    for name, section, _, profile in books.plans().desks():
        unsent = [one for one in heaps if one.desk == name and one.state == State.READY]
        next_ms = min((one.next_ms for one in unsent), default=0)
        pause = pauses.get(name, {})
        until_ms = int(pause.get("paused_until_ms", 0))
        yield DeskView(
            name=name,
            title=profile.title,
            host=urlsplit(section.endpoint).netloc,
            up=bool(up.get(name)) if running and name in up else None,
            told=str(told.get(name, "")),
            paused_until=shown_time(until_ms) if until_ms > now_ms else None,
            pause_reason=str(pause.get("reason", "")) if until_ms > now_ms else "",
            per_minute=profile.per_minute,
            unsent=sum(one.rows for one in unsent),
            next_at=shown_time(next_ms) if next_ms > now_ms else None,
            trouble=trouble_of(books.database, name),
        )
