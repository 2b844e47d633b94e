"""Linear inequalities over whole numbers: can they all hold at once, and with which values?

Fourier and Motzkin's elimination, for the handful of inequalities of a rule's conditions. Exact: it
never calls possible what is not, nor the reverse; beyond its size limit it says that it does not
know. Knows nothing of rules: a variable is a text.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor, gcd, lcm
from typing import NamedTuple

SIZE_MAX = 120  # inequalities at any time of the elimination; a rule has ten


class TooLarge(Exception):  # noqa: N818 - a limit, not a fault
    """More than can be decided in good time."""


class Inequality(NamedTuple):
    """sum(factor * variable) + constant < 0, or <= 0. In whole numbers, for speed."""

    terms: Mapping[str, int]
    constant: int
    strict: bool


Values = dict[str, Fraction]
_Step = tuple[str, list[Inequality]]
"""A variable, and the inequalities in which it stood when it was eliminated."""


def inequality(terms: Mapping[str, Fraction], constant: Fraction, *, strict: bool) -> Inequality:
    """The same in whole numbers."""
    scale = lcm(constant.denominator, *(factor.denominator for factor in terms.values()))
    whole = {name: _times(factor, scale) for name, factor in terms.items() if factor}
    return Inequality(whole, _times(constant, scale), strict)


def is_solvable(inequalities: Iterable[Inequality]) -> bool:
    """Whether there are values for which all hold. Raises TooLarge."""
    return _eliminated(inequalities) is not None


def solution(inequalities: Iterable[Inequality]) -> Values | None:
    """Values for which all hold; None when there are none. Raises TooLarge."""
    steps = _eliminated(inequalities)
    if steps is None:
        return None
    values: Values = {}
    for name, touching in reversed(steps):
        values[name] = _between(*_limits(name, touching, values))
    return dict(sorted(values.items()))


def _eliminated(inequalities: Iterable[Inequality]) -> list[_Step] | None:
    """All variables, those first that stand by themselves; None when there is no solution."""
    open_ = list(inequalities)
    if not all(one.terms or _holds(one) for one in open_):
        return None
    joint = {name for one in open_ if len(one.terms) > 1 for name in one.terms}
    alone = {name for one in open_ for name in one.terms} - joint
    steps: list[_Step] = []
    for name in (*sorted(alone), *sorted(joint)):
        touching = [one for one in open_ if name in one.terms]
        left = _without(name, touching)
        if not all(one.terms or _holds(one) for one in left):
            return None
        open_ = [one for one in open_ if name not in one.terms]
        open_ += [one for one in left if one.terms]
        steps.append((name, touching))
        if len(open_) > SIZE_MAX:
            raise TooLarge
    return steps


def _without(name: str, touching: Sequence[Inequality]) -> list[Inequality]:
    """What they say of the other variables: each upper limit is above each lower one."""
    uppers = [one for one in touching if one.terms[name] > 0]
    lowers = [one for one in touching if one.terms[name] < 0]
    return [_joined(name, low, high) for low in lowers for high in uppers]


def _joined(name: str, low: Inequality, high: Inequality) -> Inequality:
    a, b = high.terms[name], -low.terms[name]
    terms = {key: factor * a for key, factor in low.terms.items() if key != name}
    for key, factor in high.terms.items():
        if key != name:
            terms[key] = terms.get(key, 0) + factor * b
    constant = low.constant * a + high.constant * b
    if not terms:
        return Inequality(terms, constant, low.strict or high.strict)
    shared = gcd(constant, *terms.values()) or 1
    reduced = {key: factor // shared for key, factor in terms.items() if factor}
    return Inequality(reduced, constant // shared, low.strict or high.strict)


def _times(value: Fraction, scale: int) -> int:
    """`scale` is a multiple of the denominator."""
    return value.numerator * (scale // value.denominator)


def _holds(one: Inequality) -> bool:
    return one.constant < 0 or (one.constant == 0 and not one.strict)


class _Limit(NamedTuple):
    value: Fraction
    strict: bool


def _limits(
    name: str, touching: Sequence[Inequality], values: Values
) -> tuple[_Limit | None, _Limit | None]:
    """The tightest of each side, with the other variables given."""
    lows: list[_Limit] = []
    highs: list[_Limit] = []
    for one in touching:
        others = Fraction(one.constant)
        for key, factor in one.terms.items():
            if key != name:
                others += factor * values[key]
        limit = _Limit(-others / one.terms[name], one.strict)
        (highs if one.terms[name] > 0 else lows).append(limit)
    low = max(lows, key=lambda limit: (limit.value, limit.strict), default=None)
    high = min(highs, key=lambda limit: (limit.value, not limit.strict), default=None)
    return low, high


def _between(low: _Limit | None, high: _Limit | None) -> Fraction:
    """A value between the limits that is easy to read: whole where there is one."""
    if low is None and high is None:
        return Fraction(0)
    if high is None:
        assert low is not None
        return Fraction(floor(low.value) + 1) if low.strict else low.value
    if low is None:
        return Fraction(-floor(-high.value) - 1) if high.strict else high.value
    middle = (low.value + high.value) / 2
    for digits in (0, 1, 2, 3):
        rounded = round(middle, digits)
        if low.value < rounded < high.value:
            return Fraction(rounded)
    return middle
