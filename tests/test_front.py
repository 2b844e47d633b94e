"""The server with TLS that goes before the pages, as deploy/README.md writes it: a real nginx.

The very lines of the page, at port 443 of loopback, which only root may have; names and certificate
are those of the test. A real Chromium comes in by the names, as from outside.
"""

import os
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Browser, chromium, needs_browser
from conftest import a_bin, a_free_port, running, wait_until

from gateway.staff.accounts import Accounts
from gateway.staff.people import Role

ROOT = Path(__file__).resolve().parent.parent
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
INSIDE, OUTSIDE = "sense311.example.org", "open311.example.org"
T0 = datetime(2026, 1, 15, 18, tzinfo=UTC)
pytestmark = [
    pytest.mark.slow,
    needs_browser,
    pytest.mark.skipif(
        (NGINX is None or os.getuid() != 0) and os.environ.get("CI") != "true",
        reason="no nginx, or not root: `make parts`",
    ),
]


def the_lines_of_the_page(folder: Path, console: int, public: int, evidence: int) -> str:
    """With the ports and files of the test in place of those of the page."""
    page = (ROOT / "deploy/README.md").read_text("utf-8")
    (block,) = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    block = re.sub(r"/etc/ssl/\w+\.(crt|key)", rf"{folder}/tls.\1", block)
    for said, here in (("8311", console), ("8312", public), ("8313", evidence)):
        assert f"127.0.0.1:{said}" in block
        block = block.replace(f"127.0.0.1:{said}", f"127.0.0.1:{here}")
    assert block.count("listen 443 ssl;") == 2
    return block.replace("listen 443 ssl;", "listen 127.0.0.1:443 ssl;")


def certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={INSIDE}", "-keyout", str(folder / "tls.key"),
         "-addext", f"subjectAltName=DNS:{INSIDE},DNS:{OUTSIDE}", "-out", str(folder / "tls.crt")],
        check=True, capture_output=True,
    )  # fmt: skip


class Front:
    """The gateway's pages behind nginx."""

    def __init__(self, folder: Path, gateway: Any, password: str) -> None:
        self.folder, self.gateway, self.password = folder, gateway, password

    def ask(self, host: str, path: str, **how: Any) -> httpx.Response:
        """As from outside, by name."""
        trusted = ssl.create_default_context(cafile=str(self.folder / "tls.crt"))
        with httpx.Client(verify=trusted, trust_env=False) as http:
            return http.get(
                f"https://127.0.0.1{path}",
                headers={"Host": host} | how.pop("headers", {}),
                extensions={"sni_hostname": INSIDE}, **how,
            )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("front")


@pytest.fixture
def front(place: Path, bundled_broker: Any, desk: Any, a_gateway: Any) -> Iterator[Front]:
    console, public, evidence = (a_free_port() for _ in range(3))
    gateway = a_gateway(
        bundled_broker, desk=desk, assets=[a_bin(1)],
        more=f'[console]\nport = {console}\nhosts = ["{INSIDE}"]\n'
        f'[public]\nport = {public}\nhosts = ["{OUTSIDE}"]\n'
        f'[evidence]\nport = {evidence}\npublic_url = "https://{INSIDE}/evidence"\n',
    )  # fmt: skip
    password = Accounts(gateway.data).add_user("ana", Role.ADMIN, 1_700_000_000_000)
    gateway.start()
    certificate(place)
    client = bundled_broker.login()
    for k in range(6):
        at = (T0 + timedelta(minutes=10 * k)).isoformat()
        body = {"ts": at, "boot": 1, "seq": k + 1, "values": {"fill_pct": 92}}
        client.say("city/v1/z/bin/bin-1/telemetry", body)
    wait_until(lambda: gateway.query("SELECT 1 FROM outbox WHERE state = 'filed'"), "it is filed")
    lines = the_lines_of_the_page(place, console, public, evidence)
    (place / "nginx.conf").write_text(
        f"daemon off;\npid {place}/nginx.pid;\nerror_log stderr;\nuser root;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{lines}\n}}\n"
    )
    command = [str(NGINX), "-c", str(place / "nginx.conf")]
    with running(command, place / "nginx.log"):
        made = Front(place, gateway, password)
        for host in (INSIDE, OUTSIDE):
            wait_until(lambda host=host: _is_there(made, host), f"{host} answers", 90)
        yield made


def _is_there(front: Front, host: str) -> bool:
    try:
        return front.ask(host, "/").status_code in (200, 303, 307)
    except httpx.HTTPError:
        return False


def test_staff_residents_programs_and_the_city_come_in_by_their_names(front: Front) -> None:
    """Signed in through TLS, with a live page; nothing of the staff's is at the residents' name,
    and what watchdogs read at none. No page of another site has a signed-in browser act.
    """
    _pages(front)
    _the_city(front)
    _programs(front)


def _pages(front: Front) -> None:
    switches = "--ignore-certificate-errors", "--host-resolver-rules=MAP *.example.org 127.0.0.1"
    with chromium(*switches) as browser:
        _staff(browser, front)
        _residents(browser)
    for host, path, code in (
        (INSIDE, "/metrics", 404),
        (INSIDE, "/healthz", 200),
        (INSIDE, "/api/v1/incidents", 401),
        (OUTSIDE, "/sign-in", 404),
        (OUTSIDE, "/metrics", 404),
        ("other.example.org", "/sign-in", 421),
    ):
        assert (host, path, front.ask(host, path).status_code) == (host, path, code)
    assert "max-age" in front.ask(INSIDE, "/sign-in").headers["strict-transport-security"]


def _staff(browser: Browser, front: Front) -> None:
    browser.sign_in(f"https://{INSIDE}", "ana", front.password)
    browser.see("Open incidents in view")
    browser.goto(f"https://{INSIDE}/incidents/1")
    browser.see("What the rule saw when it fired")
    (cookie,) = [one for one in browser.ask("cookies") if one["httpOnly"]]
    assert (cookie["secure"], cookie["domain"]) == (True, INSIDE)
    assert browser.trouble() == []


def _residents(browser: Browser) -> None:
    browser.open(f"https://{OUTSIDE}/")
    browser.see("full", exact=False)
    assert browser.trouble() == []


def _the_city(front: Front) -> None:
    """The picture is under the address that the request carries."""
    ((asked,),) = front.gateway.query("SELECT request ->> 'media_url' FROM outbox")
    assert asked.startswith(f"https://{INSIDE}/evidence/SCG-")
    picture = front.ask(INSIDE, asked.removeprefix(f"https://{INSIDE}"), timeout=60)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert picture.content.startswith(b"\x89PNG")


def _programs(front: Front) -> None:
    token, _ = Accounts(front.gateway.data).add_token("t", Role.VIEWER, int(time.time() * 1000))
    headers = {"Authorization": f"Bearer {token}"}
    assert front.ask(INSIDE, "/api/v1/incidents", headers=headers).status_code == 200
    form = {"name": "ana", "password": front.password, "next": "/"}
    trusted = ssl.create_default_context(cafile=str(front.folder / "tls.crt"))
    codes = []
    with httpx.Client(verify=trusted, trust_env=False) as http:
        for origin in (f"https://{INSIDE}", "https://evil.example", f"http://{INSIDE}"):
            answer = http.post(
                "https://127.0.0.1/sign-in", data=form,
                headers={"Host": INSIDE, "Origin": origin}, extensions={"sni_hostname": INSIDE},
            )  # fmt: skip
            codes.append(answer.status_code)
    assert codes[0] in (302, 303)
    assert all(code == 403 for code in codes[1:]), codes
