"""The `toolkit` command, the build pipeline, and the model zoo."""

from __future__ import annotations

DISTRIBUTION = "edge-deployment-toolkit"


def toolkit_version() -> str:
    """The version that is installed."""
    from importlib.metadata import version

    return version(DISTRIBUTION)
