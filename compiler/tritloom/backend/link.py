"""Kernel and card -> the linker's configuration of a bundle (`v++ --link`). Not run on hardware."""

from __future__ import annotations

from typing import Final

from ..errors import InputError
from ..targets import Target
from .connect import Kernel

TEMPLATE: Final = "link.cfg.j2"


def link_context(kernel: Kernel, target: Target) -> dict[str, object]:
    """What the template of the linker's configuration sees.

    Raises:
        InputError: the board is no card.
    """
    if target.alveo is None:
        raise InputError(
            f"board '{target.name}' has no platform to link a kernel into", "Cards have a table [alveo] in their file."
        )
    return {"kernel": kernel, "platform": target.alveo.platform, "slr": target.alveo.slr}
