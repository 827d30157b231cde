"""Files that are called `model.onnx` and are none, or are made to hurt: each with the words that its refusal holds."""

from tests.hostile.corpus import branches, files, names, sizes, structure, weights
from tests.hostile.corpus.case import CASES, Case, base

__all__ = ["CASES", "Case", "base", "branches", "files", "names", "sizes", "structure", "weights"]
