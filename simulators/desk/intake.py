"""What comes in to the simulated desk: a form becomes a report, or every reason why not.

Stricter than most real desks, because it stands in for all of them: what one of them may refuse
(an attribute the definition does not offer, a control character, half a location) is refused here.
Empty and absent mean the same. Never stores, never looks at the clock.
"""

import re
from dataclasses import dataclass
from math import isfinite
from urllib.parse import parse_qsl

from simulators.desk.dialect import STANDARD, Dialect
from simulators.desk.services import Attribute, Datatype, Service, Services
from simulators.desk.wire import Reason, Refusal

BODY_BYTES_MAX = 64 * 1024  # a description of 4,000 characters, percent-encoded, fits well
_FIELDS_MAX = 200  # more than any definition asks for
_DESCRIPTION_CHARS_MAX = 4000  # GeoReport v2
_FIELD_CHARS_MAX = 1000  # e-mail, names, addresses, URLs

_ATTRIBUTE = re.compile(r"attribute\[(?P<code>[^\[\]]+)\](?P<many>\[\])?")
# Narrower than float(), which also reads "nan", "1_0" and blanks.
_DECIMAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?")
# What XML 1.0 cannot carry would make the desk's own listing unreadable.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_STANDARD = (
    "address_string",
    "address_id",
    "description",
    "media_url",
    "email",
    "device_id",
    "account_id",
    "first_name",
    "last_name",
    "phone",
)

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A request as it was sent: `fields` are the standard ones but for the place, `pairs` the
    whole form in its order without the key.
    """

    service: Service
    lat: float | None
    long: float | None
    fields: dict[str, str]
    attributes: dict[str, str | list[str]]
    pairs: Pairs


def read_form(content_type: str, body: bytes) -> Pairs | Refusal:
    """The decoded pairs of a form body, blanks dropped."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return Refusal(Reason.INVALID, "body must be application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError:  # also UnicodeDecodeError
        return Refusal(Reason.INVALID, f"body is no UTF-8 form of at most {_FIELDS_MAX} fields")
    return tuple(pairs)


def value_of(pairs: Pairs, name: str) -> str:
    """The first value of a field, or the empty text."""
    return next((value for key, value in pairs if key == name), "")


def read_report(
    pairs: Pairs, services: Services, dialect: Dialect = STANDARD
) -> Report | list[Refusal]:
    """The report a form makes. A service that does not exist is told alone: nothing else can
    be judged without it.
    """
    code = value_of(pairs, "service_code")
    if not code:
        return [Refusal(Reason.MISSING, "service_code was not provided")]
    service = services.get(code)
    if service is None:
        return [Refusal(Reason.NOT_FOUND, "service_code was not found")]
    missing = [name for name in dialect.wants if not value_of(pairs, name)]
    demanded = [Refusal(Reason.MISSING, f"{name} is required") for name in missing]
    refusals = [*_shape(pairs), *_place(pairs), *demanded, *_attributes(pairs, service, dialect)]
    return refusals or _report(pairs, service)


def _report(pairs: Pairs, service: Service) -> Report:
    lat, long = value_of(pairs, "lat"), value_of(pairs, "long")
    return Report(
        service=service,
        lat=float(lat) if lat else None,
        long=float(long) if long else None,
        fields={name: value for name in _STANDARD if (value := value_of(pairs, name))},
        attributes=_sent_attributes(pairs),
        pairs=tuple((key, value) for key, value in pairs if key != "api_key"),
    )


def _shape(pairs: Pairs) -> list[Refusal]:
    """Faults of the form itself: repeated fields, lengths, characters."""
    names = [key for key, _ in pairs]
    single = {key for key in names if not key.endswith("[]")}
    refusals = [
        Refusal(Reason.INVALID, f"{key} was sent more than once")
        for key in sorted(single)
        if names.count(key) > 1
    ]
    for key, value in pairs:
        limit = _DESCRIPTION_CHARS_MAX if key == "description" else _FIELD_CHARS_MAX
        if len(value) > limit:
            refusals.append(Refusal(Reason.INVALID, f"{key} is longer than {limit} characters"))
        if _NOT_XML.search(key + value):
            refusals.append(Refusal(Reason.INVALID, f"{key!r} holds a control character"))
    return refusals


def _place(pairs: Pairs) -> list[Refusal]:
    lat, long = value_of(pairs, "lat"), value_of(pairs, "long")
    if not (lat or long):
        if value_of(pairs, "address_string") or value_of(pairs, "address_id"):
            return []
        wanted = "lat and long, address_string or address_id"
        return [Refusal(Reason.MISSING, f"location was not provided: {wanted}")]
    if not (lat and long):
        return [Refusal(Reason.MISSING, "lat and long must be sent together")]
    if not (_within(lat, 90) and _within(long, 180)):
        return [Refusal(Reason.INVALID, "lat and long must be WGS 84 degrees")]
    return []


def _attributes(pairs: Pairs, service: Service, dialect: Dialect) -> list[Refusal]:
    refusals = []
    sent: set[str] = set()
    for key, value in pairs:
        if not key.startswith("attribute"):
            continue
        match = _ATTRIBUTE.fullmatch(key)
        known = service.attribute(match["code"]) if match else None
        if match is None or known is None or not known.variable:
            refusals.append(Refusal(Reason.INVALID, f"{key} is not in the definition"))
            continue
        sent.add(known.code)
        if bool(match["many"]) != (known.datatype is Datatype.MULTI):
            refusals.append(Refusal(Reason.INVALID, f"{key}: [] goes with multivaluelist only"))
        if not _fits(known, value, dialect):
            refusals.append(Refusal(Reason.INVALID, f"{key} is no {known.datatype}"))
    for known in service.attributes:
        if known.required and known.code not in sent:
            missing = f"attribute[{known.code}] is required"
            refusals.append(Refusal(Reason.MISSING, missing))
    return refusals


def _fits(attribute: Attribute, value: str, dialect: Dialect) -> bool:
    match attribute.datatype:
        case Datatype.NUMBER:
            return _within(value, float("inf"))
        case Datatype.DATETIME:
            return dialect.date_ms(value) is not None
        case Datatype.SINGLE | Datatype.MULTI:
            return value in {choice.key for choice in attribute.values}
        case Datatype.STRING | Datatype.TEXT:
            return True


def _within(text: str, limit: float) -> bool:
    if _DECIMAL.fullmatch(text) is None:
        return False
    number = float(text)
    return isfinite(number) and abs(number) <= limit


def _sent_attributes(pairs: Pairs) -> dict[str, str | list[str]]:
    sent: dict[str, str | list[str]] = {}
    for key, value in pairs:
        match = _ATTRIBUTE.fullmatch(key)
        if match is None:
            continue
        code, before = match["code"], sent.get(match["code"])
        if match["many"]:
            sent[code] = [*before, value] if isinstance(before, list) else [value]
        else:
            sent[code] = value
    return sent
