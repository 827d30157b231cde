"""Every failure that a user can cause or mend.

    ToolkitError                     message, and a hint that says what to do
    |-- ModelError                   a model cannot be used
    |   |-- UnknownModelError        no model of that name
    |   |-- WeightsError             weights do not fit the model
    |   `-- ExportError              PyTorch to ONNX failed or changed the answers
    |-- DataError                    images or labels cannot be used
    |   `-- ImageError               one image cannot be read
    |-- SourceError                  a camera, a stream or a video cannot be used
    |-- OptionError                  a value that was given for an option cannot be one
    |-- InputError                   an array given to a session has a wrong dtype or shape
    |-- BundleError                  a bundle cannot be written
    |   |-- BundleExistsError        the output folder is taken, or another build holds it
    |   |-- BundleCorruptError       what is in the folder is not what was written
    |   `-- SelfCheckError           the engine does not answer its probe as it should
    |-- BackendError                 an inference library failed
    |   |-- BackendUnavailableError  it is not installed or does not run here
    |   `-- DeviceMemoryError        a GPU has no memory left
    |-- CacheError                   the cache folder that was asked for cannot be made
    |-- MissingPackageError          an optional package is not installed
    |-- RemoteError                  another machine cannot be used
    |   `-- ConnectionLostError      the connection to it broke off
    `-- Cancelled                    a progress display asked to stop

The command line prints message and hint, and exits with 1, with 2 where a value of an option is wrong, or as a
command did that failed on another machine.
"""

from __future__ import annotations


class ToolkitError(Exception):
    """A failure with a remedy.

    Args:
        message: what is wrong, naming the thing and saying why.
        hint: what to do about it.

    Attributes:
        exit_code: of the command line.
    """

    exit_code: int = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ModelError(ToolkitError):
    """A model cannot be used."""


class UnknownModelError(ModelError):
    """No model of that name."""


class WeightsError(ModelError):
    """Weights do not fit the model."""


class ExportError(ModelError):
    """PyTorch to ONNX failed, or changed the model's answers."""


class DataError(ToolkitError):
    """Images or labels cannot be used."""


class ImageError(DataError):
    """One image cannot be read."""


class SourceError(ToolkitError):
    """A camera, a stream or a video cannot be used."""


class OptionError(ToolkitError):
    """A value that was given for an option cannot be one."""

    exit_code = 2


class InputError(ToolkitError):
    """An array given to a session has a wrong dtype or shape."""


class BundleError(ToolkitError):
    """A bundle cannot be written."""


class BundleExistsError(BundleError):
    """The output folder is taken, or another build holds it."""


class BundleCorruptError(BundleError):
    """What is in the bundle's folder is not what was written there."""


class SelfCheckError(BundleError):
    """An engine does not answer its probe as it should."""


class BackendError(ToolkitError):
    """An inference library failed."""


class BackendUnavailableError(BackendError):
    """An inference library is not installed, or does not run on this machine."""


class DeviceMemoryError(BackendError):
    """A GPU has no memory left for what was asked."""


class CacheError(ToolkitError):
    """The cache folder that was asked for cannot be made."""


class MissingPackageError(ToolkitError):
    """An optional package is not installed."""


class RemoteError(ToolkitError):
    """Another machine cannot be used."""


class ConnectionLostError(RemoteError):
    """The connection to another machine broke off."""


class Cancelled(ToolkitError):
    """A progress display asked to stop."""


def first_line(error: BaseException) -> str:
    """Of an error's message, which may have many; its type where it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
