"""A small city for tests of the core: a few lamps on one circuit, bins, and vehicles that pass.

Minutes count from 20:00 on a January evening in Chicago, when it is night there.
"""

import json

from gateway.cases.orders import Given
from gateway.cityhall.requests import rfc3339
from gateway.core import Core
from gateway.effects import Incoming, Saved, Settings
from gateway.inventory.assets import Asset, City
from rules.files import load, read_library

MINUTE_MS = 60_000
NIGHT_MS = 1_768_528_800_000  # 2026-01-15T20:00-06:00
NOON_MS = NIGHT_MS - 8 * 60 * MINUTE_MS
LAT, LON = 41.88, -87.63
LIBRARY, _ = load(read_library())


def city_of(lamps=1, bins=0):
    """Lamps SL-0.. with devices d0.., bins BIN-0.. with devices b0..; a vehicle needs no asset."""
    lamp_has = {"nominal_power_w": 60.0, "circuit": "C12", "address": "1 Lake St"}
    assets = [_asset(f"SL-{i}", "streetlight", f"d{i}", i, lamp_has) for i in range(lamps)]
    assets += [_asset(f"BIN-{i}", "bin", f"b{i}", i, {"height_mm": 1000.0}) for i in range(bins)]
    by_device = {device: asset for asset in assets for device in asset.devices}
    return City({asset.id: asset for asset in assets}, by_device)


def _asset(name, kind, device, i, attributes):
    lon = LON + i * 3e-4
    address = attributes.get("address")
    calibrations = ((0, attributes),)
    return Asset(name, kind, "z", LAT, lon, address, (device,), attributes, calibrations)


def at(minute, start_ms=NIGHT_MS):
    return start_ms + round(minute * MINUTE_MS)


def body(ts_ms, values, seq=None, **more):
    message = {"ts": None if ts_ms is None else rfc3339(ts_ms), "values": values}
    if seq is not None:
        message |= {"boot": 1, "seq": seq}
    return message | more


def sent(device, message, kind="streetlight", leaf="telemetry", **more):
    """An MQTT message; bytes go as they are."""
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return Incoming(f"city/v1/z/{kind}/{device}/{leaf}", payload, **more)


def lamp(device, minute, power_w, seq=None, start_ms=NIGHT_MS):
    values = {"active_power_w": power_w, "dim_level_pct": 100}
    return sent(device, body(at(minute, start_ms), values, seq))


class Gate:
    """A core, what it did so far, and the time of day. `store`: a real one, committed to."""

    def __init__(self, city, *, store=None, bundle=LIBRARY, start_ms=NIGHT_MS, **settings):
        self.city, self.store, self.bundle, self.start_ms = city, store, bundle, start_ms
        self.settings = Settings(start_ms=start_ms - MINUTE_MS, **settings)
        self.rows, self.readings, self.refusals, self.journal = [], [], [], []
        self.incidents = {}
        self.news = []
        self.duplicates = self.ordered = 0
        self.core = self._built()

    def _built(self):
        saved = Saved("here") if self.store is None else self.store.load()
        core = Core(self.city, self.bundle, self.settings, saved)
        if self.store is not None and core.layout != saved.layout:
            self.store.save_rules("", core.layout, core.all_states())
        return core

    def restart(self):
        """What was in memory is gone."""
        self.core = self._built()

    def take(self, *messages, minute=None, now_ms=None):
        """A batch, received at a minute."""
        if now_ms is None:
            now_ms = at(minute, self.start_ms)
        return self._keep(self.core.process(messages, now_ms))

    def pass_to(self, *minutes):
        for minute in minutes:
            effects = self.core.pass_time(at(minute, self.start_ms))
            if effects is not None:
                self._keep(effects)

    def live(self, minute, *messages):
        """Time passes to a minute, then a batch comes."""
        self.pass_to(minute)
        return self.take(*messages, minute=minute)

    def phase(self, rule, subject):
        return self.core._engine.phase(subject, rule)

    def services(self):
        return [row.service for row in self.rows]

    def acknowledged(self, device):
        return self.core.devices.get(device).acknowledged()

    def _keep(self, effects):
        if self.store is not None:
            self.store.commit(effects)
        self.rows += effects.outbox
        self.readings += effects.readings
        self.refusals += effects.refusals
        self.journal += effects.journal
        self.incidents |= effects.incidents
        self.duplicates += effects.duplicates
        self.news += effects.news
        return effects

    def obey(self, *orders, minute=None):
        """Orders, numbered on from 1; the answers."""
        given = []
        for order in orders:
            self.ordered += 1
            given.append(Given(self.ordered, order, "ann"))
        now_ms = self.core.tick_ms if minute is None else at(minute, self.start_ms)
        effects = self._keep(self.core.obey(given, now_ms))
        return [(answer.done, answer.text) for answer in effects.answers]
