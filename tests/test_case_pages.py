"""The pages of incidents, requests and the log in a real browser, over books of a gateway."""

import json
import select
import subprocess
from contextlib import contextmanager

import pytest
from browser import chromium, needs_browser
from conftest import SENSE311, running, wait_until
from staffed import OPERATOR, T0_MS, Staffed

from gateway.cityhall.delivery import Cause, Claimed, Filed, NoReadBack, Refused, Unknown
from gateway.staff.accounts import Accounts
from gateway.staff.people import Role

pytestmark = [pytest.mark.slow, needs_browser]

PASSWORD = "a-long-enough-password"
EVIL = '<img src=x onerror="window.hurt=1"><script>window.hurt=1</script>'
START_S = 60.0


class Hall(Staffed):
    """Nine requests in all the states that want somebody, with hostile words of the city."""

    def __init__(self, folder):
        super().__init__(folder, full=9)
        first, second, third, fourth, *others = self.references()
        self.through(first, Claimed(), Filed("26-1"))
        self.through(second, Claimed(), Refused(f"400: {EVIL}"))
        self.through(third, Claimed(), Unknown(Cause.TIMEOUT, f"no answer {EVIL}"))
        self.through(fourth, Claimed(), Unknown(Cause.TIMEOUT, "no answer"), NoReadBack())
        for reference in others[:3]:
            self.divert(reference, "over the budget of 2 an hour")
        self.change(
            "INSERT INTO followed VALUES (?,'open',?,?,?,?,'')",
            first, f"crew {EVIL}", f"yesterday {EVIL}", T0_MS, T0_MS,
        )  # fmt: skip
        for role in Role:
            Accounts(self.data).add_user(role, role, self.clock.now_ms(), PASSWORD)

    def state_of(self, reference):
        return self.rows("SELECT state FROM outbox WHERE reference = ?", reference)[0]["state"]


@contextmanager
def shown(hall, role):
    """The console as a process of its own, and a browser in which somebody has signed in."""
    command = [*SENSE311, "console", "-c", str(hall.config), "--port", "0"]
    with running(command, hall.folder / "words.txt", stdout=subprocess.PIPE) as process:
        assert select.select([process.stdout], [], [], START_S)[0]
        url = process.stdout.readline().decode().strip()
        with chromium() as browser:
            browser.sign_in(url, role, PASSWORD)
            yield browser, url
            assert browser.trouble() == []


@pytest.fixture
def hall(tmp_path):
    return Hall(tmp_path)


def clean(browser):
    """No finding of axe once all has come to rest, and nothing of the city's words was run."""
    browser.ask(
        "until", script="!document.querySelector('[class*=-enter-active], [class*=-leave-active]')"
    )
    assert browser.axe() == []
    assert browser.run("() => window.hurt || 0") == 0


def test_an_operator_sees_why_and_lets_requests_pass(hall):
    """Several at once from the list, one from its own page; both stand in the log, with who."""
    fifth, sixth, seventh = hall.references()[4:7]
    with shown(hall, "operator") as (browser, url):
        browser.goto(f"{url}/requests")
        browser.see("400: <img src=x")
        clean(browser)
        for reference in (fifth, sixth):
            browser.click(f"Choose {reference}", "checkbox")
        browser.click("Approve those chosen")
        clean(browser)
        browser.click("Approve 2")
        browser.see("2 are approved.")
        assert (hall.state_of(fifth), hall.state_of(sixth)) == ("ready", "ready")
        browser.goto(f"{url}/incidents/{hall.incidents()[6]}")
        browser.see("What the rule saw when it fired")
        clean(browser)
        browser.click("Approve", exact=True)
        browser.see("whatever the budgets say")
        browser.click("Approve", exact=True, nth=1)
        browser.see(f"{seventh}: ready")
        assert hall.state_of(seventh) == "ready"
        browser.goto(f"{url}/log")
        browser.see("operator (operator), console")
        clean(browser)
    assert hall.audit() == [("operator", "approve", "done")] * 3


def test_a_window_is_tried_out_and_then_made(hall):
    """From the incident's page, filled in already; without a reason it is not made."""
    with shown(hall, "operator") as (browser, url):
        browser.goto(f"{url}/incidents/{hall.incidents()[0]}")
        browser.see("What the rule saw when it fired")
        browser.click("Silence", exact=True)
        browser.click("What would it do?")
        browser.see("It is about 1 things that stand in the city.")
        clean(browser)
        browser.click("Add a maintenance window")
        browser.see("Say why: whoever asks later will read it.")
        browser.fill("Why (it stands in the log)", "new bins")
        browser.click("Add a maintenance window")
        wait_until(hall.audit, "the window is in the log")
    (order,) = hall.rows("SELECT what FROM orders")
    assert json.loads(order["what"])["silence"]["assets"] == ["B-0"]


def test_a_viewer_sees_all_of_it_and_can_press_nothing(hall):
    """Every button says which role it asks for; the log is for those who act."""
    with shown(hall, "viewer") as (browser, url):
        browser.goto(f"{url}/incidents/{hall.incidents()[0]}")
        browser.see("What the rule saw when it fired")
        browser.see(f"crew {EVIL}")
        count = "() => document.querySelectorAll('section button:not([disabled])').length"
        assert browser.run(count) == 0
        browser.goto(f"{url}/requests")
        browser.see("It asks for the role admin.")
        assert browser.ask("count", css="[role=checkbox]") == 0
        browser.goto(f"{url}/log")
        browser.see("It asks for the role operator.")
        assert browser.ask("count", css="table") == 0


def test_a_list_goes_on_and_nobody_loses_their_place(hall):
    """What changes is seen within a second or two; the focus and the place on the page stay."""
    first = hall.incidents()[0]
    with shown(hall, "viewer") as (browser, url):
        browser.goto(f"{url}/incidents?state=all")
        browser.see(f"#{first}", exact=True)
        browser.ask("focus", role="link", name=f"#{first}", exact=True)
        where = "() => [document.activeElement.textContent, window.scrollY]"
        before = browser.run(where)
        assert before[1] > 0
        hall.change("UPDATE incidents SET state = 'withdrawn' WHERE id = ?", first)
        hall.change("INSERT INTO orders (given_ms, who, why, what) VALUES (1, 'a', 'b', '{}')")
        browser.see("withdrawn", exact=True, nth=1)
        assert browser.run(where) == before


PAGES = {
    "incidents?state=all": "are shown.",
    "incidents/1": "What the rule saw",
    "requests": "Maintenance windows",
    "log": "operator), api",
}


def test_it_is_readable_in_the_dark_and_on_a_phone(hall):
    """No finding of axe, and nothing to scroll to sideways."""
    hall.deeds().approve(OPERATOR, hall.references()[4])
    with shown(hall, "operator") as (browser, url):
        for look, width in (("dark", 1280), ("light", 360)):
            browser.ask("look", look=look)
            browser.ask("size", width=width, height=800)
            for page, text in PAGES.items():
                browser.goto(f"{url}/{page}")
                browser.see(text, nth=0)
                clean(browser)
                assert browser.ask("width") <= width, page
