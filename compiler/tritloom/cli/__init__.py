"""The command line. Importing it imports nothing heavy: each command imports what it needs when it runs."""

from .app import main

__all__ = ["main"]
