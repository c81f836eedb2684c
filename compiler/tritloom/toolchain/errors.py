"""What can go wrong with AMD's tools."""

from __future__ import annotations

from ..errors import TritloomError


class ToolError(TritloomError):
    """A tool is missing, too old, or failed: a message of a few lines, and what to do."""

    def __init__(self, message: str, hint: str = "", *, exit_code: int = 1) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code
