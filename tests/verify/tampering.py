"""Bundles with planted faults: files changed, and every hash made right again, so that only the numbers can tell."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tritloom.ir.encoding import DECODE_TABLE
from tritloom.runtime import canonical_hash


@dataclass(frozen=True)
class Tampered:
    """A copy of a bundle that may be changed."""

    root: Path

    @staticmethod
    def copy(bundle: Path, to: Path) -> Tampered:
        shutil.copytree(bundle, to)
        return Tampered(to)

    def read(self, name: str) -> bytearray:
        return bytearray((self.root / name).read_bytes())

    def write(self, name: str, content: bytes | bytearray) -> None:
        """Write a file and make the manifest's hashes right."""
        (self.root / name).write_bytes(bytes(content))
        path = self.root / "manifest.json"
        manifest = json.loads(path.read_text())
        digest = hashlib.sha256(bytes(content)).hexdigest()
        if name in manifest["files"]:
            manifest["files"][name] = digest
        for image in manifest["program"]["images"]:
            if image["file"] == name:
                image["sha256"], image["bytes"] = digest, len(content)
        manifest["program"]["hash"] = canonical_hash(manifest["program"])
        path.write_text(json.dumps(manifest, indent=2))

    def replace_text(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert text.count(old) == 1, f"{name} holds {old!r} {text.count(old)} times"
        self.write(name, text.replace(old, new).encode())

    def flip_trit(self, port: int, offset: int, digit: int = 0) -> None:
        """Change one of the five trits of one byte of a port image."""
        name = f"weights/port{port}.bin"
        image = self.read(name)
        digits = DECODE_TABLE[image[offset]].copy()
        digits[digit] = -1 if digits[digit] == 1 else digits[digit] + 1
        image[offset] = int(np.flatnonzero((digits == DECODE_TABLE).all(axis=1))[0])
        self.write(name, image)

    def field(self, instruction: int, word: int) -> np.float32:
        return np.frombuffer(self.read("weights/program.bin"), "<f4")[instruction * 16 + word]

    def set_field(self, instruction: int, word: int, value: np.float32) -> None:
        """Set a float of an instruction."""
        program = self.read("weights/program.bin")
        np.frombuffer(program, "<f4")[instruction * 16 + word] = value
        self.write("weights/program.bin", program)

    def exchange(self, a: str, b: str) -> None:
        first, second = self.read(a), self.read(b)
        self.write(a, second)
        self.write(b, first)
