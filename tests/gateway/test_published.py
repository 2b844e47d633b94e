"""The published contract and the gateway agree: what one accepts the other does, and no more.

The oracle is the gateway's own decoder. Messages are bent in every way that JSON can be; where a
schema takes what the gateway refuses, one of NOT_EXPRESSIBLE must be the reason.
"""

import copy
import json
import math
import os
import re
import shutil
import subprocess
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from typer.testing import CliRunner

from gateway.cli import app
from gateway.clock import ms_of
from gateway.contract import SAMPLES_MAX, SAMPLES_MIN
from gateway.effects import Effects, StoredRefusal
from gateway.field.asyncapi import NAME_PATTERN, asyncapi
from gateway.field.devices import Device, Life
from gateway.field.published import (
    EXAMPLES,
    MEANINGS,
    NOT_EXPRESSIBLE,
    schemas,
    time_schema,
)
from gateway.field.replies import Replies
from gateway.refusal import NUMBER_CHARS_MAX, Reason
from gateway.telemetry import (
    BATCH_MESSAGES_MAX,
    MESSAGE_BYTES_MAX,
    NAME,
    ROAD_BYTES_MAX,
    Address,
    Decoder,
    Reading,
    decode_message,
)
from rules.fields import CATALOGUE, REPORTED_KINDS

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = schemas()
DOCUMENT = asyncapi()
VALIDATORS = {name: Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
DRAFT_7 = {
    name: Draft7Validator({"$ref": f"#/components/schemas/{name}", **DOCUMENT}) for name in SCHEMAS
}
TIME = Draft202012Validator(time_schema())


def gateway_takes(kind, text):
    found = decode_message(Address("z", kind, "d", "telemetry"), text)
    return isinstance(found, Reading)


def unsaid(kind, message, text):
    """Which of NOT_EXPRESSIBLE the message breaks, told without asking the gateway."""
    found = set()
    if len(text) > (ROAD_BYTES_MAX if kind == "road" else MESSAGE_BYTES_MAX):
        found.add("size")
    if re.search(rb"[0-9]{%d}" % (NUMBER_CHARS_MAX + 1), text):
        found.add("text")
    if not isinstance(message, dict):
        return found
    if any(isinstance(message.get(key), float) for key in ("boot", "seq")):
        found.add("whole numbers")
    values = message.get("values")
    accel = values.get("accel") if isinstance(values, dict) else None
    axes = [accel.get(f"{axis}_ms2") for axis in "xyz"] if isinstance(accel, dict) else []
    if len({len(axis) for axis in axes if isinstance(axis, list)}) > 1:
        found.add("axes")
    return found


def assert_agree(kind, message):
    """Whether it is taken; the schemas say so exactly where nothing stands against it that they
    cannot know."""
    text = json.dumps(message).encode()
    said = json.loads(text)
    by_schema = VALIDATORS[kind].is_valid(said)
    taken = gateway_takes(kind, text)

    assert taken == (by_schema and not unsaid(kind, said, text)), text[:2000]
    assert DRAFT_7[kind].is_valid(said) == by_schema
    return taken


# -- messages, sound and bent ---------------------------------------------------------------------

TIMES = (
    "2026-01-15T20:05:00Z", "2026-01-15t20:05:00.5z", "2024-02-29T00:00:00+14:00",
    "2023-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "0000-01-01T00:00:00Z", "2026-01-15",
    "0001-01-01T00:00:00+23:59", "2016-12-31T23:59:60Z", "2016-12-31T23:58:60Z",
    "2017-01-01T00:59:60+01:00", "2026-01-15T20:05:00", "2026-01-15 20:05:00Z",
    "2026-01-15T24:00:00Z", "2026-01-15T20:05:00Z\n", "2026-01-15T20:05:00.1234567890Z",
    "2026-01-15T20:05Z", "20260115T200500Z", "2026-01-15T20:05:00+0100", "", "now", "\u0661",
)  # fmt: skip
ODD = (
    None, True, False, 0, 1, -1, 1.0, 0.5, 2**53 - 1, 2**53, float(2**53), 1e300, 10**400, "1",
    "", "x", [], {}, [0], [0, 0], [90, 180.0], [90.1, 0], [0, -180.1], [0, 0, 0], [None, 1],
    [True, 1], ["lamp_failure"], ["Lamp"], ["lamp\n"], [""], ["a" * 64], ["a" * 65], {"x": 1},
    *TIMES,
)  # fmt: skip
FAULTS = ("lamp_failure", "relay_failure", "a", "0_9")


def a_number(random, low, high):
    return random.choice(
        (low, high, math.nextafter(low, -math.inf), math.nextafter(high, math.inf),
         low - 1, high + 1, random.uniform(low, high), random.randint(math.ceil(low), int(high)))
    )  # fmt: skip


def a_window(random):
    count = random.choice((SAMPLES_MIN - 1, SAMPLES_MIN, SAMPLES_MIN, 9))
    window = {"rate_hz": random.choice((0.9, 1, 100, 100.5, 2000, 2001))}
    for axis in random.sample("xyz", random.randint(1, 3)):
        length = count if random.random() < 0.9 else count + 1
        window[f"{axis}_ms2"] = [random.choice((0, 9.81, -1000, 1000)) for _ in range(length)]
    window.setdefault("z_ms2", [9.8] * count)
    return window


def a_message(random, kind):
    """Mostly sound."""
    message = {"ts": random.choice((*TIMES[:3], None)), "values": {}}
    for key in random.sample(sorted(CATALOGUE[kind]), random.randint(0, 4)):
        known = CATALOGUE[kind][key]
        flag = random.random() < 0.5
        inside = flag if known.is_bool else random.uniform(known.low, known.high)
        at_an_end = not known.is_bool and random.random() < 0.15
        message["values"][key] = a_number(random, known.low, known.high) if at_an_end else inside
    if kind == "road" and random.random() < 0.5:
        message["values"]["accel"] = a_window(random)
    for key in ("boot", "seq"):
        if random.random() < 0.6:
            message[key] = random.choice((None, 0, 7, 2**53 - 1))
    if random.random() < 0.4:
        message["loc"] = random.choice((None, [41.9, -87.6], [90, 180], [-90.0, -180]))
    if random.random() < 0.4:
        message["faults"] = random.choices(FAULTS, k=random.choice((0, 1, 31, 32, 33)))
    if random.random() < 0.3:
        message["sim"] = random.random() < 0.5
    return message


def places(tree, found):
    """Every (container, key) of a tree."""
    keys = tree.keys() if isinstance(tree, dict) else range(len(tree))
    for key in list(keys)[:12]:
        found.append((tree, key))
        if isinstance(tree[key], dict | list):
            places(tree[key], found)
    return found


def bend(random, message):
    """One thing about it is another."""
    holder, key = random.choice(places(message, []))
    what = random.choice(("put", "put", "drop", "add", "nudge", "double"))
    value = holder[key]
    if what == "drop":
        del holder[key]
    elif what == "add" and isinstance(holder, dict):
        holder[random.choice(("extra", "fill_pct", "voltage_v", "accel", "sim", "TS"))] = value
    elif what == "nudge" and type(value) in (int, float) and abs(value) < 1e300:
        holder[key] = random.choice((-value, float(value), value * 1000, value + 1e-9, str(value)))
    elif what == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(value))
    else:
        holder[key] = copy.deepcopy(random.choice(ODD))


def bent(random, kind):
    message = a_message(random, kind)
    for _ in range(random.choice((0, 0, 1, 1, 2))):
        if message:
            bend(random, message)
    return message


def at_every_bound(kind):
    """Each value at its ends and just beyond."""
    for key, known in CATALOGUE[kind].items():
        low, high = known.low, known.high
        numbers = (low, high, math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
        for value in (True, False, 0, 1.0) if known.is_bool else numbers:
            yield {"ts": None, "values": {key: value}}


# -- the schemas ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_one_and_takes_its_example(name):
    """By the metaschema of its draft; no web address is needed to name it."""
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    VALIDATORS[name].validate(schema["examples"][0])

    assert schema["$id"] == f"urn:sense311:v1:{name}"
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("kind", REPORTED_KINDS)
def test_every_value_is_explained(kind):
    """What it is, and its unit."""
    properties = SCHEMAS[kind]["$defs"][f"{kind.title()}Values"]["properties"]

    assert set(properties) == {*CATALOGUE[kind], *(["accel"] if kind == "road" else [])}
    for key, known in CATALOGUE[kind].items():
        assert MEANINGS[key]
        assert properties[key]["description"]
        assert properties[key].get("x-unit", "bool") == known.unit


@pytest.mark.parametrize("kind", REPORTED_KINDS)
@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_bent_message_is_taken_by_both_or_by_neither(kind, random):
    """400 of each kind, in whatever way they are bent."""
    assert_agree(kind, bent(random, kind))


@pytest.mark.parametrize("kind", REPORTED_KINDS)
def test_both_outcomes_are_seen(kind):
    """The same generator from a fixed seed, and every bound: a test that only ever saw one
    outcome would prove nothing."""
    random = Random(311)
    seen = [assert_agree(kind, bent(random, kind)) for _ in range(300)]
    seen += [assert_agree(kind, message) for message in at_every_bound(kind)]

    assert seen.count(True) > 80
    assert seen.count(False) > 80


def in_every_place(kind):
    """A message that says all that can be said, with each of its parts dropped, or something else
    in its place."""
    window = {"rate_hz": 100, "z_ms2": [9.8] * 8, "x_ms2": [0] * 8, "y_ms2": [0.5] * 8}
    values = {key: True if f.is_bool else f.high for key, f in CATALOGUE[kind].items()}
    values |= {"accel": window} if kind == "road" else {}
    whole = {"ts": TIMES[0], "boot": 3, "seq": 1, "loc": [41.9, -87.6], "faults": ["a"],
             "sim": False, "values": values}  # fmt: skip
    for holder, key in places(whole, []):
        before = copy.copy(holder)
        for value in ODD:
            holder[key] = value
            yield whole
        del holder[key]
        yield whole
        holder.clear()
        holder.extend(before) if isinstance(holder, list) else holder.update(before)


@pytest.mark.slow
@pytest.mark.parametrize("kind", REPORTED_KINDS)
def test_whatever_stands_in_any_place_is_taken_by_both_or_by_neither(kind):
    """Dropped, of another type, at the end of what can be written; and in place of it all."""
    seen = [assert_agree(kind, message) for message in in_every_place(kind)]

    assert not any(assert_agree(kind, value) for value in ODD)
    assert min(seen.count(True), seen.count(False)) > 40


@pytest.mark.parametrize("count", [SAMPLES_MIN - 1, SAMPLES_MIN, SAMPLES_MAX, SAMPLES_MAX + 1])
@pytest.mark.parametrize("longer", [0, 1])
def test_windows_of_every_length(count, longer):
    """Both ends, and axes of two lengths."""
    window = {"rate_hz": 100, "z_ms2": [9.8] * count, "x_ms2": [0.1] * (count + longer)}
    taken = assert_agree("road", {"ts": None, "values": {"accel": window}})

    assert taken == (longer == 0 and SAMPLES_MIN <= count <= SAMPLES_MAX)


# What each entry of NOT_EXPRESSIBLE is about: a message that its schema takes and the gateway not.
BEYOND_SCHEMAS = [
    ("text", "bin", '{"ts": null, "ts": null, "values": {}}', Reason.DUPLICATE_KEY),
    ("text", "bin", '{"ts": null, "values": {"fill_pct": NaN}}', Reason.NOT_FINITE),
    ("text", "bin", f'{{"ts": null, "x\\\\": {"1" * 1025}, "values": {{}}}}', Reason.OUT_OF_RANGE),
    ("text", "bin", '\ufeff{"ts": null, "values": {}}', Reason.NOT_JSON),
    ("size", "bin", f'{{"ts": null, "values": {{{" " * MESSAGE_BYTES_MAX}}}}}', Reason.TOO_LARGE),
    ("size", "road", f'{{"ts": null, "values": {{{" " * ROAD_BYTES_MAX}}}}}', Reason.TOO_LARGE),
    ("whole numbers", "bin", '{"ts": null, "values": {}, "seq": 3.0}', Reason.WRONG_TYPE),
    ("whole numbers", "bin", '{"ts": null, "values": {}, "boot": 1e2}', Reason.WRONG_TYPE),
    ("axes", "road", json.dumps({"ts": None, "values": {"accel": {
        "rate_hz": 9, "z_ms2": [1] * 8, "x_ms2": [1] * 9}}}), Reason.WRONG_LENGTH),
]  # fmt: skip


@pytest.mark.parametrize(("name", "kind", "text", "reason"), BEYOND_SCHEMAS)
def test_what_no_schema_can_say_is_said_in_its_description(name, kind, text, reason):
    """And is refused by the gateway, for this reason."""
    refusal = decode_message(Address("z", kind, "d", "telemetry"), text.encode())

    assert refusal.reason == reason
    assert NOT_EXPRESSIBLE[name] in SCHEMAS[kind]["description"]
    if name in ("whole numbers", "axes", "size"):
        assert VALIDATORS[kind].is_valid(json.loads(text))


def test_nothing_stands_among_the_exceptions_that_is_none():
    """Each has an example above."""
    assert {name for name, *_ in BEYOND_SCHEMAS} == set(NOT_EXPRESSIBLE)


def test_a_batch_has_as_many_messages_as_the_gateway_takes():
    """From none to 500, of one kind."""
    one = EXAMPLES["bin"]
    decoder = Decoder()
    for count in (0, 1, BATCH_MESSAGES_MAX, BATCH_MESSAGES_MAX + 1):
        decoded = decoder.decode("city/v1/z/bin/d/batch", json.dumps([one] * count).encode())
        assert VALIDATORS["bin-batch"].is_valid([one] * count) == (not decoded.refusals)
        assert DRAFT_7["bin-batch"].is_valid([one] * count) == (not decoded.refusals)
    assert not VALIDATORS["bin-batch"].is_valid([one, {**one, "values": {"power": 1}}])


@pytest.mark.parametrize("value", [*ODD, *({"online": value} for value in ODD)], ids=repr)
def test_a_status_is_taken_by_both_or_by_neither(value):
    """Alone on its topic."""
    decoded = Decoder().decode("city/v1/z/bin/d/status", json.dumps(value).encode())

    assert VALIDATORS["status"].is_valid(value) == (decoded.status is not None)


# -- times ----------------------------------------------------------------------------------------


def days():
    """Every day that there is, and some that there are not, of years of all sorts."""
    for year in (0, 1, 4, 100, 400, 1900, 2000, 2023, 2024, 2100, 9996, 9999):
        for month in range(14):
            for day in range(33):
                yield f"{year:04}-{month:02}-{day:02}T12:00:00Z"
    for year in range(0, 10_000, 4):
        yield f"{year:04}-02-29T00:00:00Z"


def leap_seconds():
    """For every offset the minute that is the last in UTC, and its neighbours."""
    for offset in range(-1439, 1440):
        sign, (hours, minutes) = "-+"[offset >= 0], divmod(abs(offset), 60)
        for wrong in (-60, -1, 0, 1):
            h, m = divmod((1439 + offset + wrong) % 1440, 60)
            yield f"2016-12-31T{h:02}:{m:02}:60.5{sign}{hours:02}:{minutes:02}"
    for minute in range(1440):
        yield f"2016-12-31t{minute // 60:02}:{minute % 60:02}:60z"


def misspelt():
    """One character put, added or left out."""
    for text in ("2026-01-15T20:05:00.25Z", "2016-12-31T18:44:60-05:15"):
        for i in range(len(text) + 1):
            yield text[:i] + text[i + 1 :]
            for char in "0123456789TtZz:+-. \n\u0660":
                yield text[:i] + char + text[i + 1 :]
                yield text[:i] + char + text[i:]


@pytest.mark.parametrize("texts", [days, leap_seconds, misspelt], ids=lambda f: f.__name__)
def test_a_time_is_one_for_the_schema_exactly_when_it_is_for_the_gateway(texts):
    """Days of the calendar, leap seconds at the end of a day in UTC, and spelling."""
    seen = set()
    for text in texts():
        taken = ms_of(text) is not None
        assert TIME.is_valid(text) == taken, text
        seen.add(taken)
    assert seen == {True, False}


# -- what devices are told ------------------------------------------------------------------------


def test_what_devices_are_told_is_as_published():
    """Acknowledgements, dead letters and notices, as the gateway makes them, with no key more or
    less."""
    replies = Replies(device_acks=True, device_status=True)
    replies.begin([], 0)
    lives = [Life(3, 0, 0, [[0, 7]]), Life(-1, 0, 0, [[1, 2]])]
    seen = [Device(name, "z", "bin", lives=[life]) for name, life in zip("ab", lives, strict=True)]
    refused = [StoredRefusal(0, "city/v1/z/bin/b/batch", "b", reason, "p", "m", "h", 3, b"abc")
               for reason in Reason]  # fmt: skip
    replies.note(Effects(devices={device.name: device for device in seen}, refusals=refused))
    told = list(replies.due(1_768_453_200_123))

    names = [next(name for name in ("ack", "dead-letter", "device-status") if name in reply.topic)
             for reply in told]  # fmt: skip
    assert {*names} == {"ack", "dead-letter", "device-status"}
    for name, reply in zip(names, told, strict=True):
        said = json.loads(reply.payload)
        mqtt = DOCUMENT["operations"][f"send-{name}"]["bindings"]["mqtt"]
        assert reply.retain == mqtt["retain"]
        VALIDATORS[name].validate(said)
        assert set(said) == set(SCHEMAS[name]["properties"])
        assert re.fullmatch(pattern_of(DOCUMENT["channels"][name]), reply.topic)


# -- the AsyncAPI document ------------------------------------------------------------------------


def pattern_of(channel):
    """The topics of a channel."""
    names = {
        name: "|".join(parameter.get("enum", [parameter.get("x-pattern", "")[1:-1]]))
        for name, parameter in DOCUMENT["components"]["parameters"].items()
    }
    return re.sub(r"\{(\w+)\}", lambda match: f"({names[match[1]]})", channel["address"])


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_examples_of_the_document_fit_its_schemas(name):
    """In the words of draft 7, which the document has."""
    Draft7Validator.check_schema(DOCUMENT["components"]["schemas"][name])
    for example in DOCUMENT["components"]["messages"][name]["examples"]:
        DRAFT_7[name].validate(example["payload"])


def test_every_channel_that_the_gateway_reads_is_one_for_its_decoder():
    """And the example of its message is taken there."""
    assert NAME.pattern == NAME_PATTERN[1:-1]
    for name, channel in DOCUMENT["channels"].items():
        if DOCUMENT["operations"].get(f"receive-{name}") is None:
            continue
        topic = channel["address"].format(zone="north", device="d-1", kind="cabinet")
        (example,) = DOCUMENT["components"]["messages"][name]["examples"]
        decoded = Decoder().decode(topic, json.dumps(example["payload"]).encode())
        assert re.fullmatch(pattern_of(channel), topic)
        assert list(decoded.refusals) == []
        assert len(decoded.readings) + (decoded.status is not None) == 1


NODE = shutil.which("node")
PARTS = ROOT / ".venv/node"  # where deploy/test-parts.sh puts them


def by_node(script, *words, stdin=""):
    """What a script made of it."""
    if NODE is None or not (PARTS / "node_modules/@asyncapi/parser").is_dir():
        why = "@asyncapi/parser is not installed: `make parts`, with node and npm"
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    command = [NODE, str(ROOT / "tests/node" / script), str(PARTS), *map(str, words)]
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )


def judge_by_the_official_parser(path):
    """Its exit code and diagnostics."""
    done = by_node("validate.mjs", path)
    return done.returncode, done.stdout + done.stderr


def saved(path, document):
    path.write_text(json.dumps(document), "utf-8")
    return path


@pytest.mark.slow
def test_the_official_parser_takes_the_document(tmp_path):
    """With no error and no warning, and it sees every channel."""
    code, told = judge_by_the_official_parser(saved(tmp_path / "a.json", DOCUMENT))

    assert code == 0, told
    assert f"{len(DOCUMENT['channels'])} channels" in told
    assert " warning " not in told


BROKEN = {
    "an operation on no channel": (("operations", "receive-bin", "channel"), {"$ref": "#/x"}),
    "an operation that does nothing": (("operations", "receive-bin", "action"), "look"),
    "a message of another channel": (
        ("operations", "receive-bin", "messages"), [{"$ref": "#/channels/road/messages/road"}]),
    "a parameter that is not told": (("channels", "bin", "parameters"), {}),
    "a schema of no type": (("components", "schemas", "Time", "type"), "moment"),
    "a security scheme of no kind": (
        ("components", "securitySchemes", "password"), {"type": "whisper"}),
    "another version": (("asyncapi",), "3.9.9"),
    "no title": (("info", "title"), None),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", BROKEN)
def test_the_official_parser_refuses_a_broken_document(name, tmp_path):
    """So the test above can fail."""
    *path, last = BROKEN[name][0]
    document = copy.deepcopy(DOCUMENT)
    holder = document
    for key in path:
        holder = holder[key]
    holder[last] = BROKEN[name][1]
    code, told = judge_by_the_official_parser(saved(tmp_path / "a.json", document))

    assert code == 1, told
    assert " error " in told


@pytest.mark.slow
def test_another_validator_says_the_same():
    """Ajv, with the regular expressions of ECMAScript, on bent messages and on times."""
    random = Random(312)
    texts = [*islice(days(), 0, None, 41), *islice(leap_seconds(), 0, None, 37), *misspelt()]
    cases = [(kind, bent(random, kind)) for kind in REPORTED_KINDS for _ in range(300)]
    cases += [("bin", {"ts": text, "values": {}}) for text in texts]
    cases += [(name, example) for name, example in EXAMPLES.items()]
    done = by_node("judge.mjs", stdin=json.dumps({"schemas": SCHEMAS, "cases": cases}))

    assert done.stderr == ""
    ours = [VALIDATORS[name].is_valid(case) for name, case in cases]
    theirs = json.loads(done.stdout)
    differ = [case for case, a, b in zip(cases, ours, theirs, strict=True) if a != b]
    assert differ == []
    assert min(theirs.count(True), theirs.count(False)) > 300


def test_the_parser_is_pinned_by_hash_and_names_no_host():
    """What is installed is what was checked, from wherever it comes."""
    folder = ROOT / "tests/node"
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    text = (folder / "package-lock.json").read_text("utf-8")
    packages = json.loads(text)["packages"]
    root = packages.pop("")

    assert root["dependencies"] == wanted
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    assert [name for name, one in packages.items() if not one.get("integrity")] == []
    assert "://" not in text
    assert "resolved" not in text


# -- the commands ---------------------------------------------------------------------------------

GOOD = json.dumps(EXAMPLES["bin"])
BAD = '{"ts": null, "values": {"fill": 83}}'
BIN = "city/v1/north/bin/b-17"
NONE_SAID = ()


def sense311(*words, stdin=None):
    """(exit code, the one JSON object on standard output)."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"], input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    (line,) = done.stdout.splitlines()
    return done.exit_code, json.loads(line)


def test_contract_prints_the_document_and_writes_all_of_it(tmp_path):
    """One file for each schema, and AsyncAPI beside them."""
    code, printed = sense311("contract")
    assert (code, printed) == (0, json.loads(json.dumps(DOCUMENT)))
    assert json.loads(CliRunner().invoke(app, ["contract"]).stdout) == printed

    code, told = sense311("contract", "--out", tmp_path / "new/contract")
    files = {Path(name).name: json.loads(Path(name).read_text("utf-8")) for name in told["files"]}
    assert code == 0
    assert files.pop("asyncapi.json") == printed
    assert files == {f"{name}.schema.json": schema for name, schema in SCHEMAS.items()}


def test_contract_says_where_it_cannot_write(tmp_path):
    """A file where the folder should be."""
    (tmp_path / "taken").write_text("")
    code, told = sense311("contract", "--out", tmp_path / "taken")

    assert code == 2
    assert "cannot write" in told["error"]


@pytest.mark.parametrize(
    ("words", "said", "valid", "refused"),
    [
        (("--kind", "bin"), GOOD, 1, NONE_SAID),
        (("--topic", f"{BIN}/telemetry"), GOOD, 1, NONE_SAID),
        (("--topic", f"{BIN}/status"), '{"online": true}', 1, NONE_SAID),
        (("--kind", "bin"), json.dumps(EXAMPLES["bin"], indent=1), 1, NONE_SAID),
        (("--kind", "bin"), f"\n\n{BAD}", 0, [("unknown_key", "values.fill", 3)]),
        (("--kind", "bin"), f"[{GOOD}, {BAD}]", 1, [("unknown_key", "[1].values.fill", 1)]),
        (("--kind", "bin"), f"[\n{GOOD},\n{GOOD}\n]", 2, NONE_SAID),
        (("--kind", "bin"), "[]", 0, NONE_SAID),
        (("--kind", "bin"), f"{GOOD}\n\n{BAD}\n[{GOOD}]\n", 2, [("unknown_key", "values.fill", 3)]),
        (("--kind", "bin"), f"{GOOD}\nnoise\n{GOOD}\n", 2, [("not_json", "line 1 column 1", 2)]),
        (("--kind", "bin"), f"{GOOD[:20]}\n{GOOD}\n", 1, [("not_json", "line 1 column 8", 1)]),
        (("--kind", "bin"), "", 0, [("not_json", "line 1 column 1", 1)]),
        (("--kind", "bin"), '{\n"ts": null,\n"values": {}', 0,
         [("not_json", "line 3 column 13", 1)]),
        (("--topic", f"{BIN}/telemetry"), f"[{GOOD}]", 0, [("wrong_type", "", 1)]),
        (("--topic", "city/v1/north/bin/b-17/ack"), GOOD, 0, [("wrong_topic", "topic", 1)]),
        (("--kind", "road"), GOOD, 0, [("unknown_key", "values.fill_pct", 1)]),
    ],
)  # fmt: skip
def test_validate_judges_as_the_gateway_does(words, said, valid, refused):
    """A message, a batch, lines of them; each refusal with its line."""
    code, told = sense311("validate", *words, stdin=said)

    assert told["valid"] == valid
    assert [(r["reason"], r["path"], r["line"]) for r in told["refusals"]] == list(refused)
    assert all(r["message"] and r["hint"] for r in told["refusals"])
    assert code == (1 if refused else 0)


def test_validate_reads_recordings_by_their_own_topics(tmp_path):
    """Plain or packed; a key that stands twice in a payload is found, and bytes are opened."""
    import base64
    import gzip

    topic = f'"topic": "{BIN}/telemetry"'
    lines = [
        f'{{"t": "2026-01-15T20:05:00Z", {topic}, "qos": 1, "retain": false, "payload": {GOOD}}}',
        f'{{{topic}, "payload": {{"ts": null, "ts": null, "values": {{}}}}}}',
        f'{{{topic}, "payload_b64": "{base64.b64encode(GOOD.encode()).decode()}"}}',
        f'{{{topic}, "payload_b64": "!"}}',
        '{"topic": "city/v1/north/lamp/x/telemetry", "payload": null}',
    ]
    path = tmp_path / "recording.jsonl"
    for packed in (False, True):
        text = "\n".join(lines).encode()
        path.write_bytes(gzip.compress(text) if packed else text)
        code, told = sense311("validate", path)
        found = [(r["line"], r["reason"]) for r in told["refusals"]]

        assert (code, told["valid"]) == (1, 2)
        assert found == [(2, "duplicate_key"), (4, "wrong_type"), (5, "unknown_kind")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--kind or --topic"),
        (("--kind", "lamp"), "kinds are"),
        (("--kind", "bins"), "did you mean bin?"),
        (("--kind", "bin", "--topic", BIN), "one of them"),
        (("no-such-file", "--kind", "bin"), "cannot read no-such-file"),
    ],
)
def test_validate_says_what_is_wrong_with_the_question(words, said):
    """Exit code 2."""
    code, told = sense311("validate", *words, stdin=GOOD)

    assert code == 2
    assert said in told["error"]


def test_validate_speaks_to_people_too():
    """The line, the reason, the hint, and the sum."""
    done = CliRunner().invoke(app, ["validate", "--kind", "bin"], input=f"{GOOD}\n{BAD}\n")

    assert done.exit_code == 1
    assert "line 2: refused (unknown_key) at values.fill" in done.stdout
    assert "= help: did you mean fill_pct?" in done.stdout
    assert done.stdout.endswith("1 valid, 1 refused\n")
