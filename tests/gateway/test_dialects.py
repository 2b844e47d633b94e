"""Every city profile that comes along, against a real desk that speaks the city's dialect."""

import time

import pytest
from delivery import KEY, a_row, running_desk

from gateway.cityhall.delivery import Filed, Found, NotSent, Tokened, TokenResolved
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.profile import ProfileError, Wire, built_in_profiles, read_profile
from simulators.desk import DIALECTS

CITIES = [name for name in built_in_profiles() if name != "desk"]
SERVICES = read_profile("desk").services
ASKED = ("STREETLIGHT_OUT", "POTHOLE", "BIN_FULL")
ADDRESS = "1 Main St"


def profile_of(name, **changes):
    """The city's own, with the services of the simulated desk."""
    return read_profile(name).model_copy(update={"services": SERVICES, **changes})


def desk_of(folder, name):
    options = ["--dialect", name]
    return running_desk(
        folder, *options, *(["--jurisdiction-id", "c"] if name == "fixmystreet" else [])
    )


def rows_of(name):
    """Of what has an asset, and of what has only a place."""
    place = {"POTHOLE": {"asset_id": None, "place_id": "place:1"}}
    return [
        a_row(f"{name}-{service}", service, address=ADDRESS, **place.get(service, {}))
        for service in ASKED
    ]


def test_there_is_a_dialect_for_every_profile():
    """And the other way round."""
    assert sorted(CITIES) == sorted(DIALECTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", CITIES)
def test_lamp_pothole_and_bin_are_filed_and_found_in_the_citys_own_dialect(name, tmp_path):
    """An id at once, or a token that becomes one; the list shows all three, and nothing twice."""
    profile = profile_of(name, jurisdiction_id="c" if name == "fixmystreet" else None)
    rows, now_ms = rows_of(name), int(time.time() * 1000)
    with desk_of(tmp_path, name) as desk, Open311Client(desk.endpoint, KEY, profile) as client:
        outcomes = [client.post(row) for row in rows]
        ids = [_settled(client, outcome) for outcome in outcomes]
        seen = client.look("POTHOLE", [rows[1].reference, "SCG-" + "0" * 32], now_ms, now_ms)
        stored = desk.stored()
    assert [row["service_request_id"] for row in stored] == ids
    assert seen == {rows[1].reference: Found(ids[1])}
    named = [dict(row["form"]).get("service_object_id") for row in stored]
    assert named == (["L-0042", None, "L-0042"] if name == "citysdk-helsinki" else [None] * 3)


def _settled(client, outcome):
    if isinstance(outcome, Tokened):
        outcome = client.token(outcome.token)
        assert isinstance(outcome, TokenResolved)
    else:
        assert isinstance(outcome, Filed), outcome
    return outcome.request_id


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seeclickfix", "mark-a-spot", "citysdk-helsinki", "bloomington"])
@pytest.mark.parametrize("wire", ["json", "xml"])
def test_a_long_list_is_read_to_its_end_in_pages(name, wire, tmp_path):
    """The oldest of 130 is found, and what is absent from all pages is absent."""
    profile = profile_of(name, format=Wire(wire))
    rows = [a_row(f"{n}", address=ADDRESS) for n in range(130)]
    now_ms = int(time.time() * 1000)
    with desk_of(tmp_path, name) as desk, Open311Client(desk.endpoint, KEY, profile) as client:
        assert all(isinstance(client.post(row), Filed) for row in rows)
        wanted = [rows[0].reference, "SCG-" + "0" * 32]
        seen = client.look("STREETLIGHT_OUT", wanted, now_ms, now_ms + 60_000)
    assert list(seen) == [rows[0].reference]


@pytest.mark.slow
def test_what_has_no_id_yet_is_not_taken_for_absent(tmp_path):
    """A desk that lists a request before it has a number."""
    profile = profile_of("chicago")
    row = rows_of("chicago")[0]
    now_ms = int(time.time() * 1000)
    with desk_of(tmp_path, "chicago") as desk:
        desk.misbehave(token_delay_s=600.0)
        with Open311Client(desk.endpoint, KEY, profile) as client:
            assert isinstance(client.post(row), Tokened)
            seen = client.look("STREETLIGHT_OUT", [row.reference], now_ms, now_ms)
    assert list(seen) == [row.reference]
    assert not isinstance(seen[row.reference], Found)


@pytest.mark.slow
def test_ten_calls_a_minute_are_kept_to(tmp_path):
    """The eleventh is not made at all, and nothing is lost by it."""
    profile = profile_of("boston")
    rows = [a_row(f"{n}", address=ADDRESS) for n in range(12)]
    with desk_of(tmp_path, "boston") as desk, Open311Client(desk.endpoint, KEY, profile) as client:
        outcomes = [client.post(row) for row in rows]
        stored = desk.stored()
    filed = [outcome for outcome in outcomes if isinstance(outcome, Filed)]
    waiting = [outcome for outcome in outcomes if isinstance(outcome, NotSent)]
    assert (len(filed), len(waiting)) == (8, 4)  # two calls went for the list and the definition
    assert len(stored) == 8
    assert all(outcome.retry_after_s > 0 for outcome in waiting)


def test_a_profile_takes_over_from_its_base_what_it_does_not_say(tmp_path):
    """Its services come on top of those of the base."""
    own = tmp_path / "ours.toml"
    own.write_text(
        'base = "chicago"\ntitle = "Ours"\n[listing]\nvisibility_s = 60\n'
        '[services.BIN_FULL]\ncode = "BIN"\n'
    )
    profile, base = read_profile(own), read_profile("chicago")
    assert (profile.title, profile.dates, profile.location) == ("Ours", base.dates, base.location)
    assert (profile.listing.visibility_s, profile.listing.rows_max) == (60, 500)
    assert set(profile.services) == {*base.services, "BIN_FULL"}


def test_a_base_that_is_not_there_is_told_with_those_that_are(tmp_path):
    """With its line."""
    own = tmp_path / "ours.toml"
    own.write_text('title = "Ours"\nbase = "chicaco"\n')
    with pytest.raises(ProfileError) as error:
        read_profile(own)
    (finding,) = error.value.findings
    assert (finding.line, finding.code) == (2, "E_BASE")
    assert "chicago" in finding.help
