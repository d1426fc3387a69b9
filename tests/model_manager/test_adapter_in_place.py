"""Adapters written into the weights themselves: exact, and restored from the file."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.core.errors import ModelError
from modules.model_manager.adapters import Use, put_on, read_adapter, take_off
from modules.model_manager.adapters.file import Adapter
from modules.model_manager.adapters.patcher import Wardrobe
from modules.model_manager.adapters.patches import LayerPatch
from modules.model_manager.adapters.spare import Spare
from modules.model_manager.cache import Held, Limits, ModelCache
from modules.model_manager.load import load_checkpoint
from modules.pipelines.sd import StableDiffusion

CPU = torch.device("cpu")
ALWAYS = 1
"""Bytes of new memory from which on weights are changed in place."""


@pytest.fixture
def checkpoint(models: Path, tmp_path: Path) -> Path:
    source = models / "Stable-diffusion" / "tiny15.safetensors"
    return Path(shutil.copy(source, tmp_path / source.name))


@pytest.fixture
def model(checkpoint: Path) -> StableDiffusion:
    return load_checkpoint(checkpoint, CPU, torch.float32)


@pytest.fixture
def lora(models: Path) -> Adapter:
    return read_adapter(models / "Lora" / "t15lora.safetensors")


@pytest.fixture
def loha(models: Path) -> Adapter:
    return read_adapter(models / "Lora" / "t15loha.safetensors")


def weights(model: StableDiffusion) -> dict[str, torch.Tensor]:
    networks = (model.networks.unet, *(encoder.model for encoder in model.networks.encoders))
    return {
        f"{place}.{name}": weight.detach().clone()
        for place, network in enumerate(networks)
        for name, weight in network.named_parameters()
    }


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def wardrobe_of(model: StableDiffusion) -> Wardrobe:
    assert isinstance(model.wardrobe, Wardrobe)
    return model.wardrobe


def wear_in_place(model: StableDiffusion, *uses: Use) -> None:
    put_on(model, uses, in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is not None


def spare_of(model: StableDiffusion) -> Spare[tuple[torch.nn.Module, str]]:
    spare = wardrobe_of(model).spare
    assert spare is not None
    return spare


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["t15lora", "t15loha", "t15lokr", "t15ia3"])
def test_weights_are_those_of_the_other_way_and_come_back(
    checkpoint: Path, models: Path, name: str, dtype: torch.dtype
) -> None:
    model = load_checkpoint(checkpoint, CPU, dtype)
    adapter = read_adapter(models / "Lora" / f"{name}.safetensors")
    before = weights(model)
    put_on(model, [Use(adapter, 0.7, 0.7)])
    beside = weights(model)
    take_off(model)
    model.shed()
    wear_in_place(model, Use(adapter, 0.7, 0.7))
    assert same(weights(model), beside) and not same(beside, before)
    take_off(model)
    assert same(weights(model), before)
    assert wardrobe_of(model).overwritten is None


def test_memory_of_the_first_time_serves_the_second(model: StableDiffusion, lora: Adapter) -> None:
    before = weights(model)
    wear_in_place(model, Use(lora))
    worn = weights(model)
    spare = spare_of(model)
    spare.wait()
    assert spare.size_bytes == model.spare_bytes > 0
    take_off(model)
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is None
    assert spare.size_bytes == 0
    assert same(weights(model), worn)
    take_off(model)
    assert same(weights(model), before)


def test_what_is_worn_already_is_not_written_again(model: StableDiffusion, lora: Adapter) -> None:
    wear_in_place(model, Use(lora))
    written = wardrobe_of(model).overwritten
    worn = weights(model)
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is written
    assert same(weights(model), worn)
    take_off(model)


def test_another_weight_and_another_adapter(
    model: StableDiffusion, lora: Adapter, loha: Adapter
) -> None:
    before = weights(model)
    for uses in ([Use(lora)], [Use(lora, 0.5, 0.5)], [Use(loha), Use(lora)], [Use(loha)]):
        put_on(model, uses, in_place_bytes=ALWAYS)
        found = weights(model)
        put_on(model, [])
        assert same(weights(model), before)
        model.shed()
        put_on(model, uses)
        assert same(weights(model), found)
        take_off(model)
        model.shed()


class _Failing:
    def fits(self, shape: torch.Size) -> bool:
        return True

    def delta(self, weight: torch.Tensor, rank: int | None = None) -> torch.Tensor:
        raise torch.OutOfMemoryError("no memory left")


def test_failure_half_way_leaves_the_model_bare(model: StableDiffusion, lora: Adapter) -> None:
    before = weights(model)
    last = list(lora.layers)[-1]
    lora.layers[last] = LayerPatch(_Failing())
    with pytest.raises(torch.OutOfMemoryError):
        put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert same(weights(model), before)
    assert not model.is_spoilt


def test_a_file_that_is_gone_or_new_is_not_relied_on(
    model: StableDiffusion, checkpoint: Path, lora: Adapter
) -> None:
    before = weights(model)
    os.utime(checkpoint, (1, 1))
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is None
    take_off(model)
    model.shed()
    checkpoint.unlink()
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is None
    take_off(model)
    assert same(weights(model), before)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not delete open files")
def test_a_file_that_is_deleted_or_replaced_meanwhile_is_still_read(
    model: StableDiffusion, checkpoint: Path, lora: Adapter, tmp_path: Path
) -> None:
    before = weights(model)
    other = tmp_path / "other.safetensors"
    save_file({n: t * 0 for n, t in load_file(checkpoint).items()}, other)
    wear_in_place(model, Use(lora))
    other.replace(checkpoint)
    take_off(model)
    assert same(weights(model), before)


def test_a_file_that_is_overwritten_meanwhile_spoils_the_model(
    model: StableDiffusion, checkpoint: Path, lora: Adapter
) -> None:
    cache = ModelCache(lambda device: 1 << 40)
    cache.put(checkpoint, Held(model, None, None))
    held = cache.lend(checkpoint, Limits(), CPU)
    wear_in_place(model, Use(lora))
    with checkpoint.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\0")
        os.utime(file.fileno(), (1, 1))
    with pytest.raises(ModelError, match="changed on the disk"):
        take_off(model)
    assert model.is_spoilt
    cache.take_back(checkpoint, held)
    assert cache.get(checkpoint) is None


def test_weights_that_were_replaced_since_the_load_are_left_alone(
    model: StableDiffusion, lora: Adapter
) -> None:
    for parameter in model.networks.unet.parameters():
        parameter.data = parameter.data.clone() + 1
    before = weights(model)
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    take_off(model)
    assert same(weights(model), before)


def test_pickles_leave_nothing_to_read_again(models: Path, tmp_path: Path, lora: Adapter) -> None:
    path = tmp_path / "tiny15.ckpt"
    torch.save({"state_dict": load_file(models / "Stable-diffusion" / "tiny15.safetensors")}, path)
    model = load_checkpoint(path, CPU, torch.float32, allow_pickles=True)
    before = weights(model)
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is None
    take_off(model)
    assert same(weights(model), before)


def test_spare_memory_ends_with_its_owner() -> None:
    spare = Spare({key: (torch.Size((1 << 20,)), torch.float32) for key in range(8)})
    spare.wait()
    assert spare.has(3) and not spare.has(9)
    piece = spare.take(3)
    assert piece is not None and piece.shape == (1 << 20,)
    assert spare.take(3) is None
    assert spare.size_bytes == 7 << 22
