"""Commands about a city's 311 server: `city probe`, `city test`, `city profiles`.

They read what a server offers and hold the rules against it; none of them asks the city for
anything.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli.output import Code, Json, answer, fail, say, table, told_plainly
from gateway.cli.service import ConfigFile

if TYPE_CHECKING:
    from gateway.cityhall.open311 import Open311Client
    from gateway.cityhall.probe import Findings
    from gateway.cityhall.profile import Profile, Wire
    from gateway.cityhall.rehearsal import Part

city = typer.Typer(help="The city's 311 server, looked at.", no_args_is_help=True)
DEFINITIONS_MAX = 12  # of the services that are proposed: a server has its limits


@city.command("probe")
def probe(
    url: Annotated[str, typer.Argument(help="The address before /services.xml.")],
    jurisdiction: Annotated[str | None, typer.Option(help="Its jurisdiction_id.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the drafted profile to this new file.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """What a GeoReport v2 server offers, its quirks, and a profile drafted for you to confirm."""
    from gateway.cityhall.georeport_http import EndpointError
    from gateway.cityhall.probe import draft

    if out is not None and out.exists():
        fail(f"{out} is there already; give a new file", Code.USAGE, as_json=json)
    try:
        found = _probed(url, jurisdiction)
    except EndpointError as error:
        fail(str(error), Code.USAGE, as_json=json)
    if isinstance(found, str):
        fail(f"{url}: {found}", Code.OUTSIDE, as_json=json)
    text = draft(found)
    if out is not None:
        out.write_text(text, "utf-8")
        say(f"sense311: the draft is in {out}; take the # from what is right")
    answer(found.as_dict() | {"draft": text}, [text.rstrip()], as_json=json)


@city.command("test")
def rehearse(config: ConfigFile, *, json: Json = False) -> None:
    """A dry run: every rule's request against the live definitions, without asking for anything."""
    from gateway.cityhall.delivery import CITY, EMERGENCY
    from gateway.cityhall.desks import client_of
    from gateway.cityhall.rehearsal import rehearse as parts_of
    from gateway.clock import SystemClock
    from gateway.config import read_config
    from gateway.plans import prepare

    with told_plainly(as_json=json):
        plans = prepare(*read_config(config))
    desks = {
        name: (client_of(section, key, profile), profile)
        for name, section, key, profile in plans.desks()
    }
    told = []
    for part in parts_of(plans.bundle, plans.city, SystemClock().now_ms()):
        urgent = part.rule.file is not None and part.rule.file.urgent and EMERGENCY in desks
        client, profile = desks[EMERGENCY if urgent else CITY]
        told.append(_told(part, profile, client))
    for client, _ in desks.values():
        client.close()
    faults = [one for one in told if one["faults"]]
    unread = [one for one in told if one["unread"]]
    result = {"ok": not faults and not unread, "desk": plans.config.city.endpoint, "rules": told}
    answer(result, _lines(told), as_json=json)
    if faults:
        raise typer.Exit(Code.FINDINGS)
    raise typer.Exit(Code.OUTSIDE if unread else Code.GOOD)


@city.command("profiles")
def profiles(*, json: Json = False) -> None:
    """The city profiles that come along; each may be the `base` of your own."""
    from gateway.cityhall.profile import built_in_profiles, read_profile

    read = {name: read_profile(name) for name in built_in_profiles()}
    rows = [
        {"profile": name, "title": one.title, "format": one.format,
         "services": ", ".join(one.services) or "name your own"}
        for name, one in read.items()
    ]  # fmt: skip
    columns = ("profile", "title", "format", "services")
    answer({"profiles": rows}, table(rows, columns), as_json=json)


# -- probing ---------------------------------------------------------------------------------------


def _probed(url: str, jurisdiction: str | None) -> "Findings | str":
    """What was found, or why there is no service list in either format."""
    from gateway.cityhall.delivery import CannotTell
    from gateway.cityhall.profile import Wire

    reasons = []
    for wire in (Wire.JSON, Wire.XML):
        with _reader(url, wire, jurisdiction) as client:
            offers = client.catalogue.offers()
            if not isinstance(offers, CannotTell):
                return _looked_into(url, wire, client)
            reasons.append(f"{wire}: {offers.reason}")
    return "no service list; " + "; ".join(reasons)


def _reader(url: str, wire: "Wire", jurisdiction: str | None) -> "Open311Client":
    from gateway.cityhall.open311 import Open311Client
    from gateway.cityhall.profile import Profile

    profile = Profile(title="probe", format=wire, jurisdiction_id=jurisdiction)
    return Open311Client(url, "", profile)


def _looked_into(url: str, wire: "Wire", client: "Open311Client") -> "Findings":
    from gateway.cityhall.delivery import CannotTell
    from gateway.cityhall.probe import Findings, proposals

    offers = client.catalogue.offers()
    assert not isinstance(offers, CannotTell)
    likely = {offer.code: offer for found in proposals(offers).values() for offer in found}
    attributes, troubles = {}, []
    for code in list(likely)[:DEFINITIONS_MAX]:
        asked = client.catalogue.attributes(code)
        if isinstance(asked, CannotTell):
            troubles.append(f"the definition of {code}: {asked.reason}")
        else:
            attributes[code] = asked
    pages = []
    for number in ("1", "2"):
        page = client.page({"page": number})
        if isinstance(page, CannotTell):
            troubles.append(f"page {number} of the list: {page.reason}")
            break
        pages.append(page)
    return Findings(url.rstrip("/"), str(wire), offers, attributes, pages, troubles)


# -- the dry run -----------------------------------------------------------------------------------


def _told(part: "Part", profile: "Profile", client: "Open311Client") -> dict[str, Any]:
    from gateway.cityhall.delivery import CannotTell, Refused
    from gateway.cityhall.georeport_form import write_form
    from gateway.cityhall.profile import Location

    assert part.rule.file is not None
    service = part.rule.file.service
    mapped = profile.services[service]
    told: dict[str, Any] = {
        "rule": part.rule.id, "service": service, "code": mapped.code, "watched": part.watched,
        "faults": [], "unread": "", "form": {},
    }  # fmt: skip
    if part.row is None:
        return told | {"note": "watches nothing in this city"}
    form = write_form(part.row, profile)
    if isinstance(form, Refused):
        fix = "give the assets an address, or take it out of the profile's location"
        return told | {"faults": [{"message": form.reason, "fix": fix}]}
    if Location.ADDRESS in profile.location and part.without_address:
        told["note"] = f"{part.without_address} of {part.watched} have no address"
    faults = client.catalogue.faults(service, mapped.code, form)
    if isinstance(faults, CannotTell):
        return told | {"unread": faults.reason, "form": form}
    shown = [{"message": fault.message, "fix": fault.fix} for fault in faults]
    return told | {"faults": shown, "form": form}


def _lines(told: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in told:
        good = "unread" if one["unread"] else "refused" if one["faults"] else "ok"
        note = f"  ({one['note']})" if "note" in one else ""
        yield f"{good:<8}{one['rule']:<20} {one['service']} -> {one['code']}{note}"
        if one["unread"]:
            yield f"        the city could not be read: {one['unread']}"
        for fault in one["faults"]:
            yield f"        {fault['message']}"
            yield f"        = help: {fault['fix']}"
