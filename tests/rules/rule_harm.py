"""What no text may do to those who read it: crash, hang, use up memory, be refused without a word.

For tests and for the fuzzing of `make fuzz`, which judge an input by the same measure.
"""

import time
import tracemalloc

from gateway.workbench.trial import relatives, run
from rules.checks import check
from rules.document import MESSAGE_MAX
from rules.listing import github, lines, sarif

SECONDS_MAX = 0.1
BYTES_MAX = 50_000_000
RUN_SECONDS_MAX = 5.0
CASES_MAX = 3
"""Tests of one input that are run."""


def checked(text):
    """The findings, of which one is an error where there is no bundle."""
    bundle, findings = check({"a.yaml": text})
    assert bundle is not None or any(finding.is_error for finding in findings)
    return findings


def sound_findings(text, findings):
    """Each stands in the file, and can be read."""
    rows = text.split("\n")
    for finding in findings:
        assert 1 <= finding.line <= len(rows) + 1
        assert finding.column >= 1
        assert len(finding.message) <= MESSAGE_MAX
    told = "".join(lines(findings, {"a.yaml": text}))
    assert not any(ord(character) < 32 or ord(character) == 127 for character in told)
    "".join(github(findings)).encode()
    sarif(findings, "1").encode()


def seconds_of(text, rounds=3, enough=SECONDS_MAX):
    """The best of some rounds, since other work may be in the way."""
    took = []
    for _ in range(rounds):
        before = time.thread_time()
        checked(text)
        took.append(time.thread_time() - before)
        if took[-1] < enough:
            break
    return min(took)


def bytes_of(text):
    """The most that was held at once."""
    tracemalloc.start()
    try:
        checked(text)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def run_tests(text):
    """What is accepted is compiled, and its tests run to their end. How many were run."""
    bundle, _ = check({"a.yaml": text})
    rules = [] if bundle is None else list(bundle.rules.values())
    for rule in rules:
        for condition in (rule.when, rule.unless, rule.clear, rule.hit):
            assert condition is None or callable(condition.judge)
    cases = [(case, rule.id) for rule in rules for case in rule.cases][:CASES_MAX]
    for case, rule_id in cases:
        before = time.thread_time()
        run(case, relatives(rule_id, bundle))
        assert time.thread_time() - before < RUN_SECONDS_MAX
    return len(cases)
