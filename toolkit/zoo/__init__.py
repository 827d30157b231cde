"""The model zoo: what `toolkit build NAME` knows by name. Imports no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import runtime
from runtime.errors import UnknownModelError
from runtime.spec import ModelSpec, Pad, PadToSquare, Polarity, Preprocess, Resize, classifier_spec

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


LENET = classifier_spec(
    "lenet",
    height=32,
    width=32,
    classes=10,
    labels=tuple("0123456789"),
    preprocess=Preprocess(
        color="gray",
        steps=(Polarity("auto"), PadToSquare(0), Resize(28, 28, "exact", "area"), Pad(2, 2, 2, 2, 0)),
        mean=(0.0,),
        std=(1.0,),
    ),
)

ZOO: dict[str, ZooModel] = {
    "lenet": ZooModel("lenet", "toolkit.zoo.lenet:LeNet", LENET, HERE / "lenet.safetensors", DATA / "mnist"),
}


def get_zoo_model(name: str) -> ZooModel:
    """A model by name.

    Raises:
        UnknownModelError: there is none; the hint names the nearest.
    """
    if name in ZOO:
        return ZOO[name]
    near = get_close_matches(name, ZOO, n=1)
    suggestion = f"did you mean {near[0]}? " if near else ""
    raise UnknownModelError(f"no model '{name}'", f"{suggestion}There are: {', '.join(ZOO)}, or the folder of a bundle")
