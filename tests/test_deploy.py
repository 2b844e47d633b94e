"""What stands in deploy/ for running it: the image, the compose file, the systemd units.

Held against the tools that will read them (docker-compose, systemd-analyze, Mosquitto), and run as
far as that goes without them: under what a unit forbids, with a broker as compose configures it.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tomllib
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from confined import is_possible
from conftest import CANARY_KEY, SENSE311, a_free_port, running, wait_until

from gateway.config import Config

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
EXPOSURE_MAX = 20  # tenths: 2.0
SERVICES = ("gateway", "tools", "broker", "influxdb", "prometheus", "grafana")
PROGRAM = "/opt/sense311/.venv/bin/sense311"


def need(program: str) -> str:
    """Its path; where it is not there the test skips, and fails under CI."""
    found = shutil.which(program)
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no {program} here")
    assert found is not None
    return found


def told(*command: Any, code: int = 0, **options: Any) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, timeout=60, **options
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


# -- what the image is made of --------------------------------------------------------------------


def pins(path: Path) -> dict[str, list[str]]:
    """name==version -> hashes."""
    found: dict[str, list[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        if match := re.match(r"([a-z0-9._-]+==\S+)", line):
            hashes = found.setdefault(match[1], [])
        elif match := re.search(r"--hash=(sha256:[0-9a-f]{64})", line):
            hashes.append(match[1])
    return found


def test_the_image_installs_what_was_tested_and_no_tools() -> None:
    """Each pin of the image is a pin of the tests, hash for hash; nothing of the tests is in it."""
    image, tested = pins(DEPLOY / "requirements.txt"), pins(ROOT / "requirements.txt")
    names = {pin.partition("==")[0] for pin in image}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {re.split(r"[><=\[]", need_)[0] for need_ in project["dependencies"]}

    assert {pin: hashes for pin, hashes in image.items() if tested.get(pin) != hashes} == {}
    assert all(image.values())
    assert asked - names == set()
    assert names & {"pytest", "mypy", "ruff", "hypothesis", "schemathesis", "pip-tools"} == set()


def test_the_builder_gets_only_what_the_image_is_made_of() -> None:
    """Each COPY finds its file among those that are let in; no store and no secret is."""
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copies = re.findall(r"^COPY (?!--from)(.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    copied = {name for line in copies for name in line.split()[:-1]}

    assert copied == let_in
    assert "*" in lines
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_image_runs_as_nobody_s_user_and_says_how_it_does() -> None:
    """Not root, a fixed number; a signal that drains; a health check; no word of a secret."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    final = text.rpartition("\nFROM ")[2]

    assert "\nUSER 31100:31100\n" in final
    assert "\nSTOPSIGNAL SIGTERM\n" in final
    assert "\nHEALTHCHECK " in final
    assert 'ENTRYPOINT ["sense311"]' in final
    assert re.findall(r"(?i)(?:ENV|ARG) \S*(?:key|token|password|secret)", text) == []


@pytest.mark.slow
def test_the_wheel_has_every_module_and_every_file_beside_them(tmp_path: Path) -> None:
    """Built as the image builds it: what is missing in it would be missing there."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    away = shutil.ignore_patterns("__pycache__", "*.md")
    for name in ("gateway", "rules", "simulators"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=away)
    command = "-m pip wheel -q --no-deps --no-index --no-build-isolation --wheel-dir dist ."
    told(sys.executable, *command.split(), cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    here = {
        path.relative_to(tmp_path).as_posix()
        for name in ("gateway", "rules", "simulators")
        for path in (tmp_path / name).rglob("*")
        if path.is_file()
    }

    assert here - packed == set(), "enter them in pyproject.toml: packages, package-data"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"state": "green", "problem": ""}, 0),
        ({"state": "amber", "problem": "requests wait for a person: 1 in review"}, 0),
        ({"state": "red", "problem": "the disk is full"}, 1),
        ({"ok": False, "error": "no gateway has run here"}, 1),
        (None, 1),
    ],
)
def test_a_container_is_healthy_while_the_gateway_works(tmp_path: Path, said: Any, code: int):
    """Also while something waits for a person; it says why it is not."""
    command = tmp_path / "sense311"
    answer = "" if said is None else json.dumps(said)
    command.write_text(f"#!/bin/sh\necho {shlex.quote(answer)}\nexit 1\n")
    command.chmod(0o755)
    shown = told(sys.executable, DEPLOY / "docker/healthy.py", command, "c.toml", code=code)

    assert (said or {}).get("problem", "") in shown


# -- compose --------------------------------------------------------------------------------------


@cache
def composed() -> dict[str, Any]:
    """The compose file as docker-compose understands it."""
    text = told(need("docker-compose"), "-f", DEPLOY / "compose.yaml", "config")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def services() -> dict[str, dict[str, Any]]:
    """Those of the file, the tools too, which docker-compose leaves out."""
    written: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
    found: dict[str, dict[str, Any]] = written["services"]
    return found


def test_docker_compose_accepts_the_file() -> None:
    """With all that is meant to run in it."""
    assert set(SERVICES) - {"tools"} <= set(composed()["services"])
    assert set(SERVICES) == set(services())


@pytest.mark.parametrize(
    "name", ["gateway", "tools", "broker", "influxdb", "prometheus", "grafana"]
)
def test_every_container_has_no_more_than_it_needs(name: str) -> None:
    """No root, no capability, no writable root, bounded, restarted; an image of one version."""
    service = services()[name]

    assert service["user"] == "31100:31100"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == ("no" if name == "tools" else "unless-stopped")
    assert {"mem_limit", "pids_limit"} <= set(service)
    assert re.fullmatch(r"[a-z0-9/-]+:v?\d+\.\d+(\.\d+)?", service["image"])
    assert name in ("gateway", "tools") or "healthcheck" in service


def test_what_is_published_is_published_on_loopback() -> None:
    """And what need not be reached is on a network without a way in or out."""
    for name, service in services().items():
        ports = [str(port) for port in service.get("ports", [])]
        assert all(port.startswith("127.0.0.1:") for port in ports), name
        assert ("outside" in service["networks"]) == bool(ports), name
    assert composed()["networks"]["inside"]["internal"] is True


def test_no_secret_stands_in_the_file() -> None:
    """Each is a file, in the folder of the installation; passwords are named by file only."""
    for name, secret in composed()["secrets"].items():
        assert secret["file"] == f"/srv/sense311/secrets/{name}"
    for name, service in services().items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|KEY", key):
                assert key.endswith("_FILE"), name
                assert value.startswith("/run/secrets/"), name


def test_what_compose_mounts_from_the_checkout_is_there() -> None:
    """The broker's configuration, the dashboard, the alerts."""
    mounts = [m for service in services().values() for m in service.get("volumes", [])]
    named = {mount.partition(":")[0] for mount in mounts if mount.startswith("./")}

    assert len(named) >= 4
    assert [name for name in named if not (DEPLOY / name).exists()] == []


def test_no_folder_changes_hands_when_it_is_first_mounted() -> None:
    """Docker gives an empty volume to the user whose the image's folder is, unless told not to."""
    named = set(composed()["volumes"])
    mounts = [m for service in services().values() for m in service.get("volumes", [])]
    volumes = [mount for mount in mounts if mount.partition(":")[0] in named]

    assert {mount.partition(":")[0] for mount in volumes} == named
    assert [mount for mount in volumes if "nocopy" not in mount.split(":")[2:]] == []


def test_the_containers_user_can_read_what_is_mounted_from_the_checkout(tmp_path: Path) -> None:
    """Also where it was made under a strict umask; all else there stays as it is."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    for path in (tmp_path / "deploy").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    told("sh", tmp_path / "deploy/docker/begin.sh", tmp_path / "city")
    mounts = [m for service in services().values() for m in service.get("volumes", [])]
    named = {mount.partition(":")[0] for mount in mounts if mount.startswith("./")}
    mounted = [tmp_path / "deploy" / name for name in named]
    mounted += [inner for path in mounted for inner in path.rglob("*")]

    closed = [p for p in mounted if p.stat().st_mode & 0o7 != (5 if p.is_dir() else 4)]
    assert closed == []
    assert (tmp_path / "deploy/sense311.toml").stat().st_mode & 0o7 == 0


def begun(folder: Path) -> Path:
    """An installation, with the city's key that a person brings."""
    told("sh", DEPLOY / "docker/begin.sh", folder)
    # It is there, the containers' user's, so that whoever writes into it need not give it away.
    key = folder / "secrets/open311_api_key"
    assert (key.read_text(), key.stat().st_uid) == ("", folder.stat().st_uid)
    key.write_text(CANARY_KEY)
    return folder


def test_an_installation_begins_with_secrets_of_its_own(tmp_path: Path) -> None:
    """None is a default, none is readable to others, none changes when it is begun twice."""
    first, second = begun(tmp_path / "a"), begun(tmp_path / "b")
    made = {p.name: p.read_text() for p in (first / "secrets").iterdir()}
    told("sh", DEPLOY / "docker/begin.sh", first)

    assert {p.name: p.read_text() for p in (first / "secrets").iterdir()} == made
    new = set(made) - {"open311_api_key"}
    assert new == {"influx_token", "influx_password", "grafana_password"}
    assert all(re.fullmatch("[0-9a-f]{64}", made[name]) for name in new)
    assert all(made[name] != (second / "secrets" / name).read_text() for name in new)
    modes = {p.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) for p in first.rglob("*")}
    assert modes == {0}
    devices = [v["driver_opts"]["device"] for v in composed()["volumes"].values()]
    wanted = {device.replace("/srv/sense311", str(first)) for device in devices}
    assert [path for path in wanted if not Path(path).is_dir()] == []


@pytest.mark.slow
def test_the_configuration_of_the_container_is_good_and_its_broker_lets_only_its_own_in(
    tmp_path: Path,
) -> None:
    """Provisioned as the page says; a real Mosquitto with compose's configuration, tried."""
    mosquitto = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    folder, port = begun(tmp_path / "city"), a_free_port()
    urls = ["--url", f"mqtt://127.0.0.1:{port}", "--gateway-url", "mqtt://broker:1883"]
    broker = ["--mosquitto", folder / "broker"]
    told(*SENSE311, "devices", "provision", "lamp-701", *broker, *urls)
    config = folder / "sense311.toml"
    text = config.read_text("utf-8").replace("/run/secrets/", f"{folder}/secrets/")
    config.write_text(text)
    told(*SENSE311, "check", "-c", config)
    settings = Config.model_validate(tomllib.loads(text))
    assert settings.console is not None
    assert "gateway" in settings.console.hosts
    if mosquitto is None:
        need("mosquitto")

    told(*SENSE311, "devices", "provision", "lamp-701", *broker, *urls[:2], "--gateway-url",
         f"mqtt://127.0.0.1:{port}")  # fmt: skip
    lines = (DEPLOY / "docker/mosquitto.conf").read_text("utf-8").replace("1883", str(port), 1)
    lines = lines.replace(f"\nlistener {port}", f"\nlistener {port} 127.0.0.1")
    lines = lines.replace("/mosquitto/users", f"{folder}/broker")
    lines = lines.replace("/mosquitto/data", f"{folder}/data/broker")
    (folder / "m.conf").write_text(lines + ("user root\n" if os.geteuid() == 0 else ""))
    command = [str(mosquitto), "-c", str(folder / "m.conf")]
    with running(command, folder / "m.log", stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: answers(port), f"it answers: {(folder / 'm.log').read_text()}")
        assert process.poll() is None
        told(*SENSE311, "devices", "self-test", *broker)


def test_the_broker_of_the_containers_listens_only_where_it_is_told() -> None:
    """A line that is for a listener, above the first one, opens another, at 1883 again."""
    lines = (DEPLOY / "docker/mosquitto.conf").read_text("utf-8").splitlines()
    listeners = [at for at, line in enumerate(lines) if re.match("#?listener ", line)]
    for_one = r"#?(use_\w+|require_certificate|tls_\w+|\w*file|max_(connections|qos)|protocol) "
    common = {"password_file", "acl_file"}
    above = [line for line in lines[: listeners[0]] if re.match(for_one, line)]

    assert [line for line in above if line.split()[0] not in common] == []
    for begin, end in zip(listeners, [*listeners[1:], None], strict=True):
        mark = "#" if lines[begin].startswith("#") else ""
        assert f"{mark}use_username_as_clientid true" in lines[begin:end]


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


# -- systemd --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_what_a_unit_lays_open_is_little(unit: Path) -> None:
    """By systemd's own measure, of ten."""
    analyze, limit = need("systemd-analyze"), f"--threshold={EXPOSURE_MAX}"
    told(analyze, "security", "--no-pager", "--offline=true", limit, unit)


def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    """With their drop-ins and the timer; only the program is another one here."""
    for path in (DEPLOY / "systemd").iterdir():
        text = path.read_text("utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / path.name).write_text(text)
    for name in ("bundled-broker.conf", "edits.conf"):
        (tmp_path / "sense311.service.d").mkdir(exist_ok=True)
        (tmp_path / name).rename(tmp_path / "sense311.service.d" / name)
    units = sorted(p for p in tmp_path.iterdir() if p.suffix in (".service", ".timer"))
    shown = subprocess.run(
        [need("systemd-analyze"), "verify", "--man=no", *map(str, units)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (shown.returncode, shown.stderr) == (0, "")
    assert len(units) == len(UNITS) + 1


@pytest.fixture
def confined():
    """The words before a command that confine it as a unit would."""
    if why := is_possible():
        (pytest.fail if os.environ.get("CI") == "true" and "kernel" not in why else pytest.skip)(
            why
        )
    launcher = ROOT / "tests/confined.py"
    return lambda unit: [sys.executable, str(launcher), str(DEPLOY / "systemd" / unit)]


@pytest.mark.slow
def test_what_a_unit_forbids_is_forbidden(confined) -> None:
    """Else the next test would show nothing: memory both writable and executable, other sockets,
    other users.
    """
    tries = (
        "import mmap, os, socket",
        "for tried in (lambda: mmap.mmap(-1, 4096, prot=7), lambda: os.setuid(4711),",
        "              lambda: socket.socket(socket.AF_NETLINK)):",
        "    try: tried()",
        "    except OSError: continue",
        "    raise SystemExit(1)",
    )
    told(*confined("sense311.service"), sys.executable, "-c", "\n".join(tries))


@pytest.mark.slow
def test_the_broker_and_the_gateway_work_under_their_units(confined, tmp_path: Path) -> None:
    """They find each other; the console, a child of the gateway, answers; all end on SIGTERM."""
    for name in ("assets.geojson", "heavy_bin.yaml"):
        shutil.copy(DEPLOY / "examples" / name, tmp_path)
    config, port = tmp_path / "sense311.toml", a_free_port()
    config.write_text(
        '[broker]\ncredentials = "broker/credentials.json"\n[city]\n'
        f'endpoint = "http://127.0.0.1:{a_free_port()}/v2"\n[assets]\nfiles = ["assets.geojson"]\n'
        f"[evidence]\nport = 0\n[console]\nport = {port}\n"
    )
    told(*SENSE311, "devices", "provision", "lc-701", "--broker", tmp_path / "broker")
    broker = [*confined("sense311-broker.service"), *SENSE311, "broker", "--dir", "broker"]
    gateway = [*confined("sense311.service"), *SENSE311, "run", "-c", str(config)]
    log = tmp_path / "log"
    with running(broker, log, cwd=tmp_path, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline(), log.read_text()
        with running(gateway, log, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
            wait_until(lambda: state(config) == "green" or process.poll(), "the gateway is green")
            assert state(config) == "green", log.read_text()
            wait_until(lambda: is_well(f"http://127.0.0.1:{port}/healthz"), "the console answers")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, log.read_text()
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0, log.read_text()


def is_well(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False).status_code == 200
    return False


def state(config: Path) -> str:
    command = [*SENSE311, "status", "-c", str(config), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: str = json.loads(done.stdout).get("state", "")
    return found


# -- the page -------------------------------------------------------------------------------------


def page_commands(program: str) -> list[list[str]]:
    """The words of each call of a program in the blocks of the page."""
    text = (DEPLOY / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = re.sub(r"\\\n\s*", " ", "\n".join(blocks)).splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith(program)]


def test_every_compose_command_of_the_page_is_one(tmp_path: Path) -> None:
    """Its options and services are known; those of sense311 in a container too."""
    compose = need("docker-compose")
    found = page_commands("docker-compose ")
    for words in found:
        place = [w.replace("deploy/", f"{DEPLOY}/") for w in words[1:]]
        told(compose, *place[:2], place[2], "--help")
        if words[3] == "run":
            inner = words[words.index("tools") + 1 :]
            told(*SENSE311, *inner, "--help")

    assert {words[3] for words in found} >= {"up", "run", "kill"}


def test_the_devices_of_the_page_are_those_of_the_city_to_begin_with() -> None:
    """What they send would be refused, of a device that is unknown."""
    city = json.loads((DEPLOY / "examples/assets.geojson").read_text("utf-8"))
    known = {name for it in city["features"] for name in it["properties"]["devices"]}
    for words in page_commands("docker-compose "):
        if "provision" in words:
            named = words[words.index("provision") + 1 : words.index("--mosquitto")]
            assert named
            assert set(named) <= known


def test_every_unit_of_the_page_is_one() -> None:
    """Those that systemctl is to start, and the files that are to be copied."""
    named = {
        word
        for words in page_commands("systemctl ")
        for word in words[1:]
        if "." in word or word.startswith("sense311")
    }
    known = {path.name for path in (DEPLOY / "systemd").iterdir()}

    assert named
    assert {name if "." in name else f"{name}.service" for name in named} <= known
    text = (DEPLOY / "README.md").read_text("utf-8")
    assert [name for name in sorted(known) if name not in text] == []
