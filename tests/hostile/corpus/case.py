"""A hostile model: what writes it, and the words that its refusal holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from tests.toolkit.foreign.graphs import Maker

Model = onnx.ModelProto


@dataclass(frozen=True)
class Case:
    """One hostile model.

    Attributes:
        name: of the function that makes it.
        make: writes it into a folder.
        words: what its message holds; none where it is a good model after all.
        options: of the command line.
    """

    name: str
    make: Callable[[Path], None]
    words: tuple[str, ...]
    options: tuple[str, ...]


CASES: list[Case] = []


def file(*words: str, options: tuple[str, ...] = ()) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """A case that writes its files itself."""

    def keep(make: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES.append(Case(make.__name__, make, words, options))
        return make

    return keep


def graph(
    *words: str, options: tuple[str, ...] = (), name: str = ""
) -> Callable[[Callable[[], Model]], Callable[[], Model]]:
    """A case that is one graph; `name` in place of the function's."""

    def keep(make: Callable[[], Model]) -> Callable[[], Model]:
        def write(folder: Path) -> None:
            (folder / "model.onnx").write_bytes(make().SerializeToString())

        CASES.append(Case(name or make.__name__, write, words, options))
        return make

    return keep


def base() -> Model:
    """A good one: Conv_conv, GlobalAveragePool_pooled, Flatten_logits, from 3x16x16 to 4 classes."""
    make = Maker(6)
    make.conv("data", "conv", 4, 3)
    make.node("GlobalAveragePool", ["conv"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, ir_version=10)


def before_the_end(*inputs: str, kind: str, **attributes: Any) -> Model:
    """The good one with a node between its convolution and its pooling."""
    make = Maker(6)
    make.conv("data", "conv", 4, 3)
    return ended(make, kind, ["conv", *inputs], **attributes)


def ended(make: Maker, kind: str, inputs: list[str], **attributes: Any) -> Model:
    """With `{kind}_bad` and the pooling behind it."""
    make.node(kind, inputs, "bad", **attributes)
    make.node("GlobalAveragePool", ["bad"], "pooled")
    make.node("Flatten", ["pooled"], "logits")
    return make.model(["N", 3, 16, 16], {"logits": ["N", 4]}, ir_version=10)


def with_constants(kind: str, given: list[str], constants: dict[str, tuple[Any, str]], **attributes: Any) -> Model:
    make = Maker(6)
    make.conv("data", "conv", 4, 3)
    for name, (values, dtype) in constants.items():
        make.constant(name, values, dtype)
    return ended(make, kind, given, **attributes)
