"""Units of measure: which there are, what they measure, how one converts into another.

Owns the table of units and exact arithmetic on them (fractions, so that 80 % less 10 % is 70 % and
nothing else). A dimension is a vector of exponents; two numbers may be compared or added only when
theirs agree. `degC` is a point on a scale, every other unit an amount: a point less a point is an
amount (K), a point times anything is refused by the language. Never converts at run time: what the
table says is folded into constants when a rule is loaded. Words (texts, days of the week) have a
unit of their own, so that they mix with nothing.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

Dimension = tuple[int, ...]
"""Exponents of metre, kilogram, second, ampere, kelvin, lux, degree of arc."""

_NONE: Dimension = (0, 0, 0, 0, 0, 0, 0)
_LENGTH: Dimension = (1, 0, 0, 0, 0, 0, 0)
_MASS: Dimension = (0, 1, 0, 0, 0, 0, 0)
TIME: Dimension = (0, 0, 1, 0, 0, 0, 0)
_CURRENT: Dimension = (0, 0, 0, 1, 0, 0, 0)
_TEMPERATURE: Dimension = (0, 0, 0, 0, 1, 0, 0)
_LIGHT: Dimension = (0, 0, 0, 0, 0, 1, 0)
_ANGLE: Dimension = (0, 0, 0, 0, 0, 0, 1)
_SPEED: Dimension = (1, 0, -1, 0, 0, 0, 0)
_ACCELERATION: Dimension = (1, 0, -2, 0, 0, 0, 0)
_JERK: Dimension = (1, 0, -3, 0, 0, 0, 0)
_DOSE: Dimension = (2, 0, -3, 0, 0, 0, 0)
_FREQUENCY: Dimension = (0, 0, -1, 0, 0, 0, 0)
_POWER: Dimension = (2, 1, -3, 0, 0, 0, 0)
_VOLTAGE: Dimension = (2, 1, -3, -1, 0, 0, 0)
_ENERGY: Dimension = (2, 1, -2, 0, 0, 0, 0)

DIMENSION_EXPONENT_MAX = 8
"""Beyond it a product means nothing any more: a slip, refused."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A value in this unit times `scale`, plus `offset`, is the value in SI base units."""

    symbol: str
    dimension: Dimension
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    def __hash__(self) -> int:
        """Fractions are slow to hash, and few units share a symbol."""
        return hash(self.symbol)

    @property
    def is_point(self) -> bool:
        """A point on a scale (degC), not an amount."""
        return self.offset != 0

    @property
    def is_word(self) -> bool:
        """No measure at all: such values are equal or not, and nothing else."""
        return not self.dimension

    def __str__(self) -> str:
        return self.symbol


def _unit(symbol: str, dimension: Dimension, scale: Fraction | int = 1) -> Unit:
    return Unit(symbol, dimension, Fraction(scale))


ONE = _unit("1", _NONE)
PERCENT = _unit("%", _NONE, Fraction(1, 100))
MILLISECOND = _unit("ms", TIME, Fraction(1, 1000))
DEGREE = _unit("deg", _ANGLE)
METRE = _unit("m", _LENGTH)
METRE_PER_SECOND = _unit("m/s", _SPEED)
HOUR = _unit("h", TIME, 3600)
WATT = _unit("W", _POWER)
KELVIN = _unit("K", _TEMPERATURE)
TEXT = _unit("text", ())
WEEKDAY = _unit("weekday", ())
CELSIUS = Unit("degC", _TEMPERATURE, Fraction(1), Fraction(27315, 100))

_TABLE = (
    ONE, PERCENT, MILLISECOND, DEGREE, METRE, WATT, KELVIN, CELSIUS,
    _unit("s", TIME), _unit("min", TIME, 60), HOUR, _unit("d", TIME, 86_400),
    _unit("mm", _LENGTH, Fraction(1, 1000)), _unit("km", _LENGTH, 1000), _unit("kg", _MASS),
    METRE_PER_SECOND, _unit("km/h", _SPEED, Fraction(1000, 3600)),
    _unit("mm/s", _SPEED, Fraction(1, 1000)), _unit("m/s2", _ACCELERATION),
    _unit("m/s3", _JERK), _unit("m2/s3", _DOSE),
    Unit("g", _ACCELERATION, Fraction(980_665, 100_000)),  # standard gravity
    _unit("Hz", _FREQUENCY), _unit("kW", _POWER, 1000), _unit("V", _VOLTAGE),
    _unit("A", _CURRENT), _unit("Wh", _ENERGY, 3600), _unit("kWh", _ENERGY, 3_600_000),
    _unit("lx", _LIGHT),
)  # fmt: skip

UNITS = MappingProxyType({unit.symbol: unit for unit in _TABLE})


def find(symbol: str) -> Unit | None:
    """The unit of a symbol; `degC/min` and the like are amounts per time. None: no such unit."""
    if symbol in UNITS:
        return UNITS[symbol]
    top, slash, bottom = symbol.partition("/")
    if not slash or top not in UNITS or bottom not in UNITS:
        return None
    per = UNITS[bottom]
    return quotient(amount(UNITS[top]), per, symbol) if per.dimension == TIME else None


def amount(unit: Unit) -> Unit:
    """The unit of a difference between two values in `unit`."""
    return KELVIN if unit.is_point else unit


def product(left: Unit, right: Unit) -> Unit:
    dimension = tuple(a + b for a, b in zip(left.dimension, right.dimension, strict=True))
    return Unit(_joined(left, "*", right), dimension, left.scale * right.scale)


def quotient(left: Unit, right: Unit, symbol: str = "") -> Unit:
    dimension = tuple(a - b for a, b in zip(left.dimension, right.dimension, strict=True))
    return Unit(symbol or _joined(left, "/", right), dimension, left.scale / right.scale)


def is_bounded(unit: Unit) -> bool:
    return all(abs(exponent) <= DIMENSION_EXPONENT_MAX for exponent in unit.dimension)


@lru_cache(maxsize=1024)
def factor_and_shift(source: Unit, target: Unit) -> tuple[Fraction, Fraction]:
    """(f, k) such that a value x in `source` is f * x + k in `target` (same dimension)."""
    assert source.dimension == target.dimension
    return source.scale / target.scale, (source.offset - target.offset) / target.scale


def convert(value: Fraction, source: Unit, target: Unit) -> Fraction:
    factor, shift = factor_and_shift(source, target)
    return factor * value + shift


def _joined(left: Unit, sign: str, right: Unit) -> str:
    if right == ONE:
        return left.symbol
    if left == ONE and sign == "*":
        return right.symbol
    return f"{left.symbol}{sign}{right.symbol}"
