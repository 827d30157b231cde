"""The `toolkit` command, the build pipeline, and the model zoo."""
