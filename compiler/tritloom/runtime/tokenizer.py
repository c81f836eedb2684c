"""Text to token ids and back: `tokenizers` where it is installed, our own byte-level BPE elsewhere."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from .bpe import ByteLevelBpe
from .errors import BundleError, InputError


class Codec(Protocol):
    """What turns text into ids, without special tokens around it, and back."""

    def encode(self, text: str) -> list[int]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


class _PackageCodec:
    """The package `tokenizers`."""

    def __init__(self, text: str) -> None:
        from tokenizers import Tokenizer as PackageTokenizer

        try:
            self._tokenizer = PackageTokenizer.from_str(text)
        except Exception as error:  # the package raises nothing more special
            raise BundleError(f"tokenizer.json: {error}", "compile the bundle again") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def encode(self, text: str) -> list[int]:
        return [int(i) for i in self._tokenizer.encode(text, add_special_tokens=False).ids]

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))


class Tokenizer:
    """The tokenizer of a model of `vocab` tokens; `bos` goes in front of a prompt, `eos` ends a text."""

    def __init__(self, codec: Codec, vocab: int, bos: int | None, eos: int | None) -> None:
        for name, token in (("bos", bos), ("eos", eos)):
            if token is not None and not 0 <= token < vocab:
                raise BundleError(
                    f"the tokenizer's {name} token {token} is outside the vocabulary of {vocab}",
                    "compile the bundle again",
                )
        self._codec = codec
        self.vocab = vocab
        self.bos = bos
        self.eos = eos

    @staticmethod
    def open(
        path: Path, vocab: int, bos: int | None = None, eos: int | None = None, pure: bool | None = None
    ) -> Tokenizer:
        """Read a tokenizer.json.

        `pure` asks for our own BPE (True) or the package `tokenizers` (False); None takes the package
        where it is installed.

        Raises:
            BundleError: the file cannot be read or is a kind that needs the package.
        """
        if pure is None:
            pure = importlib.util.find_spec("tokenizers") is None
        try:
            text = path.read_text(encoding="utf-8")
            codec: Codec = ByteLevelBpe(_document(text)) if pure else _PackageCodec(text)
        except (OSError, UnicodeDecodeError) as error:
            raise BundleError(f"{path.name}: {error}", "compile the bundle again") from error
        return Tokenizer(codec, vocab, bos, eos)

    def encode(self, text: str, bos: bool = True) -> list[int]:
        """Token ids of `text`, with the BOS token in front where the model has one and `bos` is set.

        Raises:
            InputError: the text holds a lone surrogate, or a token outside the model's vocabulary.
        """
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InputError(f"the text is not valid Unicode: {error.reason}", "remove it") from error
        ids = self._codec.encode(text)
        for token in ids:
            if not 0 <= token < self.vocab:
                raise InputError(
                    f"token {token} of the text is outside the vocabulary of {self.vocab}",
                    "the tokenizer knows more tokens than the model: leave that piece of text out",
                )
        return [self.bos, *ids] if bos and self.bos is not None else ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids, special tokens left out; bytes that are not UTF-8 become U+FFFD."""
        return self._codec.decode([int(token) for token in ids])

    def stream(self) -> StreamDecoder:
        """A decoder for tokens that come one by one."""
        return StreamDecoder(self)


def _document(text: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"tokenizer.json: {error}", "compile the bundle again") from error
    if not isinstance(document, dict):
        raise BundleError("tokenizer.json is not an object", "compile the bundle again")
    return document


class StreamDecoder:
    """Decodes tokens as they come, holding back a character until all its bytes are there.

    The pieces joined equal ``tokenizer.decode`` of all tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._tokens: list[int] = []  # from the last piece's first token on
        self._given = 0  # tokens of these whose text has been given out

    def put(self, tokens: Iterable[int]) -> str:
        """The text that the tokens complete; may be empty."""
        self._tokens.extend(tokens)
        before, text = self._texts()
        if text.endswith("\ufffd"):
            return ""
        self._tokens = self._tokens[self._given :]
        self._given = len(self._tokens)
        return text[len(before) :]

    def end(self) -> str:
        """What was held back; the decoder is empty afterwards."""
        before, text = self._texts()
        self._tokens, self._given = [], 0
        return text[len(before) :]

    def _texts(self) -> tuple[str, str]:
        decode = self._tokenizer.decode
        return decode(self._tokens[: self._given]), decode(self._tokens)
