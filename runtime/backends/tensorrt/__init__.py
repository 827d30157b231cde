"""TensorRT and TensorRT for RTX, whose Python API is the same: one backend for both.

The data flow of a build, in a child process of its own (`build.py` starts it, `worker.py` is it):

    model.onnx --parse--> network --configure--> config --build--> engine.plan, and the type that each layer runs in

and of a run, in `engine.py`, over `runtime/backends/cuda`:

    images --copy--> device --execute_async_v3--> device --copy--> answers

The module at hand is a local name `trt` wherever it is used; what releases differ in is asked of it by `hasattr`, never
by its version.
"""
