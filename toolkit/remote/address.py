"""ssh://[USER@]HOST[:PORT], and nothing that ssh could take for an option."""

from __future__ import annotations

import re
from dataclasses import dataclass

FORM = re.compile(
    r"ssh://(?:(?P<user>\w[\w.+-]*\$?)@)?"
    r"(?:(?P<host>\w[\w.-]*)|\[(?P<literal>[0-9a-fA-F:.]+(?:%[\w.-]+)?)\])"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)


@dataclass(frozen=True)
class Address:
    """A machine that ssh can reach.

    Attributes:
        host: a name, one of the user's ssh configuration, or a number.
        user: None leaves it to ssh.
        port: None leaves it to ssh.
    """

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"

    @property
    def arguments(self) -> list[str]:
        """What names it to ssh; the command follows."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host]

    @property
    def command(self) -> str:
        """How a person reaches it."""
        return " ".join(["ssh", *(word for word in self.arguments if word != "--")])


def parse_address(text: str) -> Address:
    """The machine that a text names.

    Raises:
        ValueError: it names none; the message says what would.
    """
    match = FORM.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is not None and not 1 <= port <= 65535):
        raise ValueError(f"'{text}' is not ssh://[USER@]HOST[:PORT], such as ssh://me@jetson")
    return Address(match["host"] or match["literal"], match["user"], port)
