"""Many truths and amounts at once, each of them known or unknown: Kleene's logic on numpy arrays.

A mask that is the same for all rows is one of the two constants YES and NO, told by `is`: most
columns are known throughout, and then nothing is computed for it. Values that are unknown may hold
anything. Pure.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

YES = np.True_
NO = np.False_

Mask = npt.NDArray[np.bool_] | np.bool_
Floats = npt.NDArray[np.float64] | np.float64
Rows = npt.NDArray[np.intp]


class Truths(NamedTuple):
    """`true` holds only where it is known."""

    true: Mask
    known: Mask = YES


class Amounts(NamedTuple):
    values: Floats
    known: Mask = YES


Column = Truths | Amounts


def truths(outcome: Mask, known: Mask) -> Truths:
    """An outcome that means nothing where it is not known."""
    return Truths(both(outcome, known), known)


def both(one: Mask, other: Mask) -> Mask:
    if one is YES or other is NO:
        return other
    if other is YES or one is NO:
        return one
    return one & other


def either(one: Mask, other: Mask) -> Mask:
    if one is NO or other is YES:
        return other
    if other is NO or one is YES:
        return one
    return one | other


def inverse(column: Truths) -> Truths:
    return Truths(both(column.known, ~column.true), column.known)


def hopeful(column: Truths) -> Mask:
    """True or unknown."""
    return column.true if column.known is YES else either(column.true, ~column.known)


def conjunction(one: Truths, other: Truths) -> Truths:
    """False and unknown is false."""
    true = both(one.true, other.true)
    if one.known is YES and other.known is YES:
        return Truths(true)
    open_ends = both(hopeful(one), hopeful(other))
    return Truths(true, either(true, ~open_ends))


def chosen(which: Mask, one: Column, other: Column) -> Column:
    """`one` where `which` says so, else `other`; both of the same type."""
    if which is YES:
        return one
    if which is NO:
        return other
    known = _picked(which, one.known, other.known)
    if isinstance(one, Truths):
        assert isinstance(other, Truths)
        return Truths(_picked(which, one.true, other.true), known)
    assert isinstance(other, Amounts)
    return Amounts(np.where(which, one.values, other.values), known)


def taken(column: Column, rows: Rows) -> Column:
    known = mask_taken(column.known, rows)
    if isinstance(column, Truths):
        return Truths(mask_taken(column.true, rows), known)
    values = column.values
    return Amounts(values[rows] if isinstance(values, np.ndarray) else values, known)


def mask_taken(mask: Mask, rows: Rows) -> Mask:
    return settled(mask[rows]) if isinstance(mask, np.ndarray) else mask


def settled(mask: npt.NDArray[np.bool_]) -> Mask:
    """YES where all of it holds."""
    return YES if mask.all() else mask


def rows_of(mask: Mask, size: int) -> Rows:
    """The rows where it holds."""
    if isinstance(mask, np.ndarray):
        return np.flatnonzero(mask)
    return np.arange(size if mask else 0)


def spread(array: Any, size: int) -> Any:
    """One for each row, though all are the same."""
    return array if isinstance(array, np.ndarray) else np.full(size, array)


def _picked(which: Mask, one: Mask, other: Mask) -> Mask:
    return one if one is other else np.where(which, one, other)
