"""`module:factory`: anyone's nn.Module, from a callable that makes it."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeAlias

import click
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from runtime.errors import ExportError, ModelError, first_line
from runtime.spec import ModelSpec
from toolkit.foreign.answers import kind_of_one, noise, spec_from, two_classes
from toolkit.foreign.spec import OutputKind, Told, refuse_untold
from toolkit.zoo.weights import RANDOM_WEIGHTS_SEED, load_weights

Images: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class ForeignModule:
    """A module that somebody else made.

    Attributes:
        name: for people and file names.
        origin: `package.module:factory`.
        spec: of the model.
        module: float32, on the CPU, in evaluation mode.
        random: its weights mean nothing.
        data: None: it brings no images.
    """

    name: str
    origin: str
    spec: ModelSpec
    module: nn.Module
    random: bool
    data: Path | None = None


def give_one_answer(module: nn.Module, name: str | None) -> None:
    """Make a module give one tensor (N, classes): one of several, (N,) as (N, 1), no trailing sides of 1.

    By a hook: another module around it would stand before the names of all layers.
    """

    def one(_: nn.Module, __: object, given: Any) -> Any:
        answer = given if name is None else pick(given, name)
        if answer.dim() < 2:
            return answer.reshape(-1, 1)  # no sides at all: `squeeze()` on one image
        return answer.flatten(1) if answer.dim() > 2 and answer.shape[2:].numel() == 1 else answer

    module.register_forward_hook(one)


def give_two_classes(module: nn.Module, kind: OutputKind) -> None:
    """Make a module that gives one number an image answer for two classes, as `two_classes` has it."""
    module.register_forward_hook(
        lambda _, __, one: torch.cat([1 - one if kind == "probabilities" else torch.zeros_like(one), one], 1)
    )


def pick(given: Any, name: str) -> Any:
    """An answer by its key, its attribute, or its place."""
    if isinstance(given, Mapping):
        return given[name]
    return given[int(name)] if name.isdecimal() and isinstance(given, list | tuple) else getattr(given, name)


def open_module(
    name: str, settings: Mapping[str, str], weights: Path | None, random: bool, told: Told
) -> ForeignModule:
    """Import what `module:factory` names, call it, and find out what it gives.

    Args:
        name: `package.module:factory`; the factory may be a class, a function or a module itself.
        settings: arguments by name, as text: a JSON value, or else a string.
        weights: a file to fill it from; None leaves what the factory made.
        random: say that the weights mean nothing.
        told: what the command line says of it.

    Raises:
        ModelError: it cannot be imported or made, or is no nn.Module.
        WeightsError: the file does not fit.
        ExportError: it does not run on two images, or does not give one finite answer a class.
    """
    refuse_untold(told)
    module = make_module(name, settings).cpu().float().eval()
    if weights:
        load_weights(module, weights)
    # From the factory's name: resnet18 of torchvision.models:resnet18.
    short = name.rpartition(":")[2].rpartition(".")[2].lower()
    images = noise(told)
    answers = ask(module, short, images, told.output_name)
    if not np.isfinite(answers).all():
        raise ExportError(f"{short} gives NaN or infinity for two images of noise", "check --mean, --std and weights")
    if answers.shape[1:] == (1,):
        kind = kind_of_one(lambda more: np.asarray(run(module, short, more)), images, short, told)
        give_two_classes(module, kind)
        answers = two_classes(answers, kind)
    spec = spec_from(answers, short, told)
    return ForeignModule(spec.name, name, spec, module, random)


def make_module(name: str, settings: Mapping[str, str]) -> nn.Module:
    """Import and call. What the code prints goes to standard error: standard output is for JSON.

    Weights that PyTorch draws are always the same, so that what was built can be compared with the module.
    """
    where, _, path = name.partition(":")
    if where.endswith(".py") or "/" in where:
        raise ModelError(
            f"{where} is a file, and what is wanted is a module, named as Python imports it",
            f"run this in its folder as {Path(where).name.removesuffix('.py')}:{path}",
        )
    with told_of_failure(name), found_here(), torch.random.fork_rng(devices=()):
        torch.manual_seed(RANDOM_WEIGHTS_SEED)
        made: object = importlib.import_module(where)
        for part in path.split("."):
            made = attribute(made, part)
        if not isinstance(made, nn.Module) and callable(made):
            torch.manual_seed(RANDOM_WEIGHTS_SEED)
            made = made(**{key: parse(value) for key, value in settings.items()})
        elif settings:
            raise click.UsageError(f"--set does not go with {name}, which is made already")
    made = unwrapped(made)
    if isinstance(made, torch.jit.ScriptModule):
        raise ModelError(f"{name} is TorchScript, which cannot be exported", "name the module that it was made from")
    if not isinstance(made, nn.Module):
        raise ModelError(
            f"{name} gives {'nothing' if made is None else 'a ' + type(made).__name__}, and not an nn.Module",
            "name a class or a function that returns the model",
        )
    return made


def attribute(of: object, name: str) -> object:
    """What is so called in a module or a class.

    Raises:
        ModelError: nothing is; the hint names what comes near.
    """
    try:
        return getattr(of, name)
    except AttributeError as error:
        near = get_close_matches(name, dir(of), n=1)
        raise ModelError(
            first_line(error), f"did you mean {near[0]}?" if near else "name a class or a function in it"
        ) from error


@contextlib.contextmanager
def found_here() -> Iterator[None]:
    """Look for modules in the current folder first, as `python -m` does, though this command lies elsewhere.

    Afterwards last: what we import later is ours, whatever is called `calibration.py` or `openvino.py` there.
    """
    folder = os.getcwd()
    if folder in sys.path:
        yield
        return
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)
        sys.path.append(folder)


def unwrapped(made: object) -> object:
    """What nn.DataParallel, DistributedDataParallel and torch.compile put themselves around."""
    while True:
        if isinstance(made, nn.DataParallel | nn.parallel.DistributedDataParallel):
            made = made.module
        elif isinstance(inner := getattr(made, "_orig_mod", None), nn.Module):
            made = inner
        else:
            return made


def parse(text: str) -> object:
    """A JSON value, such as 10, true or null; or the text itself."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"True": True, "False": False, "None": None}.get(text, text)


@contextlib.contextmanager
def told_of_failure(name: str) -> Iterator[None]:
    """Say in a line what somebody else's code did, whatever that was.

    Raises:
        ModelError: it raised, or wanted to end the process.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (click.UsageError, KeyboardInterrupt, ModelError):
        raise
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{name} needs the module {error.name}, which is not here",
            "run this where it lies, or install it into this environment",
        ) from error
    except SystemExit as error:
        raise ModelError(
            f"{name} ended the process, with {error.code!r}", "give code that only makes a model"
        ) from error
    except BaseException as error:  # whatever it raises
        raise ModelError(
            f"{name} cannot be made: {type(error).__name__}: {first_line(error)}",
            "--set NAME=VALUE gives it arguments; --debug shows its traceback",
        ) from error


def ask(module: nn.Module, name: str, images: Images, output: str | None) -> NDArray[np.float32]:
    """Run two images, and make the module give one tensor of answers where it does not.

    Returns:
        Its answers, float32 (2, classes).
    """
    given = run(module, name, images)
    if output is not None:
        try:
            given = pick(given, output)
        except (KeyError, IndexError, AttributeError) as error:
            raise ExportError(
                f"{name} has no answer {output!r} in its {kind_of_several(given)}",
                "--output-name is a key, an attribute, or a place from 0",
            ) from error
    elif not isinstance(given, Tensor):
        raise ExportError(
            f"{name} gives a {kind_of_several(given)}, and not one tensor",
            "--output-name picks one of its answers: by key, attribute, or place from 0",
        )
    if output is not None or (isinstance(given, Tensor) and given.dim() != 2):
        give_one_answer(module, output)
        given = run(module, name, images)
    if not isinstance(given, Tensor):
        raise ExportError(f"{name} gives a {type(given).__name__}", "a classifier gives one tensor (N, classes)")
    if not given.is_floating_point():
        raise ExportError(
            f"{name} gives whole numbers ({str(given.dtype).removeprefix('torch.')}), as argmax does",
            "a classifier gives a number for each class: return what argmax reads",
        )
    return np.asarray(given.numpy())


def kind_of_several(given: object) -> str:
    """What a model gives that is no tensor, with the keys or the number of its answers."""
    kind = type(given).__name__
    if isinstance(given, Mapping):
        return f"{kind} of {', '.join(map(str, given))}"
    return f"{kind} of {len(given)}" if isinstance(given, list | tuple) else kind


def run(module: nn.Module, name: str, images: Images) -> object:
    """What a module gives for images, float32 (2, C, H, W)."""
    try:
        with torch.no_grad(), contextlib.redirect_stdout(sys.stderr):
            return module(torch.from_numpy(images))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever it raises
        size = f"{tuple(images.shape[2:])} with {images.shape[1]} channels"
        raise ExportError(
            f"{name} fails on two images {size}: {first_line(error)}",
            "check --input-size and --color; a classifier takes one tensor of images, of any batch size",
        ) from error
