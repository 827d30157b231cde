"""Every GPU test runs for each product that is here, and is skipped with the reason for the other.

`make test-gpu` asks for them: without a GPU, or with neither product, it fails.
"""

from __future__ import annotations

import os

import pytest

from runtime.backends.tensorrt.product import PRODUCTS
from tests.gpu.gate import REQUIRE, rehearsed, why_none, why_not
from tests.gpu.models import Models
from tests.gpu.target import Target, make_target


def pytest_configure() -> None:
    """Stop before the first test where `make test-gpu` could only skip them all."""
    if rehearsed():
        from tests.gpu import rehearsal

        rehearsal.begin()
    reasons = why_none() if os.environ.get(REQUIRE) else ""
    if reasons:
        raise pytest.UsageError(reasons)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    """The graphs, each made when it is first asked for."""
    return Models(tmp_path_factory.mktemp("graphs"))


@pytest.fixture(scope="session", params=PRODUCTS)
def target(request: pytest.FixtureRequest, models: Models, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """A product that runs here, and its GPU."""
    reason = why_not(request.param)
    if reason:
        pytest.skip(reason)
    return make_target(request.param, models, tmp_path_factory.mktemp(request.param))
