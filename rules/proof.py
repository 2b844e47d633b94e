"""What follows from conditions: can these hold together, does one imply the other?

Owns the step from typed trees to inequalities: a comparison of sums and multiples is an inequality
of its parts, everything else (a field, a window, a night) is a variable of its own within its
range. So "cannot hold together" is proven; "can hold" means only that nothing speaks against it,
except between fields, which are free of each other. Unknown values are left out: the question is
always what may be when all is known. Bounded: what is too large to decide is None.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

from rules.bounds import interval
from rules.fields import Field
from rules.inequality import Inequality, TooLarge, inequality, is_solvable, solution
from rules.tree import Node, Op, canonical
from rules.units import DEGREE, TEXT

CASES_MAX = 48  # ways to be true that are looked at; a condition with more is not judged
_NIGHT_ELEVATION = -6
_SUN = Node(Op.SUN, DEGREE)
_FLIPPED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}


class Wanted(NamedTuple):
    """A condition, and whether it is to be true or false."""

    tree: Node
    truth: bool = True


class Example(NamedTuple):
    """Values for which conditions hold together: of numbers, and of what is true or false."""

    numbers: Mapping[Node, Fraction]
    flags: Mapping[Node, bool]


class _Flag(NamedTuple):
    node: Node
    truth: bool


_Literal = Inequality | _Flag
_Case = tuple[_Literal, ...]
"""All of these hold."""


class Logic:
    """What follows from conditions about fields with these ranges. It remembers what it has worked
    out: much the same is asked of a rule again and again.
    """

    def __init__(self, ranges: Mapping[str, Field]) -> None:
        self.ranges = ranges
        self._reader = _Reader(ranges)
        self._possible: dict[tuple[tuple[int, bool], ...], bool | None] = {}
        self._asked: list[Node] = []
        """Keeps the trees whose ids have been remembered."""

    def possible(self, *wanted: Wanted) -> bool | None:
        """Whether there are values for which all are as wanted; None where it is too much."""
        key = tuple((id(tree), truth) for tree, truth in wanted)
        if key not in self._possible:
            self._asked += [tree for tree, _ in wanted]
            self._possible[key] = self._decided(wanted)
        return self._possible[key]

    def implies(self, first: Sequence[Wanted], then: Wanted) -> bool:
        """Proven: whenever all of `first` are as wanted, so is `then`."""
        return self.possible(*first, Wanted(then.tree, not then.truth)) is False

    def example(self, *wanted: Wanted) -> Example | None:
        """Values for which all are as wanted, if they are possible."""
        if not self.possible(*wanted):
            return None
        examples = map(self._reader.example, self._reader.all_of(wanted))
        return next(example for example in examples if example)

    def _decided(self, wanted: Iterable[Wanted]) -> bool | None:
        try:
            return any(map(self._reader.is_possible, self._reader.all_of(wanted)))
        except TooLarge:
            return None


def variables(tree: Node) -> frozenset[Node]:
    """The parts that a condition is about: what is neither a constant nor plain arithmetic."""
    found: set[Node] = set()
    open_ = [tree]
    while open_:
        node = open_.pop()
        if node.op in _JUNCTIONS or node.op is Op.COMPARE or _is_linear(node):
            open_ += node.args
        elif node.op not in (Op.NUMBER, Op.TRUTH, Op.TEXT):
            found.add(node)
    return frozenset(found)


class _Reader:
    """Trees -> inequalities."""

    def __init__(self, ranges: Mapping[str, Field]) -> None:
        self._ranges = ranges
        self._numbers: dict[str, Node] = {}
        self._names: dict[Node, str] = {}
        self._ends: dict[str, list[Inequality]] = {}
        self._differences: dict[tuple[int, int], tuple[Node, Node, Mapping[str, int], int]] = {}
        self._known: dict[tuple[int, bool], tuple[Node, list[_Case]]] = {}

    def all_of(self, wanted: Iterable[Wanted]) -> list[_Case]:
        """The ways in which all can be as wanted. Raises TooLarge."""
        return _all(self.cases(tree, truth) for tree, truth in wanted)

    def cases(self, tree: Node, truth: bool) -> list[_Case]:
        """The ways in which the tree can be as wanted."""
        key = (id(tree), truth)
        if key not in self._known:
            self._known[key] = (tree, self._cases(tree, truth))
        return self._known[key][1]

    def _cases(self, tree: Node, truth: bool) -> list[_Case]:
        if tree.op is Op.TRUTH:
            return [()] if (tree.detail is True) == truth else []
        if tree.op is Op.NOT:
            return self.cases(tree.args[0], not truth)
        if tree.op in _JUNCTIONS:
            parts = (self.cases(arg, truth) for arg in tree.args)
            return _any(parts) if (tree.op is Op.OR) == truth else _all(parts)
        if tree.op is Op.COMPARE:
            return self._comparison(tree, truth)
        return [(_Flag(tree, truth), *self._meaning(tree, truth))]

    def _comparison(self, tree: Node, truth: bool) -> list[_Case]:
        left, right = tree.args
        sign = str(tree.detail) if truth else _FLIPPED[str(tree.detail)]
        if left.unit == TEXT:
            return [(_Flag(replace(tree, detail="=="), sign == "=="),)]
        if left.unit is not None:
            return self._compared(sign, left, right)
        same = sign == "=="
        ways = [(True, same), (False, not same)]
        return _any(_both(self.cases(left, a), self.cases(right, b)) for a, b in ways)

    def is_possible(self, case: _Case) -> bool:
        return _flags(case) is not None and is_solvable(self._limited(case))

    def example(self, case: _Case) -> Example | None:
        """Values for which the case holds, if there are any."""
        flags, found = _flags(case), solution(self._limited(case))
        if flags is None or found is None:
            return None
        return Example({self._numbers[name]: value for name, value in found.items()}, flags)

    def _limited(self, case: _Case) -> list[Inequality]:
        """What the case says of numbers, each within its range."""
        inequalities = [one for one in case if isinstance(one, Inequality)]
        names = {name for one in inequalities for name in one.terms}
        return [*inequalities, *(end for name in sorted(names) for end in self._range(name))]

    def _range(self, name: str) -> list[Inequality]:
        if name not in self._ends:
            low, high = interval(self._numbers[name], self._ranges)
            self._ends[name] = list(_ends(name, low, high))
        return self._ends[name]

    def _compared(self, sign: str, left: Node, right: Node) -> list[_Case]:
        terms, constant = self._difference(left, right)
        below = Inequality(terms, constant, strict=sign in ("<", "!="))
        negated = {name: -factor for name, factor in terms.items()}
        above = Inequality(negated, -constant, strict=sign in (">", "!="))
        match sign:
            case "<" | "<=":
                return [(below,)]
            case ">" | ">=":
                return [(above,)]
            case "==":
                return [(below, above)]
            case _:
                return [(below,), (above,)]

    def _difference(self, left: Node, right: Node) -> tuple[Mapping[str, int], int]:
        """Left less right, in whole numbers."""
        key = (id(left), id(right))
        if key not in self._differences:
            terms, constant = self._sum(left)
            others, other = self._sum(right)
            for name, factor in others.items():
                terms[name] = terms.get(name, Fraction(0)) - factor
            whole = inequality(terms, constant - other, strict=False)
            self._differences[key] = (left, right, whole.terms, whole.constant)
        return self._differences[key][2:]

    def _meaning(self, flag: Node, truth: bool) -> list[Inequality]:
        """What a truth value says of numbers: by night the sun is down."""
        if flag.op is not Op.NIGHT or not truth:
            return []
        return [inequality(self._variable(_SUN), Fraction(-_NIGHT_ELEVATION), strict=False)]

    def _variable(self, node: Node) -> dict[str, Fraction]:
        if node not in self._names:
            self._names[node] = canonical(node)
            self._numbers[self._names[node]] = node
        return {self._names[node]: Fraction(1)}

    def _sum(self, node: Node) -> tuple[dict[str, Fraction], Fraction]:
        """The number as sum(factor * variable) + constant."""
        if node.op is Op.NUMBER:
            return {}, node.number
        if not _is_linear(node):
            return self._variable(node), Fraction(0)
        if node.op is Op.CONVERT:
            assert isinstance(node.detail, tuple)
            factor, shift = node.detail
            assert isinstance(factor, Fraction)
            assert isinstance(shift, Fraction)
            return _scaled(self._sum(node.args[0]), factor, shift)
        left, right = node.args[0], node.args[-1]
        if node.op is Op.MULTIPLY:
            by, of = (left, right) if left.op is Op.NUMBER else (right, left)
            return _scaled(self._sum(of), by.number)
        if node.op in (Op.NEGATE, Op.DIVIDE):
            by_number = Fraction(-1) if node.op is Op.NEGATE else 1 / right.number
            return _scaled(self._sum(left), by_number)
        terms, constant = self._sum(left)
        others, other = _scaled(self._sum(right), Fraction(-1 if node.op is Op.SUBTRACT else 1))
        for name, factor in others.items():
            terms[name] = terms.get(name, Fraction(0)) + factor
        return terms, constant + other


def _flags(case: _Case) -> dict[Node, bool] | None:
    """What is true and what is false in a case; None if that contradicts itself."""
    flags: dict[Node, bool] = {}
    for one in case:
        if isinstance(one, _Flag) and flags.setdefault(one.node, one.truth) != one.truth:
            return None
    return None if _names_two_texts(flags) else flags


def _ends(name: str, low: Fraction | None, high: Fraction | None) -> Iterator[Inequality]:
    if low is not None:
        yield inequality({name: Fraction(-1)}, low, strict=False)
    if high is not None:
        yield inequality({name: Fraction(1)}, -high, strict=False)


def _names_two_texts(flags: Mapping[Node, bool]) -> bool:
    """Something that is equal to two different literals."""
    said: dict[Node, Node] = {}
    for node, truth in flags.items():
        if node.op is not Op.COMPARE or not truth:
            continue
        one, other = node.args if node.args[1].op is Op.TEXT else node.args[::-1]
        if other.op is Op.TEXT and said.setdefault(one, other) != other:
            return True
    return False


_JUNCTIONS = (Op.AND, Op.OR, Op.NOT)


def _is_linear(node: Node) -> bool:
    """Arithmetic that an inequality can say: sums, and multiples by a constant."""
    if node.op in (Op.ADD, Op.SUBTRACT, Op.NEGATE, Op.CONVERT):
        return True
    if node.op is Op.MULTIPLY:
        return any(arg.op is Op.NUMBER for arg in node.args)
    return node.op is Op.DIVIDE and node.args[1].op is Op.NUMBER


def _scaled(
    parts: tuple[dict[str, Fraction], Fraction], by: Fraction, shift: Fraction = Fraction(0)
) -> tuple[dict[str, Fraction], Fraction]:
    terms, constant = parts
    return {name: factor * by for name, factor in terms.items()}, constant * by + shift


def _any(parts: Iterable[list[_Case]]) -> list[_Case]:
    return _limited([case for part in parts for case in part])


def _all(parts: Iterable[list[_Case]]) -> list[_Case]:
    cases: list[_Case] = [()]
    for part in parts:
        cases = _both(cases, part)
    return cases


def _both(first: list[_Case], second: list[_Case]) -> list[_Case]:
    if len(first) * len(second) > CASES_MAX:
        raise TooLarge
    return [a + b for a in first for b in second]


def _limited(cases: list[_Case]) -> list[_Case]:
    if len(cases) > CASES_MAX:
        raise TooLarge
    return cases
