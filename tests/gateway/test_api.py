"""The HTTP interface: who is let in, what is answered, and that it does what the deeds do."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import CANARY_KEY
from staffed import OPERATOR, VIEWER, Staffed, serving

from gateway import api
from gateway.api.acting import AT_ONCE_MAX
from gateway.staff.accounts import Accounts
from gateway.staff.people import Role
from gateway.watch.status import write_status

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000
ERROR = {"code", "text", "path", "hint"}


@pytest.fixture
def staffed(tmp_path):
    found = Staffed(tmp_path)
    found.divert(found.references()[0])
    return found


class Program:
    """A client with a token."""

    def __init__(self, client, token):
        self._client, self.token = client, token

    def get(self, path, **more):
        return self._client.get(path, headers=self._headers(), **more)

    def post(self, path, body=None, **more):
        body = {"json": {} if body is None else body} | more
        return self._client.post(path, headers=self._headers(), **body)

    def _headers(self):
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


@pytest.fixture
def client(staffed):
    """Nobody: no token. The session of a console is that of the header X-Session."""

    def who(request):
        return {"operator": OPERATOR, "viewer": VIEWER}.get(request.headers.get("x-session"))

    app = api.build(staffed.books, staffed.deeds(answer_s=1.5), Accounts(staffed.data), who)
    with serving(app) as client:
        yield client


@pytest.fixture
def program(staffed, client):
    """By role."""
    return lambda role: Program(client, staffed.token(role))


def refused(answer, status, code):
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert set(answer.json()) == ERROR
    assert answer.json()["code"] == code
    return answer.json()


# -- who is let in --------------------------------------------------------------------------------


def test_a_token_says_who_asks_and_what_they_may(program):
    """By its role."""
    viewer, admin = program(Role.VIEWER).get("/whoami"), program(Role.ADMIN).get("/whoami")
    assert viewer.json() == {"name": "token:viewer", "role": "viewer", "may": []}
    assert "stop_filing" in admin.json()["may"]


def test_a_token_that_is_unknown_expired_or_ended_is_told_apart(staffed, client, program):
    """With the way in, and without what was sent."""
    assert refused(client.get("/status"), 401, "token_missing")["hint"].startswith("Authorization")
    wrong = "s311_" + "x" * 43
    answer = Program(client, wrong).get("/status")
    refused(answer, 401, "token_unknown")
    assert wrong not in answer.text
    assert answer.headers["www-authenticate"] == 'Bearer realm="sense311", error="invalid_token"'
    old = program(Role.OPERATOR)
    staffed.clock.ms += 91 * DAY_MS
    refused(old.get("/status"), 401, "token_expired")
    fresh = Program(client, staffed.token(name="fresh"))
    assert fresh.get("/status").status_code == 200
    Accounts(staffed.data).end_token("fresh")
    refused(fresh.get("/status"), 401, "token_unknown")


@pytest.mark.parametrize(
    "header",
    ["Basic YTpi", "Bearer", "bearer x", "s311_abc", "Bearer a b", "Bearer \xff\xfe"],
)
def test_a_header_that_is_no_token_is_refused(client, header):
    """Whatever stands there."""
    answer = client.get("/status", headers={"Authorization": header.encode("latin-1")})
    assert answer.status_code == 401


def test_a_file_of_accounts_that_cannot_be_trusted_lets_nobody_in(staffed, program):
    """And says which command tells more, without where the file lies."""
    viewer = program(Role.VIEWER)
    (staffed.data / "accounts.json").chmod(0o644)
    answer = viewer.get("/status")
    refused(answer, 503, "unavailable")
    assert str(staffed.data) not in answer.text


def test_the_session_of_a_console_looks_and_never_acts(staffed, client):
    """What changes something is not done by what a browser sends along by itself."""
    session = {"X-Session": "operator"}
    assert client.get("/whoami", headers=session).json()["name"] == OPERATOR.name
    assert client.get("/audit", headers=session).status_code == 200
    refused(client.get("/audit", headers={"X-Session": "viewer"}), 403, "not_allowed")
    path = f"/requests/{staffed.references()[0]}/approve"
    refused(client.post(path, headers=session, json={}), 401, "token_missing")
    assert staffed.audit() == []


def test_a_token_goes_before_a_session(client):
    """A wrong one is not made good by a cookie."""
    headers = {"X-Session": "operator", "Authorization": "Bearer s311_" + "x" * 43}
    refused(client.get("/whoami", headers=headers), 401, "token_unknown")


# -- looking --------------------------------------------------------------------------------------


def test_incidents_come_in_pages(program):
    """`next` leads to the one behind, until there is none."""
    viewer, seen, after = program(Role.VIEWER), [], {}
    while True:
        page = viewer.get("/incidents", params={"limit": 4, "rule": "bin_full"} | after).json()
        seen += [row["id"] for row in page["incidents"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [3, 2, 1]


def test_an_incident_comes_with_its_request_and_its_evidence(staffed, program):
    """And its reference leads to the request."""
    viewer = program(Role.VIEWER)
    incident = viewer.get("/incidents/1").json()
    assert incident["evidence"]["facts"]["what"].startswith("Bin B-0")
    assert incident["whole_request"]["state"] == "review"
    assert viewer.get("/incidents/1?evidence=false").json()["evidence"] is None
    request = viewer.get(f"/requests/{incident['request']['reference']}").json()
    assert request["possible"] == ["approve", "link"]
    assert request["deliveries"][0]["event"] == "diverted"


def test_assets_are_geojson_by_kind_zone_state_and_box(program):
    """Each with how it is."""
    viewer = program(Role.VIEWER)

    def found(**wanted):
        answer = viewer.get("/assets", params=wanted).raise_for_status().json()
        assert answer["type"] == "FeatureCollection"
        return [feature["id"] for feature in answer["features"]]

    assert len(found()) == 10
    assert found(state="waiting") == ["B-0"]
    assert found(state="fault", zone="south") == ["B-1"]
    assert found(kind="streetlight") == []
    assert found(bbox="-87.6285,41,-87.6265,42") == ["B-2", "B-3"]
    assert found(bbox="179,-90,-179,90") == []
    assert viewer.get("/assets?limit=3").json()["found"] == 10
    for box in ("1,2,3", "a,b,c,d", "0,50,1,40", "0,0,181,1", "1,nan,2,3"):
        refused(viewer.get("/assets", params={"bbox": box}), 422, "invalid")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/incidents?limt=3", "query.limt"),
        ("/incidents?limit=0", "query.limit"),
        ("/incidents?limit=501", "query.limit"),
        ("/incidents?state=nonsense", "query.state"),
        ("/incidents?after=" + "9" * 30, "query.after"),
        ("/incidents?zone=a%00b", "query.zone"),
        ("/incidents?search=" + "x" * 201, "query.search"),
        ("/incidents?open=perhaps", "query.open"),
        ("/incidents?hours=nan", "query.hours"),
        ("/incidents/" + "9" * 30, "path.number"),
        ("/incidents/0", "path.number"),
        ("/incidents/one", "path.number"),
        ("/requests/SCG%0A", "path.reference"),
        ("/devices?page=0", "query.page"),
        ("/planning?days=366", "query.days"),
        ("/audit?before=-1", "query.before"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(program, path, place):
    """A misspelt filter never means all."""
    assert refused(program(Role.ADMIN).get(path), 422, "invalid")["path"].startswith(place)


@pytest.mark.parametrize(
    "path",
    [
        "/incidents/99", "/requests/SCG-none", "/rules/nothing", "/devices/nobody", "/nothing",
        "/incidents/", "/requests/%2e%2e%2f%2e%2e", "/city/asset?id=nothing", "/docs", "/redoc",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(program, path):
    """In the one form of errors."""
    refused(program(Role.VIEWER).get(path), 404, "not_found")


def test_another_method_is_refused_with_those_there_are(program, client):
    """405, with Allow."""
    answer = client.delete("/incidents/1")
    refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET"
    refused(program(Role.ADMIN).get("/rules/reload/x"), 404, "not_found")


@pytest.mark.parametrize("query", ["%ff%fe", "%ed%a0%80", "%", "a=%zz", "search=%F0%9F%92%A9"])
def test_odd_bytes_in_a_query_are_survived(program, query):
    """Refused, or found nowhere."""
    assert program(Role.VIEWER).get(f"/incidents?search={query}").status_code in (200, 422)


def test_without_books_every_route_says_that_there_are_none(staffed, program):
    """503, and not where they should lie."""
    viewer = program(Role.VIEWER)
    assert viewer.get("/incidents").status_code == 200
    for path in staffed.data.glob("sense311.db*"):
        path.unlink()
    answer = viewer.get("/incidents")
    assert "has the gateway run" in refused(answer, 503, "unavailable")["hint"]
    assert str(staffed.data) not in answer.text


# -- acting ---------------------------------------------------------------------------------------


def deeds_over_http(staffed):
    first = staffed.references()[0]
    window = {"since": "2026-01-15T22:00:00-06:00", "lasts_s": 60, "assets": ["B-1"]}
    return {
        f"/requests/{first}/approve": (Role.OPERATOR, {}),
        f"/requests/{staffed.references()[1]}/hold": (Role.OPERATOR, {"why": "w"}),
        f"/requests/{first}/retry": (Role.OPERATOR, {}),
        "/incidents/1/link": (Role.OPERATOR, {"why": "w", "request_id": "7"}),
        "/incidents/3/merge": (Role.OPERATOR, {"why": "w", "into": 2}),
        "/incidents/3/split": (Role.OPERATOR, {"why": "w"}),
        "/incidents/3/reopen": (Role.OPERATOR, {"why": "w"}),
        "/silences": (Role.OPERATOR, {"why": "w"} | window),
        "/silences/1/end": (Role.OPERATOR, {"why": "w"}),
        "/filing/stop": (Role.ADMIN, {"why": "w"}),
        "/filing/resume": (Role.ADMIN, {"why": "w"}),
        "/devices/stranger-7/adopt": (Role.OPERATOR, {"asset_id": "B-7"}),
        "/rules/reload": (Role.ADMIN, {}),
        "/rules/slow_bin/promote": (Role.ADMIN, {"why": "w"}),
        "/rules/slow_bin/shadow": (Role.ADMIN, {"why": "w"}),
    }


def test_each_deed_is_for_its_role(staffed, client, program):
    """Every one, by every role; and no route that acts is left out of this table."""
    programs = {role: program(role) for role in Role}
    deeds = deeds_over_http(staffed)
    for path, (needed, body) in deeds.items():
        for role, asker in programs.items():
            answer = asker.post(path, body)
            may = list(Role).index(role) >= list(Role).index(needed)
            assert (answer.status_code != 403) == may, (path, role, answer.text)
            assert answer.status_code in (200, 202, 403, 404, 409), (path, role, answer.text)
    document = client.get("/openapi.json").json()
    assert len(deeds) == sum("post" in one for one in document["paths"].values())
    assert len(staffed.audit()) == 3 * len(deeds)


def test_a_request_is_approved_once(staffed, program):
    """The second time the state of things does not allow it."""
    operator, path = program(Role.OPERATOR), f"/requests/{staffed.references()[0]}/approve"
    assert operator.post(path, {"why": "seen"}).json()["told"]["state"] == "ready"
    assert "does not wait for approval" in refused(operator.post(path), 409, "refused")["text"]


def test_of_programs_that_approve_at_once_one_is_told_that_it_did(staffed, program):
    """The others hear 409."""
    operator, path = program(Role.OPERATOR), f"/requests/{staffed.references()[0]}/approve"
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: operator.post(path), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 5


def test_what_the_gateway_has_not_carried_out_is_accepted(staffed, program):
    """202, and the log has its answer later."""
    operator = program(Role.OPERATOR)
    answer = operator.post("/incidents/2/merge", {"into": 1, "why": "one bin"})
    assert (answer.status_code, answer.json()["code"]) == (202, "waiting")
    staffed.carry_out()
    (entry,) = operator.get("/audit", params={"deed": "merge"}).json()["entries"]
    assert (entry["code"], entry["who"], entry["via"]) == ("done", "token:operator", "api")


def test_so_many_deeds_wait_at_once_that_others_can_look(staffed, program):
    """The ones beyond are told to come again; those who look are answered meanwhile."""
    status = {"at_ms": staffed.clock.ms, "state": "green", "problem": ""}
    write_status(staffed.data, status)  # of a gateway that does not answer
    operator, viewer = program(Role.OPERATOR), program(Role.VIEWER)
    body, start = {"into": 1, "why": "w"}, threading.Barrier(AT_ONCE_MAX + 4)

    def merge(_number):
        start.wait()
        return operator.post("/incidents/2/merge", body)

    with ThreadPoolExecutor(AT_ONCE_MAX + 4) as pool:
        answers = pool.map(merge, range(AT_ONCE_MAX + 4))
        assert viewer.get("/whoami").status_code == 200
        found = list(answers)
    assert sorted(answer.status_code for answer in found) == [202] * AT_ONCE_MAX + [429] * 4
    assert all(int(one.headers["retry-after"]) > 0 for one in found if one.status_code == 429)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "body.why"),
        ({"why": ""}, "body.why"),
        ({"why": "x" * 501}, "body.why"),
        ({"why": "a\x00b"}, "body.why"),
        ({"why": 3}, "body.why"),
        ({"why": None}, "body.why"),
        ({"why": "w", "more": 1}, "body.more"),
        ([], "body"),
        ("why", "body"),
        (None, "body"),
    ],
)
def test_a_body_that_is_not_what_is_asked_for_is_refused(staffed, program, body, place):
    """With its place; nothing is done and nothing logged."""
    content = json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    operator = program(Role.OPERATOR)
    answer = operator._client.post(
        "/incidents/1/split", content=content, headers=operator._headers() | headers
    )
    assert refused(answer, 422, "invalid")["path"].startswith(place)
    assert staffed.audit() == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b'{"why": "\\ud800"}', b'{"why": NaN}', b"[" * 100_000,
     b'{"why": ' + b"9" * 5000 + b"}", b'{"why": "a", "why": "b"'],
)  # fmt: skip
def test_a_body_that_is_no_json_is_refused(staffed, program, content):
    """400 or 422, never a fault of ours."""
    operator = program(Role.OPERATOR)
    headers = operator._headers() | {"content-type": "application/json"}
    answer = operator._client.post("/incidents/1/split", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == ERROR
    assert staffed.audit() == []


@pytest.mark.parametrize(
    "change",
    [
        {"since": "2026-02-30T00:00:00Z"}, {"since": "2026-01-15T22:00:00"}, {"lasts_s": 0},
        {"lasts_s": 10**12}, {"repeat": "FREQ=DAILY;INTERVAL=0"}, {"time_zone": "Mars"},
        {"assets": [], "zones": []}, {"assets": ["x"] * 1001}, {"within": [[1, 2], [3, 4]]},
        {"within": [[91, 0], [1, 1], [2, 2]]}, {"since": "2222-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_a_window_that_cannot_be_is_refused(staffed, program, change):
    """No order reaches the gateway."""
    window = {"since": "2026-01-15T22:00:00Z", "lasts_s": 60, "assets": ["B-1"], "why": "w"}
    refused(program(Role.OPERATOR).post("/silences", window | change), 422, "invalid")
    assert staffed.rows("SELECT * FROM orders") == []


def test_a_window_begins_on_the_clocks_of_the_city_unless_it_names_others(staffed, program):
    """And carries the name of the program."""
    window = {"since": "2026-01-15T22:00:00-06:00", "lasts_s": 60, "assets": ["B-1"], "why": "w"}
    operator = program(Role.OPERATOR)
    for more in ({}, {"time_zone": "America/Chicago"}):
        assert operator.post("/silences", window | more).status_code == 202
    staffed.carry_out()
    shown = operator.get("/silences").json()["silences"]
    city = staffed.books.plans().profile.timezone
    assert [one["time_zone"] for one in shown] == ["America/Chicago", city]
    assert {(one["who"], one["since"]) for one in shown} == {
        ("token:operator", "2026-01-16T04:00:00Z")
    }


# -- the document, and what is never told ---------------------------------------------------------


def test_every_route_is_documented_with_its_errors_and_who_may_ask(client):
    """One form of errors, and no form of FastAPI's own."""
    document = client.get("/openapi.json").json()
    assert "HTTPValidationError" not in json.dumps(document)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], path
            assert operation["description"], path
            assert operation["security"], path
            assert ({"session": []} in operation["security"]) == (method == "get")
            answers = operation["responses"]
            assert {"400", "401", "404", "422", "503"} <= set(answers)
            assert ({"202", "403", "409", "429"} <= set(answers)) == (method == "post")
            for status, answer in answers.items():
                if int(status) >= 400:
                    (form,) = answer["content"].values()
                    assert form["schema"] == {"$ref": "#/components/schemas/ErrorView"}


def test_no_key_token_or_hash_is_ever_told(staffed, client, program, caplog):
    """In no answer and in no line of a log."""
    tokens = {role: program(role) for role in Role}
    secrets = [asker.token for asker in tokens.values()] + [CANARY_KEY, "argon2", "sha256"]
    accounts = json.loads((staffed.data / "accounts.json").read_text())
    secrets += [one["sha256"] for one in accounts["tokens"].values()]
    told: list[Any] = []
    paths = list(client.get("/openapi.json").json()["paths"])
    filled = {
        "number": 1,
        "reference": staffed.references()[0],
        "device": "bin-1",
        "rule": "bin_full",
    }
    told += [tokens[Role.ADMIN].get(path.format(**filled)) for path in paths]
    told += [tokens[Role.ADMIN].post(p, b) for p, (_, b) in deeds_over_http(staffed).items()]
    told += [tokens[Role.OPERATOR].get("/audit"), Program(client, secrets[0] + "x").get("/status")]
    for answer in told:
        words = answer.text + str(answer.headers)
        assert not [secret for secret in secrets if secret in words], answer.url
    assert not [secret for secret in secrets[:3] if secret in caplog.text]
