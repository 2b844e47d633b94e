"""The same scenario gives the same bytes: in any process, time zone and version of Python."""

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.catalogue import CATALOGUE, Strikes
from simulators.city import City
from simulators.device import speak
from simulators.dice import dice
from simulators.faults import Fault, Kind
from simulators.losses import Losses
from simulators.network import on_the_air, over_the_uplinks
from simulators.outages import outages_of
from simulators.plan import Plan, messages
from simulators.recording import write_recording
from simulators.timeline import in_order
from simulators.wire import Said

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CHAOS = {
    "loss": "1%", "duplicate": "2%", "late": "3%", "corrupt": "1%", "clock_steps_per_day": 4,
    "disconnects_per_day": 12, "buffer": 40,
}  # fmt: skip
# Of the hand-made day below. It is the same on every machine and every Python.
DIGEST = "8fa2e1cbd6ffa4e82749cfe65272b55063f039063459c00738e2ad616c5900a1"


def every_kind() -> Plan:
    """A small city in which every kind of fault strikes something, on a bad network."""
    city = City.sized(11, lamps=120, bins=40, road=24, duration="10h", network=CHAOS, faults=[])
    lines = sorted(city.concentrators())
    targets = {
        Strikes.LAMP: [lamp.device for lamp in city.all_lamps[30:]],
        Strikes.CIRCUIT: [circuit.asset_id for circuit in city.circuits[:1]] * 9,
        Strikes.BIN: [item.device for item in city.all_bins],
        Strikes.SPOT: [spot.id for spot in city.spots],
        Strikes.VEHICLE: [vehicle.device for vehicle in city.vehicles],
        Strikes.DEVICE: [lamp.device for lamp in city.all_lamps[31::2]],
        Strikes.CONCENTRATOR: [lines[0], lines[-1]],
    }
    targets[Strikes.DEVICE][0:0] = [item.device for item in city.all_bins[20:24]]
    faults = []
    for n, kind in enumerate(CATALOGUE):
        start_ms = city.start_ms + 3_600_000 + n * 60_000
        target = targets[CATALOGUE[kind].strikes].pop(0)
        faults.append(Fault(kind, target, start_ms, start_ms + 4 * 3_600_000))
    return Plan(city, tuple(faults))


def hand_made() -> bytes:
    """A day of some devices that say plain numbers, through every ailment and a bad network.
    It needs no model, whose arithmetic may end in another last digit on another processor.
    """
    kinds = [kind for kind in CATALOGUE if CATALOGUE[kind].strikes is Strikes.DEVICE]
    city = City.sized(5, lamps=len(kinds), bins=4, road=0, duration="24h", network=CHAOS, faults=[])
    losses = Losses()
    streams, faults = [], []
    for n, (lamp, kind) in enumerate(zip(city.all_lamps, kinds, strict=True)):
        fault = Fault(kind, lamp.device, city.start_ms + n * 1_800_000, None)
        times = range(city.start_ms + n * 1000, city.end_ms, 600_000)
        says = [
            Said(t_ms + 250, t_ms, {"active_power_w": t_ms % 997 / 8, "dim_level_pct": 100})
            for t_ms in times
        ]
        sent = speak(city, "streetlight", lamp, says, [fault], "lc-9999")
        luck = dice(city.seed, "network", lamp.device)
        streams.append(on_the_air(city.scenario.network, luck, sent, losses))
        faults.append(fault)
    uplinks = outages_of(city, faults)
    arriving = over_the_uplinks(uplinks, in_order(streams), lambda *_: (), losses, city.end_ms)
    return "\n".join(repr(tuple(message)) for message in arriving).encode()


_CODE = """
import hashlib, sys
from pathlib import Path
from simulators.recording import write_recording
from simulators.plan import messages
from test_same_bytes import every_kind
plan, path = every_kind(), Path(sys.argv[1])
write_recording(path, messages(plan))
rest = repr((plan.labels, plan.losses, plan.assets())).encode()
print(hashlib.sha256(path.read_bytes() + rest).hexdigest())
"""


def _in_a_process_of_its_own(folder: Path, hash_seed: str, zone: str) -> str:
    path = f"{ROOT}{os.pathsep}{Path(__file__).parent}"
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "TZ": zone, "PYTHONPATH": path}
    command = [sys.executable, "-c", _CODE, str(folder / f"{hash_seed}.jsonl.gz")]
    return subprocess.check_output(command, env=env, cwd=ROOT, text=True)


def test_a_recording_with_every_kind_of_fault_is_the_same_in_any_process(tmp_path):
    """Neither the hash seed of the interpreter nor the host's time zone is in the bytes."""
    one = _in_a_process_of_its_own(tmp_path, "1", "UTC")
    assert one == _in_a_process_of_its_own(tmp_path, "77", "Pacific/Auckland")


def test_every_kind_of_fault_is_in_that_recording(tmp_path):
    """Else the comparison would say less than it seems to."""
    plan = every_kind()
    assert {fault.kind for fault in plan.faults} == set(Kind)
    path = tmp_path / "run.jsonl.gz"
    assert write_recording(path, messages(plan)) > 5000
    text = gzip.decompress(path.read_bytes())
    for trace in (b'"ts":"1970-', b'"payload_b64"', b"/batch", b'"online":false', b"activePower"):
        assert trace in text
    assert {loss.cause.value for loss in plan.losses} >= {"radio", "corrupt", "no uplink"}


def test_the_hand_made_day_has_the_digest_written_here():
    """On this Python as on the one that wrote it."""
    assert hashlib.sha256(hand_made()).hexdigest() == DIGEST
