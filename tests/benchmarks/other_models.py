"""Other people's classifiers, built: which can be, how much of them runs in INT8, how near they stay to FP32, how fast.

Each is built twice: as a PyTorch module, in INT8 for both CPU engines; and from the ONNX file that PyTorch's older
exporter writes of it for a batch of 1, which is only opened and held to its answers. Weights are random
(tests/others.py), so agreement says how often INT8 picks the same of 100 meaningless classes. What is done is kept in
build/benchmarks; the table goes into docs/models.md.

python tests/benchmarks/other_models.py [NAME...]
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from calibration.options import CalibrationOptions
from tests.benchmarks.common import OUTPUT, ROOT, environment, publish

# For each family that a user may bring, the smallest of its kind; sizes that a model does not fix are kept small.
MODELS: dict[str, int] = {
    "torchvision/convnext_tiny": 128,
    "torchvision/densenet121": 128,
    "torchvision/efficientnet_b0": 128,
    "torchvision/googlenet": 128,
    "torchvision/inception_v3": 128,
    "torchvision/mobilenet_v2": 128,
    "torchvision/mobilenet_v3_small": 128,
    "torchvision/regnet_y_400mf": 128,
    "torchvision/resnet18": 128,
    "torchvision/resnext50_32x4d": 128,
    "torchvision/shufflenet_v2_x0_5": 128,
    "torchvision/squeezenet1_1": 128,
    "torchvision/swin_t": 224,
    "timm/deit_tiny_patch16_224": 224,
    "timm/edgenext_xx_small": 128,
    "timm/efficientformerv2_s0": 224,
    "timm/fasternet_t0": 128,
    "timm/fastvit_t8": 128,
    "timm/ghostnet_050": 128,
    "timm/inception_next_atto": 128,
    "timm/levit_128s": 224,
    "timm/mambaout_femto": 128,
    "timm/mobilenetv4_conv_small": 128,
    "timm/mobileone_s0": 128,
    "timm/mobilevit_xxs": 128,
    "timm/mvitv2_tiny": 224,
    "timm/repvit_m1": 128,
    "timm/resnest14d": 128,
    "timm/starnet_s1": 128,
    "timm/swiftformer_xs": 224,
    "timm/tiny_vit_5m_224": 224,
    "timm/xcit_nano_12_p16_224": 224,
}
KEPT = OUTPUT / "other_models"
CALIBRATION, EVALUATION = 32, 64
TIME_LIMIT_S = 600
START, END = "<!-- other models -->", "<!-- /other models -->"


def build_module(name: str, size: int) -> dict[str, Any]:
    """Build the module in INT8, both engines racing."""
    from runtime.backend import EngineOptions
    from runtime.datasets import ArrayDataset
    from runtime.progress import SilentProgress, TimedProgress
    from runtime.spec import BatchRange
    from tests.others import pictures
    from toolkit.foreign.module import open_module
    from toolkit.foreign.spec import Told
    from toolkit.graphs import Source
    from toolkit.pipeline import BuildRequest, build

    told = Told(input_size=(size, size))
    model = open_module("tests.others:make", {"name": json.dumps(name), "size": str(size)}, None, True, told)
    pool = ArrayDataset("calibration", pictures(CALIBRATION, size, 1), None)
    source = Source(model, pool, CalibrationOptions(CALIBRATION, "minmax"), BatchRange(1, 1, 8), True, None)
    evaluation = ArrayDataset("evaluation", pictures(EVALUATION, size, 2), None)
    with tempfile.TemporaryDirectory() as folder:
        request = BuildRequest(source, "int8", "auto", Path(folder) / "bundle", False, evaluation, EngineOptions())
        result = build(request, TimedProgress(SilentProgress()))
    rows = {f"{row.precision} {row.target}": row for row in result.race}
    own = rows["int8 openvino"]
    reference = rows["int8 onnxruntime"]
    return {
        "parameters": sum(parameter.numel() for parameter in model.module.parameters()),
        "quantized": own.quantized,
        "quantizable": own.quantizable,
        "logits_sqnr_db": result.error.logits_sqnr_db,
        "agreement": {"openvino": own.agreement, "onnxruntime": reference.agreement},
        "p50_ms": {key: row.p50_ms for key, row in rows.items()},
        "against": own.reason_against,
        "seconds": result.seconds,
    }


def open_file(name: str, size: int) -> dict[str, Any]:
    """Export for a batch of 1 with PyTorch's older exporter, open that, and hold it to its own answers."""
    import numpy as np
    import torch

    from export.module import export_graph
    from runtime.progress import SilentProgress
    from runtime.spec import BatchRange
    from tests.others import make, pictures
    from toolkit.foreign.onnx import open_onnx
    from toolkit.foreign.spec import Told

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        module = make(name, size)
        image = (torch.zeros(1, 3, size, size),)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                torch.onnx.export(module, image, str(path), dynamo=False, opset_version=18)
        except Exception as error:
            return {"not_exported": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
        model = open_onnx(path, True, Told())
        result = export_graph(
            model.graph, model.original, model.spec, np.asarray(pictures(4, size)), Path(folder) / "ours.onnx",
            BatchRange(1, 1, 4), SilentProgress(), model.tolerance,
        )  # fmt: skip
        return {"max_error": max(row.max_error for row in result.parity), "warnings": list(result.warnings)}


def measure(name: str, size: int) -> dict[str, Any]:
    """Both, or what was said in place of it."""
    from runtime.errors import ToolkitError

    figures: dict[str, Any] = {"size": size}
    for key, work in (("module", build_module), ("file", open_file)):
        try:
            figures[key] = work(name, size)
        except ToolkitError as error:
            message = re.sub(r"\S*/(model\.onnx)", r"\1", error.message).partition(": [ONNXRuntimeError]")[0]
            figures[key] = {"error": message}
    return figures


def kept(name: str) -> Path:
    return KEPT / f"{name.replace('/', '-')}.json"


def measured(name: str) -> dict[str, Any]:
    """From an earlier run, or from a process of its own now."""
    path = kept(name)
    if not path.exists():
        command = [sys.executable, __file__, "--one", name]
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=TIME_LIMIT_S
            )
            said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            figures = json.loads(done.stdout) if not done.returncode else {"size": MODELS[name], "crash": said[-1]}
        except subprocess.TimeoutExpired:
            figures = {"size": MODELS[name], "crash": f"not done within {TIME_LIMIT_S} s"}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n")
    figures = dict(json.loads(path.read_text()))
    print(f"{name}: {brief(figures)}", file=sys.stderr, flush=True)
    return figures


def brief(figures: dict[str, Any]) -> str:
    """A line for whoever waits."""
    module, file = figures.get("module", {}), figures.get("file", {})
    if "crash" in figures:
        return f"CRASH {figures['crash']}"
    built = module.get("error") or f"{module['quantized']}/{module['quantizable']}, {module['logits_sqnr_db']} dB"
    return f"{built}; file: {file.get('error') or file.get('not_exported') or file.get('max_error')}"


def cells(name: str, figures: dict[str, Any]) -> list[str]:
    """A row of the table."""
    module, file = figures.get("module", {}), figures.get("file", {})
    first = [name, str(figures["size"])]
    opened = file.get("error") or (f"not exported: {file['not_exported']}" if "not_exported" in file else "yes")
    if "quantized" not in module:
        return [*first, figures.get("crash") or module.get("error", ""), *["-"] * 6, opened]
    times = module["p50_ms"]
    fp32, int8 = times.get("fp32 openvino"), times.get("int8 openvino")
    return [
        *first,
        f"{module['parameters'] / 1e6:.1f} M",
        f"{module['quantized']} of {module['quantizable']}",
        f"{module['logits_sqnr_db']:.1f}",
        *(f"{module['agreement'][target]:.1f}" for target in ("openvino", "onnxruntime")),
        *("-" if value is None else f"{value:.2f}" for value in (fp32, int8)),
        opened,
    ]


COLUMNS = [
    "model", ">pixels", ">parameters", ">layers in INT8", ">SQNR dB", ">agree % OpenVINO",
    ">agree % ONNX Runtime", ">FP32 ms", ">INT8 ms", "from ONNX",
]  # fmt: skip


def write_table(rows: list[list[str]]) -> None:
    """Into docs/models.md, between its two marks."""
    heads = [column.removeprefix(">") for column in COLUMNS]
    rule = ["---:" if column.startswith(">") else "---" for column in COLUMNS]
    lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in (heads, rule, *rows)]
    path = ROOT / "docs" / "models.md"
    before, _, rest = path.read_text().partition(START)
    _, _, after = rest.partition(END)
    path.write_text(f"{before}{START}\n{chr(10).join(lines)}\n{END}{after}")


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        with contextlib.redirect_stdout(sys.stderr):
            figures = measure(sys.argv[2], MODELS[sys.argv[2]])
        print(json.dumps(figures))
        return
    figures = {name: measured(name) for name in sys.argv[1:] or MODELS}
    rows = [cells(name, entry) for name, entry in figures.items()]
    publish("other_models", COLUMNS, rows, figures)
    if not sys.argv[1:]:
        write_table(rows)


if __name__ == "__main__":
    main()
