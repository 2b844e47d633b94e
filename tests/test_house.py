"""The house rules hold in the source, and each of them finds a module that breaks it.

The rules themselves are in house_rules.py.
"""

import re
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch

import pytest
from house_rules import (
    CHECKS,
    PACKAGES,
    ROOT,
    Check,
    Module,
    functions_are_short,
    import_law,
    libraries_in_their_rooms,
    lines_fit,
    modules,
    no_footguns,
    no_swallowed_errors,
    opens_with_its_promise,
    pure_rooms_stay_inside,
    rooms_are_small,
    text_is_clean,
)

from rules.files import load, read_library

TEXTS = ("*.py", "*.toml", "*.yaml", "*.lark", "*.md", "*.sh", "*.txt", "*.conf", "*.service")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_is_in_order(check: Check) -> None:
    """Every module of the three packages keeps every rule."""
    findings = [finding for module in modules(*PACKAGES) for finding in check(module)]

    assert findings == [], "\n".join(findings)


@pytest.mark.parametrize("check", [functions_are_short, lines_fit], ids=lambda c: c.__name__)
def test_the_tests_can_be_read_too(check: Check) -> None:
    """Tests are code: short functions, lines that fit."""
    findings = [finding for module in modules("tests") for finding in check(module)]

    assert findings == [], "\n".join(findings)


def test_nothing_is_left_over_and_nothing_points_at_one_machine() -> None:
    """No note to come back, no path of one machine, no package index, in any text of the tree."""
    folders = [ROOT / name for name in (*PACKAGES, "tests", "deploy", ".ci")]
    paths = [p for folder in folders for pattern in TEXTS for p in folder.rglob(pattern)]
    top = [ROOT / name for name in ("Makefile", "README.md", "pyproject.toml", "requirements.txt")]

    findings = [
        finding
        for path in sorted([*paths, *top, ROOT / ".ci/run"])
        for finding in text_is_clean(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))
    ]

    assert findings == [], "\n".join(findings)


def test_requirements_are_pinned_by_hash_and_name_no_host() -> None:
    """What is installed is what was checked, from wherever it comes."""
    text = (ROOT / "requirements.txt").read_text("utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    entries = [re.sub(r"\\\n\s*", "", entry) for entry in re.split(r"\n+(?=\S)", lines.strip())]
    good = re.compile(r"(?P<name>[a-z0-9._-]+)==[^\s:@/]+( --hash=sha256:[0-9a-f]{64})+", re.ASCII)

    assert [entry[:80] for entry in entries if not good.fullmatch(entry)] == []
    pinned = {re.sub(r"[._-]+", "-", entry.partition("==")[0]) for entry in entries}
    assert set() == set(_dependencies()) - pinned


def _dependencies() -> Iterator[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        name = re.split(r"[^A-Za-z0-9._-]", line)[0].lower()
        yield re.sub(r"[._-]+", "-", name)  # as indexes and pip write it


def test_every_package_and_every_data_file_is_installed() -> None:
    """What stands in the tree is what an installation gets."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    files = [path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix not in (".pyc", ".md")]
    folders = {path.parent for path in files}
    named = {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in folders}

    assert named == set(setuptools["packages"])
    listed = [
        ROOT.joinpath(*package.split("."), pattern).relative_to(ROOT).as_posix()
        for package, patterns in setuptools["package-data"].items()
        for pattern in patterns
    ]
    data = [path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".py"]
    assert [path for path in data if not any(fnmatch(path, each) for each in listed)] == []


def test_every_shipped_rule_loads_without_findings() -> None:
    """No error and no warning in the library."""
    sources = read_library()
    bundle, findings = load(sources)

    assert {path.name for path in (ROOT / "rules/library").glob("*.yaml")} == set(sources)
    assert [str(finding) for finding in findings] == []
    assert bundle is not None


BROKEN = [
    (import_law, "rules/x.py", "import gateway.core"),
    (import_law, "simulators/x.py", "from rules import engine"),
    (import_law, "simulators/desk/x.py", "from gateway.cityhall.outbox import Row"),
    (import_law, "gateway/x.py", "def f():\n    from simulators import city"),
    (import_law, "gateway/app.py", "from gateway import cli"),
    (import_law, "gateway/cityhall/filing.py", "from gateway.books import store"),
    (import_law, "gateway/books/ledger.py", "from gateway.cityhall.open311 import Open311Client"),
    (pure_rooms_stay_inside, "gateway/core.py", "import time"),
    (pure_rooms_stay_inside, "gateway/core.py", "from gateway.books.store import Store"),
    (pure_rooms_stay_inside, "rules/engine.py", "from pathlib import Path"),
    (pure_rooms_stay_inside, "rules/engine.py", "path.read_text()"),
    (libraries_in_their_rooms, "gateway/app.py", "import paho.mqtt.client"),
    (libraries_in_their_rooms, "gateway/app.py", "import sqlite3"),
    (libraries_in_their_rooms, "rules/engine.py", "from gevent import sleep"),
    (no_footguns, "gateway/core.py", "now = time.time()"),
    (no_footguns, "simulators/city.py", "now = datetime.datetime.now(UTC)"),
    (no_footguns, "gateway/cli/sim.py", "day = date.today() or datetime.now(UTC)"),
    (no_footguns, "rules/engine.py", "eval(text)"),
    (no_footguns, "rules/engine.py", "compile(text, '', 'exec')"),
    (no_footguns, "simulators/city.py", "random.random()"),
    (no_footguns, "simulators/city.py", "Random()"),
    (no_footguns, "simulators/city.py", "np.random.default_rng()"),
    (no_footguns, "gateway/core.py", "print(1)"),
    (no_footguns, "gateway/books/store.py", "with contextlib.suppress(Exception): f()"),
    (no_swallowed_errors, "gateway/books/store.py", "try: f()\nexcept Exception: pass"),
    (no_swallowed_errors, "gateway/books/store.py", "try: f()\nexcept: raise"),
    (opens_with_its_promise, "gateway/x.py", '"""One line."""'),
    (opens_with_its_promise, "gateway/__init__.py", ""),
    (functions_are_short, "gateway/x.py", "def f():\n" + "    g()\n" * 70),
    (rooms_are_small, "gateway/x.py", "\n" * 401),
    (lines_fit, "gateway/x.py", "#" * 101),
]


@pytest.mark.parametrize(("check", "path", "text"), BROKEN)
def test_a_broken_rule_is_found_where_it_is_broken(check: Check, path: str, text: str) -> None:
    """Each check finds what it is there to find: these modules are not in order."""
    findings = list(check(Module(path, text)))

    assert findings != []
    assert all(re.match(rf"{re.escape(path)}:\d+: .{{10}}", finding) for finding in findings)


KEPT = [
    (import_law, "gateway/cli/x.py", "from simulators import city\nfrom gateway import app"),
    (import_law, "gateway/cityhall/open311.py", "from gateway.cityhall.georeport_http import Line"),
    (import_law, "gateway/core.py", "from rules import engine"),
    (libraries_in_their_rooms, "gateway/books/database.py", "import sqlite3, json"),
    (no_footguns, "gateway/clock.py", "time.time_ns()"),
    (no_footguns, "gateway/core.py", "re.compile(text), Random(seed), time.monotonic()"),
    (no_swallowed_errors, "gateway/cityhall/filing.py", "try: f()\nexcept Exception: log(1)"),
    (no_swallowed_errors, "gateway/cityhall/filing.py", "try: f()\nexcept OSError: pass"),
    (opens_with_its_promise, "rules/__init__.py", '"""One line."""'),
    (functions_are_short, "gateway/x.py", "def f():\n" + "    g()\n" * 69),
]


@pytest.mark.parametrize(("check", "path", "text"), KEPT)
def test_what_is_allowed_is_not_found(check: Check, path: str, text: str) -> None:
    """A check that cries at everything would be switched off."""
    assert list(check(Module(path, text))) == []


@pytest.mark.parametrize(
    "line", ["# TO" + "DO later", "see /roo" + "t/x", "pip --index-" + "url x", "pypi." + "org"]
)
def test_left_overs_are_found_in_any_text(line: str) -> None:
    """Notes, paths of one machine and package indexes are found in text of any kind."""
    assert len(list(text_is_clean("x", line))) == 1
