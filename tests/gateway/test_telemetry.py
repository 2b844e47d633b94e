"""What enters: exactly what the contract allows, and every refusal says how to mend it."""

import json
import random
import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway import contract
from gateway.refusal import Reason, Refusal
from gateway.telemetry import (
    BATCH_BYTES_MAX,
    BATCH_MESSAGES_MAX,
    MESSAGE_BYTES_MAX,
    ROAD_BYTES_MAX,
    Decoded,
    Decoder,
    numbers_of,
)
from rules.fields import CATALOGUE, REPORTED_KINDS

TOPIC = "city/v1/zone-1/{kind}/dev_1/{leaf}"
GOOD = b'{"ts":null,"values":{}}'
FILL = BATCH_BYTES_MAX - 200  # nearly the largest batch


def decode(payload: bytes | str, kind: str = "streetlight", leaf: str = "telemetry") -> Decoded:
    raw = payload.encode() if isinstance(payload, str) else payload
    return Decoder().decode(TOPIC.format(kind=kind, leaf=leaf), raw)


def refusal_of(payload: bytes | str, kind: str = "streetlight", leaf: str = "telemetry") -> Refusal:
    decoded = decode(payload, kind, leaf)
    assert not decoded.readings
    (refusal,) = decoded.refusals
    return refusal


# -- what is taken ----------------------------------------------------------------------------


def test_a_message_becomes_a_reading_with_nothing_changed():
    """Every part of a message arrives as it was sent, numbers as numbers in the unit sent."""
    body = (
        b'{"ts": "2026-01-15T20:05:00Z", "boot": 3, "seq": 1201, "values": {"active_power_w": '
        b'57.9, "relay_on": true}, "loc": [41.8807, -87.6301], "faults": ["lamp_failure"], '
        b'"sim": false}'
    )
    (reading,) = decode(body).readings
    assert reading.address == ("zone-1", "streetlight", "dev_1", "telemetry")
    assert reading.ts_ms == 1_768_507_500_000
    assert (reading.boot, reading.seq, reading.sim) == (3, 1201, False)
    assert reading.values == {"active_power_w": 57.9, "relay_on": True}
    assert reading.values["relay_on"] is True
    assert reading.loc == (41.8807, -87.6301)
    assert reading.faults == ("lamp_failure",)
    assert reading.body == body


def test_what_is_not_said_is_unknown():
    """A message with only a time and values has no number, no position and no faults."""
    (reading,) = decode(GOOD).readings
    assert (reading.ts_ms, reading.boot, reading.seq, reading.loc) == (None, None, None, None)
    assert (reading.faults, reading.sim, reading.accel, reading.values) == ((), False, None, {})


def test_the_window_of_samples_stands_apart_from_the_values():
    """`accel` is handed on as a window, the other values of the road stay values."""
    window = {"rate_hz": 100, "z_ms2": [9.8] * 8}
    body = json.dumps({"ts": None, "values": {"accel": window, "speed_mps": 9}})
    (reading,) = decode(body, "road").readings
    assert reading.accel == window
    assert reading.values == {"speed_mps": 9.0}


@pytest.mark.parametrize(("text", "online"), [("true", True), ("false", False)])
def test_a_device_says_whether_it_is_there(text: str, online: bool):
    """A status message is the device's own word, not a reading."""
    decoded = decode(f'{{"online": {text}}}', leaf="status")
    assert decoded.status is not None
    assert decoded.status.online is online
    assert not decoded.readings


def test_the_plain_case_never_touches_the_models(monkeypatch: pytest.MonkeyPatch):
    """A typical message takes the fast decoder alone."""
    monkeypatch.setattr(contract, "MODELS", {})
    body = b'{"ts": "2026-01-15T20:05:00.5Z", "boot": 3, "seq": 1, "values": {"current_a": 1}}'
    assert decode(body).readings


# -- what is refused --------------------------------------------------------------------------

VALUES = '{"ts":null,"values":{%s}}'
ACCEL = '{"ts":null,"values":{"accel":%s}}'
EIGHT = "[1,2,3,4,5,6,7,8]"

REFUSED = [
    # payload, reason, path, a word of the hint
    (VALUES % '"active_power_w":"5"', Reason.WRONG_TYPE, "values.active_power_w", "quotes"),
    (VALUES % '"active_power_w":true', Reason.WRONG_TYPE, "values.active_power_w", "number"),
    (VALUES % '"active_power_w":null', Reason.WRONG_TYPE, "values.active_power_w", "leave out"),
    (VALUES % '"relay_on":1', Reason.WRONG_TYPE, "values.relay_on", "true or false"),
    (VALUES % '"relay_on":"on"', Reason.WRONG_TYPE, "values.relay_on", "true or false"),
    (VALUES % '"active_power_w":NaN', Reason.NOT_FINITE, "values.active_power_w", "leave out"),
    (VALUES % '"active_power_w":-Infinity', Reason.NOT_FINITE, "values.active_power_w", "leave"),
    (VALUES % '"active_power_w":1e999', Reason.NOT_FINITE, "values.active_power_w", "2000 W"),
    (VALUES % '"active_power_w":2000.0001', Reason.OUT_OF_RANGE, "values.active_power_w", "2000"),
    (VALUES % '"active_power_w":-0.1', Reason.OUT_OF_RANGE, "values.active_power_w", "0 to 2000"),
    (VALUES % ('"lux_lx":' + "1" * 5000), Reason.OUT_OF_RANGE, "values.lux_lx", "resolves"),
    (VALUES % '"power_w":1', Reason.UNKNOWN_KEY, "values.power_w", "active_power_w"),
    (VALUES % '"fill_pct":1', Reason.UNKNOWN_KEY, "values.fill_pct", "kind bin"),
    (VALUES % '"qqqq":1', Reason.UNKNOWN_KEY, "values.qqqq", "keys here are"),
    (VALUES % '"lux_lx":1,"lux_lx":1', Reason.DUPLICATE_KEY, "values.lux_lx", "once"),
    ('{"ts":null,"ts":null,"values":{}}', Reason.DUPLICATE_KEY, "ts", "once"),
    ('{"ts":null,"t\\u0073":null,"values":{}}', Reason.DUPLICATE_KEY, "ts", "once"),
    ('{"ts":null,"vals":{}}', Reason.UNKNOWN_KEY, "vals", "values"),
    ('{"ts":null}', Reason.MISSING_KEY, "values", "object"),
    ('{"values":{}}', Reason.MISSING_KEY, "ts", "RFC 3339"),
    ('{"ts":"2026-01-15T20:05:00","values":{}}', Reason.BAD_TIME, "ts", "zone"),
    ('{"ts":"2026-02-30T20:05:00Z","values":{}}', Reason.BAD_TIME, "ts", "null"),
    ('{"ts":0,"values":{}}', Reason.WRONG_TYPE, "ts", "RFC 3339"),
    ('{"ts":null,"seq":-1,"values":{}}', Reason.OUT_OF_RANGE, "seq", "whole number"),
    ('{"ts":null,"seq":1.0,"values":{}}', Reason.WRONG_TYPE, "seq", "whole number"),
    ('{"ts":null,"seq":9007199254740992,"values":{}}', Reason.OUT_OF_RANGE, "seq", "2^53"),
    ('{"ts":null,"loc":[1],"values":{}}', Reason.WRONG_LENGTH, "loc[1]", "latitude"),
    ('{"ts":null,"loc":[1,2,3],"values":{}}', Reason.WRONG_LENGTH, "loc", "latitude"),
    ('{"ts":null,"loc":[-91,2],"values":{}}', Reason.OUT_OF_RANGE, "loc[0]", "WGS 84"),
    ('{"ts":null,"loc":[1,181],"values":{}}', Reason.OUT_OF_RANGE, "loc[1]", "WGS 84"),
    ('{"ts":null,"faults":["Lamp"],"values":{}}', Reason.WRONG_TYPE, "faults[0]", "uCIFI"),
    ('{"ts":null,"faults":"lamp","values":{}}', Reason.WRONG_TYPE, "faults", "list"),
    ('{"ts":null,"sim":0,"values":{}}', Reason.WRONG_TYPE, "sim", "true or false"),
    ("[]", Reason.WRONG_TYPE, "", "one JSON object"),
    ("", Reason.NOT_JSON, "line 1 column 1", "one JSON object"),
    ('{"ts":null,"values":{}', Reason.NOT_JSON, "line 1 column 23", "one JSON object"),
    (GOOD + b"x", Reason.NOT_JSON, "line 1 column 24", "one JSON object"),
    (b"\xef\xbb\xbf" + GOOD, Reason.NOT_JSON, "line 1 column 1", "one JSON object"),
    (VALUES % '"\\ud800":1', Reason.NOT_JSON, "", "one JSON object"),
    (b'{"ts":null,"values":{"\xff":1}}', Reason.NOT_UTF8, "byte 22", "UTF-8"),
    ("[" * 16_000, Reason.TOO_DEEP, "", "four levels"),
    ('{"a":' * 3_000, Reason.TOO_DEEP, "", "four levels"),
    ("[" * 100 + "]" * 100, Reason.TOO_DEEP, "[0]" * 32, "four levels"),
    (b" " * MESSAGE_BYTES_MAX + GOOD, Reason.TOO_LARGE, "", "16384 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("payload", "reason", "path", "hint"), REFUSED)
def test_a_refusal_tells_reason_path_and_how_to_mend_it(
    payload: bytes | str, reason: Reason, path: str, hint: str
):
    """Whatever is not exactly the contract is refused, never clipped, guessed or coerced."""
    refusal = refusal_of(payload)
    assert (refusal.reason, refusal.path) == (reason, path)
    assert hint in refusal.hint
    assert refusal.message


@pytest.mark.parametrize(
    ("accel", "reason", "path"),
    [
        ("{}", Reason.MISSING_KEY, "values.accel.rate_hz"),
        ('{"rate_hz":1,"z_ms2":[1]}', Reason.WRONG_LENGTH, "values.accel.z_ms2"),
        (f'{{"rate_hz":0,"z_ms2":{EIGHT}}}', Reason.OUT_OF_RANGE, "values.accel.rate_hz"),
        (f'{{"rate_hz":1,"z_ms2":{EIGHT},"x_ms2":[1,2,3,4,5,6,7,8,9]}}', Reason.WRONG_LENGTH,
         "values.accel"),
        (f'{{"rate_hz":1,"z_ms2":{EIGHT},"q_ms2":1}}', Reason.UNKNOWN_KEY, "values.accel.q_ms2"),
        (f'{{"rate_hz":1,"z_ms2":{EIGHT},"z_ms2":{EIGHT}}}', Reason.DUPLICATE_KEY,
         "values.accel.z_ms2"),
        ('{"rate_hz":1,"z_ms2":[1,2,3,4,5,6,7,"8"]}', Reason.WRONG_TYPE,
         "values.accel.z_ms2[7]"),
        ('{"rate_hz":1,"z_ms2":[1,2,3,4,5,6,7,1001]}', Reason.OUT_OF_RANGE,
         "values.accel.z_ms2[7]"),
    ],
)  # fmt: skip
def test_a_bent_window_is_refused_with_the_path_into_it(accel: str, reason: Reason, path: str):
    """The path leads to the axis, and to the sample in it."""
    refusal = refusal_of(ACCEL % accel, "road")
    assert (refusal.reason, refusal.path) == (reason, path)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('{"online": 1}', Reason.WRONG_TYPE),
        ('{"online": true, "online": false}', Reason.DUPLICATE_KEY),
        ("{}", Reason.MISSING_KEY),
        (b'{"online": true}' + b" " * 1024, Reason.TOO_LARGE),
    ],
)
def test_a_bent_status_is_refused(payload: bytes | str, reason: Reason):
    """The hint of every refused status is what a status looks like."""
    refusal = refusal_of(payload, leaf="status")
    assert refusal.reason is reason
    assert '{"online": true}' in refusal.hint


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("city/v1/z/streetlight/d/command", Reason.WRONG_TOPIC),
        ("city/v2/z/streetlight/d/telemetry", Reason.WRONG_TOPIC),
        ("city/v1/z/streetlight/d/telemetry/", Reason.WRONG_TOPIC),
        ("city/v1/z/streetlight/d/telemetry\n", Reason.WRONG_TOPIC),
        ("city/v1//streetlight/d/telemetry", Reason.WRONG_TOPIC),
        ("city/v1/z/streetlight/d d/telemetry", Reason.WRONG_TOPIC),
        ("city/v1/z/streetlight/\u0661/telemetry", Reason.WRONG_TOPIC),
        (f"city/v1/z/streetlight/{'d' * 65}/telemetry", Reason.WRONG_TOPIC),
        ("", Reason.WRONG_TOPIC),
        ("city/v1/z/street-light/d/telemetry", Reason.UNKNOWN_KIND),
        ("city/v1/z/place/d/telemetry", Reason.UNKNOWN_KIND),
    ],
)
def test_other_topics_are_refused(topic: str, reason: Reason):
    """A message outside the contract's topics is refused whatever it holds."""
    decoded = Decoder().decode(topic, GOOD)
    assert decoded.address is None
    assert [refusal.reason for refusal in decoded.refusals] == [reason]


def test_what_a_device_calls_its_keys_can_always_be_stored():
    """Words of a device in a refusal are short, printable and can be encoded."""
    for key in ("\\ud800", "\\u0000\\n", "x" * 5000, "\u202eabc"):
        path = refusal_of(VALUES % f'"{key}":NaN').path
        path.encode()
        assert path.isprintable()
        assert len(path) < 500


# -- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "bytes_max"), [("streetlight", MESSAGE_BYTES_MAX), ("road", ROAD_BYTES_MAX)]
)
def test_a_message_may_be_as_large_as_the_contract_says(kind: str, bytes_max: int):
    """The last allowed byte is taken, one more is refused."""
    assert decode(GOOD.ljust(bytes_max), kind).readings
    assert refusal_of(GOOD.ljust(bytes_max + 1), kind).reason is Reason.TOO_LARGE


@pytest.mark.parametrize("leaf", ["telemetry", "batch", "status"])
def test_what_is_far_too_large_costs_nothing(leaf: str):
    """A payload of 100 MB is refused without a copy and without being read."""
    payload = bytes(100_000_000)
    tracemalloc.start()
    decoded = decode(payload, leaf=leaf)
    assert numbers_of(payload) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [refusal.reason for refusal in decoded.refusals] == [Reason.TOO_LARGE]
    assert decoded.refused[0] is payload
    assert peak < 100_000


# -- batches ----------------------------------------------------------------------------------


def message(n: int) -> bytes:
    return b'{"ts":null,"seq":%d,"values":{}}' % n


BENT = [
    b'{"ts":null,"values":{"lux_lx":NaN}}',
    b'{"ts":null,"values":{"lux_lx":"1"}}',
    b'{"ts": nope}',
    b"7",
    b"",
    b'"]}{["',
    b'"\\"]"',
    b'{"ts":"\\\\","values":{}}',
    b"{\xff}",
    b'{"a":1} {"b":2}',
    b'{"a":1]',
    b"[" * 400 + b"]" * 400,
    b'{"a":' * 400 + b"[]" + b"}" * 400,
    b"[[[[[[[[[" + b"[]," * 50 + b"1]]]]]]]]]",
    b'{"ts":null,"values":{}' + b" " * MESSAGE_BYTES_MAX + b"}",
]


@given(st.lists(st.one_of(st.none(), st.sampled_from(BENT)), min_size=2, max_size=20))
def test_each_message_of_a_batch_stands_for_itself(items: list[bytes | None]):
    """Good ones are taken in order, bad ones refused one by one with their place in the batch."""
    texts = [message(i) if item is None else item for i, item in enumerate(items)]
    decoded = decode(b" [ " + b" ,\n".join(texts) + b"] ", leaf="batch")
    good = [i for i, item in enumerate(items) if item is None]
    bad = [i for i, item in enumerate(items) if item is not None]
    assert [reading.seq for reading in decoded.readings] == good
    assert [reading.body for reading in decoded.readings] == [texts[i] for i in good]
    assert [refusal.path.partition("]")[0] for refusal in decoded.refusals] == [
        f"[{i}" for i in bad
    ]
    assert list(decoded.refused) == [texts[i].strip() for i in bad]


def test_the_path_into_a_batch_leads_to_the_fault():
    """The place in the batch comes before the path within the message."""
    batch = b"[" + GOOD + b',{"ts":null,"values":{"lux_lx":-1}}]'
    (refusal,) = decode(batch, leaf="batch").refusals
    assert refusal.path == "[1].values.lux_lx"


@pytest.mark.parametrize("text", ["[]", " [ \n] "])
def test_an_empty_batch_is_no_fault(text: str):
    """Nothing to say is said without a refusal."""
    decoded = decode(text, leaf="batch")
    assert not decoded.readings
    assert not decoded.refusals


def test_what_is_nested_beyond_following_ends_the_batch():
    """Brackets that go up and down below the deepest level are followed for a bounded time."""
    hostile = b"[" + b"[" * 40 + b"[]," * (FILL // 3) + b"1" + b"]" * 41
    assert refusal_of(hostile, leaf="batch").reason is Reason.TOO_DEEP


def test_a_batch_has_at_most_500_messages():
    """The last allowed message is taken; one more and the batch is refused as a whole."""
    full = b"[" + b",".join([GOOD] * BATCH_MESSAGES_MAX) + b"]"
    assert len(decode(full, leaf="batch").readings) == BATCH_MESSAGES_MAX
    over = b"[" + b",".join([GOOD] * (BATCH_MESSAGES_MAX + 1)) + b"]"
    assert refusal_of(over, leaf="batch").reason is Reason.WRONG_LENGTH


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD, Reason.WRONG_TYPE),
        (b"", Reason.WRONG_TYPE),
        (b"[" + GOOD, Reason.NOT_JSON),
        (b"[" + GOOD + b"]]", Reason.NOT_JSON),
        (b"[" + GOOD + b'] "', Reason.NOT_JSON),
        (b"[" + GOOD + b"}", Reason.NOT_JSON),
        (b'["' + GOOD + b"]", Reason.NOT_JSON),
    ],
)
def test_a_text_that_is_no_array_is_refused_as_a_whole(text: bytes, reason: Reason):
    """Where messages cannot be told apart nothing is guessed."""
    assert refusal_of(text, leaf="batch").reason is reason


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * FILL,
        b"[{" * (FILL // 2),
        b"[" + b"[]" * (FILL // 2),
        b"[" + b"{}," * (FILL // 3),
        b"[" + b"0," * (FILL // 2),
        b"[" + b"[" * 40 + b"[]," * (FILL // 3),
        b"[x" * (FILL // 2),
        b'["' * (FILL // 2),
        b'["' + b"\\" * FILL,
        b'{"a":' * (FILL // 5),
        b"[" * 100_000 + b"]" * 100_000 + b"]",
    ],
    ids=lambda payload: payload[:12].decode() + f" {len(payload)}",
)
def test_a_hostile_batch_costs_bounded_memory(payload: bytes):
    """No batch within the size limit makes more of itself than a few copies."""
    tracemalloc.start()
    decoded = decode(payload, leaf="batch")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert decoded.refusals
    assert not decoded.readings
    assert peak < 4 * BATCH_BYTES_MAX


def test_deep_nesting_in_a_batch_costs_its_neighbours_nothing():
    """Of 100,000 levels in one message, the messages beside it know nothing."""
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    decoded = decode(b"[" + b",".join([message(0), deep, message(2)]) + b"]", leaf="batch")
    assert [reading.seq for reading in decoded.readings] == [0, 2]
    assert [refusal.reason for refusal in decoded.refusals] == [Reason.TOO_LARGE]


# -- numbers of refused messages --------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "numbers"),
    [
        (b'{"seq":7,"boot":2,"values":{"x":[1]}}', (2, 7)),
        (b'{"seq":7}', (None, 7)),
        (b'{"seq":7,"boot":null}', (None, 7)),
        (b'{"boot":2}', None),
        (b'{"seq":"7"}', None),
        (b'{"seq":-1}', None),
        (b'{"seq":1,"boot":-1}', None),
        (b'{"seq":1,"boot":99999999999999999999}', None),
        (b'{"seq":9007199254740992}', None),
        (b'{"seq":7,"values":NaN}', None),
        (b"[7]", None),
        (b"{" * 100_000, None),
        (b'{"seq":1,"a":' + b"[" * 100_000, None),
        (b"\xff", None),
    ],
)
def test_numbers_are_read_from_what_is_refused_where_they_can_be(
    payload: bytes, numbers: tuple[int | None, int] | None
):
    """Only whole numbers that a device may use count, whatever else is wrong."""
    assert numbers_of(payload) == numbers


def test_numbers_are_not_looked_for_in_what_is_too_large():
    """Up to the size of a batch a refused message is read for its numbers, beyond it is not."""
    text = b'{"seq":7}'
    assert numbers_of(text.ljust(BATCH_BYTES_MAX)) == (None, 7)
    assert numbers_of(text.ljust(BATCH_BYTES_MAX + 1)) is None


# -- the fast way is the strict way -----------------------------------------------------------

TIMES = [
    None, "2026-01-15T20:05:00Z", "2026-01-15T20:05:00.125Z", "2026-01-15T20:05:00.123456789z",
    "2026-01-15t20:05:00+05:30", "2016-12-31T23:59:60Z", "2026-01-15T20:05Z", "", ":", "0",
]  # fmt: skip
ODD = [True, None, "1", 1e308, 5e-324, -0.0, 0.1, 2**53, -1, 10**400, [], {}, float("nan")]
PIECES = [
    b'"', b"\\", b":", b",", b"{", b"}", b"[", b"]", b" ", b"\n", b"\t", b"\x00", b"\xff", b"\xc3",
    b"NaN", b"1e5", b"-", b"0", b".", b"true", b"null", b"\\u003a", b"\\u0073", b"\\ud800",
    b'"ts":null,', b'"seq":1,', b'"ts":":",', b'"values":{},', b'"boot":null,', b'"x":"a:b",',
]  # fmt: skip


def tree_near_the_contract(dice: random.Random, kind: str) -> dict[str, object]:
    """Mostly right, any part may be off."""

    def number(low: float, high: float) -> object:
        if dice.random() < 0.1:
            return dice.choice(ODD)
        value = dice.uniform(low - 0.02 * (high - low), high)
        return dice.choice([value, round(value, 1), int(value)])

    values: dict[str, object] = {}
    for key in dice.sample(sorted(CATALOGUE[kind]), dice.randint(0, 4)):
        field = CATALOGUE[kind][key]
        values[key] = dice.choice([True, False]) if field.is_bool else number(field.low, field.high)
    if kind == "road" and dice.random() < 0.7:
        axes = {key: dice.choice([8, 8, 8, 9]) for key in ("z_ms2", "x_ms2", "y_ms2")}
        window = {key: [number(-900, 900) for _ in range(n)] for key, n in axes.items()}
        if dice.random() < 0.5:
            del window["x_ms2"]
        values["accel"] = {"rate_hz": number(30, 2000), **window}
    tree: dict[str, object] = {"ts": dice.choice(TIMES), "values": values}
    parts: dict[str, object] = {
        "boot": dice.choice([0, 3, None, -1, 1.0, 2**53]),
        "seq": dice.choice([0, 1201, 2**53 - 1, "1", 1e3]),
        "loc": dice.choice([[41.8, -87], [90, 180], [91, 0], [1], [1, 2, 3], None, ["1", 2]]),
        "faults": dice.choice([[], ["lamp_failure"], ["A"], ["a:b"], ["a"] * 33, ["a\n"], None]),
        "sim": dice.choice([True, False, None, 0]),
        "other": dice.choice(ODD),
    }
    chances = dict.fromkeys(parts, 0.3) | {"other": 0.03}
    tree |= {key: part for key, part in parts.items() if dice.random() < chances[key]}
    keys = dice.sample(list(tree), len(tree) - (dice.random() < 0.05))
    return {key: tree[key] for key in keys}


def text_near_the_contract(dice: random.Random, kind: str) -> bytes:
    """A message as text, then perhaps escaped here and there, and pieces put in and taken out."""
    tree = tree_near_the_contract(dice, kind)
    separators = dice.choice([(",", ":"), (", ", ": "), (" ,\n", "\t:")])
    text = json.dumps(tree, separators=separators).encode()
    if dice.random() < 0.1:
        text = text.replace(b":0", b"\\u003a0", 1)
    for _ in range(dice.choice([0, 0, 0, 1, 2])):
        at = dice.choice([dice.randrange(len(text)), text.find(b"{") + 1, text.rfind(b"{") + 1])
        cut = dice.choice([0, 0, 1, 2])
        text = text[:at] + dice.choice([b"", *PIECES]) + text[at + cut :]
    return text


def comparable(result: tuple[contract.Message, int | None] | Refusal) -> object:
    """Kinds of numbers count: 1, 1.0 and true are three things; so do -0.0 and the last digit."""
    if isinstance(result, Refusal):
        return result
    found, ts_ms = result
    return msgspec.json.encode(msgspec.to_builtins(found), order="sorted"), ts_ms


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_the_fast_decoder_gives_what_the_models_give(seed: int):
    """Whatever the bytes, the fast way accepts only what the models accept, with equal results."""
    dice = random.Random(seed)
    for _ in range(60):
        kind = dice.choice(REPORTED_KINDS)
        text = text_near_the_contract(dice, kind)
        fast, strict = contract.read(kind, text), contract._read_strictly(kind, text)
        assert comparable(fast) == comparable(strict), text


@pytest.mark.parametrize("extra", ['"boot":1,"boot":2', '"other":1', '"other":"x"'])
def test_an_escaped_colon_hides_no_key(extra: str):
    """A colon that is written as an escape does not make up for a key too many."""
    text = f'{{"ts":"2026-01-15T20\\u003a05:00Z",{extra},"values":{{}}}}'
    assert refusal_of(text).reason in (Reason.DUPLICATE_KEY, Reason.UNKNOWN_KEY)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(REPORTED_KINDS), st.binary(max_size=200))
def test_no_bytes_raise(kind: str, payload: bytes):
    """Any payload on any leaf ends as a reading, a status or a refusal, as do its numbers."""
    for leaf in ("telemetry", "batch", "status"):
        decoded = decode(payload, kind, leaf)
        assert len(decoded.refused) == len(decoded.refusals)
    numbers_of(payload)


@pytest.mark.parametrize("kind", REPORTED_KINDS)
def test_the_ends_of_every_range_are_taken_and_nothing_beyond(kind: str):
    """Each value of the catalogue may be at both ends of its range, and just not outside."""
    for key, field in CATALOGUE[kind].items():
        if field.is_bool:
            continue
        for end, beyond in ((field.low, field.low - 1), (field.high, field.high + 1)):
            assert decode(VALUES % f'"{key}":{end}', kind).readings, key
            refusal = refusal_of(VALUES % f'"{key}":{beyond}', kind)
            assert (refusal.reason, refusal.path) == (Reason.OUT_OF_RANGE, f"values.{key}")
