"""Extra networks by name: aliases, hashes, what stays in memory, and what a lent model wears."""

from __future__ import annotations

import gc
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import save_file

from modules.core.errors import NotFound
from modules.model_manager import FileKind, Hashes, Library
from modules.model_manager.load import load_checkpoint
from modules.model_manager.networks import HypernetworkUse, LoraUse, Networks, Wish
from modules.pipelines.sd import StableDiffusion

CPU = torch.device("cpu")
LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def write(path: Path, seed: int = 0, **metadata: str) -> Path:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        f"{LAYER}.lora_down.weight": torch.randn(2, 32, generator=generator),
        f"{LAYER}.lora_up.weight": torch.randn(32, 2, generator=generator),
    }
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, metadata or None)
    return path


@pytest.fixture
def hashes(tmp_path: Path) -> Iterator[Hashes]:
    made = Hashes(tmp_path / "hashes.json")
    yield made
    made.close()


@pytest.fixture
def networks(tmp_path: Path, models: Path, hashes: Hashes) -> Networks:
    write(tmp_path / "Lora" / "one.safetensors", 1, ss_output_name="maker")
    write(tmp_path / "Lora" / "two.safetensors", 2, ss_output_name="both")
    write(tmp_path / "Lora" / "three.safetensors", 3, ss_output_name="both")
    folders = {
        FileKind.LORA: (tmp_path / "Lora",),
        FileKind.HYPERNETWORK: (models / "hypernetworks",),
        FileKind.EMBEDDING: (models / "embeddings",),
    }
    return Networks(Library(folders), hashes)


@pytest.fixture
def model(models: Path) -> StableDiffusion:
    return load_checkpoint(models / "Stable-diffusion/tiny15.safetensors", CPU, torch.float32)


def test_file_name_and_alias_find_a_lora(networks: Networks) -> None:
    assert networks.find_lora("one").name == networks.find_lora("maker").name == "one"
    assert networks.find_lora("two.safetensors").name == "two"


@pytest.mark.parametrize("name", ["nothing", "both"])
def test_unknown_name_and_shared_alias_are_not_found(networks: Networks, name: str) -> None:
    with pytest.raises(NotFound, match=name):
        networks.find_lora(name)


def test_new_file_is_found_after_refresh(networks: Networks, tmp_path: Path) -> None:
    write(tmp_path / "Lora" / "new.safetensors", ss_output_name="fresh")
    networks._library.refresh(FileKind.LORA)
    assert networks.find_lora("new").name == networks.find_lora("fresh").name == "new"


def test_hash_of_a_lora_is_that_of_its_tensors(networks: Networks, tmp_path: Path) -> None:
    card = networks.find_lora("one")
    whole = card.path.read_bytes()
    data = whole[8 + int.from_bytes(whole[:8], "little") :]
    wanted = hashlib.sha256(data).hexdigest()[:12]
    assert networks.lora_hash(card) == wanted
    write(card.path, 1, ss_output_name="another name of the maker")
    assert networks.lora_hash(networks.find_lora("one")) == wanted


def test_hash_in_the_header_saves_reading_the_file(networks: Networks, tmp_path: Path) -> None:
    write(tmp_path / "Lora" / "said.safetensors", sshs_model_hash="ab" * 32)
    write(tmp_path / "Lora" / "odd.safetensors", sshs_model_hash="not a hash")
    networks._library.refresh(FileKind.LORA)
    assert networks.lora_hash(networks.find_lora("said")) == "abababababab"
    odd = networks.lora_hash(networks.find_lora("odd"))
    assert odd is not None and len(odd) == 12


def test_fixtures_have_a1111s_hashes(models: Path, hashes: Hashes) -> None:
    networks = Networks(Library({FileKind.LORA: (models / "Lora",)}), hashes)
    found = {name: networks.lora_hash(networks.find_lora(name)) for name in ("t15lora", "t15loha")}
    assert found == {"t15lora": "23837c2c9176", "t15loha": "45da4b5a3c17"}


def test_adapters_in_use_and_as_many_more_as_wanted_stay_in_memory(
    networks: Networks, model: StableDiffusion
) -> None:
    with networks.wearing(model) as wearing:
        for name, keep, count in (("one", 1, 1), ("two", 1, 2), ("three", 1, 2), ("one", 0, 1)):
            wearing.change(Wish((LoraUse(name),), keep=keep))
            assert len(networks._adapters) == count


def test_changed_file_is_read_again(networks: Networks, model: StableDiffusion) -> None:
    layer = model.networks.unet.get_submodule(
        "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
    )
    with networks.wearing(model) as wearing:
        wearing.change(Wish((LoraUse("one"),)))
        first = layer.weight.detach().clone()
        path = write(networks.find_lora("one").path, seed=9)
        os.utime(path, ns=(1, 1))
        wearing.change(Wish((LoraUse("one"),)))
        assert not torch.equal(layer.weight, first)


def test_deleted_file_is_a_warning(networks: Networks, model: StableDiffusion) -> None:
    networks.find_lora("one").path.unlink()
    with networks.wearing(model) as wearing:
        worn = wearing.change(Wish((LoraUse("one"), LoraUse("two"))))
    assert [card.name for _, card in worn.loras] == ["two"]
    assert len(worn.warnings) == 1 and "one.safetensors: is gone." in worn.warnings[0]


def test_lent_model_is_given_back_as_it_was(networks: Networks, model: StableDiffusion) -> None:
    before = {name: id(weight) for name, weight in model.networks.unet.named_parameters()}
    wish = Wish((LoraUse("one"),), (HypernetworkUse("t15hn"),))
    with pytest.raises(ZeroDivisionError), networks.wearing(model) as wearing:
        wearing.change(wish)
        assert model.embeddings is not None and model.text_key != ()
        raise ZeroDivisionError
    assert {name: id(weight) for name, weight in model.networks.unet.named_parameters()} == before
    assert model.embeddings is None and model.text_key == ()
    assert not any(module._forward_pre_hooks for module in model.networks.unet.modules())


def test_memory_does_not_grow_over_200_changes(networks: Networks, model: StableDiffusion) -> None:
    """Within 2 % of the level after the first round, and 4 MiB that allocators keep."""
    process = psutil.Process()
    names = ("one", "two", "three")

    def change(number: int) -> None:
        weight = 0.1 + number % 7 / 10
        loras = (LoraUse(names[number % 3], weight, weight), LoraUse(names[number % 2]))
        with networks.wearing(model) as wearing:
            wearing.change(Wish(loras, (HypernetworkUse("t15hn"),)))

    for number in range(20):
        change(number)
    gc.collect()
    level = process.memory_info().rss
    for number in range(200):
        change(number)
    gc.collect()
    assert process.memory_info().rss <= level * 1.02 + (4 << 20)
