"""What the simulated desk's calls share: ledger, services, key, time and present misbehaviour.

Owns the questions every call asks (may this caller, what is shown by now) and answers them from
this state and the desk's clock alone. The settings change through `misbehave` only, which starts
their random source anew. Never speaks HTTP beyond reading where a key was put.
"""

import hmac
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from starlette.requests import Request

from simulators.desk.dialect import Dialect
from simulators.desk.faults import Faults
from simulators.desk.intake import Pairs, value_of
from simulators.desk.ledger import Ledger
from simulators.desk.services import Service, Services, ServiceType
from simulators.desk.wire import Reason, Refusal

_MINUTE_MS = 60_000


@dataclass
class Desk:
    """What the calls share. `faults` may be exchanged while it runs, by `misbehave` only."""

    ledger: Ledger
    services: Services
    api_key: str = field(repr=False)
    jurisdiction_id: str | None
    now_ms: Callable[[], int]
    faults: Faults
    dialect: Dialect = field(default_factory=Dialect)
    source: Random = field(init=False)
    _calls_ms: deque[int] = field(init=False)

    def __post_init__(self) -> None:
        self._calls_ms = deque(maxlen=self.dialect.per_minute)
        self.misbehave(self.faults)

    def misbehave(self, faults: Faults) -> None:
        """Takes new settings and starts their random source from its seed."""
        self.faults = faults
        self.source = Random(faults.seed)  # noqa: S311 (repeatable, not secret)

    def too_soon_s(self) -> int | None:
        """How long a caller has to wait, by a desk that allows so many calls a minute."""
        limit, now_ms = self.dialect.per_minute, self.now_ms()
        if limit is None:
            return None
        if len(self._calls_ms) == limit and now_ms - self._calls_ms[0] < _MINUTE_MS:
            return -(-(self._calls_ms[0] + _MINUTE_MS - now_ms) // 1000)
        self._calls_ms.append(now_ms)
        return None

    def key_refusal(self, request: Request, pairs: Pairs = ()) -> Refusal | None:
        """The key comes as a form field, a query parameter or a Bearer header."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        places = {
            "form": value_of(pairs, "api_key"),
            "query": request.query_params.get("api_key", ""),
            "bearer": bearer.strip() if scheme.lower() == "bearer" else "",
        }
        given = next((places[name] for name in self.dialect.key_places if places[name]), "")
        if hmac.compare_digest(given.encode(), self.api_key.encode()):
            return None
        what = "was not valid" if given else "was not provided"
        return Refusal(Reason.WRONG_KEY, f"api_key {what}")

    def jurisdiction_refusal(self, given: str) -> Refusal | None:
        """A desk with a jurisdiction serves several in name, so every call has to say which."""
        if self.jurisdiction_id is None or given == self.jurisdiction_id:
            return None
        if not given:
            return Refusal(Reason.MISSING, "jurisdiction_id was not provided")
        return Refusal(Reason.NOT_FOUND, "jurisdiction_id was not found")

    def published_type(self, service: Service) -> ServiceType:
        always = self.faults.token or self.dialect.token
        tokens = always and service.type is ServiceType.REALTIME
        return ServiceType.BATCH if tokens else service.type

    def listed_ts_ms(self) -> int:
        return self.now_ms() - round(self.faults.listing_delay_s * 1000)

    def token_ts_ms(self) -> int:
        return self.now_ms() - round(self.faults.token_delay_s * 1000)
