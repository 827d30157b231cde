"""Loads a plan of lenet and says what came of it: `python -m tests.gpu.load BACKEND PLAN MODEL FINGERPRINT`.

In a process of its own, since a plan that is broken could end it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runtime.backend import EngineFile, EngineOptions, get_backend
from runtime.errors import BackendError
from tests.gpu.gate import rehearsed
from tests.gpu.models import BATCH
from toolkit.zoo import ZOO


def main() -> None:
    if rehearsed():
        from tests.gpu import rehearsal

        rehearsal.install()
    backend, plan, model, fingerprint = sys.argv[1:]
    file = EngineFile(Path(plan), json.loads(fingerprint), None, Path(model))
    try:
        get_backend(backend).load(file, ZOO["lenet"].spec, EngineOptions(batch=BATCH)).close()
    except BackendError as error:
        print(f"refused: {error.message}; {error.hint}")
    else:
        print("loaded")


if __name__ == "__main__":
    main()
