"""PyTorch to ONNX: export, simplification, graph rules, parity. Knows nothing of the command line."""
