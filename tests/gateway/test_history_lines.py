"""Readings as line protocol, read back by an independent parser."""

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.history import HistoryReading, line_of


def parse(line: str) -> tuple[str, dict[str, str], dict[str, float], int]:
    """An independent reader of line protocol: escapes first, then separators."""
    parts: list[list[list[str]]] = [[[""]]]  # space -> comma -> equals
    letters = iter(line)
    for letter in letters:
        if letter == " ":
            parts.append([[""]])
        elif letter == ",":
            parts[-1].append([""])
        elif letter == "=":
            parts[-1][-1].append("")
        else:
            parts[-1][-1][-1] += next(letters) if letter == "\\" else letter
    (measurement, *tags), fields, ((stamp,),) = parts
    assert len(measurement) == 1
    floats = {k: float(v) for k, v in fields}
    return measurement[0], {k: v for k, v in tags}, floats, int(stamp)  # noqa: C416


UNWRITABLE = "\\\x7f" + "".join(map(chr, range(32)))
NAMES = st.text(st.characters(codec="utf-8", exclude_characters=UNWRITABLE), min_size=1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@given(
    NAMES,
    NAMES,
    NAMES,
    st.none() | NAMES,
    st.integers(-(2**50), 2**50),
    st.dictionaries(NAMES, NUMBERS, min_size=1),
)
def test_line_protocol_round_trips(
    device: str, kind: str, zone: str, asset: str | None, ts_ms: int, values: dict[str, float]
):
    """Whatever the names and numbers, an independent parser reads the same reading back."""
    line = line_of(HistoryReading(1, device, kind, zone, asset, ts_ms, values))
    assert line is not None
    tags = {"device": device, "zone": zone} | ({"asset": asset} if asset else {})
    assert parse(line) == (kind, tags, {k: float(v) for k, v in values.items()}, ts_ms)


@given(st.text(min_size=1), st.text(min_size=1))
@example("a\nbin,device=x,zone=z y=1 6", "\\")
@example("\\", "\r\n\x00")
def test_one_reading_is_one_line(device: str, name: str):
    """No name, however hostile, makes a second line or a second point."""
    line = line_of(HistoryReading(1, device, "bin", "z", None, 5, {name: 1.0}))
    assert line is not None
    assert not set(line) & set("\n\r\x00")
    assert parse(line)[3] == 5
