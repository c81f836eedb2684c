"""Errors that a user can cause. Each says what is wrong, where, and (the hint) what to do."""

from __future__ import annotations


class TritloomError(Exception):
    """A failure with a message of a few lines and a hint; the command line exits with `exit_code`."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(TritloomError):
    """The user's input is at fault: the model, a file, an option."""

    exit_code = 2


class DeployError(TritloomError):
    """A bundle could not be put on a board: no connection, or something that the board lacks."""
