"""The model zoo: what `toolkit build NAME` knows by name. Imports no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import runtime
from runtime.errors import UnknownModelError
from runtime.spec import ModelSpec, Pad, PadToSquare, Polarity, Preprocess, Resize, classifier_spec

if TYPE_CHECKING:
    from torch import nn

HERE = Path(__file__).parent
DATA = Path(runtime.__file__).parent / "data"


@dataclass(frozen=True)
class ZooModel:
    """One model.

    Attributes:
        name: for the command line.
        factory: `module:callable` that makes the untrained nn.Module.
        spec: what it takes and gives.
        weights: the safetensors file that ships.
        data: a folder with images to calibrate and to evaluate with, or None.
    """

    name: str
    factory: str
    spec: ModelSpec
    weights: Path
    data: Path | None

    def make(self) -> nn.Module:
        """The untrained module. This is what imports PyTorch."""
        module, _, factory = self.factory.partition(":")
        made: nn.Module = getattr(import_module(module), factory)()
        return made


def lenet_spec(name: str, side: int) -> ModelSpec:
    """LeNet-5: a digit is brought to MNIST's 28x28 pixels, light on dark, with black round it up to `side`."""
    margin = (side - 28) // 2
    pad = (Pad(margin, margin, margin, margin, 0),) if margin else ()
    return classifier_spec(
        name,
        height=side,
        width=side,
        classes=10,
        labels=tuple("0123456789"),
        preprocess=Preprocess(
            color="gray",
            steps=(Polarity("auto"), PadToSquare(0), Resize(28, 28, "exact", "area"), *pad),
            mean=(0.0,),
            std=(1.0,),
        ),
    )


LENET = lenet_spec("lenet", 32)
LENET_28 = lenet_spec("lenet-28", 28)

ZOO: dict[str, ZooModel] = {
    model.name: model
    for model in (
        ZooModel("lenet", "toolkit.zoo.lenet:LeNet", LENET, HERE / "lenet.safetensors", DATA / "mnist"),
        ZooModel("lenet-28", "toolkit.zoo.lenet:lenet_28", LENET_28, HERE / "lenet-28.safetensors", DATA / "mnist"),
    )
}


def get_zoo_model(name: str) -> ZooModel:
    """A model by name.

    Raises:
        UnknownModelError: there is none; the hint names the nearest.
    """
    if name in ZOO:
        return ZOO[name]
    if name.endswith(".onnx") or ":" in name:
        raise UnknownModelError(
            f"'{name}': ONNX files and modules of your own cannot be built yet", f"there are: {', '.join(ZOO)}"
        )
    near = get_close_matches(name, ZOO, n=1)
    suggestion = f"did you mean {near[0]}? " if near else ""
    raise UnknownModelError(f"no model '{name}'", f"{suggestion}There are: {', '.join(ZOO)}, or the folder of a bundle")
