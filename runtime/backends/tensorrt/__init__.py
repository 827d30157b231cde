"""TensorRT and TensorRT for RTX, whose Python API is the same: one backend for both.

The data flow of a build, in a child process of its own (`build.py` starts it, `worker.py` is it):

    model.onnx --parse--> network --configure--> config --build--> engine.plan, and the type that each layer runs in

and of a run, in `engine.py`, over `runtime/backends/cuda`:

    images --copy--> device --execute_async_v3--> device --copy--> answers

The module at hand is a local name `trt` wherever it is used; what releases differ in is asked of it by `hasattr`, never
by its version. So mypy can read this package with stubs of each release (`tests/runtime/tensorrt/test_api.py`):

- the name is always `trt`: a parameter `trt: Any`, `trt = load_module(product)`, or a field `self.trt` or `self._trt`;
- an annotation names TensorRT's types, under `if TYPE_CHECKING: import tensorrt as trt`: `config: trt.IBuilderConfig`;
  what is annotated `Any` is not checked, what has no annotation gets its type from the call that made it;
- a check is `hasattr(config, "set_compute_capability")`, with the name written out; what stands behind it is checked
  in the releases that have it, the other branch in the rest; `getattr` with a name is not checked;
- a class made from one of TensorRT's, `class Lines(trt.ILogger):`, needs `# type: ignore[misc]` for the plain mypy run.
"""
