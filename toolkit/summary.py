"""What a model is made of: its layers with their shapes, parameters, multiply-accumulates and activations.

Read from the graph of `torch.export`, which holds functional calls (`torch.tanh(x)`) as well as modules. Nothing is
computed: the graph is made with fake tensors. Knows neither the zoo nor the command line.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from itertools import groupby
from math import prod
from operator import getitem
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from export.module import innermost, quiet
from runtime.errors import ExportError
from toolkit.operations import describe, operation

FLOAT = 4
BYTES = {"fp32": FLOAT, "fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Layer:
    """One operation, or one call of a module that has no parts; for one image.

    Attributes:
        name: the path of the module, or of the one that holds the weight; else that of the caller with the operation.
        operation: for people.
        output: the shape without the batch; of the first of several outputs.
        neurons: elements of the output.
        parameters: those that no layer before it uses.
        macs: multiply-accumulates of convolutions and matrix products; nothing else is counted.
        activation_bytes: of the output in float32; 0 where it lies in the memory of the input.
        shared_with: the first layer whose parameters it uses too, or None.
    """

    name: str
    operation: str
    output: tuple[int, ...]
    neurons: int
    parameters: int
    macs: int
    activation_bytes: int
    shared_with: str | None


@dataclass(frozen=True)
class Summary:
    """A whole model, for one image.

    Attributes:
        model: its name.
        input: the shape of an image, without the batch.
        layers: in the order in which they run.
        parameters: of the module, shared ones once, with those that no layer uses.
        macs, activation_bytes: over all layers.
        weight_bytes: what the parameters take when all are stored in a type, per type.
        options: that the model was made with, of whoever made it.
    """

    model: str
    input: tuple[int, ...]
    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    activation_bytes: int
    weight_bytes: dict[str, int]
    options: dict[str, Any] = field(default_factory=dict)


def summarize(module: nn.Module, shape: tuple[int, ...], name: str) -> Summary:
    """The layers of a module as it is in evaluation.

    Args:
        module: takes one float32 tensor (N, *shape); left as it was.
        shape: of one image, such as (channels, height, width).
        name: for people.

    Raises:
        ExportError: PyTorch cannot trace the module, or what it does depends on the image.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with quiet(), without_complaints(), torch.no_grad(), without_fused_kernels():
            layers = read_layers(trace(module, shape, name), module, name)
    finally:
        for part, training in modes:
            part.training = training
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Summary(
        model=name,
        input=shape,
        layers=layers,
        parameters=parameters,
        macs=sum(layer.macs for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        weight_bytes={kind: size * parameters for kind, size in BYTES.items()},
    )


@contextmanager
def without_complaints() -> Iterator[None]:
    """PyTorch logs and prints graphs and tracebacks on standard error before it raises what it says there."""
    level = logging.root.manager.disable
    logging.disable()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(level)


@contextmanager
def without_fused_kernels() -> Iterator[None]:
    """Make attention and recurrent layers of matrix products, which PyTorch's counter knows, rather than one kernel."""
    with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
        yield


def trace(module: nn.Module, shape: tuple[int, ...], name: str) -> ExportedProgram:
    """The graph for one image."""
    try:
        return torch.export.export(module, (torch.zeros(1, *shape),))
    except Exception as error:  # the exporter wraps whatever the model raises
        raise ExportError(
            f"PyTorch cannot trace {name}: {innermost(error)}",
            f"run the model on an image of shape {(1, *shape)} first; --debug shows the traceback of torch.export",
        ) from error


def read_layers(program: ExportedProgram, module: nn.Module, model: str) -> tuple[Layer, ...]:
    """One layer for each operation, or call of a whole module, in the order of the graph."""
    parameters = dict(module.named_parameters(remove_duplicate=False))
    placeholders = program.graph_signature.inputs_to_parameters
    owners: dict[nn.Parameter, str] = {}  # the first layer that uses it
    taken: set[str] = set()
    layers = []
    nodes = operations(program, model)
    for (path, _), group in groupby(nodes, key=lambda node: place(node, module)):
        call = [node for node in group if tensors(node.meta.get("val"))]  # a check of a shape or type gives none
        work = [node for node in call if node.target is not getitem]  # which takes one of several outputs
        if not work:
            continue
        costs = [cost(node) for node in work]
        inputs = [given.name for node in work for given in node.all_input_nodes]
        keys = [placeholders[given] for given in inputs if given in placeholders]
        name = unique(layer_name(path, work, keys, module), taken)
        used = dict.fromkeys(parameters[key] for key in keys)
        new = [parameter for parameter in used if parameter not in owners]
        shared_with = next((owners[parameter] for parameter in used if parameter in owners), None)
        owners.update(dict.fromkeys(new, name))
        output = output_shape(call, model)
        layers.append(
            Layer(
                name=name,
                operation=describe(work[0]) if len(work) == 1 else type(module.get_submodule(path)).__name__,
                output=output,
                neurons=prod(output),
                parameters=sum(parameter.numel() for parameter in new),
                macs=sum(macs for macs, _ in costs),
                activation_bytes=FLOAT * prod(output) if any(fresh for _, fresh in costs) else 0,
                shared_with=shared_with,
            )
        )
    return tuple(layers)


def operations(program: ExportedProgram, model: str) -> list[Node]:
    """The nodes that do something."""
    nodes = [node for node in program.graph.nodes if node.op == "call_function"]
    for node in nodes:
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            raise ExportError(
                f"the layers of {model} cannot be counted: its forward holds '{node.target}'",
                "take torch.cond, torch.autocast and torch.enable_grad out of it",
            )
    return nodes


def place(node: Node, module: nn.Module) -> tuple[str, str]:
    """The path of the module that a node belongs to, and a key that tells one layer from the next.

    What a part of torch.nn, or a module without parts, does in one call is one layer; else each node is one.
    """
    call, (path, kind) = list((node.meta.get("nn_module_stack") or {"": ("", "")}).items())[-1]
    whole = path and (str(kind).startswith("torch.nn.") or not any(module.get_submodule(path).children()))
    return path, call if whole else node.name


def layer_name(path: str, work: list[Node], keys: list[str], module: nn.Module) -> str:
    """The module's path if the layer is all of it, or holds its weight; else the operation with the caller's path."""
    if path and (len(work) > 1 or not any(module.get_submodule(path).children())):
        return path
    holder = keys[0].rpartition(".")[0] if keys else ""
    return holder or f"{path}.{operation(work[0])}".lstrip(".")


def unique(wanted: str, taken: set[str]) -> str:
    """A name, with `_2`, `_3` and so on where it is taken, as `export.names` does it."""
    name, count = wanted, 1
    while name in taken:
        count += 1
        name = f"{wanted}_{count}"
    taken.add(name)
    return name


def cost(node: Node) -> tuple[int, bool]:
    """Multiply-accumulates of a node, and whether it makes a tensor that does not lie in the memory of an input."""
    arguments, keywords = map_arg((node.args, node.kwargs), lambda given: given.meta["val"])
    with FlopCounterMode(display=False) as counter:
        made = node.target(*arguments, **keywords)  # type: ignore[operator]
    given = [tensor.untyped_storage() for tensor in tensors((arguments, keywords))]
    fresh = [tensor for tensor in tensors(made) if not any(tensor.untyped_storage() is other for other in given)]
    return counter.get_total_flops() // 2, bool(fresh)


def output_shape(call: list[Node], model: str) -> tuple[int, ...]:
    """The shape of what a layer hands on, without the batch of 1; of the first where it is several tensors."""
    inside = set(call)
    given = next((node for node in call if set(node.users) - inside), call[-1])
    shape = tuple(tensors(given.meta["val"])[0].shape)
    if not all(isinstance(size, int) for size in shape):
        raise ExportError(
            f"the layers of {model} cannot be counted: the size of what '{given.name}' gives depends on the image",
            "select with torch.where or a product, which keep the size",
        )
    return shape[1:] if shape[:1] == (1,) else shape


def tensors(values: Any) -> list[Tensor]:
    """Those among nested values."""
    if isinstance(values, Tensor):
        return [values]
    parts = values.values() if isinstance(values, dict) else values if isinstance(values, list | tuple) else ()
    return [tensor for part in parts for tensor in tensors(part)]
