"""The value of every part of a condition: what explanations and coverage look into.

Owns the taking apart of a tree, and no meaning of its own: the value of a part is what the code
generated for that part alone gives, so what is explained is what was judged. Nothing is left out
because an earlier term decided; unknown is None. What members of a circuit were asked is counted,
not taken apart: it has a value for each of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from rules.codegen import compiled, slot_order
from rules.rule import Count, Judge, Scene, Values
from rules.tree import PEERS, Node, Op
from rules.wording import is_name, node_text


@dataclass(frozen=True, slots=True)
class Traced:
    """A part of a condition on one sample. `value`: in the unit of its node."""

    node: Node
    value: Any
    parts: tuple["Traced", ...] = ()
    text: str = ""
    """In the author's words; inside a `let` as it could have been written."""
    name: str = ""
    """The author's own name for it: of a `let` or a param."""
    fact: Any = None
    """What its value was made from, if that is in no other part: the `Count` of peers, the sun's
    elevation for `is_night`, the phase of the other rule, the value of a memory before."""

    def all(self) -> Iterator["Traced"]:
        """It and all its parts."""
        yield self
        for part in self.parts:
            yield from part.all()


Tracer = Callable[[Values, Values, Scene, list[Any]], Traced]


def traced(tree: Node, first_slot: int = 0, source: str = "") -> Tracer:
    """A function like the compiled one of the tree, with the same memory in the same slots. It
    gives all that the tree came to; its `value` is what the compiled one returns. `source`: the
    text that the tree was read from.
    """
    probes: dict[Node, _Probe] = {}
    order = {memory: first_slot + i for i, memory in enumerate(slot_order(tree))}
    root = _part(tree, order, probes, source)
    whole = compiled(tree, first_slot)[0]

    def trace(values: Values, attributes: Values, scene: Scene, slots: list[Any]) -> Traced:
        before = tuple(slots)
        whole(values, attributes, scene, slots)
        return _look(root, {}, (values, attributes, scene, before))

    return trace


@dataclass(frozen=True, slots=True)
class _Probe:
    """Computes one part by itself, on a copy of the memories that it has in the whole."""

    judge: Judge
    slots: tuple[int, ...]
    """Where its memories are in the slots of the rule, in its own order."""
    ask: "Judge | None" = None
    """For `Traced.fact`."""


@dataclass(frozen=True, slots=True)
class _Part:
    node: Node
    probe: _Probe
    parts: tuple["_Part", ...]
    text: str
    name: str


_Inputs = tuple[Values, Values, Scene, tuple[Any, ...]]


def _part(node: Node, order: dict[Node, int], probes: dict[Node, _Probe], source: str) -> _Part:
    if node not in probes:
        slots = tuple(order[memory] for memory in slot_order(node))
        probes[node] = _Probe(compiled(node)[0], slots, _question(node, order))
    plain = node_text(node)
    text = " ".join(source[node.span.start : node.span.end].split()) or plain
    name = text if is_name(text) and text != plain else ""
    args = () if node.op in PEERS else node.args
    # What a name stands for was written elsewhere: positions in it are not about this text.
    below = "" if name else source
    parts = tuple(_part(arg, order, probes, below) for arg in args)
    return _Part(node, probes[node], parts, text, name)


def _question(node: Node, order: dict[Node, int]) -> Judge | None:
    """What else to ask so that a part can be explained."""
    if node.op in PEERS:
        member = compiled(node.args[0])[0] if node.args else _everyone
        return lambda _v, _a, scene, _s: scene.peers(member)
    if node.op is Op.NIGHT:
        return lambda _v, _a, scene, _s: scene.sun_elev()
    if node.op is Op.PHASE and isinstance(node.detail, tuple):
        other = str(node.detail[0])
        return lambda _v, _a, scene, _s: str(scene.phase(other))
    if node in order:
        slot = order[node]
        return lambda _v, _a, _x, slots: slots[slot]
    return None


def _everyone(_v: Values, _a: Values, _x: Scene, _s: list[Any]) -> bool:
    return True


def _look(part: _Part, seen: dict[int, Traced], inputs: _Inputs) -> Traced:
    """Equal parts are computed once."""
    parts = tuple(_look(inner, seen, inputs) for inner in part.parts)
    probe = part.probe
    known = seen.get(id(probe))
    if known is None:
        values, attributes, scene, before = inputs
        memory = [before[slot] for slot in probe.slots]
        value = probe.judge(values, attributes, scene, memory)
        fact = probe.ask and probe.ask(values, attributes, scene, list(before))
        known = seen[id(probe)] = Traced(part.node, value, parts, part.text, part.name, fact)
        return known
    return Traced(part.node, known.value, parts, part.text, part.name, known.fact)


def count_of(part: Traced) -> Count | None:
    """Of the members of a circuit: how many met the condition, were known, are there."""
    return part.fact if isinstance(part.fact, Count) else None
