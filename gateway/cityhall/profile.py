"""A city profile: how one city's GeoReport v2 desk differs from the standard, as a TOML file.

It names the city's service codes, the attributes they take, where the desk wants things and what is
known of its listing. Reading it checks all of it at once: an unknown key, a wrong value or a hole
that nothing fills is a finding with file, line and help. A profile holds no secret and nothing of
one installation; the key comes from the gateway's configuration.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from gateway.cityhall.delivery import Policy, Prefer
from rules.finding import Finding

PROFILE_BYTES_MAX = 1_048_576
"""A profile is a page or two; a larger file is the wrong file."""
HOLES = frozenset(
    {"reference", "asset_id", "place_id", "observed_at", "rule", "service", "address"}
)
"""What a text may be filled with; `asset.NAME` is what the asset file says."""
FIELDS = frozenset(
    {
        "email", "device_id", "account_id", "first_name", "last_name", "phone", "address_id",
        "service_object_id", "service_object_type",
    }
)  # fmt: skip
"""Optional fields of the standard's POST, and CitySDK's two, that a profile may fill."""
HOLE = re.compile(r"\{([^{}]*)\}")
_BUILT_IN = re.compile(r"[a-z0-9_-]{1,64}")
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")
_TOML_TABLE = re.compile(r"^\s*\[([^\[\]]+)\]")
_TOML_KEY = re.compile(r"^\s*([A-Za-z0-9_.\"-]+?)\s*=")


class Wire(StrEnum):
    """The extension of the path, and the form of the answers."""

    JSON = "json"
    XML = "xml"


class DateStyle(StrEnum):
    """How the desk wants times: 20:05:00Z, 20:05:00+00:00, or local time without a zone."""

    ZULU = "zulu"
    OFFSET = "offset"
    NAIVE = "naive"


class Kind(StrEnum):
    """What a POST is answered with: an id, a token, or neither, ever."""

    REALTIME = "realtime"
    BATCH = "batch"
    BLACKBOX = "blackbox"


class KeyPlace(StrEnum):
    """Where the desk looks for the key: a field of the form, the address, or a Bearer header."""

    FORM = "form"
    QUERY = "query"
    BEARER = "bearer"


class Several(StrEnum):
    """How a field of several values is written: `a[]=1&a[]=2`, `a=1&a=2` or `a=1,2`."""

    BRACKETS = "brackets"
    REPEATED = "repeated"
    COMMAS = "commas"


class Location(StrEnum):
    """A way to say where; a city may ask for both at once."""

    COORDINATES = "coordinates"
    ADDRESS = "address"


class ProfileError(Exception):
    """A profile that cannot be used; `findings` says all that is wrong with it."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in findings))


def _text_with_holes(text: str) -> str:
    for hole in HOLE.findall(text):
        if hole not in HOLES and not hole.startswith(("extra.", "asset.")):
            raise ValueError(f"nothing fills {{{hole}}}; there are {', '.join(sorted(HOLES))}")
    return text


def _attributes(attributes: Mapping[str, str | list[str]]) -> Mapping[str, str | list[str]]:
    for value in attributes.values():
        for text in [value] if isinstance(value, str) else value:
            _text_with_holes(text)
    return attributes


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"no such time zone: {name}") from error
    return name


def _standard_fields(fields: Mapping[str, str]) -> Mapping[str, str]:
    if unknown := set(fields) - FIELDS:
        raise ValueError(f"not in GeoReport v2: {', '.join(sorted(unknown))}; may be {FIELDS_TEXT}")
    return fields


FIELDS_TEXT = ", ".join(sorted(FIELDS))
Text = Annotated[str, AfterValidator(_text_with_holes)]
Code = Annotated[str, Field(min_length=1, max_length=256)]
Parameter = Annotated[str, Field(min_length=1, max_length=64)]
Radius = Annotated[float, Field(ge=0, le=1_000)]
Seconds = Annotated[int, Field(ge=0, le=30 * 86_400)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Listing(_Strict):
    """What is known of `GET /requests`, by which a doubtful attempt is looked up."""

    read_back: bool = True
    visibility_s: Seconds = 300
    """H: a request is listed at the latest this long after it was sent."""
    absent_gap_s: int = Field(default=60, ge=0, le=3_600)
    """Two reads closer than this count as one, because a cache may have answered both."""
    skew_s: Seconds = 86_400
    """Added on both sides of the dates asked for: clocks and time zones are wrong by hours."""
    rows_max: int = Field(default=1_000, ge=1, le=100_000)
    """A page with this many rows may have been cut off; the standard's limit is 1000."""
    page_parameter: Parameter | None = None
    page_first: int = Field(default=1, ge=0, le=1)
    page_size_parameter: Parameter | None = None
    filter_by_service: bool = True
    parameters: Mapping[str, str] = {}
    """Sent along as they are, for a desk that needs `status=open,closed` or the like."""


class Service(_Strict):
    """One of the city's services, under the project's own name."""

    code: Code
    kind: Kind = Field(default=Kind.REALTIME, strict=False)
    attributes: Annotated[Mapping[str, str | list[str]], AfterValidator(_attributes)] = {}
    """Attribute code -> text with holes, a list where it takes several values; left out of a
    request where a hole has no value."""
    read_back: bool | None = None
    visibility_s: Seconds | None = None
    prefer: Prefer | None = Field(default=None, strict=False)
    link_radius_m: Radius | None = None


class Profile(_Strict):
    """One city. What a service leaves out is taken from here."""

    title: str
    endpoint: str | None = None
    """Where the city's desk is, unless the gateway's configuration says otherwise."""
    format: Wire = Field(default=Wire.JSON, strict=False)
    jurisdiction_id: str | None = None
    """Sent with every call, for an endpoint that serves several cities."""
    key: KeyPlace = Field(default=KeyPlace.FORM, strict=False)
    key_on_reads: bool = False
    """Send the key with reads too, in the address or the header: it raises the limit of some."""
    per_minute: int | None = Field(default=None, ge=1, le=6_000)
    """The calls that the desk allows in a minute, reads and writes together."""
    several: Several = Field(default=Several.BRACKETS, strict=False)
    location: list[Annotated[Location, Field(strict=False)]] = Field(
        default=[Location.COORDINATES], min_length=1
    )
    """All of what the city demands; an address is sent along wherever one is known."""
    dates: DateStyle = Field(default=DateStyle.ZULU, strict=False)
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Of dates without a zone."""
    language: Literal["en", "es", "fr", "zh"] = "en"
    """Of what the city reads."""
    prefer: Prefer = Field(default=Prefer.NO_DUPLICATE, strict=False)
    """Which half of the promise to keep where the city shows nobody what it has."""
    link_radius_m: Radius = 15.0
    """An open request of somebody else so near is about the same fault, and is not repeated; 0 for
    services that are about no one spot."""
    follow_s: Seconds = 3_600
    """An open request is asked for again after so long; 0: never."""
    verify_s: Seconds = 3_600
    """So long after the city has closed a request, its sensor is to show that it is repaired."""
    updates: bool = False
    """The city takes mySociety's `servicerequestupdates`: it is told when a fault is over."""
    reopen: bool = False
    """By such an update it opens a closed request again; else what is not repaired is filed anew.
    """
    link_days: int = Field(default=30, ge=1, le=89)
    """How old such a request may be."""
    link_closed_days: int = Field(default=14, ge=0, le=89)
    """One that was closed this recently counts too, if the fault is older than that; 0: never."""
    definitions: bool = True
    """Hold each request against the city's service list and definitions before it is sent."""
    fields: Annotated[Mapping[str, Text], AfterValidator(_standard_fields)] = {}
    listing: Listing = Listing()
    services: Mapping[str, Service] = {}
    """Empty in a profile that is only the base of others."""

    def policy(self, service: str) -> Policy:
        """The delivery policy of a service; of the city in general where it is unknown."""
        own = self.services.get(service)
        visibility_s = own.visibility_s if own and own.visibility_s is not None else None
        read_back = own.read_back if own and own.read_back is not None else None
        radius_m = own.link_radius_m if own else None
        return Policy(
            visibility_ms=1000
            * (self.listing.visibility_s if visibility_s is None else visibility_s),
            absent_gap_ms=1000 * self.listing.absent_gap_s,
            read_back=self.listing.read_back if read_back is None else read_back,
            prefer=(own.prefer if own else None) or self.prefer,
            link_radius_m=self.link_radius_m if radius_m is None else radius_m,
        )


def read_profile(name_or_path: str | Path) -> Profile:
    """The profile built in under that name (`desk`), or in that file. ProfileError: its faults.

    `base = "boston"` takes over from a built-in one what the file itself does not say.
    """
    where, text = _text_of(name_or_path)
    try:
        return Profile.model_validate(_on_its_base(where, text, tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError([_not_toml(where, str(error))]) from error
    except ValidationError as error:
        findings = [_finding(where, text, fault) for fault in error.errors(include_url=False)]
        raise ProfileError(findings) from error


def _on_its_base(where: str, text: str, said: dict[str, Any]) -> dict[str, Any]:
    base = said.pop("base", None)
    if base is None:
        return said
    if base not in built_in_profiles():
        help_text = f"may be {', '.join(built_in_profiles())}"
        line, column = _place(text, ["base"])
        raise ProfileError([Finding(where, line, column, "E_BASE", "no such base", help_text)])
    below = tomllib.loads(_text_of(base)[1])
    for name in ("listing", "services", "fields"):
        if isinstance(said.get(name), dict):
            said[name] = below.get(name, {}) | said[name]
    return below | said


def built_in_profiles() -> list[str]:
    """The names of the profiles that come along."""
    cities = resources.files("gateway") / "cities"
    return sorted(f.name.removesuffix(".toml") for f in cities.iterdir() if f.name != "__init__.py")


def _text_of(name_or_path: str | Path) -> tuple[str, str]:
    name = str(name_or_path)
    if _BUILT_IN.fullmatch(name):
        if name not in built_in_profiles():
            known = ", ".join(built_in_profiles())
            help_text = f"built in: {known}; a path to a file needs a / or ends in .toml"
            raise ProfileError([_whole(name, "E_NO_PROFILE", "no such city profile", help_text)])
        name = str(resources.files("gateway") / "cities" / f"{name}.toml")
    try:
        with Path(name).open("rb") as file:
            raw = file.read(PROFILE_BYTES_MAX + 1)
        if len(raw) > PROFILE_BYTES_MAX:
            raise ProfileError([_whole(name, "E_TOO_LARGE", "the file is larger than 1 MiB")])
        return name, raw.decode()
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise ProfileError([_whole(name, "E_UNREADABLE", reason)]) from error
    except UnicodeDecodeError as error:
        raise ProfileError([_whole(name, "E_NOT_UTF8", "the file is not UTF-8 text")]) from error


def _whole(file: str, code: str, message: str, help_text: str = "") -> Finding:
    return Finding(file, 1, 1, code, message, help_text)


def _not_toml(file: str, message: str) -> Finding:
    place = _TOML_PLACE.search(message)
    line, column = (int(place[1]), int(place[2])) if place else (1, 1)
    return Finding(file, line, column, "E_TOML", _TOML_PLACE.sub("", message))


def _finding(file: str, text: str, fault: Mapping[str, Any]) -> Finding:
    path = [str(part) for part in fault["loc"]]
    name = ".".join(path) or "the file"
    line, column = _place(text, path)
    if fault["type"] == "extra_forbidden":
        help_text = _known_keys(path)
        return Finding(file, line, column, "E_UNKNOWN_KEY", f"unknown key {name}", help_text)
    if fault["type"] == "missing":
        return Finding(file, line, column, "E_MISSING", f"{name} is missing")
    message = str(fault["msg"]).removeprefix("Value error, ")
    return Finding(file, line, column, "E_VALUE", f"{name}: {message}")


def _known_keys(path: Sequence[str]) -> str:
    table: type[BaseModel] = Profile
    if path[0] == "listing" and len(path) > 1:
        table = Listing
    elif path[0] == "services" and len(path) > 2:
        table = Service
    close = difflib.get_close_matches(path[-1], table.model_fields, n=1)
    return f"did you mean {close[0]}?" if close else f"may be {', '.join(table.model_fields)}"


def _place(text: str, path: Sequence[str]) -> tuple[int, int]:
    """Line and column of the longest part of `path` that the text spells out."""
    best, depth, table = (1, 1), 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TOML_TABLE.match(line):
            table = _keys(header[1])
            here, column = table, header.start(1) + 1
        elif key := _TOML_KEY.match(line):
            here, column = table + _keys(key[1]), key.start(1) + 1
        else:
            continue
        if len(here) > depth and list(path[: len(here)]) == here:
            best, depth = (number, column), len(here)
    return best


def _keys(dotted: str) -> list[str]:
    return [part.strip().strip('"') for part in dotted.split(".")]
