"""Follows digits over frames, so that one wrong answer among many is outvoted and labels do not flicker."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box, Digit, Reading, Tracked

FADE = 0.85  # of its votes that a track keeps from frame to frame
FRAME_S = 1 / 30  # seconds between frames for which that holds; votes fade faster where there are fewer frames
FARTHEST = 0.7  # by how much of a digit's height it may move, and change its size, between frames
TURNS_AT = 1.3  # times the votes of the present label, with which another one takes its place
DOUBT = 0.5  # of a vote: what a refusal says
REMEMBERED = 15  # frames for which what is not seen is remembered
COASTS = 1  # frames for which what is not seen is still shown
KNOWN = 3.0  # answers about what is shown unseen
ENOUGH = 0.5  # of a vote, with which something is first shown: a doubtful digit waits for a second frame


@dataclass(eq=False)
class Track:
    """Something that is followed: a digit, or what is refused.

    Attributes:
        box: when it was seen last, or where it must have moved since.
        votes: by label; None is a refusal.
        label: what it is taken for; None for what is no digit.
        answers: how many there were, older ones counting less, as their votes do.
        unseen: frames since it was seen.
        number: its id, given when it is first shown; 0 before.
    """

    box: Box
    votes: dict[str | None, float] = field(default_factory=dict)
    label: str | None = None
    answers: float = 0.0
    unseen: int = 0
    number: int = 0

    def vote(self, label: str | None, weight: float) -> None:
        """Count one more answer; the label turns where another one is well ahead."""
        self.votes[label] = self.votes.get(label, 0.0) + weight
        self.answers += 1
        first = max(self.votes, key=lambda key: self.votes[key])
        if self.votes[first] > TURNS_AT * self.votes.get(self.label, 0.0):
            self.label = first

    def fade(self, share: float) -> None:
        """Let older votes count less."""
        self.votes = {label: votes * share for label, votes in self.votes.items()}
        self.answers *= share

    @property
    def probability(self) -> float:
        """Of its label, averaged over its answers."""
        return self.votes.get(self.label, 0.0) / self.answers


class Tracker:
    """Follows what a reader finds.

    For pictures that do not belong together, take a new one for each, and ask for no more than one look.

    Args:
        enough: of a vote, with which something is first shown.
    """

    def __init__(self, enough: float = ENOUGH) -> None:
        self.enough = enough
        self.tracks: list[Track] = []
        self.given = 0
        self.latest_ns: int | None = None
        self.motion = (0.0, 0.0)

    def update(self, reading: Reading, now_ns: int) -> tuple[Tracked, ...]:
        """Take the next frame's reading.

        Args:
            reading: of the frame.
            now_ns: when the frame was taken, by a clock that only goes forward.

        Returns:
            What is taken for a digit, left to right.
        """
        passed = 0.0 if self.latest_ns is None else (now_ns - self.latest_ns) / 1e9
        self.latest_ns = now_ns
        seen: list[tuple[Box, Digit | None]] = [
            *((digit.box, digit) for digit in reading.digits),
            *((box, None) for box in reading.refused),
        ]
        pairs = self.match([box for box, _ in seen])
        for track in self.tracks:
            track.fade(FADE ** max(1.0, passed / FRAME_S))
            track.unseen += 1
        self.follow([(track.box, seen[place][0]) for place, track in pairs.items()])
        for place, (box, digit) in enumerate(seen):
            if place not in pairs:
                self.tracks.append(Track(box))
            track = pairs.get(place, self.tracks[-1])
            track.box, track.unseen = box, 0
            if digit is None:
                track.vote(None, DOUBT)
            else:
                track.vote(digit.label, digit.probability)
        self.tracks = [track for track in self.tracks if track.unseen <= REMEMBERED]
        return tuple(sorted(self.shown(), key=lambda tracked: tracked.box[0]))

    def match(self, boxes: list[Box]) -> dict[int, Track]:
        """The track of each box that has one: nearest pairs first."""
        apart = distances(boxes, [shifted(track.box, self.motion) for track in self.tracks])
        places, numbers = np.nonzero(apart < FARTHEST)
        nearest = np.argsort(apart[places, numbers], kind="stable")
        found: dict[int, Track] = {}
        taken: set[int] = set()
        for place, number in zip(places[nearest].tolist(), numbers[nearest].tolist(), strict=True):
            if place not in found and number not in taken:
                found[place] = self.tracks[number]
                taken.add(number)
        return found

    def follow(self, pairs: list[tuple[Box, Box]]) -> None:
        """Learn how the camera moves from what was seen twice, and move what was not seen along."""
        steps = [
            (new[0] - old[0] + (new[2] - old[2]) / 2, new[1] - old[1] + (new[3] - old[3]) / 2) for old, new in pairs
        ]
        self.motion = (median(x for x, _ in steps), median(y for _, y in steps)) if len(steps) > 2 else (0.0, 0.0)
        for track in self.tracks:
            track.box = shifted(track.box, self.motion)

    def shown(self) -> list[Tracked]:
        """The tracks that are digits now."""
        shown = []
        for track in self.tracks:
            unseen = track.unseen and (track.unseen > COASTS or track.answers < KNOWN)
            if track.label is None or unseen or not (track.number or track.votes[track.label] >= self.enough):
                continue
            if not track.number:
                self.given += 1
                track.number = self.given
            shown.append(Tracked(track.box, track.label, track.probability, track.number))
        return shown


def shifted(box: Box, motion: tuple[float, float]) -> Box:
    """A box moved by so many pixels."""
    return (round(box[0] + motion[0]), round(box[1] + motion[1]), box[2], box[3])


def distances(boxes: list[Box], others: list[Box]) -> NDArray[np.float64]:
    """How far apart boxes are, and how unlike in height, in heights of a digit: float64 (boxes, others)."""
    one, other = (np.array(some, np.float64).reshape(-1, 4) for some in (boxes, others))
    middles, other_middles = one[:, :2] + one[:, 2:] / 2, other[:, :2] + other[:, 2:] / 2
    away = np.hypot(*(middles[:, None] - other_middles[None]).transpose(2, 0, 1))
    height, other_height = one[:, None, 3], other[None, :, 3]
    result: NDArray[np.float64] = away / ((height + other_height) / 2) + np.abs(np.log(height / other_height))
    return result
