"""TensorRT and TensorRT for RTX as backends: what is here, a build in a child process, a plan that fits here."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from runtime import canonical
from runtime.backend import Availability, EngineFile, EngineOptions
from runtime.backends.cuda import Active, Cuda, Device, find_device, open_cuda
from runtime.backends.tensorrt.build import build_plan
from runtime.backends.tensorrt.engine import TensorRtEngine, open_engine
from runtime.backends.tensorrt.events import Request
from runtime.backends.tensorrt.fingerprint import (
    Here,
    make_fingerprint,
    mismatch,
    numbers,
    require_match,
    this_platform,
)
from runtime.backends.tensorrt.logger import make_logger
from runtime.backends.tensorrt.options import TensorRtOptions
from runtime.backends.tensorrt.plan import rebuild
from runtime.backends.tensorrt.product import RTX, TENSORRT, Product, load_module
from runtime.backends.tensorrt.support import capabilities, refuse, refuse_here
from runtime.cache import read_entry, write_entry
from runtime.errors import BackendError, BackendUnavailableError
from runtime.jetson import find_jetson
from runtime.nvidia import available_memory, driver_version, jetson_linux
from runtime.progress import Progress
from runtime.spec import ModelSpec

LOG = logging.getLogger(__name__)
DEFAULT_CAPABILITY = "8.6"  # where there is no GPU to build for
WORKSPACE_SHARE = 0.8  # of the memory that is free on the device
MIB = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """A device that CUDA reaches."""

    cuda: Cuda
    device: Device


class TensorRtBackend:
    """TensorRT: builds and runs on the GPU that is here."""

    product = TENSORRT

    def available(self) -> Availability:
        product = self.product
        try:
            found = find_spec(product.module) is not None
        except (ImportError, ValueError):
            found = False
        if not found:
            reason = f"the package {product.package} is not installed"
            command = f"pip install {product.package}"
            on_jetson = "toolkit doctor  (TensorRT comes with JetPack, not from pip: it says how this Python finds it)"
            return Availability(False, reason=reason, command=on_jetson if jetson_linux() else command)
        version = installed_version(product)
        if reason := too_old(product, version):
            return Availability(False, version, reason=reason, command="toolkit doctor")
        try:
            cuda = open_cuda()
            devices = cuda.devices()
        except BackendError as error:
            builds = product is RTX
            return Availability(False, version, reason=error.message, command=error.hint, builds=builds)
        if not devices:
            return Availability(False, version, reason="CUDA sees no GPU", command="nvidia-smi", builds=product is RTX)
        try:
            version = str(load_module(product).__version__)
        except Exception as error:  # whatever a broken library raises
            reason = f"the package {product.package} is installed but cannot be imported: {error}"
            return Availability(False, reason=reason, command=f"pip install --force-reinstall {product.package}")
        if reason := too_old(product, version):  # the system's packages may have no metadata
            return Availability(False, version, reason=reason, command="toolkit doctor")
        known, first = capabilities(load_module(product)), devices[0]
        if known and not any(device.compute_capability in known for device in devices):
            reason = f"{product.title} does not list {first.name} ({first.compute_capability})"
            return Availability(False, version, reason=reason, command="take --target tensorrt", builds=True)
        return Availability(True, version, devices[0].name, tuple(f"cuda:{device.index}" for device in devices))

    def overflows(self) -> str:
        return ""

    def refuse(self, options: EngineOptions) -> None:
        refuse(self.product, options.tensorrt)
        trt = module_of(self.product)
        gpu = find_gpu(options.device)
        device = gpu.device if gpu else None
        refuse_here(trt, self.product, for_gpus(options, trt, gpu), options.precision, device)

    def why_not_here(self, engine_file: EngineFile, options: EngineOptions) -> str:
        availability = self.available()
        if not availability.ok:
            return availability.reason
        here = here_with(module_of(self.product), find_gpu(options.device))
        return mismatch(engine_file.fingerprint, here)

    def compile(
        self, onnx_path: Path, out_dir: Path, spec: ModelSpec, options: EngineOptions, progress: Progress
    ) -> EngineFile:
        trt = module_of(self.product)
        gpu = find_gpu(options.device)
        asked, here = for_gpus(options, trt, gpu), here_with(trt, gpu)
        if gpu and asked.workspace_mib is None:
            asked = replace(asked, workspace_mib=max(1, int(WORKSPACE_SHARE * free_memory(gpu)) // MIB))
        plan = out_dir / f"{options.precision}-{self.product.name}.plan"
        cache, entry = plan.with_suffix(".timing"), timing_entry(self.product, here, options)
        if entry:
            cache.write_bytes(read_entry(entry) or b"")
        request = Request(
            product=self.product.name,
            model=str(onnx_path),
            plan=str(plan),
            image_shape=spec.image_shape,
            batch=(options.batch.smallest, options.batch.best, options.batch.largest),
            device=gpu.device.index if gpu else None,
            device_mib=gpu.device.total_bytes // MIB if gpu else 0,
            timing_cache=str(cache) if entry else "",
            options=asked,
        )
        guessed = asked.compute_capabilities not in (options.tensorrt.compute_capabilities, (here.compute_capability,))
        note = (
            f"for compute capability {DEFAULT_CAPABILITY}: no GPU for it is here, and none was named" if guessed else ""
        )
        try:
            built = build_plan(request, progress, note=note, verbose=asked.verbose)
            if entry:
                write_entry(entry, cache.read_bytes())
        finally:
            cache.unlink(missing_ok=True)
        return EngineFile(plan, make_fingerprint(here, asked), built.success.layers, onnx_path)

    def load(self, engine_file: EngineFile, spec: ModelSpec, options: EngineOptions) -> TensorRtEngine:
        if engine_file.model is None:
            raise BackendError(
                f"{engine_file.path.parent} holds no plan for {self.product.name}",
                rebuild(engine_file.path, {}, self.product.name),
            )
        trt = module_of(self.product)
        cuda = open_cuda()
        here = here_with(trt, Gpu(cuda, find_device(cuda, options.device)))
        require_match(engine_file.fingerprint, here, self.product, engine_file.path)
        built_on = engine_file.fingerprint.get("gpu", here.gpu)
        if built_on != here.gpu and "hardware_compatible" not in engine_file.fingerprint:
            LOG.warning("%s was built on %s; NVIDIA advises to build on the %s", engine_file.path, built_on, here.gpu)
        return open_engine(trt, cuda, engine_file, spec, options, make_logger(trt))


class TensorRtRtxBackend(TensorRtBackend):
    """TensorRT for RTX: builds anywhere, and runs on desktop GPUs."""

    product = RTX


def installed_version(product: Product) -> str:
    """Of the package, without importing it; empty where its metadata is not here."""
    try:
        return metadata.version(product.package)
    except metadata.PackageNotFoundError:
        return ""


def too_old(product: Product, version: str) -> str:
    """Why a release cannot be used; empty where it can, or where it is not known."""
    if numbers(version) and numbers(version) < numbers(product.oldest):
        return f"{product.title} {version} is installed, {product.oldest} is the oldest that this toolkit uses"
    return ""


def module_of(product: Product) -> Any:
    """The module.

    Raises:
        BackendUnavailableError: it cannot be imported.
    """
    try:
        return load_module(product)
    except Exception as error:  # whatever a broken library raises
        raise BackendUnavailableError(
            f"the package {product.package} cannot be imported: {error}",
            f"pip install --force-reinstall {product.package}",
        ) from error


def find_gpu(device: str | None) -> Gpu | None:
    """The GPU of that name, the first one for None; None where CUDA reaches none at all."""
    try:
        cuda = open_cuda()
        if not cuda.devices():
            return None
    except BackendError:
        return None
    return Gpu(cuda, find_device(cuda, device))


def for_gpus(options: EngineOptions, trt: Any, gpu: Gpu | None) -> TensorRtOptions:
    """What was asked for, with the GPU to build for where that was left open.

    TensorRT for RTX does not list every GPU; for one that it does not, what it builds without one is built.
    """
    asked, known = options.tensorrt, capabilities(trt)
    if known and not asked.compute_capabilities:
        here = gpu.device.compute_capability if gpu else ""
        asked = replace(asked, compute_capabilities=(here if here in known else DEFAULT_CAPABILITY,))
    return asked


def free_memory(gpu: Gpu) -> int:
    """Bytes that are free on a device; what the system caches is free, too, where both share their memory."""
    context = gpu.cuda.retain(gpu.device.index)
    try:
        with Active(gpu.cuda, context):
            free = gpu.cuda.memory()[0]
        return max(free, available_memory()) if gpu.device.integrated else free
    finally:
        gpu.cuda.release(context)


def here_with(trt: Any, gpu: Gpu | None) -> Here:
    """This machine, as far as plans are concerned."""
    return Here(
        module=str(trt.__name__),
        version=str(trt.__version__),
        compute_capability=gpu.device.compute_capability if gpu else "",
        gpu=gpu.device.name if gpu else "",
        driver=driver_version(),
        cuda=gpu.cuda.driver_version() if gpu else "",
        jetpack=jetpack(),
        platform=this_platform(),
    )


def jetpack() -> str:
    """Of a Jetson, with its release of Jetson Linux; empty elsewhere."""
    jetson = find_jetson()
    return f"{jetson.jetpack} (Jetson Linux {jetson.l4t})" if jetson else ""


def timing_entry(product: Product, here: Here, options: EngineOptions) -> Path | None:
    """Where the measurements of earlier builds are kept, by device and version; TensorRT for RTX measures nothing."""
    if options.cache_dir is None or product is RTX:
        return None
    return options.cache_dir / "tensorrt" / canonical.digest(asdict(here))
