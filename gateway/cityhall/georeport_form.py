"""What a request says in GeoReport v2: the form fields of a POST, made of a row and a profile.

Strict in what it writes: only fields of the standard and of the profile, coordinates in WGS 84,
times in the desk's own style, the reference as a tag that survives any shortening. Never sends,
never holds the key.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from gateway.cityhall.delivery import Refused, Row
from gateway.cityhall.profile import HOLE, DateStyle, Location, Profile, Service, Several
from gateway.cityhall.telling import Message

DESCRIPTION_CHARS_MAX = 4_000
"""The standard's limit, tag included."""
ADDRESS_CHARS_MAX = 1_000
"""No address is longer; a desk may refuse one that is."""
Form = list[tuple[str, str]]


def write_form(row: Row, profile: Profile) -> Form | Refused:
    """The fields of `POST /requests` without the key, or why the city cannot be asked at all."""
    service = profile.services.get(row.service)
    if service is None:
        return Refused(f"the city profile maps no service {row.service}")
    place = _place_fields(row, profile)
    holes = _holes(row, profile)
    form = [("service_code", service.code), *place]
    if profile.jurisdiction_id:
        form.insert(0, ("jurisdiction_id", profile.jurisdiction_id))
    form.append(("description", tagged(row.request.description, row.reference)))
    if request_url := row.request.media_url:
        form.append(("media_url", request_url))
    filled = {name: fill(text, holes) for name, text in profile.fields.items()}
    if filled.get("service_object_id") is None:
        filled.pop("service_object_type", None)  # CitySDK takes both or neither
    form.extend((name, value) for name, value in filled.items() if value is not None)
    return [(name, plain(value)) for name, value in form + _attributes(service, profile, holes)]


def write_update(message: Message, profile: Profile) -> Form:
    """The fields of `POST /servicerequestupdates` without the key."""
    form = [("jurisdiction_id", profile.jurisdiction_id)] if profile.jurisdiction_id else []
    form += [
        ("service_request_id", message.request_id),
        ("update_id", message.update_id),
        ("status", message.status),
        ("updated_datetime", date_text(message.at_ms, profile)),
        ("description", message.description[:DESCRIPTION_CHARS_MAX]),
    ]
    return [(name, plain(value)) for name, value in form]


def tagged(description: str, reference: str) -> str:
    """The description as plain text with the reference at its end, at most 4000 characters."""
    tag = f"[{reference}]"
    room = DESCRIPTION_CHARS_MAX - len(tag) - 1
    return f"{plain(description)[:room].rstrip()} {tag}".lstrip()


def plain(text: str) -> str:
    """Without control characters and half characters, which no desk stores as they came."""
    return "".join(char if char.isprintable() or char == "\n" else " " for char in text)


def fill(text: str, holes: Mapping[str, str]) -> str | None:
    """`text` with its holes filled; None where one of them has no value."""
    if any(not holes.get(name) for name in HOLE.findall(text)):
        return None
    return HOLE.sub(lambda hole: holes[hole[1]], text)


def date_text(ts_ms: int, profile: Profile) -> str:
    """A time to the second in the style of the desk."""
    when = datetime.fromtimestamp(ts_ms // 1000, UTC)
    if profile.dates is DateStyle.NAIVE:
        when = when.astimezone(ZoneInfo(profile.timezone)).replace(tzinfo=None)
    text = when.isoformat()
    return text.replace("+00:00", "Z") if profile.dates is DateStyle.ZULU else text


def _place_fields(row: Row, profile: Profile) -> Form:
    """A city that demands an address takes a description of the location as well: where none is
    known, a pothole's say, the coordinates are that.
    """
    request = row.request
    address = " ".join((request.address or "").split())[:ADDRESS_CHARS_MAX]
    if Location.ADDRESS in profile.location and not address:
        address = f"{request.lat:.6f}, {request.long:.6f}"
    fields = [("lat", f"{request.lat:.7f}"), ("long", f"{request.long:.7f}")]
    return [*fields, ("address_string", address)] if address else fields


def _holes(row: Row, profile: Profile) -> Mapping[str, str]:
    request = row.request
    own = {
        "reference": row.reference,
        "asset_id": request.asset_id or "",
        "place_id": request.place_id or "",
        "observed_at": date_text(request.observed_at_ms, profile),
        "rule": request.rule,
        "service": row.service,
        "address": request.address or "",
    }
    facts = {"asset_id": request.asset_id or ""} | dict(request.extra)
    return own | {f"{of}.{name}": text for of in ("asset", "extra") for name, text in facts.items()}


def _attributes(service: Service, profile: Profile, holes: Mapping[str, str]) -> Form:
    form: Form = []
    for code, value in service.attributes.items():
        name = f"attribute[{code}]"
        if isinstance(value, str):
            form.extend(_filled(name, [value], holes))
            continue
        filled = _filled(f"{name}[]" if profile.several is Several.BRACKETS else name, value, holes)
        if profile.several is Several.COMMAS and filled:
            filled = [(name, ",".join(text for _, text in filled))]
        form.extend(filled)
    return form


def _filled(name: str, texts: Sequence[str], holes: Mapping[str, str]) -> Form:
    values = (fill(text, holes) for text in texts)
    return [(name, value) for value in values if value is not None]
