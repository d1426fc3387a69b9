"""Adapters written into the weights themselves: exact, and restored from the file."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
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
from modules.model_manager.hashes import Hashes
from modules.model_manager.library import FileKind, Library
from modules.model_manager.load import load_checkpoint
from modules.model_manager.networks import LoraUse, Networks, Wish
from modules.model_manager.origin import Origin, Source
from modules.model_manager.tensor_file import stamp_of_open
from modules.pipelines.sd import StableDiffusion

CPU = torch.device("cpu")
ALWAYS = 1
"""Bytes of new memory from which on weights are changed in place."""

ENDING = """
import sys, time, torch
from pathlib import Path
from modules.setup.torchvision_compat import install
install()
from modules.model_manager.adapters import Use, put_on, read_adapter
from modules.model_manager.load import load_checkpoint
from modules.model_manager.origin import Source

read = Source.read
def slowly(self, pieces):
    time.sleep(1)
    read(self, pieces)
Source.read = slowly
model = load_checkpoint(Path(sys.argv[1]), torch.device("cpu"), torch.float32)
put_on(model, [Use(read_adapter(Path(sys.argv[2])))], in_place_bytes=1)
spare = model.wardrobe.spare
print("ready" if spare.is_ready else "fetching", len(spare._copies), spare._thread.daemon)
"""
"""A program that ends long before its thread has read all."""


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


def wear_in_place(model: StableDiffusion, *uses: Use, free: int = 1 << 40) -> None:
    put_on(model, uses, in_place_bytes=ALWAYS, free=lambda device: free)
    written = wardrobe_of(model).overwritten
    assert written is not None and (written.spare is not None) == bool(free)


def overwrite(path: Path) -> None:
    """Change a file where it lies."""
    with path.open("r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\0")
        os.utime(file.fileno(), (1, 1))


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
    assert spare.is_true and spare.size_bytes == model.spare_bytes > 0
    take_off(model)
    assert not spare.is_true
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
@pytest.mark.parametrize("free", [0, 1 << 40])
def test_a_file_that_is_deleted_or_replaced_meanwhile_is_still_read(
    model: StableDiffusion, checkpoint: Path, lora: Adapter, tmp_path: Path, free: int
) -> None:
    before = weights(model)
    other = tmp_path / "other.safetensors"
    save_file({n: t * 0 for n, t in load_file(checkpoint).items()}, other)
    wear_in_place(model, Use(lora), free=free)
    other.replace(checkpoint)
    take_off(model)
    assert same(weights(model), before)


def test_the_file_is_not_needed_once_the_copies_are_there(
    model: StableDiffusion, checkpoint: Path, lora: Adapter
) -> None:
    before = weights(model)
    wear_in_place(model, Use(lora))
    spare_of(model).wait()
    overwrite(checkpoint)
    take_off(model)
    assert same(weights(model), before)
    assert not model.is_spoilt


def test_a_file_that_is_overwritten_meanwhile_spoils_the_model(
    model: StableDiffusion, checkpoint: Path, lora: Adapter
) -> None:
    cache = ModelCache(lambda device: 1 << 40)
    cache.put(checkpoint, Held(model, None, None))
    held = cache.lend(checkpoint, Limits(), CPU)
    wear_in_place(model, Use(lora), free=0)
    overwrite(checkpoint)
    with pytest.raises(ModelError, match="changed on the disk"):
        take_off(model)
    assert model.is_spoilt
    with pytest.raises(ModelError, match="load it again"):
        put_on(model, [])
    cache.take_back(checkpoint, held)
    assert cache.get(checkpoint) is None


def test_what_was_drawn_is_good_though_the_model_is_spoilt(
    model: StableDiffusion, checkpoint: Path, models: Path
) -> None:
    library = Library({FileKind.LORA: [models / "Lora"]})
    hashes = Hashes(checkpoint.parent / "hashes.json")
    networks = Networks(library, hashes)
    with networks.wearing(model) as wearing:
        wearing.change(Wish((LoraUse("t15lora"),)))
        assert model.text_key
        take_off(model)
        model.shed()
        wear_in_place(model, Use(read_adapter(models / "Lora" / "t15lora.safetensors")), free=0)
        overwrite(checkpoint)
    assert model.is_spoilt and not model.text_key
    hashes.close()


def test_a_change_while_it_is_read_is_noticed(
    model: StableDiffusion, checkpoint: Path, lora: Adapter
) -> None:
    class Changing(Source):
        """Its files change between the first look and the second."""

        def is_unchanged(self) -> bool:
            overwrite(checkpoint)
            self.is_unchanged = super().is_unchanged  # type: ignore[method-assign]
            return True

    origin = model.origin
    assert isinstance(origin, Origin)
    piece = origin.find(next(model.networks.unet.parameters()))
    assert piece is not None
    with checkpoint.open("rb", buffering=0) as file:
        source = Changing([{checkpoint: file}], {checkpoint: stamp_of_open(file)})
        with pytest.raises(ModelError, match="changed on the disk"):
            source.read([piece])


def test_memory_that_is_there_stays_when_more_is_fetched(
    model: StableDiffusion, tmp_path: Path, models: Path, lora: Adapter
) -> None:
    before = weights(model)
    few = dataclasses.replace(lora, layers=dict(list(lora.layers.items())[:3]), path=tmp_path)
    wear_in_place(model, Use(few))
    first = spare_of(model)
    first.wait()
    take_off(model)
    memory = {one.data_ptr() for one in first._free.values()}
    wear_in_place(model, Use(lora))
    assert {one.tensor.data_ptr() for one in wardrobe_of(model).changed.values()} == memory
    spare_of(model).wait()
    take_off(model)
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is None
    take_off(model)
    assert same(weights(model), before)


def test_tied_weights_are_changed_once(model: StableDiffusion, lora: Adapter) -> None:
    blocks = model.networks.unet.mid_block.attentions[0].transformer_blocks[0]
    blocks.attn1.to_v.weight = blocks.attn1.to_k.weight
    put_on(model, [Use(lora)])
    beside = weights(model)
    take_off(model)
    model.shed()
    before = weights(model)
    put_on(model, [Use(lora)], in_place_bytes=ALWAYS)
    assert wardrobe_of(model).overwritten is not None
    assert same(weights(model), beside)
    take_off(model)
    assert same(weights(model), before)


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


def test_no_memory_for_copies_is_no_failure(model: StableDiffusion, lora: Adapter) -> None:
    before = weights(model)
    for _ in range(2):
        wear_in_place(model, Use(lora), free=0)
        take_off(model)
    assert wardrobe_of(model).spare is None
    assert same(weights(model), before)


def test_forgotten_memory_ends_its_thread(model: StableDiffusion, lora: Adapter) -> None:
    wear_in_place(model, Use(lora))
    thread = spare_of(model)._thread
    take_off(model)
    model.shed()
    thread.join(60)
    assert not thread.is_alive()


def test_a_program_may_end_while_memory_is_fetched(checkpoint: Path, models: Path) -> None:
    lora = models / "Lora" / "t15lora.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", ENDING, str(checkpoint), str(lora)],
        capture_output=True,
        text=True,
        timeout=60,  # each of the weights takes a second
        check=False,
    )
    # as a daemon it would be cut off inside torch, which ends the process with SIGABRT
    state, count, is_daemon = done.stdout.split()
    assert (done.returncode, state, is_daemon) == (0, "fetching", "False"), done.stderr
    assert int(count) > 100
