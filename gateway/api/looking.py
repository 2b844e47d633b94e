"""Routes by which programs look: what the pages show, out of the same views.

Each runs in a thread of its own, since books are read from a disk; none changes anything.
"""

import threading
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from gateway.api import forms
from gateway.api.city import city_routes
from gateway.api.entry import Door
from gateway.api.faults import ErrorCode, Fault, described
from gateway.staff.deed import Deed, may
from gateway.staff.people import Person, Role
from gateway.views import assets, audit, devices, incidents, planning, requests, silences
from gateway.views.books import Books
from gateway.views.city_board import CityBoard
from gateway.views.rule_page import RulePage, rule_page
from gateway.views.workbench import RulesView, rules_of

T = TypeVar("T")
EVIDENCE_AT_ONCE = 2
"""Each reads days of readings."""


class StatusView(BaseModel):
    """What the gateway said last of itself: `state` is green, amber or red, `problem` why; and what
    it counts.
    """

    model_config = ConfigDict(extra="allow")
    state: str
    problem: str


class WhoView(BaseModel):
    """Who the token stands for. `may`: the deeds that the role covers."""

    name: str
    role: Role
    may: list[Deed]


def routes(books: Books, door: Door) -> APIRouter:
    router = APIRouter(responses=described())
    viewers = [Depends(door.looking)]
    board = CityBoard(books)
    router.include_router(city_routes(books, board), dependencies=viewers)
    _general(router, books, door)
    _of_incidents(router, books, viewers)
    _of_devices(router, books, board, viewers)
    _of_rules(router, books, viewers)
    return router


def _general(router: APIRouter, books: Books, door: Door) -> None:
    @router.get("/whoami", tags=["people"])
    def whoami(person: Annotated[Person, Depends(door.looking)]) -> WhoView:
        """Who asks, and what they may do."""
        allowed = [deed for deed in Deed if may(person, deed)]
        return WhoView(name=person.name, role=person.role, may=allowed)

    @router.get("/status", tags=["gateway"], dependencies=[Depends(door.looking)])
    def status() -> StatusView:
        """How the gateway stands."""
        return StatusView(**books.status())

    @router.get(
        "/audit", tags=["people"], dependencies=[Depends(door.overseeing)],
        responses=described(403),
    )  # fmt: skip
    def audit_log(asked: Annotated[forms.AuditAsked, Query()]) -> audit.AuditList:
        """Who did or tried what, the last first. For operators and admins."""
        wanted = asked.model_dump(include={"who", "deed", "subject"})
        return audit.audit_of(books, asked.before, asked.limit, **wanted)


def _of_incidents(router: APIRouter, books: Books, viewers: list[Any]) -> None:
    gate = threading.BoundedSemaphore(EVIDENCE_AT_ONCE)

    @router.get("/incidents", tags=["incidents"], dependencies=viewers)
    def list_incidents(asked: Annotated[forms.IncidentsAsked, Query()]) -> incidents.IncidentList:
        """Fault episodes, the newest first; `next` is the `after` of the next page."""
        wanted = incidents.Wanted(**asked.model_dump(exclude={"after", "limit"}))
        return incidents.incidents_of(books, wanted, asked.after, asked.limit)

    @router.get("/incidents/{number}", tags=["incidents"], dependencies=viewers)
    def show_incident(
        number: forms.NumberInPath, asked: Annotated[forms.IncidentAsked, Query()]
    ) -> incidents.IncidentView:
        """One of them: every step, its request, and what was measured."""
        if asked.evidence:
            with gate:
                found = incidents.incident_view(books, number)
        else:
            found = incidents.incident_view(books, number, evidence=False)
        return _there(found, f"there is no incident {number}")

    @router.get("/requests", tags=["requests"], dependencies=viewers)
    def list_requests(asked: Annotated[forms.RequestsAsked, Query()]) -> requests.RequestList:
        """Requests to the city, the newest first; `next` is the `after` of the next page."""
        wanted = asked.model_dump(include={"state", "service", "desk", "zone"})
        return requests.requests_of(books, asked.after, asked.limit, **wanted)

    @router.get("/requests/{reference}", tags=["requests"], dependencies=viewers)
    def show_request(reference: forms.NameInPath) -> requests.RequestView:
        """One of them: what is asked, and every step of its delivery."""
        return _there(requests.request_view(books, reference), "there is no such request")

    @router.get("/silences", tags=["silences"], dependencies=viewers)
    def list_silences(asked: Annotated[forms.SilencesAsked, Query()]) -> silences.SilenceList:
        """Maintenance windows, the newest first."""
        return silences.silences_of(books, over=asked.over)


def _of_devices(router: APIRouter, books: Books, board: CityBoard, viewers: list[Any]) -> None:
    @router.get("/assets", tags=["city"], dependencies=viewers)
    def list_assets(asked: Annotated[forms.AssetsAsked, Query()]) -> assets.AssetCollection:
        """What stands in the city and how it is, as GeoJSON."""
        box = _box(asked.bbox) if asked.bbox is not None else None
        wanted = assets.Wanted(box, asked.kind, asked.zone, asked.state)
        return assets.assets_of(books, board, wanted, asked.limit)

    @router.get("/devices", tags=["devices"], dependencies=viewers)
    def list_devices(asked: Annotated[forms.DevicesAsked, Query()]) -> devices.DeviceList:
        """Every device that was ever heard of, and how it stands."""
        wanted = devices.Wanted(**asked.model_dump(exclude={"page", "limit"}))
        return devices.devices_of(books, wanted, asked.page, asked.limit)

    @router.get("/devices/{device}", tags=["devices"], dependencies=viewers)
    def show_device(device: forms.NameInPath) -> devices.DeviceView:
        """One of them: its clock, what it said last, what was refused of it and why."""
        return _there(devices.device_view(books, device), "nobody has heard of such a device")

    @router.get("/planning", tags=["planning"], dependencies=viewers)
    def show_planning(asked: Annotated[forms.PlanningAsked, Query()]) -> planning.PlanningView:
        """What recurs, gets worse, or is too small; each figure with its definition."""
        return planning.planning_of(books, asked.days)


def _of_rules(router: APIRouter, books: Books, viewers: list[Any]) -> None:
    @router.get("/rules", tags=["rules"], dependencies=viewers)
    def list_rules() -> RulesView:
        """Every rule and every rule file."""
        return rules_of(books)

    @router.get("/rules/{rule}", tags=["rules"], dependencies=viewers)
    def show_rule(rule: forms.NameInPath) -> RulePage:
        """One of them: what it watches, when it fires, what it files, its tests."""
        return _there(rule_page(books, rule), "there is no such rule")


def _there(found: T | None, text: str) -> T:
    if found is None:
        raise Fault(404, ErrorCode.NOT_FOUND, text)
    return found


def _box(text: str) -> assets.Box:
    box = assets.Box(*map(float, text.split(",")))
    lies_well = -90 <= box.south <= box.north <= 90 and abs(box.west) <= 180 >= abs(box.east)
    if not lies_well:
        text, hint = "a box off the earth, or upside down", "west,south,east,north in degrees"
        raise Fault(422, ErrorCode.INVALID, text, path="query.bbox", hint=hint)
    return box
