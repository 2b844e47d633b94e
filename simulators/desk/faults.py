"""How the simulated desk misbehaves: the settings, and the fate they draw for each call.

A fate is a function of the settings and of a seeded random source alone, so a run can be repeated.
Every call draws the same count of numbers: changing one rate does not shift what the others do.
Never touches the ledger or the network.
"""

from enum import StrEnum
from random import Random

from pydantic import BaseModel, ConfigDict, Field

_DELAY_S_MAX = 3600.0  # an answer later than this is a dropped line to any client
_LAG_S_MAX = 366 * 86400.0  # a year: "never" for any test, and still a date

_ERROR_STATUS = (500, 502, 503, 504)  # what a broken desk, and the proxies before it, answer


class Faults(BaseModel):
    """All settings; the defaults are a desk that behaves.

    Rates are probabilities 0..1 for each call. `delay_s` holds back every answer, in real seconds
    and after a request is stored. `token_delay_s` and `listing_delay_s` count by the desk's clock.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    delay_s: float = Field(default=0.0, ge=0, le=_DELAY_S_MAX)
    throttle_rate: float = Field(default=0.0, ge=0, le=1)
    retry_after_s: int = Field(default=1, ge=0, le=int(_DELAY_S_MAX))
    drop_before_rate: float = Field(default=0.0, ge=0, le=1)
    error_before_rate: float = Field(default=0.0, ge=0, le=1)
    drop_after_rate: float = Field(default=0.0, ge=0, le=1)
    error_after_rate: float = Field(default=0.0, ge=0, le=1)
    reads_fail: bool = False  # throttling and the two "before" rates hit reads as well
    token: bool = False  # every new request answers a token first
    token_delay_s: float = Field(default=0.0, ge=0, le=_LAG_S_MAX)
    listing_delay_s: float = Field(default=0.0, ge=0, le=_LAG_S_MAX)
    honour_idempotency_key: bool = False
    seed: int = 0


class Fate(StrEnum):
    SERVE = "serve"
    THROTTLE = "throttle"  # 429, nothing stored
    DROP_BEFORE = "drop_before"  # the line closes, nothing stored
    ERROR_BEFORE = "error_before"  # 5xx, nothing stored
    DROP_AFTER = "drop_after"  # stored, then the line closes without a byte
    ERROR_AFTER = "error_after"  # stored, then 5xx


_STORED = frozenset({Fate.DROP_AFTER, Fate.ERROR_AFTER})


def draw_fate(faults: Faults, source: Random, *, read: bool = False) -> tuple[Fate, int]:
    """What becomes of the next call, and the 5xx status to use should it be an error.

    Where several rates hit, the first in the order of Fate wins. A read stores nothing, so it
    never meets an "after" fate.
    """
    rates = {
        Fate.THROTTLE: faults.throttle_rate,
        Fate.DROP_BEFORE: faults.drop_before_rate,
        Fate.ERROR_BEFORE: faults.error_before_rate,
        Fate.DROP_AFTER: faults.drop_after_rate,
        Fate.ERROR_AFTER: faults.error_after_rate,
    }
    hits = [fate for fate, rate in rates.items() if source.random() < rate]
    status = _ERROR_STATUS[int(source.random() * len(_ERROR_STATUS))]
    if read:
        hits = [fate for fate in hits if fate not in _STORED]
    return (hits[0] if hits else Fate.SERVE), status
