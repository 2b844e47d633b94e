"""What a server seems to be: the quirks that its answers show, and a profile drafted from them.

The draft is for a person to confirm: services are only proposed, in comments, with the words of the
city; nothing here picks one. Pure; the reads are somebody else's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cityhall.definition import Attribute, Offer
from gateway.cityhall.georeport_read import Record, id_of

PROPOSED_MAX = 5
_WORDS: Mapping[str, str] = {
    "STREETLIGHT_OUT": (
        r"street ?lights?|streetlamps?|lamps?|lights? out|laternen?|beleuchtung|farolas?|alumbrado|"
        r"éclairage|lampadaires?|路灯|katuvalo"
    ),
    "STREETLIGHT_CIRCUIT": r"lights all|all / ?out|all lights|circuit|several lights|mehrere",
    "STREETLIGHT_DAY_BURNER": r"on (?:all|by|during|in) (?:the )?day|daylight|day ?burn|tagsüber",
    "POTHOLE": r"pot[ -]?holes?|schlagl(?:och|öcher)|baches?|nids?-de-poules?|坑",
    "BIN_FULL": (
        r"litter|bins?|baskets?|trash cans?|papierk(?:orb|örbe)|papeleras?|corbeilles?|垃圾"
    ),
    "BIN_FIRE": r"bin fire|burning|brand|incendi[eo]",
}
"""Our own services -> what cities call them, in four languages and a few more."""
_LETTER = "[A-Za-zÀ-ÿ]"  # of scripts that part words
_ZONE = re.compile(r"(?:Z|[+-]\d\d:?\d\d)$")


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was read. `pages`: the first two of the list, where it was asked for by page."""

    endpoint: str
    format: str
    offers: Mapping[str, Offer]
    attributes: Mapping[str, Sequence[Attribute]] = field(default_factory=dict)
    pages: Sequence[Sequence[Record]] = ()
    troubles: Sequence[str] = ()
    """What could not be read, and why."""

    @property
    def quirks(self) -> list[str]:
        return [*_of_the_list(self.pages), *_of_the_services(self.offers)]

    @property
    def turns_pages(self) -> bool | None:
        """Whether page 2 is another than page 1; None where there is nothing to tell it by."""
        if len(self.pages) < 2 or not self.pages[0]:
            return None
        return list(self.pages[1]) != list(self.pages[0])

    def as_dict(self) -> dict[str, Any]:
        likely = proposals(self.offers)
        return {
            "endpoint": self.endpoint,
            "format": self.format,
            "services": len(self.offers),
            "turns_pages": self.turns_pages,
            "quirks": self.quirks,
            "troubles": list(self.troubles),
            "proposals": {
                name: [{"code": offer.code, "name": offer.name} for offer in offers]
                for name, offers in likely.items()
            },
            "definitions": {
                code: [
                    {"code": a.code, "datatype": a.datatype, "required": a.required,
                     "values": dict(a.values)} for a in attributes
                ]
                for code, attributes in self.attributes.items()
            },
        }  # fmt: skip


def proposals(offers: Mapping[str, Offer]) -> dict[str, list[Offer]]:
    """Our services -> those of the city that speak of the same, the likeliest first."""
    return {name: _like(words, offers) for name, words in _WORDS.items()}


def draft(found: Findings) -> str:
    """A profile in TOML. It maps nothing until a person takes the # from a line."""
    lines = [
        "# Drafted by `sense311 city probe`. Look it over: what is behind # is not in force.",
        *(f"# seen: {quirk}" for quirk in found.quirks),
        *(f"# not read: {_plain(trouble)}" for trouble in found.troubles),
        'base = "generic"',
        'title = "a name for this city"',
        f"endpoint = {_toml(found.endpoint)}",
        f"format = {_toml(found.format)}",
        '# timezone = "America/Chicago"',
        '# location = ["coordinates", "address"]',
    ]
    if found.turns_pages:
        lines += ["", "[listing]", 'page_parameter = "page"']
        lines += [f"rows_max = {max(1, len(found.pages[0]))}"]
    for name, offers in proposals(found.offers).items():
        lines += ["", *_proposed(name, offers, found.attributes)]
    return "\n".join(lines) + "\n"


def _proposed(
    name: str, offers: Sequence[Offer], attributes: Mapping[str, Sequence[Attribute]]
) -> list[str]:
    if not offers:
        return [f"# [services.{name}]: the city seems to list nothing like it"]
    lines = [f"# [services.{name}]"]
    for offer in offers:
        lines.append(f"# code = {_toml(offer.code)}  # {_plain(offer.name)} ({_plain(offer.kind)})")
        if offer.kind != "realtime":
            lines.append(f"#   kind = {_toml(offer.kind)}")
        needed = [a for a in attributes.get(offer.code, ()) if a.required]
        for attribute in needed:
            takes = _plain(", ".join(list(attribute.values)[:8]) or attribute.datatype)
            lines.append(f"#   attributes: {_toml(attribute.code)} is required; takes {takes}")
    return lines


def _like(words: str, offers: Mapping[str, Offer]) -> list[Offer]:
    pattern = re.compile(rf"(?<!{_LETTER})(?:{words})(?!{_LETTER})", re.IGNORECASE)
    scored = [
        (2 * len(pattern.findall(offer.name)) + len(pattern.findall(_rest(offer))), offer)
        for offer in offers.values()
    ]
    ranked = sorted(
        ((n, offer) for n, offer in scored if n), key=lambda one: (-one[0], one[1].code)
    )
    return [offer for _, offer in ranked[:PROPOSED_MAX]]


def _rest(offer: Offer) -> str:
    return " ".join((offer.code, offer.group, *offer.keywords))


def _of_the_list(pages: Sequence[Sequence[Record]]) -> list[str]:
    records = [record for page in pages for record in page]
    times = [
        value for record in records
        if isinstance(value := record.get("requested_datetime"), str) and value
    ]  # fmt: skip
    found = []
    if any(id_of(record) is None for record in records):
        found.append("the list holds requests without an id")
    if any(not _ZONE.search(time) for time in times):
        found.append('times come without a zone: dates = "naive" and a timezone may be needed')
    if records and not times:
        found.append("requests come without requested_datetime")
    if len(pages) > 1 and pages[0] and list(pages[0]) == list(pages[1]):
        found.append("page 2 is page 1 again: the list has no pages, or names them otherwise")
    if any(_is_swapped(record) for record in records):
        found.append("lat and long look swapped in some requests")
    return found


def _of_the_services(offers: Mapping[str, Offer]) -> list[str]:
    found = []
    if set(offers) == {"XX" + "X"}:
        found.append("the only service is a placeholder: the key may have been retired")
    if any(offer.kind == "batch" for offer in offers.values()):
        found.append("some services answer with a token first")
    if any(offer.kind == "blackbox" for offer in offers.values()):
        found.append("some services never say what became of a request")
    if any(re.search(r"[ :&/']", code) for code in offers):
        found.append("codes hold spaces or signs")
    return found


def _is_swapped(record: Record) -> bool:
    try:
        return abs(float(record.get("lat") or 0)) > 90
    except (TypeError, ValueError):
        return False


def _toml(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{_plain(escaped)}"'


def _plain(text: str) -> str:
    """One line of it, for a comment."""
    return "".join(char if char.isprintable() else " " for char in text)
