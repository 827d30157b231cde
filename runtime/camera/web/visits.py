"""Those who bring a camera of their own: one picture at a time, which nobody else sees."""

from __future__ import annotations

import asyncio
import time

import cv2
import numpy as np

from runtime.camera.sources.visitor import LARGEST_SIDE
from runtime.camera.web.messages import MOST_VISITORS, Answers, Came, Left, Offered
from runtime.camera.web.pages import lets_in
from runtime.camera.web.sent import AnswerText, ByeText, DroppedText, ReadyText
from runtime.camera.web.viewers import NO_TOKEN, TOO_MANY, Socket
from runtime.errors import ImageError
from runtime.images import decode_image

LARGEST_BYTES = 1_000_000
MEGAPIXELS = LARGEST_SIDE**2 / 1e6
SCAN, MOST_SCANS = b"\xff\xda", 32  # of a JPEG; each may take as long to decode as all the picture


class VisitSocket(Socket):
    """One visitor.

    Attributes:
        number: of this one; 0 of those who are not let in.
        place: of the memory for the pixels.
        count: frames so far.
        busy: whether one of them has no answer yet.
    """

    number = 0

    @property
    def max_message_size(self) -> int:
        """In bytes; a longer one ends the connection."""
        return LARGEST_BYTES

    async def open(self, *arguments: str, **names: str) -> None:
        self.count, self.busy = 0, False
        if not lets_in(self, self.guard):
            self.close(NO_TOKEN, "token")
        elif not self.desk.places:
            self.close(TOO_MANY, f"there are {MOST_VISITORS} visitors already")
        else:
            self.admitted = True
            self.desk.visits_so_far += 1
            self.number, self.place = self.desk.visits_so_far, self.desk.places.popleft()
            self.desk.visits[self.number] = self
            self.desk.say(Came(self.number, self.place))
            await self.send_all(ReadyText(self.number, LARGEST_BYTES, LARGEST_SIDE))

    async def on_message(self, message: str | bytes) -> None:
        if not self.admitted:
            return
        if not isinstance(message, bytes) or self.busy:
            await self.misunderstood()
            return
        monotonic_ns, utc_ns = time.monotonic_ns(), time.time_ns()
        self.busy, self.count = True, self.count + 1
        loop = asyncio.get_running_loop()
        try:
            image = await loop.run_in_executor(self.desk.workers, decode, message)
        except ImageError as error:
            self.busy = False
            await self.send_all(DroppedText(self.count - 1, error.message))
            await self.misunderstood()
            return
        if self.desk.visits.get(self.number) is self:  # still there
            self.desk.visitor_memories[self.place].write(image)
            self.desk.say(Offered(self.number, image.shape, monotonic_ns, utc_ns))

    def answer(self, answers: Answers | None) -> None:
        """What was read on the latest frame; None where it was not."""
        self.busy = False
        frame = self.count - 1
        text = AnswerText.of(frame, answers) if answers else DroppedText(frame, "it came too late")
        self.desk.begin(self.send_all(text))

    async def bye(self, reason: str) -> None:
        """It is the end."""
        await self.send_all(ByeText(reason))
        self.close(1001, "the end")

    def on_close(self) -> None:
        if self.desk.visits.pop(self.number, None):
            self.desk.places.append(self.place)
            self.desk.say(Left(self.number))


def decode(data: bytes) -> np.ndarray:
    """A picture of a visitor, uint8 (H, W, 3) BGR.

    Raises:
        ImageError: it is no JPEG, or too large, or takes too long to decode.
    """
    if not data.startswith(b"\xff\xd8"):
        raise ImageError("a frame is not a JPEG")
    if data.count(SCAN) > MOST_SCANS:
        raise ImageError("a frame is a JPEG of too many scans")
    image = decode_image(data, "a frame", MEGAPIXELS)
    if max(image.shape[:2]) > LARGEST_SIDE:
        raise ImageError(f"a frame is larger than {LARGEST_SIDE} pixels a side")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
