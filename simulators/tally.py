"""A tally: faults answered, missed, asked for twice, and requests for nothing, with their figures.

One for each rule and one for each kind of fault. Figures that nothing was counted for are None,
never 0. Pure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

_NINE_TENTHS = 0.9


@dataclass(slots=True)
class Tally:
    """`precision`, `recall`: None where nothing was filed, or nothing was to be filed. `f1` of
    both: 2 tp / (2 tp + fp + fn), so it is known wherever one of them is. `requests_per_fault`: 1
    is right, more were asked for twice, less were missed. `look_alikes`: what must not be filed.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    duplicates: int = 0
    look_alikes: int = 0
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    delay_s_median: float | None = None
    delay_s_p90: float | None = None
    requests_per_fault: float | None = None

    def settle(self, delays_s: Sequence[float]) -> None:
        """The figures, once all is counted."""
        faults, wrong = self.tp + self.fn, self.fp + self.fn
        self.precision = share(self.tp, self.tp + self.fp)
        self.recall = share(self.tp, faults)
        self.f1 = share(2 * self.tp, 2 * self.tp + wrong)
        self.requests_per_fault = share(self.tp + self.duplicates, faults)
        self.delay_s_median = median(delays_s) if delays_s else None
        self.delay_s_p90 = ninth_decile(delays_s)


def share(part: float, whole: float) -> float | None:
    """None of nothing."""
    return part / whole if whole else None


def ninth_decile(values: Sequence[float]) -> float | None:
    """The smallest value that nine in ten do not exceed; it is one of them."""
    return sorted(values)[math.ceil(_NINE_TENTHS * len(values)) - 1] if values else None
