"""Watches whether anything on a frame has changed since it was read: what has not, need not be read again.

A camera mostly looks at the same thing. A frame is laid over the one that was read last, by what it shows, so that a
hand that shakes is no change, nor is light that comes and goes, nor noise. Where nothing new is seen, the answers are
those of that frame, moved to where things are now.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from runtime.camera.frame import Box, Picture, Reading
from runtime.camera.reading.boxes import overlap
from runtime.camera.reading.light import HAZE, reduce
from runtime.preprocess import as_image

ROWS = 400  # of a frame, from which two of its pixels make one of the picture that is watched
SETTLED = 3  # readings after one another that are the same, before one is taken for the next frame's, too
LONGEST = 60  # frames, after which one is read all the same: what noise hid may show by then
PATIENCE = 7  # frames at most, that are read without watching them where others had changed
NEIGHBOURS = np.ones((3, 3), np.uint8)  # what is as near may be the same edge, half a pixel off
AREA = (7, 7)  # pixels over which a change is taken together, and noise is not
LIGHT = (5, 5)  # cells over which light is taken for even
CELL = 16  # pixels, of which the mean is the light
LEAST, TIMES = 2.0, 6.0  # grey levels of a change, and times the mean of all the frame's, which is its noise
NOISIEST = 3.0  # grey levels of that mean; more is something else than noise
POINTS, APART, WORST = 60, 12, 0.02  # corners that are followed: at most, in pixels, of the quality of the best
FEWEST = 8  # corners that tell a motion
OFF = 0.7  # pixels that a corner may be off the motion of the others
STILL = np.eye(3)
NOTHING = np.zeros((0, 0), np.uint8)
Motion = NDArray[np.float64]


class Watch:
    """What was read of a source last, and whether that still holds.

    Attributes:
        same: readings after one another that were the same.
        recalled: frames since the latest of them.
    """

    def __init__(self) -> None:
        self.reading: Reading | None = None
        self.read = NOTHING  # the picture that was
        self.latest: Picture | None = None
        self.corners: NDArray[np.float32] | None = None
        self.motion, self.moving = STILL, False
        self.same = self.recalled = self.patience = self.waits = 0

    def recall(self, image: Picture) -> Reading | None:
        """What is on a frame, where that is known without reading it; else None: read it, and `learn`.

        Args:
            image: uint8 (H, W, 3) BGR, or (H, W).
        """
        self.latest = None
        if self.reading is None or self.same < SETTLED or self.recalled == LONGEST:
            return None
        if self.waits:
            self.waits -= 1
            return None
        self.latest = reduced(image)
        if self.latest.shape != self.read.shape or not self.holds(self.latest):
            self.waits, self.patience = self.patience, min(2 * self.patience + 1, PATIENCE)
            return None
        self.patience = 0
        self.recalled += 1
        reduction = image.shape[0] // self.read.shape[0]
        scale = np.diag((reduction, reduction, 1.0))
        return moved(self.reading, scale @ self.motion @ np.linalg.inv(scale), (image.shape[1], image.shape[0]))

    def learn(self, image: Picture, reading: Reading) -> Reading:
        """Take, and give back, what was read on the frame that was asked for last."""
        self.same = self.same + 1 if self.reading and says_the_same(reading, self.reading) else 1
        if self.same >= SETTLED:
            self.read = reduced(image) if self.latest is None else self.latest
        self.reading, self.recalled = reading, 0
        self.corners, self.motion, self.moving = None, STILL, False
        return reading

    def holds(self, latest: Picture) -> bool:
        """Whether a frame shows what the one that was read does; then `motion` is how that has moved."""
        if not self.moving and unchanged(self.read, latest, self.motion):
            return True
        motion = self.motion_to(latest)
        if motion is None or not unchanged(self.read, latest, motion):
            return False
        self.motion, self.moving = motion, True
        return True

    def motion_to(self, latest: Picture) -> Motion | None:
        """From the frame that was read to another one: a homography, (3, 3); None where too little shows it."""
        if self.corners is None:
            found = cv2.goodFeaturesToTrack(self.read, POINTS, WORST, APART)
            self.corners = np.zeros((0, 1, 2), np.float32) if found is None else np.asarray(found, np.float32)
        if len(self.corners) < FEWEST:
            return None
        guess = np.asarray(cv2.perspectiveTransform(self.corners, self.motion), np.float32)
        now, found, _ = cv2.calcOpticalFlowPyrLK(
            self.read, latest, self.corners, guess, winSize=(15, 15), maxLevel=2, flags=cv2.OPTFLOW_USE_INITIAL_FLOW
        )
        seen = np.asarray(found)[:, 0] > 0
        if np.count_nonzero(seen) < FEWEST:
            return None
        motion, _ = cv2.findHomography(self.corners[seen], now[seen], cv2.RANSAC, OFF)
        return None if motion is None else np.asarray(motion, np.float64)


def reduced(image: Picture) -> Picture:
    """Grey, of half the frame's size where that is large."""
    return reduce(image, 2 if min(image.shape[:2]) >= ROWS else 1)


def unchanged(before: Picture, now: Picture, motion: Motion) -> bool:
    """Whether a picture shows what another one does, but for motion, light and noise: uint8 (H, W) each."""
    if motion is not STILL:
        size = (now.shape[1], now.shape[0])
        before = as_image(cv2.warpPerspective(before, motion, size, borderMode=cv2.BORDER_REPLICATE))
    before = in_light_of(now, before)
    change = cv2.boxFilter(cv2.add(beyond(now, before), beyond(before, now)), cv2.CV_16U, AREA, normalize=False)
    area = AREA[0] * AREA[1]
    mean, most = cv2.mean(change)[0] / area, cv2.minMaxLoc(change)[1] / area
    return mean < NOISIEST and most < LEAST + TIMES * mean


def in_light_of(other: Picture, picture: Picture) -> Picture:
    """A picture as bright as another one is, here and there: each pixel is multiplied, as light is."""
    size = (picture.shape[1], picture.shape[0])
    gain = cv2.divide(light_of(other), light_of(picture))
    return as_image(cv2.multiply(picture, cv2.resize(gain, size), dtype=cv2.CV_8U))


def light_of(picture: Picture) -> NDArray[np.float32]:
    """What the light is about each cell, float32; in the dark, noise is none."""
    return np.asarray(cv2.blur(reduce(picture, CELL).astype(np.float32), LIGHT) + HAZE, np.float32)


def beyond(picture: Picture, other: Picture) -> Picture:
    """How far each pixel is lighter or darker than all that another picture has there and beside it, uint8."""
    lighter = cv2.subtract(picture, cv2.dilate(other, NEIGHBOURS))
    return as_image(cv2.add(lighter, cv2.subtract(cv2.erode(other, NEIGHBOURS), picture)))


def says_the_same(reading: Reading, other: Reading) -> bool:
    """Whether two readings have the same digits, about where they were."""
    return len(reading.digits) == len(other.digits) and all(
        any(digit.label == old.label and overlap(digit.box, old.box) > 0 for old in other.digits)
        for digit in reading.digits
    )


def moved(reading: Reading, motion: Motion, size: tuple[int, int]) -> Reading:
    """A reading after a motion of what it was read on, but for what that moves out of the frame.

    Args:
        reading: of a frame.
        motion: of that to another one, in pixels of frames.
        size: width and height of frames.
    """
    boxes = moved_boxes([*(digit.box for digit in reading.digits), *reading.refused], motion)
    within = [x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1] for x, y, width, height in boxes]
    count = len(reading.digits)
    digits = [replace(digit, box=box) for digit, box, seen in zip(reading.digits, boxes, within, strict=False) if seen]
    refused = [box for box, seen in zip(boxes[count:], within[count:], strict=True) if seen]
    return Reading(tuple(sorted(digits, key=lambda digit: digit.box[0])), tuple(refused), recalled=True)


def moved_boxes(boxes: list[Box], motion: Motion) -> list[Box]:
    """Boxes after a motion."""
    if not boxes:
        return []
    table = np.array(boxes, np.float64)
    corners = np.stack([table[:, :2], table[:, :2] + table[:, 2:]], 1)
    (left, top), (right, bottom) = np.rint(cv2.perspectiveTransform(corners, motion)).astype(int).transpose(1, 2, 0)
    return list(zip(left.tolist(), top.tolist(), (right - left).tolist(), (bottom - top).tolist(), strict=True))
