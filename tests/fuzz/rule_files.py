"""Fuzzing of the rule parser, the loader and the test runner: `make fuzz`.

Guided by coverage where atheris is installed, else by chance: good and bad rule files, cut and put
together anew. Stops at the first input that crashes, hangs, takes too long or too much memory, or
is refused without a reason; the input is written to var/fuzz.
"""

import argparse
import importlib.util
import random
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).parents[2]
FOUND = PROJECT / "var" / "fuzz"
sys.path[:0] = [str(PROJECT), str(PROJECT / "tests" / "rules")]

LENGTH_MAX = 16_384
GUIDED_SECONDS_MAX = 1.0  # instrumented code is some ten times slower
MEASURED_EACH = 20  # inputs between two of which the memory is measured: that takes a while


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="0: another one each time")
    parser.add_argument("--unguided", action="store_true", help="by chance, though atheris is here")
    options = parser.parse_args()
    FOUND.mkdir(parents=True, exist_ok=True)
    if options.unguided or importlib.util.find_spec("atheris") is None:
        unguided(options.seconds, options.seed or random.randrange(1, 2**31))
    else:
        guided(options.seconds, options.seed)


def guided(seconds, seed):
    import atheris

    with atheris.instrument_imports(include=["rules", "gateway.workbench.trial"]):
        import rule_harm
        import rule_noise

    rule_harm.RUN_SECONDS_MAX *= GUIDED_SECONDS_MAX / rule_harm.SECONDS_MAX
    seeds = FOUND / "seeds"
    seeds.mkdir(exist_ok=True)
    for i, text in enumerate(rule_noise.SEEDS):
        (seeds / f"{i:04}").write_bytes(text.encode("utf-8", "surrogateescape"))
    words = FOUND / "words"
    words.write_text("".join(map(_word, rule_noise.PIECES)))

    def one(data):
        text = data.decode("utf-8", "surrogateescape")
        judged(rule_harm, text, GUIDED_SECONDS_MAX, measured=False)

    arguments = {
        "max_total_time": seconds, "max_len": LENGTH_MAX, "seed": seed, "dict": words,
        "timeout": 60, "artifact_prefix": f"{FOUND}/",
    }  # fmt: skip
    flags = [f"-{name}={value}" for name, value in arguments.items()]
    atheris.Setup([sys.argv[0], *flags, str(seeds)], one)
    atheris.Fuzz()


def unguided(seconds, seed):
    import rule_harm
    import rule_noise

    print(f"no guidance by atheris: by chance, with --seed {seed}", file=sys.stderr)
    chance, count, run = random.Random(seed), 0, 0
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        text = rule_noise.mutated(chance)[:LENGTH_MAX]
        try:
            run += judged(
                rule_harm, text, rule_harm.SECONDS_MAX, measured=count % MEASURED_EACH == 0
            )
        except BaseException:
            found = FOUND / f"found-{seed}-{count}.yaml"
            found.write_bytes(text.encode("utf-8", "surrogatepass"))
            print(f"input {count} is in {found}", file=sys.stderr)
            raise
        count += 1
    print(f"{count} inputs, {run} tests run, nothing found", file=sys.stderr)


def judged(rule_harm, text, seconds_max, *, measured):
    """Raises on harm. How many tests were run."""
    findings = rule_harm.checked(text)
    rule_harm.sound_findings(text, findings)
    took = rule_harm.seconds_of(text, rounds=3, enough=seconds_max)
    assert took < seconds_max, f"{took:.2f} s to judge"
    assert not measured or rule_harm.bytes_of(text) < rule_harm.BYTES_MAX
    return rule_harm.run_tests(text)


def _word(piece):
    """A line of a dictionary, as libFuzzer reads it."""
    codes = piece.encode("utf-8", "surrogatepass")
    return '"' + "".join(f"\\x{code:02x}" for code in codes) + '"\n'


if __name__ == "__main__":
    main()
