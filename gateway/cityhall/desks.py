"""One desk of the city: who files there, follows what was filed and tells what became of it.

Wires these together for a desk and owns their one thread. What they do is theirs.
"""

import threading
from collections.abc import Callable

from gateway.books.store import Store
from gateway.cityhall.clearance import Clearance, Mode, Terms
from gateway.cityhall.delivery import CITY
from gateway.cityhall.filing import Filer, Health
from gateway.cityhall.following import Follower
from gateway.cityhall.open311 import Open311Client
from gateway.cityhall.profile import Profile
from gateway.cityhall.telling import Teller
from gateway.config import CitySection, FilingSection
from gateway.plans import Plans

DAY_MS = 86_400_000


class Desk:
    """`run` in a thread of its own until `stop`; then `close`."""

    def __init__(
        self,
        name: str,
        store: Store,
        client: Open311Client,
        profile: Profile,
        terms: Terms,
        now_ms: Callable[[], int],
    ) -> None:
        self.name = name
        self.new_rows = threading.Event()
        self._client = client
        self._tells = profile.updates
        pause_ms = 1000 * profile.follow_s
        self._follower = Follower(store, client, pause_ms, now_ms, profile.verify_s, name)
        self._teller = Teller(store, client, now_ms, name)
        self._silent = terms.mode is Mode.DRY_RUN
        clearance = Clearance(terms, store.sent_since(now_ms() - DAY_MS) if name == CITY else ())
        self._filer = Filer(
            store, client, profile, now_ms, self.new_rows, self._beside, clearance, name
        )

    @property
    def health(self) -> Health:
        return self._filer.health

    def run(self) -> None:
        self._filer.run()

    def stop(self) -> None:
        self._filer.stop()

    def close(self) -> None:
        self._client.close()

    def _beside(self) -> int:
        told = self._teller.step() if self._tells and not self._silent else 0
        return told + self._follower.step()


def terms_of(section: FilingSection) -> Terms:
    budgets = section.per_hour, section.per_day, section.all_per_hour
    return Terms(Mode(section.mode), *budgets)


def desks_of(plans: Plans, store: Store, now_ms: Callable[[], int]) -> list[Desk]:
    """The city's desk; after it the one for what is urgent, if there is one."""
    terms = terms_of(plans.config.filing)
    return [
        Desk(name, store, client_of(section, key, profile), profile, terms, now_ms)
        for name, section, key, profile in plans.desks()
    ]


def client_of(section: CitySection, api_key: str, profile: Profile) -> Open311Client:
    """A desk, as the configuration and the profile have it."""
    return Open311Client(section.endpoint, api_key, profile)
