"""Rules about a zone: judged by its assets as time passes, one incident for all of them."""

import pytest
from small_city import Gate, at, body, city_of, sent

from gateway.books.store import Store
from gateway.inventory.assets import zone_id
from rules.files import load

RULES = """
apiVersion: sense311/v1
sensor: bin
owner: waste-ops
rules:
  - id: zone_full
    title: "The bins of {zone.id} are full"
    scope: zone
    when: peers.count() >= 3 and peers.fraction(fill > 80%) >= 50%
    for: 2min
    clear: {when: peers.avg(fill) < 40%}
    identity: [zone.id]
    file: {service: BIN_FULL, description: "Half of the bins of {zone.id} are full"}
    tests:
      - name: half of them are enough
        assets: {count: 4, zone: north}
        every: 10min
        feed: {fill: "50% x2, 90% x4"}
        expect: [{at: +55min, state: firing, filed: 1, service: BIN_FULL}]
"""


def fill(gate, minute, *fills):
    messages = [
        sent(f"b{i}", body(at(minute), {"fill_pct": pct}, minute + 1), kind="bin")
        for i, pct in enumerate(fills)
    ]
    gate.live(minute, *messages)


def gate_of(text=RULES):
    bundle, findings = load({"zones.yaml": text})
    assert bundle is not None, findings
    return Gate(city_of(bins=4, lamps=2), bundle=bundle)


def test_a_zone_is_one_incident_by_the_share_of_its_assets():
    """Three of four bins over the mark are one request for the zone; lamps do not count."""
    gate = gate_of()
    fill(gate, 0, 90, 90, 10, 10)
    assert gate.phase("zone_full", zone_id("z", "bin")) == "ok"
    gate.pass_to(1)
    assert gate.phase("zone_full", zone_id("z", "bin")) == "pending"
    gate.pass_to(*range(2, 20))
    assert gate.services() == ["BIN_FULL"]
    request = gate.rows[0].request
    assert request.description == "Half of the bins of z are full. Confirmed over 2 min."
    assert (request.asset_id, request.lat) == ("z", pytest.approx(41.88))
    fill(gate, 20, 10, 10, 10, 10)
    gate.pass_to(*range(21, 24))
    assert gate.phase("zone_full", zone_id("z", "bin")) == "ok"


def test_a_few_bins_are_no_zone():
    """With fewer than three nothing is said."""
    bundle, _ = load({"zones.yaml": RULES})
    gate = Gate(city_of(bins=2), bundle=bundle)
    fill(gate, 0, 90, 90)
    gate.pass_to(*range(1, 20))
    assert gate.incidents == {}


def test_the_state_of_a_zone_outlives_the_process(tmp_path):
    """Its `for` goes on where it was."""
    store = Store(tmp_path / "state")
    bundle, _ = load({"zones.yaml": RULES})
    gate = Gate(city_of(bins=4), bundle=bundle, store=store)
    fill(gate, 0, 90, 90, 90, 10)
    gate.pass_to(1, 2)
    gate.restart()
    assert gate.phase("zone_full", zone_id("z", "bin")) == "pending"
    gate.pass_to(3)
    assert gate.phase("zone_full", zone_id("z", "bin")) == "firing"
    store.close()


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("clear: {when: peers.avg(fill) < 40%}", "absorbed_by: [other]", "E002"),
        ("clear: {when: peers.avg(fill) < 40%}", "absorbs: {rules: [other]}", "E002"),
        ("clear: {when: peers.avg(fill) < 40%}", "clear: {when: fill < 40%}", "E101"),
        ("peers.avg(fill) < 40%", "since(peers.avg(fill) < 40%) < 1h", "E103"),
        ("peers.avg(fill) < 40%", "peers.avg(active_power) < 40 W", "E101"),
        ("[zone.id]", "[asset.id]", "E210"),
    ],
)
def test_a_zone_has_members_and_nothing_of_its_own(old, new, code):
    """No samples, no attributes, no memory; it neither explains faults nor is explained."""
    bundle, findings = load({"zones.yaml": RULES.replace(old, new)})
    assert bundle is None
    assert code in {finding.code for finding in findings}
