"""What the guard lets in, over a real server with raw sockets, and before a NiceGUI page."""

import asyncio
import json
import select
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote, unquote

import httpx
import pytest
import uvicorn
from conftest import running, wait_until
from hypothesis import given
from hypothesis import strategies as st
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from gateway.web.guard import Guard, Limits, Reason, cross_site, policy, wrong_host, wrong_path

ROOT = Path(__file__).resolve().parent.parent.parent
MIB = 1024 * 1024


class Behind:
    """What stands behind the guard: remembers what it was asked, echoes what it is told."""

    def __init__(self):
        self.asked = []
        self.headers = []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "text": message["text"]})
            return
        body = (await receive())["body"]
        self.asked.append((scope["method"], scope["path"], body))
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"got %d" % len(body)})


class Served:
    def __init__(self, guard, behind, port):
        self.guard, self.behind, self.port = guard, behind, port
        self.url = f"http://127.0.0.1:{port}"

    def raw(self, data, *, then=()):
        """(status, whole answer) to bytes as they are; the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as line:
            line.sendall(data)
            for more in then:
                with suppress(OSError):  # it has answered and closed already
                    line.sendall(more)
            return read_answer(line)

    def get(self, *headers, path="/", method="GET", host=True):
        own = [f"Host: 127.0.0.1:{self.port}"] if host else []
        lines = [f"{method} {path} HTTP/1.1", *own, *headers, "Connection: close", "", ""]
        return self.raw("\r\n".join(lines).encode("latin-1"))

    def connect(self, path="/line", origin=None, **headers):
        address = f"ws://127.0.0.1:{self.port}{path}"
        return connect(address, origin=origin, additional_headers=headers, proxy=None)


def read_answer(line):
    parts = []
    with suppress(ConnectionResetError):
        while part := line.recv(65536):
            parts.append(part)
    answer = b"".join(parts)
    return int(answer.split(b" ", 2)[1]), answer.decode("latin-1")


@contextmanager
def served(hosts=(), http="h11", **limits):
    behind = Behind()
    guard = Guard(behind, hosts, limits=Limits(**limits))
    ear = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(guard, http=http, log_config=None, lifespan="off", loop="asyncio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[ear])))
    thread.start()
    wait_until(lambda: server.started, "the server has started")
    try:
        yield Served(guard, behind, ear.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(20)
        ear.close()


@pytest.fixture(scope="module", params=["h11", "httptools"])
def site(request):
    """On either of uvicorn's readers of HTTP."""
    with served(["Console.Example.org"], http=request.param) as found:
        yield found


def scope_of(method="POST", path="/", **headers):
    said = [(k.replace("_", "-").encode(), v.encode("latin-1")) for k, v in headers.items()]
    kind = "websocket" if method == "WS" else "http"
    return {"type": kind, "method": method, "path": path, "headers": said}


# -- whose host it is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8311", "console.example.org:443"]
)
def test_our_own_hosts_are_served(site, host):
    """At any port, however they are written."""
    assert site.get(f"Host: {host}", host=False)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "console.example.org.evil.example", "localhost.evil.example", "127.0.0.2",
        "localhost:80:80", "user@localhost", "localhost:", "[::1", "", "2130706433", "localhost.",
    ],
)  # fmt: skip
def test_other_hosts_are_not_served(site, host):
    """DNS rebinding: a stranger's name leads here. The answer says which key to set."""
    site.behind.asked.clear()
    status, answer = site.get(f"Host: {host}", host=False)
    assert status in (400, 421)  # 400: the server's own, of what is no host at all
    assert status == 400 or "hosts in section [console]" in answer
    assert site.behind.asked == []


def test_there_is_exactly_one_host(site):
    """None, or two that differ, or twice the same: a server before this one may see the other."""
    mine = f"Host: 127.0.0.1:{site.port}"
    assert site.raw(b"GET / HTTP/1.0\r\n\r\n")[0] == 421
    assert site.get("Host: evil.example")[0] in (400, 421)
    assert site.get(mine)[0] in (400, 421)


def test_a_line_to_another_host_is_not_opened(site):
    """A websocket handshake is refused with the same words."""
    with pytest.raises(InvalidStatus) as refused:
        site.connect(origin="http://evil.example", Host="evil.example")
    assert refused.value.response.status_code in (400, 421)


def test_hosts_are_named_by_the_section_that_has_them():
    """The public page has its own."""
    refusal = wrong_host(scope_of(host="evil.example"), {"localhost"}, "public")
    assert "[public]" in refusal.text


# -- from which page it comes ----------------------------------------------------------------------

HERE = "console.example.org"
LET_IN = [
    scope_of(host=HERE),
    scope_of(host=HERE, authorization="Bearer x"),
    scope_of(host=HERE, origin=f"https://{HERE}"),
    scope_of(host=HERE, origin=f"https://{HERE}", sec_fetch_site="same-origin"),
    scope_of(host=f"{HERE}:443", origin=f"https://{HERE}"),
    scope_of(host=f"{HERE}:8080", origin=f"http://{HERE}:8080"),
    scope_of(host=HERE.upper(), origin=f"https://{HERE}"),
    scope_of(host=HERE, origin=f"https://{HERE}", x_forwarded_proto="https"),
    scope_of("WS", host=HERE, origin=f"http://{HERE}"),
    scope_of("WS", host="[::1]:8311", origin="http://[::1]:8311"),
    scope_of("GET", host=HERE, origin="https://evil.example", sec_fetch_site="cross-site"),
    scope_of("GET", "/_nicegui_ws/socket.io/", host=HERE),
]
KEPT_OUT = [
    scope_of(host=HERE, origin="https://evil.example"),
    scope_of(host=HERE, origin="null"),
    scope_of(host=HERE, origin=f"http://{HERE}", x_forwarded_proto="https"),
    scope_of("WS", host=HERE, origin=f"http://{HERE}", x_forwarded_proto="https"),
    scope_of(host=HERE, origin=""),
    scope_of(host=HERE, origin=f"https://{HERE}.evil.example"),
    scope_of(host=HERE, origin=f"https://evil.example/{HERE}"),
    scope_of(host=HERE, origin=f"https://x@{HERE}"),
    scope_of(host=HERE, origin=f"ftp://{HERE}"),
    scope_of(host=HERE, origin=HERE),
    scope_of(host=f"{HERE}:8080", origin=f"http://{HERE}:3000"),
    scope_of(host=f"{HERE}:80", origin=f"https://{HERE}"),
    scope_of(host=HERE, sec_fetch_site="cross-site"),
    scope_of(host=HERE, sec_fetch_site="same-site", origin=f"https://{HERE}"),
    scope_of(host=HERE, authorization="Bearer x", origin="https://evil.example"),
    scope_of("DELETE", host=HERE, origin="https://evil.example"),
    scope_of("WS", host=HERE, origin="https://evil.example"),
    scope_of("WS", host=HERE, sec_fetch_site="cross-site"),
    scope_of("GET", "/_nicegui_ws/socket.io/", host=HERE, origin="https://evil.example"),
    scope_of("OPTIONS", "/_nicegui_ws/socket.io/", host=HERE, origin="https://evil.example"),
]


@pytest.mark.parametrize("scope", LET_IN, ids=lambda scope: scope["method"])
def test_pages_of_ours_and_programs_are_let_in(scope):
    """The origin is that of the host, or there is none; whoever only looks may come from a link."""
    assert cross_site(scope) is None


@pytest.mark.parametrize("scope", KEPT_OUT, ids=lambda scope: scope["method"])
def test_pages_of_other_sites_are_kept_out(scope):
    """Of what changes something or opens a line."""
    assert cross_site(scope).status == 403


def test_two_origins_are_none():
    """One of them is that of a stranger."""
    scope = scope_of(host=HERE, origin=f"https://{HERE}")
    scope["headers"] *= 2
    scope["headers"].pop(2)
    assert cross_site(scope).reason == Reason.CROSS_SITE


def test_a_line_is_opened_for_our_own_page_only(site):
    """Over a real handshake."""
    with site.connect(origin=site.url) as line:
        line.send("hello")
        assert line.recv(5) == "hello"
    with pytest.raises(InvalidStatus) as refused:
        site.connect(origin="http://evil.example")
    assert refused.value.response.status_code == 403
    assert refused.value.response.headers["X-Content-Type-Options"] == "nosniff"


def test_where_no_answer_can_be_sent_the_line_is_closed():
    """By a server that knows no answers to handshakes; the application hears nothing of it."""
    behind, sent = Behind(), []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    scope = scope_of("WS", host="localhost", origin="https://evil.example")
    asyncio.run(Guard(behind)(scope, receive, send))
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": "cross_site"}]


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/../etc/passwd", "/a/../b", "/%2e%2e/etc/passwd", "/.%2E/", "/a%2f..%2fb", "/%252e%252e/",
        "/a/..%5c..%5cb", "/a\\b", "/a%00b", "/%2500", "/a%0d%0aSet-Cookie:x", "*",
        "/%252525252e",
    ],
)  # fmt: skip
def test_a_path_that_climbs_is_refused(site, path):
    """However often it is encoded."""
    site.behind.asked.clear()
    assert site.get(path=path)[0] == 400
    assert site.behind.asked == []


@pytest.mark.parametrize(
    "path", ["/", "/a..b/...", "/incidents/12?next=/../x", "/%C3%A9/%E4%B8%AD", "/100%25", "/a%20b"]
)
def test_other_paths_are_not(site, path):
    """Dots within a name, letters of other scripts; what stands after `?` is no path."""
    assert site.get(path=path)[0] == 200


@given(st.lists(st.sampled_from(["..", ".", "a", "/", "\\", "%2e", "%2F", "%25", "%", "\0", "é"])))
def test_what_is_let_through_climbs_nowhere(parts):
    """Decoded once, twice or three times, by whoever stands behind."""
    text = "/" + "".join(parts)
    if wrong_path({"path": text, "raw_path": quote(text, safe="/%\\").encode()}) is None:
        for _ in range(3):
            text = unquote(text)
            assert ".." not in text.replace("\\", "/").split("/")
            assert "\0" not in text


HEADERS = st.tuples(
    st.sampled_from([b"host", b"Host", b"origin", b"sec-fetch-site"]),
    st.one_of(st.binary(max_size=20), st.sampled_from([b"localhost", b"localhost:1", b"none"])),
)


@given(st.lists(HEADERS, max_size=4))
def test_whatever_the_headers_hold_only_our_host_is_let_in(headers):
    """Any bytes: an answer, never a fall."""
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    hosts = [value for name, value in headers if name.lower() == b"host"]
    cross_site(scope)
    if wrong_host(scope, {"localhost"}, "console") is None:
        assert len(hosts) == 1
        assert hosts[0].lower().partition(b":")[0] == b"localhost"
    else:
        assert hosts not in ([b"localhost"], [b"localhost:1"])


# -- how much --------------------------------------------------------------------------------------


def test_a_body_reaches_the_application_whole(site):
    """Up to 1 MiB, sent at once or in pieces."""
    for body in (b"x" * MIB, (b"y" * 1000 for _ in range(50))):
        assert httpx.post(site.url, content=body, trust_env=False).status_code == 200
    assert [len(body) for _, _, body in site.behind.asked[-2:]] == [MIB, 50_000]


def test_a_larger_body_is_refused_before_it_is_read(site):
    """By what the browser says of it, and by what comes when it does not say."""
    site.behind.asked.clear()
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
    length = f"{head}Content-Length: {MIB + 1}\r\n\r\n"
    assert site.raw(length.encode())[0] == 413
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert site.raw(chunked + 16 * chunk, then=[b"1\r\nx\r\n"])[0] == 413
    assert site.behind.asked == []
    assert site.guard.refused[Reason.BODY_TOO_LARGE] >= 2


@pytest.mark.parametrize("said", ["-1", "1e3", "0x10", "9" * 30])
def test_a_length_that_is_none_is_refused(site, said):
    """And nothing is read."""
    assert site.get(f"Content-Length: {said}", method="POST")[0] in (400, 413)


def test_who_goes_away_in_the_midst_of_a_body_has_asked_nothing(site):
    """Half a form is no deed."""
    site.behind.asked.clear()
    head = f"POST /half HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nContent-Length: 100\r\n\r\n"
    with socket.create_connection(("127.0.0.1", site.port), 10) as line:
        line.sendall(head.encode() + b"x" * 50)
    wait_until(lambda: site.guard._open["body"] == 0, "it has noticed")
    assert site.get(path="/after")[0] == 200
    assert [path for _, path, _ in site.behind.asked] == ["/after"]


def test_who_sends_a_body_too_slowly_is_sent_away():
    """A hundred of those would leave no room."""
    with served(body_s_max=0.2) as site:
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nContent-Length: 9\r\n\r\nx"
        status, answer = site.raw(head.encode())
        assert (status, site.behind.asked) == (408, [])
        assert "not there after 0.2 seconds" in answer


def test_large_headers_and_addresses_are_refused(site):
    """16 KiB and 8 KiB are enough."""
    assert site.get("X-Large: " + "x" * 15_000)[0] == 200
    assert site.get("X-Large: " + "x" * 16_384)[0] == 431
    assert site.get(path="/?" + "x" * 8_000)[0] == 200
    assert site.get(path="/?" + "x" * 8_192)[0] == 414


def test_a_hundred_open_tabs_work():
    """And the service can still be looked at."""
    with served() as site, ExitStack() as tabs:
        lines = [tabs.enter_context(site.connect(origin=site.url)) for _ in range(100)]
        for number, line in enumerate(lines):
            line.send(str(number))
        assert [line.recv(10) for line in lines] == [str(number) for number in range(100)]
        assert site.get(path="/healthz")[0] == 200


def test_more_than_there_is_room_for_is_asked_to_come_back():
    """503 with Retry-After; requests go on meanwhile, and so do lines once there is room."""
    with served(open_max=2) as site:
        with ExitStack() as tabs:
            for _ in range(2):
                tabs.enter_context(site.connect(origin=site.url))
            with pytest.raises(InvalidStatus) as refused:
                site.connect(origin=site.url)
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"] == "5"
            assert site.get()[0] == 200
        wait_until(lambda: site.guard._open["websocket"] == 0, "the lines are closed")
        with site.connect(origin=site.url) as line:
            line.send("back")
            assert line.recv(5) == "back"


def test_many_requests_at_once_are_bounded_too():
    """Of those that have not come whole yet so many; what has no body is answered meanwhile."""
    with served(open_max=2) as site, ExitStack() as slow:
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nContent-Length: 9\r\n\r\n"
        for _ in range(2):
            line = slow.enter_context(socket.create_connection(("127.0.0.1", site.port), 10))
            line.sendall(head.encode())
        wait_until(lambda: site.guard._open["body"] == 2, "both have begun")
        assert site.get("Content-Length: 1", method="POST")[0] == 503
        assert site.get("Transfer-Encoding: chunked", method="POST")[0] == 503
        assert site.get("Content-Length: 0", method="POST")[0] == 200
        assert site.get()[0] == 200


# -- what every answer carries ---------------------------------------------------------------------


BINDING = (
    "cross-origin-opener-policy: same-origin", "permissions-policy: camera=()",
    "x-content-type-options: nosniff", "referrer-policy: same-origin",
)  # fmt: skip


def test_every_answer_binds_the_browser(site):
    """A refusal too."""
    for answer in (site.get()[1], site.get(path="/%2e%2e/")[1]):
        lines = answer.lower()
        assert "content-security-policy: default-src 'self'; script-src 'self'" in lines
        assert "frame-ancestors 'none'" in lines
        assert [said for said in BINDING if f"\r\n{said}" not in lines] == []


def test_what_a_page_says_itself_stays():
    """Once: two policies would both bind."""
    with served() as site:
        site.behind.headers = [(b"Content-Security-Policy", b"default-src 'none'")]
        answer = site.get()[1].lower()
        assert answer.count("content-security-policy:") == 1
        assert "content-security-policy: default-src 'none'\r\n" in answer


@pytest.mark.parametrize(
    ("tiles", "pictures"),
    [
        (None, "img-src 'self' data: blob:;"),
        ("https://t.example.org:8/{z}/{x}/{y}.png", "data: blob: https://t.example.org:8;"),
        ("https://{s}.t.example.org/{z}/{x}/{y}.png", "data: blob: https://*.t.example.org;"),
    ],
)
def test_pictures_come_from_here_and_from_the_tiles(tiles, pictures):
    """The one other host, and only where it is configured."""
    assert pictures in policy(tiles)


# -- before a page of NiceGUI ----------------------------------------------------------------------

PAGE = """
import asyncio, json, socket
import uvicorn
from fastapi import FastAPI
from nicegui import ui
from gateway.web.guard import Guard

@ui.page("/")
def page():
    ui.label("a page of ours")

app = FastAPI()
ui.run_with(app, show_welcome_message=False)
ear = socket.create_server(("127.0.0.1", 0))
print(json.dumps(ear.getsockname()[1]), flush=True)
server = uvicorn.Server(uvicorn.Config(Guard(app), log_config=None))
asyncio.run(server.serve(sockets=[ear]))
"""


@pytest.fixture
def page(tmp_path):
    command = [sys.executable, "-c", PAGE]
    with running(command, tmp_path / "page.log", stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert select.select([child.stdout], [], [], 60)[0], (tmp_path / "page.log").read_text()
        yield Served(None, None, json.loads(child.stdout.readline()))


@pytest.mark.slow
def test_a_page_of_nicegui_is_connected_from_its_own_origin_only(page):
    """By websocket and by polling, which NiceGUI itself allows to any site."""
    path = "/_nicegui_ws/socket.io/?EIO=4&transport="
    with httpx.Client(base_url=page.url, trust_env=False) as browser:
        assert "a page of ours" in browser.get("/").text
        evil = {"Origin": "http://evil.example"}
        assert browser.get(f"{path}polling", headers=evil).status_code == 403
        assert browser.get(f"{path}polling", headers={"Origin": page.url}).text[:2] == "0{"
    with page.connect(f"{path}websocket", origin=page.url) as line:
        assert json.loads(line.recv(10)[1:])["pingInterval"] > 0
    with pytest.raises(InvalidStatus) as refused:
        page.connect(f"{path}websocket", origin="http://evil.example")
    assert refused.value.response.status_code == 403
