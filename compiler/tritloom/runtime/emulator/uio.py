"""What pynq opens as /dev/uioN on a board: an interrupt that fires once and must be armed again."""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol


class Event(Protocol):
    """An asyncio event, or a pynq interrupt controller, which looks like one."""

    def set(self) -> None: ...


class Uio:
    """Stands where pynq keeps a `UioController`; the emulated controller drives its `level`."""

    def __init__(self) -> None:
        self._level = False
        self.wait_events: list[tuple[asyncio.AbstractEventLoop, Event]] = []
        self._lock = threading.RLock()

    def set_level(self, level: bool) -> None:
        """The interrupt line; called from the kernel's thread."""
        with self._lock:
            self._level = level
            self._fire()

    def add_event(self, event: Event, number: int) -> None:
        """Set `event` in the current loop at the next interrupt."""
        with self._lock:
            self.wait_events.append((asyncio.get_event_loop(), event))
            self._fire()

    def _fire(self) -> None:
        if self._level:
            waiting, self.wait_events = self.wait_events, []
            for loop, event in waiting:
                if not loop.is_closed():
                    loop.call_soon_threadsafe(event.set)
