"""Assets written and read again are the same city; what a new file changes is said exactly."""

import json
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inventory.adoption import with_devices
from gateway.inventory.asset_difference import Change, Handed, Recalibration, difference
from gateway.inventory.asset_writing import FORMATS, written
from gateway.inventory.assets import City, read_assets
from gateway.inventory.ngsi_assets import entities_in
from rules.fields import REPORTED_KINDS

NEW_YEAR = "2026-01-01T00:00:00Z"


def feature(asset_id="A", lon=-87.63, lat=41.88, kind="bin", **properties):
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
        "properties": {"asset_id": asset_id, "kind": kind} | properties,
    }


def city_of(*features):
    return read("geojson", json.dumps({"type": "FeatureCollection", "features": features}))


def read(form, text) -> City:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"assets.{form}"
        path.write_bytes(text.encode())
        city, findings = read_assets([path])
    assert findings == []
    return city


# -- there and back -------------------------------------------------------------------------------

texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r"), min_size=1,
    max_size=12,
)  # fmt: skip
names = st.text("abcXYZ-_019", min_size=1, max_size=8)
degrees = st.floats(-90, 90)
watts = st.floats(0, 2000)
percents = st.floats(0, 100)
optional = {
    "zone": names, "address": texts, "owner": texts, "circuit": texts, "cabinet": texts,
    "segment": texts, "model": st.sampled_from(["A", "B"]), "always_powered": st.booleans(),
    "nominal_power_w": watts, "height_mm": st.floats(1, 10_000), "offset_mm": st.floats(0, 10_000),
    "dead_zone_mm": st.floats(0, 10_000), "fill_threshold_pct": percents,
    "dim_curve": st.lists(st.tuples(percents, watts), max_size=3),
    "pickup": st.sampled_from(["mon 06:00-10:00", "mon 06:00-10:00; Thu 07:00-09:00"]),
    "time_zone": st.sampled_from(["Europe/Berlin", "America/Chicago"]),
}  # fmt: skip
dates = st.datetimes(timezones=st.just(UTC)).map(
    lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
)


@st.composite
def cities(draw):
    """A few assets with up to three calibrations each, in any order."""
    features = []
    for i, asset_id in enumerate(draw(st.lists(texts, unique=True, max_size=4))):
        kind = draw(st.sampled_from(REPORTED_KINDS))
        since = [None, *draw(st.lists(dates, unique=True, max_size=2))]
        for entry in draw(st.permutations(since)):
            said = draw(st.fixed_dictionaries({}, optional=optional))
            devices = draw(st.lists(names, unique=True, max_size=2))
            features.append(
                feature(asset_id, draw(degrees), draw(degrees), kind, **said,
                        devices=[f"{i}{name}" for name in devices], valid_from=entry)
            )  # fmt: skip
    return city_of(*features)


@pytest.mark.parametrize("form", FORMATS)
@given(city=cities())
def test_what_is_exported_reads_back_as_the_same_city(form, city):
    """Every property, dated calibrations, dim curves, schedules and devices, in both formats."""
    again = read(form, written(city.assets.values(), form))
    assert again == city
    assert not difference(city, again)


def test_a_rating_from_others_of_its_model_is_not_written_as_its_own():
    """It would stay when the others change."""
    lamps = [feature(f"L{i}", kind="streetlight", model="M", nominal_power_w=60) for i in range(3)]
    city = city_of(*lamps, feature("new", kind="streetlight", model="M"))
    assert city.assets["new"].attributes["nominal_power_w"] == 60
    last = json.loads(written(city.assets.values(), "geojson"))["features"][-1]
    assert "nominal_power_w" not in last["properties"]


# -- differences ----------------------------------------------------------------------------------


def test_assets_that_come_and_go_are_named_with_the_incidents_that_stand_on_them():
    """How many, so that nobody loses sight of an open fault."""
    told = difference(city_of(feature("A"), feature("B")), city_of(feature("B"), feature("C")),
                      ["A", "A", "B"])  # fmt: skip
    assert (told.added, told.removed, told.open_incidents) == (["C"], ["A"], {"A": 2})
    assert list(told.lines())[:2] == ["+ C", "- A  (2 open incidents stand on it)"]


def test_a_property_changes_from_what_to_what():
    """Also one that comes or goes, and where it stands."""
    before = city_of(feature(owner="city", height_mm=1000))
    after = city_of(feature(lat=41.9, zone="z", height_mm=1200))
    assert difference(before, after).changed == [
        Change("A", "owner", "city", None), Change("A", "height_mm", 1000.0, 1200.0),
        Change("A", "lat", 41.88, 41.9), Change("A", "zone", None, "z"),
    ]  # fmt: skip


def test_a_new_calibration_is_told_with_its_date():
    """The one from before stays; one that is corrected says what it was."""
    first = feature(height_mm=1000)
    before = city_of(first)
    second = feature(height_mm=1200, valid_from=NEW_YEAR)
    after = city_of(first, second)
    told = difference(before, after)
    assert told.recalibrated == [Recalibration("A", NEW_YEAR, None, {"height_mm": 1200.0})]
    assert told.changed == [Change("A", "height_mm", 1000.0, 1200.0)]
    other = city_of(first, feature(height_mm=1300, valid_from=NEW_YEAR))
    line = f"~ A  calibration from {NEW_YEAR}: height_mm 1200.0 -> 1300.0"
    assert line in difference(after, other).lines()
    assert f"~ A  calibration from {NEW_YEAR}: goes" in "\n".join(difference(after, before).lines())


def test_devices_change_hands():
    """From one asset to another, to none, from none; an asset without devices is its own."""
    before = city_of(feature("A", devices=["d", "e"]), feature("B"))
    after = city_of(feature("A", devices=["f"]), feature("B", devices=["d"]))
    assert difference(before, after).handed == [
        Handed("B", "B", None), Handed("d", "A", "B"), Handed("e", "A", None),
        Handed("f", None, "A"),
    ]  # fmt: skip


def test_another_order_or_format_is_no_change():
    """Only what is said counts."""
    one, two = feature("A", owner="x"), feature("B", height_mm=9)
    told = difference(city_of(one, two), city_of(two, one))
    assert not told
    assert list(told.lines()) == ["nothing changes"]


# -- adoption in the text -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"features": [ {"properties" : { "devices":["a"] , "x": 1}}, {}]}',
         '{"features": [ {"properties" : { "devices":["a", "n"] , "x": 1}}, {}]}'),
        ('{"features":[{"properties":{}}]}',
         '{"features":[{"properties":{"devices": ["a", "n"]}}]}'),
        ('\ufeff{"x": {}, "features":[{"properties":{"id": "]}"}}]}',
         '\ufeff{"x": {}, "features":[{"properties":{"devices": ["a", "n"], "id": "]}"}}]}'),
    ],
)  # fmt: skip
def test_one_list_of_a_collection_changes(text, wanted):
    """With its blanks, whatever the texts within hold."""
    assert with_devices(text, "geojson", 1, ["a", "n"]) == wanted


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
trees = st.recursive(
    scalars, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(), each, max_size=3)
)


@given(
    st.lists(st.dictionaries(st.text(max_size=4) | st.just("devices"), trees), min_size=1),
    st.data(),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)
def test_nothing_but_the_one_list_changes_whatever_stands_around_it(entries, data, indent, ascii_):
    """In any layout and whatever the properties hold."""
    number = data.draw(st.integers(1, len(entries)))
    tree = {"x": [{}], "features": [{"n": i, "properties": e} for i, e in enumerate(entries)]}
    text = json.dumps(tree, indent=indent, ensure_ascii=ascii_)
    changed = json.loads(with_devices(text, "geojson", number, ["a", "n"]))
    assert changed["features"][number - 1]["properties"].pop("devices") == ["a", "n"]
    tree["features"][number - 1]["properties"].pop("devices", None)
    assert changed == tree


@pytest.mark.parametrize(
    ("text", "line", "wanted"),
    [
        ("asset_id,devices\nA,x\nB,\n", 3, "asset_id,devices\nA,x\nB,a;n\n"),
        ("asset_id,kind\nA,1\n\nB,2", 4, "asset_id,kind,devices\nA,1,\n\nB,2,a;n"),
        ('asset_id,devices,address\r\nA,,"x\r\ny"\r\n', 3,
         'asset_id,devices,address\r\nA,a;n,"x\r\ny"\r\n'),
        ("asset_id,kind,devices\nA,1\n", 2, "asset_id,kind,devices\nA,1,a;n\n"),
        ("asset_id,kind\nA\nB,1\n", 2, "asset_id,kind,devices\nA,,a;n\nB,1,\n"),
    ],
)  # fmt: skip
def test_one_cell_of_a_table_changes(text, line, wanted):
    """A table without that column gets it."""
    assert with_devices(text, "csv", line, ["a", "n"]) == wanted


@pytest.mark.parametrize(
    ("text", "form"),
    [('{"features": []}', "geojson"), ("[]", "geojson"), ('{"a"', "geojson"), ("{", "geojson"),
     ('{"features": [{"properties": 7}]}', "geojson"), ("asset_id\nA", "csv"), ("", "csv"),
     ('asset_id\n"A', "csv")],
)  # fmt: skip
def test_a_text_without_such_an_entry_is_left_alone(text, form):
    """ValueError, and a person does it by hand."""
    with pytest.raises(ValueError, match=r"."):
        with_devices(text, form, 9 if form == "csv" else 1, ["n"])


# -- NGSI -----------------------------------------------------------------------------------------


def test_entities_become_assets():
    """NGSI-LD normalized, NGSI-v2, and key-values; relationships by the last part of the id."""
    entities = [
        {"id": "urn:ngsi-ld:Streetlight:L1", "type": "Streetlight",
         "location": {"type": "GeoProperty",
                      "value": {"type": "Point", "coordinates": [-87.6, 41.9]}},
         "circuit": {"type": "Property", "value": "C1"},
         "refStreetlightCabinetController":
             {"type": "Relationship", "object": "urn:ngsi-ld:StreetlightControlCabinet:K1"},
         "refDevice": {"type": "Relationship", "object": ["urn:ngsi-ld:Device:d1"]},
         "powerState": {"type": "Property", "value": "on"}},
        {"id": "B1", "type": "WasteContainer", "location": {"type": "geo:point", "value": "1.5,2"},
         "address": {"type": "PostalAddress", "value": {"streetAddress": "12 Elm Street"}}},
        {"id": "M", "type": "StreetlightModel"},
        {"id": "K1", "type": "StreetlightControlCabinet",
         "location": {"type": "Point", "coordinates": [3, 4]}, "areaServed": "north"},
    ]  # fmt: skip
    found = entities_in(json.dumps(entities).encode())
    assert found is not None
    city = read("geojson", found.text)
    assert city == city_of(
        feature("L1", -87.6, 41.9, "streetlight", circuit="C1", cabinet="K1", devices=["d1"]),
        feature("B1", 2, 1.5, address="12 Elm Street"),
        feature("K1", 3, 4, "cabinet", zone="north"),
    )  # fmt: skip
    assert found.left_out == ("M: a StreetlightModel is no asset; left out",)


@pytest.mark.parametrize("text", ["", "[]", "7", '{"type": "FeatureCollection"}', '[{"id": 1}]'])
def test_what_is_no_entity_is_not_taken_for_one(text):
    """It is read as GeoJSON then, with its findings."""
    assert entities_in(text.encode()) is None
