"""What graphs are made from."""

from __future__ import annotations

import numpy as np

from calibration.options import CalibrationOptions
from runtime.datasets import ArrayDataset
from runtime.spec import BatchRange
from toolkit.graphs import Source
from toolkit.zoo import get_zoo_model


class CountedDataset(ArrayDataset):
    """Counts how often images are read for their digests."""

    read = 0

    def image_digest(self, index: int) -> bytes:
        type(self).read += 1
        return super().image_digest(index)


def test_to_find_those_that_are_held_out_images_are_read_once() -> None:
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    pool = CountedDataset("noise", images, None)
    source = Source(get_zoo_model("lenet"), pool, CalibrationOptions(), BatchRange(), False, None)
    assert len(source.held_out) == 5
    assert source.judges is source.held_out
    assert pool.read == len(pool)
