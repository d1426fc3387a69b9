"""Folders with pickled weights, as diffusers saves them: they load as those of safetensors do."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file

from modules.core.errors import ModelError
from modules.model_manager.load import load_checkpoint, read_vae
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.spec import Family
from tests.model_manager.test_diffusers_folder import CPU, F32, assert_same, save_folder

UNET = "unet/diffusion_pytorch_model"
VAE = "vae/diffusion_pytorch_model"
TEXT = "text_encoder/pytorch_model"


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch '{self._marker}'",)


def pickle_weights(folder: Path, **options: Any) -> Path:
    """Replace the weights of a saved folder with pickles; `options` are save_pretrained's."""
    for name, network in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
        loaded = network.from_pretrained(folder / name)
        (folder / f"{name}/diffusion_pytorch_model.safetensors").unlink()
        loaded.save_pretrained(folder / name, safe_serialization=False, **options)
    variant = f".{options['variant']}" if "variant" in options else ""
    for file in folder.glob("text_encoder*/model.safetensors"):
        # as transformers 4 did; it saved the numbers of the positions too
        position_ids = {"text_model.embeddings.position_ids": torch.arange(77)[None]}
        torch.save(load_file(file) | position_ids, file.with_name(f"pytorch_model{variant}.bin"))
        file.unlink()
    assert not list(folder.rglob("*.safetensors*"))
    return folder


def weights(pipeline: StableDiffusion) -> dict[str, torch.Tensor]:
    networks = pipeline.networks
    parts: dict[str, Any] = {"unet": networks.unet, "vae": networks.vae}
    parts |= {row.row.folder: row.model for row in networks.encoders}
    return {f"{p}.{k}": v for p, network in parts.items() for k, v in network.state_dict().items()}


def assert_same_weights(one: StableDiffusion, other: StableDiffusion) -> None:
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


@pytest.fixture(scope="module")
def sd1(twins: dict[str, Path]) -> StableDiffusion:
    return load_checkpoint(twins["sd1"], CPU, F32)


@pytest.fixture
def safe(tmp_path: Path, sd1: StableDiffusion) -> Path:
    return save_folder(sd1, tmp_path / "safe")


@pytest.fixture
def pickled(tmp_path: Path, sd1: StableDiffusion) -> Path:
    return pickle_weights(save_folder(sd1, tmp_path / "tale"))


@pytest.mark.parametrize("family", [Family.SD1, Family.SDXL])
def test_pickles_load_as_safetensors_do(
    tmp_path: Path, twins: dict[str, Path], family: Family
) -> None:
    single = load_checkpoint(twins[family], CPU, F32)
    safe = load_checkpoint(save_folder(single, tmp_path / "safe"), CPU, F32)
    folder = pickle_weights(save_folder(single, tmp_path / "tale"))
    assert (folder / f"{UNET}.bin").is_file() and (folder / f"{TEXT}.bin").is_file()
    loaded = load_checkpoint(folder, CPU, F32, allow_pickles=True)
    assert_same_weights(loaded, safe)
    assert_same(loaded, safe)


def test_variant_and_shards_load(tmp_path: Path, sd1: StableDiffusion, safe: Path) -> None:
    folder = save_folder(sd1, tmp_path / "tale")
    pickle_weights(folder, variant="fp16", max_shard_size="2MB")
    index = folder / f"{UNET}.bin.index.fp16.json"
    parts = set(json.loads(index.read_text())["weight_map"].values())
    assert len(parts) > 2 and all((folder / "unet" / part).is_file() for part in parts)
    assert (folder / f"{TEXT}.fp16.bin").is_file()
    loaded = load_checkpoint(folder, CPU, F32, allow_pickles=True)
    assert_same_weights(loaded, load_checkpoint(safe, CPU, F32))


def test_one_network_is_converted_at_a_time_and_nothing_is_left(
    pickled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(room))
    seen: list[float] = []
    converted: set[int] = set()

    def hear(done: float) -> None:
        seen.append(done)
        converted.add(len(list(room.glob("*/tensors.safetensors"))))

    load_checkpoint(pickled, CPU, F32, progress=hear, allow_pickles=True)
    assert converted == {1} and list(room.iterdir()) == []
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1)
    sizes = [(pickled / f"{name}.bin").stat().st_size for name in (UNET, VAE, TEXT)]
    assert pytest.approx(sizes[0] / sum(sizes)) in seen


def test_safetensors_win_and_need_no_permission(pickled: Path, safe: Path) -> None:
    for name in (UNET, VAE):
        (pickled / f"{name}.bin").write_bytes(b"never read")
        (safe / f"{name}.safetensors").rename(pickled / f"{name}.fp16.safetensors")
    safetensors = safe / "text_encoder" / "model.safetensors"
    safetensors.rename(pickled / "text_encoder" / "model.safetensors")
    assert load_checkpoint(pickled, CPU, F32).spec.family is Family.SD1


@pytest.mark.parametrize("name", [UNET, VAE, TEXT])
def test_pickle_that_is_not_allowed_is_refused_before_anything_is_read(
    pickled: Path, safe: Path, name: str
) -> None:
    folder = name.partition("/")[0]
    for file in (safe / folder).glob("*.safetensors"):
        file.unlink()
    (pickled / f"{name}.bin").rename(safe / f"{name}.bin")
    seen: list[float] = []
    words = rf"safe: {name}\.bin is a pickle, which can run code .* set allow_pickles in config"
    with pytest.raises(ModelError, match=words):
        load_checkpoint(safe, CPU, F32, progress=seen.append)
    assert seen == []


@pytest.mark.parametrize("name", [UNET, VAE, TEXT])
def test_code_in_a_folder_is_not_run(pickled: Path, tmp_path: Path, name: str) -> None:
    marker, file = tmp_path / "it ran", pickled / f"{name}.bin"
    torch.save({**torch.load(file), "bomb": Bomb(marker)}, file)
    words = rf"tale: {name}\.bin holds code \(\S*system\), which was not run"
    with pytest.raises(ModelError, match=words):
        load_checkpoint(pickled, CPU, F32, allow_pickles=True)
    assert not marker.exists()
    torch.load(file, weights_only=False)
    assert marker.exists(), "the test's own pickle must be a live one"


def test_damaged_pickle_is_named(pickled: Path) -> None:
    file = pickled / f"{VAE}.bin"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match=rf"tale: {VAE}\.bin is no pickle of tensors, or is dam"):
        load_checkpoint(pickled, CPU, F32, allow_pickles=True)


def test_missing_shard_is_named_before_anything_is_read(
    tmp_path: Path, sd1: StableDiffusion
) -> None:
    folder = pickle_weights(save_folder(sd1, tmp_path / "tale"), max_shard_size="500KB")
    gone = sorted(folder.glob("vae/*.bin"))[1]
    gone.unlink()
    seen: list[float] = []
    words = rf"tale: {VAE}\.bin\.index\.json names {gone.name}, which is not there"
    with pytest.raises(ModelError, match=words):
        load_checkpoint(folder, CPU, F32, progress=seen.append, allow_pickles=True)
    assert seen == []


def test_own_pickled_vae_comes_back_after_another(pickled: Path, models: Path) -> None:
    pipeline = load_checkpoint(pickled, CPU, F32, allow_pickles=True)
    own = pipeline.networks.vae.state_dict()
    pipeline.use_vae(read_vae(pipeline, models / "VAE" / "othervae.safetensors", F32))
    with pytest.raises(ModelError, match=rf"tale: {VAE}\.bin is a pickle"):
        read_vae(pipeline, None, F32)
    back = read_vae(pipeline, None, F32, allow_pickles=True).state_dict()
    assert back.keys() == own.keys()
    assert all(torch.equal(back[name], own[name]) for name in own)


def test_pickled_vae_that_is_replaced_is_not_read(pickled: Path, safe: Path, models: Path) -> None:
    (safe / f"{VAE}.safetensors").unlink()
    (pickled / f"{VAE}.bin").rename(safe / f"{VAE}.bin")
    vae = models / "VAE" / "othervae.safetensors"
    assert load_checkpoint(safe, CPU, F32, vae=vae).spec.family is Family.SD1
