"""What a server's answers show of it, and the profile that is drafted for a person to confirm."""

import tomllib

import pytest

from gateway.cityhall.definition import Attribute, Offer
from gateway.cityhall.probe import Findings, draft, proposals
from gateway.cityhall.profile import Profile

LISTED = {"service_request_id": "1", "requested_datetime": "2026-01-15T20:05:00Z", "lat": "41.9"}


def offers(*names, **more):
    return {f"C{n}": Offer(f"C{n}", name, **more) for n, name in enumerate(names)}


@pytest.mark.parametrize(
    ("service", "names", "proposed"),
    [
        ("STREETLIGHT_OUT", ("Graffiti", "Street Light Out"), ["Street Light Out"]),
        ("STREETLIGHT_OUT", ("Laterne defekt",), ["Laterne defekt"]),
        ("STREETLIGHT_OUT", ("Farola apagada", "路灯故障"), ["Farola apagada", "路灯故障"]),
        ("STREETLIGHT_CIRCUIT", ("Street Lights All / Out",), ["Street Lights All / Out"]),
        ("POTHOLE", ("Pot hole", "Schlagloch", "Nid-de-poule"), 3),
        ("BIN_FULL", ("Overflowing Litter Baskets", "Cabinet broken", "Urbino"), 1),
        ("BIN_FULL", ("Empty Bin",), 1),
        ("POTHOLE", ("Street Light Out",), 0),
    ],
)
def test_services_are_proposed_by_what_cities_call_them(service, names, proposed):
    """In several languages; a word within another word is none."""
    found = [offer.name for offer in proposals(offers(*names))[service]]
    assert (found if isinstance(proposed, list) else len(found)) == proposed


@pytest.mark.parametrize(
    ("pages", "quirk"),
    [
        ([[LISTED | {"service_request_id": ""}]], "without an id"),
        ([[LISTED | {"requested_datetime": "2026-01-15T20:05:00"}]], "without a zone"),
        ([[{"service_request_id": "1"}]], "without requested_datetime"),
        ([[LISTED], [LISTED]], "page 2 is page 1 again"),
        ([[LISTED | {"lat": "-122.4"}]], "look swapped"),
    ],
)
def test_the_quirks_of_a_list_are_told(pages, quirk):
    """Each of them has cost somebody a day."""
    found = Findings("https://311.example.org/v2", "json", {}, pages=pages)
    assert any(quirk in told for told in found.quirks)


def test_a_server_without_quirks_has_none():
    """Nothing is invented."""
    pages = [[LISTED], [LISTED | {"service_request_id": "2"}]]
    assert Findings("https://a", "xml", offers("Pothole"), pages=pages).quirks == []


def test_a_draft_is_a_profile_that_maps_nothing_until_somebody_says_so():
    """Words of the city stay words, whatever signs they hold."""
    listed = {
        'a"b\\\n': Offer('a"b\\\n', 'Pothole "x"\n[services.POTHOLE]\ncode = 1', kind="batch")
    }
    kind = Attribute("KIND", "singlevaluelist", required=True, values={"HOLE": "Hole"})
    found = Findings("https://a/v2", "json", listed, {'a"b\\\n': [kind]}, [[LISTED], []])
    text = draft(found)
    said = tomllib.loads(text)
    said.pop("base")
    profile = Profile.model_validate(said)
    assert (profile.services, profile.listing.page_parameter) == ({}, "page")
    assert "KIND" in text


def test_what_was_behind_the_sign_is_toml_too():
    """Taking the # away is all that is to be done."""
    text = draft(Findings("https://a/v2", "json", offers("Pothole in Street")))
    taken = text.replace("# [services.POTHOLE]\n# code", "[services.POTHOLE]\ncode")
    assert tomllib.loads(taken)["services"]["POTHOLE"]["code"] == "C0"
