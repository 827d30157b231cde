"""PyTorch to ONNX: export, simplification, graph rules, parity. Knows nothing of the command line."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime reads it when it is imported
