"""The page of the camera, its metrics and health: served by a process of its own, which the reading never waits for."""
