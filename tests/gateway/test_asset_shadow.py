"""Assets in shadow: a new device is watched like any other, and nothing is filed of it yet."""

from dataclasses import replace

import pytest
from small_city import Gate, at, city_of, lamp

from gateway.books.ledger import unfiled_of
from gateway.books.store import Store
from gateway.inventory.assets import City, read_assets

LIT, DARK = 58.0, 0.0


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "state")
    yield opened
    opened.close()


def with_shadows(city, *names):
    """The same city, these assets in shadow."""
    assets = {
        asset.id: replace(asset, attributes={**asset.attributes, "shadow": asset.id in names})
        for asset in city.assets.values()
    }
    by_device = {device: assets[asset.id] for device, asset in city.by_device.items()}
    return City(assets, by_device)


def dark_from(gate, minute, until, lamps=1):
    for now in range(minute, until, 5):
        power_w = DARK if now >= 10 else LIT
        gate.live(now, *(lamp(f"d{i}", now, power_w, now) for i in range(lamps)))


def test_what_it_would_have_filed_is_on_record_and_nothing_is_filed(store):
    """One dark lamp in shadow: no request, its would-be request in the books."""
    gate = Gate(with_shadows(city_of(), "SL-0"), store=store)
    dark_from(gate, 0, 60)
    assert gate.rows == []
    (row,) = unfiled_of(store.path, "lamp_out")
    assert (row["subject"], row["service"]) == ("SL-0", "STREETLIGHT_OUT")


@pytest.mark.parametrize("moment", range(0, 60, 10))
def test_what_still_stands_when_it_is_promoted_is_filed_once(store, moment):
    """Whenever the asset leaves the shadow, its dark lamp is one request."""
    gate = Gate(with_shadows(city_of(), "SL-0"), store=store)
    dark_from(gate, 0, moment)
    gate.city = city_of()
    gate.restart()
    dark_from(gate, moment, 120)
    assert gate.services() == ["STREETLIGHT_OUT"]
    (incident,) = gate.incidents.values()
    assert incident.started_ms == at(10)


def test_an_asset_in_shadow_keeps_no_other_from_being_filed(store):
    """Two dark lamps, one of them in shadow: the other is one request."""
    gate = Gate(with_shadows(city_of(lamps=5), "SL-0"), store=store)
    for now in range(0, 60, 5):
        lamps = [lamp(f"d{i}", now, DARK if now >= 10 and i < 2 else LIT, now) for i in range(5)]
        gate.live(now, *lamps)
    assert [row.request.asset_id for row in gate.rows] == ["SL-1"]


def test_a_circuit_of_nothing_but_shadows_is_one(store):
    """All lamps new and dark: no request; one of them live: one request, for the circuit."""
    names = [f"SL-{i}" for i in range(4)]
    assert "circuit:C12" in with_shadows(city_of(lamps=4), *names).shadows()
    gate = Gate(with_shadows(city_of(lamps=4), *names), store=store)
    dark_from(gate, 0, 60, lamps=4)
    assert gate.rows == []
    gate = Gate(with_shadows(city_of(lamps=4), *names[1:]))
    dark_from(gate, 0, 60, lamps=4)
    assert gate.services() == ["STREETLIGHT_CIRCUIT"]


def test_an_asset_file_says_who_is_in_shadow(tmp_path):
    """A property, in GeoJSON or as a column."""
    path = tmp_path / "assets.csv"
    path.write_text("asset_id,kind,lat,long,shadow\nB-1,bin,41.8,-87.6,true\nB-2,bin,41.8,-87.6,\n")
    city, findings = read_assets([path])
    assert findings == []
    assert city.shadows() == {"B-1"}
