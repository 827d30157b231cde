"""What really is on a drawn frame."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.camera.frame import Box


@dataclass(frozen=True)
class Truth:
    """One object that is seen on a frame.

    Attributes:
        box: tight round its ink, or its outline, within this frame.
        label: the digit, 0..9; None for what is no digit, and should be refused.
        kind: "digit", "letter", "scribble", "hand", "edge", ...
        id: of the object, the same over all frames of a scene.
        cut: whether it reaches the frame's border, which may cut it off.
        number: id of the number that a digit belongs to: its digits stand on one line, close together.
    """

    box: Box
    label: int | None
    kind: str
    id: int
    cut: bool
    number: int | None
