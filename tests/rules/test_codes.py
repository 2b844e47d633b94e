"""The table of codes: complete, true, and readable."""

import re
from pathlib import Path

import pytest

from rules.checks import check
from rules.codes import codes, example_file, nearest, page

RULES = Path(__file__).resolve().parents[2] / "rules"


def found(example):
    _, findings = check({"example.yaml": example_file(example)})
    return {finding.code for finding in findings}


def test_every_code_of_the_program_is_in_the_table_and_the_reverse():
    """A code without a page helps nobody, a page without a code misleads."""
    text = "".join(path.read_text() for path in RULES.glob("*.py"))
    used = set(re.findall(r'"([EW]\d{3})"', text))
    assert used == set(codes())


@pytest.mark.parametrize("code", [code for code, entry in codes().items() if entry.wrong])
def test_what_the_table_calls_wrong_gets_its_code(code):
    """The example of a page is a true one."""
    assert code in found(codes()[code].wrong)


@pytest.mark.parametrize("code", [code for code, entry in codes().items() if entry.right])
def test_what_the_table_calls_right_has_no_error_and_not_that_code(code):
    """Whoever follows the page is done with it."""
    left = found(codes()[code].right)
    assert not {other for other in left if other.startswith("E") or other == code}


def test_a_page_says_what_it_means_and_how_to_do_it():
    """In plain lines; a code may be written small."""
    text = page("e104")
    assert text.startswith("E104: Units that do not go together\n")
    assert "    when: fill > 80 W" in text
    assert page("E999") is None
    assert "E104" in nearest("E1O4")
