"""What is said of a request later on: mySociety's updates, read and posted on a real desk."""

from xml.etree import ElementTree as ET

import httpx
import pytest
from test_desk import KEY, running

pytestmark = pytest.mark.slow
CALL = "/open311/v2/servicerequestupdates"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with running(tmp_path_factory.mktemp("desk")) as running_desk:
        yield running_desk


def say(desk, request_id, fmt="json", **changes):
    form = {
        "api_key": KEY, "service_request_id": request_id, "update_id": f"u-{request_id}",
        "status": "FIXED", "updated_datetime": "2026-01-15T20:05:00Z",
        "description": "The lamp burns again.",
    }  # fmt: skip
    return desk.client.post(f"{CALL}.{fmt}", data=form | changes)


def listed(desk, **query):
    return desk.client.get(f"{CALL}.json", params=query).raise_for_status().json()


def filed(desk):
    return desk.file().json()[0]["service_request_id"]


@pytest.mark.parametrize("fmt", ["json", "xml"])
def test_an_update_is_taken_and_listed(desk, fmt):
    """In both formats, with all that was said; the request itself stays as it is."""
    request_id = filed(desk)
    response = say(desk, request_id, fmt)
    assert response.status_code == 200
    query = {"start_date": "2026-01-15T20:05:00Z", "end_date": "2026-01-15T20:05:00Z"}
    (row,) = [row for row in listed(desk, **query) if row["service_request_id"] == request_id]
    assert (row["status"], row["description"]) == ("FIXED", "The lamp burns again.")
    assert row["updated_datetime"] == "2026-01-15T20:05:00Z"
    root = ET.fromstring(desk.client.get(f"{CALL}.xml", params=query).content)
    assert (root.tag, {child.tag for child in root}) == (
        "service_request_updates", {"request_update"},
    )  # fmt: skip
    assert desk.get(f"requests/{request_id}.json").json()[0]["status"] == "open"


def test_the_same_update_again_is_refused_and_counts_once(desk):
    """Its id is the client's own, so that an answer may be lost."""
    request_id = filed(desk)
    first, again = say(desk, request_id), say(desk, request_id)
    assert (first.status_code, again.status_code) == (200, 400)
    assert "already exists" in again.json()[0]["description"]
    rows = listed(desk, start_date="2026-01-15T20:05:00Z", end_date="2026-01-15T20:05:00Z")
    assert len([row for row in rows if row["service_request_id"] == request_id]) == 1


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"api_key": "wrong"}, 403, "api_key"),
        ({"service_request_id": "none"}, 404, "service_request_id was not found"),
        ({"status": "GONE"}, 400, "status must be one of"),
        ({"updated_datetime": "today"}, 400, "updated_datetime must be a time"),
        ({"description": ""}, 400, "description was not provided"),
        ({"update_id": ""}, 400, "update_id was not provided"),
    ],
)
def test_an_update_that_cannot_be_taken_says_why(desk, changes, status, words):
    """With a code and a description, as the standard has errors."""
    response = say(desk, filed(desk), **changes)
    assert response.status_code == status
    assert words in response.json()[0]["description"]


def test_what_the_city_closes_is_told_to_those_who_ask_for_updates(desk):
    """Now, by default in the last 90 days."""
    request_id = filed(desk)
    bearer = {"Authorization": f"Bearer {KEY}"}
    desk.client.post(f"/desk/close/{request_id}", json={"notes": "Done."}, headers=bearer)
    (row,) = [row for row in listed(desk) if row["service_request_id"] == request_id]
    assert (row["status"], row["description"]) == ("CLOSED", "Done.")


def test_times_that_are_none_are_refused(desk):
    """Not taken for no filter at all."""
    with pytest.raises(httpx.HTTPStatusError):
        listed(desk, start_date="yesterday")
