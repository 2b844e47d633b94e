"""Who may speak on the bundled broker: users, passwords, permissions, and the server's own file.

It owns `credentials.json` and `nats.conf` in the broker's folder, both readable by their owner
only. A password once given out is kept until its user is withdrawn or renewed. Whoever changes the
files is alone with them; root leaves them to the owner of the folder. A device user may publish for
its own devices and read their `ack` and dead letters, a source user may publish its own topics, the
gateway may read both; nobody else is let in, and nobody may listen in on another's deliveries. It
starts nothing.
"""

import fcntl
import json
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypedDict

ANY_DEVICE = "*"
"""In a user's device list: this user may speak for every device (a simulator, a replay)."""

GATEWAY_USER = "gateway"
KEEPER_USER = "keeper"
"""Bounds the store after each start, over the server's native protocol; no topic is open to it."""
MESSAGES_STREAM = "$MQTT_msgs"

_LOOPBACK = "127.0.0.1"
_RESERVED = frozenset({GATEWAY_USER, KEEPER_USER})
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIRST_LEVEL = re.compile(r"[A-Za-z0-9_.-]+")
_SYNC = re.compile(r"always|[1-9][0-9]{0,4}(ms|s|m)")

_TOLD = ("dead-letter.native", "device-status")
_PUBLISHED_LEAVES = ("telemetry", "batch", "status")
_SUBJECTS = "city.v1.*.*"  # zone and kind are not bound to a credential, the device is
_DELIVERIES = (
    "$MQTT.sub.>"  # of QoS 1; older servers ask for it, none lets a client subscribe to it
)

_PAYLOAD_BYTES_MAX = 1 << 20  # a `batch` of 500 lamps' messages is under 200 KiB
_CONNECTIONS_MAX = 200_000  # the server's own default, 65,536, is less than a large city's lamps
_ACK_PENDING_MAX = 2048  # per subscription; the gateway acknowledges per batch of up to 1,000
# The server sends again what was not acknowledged when this has passed, and not, as others do, when
# the session comes back: the shorter, the less out of order are readings that a stop of the gateway
# caught in flight. All that may be pending is stored well within it.
_ACK_WAIT = "2s"
_STORE_BYTES_MIN = 1 << 20
_SESSION_BYTES = 1 << 30  # of the store, kept free of messages: sessions and retained messages
_LOG_BYTES_MAX = 16 << 20


class BrokerReason(StrEnum):
    BAD_CONFIG = "bad_config"
    BAD_CREDENTIALS_FILE = "bad_credentials_file"
    NO_SERVER = "no_server"
    FOLDER_IN_USE = "folder_in_use"
    DID_NOT_START = "did_not_start"
    NOT_RUNNING = "not_running"
    NOT_IN_FORCE = "not_in_force"
    NOT_CONFINED = "not_confined"


class BrokerError(Exception):
    """Refused or failed: `reason`, `path` to what is wrong (a field or a file), and a `hint`."""

    def __init__(self, reason: BrokerReason, path: str, message: str, hint: str = "") -> None:
        super().__init__(f"{path}: {message}" + (f" ({hint})" if hint else ""))
        self.reason, self.path, self.message, self.hint = reason, path, message, hint


class Login(TypedDict):
    user: str
    password: str


class DeviceLogin(TypedDict):
    password: str
    devices: list[str]


class SourceLogin(TypedDict):
    password: str
    topics: list[str]


class Credentials(TypedDict):
    """`credentials.json`. Secret: mode 0600, never logged."""

    url: str
    gateway: Login
    devices: dict[str, DeviceLogin]
    sources: dict[str, SourceLogin]


@dataclass(frozen=True)
class BrokerConfig:
    """`port` 0 picks a free one once and keeps it. `sync` is when the store reaches the disk:
    "always" before each acknowledgement (covers power loss), or an interval such as "2m" (faster).
    `devices`: user -> device ids it may speak for; an empty list withdraws the user.
    `sources`: user -> MQTT topic filters of other envelopes, which the gateway may then read.
    """

    folder: Path
    host: str = _LOOPBACK
    port: int = 0
    sync: str = "always"
    devices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict)
    store_bytes_max: int = 4 << 30
    renew: frozenset[str] = frozenset()
    """Users among these that get a new password."""


def credentials_path(folder: Path) -> Path:
    return folder / "credentials.json"


def config_of(folder: Path) -> BrokerConfig:
    """What the folder's server was started with, to change its users and nothing else.

    Where nothing has been prepared yet, the defaults. BrokerError: its `nats.conf` is not ours.
    """
    path = folder / "nats.conf"
    try:
        stored = json.loads(path.read_bytes())["jetstream"]
        store_bytes_max = int(stored["max_file_store"]) - _SESSION_BYTES
        return BrokerConfig(folder, sync=stored["sync_interval"], store_bytes_max=store_bytes_max)
    except FileNotFoundError:
        return BrokerConfig(folder)
    except (ValueError, KeyError, TypeError) as error:
        hint = "`sense311 broker` writes it anew when it starts"
        message = f"cannot be read ({type(error).__name__})"
        raise BrokerError(BrokerReason.BAD_CONFIG, str(path), message, hint) from None


def users_of(folder: Path) -> Credentials | None:
    """All that may speak, with their passwords; None: no broker has run here. BrokerError."""
    return _read_credentials(credentials_path(folder))


def prepare(config: BrokerConfig) -> Credentials:
    """Writes `nats.conf` and `credentials.json`; users and passwords already there are kept.

    A running server takes the change in with `Broker.reload`. Raises BrokerError.
    """
    credentials, _ = prepare_with_keeper(config, config.port)
    return credentials


def prepare_with_keeper(config: BrokerConfig, port: int) -> tuple[Credentials, str]:
    """As `prepare`, with the keeper's password, which is new each time and only in `nats.conf`."""
    _check(config)
    check_users(config)
    keeper = new_password()
    config.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    config.folder.chmod(0o700)
    with alone(config.folder):
        old = _read_credentials(credentials_path(config.folder))
        if not port:
            port = int(old["url"].rsplit(":", 1)[1]) if old else free_port(config.host)
        credentials = _merge(old, config, f"mqtt://{config.host}:{port}")
        write_secret(credentials_path(config.folder), json.dumps(credentials, indent=1))
        write_secret(config.folder / "nats.conf", _server_config(config, port, credentials, keeper))
    return credentials, keeper


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else changes the credentials in the folder meanwhile; waits for who does."""
    descriptor = os.open(folder / "changes.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        _leave_to_owner(descriptor, folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse(path: str, message: str, hint: str) -> BrokerError:
    return BrokerError(BrokerReason.BAD_CONFIG, path, message, hint)


def _check(config: BrokerConfig) -> None:
    if config.host != _LOOPBACK:
        hint = "use the Mosquitto configuration in deploy/, which has TLS, to listen further"
        raise _refuse("host", f"{config.host!r} is not {_LOOPBACK}", hint)
    if not 0 <= config.port <= 65535:
        raise _refuse("port", f"{config.port} is not a port", "0 picks a free one")
    if not _SYNC.fullmatch(config.sync):
        raise _refuse("sync", f"{config.sync!r} is not an interval", 'use "always", "10s" or "2m"')
    if config.store_bytes_max < _STORE_BYTES_MIN:
        raise _refuse("store_bytes_max", "less than 1 MiB", "the default is 4 GiB")


def check_users(config: BrokerConfig) -> None:
    """BrokerError (BAD_CONFIG): a user, device or topic that would open or break a broker."""
    for user in (*config.devices, *config.sources):
        _check_user(user)
    if both := sorted(config.devices.keys() & config.sources.keys()):
        raise _refuse(f"devices.{both[0]}", "is also the name of a source", "use two users")
    for user, device in ((u, d) for u, ids in config.devices.items() for d in ids):
        if device != ANY_DEVICE and not _NAME.fullmatch(device):
            raise _refuse(f"devices.{user}", f"{device!r} is not a device id", _NAME.pattern)
    for user, topic in ((u, t) for u, topics in config.sources.items() for t in topics):
        _check_topic(user, topic)


def _check_user(user: str) -> None:
    if user in _RESERVED:
        raise _refuse(f"users.{user}", "is the broker's own", "choose another name")
    if not _NAME.fullmatch(user):
        raise _refuse(f"users.{user}", "is not a user name", _NAME.pattern)


def _check_topic(user: str, topic: str) -> None:
    first, *rest = topic.split("/")
    wild = any("+" in level or "#" in level for level in rest if len(level) > 1)
    if not _FIRST_LEVEL.fullmatch(first) or wild or "#" in rest[:-1] or re.search(r"[\s>*]", topic):
        hint = "an MQTT filter that begins with a fixed level, such as v3/+/devices/#"
        raise _refuse(f"sources.{user}", f"{topic!r} is not a source's topic filter", hint)
    if first == "city":
        hint = "give the user devices instead"
        raise _refuse(f"sources.{user}", f"{topic!r} is the gateway's own tree", hint)


def _read_credentials(path: Path) -> Credentials | None:
    try:
        found = json.loads(path.read_bytes())
        return Credentials(
            url=str(found["url"]),
            gateway=Login(user=GATEWAY_USER, password=str(found["gateway"]["password"])),
            devices=dict(found["devices"]),
            sources=dict(found.get("sources", {})),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokerError(
            BrokerReason.BAD_CREDENTIALS_FILE,
            str(path),
            f"cannot be read ({type(error).__name__})",
            "restore it, or remove it to give every device a new password",
        ) from None


def _merge(old: Credentials | None, config: BrokerConfig, url: str) -> Credentials:
    new = old or Credentials(
        url=url, gateway=Login(user=GATEWAY_USER, password=new_password()), devices={}, sources={}
    )
    new["url"] = url
    for user, ids in config.devices.items():
        known = new["devices"].pop(user, None)
        if ids:
            password = known["password"] if known and user not in config.renew else new_password()
            new["devices"][user] = DeviceLogin(password=password, devices=list(ids))
    for user, topics in config.sources.items():
        source = new["sources"].pop(user, None)
        if topics:
            kept = source and user not in config.renew
            password = source["password"] if source and kept else new_password()
            new["sources"][user] = SourceLogin(password=password, topics=list(topics))
    return new


def new_password() -> str:
    return secrets.token_urlsafe(24)  # 192 bits: nothing to guess, so no slow hash is needed


def write_secret(path: Path, text: str) -> None:
    """Atomic, and never readable by others, not even for the time of the writing."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        _leave_to_owner(descriptor, path.parent)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _leave_to_owner(descriptor: int, folder: Path) -> None:
    """What root writes must be readable to the broker, which is not root and owns the folder."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _subjects(topic_filter: str) -> list[str]:
    """An MQTT filter as the server's subjects; `a/#` also means `a` itself."""
    wildcards = {"+": "*", "#": ">"}
    levels = topic_filter.split("/")
    plain = ".".join(wildcards.get(level, level.replace(".", "//")) for level in levels)
    return [plain, plain[:-2]] if plain.endswith(".>") else [plain]


def commands_to(topics: Iterable[str]) -> list[str]:
    """Where edge nodes of Sparkplug B that publish to these filters are asked to be born again: the
    one thing that the gateway says to a source.
    """
    asked = set()
    for topic in topics:
        first, *levels = topic.replace("#", "+").split("/")
        if first == "spBv1.0":
            group, _, node = (*levels, "+", "+", "+")[:3]
            asked.add(f"spBv1.0/{group}/NCMD/{node}")
    return sorted(asked)


def _server_config(config: BrokerConfig, port: int, credentials: Credentials, keeper: str) -> str:
    """The server reads JSON as its own language, which leaves one set of quoting rules."""
    folder = config.folder.resolve()
    return json.dumps(
        {
            "server_name": "sense311",
            "host": config.host,
            "port": -1,  # the native listener cannot be turned off: any free port of loopback
            "ports_file_dir": str(folder),
            "log_file": str(folder / "nats.log"),
            "logfile_size_limit": _LOG_BYTES_MAX,
            "logfile_max_num": 2,
            "max_payload": _PAYLOAD_BYTES_MAX,
            "max_connections": _CONNECTIONS_MAX,
            "jetstream": {
                "store_dir": str(folder / "store"),
                "max_memory_store": 64 << 20,
                "max_file_store": config.store_bytes_max + _SESSION_BYTES,
                "sync_interval": config.sync,
            },
            "mqtt": {
                "host": config.host,
                "port": port,
                "max_ack_pending": _ACK_PENDING_MAX,
                "ack_wait": _ACK_WAIT,
            },
            "authorization": {"users": _users(credentials, keeper)},
        },
        ensure_ascii=False,
    )


def _users(credentials: Credentials, keeper: str) -> list[dict[str, Any]]:
    sources = credentials["sources"]
    topics = [topic for login in sources.values() for topic in login["topics"]]
    foreign = [subject for topic in topics for subject in _subjects(topic)]
    asked = [subject for topic in commands_to(topics) for subject in _subjects(topic)]
    users = [
        _user(
            GATEWAY_USER,
            credentials["gateway"]["password"],
            [f"{_SUBJECTS}.*.ack", "city.v1.dead-letter.>", "city.v1.device-status.>", *asked],
            [*(f"{_SUBJECTS}.*.{leaf}" for leaf in _PUBLISHED_LEAVES), *foreign, _DELIVERIES],
        ),
        _user(
            KEEPER_USER,
            keeper,
            [f"$JS.API.STREAM.{verb}.{MESSAGES_STREAM}" for verb in ("INFO", "UPDATE")],
            ["_INBOX.>"],
            "STANDARD",
        ),
    ]
    for user, login in credentials["devices"].items():
        ids = login["devices"]
        publish = [f"{_SUBJECTS}.{i}.{leaf}" for i in ids for leaf in _PUBLISHED_LEAVES]
        told = [f"{_SUBJECTS}.{i}.ack" for i in ids]
        told += [f"city.v1.{word}.{i}" for i in ids for word in _TOLD]
        users.append(_user(user, login["password"], publish, [*told, _DELIVERIES]))
    for user, source in sources.items():
        publish = [subject for topic in source["topics"] for subject in _subjects(topic)]
        told = [s for topic in commands_to(source["topics"]) for s in _subjects(topic)]
        users.append(_user(user, source["password"], publish, [*told, _DELIVERIES] if told else []))
    return users


def _user(
    name: str, password: str, publish: list[str], subscribe: list[str], protocol: str = "MQTT"
) -> dict[str, Any]:
    def only(subjects: list[str]) -> dict[str, list[str]]:
        # An empty list of allowed subjects would allow all of them.
        return {"allow": subjects} if subjects else {"deny": [">"]}

    return {
        "user": name,
        "password": password,
        "allowed_connection_types": [protocol],
        "permissions": {"publish": only(publish), "subscribe": only(subscribe)},
    }


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
