"""The memory in which a frame goes from one process to another."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from runtime.camera.sources.memory import FrameMemory

RNG = np.random.default_rng(0)


def test_frames_of_all_sizes_go_over_whole() -> None:
    here = FrameMemory()
    there = FrameMemory(str(os.dup(here.file)))
    if Path("/proc/self/fd").exists():
        assert os.readlink(f"/proc/self/fd/{here.file}").endswith(" (deleted)")  # it has no name to be left behind
    for width, height in ((4, 3), (640, 480), (160, 120), (1920, 1080), (1, 1)):
        image = RNG.integers(0, 256, (height, width, 3), np.uint8)
        there.write(image)
        copy = here.read(image.shape)
        assert copy is not None and np.array_equal(copy, image) and copy.flags.owndata
        there.write(image[::-1, ::-1])  # not contiguous
        assert np.array_equal(here.read(image.shape), image[::-1, ::-1])
        assert np.array_equal(copy, image)  # it is the reader's own
    for memory in (here, there):
        memory.close()
        memory.close()
    assert here.read((1, 1, 3)) is None


def test_closing_gives_everything_back() -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd")) if Path("/proc").exists() else 0

    before = opened()
    for _ in range(50):
        memory = FrameMemory()
        memory.write(np.zeros((100, 100, 3), np.uint8))
        memory.close()
    assert opened() < before + 25  # other tests' threads may open some, too
