"""A video of what is read, written by a thread of its own, so that a slow disk or encoder does not hold the reading."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, Full, Queue

import cv2
import numpy as np

from runtime.camera.frame import Picture, Source
from runtime.camera.outputs.deadline import Deadline
from runtime.camera.outputs.encoders import Encoder, FfmpegEncoder, make_encoder

AHEAD = 8  # pictures that may wait for the encoder
LIVE_FPS = 30.0  # of a source that does not say how fast it is
PICTURES_FPS = 2.0  # of a folder of pictures, each of which is to be seen
FASTEST_FPS = 120.0
FASTEST_VIDEO_FPS = 1000.0  # what a file says beyond that is a clock's rate, not the pictures'
LONGEST_GAP_S = 10.0  # without a frame, that is shown as long as it was; a longer one is cut to that
LOOK_S = 0.1
REWRITE_SHARE = 0.6  # of the patience at the end
HURRIED_REWRITE_S = 0.5  # of that, after a signal
NOT_READY = "the end came before the encoder was ready"


class Recording:
    """Writes pictures to an MP4 file.

    The file grows beside its place, as `NAME.part.mp4`, and gets its name in the end. It plays up to where it was cut
    off, by whatever: a full disk, a power cut, SIGKILL.

    Of a live source it keeps real time: the picture before is repeated where one is late, one is left out where they
    come too fast, and what the encoder is too slow for is left out and counted. Of any other source it has every
    picture once.

    Attributes:
        path: the file.
        file: what was written: that file, or another name where it was taken; None before it is closed, or where
            nothing was.
        written: frames in it; pictures that stand for late ones, or show one again, are not counted.
        missed: frames that are not in it.
        problem: why it ended early; empty while it has not.

    Args:
        path: of the file to be.
        source: of the pictures; how fast it is, it need not know before the first of them.
        force: whether a file of that name is replaced; it is kept, too, where it came to be in the meantime.
        stop: whether a signal asks to stop: the encoder is then waited for no more, or a short time in the end.
        encoder: what makes one.
    """

    def __init__(
        self,
        path: Path,
        source: Source,
        *,
        force: bool = False,
        stop: Callable[[], bool] = lambda: False,
        encoder: Callable[[Path, tuple[int, int], float], Encoder] = make_encoder,
    ) -> None:
        self.path, self.source, self.force, self.stop, self.make = path, source, force, stop, encoder
        self.live = source.live
        self.file: Path | None = None
        self.written, self.problem = 0, ""
        self._left_out, self._lost = 0, 0  # frames: each is counted by one thread alone, or counts would get lost
        self.started = time.monotonic()
        self._waiting: Queue[tuple[Picture, int, bool] | None] = Queue(AHEAD)
        self._part: Path | None = None
        self._encoder: Encoder | None = None
        self._size = (0, 0)
        self._thread: threading.Thread | None = None
        self._opening = threading.Lock()
        self._empty = True  # no picture is in the file
        self._over = False  # the thread begins nothing more

    def add(self, picture: Picture, monotonic_ns: int, again: bool = False) -> None:
        """Hand over the next picture.

        Args:
            picture: not to be written to any more.
            monotonic_ns: when it was taken.
            again: whether it shows a frame that was handed over before.
        """
        if self._thread is None:
            self.started = time.monotonic()
            self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
            self._thread.start()
        while not self.problem:
            try:
                return self._waiting.put((picture, monotonic_ns, not again), timeout=0 if self.live else LOOK_S)
            except Full:
                if self.live or self.stop():
                    break
        self._left_out += not again

    @property
    def missed(self) -> int:
        """Frames that are not in the file."""
        return self._left_out + self._lost

    @property
    def text(self) -> str:
        """How it goes, for the picture."""
        if self.problem:
            return "recording stopped"
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        return f"rec {minutes:02d}:{seconds:02d}"

    def close(self, patience: float = 60.0, hurried: float = 0.9) -> None:
        """Finish the file and give it its name; may be called twice.

        Args:
            patience: seconds to wait for what is not written yet. An encoder that takes longer goes on by itself.
            hurried: seconds of that from when a signal asks to stop.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        end = Deadline(patience, hurried, self.stop)
        self._end_queue(thread, end)
        while thread.is_alive() and end.left:
            thread.join(min(LOOK_S, end.left))
        with self._opening:
            self._over = True
        self._left_out += self._drop_waiting()  # of a thread that has ended, too: one may have come as it did
        if thread.is_alive():
            self._waiting.put_nowait(None)
        try:
            if self._empty:
                self.problem = self.problem or NOT_READY
                if self._encoder:
                    self._encoder.abandon()
            whole = not thread.is_alive() and self._finish(end)
            if self._part:
                self._publish(self._part, whole and not self.problem, end)
        except OSError as error:
            self.file, self.problem = self._part, self.problem or error.strerror or str(error)

    def _end_queue(self, thread: threading.Thread, end: Deadline) -> None:
        """Tell the thread that nothing more comes."""
        while thread.is_alive() and end.left:
            try:
                return self._waiting.put(None, timeout=min(LOOK_S, end.left))
            except Full:
                continue

    def _finish(self, end: Deadline) -> bool:
        """Let the encoder write what is left; whether the file is whole."""
        try:
            while self._encoder:
                if self._encoder.finish(min(LOOK_S, end.left)):
                    return True
                if not end.left:
                    break
        except OSError as error:
            self.problem = self.problem or str(error)
        return False

    def _work(self) -> None:
        """The thread: everything that is handed over, until None is; also the end, where nobody waited for it."""
        self._take_all()
        if self._over and self._encoder:
            with suppress(OSError):
                self._encoder.finish(0)

    def _take_all(self) -> None:
        start, latest, fps = 0, 0, LIVE_FPS
        slots = 0  # frames in the file
        previous: Picture | None = None
        while (item := self._waiting.get()) is not None:
            picture, taken, counts = item
            try:
                if self._encoder is None:
                    start, latest, fps = taken, taken, speed_of(self.source)
                    self._open(picture, fps)
                picture = fitted(picture, self._size)
                start += max(0, taken - latest - int(LONGEST_GAP_S * 1e9))
                latest = taken
                late = round((taken - start) / 1e9 * fps) - slots if self.live else 0
                if late < -1:  # cameras are not punctual: one frame early or late is as good as on time
                    self._lost += counts
                    continue
                for _ in range(late - 1):
                    self._encode(picture if previous is None else previous)
                    slots += 1
                self._encode(picture)
                slots += 1
                self.written += counts
                self._empty = False
                previous = picture
            except Exception as error:  # whatever it is, the reading goes on
                self.problem = str(error).partition("\n")[0] or type(error).__name__
                self._lost += counts + self._drop_waiting()
                return

    def _open(self, picture: Picture, fps: float) -> None:
        """Begin the file, of the first picture's size."""
        height, width = picture.shape[0], picture.shape[1]
        self._size = (width + width % 2, height + height % 2)  # as the encoder's format of colours asks for
        with self._opening:
            if self._over:
                raise OSError(NOT_READY)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._part = reserve(self.path)
            self._encoder = self.make(self._part, self._size, fps)

    def _encode(self, picture: Picture) -> None:
        assert self._encoder
        self._encoder.write(picture)

    def _drop_waiting(self) -> int:
        """Take all that waits, so that nobody waits for room; how many frames that were."""
        count = 0
        while True:
            try:
                item = self._waiting.get_nowait()
                count += item is not None and item[2]
            except Empty:
                return count

    def _publish(self, part: Path, whole: bool, end: Deadline) -> None:
        """Give the file its name; remove it where nothing in it plays, nor will."""
        if self.problem and not plays(part):
            part.unlink()
            return
        other, share = part.with_name(f".{part.name}.tmp"), REWRITE_SHARE * end.left
        copied = Deadline(share, min(share, HURRIED_REWRITE_S), self.stop)
        if whole and isinstance(self._encoder, FfmpegEncoder) and self._encoder.rewrite(other, copied):
            os.replace(other, part)
        place = self.path
        if not self.force:
            number = 2
            while os.path.lexists(place):
                place, number = self.path.with_name(f"{self.path.stem}-{number}{self.path.suffix}"), number + 1
        os.replace(part, place)
        self.file = place


def speed_of(source: Source) -> float:
    """Frames a second of its recording."""
    slowest, fastest = (1, FASTEST_FPS) if source.live else (0, FASTEST_VIDEO_FPS)  # live, a slow one has repetitions
    if source.fps and slowest <= source.fps <= fastest:
        return source.fps
    return LIVE_FPS if source.live else PICTURES_FPS


def reserve(path: Path) -> Path:
    """An empty file beside another one, that no other recording has."""
    number = 1
    while True:
        part = path.with_name(f"{path.stem}.part{number if number > 1 else ''}{path.suffix}")
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return part
        except FileExistsError:  # of another recording, or what is left of one that was killed
            number += 1


def plays(path: Path) -> bool:
    """Whether there are pictures in an MP4 file, and not its head alone."""
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            if head[4:] == b"mdat":
                return True
            file.seek(max(0, int.from_bytes(head[:4], "big") - 8), os.SEEK_CUR)
    return False


def fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture on a ground of another size, as large as it fits; the same one where it has that size."""
    height, width = picture.shape[0], picture.shape[1]
    if (width, height) == size:
        return picture
    scale = min(size[0] / width, size[1] / height)
    ground = np.zeros((size[1], size[0], 3), np.uint8)
    wide, tall = (width, height) if 1 <= scale < 1.05 else (max(1, int(width * scale)), max(1, int(height * scale)))
    left, top = (size[0] - wide) // 2, (size[1] - tall) // 2
    same = (wide, tall) == (width, height)
    ground[top : top + tall, left : left + wide] = picture if same else cv2.resize(picture, (wide, tall))
    return ground
