"""What a GeoReport v2 desk answers, read tolerantly: bytes in, plain records out.

Takes the shapes that real desks send (bare or wrapped lists, one record for a list of one, ids as
numbers) and gives records of strings; says `Unreadable` for everything else, so that an answer that
was not understood is never taken for an empty one. XML is read without entities or DOCTYPE. Never
follows an address found in an answer.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from gateway.cityhall.delivery import CannotTell, Cause, Found, Sighting, Tokened
from gateway.cityhall.outbox import REFERENCE_PREFIX
from gateway.cityhall.profile import Wire

ID_CHARS_MAX = 256
"""Real ids have up to 40 characters; a longer one is some other text."""
DEPTH_MAX = 32
"""Real answers nest five deep."""
NAMED_MAX = 3
"""Ids of one refusal that are looked up."""
ERROR_CHARS_MAX = 200
"""Of the city's own words, for a person to read."""
MARKS = frozenset({"service_request_id", "token", "service_code"})
"""A record of a listing has at least one of these, or it is something else."""
LISTS = ("requests", "service_requests", "services", "request", "service_request", "service")
"""Names under which desks wrap a list that the standard leaves bare, or give its only record."""

_ROOTS = frozenset({"services", "service_requests", "service-requests", "requests"})
_THERE = re.compile(
    r"already (?:exists?|been (?:reported|submitted)|open|reported|logged|in)\b|\bduplicate",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"(?:id|number|no\.?|request|report|event|case|reference|of)\b\W{0,8}"
    r"([a-z]{0,8}[-_]?\d[\w-]{0,63})",
    re.IGNORECASE,
)
_REFERENCE = re.compile(rf"{REFERENCE_PREFIX}[0-9A-F]{{32}}")

Record = Mapping[str, Any]
"""One record: field -> text, list or record. Numbers have become text."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Not an answer of the standard; `reason` says why, without quoting it."""

    reason: str


def read_records(body: bytes, wire: Wire) -> list[Record] | Unreadable:
    """The records of a list answer, in order. An error body is Unreadable here."""
    tree = _read(body, wire)
    if isinstance(tree, Unreadable):
        return tree
    if errors_of(body, wire):
        return Unreadable("the answer is an error")
    items = _unwrapped(tree)
    if items is None or not all(isinstance(item, dict) and item for item in items):
        return Unreadable("the answer is not a list of records")
    return items


def read_listing(body: bytes, wire: Wire) -> list[Record] | Unreadable:
    """The records of `GET /requests`: only what is surely a list of requests, even if empty."""
    records = read_records(body, wire)
    if isinstance(records, Unreadable) or all(MARKS & set(record) for record in records):
        return records
    return Unreadable("the answer lists something else than requests")


def read_record(body: bytes, wire: Wire) -> Record | Unreadable:
    """The one record of an answer such as a definition or a token."""
    tree = _read(body, wire)
    if isinstance(tree, list) and len(tree) == 1:
        tree = tree[0]
    if isinstance(tree, dict) and tree:
        return tree
    return tree if isinstance(tree, Unreadable) else Unreadable("the answer is not one record")


def errors_of(body: bytes, wire: Wire) -> str:
    """The words of a GeoReport error body, several joined; empty where it is none."""
    tree = _read(body, wire)
    if isinstance(tree, dict):
        tree = tree.get("errors", tree.get("error", tree))
    if isinstance(tree, dict):
        tree = tree.get("error", tree)
    entries = tree if isinstance(tree, list) else [tree]
    words = [
        " ".join(f"{_scalar(entry, 'code')} {_scalar(entry, 'description')}".split())
        for entry in entries
        if isinstance(entry, dict) and "code" in entry and _scalar(entry, "description")
    ]
    text = "; ".join(words) if len(words) == len(entries) else ""
    return "".join(char if char.isprintable() else " " for char in text)[:ERROR_CHARS_MAX]


def named_by_refusal(words: str) -> list[str] | None:
    """The ids that a city names where it says that it has the request already; None where it does
    not say so. FixMyStreet's and WDM's servers do.
    """
    if not _THERE.search(words):
        return None
    return list(dict.fromkeys(_NAMED.findall(words)))[:NAMED_MAX]


def id_of(record: Record) -> str | None:
    """The request's id; "0" is one."""
    return _identifier(record, "service_request_id")


def token_of(record: Record) -> str | None:
    return _identifier(record, "token")


def references_in(record: Record) -> set[str]:
    """Those of ours, or of another gateway, wherever a desk may have put them; as they are made."""
    text = "\n".join(texts_of(record)).upper()
    return {
        REFERENCE_PREFIX + mention.removeprefix(REFERENCE_PREFIX).lower()
        for mention in _REFERENCE.findall(text)
    }


def sightings(records: Sequence[Record], references: Sequence[str]) -> dict[str, Sighting]:
    """Which references the records show, wherever in the record a desk may have put them."""
    wanted = {reference.upper(): reference for reference in references}
    seen: dict[str, Sighting] = {}
    for record in records:
        text = "\n".join(texts_of(record)).upper()
        for mention in wanted.keys() & set(_REFERENCE.findall(text)):
            if not isinstance(seen.get(wanted[mention]), Found):
                seen[wanted[mention]] = _sighting(record)
    return seen


def _sighting(record: Record) -> Sighting:
    if (request_id := id_of(record)) is not None:
        return Found(request_id)
    if (token := token_of(record)) is not None:
        return Tokened(token)
    return CannotTell(Cause.NO_ID, "the city lists the request, but without an id so far")


def _identifier(record: Record, name: str) -> str | None:
    text = _scalar(record, name)
    return text if 0 < len(text) <= ID_CHARS_MAX and text.isprintable() else None


def _scalar(record: Record, name: str) -> str:
    value = record.get(name)
    return value.strip() if isinstance(value, str) else ""


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a record, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)


def _unwrapped(tree: Any) -> list[Any] | None:
    """The list in `tree`: bare, under a known name, or the one record that stands for it."""
    if isinstance(tree, list):
        return tree
    if not isinstance(tree, dict):
        return None
    if id_of(tree) or token_of(tree):
        return [tree]
    for name in LISTS:
        if name in tree:
            inner = tree[name]
            if isinstance(inner, dict):
                return _unwrapped(inner) if set(inner) & set(LISTS) else [inner]
            return inner if isinstance(inner, list) else None
    return None


def _read(body: bytes, wire: Wire) -> Any:
    try:
        return _read_json(body) if wire is Wire.JSON else _read_xml(body)
    except (ValueError, ParseError, DefusedXmlException, RecursionError, LookupError) as error:
        return Unreadable(f"the answer is not {wire.upper()} ({type(error).__name__})")


def _read_json(body: bytes) -> Any:
    # Numbers stay the text they were written as: 0012 and 1e3 are not ids that Python may mend.
    value = json.loads(body, parse_int=str, parse_float=str, parse_constant=str)
    return _bounded(value, DEPTH_MAX)


def _bounded(value: Any, depth: int) -> Any:
    if depth == 0:
        raise RecursionError
    inner = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for item in inner:
            _bounded(item, depth - 1)
    return value


def _read_xml(body: bytes) -> Any:
    root = fromstring(body, forbid_dtd=True)
    children = [_xml_value(child, DEPTH_MAX) for child in root]
    if _name(root) == "errors":
        return {"errors": children}
    # A list element with words but no records in it is a message, not an empty list.
    if _name(root) in _ROOTS and (children or not (root.text or "").strip()):
        return children
    return _xml_value(root, DEPTH_MAX)


def _xml_value(element: Element, depth: int) -> Any:
    """A leaf is its text, repeated names become a list."""
    if depth == 0:
        raise RecursionError
    if len(element) == 0:
        return (element.text or "").strip()
    record: dict[str, Any] = {}
    for child in element:
        name, value = _name(child), _xml_value(child, depth - 1)
        if name not in record:
            record[name] = value
        elif isinstance(record[name], list):
            record[name].append(value)
        else:
            record[name] = [record[name], value]
    return record


def _name(element: Element) -> str:
    """Without a namespace, which some desks add."""
    return str(element.tag).rpartition("}")[2]
