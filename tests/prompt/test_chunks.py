"""Chunks of tokens, against golden cases and cases of our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from modules.prompt.attention import Weighted, parse_attention
from modules.prompt.bpe import ClipTokenizer, load_tokenizer
from modules.prompt.chunks import (
    Chunk,
    EmbeddingFix,
    EmbeddingIndex,
    EmbeddingMatch,
    SpecialTokens,
    chunk_tokens,
)

GOLDEN = json.loads((Path(__file__).parent.parent / "data/golden/prompt.json").read_text("utf-8"))
COMMA = 7
SPECIAL = SpecialTokens(start=90, end=91, pad=92, comma=COMMA)


@pytest.fixture(scope="module")
def clip() -> ClipTokenizer:
    return load_tokenizer()


def words(text: str) -> list[int]:
    """Tokens of a toy language: numbers and commas."""
    return [COMMA if word == "," else int(word) for word in text.split()]


def toy_chunks(text: str, *, backtrack: int = 0, vectors: dict[str, int] | None = None):
    index = EmbeddingIndex(vectors, words) if vectors else None
    return chunk_tokens(
        parse_attention(text), words, SPECIAL, chunk_length=4, backtrack=backtrack, embeddings=index
    )


def contents(chunks: tuple[Chunk, ...]) -> list[list[int]]:
    return [list(chunk.tokens[1 : chunk.tokens.index(SPECIAL.end)]) for chunk in chunks]


@pytest.mark.parametrize("case", GOLDEN["tokenize"], ids=lambda case: case["input"][:20])
def test_chunks_are_as_golden(case: dict, clip: ClipTokenizer) -> None:
    options = case["options"]
    chunks = chunk_tokens(
        parse_attention(case["input"], options.get("emphasis", "Original")),
        clip,
        clip.special,
        backtrack=options.get("comma_padding_backtrack", 20),
    )
    assert [list(chunk.tokens) for chunk in chunks] == [c["tokens"] for c in case["chunks"]]
    assert [list(chunk.weights) for chunk in chunks] == [c["multipliers"] for c in case["chunks"]]
    assert sum(chunk.counted for chunk in chunks) == case["token_count"]


def test_padding_follows_the_end_and_weighs_one() -> None:
    (chunk,) = chunk_tokens([Weighted("1 2", 1.5)], words, SPECIAL, chunk_length=4)
    assert chunk.tokens == (90, 1, 2, 91, 92, 92)
    assert chunk.weights == (1.0, 1.5, 1.5, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "backtrack", "expected"),
    [
        ("1 2 3 4 5", 0, [[1, 2, 3, 4], [5]]),
        ("1 , 3 4 5", 0, [[1, COMMA, 3, 4], [5]]),
        ("1 , 3 4 5", 2, [[1, COMMA, 3, 4], [5]]),
        ("1 , 3 4 5", 3, [[1, COMMA], [3, 4, 5]]),
        ("1 , 3 4 ,", 3, [[1, COMMA, 3, 4], [COMMA]]),
        ("1 2 3 , 5", 3, [[1, 2, 3, COMMA], [5]]),
        ("1 , 3 4 5 6 7", 3, [[1, COMMA], [3, 4, 5, 6], [7]]),
        ("1 BREAK 2", 0, [[1], [2]]),
        ("1 , BREAK 2 3 4 5 6", 4, [[1, COMMA], [2, 3, 4, 5], [6]]),
        ("BREAK", 0, [[]]),
        ("1 BREAK", 0, [[1]]),
        ("", 0, [[]]),
    ],
)
def test_text_moves_to_the_next_chunk(text: str, backtrack: int, expected: list) -> None:
    assert contents(toy_chunks(text, backtrack=backtrack)) == expected


def test_weights_move_with_their_tokens() -> None:
    first, second = toy_chunks("1 , (3:1.5) 4 5", backtrack=3)
    assert first.weights == (1.0,) * 6
    assert second.weights == (1.0, 1.5, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "counted"), [("1 2 3 4", [4]), ("1 2 3 4 5", [4, 1]), ("1 BREAK", [4]), ("", [0])]
)
def test_only_the_last_chunk_counts_by_content(text: str, counted: list[int]) -> None:
    assert [chunk.counted for chunk in toy_chunks(text)] == counted


def test_embedding_is_never_split() -> None:
    first, second = toy_chunks("1 2 (5 6:1.5) 3", vectors={"5 6": 3})
    assert contents((first, second)) == [[1, 2], [0, 0, 0, 3]]
    assert (first.fixes, second.fixes) == ((), (EmbeddingFix(1, "5 6", 3),))
    assert second.weights == (1.0, 1.5, 1.5, 1.5, 1.0, 1.0)


def test_embedding_behind_a_comma_moves_with_its_text() -> None:
    first, second = toy_chunks("1 , 5 3 4", backtrack=3, vectors={"5": 1, "1": 1})
    assert contents((first, second)) == [[0, COMMA], [0, 3, 4]]
    assert (first.fixes, second.fixes) == ((EmbeddingFix(1, "1", 1),), (EmbeddingFix(1, "5", 1),))


def test_embedding_larger_than_a_chunk_stays_text() -> None:
    (chunk,) = toy_chunks("5 1", vectors={"5": 5})
    assert (contents((chunk,)), chunk.fixes) == ([[5, 1]], ())


def test_longest_name_wins() -> None:
    index = EmbeddingIndex({"5": 1, "5 6 7": 3, "5 6": 2, "": 1}, words)
    assert index.find([5, 6, 8], 0) == EmbeddingMatch("5 6", vectors=2, consumed=2)
    assert index.find([1, 5], 1) == EmbeddingMatch("5", vectors=1, consumed=1)
    assert index.find([6], 0) is None


def test_embedding_is_found_as_a_word_among_clip_tokens(clip: ClipTokenizer) -> None:
    index = EmbeddingIndex({"bad_hands": 4}, clip)
    (chunk,) = chunk_tokens(
        parse_attention("a (bad_hands:1.5), dog"), clip, clip.special, embeddings=index
    )
    assert chunk.fixes == (EmbeddingFix(2, "bad_hands", 4),)
    assert chunk.weights[:8] == (1.0, 1.0, 1.5, 1.5, 1.5, 1.5, 1.0, 1.0)
