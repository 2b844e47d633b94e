"""Open data and the GeoReport read interface: whole, bounded, and readable by others' programs."""

import csv
import gzip
import io
import json
import re
from contextlib import suppress
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from public_books import DAY_MS, HOUR_MS, T0_MS, Case, Visitor, closed, site_of

from gateway.books.public_book import FiledRequest, Spot
from gateway.cityhall.georeport_read import errors_of, id_of, read_listing, read_records
from gateway.cityhall.profile import Wire, read_profile
from gateway.public import georeport, open_data
from gateway.public.asked import Asked, BadQuestionError
from gateway.public.georeport import Form
from gateway.public.tongue import tongue
from gateway.views.public_record import Choice, Standing, record_of
from gateway.views.response_times import response_times, times_of, within

DESK = read_profile("desk")
ENGLISH = tongue("en", "UTC")
FORMS = tuple(Form)
ANY_TEXT = st.text(max_size=40)


def a_row(number="R", service="POTHOLE", address="", zone="", requested_ms=T0_MS):
    spot = Spot(41.0, -87.0, address, {"zone": zone})
    return FiledRequest(
        number, service, spot, requested_ms - 1, requested_ms, None, "", "open", "", 0
    )


def read_csv(body):
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


# -- files -----------------------------------------------------------------------------------------


def test_geojson_has_every_request_as_a_point(tmp_path):
    """Longitude first; times with their zone; what is not closed has no time of it."""
    site = site_of(tmp_path, closed("R-1", 2), Case("R-2", service="POTHOLE", zone="south"))
    answer = Visitor(site).get("/data.geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    told = answer.json()
    assert (told["type"], told["total"], told["pages"]) == ("FeatureCollection", 2, 1)
    second, first = told["features"]
    assert first["geometry"] == {"type": "Point", "coordinates": [-87.63012, 41.88071]}
    assert first["properties"] == {
        "service_request_id": "R-1", "status": "closed", "state": "repaired",
        "kind": "STREETLIGHT_OUT", "kind_name": "Street light out", "zone": "north",
        "address": "1 Lake St", "found_at": "2026-01-15T04:30:00Z",
        "requested_datetime": "2026-01-15T05:00:00Z", "updated_datetime": "2026-01-15T07:00:00Z",
        "closed_at": "2026-01-15T07:00:00Z",
    }  # fmt: skip
    assert second["properties"]["closed_at"] is None
    assert second["id"] == "R-2"


def test_csv_says_the_same(tmp_path):
    """A header, a line for each, CR LF at the end of each; saved under a name of its own."""
    visitor = Visitor(site_of(tmp_path, closed("R-1", 2), Case("R-2", address=None)))
    answer = visitor.get("/data.csv")
    assert answer.headers["content-type"].startswith("text/csv; charset=utf-8")
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.content.count(b"\r\n") == answer.content.count(b"\n") == 3
    rows = read_csv(answer.content)
    features = visitor.get("/data.geojson").json()["features"]
    for row, feature in zip(rows, features, strict=True):
        told = {name: value or "" for name, value in feature["properties"].items()}
        long, lat = feature["geometry"]["coordinates"]
        assert row == told | {"lat": str(lat), "long": str(long)}


@given(texts=st.lists(st.one_of(ANY_TEXT, st.sampled_from(["=1+1", "+1", "-1", "@a", " =1", "'"]))))
def test_no_cell_is_a_formula_and_none_is_lost(texts):
    """Whatever the texts are, each comes back from the CSV, with a quote before what a spreadsheet
    would run.
    """
    rows = read_csv(open_data.written(("text", "number"), ([text, -1.5] for text in texts)))
    assert len(rows) == len(texts)
    for row, text in zip(rows, texts, strict=True):
        assert row["number"] == "-1.5"
        assert row["text"] in (text, f"'{text}")
        assert not row["text"].lstrip().startswith(("=", "+", "-", "@"))


@given(
    count=st.integers(0, 60),
    size=st.integers(1, 25),
    since=st.integers(-1, 61) | st.none(),
    until=st.integers(-1, 61) | st.none(),
)
@settings(deadline=None)
def test_pages_hold_every_request_of_the_choice_once(count, size, since, until):
    """Whatever the limit and the times are."""
    rows = [a_row(f"R-{i}", requested_ms=T0_MS + i * HOUR_MS) for i in range(count)]
    record = record_of(rows, DESK)
    params = {"limit": str(size)}
    times = {"since": since, "until": until}
    params |= {k: open_data.rfc3339(T0_MS + v * HOUR_MS) for k, v in times.items() if v is not None}
    found, more = [], True
    while more:
        asked = Asked("/data.csv", tuple(params.items()))
        answer = open_data.rows_csv(record, asked, ENGLISH)
        found += [row["service_request_id"] for row in read_csv(answer.body)]
        more = re.fullmatch(r'</data\.csv\?(.*)>; rel="next"', answer.headers.get("Link", ""))
        params = dict(parse_qsl(more[1])) if more else {}
    low, high = -1 if since is None else since, 99 if until is None else until
    assert found == [f"R-{i}" for i in range(count) if low <= i < high][::-1]


def test_what_has_not_changed_is_not_sent_again(tmp_path):
    """By its entity tag; another answer after a change of what is asked."""
    visitor = Visitor(site_of(tmp_path, Case("R")))
    for path in ("/", "/data.geojson", "/data.csv", "/open311/v2/requests.xml"):
        answer = visitor.get(path)
        assert answer.headers["cache-control"] == "public, max-age=60"
        tag = answer.headers["etag"]
        again = visitor.get(path, if_none_match=f'"other", {tag}')
        assert (again.status_code, again.content) == (304, b"")
        assert visitor.get(path, if_none_match='"other"').status_code == 200
    assert visitor.get("/data.csv?kind=X").headers["etag"] != tag


def test_a_large_answer_is_packed_for_who_can_unpack_it(tmp_path):
    """And whole for who cannot."""
    visitor = Visitor(site_of(tmp_path, *(Case(f"R-{i}") for i in range(50))))
    packed = visitor.get("/data.geojson", accept_encoding="gzip, br")
    plain = visitor.get("/data.geojson", accept_encoding="identity")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert len(gzip.compress(plain.content)) < int(packed.headers["content-length"]) * 2
    assert int(packed.headers["content-length"]) < len(plain.content) // 4


@pytest.mark.parametrize("path", ["/data.geojson", "/data.csv", "/open311/v2/services.json"])
def test_pages_of_other_sites_may_read_open_data(tmp_path, path):
    """Not so the pages for people."""
    visitor = Visitor(site_of(tmp_path, Case("R")))
    assert visitor.get(path).headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in visitor.get("/").headers


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("limit=0", "limit is a whole number, 1 to 10000"),
        ("limit=10001", "limit is a whole number, 1 to 10000"),
        ("limit=%D9%A1", "limit is a whole number, 1 to 10000"),
        ("page=-1", "page is a whole number, 1 to 1000000"),
        ("page=99999999999999999999", "page is a whole number, 1 to 1000000"),
        ("since=yesterday", "since is a time with zone: 2026-01-15T00:00:00Z"),
        ("until=2026-13-01", "until is a time with zone: 2026-01-15T00:00:00Z"),
        ("state=asleep", f"state is one of {', '.join(Standing)}"),
    ],
)
def test_a_question_that_cannot_be_meant_is_told_what_may_be_asked(tmp_path, query, expected):
    """400, without what was sent; empty is as absent."""
    visitor = Visitor(site_of(tmp_path, Case("R")))
    for path in ("/data.geojson", "/data.csv"):
        answer = visitor.get(f"{path}?{query}")
        assert (answer.status_code, answer.text) == (400, f"{expected}\n")
        assert answer.headers["cache-control"] == "no-store"
        name = query.partition("=")[0]
        assert visitor.get(f"{path}?{name}=").status_code == 200


def test_an_endless_address_is_refused(tmp_path):
    """As a page, and in the standard's words."""
    visitor = Visitor(site_of(tmp_path))
    assert visitor.get(f"/data.csv?zone={'x' * 5000}").status_code == 400
    answer = visitor.get(f"/open311/v2/requests.json?service_request_id={'x,' * 2500}")
    assert answer.json()[0]["code"] == 400


def test_names_are_in_the_language_that_is_asked_for(tmp_path):
    """Else in the configured one, whatever the browser says: data is the same for everybody."""
    visitor = Visitor(site_of(tmp_path, Case("R"), Case("R-2")))
    texts = {visitor.get("/data.csv", accept_language=name).text for name in ("fr", "zh", "")}
    assert len(texts) == 1
    for path in ("/data.csv?limit=1", "/open311/v2/requests.json?page_size=1"):
        assert "lang=fr&page=2>" in visitor.get(f"{path}&lang=fr").headers["link"]
        assert "lang" not in visitor.get(path).headers["link"]


# -- response times --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=200), st.integers(1, 100))
def test_a_share_of_the_times_is_within_the_number_and_no_smaller_one_serves(took_ms, percent):
    """The nearest rank: a time that was really taken."""
    took_ms.sort()
    found = within(took_ms, percent)
    assert found in took_ms
    assert sum(ms <= found for ms in took_ms) * 100 >= percent * len(took_ms)
    assert sum(ms < found for ms in took_ms) * 100 < percent * len(took_ms)


def test_response_times_count_what_was_done(tmp_path):
    """Not what is open, a duplicate, or was no fault; confirmed is what the sensor shows."""
    cases = [
        *(closed(f"A-{h}", h, confirmed=h < 8) for h in range(1, 11)),
        Case("A-open"),
        Case("A-dup", status="duplicate", since_ms=T0_MS + 99 * HOUR_MS),
        closed("B", 5, service="POTHOLE", zone="south"),
        Case("C", service="POTHOLE", zone="west"),
    ]
    text = Visitor(site_of(tmp_path, *cases)).get("/response-times.csv").content
    rows = [tuple(row.values()) for row in read_csv(text)]
    assert rows == [
        ("POTHOLE", "Pothole", "*", "2", "1", "1", "5.0", "5.0", "1.0"),
        ("POTHOLE", "Pothole", "south", "1", "0", "1", "5.0", "5.0", "1.0"),
        ("POTHOLE", "Pothole", "west", "1", "1", "0", "", "", ""),
        ("STREETLIGHT_OUT", "Street light out", "*", "12", "1", "10", "5.0", "9.0", "0.7"),
    ]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("AB"), st.sampled_from(["", "n", "s"]), st.integers(0, 100),
            st.sampled_from(["open", "closed", "duplicate"]),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_the_row_of_all_districts_is_their_sum(cases):
    """Of each kind; and what was worked out once stays the same."""
    rows = [
        a_row(f"R-{i}", kind, zone=zone)._replace(status=status, since_ms=T0_MS + hours * HOUR_MS)
        for i, (kind, zone, hours, status) in enumerate(cases)
    ]
    record = record_of(rows, DESK)
    told = response_times(record.entries)
    for kind in {kind for kind, *_ in cases}:
        (whole,) = [row for row in told if row.service == kind and row.zone is None]
        parts = [row for row in told if row.service == kind and row.zone is not None]
        for part in ("filed", "open", "closed"):
            assert not parts or getattr(whole, part) == sum(getattr(row, part) for row in parts)
        assert whole.filed == sum(case[0] == kind for case in cases)
    assert times_of(record, Choice()) is times_of(record, Choice())
    assert times_of(record, Choice()) == told


# -- GeoReport v2 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_our_own_client_reads_the_interface(tmp_path, form):
    """As it reads any city's desk: requests, services, one request, an error."""
    visitor = Visitor(site_of(tmp_path, closed("R/1 ü", 2), Case("R-2", service="POTHOLE")))
    wire = Wire(form)
    kind = {"json": "application/json; charset=utf-8", "xml": "text/xml; charset=utf-8"}[form]
    answer = visitor.get(f"/open311/v2/requests.{form}")
    assert answer.headers["content-type"] == kind
    records = read_listing(answer.content, wire)
    assert [id_of(record) for record in records] == ["R/1 ü", "R-2"]
    assert records[0]["status"] == "closed"
    assert records[0]["updated_datetime"] == "2026-01-15T07:00:00Z"
    assert (records[1]["lat"], records[1]["long"]) == ("41.88071", "-87.63012")
    assert records[1]["description"] == "Pothole: Waits for repair"
    for path in ("R/1 ü", "R%2F1%20%C3%BC"):
        one = visitor.get(f"/open311/v2/requests/{path}.{form}")
        assert read_listing(one.content, wire) == records[:1]
    services = read_records(visitor.get(f"/open311/v2/services.{form}").content, wire)
    assert {record["service_code"] for record in services} == set(DESK.services)
    lost = visitor.get(f"/open311/v2/requests/none.{form}")
    assert lost.status_code == 404
    assert errors_of(lost.content, wire) == "404 service_request_id not found"


def numbers(visitor, query, form="json"):
    answer = visitor.get(f"/open311/v2/requests.{form}?{query}")
    assert answer.status_code == 200, answer.text
    return [record["service_request_id"] for record in answer.json()]


def test_requests_are_chosen_as_the_standard_says(tmp_path):
    """By status, code and time; without any, of the last 90 days; numbers override the others."""
    cases = [
        Case("new", requested_ms=T0_MS + DAY_MS),
        closed("done", 2, service="POTHOLE"),
        Case("old", requested_ms=T0_MS - 100 * DAY_MS),
    ]
    visitor = Visitor(site_of(tmp_path, *cases))
    assert numbers(visitor, "") == ["new", "done"]
    assert numbers(visitor, "status=open") == ["new"]
    assert numbers(visitor, "status=open,closed") == ["new", "done"]
    assert numbers(visitor, "service_code=POTHOLE,BIN_FULL") == ["done"]
    assert numbers(visitor, "start_date=2025-10-01T00:00:00Z") == ["old"]
    assert numbers(visitor, "end_date=2026-01-15T05:00:00Z") == ["done"]
    assert numbers(visitor, "start_date=2026-01-16&end_date=2026-01-17T00:00:00%2B01:00") == ["new"]
    assert numbers(visitor, "start_date=2026-01-16T00:00:00+00:00") == ["new"]
    assert numbers(visitor, "service_request_id=old,none,new&status=closed") == ["old", "new"]
    assert numbers(visitor, "status=&service_code=&start_date=&api_key=x") == ["new", "done"]
    assert numbers(visitor, "page_size=1&page=2") == ["done"]
    assert numbers(visitor, "page_size=1&page=3") == []


@pytest.mark.parametrize(
    ("path", "status", "description"),
    [
        ("requests?status=asleep", 400, "status is open, closed or both with a comma"),
        ("requests?page=0", 400, "page is a whole number, 1 to 1000000"),
        ("requests?page_size=1001", 400, "page_size is a whole number, 1 to 1000"),
        ("requests?start_date=x", 400, "start_date is a time with zone: 2026-01-15T00:00:00Z"),
        ("requests?start_date=2026-01-01&end_date=2026-04-30", 400,
         "start_date to end_date is at most 90 days"),
        ("requests?start_date=2026-01-02&end_date=2026-01-01", 400,
         "end_date is before start_date"),
        ("requests?service_code=NONE", 404, "service_code not found"),
        (f"requests?service_request_id={','.join('x' * 501)}", 400,
         "service_request_id: at most 500 at once"),
        ("services/POTHOLE", 404, "no service here has a definition: nothing can be filed"),
        ("nothing", 404,
         "there is no such path: services, requests and discovery, as .json or .xml"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", FORMS)
def test_errors_are_as_the_standard_has_them(tmp_path, path, status, description, form):
    """A list of code and description, in the form that was asked for."""
    name, _, query = path.partition("?")
    answer = Visitor(site_of(tmp_path)).get(f"/open311/v2/{name}.{form}?{query}")
    assert answer.status_code == status
    if form is Form.JSON:
        assert answer.json() == [{"code": status, "description": description}]
    assert errors_of(answer.content, Wire(form)) == f"{status} {description}"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", ["requests", "services", "tokens/1"])
def test_nothing_can_be_filed(tmp_path, form, path):
    """405 where it would be, and no such path for the rest of the standard that writes."""
    answer = Visitor(site_of(tmp_path)).get(f"/open311/v2/{path}.{form}", "POST")
    expected = 404 if path.startswith("tokens") else 405
    assert answer.status_code == expected
    assert errors_of(answer.content, Wire(form)).startswith(f"{expected} ")
    allowed = set(answer.headers.get("allow", "").split(", "))
    assert allowed == ({"GET", "HEAD"} if expected == 405 else {""})


@pytest.mark.parametrize("form", FORMS)
def test_discovery_names_this_address(tmp_path, form):
    """By the configured host, or as it was called."""
    for hosts, expected in (
        ([], "http://localhost/open311/v2"),
        (["open311.example.org"], "https://open311.example.org/open311/v2"),
    ):
        visitor = Visitor(site_of(tmp_path / str(len(hosts)), hosts=hosts))
        answer = visitor.get(f"/open311/v2/discovery.{form}")
        if form is Form.JSON:
            (endpoint,) = answer.json()["endpoints"]
            assert endpoint["formats"] == ["application/json", "text/xml"]
            assert endpoint["url"] == expected
        else:
            root = ET.fromstring(answer.text)
            assert root.findtext("endpoints/endpoint/url") == expected
            formats = [one.text for one in root.findall("endpoints/endpoint/formats/format")]
            assert formats == ["application/json", "text/xml"]


@given(number=st.text(min_size=1, max_size=40), address=ANY_TEXT, service=ANY_TEXT, zone=ANY_TEXT)
def test_xml_is_well_formed_whatever_the_data_is(number, address, service, zone):
    """And so are JSON and CSV; what cannot be printed is not there."""
    record = record_of([a_row(number, service, address, zone)], DESK)
    asked = Asked("/", (("start_date", "2026-01-01"),))
    xml = georeport.requests(record, asked, ENGLISH, Form.XML).body
    (told,) = ET.fromstring(xml)
    (entry,) = record.entries
    assert (told.findtext("service_request_id") or "") == entry.number
    assert (told.findtext("address") or "") == entry.address
    ET.fromstring(georeport.services(record, asked, ENGLISH, Form.XML).body)
    (feature,) = json.loads(open_data.geojson(record, Asked("/"), ENGLISH).body)["features"]
    assert feature["properties"]["zone"] == entry.zone
    assert all(text.isprintable() for text in (entry.number, entry.address, entry.zone))


@given(st.dictionaries(st.sampled_from(["page", "page_size", "start_date", "end_date", "status",
                                        "service_code", "service_request_id", "limit", "since",
                                        "until", "state", "kind", "zone"]), ANY_TEXT))  # fmt: skip
def test_any_question_has_an_answer_or_is_told_what_may_be_asked(params):
    """Never another error."""
    record = record_of([a_row()], DESK)
    asked = Asked("/", tuple(params.items()))
    for form in FORMS:
        answer = georeport.answered(
            form, lambda form=form: georeport.requests(record, asked, ENGLISH, form)
        )
        assert answer.status in (200, 400, 404)
    with suppress(BadQuestionError):
        assert open_data.rows_csv(record, asked, ENGLISH).status == 200
