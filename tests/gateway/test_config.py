"""The configuration: one clear finding for each fault, before anything starts."""

import json
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import SENSE311, a_bin, write_city

from gateway import cities
from gateway.config import read_config
from gateway.errors import ConfigError
from gateway.plans import prepare

GOOD = """\
[broker]
url = "mqtt://127.0.0.1:1883"

[city]
endpoint = "http://127.0.0.1:9/open311/v2"

[assets]
files = ["assets.geojson"]
"""
HISTORY = '[history]\norg = "o"\nbucket = "b"\ntoken_file = "token"\n'


@pytest.fixture
def folder(tmp_path):
    write_city(tmp_path / "assets.geojson", [a_bin(1)])
    for name, text in (("open", "secret-canary"), ("empty", ""), ("token", "token-canary")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    (tmp_path / "login.json").write_text('{"url": "http://example.org", "gateway": {}}')
    (tmp_path / "login.json").chmod(0o600)
    (tmp_path / "profile.toml").write_text("title = 1\n")
    (tmp_path / "rule.yaml").write_text("apiVersion: sense311/v1\nsensor: bin\nrules: [{id: x}]\n")
    return tmp_path


def findings_of(folder, text):
    path = folder / "sense311.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        prepare(*read_config(path))
    return caught.value.findings


def changed(line, by):
    assert line in GOOD
    return GOOD.replace(line, by)


URL = 'url = "mqtt://127.0.0.1:1883"'
END = 'endpoint = "http://127.0.0.1:9/open311/v2"'
FILES = 'files = ["assets.geojson"]'
SHOWN = "sense311.toml"
WRONG = {
    "no TOML": ("[broker\n", 1, "E401", "Expected", "quotes"),
    "not UTF-8": (b"\xff\xfe", 1, "E400", "not UTF-8", "UTF-8"),
    "too large": (b"#" * 1_100_000, 1, "E400", "1 MiB", "right file"),
    "a key that is no key": (GOOD + "[ingest]\nbach_max = 5\n", 10, "E402", "ingest.bach_max",
                             "did you mean batch_max?"),
    "a section that is none": (GOOD + "[brokers]\n", 9, "E402", "brokers", "broker?"),
    "a section missing": (changed("[city]\n" + END, ""), 1, "E403", "missing city", SHOWN),
    "a key missing": (changed(END, ""), 4, "E403", "missing city.endpoint", SHOWN),
    "no broker": (changed(URL, ""), 1, "E403", "no broker named", "url ="),
    "a section as a value": (changed(f"[city]\n{END}", "") .replace("[broker]",
                             "city = 1\n[broker]"),
                             1, "E404", "city:", "[name]"),
    "text for a number": (GOOD + '[ingest]\nidle_s = "5"\n', 10, "E404", "ingest.idle_s", "quotes"),
    "text for a truth": (GOOD + '[ingest]\ndevice_acks = "yes"\n', 10, "E404", "device_acks",
                         "true"),
    "a number for text": (changed(END, "endpoint = 5"), 5, "E404", "city.endpoint", "quotes"),
    "text for a list": (changed(FILES, 'files = "a"'), 8, "E404", "assets.files", "brackets"),
    "out of range": (GOOD + "[ingest]\nbatch_max = 0\n", 10, "E404", "greater", SHOWN),
    "infinite": (GOOD + "[ingest]\nidle_s = inf\n", 10, "E404", "idle_s", SHOWN),
    "another clock": (GOOD + '[ingest]\nclock = "wall"\n', 10, "E404", "'system'", SHOWN),
    "a time without zone": (GOOD + "[ingest]\nfollow_from = 2026-01-15T12:00:00\n", 10, "E404",
                            "time zone", SHOWN),
    "another scheme": (changed(URL, 'url = "http://127.0.0.1"'), 2, "E404", "mqtt://", "sense311"),
    "a password in the URL": (changed(URL, 'url = "mqtt://u:secret-canary@h"'), 2, "E404",
                              "mqtt://",
                              "sense311"),
    "a port beyond": (changed(URL, 'url = "mqtt://h:99999"'), 2, "E404", "mqtt://", "sense311"),
    "no host": (changed(URL, 'url = "mqtt://:1883"'), 2, "E404", "mqtt://", "sense311"),
    "a host too long": (changed(URL, f'url = "mqtt://{"a" * 70}.org"'), 2, "E404", "mqtt://", ""),
    "no such password": (changed(URL, URL + '\npassword_file = "none"'), 3, "E405", "No such file",
                         "only its owner"),
    "a secret for all to read": (changed(URL, URL + '\npassword_file = "open"'), 3, "E405",
                                 "chmod 600", "only its owner"),
    "an empty secret": (changed(END, END + '\napi_key_file = "empty"'), 6, "E405", "empty",
                        "owner"),
    "a folder as a secret": (changed(END, END + '\napi_key_file = "."'), 6, "E405", "", "owner"),
    "no credentials in it": (changed(URL, 'credentials = "login.json"'), 2, "E406", "credentials",
                             "sense311 broker"),
    "no such assets": (changed(FILES, 'files = ["none.csv"]'), 8, "E410", "none.csv", "folder"),
    "no assets": (changed(FILES, "files = []"), 8, "E404", "at least 1", SHOWN),
    "no such rules": (GOOD + '[rules]\nfiles = ["none"]\n', 10, "E410", "none", "folder"),
    "no such rule": (GOOD + '[rules]\ndisable = ["lamp_owt"]\n', 10, "E409", "lamp_owt",
                     "lamp_out"),
    "no such authority": (changed(URL, URL + '\nca_file = "none.crt"'), 3, "E410", "none",
                          "folder"),
    "no certificate": (changed(URL, URL + '\ncertificate_file = "none.crt"'), 3, "E410", "none",
                       "folder"),
    "no certificate's file": (changed(URL, URL + '\ncertificate_file = "empty"'), 3, "E412",
                              "key_file", "PEM"),
    "no authority's file": (changed(URL, URL + '\nca_file = "empty"'), 3, "E412", "ca_file", "PEM"),
    "no https": (changed(END, 'endpoint = "http://example.org/v2"'), 5, "E411", "https://",
                 "https"),
    "no address": (changed(END, 'endpoint = "desk"'), 5, "E411", "https://", "https"),
    "the store in a file": (GOOD + '[store]\nfolder = "open"\n', 10, "E410", "not a folder",
                            "makes"),
    "no address of history": (GOOD + HISTORY + 'url = "influx"\n', 13, "E413", "url", "https"),
    "no bucket": (GOOD + HISTORY.replace('"b"', '""') + 'url = "http://h"\n', 11, "E413", "bucket",
                  "bucket"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "code", "message", "help_"), WRONG.values(), ids=WRONG)
def test_a_fault_is_one_finding_with_file_line_and_help(folder, text, line, code, message, help_):
    """Where it stands, what is wrong, how to mend it; no secret in any of it."""
    (found,) = findings_of(folder, text)
    assert (found.code, found.line) == (code, line)
    assert found.file == str(folder / SHOWN)
    assert message in found.message
    assert help_ in found.help
    assert found.help
    assert "canary" not in str(found)


def test_a_rule_that_the_city_does_not_serve_is_found(folder):
    """Better known now than when the first lamp fails."""
    (folder / "small.toml").write_text(
        'title = "Small"\nformat = "json"\n[services.BIN_FULL]\ncode = "B"\n'
    )
    found = findings_of(folder, GOOD.replace(END, END + '\nprofile = "small.toml"'))
    assert {finding.code for finding in found} == {"E407"}
    assert any("lamp_out files STREETLIGHT_OUT" in finding.message for finding in found)


def test_all_faults_are_told_at_once(folder):
    """Nobody mends one, starts again and meets the next."""
    text = GOOD.replace(URL, 'url = 5\nhost = "x"').replace(FILES, "files = []")
    assert [f.code for f in findings_of(folder, text)] == ["E404", "E402", "E404"]


def test_a_configuration_that_is_not_there_is_a_finding(tmp_path):
    """No traceback for a wrong name."""
    with pytest.raises(ConfigError, match="cannot read: No such file"):
        read_config(tmp_path / "none.toml")


def test_a_good_configuration_is_read(folder):
    """Paths are meant from its folder; secrets are not printable."""
    path = folder / "sense311.toml"
    path.write_text(GOOD.replace(END, END + '\napi_key_file = "token"'))
    config, secrets = read_config(path)
    assert config.assets.files == [folder / "assets.geojson"]
    assert secrets.api_key is not None
    assert secrets.api_key.get_secret_value() == "token-canary"
    assert "canary" not in repr(secrets) + str(secrets) + repr(config)
    assert prepare(config, secrets).warnings == []


def test_the_shipped_example_is_read(folder):
    """deploy/sense311.toml, in a folder with what it names."""
    example = Path(__file__).parents[2] / "deploy/sense311.toml"
    path = folder / "sense311.toml"
    path.write_bytes(example.read_bytes())
    (folder / "secrets").mkdir()
    for name in ("mqtt_password", "open311_api_key"):
        (folder / "secrets" / name).write_text("x")
        (folder / "secrets" / name).chmod(0o600)
    assert prepare(*read_config(path)).city.assets


@pytest.mark.slow
@pytest.mark.parametrize("command", ["run", "check"])
def test_nothing_starts_with_a_wrong_configuration(folder, command):
    """Exit 2 with the finding; nobody called the broker, and there is no data folder."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        text = GOOD.replace("1883", str(listener.getsockname()[1])) + "[store]\nfoldr = 1\n"
        (folder / SHOWN).write_text(text)
        done = subprocess.run(
            [*SENSE311, command, "-c", folder / "sense311.toml", "--json"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        with pytest.raises(TimeoutError):
            listener.accept()
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["ok"] is False
    assert [f["code"] for f in answer["findings"]] == ["E402"]
    assert "sense311.toml:10:1: E402" in done.stderr
    assert not (folder / "sense311-data").exists()


def test_a_city_has_the_time_zone_of_its_profile(folder):
    """By its clocks rules say what day it is."""
    desk = Path(cities.__file__).parent.joinpath("desk.toml").read_text()
    (folder / "mine.toml").write_text(f'timezone = "America/Chicago"\n{desk}')
    path = folder / "sense311.toml"
    path.write_text(changed(END, f'{END}\nprofile = "mine.toml"'))
    city = prepare(*read_config(path)).city
    assert {subject.time_zone for subject in city.subjects()} == {"America/Chicago"}


def test_a_secret_that_systemd_hands_out_may_show_a_right_of_the_group(folder, monkeypatch):
    """Its access list shows as one; in any other folder it is somebody's mistake."""
    given = folder / "given"
    given.write_text("secret-canary")
    given.chmod(0o440)
    text = changed(URL, URL + '\npassword_file = "given"')

    assert "chmod 600" in findings_of(folder, text)[0].message
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder.absolute()))
    _, secrets = read_config(folder / "sense311.toml")
    assert secrets.broker_password.get_secret_value() == "secret-canary"
    given.chmod(0o444)
    assert "chmod 600" in findings_of(folder, text)[0].message
