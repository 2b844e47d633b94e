"""What a city says it takes: services, definitions, and what of a form it would refuse.

Reads every shape in which desks give them and errs on the side of the city: what a definition does
not say is no demand. A fault names what is wrong with a form and what to change in the profile.
Pure; never asks anybody.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from types import MappingProxyType
from typing import Any

SHOWN_MAX = 8
"""Choices named in a message; a list of streets may have thousands."""
_SET_BY_THE_CITY = frozenset({"server_set", "hidden_field"})
"""FixMyStreet's `automated`: nobody is asked for these."""
_ATTRIBUTE = re.compile(r"attribute\[([^\[\]]*)\](\[\])?")
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")

Record = Mapping[str, Any]
Form = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Offer:
    """One service of the list. `defined`: there is a definition to be read."""

    code: str
    name: str = ""
    description: str = ""
    group: str = ""
    keywords: tuple[str, ...] = ()
    kind: str = "realtime"
    defined: bool = False


@dataclass(frozen=True, slots=True)
class Attribute:
    """What a definition asks for. `values`: key -> name, of the two kinds of list."""

    code: str
    datatype: str = "string"
    required: bool = False
    description: str = ""
    help: str = ""
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def takes_several(self) -> bool:
        return self.datatype == "multivaluelist"


@dataclass(frozen=True, slots=True)
class Fault:
    """What the city would refuse, and how to mend it."""

    message: str
    fix: str

    def __str__(self) -> str:
        return f"{self.message}: {self.fix}"


# -- reading ---------------------------------------------------------------------------------------


def offers_of(records: Sequence[Record]) -> dict[str, Offer]:
    """The service list by code; records without a code are left out."""
    offers = (_offer(record) for record in records)
    return {offer.code: offer for offer in offers if offer.code}


def attributes_of(definition: Record) -> tuple[Attribute, ...]:
    """What is asked of who files: texts to be shown, and what the city sets itself, are not."""
    found = definition.get("attributes", definition)
    if isinstance(found, dict) and "code" not in found:
        found = found.get("attribute", [])
    records = found if isinstance(found, list) else [found]
    asked = (_attribute(record) for record in records if isinstance(record, dict))
    return tuple(attribute for attribute in asked if attribute is not None)


def _offer(record: Record) -> Offer:
    groups = record.get("groups")
    group = _text(record, "group")
    if isinstance(groups, dict):
        groups = groups.get("group")
    if isinstance(groups, list) and groups:
        group = group or str(groups[0])
    words = _text(record, "keywords").split(",")
    return Offer(
        code=_text(record, "service_code"),
        name=_text(record, "service_name"),
        description=_text(record, "description"),
        group=group,
        keywords=tuple(word.strip() for word in words if word.strip()),
        kind=_text(record, "type").lower() or "realtime",
        defined=_truth(record.get("metadata"), default=False),
    )


def _attribute(record: Record) -> Attribute | None:
    code = _text(record, "code")
    shown_only = not _truth(record.get("variable"), default=True)
    if not code or shown_only or _text(record, "automated") in _SET_BY_THE_CITY:
        return None
    return Attribute(
        code=code,
        datatype=_text(record, "datatype").lower() or "string",
        required=_truth(record.get("required"), default=False),
        description=_text(record, "description"),
        help=_text(record, "datatype_description"),
        values=MappingProxyType(_choices(record.get("values"))),
    )


def _choices(values: Any) -> dict[str, str]:
    if isinstance(values, dict):
        values = values.get("value", values)
    records = values if isinstance(values, list) else [values]
    pairs = ((_text(r, "key"), _text(r, "name")) for r in records if isinstance(r, dict))
    return {key: name for key, name in pairs if key}


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _truth(value: Any, *, default: bool) -> bool:
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else ""
    return default if not text else text in ("true", "1", "yes")


# -- judging ---------------------------------------------------------------------------------------


def unknown_service(service: str, code: str, offers: Mapping[str, Offer]) -> Fault:
    """The city lists others. `service`: our own name of it."""
    names = {offer.name.lower(): offer.code for offer in offers.values()}
    near = difflib.get_close_matches(code, offers, n=1) or [
        names[name] for name in difflib.get_close_matches(code.lower(), names, n=1)
    ]
    hint = f"perhaps {near[0]!r}" if near else f"one of {_some(offers)}"
    return Fault(f"the city has no service {code!r}", f"set services.{service}.code, {hint}")


def faults_of(service: str, form: Form, attributes: Sequence[Attribute]) -> list[Fault]:
    """What of the attributes in a form the definition does not allow."""
    asked = {attribute.code: attribute for attribute in attributes}
    sent: dict[str, list[str]] = {}
    faults = []
    for name, value in form:
        match = _ATTRIBUTE.fullmatch(name)
        if match is None:
            continue
        code, many = match[1], bool(match[2])
        sent.setdefault(code, []).append(value)
        if code not in asked:
            faults.append(_not_asked(service, code, asked))
        elif many != asked[code].takes_several:
            faults.append(_wrong_number(service, asked[code]))
    for attribute in attributes:
        values = [value for value in sent.get(attribute.code, []) if value]
        if attribute.required and not values:
            faults.append(_missing(service, attribute))
        faults += [fault for value in values if (fault := _misfit(service, attribute, value))]
    return list(dict.fromkeys(faults))


def _not_asked(service: str, code: str, asked: Mapping[str, Attribute]) -> Fault:
    near = difflib.get_close_matches(code, asked, n=1)
    hint = f", perhaps {near[0]!r}; or" if near else ";"
    known = f"it asks for {_some(asked)}" if asked else "it asks for none"
    return Fault(
        f"the definition has no attribute {code!r}",
        f"{known}{hint} take it out of services.{service}.attributes",
    )


def _wrong_number(service: str, attribute: Attribute) -> Fault:
    where = f"services.{service}.attributes.{attribute.code}"
    if attribute.takes_several:
        return Fault(f"{attribute.code!r} takes several values", f"write {where} as a list")
    return Fault(f"{attribute.code!r} takes one value", f"write {where} as one text")


def _missing(service: str, attribute: Attribute) -> Fault:
    takes = f"it takes {_takes(attribute)}"
    return Fault(
        f"the required attribute {attribute.code!r} is missing",
        f"set services.{service}.attributes.{attribute.code}; {takes}",
    )


def _misfit(service: str, attribute: Attribute, value: str) -> Fault | None:
    if attribute.values:
        fits = value in attribute.values
    elif attribute.datatype == "number":
        fits = _DECIMAL.fullmatch(value) is not None and isfinite(float(value))
    elif attribute.datatype == "datetime":
        fits = _is_time(value)
    else:
        fits = True
    if fits:
        return None
    where = f"services.{service}.attributes.{attribute.code}"
    return Fault(
        f"{attribute.code!r} cannot be {value[:40]!r}",
        f"mend {where}; it takes {_takes(attribute)}",
    )


def _takes(attribute: Attribute) -> str:
    if attribute.values:
        return f"one of {_some(attribute.values)}"
    told = attribute.help or attribute.description
    return f"a {attribute.datatype}" + (f" ({told[:80]})" if told else "")


def _some(codes: Mapping[str, Any]) -> str:
    shown = ", ".join(list(codes)[:SHOWN_MAX])
    return shown if len(codes) <= SHOWN_MAX else f"{shown} and {len(codes) - SHOWN_MAX} more"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "T" in text
