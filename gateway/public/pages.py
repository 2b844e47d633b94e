"""The pages for residents: what was found and repaired, what each number means, what is not there.

Made from templates that escape whatever they are given. They work without scripts: the map is an
addition, the table has it all.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gateway.cityhall.requests import rfc3339
from gateway.public.answers import Answer
from gateway.public.asked import Asked, BadQuestionError, Page, midnight_ms, page_of
from gateway.public.georeport import ROOT
from gateway.public.names import kinds, meanings, standings
from gateway.public.open_data import COLUMNS, LIMIT_MAX, TIMES_COLUMNS
from gateway.public.site import Site
from gateway.public.tongue import Tongue, own_names
from gateway.views.public_record import Choice, Record, Standing
from gateway.views.response_times import Times, times_of

ROWS = 50
PAGES_MAX = 1_000_000
MAP_MAX = 5_000
TIMES_MAX = 200
DAYS = (30, 90, 365)
USUAL_DAYS = 90
ALL = "all"
HTML = "text/html; charset=utf-8"

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Filters:
    """As the form of the page has them; what is none of its choices is not chosen."""

    kind: str
    zone: str
    state: str
    days: str

    def choice(self, asked: Asked, time_zone: str) -> Choice:
        since_ms = None
        if self.days != ALL:
            since_ms = midnight_ms(asked.today, time_zone, int(self.days))
        return Choice(self.kind, self.zone, self.state, since_ms)


def front(record: Record, asked: Asked, tongue: Tongue, site: Site) -> Answer:
    """What was found and what became of it."""
    filters = _filters(record, asked)
    choice = filters.choice(asked, site.time_zone)
    page = page_of(choice.of(record), _page_number(asked), ROWS)
    times = times_of(record, replace(choice, standing=""))
    names = kinds(record.services, tongue.words)
    return _page(
        "front.html", asked, tongue, site,
        filters=filters, page=page, names=names, standings=standings(tongue.words),
        meanings=meanings(tongue.words), record=record, days=DAYS,
        rows=list(_rows(page, tongue, names)),
        times=[_told(one, tongue, names) for one in times[:TIMES_MAX]],
        times_left=max(0, len(times) - TIMES_MAX),
        updated_ms=record.updated_ms,
        data=_data_links(choice, asked), map=_map(choice, asked, site),
    )  # fmt: skip


def about(_record: Record, asked: Asked, tongue: Tongue, site: Site) -> Answer:
    """What each column means, and what is left out."""
    return _page(
        "about.html", asked, tongue, site,
        columns=COLUMNS, times_columns=TIMES_COLUMNS, standings=standings(tongue.words),
        meanings=meanings(tongue.words), georeport=ROOT, limit_max=LIMIT_MAX,
    )  # fmt: skip


def problem(status: int, asked: Asked, tongue: Tongue, site: Site) -> Answer:
    """404 and its like: said in the reader's language."""
    answer = _page("problem.html", asked, tongue, site, status=status)
    return Answer(answer.body, HTML, status, answer.headers, max_age_s=0)


def _page(template: str, asked: Asked, tongue: Tongue, site: Site, **more: Any) -> Answer:
    def link(path: str, **changes: Any) -> str:
        """With the language that was chosen, and what else was."""
        chosen = {"lang": asked.language} if asked.chosen else {}
        query = urlencode({k: v for k, v in (chosen | changes).items() if v not in ("", None)})
        return f"{path}?{query}" if query else path

    text = _templates.get_template(template).render(
        say=tongue.words.say, tongue=tongue, site=site, asked=asked, link=link, rfc3339=rfc3339,
        languages=own_names(), kept=_kept(asked), **more,
    )  # fmt: skip
    return Answer(text.encode(), HTML, headers={"Vary": "Accept-Language"})


def _kept(asked: Asked) -> dict[str, str]:
    """What a change of language or page leaves as it is."""
    return {name: asked.text(name) for name in ("kind", "zone", "state", "days")}


def _filters(record: Record, asked: Asked) -> Filters:
    def one_of(name: str, known: tuple[str, ...], otherwise: str = "") -> str:
        text = asked.text(name)
        return text if text in known else otherwise

    return Filters(
        one_of("kind", record.services),
        one_of("zone", record.zones),
        one_of("state", tuple(Standing)),
        one_of("days", (*map(str, DAYS), ALL), str(USUAL_DAYS)),
    )


def _page_number(asked: Asked) -> int:
    try:
        return asked.number("page", 1, PAGES_MAX)
    except BadQuestionError:
        return 1


def _rows(page: Page, tongue: Tongue, names: dict[str, str]) -> Iterator[dict[str, Any]]:
    words = standings(tongue.words)
    for entry in page.entries:
        yield {
            "entry": entry,
            "kind": names[entry.service],
            "standing": words[entry.standing],
            "found": _time(entry.found_ms, tongue),
            "requested": _time(entry.requested_ms, tongue),
            "closed": None if entry.closed_ms is None else _time(entry.closed_ms, tongue),
        }


def _time(at_ms: int, tongue: Tongue) -> tuple[str, str]:
    return rfc3339(at_ms), tongue.time(at_ms)


def _told(times: Times, tongue: Tongue, names: dict[str, str]) -> dict[str, Any]:
    half_ms, nine_ms, confirmed = times.half_ms, times.nine_in_ten_ms, times.confirmed
    return {
        "kind": names[times.service],
        "zone": times.zone,
        "filed": tongue.number(times.filed),
        "open": tongue.number(times.open),
        "closed": tongue.number(times.closed),
        "half": "" if half_ms is None else tongue.took(half_ms),
        "nine": "" if nine_ms is None else tongue.took(nine_ms),
        "confirmed": "" if confirmed is None else tongue.share(confirmed),
    }


def _query(choice: Choice, asked: Asked, **more: Any) -> str:
    told = {
        "kind": choice.service, "zone": choice.zone, "state": choice.standing,
        "since": "" if choice.since_ms is None else rfc3339(choice.since_ms),
        "lang": asked.language, **more,
    }  # fmt: skip
    return urlencode({name: value for name, value in told.items() if value})


def _data_links(choice: Choice, asked: Asked) -> dict[str, str]:
    query = _query(choice, asked, limit=LIMIT_MAX)
    times = _query(replace(choice, standing=""), asked)
    return {
        "geojson": f"/data.geojson?{query}",
        "csv": f"/data.csv?{query}",
        "times": f"/response-times.csv?{times}",
    }


def _map(choice: Choice, asked: Asked, site: Site) -> dict[str, str]:
    """What the script is told, as attributes."""
    return {
        "source": f"/data.geojson?{_query(choice, asked, limit=MAP_MAX)}",
        "tiles": site.section.tiles or "",
        "credit": site.section.tiles_credit or "",
        "zone": site.time_zone,
        "most": str(MAP_MAX),
    }
