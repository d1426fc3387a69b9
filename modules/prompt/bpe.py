"""CLIP's byte-pair tokenizer: text -> token ids, without torch and without a model hub.

Knows CLIP's vocabulary files and text cleaning. Must not know prompts' brackets or chunks.
The algorithm is the `tokenizers` library's; the vocabulary is OpenAI's, which the open_clip
package carries, or the one beside a model's text encoder.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modules.core.errors import ModelError
from modules.prompt.chunks import SpecialTokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

START = "<|startoftext|>"
END = "<|endoftext|>"
END_OF_WORD = "</w>"

_MERGES_FILE = "bpe_simple_vocab_16e6.txt.gz"
# The file lists more merges than CLIP uses: 49408 ids - 2 x 256 bytes - 2 special ones.
_MERGES_COUNT = 49408 - 2 * 256 - 2
# A special word, a contraction, a run of letters, one digit, or a run of anything else: CLIP's own.
_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>"
    r"|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
)

Vocabulary = tuple[dict[str, int], list[tuple[str, str]]]


class ClipTokenizer:
    """Callable from text to token ids, without start, end and padding; never raises.

    `special` holds the ids that chunking needs, with SD1's padding.
    """

    def __init__(self, tokenizer: Tokenizer, repair: Callable[[str], str] | None) -> None:
        """Use a tokenizer of the tokenizers library on text that went through `repair`."""
        self._tokenizer = tokenizer
        self._repair = repair
        end = self._id(END, 0)
        comma = self._id(f",{END_OF_WORD}", end)
        self.special = SpecialTokens(start=self._id(START, 0), end=end, pad=end, comma=comma)

    def __call__(self, text: str) -> list[int]:
        """The text's token ids, as many as it has."""
        if self._repair is not None:
            text = self._repair(text).lower()
        # Half a surrogate pair is not text for the Rust library.
        valid = text.encode("utf-8", "replace").decode("utf-8")
        return list(self._tokenizer.encode(valid, add_special_tokens=False).ids)

    def word(self, token: int) -> str:
        """The vocabulary's entry of one id ("cat</w>"), "" if there is none."""
        return self._tokenizer.id_to_token(token) or ""

    def _id(self, entry: str, default: int) -> int:
        found = self._tokenizer.token_to_id(entry)
        return default if found is None else found


def load_tokenizer(folder: Path | None = None, *, repair: bool = True) -> ClipTokenizer:
    """Build the tokenizer from vocab.json and merges.txt in `folder`, or CLIP's own without one.

    With `repair`, text first goes through ftfy (mojibake, curly quotes, full-width forms, HTML
    entities), as it did in the tokenizer under A1111 1.10; without, ids are those of today's
    `transformers.CLIPTokenizer`. Takes about 0.2 s; keep the result. Raises ModelError if the
    vocabulary is missing or not readable.
    """
    # Here, so that reading prompts costs neither library's import time.
    import ftfy
    from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
    from tokenizers.models import BPE

    vocabulary, merges = _read_folder(folder) if folder else _read_shipped()
    tokenizer = Tokenizer(
        BPE(
            vocab=vocabulary,
            merges=merges,
            continuing_subword_prefix="",
            end_of_word_suffix=END_OF_WORD,
            unk_token=END,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in (START, END)])
    return ClipTokenizer(tokenizer, ftfy.fix_text if repair else None)


def _read_folder(folder: Path) -> Vocabulary:
    try:
        vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
        lines = (folder / "merges.txt").read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ModelError(folder, f"vocabulary cannot be read: {error}") from error
    return vocabulary, _merges(lines)


def _read_shipped() -> Vocabulary:
    # find_spec reads no code of the package: importing open_clip would import torch.
    spec = importlib.util.find_spec("open_clip")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place) / _MERGES_FILE
        if path.is_file():
            with gzip.open(path, "rt", encoding="utf-8") as file:
                lines = [line for _, line in zip(range(_MERGES_COUNT + 1), file, strict=False)]
            merges = _merges(lines)
            return _ids(merges), merges
    raise ModelError(Path(_MERGES_FILE), "not found: the package open-clip-torch carries it")


def _merges(lines: list[str]) -> list[tuple[str, str]]:
    pairs = (line.split() for line in lines if not line.startswith(("#version", '"bpe_simple')))
    return [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]


def _ids(merges: list[tuple[str, str]]) -> dict[str, int]:
    """Ids in CLIP's order: bytes, bytes that end a word, merges, the two special words."""
    letters = _byte_letters()
    words = [*letters, *(letter + END_OF_WORD for letter in letters)]
    words += [left + right for left, right in merges]
    return {word: number for number, word in enumerate([*words, START, END])}


def _byte_letters() -> list[str]:
    """GPT-2's visible letter for each byte: itself where printable, else one from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = 256 - len(visible)
    return [chr(byte) for byte in visible] + [chr(0x100 + number) for number in range(hidden)]
