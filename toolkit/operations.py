"""Operations of a graph of `torch.export` in a few words: `Conv2d 6 @ 5x5`, `MaxPool 2x2/2`, `Tanh`."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.fx import Node

from runtime.text import by

PUBLIC = {name.lower(): name for name in dir(nn) if name[0].isupper()}  # "maxpool2d" -> "MaxPool2d"


def describe(node: Node) -> str:
    """An operation with what it was told, where that is worth a word."""
    name, told = pretty(operation(node)), arguments(node)
    if name.startswith("Conv") and "groups" in told:
        weight = told["weight"].meta["val"].shape
        maps = weight[1] * told["groups"] if "Transpose" in name else weight[0]
        name, kernel = f"{name} {maps} @ ", list(weight[2:])
    elif "kernel_size" in told:
        name, kernel = f"{name.rstrip('123d')} ", told["kernel_size"]
    elif "output_size" in told and "Pool" in name:
        return f"{name.rstrip('123d')} {by(told['output_size'])}"
    else:
        return name
    stride = told.get("stride") or kernel
    words = [f"{name}{by(kernel)}" + (f"/{short(stride)}" if "Pool" in name or short(stride) != "1" else "")]
    for key, word, usual in (("padding", "pad", "0"), ("dilation", "dilation", "1"), ("groups", "groups", "1")):
        if short(told.get(key, usual)) != usual:
            words.append(f"{word} {short(told[key])}")
    return ", ".join(words)


def operation(node: Node) -> str:
    """Its name in PyTorch, such as `max_pool2d`; an operation in place has that of the one that is not."""
    return str(node.target._schema.name).split("::")[-1].strip("_")  # type: ignore[union-attr]


def pretty(name: str) -> str:
    """As the class of torch.nn that does it is written, where there is one."""
    return PUBLIC.get(name.replace("_", ""), "".join(part[:1].upper() + part[1:] for part in name.split("_")))


def arguments(node: Node) -> dict[str, Any]:
    """The values of an operation's arguments by their names, defaults included."""
    declared = node.target._schema.arguments  # type: ignore[union-attr]
    given = dict(zip((argument.name for argument in declared), node.args, strict=False))
    return {argument.name: argument.default_value for argument in declared} | given | node.kwargs


def short(sizes: Any) -> str:
    """`2` for 2 and (2, 2), `2x1` for (2, 1), and a word as it is."""
    if not isinstance(sizes, list | tuple):
        return str(sizes)
    return str(sizes[0]) if len(set(sizes)) == 1 else by(sizes)
