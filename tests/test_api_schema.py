"""The interface keeps to its own document, whatever is sent: requests made from it, good and bad.

Real uvicorn on loopback, over books that the gateway's own core wrote. Deterministic.
"""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import checks
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks as openapi_checks
from staffed import Staffed, serving

from gateway import api
from gateway.staff.accounts import Accounts
from gateway.staff.people import Role

pytestmark = pytest.mark.slow

EXAMPLES = 12
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture
def staffed(tmp_path):
    found = Staffed(tmp_path)
    found.divert(found.references()[0])
    return found


def operations(client):
    document = client.get("/openapi.json").raise_for_status().json()
    schema = schemathesis.openapi.from_dict(document)
    return [one.ok() for one in schema.get_all_operations()]


def conform(url, session, operation, mode):
    """Every answer to cases of this kind is one that the document names; the statuses seen."""
    statuses = set()

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def each(case):
        case.headers = {**(case.headers or {}), **session.headers}
        case.cookies = {}
        answer = case.call(base_url=url, session=session)
        case.validate_response(answer, checks=CHECKS)
        statuses.add(answer.status_code)
        assert "canary" not in answer.text
        assert "argon2" not in answer.text
        if answer.status_code >= 400:
            assert set(answer.json()) == {"code", "text", "path", "hint"}

    each()
    return statuses


def everything(staffed, token):
    app = api.build(staffed.books, staffed.deeds(), Accounts(staffed.data), lambda _request: None)
    seen = {}
    with serving(app) as client, requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {token}"
        for operation in operations(client):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                statuses = conform(str(client.base_url), session, operation, mode)
                seen.setdefault((operation.method, operation.path), set()).update(statuses)
    return seen


def test_a_viewer_sees_documented_answers_and_changes_nothing(staffed):
    """Each good POST is refused and stands in the log so; books and files are as before."""
    books = "SELECT * FROM outbox", "SELECT * FROM orders", "SELECT * FROM incidents"
    before = [staffed.rows(query) for query in books]
    files = [path.read_bytes() for path in (staffed.assets, staffed.rule_file)]
    seen = everything(staffed, staffed.token(Role.VIEWER))
    assert [staffed.rows(query) for query in books] == before
    assert [path.read_bytes() for path in (staffed.assets, staffed.rule_file)] == files
    acted = {path: statuses for (method, path), statuses in seen.items() if method == "post"}
    assert len(acted) == 15
    assert all(403 in statuses for statuses in acted.values()), acted
    assert set().union(*acted.values()) <= {400, 403, 404, 405, 422, 429}
    assert {code for _, _, code in staffed.audit()} == {"not_allowed"}


def test_an_admin_sees_documented_answers(staffed):
    """Whatever is done, refused or misunderstood; and everything done stands in the log."""
    seen = everything(staffed, staffed.token(Role.ADMIN))
    looked = {path: statuses for (method, path), statuses in seen.items() if method == "get"}
    assert all(statuses & {200, 304, 404} for statuses in looked.values()), looked
    assert {200, 202, 404, 409, 422} <= set().union(*seen.values())
    orders = staffed.rows("SELECT count(*) AS n FROM orders")[0]["n"]
    entered = "SELECT count(*) AS n FROM audit WHERE order_id IS NOT NULL"
    assert staffed.rows(entered)[0]["n"] == orders


@pytest.mark.parametrize("token", ["", "s311_" + "A" * 43, "nonsense"])
def test_nobody_is_let_in_anywhere_without_a_good_token(staffed, token):
    """401 on every route, before anything else of the request is looked at."""
    app = api.build(staffed.books, staffed.deeds(), Accounts(staffed.data), lambda _request: None)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with serving(app) as client:
        for one in operations(client):
            path = one.path.format(number=1, reference="SCG-1", device="d", rule="r")
            answer = client.request(one.method.upper(), path, headers=headers, json={"a": 1})
            assert answer.status_code == 401, (path, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["code"] == ("token_unknown" if token else "token_missing")
    assert staffed.audit() == []
