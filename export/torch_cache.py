"""PyTorch's cache folder, kept out of the system's temporary one. Imports no PyTorch."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def own_torch_cache() -> Iterator[None]:
    """Let PyTorch's compiler, which export and optimizers import, keep its files in a folder that goes again."""
    with tempfile.TemporaryDirectory() as cache, patch.dict(os.environ, {"TORCHINDUCTOR_CACHE_DIR": cache}):
        yield
