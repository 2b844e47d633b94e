"""What a person, or the city, has the gateway do with its incidents: the words for it.

Records and their bytes only. An order is stored before it is carried out, with who gave it and why,
and is answered once: done, or refused with the reason. So the orders are the log of all that was
not decided by a rule.
"""

from typing import NamedTuple

import msgspec

from gateway.cases.silences import Silence


class Silenced(msgspec.Struct, frozen=True, tag="silence"):
    """A maintenance window; it has the number of the order."""

    silence: Silence


class Unsilenced(msgspec.Struct, frozen=True, tag="end"):
    """A maintenance window is over from now on."""

    silence_id: int


class Merged(msgspec.Struct, frozen=True, tag="merge"):
    """Both are one fault; the first asks nothing of the city on its own any more."""

    incident: int
    into: int


class Split(msgspec.Struct, frozen=True, tag="split"):
    """It is a fault of its own, whatever explains it."""

    incident: int


class Reopened(msgspec.Struct, frozen=True, tag="reopen"):
    """It is not repaired, whatever the city or the sensor says: ask again."""

    incident: int


class CityClosed(msgspec.Struct, frozen=True, tag="closed"):
    """The city closed the request of the incident. The sensor is asked `after_s` later."""

    incident: int
    request_id: str
    after_s: int


class CityReopened(msgspec.Struct, frozen=True, tag="opened"):
    """The city opened it again."""

    incident: int


Order = Silenced | Unsilenced | Merged | Split | Reopened | CityClosed | CityReopened


class Given(NamedTuple):
    """An order as it is stored: with its number."""

    id: int
    order: Order
    who: str = ""


class Answer(NamedTuple):
    """What became of it, in words. `done`: false where it was refused."""

    id: int
    done: bool
    text: str


def encode(order: Order) -> str:
    return msgspec.json.encode(order).decode()


def decode(text: str) -> Order:
    """ValueError: it is none."""
    order: Order = msgspec.json.decode(text, type=Order)
    return order
