"""Typed access to a JSON object that nobody has checked: every error names the field by its path."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .errors import BundleError

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Fields:
    """A JSON object at `path` (such as ``program.images[2]``) of `file` whose members are read by type.

    Every reader raises :class:`BundleError` where the member is missing, has another type or lies
    outside the given range.
    """

    def __init__(self, value: object, path: str, file: str = "manifest.json") -> None:
        self.file = file
        self.path = path
        if not isinstance(value, dict):
            raise self._bad(path, "an object", value)
        self.raw: Mapping[str, Any] = value

    def _member(self, key: str) -> tuple[Any, str]:
        path = f"{self.path}.{key}" if self.path else key
        if key not in self.raw:
            raise BundleError(f"{self.file}: `{path}` is missing", "compile the bundle again")
        return self.raw[key], path

    def integer(self, key: str, low: int = 0, high: int = 2**40) -> int:
        """An integer in [low, high]."""
        value, path = self._member(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._bad(path, f"an integer from {low} to {high}", value)
        return value

    def optional_integer(self, key: str, low: int = 0, high: int = 2**40) -> int | None:
        """An integer in [low, high], or None where the member is null or absent."""
        return None if self.raw.get(key) is None else self.integer(key, low, high)

    def number(self, key: str) -> float:
        """A finite number."""
        value, path = self._member(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._bad(path, "a number", value)
        return float(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers."""
        value, path = self._member(key)
        if not isinstance(value, list):
            raise self._bad(path, "a list of numbers", value)
        for item in value:
            if isinstance(item, bool) or not isinstance(item, (int, float)):
                raise self._bad(path, "a list of numbers", value)
        return tuple(float(item) for item in value)

    def integers(self, key: str, low: int, high: int) -> tuple[int, ...]:
        """A list of integers in [low, high]."""
        value, path = self._member(key)
        if not isinstance(value, list):
            raise self._bad(path, "a list of integers", value)
        for item in value:
            if isinstance(item, bool) or not isinstance(item, int) or not low <= item <= high:
                raise self._bad(path, f"a list of integers from {low} to {high}", value)
        return tuple(value)

    def flag(self, key: str) -> bool:
        """true or false."""
        value, path = self._member(key)
        if not isinstance(value, bool):
            raise self._bad(path, "true or false", value)
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        value, path = self._member(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._bad(path, "a list of strings", value)
        return tuple(value)

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value, path = self._member(key)
        if not isinstance(value, str) or not value:
            raise self._bad(path, "a string", value)
        return value

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of a few strings."""
        value = self.text(key)
        if value not in choices:
            raise self._bad(f"{self.path}.{key}", "one of " + ", ".join(choices), value)
        return value

    def sha256(self, key: str) -> str:
        """64 lower-case hexadecimal digits."""
        value, path = self._member(key)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self._bad(path, "a sha256 in hexadecimal", value)
        return value

    def fields(self, key: str) -> Fields:
        """An object."""
        value, path = self._member(key)
        return Fields(value, path, self.file)

    def optional_fields(self, key: str) -> Fields | None:
        """An object, or None where the member is null or absent."""
        return None if self.raw.get(key) is None else self.fields(key)

    def items(self, key: str) -> Iterator[Fields]:
        """The objects of an array."""
        value, path = self._member(key)
        if not isinstance(value, list):
            raise self._bad(path, "an array", value)
        for index, item in enumerate(value):
            yield Fields(item, f"{path}[{index}]", self.file)

    def shape(self, key: str) -> tuple[int, ...]:
        """An array of dimensions, each at least 1."""
        value, path = self._member(key)
        if not isinstance(value, list) or not all(
            isinstance(n, int) and not isinstance(n, bool) and 1 <= n < 2**32 for n in value
        ):
            raise self._bad(path, "an array of dimensions", value)
        return tuple(value)

    def _bad(self, path: str, wanted: str, value: object) -> BundleError:
        shown = repr(value)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        name = f"`{path}`" if path else "the document"
        return BundleError(f"{self.file}: {name} should be {wanted}, not {shown}", "compile the bundle again")
