"""How a desk speaks GeoReport v2: the ways in which real cities differ from the standard.

Each is a table of settings under the name of its city or software; the desk asks it wherever they
differ, and knows no city by name. Facts about cities come from their published documentation and
recorded answers; a dialect stands in for all that is known of them, not for the city itself.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from simulators.desk.wire import EPOCH, date_ms, date_text

_PAGE_SIZE_MAX = 1000  # GeoReport v2: the first 1,000


class Receipt(StrEnum):
    """What a POST is answered with: id or token, both, or the whole request."""

    STANDARD = "standard"
    BOTH = "both"
    WHOLE = "whole"


class Extended(StrEnum):
    """How a listing shows the attributes of a request: not at all, as a record, as a list."""

    NONE = "none"
    RECORD = "record"
    LIST = "list"


class Dialect(BaseModel):
    """The defaults are the standard."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    wants: tuple[str, ...] = ()
    """Fields of a POST that must not be missing, whatever else says where it is."""
    zone: str | None = None
    """Times are local there, and written without it."""
    page: str = "page"
    page_size: str = "page_size"
    page_size_usual: int = _PAGE_SIZE_MAX
    page_size_max: int = _PAGE_SIZE_MAX
    pages: bool = True
    """False: every page is the first one."""
    any_status: bool = False
    """The filter by status is ignored."""
    per_minute: int | None = None
    key_places: tuple[str, ...] = ("form", "query", "bearer")
    key_on_reads: bool = False
    token: bool = False
    shows_unfinished: bool = False
    """What has no id so far is listed without one."""
    receipt: Receipt = Receipt.STANDARD
    extended: Extended = Extended.NONE
    wrapped: bool = False
    """JSON lists stand in a record, under their XML name."""
    roots: dict[str, str] = Field(default_factory=dict)
    """XML root of the standard -> the one that is written."""
    root_attributes: dict[str, str] = Field(default_factory=dict)
    html_errors: bool = False

    def date_ms(self, text: str) -> int | None:
        """Of a parameter; None for what the desk does not read."""
        if self.zone is None:
            return date_ms(text)
        try:
            local = datetime.fromisoformat(text)
        except ValueError:
            return None
        if local.tzinfo is not None or "T" not in text:
            return None
        return (local.replace(tzinfo=ZoneInfo(self.zone)) - EPOCH) // timedelta(milliseconds=1)

    def date_text(self, ts_ms: int) -> str:
        if self.zone is None:
            return date_text(ts_ms)
        at = datetime.fromtimestamp(ts_ms // 1000, UTC).astimezone(ZoneInfo(self.zone))
        return at.replace(tzinfo=None).isoformat()

    def shown(self, record: dict[str, Any], attributes: dict[str, str | list[str]]) -> Any:
        """A request as this desk lists it."""
        if self.extended is Extended.NONE or not attributes:
            return record
        if self.extended is Extended.RECORD:
            return record | {"attributes": attributes}
        rows = [{"code": code, "value": value} for code, value in attributes.items()]
        return record | {"attributes": rows}


STANDARD = Dialect()
DIALECTS = MappingProxyType(
    {
        "generic": STANDARD,
        "chicago": Dialect(
            wants=("lat", "long", "address_string"),
            zone="America/Chicago",
            page_size_usual=50,
            page_size_max=500,
            token=True,
            shows_unfinished=True,
            extended=Extended.RECORD,
        ),
        "san-francisco": Dialect(
            per_minute=10, page_size_usual=50, page_size_max=500, extended=Extended.LIST
        ),
        "boston": Dialect(per_minute=10, page_size_usual=50, receipt=Receipt.BOTH),
        "toronto": Dialect(wants=("lat", "long", "address_string"), wrapped=True),
        "bloomington": Dialect(any_status=True, receipt=Receipt.WHOLE, key_places=("form",)),
        "fixmystreet": Dialect(wrapped=True, pages=False, html_errors=True),
        "seeclickfix": Dialect(page_size="per_page", page_size_usual=20, page_size_max=100),
        "mark-a-spot": Dialect(
            page_size_usual=50, page_size_max=100, root_attributes={"is_array": "true"}
        ),
        "citysdk-helsinki": Dialect(
            page_size="per_page",
            page_size_usual=50,
            extended=Extended.RECORD,
            roots={"service_requests": "service-requests", "service_definition":
                   "service-definition"},
            root_attributes={"type": "array"},
        ),
    }
)  # fmt: skip
