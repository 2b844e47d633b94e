"""Text of an expression -> typed tree.

Guarantees that what it returns is fully checked: every name known, every operand of the right kind
and dimension, nothing that can never be true, nothing larger than its limits. What is wrong is
raised as `Refused`, a finding at its line and column in the file. Never evaluates anything; the
text of a rule goes no further than this room.
"""

import re
from fractions import Fraction
from functools import reduce

from lark import Token, Tree

from rules import functions, operators
from rules.bounds import Interval, interval, verdict
from rules.cost import COST_US_MAX, cost_us
from rules.document import Scalar, near
from rules.finding import Finding
from rules.names import Context, Names, need, resolve
from rules.syntax import Refused, Syntax, parse, quantity, span
from rules.tree import (
    DEPTH_MAX,
    MEMORIES,
    PEERS,
    SIZE_MAX,
    Fault,
    Node,
    Op,
    Span,
    in_unit,
    number,
    uses,
    walk,
)
from rules.units import ONE, PERCENT, TEXT, UNITS, WATT, Unit, find

_PEERS = {op.value: op for op in PEERS if op is not Op.PEERS_ALL}
_FUNCTIONS = (*functions.names(), "expected_power", "claims", *sorted(_PEERS))
_CLAIM = re.compile(r"[a-z][a-z0-9_]{0,63}")
_AMOUNT = re.compile(r"(-?)([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([A-Za-z%][A-Za-z0-9/%]*)?")
_NOTHING = Context("a setting", {}, has_attributes=False, has_history=False)
_FIXED = (Op.NUMBER, Op.TRUTH, Op.COMPARE)


def read(scalar: Scalar, context: Context, names: Names) -> Node:
    """The tree of an expression of any type. Raises Refused."""
    return _Reader(scalar, context, names).read()


def condition(scalar: Scalar, context: Context, names: Names) -> Node:
    """The tree of an expression that is true or false. Raises Refused."""
    reader = _Reader(scalar, context, names)
    tree = reader.read()
    try:
        _check_cost(tree)
        return operators.truth(tree, "a condition")
    except Fault as fault:
        raise Refused(reader.finding(fault)) from None


def constant(scalar: Scalar, names: Names) -> Node:
    """A literal, or a computation with literals and params. Raises Refused."""
    if (plain := _plain(scalar.text)) is not None:
        return plain
    tree = read(scalar, _NOTHING, names)
    if not tree.is_constant:
        raise Refused(scalar.finding(0, "E005", f"`{scalar.text}` is not a constant"))
    return tree


def _plain(text: str) -> Node | None:
    """A number with its unit, which most settings and samples are: read without the grammar."""
    found = _AMOUNT.fullmatch(text)
    if found is None:
        return None
    sign, digits, symbol = found.groups()
    unit = find(symbol) if symbol else ONE
    return number(Fraction(sign + digits), unit, Span(0, len(text))) if unit else None


class _Reader:
    """One expression on its way from text to tree."""

    def __init__(self, scalar: Scalar, context: Context, names: Names) -> None:
        self._scalar = scalar
        self._context = context
        self._names = names
        self._let = names.open[-1] if names.open else ""

    def read(self) -> Node:
        try:
            return self._node(parse(self._scalar), self._context)
        except Fault as fault:
            raise Refused(self.finding(fault)) from None

    def finding(self, fault: Fault) -> Finding:
        quoted = [self._quote(node) for node in fault.nodes]
        offset = fault.nodes[0].span.start if fault.nodes else 0
        message = fault.message.format(*quoted)
        marks = [(node.span.start, node.span.end, _noted(node)) for node in fault.nodes]
        hint = fault.help or (_kindred(fault, self._context) if fault.code == "E104" else "")
        return self._scalar.finding(offset, fault.code, message, hint, *marks)

    def _quote(self, node: Node) -> str:
        text = self._scalar.text[node.span.start : node.span.end]
        return f"`{text}`" + (f" ({node.unit})" if node.unit and node.unit != ONE else "")

    def _warn(self, fault: Fault) -> None:
        self._names.warnings.append(self.finding(fault))

    def _read_let(self, scalar: Scalar, context: Context) -> Node:
        return read(scalar, context, self._names)

    def _node(self, syntax: Syntax, context: Context) -> Node:
        node = self._typed(syntax, context)
        if node.size > SIZE_MAX or node.depth > DEPTH_MAX:
            raise Fault("E100", "too large, counting what its let names stand for: {0}", node)
        return node

    def _typed(self, syntax: Syntax, context: Context) -> Node:
        where = span(syntax, self._let)
        match str(syntax.data):
            case "name":
                parts = [str(part) for part in syntax.children]
                here = Node(Op.TRUTH, None, (), None, where)
                return resolve(parts, here, context, self._names, self._read_let)
            case "call":
                return self._call(syntax, context)
            case "quantity":
                return _quantity(str(syntax.children[0]), where)
            case "truth":
                return Node(Op.TRUTH, None, (), str(syntax.children[0]) == "true", where)
            case "text":
                return Node(Op.TEXT, TEXT, (), str(syntax.children[0])[1:-1], where)
        return self._operator(syntax, self._operands(syntax, context), context)

    def _operands(self, syntax: Syntax, context: Context) -> list[Node]:
        return [self._node(child, context) for child in syntax.children if isinstance(child, Tree)]

    def _operator(  # noqa: PLR0911 - one for each form
        self, syntax: Syntax, operands: list[Node], context: Context
    ) -> Node:
        where = span(syntax, self._let)
        signs = [str(child) for child in syntax.children if isinstance(child, Token)]
        match str(syntax.data):
            case "disjunction":
                return operators.junction(Op.OR, operands, where)
            case "conjunction":
                return operators.junction(Op.AND, operands, where)
            case "negation":
                return operators.negation(operands[0], where)
            case "comparison":
                return self._comparison(signs, operands, where, context)
            case "member":
                return operators.member(operands[0], operands[1:], where, self._warn)
            case "stranger":
                found = operators.member(operands[0], operands[1:], where, self._warn)
                return operators.negation(found, where)
            case "matches":
                return operators.matching(operands[0], signs[0][1:-1], where)
            case "sign":
                return _signed(signs[0], operands[0], where)
            case _:
                return self._arithmetic(signs, operands)

    def _comparison(
        self, signs: list[str], operands: list[Node], where: Span, context: Context
    ) -> Node:
        pairs = []
        for sign, left, right in zip(signs, operands, operands[1:], strict=False):
            here = Span(left.span.start, right.span.end, self._let)
            pair = operators.comparison(sign, left, right, here, self._warn)
            _check_open(pair, context)
            pairs.append(pair)
        return pairs[0] if len(pairs) == 1 else operators.junction(Op.AND, pairs, where)

    def _arithmetic(self, signs: list[str], operands: list[Node]) -> Node:
        def join(left: Node, step: tuple[str, Node]) -> Node:
            op, right = Op(step[0]), step[1]
            where = Span(left.span.start, right.span.end, self._let)
            if op in (Op.ADD, Op.SUBTRACT):
                return operators.sum_of(op, left, right, where, self._warn)
            return operators.product_of(op, left, right, where)

        return reduce(join, zip(signs, operands[1:], strict=True), operands[0])

    def _call(self, syntax: Syntax, context: Context) -> Node:
        name_tree, *rest = [child for child in syntax.children if isinstance(child, Tree)]
        here = Node(Op.TRUTH, None, (), None, span(syntax, self._let))
        name = ".".join(str(part) for part in name_tree.children)
        if name_tree.data == "group":
            name = _grouped(name_tree, here, context)
        arguments = [_argument(name, c, here) for c in rest if c.data == "argument"]
        window = next((self._operands(c, context)[0] for c in rest if c.data == "window"), None)
        if window and (name in ("expected_power", "claims") or name.startswith("peers.")):
            raise Fault("E102", f"{name}() takes no `over`", here, help="leave it out")
        if name.startswith("peers."):
            return self._peers(name, arguments, here, context)
        if name not in _FUNCTIONS:
            raise Fault("E101", f"there is no function {name}", here, help=near(name, _FUNCTIONS))
        if name == "claims":
            return _claims(arguments, here)
        args = [self._node(argument, context) for argument in arguments]
        if name == "expected_power":
            return _expected(args, here, context)
        node = functions.build(functions.Call(name, args, window, here.span, self._warn))
        fits = context.has_history or node.op not in MEMORIES
        need(fits, "{0} needs the history of one subject", here, context)
        return node

    def _peers(self, name: str, arguments: list[Syntax], here: Node, context: Context) -> Node:
        if context.members is None:
            hint = "peers are for rules of scope circuit or zone"
            raise Fault("E103", f"{{0}}: {context.about} has no peers", here, help=hint)
        if name not in _FUNCTIONS:
            raise Fault("E101", f"there is no function {name}", here, help=near(name, _FUNCTIONS))
        if not arguments and name == "peers.count":
            return Node(Op.PEERS_ALL, ONE, (), None, here.span)
        op = _PEERS[name]
        unit: Unit = ONE
        if len(arguments) != 1:
            wants = "condition" if op in (Op.PEERS_COUNT, Op.PEERS_FRACTION) else "number"
            raise Fault("E102", f"{name}() takes one {wants}", here)
        asked = self._node(arguments[0], context.members)
        if op in (Op.PEERS_COUNT, Op.PEERS_FRACTION):
            operators.truth(asked, name)
        else:
            unit = operators.amount_of(asked, name)
        if uses(asked, *MEMORIES):
            raise Fault("E103", "{0}: prev, since and windows do not work for peers", asked)
        return Node(op, unit, (asked,), None, here.span)


def _grouped(name: Syntax, here: Node, context: Context) -> str:
    """`peers(circuit).count` is `peers.count`, where peers are those of a circuit."""
    of, function = map(str, name.children)
    scope = of[of.index("(") + 1 : of.index(")")].strip()
    if context.members is not None and context.about != f"a {scope}":
        hint = "write peers.count(...) and the like: these are its own"
        raise Fault("E103", f"{{0}}: {context.about} has no peers({scope})", here, help=hint)
    return f"peers.{function}"


def _claims(arguments: list[Syntax], here: Node) -> Node:
    names = [str(part) for argument in arguments for part in argument.children]
    if len(names) != 1 or arguments[0].data != "name" or not _CLAIM.fullmatch(names[0]):
        hint = "write claims(lamp_failure), with the name of a fault in small letters"
        raise Fault("E102", "claims() takes the name of one fault", here, help=hint)
    return Node(Op.CLAIMS, None, (), names[0], here.span)


def _kindred(fault: Fault, context: Context) -> str:
    """Fields of the kind of each side: one of them may have been meant."""
    known = {item.name: UNITS[item.unit] for item in context.fields.values() if not item.is_bool}
    hints = []
    for node in fault.nodes:
        if node.unit is not None and node.unit != ONE:
            same = [name for name, unit in known.items() if unit.dimension == node.unit.dimension]
            names = " or ".join(same[:4]) or "nothing that is measured"
            hints.append(f"in {node.unit} there is {names}")
    return "; ".join(dict.fromkeys(hints))


def _noted(node: Node) -> str:
    return str(node.unit) if node.unit and node.unit != ONE else ""


def _quantity(text: str, where: Span) -> Node:
    value, symbol = quantity(text)
    here = Node(Op.TRUTH, None, (), None, where)
    if value is None:
        hint = "take a larger unit, or fewer digits"
        raise Fault("E100", "{0}: numbers go up to 1e12", here, help=hint)
    unit: Unit | None = find(symbol) if symbol else ONE
    if unit is None:
        raise Fault("E105", f"unknown unit {symbol!r} in {{0}}", here, help=near(symbol, UNITS))
    return number(value, unit, where)


_KEYWORD = "arguments have no names, but for is_night(margin=20min)"


def _signed(sign: str, operand: Node, where: Span) -> Node:
    if sign == "-":
        return operators.minus(operand, where)
    operators.amount_of(operand, "`+`")
    return operand


def _argument(function: str, syntax: Syntax, here: Node) -> Syntax:
    keyword, value = syntax.children
    if keyword is not None and (function, str(keyword)) != ("is_night", "margin"):
        raise Fault("E102", f"{function}() has no argument named {keyword}", here, help=_KEYWORD)
    assert isinstance(value, Tree)
    return value


def _expected(args: list[Node], here: Node, context: Context) -> Node:
    need(context.is_lamp, "{0} is about a lamp", here, context)
    if len(args) != 1 or args[0].unit is None or args[0].unit.dimension != ONE.dimension:
        raise Fault("E102", "expected_power(level) takes one dim level", here)
    return Node(Op.EXPECTED, WATT, (in_unit(args[0], PERCENT),), "given", here.span)


def _check_cost(tree: Node) -> None:
    if cost_us(tree) > COST_US_MAX:
        hint = "ask for fewer windows, or for the same one in each place"
        message = f"too costly: up to {cost_us(tree):.0f} us a sample, of {COST_US_MAX:.0f}"
        raise Fault("E106", message, tree, help=hint)


def _check_open(pair: Node, context: Context) -> None:
    """Refuse a comparison whose outcome the ranges of its fields decide."""
    left, right = pair.args
    if left.unit is None or all(part.op in _FIXED for part in walk(pair)):
        return
    ranges = context.ranges()
    bounds = interval(left, ranges), interval(right, ranges)
    decided = verdict(str(pair.detail), *bounds)
    if decided is None:
        return
    varying, its = (left, bounds[0]) if not left.is_constant else (right, bounds[1])
    raise Fault(
        "E111" if decided else "E110",
        "can never be " + ("false" if decided else "true") + ": {0} is in " + _shown(its, varying),
        varying,
        help=f"choose a limit inside of {_shown(its, varying)}; is the sign the right way round?",
    )


def _shown(bounds: Interval, node: Node) -> str:
    low, high = ("..." if end is None else f"{float(end):g}" for end in bounds)
    return f"[{low}, {high}] {node.unit if node.unit and node.unit != ONE else ''}".rstrip()
