"""Books with requests for tests of what residents see: filed, followed, full of what is not theirs.

Every text that is nobody's business holds CANARY: devices, owners, reasons, notes, references.
"""

import asyncio
from dataclasses import dataclass

import httpx

from gateway.books.store import Store
from gateway.cases.incident import Incident, Why
from gateway.cases.incident import State as IncidentState
from gateway.cityhall.delivery import Row, ServiceRequest, State
from gateway.cityhall.following import Followed
from gateway.cityhall.outbox import reference_for
from gateway.cityhall.profile import read_profile
from gateway.clock import ManualClock
from gateway.config import PublicSection
from gateway.effects import Effects, Entry
from gateway.public.server import build
from gateway.public.site import Site

CANARY = "canary7f3"
T0_MS = 1_768_453_200_000  # 2026-01-15T05:00:00Z
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass
class Case:
    """One fault, its request, and what the city made of it."""

    number: str | None
    service: str = "STREETLIGHT_OUT"
    zone: str = "north"
    address: str | None = "1 Lake St"
    lat: float = 41.88071234
    long: float = -87.63012345
    requested_ms: int = T0_MS
    over_ms: int | None = None
    why: str = Why.STOOD
    status: str = "open"
    updated: str = ""
    since_ms: int = T0_MS + HOUR_MS
    state: State = State.FILED
    desk: str = "city"


def closed(number, after_h, *, confirmed=True, **more):
    """Closed by the city so many hours after it was filed."""
    requested_ms = more.get("requested_ms", T0_MS)
    closed_ms = requested_ms + round(after_h * HOUR_MS)
    over = {"over_ms": closed_ms, "why": Why.CLEARED} if confirmed else {}
    return Case(number, status="closed", since_ms=closed_ms, **over, **more)


def write(store, cases, first=1):
    """Into the books, as the gateway writes them."""
    effects, followed = Effects(), []
    for incident_id, case in enumerate(cases, first):
        asset = f"lamp-{CANARY}-{incident_id}"
        effects.incidents[incident_id] = Incident(
            incident_id, f"rule_{CANARY}", asset, 1, IncidentState.QUEUED,
            case.requested_ms - HOUR_MS, case.requested_ms - HOUR_MS // 2, case.requested_ms,
            {f"claim.{CANARY}": True}, None, case.over_ms, case.why, city_id=CANARY,
        )  # fmt: skip
        row = _row(case, incident_id, asset)
        effects.outbox.append(row)
        if case.state is State.FILED:
            told = (row.reference, incident_id, case.number or "", case.status, CANARY)
            followed.append(Followed(*told, case.updated, case.since_ms))
    effects.journal.append(
        Entry(T0_MS, T0_MS, f"dev-{CANARY}", CANARY, None, "ok", "firing", CANARY, None)
    )
    store.commit(effects)
    store.follow_save(followed, [row for row in followed if row.status], [], T0_MS)


def _row(case, incident_id, asset):
    extra = {"zone": case.zone, "owner": f"Jane {CANARY}", "circuit": CANARY, "model": CANARY}
    request = ServiceRequest(
        case.lat, case.long, f"Lamp {asset} is dark {CANARY}", case.requested_ms, f"rule_{CANARY}",
        address=case.address, asset_id=asset, place_id=f"place:{CANARY}", extra=extra,
        media_url=f"https://evidence.example/{CANARY}.png",
    )  # fmt: skip
    return Row(
        reference_for(f"k{incident_id}"), incident_id, case.service, request, case.requested_ms,
        state=case.state, first_sent_ms=case.requested_ms, last_sent_ms=case.requested_ms,
        request_id=case.number, token=CANARY, reason=f"because {CANARY}", desk=case.desk,
    )  # fmt: skip


def site_of(folder, *cases, profile="desk", **section):
    """The page of one installation whose books hold these."""
    store = Store(folder)
    try:
        write(store, cases)
    finally:
        store.close()
    return Site(read_profile(profile), PublicSection(**section), store.path)


class Visitor:
    """Asks the application of a site, as it runs, without a socket."""

    def __init__(self, site, *, now_ms=T0_MS + 10 * DAY_MS, latest=None):
        self.clock = ManualClock(now_ms)
        self.app = build(site, self.clock, latest)

    def get(self, path, method="GET", **headers):
        return asyncio.run(self._ask(method, path, headers))

    async def _ask(self, method, path, headers):
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            return await http.request(method, path, headers=named)
