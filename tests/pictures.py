"""The pictures of the README: each page of the console and the residents' page, from the demo.

`python tests/pictures.py`, or `make pictures`: plays the demo, leaves it running, looks at it in a
real Chromium, and writes deploy/pictures/*.png.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import Browser, chromium

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "deploy" / "pictures"
SENSE311 = [sys.executable, "-m", "gateway.cli"]
WIDTH, HEIGHT = 1280, 860
SETTLE_MS = 2500
PAGES = {
    "city": "/",
    "incidents": "/incidents?state=all",
    "incident": "/incidents/{incident}",
    "311": "/requests",
    "rules": "/rules",
    "rule": "/rules/lamp_out",
    "devices": "/devices",
    "device": "/devices/{device}",
    "planning": "/planning",
    "log": "/log",
}


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, _demo(Path(place) / "demo") as demo:
        folder = Path(demo["dir"])
        password = (folder / "console.password").read_text("utf-8")
        with chromium() as browser, _public(folder) as public:
            browser.sign_in(demo["console"], "demo", password, width=WIDTH, height=HEIGHT)
            _take(browser, demo["console"], _ids(folder))
            browser.open(public, width=WIDTH, height=HEIGHT)
            _picture(browser, "public")
            browser.open(demo["console"], look="dark", width=WIDTH, height=HEIGHT)
            _picture(browser, "sign-in")


def _take(browser: Browser, url: str, ids: dict[str, str]) -> None:
    for name, path in PAGES.items():
        browser.goto(url + path.format(**ids))
        _picture(browser, name)
    trouble = browser.trouble()
    if trouble:
        sys.exit("\n".join(trouble))


def _picture(browser: Browser, name: str) -> None:
    browser.ask("pause", ms=SETTLE_MS)
    browser.ask("picture", path=str(PICTURES / f"{name}.png"), whole=False)


def _ids(folder: Path) -> dict[str, str]:
    """A dark lamp, and the device that says so."""
    told = _asked("incidents", "ls", "--all", "-c", str(folder / "sense311.toml"), "--json")
    dark = next(one for one in told["incidents"] if one["rule"] == "lamp_out" and not one["parent"])
    devices = _asked("devices", "ls", "-c", str(folder / "sense311.toml"), "--json")["devices"]
    device = next(one for one in devices if one.get("refused"))
    return {"incident": str(dark["id"]), "device": device["device"]}


def _asked(*words: str) -> dict[str, Any]:
    done = subprocess.run([*SENSE311, *words], capture_output=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@contextmanager
def _demo(folder: Path) -> Iterator[dict[str, Any]]:
    """Its result, while all of it runs on."""
    command = [*SENSE311, "demo", "--json", "--keep", "--dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def _public(folder: Path) -> Iterator[str]:
    command = [*SENSE311, "public", "--json", "--port", "0", "-c", str(folder / "sense311.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
