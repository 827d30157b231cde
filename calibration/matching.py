"""Which layer of a graph is which layer of another one: by name, then by order where that is beyond doubt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from calibration.layers import Layer

Side: TypeAlias = Literal["a", "b"]
#: A matrix product goes by two names, a convolution by one.
KIND = {"Gemm": "MatMul"}


@dataclass(frozen=True)
class Unmatched:
    """A layer that is not compared.

    Attributes:
        side: whose it is.
        name: of the layer.
        reason: why not.
    """

    side: Side
    name: str
    reason: str


@dataclass(frozen=True)
class Matching:
    """What belongs together, in the order of the first graph, and what belongs to nothing."""

    pairs: tuple[tuple[Layer, Layer], ...]
    unmatched: tuple[Unmatched, ...]


def match_layers(a: Sequence[Layer], b: Sequence[Layer]) -> Matching:
    """Match by name; of what is left, by order, where both sides have as many of a kind, with one shape.

    Args:
        a: the layers of one graph, in order, with shapes.
        b: those of the other one.
    """
    places = {layer.name: index for index, layer in enumerate(b)}
    named = {index: places[layer.name] for index, layer in enumerate(a) if layer.name in places}
    pairs, unmatched = {}, []
    for index, other in named.items():
        reason = misfit(a[index], b[other])
        if not reason:
            pairs[index] = other
        else:
            unmatched += [Unmatched("a", a[index].name, reason), Unmatched("b", a[index].name, reason)]
    left_a = [index for index in range(len(a)) if index not in named]
    left_b = [index for index in range(len(b)) if index not in set(named.values())]
    ordered, reasons = match_by_order(a, b, left_a, left_b, pairs)
    pairs |= ordered
    unmatched += [Unmatched("a", a[i].name, reasons["a", i]) for i in left_a if i not in ordered]
    unmatched += [Unmatched("b", b[i].name, reasons["b", i]) for i in left_b if i not in set(ordered.values())]
    return Matching(tuple((a[index], b[pairs[index]]) for index in sorted(pairs)), tuple(unmatched))


def misfit(a: Layer, b: Layer) -> str:
    """Why two layers of one name cannot be compared; empty where they can."""
    if kind(a) != kind(b):
        return f"it is {a.operation} in A and {b.operation} in B"
    if a.shape != b.shape:
        return f"it gives {by(a.shape)} in A and {by(b.shape)} in B"
    return ""


def match_by_order(
    a: Sequence[Layer], b: Sequence[Layer], left_a: Sequence[int], left_b: Sequence[int], named: dict[int, int]
) -> tuple[dict[int, int], dict[tuple[Side, int], str]]:
    """The k-th of a kind with the k-th, unless that would turn the order round.

    Returns:
        Places in `b` by place in `a`, and for the others the reason, by side and place.
    """
    groups: dict[object, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    for index in left_a:
        groups[signature(a[index])][0].append(index)
    for index in left_b:
        groups[signature(b[index])][1].append(index)
    candidates: dict[int, int] = {}
    reasons: dict[tuple[Side, int], str] = {}
    for mine, theirs in groups.values():
        if len(mine) == len(theirs):
            candidates |= dict(zip(mine, theirs, strict=True))
            continue
        reasons |= {("a", index): why_none("a", len(mine), len(theirs)) for index in mine}
        reasons |= {("b", index): why_none("b", len(theirs), len(mine)) for index in theirs}
    anchors = {**named, **candidates}
    kept = {}
    for index, other in candidates.items():
        if any((index - i) * (other - j) < 0 for i, j in anchors.items()):
            reason = "no layer there has its name, and those of its kind and shape stand in another order"
            reasons["a", index] = reasons["b", other] = reason
        else:
            kept[index] = other
    return kept, reasons


def signature(layer: Layer) -> object:
    """What layers of two graphs have in common if they are the same one."""
    return kind(layer), layer.shape, layer.weights


def why_none(side: Side, mine: int, theirs: int) -> str:
    """Why no layer of the other side is this one."""
    here, there = ("A", "B") if side == "a" else ("B", "A")
    if not theirs:
        return f"{there} has no layer of its name, nor one more of its kind and shape"
    return f"{there} has no layer of its name; of its kind and shape {here} has {mine} and {there} {theirs}"


def kind(layer: Layer) -> str:
    """The operation, whatever its name."""
    return KIND.get(layer.operation, layer.operation)


def by(shape: Sequence[int]) -> str:
    """`6x28x28`."""
    return "x".join(map(str, shape)) or "an unknown shape"
