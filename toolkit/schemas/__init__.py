"""JSON Schemas of what commands print with --json: a file each, made from types by `toolkit.schemas.generate`."""

from __future__ import annotations

from importlib.resources import files

# Command -> the types, as "module:Type", that it may print. A module is imported only to generate.
RESULTS: dict[str, tuple[str, ...]] = {
    "build": ("toolkit.build_result:BuildResult",),
    "export": ("toolkit.model_results:Exported", "toolkit.results:TritonModel"),
    "calibrate": ("toolkit.model_results:Calibrated",),
    "classify": ("runtime.classification:Classified", "runtime.classification:Unreadable"),
    "camera": ("runtime.camera.summary:Summary", "runtime.camera.outputs.lines:FrameLine"),
    "bench": ("toolkit.results:BenchRow",),
    "report": ("toolkit.report.result:Report",),
    "compare": ("toolkit.comparison.result:Comparison",),
    "verify": ("toolkit.results:Verified", "toolkit.results:Unverified"),
    "inspect": ("runtime.manifest:Manifest",),
    "summary": ("toolkit.summary:Summary", "toolkit.onnx_summary:OnnxSummary"),
    "train": ("toolkit.training.result:Trained",),
    "doctor": ("toolkit.doctor.report:Report",),
}
ARRAYS = ("bench",)  # print an array of them
LINES = ("classify",)  # print one on each line


def read_schema(command: str) -> str:
    """The text of a command's schema, as it ships.

    Args:
        command: a key of `RESULTS`.
    """
    return (files("toolkit.schemas") / f"{command}.json").read_text(encoding="utf-8")
