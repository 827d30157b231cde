"""The model zoo: what `toolkit build NAME` knows by name. Imports no PyTorch."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from shlex import quote

from runtime.errors import UnknownModelError
from toolkit.zoo import models
from toolkit.zoo.model import Options, ZooModel

__all__ = ["ZOO", "Options", "ZooModel", "get_zoo_model"]

FAMILIES = sorted(module.name for module in iter_modules(models.__path__))
ZOO: dict[str, ZooModel] = {
    model.name: model for family in FAMILIES for model in import_module(f"{models.__name__}.{family}").MODELS
}


def get_zoo_model(name: str) -> ZooModel:
    """A model by name.

    Raises:
        UnknownModelError: there is none; the hint names the nearest.
    """
    if name in ZOO:
        return ZOO[name]
    from runtime.bundle import is_bundle  # imports NumPy, which completion of names does without

    if is_bundle(Path(name)):
        raise UnknownModelError(
            f"{name} is a bundle, and what is wanted is a model that bundles are built from",
            f"toolkit inspect {quote(name)} says which it was built from",
        )
    near = get_close_matches(name, ZOO, n=1)
    suggestion = f"did you mean {near[0]}? " if near else ""
    here = "what is there of that name is no bundle" if Path(name).exists() else "there is no bundle of that name"
    raise UnknownModelError(
        f"no model '{name}' in the zoo, and {here}",
        f"{suggestion}there are: {', '.join(ZOO)}; yours go as FILE.onnx, or as module:factory with --weights FILE",
    )
