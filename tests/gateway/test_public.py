"""What residents see: the pages, in their language, without devices and persons."""

import re
import sqlite3
from dataclasses import replace
from html import unescape
from types import SimpleNamespace

import pytest
from public_books import CANARY, DAY_MS, HOUR_MS, T0_MS, Case, Visitor, closed, site_of, write

from gateway.books.store import Store
from gateway.cases.incident import Why
from gateway.cityhall.delivery import State
from gateway.cityhall.profile import read_profile
from gateway.errors import StoreBroken
from gateway.phrases import Phrases
from gateway.public import answering, pages
from gateway.public.answers import Answer, Kept
from gateway.public.asked import Asked
from gateway.public.latest import FRESH_S, Latest
from gateway.public.tongue import preferred, tongue, tongue_of
from gateway.views.public_record import Record, Standing, read_record, record_of
from rules.rule import LANGUAGES

PAGES = ("/", "/about", "/nothing", "/?days=all", "/?lang=zh&kind=POTHOLE")
DATA = (
    "/data.geojson", "/data.csv", "/response-times.csv",
    *(f"/open311/v2/{name}.{form}" for form in ("json", "xml")
      for name in ("services", "requests", "discovery", "requests/R-1", "requests/none",
                   "services/POTHOLE", "nothing")),
)  # fmt: skip


def cells(html):
    """The rows of the first table as lists of texts."""
    body = re.search(r"<tbody.*?</tbody>", html, re.DOTALL)
    rows = re.findall(r"<tr.*?</tr>", body[0] if body else "", re.DOTALL)
    strip = re.compile(r"<[^>]+>")
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[unescape(strip.sub("", cell)).strip() for cell in row] for row in found]


# -- what is shown ---------------------------------------------------------------------------------


def test_nothing_of_devices_and_persons_is_in_any_answer(tmp_path):
    """Device and asset ids, owners, reasons, references, the text that was filed, notes of the
    city: each holds a canary in the books, and no answer has it."""
    cases = [closed("R-1", 5), Case("R-2", service="POTHOLE"), closed("R-3", 9, confirmed=False)]
    visitor = Visitor(site_of(tmp_path, *cases))
    with sqlite3.connect(tmp_path / "sense311.db") as db:
        for table in ("incidents", "outbox", "followed", "journal"):
            assert CANARY in str(db.execute(f"SELECT * FROM {table}").fetchall())
    db.close()
    for path in (*PAGES, *DATA):
        answer = visitor.get(path)
        assert CANARY not in answer.text + str(answer.headers)
        assert "SCG-" not in answer.text
        assert answer.status_code < 500
    assert "R-1" in visitor.get("/data.csv").text


@pytest.mark.parametrize(
    "case",
    [
        *(Case("R-9", state=state) for state in State if state is not State.FILED),
        Case(None),
        Case(""),
        Case("R-9", desk="emergency"),
    ],
    ids=lambda case: f"{case.state}-{case.number}-{case.desk}",
)
def test_only_what_the_city_has_given_a_number_is_public(tmp_path, case):
    """Not what waits, was refused or withdrawn, has no number, or went to another desk."""
    visitor = Visitor(site_of(tmp_path, case, Case("R-1")))
    assert [row[0] for row in cells(visitor.get("/").text)] == ["R-1"]
    for path in DATA:
        assert "R-9" not in visitor.get(path).text


def standing_of(tmp_path, **case):
    (entry,) = read_record(site_of(tmp_path, Case("R", **case)).database, DESK).entries
    return entry.standing


DESK = read_profile("desk")
OVER = {"over_ms": T0_MS, "why": Why.CLEARED}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"status": ""}, Standing.OPEN),
        ({"status": "open"}, Standing.OPEN),
        ({"status": "in_progress"}, Standing.OPEN),
        ({"status": "open", **OVER}, Standing.OVER),
        ({"status": "closed", **OVER}, Standing.REPAIRED),
        ({"status": "closed"}, Standing.CLOSED),
        ({"status": "closed", "over_ms": T0_MS, "why": Why.NOT_REPAIRED}, Standing.NOT_REPAIRED),
        ({"status": "closed", "over_ms": T0_MS, "why": Why.REOPENED}, Standing.NOT_REPAIRED),
        ({"status": "duplicate", **OVER}, Standing.DUPLICATE),
        ({"status": "open", "over_ms": T0_MS, "why": Why.LATE_SAMPLE}, Standing.MISTAKEN),
        ({"status": "closed", "over_ms": T0_MS, "why": Why.LATE_SAMPLE}, Standing.MISTAKEN),
    ],
)
def test_how_a_request_stands_is_the_citys_word_and_what_the_sensor_shows(tmp_path, case, expected):
    """Both, in one word."""
    assert standing_of(tmp_path, **case) == expected


@pytest.mark.parametrize(
    ("updated", "expected_ms"),
    [
        ("2026-01-15T06:30:00Z", T0_MS + 3 * HOUR_MS // 2),
        ("2026-01-15T07:30:00+01:00", T0_MS + 3 * HOUR_MS // 2),
        ("2026-01-15T00:30:00", T0_MS + 3 * HOUR_MS // 2),  # by the clocks of Chicago
        ("2026-01-14T06:30:00Z", T0_MS + 2 * HOUR_MS),  # before it was filed
        ("2026-01-19T06:30:00Z", T0_MS + 2 * HOUR_MS),  # changed later for another reason
        ("yesterday", T0_MS + 2 * HOUR_MS),
        ("", T0_MS + 2 * HOUR_MS),
    ],
)
def test_a_request_was_closed_when_the_city_says_so_if_that_can_be(tmp_path, updated, expected_ms):
    """Else when it was first seen closed."""
    case = closed("R", 2, updated=updated)
    site = site_of(tmp_path, case, profile="chicago")
    (entry,) = read_record(site.database, site.profile).entries
    assert entry.closed_ms == expected_ms


def test_two_faults_with_one_number_are_one_request(tmp_path):
    """It was found and reported when the first was, and stands as the last does."""
    first = closed("R", 2)
    again = Case("R", requested_ms=T0_MS + DAY_MS)
    (entry,) = read_record(site_of(tmp_path, first, again).database, DESK).entries
    assert (entry.requested_ms, entry.standing) == (T0_MS, Standing.OPEN)


def test_positions_are_rounded_to_about_a_metre(tmp_path):
    """Five decimals."""
    (entry,) = read_record(site_of(tmp_path, Case("R")).database, DESK).entries
    assert (entry.lat, entry.long) == (41.88071, -87.63012)


def test_a_request_that_cannot_be_read_leaves_the_others_there(tmp_path):
    """Half a character in an address hides one entry, not the page."""
    site = site_of(tmp_path, Case("R-1", address="broken \ud800 half"), Case("R-2"))
    assert [entry.number for entry in read_record(site.database, DESK).entries] == ["R-2"]


# -- the page --------------------------------------------------------------------------------------


HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(1)">\'"'


def test_what_comes_from_outside_stays_text(tmp_path):
    """Addresses, districts, numbers of the city, kinds, the title: none becomes markup."""
    case = closed(f"N{HOSTILE}", 2, address=f"A{HOSTILE}", zone=f"Z{HOSTILE}", service=HOSTILE)
    site = site_of(tmp_path, case, title=f"T{HOSTILE}", tiles_credit=f"C{HOSTILE}")
    visitor = Visitor(site)
    for path in (*PAGES, "/?days=all&page=9", f"/?zone={HOSTILE}", f"/x{HOSTILE}"):
        html = visitor.get(path).text
        assert "alert" in html
        assert "<script>alert" not in html
        assert "<img" not in html
        assert not re.search(r'="[^"]*[^"]\bonerror="', html)
    assert f"A{HOSTILE}" in [row[3] for row in cells(visitor.get("/").text)]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("fr-CA,en;q=0.8", "fr"),
        ("en;q=0.3, ES;q=0.9", "es"),
        ("zh-Hant-TW", "zh"),
        ("de, xx;q=1", "en"),
        ("fr;q=0, es;q=0.1", "es"),
        ("es;q=nonsense, fr;q=0.1", "fr"),
        ("", "en"),
        (",,;;q=,", "en"),
        ("x," * 50 + "fr", "en"),
    ],
)
def test_a_browser_asks_for_its_language(accept, expected):
    """What it weighs most of what is spoken; else what is configured."""
    assert preferred(accept, "en") == expected


def test_the_language_is_chosen_by_address_then_browser_then_configuration(tmp_path):
    """And an unknown one is not chosen."""
    visitor = Visitor(site_of(tmp_path, Case("R"), language="zh"))

    def spoken(path, **headers):
        return re.search(r'<html lang="(\w+)" dir="ltr">', visitor.get(path, **headers).text)[1]

    assert spoken("/") == "zh"
    assert spoken("/", accept_language="fr") == "fr"
    assert spoken("/?lang=es", accept_language="fr") == "es"
    assert spoken("/?lang=tlh", accept_language="fr") == "fr"
    assert spoken("/nothing?lang=es") == "es"
    assert "Accept-Language" in visitor.get("/").headers["vary"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_times_and_numbers_are_written_as_in_the_language(language):
    """By the clocks of the city."""
    spoken = tongue(language, "America/Chicago")
    told = spoken.time(T0_MS), spoken.share(0.871), spoken.took(90 * 60_000), spoken.number(12345)
    expected = {
        "en": ("Jan 14, 2026, 11:00 PM", "87%", "1.5 hr", "12,345"),
        "es": ("14 ene 2026, 23:00", "87 %", "1,5 h", "12.345"),
        "fr": ("14 janv. 2026, 23:00", "87 %", "1,5 h", "12 345"),
        "zh": ("2026年1月14日 23:00", "87%", "1.5小时", "12,345"),
    }
    assert tuple(re.sub(r"\s", " ", text) for text in told) == expected[language]
    assert re.sub(r"\s", " ", tongue("en", "UTC").took(80 * HOUR_MS)) == "3.3 days"


def test_a_language_that_is_written_from_right_to_left_is_so(tmp_path):
    """No page has a left or a right of its own; the direction comes from the language."""
    site = site_of(tmp_path, Case("R"))
    record = read_record(site.database, site.profile)
    arabic = tongue_of(Phrases("ar", {"Map": "خريطة"}), "UTC")
    html = pages.front(record, Asked("/", (("days", "all"),)), arabic, site).body.decode()
    assert '<html lang="ar" dir="rtl">' in html
    assert "خريطة</h2>" in html
    style = Visitor(site).get("/static/public.css").text
    assert not re.search(r"(?<!-inline)[-\s:](left|right)\b", style.partition("*/")[2])


def test_a_page_is_bound_to_its_own_files(tmp_path):
    """No script and no style in it, no cookie, no other host but that of the tiles."""
    site = site_of(tmp_path, Case("R"), tiles="https://tiles.example/{z}/{x}/{y}.png")
    visitor = Visitor(site)
    for path in PAGES:
        answer = visitor.get(path)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "img-src 'self' data: https://tiles.example;" in policy
        assert "set-cookie" not in answer.headers
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", answer.text)
        sources = re.findall(r'(?:src|href|action)="([^"]*)"', answer.text)
        assert all(source.startswith(("/", "#")) for source in sources)


def test_every_file_that_a_page_names_is_there(tmp_path):
    """Style, scripts and Leaflet; nothing else, whatever is asked for."""
    visitor = Visitor(site_of(tmp_path, Case("R")))
    named = set(re.findall(r'"(/static/[^"]+)"', visitor.get("/").text)) | {"/static/leaflet.js"}
    assert len(named) == 5
    for path in named:
        answer = visitor.get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=300"
        assert visitor.get(path, if_none_match=answer.headers["etag"]).status_code == 304
    for path in ("/static/map", "/static/../answering.py", "/static/%2e%2e/answering.py"):
        assert visitor.get(path).status_code in (400, 404)


def test_filters_show_what_is_chosen_and_stay_chosen(tmp_path):
    """By kind, district, state and period; what is no choice chooses nothing."""
    cases = [
        Case("R-1"),
        Case("R-2", service="POTHOLE", zone="south"),
        closed("R-3", 2, zone="south", requested_ms=T0_MS - 60 * DAY_MS),
        Case("R-4", requested_ms=T0_MS - 200 * DAY_MS),
    ]
    visitor = Visitor(site_of(tmp_path, *cases))

    def numbers(query):
        html = visitor.get(f"/?{query}").text
        table = html.partition('id="list-title"')[2].partition("</section>")[0]
        return [row[0] for row in cells(table)]

    assert numbers("") == ["R-2", "R-1", "R-3"]
    assert numbers("days=30") == ["R-2", "R-1"]
    assert numbers("days=all") == ["R-2", "R-1", "R-3", "R-4"]
    assert numbers("kind=POTHOLE") == ["R-2"]
    assert numbers("zone=south") == ["R-2", "R-3"]
    assert numbers("zone=south&state=repaired") == ["R-3"]
    assert numbers("zone=nowhere&state=asleep&kind=X&days=-5&page=x") == ["R-2", "R-1", "R-3"]
    assert numbers("kind=BIN_FULL") == []
    html = visitor.get("/?zone=south&state=repaired&days=30&lang=fr").text
    assert re.findall(r'<option value="([^"]*)" selected', html) == ["south", "repaired", "30"]
    assert 'name="lang" value="fr"' in html


def test_a_long_list_has_pages(tmp_path):
    """Fifty rows each; each request on exactly one; a page beyond the last says so."""
    visitor = Visitor(site_of(tmp_path, *(Case(f"R-{i}") for i in range(120))))
    htmls = [visitor.get(f"/?page={page}").text for page in (1, 2, 3, 4)]
    found = [[row[0] for row in cells(html.partition('id="list-title"')[2])] for html in htmls[:3]]
    assert [len(rows) for rows in found] == [50, 50, 20]
    assert {number for rows in found for number in rows} == {f"R-{i}" for i in range(120)}
    assert 'rel="next"' not in htmls[2]
    assert "There is no such page of the list." in htmls[3]


def test_each_number_stands_beside_its_definition(tmp_path):
    """What the head of the table says is what the list below it defines."""
    html = Visitor(site_of(tmp_path, closed("R", 2))).get("/").text
    section = html.partition('id="times-title"')[2].partition("</section>")[0]
    heads = re.findall(r"<th scope=\"col\"[^>]*>([^<]+)", section)
    assert heads[2:] == re.findall(r"<dt>([^<]+)</dt>", section)
    assert cells(section) == [
        ["Street light out", "All districts", "1", "0", "1", "2 hr", "2 hr", "100%"]
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_page_can_only_be_read(tmp_path, method):
    """Anything else is told so."""
    answer = Visitor(site_of(tmp_path)).get("/", method)
    assert answer.status_code == 405
    assert "<h1>This page can only be read</h1>" in answer.text


def test_a_page_that_is_not_there_says_so_in_the_readers_language(tmp_path):
    """With the frame of every page, and 404."""
    visitor = Visitor(site_of(tmp_path, title="City of Example"))
    answer = visitor.get("/nothing/at/all")
    assert answer.status_code == 404
    assert "<h1>There is no such page</h1>" in answer.text
    assert "City of Example" in answer.text
    assert answer.headers["cache-control"] == "no-store"


def test_a_stranger_is_no_host_of_ours(tmp_path):
    """A name that leads here by DNS alone is refused; the configured one is served."""
    visitor = Visitor(site_of(tmp_path, hosts=["open311.example.org"]))
    assert visitor.get("/", Host="evil.example").status_code == 421
    assert visitor.get("/", Host="open311.example.org").status_code == 200


def test_a_page_without_entries_says_so(tmp_path):
    """Before the first fault, and where nothing is chosen."""
    html = Visitor(site_of(tmp_path)).get("/").text
    assert html.count("There is nothing to show for this choice.") == 2


def test_without_books_there_is_a_page_that_says_so(tmp_path):
    """503 with when to come again; as soon as they are there, so is the record."""
    site = site_of(tmp_path / "books", Case("R"))
    visitor = Visitor(replace(site, database=tmp_path / "none.db"))
    answer = visitor.get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "The data cannot be read now" in answer.text
    standard = visitor.get("/open311/v2/requests.json")
    assert standard.status_code == 503
    assert standard.json() == [{"code": 503, "description": "the data cannot be read now"}]


def test_a_fault_of_ours_is_told_to_the_log_only(tmp_path, monkeypatch, caplog):
    """The page says that something went wrong, and not what."""
    visitor = Visitor(site_of(tmp_path))
    monkeypatch.setattr(answering.pages.Filters, "choice", lambda *_: 1 / 0)
    answer = visitor.get("/")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert "ZeroDivisionError" in caplog.text


# -- the record, and who waits for it --------------------------------------------------------------


def a_record(name):
    return replace(record_of([], DESK), version=name)


class Reader:
    """Gives records in turn and counts how often it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked, self.now_s, self.took_s = list(answers), [], 0.0, 0.0
        self.later = []
        self.latest = Latest(self.read, lambda: self.now_s, self.later.append)

    def read(self, before: Record | None):
        self.asked.append(before and before.version)
        self.now_s += self.took_s
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return a_record(answer)

    def version(self):
        return self.latest.record().version


def test_the_books_are_read_once_in_ten_seconds_and_nobody_waits():
    """Who asks meanwhile has the record from before."""
    reader = Reader("a", "b")
    assert [reader.version() for _ in range(100)] == ["a"] * 100
    reader.now_s += FRESH_S
    assert [reader.version() for _ in range(100)] == ["a"] * 100
    assert (len(reader.later), reader.asked) == (1, [None])
    reader.later.pop()()
    assert [reader.version() for _ in range(100)] == ["b"] * 100
    assert reader.asked == [None, "a"]
    assert reader.later == []


def test_books_that_take_long_to_read_are_read_less_often():
    """A tenth of the time at the most."""
    reader = Reader("a", "b")
    reader.took_s = 3.0
    assert reader.version() == "a"
    reader.now_s += 26.9
    assert (reader.version(), reader.later) == ("a", [])
    reader.now_s += 0.2
    reader.version()
    assert len(reader.later) == 1


def test_books_that_cannot_be_read_leave_the_record_as_it_is():
    """And it is tried again later."""
    reader = Reader("a", StoreBroken("gone"), "c")
    reader.version()
    for expected in ("a", "c"):
        reader.now_s += FRESH_S
        reader.version()
        reader.later.pop()()
        assert reader.version() == expected


def test_a_crowd_before_the_first_record_asks_the_books_once_a_second():
    """Each is told that there is none yet."""
    reader = Reader(StoreBroken("gone"), "b")
    for _ in range(50):
        with pytest.raises(StoreBroken, match="gone"):
            reader.version()
    assert reader.asked == [None]
    reader.now_s += 1
    assert reader.version() == "b"


def test_books_in_which_nothing_changed_are_not_read_again(tmp_path):
    """The record is the same one; after a change it is another."""
    site = site_of(tmp_path, Case("R-1"))
    record = read_record(site.database, DESK)
    assert read_record(site.database, DESK, record) is record
    store = Store(tmp_path)
    write(store, [Case("R-2")], first=2)
    store.close()
    changed = read_record(site.database, DESK, record)
    assert [entry.number for entry in changed.entries] == ["R-2", "R-1"]
    assert changed.version != record.version


def test_answers_are_kept_within_bounds():
    """Made once while they are asked for; those asked for least lately go first."""
    kept, made = Kept(bytes_max=2500), []

    def ask(name):
        def make():
            made.append(name)
            return Answer(bytes(900), "text/plain")

        assert kept.get(name, make).answer.body == bytes(900)

    for name in ("a", "b", "a", "c", "a", "b", "c"):
        ask(name)
    assert made == ["a", "b", "c", "b", "c"]


def test_the_day_begins_by_the_citys_clocks(tmp_path):
    """A period ends with today there, whatever day it is elsewhere."""
    site = site_of(tmp_path, profile="chicago")
    assert site.date_at(T0_MS).isoformat() == "2026-01-14"
    section = SimpleNamespace(hosts=["open311.example.org"])
    assert replace(site, section=section).root("localhost:1") == "https://open311.example.org"
    assert site.root("localhost:8312") == "http://localhost:8312"
