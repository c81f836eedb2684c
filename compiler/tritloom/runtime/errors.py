"""What can go wrong on the board: each error says what happened and, in `hint`, what to do."""

from __future__ import annotations


class TritloomRuntimeError(Exception):
    """A failure of the runtime, with a message of a few lines and a hint.

    `exit_code` is what a command line should return: 2 where the user's input is at fault.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BundleError(TritloomRuntimeError):
    """A bundle that cannot be used: a missing or changed file, another schema, a bad manifest."""

    exit_code = 2


class InputError(TritloomRuntimeError):
    """An argument of a call is wrong: a token outside the vocabulary, a bad shape."""

    exit_code = 2


class DeviceError(TritloomRuntimeError):
    """The device or its overlay: none there, another kernel, no memory left, a bus error."""


class BuildError(DeviceError):
    """The C++ model of the emulated device could not be compiled."""


class KernelTimeout(DeviceError):
    """The kernel did not finish in time; the message holds the register dump."""


class Cancelled(DeviceError):
    """The start was given up because the task that waited for it was cancelled."""

    def __init__(self) -> None:
        super().__init__("the start of the kernel was cancelled")


class KernelError(DeviceError):
    """The kernel finished with a status code other than 0."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status
