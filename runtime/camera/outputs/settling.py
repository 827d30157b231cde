"""When the numbers that a source shows have become others."""

from __future__ import annotations

from msgspec import Struct

from runtime.camera.outputs.lines import utc_text
from runtime.camera.outputs.seen import Seen

#: A number comes into view, and leaves it, digit by digit; what is there for a shorter time is a piece of one.
STABLE_S = 0.3
#: What never settles is told after that time as it is: another number that flickers must not hold back the others.
LONGEST_S = 2.0


class SeenNumber(Struct, frozen=True):
    """A number.

    Attributes:
        text: its digits.
        probability: of the least sure of them, 0..1.
    """

    text: str
    probability: float


class NumbersMessage(Struct, frozen=True):
    """The numbers that a source shows.

    Attributes:
        source: its name, without a password.
        utc: since when it shows them, ISO 8601 with microseconds and Z.
        frame: the first that had them, from 0; None before there is a frame.
        numbers: left to right.
    """

    source: str
    utc: str
    frame: int | None
    numbers: tuple[SeenNumber, ...]


class Settling:
    """Follows the numbers of one source, by the times of its frames.

    Attributes:
        changing: numbers that are other than what was told last, and not yet there for long enough; None for none.

    Args:
        source: its name.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.changing: NumbersMessage | None = None
        self._told: list[str] = []
        self._texts: list[str] = []  # of `changing`
        self._since_ns = 0  # those are there
        self._other_ns = 0  # since then it has been other than what was told

    def take(self, seen: Seen) -> NumbersMessage | None:
        """The numbers, where they have become others with this frame.

        Which numbers they are counts, and how often each is there, and not their order.
        """
        texts = sorted(number.text for number in seen.numbers)
        if texts == self._told:
            self.changing = None
            return None
        frame, before = seen.frame, self.changing
        now = frame.monotonic_ns
        if before is None:
            self._other_ns = now
        if before is None or texts != self._texts:
            self._texts, self._since_ns = texts, now
            before = NumbersMessage(self.source, utc_text(frame.utc_ns), frame.index, ())
        self.changing = NumbersMessage(self.source, before.utc, before.frame, numbers_of(seen))
        if now - self._since_ns < STABLE_S * 1e9 and now - self._other_ns < LONGEST_S * 1e9:
            return None
        return self.settle()

    def settle(self) -> NumbersMessage | None:
        """What is changing counts as told."""
        message, self.changing = self.changing, None
        if message:
            self._told = self._texts
        return message


def numbers_of(seen: Seen) -> tuple[SeenNumber, ...]:
    """The numbers on a frame, with how sure they are."""
    return tuple(SeenNumber(number.text, round(seen.sureness(number), 4)) for number in seen.numbers)
