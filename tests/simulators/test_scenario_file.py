"""Scenario files: what they may say, and one finding with its place for each thing wrong."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from simulators.city import City
from simulators.faults import Kind
from simulators.plan import messages, plan_of
from simulators.register import assets, write_assets
from simulators.scenario_file import (
    ScenarioError,
    json_schema,
    parse_scenario,
    read_scenario,
    ready,
)
from simulators.staging import plan_from, stage

HEAD = "scenario: 1\nname: mine\ndescription: d\n"
CITY = HEAD + (
    "start: 2026-09-15T17:00:00Z\n"
    "fleets: {lamps: {count: 60}, bins: {count: 6}, vehicles: {count: 8}}\n"
)


def findings_of(text: str, folder: Path = Path()) -> list[tuple[int, int, str, str]]:
    """(line, column, message, hint) of each."""
    try:
        plan_from(parse_scenario(text, "mine.yaml", folder))
    except ScenarioError as error:
        return [(one.line, one.column, one.message, one.hint) for one in error.findings]
    return []


# --- the text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "column", "message", "hint"),
    [
        ("", 1, 1, "no scenario", "sim new"),
        ("- 1", 1, 1, "no scenario", "sim new"),
        (HEAD + "fleets: {lamps: [", 5, 1, "not YAML", "key: value"),
        (HEAD + "seed: &a 1\n", 4, 7, "anchors", "write it out"),
        (HEAD + "seed: !!int 1\n", 4, 7, "tags", "leave the tag out"),
        (HEAD + "seed: 1\nseed: 2\n", 5, 1, "twice", "keep one"),
        (HEAD + "? [a]\n: 1\n", 4, 3, "a key is a word", "bracket"),
        (HEAD + "---\nseed: 1\n", 4, 1, "second document", "one file"),
        (HEAD + "fleets: " + "[" * 14 + "]" * 14, 4, 20, "nested", "four deep"),
        ("#" * 1_048_577, 1, 1, "1 MiB", "split"),
    ],
    ids=["empty", "list", "open", "anchor", "tag", "twice", "key", "second", "deep", "large"],
)
def test_a_text_that_is_no_scenario_is_one_finding_at_its_place(
    text: str, line: int, column: int, message: str, hint: str
) -> None:
    """YAML is read narrowly: what a scenario never needs is refused where it stands."""
    (found,) = findings_of(text)

    assert found[:2] == (line, column)
    assert message in found[2]
    assert hint in found[3]


@pytest.mark.parametrize(
    ("line", "column", "message", "hint"),
    [
        ("durration: 24h", 1, "no key 'durration'", "duration"),
        ("fleets: {lamps: {cuont: 3}}", 18, "no key 'cuont'", "count"),
        ("fleets: {lamps: {wire: tss}}", 24, "unknown 'tss'", "tts"),
        ("fleets: {lamps: {count: -3}}", 25, "-3", "greater than or equal to 0"),
        ("fleets: {lamps: {every: 15}}", 25, "15 cannot be read", "15min"),
        ("fleets: {bins: {rate_pct_h: [3, 1]}}", 29, "cannot be read", "smaller one first"),
        ("duration: 24 hours", 11, "cannot be read", "36h"),
        ("duration: 20min", 11, "1200", "3600"),
        ("start: 2026-09-15T17:00:00", 8, "start", "timezone"),
        ("start: 9999-01-01T00:00:00Z", 8, "start", "2100"),
        ("place: {time_zone: Mars/Base}", 20, "cannot be read", "IANA"),
        ("network: {loss: 140%}", 17, "140%", "less than or equal to 1"),
        ("network: {late_by: [9s, 2s]}", 20, "cannot be read", "smaller one first"),
        ("faults: [{kind: lamp_uot}]", 17, "unknown 'lamp_uot'", "lamp_out"),
        ("faults: [{target: x}]", 10, "faults.kind is missing", "kind: ..."),
        ("events: [{at: 1h}]", 10, "events.for is missing", "for: ..."),
        ("sim: perhaps", 6, "perhaps", "boolean"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_what_is_due(
    line: str, column: int, message: str, hint: str
) -> None:
    """Line and column of the key or the value, and the nearest name or the limit."""
    (found,) = findings_of(HEAD + line + "\n")

    assert found[:2] == (4, column)
    assert message in found[2]
    assert hint in found[3]


def test_all_wrong_keys_and_values_are_told_at_once_in_order() -> None:
    """Nobody mends a file one finding at a time."""
    told = findings_of("scenario: 1\nname: Mine\ndescription: d\nsed: 1\nduration: 1\n")

    assert [found[0] for found in told] == [2, 4, 5]


@given(st.text(max_size=200) | st.text(alphabet="sceno:[]{}#&*!|>-? \n'\"1.%h", max_size=80))
def test_any_text_is_a_scenario_or_findings(text: str) -> None:
    """Never a traceback, and every finding lies in the text."""
    for line, column, message, _ in findings_of(text):
        assert 1 <= line <= text.count("\n") + 2
        assert column >= 1
        assert message


@pytest.mark.parametrize(
    ("written", "value"),
    [("1", 1), ("010", 10), ('"1"', 1), ("0x10", None), ("1:30", None)],
)
def test_numbers_are_decimal_and_nothing_is_guessed(written: str, value: int | None) -> None:
    """`1:30` is no number of 90, `0x10` none of 16."""
    text = HEAD + f"seed: {written}\n"

    if value is None:
        assert findings_of(text)
    else:
        assert parse_scenario(text, "x").scenario.seed == value


# --- faults that do not fit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("kind: lamp_out, target: ^lamp-0401", "no lamp 'lamp-0401'", "lamp-0041"),
        ("kind: lamp_out, target: ^bin-0001", "'bin-0001' is one of the bins", "lc-0001"),
        ("kind: pothole, target: ^spot-9", "no spot 'spot-9'", "spot-"),
        ("kind: mass_silence, target: ^segmnt-1", "no concentrator", "segment-1"),
        ("kind: lamp_out, at: ^30h", "begin after the run", "earlier"),
        ("kind: lamp_out, at: ^1h, for: 2h", "by night only", "7.9h to 17.6h"),
        ("kind: day_burner, at: ^9h, for: 3h", "by day only", "0min to 6.2h, 19.3h"),
        ("kind: lamp_out, at: 10h, for: ^20h", "6h after the run", "lasts: true"),
        ("kind: lamp_out, at: 10h, for: ^20min", "show for 20min", "longer"),
        ("kind: lamp_dip, at: 10h, for: ^3h", "7min at most", "must be filed"),
        ("kind: bin_full, at: ^23h, lasts: true", "show for 60min", "earlier"),
        ("kind: pothole, at: ^23h", "0 times", "more vehicles"),
        ("^kind: pothole_grows, extent: {days: 30}", "0 of 1 pothole_grows", "larger city"),
        ("kind: bin_full, count: ^7", "6 of 7 bin_full", "larger city"),
        ("kind: ^stuck_value", "too short for stuck_value", "48h"),
        ("kind: overvoltage, extent: {^volt: 272}", "no extent 'volt'", "volts"),
        ("kind: overvoltage, extent: {volts: ^30}", "volts 30 is out of range", "300 V"),
        ("kind: sick, among: ^road_sensors", "this city has none", "fleets"),
        ("kind: stale, among: ^vehicles", "does not show on vehicles", "lamps"),
        ("kind: lamp_out, among: ^lamps", "strikes a lamp anyway", "leave"),
        ("kind: bin_full, target: bin-0001, count: ^2", "exclude each other", "target"),
        ("kind: bin_full, count: 2, rate: ^4", "exclude each other", "count"),
        ("kind: bin_full, lasts: true, for: ^4h", "exclude each other", "lasts"),
    ],
)
def test_a_fault_that_cannot_be_played_is_one_finding(line: str, message: str, hint: str) -> None:
    """An unknown thing, an impossible time, no room: where it stands, why, and what would do."""
    text = f"  - {{{line}}}"
    (found,) = findings_of(CITY + "faults:\n" + text.replace("^", "") + "\n")

    # What is about the whole line stands at its bracket.
    column = text.index("^") + (0 if "{^kind" in text else 1)
    assert found[:2] == (7, column)
    assert message in found[2]
    assert hint in found[3]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("kind: lamp_out, target: lamp-0005, at: 9h, for: 3h",
         "kind: low_power, target: lc-0005, at: 11h, for: 4h"),
        ("kind: lamp_out, target: lamp-0005, at: 9h, for: 3h",
         "kind: feeder_outage, target: circuit-01, at: 10h, for: 2h"),
        ("kind: bin_full, target: bin-0002, at: 4h, lasts: true",
         "kind: mass_silence, target: lora-2, at: 20h, for: 1h"),
        ("kind: sick, target: lamp-0005", "kind: lamp_out, target: lamp-0005, at: 9h, for: 2h"),
    ],
)  # fmt: skip
def test_overlapping_truth_is_refused(one: str, two: str) -> None:
    """On the same thing, its circuit or its concentrator; the finding names the other line."""
    (found,) = findings_of(CITY + f"faults:\n  - {{{one}}}\n  - {{{two}}}\n")

    assert found[0] == 8
    assert "one truth at a time" in found[2]
    assert "(line 7)" in found[2]


def test_one_thing_may_have_two_faults_one_after_the_other() -> None:
    """Named ones, that do not overlap."""
    lines = "\n".join(
        f"  - {{kind: bin_full, target: bin-0001, at: {at}h, for: 4h}}" for at in (3, 12)
    )
    plan = plan_from(parse_scenario(CITY + f"faults:\n{lines}\n", "x"))

    assert [fault.kind for fault in plan.faults] == [Kind.BIN_FULL] * 2


@pytest.mark.parametrize(
    ("lines", "line", "column", "message", "hint"),
    [
        ("events: [{at: 30h, for: 1h}]", 6, 15, "after the run", "earlier"),
        ("events: [{at: 3h, for: 1h, zone: markt}]", 6, 34, "no zone 'markt'", "market"),
        ("rules: [roads.yml]", 6, 9, "no rule file 'roads.yml'", "folder"),
    ],
)
def test_what_a_scenario_names_must_be_there(
    tmp_path: Path, lines: str, line: int, column: int, message: str, hint: str
) -> None:
    """Zones, rule files."""
    (found,) = findings_of(CITY + lines + "\n", tmp_path)

    assert found[:2] == (line, column)
    assert message in found[2]
    assert hint in found[3]


# --- assets --------------------------------------------------------------------------------------


SURVEYED = HEAD + "assets: assets.geojson\nfaults: [{kind: lamp_out, target: lamp-0003}]\n"


def test_a_city_of_assets_is_the_city_that_was_surveyed(tmp_path: Path) -> None:
    """The same things at the same places, each with its own devices, and its register unchanged."""
    drawn = City.sized(4, lamps=40, bins=8, road=9)
    write_assets(tmp_path / "assets.geojson", assets(drawn))
    plan = plan_from(parse_scenario(SURVEYED, "x", tmp_path))

    assert plan.assets() == json.loads((tmp_path / "assets.geojson").read_text())
    for one, other in ((drawn, plan.city), (plan.city, drawn)):
        places = {(kind, post.asset_id, post.lat, post.lon) for kind, post in one.posts()}
        assert places == {(kind, p.asset_id, p.lat, p.lon) for kind, p in other.posts()}
    heights = {item.asset_id: item.height_mm for item in drawn.all_bins}
    assert {item.asset_id: item.height_mm for item in plan.city.all_bins} == heights
    assert [label.asset_id for label in plan.labels] == ["lamp-0003"]
    assert {message.device for message in messages(plan)} == {
        post.device for _, post in plan.city.posts()
    }


def test_assets_without_cabinets_are_played_without_them(tmp_path: Path) -> None:
    """A city that only knows its lamps; one asset more changes nothing for the others."""
    register = assets(City.sized(4, lamps=40, bins=0, road=0))
    lamps = [f for f in register["features"] if f["properties"]["kind"] == "streetlight"]
    plans = []
    for number in (30, 31):
        write_assets(tmp_path / "assets.geojson", {"features": lamps[:number]})
        plans.append(plan_from(parse_scenario(SURVEYED, "x", tmp_path)))

    few, more = ({lamp.asset_id: lamp for lamp in plan.city.all_lamps} for plan in plans)
    assert {kind for kind, _ in plans[0].city.posts()} == {"streetlight"}
    assert set(more) - set(few) == {lamps[30]["properties"]["asset_id"]}
    assert all(more[name] == lamp for name, lamp in few.items())


OFF_THE_MAP = json.dumps({"features": [{
    "properties": {"kind": "bin", "asset_id": "b", "devices": ["d"]},
    "geometry": {"coordinates": [41.9, -187.6]},
}]})  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("{", "not GeoJSON"),
        ('{"features": [{"properties": {"kind": "bin"}}]}', "asset_id"),
        ('{"features": [{"properties": {"kind": "bin", "asset_id": "b"}}]}', "b has no devices"),
        (OFF_THE_MAP, "b lies at 41.9, -187.6"),
    ],
)
def test_a_bad_asset_file_is_a_finding(tmp_path: Path, text: str | None, message: str) -> None:
    """At the key that names it."""
    if text is not None:
        (tmp_path / "assets.geojson").write_text(text)
    (found,) = findings_of(SURVEYED, tmp_path)

    assert found[:2] == (4, 9)
    assert message in found[2]


def test_assets_and_counts_exclude_each_other(tmp_path: Path) -> None:
    """The file says how many."""
    (found,) = findings_of(SURVEYED + "fleets: {lamps: {count: 3}}\n", tmp_path)

    assert found[:2] == (6, 25)


# --- the ready ones ------------------------------------------------------------------------------

NAMES = [path.stem for path in ready()]


def test_there_are_twenty_scenarios_and_half_of_them_have_nothing_to_file() -> None:
    """A detector that is never tried on nothing is never trusted."""
    quiet = [
        name for name in NAMES if not any(label.must_file for label in stage(name).labels)
    ]  # fmt: skip

    assert len(NAMES) >= 20
    assert len(quiet) * 2 >= len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_ready_scenario_stages_and_keeps_the_schema(name: str) -> None:
    """It is called as its file is, its rules are there, and editors accept it."""
    file = read_scenario(name)
    loaded = yaml.load(Path(file.name).read_text(), yaml.BaseLoader)

    assert file.scenario.name == name
    assert file.scenario.duration <= 3 * 86_400
    assert set(loaded) <= set(json_schema()["properties"])
    jsonschema.validate(file.marked.value, json_schema())
    plan = plan_from(file)
    assert sum(len(group) for group in plan.concentrators().values()) > 0


@pytest.mark.parametrize("name", [n for n in NAMES if read_scenario(n).scenario.expect.requests])
def test_what_a_ready_scenario_expects_is_what_its_truth_demands(name: str) -> None:
    """The numbers in the file are those of the labels that must be filed."""
    counts: dict[str, int] = {}
    for label in stage(name).labels:
        if label.must_file:
            counts[label.rule] = counts.get(label.rule, 0) + 1

    assert read_scenario(name).scenario.expect.requests == counts


def test_a_changed_scenario_keeps_what_was_not_changed() -> None:
    """Inner keys one by one; what is wrong with a change is told as well."""
    file = read_scenario("city").changed({"fleets": {"lamps": {"count": 3}}, "duration": "2h"})

    assert file.scenario.fleets.lamps.count == 3
    assert file.scenario.fleets.bins.count == 150
    assert file.scenario.duration == 7200
    with pytest.raises(ScenarioError):
        file.changed({"seed": -1})


def test_a_sized_city_is_the_ready_one() -> None:
    """Demo, tests and `sim run city` play the same."""
    city = City.sized(1)

    assert plan_of(city).faults == stage("city").faults
