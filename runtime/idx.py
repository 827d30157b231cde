"""IDX files, the form of MNIST's images and labels."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.errors import DataError
from runtime.lfs import refuse_pointer, start_of

UINT8 = 0x08
MAX_BYTES = 1 << 32  # unpacked: an archive of some megabytes can hold as much


def find_idx(path: Path, name: str) -> Path | None:
    """An IDX file, plain or compressed."""
    return next((path / file for file in (name, f"{name}.gz") if (path / file).is_file()), None)


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or .gz.

    Source: http://yann.lecun.com/exdb/mnist/, "the IDX file format".

    Raises:
        DataError: it cannot be read, is not IDX, has another type or number of dimensions, or is cut off.
    """
    hint = "fetch the file again"
    header = 4 + 4 * dimensions
    refuse_pointer(start_of(path), path, DataError)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            head = file.read(header)
            if len(head) < header or head[:4] != bytes((0, 0, UINT8, dimensions)):
                raise DataError(f"{path} is not an IDX file of bytes in {dimensions} dimensions", hint)
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4", dimensions, 4))
            count = math.prod(shape)
            if count > MAX_BYTES:
                raise DataError(f"{path} says that it has {count:,} bytes, more than {MAX_BYTES:,}", hint)
            data = file.read(count + 1)  # to the end, where an archive's checksum is, and no further
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {error}", hint) from error
    if len(data) != count:
        found = len(data) if len(data) < count else f"more than {count}"
        raise DataError(f"{path} has {found} bytes after its header, which says {count}", hint)
    return np.frombuffer(data, np.uint8).reshape(shape)
