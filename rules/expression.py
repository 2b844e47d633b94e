"""Text of an expression -> typed tree.

Guarantees that what it returns is fully checked: every name known, every operand of the right kind
and dimension, nothing that can never be true, nothing larger than its limits. What is wrong is
raised as `Refused`, a finding at its line and column in the file. Never evaluates anything; the
text of a rule goes no further than this room.
"""

from functools import reduce

from lark import Token, Tree

from rules import functions, operators
from rules.bounds import Interval, interval, verdict
from rules.document import Scalar, near
from rules.finding import Finding
from rules.names import Context, Names, need, resolve
from rules.syntax import Refused, Syntax, parse, quantity, span
from rules.tree import (
    DEPTH_MAX,
    MEMORIES,
    SIZE_MAX,
    Fault,
    Node,
    Op,
    Span,
    in_unit,
    number,
    uses,
)
from rules.units import ONE, PERCENT, UNITS, WATT, Unit, find

_FUNCTIONS = (*functions.names(), "expected_power", "peers.count", "peers.fraction")
_ABOUT_SUBJECT = tuple(op for op in Op if op not in (Op.NUMBER, Op.TRUTH, Op.COMPARE))


def read(scalar: Scalar, context: Context, names: Names) -> Node:
    """The tree of an expression of any type. Raises Refused."""
    return _Reader(scalar, context, names).read()


def condition(scalar: Scalar, context: Context, names: Names) -> Node:
    """The tree of an expression that is true or false. Raises Refused."""
    reader = _Reader(scalar, context, names)
    tree = reader.read()
    try:
        return operators.truth(tree, "a condition")
    except Fault as fault:
        raise Refused(reader.finding(fault)) from None


def constant(scalar: Scalar, names: Names) -> Node:
    """A literal, or a computation with literals and params. Raises Refused."""
    nothing = Context("a setting", {}, has_attributes=False, has_history=False)
    tree = read(scalar, nothing, names)
    if not tree.is_constant:
        raise Refused(scalar.finding(0, "E005", f"`{scalar.text}` is not a constant"))
    return tree


class _Reader:
    """One expression on its way from text to tree."""

    def __init__(self, scalar: Scalar, context: Context, names: Names) -> None:
        self._scalar = scalar
        self._context = context
        self._names = names

    def read(self) -> Node:
        try:
            return self._node(parse(self._scalar), self._context)
        except Fault as fault:
            raise Refused(self.finding(fault)) from None

    def finding(self, fault: Fault) -> Finding:
        quoted = [self._quote(node) for node in fault.nodes]
        offset = fault.nodes[0].span.start if fault.nodes else 0
        return self._scalar.finding(offset, fault.code, fault.message.format(*quoted), fault.help)

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
        where = span(syntax)
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
        return self._operator(syntax, self._operands(syntax, context), context)

    def _operands(self, syntax: Syntax, context: Context) -> list[Node]:
        return [self._node(child, context) for child in syntax.children if isinstance(child, Tree)]

    def _operator(  # noqa: PLR0911 - one for each form
        self, syntax: Syntax, operands: list[Node], context: Context
    ) -> Node:
        where = span(syntax)
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
            case "sign":
                return _signed(signs[0], operands[0], where)
            case _:
                return self._arithmetic(signs, operands)

    def _comparison(
        self, signs: list[str], operands: list[Node], where: Span, context: Context
    ) -> Node:
        pairs = []
        for sign, left, right in zip(signs, operands, operands[1:], strict=False):
            here = Span(left.span.start, right.span.end)
            pair = operators.comparison(sign, left, right, here, self._warn)
            _check_open(pair, context)
            pairs.append(pair)
        return pairs[0] if len(pairs) == 1 else operators.junction(Op.AND, pairs, where)

    def _arithmetic(self, signs: list[str], operands: list[Node]) -> Node:
        def join(left: Node, step: tuple[str, Node]) -> Node:
            op, right = Op(step[0]), step[1]
            where = Span(left.span.start, right.span.end)
            if op in (Op.ADD, Op.SUBTRACT):
                return operators.sum_of(op, left, right, where, self._warn)
            return operators.product_of(op, left, right, where)

        return reduce(join, zip(signs, operands[1:], strict=True), operands[0])

    def _call(self, syntax: Syntax, context: Context) -> Node:
        name_tree, *rest = [child for child in syntax.children if isinstance(child, Tree)]
        name = ".".join(str(part) for part in name_tree.children)
        here = Node(Op.TRUTH, None, (), None, span(syntax))
        arguments = [_argument(name, c, here) for c in rest if c.data == "argument"]
        if name.startswith("peers."):
            return self._peers(name, arguments, here, context)
        if name not in _FUNCTIONS:
            raise Fault("E101", f"there is no function {name}", here, help=near(name, _FUNCTIONS))
        args = [self._node(argument, context) for argument in arguments]
        if name == "expected_power":
            return _expected(args, here, context)
        window = next((self._operands(c, context)[0] for c in rest if c.data == "window"), None)
        node = functions.build(functions.Call(name, args, window, here.span, self._warn))
        fits = context.has_history or node.op not in MEMORIES
        need(fits, "{0} needs the history of one subject", here, context)
        return node

    def _peers(self, name: str, arguments: list[Syntax], here: Node, context: Context) -> Node:
        if context.members is None:
            hint = "peers are for rules of scope circuit"
            raise Fault("E103", f"{{0}}: {context.about} has no peers", here, help=hint)
        if name not in _FUNCTIONS:
            raise Fault("E101", f"there is no function {name}", here, help=near(name, _FUNCTIONS))
        if not arguments and name == "peers.count":
            return Node(Op.PEERS_ALL, ONE, (), None, here.span)
        if len(arguments) != 1:
            raise Fault("E102", f"{name}() takes one condition", here)
        judged = operators.truth(self._node(arguments[0], context.members), name)
        if uses(judged, *MEMORIES):
            raise Fault("E103", "{0}: prev, since and windows do not work for peers", judged)
        return Node(Op(name), ONE, (judged,), None, here.span)


def _quantity(text: str, where: Span) -> Node:
    value, symbol = quantity(text)
    here = Node(Op.TRUTH, None, (), None, where)
    if value is None:
        raise Fault("E100", "{0}: numbers go up to 1e12", here)
    unit: Unit | None = find(symbol) if symbol else ONE
    if unit is None:
        raise Fault("E105", f"unknown unit {symbol!r} in {{0}}", here, help=near(symbol, UNITS))
    return number(value, unit, where)


def _signed(sign: str, operand: Node, where: Span) -> Node:
    if sign == "-":
        return operators.minus(operand, where)
    operators.amount_of(operand, "`+`")
    return operand


def _argument(function: str, syntax: Syntax, here: Node) -> Syntax:
    keyword, value = syntax.children
    if keyword is not None and (function, str(keyword)) != ("is_night", "margin"):
        raise Fault("E102", f"{function}() has no argument named {keyword}", here)
    assert isinstance(value, Tree)
    return value


def _expected(args: list[Node], here: Node, context: Context) -> Node:
    need(context.is_lamp, "{0} is about a lamp", here, context)
    if len(args) != 1 or args[0].unit is None or args[0].unit.dimension != ONE.dimension:
        raise Fault("E102", "expected_power(level) takes one dim level", here)
    return Node(Op.EXPECTED, WATT, (in_unit(args[0], PERCENT),), "given", here.span)


def _check_open(pair: Node, context: Context) -> None:
    """Refuse a comparison whose outcome the ranges of its fields decide."""
    left, right = pair.args
    if left.unit is None or not uses(pair, *_ABOUT_SUBJECT):
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
    )


def _shown(bounds: Interval, node: Node) -> str:
    low, high = ("..." if end is None else f"{float(end):g}" for end in bounds)
    return f"[{low}, {high}] {node.unit if node.unit and node.unit != ONE else ''}".rstrip()
