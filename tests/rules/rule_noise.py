"""Bad rule files out of nothing and out of good ones: for tests that only ask for no harm."""

from pathlib import Path

from hypothesis import strategies as st

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
PIECES = [
    "fill", "> 80%", "and", "or", "not ", "(", ")", "[", "]", "{", "}", "over 2h", "avg(", "1e9",
    "15min", "%", "\n", "\n    ", "  - ", ": ", "'", '"', "|\n", "*a", "&a ", "!t ", "\t", "\x00",
    "é", "\ud800", "{asset.id}", "tests: ", "feed: ", "expect: ", "x3", "+25min", "end", "_", ",",
    "peers.count()", "coalesce(", "in [1, 2]", "-", "0", "9" * 30, "a" * 300, "start: 2026-13-45",
]  # fmt: skip
PARTS = st.one_of(st.sampled_from(PIECES), st.text(max_size=8))

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
