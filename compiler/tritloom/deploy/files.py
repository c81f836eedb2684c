"""What a deployment sends: the files of a bundle that a board needs, and what is made for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..runtime import Bundle, TritloomRuntimeError, load
from ..runtime.overlay_file import FILES, check_overlay
from ..runtime.selftest import REFERENCE, record
from . import wheel
from .board import NOTEBOOK, RECORD


@dataclass(frozen=True)
class Shipment:
    """Files by their names on the board: those that lie in the bundle, and those made here."""

    bundle: Bundle
    paths: dict[str, Path]
    made: dict[str, bytes] = field(default_factory=dict)

    def seal(self) -> dict[str, tuple[int, str]]:
        """Bytes and sha256 of each file; adds the record of them to the shipment."""
        self.made.pop(RECORD, None)
        self.made[RECORD] = json.dumps(self._digests(), indent=1).encode()
        return self._digests()

    def _digests(self) -> dict[str, tuple[int, str]]:
        found = {name: (path.stat().st_size, _sha256(path)) for name, path in self.paths.items()}
        return found | {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in self.made.items()}


def pack(root: Path) -> Shipment:
    """The files of a built bundle, and the runtime's wheel.

    Raises:
        BundleError: the bundle is not sound.
        DeviceError: it has not been built, or its overlay is not whole.
    """
    bundle = Bundle.open(root)
    check_overlay(bundle)
    names = {"manifest.json", *bundle.files}
    names |= {f"overlay/{name}" for name in ("overlay.json", *FILES[bundle.kernel.family])}
    if (root / NOTEBOOK).is_file():
        names.add(NOTEBOOK)
    return Shipment(bundle, {name: bundle.path(name) for name in sorted(names)}, {wheel.NAME: wheel.runtime_wheel()})


def add_reference(shipment: Shipment, note: Callable[[str], None]) -> None:
    """Compute on the emulated device what the board must answer (see `runtime.selftest`)."""
    note("computing the known answer on the emulated device")
    try:
        with load(shipment.bundle, "emulated") as session:
            answer = record(session)
    except TritloomRuntimeError as error:
        note(f"no known answer for the self-test: {error.message.splitlines()[0]}")
        return
    shipment.made[REFERENCE] = (json.dumps(answer, indent=2) + "\n").encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
