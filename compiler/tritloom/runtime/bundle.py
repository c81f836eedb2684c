"""Reading a bundle without trusting it: the manifest, then every file's size and sha256."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from .errors import BundleError
from .kernel_manifest import Kernel, canonical_hash
from .manifest import Image, Manifest, Program
from .net_manifest import NetProgram
from .tokenizer import Tokenizer

__all__ = ["Bundle", "canonical_hash"]

_CHUNK = 1 << 22


@dataclass(frozen=True)
class Bundle:
    """A compiled model in a folder, checked when it was opened."""

    root: Path
    manifest: Manifest

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Bundle:
        """Open the folder that `tritloom compile` wrote, and check it whole.

        Raises:
            BundleError: no manifest, another schema, a wrong hash, a file that is missing, changed
                or outside the folder, or a program for another kernel.
        """
        root = Path(path)
        if not root.is_dir():
            raise BundleError(f"{root}: no such folder", "give the folder that `tritloom compile` wrote")
        manifest = Manifest.read(root / "manifest.json")
        bundle = Bundle(root, manifest)
        for name, (size, digest) in _expected_files(manifest).items():
            check_file(bundle.path(name), name, size, digest)
        return bundle

    @property
    def kernel(self) -> Kernel:
        return self.manifest.kernel

    @property
    def program(self) -> Program:
        return self.manifest.program

    @property
    def net(self) -> NetProgram | None:
        """The feed-forward net, if it is one."""
        return self.manifest.model if isinstance(self.manifest.model, NetProgram) else None

    @property
    def files(self) -> set[str]:
        """Every file that the manifest names."""
        return set(_expected_files(self.manifest))

    @property
    def hls_files(self) -> Mapping[str, str]:
        """The C++ sources of the kernel: path relative to the bundle -> sha256."""
        return {n: h for n, h in self.manifest.files.items() if n.startswith("hls/")}

    def path(self, name: str) -> Path:
        """The path of a file of the bundle.

        Raises:
            BundleError: `name` is not a plain relative path, or a link leads outside the folder.
        """
        pure = PurePosixPath(name)
        plain = not pure.is_absolute() and "\\" not in name and "\0" not in name
        if not plain or not pure.parts or ".." in pure.parts:
            raise _outside(name)
        path = self.root.joinpath(*pure.parts)
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise _outside(name)
        return path

    def image(self, image: Image) -> npt.NDArray[np.uint8]:
        """An image, mapped read-only: uint8 [image.bytes]."""
        mapped = np.memmap(self.path(image.file), dtype=np.uint8, mode="r", shape=(image.bytes,))
        return np.asarray(mapped)

    def tokenizer(self) -> Tokenizer | None:
        """The model's tokenizer, or None where it came without one.

        Raises:
            BundleError: tokenizer.json is not one that can be read here.
        """
        entry = self.program.tokenizer
        if entry is None:
            return None
        return Tokenizer.open(self.path(entry.file), self.program.vocab, entry.bos, entry.eos)


def _expected_files(manifest: Manifest) -> dict[str, tuple[int | None, str]]:
    """Every file that the manifest names: path -> (bytes or None, sha256)."""
    expected: dict[str, tuple[int | None, str]] = {name: (None, digest) for name, digest in manifest.files.items()}
    if isinstance(manifest.model, NetProgram):
        return expected
    listed = [(image.file, image.bytes, image.sha256) for image in manifest.program.images]
    if (tokenizer := manifest.program.tokenizer) is not None:
        listed.append((tokenizer.file, -1, tokenizer.sha256))
    for name, size, digest in listed:
        if name in expected and expected[name][1] != digest:
            raise BundleError(f"manifest.json: two different sha256 for {name}", "compile the bundle again")
        expected[name] = (size if size >= 0 else None, digest)
    return expected


def check_file(path: Path, name: str, size: int | None, digest: str) -> None:
    """Look whether the file `name` of a bundle, at `path`, has this size (None: any) and sha256.

    Raises:
        BundleError: it is missing or another file.
    """
    copy_again = "copy the bundle again, or compile it again"
    if not path.is_file():
        raise BundleError(f"{name} is missing from the bundle", copy_again)
    found = path.stat().st_size
    if size is not None and found != size:
        raise BundleError(f"{name} has {found} bytes, the manifest says {size}", copy_again)
    if _sha256(path) != digest:
        raise BundleError(f"{name} was changed: its sha256 is not the manifest's", copy_again)


def _sha256(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _outside(name: str) -> BundleError:
    return BundleError(f"manifest.json: the path {name!r} leaves the bundle's folder", "compile the bundle again")
