"""The City page in a real Chromium, over a console beside real books."""

import json
import select
import subprocess
import time

import map_city
import pytest
from browser import chromium, needs_browser
from conftest import SENSE311, START_S, running

from gateway.books.store import Store
from gateway.effects import Effects
from gateway.staff.accounts import Accounts
from gateway.staff.people import Role

ASSETS = 3_000
HOSTILE = "<img src=x onerror='document.title=1'>"
PASSWORD = "correct horse battery"
LINE = ".s-city-line"
pytestmark = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("city")
    map_city.make_folder(made, ASSETS)
    Accounts(made / "data").add_user("ana", Role.VIEWER, map_city.T0_MS, PASSWORD)
    return made


@pytest.fixture(scope="module")
def store(folder):
    opened = Store(folder / "data")
    map_city.fill(opened, ASSETS, 60)
    opened.commit(Effects(incidents={61: map_city.an_incident(61, HOSTILE, HOSTILE)}))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def address(folder, store):
    config = str(folder / "sense311.toml")
    command = [*SENSE311, "console", "-c", config, "--port", "0", "--json"]
    with running(command, folder / "console.log", stdout=subprocess.PIPE) as process:
        assert select.select([process.stdout], [], [], START_S)[0], "the console did not start"
        yield json.loads(process.stdout.readline())["url"]


@pytest.fixture
def page(address):
    """Signed in, with the map there."""
    with chromium() as browser:
        browser.sign_in(address, "ana", PASSWORD)
        browser.ask("until", script=f"/[0-9]/.test(document.querySelector('{LINE}')?.textContent)")
        yield browser
        assert browser.trouble() == []


def until(page, script):
    page.ask("until", script=script)


def test_a_fault_is_on_the_map_within_two_seconds(page, store):
    """An incident that opens while somebody looks is counted, drawn and listed by itself. The best
    of three counts: the machine does other things too.
    """
    took_s = [shown_after_s(page, store, 100 + k, f"ST-{6 - k}") for k in range(3)]
    assert min(took_s) < 2.0
    page.see("Street light ST-6 is dark at night")


def shown_after_s(page, store, number, asset):
    before = page.read(LINE)
    fault = map_city.an_incident(number, asset, "lamp_out")
    entry = map_city.an_entry(number, asset, "lamp_out")
    store.commit(Effects(incidents={number: fault}, journal=[entry]))
    began = time.monotonic()
    until(page, f"document.querySelector('{LINE}').textContent !== {json.dumps(before)}")
    return time.monotonic() - began


def test_the_filters_stand_in_the_address(page, address):
    """What is filtered is filtered for whoever gets the address; clearing shows everything."""
    page.ask("run", script="() => { document.querySelector('select').value = 'bin'; "
             "document.querySelector('select').dispatchEvent(new Event('change')) }")  # fmt: skip
    until(page, "new URLSearchParams(location.search).get('kind') === 'bin'")
    assert page.read(LINE).startswith("500 assets")
    page.goto(page.run("() => location.href"))
    until(page, f"document.querySelector('{LINE}')?.textContent.startsWith('500 assets')")
    page.click("Show everything")
    until(page, f"document.querySelector('{LINE}').textContent.startsWith('3,000 assets')")
    assert "kind" not in page.run("() => location.search")


def test_an_asset_is_found_and_picked_by_keyboard(page):
    """An asset can be found by its name, and what is in the middle of the map picked with Enter."""
    page.fill("Find an asset by its name", "ST-12")
    page.click("Show", exact=True)
    page.see("112 W Example St")
    page.click("Close", exact=True)
    page.run(
        "() => { const map = document.querySelector('.s-city-map'); map.focus();"
        " map.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true})) }"
    )
    page.see("112 W Example St")
    page.see("d12")


def test_what_comes_from_outside_stays_text(page):
    """A subject and a rule that are HTML are shown as they are written."""
    assert page.run(f"() => document.body.textContent.includes({json.dumps(HOSTILE)})")
    assert page.run("() => document.querySelectorAll('.s-city img').length") == 0
    assert "sense311" in page.run("() => document.title")


@pytest.mark.parametrize("how", [{}, {"look": "dark"}, {"width": 360, "height": 740}])
def test_anybody_can_use_it(address, how):
    """Light, dark and on a phone: no finding of axe-core, and nothing wider than the window."""
    with chromium() as browser:
        browser.sign_in(address, "ana", PASSWORD, **how)
        browser.ask("until", script=f"/[0-9]/.test(document.querySelector('{LINE}')?.textContent)")
        until(browser, "!document.querySelector('#q-loading-bar [role=progressbar]')?.offsetWidth")
        assert browser.axe() == []
        wide = browser.run("() => document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0
        assert browser.trouble() == []
