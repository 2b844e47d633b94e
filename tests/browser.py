"""A real Chromium for tests and pictures, led through `tests/node/browser.mjs`.

Each method is one thing that a visitor does or sees; what they would not see (errors on the page's
console, requests to other hosts) is in `trouble`.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PARTS = Path(__file__).parent.parent / ".venv" / "node"
SCRIPT = Path(__file__).parent / "node" / "browser.mjs"
CHROMIUM = shutil.which("chromium")
IS_THERE = CHROMIUM is not None and (PARTS / "node_modules" / "playwright-core").is_dir()
needs_browser = pytest.mark.skipif(
    not IS_THERE and os.environ.get("CI") != "true",
    reason="no Chromium, or no node parts: `make parts`",
)


class BrowserError(AssertionError):
    """What was to be done or seen could not be."""


class Browser:
    """One browser with one visitor."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, command: str, **what: Any) -> Any:
        """One command of `browser.mjs`. BrowserError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": command, **what}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BrowserError(f"the browser is gone at {command} {what}")
        answer = json.loads(line)
        if not answer["ok"]:
            raise BrowserError(f"{command} {what}: {answer['error']}")
        return answer["result"]

    def open(self, url: str, **how: Any) -> None:
        """A new visitor: `look`, `width`, `height`, `language`."""
        self.ask("open", url=url, **how)

    def goto(self, url: str) -> int | None:
        return self.ask("goto", url=url)

    def click(self, name: str, role: str = "button", **how: Any) -> None:
        self.ask("click", role=role, name=name, **how)

    def fill(self, label: str, value: str, **how: Any) -> None:
        self.ask("fill", label=label, value=value, **how)

    def see(self, text: str, *, wait_s: float = 15.0, **how: Any) -> None:
        """BrowserError: it does not appear in time."""
        self.ask("see", text=text, wait_ms=int(1000 * wait_s), **how)

    def read(self, css: str = "body") -> str:
        return str(self.ask("read", css=css))

    def run(self, script: str, value: Any = None) -> Any:
        """What a function of JavaScript gives."""
        return self.ask("run", script=script, value=value)

    def axe(self) -> list[dict[str, Any]]:
        """What axe-core finds wrong with the page: WCAG 2.2 AA, and good practice."""
        found: list[dict[str, Any]] = self.ask("axe")
        return found

    def trouble(self) -> list[str]:
        """Since it was asked last."""
        told: list[str] = self.ask("trouble")
        return told

    def sign_in(self, url: str, name: str, password: str, **how: Any) -> None:
        """Through the form, as a visitor does."""
        self.open(f"{url}/sign-in", **how)
        self.fill("Name", name)
        self.fill("Password", password)
        self.click("Sign in")
        self.ask("until", script="location.pathname === '/'")


@contextmanager
def chromium(*switches: str) -> Iterator[Browser]:
    """Started, with further switches of its command line, and ended."""
    assert CHROMIUM is not None
    process = subprocess.Popen(
        ["node", str(SCRIPT), CHROMIUM, *switches], cwd=PARTS, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Browser(process)
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
