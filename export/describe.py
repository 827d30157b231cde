"""Names in an ONNX graph from elsewhere, as a message shows them."""

from __future__ import annotations

import onnx

from runtime.errors import ModelError

LONGEST_NAME = 1000
SHOWN = 60  # characters of a name in a message


def shown(name: str | bytes) -> str:
    """A name in a message: on one line, and not without end. Protobuf gives bytes where it is no UTF-8."""
    name = name if isinstance(name, str) else name.decode(errors="backslashreplace")
    printable = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)
    return f"'{printable[:SHOWN]}...'" if len(printable) > SHOWN else f"'{printable}'"


def described(node: onnx.NodeProto) -> str:
    """A node and its operator, in a message."""
    name = node.name or next((name for name in node.output if name), "")
    operator = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
    return f"its node {shown(name)} ({shown(operator)[1:-1]})"


def require_names(what: str, *names: str | bytes) -> None:
    """Names are text, short, and can be printed."""
    for name in names:
        if isinstance(name, bytes) or len(name) > LONGEST_NAME or not name.isprintable():
            long = len(name) > LONGEST_NAME
            why = f"of {len(name):,} characters" if long else "that is no text, or cannot be printed"
            raise ModelError(f"{what} has or uses a name {why}: {shown(name)}", "export it again")
