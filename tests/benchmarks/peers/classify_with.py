"""One peer answering pictures as its documentation has it: `python classify_with.py PEER FOLDER BATCH THREADS IMAGE`.

FOLDER holds the network as `float.onnx` and `program.pt2` (float32, NCHW, normalized), and what `convert` makes of
it for the others. The last line is JSON: milliseconds of a call of the engine alone, from pixels, from the file.

ncnn's tools for INT8 are not in its Python package. MNN's own for a calibrated INT8 model (mnnquant 3.6.1) ends in
`std::length_error` on this network; its INT8 weights, with activations quantized as they come, are here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

# They would look up hosts and write into the home.
sys.modules["openvino_telemetry"] = sys.modules["MNN.tools.utils.log"] = None  # type: ignore[assignment]

SIDE, MEAN, STD = 227, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SECONDS, FEWEST = 1.0, 4
Run = Callable[[np.ndarray], object]


def torch_eager(folder: Path, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    module = torch.export.load(folder / "program.pt2").module()

    def run(batch: np.ndarray) -> object:
        with torch.inference_mode():
            return module(torch.from_numpy(batch)).numpy()

    return run


def torch_compile(folder: Path, threads: int) -> Run:
    import torch

    torch.set_num_threads(threads)
    module = torch.compile(torch.export.load(folder / "program.pt2").module())

    def run(batch: np.ndarray) -> object:
        with torch.inference_mode():
            return module(torch.from_numpy(batch)).numpy()

    return run


def onnxruntime_on(file: str) -> Callable[[Path, int], Run]:
    def make(folder: Path, threads: int) -> Run:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(str(folder / file), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda batch: session.run(None, {name: batch})

    return make


def openvino_on(file: str, hint: str = "LATENCY", precision: str = "f32") -> Callable[[Path, int], Run]:
    def make(folder: Path, threads: int) -> Run:
        import openvino as ov

        settings = {
            "PERFORMANCE_HINT": hint,
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
        }
        compiled = ov.Core().compile_model(str(folder / file), "CPU", settings)
        request = compiled.create_infer_request()
        return lambda batch: request.infer([batch], share_inputs=True, share_outputs=True)

    return make


def mnn_on(file: str, memory: str = "normal") -> Callable[[Path, int], Run]:
    def make(folder: Path, threads: int) -> Run:
        from MNN import expr, nn

        settings = {"backend": "CPU", "numThread": threads, "memory": memory, "precision": "normal"}
        manager = nn.create_runtime_manager((settings,))
        net = nn.load_module_from_file(str(folder / file), [], [], runtime_manager=manager, shape_mutable=False)

        def run(batch: np.ndarray) -> object:
            given = expr.placeholder(list(batch.shape), expr.NCHW)
            given.write(batch)
            return np.array(net.forward([given])[0].read())

        return run

    return make


def ncnn_one_by_one(folder: Path, threads: int) -> Run:
    """It knows no batches."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_vulkan_compute = threads, False
    net.load_param(str(folder / "float.ncnn.param"))
    net.load_model(str(folder / "float.ncnn.bin"))

    def run(batch: np.ndarray) -> object:
        answers = []
        for image in batch:
            extractor = net.create_extractor()
            extractor.input("in0", ncnn.Mat(image))
            answers.append(np.array(extractor.extract("out0")[1]))
        return answers

    return run


PEERS: dict[str, Callable[[Path, int], Run]] = {
    "PyTorch eager": torch_eager,
    "PyTorch compiled": torch_compile,
    "ONNX Runtime FP32": onnxruntime_on("float.onnx"),
    "ONNX Runtime INT8": onnxruntime_on("ort.onnx"),
    "OpenVINO FP32": openvino_on("float.onnx"),
    "OpenVINO bf16": openvino_on("float.onnx", precision="bf16"),
    "NNCF INT8, latency": openvino_on("nncf.onnx"),
    "NNCF INT8, throughput": openvino_on("nncf.onnx", "THROUGHPUT"),
    "MNN FP32": mnn_on("float.mnn"),
    "MNN INT8 weights": mnn_on("int8.mnn", "low"),
    "ncnn FP32": ncnn_one_by_one,
}


def prepare(pixels: np.ndarray) -> np.ndarray:
    """RGB pixels, uint8 (H, W, 3), to float32 (3, SIDE, SIDE), normalized."""
    small = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    scaled = (small.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1))


def median_ms(call: Callable[[], object]) -> float:
    """Of calls for some seconds, the first one left out."""
    call()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(times) < FEWEST:
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def convert(folder: Path, images: list[Path]) -> None:
    """Make what the others read; ONNX Runtime's INT8 is U8S8 with a reduced range, as it asks for without VNNI."""
    import nncf
    import onnx
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, OverflowFix
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = onnx.load(folder / "float.onnx")
    name = model.graph.input[0].name
    feeds = [{name: prepare(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))[None]} for path in images]

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.feeds = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    quant_pre_process(str(folder / "float.onnx"), str(folder / "prepared.onnx"), skip_symbolic_shape=True)
    quantize_static(
        str(folder / "prepared.onnx"),
        str(folder / "ort.onnx"),
        Reader(),
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    fix = AdvancedQuantizationParameters(overflow_fix=OverflowFix.ENABLE)
    onnx.save(nncf.quantize(model, nncf.Dataset(feeds), advanced_parameters=fix), folder / "nncf.onnx")

    import _tools  # MNN's

    for file, more in (("float.mnn", []), ("int8.mnn", ["--weightQuantBits", "8"])):
        given = ["-f", "ONNX", "--modelFile", str(folder / "float.onnx"), "--MNNModel", str(folder / file)]
        _tools.mnnconvert(["mnnconvert", *given, "--bizCode", "benchmark", *more])
    pnnx = shutil.which("pnnx", path=str(Path(sys.executable).parent))
    assert pnnx
    subprocess.run([pnnx, "float.onnx", f"inputshape=[1,3,{SIDE},{SIDE}]f32"], check=True, cwd=folder)


def main() -> None:
    """Measure one peer, or convert."""
    name, folder, *rest = sys.argv[1:]
    if name == "convert":
        convert(Path(folder), [Path(path) for path in rest])
        return
    batch, threads, path = int(rest[0]), int(rest[1]), rest[2]
    cv2.setNumThreads(threads)
    run = PEERS[name](Path(folder), threads)
    pixels = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    ready = np.stack([prepare(pixels)] * batch)
    figures = {
        "engine_ms": median_ms(lambda: run(ready)),
        "decoded_ms": median_ms(lambda: run(np.stack([prepare(pixels) for _ in range(batch)]))),
        "file_ms": median_ms(
            lambda: run(np.stack([prepare(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)) for _ in range(batch)]))
        ),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
