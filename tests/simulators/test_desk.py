"""The simulated 311 desk, asked over loopback as a gateway would ask it.

One real server process serves most tests (its settings are put back after each); those that kill,
restart or configure it start their own. Expected values are written out here, never taken from it.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import quote, urlencode

import httpx
import pytest
from defusedxml import ElementTree
from hypothesis import given
from hypothesis import strategies as st

from simulators.desk.faults import Fate, Faults, draw_fate
from simulators.desk.intake import Report, read_form, read_report
from simulators.desk.query import Query, read_query
from simulators.desk.services import ServicesRefusedError, read_services
from simulators.desk.wire import date_ms, date_text

KEY = "key-of-the-test"
CODES = ["SL-OUT", "SL-DAY", "SL-CIRCUIT", "WASTE:Bin & Litter", "FIRE-BIN", "POTHOLE 01"]
LAMP = {"service_code": "SL-OUT", "lat": "41.8807", "long": "-87.6301", "description": "dark"}
READY_S = 20

slow = pytest.mark.slow
both_formats = pytest.mark.parametrize("fmt", ["json", "xml"])


@dataclass
class RunningDesk:
    process: subprocess.Popen
    url: str
    client: httpx.Client

    def file(self, form=None, fmt="json", key=KEY, headers=None, **more):
        sent = {**(LAMP if form is None else form), **more, "api_key": key}
        return self.client.post(f"/open311/v2/requests.{fmt}", data=sent, headers=headers)

    def get(self, path, **parameters):
        return self.client.get(f"/open311/v2/{path}", params=parameters)

    def listed(self, **parameters):
        return [row["service_request_id"] for row in self.get("requests.json", **parameters).json()]

    def misbehave(self, **faults):
        bearer = {"Authorization": f"Bearer {KEY}"}
        return self.client.put("/desk/faults", json=faults, headers=bearer).raise_for_status()

    def ledger(self):
        return self.client.get("/desk/ledger").raise_for_status().json()


def read_line(stream):
    ready, _, _ = select.select([stream], [], [], READY_S)
    assert ready, "the desk did not say that it is ready"
    return stream.readline()


@contextmanager
def running(folder: Path, *options: str):
    """A desk process with its ledger in `folder`; ended on leaving if it still runs."""
    key_file = folder / "key"
    key_file.write_text(KEY + "\n")
    command = [sys.executable, "-m", "simulators.desk", "--port", "0"]
    command += ["--db", str(folder / "desk.db"), "--api-key-file", str(key_file), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        url = json.loads(read_line(process.stdout))["url"]
        with httpx.Client(base_url=url, timeout=10, trust_env=False) as client:
            yield RunningDesk(process, url, client)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory):
    with running(tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@pytest.fixture
def desk(shared_desk):
    yield shared_desk
    shared_desk.misbehave()


def xml_rows(response, root):
    """Each child of the root as a dict of its children's texts (None for empty)."""
    tree = ElementTree.fromstring(response.content)
    assert tree.tag == root
    return [{part.tag: part.text for part in child} for child in tree]


def error_of(response, fmt="json"):
    if fmt == "json":
        (row,) = response.json()
        return row["code"], row["description"]
    (row,) = xml_rows(response, "errors")
    return int(row["code"]), row["description"]


# --- the services ---


@slow
def test_the_service_list_names_every_service_in_both_formats(desk):
    """JSON is a bare array, XML has a root; both tell the same codes."""
    as_json, as_xml = desk.get("services.json"), desk.get("services.xml")
    assert [row["service_code"] for row in as_json.json()] == CODES
    assert [row["service_code"] for row in xml_rows(as_xml, "services")] == CODES
    assert as_json.json()[0]["type"] == "realtime"
    assert as_json.json()[0]["metadata"] is True
    assert xml_rows(as_xml, "services")[0]["metadata"] == "true"
    assert as_json.headers["content-type"] == "application/json; charset=utf-8"
    assert as_xml.headers["content-type"] == "text/xml; charset=utf-8"


@slow
@pytest.mark.parametrize("code", CODES)
def test_each_definition_offers_asset_time_and_reference(desk, code):
    """A code with spaces, a colon or & is found when percent-encoded, in both formats."""
    path = f"/open311/v2/services/{quote(code, safe='')}"
    definition = desk.client.get(path + ".json").json()
    assert definition["service_code"] == code
    offered = [(row["code"], row["datatype"], row["required"]) for row in definition["attributes"]]
    assert offered == [
        ("asset_id", "string", False),
        ("observed_at", "datetime", False),
        ("reference", "string", False),
    ]
    tree = ElementTree.fromstring(desk.client.get(path + ".xml").content)
    assert tree.tag == "service_definition"
    assert tree.findtext("service_code") == code
    assert [part.findtext("code") for part in tree.iterfind("attributes/attribute")] == [
        row[0] for row in offered
    ]


@slow
@both_formats
def test_what_does_not_exist_is_a_404_with_an_error_body(desk, fmt):
    """Definitions, requests and tokens that are not there all answer in the standard's form."""
    for path in ("services/NONE", "requests/26-99999999", "tokens/t-none"):
        response = desk.get(f"{path}.{fmt}")
        assert response.status_code == 404
        assert error_of(response, fmt)[0] == 404


@slow
def test_discovery_tells_the_endpoint_in_both_formats(desk):
    """The URL it gives is the one it serves."""
    (endpoint,) = desk.get("discovery.json").json()["endpoints"]
    assert endpoint["url"] == desk.url + "/open311/v2"
    assert endpoint["type"] == "test"
    tree = ElementTree.fromstring(desk.get("discovery.xml").content)
    assert tree.findtext("endpoints/endpoint/url") == endpoint["url"]
    formats = [part.text for part in tree.iterfind("endpoints/endpoint/formats/format")]
    assert formats == endpoint["formats"] == ["text/xml", "application/json"]


@slow
def test_an_unknown_format_is_not_found(desk):
    """Only xml and json are served."""
    assert desk.get("services.yaml").status_code == 404


# --- filing ---


@slow
@both_formats
def test_a_filed_request_is_answered_stored_and_listed(desk, fmt):
    """The id of the answer is that of the ledger, of the list and of the single request."""
    attributes = {"attribute[asset_id]": "L-7", "attribute[observed_at]": "2026-01-15T20:05:00Z"}
    response = desk.file(fmt=fmt, **attributes, address_string="Größe & <Co>")
    assert response.status_code == 201
    if fmt == "json":
        (answer,) = response.json()
    else:
        (answer,) = xml_rows(response, "service_requests")
    identity = answer["service_request_id"]
    assert "token" not in answer
    stored = desk.ledger()[-1]
    assert stored["service_request_id"] == identity
    assert stored["attributes"] == {"asset_id": "L-7", "observed_at": "2026-01-15T20:05:00Z"}
    assert identity in desk.listed(service_code="SL-OUT", status="open")
    if fmt == "json":
        (row,) = desk.get(f"requests/{identity}.json").json()
        assert (row["lat"], row["long"], row["zipcode"]) == (41.8807, -87.6301, None)
    else:
        (row,) = xml_rows(desk.get(f"requests/{identity}.xml"), "service_requests")
        assert (row["lat"], row["long"], row["zipcode"]) == ("41.8807", "-87.6301", None)
    assert row["status"] == "open"
    assert row["description"] == "dark"
    assert row["address"] == "Größe & <Co>"
    assert row["service_name"] == "Street Light Out"
    assert row["requested_datetime"].endswith("Z")


@slow
def test_the_ledger_keeps_the_form_as_sent_but_never_the_key(desk):
    """Order and unknown fields are kept; the key appears nowhere."""
    desk.file(account_id="gateway", service_object_id="L-7")
    row = desk.ledger()[-1]
    sent = [*LAMP.items(), ("account_id", "gateway"), ("service_object_id", "L-7")]
    assert row["form"] == [list(pair) for pair in sent]
    assert KEY not in json.dumps(desk.ledger())


@slow
@both_formats
@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"api_key": ""}, 403, "api_key was not provided"),
        ({"api_key": "wrong"}, 403, "api_key was not valid"),
        ({"service_code": ""}, 400, "service_code was not provided"),
        ({"service_code": "NONE"}, 404, "service_code was not found"),
        ({"lat": "", "long": ""}, 400, "location was not provided"),
        ({"lat": ""}, 400, "together"),
        ({"lat": "91"}, 400, "WGS 84"),
        ({"long": "nan"}, 400, "WGS 84"),
        ({"description": "x" * 4001}, 400, "4000"),
        ({"description": "a\x00b"}, 400, "control character"),
        ({"attribute[colour]": "red"}, 400, "not in the definition"),
        ({"attribute[observed_at]": "2026-01-15 20:05"}, 400, "datetime"),
        ({"attribute[asset_id][]": "L-7"}, 400, "multivaluelist"),
    ],
)
def test_a_bad_request_is_refused_and_not_stored(desk, fmt, change, status, words):
    """The status and the words say what was wrong; the ledger stays as it was."""
    before = len(desk.ledger())
    form = {**LAMP, "api_key": KEY, **change}
    response = desk.client.post(f"/open311/v2/requests.{fmt}", data=form)
    assert response.status_code == status
    code, description = error_of(response, fmt)
    assert code == status
    assert words in description
    assert len(desk.ledger()) == before


@slow
def test_all_faults_of_a_request_are_told_at_once(desk):
    """Several refusals come in one answer."""
    response = desk.file({"service_code": "SL-OUT", "attribute[x]": "1"})
    assert [row["code"] for row in response.json()] == [400, 400]


@slow
def test_a_body_that_is_no_form_or_too_long_is_refused(desk):
    """JSON answers 400, more than the limit 413."""
    url = "/open311/v2/requests.json"
    assert desk.client.post(url, json=LAMP).status_code == 400
    assert desk.file(description="x" * 70_000).status_code == 413


@slow
def test_a_place_may_be_an_address(desk):
    """An address alone is a location, and the request has no coordinates."""
    identity = desk.file({"service_code": "FIRE-BIN", "address_string": "1 Main St"}).json()[0]
    (row,) = desk.get(f"requests/{identity['service_request_id']}.json").json()
    assert (row["lat"], row["long"], row["address"]) == (None, None, "1 Main St")


# --- listing ---


@slow
def test_a_listing_is_filtered_by_ids_codes_status_and_dates(desk):
    """Each filter alone; ids override all others."""
    lamp, pit = (
        desk.file(service_code=code).json()[0]["service_request_id"]
        for code in ("SL-OUT", "POTHOLE 01")
    )
    assert desk.listed(service_request_id=f"{lamp},{pit}", status="closed") == [pit, lamp]
    assert pit not in desk.listed(service_code="SL-OUT,SL-DAY")
    assert {lamp, pit} <= set(desk.listed(service_code="SL-OUT,POTHOLE 01"))
    (row,) = desk.get(f"requests/{lamp}.json").json()
    stamp = row["requested_datetime"]
    assert lamp in desk.listed(start_date=stamp, end_date=stamp)
    later = date_text(date_ms(stamp) + 3_600_000)
    assert desk.listed(start_date=later) == []
    assert lamp not in desk.listed(end_date=date_text(date_ms(stamp) - 3_600_000))


@slow
def test_pages_give_every_request_once_the_newest_first(desk):
    """Walking the pages ends with an empty one."""
    filed = [desk.file().json()[0]["service_request_id"] for _ in range(5)]
    chosen = ",".join(filed)
    pages = [desk.listed(service_request_id=chosen, page=page, page_size=2) for page in range(1, 5)]
    assert pages == [filed[:2:-1], filed[2:0:-1], filed[:1], []]


@slow
@pytest.mark.parametrize(
    "query",
    [{"status": "done"}, {"start_date": "yesterday"}, {"page": "0"}, {"page_size": "-1"}],
)
def test_a_filter_that_cannot_be_read_is_refused(desk, query):
    """It is never ignored."""
    assert desk.get("requests.json", **query).status_code == 400


@slow
def test_one_request_in_a_list_is_still_a_list(desk):
    """JSON gives an array of one, XML a root with one child, an empty list an empty root."""
    identity = desk.file().json()[0]["service_request_id"]
    assert len(desk.get("requests.json", service_request_id=identity).json()) == 1
    rows = xml_rows(desk.get("requests.xml", service_request_id=identity), "service_requests")
    assert [row["service_request_id"] for row in rows] == [identity]
    assert xml_rows(desk.get("requests.xml", service_request_id="-"), "service_requests") == []


# --- misbehaviour ---


@slow
def test_the_settings_are_read_back_and_replaced_as_a_whole(desk):
    """What a PUT does not name goes back to its default."""
    desk.misbehave(error_after_rate=1, seed=7)
    assert desk.client.get("/desk/faults").json()["error_after_rate"] == 1
    desk.misbehave(seed=8)
    now = desk.client.get("/desk/faults").json()
    assert (now["error_after_rate"], now["seed"]) == (0, 8)


@slow
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('{"drop_after_rate": 2}', "drop_after_rate"),
        ('{"delay_s": NaN}', "delay_s"),
        ('{"delai_s": 1}', "delai_s"),
        ('{"token": 1}', "token"),
        ("[]", "body"),
        ("{", "body"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(desk, body, words):
    """The desk goes on as it was."""
    bearer = {"Authorization": f"Bearer {KEY}"}
    response = desk.client.put("/desk/faults", content=body, headers=bearer)
    assert response.status_code == 400
    assert words in response.json()[0]["description"]
    assert desk.file().status_code == 201


@slow
def test_changing_the_desk_takes_the_key(desk):
    """Neither settings nor requests change without it."""
    identity = desk.file().json()[0]["service_request_id"]
    assert desk.client.put("/desk/faults", json={"token": True}).status_code == 403
    assert desk.client.post(f"/desk/close/{identity}").status_code == 403
    assert desk.client.get("/desk/faults").json()["token"] is False
    assert desk.get(f"requests/{identity}.json").json()[0]["status"] == "open"


@slow
@pytest.mark.parametrize(("rate", "stored"), [("error_before_rate", 0), ("error_after_rate", 1)])
def test_an_error_answers_5xx_and_stores_before_or_after(desk, rate, stored):
    """The answers look alike; only the ledger tells which it was."""
    before = len(desk.ledger())
    desk.misbehave(**{rate: 1})
    assert 500 <= desk.file().status_code < 600
    assert len(desk.ledger()) == before + stored


@slow
@pytest.mark.parametrize(("rate", "stored"), [("drop_before_rate", 0), ("drop_after_rate", 1)])
def test_a_drop_closes_the_line_without_a_byte(desk, rate, stored):
    """The socket ends with nothing received, whether or not the request was stored."""
    before = len(desk.ledger())
    desk.misbehave(**{rate: 1})
    body = urlencode({**LAMP, "api_key": KEY})
    head = (
        "POST /open311/v2/requests.json HTTP/1.1\r\nHost: desk\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    url = httpx.URL(desk.url)
    with socket.create_connection((url.host, url.port), timeout=10) as line:
        line.sendall((head + body).encode())
        assert line.recv(1) == b""
    with pytest.raises(httpx.RemoteProtocolError):
        desk.file()
    assert len(desk.ledger()) == before + 2 * stored


@slow
def test_a_refusal_is_told_even_where_everything_is_dropped_after_storing(desk):
    """Nothing was stored, so there is no "after"."""
    desk.misbehave(drop_after_rate=1)
    assert desk.file(key="wrong").status_code == 403


@slow
@both_formats
def test_throttling_answers_429_with_the_time_to_wait(desk, fmt):
    """Nothing is stored."""
    before = len(desk.ledger())
    desk.misbehave(throttle_rate=1, retry_after_s=17)
    response = desk.file(fmt=fmt)
    assert (response.status_code, response.headers["retry-after"]) == (429, "17")
    assert error_of(response, fmt)[0] == 429
    assert len(desk.ledger()) == before


@slow
def test_reads_fail_only_when_told_to(desk):
    """The rates are for filing; `reads_fail` brings the whole desk down."""
    desk.misbehave(error_before_rate=1)
    assert desk.get("requests.json").status_code == 200
    desk.misbehave(error_before_rate=1, reads_fail=True)
    assert desk.get("requests.json").status_code >= 500
    desk.misbehave(drop_before_rate=1, reads_fail=True)
    with pytest.raises(httpx.RemoteProtocolError):
        desk.get("services.json")
    desk.misbehave(drop_after_rate=1, reads_fail=True)
    assert desk.get("services.json").status_code == 200


@slow
def test_a_slow_answer_comes_after_the_request_is_stored(desk):
    """A client that gives up has filed all the same."""
    before = len(desk.ledger())
    desk.misbehave(delay_s=30)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            desk.url + "/open311/v2/requests.json",
            data={**LAMP, "api_key": KEY},
            timeout=0.5,
            trust_env=False,
        )
    assert len(desk.ledger()) == before + 1
    desk.misbehave(delay_s=0.2)
    start = time.monotonic()
    assert desk.get("services.json").status_code == 200
    assert time.monotonic() - start >= 0.2


@slow
@both_formats
def test_a_token_becomes_an_id_after_its_delay(desk, fmt):
    """Until then there is a token and nothing else: no id, and the list does not show it."""

    def told(response):
        if fmt == "json":
            return response.json()[0]
        return xml_rows(response, "service_requests")[0]

    desk.misbehave(token=True, token_delay_s=3600)
    assert {row["type"] for row in desk.get("services.json").json()} == {"batch"}
    answer = told(desk.file(fmt=fmt))
    assert "service_request_id" not in answer
    token = answer["token"]
    identity = desk.ledger()[-1]["service_request_id"]
    assert told(desk.get(f"tokens/{token}.{fmt}")) == {"token": token}
    assert identity not in desk.listed()
    desk.misbehave(token=True, token_delay_s=0)
    resolved = told(desk.get(f"tokens/{token}.{fmt}"))
    assert resolved == {"service_request_id": identity, "token": token}
    assert identity in desk.listed()


@slow
def test_a_request_is_shown_only_after_the_listing_delay(desk):
    """The id is answered at once; list and single request lag behind."""
    desk.misbehave(listing_delay_s=3600)
    identity = desk.file().json()[0]["service_request_id"]
    assert identity not in desk.listed()
    assert desk.listed(service_request_id=identity) == []
    assert desk.get(f"requests/{identity}.json").status_code == 404
    desk.misbehave(listing_delay_s=0)
    assert identity in desk.listed()
    assert desk.get(f"requests/{identity}.json").status_code == 200


@slow
def test_an_idempotency_key_is_honoured_only_when_told_to(desk):
    """Honoured: the same form gives the same id, another form is refused. Else: a second one."""
    before = len(desk.ledger())
    headers = {"Idempotency-Key": f"k-{before}"}
    assert desk.file(headers=headers).json() != desk.file(headers=headers).json()
    desk.misbehave(honour_idempotency_key=True)
    first = desk.file(headers=headers).json()
    assert desk.file(headers=headers).json() == first
    assert desk.file(headers=headers, description="other").status_code == 422
    assert len(desk.ledger()) == before + 3
    assert desk.ledger()[-1]["idempotency_key"] == headers["Idempotency-Key"]


@slow
def test_the_same_seed_misbehaves_alike(desk):
    """Two runs of the same calls with the same seed have the same outcomes, another seed not."""

    def outcomes(seed):
        desk.misbehave(error_before_rate=0.5, seed=seed)
        return [desk.file().status_code for _ in range(20)]

    assert outcomes(1) == outcomes(1)
    assert outcomes(1) != outcomes(2)


@slow
@both_formats
def test_a_closed_request_tells_its_notes_and_time(desk, fmt):
    """It leaves the open ones and joins the closed."""
    identity = desk.file().json()[0]["service_request_id"]
    body, bearer = {"notes": "Lamp replaced."}, {"Authorization": f"Bearer {KEY}"}
    desk.client.post(f"/desk/close/{identity}", json=body, headers=bearer).raise_for_status()
    response = desk.get(f"requests/{identity}.{fmt}")
    row = response.json()[0] if fmt == "json" else xml_rows(response, "service_requests")[0]
    assert (row["status"], row["status_notes"]) == ("closed", "Lamp replaced.")
    assert row["updated_datetime"] >= row["requested_datetime"]
    assert identity not in desk.listed(status="open")
    assert identity in desk.listed(status="closed")
    assert desk.client.post("/desk/close/none", headers=bearer).status_code == 404


# --- the process ---


@slow
def test_an_answer_does_not_wait_for_the_network(desk):
    """On a line that stays open the median filing takes well under the 40 ms of a delayed ACK."""

    def seconds():
        start = time.perf_counter()
        desk.file()
        return time.perf_counter() - start

    assert sorted(seconds() for _ in range(21))[10] < 0.03


@slow
def test_concurrent_clients_each_get_their_own_request(desk):
    """Every answered id is in the ledger once, with the description its client sent."""
    before = len(desk.ledger())

    def file(number):
        return desk.file(description=f"client {number}").json()[0]["service_request_id"]

    with ThreadPoolExecutor(8) as clients:
        answered = dict(zip(clients.map(file, range(80)), range(80), strict=True))
    rows = desk.ledger()[before:]
    assert len(answered) == len(rows) == 80
    for row in rows:
        assert row["description"] == f"client {answered[row['service_request_id']]}"


@slow
def test_kill_9_and_restart_keep_every_stored_request(tmp_path):
    """What was answered, and what was stored and dropped, is there with its id; ids go on."""
    with running(tmp_path) as desk:
        for number in range(20):
            desk.file(description=f"before {number}")
        desk.misbehave(drop_after_rate=1)
        with pytest.raises(httpx.RemoteProtocolError):
            desk.file(description="dropped")
        before = desk.ledger()
        os.kill(desk.process.pid, signal.SIGKILL)
        desk.process.wait(READY_S)
    assert [row["description"] for row in before] == [
        *(f"before {number}" for number in range(20)),
        "dropped",
    ]
    with running(tmp_path) as desk:
        assert desk.ledger() == before
        identity = desk.file().json()[0]["service_request_id"]
        assert identity not in {row["service_request_id"] for row in before}


@slow
def test_kill_9_under_load_loses_no_answered_request(tmp_path):
    """Every id a client was told before the kill is in the ledger after it."""
    answered = []

    def file_until_dead(desk):
        try:
            while True:
                answered.append(desk.file().json()[0]["service_request_id"])
        except httpx.TransportError:
            return

    with running(tmp_path) as desk, ThreadPoolExecutor(4) as clients:
        ends = [clients.submit(file_until_dead, desk) for _ in range(4)]
        deadline = time.monotonic() + READY_S
        while len(answered) < 40:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        os.kill(desk.process.pid, signal.SIGKILL)
        for end in ends:
            end.result(READY_S)
    with running(tmp_path) as desk:
        ledger = [row["service_request_id"] for row in desk.ledger()]
    assert set(answered) <= set(ledger)
    assert len(ledger) == len(set(ledger))


@slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_desk_cleanly_even_while_it_is_slow(tmp_path, number):
    """It exits 0 in seconds and has written nothing but the line that said it was ready."""
    with running(tmp_path, "--faults", '{"delay_s": 600}') as desk, ThreadPoolExecutor(1) as pool:
        caller = pool.submit(desk.file)
        deadline = time.monotonic() + READY_S
        while not desk.ledger():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        desk.process.send_signal(number)
        assert desk.process.wait(READY_S) == 0
        assert caller.exception(READY_S) is not None or caller.result().status_code >= 500
        assert desk.process.stdout.read() == b""
        assert KEY.encode() not in desk.process.stderr.read()


@slow
def test_a_desk_with_a_jurisdiction_wants_it_named(tmp_path):
    """Missing is 400, wrong 404, for reads and for filing."""
    with running(tmp_path, "--jurisdiction-id", "city.example") as desk:
        assert desk.get("services.json").status_code == 400
        assert desk.get("services.json", jurisdiction_id="other").status_code == 404
        assert desk.get("services.json", jurisdiction_id="city.example").status_code == 200
        assert desk.file().status_code == 400
        assert desk.file(jurisdiction_id="other").status_code == 404
        assert desk.file(jurisdiction_id="city.example").status_code == 201


SPECIAL_SERVICES = """
[[service]]
code = "SIGN"
name = "Sign"
[[service.attribute]]
code = "WHERE"
datatype = "multivaluelist"
required = true
description = "Where"
values = [{key = "L", name = "Left"}, {key = "R", name = "Right"}]

[[service]]
code = "BOX"
name = "Black box"
type = "blackbox"
"""


@slow
def test_a_table_of_its_own_has_required_lists_and_blackboxes(tmp_path):
    """A required attribute is wanted, several values are kept, a blackbox tells nothing."""
    table = tmp_path / "services.toml"
    table.write_text(SPECIAL_SERVICES)
    place = {"address_id": "1"}
    with running(tmp_path, "--services", str(table)) as desk:
        missing = desk.file({"service_code": "SIGN", **place})
        assert (missing.status_code, error_of(missing)[1]) == (400, "attribute[WHERE] is required")
        wrong = desk.file({"service_code": "SIGN", **place, "attribute[WHERE][]": "UP"})
        assert wrong.status_code == 400
        both = desk.file({"service_code": "SIGN", **place, "attribute[WHERE][]": ["L", "R"]})
        assert both.status_code == 201
        assert desk.ledger()[-1]["attributes"] == {"WHERE": ["L", "R"]}
        (answer,) = desk.file({"service_code": "BOX", **place}).json()
        assert not {"token", "service_request_id"} & set(answer)
        assert desk.ledger()[-1]["service_code"] == "BOX"
        assert len(desk.listed()) == 1
        tree = ElementTree.fromstring(desk.get("services/SIGN.xml").content)
        assert [part.text for part in tree.iterfind(".//values/value/key")] == ["L", "R"]


@slow
@pytest.mark.parametrize(
    ("option", "value", "status"),
    [
        ("--faults", '{"seed": "x"}', 2),
        ("--services", "absent.toml", 2),
        ("--port", "70000", 2),
        ("--db", "/nowhere/desk.db", 3),
        ("--api-key-file", "/dev/null", 2),
    ],
)
def test_a_desk_that_cannot_start_says_why_without_a_traceback(tmp_path, option, value, status):
    """Exit code 2 for what was asked wrongly, 3 for what the machine refused."""
    (tmp_path / "key").write_text(KEY)
    options = {"--db": str(tmp_path / "desk.db"), "--api-key-file": str(tmp_path / "key")}
    flat = [part for pair in {**options, option: value}.items() for part in pair]
    command = [sys.executable, "-m", "simulators.desk", *flat]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False)
    assert ended.returncode == status
    assert ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


# --- decisions ---

NOW_MS = 1_768_507_500_000  # 2026-01-15T20:05:00Z
DAY_MS = 86_400_000


def at(text):
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("rates", "fate"),
    [
        ({}, Fate.SERVE),
        ({"throttle_rate": 1, "drop_before_rate": 1}, Fate.THROTTLE),
        ({"drop_before_rate": 1, "error_after_rate": 1}, Fate.DROP_BEFORE),
        ({"error_before_rate": 1, "drop_after_rate": 1}, Fate.ERROR_BEFORE),
        ({"drop_after_rate": 1, "error_after_rate": 1}, Fate.DROP_AFTER),
        ({"error_after_rate": 1}, Fate.ERROR_AFTER),
    ],
)
def test_the_first_rate_that_hits_decides(rates, fate):
    """A certain rate always hits; of several the earliest in the order wins."""
    assert draw_fate(Faults(**rates), Random(1))[0] is fate


@given(seed=st.integers(), rate=st.floats(0, 1))
def test_one_rate_does_not_shift_the_draws_of_another(seed, rate):
    """The n-th call is dropped after storing or not, whatever the rate of later fates."""

    def dropped(**more):
        source = Random(seed)
        faults = Faults(drop_after_rate=0.5, **more)
        return [draw_fate(faults, source)[0] is Fate.DROP_AFTER for _ in range(20)]

    assert dropped() == dropped(error_after_rate=rate)


def test_a_rate_is_met_in_the_long_run():
    """A tenth of ten thousand calls, give or take."""
    source = Random(5)
    faults = Faults(drop_after_rate=0.1)
    hits = sum(draw_fate(faults, source)[0] is Fate.DROP_AFTER for _ in range(10_000))
    assert 900 < hits < 1100


@pytest.mark.parametrize(
    ("parameters", "start", "end"),
    [
        ({}, NOW_MS - 90 * DAY_MS, NOW_MS),
        ({"start_date": ""}, NOW_MS - 90 * DAY_MS, NOW_MS),
        (
            {"start_date": "2026-01-01T00:00:00Z"},
            at("2026-01-01T00:00:00+00:00"),
            at("2026-04-01T00:00:00+00:00"),
        ),
        (
            {"end_date": "2026-04-01T02:00:00+02:00"},
            at("2026-01-01T00:00:00+00:00"),
            at("2026-04-01T00:00:00+00:00"),
        ),
    ],
)
def test_a_range_of_dates_has_the_standards_default_limits(parameters, start, end):
    """Absent and empty mean the last 90 days; one end alone reaches 90 days from there."""
    query = read_query(parameters, NOW_MS)
    assert isinstance(query, Query)
    assert (query.start_ts_ms, query.end_ts_ms) == (start, end)
    assert (query.page, query.page_size) == (1, 1000)


@pytest.mark.parametrize("days", [-1, 91])
def test_a_range_of_dates_spans_0_to_90_days(days):
    """One that runs backwards or too long is refused."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    ends = {"start_date": start.isoformat(), "end_date": (start + timedelta(days)).isoformat()}
    assert isinstance(read_query(ends, NOW_MS), list)


@given(st.text(), st.text(), st.text())
def test_any_text_as_a_filter_is_read_or_refused(date, page, status):
    """No text raises."""
    parameters = {"start_date": date, "page": page, "status": status, "page_size": page}
    assert isinstance(read_query(parameters, NOW_MS), Query | list)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_form_are_read_or_refused(body):
    """No body raises, and none of these names a service."""
    pairs = read_form("application/x-www-form-urlencoded", body)
    if isinstance(pairs, tuple):
        assert isinstance(read_report(pairs, read_services()), list)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["lat", "long", "description", "attribute[asset_id]", "attribute[", "x"]
            ),
            st.text(max_size=20) | st.floats().map(str),
        ),
        max_size=6,
    )
)
def test_a_report_has_coordinates_on_earth_or_none(more):
    """Whatever the fields hold, half a place or one off the earth never becomes a report."""
    pairs = (("service_code", "SL-OUT"), ("address_id", "1"), *more)
    report = read_report(pairs, read_services())
    if isinstance(report, Report):
        assert (report.lat is None) == (report.long is None)
        assert report.lat is None or (abs(report.lat) <= 90 and abs(report.long) <= 180)


@given(st.integers(min_value=0, max_value=4_102_444_800))
def test_a_published_date_is_read_back(seconds):
    """Whole seconds survive the way out and in."""
    assert date_ms(date_text(seconds * 1000)) == seconds * 1000


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-15", "2026-01-15T20:05:00", "20260115T200500Z", "2026-13-01T00:00:00Z", "٢" * 20],
)
def test_a_date_without_zone_or_form_is_none(text):
    """Only RFC 3339 with a zone counts."""
    assert date_ms(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "service"),
        ("[[service]]\ncode = 'a/b'\nname = 'x'", "code"),
        ("[[service]]\ncode = 'a'\nname = 'x'\n[[service]]\ncode = 'a'\nname = 'x'", "twice"),
        ("[[service]]\ncode = 'a'\nname = 'x'\ncolour = 'red'", "colour"),
        ("a = 1\nb = ?", "line 2"),
    ],
)
def test_a_table_of_services_that_cannot_be_used_is_refused(tmp_path, text, words):
    """The message names the place."""
    table = tmp_path / "services.toml"
    table.write_text(text)
    with pytest.raises(ServicesRefusedError, match=words):
        read_services(table)
