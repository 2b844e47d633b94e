"""Typed tree -> Python function: fast three-valued evaluation.

Guarantees the meaning of the tree under Kleene's logic (None is unknown; `false and unknown` is
false), terms judged left to right and no further than needed. Memories (prev, since, ...) are
folded at the top of the function, on every call, whatever the terms before them say. The source
that is compiled consists of names made here, wire keys of the catalogue and numbers: never of a
rule's text.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate
from fractions import Fraction
from math import inf
from types import CodeType, FunctionType
from typing import Any, cast

from rules import runtime
from rules.fields import CATALOGUE, CLAIM
from rules.rule import Condition, Judge
from rules.tree import MEMORIES, PEERS, WINDOWS, Detail, Node, Op, own, uses
from rules.unknown import may_be_unknown

_CALLED: tuple[Callable[..., Any], ...] = (
    runtime.average, runtime.beginning, runtime.changed, runtime.deviation, runtime.difference,
    runtime.expected_power, runtime.folded, runtime.held, runtime.highest, runtime.least,
    runtime.lowest, runtime.mean, runtime.most, runtime.newest, runtime.occurrences, runtime.turns,
    runtime.percentile, runtime.slope, runtime.speed, runtime.standing, runtime.trend,
)  # fmt: skip
_HELPERS: dict[str, Any] = {function.__name__: function for function in _CALLED} | {
    "everyone": lambda _v, _a, _x, _s: True,
    "inf": inf,
}
_READ = frozenset({Op.FIELD, Op.ATTRIBUTE})
_REDUCERS = {
    Op.COUNT_OVER: "occurrences",
    Op.AVG_OVER: "average",
    Op.MIN_OVER: "lowest",
    Op.MAX_OVER: "highest",
    Op.STD_OVER: "deviation",
    Op.PERCENTILE_OVER: "percentile",
    Op.FIRST_OVER: "beginning",
    Op.LAST_OVER: "newest",
    Op.DELTA_OVER: "difference",
    Op.RATE_OVER: "speed",
    Op.SLOPE_OVER: "slope",
    Op.TREND_OVER: "trend",
}
_PEERS_CALLS = {Op.PEERS_AVG: "mean", Op.PEERS_MIN: "least", Op.PEERS_MAX: "most"}
_FORMS = {
    Op.NOT: "not {0}",
    Op.NEGATE: "-{0}",
    Op.ABS: "{0} if {0} >= 0 else -{0}",
    Op.SUN: "x.sun_elev()",
    Op.SILENT: "x.silent_ms()",
    Op.HOUR: "x.local_hour()",
    Op.WEEKDAY: "x.weekday()",
    Op.SCHEDULE: "x.in_schedule({0})",
    Op.TIME_TO: "x.time_to_ms({0})",
}


def compiled(node: Node, first_slot: int = 0) -> tuple[Judge, int]:
    """The function of a tree and how many slots it has; its slots start at `first_slot`, and each
    is None before the first sample.
    """
    writer = _Writer(first_slot)
    return _built(writer.function(node), writer), writer.slots


def remembering(parts: Iterable[tuple[Node, int]]) -> Judge | None:
    """A function that folds the memories of some trees, each with its first slot, and judges
    nothing; None if they have none.
    """
    writer = _Writer(0)
    source = writer.folds([(node, first_slot) for node, first_slot in parts])
    return _built(source, writer) if writer.slots else None


def _built(source: str, writer: "_Writer") -> Judge:
    namespace = {**_HELPERS, **writer.constants, "__builtins__": {}}
    module = compile(source, "<rule>", "exec")
    code = next(part for part in module.co_consts if isinstance(part, CodeType))
    return cast("Judge", FunctionType(code, namespace))


def condition_of(text: str, node: Node, first_slot: int) -> tuple[Condition, int]:
    """A condition and how many slots it takes from `first_slot` on."""
    made = Condition(text, lambda: compiled(node, first_slot)[0], reads(node), node, first_slot)
    return made, len(slot_order(node))


def slot_order(node: Node) -> list[Node]:
    """The memories of a tree in the order in which they take slots; equal ones share one."""
    found: dict[Node, None] = {}
    if node.op not in PEERS:
        for arg in node.args:
            found |= dict.fromkeys(slot_order(arg))
        if node.op in MEMORIES:
            found[node] = None
    return list(found)


class _Writer:
    """Writes one function, line by line. `atom` below: a local name or a literal."""

    def __init__(self, first_slot: int) -> None:
        self.constants: dict[str, Any] = {}
        self.slots = 0
        self._first_slot = first_slot
        self._lines: list[str] = []
        self._indent = 1
        self._locals: dict[Node, str] = {}
        """Values that are read once and then hold for the whole function."""
        self._count = 0

    def function(self, node: Node) -> str:
        self._begin_timed(node)
        self._memories(node)
        if node.op is Op.AND:
            self._root_and(node)
        else:
            self._reads(node)
            self._line(f"return {self._value(node)}")
        return self._source()

    def folds(self, parts: Sequence[tuple[Node, int]]) -> str:
        self._begin_timed(*(node for node, _ in parts))
        total = 0
        for node, first_slot in parts:
            self._first_slot, self.slots = first_slot, 0
            self._memories(node)
            total += self.slots
            # What two trees read they share; what each remembers is its own.
            self._locals = {known: q for known, q in self._locals.items() if known.op in _READ}
        self.slots = total
        self._line("return None")
        return self._source()

    def _begin_timed(self, *nodes: Node) -> None:
        if any(uses(node, Op.RATE, Op.SINCE, Op.AGE, *WINDOWS) for node in nodes):
            self._line("t = x.ts_ms")

    def _source(self) -> str:
        return "def judge(v, a, x, s):\n" + "\n".join(self._lines) + "\n"

    def _line(self, text: str) -> None:
        self._lines.append("    " * self._indent + text)

    def _new(self) -> str:
        self._count += 1
        return f"q{self._count}"

    def _set(self, expression: str) -> str:
        name = self._new()
        self._line(f"{name} = {expression}")
        return name

    def _constant(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name

    def _root_and(self, node: Node) -> None:
        """The usual rule: leave at the first false term, before the later ones are even read."""
        self._line("r = True")
        for term in node.args:
            self._reads(term)
            atom = self._value(term)
            self._line(f"if {atom} is not True:")
            self._line(f"    if {atom} is False: return False")
            self._line("    r = None")
        self._line("return r")

    def _reads(self, node: Node) -> None:
        """Fetch the fields and attributes of a term into locals."""
        if node in self._locals or node.op in PEERS:
            return
        if node.op in _READ:
            source = "v" if node.op is Op.FIELD else "a"
            self._locals[node] = self._set(f"{source}.get({str(node.detail)!r})")
        for arg in node.args:
            self._reads(arg)

    # -- memories -----------------------------------------------------------------------------

    def _memories(self, node: Node) -> None:
        """Fold every memory of the tree, inner ones first."""
        if node.op in PEERS:
            return
        for arg in node.args:
            self._memories(arg)
        if node.op in MEMORIES and node not in self._locals:
            self._reads(node.args[0])
            now = self._value(node.args[0])
            slot = f"s[{self._first_slot + self.slots}]"
            self.slots += 1
            self._locals[node] = self._fold(node, now, slot)

    def _fold(self, node: Node, now: str, slot: str) -> str:
        before = self._set(slot)
        match node.op:
            case Op.PREV:
                self._line(f"if {now} is not None: {slot} = {now}")
                return before
            case Op.CHANGED:
                both = f"{now} is None or {before} is None"
                result = self._set(f"None if {both} else {now} != {before}")
                self._line(f"if {now} is not None: {slot} = {now}")
                return result
            case Op.SINCE:
                self._line(f"if {now} is True: {slot} = {before} = t")
                return self._set(f"inf if {before} is None else t - {before}")
            case Op.AGE:
                self._line(f"if {now} is not None: {slot} = {before} = t")
                return self._set(f"None if {before} is None else t - {before}")
            case Op.RATE:
                return self._fold_rate(now, slot, before)
        return self._fold_window(node, now, slot, before)

    def _fold_window(self, node: Node, now: str, slot: str, before: str) -> str:
        length, *more = node.detail if isinstance(node.detail, tuple) else (node.detail,)
        window = _detail(length)
        if node.op is Op.HELD_OVER:
            fold, result = f"standing({before}, t, {now})", f"held({{}}, t, {window})"
        elif node.op is Op.CHANGES_OVER:
            fold, result = f"turns({before}, t, {now}, {window})", "changed({})"
        else:
            seen = f"{now} if {now} is True else None" if node.op is Op.COUNT_OVER else now
            fold = f"folded({before}, t, {seen}, {window})"
            result = f"{_REDUCERS[node.op]}({', '.join(['{}', *map(_detail, more)])})"
        after = self._set(fold)
        self._line(f"{slot} = {after}")
        return self._set(result.format(after))

    def _fold_rate(self, now: str, slot: str, before: str) -> str:
        result = self._set("None")
        self._line(f"if {now} is not None:")
        self._line(f"    if {before} is not None and t > {before}[0]:")
        self._line(f"        {result} = ({now} - {before}[1]) / (t - {before}[0])")
        self._line(f"    {slot} = (t, {now})")
        return result

    # -- values -------------------------------------------------------------------------------

    def _value(self, node: Node) -> str:
        """Write what computes the node; the atom that holds it."""
        if node in self._locals:
            return self._locals[node]
        if node.op is Op.NUMBER:
            return _literal(node.number)
        if node.op is Op.TRUTH:
            return str(node.detail is True)
        if node.op is Op.TEXT:
            return self._constant(node.detail)
        writers: dict[Op, Callable[[Node], str]] = {
            Op.AND: self._junction,
            Op.OR: self._junction,
            Op.COALESCE: self._coalesce,
            Op.EXPECTED: self._expected,
            **dict.fromkeys(PEERS, self._peers),
        }
        atom = writers.get(node.op, self._plain)(node)
        if self._indent == 1:  # everything that follows comes after this
            self._locals[node] = atom
        return atom

    def _plain(self, node: Node) -> str:
        """An operation that is unknown when an operand is."""
        atoms = [self._value(arg) for arg in node.args]
        if node.op is Op.KNOWN:
            certain = not may_be_unknown(node.args[0])
            return "True" if certain else self._set(f"{atoms[0]} is not None")
        expression = self._expression(node, atoms)
        missing = [
            f"{atom} is None"
            for atom, arg in zip(atoms, node.args, strict=True)
            if may_be_unknown(arg)
        ]
        if node.op is Op.DIVIDE and not node.args[1].is_constant:
            missing.append(f"{atoms[1]} == 0")
        if not missing:
            return self._set(expression)
        return self._set(f"None if {' or '.join(dict.fromkeys(missing))} else {expression}")

    def _expression(self, node: Node, atoms: list[str]) -> str:  # noqa: PLR0911 - one a form
        match node.op:
            case Op.COMPARE:
                return f"{atoms[0]} {_SIGNS[str(node.detail)]} {atoms[1]}"
            case Op.ADD | Op.SUBTRACT | Op.DIVIDE:
                return f"{atoms[0]} {node.op.value} {atoms[1]}"
            case Op.MULTIPLY:
                # In floats: whole numbers of any length would cost any time.
                constant = any(arg.is_constant for arg in node.args)
                return ("" if constant else "1.0 * ") + f"{atoms[0]} * {atoms[1]}"
            case Op.CONVERT:
                return _conversion(node, atoms[0])
            case Op.MIN:
                return f"{atoms[0]} if {atoms[0]} <= {atoms[1]} else {atoms[1]}"
            case Op.MAX:
                return f"{atoms[0]} if {atoms[0]} >= {atoms[1]} else {atoms[1]}"
            case _:
                return self._call(node, atoms)

    def _call(self, node: Node, atoms: list[str]) -> str:
        match node.op:
            case Op.NIGHT:
                assert isinstance(node.detail, Fraction)
                return f"x.is_night({int(node.detail)})"
            case Op.MATCHES:
                pattern = re.compile(translate(str(node.detail)))
                return f"{self._constant(pattern.match)}({atoms[0]}) is not None"
            case Op.CLAIMS:
                return f"{CLAIM + str(node.detail)!r} in v"
            case Op.PHASE:
                assert isinstance(node.detail, tuple)
                rule, phase = (self._constant(part) for part in node.detail)
                return f"x.phase({rule}) == {phase}"
            case _:
                return _FORMS[node.op].format(*atoms)

    def _junction(self, node: Node) -> str:
        """The first decisive term decides; else unknown if any term is."""
        decisive, neutral = ("False", "True") if node.op is Op.AND else ("True", "False")
        result = self._new()
        self._line(f"{result} = {neutral}")
        for i, term in enumerate(node.args):
            if i:
                self._line(f"if {result} is not {decisive}:")
                self._indent += 1
            atom = self._value(term)
            self._line(f"if {atom} is not {neutral}: {result} = {atom}")
            self._indent -= bool(i)
        return result

    def _coalesce(self, node: Node) -> str:
        first, second = node.args
        result = self._set(self._value(first))
        self._line(f"if {result} is None:")
        self._indent += 1
        self._line(f"{result} = {self._value(second)}")
        self._indent -= 1
        return result

    def _expected(self, node: Node) -> str:
        level = self._value(node.args[0])
        given = node.detail is not None
        nominal, curve = self._set("a.get('nominal_power_w')"), self._set("a.get('dim_curve')")
        # Most lamps have no curve: for them a call would cost more than the computation.
        short = f"{nominal} * {level} / 100.0"
        usual = f"{curve} is None and {nominal} is not None"
        if may_be_unknown(node.args[0]):
            usual += f" and {level} is not None"
        call = f"expected_power({nominal}, {curve}, {level}, {given})"
        return self._set(f"{short} if {usual} else {call}")

    def _peers(self, node: Node) -> str:
        if node.op is Op.PEERS_ALL:
            return self._set("x.peers(everyone).all")
        judge, _ = compiled(node.args[0])
        if node.op in _PEERS_CALLS:
            values = f"x.peers_values({self._constant(judge)})"
            return self._set(f"{_PEERS_CALLS[node.op]}({values})")
        count = self._set(f"x.peers({self._constant(judge)})")
        if node.op is Op.PEERS_COUNT:
            return self._set(f"{count}.true")
        return self._set(f"{count}.true / {count}.all if {count}.all else None")


_ALL_KEYS = frozenset(key for fields in CATALOGUE.values() for key in fields)
_SIGNS = {sign: sign for sign in ("<", "<=", ">", ">=", "==", "!=")}


def _literal(value: Fraction) -> str:
    return repr(float(value))


def reads(node: Node) -> frozenset[str]:
    """The wire keys of the subject's samples that a tree reads. A claim is also denied, by every
    sample without it.
    """
    parts = list(own(node))
    fields = frozenset(str(part.detail) for part in parts if part.op is Op.FIELD)
    claims = frozenset(CLAIM + str(part.detail) for part in parts if part.op is Op.CLAIMS)
    return fields | claims | _ALL_KEYS | {CLAIM} if claims else fields


def _detail(value: Detail) -> str:
    assert isinstance(value, Fraction)
    return _literal(value)


def _conversion(node: Node, atom: str) -> str:
    assert isinstance(node.detail, tuple)
    factor, shift = node.detail
    assert isinstance(factor, Fraction)
    assert isinstance(shift, Fraction)
    # A division by 100 is exact where a product with 0.01 is not.
    scaled = f"{atom} / {_literal(1 / factor)}" if factor < 1 else f"{atom} * {_literal(factor)}"
    return scaled if shift == 0 else f"{scaled} + {_literal(shift)}"
