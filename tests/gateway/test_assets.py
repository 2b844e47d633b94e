"""Asset files: every fault is a finding with its place, and a city knows who speaks for what."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.clock import ms_of
from gateway.inventory.assets import City, Properties, circuit_id, read_assets, zone_id


def feature(lon: object = -87.63, lat: object = 41.88, **properties: object) -> dict[str, object]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
        "properties": {"asset_id": "L1", "kind": "streetlight"} | properties,
    }


def read(folder: Path, *features: object) -> tuple[City, list[tuple[int, str]]]:
    path = folder / "assets.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    city, findings = read_assets([path])
    return city, [(finding.line, finding.code) for finding in findings]


def read_text(folder: Path, name: str, text: str) -> tuple[City, list[tuple[int, str]]]:
    path = folder / name
    path.write_text(text)
    city, findings = read_assets([path])
    return city, [(finding.line, finding.code) for finding in findings]


def test_an_asset_stands_where_the_file_says(tmp_path: Path):
    """Coordinates are longitude first; attributes are those that rules may use."""
    lamp = feature(zone="z", circuit="C1", nominal_power_w=60, devices=["d1", "d2"], owner="")
    city, findings = read(tmp_path, lamp)
    assert findings == []
    asset = city.assets["L1"]
    assert (asset.lat, asset.lon, asset.kind) == (41.88, -87.63, "streetlight")
    assert dict(asset.attributes) == {"zone": "z", "circuit": "C1", "nominal_power_w": 60.0}
    assert city.by_device == {"d1": asset, "d2": asset}


RATED = {"nominal_power_w": 60, "dim_curve": [[0, 1], [100, 58]]}


@pytest.mark.parametrize(
    ("others", "rating"),
    [
        (
            [{"nominal_power_w": 60}, {"nominal_power_w": 58}, {"nominal_power_w": 250}],
            (60.0, None),
        ),
        ([RATED, RATED, {"nominal_power_w": 60}], (60.0, ((0.0, 1.0), (100.0, 58.0)))),
        ([RATED, {"nominal_power_w": 60}, {"nominal_power_w": 60}], (60.0, None)),
        ([RATED, RATED], (None, None)),
        ([RATED, RATED, {}], (None, None)),
        ([RATED, RATED, {**RATED, "model": "B"}], (None, None)),
    ],
)
def test_a_lamp_of_unknown_power_is_rated_as_the_others_of_its_model(
    tmp_path: Path, others: list[dict[str, object]], rating: tuple[object, object]
):
    """Their median power, the curve of most; two are too few, and lamps of no model have none."""
    mates = [feature(asset_id=f"M{i}", **{"model": "A"} | one) for i, one in enumerate(others)]
    city, findings = read(tmp_path, feature(model="A"), feature(asset_id="L2"), *mates)
    assert findings == []
    told = city.assets["L1"].attributes
    assert (told.get("nominal_power_w"), told.get("dim_curve")) == rating
    assert dict(city.assets["L2"].attributes) == {}
    assert city.by_device["L1"] is city.assets["L1"]
    assert city.assets["M0"].attributes["nominal_power_w"] == others[0]["nominal_power_w"]


def test_an_asset_without_devices_speaks_for_itself(tmp_path: Path):
    """The asset's id is then the device's."""
    city, _ = read(tmp_path, feature())
    assert set(city.by_device) == {"L1"}


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (feature(kind="lamp"), "E304"),
        (feature(asset_id=""), "E304"),
        (feature(colour="red"), "E304"),
        (feature(nominal_power_w=-1), "E304"),
        (feature(nominal_power_w=float("nan")), "E304"),
        (feature(devices=["a b"]), "E304"),
        (feature(dim_curve=[[101, 5]]), "E304"),
        (feature(valid_from="2026-01-15"), "E304"),
        (feature(pickup="monday at six"), "E304"),
        (feature(pickup=["mon 06:00-10:00", "tue 6-10"]), "E304"),
        (feature(pickup={"mon": 6}), "E304"),
        (feature(time_zone="Mars/Base"), "E304"),
        (feature(time_zone="../etc/hosts"), "E304"),
        (feature(lat=91), "E305"),
        (feature(lon=-181), "E305"),
        (feature(lat=float("nan")), "E305"),
        (feature(lat="41"), "E303"),
        (feature(lat=True), "E303"),
        (feature(lat=None), "E303"),
        ({"geometry": None, "properties": {}}, "E303"),
        ({"geometry": {"coordinates": [1]}, "properties": {}}, "E303"),
        ({"geometry": {"coordinates": [1, 2]}, "properties": None}, "E304"),
        (7, "E303"),
    ],
)
def test_a_bad_feature_is_a_finding_with_its_number(tmp_path: Path, bad: object, code: str):
    """The other features are read on, so that all faults are told at once."""
    _, findings = read(tmp_path, feature(asset_id="ok"), bad, feature(asset_id="B", kind="x"))
    assert sorted(findings) == [(2, code), (3, "E304")]


@pytest.mark.parametrize("text", ["", "[]", "7", '{"features": 7}', '{"features": {}}', "[" * 9999])
def test_a_file_that_is_no_feature_collection_is_one_finding(tmp_path: Path, text: str):
    """Whatever the file holds, it ends as a finding."""
    assert read_text(tmp_path, "a.geojson", text)[1] == [(1, "E302")]


def test_files_that_cannot_be_read_are_findings(tmp_path: Path):
    """A missing file, a folder and bytes that are no text are told alike."""
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    paths = [tmp_path / "none.geojson", tmp_path, tmp_path / "bytes.csv"]
    _, findings = read_assets(paths)
    assert [finding.code for finding in findings] == ["E301"] * 3


def test_an_asset_stands_in_the_files_once(tmp_path: Path):
    """The same id twice is a fault, unless the second is a later calibration."""
    assert read(tmp_path, feature(), feature())[1] == [(2, "E306")]
    later = feature(valid_from="2026-01-15T00:00:00Z")
    assert read(tmp_path, feature(), later)[1] == []
    assert read(tmp_path, feature(), later, later)[1] == [(3, "E306")]
    other = feature(kind="bin", valid_from="2026-01-15T00:00:00Z")
    assert read(tmp_path, feature(), other)[1] == [(2, "E306")]


def test_a_device_speaks_for_one_asset(tmp_path: Path):
    """A device on two assets is a fault at the second."""
    both = [feature(asset_id=name, devices=["d"]) for name in ("A", "B")]
    assert read(tmp_path, *both)[1] == [(2, "E307")]


def test_no_more_findings_than_a_person_reads(tmp_path: Path):
    """A wrong column is wrong in every row: the first ones tell."""
    _, findings = read(tmp_path, *(feature(kind="x") for _ in range(500)))
    assert len(findings) == 50


# -- tables -----------------------------------------------------------------------------------


def test_a_table_says_the_same_as_geojson(tmp_path: Path):
    """Columns have the names of the properties; lists are in cells."""
    table = (
        "\ufeffasset_id,kind,lat,long,devices,nominal_power_w,dim_curve,always_powered,circuit\r\n"
        'L1,streetlight,41.88,-87.63,d1;d2,60,"[[0, 0], [100, 60]]",true,\r\n'
    )
    city, findings = read_text(tmp_path, "assets.CSV", table)
    assert findings == []
    lamp = feature(
        devices=["d1", "d2"],
        nominal_power_w=60,
        dim_curve=[[0, 0], [100, 60]],
        always_powered=True,
    )
    assert city == read(tmp_path, lamp)[0]


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("L1,bin,x,2", "E303"),
        ("L1,bin,,2", "E303"),
        ("L1,bin,1", "E303"),
        ("L1,bin,1,2,,9", "E303"),
        ("L1,bin,1,2,[", "E303"),
        ("L1,bin,nan,2", "E305"),
        ("L1,bus,1,2", "E304"),
        ('L1,bin,1,"2', "E302"),
    ],
)
def test_a_bad_row_is_a_finding_with_its_line(tmp_path: Path, row: str, code: str):
    """The line is that of the table, with its header."""
    table = f"asset_id,kind,lat,long,devices\nok,bin,1,2,\n{row}\n"
    _, findings = read_text(tmp_path, "a.csv", table)
    assert findings == [(3, code)]


@pytest.mark.parametrize(
    ("column", "schedule"),
    [
        ("mon 06:00-10:00", "mon 06:00-10:00"),
        ("mon 06:00-10:00;Thu 06:00-10:00", "mon 06:00-10:00; Thu 06:00-10:00"),
    ],
)
def test_a_schedule_is_one_text(tmp_path: Path, column: str, schedule: str):
    """Several parts of it are in one cell, or in a list."""
    table = f"asset_id,kind,lat,long,pickup\nB1,bin,1,2,{column}\n"
    city, findings = read_text(tmp_path, "a.csv", table)
    assert findings == []
    assert city.assets["B1"].attributes["pickup"] == schedule
    parts = feature(asset_id="B1", kind="bin", lat=1, lon=2, pickup=schedule.split("; "))
    assert city == read(tmp_path, parts)[0]


# -- calibration ------------------------------------------------------------------------------

NEW_YEAR = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("distance_mm", "fill"),
    [(1100, 0), (600, 50), (100, 100), (40, 100), (1375, 0), (1376, None), (9999, None), (0, None)],
)
def test_fill_follows_from_the_distance(tmp_path: Path, distance_mm: float, fill: float | None):
    """From the brim down; no echo, and one from beyond the bottom, are no fill."""
    bin_ = feature(asset_id="P", kind="bin", height_mm=1000, offset_mm=100)
    city, _ = read(tmp_path, bin_)
    assert city.assets["P"].fill_pct(distance_mm, 0) == fill


@pytest.mark.parametrize(("distance_mm", "fill"), [(300, 80), (299, None), (40, None), (0, None)])
def test_nearer_than_the_dead_zone_nothing_is_measured(
    tmp_path: Path, distance_mm: float, fill: float | None
):
    """Something may stick to the sensor: that is no full bin."""
    bin_ = feature(asset_id="B", kind="bin", height_mm=1000, offset_mm=100, dead_zone_mm=300)
    city, _ = read(tmp_path, bin_)
    assert city.assets["B"].fill_pct(distance_mm, 0) == fill


def test_without_a_height_a_distance_is_no_fill(tmp_path: Path):
    """Nothing is guessed of a bin that nobody measured."""
    city, _ = read(tmp_path, feature(kind="bin"))
    assert city.assets["L1"].fill_pct(100, 0) is None


@pytest.mark.parametrize("turned", [False, True])
def test_the_calibration_in_force_at_the_time_counts(tmp_path: Path, turned: bool):
    """From `valid_from` on the newer one, before it the older, in whatever order they stand."""
    entries = [
        feature(kind="bin", height_mm=1000, devices=["old"]),
        feature(kind="bin", height_mm=2000, valid_from=NEW_YEAR, lat=42.0, devices=["new"]),
    ]
    city, findings = read(tmp_path, *(reversed(entries) if turned else entries))
    assert findings == []
    asset = city.assets["L1"]
    new_year_ms = ms_of(NEW_YEAR)
    assert new_year_ms is not None
    assert asset.fill_pct(500, new_year_ms - 1) == pytest.approx(50)
    assert asset.fill_pct(500, new_year_ms) == pytest.approx(75)
    assert (asset.lat, asset.attributes["height_mm"]) == (42.0, 2000)
    assert city.by_device == {"new": asset}


def test_before_the_first_calibration_the_first_counts(tmp_path: Path):
    """A bin that is only known from a day on was not another one before."""
    entries = [
        feature(kind="bin", height_mm=height_mm, valid_from=f"{year}-01-01T00:00:00Z")
        for height_mm, year in ((1000, 2025), (2000, 2026))
    ]
    city, _ = read(tmp_path, *entries)
    assert city.assets["L1"].fill_pct(500, 0) == pytest.approx(50)


# -- subjects ---------------------------------------------------------------------------------


def test_rules_watch_assets_and_circuits(tmp_path: Path):
    """A circuit has its lamps, its cabinet as meter, and stands where the cabinet does."""
    city, _ = read(
        tmp_path,
        feature(asset_id="L1", circuit="C1"),
        feature(asset_id="L2", circuit="C1"),
        feature(asset_id="L3", circuit="C2", lat=40.0),
        feature(asset_id="L4"),
        feature(asset_id="K1", kind="cabinet", circuit="C1", lat=41.0, zone="z", address="a"),
        feature(asset_id="K9", kind="cabinet", circuit="C9"),
    )
    subjects = {subject.id: subject for subject in city.subjects()}
    groups = {circuit_id("C1"), circuit_id("C2"), zone_id("z", "cabinet")}
    assert set(subjects) == {*city.assets, *groups}
    one, two = subjects[circuit_id("C1")], subjects[circuit_id("C2")]
    assert (one.members, one.meter, one.lat) == (("L1", "L2"), "K1", 41.0)
    assert one.attributes == {"circuit": "C1", "zone": "z", "address": "a"}
    assert (two.members, two.meter, two.lat) == (("L3",), None, 40.0)
    assert subjects["K1"].kind == "cabinet"


def test_subjects_have_the_time_zone_of_their_city_or_their_own(tmp_path: Path):
    """A circuit that of its cabinet, else of its first lamp."""
    city, _ = read(
        tmp_path,
        feature(asset_id="L1", circuit="C1", time_zone="Europe/Berlin"),
        feature(asset_id="L2", circuit="C2"),
        feature(asset_id="K2", kind="cabinet", circuit="C2", time_zone="Asia/Kathmandu"),
    )
    zones = {s.id: s.time_zone for s in replace(city, time_zone="America/Chicago").subjects()}
    assert zones == {
        "L1": "Europe/Berlin",
        "L2": "America/Chicago",
        "K2": "Asia/Kathmandu",
        circuit_id("C1"): "Europe/Berlin",
        circuit_id("C2"): "Asia/Kathmandu",
    }


def test_a_zone_has_its_assets_of_each_kind(tmp_path: Path):
    """It stands in the middle of them; an asset without a zone is in none."""
    city, _ = read(
        tmp_path,
        feature(asset_id="B1", kind="bin", zone="north", lat=41.0),
        feature(asset_id="B2", kind="bin", zone="north", lat=42.0),
        feature(asset_id="L1", zone="north", lat=45.0),
        feature(asset_id="B3", kind="bin"),
    )
    zones = {s.id: s for s in city.subjects() if s.members}
    assert set(zones) == {zone_id("north", "bin"), zone_id("north", "streetlight")}
    bins = zones[zone_id("north", "bin")]
    assert (bins.members, bins.lat, bins.kind) == (("B1", "B2"), 41.5, "zone:bin")


def test_every_property_stands_in_the_guide() -> None:
    """The table of assets has each name once."""
    guide = (Path(__file__).parents[2] / "gateway/README.md").read_text()
    _, _, table = guide.partition("\n# Assets\n")
    rows = [line for line in table.partition("# How it works")[0].splitlines() if "`" in line]
    names = re.findall(r"`([a-z_]+)`", " ".join(row.split("|")[1] for row in rows if "|" in row))
    assert sorted(names) == sorted(Properties.model_fields)
