"""Guided fuzzing of the rule parser, the loader and the parser of test cases: `make fuzz`.

Needs atheris, which is not among the project's own dependencies: it does not build everywhere.
Stops at the first input that crashes, hangs or takes more than its share; the input is written to
a file beside the place it is started from.
"""

import sys
import time

import atheris

with atheris.instrument_imports(include=["rules"]):
    from rules.checks import check
    from rules.listing import lines

HEAD = "apiVersion: sense311/v1\nsensor: bin\nowner: ops\nrules:\n"
RULE = '  - id: r\n    title: "t {asset.id}"\n    when: '
CASE = RULE + "fill > 80%\n    tests:\n      - {name: a, every: 5min, "
SECONDS_MAX = 1.0  # instrumented code is some ten times slower


def once(data: bytes) -> None:
    """One input: a whole file, a condition or a test case, by its first byte."""
    provider = atheris.FuzzedDataProvider(data)
    kind = provider.ConsumeIntInRange(0, 2)
    text = provider.ConsumeUnicodeNoSurrogates(4096)
    if kind == 1:
        text = HEAD + RULE + text
    elif kind == 2:
        text = HEAD + CASE + text + "}\n"
    before = time.perf_counter()
    bundle, findings = check({"a.yaml": text})
    if time.perf_counter() - before > SECONDS_MAX:
        raise RuntimeError(f"took {time.perf_counter() - before:.1f} s")
    if bundle is None and not any(finding.is_error for finding in findings):
        raise RuntimeError("refused without a reason")
    for line in lines(findings, {"a.yaml": text}):
        line.encode()


atheris.Setup(sys.argv, once)
atheris.Fuzz()
