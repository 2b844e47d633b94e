"""A city for the map: any number of assets and of open incidents in every state, in real books.

Made through the store, as the gateway would have left it; no process, no broker.
"""

import json
from pathlib import Path

import msgspec
from conftest import write_config

from gateway.books.store import Store
from gateway.cases.incident import Incident, State
from gateway.cases.places import Place
from gateway.cityhall import delivery
from gateway.cityhall.delivery import Row, ServiceRequest
from gateway.cityhall.outbox import reference_for
from gateway.effects import Effects, Entry
from gateway.field.devices import Device, Life

T0_MS = 1_768_453_200_000
KINDS = ("streetlight", "streetlight", "streetlight", "bin", "cabinet", "road")
RULES = {
    "streetlight": "lamp_out",
    "bin": "bin_full",
    "cabinet": "device_silent_cabinet",
    "road": "pothole",
}
AROUND = (
    (State.HELD, None),
    (State.QUEUED, delivery.State.READY),
    (State.QUEUED, delivery.State.REVIEW),
    (State.QUEUED, delivery.State.FILED),
    (State.SHADOW, None),
    (State.ABSORBED, None),
)


def position(i, count):
    """On a grid of some kilometres, with streets: (lat, long)."""
    side = max(1, round(count**0.5))
    row, column = divmod(i, side)
    return 41.80 + row * 0.0011 + (column % 7) * 0.00002, -87.75 + column * 0.0015


def feature(i, count):
    lat, long = position(i, count)
    kind = KINDS[i % len(KINDS)]
    properties = {
        "asset_id": f"{kind[:2].upper()}-{i}", "kind": kind, "zone": f"Ward {i * 12 // count + 1}",
        "address": f"{100 + i} W Example St",
    }  # fmt: skip
    if kind != "road":
        properties["devices"] = [f"d{i}"]
    if kind == "streetlight":
        properties |= {"nominal_power_w": 60, "circuit": f"C-{i // 60}"}
    if i % 97 == 5:
        properties["shadow"] = True
    geometry = {"type": "Point", "coordinates": [round(long, 6), round(lat, 6)]}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def make_folder(folder: Path, assets: int, more: str = "") -> Path:
    """The configuration of a gateway with so many assets."""
    features = [feature(i, assets) for i in range(assets)]
    collection = {"type": "FeatureCollection", "features": features}
    (folder / "assets.geojson").write_text(json.dumps(collection))
    return write_config(folder, f'[ingest]\nclock = "follow"\n{more}')


def an_incident(number, subject, rule, state=State.HELD, **more):
    return Incident(number, rule, subject, number, state, T0_MS, T0_MS, T0_MS, {}, **more)


def a_request(number, rule, subject, state, lat=41.9, long=-87.6, **more):
    asked = ServiceRequest(lat, long, "it is broken", T0_MS, rule, asset_id=subject)
    reference = reference_for(f"k{number}")
    return Row(reference, number, "SERVICE", asked, T0_MS, state=state, **more)


def an_entry(number, subject, rule):
    return Entry(T0_MS, T0_MS, subject, rule, number, "ok", "firing", "why", None)


def fill(store: Store, assets: int, incidents: int, silent: int = 0) -> None:
    """Every asset but the last `silent` heard of, and incidents spread over the city: of assets,
    one in ten of a place on the road.
    """
    effects = Effects(tick_ms=T0_MS, follow_ms=T0_MS)
    for i in range(assets - silent):
        known = Device(f"d{i}", "z", KINDS[i % len(KINDS)], T0_MS, T0_MS, True, pause_s=60.0)
        known.lives = [Life(1, 0, 0, [[1, 100 + i]])]
        effects.devices[known.name] = known
    step = max(1, assets // max(1, incidents))
    for number in range(1, incidents + 1):
        i = (number * step) % assets
        found = feature(i, assets)["properties"]
        subject, rule = found["asset_id"], RULES[found["kind"]]
        state, asked = AROUND[number % len(AROUND)]
        lat, long = position(i, assets)
        if number % 10 == 0:
            subject, rule, state, asked = f"P-{number}", "pothole", State.HELD, None
            place = Place(subject, "pothole", lat + 0.0004, long + 0.0004, 3)
            effects.places.append((subject, msgspec.msgpack.encode(place)))
        parent = 1 if state is State.ABSORBED else None
        effects.incidents[number] = an_incident(number, subject, rule, state, parent=parent)
        effects.journal.append(an_entry(number, subject, rule))
        if asked is not None:
            effects.outbox.append(a_request(number, rule, subject, asked, lat, long))
    store.commit(effects)
