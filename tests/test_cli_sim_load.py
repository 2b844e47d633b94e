"""`sense311 sim load`: a held rate into a real broker, proved from a real gateway's store."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from conftest import BundledBroker, Mosquitto
from typer.testing import CliRunner

from gateway.cli import app

SIM = 'clock = "follow"\nidle_s = 0.3\nallow_simulated = true'


def load(*words: str | Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, the object on standard output, the words on standard error."""
    done = CliRunner().invoke(app, ["sim", "load", *map(str, words), "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout else {}, done.stderr


@pytest.fixture
def gateway(each_broker: BundledBroker | Mosquitto, a_gateway: Any, tmp_path: Path) -> Any:
    """Running, with the register of sixty devices; and how to reach its broker."""
    made = a_gateway(each_broker, ingest=SIM)
    assert load("--write-assets", made.folder / "assets.geojson", "--devices", 60)[0] == 0
    made.start()
    url = f"mqtt://127.0.0.1:{each_broker.port}"
    login = ("--credentials", each_broker.credentials) if each_broker.name == "bundled" else ()
    made.send = (url, "--devices", 60, "--rate", 300, "--for", "2s", "--connections", 3,
                 "--repeat", 10, *login)  # fmt: skip
    return made


@pytest.mark.slow
def test_a_load_is_stored_once_message_by_message(gateway: Any) -> None:
    """Though one in ten was sent twice; a second load is told from the first."""
    for _ in range(2):
        code, told, words = load(*gateway.send, "--store", gateway.data)

        proof = told["proof"]
        assert code == 0, (told, words)
        assert (told["messages"], told["unacknowledged"], told["held"]) == (600, 0, True)
        assert told["repeats"] > 0
        assert (proof["stored"], proof["missing"], proof["extra"]) == (600, 0, 0)
        assert (proof["altered"], proof["twice"], proof["refused"]) == (0, 0, 0)


@pytest.mark.slow
def test_what_a_store_has_done_to_a_load_is_told(gateway: Any, monkeypatch: Any) -> None:
    """One lost, one altered: the exit code is 1, and each is named."""
    from gateway.cli.simulating import load as command

    spoil = command._settle

    def settled_and_spoilt(database: Path, expected: int) -> None:
        spoil(database, expected)
        gateway.stop()
        with sqlite3.connect(database) as db:
            db.execute("DELETE FROM readings WHERE id = (SELECT min(id) FROM readings)")
            db.execute(
                "UPDATE readings SET body = replace(body, '\"sim\":true', '\"sim\":false') "
                "WHERE id = (SELECT max(id) FROM readings)"
            )
        db.close()

    monkeypatch.setattr(command, "_settle", settled_and_spoilt)
    code, told, _ = load(*gateway.send, "--store", gateway.data)

    proof = told["proof"]
    assert (code, told["ok"]) == (1, False)
    assert (proof["missing"], proof["altered"], proof["extra"], proof["twice"]) == (1, 1, 0, 0)
    assert proof["examples"]["missing"][0].startswith("load-0000")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "say where to"),
        (("http://127.0.0.1:1",), "not a broker address"),
        (("mqtt://127.0.0.1:1", "--for", "soon"), "--for soon"),
        (("mqtt://127.0.0.1:1", "--store", "nowhere"), "has the gateway run?"),
    ],
)
def test_a_load_that_cannot_be_is_told_in_one_line(words: tuple[str, ...], said: str) -> None:
    """With exit code 2."""
    code, told, words_said = load(*words)

    assert code == 2
    assert said in told["error"]
    assert "Traceback" not in words_said


def test_a_broker_that_is_not_there_is_an_outside_part_that_failed() -> None:
    """With exit code 3."""
    code, told, _ = load("mqtt://127.0.0.1:1", "--for", "1s")

    assert (code, told["ok"]) == (3, False)
