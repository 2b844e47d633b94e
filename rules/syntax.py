"""Text of an expression -> syntax tree with positions: the grammar and its limits.

Guarantees that what it returns fits `grammar.lark` and is neither longer nor deeper than its
limits, so that what comes after it may recurse. A fault is `Refused`, a finding at its line and
column in the file. Knows no names, no units, no types.
"""

import re
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files

from lark import Lark, Token, Tree, UnexpectedInput

from rules.document import Scalar
from rules.finding import Finding
from rules.slips import advice, at_the_end
from rules.tree import Span

TEXT_MAX = 512  # characters: a condition longer than this wants `let` names
NESTING_MAX = 32  # no one can read more, and it bounds the recursion that follows
_NUMBER_MAX = Fraction(10) ** 12  # the largest value of any field
_DIGITS_MAX = 24
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(.*)", re.DOTALL)
Syntax = Tree[Token]


class Refused(Exception):  # noqa: N818 - the rule is at fault, not the program
    """A text is wrong; `finding` says how."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def parse(scalar: Scalar) -> Syntax:
    """The syntax of the whole text. Raises Refused (E100)."""
    if len(scalar.text) > TEXT_MAX:
        raise _refused(scalar, TEXT_MAX, f"longer than {TEXT_MAX} characters", "use let names")
    try:
        tree = _tree(scalar.text)
    except UnexpectedInput as error:
        raise _unexpected(scalar, error) from None
    _check_nesting(scalar, tree)
    assert isinstance(tree.children[0], Tree)
    return tree.children[0]


def span(syntax: Syntax, let: str = "") -> Span:
    return Span(syntax.meta.start_pos, syntax.meta.end_pos, let)


def quantity(text: str) -> tuple[Fraction | None, str]:
    """The number (None: beyond the limit) and the symbol of its unit, "" for none."""
    found = _QUANTITY.fullmatch(text)
    assert found is not None
    digits, symbol = found.groups()
    mantissa, _, exponent = digits.lower().partition("e")
    if len(digits) > _DIGITS_MAX or abs(int(exponent or 0)) > _DIGITS_MAX:
        return None, symbol
    value = Fraction(mantissa)
    if exponent:
        value *= Fraction(10) ** int(exponent)
    return (value if value <= _NUMBER_MAX else None), symbol


@lru_cache(maxsize=256)  # the same few settings and template conditions come again and again
def _tree(text: str) -> Syntax:
    return _parser().parse(text)


@cache
def _parser() -> "Lark":
    grammar = files("rules").joinpath("grammar.lark").read_text("utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True)


def _unexpected(scalar: Scalar, error: UnexpectedInput) -> Refused:
    token = getattr(error, "token", None)
    at_end = isinstance(token, Token) and token.type == "$END"
    offset = len(scalar.text.rstrip()) if at_end else int(error.pos_in_stream or 0)
    if at_end or offset >= len(scalar.text):
        return _refused(scalar, offset, "the expression ends too early", at_the_end(scalar.text))
    word = str(token) if isinstance(token, Token) else scalar.text[offset]
    hint = advice(scalar.text, offset, word)
    return _refused(scalar, offset, f"`{word}` does not fit here", hint)


def _refused(scalar: Scalar, offset: int, message: str, hint: str) -> Refused:
    return Refused(scalar.finding(offset, "E100", message, hint))


def _check_nesting(scalar: Scalar, syntax: Syntax) -> None:
    level = [syntax]
    for _ in range(NESTING_MAX):
        level = [c for tree in level for c in tree.children if isinstance(c, Tree)]
        if not level:
            return
    offset = level[0].meta.start_pos
    raise _refused(scalar, offset, f"nested more than {NESTING_MAX} deep", "use let names")
