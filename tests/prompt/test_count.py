"""The token counter."""

from __future__ import annotations

import pytest

from modules.prompt.bpe import ClipTokenizer, load_tokenizer
from modules.prompt.chunks import EmbeddingIndex
from modules.prompt.count import CountOptions, count_tokens


@pytest.fixture(scope="module")
def clip() -> ClipTokenizer:
    return load_tokenizer()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "0/75"),
        ("a cat", "2/75"),
        ("a (cat:1.3), dog", "4/75"),
        (" ".join(["cat"] * 75), "75/75"),
        (" ".join(["cat"] * 76), "76/150"),
        ("a BREAK b", "76/150"),
        ("a BREAK", "75/75"),
        ("a cat # with a long comment", "2/75"),
        ("a cat <lora:name:1>", "2/75"),
        ("a [cat:small black dog:0.5]", "4/75"),
        ("a [cat|small dog]", "3/75"),
        ("a cat AND a small dog:2", "3/75"),
    ],
)
def test_count_is_that_of_the_longest_text(text: str, expected: str, clip: ClipTokenizer) -> None:
    assert str(count_tokens(text, clip, clip.special)) == expected


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("cat AND dog", CountOptions(is_negative=True), "3/75"),
        ("a # b", CountOptions(has_comments=False), "3/75"),
        ("(a:1.2)", CountOptions(emphasis="None"), "7/75"),
        ("[a:b c:25]", CountOptions(steps=20), "1/75"),
        ("[a:b c:25]", CountOptions(steps=30), "2/75"),
    ],
)
def test_options_change_the_count(
    text: str, options: CountOptions, expected: str, clip: ClipTokenizer
) -> None:
    assert str(count_tokens(text, clip, clip.special, options)) == expected


def test_embedding_counts_its_vectors(clip: ClipTokenizer) -> None:
    options = CountOptions(embeddings=EmbeddingIndex({"cat": 8}, clip))
    assert str(count_tokens("a cat", clip, clip.special, options)) == "9/75"
