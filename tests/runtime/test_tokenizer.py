"""Our byte-level BPE against the package `tokenizers`, and streaming."""

from __future__ import annotations

import functools
import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.runtime import BundleError, InputError, Tokenizer
from tritloom.runtime.bpe import BYTE_CHARACTERS, ByteLevelBpe, merge, split_words

from .fake_bundle import tokenizer_document

package = pytest.importorskip("tokenizers")

_CORPUS = [
    "In the beginning God created the heaven and the earth. It's, we'll, they've, I'd, don't!",
    "Der Tag ist schön; café, naïve, 東京 2024, привет мир ½ ² x10\n\n  two  spaces\tand tabs \u00a0 end",
] * 4


@functools.cache
def trained() -> str:
    """A byte-level tokenizer with merges, trained by the package."""
    tokenizer = package.Tokenizer(package.models.BPE())
    tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = package.decoders.ByteLevel()
    alphabet = package.pre_tokenizers.ByteLevel.alphabet()
    trainer = package.trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    return str(tokenizer.to_str())


@functools.cache
def pair(**options: bool) -> tuple[ByteLevelBpe, Any]:
    document = json.loads(trained())
    document["pre_tokenizer"].update(options)
    return ByteLevelBpe(document), package.Tokenizer.from_str(json.dumps(document))


def _known(character: str) -> bool:
    """Assigned in this Python's Unicode and not so recent that the package might disagree."""
    return unicodedata.category(character) not in ("Cn", "Co", "Cs") and unicodedata.ucd_3_2_0.category(
        character
    ) == unicodedata.category(character)


_PIECES = st.one_of(
    st.sampled_from(
        [
            "'s",
            "'ll",
            "'",
            " ",
            "  ",
            "\n",
            "\t",
            "\xa0",
            "\u2003",
            "\x1c",
            "\x85",
            "<s>",
            "</s>",
            "é",
            "é",
            "the",
            " heaven",
            "123",
            "½",
            "東京",
            "😀",
            "!?",
            "…",
        ]
    ),
    st.characters(exclude_categories=("Cs",)).filter(_known),
    st.text("abcdehint 's", max_size=12),
)
_TEXT = st.lists(_PIECES, max_size=20).map("".join)


@pytest.mark.parametrize("add_prefix_space", [False, True])
@pytest.mark.parametrize("use_regex", [False, True])
@settings(max_examples=150, deadline=None)
@given(text=_TEXT)
def test_encode_equals_the_package(add_prefix_space: bool, use_regex: bool, text: str) -> None:
    ours, theirs = pair(add_prefix_space=add_prefix_space, use_regex=use_regex)
    assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids


@settings(max_examples=300, deadline=None)
@given(ids=st.lists(st.integers(0, 419), max_size=40))
def test_decode_equals_the_package(ids: list[int]) -> None:
    ours, theirs = pair()
    assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


@settings(max_examples=200, deadline=None)
@given(text=_TEXT)
def test_words_join_to_the_text(text: str) -> None:
    assert "".join(split_words(text)) == text


@pytest.mark.parametrize("pure", [True, False])
@settings(max_examples=150, deadline=None)
@given(ids=st.lists(st.integers(0, 419), max_size=30), sizes=st.lists(st.integers(1, 4), min_size=1))
def test_streaming_joins_to_the_whole(tmp_path_factory: Any, pure: bool, ids: list[int], sizes: list[int]) -> None:
    codec, theirs = pair()
    tokenizer = Tokenizer(codec if pure else _Package(theirs), 420, None, None)
    stream, pieces, at, turn = tokenizer.stream(), [], 0, 0
    while at < len(ids):
        size = sizes[turn % len(sizes)]
        pieces.append(stream.put(ids[at : at + size]))
        at, turn = at + size, turn + 1
    pieces.append(stream.end())
    assert "".join(pieces) == tokenizer.decode(ids)


class _Package:
    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Any) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))


@pytest.mark.parametrize("text", ["€", "😀", "a€b", "東京"])
def test_streaming_never_gives_half_a_character(text: str) -> None:
    codec, _ = pair()
    document = json.loads(trained())
    by_byte = [document["model"]["vocab"][BYTE_CHARACTERS[byte]] for byte in text.encode()]
    stream = Tokenizer(codec, 420, None, None).stream()
    pieces = [stream.put([token]) for token in by_byte]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) == text
    assert stream.end() == ""


def test_merges_apply_lowest_rank_first_then_leftmost() -> None:
    ranks = {("a", "a"): 1, ("aa", "a"): 0, ("b", "c"): 2}
    assert merge("aaaa", ranks) == ["aaa", "a"]
    assert merge("aaabc", ranks) == ["aaa", "bc"]
    assert merge("", ranks) == []


def test_a_long_word_takes_no_time() -> None:
    codec, theirs = pair()
    text = "the" * 20_000
    assert codec.encode(text) == theirs.encode(text, add_special_tokens=False).ids


def _write(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(tokenizer_document() | changes))
    return path


@pytest.mark.parametrize("pure", [True, False])
def test_bos_goes_in_front(tmp_path: Path, pure: bool) -> None:
    tokenizer = Tokenizer.open(_write(tmp_path / "t.json"), 64, bos=0, pure=pure)
    plain = tokenizer.encode("in the", bos=False)
    assert tokenizer.encode("in the") == [0, *plain]
    assert tokenizer.decode([0, *plain]) == "in the"
    assert tokenizer.encode("<s>in", bos=False) == [0, *tokenizer.encode("in", bos=False)]


@pytest.mark.parametrize("pure", [True, False])
def test_bad_text_and_tokens_outside_the_model(tmp_path: Path, pure: bool) -> None:
    tokenizer = Tokenizer.open(_write(tmp_path / "t.json"), 5, pure=pure)
    with pytest.raises(InputError, match="outside the vocabulary of 5"):
        tokenizer.encode("zebra")
    with pytest.raises(InputError, match="not valid Unicode"):
        tokenizer.encode("a\ud800")


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": None},
        {"decoder": None},
        {"model": {"type": "Unigram"}},
        {"model": {"type": "BPE", "byte_fallback": True}},
    ],
)
def test_other_kinds_need_the_package(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match="not plain byte-level BPE") as caught:
        Tokenizer.open(_write(tmp_path / "t.json", **changes), 64, pure=True)
    assert "pip install tokenizers" in caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model": 3}', '{"model": {"type": "BPE"}}'])
@pytest.mark.parametrize("pure", [True, False])
def test_a_broken_file(tmp_path: Path, text: str, pure: bool) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(BundleError, match=r"tokenizer.json"):
        Tokenizer.open(tmp_path / "t.json", 64, pure=pure)
