"""Deployment: a built bundle and the runtime onto a board, over ssh."""

from .check import Facts
from .files import Shipment, add_reference, pack
from .ssh import Remote
from .steps import Deployment, Outcome, next_command

__all__ = ["Deployment", "Facts", "Outcome", "Remote", "Shipment", "add_reference", "next_command", "pack"]
