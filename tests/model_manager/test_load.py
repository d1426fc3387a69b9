from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.core.errors import ModelError
from modules.model_manager.load import load_checkpoint, read_vae, size_in_memory
from modules.pipelines.base import EncodeOptions
from modules.pipelines.sd import StableDiffusion
from modules.pipelines.spec import Family
from tools.make_fixtures import tiny, write_checkpoint

CPU = torch.device("cpu")
F32 = torch.float32
BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2


def load(path: Path) -> StableDiffusion:
    return load_checkpoint(path, CPU, F32)


def answer(pipeline: StableDiffusion) -> torch.Tensor:
    (cond,) = pipeline.encode_prompts(["a fox"], EncodeOptions())
    x = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    if pipeline.spec.in_channels > 4:
        x = torch.cat((x, torch.zeros(1, pipeline.spec.in_channels - 4, 8, 8)), dim=1)
    return pipeline.predict(x, torch.tensor([500.5]), cond)


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("channels", [4, 9])
def test_every_family_loads_and_answers(tmp_path: Path, family: Family, channels: int) -> None:
    path = write_checkpoint(tmp_path / "a.safetensors", tiny(family.value, channels))
    pipeline = load(path)
    assert pipeline.spec.family is family
    assert pipeline.spec.in_channels == channels
    assert pipeline.spec.prediction is not None
    result = answer(pipeline)
    assert result.shape == (1, 4, 8, 8)
    assert result.dtype == F32
    assert torch.isfinite(result).all()
    # the twins have two VAE levels: 2 pixels a latent cell
    assert pipeline.decode(torch.zeros(1, 4, 8, 8)).shape == (1, 3, 16, 16)


def test_every_weight_is_the_files(tiny15: StableDiffusion, models: Path) -> None:
    stored = load_file(models / "Stable-diffusion" / "tiny15.safetensors")
    unet = tiny15.networks.unet.state_dict()
    expected = sum(name.startswith("model.diffusion_model.") for name in stored)
    assert len(unet) == expected
    name = "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    there = unet["down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"]
    assert torch.equal(there, stored[f"model.diffusion_model.{name}"].float())
    assert not any(parameter.requires_grad for parameter in tiny15.networks.unet.parameters())


def test_schedule_is_scaled_linear(twins: dict[str, Path]) -> None:
    expected = torch.cumprod(1 - BETAS, dim=0).float()
    assert torch.equal(load(twins["sd1"]).alphas_cumprod, expected)


def test_schedule_in_the_file_wins(tmp_path: Path) -> None:
    stored = torch.linspace(0.99, 0.01, 1000)
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, tiny("sd1"), extra={"alphas_cumprod": stored})
    assert torch.equal(load(path).alphas_cumprod, stored)


def test_impossible_schedule_in_the_file_is_left_aside(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, tiny("sd1"), extra={"alphas_cumprod": torch.full((1000,), 0.5)})
    assert torch.equal(load(path).alphas_cumprod, torch.cumprod(1 - BETAS, dim=0).float())


def test_yaml_sets_what_shapes_cannot_tell(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.safetensors", tiny("sd1"))
    path.with_suffix(".yaml").write_text(
        "model: {params: {parameterization: v, scale_factor: 0.5, linear_start: 0.001,"
        " linear_end: 0.01, timesteps: 1000, unet_config: {params: {num_heads: 4}}}}"
    )
    pipeline = load(path)
    assert (pipeline.spec.prediction, pipeline.spec.scale_factor) == ("v", 0.5)
    assert pipeline.networks.unet.config["attention_head_dim"] == [4, 4, 4]
    betas = torch.linspace(0.001**0.5, 0.01**0.5, 1000, dtype=torch.float64) ** 2
    assert torch.equal(pipeline.alphas_cumprod, torch.cumprod(1 - betas, dim=0).float())


def test_yaml_of_another_network_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "a.safetensors", tiny("sd1"))
    path.with_suffix(".yaml").write_text(
        "model: {params: {unet_config: {params: {model_channels: 320}}}}"
    )
    with pytest.raises(ModelError, match="model_channels is 320 there and 32 here"):
        load(path)


def test_v_mark_makes_v_prediction(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_checkpoint(path, tiny("sdxl"), extra={"v_pred": torch.zeros(0)})
    assert load(path).spec.prediction == "v"


def test_old_text_encoder_names_load_the_same(tmp_path: Path, twins: dict[str, Path]) -> None:
    stored = load_file(twins["sd1"])
    old = {name.replace(".text_model.", "."): tensor for name, tensor in stored.items()}
    save_file(old, tmp_path / "old.safetensors")
    expected = answer(load(twins["sd1"]))
    assert torch.equal(answer(load(tmp_path / "old.safetensors")), expected)


def test_half_precision_stays_near(twins: dict[str, Path]) -> None:
    exact = answer(load(twins["sd1"]))
    half = answer(load_checkpoint(twins["sd1"], CPU, torch.bfloat16))
    assert half.dtype == F32
    # bfloat16 has 8 bits of mantissa; 30 layers add up
    assert (half - exact).abs().mean() < 0.03 * exact.abs().mean()


def test_missing_tensors_are_named(tmp_path: Path, twins: dict[str, Path]) -> None:
    stored = load_file(twins["sd1"])
    del stored["model.diffusion_model.time_embed.2.weight"]
    save_file(stored, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=r"lacks 1 tensors of its UNet: time_embedding"):
        load(tmp_path / "a.safetensors")


def test_wrong_shape_is_named(tmp_path: Path, twins: dict[str, Path]) -> None:
    stored = load_file(twins["sd1"])
    stored["model.diffusion_model.time_embed.2.bias"] = torch.zeros(3)
    save_file(stored, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match=r"does not fit its UNet: .*time_embedding"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("ending", [".ckpt", ".pt", ".pth", ".bin"])
def test_pickle_is_refused_unopened(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"\x80\x02cos\nsystem\n")
    with pytest.raises(ModelError, match="is a pickle"):
        load(path)


@pytest.mark.parametrize("name", ["a.txt", "folder"])
def test_something_else_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.mkdir() if name == "folder" else path.write_text("x")
    with pytest.raises(ModelError, match=r"neither a \.safetensors file nor a diffusers folder"):
        load(path)


def without_vae(source: Path, target: Path) -> Path:
    stored = load_file(source)
    kept = {n: t for n, t in stored.items() if not n.startswith("first_stage_model.")}
    save_file(kept, target)
    return target


def test_checkpoint_without_vae_needs_one(
    tmp_path: Path, twins: dict[str, Path], models: Path
) -> None:
    path = without_vae(twins["sd1"], tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="holds no VAE"):
        load(path)
    vae = models / "VAE" / "othervae.safetensors"
    pipeline = load_checkpoint(path, CPU, F32, vae=vae)
    assert pipeline.decode(torch.zeros(1, 4, 4, 4)).shape == (1, 3, 32, 32)


def test_vae_is_swapped_and_given_back_exactly(models: Path) -> None:
    pipeline = load(models / "Stable-diffusion" / "tiny15.safetensors")
    latent = torch.randn((1, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    own = pipeline.decode(latent)
    other = models / "VAE" / "othervae.safetensors"
    pipeline.use_vae(read_vae(pipeline, other, F32))
    swapped = pipeline.decode(latent)
    at_once = load_checkpoint(
        models / "Stable-diffusion" / "tiny15.safetensors", CPU, F32, vae=other
    )
    assert not torch.equal(swapped, own)
    assert torch.equal(at_once.decode(latent), swapped)
    pipeline.use_vae(read_vae(pipeline, None, F32))
    assert torch.equal(pipeline.decode(latent), own)


def test_file_that_is_no_vae_leaves_the_pipeline_as_it_was(models: Path) -> None:
    pipeline = load(models / "Stable-diffusion" / "tiny15.safetensors")
    vae = pipeline.networks.vae
    with pytest.raises(ModelError, match=r"is no VAE: it is a LoRA"):
        read_vae(pipeline, models / "Lora" / "t15lora.safetensors", F32)
    assert pipeline.networks.vae is vae


def test_nan_in_the_vae_is_an_error(tmp_path: Path, twins: dict[str, Path]) -> None:
    stored = load_file(twins["sd1"])
    stored["first_stage_model.post_quant_conv.bias"].fill_(torch.nan)
    save_file(stored, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="VAE answers with values that are not numbers"):
        load(tmp_path / "a.safetensors").decode(torch.zeros(1, 4, 4, 4))


def test_nan_in_the_latent_blames_the_network(twins: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="the network answered with values that are not numbers"):
        load(twins["sd1"]).decode(torch.full((1, 4, 4, 4), torch.nan))


def test_model_outlives_its_file(tmp_path: Path, twins: dict[str, Path]) -> None:
    path = tmp_path / "a.safetensors"
    shutil.copy(twins["sd1"], path)
    pipeline = load(path)
    before = answer(pipeline)
    path.write_bytes(b"")
    path.unlink()
    assert torch.equal(answer(pipeline), before)


def test_size_in_memory_is_what_a_model_takes(twins: dict[str, Path], tmp_path: Path) -> None:
    pipeline = load(twins["sdxl"])
    # the file holds one scalar more: OpenCLIP's logit_scale
    assert size_in_memory(twins["sdxl"], F32) == pipeline.size_bytes + 4
    pickle = tmp_path / "a.ckpt"
    assert size_in_memory(pickle, F32) == 0  # loading says what is wrong
    pickle.write_bytes(bytes(10))
    assert size_in_memory(pickle, F32) == 20  # of float16, as most are
    assert size_in_memory(pickle, torch.float16) == 10


def test_vae_of_another_family_is_refused(
    tmp_path: Path, twins: dict[str, Path], tiny15: StableDiffusion
) -> None:
    """SD3's and FLUX's autoencoders have 16 channels."""
    weights = {
        name.removeprefix("first_stage_model."): tensor
        for name, tensor in load_file(twins["sd1"]).items()
        if name.startswith("first_stage_model.")
    }
    width = weights["decoder.conv_in.weight"].shape[0]
    weights["decoder.conv_in.weight"] = torch.zeros(width, 16, 3, 3)
    other = tmp_path / "ae.safetensors"
    save_file(weights, other)
    words = r"ae\.safetensors: is a VAE of another family: its latents have 16 channels"
    with pytest.raises(ModelError, match=words):
        read_vae(tiny15, other, F32)
    with pytest.raises(ModelError, match=words):
        load_checkpoint(twins["sd1"], CPU, F32, vae=other)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").touch()
    with pytest.raises(ModelError, match=r"a\.safetensors: is empty"):
        load(tmp_path / "a.safetensors")


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_eight_bits_stay_near(twins: dict[str, Path], family: str) -> None:
    exact = load(twins[family])
    small = load_checkpoint(twins[family], CPU, F32, fp8="Enable for SDXL")
    is_small = family == "sdxl"
    formats = {weight.dtype for weight in small.networks.unet.parameters()}
    assert (torch.float8_e4m3fn in formats) is is_small
    assert small.dtype == F32
    error = (answer(small) - answer(exact)).std() / answer(exact).std()
    assert (0 < error < 0.2) if is_small else error == 0
