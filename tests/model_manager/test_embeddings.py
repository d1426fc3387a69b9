"""Textual inversion: files in every layout, and which of them a model can use."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

from modules.core.errors import ModelError
from modules.model_manager.embedding_file import PNG_KEY, EmbeddingInfo, read_embedding, read_info
from modules.model_manager.embeddings import Embeddings, FittingEmbeddings
from modules.model_manager.library import FileKind, Library
from modules.model_manager.load import load_checkpoint
from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.prompt import EmbeddingMatch

ROWS = torch.arange(64, dtype=torch.float32).reshape(2, 32) / 64
CPU = torch.device("cpu")


def words(text: str) -> list[int]:
    """A tokenizer of letters."""
    return [ord(letter) for letter in text]


def write(path: Path, content: dict[str, Any]) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    elif path.suffix == ".png":
        text = json.dumps(content, default=lambda tensor: {"TORCHTENSOR": tensor.tolist()})
        chunks = PngImagePlugin.PngInfo()
        chunks.add_text(PNG_KEY, base64.b64encode(text.encode()).decode())
        Image.new("RGB", (8, 8)).save(path, pnginfo=chunks)
    else:
        torch.save(content, path)
    return path


A1111 = {
    "string_to_token": {"*": 265},
    "string_to_param": {"*": ROWS},
    "name": "one",
    "step": 77,
    "sd_checkpoint": "abcdef12",
    "sd_checkpoint_name": "base",
}
FILES: dict[str, tuple[str, dict[str, Any], int]] = {
    "A1111": ("a.pt", A1111, 2),
    "A1111 in a picture": ("a.png", A1111, 2),
    "A1111 safetensors": ("a.safetensors", {"emb_params": ROWS}, 2),
    "diffusers": ("a.bin", {"<cat>": ROWS[0]}, 1),
    "diffusers safetensors": ("a.safetensors", {"<cat>": ROWS}, 2),
}


@pytest.mark.parametrize("name", FILES)
def test_layout_is_read(tmp_path: Path, name: str) -> None:
    file, content, count = FILES[name]
    embedding = read_embedding(write(tmp_path / file, content), allow_pickles=True)
    (vectors,) = embedding.vectors
    assert torch.equal(vectors, ROWS[:count])
    assert (embedding.info.vectors, embedding.info.widths) == (count, (32,))
    if "A1111" in name and "safetensors" not in name:
        assert embedding.info.step == 77 and embedding.info.sd_checkpoint_name == "base"


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_sdxls_has_vectors_for_both_encoders(tmp_path: Path, suffix: str) -> None:
    content = {"clip_g": torch.ones(3, 64), "clip_l": torch.zeros(3, 32)}
    path = write(tmp_path / f"xl.{suffix}", content)
    embedding = read_embedding(path, allow_pickles=True)
    assert [tuple(rows.shape) for rows in embedding.vectors] == [(3, 32), (3, 64)]
    assert embedding.info.shape == 64


def test_header_of_safetensors_is_enough(models: Path) -> None:
    folder = models / "embeddings"
    assert read_info(folder / "t15embst.safetensors") == EmbeddingInfo(2, (32,))
    assert read_info(folder / "t15emb.pt") is None


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("a.safetensors", {"a": ROWS, "b": ROWS.clone()}, "it holds 2 tensors"),
        ("a.safetensors", {"clip_l": ROWS, "clip_g": ROWS[:1].clone()}, "equal numbers fit"),
        ("a.safetensors", {"emb_params": torch.ones(2, 2, 2)}, "no textual inversion embedding"),
        ("a.safetensors", {"emb_params": torch.full((1, 32), torch.nan)}, "not numbers"),
        ("a.png", {"string_to_param": {}}, "it holds 0 tensors"),
        ("a.pt", {"string_to_param": {"*": "text"}}, "it holds 0 tensors"),
    ],
)
def test_damaged_file_is_named(
    tmp_path: Path, file: str, content: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason) as caught:
        read_embedding(write(tmp_path / file, content), allow_pickles=True)
    assert file in str(caught.value)


@pytest.mark.parametrize("text", ["not base64!", base64.b64encode(b"{damaged").decode(), None])
def test_picture_without_an_embedding_is_named(tmp_path: Path, text: str | None) -> None:
    chunks = PngImagePlugin.PngInfo()
    if text is not None:
        chunks.add_text(PNG_KEY, text)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=chunks)
    with pytest.raises(ModelError, match=r"a\.png"):
        read_embedding(tmp_path / "a.png", allow_pickles=True)


def catalogue(folder: Path) -> Embeddings:
    return Embeddings(Library({FileKind.EMBEDDING: (folder,)}))


def fitting(folder: Path, *widths: int, **more: Any) -> FittingEmbeddings:
    return FittingEmbeddings(catalogue(folder), widths or None, allow_pickles=True, **more)


def test_longest_name_that_fits_is_found(tmp_path: Path) -> None:
    write(tmp_path / "ab.safetensors", {"emb_params": ROWS})
    write(tmp_path / "abc.safetensors", {"emb_params": ROWS[:1].clone()})
    write(tmp_path / "abcd.safetensors", {"emb_params": torch.ones(1, 1024)})
    lookup = fitting(tmp_path, 32).lookup(words)
    assert lookup.find(words("x abcd"), 2) == EmbeddingMatch("abc", 1, 3)
    assert lookup.find(words("abx"), 0) == EmbeddingMatch("ab", 2, 2)
    assert lookup.find(words("xab"), 0) is None


def test_one_of_another_width_is_text_and_says_why(tmp_path: Path) -> None:
    write(tmp_path / "wide.safetensors", {"emb_params": torch.ones(1, 1024)})
    own = fitting(tmp_path, 32)
    assert own.lookup(words).find(words("wide"), 0) is None
    assert own.skipped == {"wide": "It is 1024 wide; this model takes 32."}


def test_bundled_goes_before_a_file(tmp_path: Path) -> None:
    write(tmp_path / "ab.safetensors", {"emb_params": ROWS})
    write(tmp_path / "abc.safetensors", {"emb_params": ROWS})
    own = fitting(tmp_path, 32, bundled={"ab": (torch.ones(3, 32),), "xl": (torch.ones(1, 64),)})
    lookup = own.lookup(words)
    assert lookup.find(words("ab"), 0) == EmbeddingMatch("ab", 3, 2)
    assert lookup.find(words("abc"), 0) == EmbeddingMatch("abc", 2, 3)
    assert lookup.find(words("xl"), 0) is None
    assert own.vectors("ab", 0).shape == (3, 32) and own.card("ab") is None


def test_list_names_what_is_skipped(tmp_path: Path) -> None:
    write(tmp_path / "good.safetensors", {"emb_params": ROWS})
    write(tmp_path / "wide.safetensors", {"emb_params": torch.ones(1, 1024)})
    (tmp_path / "broken.safetensors").write_bytes(b"")
    listed = catalogue(tmp_path).listed((32,), allow_pickles=False)
    assert {row.name: row.reason for row in listed} == {
        "broken": "broken.safetensors: is empty (0 bytes).",
        "good": "",
        "wide": "It is 1024 wide; this model takes 32.",
    }
    assert all(not row.reason for row in catalogue(tmp_path).listed(None, allow_pickles=False)[1:])


def test_new_and_changed_files_are_found_after_refresh(tmp_path: Path) -> None:
    embeddings = catalogue(tmp_path)
    first = embeddings.state()
    write(tmp_path / "new.safetensors", {"emb_params": ROWS})
    assert not embeddings.names()
    embeddings.refresh()
    assert list(embeddings.names()) == ["new"]
    assert embeddings.state() != first


def encoded(model: StableDiffusion, text: str) -> torch.Tensor:
    (cond,) = model.encode_prompts([text], EncodeOptions())
    return cond.crossattn


def test_vectors_stand_in_the_place_of_the_name(models: Path, tmp_path: Path) -> None:
    """An embedding made of a word's own vectors encodes as the word does."""
    model = load_checkpoint(models / "Stable-diffusion/tiny15.safetensors", CPU, torch.float32)
    encoder = model.networks.encoders[0]
    tokens = encoder.chunker.tokenize("fox snow")
    table = encoder.model.embeddings.token_embedding.weight.detach()
    write(tmp_path / "zqx.safetensors", {"emb_params": table[tokens].clone()})
    plain = encoded(model, "a red (fox snow:1.3), cold")
    assert not torch.equal(encoded(model, "a red (zqx:1.3), cold"), plain)
    model.embeddings = fitting(tmp_path, *model.text_widths)
    assert torch.equal(encoded(model, "a red (zqx:1.3), cold"), plain)
    assert model.embeddings_in(["a zqx, zqx", "none"], EncodeOptions()) == ["zqx"]


def test_both_encoders_of_sdxl_get_their_vectors(twins: dict[str, Path], tmp_path: Path) -> None:
    model = load_checkpoint(twins["sdxl"], CPU, torch.float32)
    rows = {}
    for name, encoder in zip(("clip_l", "clip_g"), model.networks.encoders, strict=True):
        table = encoder.model.embeddings.token_embedding.weight.detach()
        rows[name] = table[encoder.chunker.tokenize("fox snow")].clone()
    write(tmp_path / "zqx.safetensors", rows)
    plain = encoded(model, "a fox snow")
    model.embeddings = fitting(tmp_path, *model.text_widths)
    assert torch.equal(encoded(model, "a zqx"), plain)
