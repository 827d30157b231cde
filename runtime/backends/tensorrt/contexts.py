"""Execution contexts, all in one piece of scratch memory, and what TensorRT for RTX compiles for them.

A CUDA graph holds on to the context that it was captured with, which may take no other shape while the graph is used:
hence a context for each batch size. They run one after another, on one stream, and so can share their scratch memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime import canonical
from runtime.backends.cuda import Cuda
from runtime.backends.tensorrt.failures import ErrorLog, failed
from runtime.cache import read_entry, write_entry

if TYPE_CHECKING:
    import tensorrt as trt


class Contexts:
    """Makes execution contexts of an engine.

    Args:
        trt: the module.
        cuda: the driver; the device's context is current.
        engine: the engine.
        entry: the file of the cache for what is compiled here; None keeps nothing.
        log: TensorRT's.
        closing: takes what gives everything back.

    Raises:
        BackendError: no memory is left, or TensorRT fails.
    """

    def __init__(
        self, trt: Any, cuda: Cuda, engine: trt.ICudaEngine, entry: Path | None, log: ErrorLog, closing: ExitStack
    ) -> None:
        self.engine, self.log = engine, log
        closing.callback(self.drop)
        self.strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        self.config, self.cache = self.make_config(trt, entry)
        if self.cache is not None:
            closing.callback(self.cache.save)
        self.scratch_size = engine.device_memory_size_v2
        self.scratch = 0
        if self.scratch_size:
            self.scratch = cuda.allocate(self.scratch_size)
            closing.callback(cuda.free, self.scratch)

    def make_config(self, trt: Any, entry: Path | None) -> tuple[Any, RuntimeCache | None]:
        """How TensorRT for RTX runs, which compiles kernels on the device, and what it has compiled; None elsewhere.

        Kernels are compiled for a shape before it runs: a graph would keep the slow ones that stand in for them.
        """
        if not hasattr(trt, "IRuntimeCache"):
            return None, None
        config = self.engine.create_runtime_config()
        if config is None:
            raise failed(self.log, "TensorRT makes no runtime configuration")
        config.set_execution_context_allocation_strategy(self.strategy)
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        cache = config.create_runtime_cache() if entry is not None else None
        if cache is None or entry is None:
            return config, None
        kept = RuntimeCache(cache, entry)
        taken = config.set_runtime_cache(cache)
        self.log.take()  # what it says of a cache that it refuses
        return config, kept if taken else None

    def make(self) -> trt.IExecutionContext:
        """A new context.

        Raises:
            BackendError: TensorRT makes none.
        """
        if self.config is not None and hasattr(self.engine, "create_runtime_config"):
            context = self.engine.create_execution_context(runtime_config=self.config)
        else:
            context = self.engine.create_execution_context(self.strategy)
        if context is None:
            raise failed(self.log, "TensorRT makes no execution context")
        if self.scratch_size:
            context.set_device_memory(self.scratch, self.scratch_size)
        return context

    def drop(self) -> None:
        """Let TensorRT's objects go, the engine last."""
        self.cache = self.config = None
        del self.engine


class RuntimeCache:
    """The kernels that were compiled for a plan on this machine: read when it is opened, kept when it is closed.

    Without it everything works, and the next start is slower: so nothing here fails.
    """

    def __init__(self, cache: Any, entry: Path) -> None:
        self.cache, self.entry = cache, entry
        kept = read_entry(entry)
        # It refuses what another GPU or driver has made.
        self.before = kept if kept is not None and cache.deserialize(kept) else b""

    def save(self) -> None:
        """Keep what was compiled since."""
        cache, self.cache = self.cache, None
        if cache is None:
            return
        memory = cache.serialize()
        data = b"" if memory is None else bytes(memory)
        if data and data != self.before:
            write_entry(self.entry, data)


def cache_entry(folder: Path | None, product: str, made_from: Mapping[str, str]) -> Path | None:
    """The file for what is compiled here, by a digest of all that it depends on."""
    return None if folder is None else folder / product / canonical.digest(dict(made_from))
