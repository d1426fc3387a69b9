"""Folders are made of the networks of single files, so that both must answer the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.core.errors import ModelError
from modules.model_manager.load import load_checkpoint, read_vae
from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.spec import Family

CPU = torch.device("cpu")
F32 = torch.float32


def save_text_encoder(pipeline: StableDiffusion, number: int, folder: Path) -> None:
    """As transformers 4 did: with the text_model prefix and the projection."""
    folder.mkdir(parents=True)
    encoder = pipeline.networks.encoders[number]
    weights = {f"text_model.{k}": v for k, v in encoder.model.state_dict().items()}
    if encoder.projection is not None:
        weights["text_projection.weight"] = encoder.projection.weight
    save_file({k: v.contiguous().clone() for k, v in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(encoder.model.config.to_dict(), default=str))


def save_folder(pipeline: StableDiffusion, folder: Path, prediction: str = "epsilon") -> Path:
    folder.mkdir()
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "AnyPipeline"}))
    pipeline.networks.unet.save_pretrained(folder / "unet")
    pipeline.networks.vae.save_pretrained(folder / "vae")
    for number, encoder in enumerate(pipeline.networks.encoders):
        save_text_encoder(pipeline, number, folder / encoder.row.folder)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(
        json.dumps(
            {
                "beta_start": 0.00085,
                "beta_end": 0.012,
                "beta_schedule": "scaled_linear",
                "num_train_timesteps": 1000,
                "prediction_type": prediction,
            }
        )
    )
    return folder


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def answers(pipeline: StableDiffusion) -> tuple[torch.Tensor, torch.Tensor]:
    (cond,) = pipeline.encode_prompts(["a (fox:1.2), snow"], EncodeOptions(clip_skip=2))
    x = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    return pipeline.predict(x, torch.tensor([321.0]), cond), pipeline.decode(x)


def assert_same(one: StableDiffusion, other: StableDiffusion) -> None:
    for left, right in zip(answers(one), answers(other)):
        assert torch.equal(left, right)


@pytest.mark.parametrize("family", [Family.SD1, Family.SDXL, Family.SDXL_REFINER])
def test_folder_answers_as_its_single_file(
    tmp_path: Path, twins: dict[str, Path], family: Family
) -> None:
    single = load_checkpoint(twins[family], CPU, F32)
    loaded = load_checkpoint(save_folder(single, tmp_path / "m"), CPU, F32)
    assert loaded.spec.family is family
    assert loaded.spec.scale_factor == single.spec.scale_factor
    assert_same(loaded, single)


def test_sdxl_folder_with_diffusers_own_vector_names(
    tmp_path: Path, twins: dict[str, Path]
) -> None:
    single = load_checkpoint(twins["sdxl"], CPU, F32)
    folder = save_folder(single, tmp_path / "m")
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    renamed = {k.replace("class_embedding.", "add_embedding."): v for k, v in weights.items()}
    save_file(renamed, file)
    change(
        folder / "unet" / "config.json",
        class_embed_type=None,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
    )
    assert_same(load_checkpoint(folder, CPU, F32), single)


def test_sd2_folder_lacks_the_unused_layer(tmp_path: Path, twins: dict[str, Path]) -> None:
    single = load_checkpoint(twins["sd2"], CPU, F32)
    folder = save_folder(single, tmp_path / "m", prediction="v_prediction")
    file = folder / "text_encoder" / "model.safetensors"
    kept = {k: v for k, v in load_file(file).items() if ".layers.2." not in k}
    save_file(kept, file)
    loaded = load_checkpoint(folder, CPU, F32)
    assert (loaded.spec.family, loaded.spec.prediction) == (Family.SD2, "v")
    assert_same(loaded, single)


@pytest.fixture
def folder(tmp_path: Path, twins: dict[str, Path]) -> Path:
    return save_folder(load_checkpoint(twins["sd1"], CPU, F32), tmp_path / "m")


def test_old_attention_names_of_the_vae_load(folder: Path, twins: dict[str, Path]) -> None:
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    old = {}
    for name, tensor in load_file(file).items():
        new = name
        for modern, then in (
            (".to_q.", ".query."),
            (".to_k.", ".key."),
            (".to_v.", ".value."),
            (".to_out.0.", ".proj_attn."),
        ):
            new = new.replace(modern, then)
        old[new] = tensor
    save_file(old, file)
    assert_same(load_checkpoint(folder, CPU, F32), load_checkpoint(twins["sd1"], CPU, F32))


@pytest.mark.parametrize("variant", ["", ".fp16"])
def test_flat_text_encoder_and_shards_load(
    folder: Path, twins: dict[str, Path], variant: str
) -> None:
    file = folder / "text_encoder" / "model.safetensors"
    flat = {k.removeprefix("text_model."): v for k, v in load_file(file).items()}
    file.unlink()
    half = len(flat) // 2
    for number, part in enumerate((list(flat)[:half], list(flat)[half:])):
        save_file({k: flat[k] for k in part}, file.parent / f"model-{number}.safetensors")
    weight_map = {k: f"model-{int(i >= half)}.safetensors" for i, k in enumerate(flat)}
    index = file.parent / f"model.safetensors.index{variant}.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert_same(load_checkpoint(folder, CPU, F32), load_checkpoint(twins["sd1"], CPU, F32))


def test_own_vae_comes_back_after_another(folder: Path, models: Path) -> None:
    pipeline = load_checkpoint(folder, CPU, F32)
    before = answers(pipeline)[1]
    pipeline.use_vae(read_vae(pipeline, models / "VAE" / "othervae.safetensors", F32))
    assert answers(pipeline)[1].shape != before.shape
    pipeline.use_vae(read_vae(pipeline, None, F32))
    assert torch.equal(answers(pipeline)[1], before)


def test_unknown_schedule_is_refused(folder: Path) -> None:
    change(folder / "scheduler" / "scheduler_config.json", beta_schedule="squaredcos_cap_v2")
    with pytest.raises(ModelError, match="squaredcos_cap_v2"):
        load_checkpoint(folder, CPU, F32)


@pytest.mark.parametrize("name", ["openvino_model.bin", "optimizer.bin", "model.txt"])
def test_network_without_weights_is_named(folder: Path, name: str) -> None:
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    file.rename(file.with_name(name))
    with pytest.raises(ModelError, match="unet: holds no .safetensors file"):
        load_checkpoint(folder, CPU, F32, allow_pickles=True)


def test_other_pipeline_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "text_encoder")
    with pytest.raises(ModelError, match="is a AnyPipeline"):
        load_checkpoint(folder, CPU, F32)
