"""The systemd units, under a real systemd: on a machine of its own that is booted for it.

See tests/machine: this machine's files, read only, and what is installed as deploy/README.md says.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import CANARY_KEY

ROOT = Path(__file__).resolve().parent.parent
BOOT_S_MAX = 280
OWN_PYTHON = Path("opt/sense311/.venv")
TRIAL = """\
[Unit]
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
TimeoutStartSec=240
ExecStart=/opt/sense311/.venv/bin/python /opt/sense311/checkout/tests/machine/trial.py
Environment=PYTHONDONTWRITEBYTECODE=1
StandardOutput=file:/trial/log
StandardError=file:/trial/log
"""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(BOOT_S_MAX + 20)]


def why_not() -> str:
    """Why no machine can be booted here; empty where it can."""
    if os.getuid() != 0:
        return "only root can boot a machine"
    lacks = [name for name in ("systemd-nspawn", "unshare") if shutil.which(name) is None]
    return f"not installed: {', '.join(lacks)}" if lacks else ""


def write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def a_seed(folder: Path) -> None:
    """What the page presumes: the program, the city's key. And the trial itself."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    units = folder / "etc/systemd/system"
    write(folder / "etc/machine-id", f"{secrets.token_hex(16)}\n", 0o444)
    write(folder / "etc/sense311/secrets/open311_api_key", CANARY_KEY, 0o400)
    write(units / "trial.service", TRIAL)
    write(units / "trial.target", "[Unit]\nRequires=basic.target trial.service\n")
    # The Python that runs the tests may lie where a unit sees nothing, and look for itself there.
    path = "[Service]\nEnvironment=LD_LIBRARY_PATH=/opt/sense311/python/lib\n"
    write(units / "service.d/python.conf", path)
    program = "#!/opt/sense311/.venv/bin/python\nfrom gateway.cli import main\nmain()\n"
    write(folder / OWN_PYTHON / "bin/sense311", program, 0o755)
    write(folder / OWN_PYTHON / "pyvenv.cfg", "home = /opt/sense311/python/bin\n")
    checkout = f"/opt/sense311/checkout\n/opt/sense311/checkout/.venv/lib/{version}/site-packages\n"
    write(folder / OWN_PYTHON / f"lib/{version}/site-packages/checkout.pth", checkout)
    (folder / OWN_PYTHON / "bin/python").symlink_to(f"/opt/sense311/python/bin/{version}")
    server = "/opt/sense311/checkout/.venv/bin/nats-server"
    (folder / OWN_PYTHON / "bin/nats-server").symlink_to(server)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trial saw; see tests/machine/trial.py."""
    if why := why_not():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    folder = tmp_path_factory.mktemp("machine")
    place, seed, out = (folder / name for name in ("place", "seed", "out"))
    for each in (place, seed, out):
        each.mkdir()
    a_seed(seed)
    boot = ["sh", str(ROOT / "tests/machine/boot.sh"), *map(str, (place, seed, ROOT))]
    with (folder / "boot.log").open("wb") as words:
        subprocess.run(
            [*boot, sys.base_prefix, str(out)], stdin=subprocess.DEVNULL, stdout=words,
            stderr=words, timeout=BOOT_S_MAX, check=False,
        )  # fmt: skip
    told = [path.read_text(errors="replace")[-6000:] for path in (folder / "boot.log", out / "log")
            if path.exists()]  # fmt: skip
    assert (out / "seen.json").exists(), "\n".join(told)
    found: dict[str, Any] = json.loads((out / "seen.json").read_text())
    found["log"] = told[-1]
    return found


def test_the_page_installs_it(seen: dict[str, Any]) -> None:
    """Each of its commands, in order."""
    assert len(seen["installed"]) >= 10, seen["log"]
    assert [line for line, code in seen["installed"] if code] == [], seen["log"]


def test_a_fault_becomes_one_request_under_the_units(seen: dict[str, Any]) -> None:
    """systemd knows when broker and gateway have begun, and shows how the gateway stands."""
    assert len(seen["filed"]) == 1, seen["log"]
    for name in ("broker", "gateway"):
        assert (seen[name]["ActiveState"], seen[name]["Type"]) == ("active", "notify")
        assert seen[name]["NRestarts"] == "0"
        assert seen[name]["StartLimitIntervalUSec"] == "0"
        assert seen[name]["DynamicUser"] == "yes"
    assert seen["gateway"]["StatusText"].startswith("green")
    assert seen["healthz"] == 200


def test_the_console_writes_where_the_unit_lets_it(seen: dict[str, Any]) -> None:
    """A device is adopted through the interface, in the asset file of `edits.conf`."""
    code, text, assets = seen["adopted"]
    assert code in (200, 202), text
    assert '"devices": ["b-17", "b-18"]' in assets


def test_a_gateway_that_hangs_is_begun_anew_and_files_nothing_twice(seen: dict[str, Any]) -> None:
    """Within the watchdog's time and what a look and a start take."""
    assert 2 < seen["hung_s"] < 30
    assert len(seen["filed_after_hanging"]) == 1


def test_a_gateway_that_is_killed_leaves_no_second_console_behind(seen: dict[str, Any]) -> None:
    assert seen["consoles_after_a_kill"] == "1", seen["log"]


def test_a_backup_is_made_beside_it(seen: dict[str, Any]) -> None:
    assert seen["backup"] == "success", seen["log"]
    assert any("sense311.db" in names for names in seen["backups"])


def test_it_stops_in_good_order_and_can_be_asked_afterwards(seen: dict[str, Any]) -> None:
    """Without the secrets, which are gone with it; what needs them says where they are."""
    assert (seen["reload"], seen["stop"]) == (0, 0)
    assert (seen["stopped"]["Result"], seen["stopped"]["ExecMainStatus"]) == ("success", "0")
    codes = {name: code for name, (code, _) in seen["beside"].items()}
    assert codes == {"status": 1, "requests": 0, "users": 0, "check": 2}, seen["beside"]
    assert "stopped" in seen["beside"]["status"][1]
    assert "while the service runs" in seen["beside"]["check"][1]
    assert "ana" in seen["beside"]["users"][1]


def test_a_wrong_configuration_is_not_tried_again(seen: dict[str, Any]) -> None:
    """A person mends it."""
    assert seen["start_wrong"] != 0
    assert seen["wrong"]["ActiveState"] == "failed"
    assert seen["wrong"]["ExecMainStatus"] == "2"
    assert seen["wrong"]["NRestarts"] == "0"


def test_debians_mosquitto_works_under_its_drop_in(seen: dict[str, Any]) -> None:
    assert seen["mosquitto"]["ActiveState"] == "active", seen["log"]
    assert seen["mosquitto"]["StartLimitIntervalUSec"] == "0"
    assert seen["mosquitto_again"] is True
