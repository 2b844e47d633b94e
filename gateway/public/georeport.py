"""GeoReport v2, the half that reads: services, requests and discovery, as JSON and as XML.

What other programs of a city already know how to ask. Nothing can be filed here. Errors are as the
standard has them, a list of code and description, and never quote what was sent. XML is made by a
library from texts that hold nothing unprintable.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

import msgspec

from gateway.cityhall.requests import rfc3339
from gateway.public.answers import Answer
from gateway.public.asked import (
    DAY_MS,
    Asked,
    BadQuestionError,
    midnight_ms,
    page_of,
)
from gateway.public.names import kinds, meanings, standings
from gateway.public.tongue import Tongue
from gateway.views.public_record import Entry, Record

ROOT = "/open311/v2"
SPAN_DAYS_MAX = 90
SIZE_MAX = 1_000
PAGES_MAX = 1_000_000
IDS_MAX = 500
CHANGED = "2026-11-28T00:00:00Z"
"""When what stands in discovery changed last."""
SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
_STATUSES = ("open", "closed")
Fields = dict[str, Any]


class Form(StrEnum):
    JSON = "json"
    XML = "xml"


class NotThereError(Exception):
    """404, in the standard's words."""


def answered(form: Form, make: Callable[[], Answer]) -> Answer:
    """What was asked for, or the error as the standard has it."""
    try:
        return make()
    except BadQuestionError as error:
        return fault(form, 400, str(error))
    except NotThereError as error:
        return fault(form, 404, str(error))


def fault(form: Form, status: int, description: str) -> Answer:
    errors = [{"code": status, "description": description}]
    return _answer(form, errors, ("errors", "error"), status)


def services(record: Record, _asked: Asked, tongue: Tongue, form: Form) -> Answer:
    """What the city may be asked for, and what it was."""
    names = kinds(record.services, tongue.words)
    rows = [
        {
            "service_code": service,
            "service_name": names[service],
            "description": names[service],
            "metadata": False,
            "type": "realtime",
            "keywords": "",
            "group": "",
        }
        for service in record.services
    ]
    return _answer(form, rows, ("services", "service"))


def definition(_record: Record, _asked: Asked, _tongue: Tongue, _: Form) -> Answer:
    raise NotThereError("no service here has a definition: nothing can be filed")


def requests(record: Record, asked: Asked, tongue: Tongue, form: Form) -> Answer:
    """By number, or by kind, status and time; newest first."""
    size = asked.number("page_size", SIZE_MAX, SIZE_MAX)
    page = page_of(_chosen(record, asked), asked.number("page", 1, PAGES_MAX), size)
    told = _teller(record, tongue)
    answer = _answer(form, [told(e) for e in page.entries], ("service_requests", "request"))
    return replace(answer, headers=page.header(asked))


def request(record: Record, asked: Asked, tongue: Tongue, form: Form) -> Answer:
    """One, still as a list."""
    entry = record.by_number.get(asked.request_id)
    if entry is None:
        raise NotThereError("service_request_id not found")
    return _answer(form, [_teller(record, tongue)(entry)], ("service_requests", "request"))


def discovery(_record: Record, asked: Asked, tongue: Tongue, form: Form) -> Answer:
    """Where it is, and that no key is needed."""
    endpoint: Fields = {
        "specification": SPECIFICATION,
        "url": f"{asked.root}{ROOT}",
        "changeset": CHANGED,
        "type": "production",
        "formats": ["application/json", "text/xml"],
    }
    told: Fields = {
        "changeset": CHANGED,
        "contact": tongue.words.say("This interface can be read only."),
        "key_service": tongue.words.say("No key is needed."),
        "endpoints": [endpoint],
    }
    if form is Form.JSON:
        return Answer(msgspec.json.encode(told), "application/json; charset=utf-8")
    root = Element("discovery")
    for name in ("changeset", "contact", "key_service"):
        SubElement(root, name).text = told[name]
    inside = SubElement(SubElement(root, "endpoints"), "endpoint")
    for name, value in endpoint.items():
        if name == "formats":
            formats = SubElement(inside, name)
            for one in value:
                SubElement(formats, "format").text = one
        else:
            SubElement(inside, name).text = value
    return _xml(root, 200)


def _chosen(record: Record, asked: Asked) -> Sequence[Entry]:
    numbers = asked.several("service_request_id")
    if len(numbers) > IDS_MAX:
        raise BadQuestionError(f"service_request_id: at most {IDS_MAX} at once")
    if numbers:
        found = (record.by_number.get(number) for number in dict.fromkeys(numbers))
        return [entry for entry in found if entry is not None]
    codes = frozenset(asked.several("service_code"))
    if codes - set(record.services):
        raise NotThereError("service_code not found")
    statuses = frozenset(asked.several("status")) or frozenset(_STATUSES)
    if statuses - set(_STATUSES):
        raise BadQuestionError("status is open, closed or both with a comma")
    since_ms, until_ms = _span(asked)
    return [
        entry
        for entry in record.between(since_ms, until_ms)
        if (not codes or entry.service in codes) and _status(entry) in statuses
    ]


def _span(asked: Asked) -> tuple[int, int | None]:
    """From when, and before when they were requested. Without dates: in the last 90 days."""
    since_ms, until_ms = asked.time_ms("start_date"), asked.time_ms("end_date")
    widest_ms = SPAN_DAYS_MAX * DAY_MS
    if since_ms is None and until_ms is None:
        return midnight_ms(asked.today, "UTC", SPAN_DAYS_MAX), None
    if since_ms is None or until_ms is None:
        start_ms = since_ms if since_ms is not None else (until_ms or 0) - widest_ms
        return start_ms, start_ms + widest_ms + 1
    if until_ms < since_ms:
        raise BadQuestionError("end_date is before start_date")
    if until_ms - since_ms > widest_ms:
        raise BadQuestionError(f"start_date to end_date is at most {SPAN_DAYS_MAX} days")
    return since_ms, until_ms + 1


def _status(entry: Entry) -> str:
    return "open" if entry.closed_ms is None else "closed"


def _teller(record: Record, tongue: Tongue) -> Callable[[Entry], Fields]:
    """An entry as a service request; what is not shown to everybody has no field."""
    names, states = kinds(record.services, tongue.words), standings(tongue.words)
    means = meanings(tongue.words)

    def told(entry: Entry) -> Fields:
        fields = {
            "service_request_id": entry.number,
            "status": _status(entry),
            "service_name": names[entry.service],
            "service_code": entry.service,
            "description": f"{names[entry.service]}: {states[entry.standing]}",
            "service_notice": means[entry.standing],
            "requested_datetime": rfc3339(entry.requested_ms),
            "updated_datetime": rfc3339(entry.closed_ms or entry.updated_ms),
            "address": entry.address,
            "lat": entry.lat,
            "long": entry.long,
        }
        return fields if entry.address else {k: v for k, v in fields.items() if k != "address"}

    return told


def _answer(
    form: Form, rows: Sequence[Fields], names: tuple[str, str], status: int = 200
) -> Answer:
    """The standard's JSON is the rows alone; its XML names the list and each of them."""
    if form is Form.JSON:
        return Answer(msgspec.json.encode(rows), "application/json; charset=utf-8", status)
    root = Element(names[0])
    for row in rows:
        element = SubElement(root, names[1])
        for name, value in row.items():
            SubElement(element, name).text = _text(value)
    return _xml(root, status)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _xml(root: Element, status: int) -> Answer:
    body: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return Answer(body, "text/xml; charset=utf-8", status)
