"""What leaves the simulated desk: GeoReport v2 records as JSON or XML, refusals, dates.

One plain record (dicts and lists of scalars) is written in either format, so the two never tell
different stories. JSON collections are bare arrays; in XML the element of a list is named by its
root. Never reads requests.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from xml.etree import ElementTree as ET

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Narrower than datetime.fromisoformat, which also reads weeks, bare dates and times without zone.
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)

# The element of each list, by the name of the list.
_ITEM = {
    "services": "service",
    "attributes": "attribute",
    "values": "value",
    "service_requests": "request",
    "service_request_updates": "request_update",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
}


class Format(StrEnum):
    JSON = "json"
    XML = "xml"

    @property
    def content_type(self) -> str:
        kind = "application/json" if self is Format.JSON else "text/xml"
        return f"{kind}; charset=utf-8"


class Reason(StrEnum):
    """Why a call was refused; `status` is the HTTP status that says so."""

    MISSING = "missing"
    INVALID = "invalid"
    WRONG_KEY = "wrong_key"
    NOT_FOUND = "not_found"
    TOO_LARGE = "too_large"
    KEY_REUSED = "key_reused"

    @property
    def status(self) -> int:
        return _STATUS.get(self, 400)


_STATUS = {
    Reason.WRONG_KEY: 403,
    Reason.NOT_FOUND: 404,
    Reason.TOO_LARGE: 413,
    Reason.KEY_REUSED: 422,
}


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: Reason
    description: str


def refusal_record(refusals: list[Refusal]) -> list[dict[str, Any]]:
    """The error body of the standard: several may be told at once."""
    return [{"code": each.reason.status, "description": each.description} for each in refusals]


def written(
    root: str, record: Any, fmt: Format, name: str | None = None, **attributes: str
) -> bytes:
    """`record` in the format; `root` says which one it is, and with `name` and `attributes` what
    the outermost XML element looks like. JSON has none.
    """
    if fmt is Format.JSON:
        return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
    element = _element(root, record)
    element.tag = name or root
    element.attrib.update(attributes)
    document: bytes = ET.tostring(element, encoding="utf-8", xml_declaration=True)
    return document


def _element(name: str, value: Any) -> ET.Element:
    element = ET.Element(name)
    if isinstance(value, dict):
        element.extend(_element(key, inner) for key, inner in value.items())
    elif isinstance(value, list):
        element.extend(_element(_ITEM.get(name, name), inner) for inner in value)
    elif value is not None:
        element.text = _text(value)
    return element


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def date_text(ts_ms: int) -> str:
    """Whole seconds in UTC, the form every GeoReport client reads."""
    return (EPOCH + timedelta(milliseconds=ts_ms)).strftime("%Y-%m-%dT%H:%M:%SZ")


def date_ms(text: str) -> int | None:
    """Milliseconds since the epoch, or None for what is no RFC 3339 time with a zone."""
    if _RFC_3339.fullmatch(text) is None:
        return None
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (parsed - EPOCH) // timedelta(milliseconds=1)
