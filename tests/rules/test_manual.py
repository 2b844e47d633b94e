"""The manual: every function of the language is in it, and every example is a condition."""

import pytest
from rule_scenes import BIN, CIRCUIT, LAMP

from rules.document import Scalar
from rules.expression import condition
from rules.functions import names
from rules.manual import catalogue
from rules.names import Names
from rules.syntax import Refused
from rules.tree import Op, walk


def tree_of(example):
    """On the first sensor that has what it asks for."""
    for context in (LAMP, BIN, CIRCUIT):
        try:
            return condition(Scalar.of(example), context, Names())
        except Refused as refused:
            last = refused
    raise last


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.signature)
def test_every_example_is_a_condition_that_uses_its_function(entry):
    """It loads without a warning, and names what it is an example of."""
    found = Names()
    for context in (LAMP, BIN, CIRCUIT):
        try:
            condition(Scalar.of(entry.example), context, found)
            break
        except Refused:
            continue
    else:
        raise AssertionError(entry.example)
    assert not found.warnings
    assert entry.name in entry.example
    assert entry.signature.startswith(entry.name)
    assert (" over " in entry.signature) == (" over " in entry.example)
    assert entry.doc.endswith(".")


def test_no_function_is_missing():
    """Those that take arguments of a special kind included."""
    told = {entry.name for entry in catalogue()}
    assert told >= {*names(), "claims", "expected_power"}
    assert told >= {op.value for op in Op if op.value.startswith("peers.") and "(" not in op.value}


def test_the_examples_show_every_function_of_one_value():
    """An operation that no example uses is one that nobody finds."""
    used = {part.op for entry in catalogue() for part in walk(tree_of(entry.example))}
    operators = {
        Op.TRUTH, Op.OR, Op.NOT, Op.MEMBER, Op.MATCHES, Op.ATTRIBUTE, Op.CONVERT, Op.DIVIDE,
        Op.NEGATE, Op.ADD, Op.PHASE, Op.PEERS_ALL,
    }  # fmt: skip
    assert set(Op) - used <= operators
