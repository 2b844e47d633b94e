"""The documents say what is so: commands run, examples are accepted, nothing is left out.

Every bash block is run, in order, in one folder for each document; a text block after it must stand
in its output. Every JSON example goes through the decoder under the topic that its fence names.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import certifi
import pytest
import typer
from pydantic import BaseModel
from typer.testing import CliRunner

from gateway.cityhall.profile import Listing, Profile, Service
from gateway.cli import app
from gateway.config import Config
from gateway.refusal import Reason
from gateway.telemetry import Decoder
from rules.fields import CATALOGUE, REPORTED_KINDS
from rules.files import load

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = (
    "README.md", "gateway/README.md", "deploy/README.md", "rules/README.md", "simulators/README.md",
)  # fmt: skip
FENCE = re.compile(r"^```(\w+) ?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
PORT = "8315"  # of the desk in the examples; a test takes a free one
RUN_S = 120


def text_of(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def blocks(name: str, language: str) -> list[tuple[str, str]]:
    """(what follows the language, the text) of each block."""
    found = FENCE.findall(text_of(name))
    return [(about, text) for lang, about, text in found if lang == language]


def scripts(name: str) -> Iterator[tuple[str, str]]:
    """Each bash block, with the text block that may follow it: what it prints."""
    found = FENCE.findall(text_of(name))
    following = [(lang, text) for lang, _, text in found[1:]] + [("", "")]
    for (language, _, script), (lang, text) in zip(found, following, strict=True):
        if language == "bash":
            yield script, text if lang == "text" else ""


def is_make(script: str) -> bool:
    return all(line.startswith("make ") for line in script.strip().splitlines())


# -- what is run ----------------------------------------------------------------------------------


def workshop(folder: Path, port: str) -> dict[str, str]:
    """A folder with the examples and `sense311` on the path; the environment to run in."""
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for path in (folder / "deploy/examples").glob("*.toml"):
        path.write_text(path.read_text("utf-8").replace(PORT, port), "utf-8")
    command = folder / "bin" / "sense311"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m gateway.cli "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(command.parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run(script: str, folder: Path, environment: dict[str, str]) -> str:
    """Output and errors of a script; it and all it started have ended."""
    process = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        told, _ = process.communicate(timeout=RUN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)  # a broker told so stops its server too
        pytest.fail(f"took more than {RUN_S} s:\n{script}\n{process.communicate(timeout=30)[0]}")
    assert process.returncode == 0, f"{script}\n{told}"
    return told


@pytest.mark.slow
@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_of_a_document_runs(
    name: str, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """One after the other, as a reader would type them; they print what the document shows."""
    port = str(free_port())
    environment = workshop(tmp_path, port)
    for script, shown in scripts(name):
        if is_make(script):
            continue
        told = run(script.replace(PORT, port), tmp_path, environment)

        assert shown.rstrip("\n") in told  # what a line ends with, its seconds, may be left out


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_make_target_named_is_there(name: str) -> None:
    """In blocks and in running text."""
    said = re.findall(r"(?:^|`)make ([a-z]+)", text_of(name), re.MULTILINE)
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))

    assert set(said) - targets == set()
    for target in set(said):
        subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_two_commands_stand_first() -> None:
    """A stranger finds `make demo` and `make test` before any other command."""
    assert next(scripts("README.md"))[0].split("\n") == ["make demo", "make test", ""]


# -- what the command line takes ------------------------------------------------------------------


def mentioned() -> Iterator[tuple[str, str]]:
    """(where, command) of each `sense311 ...` in documents, examples and units."""
    for path in [*map(ROOT.joinpath, DOCUMENTS), *sorted((ROOT / "deploy").rglob("*.*"))]:
        if not path.is_file() or path.suffix not in (".md", ".toml", ".service", ".yaml"):
            continue
        text = re.sub(r"\\\n\s*", " ", path.read_text("utf-8"))
        spans = re.findall(r"`(sense311 [^`\n]+)`", text)
        lines = re.findall(r"^(?:#\s+|ExecStart=\S*/|until )?(sense311 .*)$", text, re.MULTILINE)
        for command in dict.fromkeys([*spans, *lines]):
            yield path.relative_to(ROOT).as_posix(), command


def arguments_of(command: str) -> list[str]:
    """The words of a command up to the next one, without its name."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("&|;"):
            break
        words.append(word)
    return words[1:]


@pytest.mark.parametrize(("where", "command"), list(mentioned()))
def test_every_command_mentioned_is_one(where: str, command: str) -> None:
    """Its name and its options are known."""
    told = CliRunner().invoke(app, [*arguments_of(command), "--help"])

    assert told.exit_code == 0, f"{where}: {command}\n{told.output}"


def commands(group: Any, *names: str) -> Iterator[tuple[str, str]]:
    """(full name, help) of each command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *names, name)
        else:
            yield " ".join([*names, name]), command.help or ""


def test_every_command_has_help_and_stands_in_the_readme() -> None:
    """What is not in the README is not found."""
    row = re.compile(r"^\| `sense311 ([a-z -]+?)(?: -| [A-Z]|`)", re.MULTILINE)
    listed = row.findall(text_of("README.md"))
    known = dict(commands(typer.main.get_command(app)))

    assert set(listed) == set(known)
    assert [name for name, help_ in known.items() if not help_] == []


# -- what the decoder and the rule files accept ---------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_message_shown_is_accepted(name: str) -> None:
    """Under the topic that its fence names."""
    for topic, text in blocks(name, "json"):
        decoded = Decoder().decode(topic, text.encode())

        assert list(decoded.refusals) == [], text
        assert len(decoded.readings) == 1


def test_the_rule_shown_is_the_example_and_loads_without_findings() -> None:
    """The README's rule can be copied."""
    ((_, text),) = blocks("README.md", "yaml")
    bundle, findings = load({"README.md": text})

    assert findings == []
    assert bundle is not None
    assert text in text_of("deploy/examples/heavy_bin.yaml")


def test_the_contract_lists_every_value_with_its_range() -> None:
    """As the decoder knows them."""
    row = re.compile(r"^\| `(\w+)` \| `(\w+)`[^|]*\| (.+) \|$", re.MULTILINE)
    shown = row.findall(text_of("gateway/README.md"))
    known = [
        (kind, f.key, "true or false" if f.is_bool else f"{_plain(f.low)} to {_plain(f.high)}")
        for kind in REPORTED_KINDS
        for f in CATALOGUE[kind].values()
    ]

    assert shown == known


def _plain(number: float) -> str:
    return f"{number:.0f}"


def test_the_contract_lists_every_reason_of_a_refusal() -> None:
    """And says for each what to do."""
    part = text_of("gateway/README.md").partition("# Reasons of a refusal")[2].partition("\n# ")[0]

    assert re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE) == [str(reason) for reason in Reason]


def test_every_room_of_the_gateway_is_on_its_map() -> None:
    """A new room is entered in gateway/README.md."""
    part = text_of("gateway/README.md").partition("# How it works")[2]
    part = part.partition("\n## ")[0]
    rooms = {path.stem: path.parent.name for path in (ROOT / "gateway").glob("*.py")}
    listed = re.findall(r"^(?:### (\w+)|\| `(\w+)` \||\| \[(\w+)\])", part, re.MULTILINE)
    houses = {name for house, _, other in listed for name in (house, other) if name}
    shown, house = set(), "gateway"
    for title, room, _ in listed:
        house = title or house
        shown |= {(house, room)} if room else set()
    there = {path.parent.name for path in (ROOT / "gateway").glob("*/*") if path.is_file()}
    for house in {house for house, _ in shown} - {"gateway"}:
        rooms |= {path.stem: house for path in (ROOT / "gateway" / house).glob("*.py")}
    known = {(house, room) for room, house in rooms.items() if room != "__init__"}

    assert shown == known | {("gateway", "cli")}
    assert houses - {"Further"} == there - {"cli", "__pycache__"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_a_document_points_at_is_there(name: str) -> None:
    """Links to files, and the tests that it names."""
    text = text_of(name)
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    tests = re.findall(r"tests/[\w/]+\.py", text)

    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []
    assert [test for test in sorted(set(tests)) if not (ROOT / test).exists()] == []


# -- the configuration ----------------------------------------------------------------------------

SHIPPED = "deploy/sense311.toml"
NAMED = re.compile(r'(?:_file|credentials) = "([^"]+)"')


def installed(folder: Path, text: str) -> Path:
    """The configuration with all the files that it names."""
    for name in NAMED.findall(text):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.touch(mode=0o600)
        login = '{"url": "mqtt://127.0.0.1:1", "gateway": {"user": "gateway", "password": "p"}}'
        path.write_text(login, "utf-8")
    (folder / "tls").mkdir(exist_ok=True)
    shutil.copy(certifi.where(), folder / "tls/ca.crt")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=gateway"
    files = ["-keyout", "tls/gateway.key", "-out", "tls/gateway.crt"]
    subprocess.run([*command.split(), *files], cwd=folder, check=True, capture_output=True)
    shutil.copy(ROOT / "deploy/examples/assets.geojson", folder)
    (folder / "rules").mkdir()
    shutil.copy(ROOT / "deploy/examples/heavy_bin.yaml", folder / "rules/ours.yaml")
    shutil.copy(ROOT / "deploy/examples/vendor.toml", folder)
    path = folder / "sense311.toml"
    path.write_text(text, "utf-8")
    return path


def whole(text: str) -> str:
    """The configuration with every optional line in force."""
    return re.sub(r'^#(?=[\w"\[])', "", text, flags=re.MULTILINE)


def keys(model: type[BaseModel], *path: str) -> Iterator[tuple[str, Any]]:
    """Every key of a model with its default, dotted."""
    for name, field in model.model_fields.items():
        options = (field.annotation, *getattr(field.annotation, "__args__", ()))
        inner = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if inner:
            yield from keys(inner[0], *path, name)
        else:
            yield ".".join([*path, name]), None if field.is_required() else field.default


def values(tree: dict[str, Any], *path: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        here = [*path, name]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                yield from values(one, *here)
        elif isinstance(value, dict) and here != ["rules", "params"]:
            yield from values(value, *here)
        else:
            yield ".".join(here), value


@pytest.mark.parametrize("form", [str, whole], ids=["as it is", "with every optional line"])
def test_the_shipped_configuration_loads(form: Any, tmp_path: Path) -> None:
    """And so does all that it names, without findings."""
    path = installed(tmp_path, form(text_of(SHIPPED)))
    told = CliRunner().invoke(app, ["check", "-c", str(path), "--json"])

    assert json.loads(told.stdout) == {"ok": True, "findings": []}


def test_every_key_of_the_configuration_stands_in_the_shipped_one() -> None:
    """No more, no less; and those that are commented out show the default, where there is one."""
    shown = dict(values(tomllib.loads(whole(text_of(SHIPPED)))))
    active = dict(values(tomllib.loads(text_of(SHIPPED))))
    known = dict(keys(Config))

    assert set(shown) == set(known)
    wrong = {
        key: (shown[key], default)
        for key, default in known.items()
        if key not in active and default not in (None, [], {}) and str(shown[key]) != str(default)
    }
    assert wrong == {}


def test_every_key_of_a_city_profile_is_explained():
    """Where a city of one's own is written."""
    text = text_of("deploy/README.md")
    keys_of = {key for model in (Profile, Listing, Service) for key in model.model_fields}
    assert {key for key in keys_of - {"listing", "services"} if f"`{key}`" not in text} == set()


def test_every_key_of_the_shipped_configuration_has_a_comment() -> None:
    """Above it, or above the keys that it stands with."""
    lines = text_of(SHIPPED).splitlines()
    bare = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.match(r'#?[\w"][\w".]* = ', line)
        and not re.match(r'# |#?[\w"][\w".]* = |#\[', before)
    ]

    assert bare == []
