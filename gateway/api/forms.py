"""What may be asked and sent: each parameter and each body, with its bounds.

Strict: what is not known is refused, so that a misspelt filter never means "all". Texts are on one
line and hold no control characters.
"""

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from gateway.books.case_book import PAGE_ROWS_MAX
from gateway.cases import incident
from gateway.cases.silences import FOR_MS_MAX, POINTS_MAX
from gateway.cityhall import delivery
from gateway.field.device_status import DeviceState
from gateway.staff.deed import (
    LISTED_MAX,
    NAME_CHARS_MAX,
    NUMBER_MAX,
    REPEAT_CHARS_MAX,
    WHY_CHARS_MAX,
    Deed,
)
from gateway.views import assets, devices, planning
from gateway.views.city import AssetState

_PLAIN = r"^[^\x00-\x1f\x7f-\x9f]*$"

Name = Annotated[str, Field(max_length=NAME_CHARS_MAX, pattern=_PLAIN)]
Given = Annotated[str, Field(min_length=1, max_length=NAME_CHARS_MAX, pattern=_PLAIN)]
Number = Annotated[int, Field(ge=1, le=NUMBER_MAX)]
Kind = Literal["", "streetlight", "cabinet", "bin", "road"]
Limit = Annotated[int, Field(ge=1, le=PAGE_ROWS_MAX)]
NumberInPath = Annotated[int, Path(ge=1, le=NUMBER_MAX)]
NameInPath = Annotated[str, Path(min_length=1, max_length=NAME_CHARS_MAX, pattern=_PLAIN)]
_TIME = (
    r"^[12][0-9]{3}-(0[1-9]|1[0-2])-([0-2][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
_DEGREES = r"-?[0-9]{1,3}(\.[0-9]{1,12})?"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# -- what may be asked -----------------------------------------------------------------------------


class AssetsAsked(_Strict):
    """`bbox`: west,south,east,north in degrees."""

    bbox: Annotated[str, Field(pattern=f"^{_DEGREES}(,{_DEGREES}){{3}}$")] | None = None
    kind: Kind = ""
    zone: Name = ""
    state: AssetState | Literal[""] = ""
    limit: Annotated[int, Field(ge=1, le=assets.LIMIT_MAX)] = 1_000


class IncidentsAsked(_Strict):
    state: incident.State | Literal[""] = ""
    open: bool | None = None
    kind: Kind = ""
    zone: Name = ""
    rule: Name = ""
    asset: Name = ""
    waiting: bool = False
    hours: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    search: Name = ""
    after: Number | None = None
    limit: Limit = 100


class IncidentAsked(_Strict):
    """`evidence`: the readings around it and the limits they are held against; takes a while."""

    evidence: bool = True


class RequestsAsked(_Strict):
    state: delivery.State | Literal[""] = ""
    service: Name = ""
    desk: Literal["", "city", "emergency"] = ""
    zone: Name = ""
    after: Number | None = None
    limit: Limit = 100


class SilencesAsked(_Strict):
    """`over`: those too that never come again."""

    over: bool = False


class DevicesAsked(_Strict):
    state: DeviceState | Literal[""] = ""
    kind: Kind = ""
    zone: Name = ""
    search: Name = ""
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Field(ge=1, le=devices.PAGE_ROWS_MAX)] = 100


class PlanningAsked(_Strict):
    days: Annotated[int, Field(ge=1, le=planning.DAYS_MAX)] = planning.DAYS


class AuditAsked(_Strict):
    who: Name = ""
    deed: Deed | Literal[""] = ""
    subject: Name = ""
    before: Number | None = None
    limit: Limit = 100


# -- what may be sent ------------------------------------------------------------------------------


class Reason(_Strict):
    """For the audit log, and for whoever asks later."""

    why: Annotated[str, Field(min_length=1, max_length=WHY_CHARS_MAX, pattern=_PLAIN)]


class MaybeReason(_Strict):
    why: Annotated[str, Field(max_length=WHY_CHARS_MAX, pattern=_PLAIN)] = ""


class Linked(Reason):
    """`request_id`: the city's number."""

    request_id: Given


class MergedInto(Reason):
    into: Number


class Adopted(MaybeReason):
    asset_id: Given


_List = Annotated[list[Given], Field(max_length=LISTED_MAX)]


class Window(Reason):
    """A maintenance window: from `since` (RFC 3339) for `lasts_s`, and again by `repeat` (RFC 5545)
    on the clocks of `time_zone` (the city's, where it is empty). At least one list says what it is
    about; all that are given must agree. `within`: a ring of points, latitude and longitude.
    """

    since: Annotated[str, Field(max_length=40, pattern=_TIME)]
    lasts_s: Annotated[int, Field(ge=1, le=FOR_MS_MAX // 1000)]
    repeat: Annotated[str, Field(max_length=REPEAT_CHARS_MAX, pattern=_PLAIN)] = ""
    time_zone: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_+/-]*$")] = ""
    assets: _List = []
    circuits: _List = []
    zones: _List = []
    rules: _List = []
    services: _List = []
    within: Annotated[
        list[
            tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-180, le=180)]]
        ],
        Field(max_length=POINTS_MAX),
    ] = []
