"""Byte-level BPE in plain Python: the reader of tokenizer.json where `tokenizers` is not installed.

It covers what byte-level models need (GPT-2's split, merges, added tokens) and refuses anything else.
"""

from __future__ import annotations

import functools
import heapq
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import BundleError

# Unicode's White_Space property (str.isspace also takes U+001C to U+001F).
_SPACES = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | frozenset(
    map(chr, range(0x2000, 0x200B))
)
_CONTRACTIONS = ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d")


def _byte_alphabet() -> list[str]:
    """The printable character that stands for each byte in a byte-level vocabulary."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    characters = {byte: chr(byte) for byte in plain}
    others = [byte for byte in range(256) if byte not in characters]
    characters |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return [characters[byte] for byte in range(256)]


BYTE_CHARACTERS = _byte_alphabet()
CHARACTER_BYTES = {character: byte for byte, character in enumerate(BYTE_CHARACTERS)}


@functools.lru_cache(maxsize=4096)
def _class(character: str) -> str:
    """S white space, L letter, N number, O anything else."""
    if character in _SPACES:
        return "S"
    major = unicodedata.category(character)[0]
    return major if major in "LN" else "O"


def split_words(text: str) -> Iterator[str]:
    r"""GPT-2's split: ``'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+``.

    The words joined give `text` back.
    """
    at = 0
    while at < len(text):
        end = _word_end(text, at)
        yield text[at:end]
        at = end


def _word_end(text: str, at: int) -> int:
    if text[at] == "'":
        for contraction in _CONTRACTIONS:
            if text.startswith(contraction, at):
                return at + len(contraction)
    first = at + 1 if text[at] == " " and at + 1 < len(text) else at
    kind = _class(text[first])
    if kind != "S":
        return _run_end(text, first, kind)
    end = _run_end(text, at, "S")
    return end - 1 if end < len(text) and end - at > 1 else end


def _run_end(text: str, at: int, kind: str) -> int:
    while at < len(text) and _class(text[at]) == kind:
        at += 1
    return at


def merge(symbols: Sequence[str], ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Apply merges to the symbols of one word: the lowest rank first, then the leftmost."""
    parts: list[str | None] = list(symbols)
    after = list(range(1, len(parts) + 1))
    before = list(range(-1, len(parts) - 1))
    heap: list[tuple[int, int, str, str]] = []

    def offer(left: int) -> None:
        right = after[left]
        if right < len(parts):
            a, b = parts[left], parts[right]
            if a is not None and b is not None and (rank := ranks.get((a, b))) is not None:
                heapq.heappush(heap, (rank, left, a, b))

    for index in range(len(parts) - 1):
        offer(index)
    while heap:
        _, left, a, b = heapq.heappop(heap)
        right = after[left]
        if parts[left] != a or right >= len(parts) or parts[right] != b:
            continue  # one of the two has since been merged with another
        parts[left], parts[right] = a + b, None
        after[left] = after[right]
        if after[left] < len(parts):
            before[after[left]] = left
        if before[left] >= 0:
            offer(before[left])
        offer(left)
    return [part for part in parts if part is not None]


class ByteLevelBpe:
    """The byte-level BPE model of a tokenizer.json document.

    Raises:
        BundleError: the document is another kind of tokenizer, or it is malformed.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        try:
            self._read(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"tokenizer.json is malformed: {error!r}", "compile the bundle again") from error

    def _read(self, document: Mapping[str, Any]) -> None:
        model = document["model"]
        pre = document.get("pre_tokenizer") or {}
        _refuse_unless(model.get("type") == "BPE", "its model is not BPE")
        _refuse_unless(pre.get("type") == "ByteLevel", "its pre-tokenizer is not ByteLevel")
        _refuse_unless((document.get("decoder") or {}).get("type") == "ByteLevel", "its decoder")
        _refuse_unless(document.get("normalizer") is None, "it has a normalizer")
        for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "unk_token"):
            _refuse_unless(not model.get(option), f"its model has {option}")
        _refuse_unless(not model.get("byte_fallback"), "its model has byte_fallback")
        self._prefix_space = bool(pre.get("add_prefix_space", True))
        self._use_regex = bool(pre.get("use_regex", True))
        self._ignore_merges = bool(model.get("ignore_merges"))
        self._vocab: dict[str, int] = {str(token): int(i) for token, i in model["vocab"].items()}
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        self._ranks = {(str(a), str(b)): rank for rank, (a, b) in enumerate(pairs)}
        self._read_added(document.get("added_tokens") or [])
        self._tokens = {i: token for token, i in self._vocab.items()}
        self._cached_word = functools.lru_cache(maxsize=1 << 14)(self._encode_word)

    def _read_added(self, added: Sequence[Mapping[str, Any]]) -> None:
        self._added: dict[str, int] = {}
        self._special: set[int] = set()
        for token in added:
            for option in ("single_word", "lstrip", "rstrip"):
                _refuse_unless(not token.get(option), f"an added token has {option}")
            self._added[str(token["content"])] = int(token["id"])
            if token.get("special"):
                self._special.add(int(token["id"]))
        longest_first = sorted((text for text in self._added if text), key=len, reverse=True)
        alternatives = "|".join(map(re.escape, longest_first))
        self._added_pattern = re.compile(f"({alternatives})") if alternatives else None
        self._added_text = {i: text for text, i in self._added.items()}

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, added tokens recognised, nothing put in front or behind."""
        pieces = self._added_pattern.split(text) if self._added_pattern else [text]
        ids: list[int] = []
        for piece in pieces:
            if piece in self._added:
                ids.append(self._added[piece])
            elif piece:
                ids.extend(self._encode_piece(piece))
        return ids

    def _encode_piece(self, piece: str) -> Iterator[int]:
        if self._prefix_space and not piece.startswith(" "):
            piece = " " + piece
        for word in split_words(piece) if self._use_regex else (piece,):
            yield from self._cached_word(word)

    def _encode_word(self, word: str) -> tuple[int, ...]:
        symbols = [BYTE_CHARACTERS[byte] for byte in word.encode("utf-8")]
        if self._ignore_merges and "".join(symbols) in self._vocab:
            return (self._vocab["".join(symbols)],)
        known = [symbol for symbol in symbols if symbol in self._vocab]
        return tuple(self._vocab[symbol] for symbol in merge(known, self._ranks))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens and unknown ids are left out."""
        data = bytearray()
        for token in ids:
            if token not in self._special:
                data += self._bytes(token)
        return data.decode("utf-8", errors="replace")

    def _bytes(self, token: int) -> bytes:
        text = self._added_text.get(token, self._tokens.get(token, ""))
        if all(character in CHARACTER_BYTES for character in text):
            return bytes(CHARACTER_BYTES[character] for character in text)
        return text.encode("utf-8")


def _refuse_unless(supported: bool, reason: str) -> None:
    if not supported:
        raise BundleError(
            f"tokenizer.json is not plain byte-level BPE: {reason}",
            "install the package `tokenizers` on this machine (pip install tokenizers)",
        )
