"""The published contract as one AsyncAPI 3.0.0 document: topics, messages, who says what to whom.

Pure. Made from the schemas of `published`, seen from the gateway: it receives what devices say and
sends what they are told. AsyncAPI's own schemas are a superset of draft 7, so those of draft
2020-12 are put into its words; they accept the same.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from gateway.field.published import EXAMPLES, URN, Schema, schemas
from rules.fields import REPORTED_KINDS

ASYNCAPI = "3.0.0"
NAME_PATTERN = "^[A-Za-z0-9_-]{1,64}$"
_SCHEMAS = "#/components/schemas/"
_ONLY_2020 = ("$schema", "$id", "$defs")

_PARAMETERS: Mapping[str, Schema] = MappingProxyType(
    {
        "zone": {
            "description": "A part of the city: 1 to 64 letters, digits, _ or -.",
            "examples": ["north"],
            "x-pattern": NAME_PATTERN,
        },
        "kind": {"description": "What the device is.", "enum": list(REPORTED_KINDS)},
        "device": {
            "description": "The id that an asset lists among its devices: 1 to 64 letters, digits, "
            "_ or -.",
            "examples": ["b-17"],
            "x-pattern": NAME_PATTERN,
        },
        "source": {
            "description": "Whether it came on a topic of the contract, or in an envelope.",
            "enum": ["native", "envelope"],
        },
    }
)


class _Channel:
    """One topic with its message; `action` as the gateway does it."""

    def __init__(
        self, name: str, topic: str, action: str, about: str, *, qos: int = 1, retain: bool = False
    ) -> None:
        self.name, self.topic, self.action, self.about = name, topic, action, about
        self.mqtt = {"qos": qos, "retain": retain, "bindingVersion": "0.2.0"}

    def channel(self) -> Schema:
        named = [name for name in _PARAMETERS if f"{{{name}}}" in self.topic]
        return {
            "address": self.topic,
            "description": self.about,
            "messages": {self.name: {"$ref": f"#/components/messages/{self.name}"}},
            "parameters": {name: {"$ref": f"#/components/parameters/{name}"} for name in named},
        }

    def operation(self) -> Schema:
        here = f"#/channels/{self.name}"
        return {
            "action": self.action,
            "channel": {"$ref": here},
            "summary": self.about,
            "messages": [{"$ref": f"{here}/messages/{self.name}"}],
            "bindings": {"mqtt": self.mqtt},
        }


def _channels() -> Iterator[_Channel]:
    for kind in REPORTED_KINDS:
        base = f"city/v1/{{zone}}/{kind}/{{device}}"
        about = f"What a device of kind {kind} measured, at QoS 1 and not retained."
        yield _Channel(kind, f"{base}/telemetry", "receive", about)
        about = "What was kept during an outage, oldest first."
        yield _Channel(f"{kind}-batch", f"{base}/batch", "receive", about)
    base = "city/v1/{zone}/{kind}/{device}"
    about = "Whether the device is there; also its will."
    yield _Channel("status", f"{base}/status", "receive", about, retain=True)
    about = "How far a device's messages are on disk, where ingest.device_acks allows it."
    yield _Channel("ack", f"{base}/ack", "send", about, qos=0)
    about = "Why a message was refused: at most one a minute for each device and reason."
    letters = "city/v1/dead-letter/{source}/{device}"
    yield _Channel("dead-letter", letters, "send", about, qos=0)
    about = "How a device stands, where ingest.device_status allows it."
    standing = "city/v1/device-status/{device}"
    yield _Channel("device-status", standing, "send", about, qos=0, retain=True)


def asyncapi() -> Schema:
    """The document."""
    channels = list(_channels())
    return {
        "asyncapi": ASYNCAPI,
        "id": URN,
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {one.name: one.channel() for one in channels},
        "operations": {f"{one.action}-{one.name}": one.operation() for one in channels},
        "components": _components(),
    }


def _info() -> Schema:
    return {
        "title": "sense311: what city sensors publish",
        "version": "1.0.0",
        "description": "Sensors of a city publish what they measure; the gateway acknowledges what "
        "is on disk, and says what it refused and how to mend it. Devices count their starts "
        "(`boot`) and number their messages (`seq`), and keep them until they are acknowledged.",
        "license": {"name": "Apache-2.0"},
        "tags": [{"name": kind} for kind in REPORTED_KINDS],
    }


def _server() -> Schema:
    return {
        "host": "127.0.0.1:1883",
        "protocol": "mqtt",
        "protocolVersion": "3.1.1",
        "description": "A broker on the machine itself; with TLS (mqtts) beyond it.",
        "security": [
            {"$ref": "#/components/securitySchemes/password"},
            {"$ref": "#/components/securitySchemes/certificate"},
        ],
        "bindings": {"mqtt": {"cleanSession": False, "bindingVersion": "0.2.0"}},
    }


def _components() -> Schema:
    found = schemas()
    shared = {
        name: draft_7(one)
        for schema in found.values()
        for name, one in schema.get("$defs", {}).items()
    }
    return {
        "schemas": shared | {name: draft_7(schema) for name, schema in found.items()},
        "messages": {name: _message(name, schema) for name, schema in found.items()},
        "parameters": dict(_PARAMETERS),
        "securitySchemes": {
            "password": {
                "type": "userPassword",
                "description": "The bundled broker: one user for a device or for several, who may "
                "speak for these only.",
            },
            "certificate": {
                "type": "X509",
                "description": "Mosquitto as it comes along: a certificate for each device, whose "
                "common name is the device's id.",
            },
        },
    }


def _message(name: str, schema: Schema) -> Schema:
    kind = name.removesuffix("-batch")
    example = EXAMPLES[kind] if kind == name else [EXAMPLES[kind]]
    return {
        "name": name,
        "title": schema["title"],
        "summary": schema["description"],
        "contentType": "application/json",
        "payload": {"$ref": f"{_SCHEMAS}{name}"},
        "examples": [{"name": name, "payload": example}],
    }


def draft_7(node: Any) -> Any:
    """A schema in the words of draft 7: positions are `items`, definitions lie in `components`."""
    if isinstance(node, list):
        return [draft_7(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {key: draft_7(value) for key, value in node.items() if key not in _ONLY_2020}
    if "prefixItems" in found:
        found["items"], found["additionalItems"] = found.pop("prefixItems"), found["items"]
    if isinstance(target := found.get("$ref"), str):
        found["$ref"] = target.replace("#/$defs/", _SCHEMAS)
    return found
