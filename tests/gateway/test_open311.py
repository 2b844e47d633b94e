"""The GeoReport v2 client and the city profile: what is written, and how every answer is read."""

import gzip
import json
import logging
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from delivery import KEY, T0_MS, a_row, running_desk
from hypothesis import given
from hypothesis import strategies as st

from gateway.cityhall.delivery import (
    CannotTell,
    Cause,
    Filed,
    Found,
    NotSent,
    Refused,
    Tokened,
    TokenResolved,
    Unknown,
)
from gateway.cityhall.georeport_form import DESCRIPTION_CHARS_MAX, tagged, write_form
from gateway.cityhall.georeport_http import EndpointError, Timeouts, check_endpoint
from gateway.cityhall.georeport_read import (
    Unreadable,
    errors_of,
    named_by_refusal,
    read_listing,
    read_records,
    sightings,
)
from gateway.cityhall.open311 import ANSWER_BYTES_MAX, PAGES_MAX, Open311Client
from gateway.cityhall.profile import Profile, ProfileError, Wire, built_in_profiles, read_profile

DESK = read_profile("desk")
REF = a_row().reference
QUICK = Timeouts(connect_s=0.5, read_s=0.4, write_s=0.5, total_s=0.8)


def a_profile(**more):
    lamp = {"code": "A:b & c/d", "attributes": {"asset": "{asset_id}", "ref": "{reference}"}}
    base = {"title": "t", "definitions": False, "services": {"STREETLIGHT_OUT": lamp}}
    return Profile.model_validate(base | more)


def http(body="", status="200 OK", headers=""):
    raw = body if isinstance(body, bytes) else body.encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(raw)}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + raw


class ScriptedDesk:
    """Answers each connection with the next of some raw bytes, and keeps what was asked."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.asked = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v2"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line:
                line.settimeout(5)
                self._answer(line)

    def _answer(self, line):
        raw = b""
        while b"\r\n\r\n" not in raw and (more := line.recv(65536)):
            raw += more
        head, _, body = raw.partition(b"\r\n\r\n")
        length = [
            int(h[15:]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")
        ]
        while length and len(body) < length[0] and (more := line.recv(65536)):
            body += more
        self.asked.append((head.decode("latin-1"), body.decode("latin-1")))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer(line)
        else:
            line.sendall(answer)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


@contextmanager
def scripted(*answers, profile=None, timeouts=QUICK):
    desk = ScriptedDesk(answers)
    try:
        with Open311Client(desk.endpoint, KEY, profile or a_profile(), timeouts) as client:
            yield desk, client
    finally:
        desk.close()


def silent(line):
    time.sleep(0.6)


def dripping(line):
    line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[")
    try:
        for _ in range(30):
            time.sleep(0.1)
            line.sendall(b" ")
    except OSError:
        return


def hanging_up(line):
    line.shutdown(socket.SHUT_RDWR)


GOOD = '[{"service_request_id":"638344","service_notice":"thanks"}]'
ERROR = '[{"code":400,"description":"lat is missing"}]'
POSTS = {
    "an id": (http(GOOD, "201 Created"), Filed("638344")),
    "a number for an id": (http('[{"service_request_id":638344}]'), Filed("638344")),
    "zero is an id": (http('[{"service_request_id":0}]'), Filed("0")),
    "leading zeros stay": (http('[{"service_request_id":"0012"}]'), Filed("0012")),
    "wrapped": (http('{"service_requests":[{"service_request_id":"5"}]}'), Filed("5")),
    "a record for a list": (http('{"service_request_id":"5"}'), Filed("5")),
    "id and token": (http('[{"service_request_id":"5","token":"t"}]'), Filed("5")),
    "a token": (http('[{"token":"4f3","service_request_id":""}]'), Tokened("4f3")),
    "empty id": (http('[{"service_request_id":""}]'), Cause.NO_ID),
    "two ids": (http('[{"service_request_id":1},{"service_request_id":2}]'), Cause.NO_ID),
    "true for an id": (http('[{"service_request_id":true}]'), Cause.NO_ID),
    "an endless id": (http(json.dumps([{"service_request_id": "9" * 500}])), Cause.NO_ID),
    "an empty list": (http("[]"), Cause.NO_ID),
    "an empty body": (http(""), Cause.UNREADABLE),
    "a page": (http("<html>Thank you</html>"), Cause.UNREADABLE),
    "200 with an error": (http(ERROR), Cause.UNREADABLE),
    "too deep": (http("[" * 5_000 + "]" * 5_000), Cause.UNREADABLE),
    "not UTF-8": (http(b'[{"service_request_id":"\xff"}]'), Cause.UNREADABLE),
    "too large": (http(b" " * (ANSWER_BYTES_MAX + 1)), Cause.UNREADABLE),
    "compressed": (
        http(gzip.compress(GOOD.encode()), headers="Content-Encoding: gzip\r\n"),
        Cause.UNREADABLE,
    ),
    "a redirect": (http("", "302 Found", "Location: http://127.0.0.1:1/\r\n"), Cause.UNREADABLE),
    "400 in the standard's words": (http(ERROR, "400 Bad Request"), Refused),
    "403 in the standard's words": (http('[{"code":"403","description":"key"}]', "403 F"), Refused),
    "404 in XML from a JSON desk": (
        http(
            "<errors><error><code>404</code><description>x</description></error></errors>", "404 N"
        ),
        Refused,
    ),
    "404 of some proxy": (http("<h1>not here</h1>", "404 Not Found"), Cause.UNREADABLE),
    "409 may mean that it exists": (http(ERROR, "409 Conflict"), Cause.UNREADABLE),
    "429": (http("", "429 Slow", "Retry-After: 7\r\n"), NotSent(Cause.THROTTLED, "", 7.0)),
    "429 with a date": (
        http(
            "",
            "429 Slow",
            "Date: Wed, 21 Oct 2026 07:28:00 GMT\r\nRetry-After: Wed, 21 Oct 2026 07:28:30 GMT\r\n",
        ),
        NotSent(Cause.THROTTLED, "", 30.0),
    ),
    "500": (http("oops", "500 Internal Server Error"), Cause.SERVER_ERROR),
    "503 with patience": (http("", "503 Busy", "Retry-After: 7\r\n"), Cause.SERVER_ERROR),
    "nothing at all": (hanging_up, Cause.DROPPED),
    "half an answer": (b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\n[{", Cause.DROPPED),
    "no HTTP": (b"220 mail.example ESMTP\r\n", Cause.DROPPED),
    "silence": (silent, Cause.TIMEOUT),
    "an answer that drips for ever": (dripping, Cause.TIMEOUT),
}


@pytest.mark.parametrize("case", POSTS)
def test_each_answer_to_a_post_has_one_meaning(case):
    """After the first byte, only a clear yes, a clear no or a clear later is not unknown."""
    answer, expected = POSTS[case]
    with scripted(answer) as (_, client):
        outcome = client.post(a_row())
    if isinstance(expected, Cause):
        assert isinstance(outcome, Unknown), outcome
        assert outcome.cause is expected
    elif isinstance(expected, type):
        assert isinstance(outcome, expected), outcome
    else:
        blank = replace(outcome, reason="") if isinstance(outcome, NotSent) else outcome
        assert blank == expected


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_desk_that_cannot_be_reached_was_surely_sent_nothing(scheme):
    """Connection refused and failed TLS alike: no byte of the request left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        if scheme == "http":
            listener.close()
        else:
            speaks_no_tls = threading.Thread(target=_answer_in_plain_text, args=(listener,))
            speaks_no_tls.start()
        with Open311Client(f"{scheme}://127.0.0.1:{port}", KEY, a_profile(), QUICK) as client:
            outcome = client.post(a_row())
        if scheme == "https":
            speaks_no_tls.join(5)
    assert isinstance(outcome, NotSent)
    assert outcome.cause is Cause.UNREACHABLE


def _answer_in_plain_text(listener):
    line, _ = listener.accept()
    with line:
        line.recv(4096)
        line.sendall(http("plain"))


def test_a_service_that_never_gives_ids_counts_as_filed_when_it_says_yes():
    """Blackbox: an empty good answer is all there will ever be."""
    lamp = {"code": "A", "kind": "blackbox"}
    with scripted(http("[]"), profile=a_profile(services={"STREETLIGHT_OUT": lamp})) as (_, client):
        assert client.post(a_row()) == Filed(None)


def test_what_is_posted():
    """Standard fields, the profile's attributes, the tag, the key in the body alone."""
    profile = a_profile(jurisdiction_id="city.example", fields={"account_id": "{reference}"})
    with scripted(http(GOOD), profile=profile) as (desk, client):
        client.post(a_row(address="1 Main St & 2nd\x00"))
    head, body = desk.asked[0]
    assert head.startswith("POST /v2/requests.json HTTP/1.1")
    assert f"idempotency-key: {REF}" in head.lower().replace(REF.lower(), REF)
    assert KEY not in head
    assert dict(parse_qsl(body)) == {
        "api_key": KEY,
        "jurisdiction_id": "city.example",
        "service_code": "A:b & c/d",
        "lat": "41.8807000",
        "long": "-87.6301000",
        "address_string": "1 Main St & 2nd ",
        "description": f"The lamp draws no power at night. [{REF}]",
        "account_id": REF,
        "attribute[asset]": "L-0042",
        "attribute[ref]": REF,
    }


@pytest.mark.parametrize(
    ("dates", "text"),
    [
        ("zulu", "2026-01-15T18:00:00Z"),
        ("offset", "2026-01-15T18:00:00+00:00"),
        ("naive", "2026-01-15T12:00:00"),
    ],
)
def test_times_are_written_in_the_style_of_the_desk(dates, text):
    """Some cities misread a zone, so they get their own local time without one."""
    lamp = {"code": "A", "attributes": {"at": ["{observed_at}"], "gone": "x{extra.no}"}}
    profile = a_profile(dates=dates, timezone="America/Chicago", services={"STREETLIGHT_OUT": lamp})
    form = write_form(a_row(), profile)
    assert ("attribute[at][]", text) in form
    assert not any("gone" in name for name, _ in form), "a hole without a value leaves it out"


def test_what_the_city_cannot_be_asked_is_refused_with_the_reason():
    """It has no code for the service."""
    unmapped = write_form(a_row(service="NOISE"), a_profile())
    assert isinstance(unmapped, Refused)
    assert "NOISE" in unmapped.reason


def test_a_city_that_demands_an_address_gets_the_coordinates_where_none_is_known():
    """A pothole has no address, and is not to be lost for it."""
    profile = a_profile(location=["coordinates", "address"])
    assert dict(write_form(a_row(), profile))["address_string"] == "41.880700, -87.630100"
    assert dict(write_form(a_row(address="1 Elm St"), profile))["address_string"] == "1 Elm St"
    assert "address_string" not in dict(write_form(a_row(), a_profile()))


def test_a_profile_may_name_what_the_asset_file_says():
    """`{asset.circuit}`; what the file does not say leaves the field out."""
    profile = a_profile(fields={"account_id": "{asset.circuit}", "phone": "{asset.owner}"})
    form = dict(write_form(a_row(extra={"circuit": "C12"}), profile))
    assert form["account_id"] == "C12"
    assert "phone" not in form


@given(st.text(max_size=5_000))
def test_the_tag_survives_any_description(description):
    """At most 4000 characters, the tag whole at the end, nothing that cannot be encoded."""
    text = tagged(description, REF)
    assert len(text) <= DESCRIPTION_CHARS_MAX
    assert text.endswith(f"[{REF}]")
    text.encode()


def listing(*references, number=1):
    rows = [
        {"service_request_id": str(number + n), "description": f"dark [{reference}]"}
        for n, reference in enumerate(references)
    ]
    return http(json.dumps(rows))


def others(count, start=0):
    return [f"SCG-{n:032x}" for n in range(start, start + count)]


PAGED = {"page_parameter": "page", "page_size_parameter": "page_size", "rows_max": 30}
LOOKS = {
    "found": ({}, [listing("x", REF)], Found("2")),
    "found in lower case": ({}, [listing(REF.lower())], Found("1")),
    "absent from an empty list": ({}, [http("[]")], None),
    "absent from a list": ({}, [listing("x")], None),
    "found in an attribute": (
        {},
        [http(json.dumps([{"service_request_id": 3, "attributes": [{"value": REF}]}]))],
        Found("3"),
    ),
    "found by token": ({}, [http(json.dumps([{"token": "t", "notes": REF}]))], Tokened("t")),
    "listed without an id": (
        {},
        [http(json.dumps([{"service_code": "A", "description": REF}]))],
        Cause.NO_ID,
    ),
    "a list that may be cut off": ({"rows_max": 30}, [listing(*others(30))], Cause.INCOMPLETE),
    "found in a list that may be cut off": (
        {"rows_max": 30},
        [listing(*others(29), REF)],
        Found("30"),
    ),
    "on the second page": (PAGED, [listing(*others(30)), listing(REF), http("[]")], Found("1")),
    "on no page": (PAGED, [listing(*others(30)), listing(*others(3, 50)), http("[]")], None),
    "a pager stuck on its last page": (
        PAGED,
        [listing(*others(30)), listing(*others(3, 50)), listing(*others(3, 50))],
        None,
    ),
    "a pager that does not page": (PAGED, [listing(*others(30))], Cause.INCOMPLETE),
    "a short list that is not paged": (PAGED, [listing(*others(3))], None),
    "a page that fails": (PAGED, [listing(*others(30)), http("", "500 x")], Cause.SERVER_ERROR),
    "an error with status 200": ({}, [http(ERROR)], Cause.UNREADABLE),
    "an error without words": ({}, [http('[{"code":500,"description":""}]')], Cause.UNREADABLE),
    "null": ({}, [http("null")], Cause.UNREADABLE),
    "a page of HTML": ({}, [http("<html/>")], Cause.UNREADABLE),
    "a list of words": ({}, [http('["nothing here"]')], Cause.UNREADABLE),
    "throttled": ({}, [http("", "429 x", "Retry-After: 9\r\n")], Cause.THROTTLED),
    "404": ({}, [http("[]", "404 x")], Cause.UNREADABLE),
    "dropped": ({}, [hanging_up], Cause.DROPPED),
}


@pytest.mark.parametrize("case", LOOKS)
def test_a_reference_is_absent_only_from_a_list_that_was_read_to_its_end(case):
    """What was not understood or not read in full is never taken for absence."""
    settings, answers, expected = LOOKS[case]
    with scripted(*answers, profile=a_profile(listing=settings)) as (_, client):
        seen = client.look("STREETLIGHT_OUT", [REF], T0_MS, T0_MS)
    if isinstance(expected, Cause):
        assert isinstance(seen[REF], CannotTell), seen
        assert seen[REF].cause is expected
    else:
        assert seen == ({} if expected is None else {REF: expected})


def test_an_endless_list_proves_nothing():
    """A pager that always has one more page is left after a bounded number of them."""
    pages = [listing(other) for other in others(PAGES_MAX + 1)]
    with scripted(*pages, profile=a_profile(listing=PAGED)) as (desk, client):
        seen = client.look("STREETLIGHT_OUT", [REF], T0_MS, T0_MS)
    assert seen[REF].cause is Cause.INCOMPLETE
    assert len(desk.asked) == PAGES_MAX


def test_a_look_asks_for_the_service_and_a_window_with_room_for_wrong_clocks():
    """Dates on both sides by the skew; more than 90 days in several queries."""
    with scripted(http("[]"), profile=a_profile(listing={"skew_s": 3600})) as (desk, client):
        client.look("STREETLIGHT_OUT", [REF], T0_MS, T0_MS)
        client.look("STREETLIGHT_OUT", [REF], T0_MS, T0_MS + 100 * 86_400_000)
    queries = [parse_qs(urlsplit(head.split(" ")[1]).query) for head, _ in desk.asked]
    assert queries[0] == {
        "start_date": ["2026-01-15T17:00:00Z"],
        "end_date": ["2026-01-15T19:00:00Z"],
        "service_code": ["A:b & c/d"],
    }
    assert queries[1]["end_date"] == queries[2]["start_date"]
    assert len(queries) == 3


@pytest.mark.parametrize("code", ["a,b"])
def test_a_code_with_a_comma_is_not_used_as_a_filter(code):
    """It would be read as two codes, and the list would show neither."""
    profile = a_profile(services={"STREETLIGHT_OUT": {"code": code}})
    with scripted(http("[]"), profile=profile) as (desk, client):
        client.look("STREETLIGHT_OUT", [REF], T0_MS, T0_MS)
    assert "service_code" not in desk.asked[0][0]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (http('[{"token":"a/b","service_request_id":"9"}]'), TokenResolved("9")),
        (http('[{"service_request_id":"9"}]'), TokenResolved("9")),
        (http('[{"token":"a/b"}]'), Cause.PENDING),
        (http('[{"token":"other","service_request_id":"9"}]'), Cause.PENDING),
        (http('[{"code":404,"description":"not yet"}]', "404 x"), Cause.UNREADABLE),
        (http("", "503 x"), Cause.SERVER_ERROR),
    ],
)
def test_a_token_is_resolved_by_its_own_id_only(answer, expected):
    """Anything else is asked again later."""
    with scripted(answer) as (desk, client):
        outcome = client.token("a/b")
    assert desk.asked[0][0].startswith("GET /v2/tokens/a%2Fb.json ")
    assert (outcome.cause if isinstance(outcome, CannotTell) else outcome) == expected


def test_the_key_is_in_no_text_that_leaves_the_client(caplog):
    """Not even when the city writes it back, plain or escaped."""
    caplog.set_level(logging.DEBUG)
    key = "canary key/9"
    words = "bad key canary key/9 or canary%20key%2F9 or canary+key%2F9"
    body = json.dumps([{"code": 403, "description": words}])
    desk = ScriptedDesk([http(body, "403 x"), http(body, "500 x"), hanging_up])
    try:
        with Open311Client(desk.endpoint, key, a_profile(), QUICK) as client:
            outcomes = [client.post(a_row()) for _ in range(3)]
            texts = repr(outcomes) + repr(client) + caplog.text
    finally:
        desk.close()
    assert "***" in outcomes[0].reason
    assert "canary" not in texts


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://311.example/v2",
        "https://user:secret@311.example/v2",
        "https://311.example/v2?key=secret",
        "https://311.example/#secret",
        "ftp://127.0.0.1/",
        "https://",
        "https://[::1/",
        "https://h:99999/",
        "secret",
    ],
)
def test_an_address_that_is_not_safe_is_refused_without_repeating_it(endpoint):
    """Plain http only on loopback; no credentials; an address may hold a secret by mistake."""
    with pytest.raises(EndpointError) as refusal:
        check_endpoint(endpoint)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "endpoint",
    ["https://311.example/v2/", "http://127.0.0.1:8/v2", "http://[::1]:8", "http://localhost:8"],
)
def test_an_address_that_is_safe_is_taken(endpoint):
    """Without its last slash."""
    assert check_endpoint(endpoint) == endpoint.rstrip("/")


XML_LISTS = [
    ("<service_requests/>", []),
    ('<service-requests type="array"></service-requests>', []),
    (
        "<service_requests><r><service_request_id>5</service_request_id></r></service_requests>",
        [{"service_request_id": "5"}],
    ),
    (
        '<requests xmlns="urn:x"><r><token>t</token><service_request_id/></r></requests>',
        [{"token": "t", "service_request_id": ""}],
    ),
]
XML_NOT_LISTS = [
    "<service_requests>none today</service_requests>",
    "<service_requests><request/></service_requests>",
    "<errors><error><code>500</code><description/></error></errors>",
    "<errors/>",
    "<html><body><p>down</p></body></html>",
    "<!DOCTYPE service_requests []><service_requests/>",
    '<!DOCTYPE x [<!ENTITY a "b">]><service_requests>&a;</service_requests>',
    "<service_requests>" + "<a>" * 500 + "</a>" * 500 + "</service_requests>",
    "<service_requests>",
    "",
]


@pytest.mark.parametrize(("text", "records"), XML_LISTS)
def test_lists_in_xml(text, records):
    """Of none, of one, with a namespace, with a type."""
    assert read_listing(text.encode(), Wire.XML) == records


@pytest.mark.parametrize("text", XML_NOT_LISTS)
def test_what_is_no_list_in_xml_is_never_an_empty_list(text):
    """Messages, errors, entities, broken and bottomless documents."""
    assert isinstance(read_listing(text.encode(), Wire.XML), Unreadable)


def test_errors_in_both_forms_are_told_in_one_line():
    """Several at once, as the standard allows."""
    as_json = b'[{"code":1,"description":"a\\nb"},{"code":"2","description":"c\\ud800"}]'
    as_xml = b"<errors><error><code>1</code><description>a</description></error></errors>"
    assert errors_of(as_json, Wire.JSON) == "1 a b; 2 c "
    assert errors_of(as_xml, Wire.XML) == "1 a"
    assert errors_of(b'[{"service_request_id":"1","description":"x"}]', Wire.JSON) == ""


@given(st.binary(max_size=300), st.sampled_from(Wire))
def test_no_bytes_break_the_reader(body, wire):
    """Anything becomes records or Unreadable."""
    records = read_records(body, wire)
    if not isinstance(records, Unreadable):
        sightings(records, [REF])
    errors_of(body, wire)


JSON_TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["service_requests", "errors", "code", "service_request_id", "x"]),
            inner,
            max_size=3,
        )
    ),
)


@given(JSON_TREES)
def test_no_json_breaks_the_reader(tree):
    """Whatever the shape, a listing is records with a mark of a request, or Unreadable."""
    records = read_listing(json.dumps(tree).encode(), Wire.JSON)
    assert isinstance(records, Unreadable) or all(isinstance(record, dict) for record in records)
    errors_of(json.dumps(tree).encode(), Wire.JSON)


BAD_PROFILES = {
    "unknown key": ('title = "t"\nformt = "xml"', 2, "E_UNKNOWN_KEY", "did you mean format"),
    "missing": ("", 1, "E_MISSING", "title"),
    "not TOML": ('title = "t"\nx = = 2', 2, "E_TOML", ""),
    "wrong choice": ('title = "t"\n\nformat = "csv"', 3, "E_VALUE", "'json' or 'xml'"),
    "a hole nothing fills": (
        'title = "t"\n[services.A]\ncode = "a"\nattributes = { x = "{asset}" }',
        4,
        "E_VALUE",
        "{asset}",
    ),
    "a zone that is not": ('title = "t"\ntimezone = "Mars/Base"', 2, "E_VALUE", "Mars/Base"),
    "a field of no standard": ('title = "t"\nfields = { x = "y" }', 2, "E_VALUE", "account_id"),
    "number as text": ('title = "t"\n[listing]\nvisibility_s = "5"', 3, "E_VALUE", "integer"),
    "key of a table": ('title = "t"\n[listing]\nskew = 5', 3, "E_UNKNOWN_KEY", "skew_s"),
}


@pytest.mark.parametrize("case", BAD_PROFILES)
def test_a_wrong_profile_is_told_with_line_and_help(case, tmp_path):
    """One finding for each fault, none of them a traceback."""
    text, line, code, words = BAD_PROFILES[case]
    file = tmp_path / "city.toml"
    file.write_text(text)
    with pytest.raises(ProfileError) as refusal:
        read_profile(file)
    found = [
        f for f in refusal.value.findings if f.code == code and words in f"{f.message}{f.help}"
    ]
    assert [(f.file, f.line) for f in found] == [(str(file), line)]


@pytest.mark.parametrize("name", ["atlantis", "/nowhere/city.toml", "."])
def test_a_profile_that_is_not_there_is_a_finding(name):
    """By name, by path, or no file at all."""
    with pytest.raises(ProfileError) as refusal:
        read_profile(name)
    assert len(refusal.value.findings) == 1


def test_every_built_in_profile_is_good():
    """They are found by name."""
    assert "desk" in built_in_profiles()
    assert all(read_profile(name).title for name in built_in_profiles())


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("Duplicate Event! Original eventID: 123", ["123"]),
        ("A request like this is already open: request #26-00000007.", ["26-00000007"]),
        ("External system reference 'SCG-1' already exists in database", []),
        ("This is a duplicate of A-173480", ["A-173480"]),
        ("400 attribute[KIND] is required", None),
        ("403 api_key was not valid", None),
    ],
)
def test_what_a_city_says_it_has_already_is_read_with_its_id(words, ids):
    """Where it says so; a status of HTTP is no id."""
    named = named_by_refusal(words)
    assert named is None if ids is None else set(ids) <= set(named)


def there(words, *answers):
    error = http(f'[{{"code":400,"description":"{words}"}}]', "400 Bad Request")
    with scripted(error, *answers) as (_, client):
        return client.post(a_row())


SAME = '[{"service_request_id":"123","service_code":"A:b & c/d"}]'
OTHER = '[{"service_request_id":"123","service_code":"else"}]'


@pytest.mark.parametrize(
    ("answers", "outcome"),
    [
        ([http(f'[{{"service_request_id":"9","description":"x [{REF}]"}}]')], Filed("9")),
        ([http("[]"), http(SAME)], Filed("123")),
        ([http("[]"), http(OTHER)], None),
        ([http("[]"), http("", "404 Not Found")], None),
        ([http("", "500 Oops")], None),
    ],
)
def test_a_request_that_the_city_has_already_is_filed_under_the_id_that_it_shows(answers, outcome):
    """Seen with our reference, or named and of the same service; else it waits for a person."""
    found = there("Duplicate Event! Original eventID: 123", *answers)
    assert found == outcome if outcome else isinstance(found, Refused)


@pytest.mark.parametrize(
    ("says", "post", "read"),
    [
        ({}, "form", None),
        ({"key": "bearer"}, "header", None),
        ({"key": "bearer", "key_on_reads": True}, "header", "header"),
        ({"key": "query"}, "address", None),
        ({"key": "form", "key_on_reads": True}, "form", "address"),
    ],
)
def test_the_key_goes_where_the_desk_looks_for_it_and_nowhere_else(says, post, read):
    """With reads only where the profile asks for it."""
    with scripted(http('[{"service_request_id":"1"}]'), profile=a_profile(**says)) as (
        desk,
        client,
    ):
        client.post(a_row())
        client.request("1")
    found = []
    for head, body in desk.asked:
        address = head.splitlines()[0]
        places = {"form": body, "header": head.removeprefix(address), "address": address}
        found.append([name for name, text in places.items() if KEY in text])
    assert found == [[post], [read] if read else []]


@pytest.mark.parametrize("place", ["form", "query", "bearer"])
def test_the_key_is_in_no_log_wherever_it_goes(place, caplog):
    """Not even in the lines of the library that knows the address."""
    profile = a_profile(key=place, key_on_reads=True)
    caplog.set_level(logging.DEBUG)
    with scripted(http('[{"service_request_id":"1"}]'), profile=profile) as (_, client):
        client.post(a_row())
        client.request("1")
    assert KEY not in caplog.text


def test_an_endpoint_of_several_cities_hears_the_jurisdiction_with_every_call():
    """Reads too."""
    profile = a_profile(jurisdiction_id="city.example.org")
    with scripted(http('[{"service_request_id":"1"}]'), profile=profile) as (desk, client):
        client.post(a_row())
        client.look("STREETLIGHT_OUT", [REF], T0_MS, T0_MS)
        client.token("t")
    said = [head.splitlines()[0] + body for head, body in desk.asked]
    assert all("jurisdiction_id=city.example.org" in text for text in said)


def test_of_what_residents_reported_only_the_open_requests_are_asked_for():
    """Of the same service; a desk that lists closed ones all the same does no harm."""
    with scripted(http("[]"), profile=a_profile()) as (desk, client):
        assert client.residents(a_row(), T0_MS, set) is None
    query = parse_qs(urlsplit(desk.asked[0][0].split()[1]).query)
    assert (query["status"], query["service_code"]) == (["open"], ["A:b & c/d"])


def test_a_desk_is_not_asked_more_often_than_it_allows():
    """Nothing was sent, and it is known when it may be."""
    profile = a_profile(per_minute=3)
    with scripted(http('[{"service_request_id":"1"}]'), profile=profile) as (desk, client):
        for _ in range(3):
            client.request("1")
        outcome, seen = client.post(a_row()), client.request("1")
    assert len(desk.asked) == 3
    assert isinstance(outcome, NotSent)
    assert isinstance(seen, CannotTell)
    assert outcome.cause is seen.cause is Cause.THROTTLED
    assert 50 < outcome.retry_after_s <= 60


@pytest.mark.parametrize(
    ("several", "written"),
    [
        ("brackets", [("attribute[p][]", "a"), ("attribute[p][]", "b")]),
        ("repeated", [("attribute[p]", "a"), ("attribute[p]", "b")]),
        ("commas", [("attribute[p]", "a,b")]),
    ],
)
def test_several_values_are_written_as_the_desk_reads_them(several, written):
    """In one of three ways."""
    service = {"code": "A", "attributes": {"p": ["a", "b"]}}
    profile = a_profile(several=several, services={"STREETLIGHT_OUT": service})
    form = write_form(a_row(), profile)
    assert [pair for pair in form if pair[0].startswith("attribute")] == written


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with running_desk(tmp_path_factory.mktemp("desk")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("wire", ["json", "xml"])
@pytest.mark.parametrize("service", list(DESK.services))
def test_each_service_goes_to_the_real_desk_and_is_found_there(desk, wire, service):
    """In both formats: the id of the answer is the one that the list shows for the reference."""
    row = a_row(f"{wire}-{service}", service, description="Loch & Löcher <b>", address="1 Main St")
    profile = DESK.model_copy(update={"format": Wire(wire)})
    now_ms = int(time.time() * 1000)
    with Open311Client(desk.endpoint, KEY, profile) as client:
        filed = client.post(row)
        seen = client.look(service, [row.reference, REF], now_ms, now_ms)
        shown = client.request(filed.request_id)
        definition = client.definition(profile.services[service].code)
        codes = {record["service_code"] for record in client.services()}
    assert seen == {row.reference: Found(filed.request_id)}
    assert shown["description"] == f"Loch & Löcher <b> [{row.reference}]"
    assert shown["service_code"] == definition["service_code"] == profile.services[service].code
    assert codes == {each.code for each in DESK.services.values()}
    stored = [r for r in desk.stored() if r["attributes"]["reference"] == row.reference]
    assert len(stored) == 1


@pytest.mark.slow
def test_the_real_desk_refuses_a_wrong_key_in_its_own_words(desk):
    """403 with an error of the standard is a clear no."""
    with Open311Client(desk.endpoint, "wrong", DESK) as client:
        outcome = client.post(a_row("wrong key"))
    assert isinstance(outcome, Refused)
    assert outcome.reason.startswith("HTTP 403: 403 ")
