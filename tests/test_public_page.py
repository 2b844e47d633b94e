"""The residents' page as a process of its own, beside the books, and in a real browser."""

import json
import select
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from books import Books
from browser import chromium, needs_browser
from conftest import SENSE311, end, running
from public_books import Case, closed, write

from gateway.books.store import Store

pytestmark = pytest.mark.slow

START_S = 30.0
EVIL = '<img src=x onerror="window.hurt=1"> & Co'


@pytest.fixture
def books(tmp_path):
    """A gateway's folder in which requests have been filed."""
    books = Books(tmp_path)
    store = Store(tmp_path / "data")
    write(store, [closed("R-1", 2), Case("R-2", address=EVIL, zone="south", service="POTHOLE")])
    store.close()
    config = books.config
    config.write_text(config.read_text("utf-8") + '[public]\nport = 0\ntitle = "City of Example"\n')
    return config


@contextmanager
def serving(config: Path, *more: str):
    """The process, and its address once it says it."""
    command = [*SENSE311, "public", "-c", str(config), "--json", *more]
    with running(command, config.parent / "words.txt", stdout=subprocess.PIPE) as process:
        assert select.select([process.stdout], [], [], START_S)[0]
        yield process, json.loads(process.stdout.readline())["url"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_ends_well(books, number):
    """At a free port of loopback; whoever was told the address may call at once."""
    with serving(books) as (process, url):
        assert url.startswith("http://127.0.0.1:")
        answer = httpx.get(f"{url}/?days=all")
        assert answer.status_code == 200
        assert "City of Example" in answer.text
        assert httpx.get(f"{url}/healthz").text == "ok\n"
        assert end(process, number) == 0


def test_head_says_the_same_without_the_body(books):
    """Of pages, data and files."""
    with serving(books) as (_, url):
        for path in ("/", "/data.csv", "/open311/v2/requests.xml", "/static/map.js", "/nothing"):
            full, head = httpx.get(f"{url}{path}"), httpx.head(f"{url}{path}")
            assert (head.status_code, head.content) == (full.status_code, b"")
            for name in ("content-type", "etag", "content-length", "content-security-policy"):
                assert head.headers.get(name) == full.headers.get(name)


def test_a_port_that_is_taken_is_said(books):
    """Exit code 3, and which key names another."""
    with serving(books) as (_, url):
        port = url.rpartition(":")[2]
        command = [*SENSE311, "public", "-c", str(books), "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 3
    assert "[public] port names another" in second.stderr
    assert "Traceback" not in second.stderr


@needs_browser
def test_a_browser_shows_the_map_and_the_table(books):
    """In light and dark, wide and narrow, in each language: nothing for axe-core to say, no error,
    no other host, no cookie, and no markup out of the data.
    """
    with serving(books) as (_, url), chromium() as browser:
        for look, width, language in (("light", 1280, "en"), ("dark", 360, "fr")):
            browser.open(f"{url}/?days=all", look=look, width=width, language=language)
            browser.ask("until", script="!!document.querySelector('#map canvas')")
            assert browser.run("() => document.documentElement.lang") == language
            assert browser.axe() == []
            assert browser.ask("width") <= width
            assert browser.run("() => window.hurt ?? 'unhurt'") == "unhurt"
            assert EVIL in browser.read("table")
            browser.goto(f"{url}/about")
            assert browser.axe() == []
            assert browser.ask("cookies") == []
            assert browser.trouble() == []
            assert browser.goto(f"{url}/nothing") == 404
            assert browser.axe() == []
            browser.trouble()


@needs_browser
def test_a_point_of_the_map_tells_its_request_as_text(books):
    """Clicked on the canvas."""
    with serving(books) as (_, url), chromium() as browser:
        browser.open(f"{url}/?days=all&kind=POTHOLE")
        browser.ask("until", script="!!document.querySelector('#map canvas')")
        browser.ask("click", css="#map canvas")
        browser.see("R-2", wait_s=5)
        assert EVIL in browser.read(".popup")
        assert browser.trouble() == []
