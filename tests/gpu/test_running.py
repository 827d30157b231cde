"""Running a plan: CUDA graphs, threads, times, and nothing left behind."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.backends.cuda import Context, Cuda
from runtime.backends.tensorrt import backend as backend_module
from runtime.probe import check_probe
from runtime.session import Session
from runtime.spec import Precision
from tests.gpu.gate import rehearsed
from tests.gpu.models import BATCH
from tests.gpu.target import Target, part

pytestmark = pytest.mark.gpu

MIB = 1 << 20
THREADS = 4
FEWER = 10 if rehearsed() else 1  # a stand-in has no memory to leak
#: What the driver and Python keep for themselves may come and go; what one session holds is more, times 50.
DEVICE_BOUND, HOST_BOUND = 32 * MIB, 64 * MIB


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_cuda_graph_answers_bit_by_bit_what_its_network_does(
    target: Target, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not target.gpu.cuda.has_graphs:
        pytest.skip(f"{target.gpu.cuda.name} knows no CUDA graphs: pip install cuda-python")
    spec, (probe, _) = target.models["lenet"].spec, target.models["lenet"].probes[precision]
    file, open_cuda = target.plan("lenet", precision), backend_module.open_cuda

    def open_without_graphs() -> Cuda:
        cuda = open_cuda()
        monkeypatch.setattr(cuda, "has_graphs", False)
        return cuda

    captured = target.open(file, spec)
    with monkeypatch.context() as patch:
        patch.setattr(backend_module, "open_cuda", open_without_graphs)
        plain = target.open(file, spec)
    with Session(captured, spec, BATCH) as one, Session(plain, spec, BATCH) as other:
        assert captured.captures and not plain.captures
        for turn in range(4):
            for size in (1, 8, 1, 4, 5, 8, 4, 1):
                images = probe.images[turn : turn + size]
                np.testing.assert_array_equal(one.run(images), other.run(images))
        assert captured.captures  # False where a capture failed


def test_sessions_on_several_threads_share_one_context_and_answer_rightly(target: Target) -> None:
    found = target.models["lenet"]
    probe, limit = found.probes["int8"]
    file = target.plan("lenet", "int8")
    together = threading.Barrier(THREADS, timeout=300)

    def work(number: int) -> int:
        together.wait()
        engine = target.open(file, found.spec)
        with Session(engine, found.spec, BATCH) as session:
            together.wait()
            for turn in range(100):
                start, size = (number * 5 + turn) % 12, 1 + (number + turn) % 12
                check = check_probe(session, part(probe, start, size), limit)
                check.require(f"thread {number}, {size} images from {start} on")
            together.wait()
            return address(engine._active.context)

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(work, range(THREADS)))) == 1


def test_a_session_may_go_from_thread_to_thread(target: Target) -> None:
    probe, limit = target.models["lenet"].probes["fp32"]
    with ThreadPoolExecutor(1) as opener, ThreadPoolExecutor(1) as runner, ThreadPoolExecutor(1) as closer:
        session = opener.submit(target.session, "lenet", "fp32").result()
        runner.submit(check_probe, session, probe, limit).result().require("a session that another thread opened")
        closer.submit(session.close).result()


def address(context: Context) -> int:
    """Of CUDA's own context, whichever package is at hand."""
    return int(context.handle[1]) if isinstance(context.handle, tuple) else int(context.handle.handle)


def test_the_parts_of_a_call_add_up_to_it(target: Target) -> None:
    found = target.models["alexnet"]
    probe, limit = found.probes["fp32"]
    images, out = probe.images[: BATCH.best], np.empty((BATCH.best, found.spec.classes), np.float32)
    engine = target.open(target.plan("alexnet", "fp32"), found.spec)
    try:
        shares = []
        for _ in range(20):
            parts = engine.time_parts(images, out)
            assert parts.compute_ms > 0 and parts.enqueue_ms > 0 and parts.host_ms > 0
            assert min(parts.host_to_device_ms, parts.device_to_host_ms) >= 0
            if not target.gpu.device.integrated:
                assert min(parts.host_to_device_ms, parts.device_to_host_ms) > 0
            device_ms = parts.host_to_device_ms + parts.compute_ms + parts.device_to_host_ms
            assert device_ms <= 1.05 * parts.host_ms + 0.05  # a GPU's clock is not the CPU's
            assert parts.enqueue_ms <= parts.host_ms
            shares.append(device_ms / parts.host_ms)
        # The rest is the copies from array to array and the way to the GPU; the best of many calls, against hiccups.
        assert max(shares) > 0.4
        session = Session(engine, found.spec, BATCH)
        check_probe(session, probe, limit).require("the engine, after it was timed")
        np.testing.assert_allclose(out, probe.expected[: BATCH.best], atol=0.02)
    finally:
        engine.close()


@pytest.fixture
def alone(request: pytest.FixtureRequest) -> None:
    """Nothing else of ours uses the GPU's memory meanwhile."""
    if hasattr(request.config, "workerinput"):
        pytest.skip("other tests run beside this one and use the GPU's memory too: make test-gpu runs it alone")


@pytest.mark.usefixtures("alone")
def test_ten_thousand_runs_leave_nothing(target: Target) -> None:
    found = target.models["lenet"]
    probe, limit = found.probes["int8"]
    outs = {size: np.empty((size, found.spec.classes), np.float32) for size in (1, 3, 8)}
    images = {size: probe.images[:size] for size in outs}
    with target.session("lenet", "int8") as session:
        run(session, images, outs, 300)
        before = memory(target)
        run(session, images, outs, 10_000 // FEWER)
        require_no_more(before, memory(target))
        check_probe(session, probe, limit).require("the session, after 10,000 runs")


def run(session: Session, images: dict[int, NDArray[np.uint8]], outs: dict[int, NDArray], count: int) -> None:
    """So many calls, their sizes in turn."""
    sizes = list(outs)
    for index in range(count):
        size = sizes[index % len(sizes)]
        session.run(images[size], outs[size])


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("held", [True, False], ids=["context stays", "context goes"])
def test_fifty_opens_and_closes_leave_nothing(target: Target, held: bool) -> None:
    """While somebody else keeps the device's context alive, and where it ends with every session."""
    probe, limit = target.models["alexnet"].probes["fp32"]
    target.plan("alexnet", "fp32")
    with ExitStack() as stack:
        if held:
            stack.callback(target.gpu.cuda.release, target.gpu.cuda.retain(target.gpu.device.index))
        open_and_close(target, 10)
        before = memory(target)
        open_and_close(target, 50 // FEWER)
        require_no_more(before, memory(target))
        with target.session("alexnet", "fp32") as session:
            check_probe(session, probe, limit).require("the 61st session")


def open_and_close(target: Target, count: int) -> None:
    """So many sessions, each of which runs batches of three sizes."""
    images = target.models["alexnet"].probes["fp32"][0].images
    for _ in range(count):
        with target.session("alexnet", "fp32") as session:
            for size in (8, 1, 3):
                session.run(images[:size])


def memory(target: Target) -> tuple[int, int]:
    """Bytes that are in use: of the device, and of this process's own."""
    gc.collect()
    device = target.gpu.device.total_bytes - target.free_bytes()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return device, 1024 * int(fields["VmRSS"].split()[0])


def require_no_more(before: tuple[int, int], after: tuple[int, int]) -> None:
    device, host = (now - then for now, then in zip(after, before, strict=True))
    assert device <= DEVICE_BOUND, f"{device / MIB:.1f} MiB of the device's memory are gone"
    assert host <= HOST_BOUND, f"this process has grown by {host / MIB:.1f} MiB"
