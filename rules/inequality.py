"""Linear inequalities over exact numbers: can they all hold at once, and with which values?

Fourier and Motzkin's elimination, for the handful of inequalities of a rule's conditions. Exact: it
never calls possible what is not, nor the reverse; beyond its size limit it says that it does not
know. Knows nothing of rules: a variable is a text.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor
from typing import NamedTuple

SIZE_MAX = 120  # inequalities at any time of the elimination; a rule has ten


class TooLarge(Exception):  # noqa: N818 - a limit, not a fault
    """More than can be decided in good time."""


class Inequality(NamedTuple):
    """sum(factor * variable) + constant < 0, or <= 0."""

    terms: Mapping[str, Fraction]
    constant: Fraction
    strict: bool


Values = dict[str, Fraction]


def solution(inequalities: Iterable[Inequality]) -> Values | None:
    """Values for which all hold; None when there are none. Raises TooLarge."""
    open_ = list(inequalities)
    joint = {name for one in open_ if len(one.terms) > 1 for name in one.terms}
    values: Values = {}
    for name in sorted({name for one in open_ for name in one.terms} - joint):
        low, high = _limits(name, [one for one in open_ if name in one.terms], values)
        if _are_crossed(low, high):
            return None
        values[name] = _between(low, high)
    return _eliminated([one for one in open_ if not values.keys() & one.terms], joint, values)


def _eliminated(open_: list[Inequality], names: Iterable[str], values: Values) -> Values | None:
    """With values for the variables that stand together in some inequality."""
    steps: list[tuple[str, list[Inequality]]] = []
    for name in sorted(names):
        touching = [one for one in open_ if one.terms.get(name)]
        open_ = [one for one in open_ if not one.terms.get(name)] + _without(name, touching)
        steps.append((name, touching))
        if len(open_) > SIZE_MAX:
            raise TooLarge
    if not all(_holds(one) for one in open_):
        return None
    for name, touching in reversed(steps):
        values[name] = _between(*_limits(name, touching, values))
    return values


def _without(name: str, touching: Sequence[Inequality]) -> list[Inequality]:
    """What they say of the other variables: each upper limit is above each lower one."""
    uppers = [one for one in touching if one.terms[name] > 0]
    lowers = [one for one in touching if one.terms[name] < 0]
    return [_joined(name, low, high) for low in lowers for high in uppers]


def _joined(name: str, low: Inequality, high: Inequality) -> Inequality:
    a, b = high.terms[name], -low.terms[name]
    names = {*low.terms, *high.terms} - {name}
    terms = {key: low.terms.get(key, 0) * a + high.terms.get(key, 0) * b for key in names}
    return Inequality(
        {key: factor for key, factor in terms.items() if factor},
        low.constant * a + high.constant * b,
        low.strict or high.strict,
    )


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
        others = one.constant
        for key, factor in one.terms.items():
            if key != name:
                others += factor * values[key]
        limit = _Limit(-others / one.terms[name], one.strict)
        (highs if one.terms[name] > 0 else lows).append(limit)
    low = max(lows, key=lambda limit: (limit.value, limit.strict), default=None)
    high = min(highs, key=lambda limit: (limit.value, not limit.strict), default=None)
    return low, high


def _are_crossed(low: _Limit | None, high: _Limit | None) -> bool:
    if low is None or high is None:
        return False
    return low.value > high.value or (low.value == high.value and (low.strict or high.strict))


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
