"""Which of the two products runs here, and what to do where none does."""

from __future__ import annotations

import os

from runtime.backend import get_backend
from runtime.backends.tensorrt.product import PRODUCTS

#: `make test-gpu` sets it: that no test can run is then an error, not a reason to skip them all.
REQUIRE = "REQUIRE_GPU"
#: Rehearse the tests on stand-ins (rehearsal.py), which finds mistakes in the tests themselves and proves nothing else.
REHEARSE = "REHEARSE_GPU"


def rehearsed() -> bool:
    return bool(os.environ.get(REHEARSE))


def why_not(name: str) -> str:
    """Why a product's tests cannot run here, and the next command; empty where they can."""
    availability = get_backend(name).available()
    if availability.ok:
        return ""
    return f"{name} does not run here: {availability.reason}; next: {availability.command}"


def why_none() -> str:
    """Why no test at all can run here; empty where one can."""
    reasons = [why_not(name) for name in PRODUCTS]
    return "" if "" in reasons else "\n".join(["no GPU test can run", *reasons, "one of the two is enough"])
