"""The tokenizer, against transformers' CLIPTokenizer with the same vocabulary."""

from __future__ import annotations

import gzip
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ftfy
import pytest

from modules.core.errors import ModelError
from modules.prompt.bpe import ClipTokenizer, load_tokenizer

TEXTS = [
    "",
    "a photo of a cat",
    "A  CAT\n\tdog",
    "don't I'LL we've the'll 's 't",
    "1234567 v1.5 4k",
    "café naïve Ünïcödé",
    "cafe\u0301",
    "日本語 テスト 猫",
    "привет мир",
    "😀👍🏽 🇩🇪 👨\u200d👩\u200d👧",
    "“curly” ‘q’ — …",
    "，。！ＡＢＣ",
    "&lt;b&gt; &amp;",
    "<|endoftext|> x <|startoftext|>",
    "!!! ??? ,,, ...",
    "(((a:1.2)))",
    "x\x00y\x1fz",
    "İstanbul ẞß",
    "ﬁne ﬂag",
    "½ ² Ⅷ ٣",
    "a_b-c/d\\e",
    "\u200bzero\xa0nbsp\u3000ideo",
    "hello</w> world</w>",
    "supercalifragilisticexpialidocious" * 9,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer folder as models carry it, made from open_clip's file without our code."""
    # Takes seconds to import, and only this file's tests need it.
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    spec = importlib.util.find_spec("open_clip")
    assert spec is not None and spec.origin is not None
    packed = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    merges = gzip.decompress(packed).decode("utf-8").split("\n")[1:48895]
    letters = list(bytes_to_unicode().values())
    entries = [*letters, *(f"{letter}</w>" for letter in letters)]
    entries += [line.replace(" ", "") for line in merges] + ["<|startoftext|>", "<|endoftext|>"]
    path = tmp_path_factory.mktemp("tokenizer")
    ids = {entry: number for number, entry in enumerate(entries)}
    (path / "vocab.json").write_text(json.dumps(ids), "utf-8")
    (path / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    return path


@pytest.fixture(scope="module")
def oracle(folder: Path) -> Callable[[str], list[int]]:
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(str(folder))
    return lambda text: list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.fixture(scope="module")
def shipped() -> ClipTokenizer:
    return load_tokenizer()


@pytest.fixture(scope="module")
def plain(folder: Path) -> ClipTokenizer:
    return load_tokenizer(folder, repair=False)


@pytest.mark.parametrize("text", TEXTS)
def test_plain_ids_are_those_of_transformers(
    text: str, plain: ClipTokenizer, oracle: Callable[[str], list[int]]
) -> None:
    assert plain(text) == oracle(text)


@pytest.mark.parametrize("text", TEXTS)
def test_shipped_ids_are_those_of_transformers_on_repaired_text(
    text: str, shipped: ClipTokenizer, oracle: Callable[[str], list[int]]
) -> None:
    assert shipped(text) == oracle(ftfy.fix_text(text).lower())


def test_repair_makes_typographic_marks_plain(shipped: ClipTokenizer) -> None:
    assert shipped("“ａ”，b &amp; c") == shipped('"a",b & c')


def test_half_a_surrogate_pair_is_no_error(shipped: ClipTokenizer, plain: ClipTokenizer) -> None:
    assert shipped("\ud800 x")[-1] == plain("\ud800 x")[-1] == 343


def test_special_tokens_are_found(shipped: ClipTokenizer) -> None:
    special = shipped.special
    assert (special.start, special.end, special.pad, special.comma) == (49406, 49407, 49407, 267)
    assert (shipped.word(2368), shipped.word(99_999)) == ("cat</w>", "")


def test_missing_or_broken_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="vocabulary cannot be read"):
        load_tokenizer(tmp_path)
    (tmp_path / "vocab.json").write_text("{", "utf-8")
    (tmp_path / "merges.txt").write_text("", "utf-8")
    with pytest.raises(ModelError, match="vocabulary cannot be read"):
        load_tokenizer(tmp_path)


def test_tokenizing_needs_no_torch() -> None:
    code = (
        "import sys; from modules.prompt import load_tokenizer; load_tokenizer()('a cat');"
        "print([name for name in ('torch', 'transformers', 'open_clip') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
