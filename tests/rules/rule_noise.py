"""Bad rule files out of nothing and out of good ones: for tests that only ask for no harm."""

import re
from pathlib import Path

from hypothesis import strategies as st

from rules.files import read_library, shipped_templates

BAD = [path.read_text("utf-8") for path in sorted((Path(__file__).parent / "bad").glob("*.yaml"))]
HEAD = "apiVersion: sense311/v1\nsensor: bin\nowner: ops\nrules:\n"
WHOLE = HEAD + (
    '  - id: r\n    title: "t {asset.id}"\n    when: fill > 80% and not lid_open\n'
    "    for: 15min\n    clear: {when: fill < 70%}\n"
    "    tests:\n      - name: fills\n        start: 2026-01-15T20:00-06:00\n        every: 5min\n"
    "        asset: {id: B, lat: 41.88, lon: -87.63}\n"
    '        feed: {fill: "0% x3, 90% x8", lid_open: "false x11"}\n'
    "        expect:\n          - {at: +25min, state: pending, filed: 0}\n"
    "          - {at: end, state: firing}\n"
)
TEMPLATES = shipped_templates().values()


def _used(template):
    """A file with a rule made from a template, and nothing more than it must say."""
    must = {item.name: item.example for item in template.inputs.values() if not item.default}
    given = "".join(f"      {name}: {example}\n" for name, example in must.items())
    head = HEAD.replace("bin", template.sensors[0])
    return f"{head}  - use: {template.name}\n" + (f"    with:\n{given}" if given else "")


GOOD = [WHOLE, *read_library().values(), *map(_used, TEMPLATES)]
SEEDS = [*GOOD, *(template.text for template in TEMPLATES), *BAD]
"""Good and bad files to begin with."""
PIECES = [
    "fill", "> 80%", "and", "or", "not ", "(", ")", "[", "]", "{", "}", "over 2h", "avg(", "1e9",
    "15min", "%", "\n", "\n    ", "  - ", ": ", "'", '"', "|\n", "*a", "&a ", "!t ", "\t", "\x00",
    "é", "\ud800", "{asset.id}", "tests: ", "feed: ", "expect: ", "x3", "+25min", "end", "_", ",",
    "peers.count()", "coalesce(", "in [1, 2]", "-", "0", "9" * 30, "a" * 300, "start: 2026-13-45",
    "x2000000000", "x5000", "..", "60d", "366d", "1ms", "1000", "never", "late: ", "count: ",
    "use: ", "with: ", "scope: circuit", "scope: zone", "every: 1s", "at: +59d", "silent > 10min",
    "is_night(margin=20min)", "since(", "p(95%, ", "for: 14d", "start: 2099-12-31T23:59Z", "\u2028",
    "claims(a)", 'matches "*"', "- 1e300 %", "\ufeff", "1e-24", "asset.zone == ", "\r", "\x85",
]  # fmt: skip
PARTS = st.one_of(st.sampled_from(PIECES), st.text(max_size=8))

TEST_KEYS = [
    "every: 1s", "every: 366d", "every: 1ms", "start: 2015-01-01T00:00Z", "start: 2026-01-15T20:00",
    "assets: {count: 1000}", "assets: {count: 1000000000}", "assets: {count: 3, circuit: C1}",
    "asset: {id: B, lat: 91, lon: 0}", "asset: {id: B, dim_curve: [[1%, 1W]]}", "vehicles: 9",
    "place: {lat: 1, lon: 1}", "cabinet: {door_open: true}", "doc: x", "name: other",
]  # fmt: skip
FEEDS = [
    "0%", "90% x8", "_ x30", "stale", "reject x4", "0%..100% x5000", "90% x2000000000", "101%",
    "0W", "1e9%", "-1%", "(1% + 2%) x3", "never", "90% x0", "", "x3", "..", "0%.. x9", "1/0",
]  # fmt: skip
TIMES = ["end", "+0min", "+25min", "+60d", "+61d", "end + 59d", "-5min", "+1ms", "x", "+1/3 min"]
CLAIMED = [
    "state: ok",
    "state: firing",
    "filed: 0",
    "filed: -1",
    "never: firing",
    "on: 7",
    "rule: s",
]

WORD = re.compile(r"[\w.%+-]+")
WORDS = sorted({word for text in SEEDS for word in WORD.findall(text)})
expressions = st.lists(PARTS, max_size=14).map(" ".join)


@st.composite
def broken_files(draw):
    """A file with some pieces cut out, put in or doubled."""
    text = draw(st.sampled_from([WHOLE, *BAD]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 30))
        text = text[:start] + draw(PARTS) + text[end:]
    return text


@st.composite
def odd_tests(draw):
    """A sound rule with a test of odd sizes, times and values."""
    keys = draw(st.lists(st.sampled_from(TEST_KEYS), max_size=3, unique_by=lambda k: k[:5]))
    feed = ", ".join(draw(st.lists(st.sampled_from(FEEDS), min_size=1, max_size=5)))
    wanted = draw(st.lists(st.tuples(st.sampled_from(TIMES), st.sampled_from(CLAIMED)), max_size=3))
    when = draw(st.sampled_from(["fill > 80%", "silent > 10min", "avg(fill) over 14d > 80%"]))
    expect = ", ".join(f"{{at: {at}, {what}}}" for at, what in wanted)
    body = "".join(f"        {key}\n" for key in keys)
    return (
        f'{HEAD}  - id: r\n    title: "t {{asset.id}}"\n    when: {when}\n    tests:\n'
        f'      - name: n\n{body}        feed: {{fill: "{feed}"}}\n        expect: [{expect}]\n'
    )


def mutated(chance):
    """One of the seeds with parts of it, of others and of the language's words moved about."""
    text = chance.choice(chance.choice([GOOD, SEEDS]))
    for _ in range(chance.randint(1, 5)):
        if chance.random() < 0.6:  # a word for a word: most of these are still YAML
            start, end = chance.choice([found.span() for found in WORD.finditer(text)] or [(0, 0)])
            text = text[:start] + chance.choice(WORDS) + text[end:]
            continue
        start = chance.randint(0, len(text))
        end = start + chance.choice([0, 0, 1, chance.randint(0, 30), chance.randint(0, 300)])
        text = text[:start] + _put_in(chance, text) + text[end:]
    return text


def _put_in(chance, text):
    kind = chance.randint(0, 5)
    if kind == 0:
        return ""
    if kind == 1:
        return chr(chance.choice([chance.randint(0, 127), chance.randint(0, 0x10FFFF)]))
    if kind == 2:
        lines = chance.choice([text, chance.choice(SEEDS)]).split("\n")
        at = chance.randrange(len(lines))
        return "\n".join(lines[at : at + chance.randint(1, 8)])
    if kind == 3:
        return chance.choice(PIECES) * chance.choice([1, 1, 2, 50])
    return chance.choice([*PIECES, *TEST_KEYS, *FEEDS, *TIMES, *CLAIMED])
