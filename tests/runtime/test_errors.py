"""Every error has one parent, a message and a hint."""

from __future__ import annotations

import inspect

from runtime import errors
from runtime.errors import ToolkitError


def classes() -> list[type[ToolkitError]]:
    return [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, ToolkitError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    tree = [line for line in (errors.__doc__ or "").splitlines() if "Error" in line or "Cancelled" in line]
    drawn = {line.replace("|", " ").replace("`--", "   ").replace("--", "  ").split()[0] for line in tree}
    assert drawn == {kind.__name__ for kind in classes()}
    depth = {kind.__name__: len(kind.__mro__) for kind in classes()}
    for line in tree:
        name = line.replace("|", " ").replace("`--", "   ").replace("--", "  ").split()[0]
        assert line.index(name) // 4 - 1 == depth[name] - depth["ToolkitError"], line


def test_an_error_shows_its_message_and_then_its_hint() -> None:
    for kind in classes():
        error = kind("what", "do this")
        assert (error.message, error.hint, str(error)) == ("what", "do this", "what\ndo this")
    assert str(ToolkitError("what")) == "what"
