"""Who may speak on the bundled broker: its files, passwords and refusals."""

import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.access.credentials import BrokerConfig, BrokerError, BrokerReason, prepare

DEVICES = {"lamp-a": ["lamp-a"], "lamp-b": ["lamp-b"], "fleet": ["*"]}
SOURCES = {"lorawan": ["v3/+/devices/+/up"]}


def test_files_are_secret(tmp_path: Path):
    """The folder is 0700 and both files 0600, even where a laxer folder stood before."""
    folder = tmp_path / "broker"
    folder.mkdir(mode=0o755)
    prepare(BrokerConfig(folder, devices=DEVICES))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("credentials.json", "nats.conf"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_passwords_are_kept_and_users_withdrawn(tmp_path: Path):
    """Preparing again keeps every password and the address; an empty list withdraws a user."""
    first = prepare(BrokerConfig(tmp_path, devices=DEVICES, sources=SOURCES))
    assert prepare(BrokerConfig(tmp_path)) == first
    second = prepare(BrokerConfig(tmp_path, devices={"lamp-a": [], "lamp-b": ["b1", "b2"]}))
    assert set(second["devices"]) == {"lamp-b", "fleet"}
    assert second["devices"]["lamp-b"]["devices"] == ["b1", "b2"]
    assert second["devices"]["lamp-b"]["password"] == first["devices"]["lamp-b"]["password"]
    passwords = [login["password"] for login in first["devices"].values()]
    assert len({*passwords, first["gateway"]["password"]}) == len(DEVICES) + 1


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("host", {"host": "0.0.0.0"}),
        ("port", {"port": 70_000}),
        ("sync", {"sync": "never"}),
        ("store_bytes_max", {"store_bytes_max": 10}),
        ("users.gateway", {"devices": {"gateway": ["x"]}}),
        ("users.keeper", {"sources": {"keeper": ["x/y"]}}),
        ("users.a b", {"devices": {"a b": ["x"]}}),
        ("devices.a", {"devices": {"a": ["x.y"]}}),
        ("devices.a", {"devices": {"a": [">"]}}),
        ("devices.a", {"devices": {"a": ["x"]}, "sources": {"a": ["x/y"]}}),
        ("sources.s", {"sources": {"s": ["#"]}}),
        ("sources.s", {"sources": {"s": ["+/up"]}}),
        ("sources.s", {"sources": {"s": ["$SYS/x"]}}),
        ("sources.s", {"sources": {"s": ["a/#/b"]}}),
        ("sources.s", {"sources": {"s": ["a/b>"]}}),
        ("sources.s", {"sources": {"s": ["city/v1/#"]}}),
        ("sources.s", {"sources": {"s": [""]}}),
    ],
)
def test_bad_configuration_is_refused(tmp_path: Path, path: str, options: dict[str, Any]):
    """A configuration that would open or break the broker is refused, naming the field."""
    with pytest.raises(BrokerError) as refused:
        prepare(BrokerConfig(tmp_path / "b", **options))
    assert refused.value.reason is BrokerReason.BAD_CONFIG
    assert refused.value.path == path
    assert refused.value.hint
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"url": "x", "gateway": 3, "devices": {}}'])
def test_broken_credentials_are_not_replaced(tmp_path: Path, content: str):
    """A credentials file that cannot be read is refused, never overwritten with new passwords."""
    path = tmp_path / "credentials.json"
    path.write_text(content)
    with pytest.raises(BrokerError) as refused:
        prepare(BrokerConfig(tmp_path))
    assert refused.value.reason is BrokerReason.BAD_CREDENTIALS_FILE
    assert path.read_text() == content
