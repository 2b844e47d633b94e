"""The catalogue: what the city said last of its services, and whether it would take a form.

Remembers lists and definitions for an hour, and for a minute that they could not be read. Only what
the city said itself refuses a form: where it says nothing, the form goes on its way and the city
judges it. Never sends a form, never keeps a key.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.cityhall.definition import (
    Attribute,
    Fault,
    Form,
    Offer,
    Record,
    attributes_of,
    faults_of,
    offers_of,
    unknown_service,
)
from gateway.cityhall.delivery import CannotTell, Cause

FRESH_S = 3_600.0
"""A changed definition is noticed within an hour, or at the first refusal."""
AWAY = (Cause.UNREACHABLE, Cause.THROTTLED)
UNREAD_S = 60.0
"""How soon is asked again what could not be read."""


class City(Protocol):
    """The reads of a desk; they answer with values, never raise."""

    def services(self) -> Sequence[Record] | CannotTell: ...

    def definition(self, code: str) -> Record | CannotTell: ...


class Catalogue:
    """What one desk offers. `now_s`: a clock that never goes back."""

    def __init__(self, city: City, now_s: Callable[[], float]) -> None:
        self._city = city
        self._now_s = now_s
        self._offers: dict[str, Offer] | CannotTell | None = None
        self._offers_until_s = 0.0
        self._attributes: dict[str, tuple[float, Sequence[Attribute] | CannotTell]] = {}

    def forget(self) -> None:
        """The city said no: what is remembered may be out of date."""
        self._offers = None
        self._attributes.clear()

    def faults(self, service: str, code: str, form: Form) -> list[Fault] | CannotTell:
        """What the city would refuse; CannotTell where it could not be asked."""
        offers = self.offers()
        if isinstance(offers, CannotTell):
            return offers
        if code not in offers:
            return [unknown_service(service, code, offers)] if offers else []
        if not offers[code].defined:
            return []
        attributes = self.attributes(code)
        if isinstance(attributes, CannotTell):
            return attributes
        return faults_of(service, form, attributes)

    def offers(self) -> dict[str, Offer] | CannotTell:
        """The service list by code."""
        now_s = self._now_s()
        if self._offers is None or now_s >= self._offers_until_s:
            found = self._city.services()
            self._offers = found if isinstance(found, CannotTell) else offers_of(found)
            self._offers_until_s = now_s + _kept_s(self._offers)
        return self._offers

    def attributes(self, code: str) -> Sequence[Attribute] | CannotTell:
        """What the definition of a service asks for; nothing where there is none."""
        offers = self.offers()
        if isinstance(offers, CannotTell) or code not in offers or not offers[code].defined:
            return offers if isinstance(offers, CannotTell) else ()
        until_s, known = self._attributes.get(code, (0.0, ()))
        if self._now_s() >= until_s:
            found = self._city.definition(code)
            known = found if isinstance(found, CannotTell) else attributes_of(found)
            self._attributes[code] = self._now_s() + _kept_s(known), known
        return known


def _kept_s(known: object) -> float:
    """A desk that is away or asks for a pause is asked again with the next request."""
    if not isinstance(known, CannotTell):
        return FRESH_S
    return 0.0 if known.cause in AWAY else UNREAD_S
