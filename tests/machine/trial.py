"""What happens on the machine that `boot.sh` boots: the units are installed and put to the test.

Runs there as root, in a service of its own, and writes what it saw into /trial/seen.json; what is
right and what is wrong is for tests/test_units.py to say.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

CHECKOUT = Path("/opt/sense311/checkout")
sys.path.insert(0, str(CHECKOUT / "tests"))

import httpx  # noqa: E402
from conftest import Publisher, wait_until  # noqa: E402

SENSE311 = "/opt/sense311/.venv/bin/sense311"
ETC = Path("/etc/sense311")
CONFIG = ETC / "sense311.toml"
EDITS = Path("/var/lib/sense311-edits")
UNITS = Path("/etc/systemd/system")
DESK = "http://127.0.0.1:8315"
CONSOLE = "http://127.0.0.1:8311"
FULL = {"fill_pct": 92}
T0 = "2026-01-15T{hour:02d}:{minute:02d}:00Z"
WATCHDOG_S = 6

seen: dict[str, Any] = {}


def do(*command: Any, cwd: Path | None = None) -> tuple[int, str]:
    """Its exit code and what it said."""
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, timeout=90, cwd=cwd
    )
    said = done.stdout + done.stderr
    print("$", *command, "->", done.returncode, f"\n{said[-2000:]}", flush=True)
    return done.returncode, said


def sense311(*arguments: Any) -> tuple[int, str]:
    return do(SENSE311, *arguments, "-c", CONFIG)


def unit(name: str) -> dict[str, str]:
    told = subprocess.run(
        ["systemctl", "show", name], capture_output=True, text=True, check=True, timeout=30
    ).stdout
    return dict(line.partition("=")[::2] for line in told.splitlines())


def kill(shown: dict[str, str], number: signal.Signals) -> None:
    """The unit's main process, which is there."""
    assert int(shown["MainPID"]) > 1, shown
    os.kill(int(shown["MainPID"]), number)


def quietly(what: Callable[[], Any]) -> Any:
    with suppress(httpx.HTTPError, ValueError):
        return what()
    return None


def filed() -> list[Any]:
    return quietly(lambda: httpx.get(f"{DESK}/desk/ledger").json()) or []


def until_green() -> None:
    wait_until(lambda: sense311("status")[0] == 0, "the gateway is green")


def install_as_the_page_says() -> None:
    """The lines of deploy/README.md, but for those that fetch the program itself."""
    page = (CHECKOUT / "deploy" / "README.md").read_text("utf-8")
    part = page.partition("## On a machine with systemd")[2]
    lines = [
        line
        for block in re.findall(r"```sh\n(.*?)```", part.partition("\n## ")[0], re.DOTALL)
        for line in block.splitlines()
        if "pip install" not in line and "-m venv" not in line
    ]
    seen["installed"] = []
    for line in lines:
        if "users add" in line:
            configure()
        seen["installed"].append([line, do("sh", "-ec", line, cwd=CHECKOUT)[0]])


def configure() -> None:
    """A small city, and a watchdog that does not wait for minutes."""
    CONFIG.write_text(
        "[broker]\n"
        'credentials = "/run/credentials/sense311.service/broker"\n'
        "[city]\n"
        f'endpoint = "{DESK}/open311/v2"\n'
        'api_key_file = "/run/credentials/sense311.service/open311_api_key"\n'
        "[assets]\n"
        f'files = ["{EDITS}/assets.geojson"]\n'
        '[rules]\nfiles = ["/var/lib/sense311-edits/rules"]\n'
        "[store]\n"
        'folder = "/var/lib/sense311"\n'
        "[ingest]\n"
        'clock = "follow"\nidle_s = 0.3\n'
        "[console]\n"
    )
    short = UNITS / "sense311.service.d" / "short.conf"
    short.write_text(f"[Service]\nWatchdogSec={WATCHDOG_S}\n")
    do("systemctl", "daemon-reload")


def publish(name: str, rounds: range) -> None:
    """A full bin every ten minutes."""
    login = json.loads(Path(f"/var/lib/sense311-broker/devices/{name}.json").read_text())
    device = Publisher(1883, login["user"], login["password"])
    for nth in rounds:
        at = T0.format(hour=nth // 6, minute=nth % 6 * 10)
        message = {"ts": at, "boot": 1, "seq": nth, "values": FULL}
        device.say(f"city/v1/north/bin/{name}/telemetry", message)
    device.close()


def a_fault_is_filed() -> None:
    until_green()
    seen["broker"], seen["gateway"] = unit("sense311-broker"), unit("sense311")
    publish("b-17", range(12))
    wait_until(filed, "the fault is filed")
    seen["filed"] = filed()


def the_pages_are_there() -> None:
    health = wait_until(lambda: quietly(lambda: httpx.get(f"{CONSOLE}/healthz")), "the console")
    seen["healthz"] = health.status_code


def what_may_be_edited() -> None:
    """An admin's deed through the interface, into the folder that systemd gives."""
    do(SENSE311, "devices", "provision", "b-18", "--broker", "/var/lib/sense311-broker")
    publish("b-18", range(11, 12))
    _, told = sense311("tokens", "add", "trial", "--role", "admin", "--json")
    token = json.loads(told.splitlines()[0])["token"]
    with httpx.Client(base_url=CONSOLE, headers={"Authorization": f"Bearer {token}"}) as http:
        answer = http.post(
            "/api/v1/devices/b-18/adopt", json={"asset_id": "bin-17", "why": "a second sensor"}
        )
    seen["adopted"] = [answer.status_code, answer.text, (EDITS / "assets.geojson").read_text()]


def it_hangs() -> None:
    before = unit("sense311")
    kill(before, signal.SIGSTOP)
    began_s = time.monotonic()
    wait_until(lambda: unit("sense311")["NRestarts"] != before["NRestarts"], "it is begun anew")
    seen["hung_s"] = time.monotonic() - began_s
    wait_until(lambda: unit("sense311")["ActiveState"] == "active", "it is back")
    until_green()
    publish("b-17", range(12, 18))
    time.sleep(3)
    seen["filed_after_hanging"] = filed()


def it_is_killed() -> None:
    before = unit("sense311")
    kill(before, signal.SIGKILL)
    wait_until(lambda: unit("sense311")["NRestarts"] != before["NRestarts"], "it is begun anew")
    until_green()
    wait_until(lambda: quietly(lambda: httpx.get(f"{CONSOLE}/healthz")), "the console is back")
    _, told = do("pgrep", "-fc", "gateway.cli console")
    seen["consoles_after_a_kill"] = told.strip()


def backups() -> None:
    do("systemctl", "start", "sense311-backup.service")
    seen["backup"] = unit("sense311-backup.service")["Result"]
    seen["backups"] = [
        sorted(path.name for path in folder.iterdir())
        for folder in Path("/var/lib/sense311-backups").iterdir()
    ]


def reload_and_stop() -> None:
    seen["reload"] = do("systemctl", "reload", "sense311")[0]
    seen["stop"] = do("systemctl", "stop", "sense311")[0]
    seen["stopped"] = unit("sense311")
    seen["beside"] = {
        name: sense311(*command)
        for name, command in {
            "status": ("status",),
            "requests": ("requests", "ls"),
            "users": ("users", "ls"),
            "check": ("check",),
        }.items()
    }


def a_wrong_configuration() -> None:
    good = CONFIG.read_text()
    CONFIG.write_text(good + "\n[nonsense]\n")
    seen["start_wrong"] = do("systemctl", "start", "sense311")[0]
    time.sleep(4)
    seen["wrong"] = unit("sense311")
    CONFIG.write_text(good)


def mosquitto_under_the_drop_in() -> None:
    do("systemctl", "stop", "sense311-broker")
    folder = UNITS / "mosquitto.service.d"
    folder.mkdir()
    text = (CHECKOUT / "deploy/systemd/mosquitto-hardening.conf").read_text()
    (folder / "hardening.conf").write_text(text)
    do("systemctl", "daemon-reload")
    do("systemctl", "start", "mosquitto")
    seen["mosquitto"] = unit("mosquitto")
    kill(seen["mosquitto"], signal.SIGKILL)
    wait_until(lambda: unit("mosquitto")["NRestarts"] == "1", "it is begun anew")
    seen["mosquitto_again"] = wait_until(
        lambda: unit("mosquitto")["ActiveState"] == "active", "it is back"
    )


def main() -> None:
    desk = subprocess.Popen(
        [SENSE311, "desk", "--db", "/run/desk.db",
         "--api-key-file", str(ETC / "secrets" / "open311_api_key"), "--port", "8315"]
    )  # fmt: skip
    try:
        for step in (
            install_as_the_page_says, a_fault_is_filed, the_pages_are_there, what_may_be_edited,
            it_hangs, it_is_killed, backups, reload_and_stop, a_wrong_configuration,
            mosquitto_under_the_drop_in,
        ):  # fmt: skip
            print(f"== {step.__name__} {time.monotonic():.1f}", flush=True)
            step()
    finally:
        desk.kill()
        do(
            "journalctl",
            "--no-pager",
            "-u",
            "sense311",
            "-u",
            "sense311-broker",
            "-u",
            "mosquitto",
            "-n",
            "200",
        )
        Path("/trial/seen.json").write_text(json.dumps(seen, indent=1))


if __name__ == "__main__":
    main()
