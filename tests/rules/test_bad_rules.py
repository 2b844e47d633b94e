"""The corpus of bad rule files: each is caught where a person would look, with help.

The first line of a file says what is expected: `# expect LINE:COLUMN CODE, ...`. The places were
set by hand before the program was asked.
"""

import re
from pathlib import Path

import pytest

from rules.checks import check
from rules.codes import codes

FOLDER = Path(__file__).parent / "bad"
FILES = sorted(FOLDER.glob("*.yaml"))
EXPECTED = re.compile(r"(\d+):(\d+) ([EW]\d{3})")
WITHOUT_A_FILE = {"E006", "W214"}
"""An override; a parent of circuits over what hangs on none takes two files."""


def expected(path):
    first = path.read_text("utf-8").splitlines()[0]
    assert first.startswith("# expect ")
    return [(int(a), int(b), code) for a, b, code in EXPECTED.findall(first)]


def found(path):
    _, findings = check({path.name: path.read_bytes().decode("utf-8", "surrogateescape")})
    return findings


def at_lines(path):
    return [(f.line, f.code) for f in found(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_is_caught_on_its_line_and_nothing_else_is_refused(path):
    """With the code that says what it is; no error beside it that is not there."""
    wanted = {(line, code) for line, _, code in expected(path)}
    got = at_lines(path)
    assert wanted <= set(got)
    assert {(line, code) for line, code in got if code.startswith("E")} <= wanted


def test_nine_in_ten_are_shown_at_their_column():
    """The rest is on the right line all the same."""
    wanted = [(path, *place) for path in FILES for place in expected(path)]
    places = {path: {(f.line, f.column, f.code) for f in found(path)} for path in FILES}
    missed = [(path.stem, place) for path, *place in wanted if tuple(place) not in places[path]]
    assert len(missed) <= len(wanted) // 10, missed


def test_eight_in_ten_say_how_to_mend_it():
    """A suggestion that is more than the message once more."""
    wanted = [(path, line, code) for path in FILES for line, _, code in expected(path)]
    helped = {(path, f.line, f.code) for path in FILES for f in found(path) if f.help}
    helpless = [
        (path.stem, code) for path, line, code in wanted if (path, line, code) not in helped
    ]
    assert len(helpless) <= len(wanted) // 5, helpless


def test_there_are_enough_and_they_cover_every_code():
    """At least 120 files, and every code that a file can have."""
    assert len(FILES) >= 120
    shown = {code for path in FILES for _, _, code in expected(path)}
    assert set(codes()) - shown == WITHOUT_A_FILE
