"""Attacks on a console that runs as a process of its own: by strangers, and by people of the house.

What stands before a single room is tried with that room; here it is tried what only the whole can
hold: sessions, lines, slow and many visitors, books that are broken while somebody looks.
"""

import html
import json
import re
import select
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import quote, urlencode

import httpx
import pytest
from browser import chromium, needs_browser
from conftest import SENSE311, running, wait_until
from staffed import Staffed
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gateway.books import by_hand
from gateway.config import read_config
from gateway.console.door import STRANGERS_MAX
from gateway.console.lines import UNOPENED_MAX
from gateway.plans import read_rules
from gateway.staff.accounts import Accounts
from gateway.staff.people import Role
from gateway.web import hosting
from gateway.web.sessions import COOKIE

pytestmark = pytest.mark.slow

PASSWORD = "a-long-enough-password"
START_S = 60.0
QUIET_S = 0.7
MIB = 1024 * 1024


class Site:
    """A console, its books, and visitors of it."""

    def __init__(self, books, url, log):
        self.books, self.url, self._log = books, url, log
        self.accounts = Accounts(books.data)
        self.address = url.removeprefix("http://")

    @contextmanager
    def visitor(self, role=None):
        """A browser without scripts; signed in, if in a role."""
        with httpx.Client(base_url=self.url, trust_env=False, timeout=30) as http:
            if role is not None:
                assert self.enter(http, role).headers["location"] == "/"
            yield http

    def enter(self, http, name, **more):
        """What the form is answered with."""
        form = {"name": name, "password": PASSWORD, "next": "/"} | more
        return http.post("/sign-in", data=form)

    def log(self):
        return self._log.read_text()

    def half(self, text):
        """A connection on which only this was said."""
        host, _, port = self.address.partition(":")
        line = socket.create_connection((host, int(port)), 10)
        line.sendall(f"{text}\r\nHost: {self.address}\r\n".encode())
        return line


class Page:
    """One page as the browser gets it."""

    def __init__(self, http, path):
        self.url, self.text = str(http.base_url).rstrip("/"), http.get(path).text
        self.cookie = http.cookies.get(COOKIE, "")
        self.query = json.loads(re.search(r"query: (\{.*?\}),", self.text)[1].replace("'", '"')
                                .replace("True", "true"))  # fmt: skip
        self.id = self.query["client_id"]

    def elements(self):
        found = re.search(r"String\.raw`(.*?)`\)?,", self.text, re.DOTALL)[1]
        return json.loads(html.unescape(found))

    def press(self, label):
        """The event of pressing the first button with this label."""
        for number, one in self.elements().items():
            if one.get("props", {}).get("label") == label:
                (event,) = [event for event in one["events"] if event["type"] == "click"]
                return {"client_id": self.id, "id": int(number), "args": [],
                        "listener_id": event["listener_id"]}  # fmt: skip
        raise AssertionError(f"there is no button {label}")


class Line:
    """A line to the pages, as NiceGUI's script opens one."""

    def __init__(self, page, cookie=None, **more):
        query = {name: str(value).lower() for name, value in page.query.items()}
        query |= {"EIO": "4", "transport": "websocket", "tab_id": "t", "document_id": "d"} | more
        cookie = page.cookie if cookie is None else cookie
        headers = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
        address = f"{page.url.replace('http', 'ws')}/_nicegui_ws/socket.io/?{urlencode(query)}"
        self._line = connect(address, origin=page.url, additional_headers=headers, proxy=None)

    def __enter__(self):
        self._line.__enter__()
        assert self._line.recv(10).startswith("0{")
        self._line.send("40")
        self.is_open = self._line.recv(10).startswith("40")
        return self

    def __exit__(self, *error):
        self._line.__exit__(*error)

    def say(self, what, message):
        self._line.send("42" + json.dumps([what, message]))

    def send(self, text):
        self._line.send(text)

    def heard(self, wait_s=QUIET_S):
        """All that comes in this time."""
        parts, end_s = [], time.monotonic() + wait_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                parts.append(self._line.recv(left_s))
            except TimeoutError:
                break
            if parts[-1] == "2":
                self._line.send("3")
        return "".join(parts)


@contextmanager
def served(folder, prepare=lambda books: None):
    """`prepare`: what is done with the books before anybody looks."""
    books = Staffed(folder, full=3)
    prepare(books)
    for role in Role:
        Accounts(books.data).add_user(role, role, books.clock.now_ms(), PASSWORD)
    command = [*SENSE311, "console", "-c", str(books.config), "--port", "0"]
    log = folder / "words.txt"
    with running(command, log, stdout=subprocess.PIPE) as process:
        assert select.select([process.stdout], [], [], START_S)[0], log.read_text()
        yield Site(books, process.stdout.readline().decode().strip(), log)
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """For whoever leaves it as it was."""
    with served(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest.fixture
def own_site(tmp_path):
    """For whoever breaks it."""
    with served(tmp_path) as found:
        yield found


# -- the way in ------------------------------------------------------------------------------------

ELSEWHERE = (
    "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "\t//evil.example",
    "/\n/evil.example", "https:evil.example", "https://evil.example", "javascript:alert(1)",
    "@evil.example", ".evil.example", "data:text/html,x", " //evil.example", "", "x" * 2000,
    "%2f%2fevil.example", "///evil.example",
)  # fmt: skip


@pytest.mark.parametrize("onward", ELSEWHERE)
def test_the_way_in_leads_to_a_page_of_ours(site, onward):
    """Whoever is signed in already is led on by the same rule as who signs in now."""
    with site.visitor() as http:
        assert site.enter(http, "viewer", next=onward).headers["location"] == "/"
        again = http.get("/sign-in", params={"next": onward})
        assert (again.status_code, again.headers["location"]) == (303, "/")


@pytest.mark.parametrize("onward", ["/incidents/1?a=%2F%2Fevil", "/@evil.example", "/%2fevil"])
def test_what_only_looks_like_another_site_is_a_page_of_ours(site, onward):
    """It stays what it was, at this host."""
    with site.visitor() as http:
        assert site.enter(http, "viewer", next=onward).headers["location"] == onward


def test_a_session_is_begun_anew_by_who_signs_in(site):
    """A cookie that somebody else planted is worth nothing, and the one of before ends."""
    with site.visitor() as http, site.visitor() as thief:
        http.cookies.set(COOKIE, "planted")
        first = site.enter(http, "viewer").headers["set-cookie"]
        assert [part in first for part in ("HttpOnly", "SameSite=Lax", "Path=/")] == [True] * 3
        value = re.match(rf"{COOKIE}=([^;]+);", first)[1]
        assert value != "planted"
        http.cookies.clear()
        http.cookies.set(COOKIE, value)
        site.enter(http, "viewer")
        for stolen in ("planted", value):
            assert thief.get("/log", headers={"Cookie": f"{COOKIE}={stolen}"}).status_code == 303


def test_a_form_of_another_site_signs_nobody_in_or_out(site):
    """However the browser says where it came from."""
    with site.visitor(Role.VIEWER) as http:
        for said in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                     {"Origin": "null"}):  # fmt: skip
            form = {"name": "admin", "password": PASSWORD}
            assert http.post("/sign-in", data=form, headers=said).status_code == 403
            assert http.post("/sign-out", headers=said).status_code == 403
        assert http.get("/devices").status_code == 200


FORMS = {
    "nothing": ({}, 303), "no such name": ({"name": "nobody", "password": PASSWORD}, 303),
    "control characters": ({"name": "admin\0", "password": "\0" * 5000}, 303),
    "a million letters": ({"name": "a" * 500_000, "password": "b" * 500_000}, 303),
    "eleven million": ({"name": "a" * 10 * MIB, "password": "b"}, 413),
    "twice": ({"name": ["admin", "nobody"], "password": [PASSWORD, "x"]}, 400),
    "a hundred thousand fields": ({"x": ["1"] * 100_000}, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_odd_forms_let_nobody_in(site, name):
    """They are answered at once, and nothing of them is said back."""
    form, status = FORMS[name]
    with site.visitor() as http:
        began_s = time.monotonic()
        answer = http.post("/sign-in", data=form)
        assert time.monotonic() - began_s < 5
        assert answer.status_code == status
        assert COOKIE not in answer.headers.get("set-cookie", "")
        assert "nobody" not in answer.headers.get("location", "")


@pytest.mark.parametrize("field", ["name", "password", "next"])
def test_a_file_in_the_form_lets_nobody_in(site, field):
    """Nothing is written down on the way."""
    with site.visitor() as http:
        answer = http.post("/sign-in", files={field: ("x", b"viewer", "text/plain")})
        assert (answer.status_code, answer.headers.get("set-cookie")) == (400, None)


# -- strangers -------------------------------------------------------------------------------------

INSIDE = ("/", "/incidents/1", "/no-such-page", "/docs", "/openapi.json", "/_nicegui", "/sign-in/x")


@pytest.mark.parametrize("path", INSIDE)
def test_a_stranger_learns_of_no_page_whether_it_is_there(site, path):
    """All lead to the way in; what is no looking is not done."""
    with site.visitor() as http:
        answer = http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/sign-in?next={path}")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "FOO"):
            assert http.request(method, path).status_code == 405


LEAKING = (
    "/_nicegui/auto/static/", "/_nicegui/client/x/upload/1", "/_nicegui/3/static/%2e%2e/%2e%2e/x",
    "/_nicegui/x/libraries/x", "/_nicegui/x/esm/sense311-city/..%2f..%2fframe.py",
    "/_nicegui/x/esm/sense311-city//etc/passwd", "/_nicegui/x/resources//etc/passwd",
)  # fmt: skip


@pytest.mark.parametrize("path", LEAKING)
def test_only_files_of_pages_are_served_to_everybody(site, path):
    """Nothing beside them, and nothing that is made for one visitor."""
    with site.visitor() as http:
        version = re.search(r"/_nicegui/([^/]+)/", http.get("/sign-in").text)[1]
        answer = http.get(path.replace("/x/", f"/{version}/", 1))
        assert answer.status_code in (400, 403, 404)
        assert "Client" not in answer.text


def test_what_a_stranger_says_of_himself_changes_no_page(site):
    """Neither host nor prefix of another server comes back, and the log stays as it was."""
    names = ("X-Forwarded-Prefix", "X-Forwarded-Host", "X-Original-URL", "Forwarded")
    said = dict.fromkeys(names, "//evil.example")
    before = site.log()
    with site.visitor(Role.VIEWER) as http:
        for path in ("/sign-in", "/incidents", "/no-such-page"):
            answer = http.get(path, headers=said)
            assert "evil" not in answer.text + str(answer.headers)
        assert http.get("/no-such-page").status_code == 404
    assert site.log() == before


# -- lines -----------------------------------------------------------------------------------------

APPROVED = "whatever the budgets say"


def test_a_page_listens_to_its_own_browser_alone(site):
    """Who knows all its numbers can neither open a line for it nor speak for it on another."""
    site.books.divert(site.books.references()[0])
    number = site.books.incidents()[0]
    with site.visitor(Role.ADMIN) as admin, site.visitor(Role.VIEWER) as viewer:
        victim = Page(admin, f"/incidents/{number}")
        press = victim.press("Approve")
        for cookie in ("", viewer.cookies[COOKIE]):
            with Line(victim, cookie) as stolen:
                assert not stolen.is_open
        with Line(victim) as own, Line(Page(viewer, "/incidents")) as other:
            with site.visitor() as http, Line(Page(http, "/sign-in")) as stranger:
                for line in (other, stranger):
                    assert line.is_open
                    line.say("handshake", victim.query | {"tab_id": "t", "document_id": "d"})
                    line.say("event", press)
                assert APPROVED not in own.heard()
            own.say("event", press)
            assert APPROVED in own.heard()


def test_a_button_that_a_viewer_cannot_press_hears_nothing(site):
    """Though the event is one of the viewer's own page, on its own line."""
    with site.visitor(Role.VIEWER) as viewer:
        page = Page(viewer, f"/incidents/{site.books.incidents()[0]}")
        with Line(page) as line:
            line.heard()
            for label in ("Approve", "Silence", "Reopen"):
                line.say("event", page.press(label))
            assert "dialog" not in line.heard()
    assert site.books.audit() == []


ODD = (None, 1, "x", [], {}, {"client_id": []}, {"client_id": "ID"}, {"client_id": "ID", "id": []},
       {"client_id": "ID", "id": 4, "listener_id": "x", "args": ["{"]},
       {"client_id": "ID", "id": 4, "listener_id": "x", "args": 5},
       {"client_id": "ID", "tab_id": [], "document_id": {}},
       {"client_id": "ID", "next_message_id": "x"}, {"client_id": "ID", "request_id": {}},
       {"client_id": "ID", "level": "error", "message": "forged"},
       {"client_id": "ID", "level": "zzz", "message": "x"})  # fmt: skip
WHATS = ("event", "ack", "log", "javascript_response", "handshake", "connect", "none_such",
         "disconnect")  # fmt: skip


def test_messages_that_are_none_are_dropped_and_leave_no_line_in_the_log(site):
    """The page goes on; who sends more than a message may hold is hung up on."""
    before = site.log()
    with site.visitor() as http:
        page = Page(http, "/sign-in")
        with Line(page) as line:
            for what in WHATS:
                for odd in ODD:
                    line.send(f"42{json.dumps([what, odd]).replace('ID', page.id)}")
                line.send(f'42["{what}", {{}}, {{}}, {{}}]')
                line.send(f'42["{what}"]')
            line.heard()
            assert line.is_open
            line.send("42" + "[" * (MIB + 1))
            with pytest.raises(ConnectionClosed):
                line.heard(5)
    assert site.log() == before


def test_strangers_hold_few_lines_and_none_that_leads_nowhere(site):
    """Those who are signed in are connected all the same."""
    address = f"ws://{site.address}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with site.visitor(Role.VIEWER) as viewer, ExitStack() as lines:
        held = [
            lines.enter_context(connect(address, origin=site.url, proxy=None))
            for _ in range(STRANGERS_MAX)
        ]
        with pytest.raises(InvalidStatus) as refused:
            connect(address, origin=site.url, proxy=None)
        assert refused.value.response.status_code == 503
        with Line(Page(viewer, "/incidents")) as line:
            assert line.is_open
        assert held[0].recv(5).startswith("0{")
        held[0].recv(20)  # the server asks whether anybody is there
        with pytest.raises(ConnectionClosed):
            held[0].recv(20)


def test_pages_that_nobody_opens_are_given_up(site):
    """Those of strangers first of all for themselves: who is signed in loses nothing by them."""
    with site.visitor() as http, site.visitor(Role.VIEWER) as viewer:
        mine = Page(viewer, "/devices")
        oldest, *_, newest = [Page(http, "/sign-in") for _ in range(UNOPENED_MAX + 20)]
        time.sleep(1.5)
        opened = []
        for page in (oldest, newest, mine):
            with Line(page) as line:
                opened.append(line.is_open)
    assert opened == [False, True, True]


@pytest.mark.parametrize("how", ["signs out", "is removed", "gets another role"])
def test_a_page_ends_with_the_session_of_who_opened_it(own_site, how):
    """In every tab; whatever it is told after that it neither does nor answers."""
    site = own_site
    site.books.divert(site.books.references()[0])
    with site.visitor(Role.OPERATOR) as http:
        page = Page(http, f"/incidents/{site.books.incidents()[0]}")
        with Line(page) as line:
            line.heard()
            if how == "signs out":
                http.post("/sign-out")
            elif how == "is removed":
                site.accounts.end_user("operator")
            else:
                site.accounts.set_role("operator", Role.ADMIN)
            line.say("event", page.press("Approve"))
            heard = line.heard(3)
            assert APPROVED not in heard
            assert '"/sign-in"' in heard
            site.books.change("UPDATE incidents SET state = 'withdrawn'")
            site.books.change("INSERT INTO orders (given_ms, who, why, what) VALUES (1,'','','')")
            assert "withdrawn" not in line.heard(2)
        with Line(page) as line:
            assert not line.is_open


# -- many and slow ---------------------------------------------------------------------------------


def is_alive(site):
    answer = httpx.get(f"{site.url}/healthz", trust_env=False, timeout=5)
    return "reasons" in answer.text


@pytest.mark.parametrize(
    ("said", "count"),
    [("GET / HTTP/1.1", 1100), ("POST /sign-in HTTP/1.1\r\nContent-Length: 9\r\n\r\n", 300)],
)
def test_who_only_begins_to_ask_holds_up_nobody(site, said, count):
    """Heads and bodies that never end, more than there may be connections."""
    with ExitStack() as slow:
        for _ in range(count):
            slow.enter_context(site.half(said))
        assert is_alive(site)
        with site.visitor(Role.VIEWER) as http:
            assert http.get("/incidents").status_code == 200


def test_a_head_that_comes_letter_by_letter_is_not_waited_for(site):
    """Each letter is in time, and all of them are not."""
    began_s = time.monotonic()
    with site.half("GET / HTTP/1.1") as line:
        while not select.select([line], [], [], 0.5)[0]:
            line.sendall(b"x")
            assert time.monotonic() - began_s < 1.5 * hosting.HEAD_S_MAX


def test_three_hundred_sign_in_at_once_and_nobody_is_locked_out_by_it(site):
    """Most are told to come back; after it the way in is open."""

    def wrongly(number):
        with site.visitor() as http:
            return site.enter(http, f"nobody-{number}", password="x" * 12).status_code

    with ThreadPoolExecutor(60) as crowd:
        assert set(crowd.map(wrongly, range(300))) <= {303, 503}
    assert is_alive(site)
    with site.visitor(Role.ADMIN) as http:
        assert http.get("/planning").status_code == 200


# -- books that break ------------------------------------------------------------------------------

PAGES = ("/", "/incidents", "/incidents/1", "/requests", "/rules", "/rules/bin_full", "/devices",
         "/devices/bin-1", "/planning", "/log")  # fmt: skip


def broken(site, how):
    config, database = site.books.config, site.books.database
    if how == "no configuration":
        config.unlink()
    elif how == "a broken configuration":
        config.write_text('[broker]\nurl = "mqtt://u:canary-secret@h"\n[city\n')
    elif how == "no database":
        database.unlink()
    elif how == "no database at all":
        database.write_bytes(b"rubbish" * 1000)
    elif how == "an older database":
        for table in ("followed", "audit_ends"):
            site.books.change(f"DROP TABLE {table}")
    else:
        site.books.assets.write_text("{")
        site.books.rule_file.write_text("a: [}")


@pytest.mark.parametrize(
    "how",
    ["no configuration", "a broken configuration", "no database", "no database at all",
     "an older database", "broken assets and rules"],
)  # fmt: skip
def test_what_is_broken_is_said_on_the_page(own_site, how):
    """Each page is shown, or one that says why not under one heading; no secret is told."""
    with own_site.visitor(Role.ADMIN) as http:
        broken(own_site, how)
        for path in PAGES:
            answer = http.get(path)
            assert (path, answer.text.count('"tag":"h1"')) == (path, 1)
            failed = "This page cannot be shown" in answer.text
            assert (path, answer.status_code) == (path, 503 if failed else 200)
            assert "canary" not in answer.text
        assert is_alive(own_site)


def test_a_locked_database_is_read_all_the_same(own_site):
    """Somebody writes for a long time: who looks does not wait for it."""
    with own_site.visitor(Role.ADMIN) as http, by_hand.opened(own_site.books.database, "rw") as db:
        db.execute("BEGIN EXCLUSIVE")
        began_s = time.monotonic()
        assert {http.get(path).status_code for path in PAGES} == {200}
        assert time.monotonic() - began_s < 15


def test_accounts_that_cannot_be_trusted_let_nobody_in_and_the_page_says_so(own_site):
    """Nor does anybody stay in; mended, they serve again."""
    file = own_site.books.data / "accounts.json"
    with own_site.visitor(Role.ADMIN) as http:
        good = file.read_bytes()
        for bad in (b"{", b"", b"[]", b'{"version": 2}'):
            file.write_bytes(bad)
            assert http.get("/").status_code == 303
            answer = own_site.enter(http, "admin")
            assert "why=closed" in answer.headers["location"]
            assert "the log of the gateway says why" in http.get(answer.headers["location"]).text
        file.write_bytes(good)
        assert own_site.enter(http, "admin").headers["location"] == "/"


# -- in a browser ----------------------------------------------------------------------------------


@needs_browser
def test_in_a_browser_the_way_in_works_without_a_line_and_out_leads_out_of_every_tab(own_site):
    """All lines of strangers are taken; then a second tab is open while one signs out."""
    address = f"ws://{own_site.address}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with chromium() as browser:
        with ExitStack() as lines:
            for _ in range(STRANGERS_MAX):
                lines.enter_context(connect(address, origin=own_site.url, proxy=None))
            browser.sign_in(own_site.url, "admin", PASSWORD)
        browser.ask("tab", url=f"{own_site.url}/incidents")
        browser.see("Incidents", role="heading", name="Incidents")
        browser.run("() => fetch('/sign-out', {method: 'POST', redirect: 'manual'}).then(() => 0)")
        browser.ask("until", script="location.pathname === '/sign-in'")
        wait_until(lambda: "Traceback" not in own_site.log(), "nothing failed")


RUN = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
EVIL = (
    f"\"'`>{RUN}</script></textarea></title>{RUN} ${{window.hurt=1}} {{{{window.hurt=1}}}} "
    "javascript:window.hurt=1 \u202ebidi\u2066\u200b :evil=window.hurt=1"
)
PLAIN = EVIL.replace("{", "").replace("}", "")  # where braces are holes
FILE = "o<img src=x onerror=window.hurt=1>.yaml"
RULES = f"""\
apiVersion: sense311/v1
sensor: bin
owner: {json.dumps(EVIL)}
params:
  heavy: {{default: 300 kg, range: [50 kg, 2000 kg], doc: {json.dumps(EVIL)}}}
rules:
  - id: bin_evil
    title: {json.dumps(PLAIN)}
    doc: {json.dumps(EVIL)}
    mode: shadow
    when: weight >= heavy and fill > 1%
    for: 2h
    cover: {{min_samples: 2, max_gap: 26h}}
    clear: {{when: weight < heavy - 50 kg}}
    identity: [asset.id]
    file: {{service: BIN_FULL, description: {json.dumps(PLAIN)}}}
"""
OF_BOOKS = """\
UPDATE refusals SET device = 'bin-1', reason = ?1, path = ?1, message = ?1, hint = ?1;
UPDATE outbox SET reason = ?1, request_id = ?1;
UPDATE deliveries SET reason = ?1;
UPDATE journal SET cause = ?1;
UPDATE incidents SET why = ?1, city_id = ?1, subject = replace(subject, 'B-2', ?1);
UPDATE incidents SET rule = iif(id = 2, 'bin_evil', ?1) WHERE id IN (2, 3);
UPDATE outbox SET request = json_set(request, '$.address', ?1, '$.description', ?1,
    '$.media_url', 'javascript:window.hurt=1', '$.extra.zone', ?1), service = ?1;
INSERT INTO followed SELECT reference, 'open', ?1, ?1, 1, 1, '' FROM outbox;
INSERT INTO audit (at_ms, who, role, via, deed, subject, why, code, text)
    VALUES (1, ?1, 'admin', 'console', ?1, ?1, ?1, ?1, ?1)"""


def poison(books):
    """Words that attack wherever others can put words."""
    city = json.loads(books.assets.read_text())
    for number, feature in enumerate(city["features"]):
        more = {"address": EVIL + "A" * 10_000 * (number == 0), "zone": EVIL, "owner": EVIL}
        feature["properties"] |= more
    city["features"][2]["properties"]["asset_id"] = EVIL[:128]
    books.assets.write_text(json.dumps(city))
    (books.folder / FILE).write_text(RULES)
    text = books.config.read_text().replace('files = ["ours.yaml"', f'files = ["{FILE}"')
    credit = f"tiles_credit = {json.dumps(EVIL[:200])}"
    tiles = 'tiles = "http://127.0.0.1:9911/{z}/{x}/{y}.png"'
    books.config.write_text(text.replace("[console]", f"[console]\n{tiles}\n{credit}"))
    rules = read_rules(read_config(books.config)[0])[0]
    books.change("UPDATE meta SET value = ? WHERE key = 'rules'", rules.to_json())
    for statement in OF_BOOKS.split(";\n"):
        books.change(statement, EVIL)


HOVER = """() => { for (const one of document.querySelectorAll('.nicegui-echart'))
    getElement(one.id.slice(1)).chart.dispatchAction({type: 'showTip', seriesIndex: 0,
        dataIndex: 1});
  for (const one of document.querySelectorAll('details')) one.open = true;
  for (const one of document.querySelectorAll('.leaflet-container')) one.click(); }"""


@needs_browser
def test_hostile_words_stay_words_on_every_page(tmp_path):
    """Of cities, devices, rules and people; in charts and on the map too, where they are asked."""
    asked = quote(f'"><{RUN}', safe="")
    pages = (
        "", "incidents?state=all", "incidents/1", "incidents/2", "incidents/3", "requests", "rules",
        "rules/bin_evil", f"rules/edit?file={quote(str(tmp_path / FILE))}",
        "rules/edit?copy=bin_evil", "devices", "devices/bin-1", f"devices/{asked}",
        "planning", "log", f"log?who={asked}",
        f"incidents?search={asked}&rule={asked}",
    )  # fmt: skip
    with served(tmp_path, poison) as site, chromium() as browser:
        browser.sign_in(site.url, "admin", PASSWORD)
        for page in pages:
            browser.goto(f"{site.url}/{page}")
            browser.ask("pause", ms=1500)
            browser.run(HOVER)
            browser.ask("mouse", path=[[300, 300], [400, 400], [600, 500], [700, 300]])
            browser.ask("pause", ms=200)
            hurt = browser.run(
                "() => window.hurt || document.querySelectorAll('img[src=x]').length"
            )
            assert (page, hurt) == (page, 0)
            assert (page, browser.ask("count", css="a[href^='javascript']")) == (page, 0)
            assert (page, browser.ask("width")) == (page, 1280)
