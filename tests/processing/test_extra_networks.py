"""Networks that prompts ask for: what they mean, what becomes of them, what the infotext says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from modules.core.errors import Interrupted
from modules.core.hooks import Hooks
from modules.core.settings import Settings, known_settings
from modules.model_manager import Catalogue, FileKind, Hashes, Library, ModelManager, VaeCatalogue
from modules.model_manager.networks import HypernetworkUse, LoraUse
from modules.processing.networks import cut_tags, read_wish, with_setting_networks
from modules.processing.run import Services
from modules.prompt import extract_networks

SETTINGS = Settings(None)
LORA = "<lora:t15lora:0.8>"
HASH = "t15lora: 23837c2c9176"


@pytest.fixture(scope="session")
def network_folder(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """Networks of many kinds beside tiny15's own: aliased, bundled, broken, of another family."""
    folder = tmp_path_factory.mktemp("networks")
    for name in ("Lora", "embeddings", "hypernetworks"):
        shutil.copytree(tiny_models / name, folder / name)
    lora = load_file(folder / "Lora/t15lora.safetensors")
    save_file(lora, folder / "Lora/file name.safetensors", {"ss_output_name": "alias"})
    bundle = {"bundle_emb.zqx.string_to_param.*": torch.randn(2, 32)}
    save_file(lora | bundle, folder / "Lora/bundle.safetensors")
    nan = {name: torch.full_like(tensor, torch.nan) for name, tensor in lora.items()}
    save_file(nan, folder / "Lora/nan.safetensors")
    layer = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
    wide = {f"{layer}.lora_up.weight": torch.ones(640, 4),
            f"{layer}.lora_down.weight": torch.ones(4, 2048)}  # fmt: skip
    save_file(wide, folder / "Lora/xl.safetensors", {"ss_base_model_version": "sdxl_base_v1-0"})
    whole = (folder / "Lora/t15lora.safetensors").read_bytes()
    (folder / "Lora/cut.safetensors").write_bytes(whole[:20000])
    save_file({"emb_params": torch.ones(1, 768)}, folder / "embeddings/wide.safetensors")
    return folder


@pytest.fixture(scope="session")
def with_networks(two_models: Path, network_folder: Path, services: Services) -> Iterator[Services]:
    paths = dataclasses.replace(
        services.paths, checkpoints=(two_models / "Stable-diffusion",), vaes=()
    )
    hashes = Hashes(paths.cache / "network-hashes.json")
    models = ModelManager(
        Catalogue(paths.checkpoints, hashes),
        VaeCatalogue((), paths.checkpoints, None),
        lambda: services.models.placement,
        library=Library(
            {
                FileKind.LORA: (network_folder / "Lora",),
                FileKind.EMBEDDING: (network_folder / "embeddings",),
                FileKind.HYPERNETWORK: (network_folder / "hypernetworks",),
            }
        ),
        settings=lambda: known_settings() | {"sd_checkpoints_limit": 2},
        default=two_models / "Stable-diffusion" / "tiny15.safetensors",
    )
    yield Services(models, Hooks(), paths)
    hashes.close()


@pytest.fixture
def studio(with_networks: Services, both: Any) -> Any:
    """Jobs with tiny15 or `other`, the networks, and hooks of this test alone."""
    return type(both)(dataclasses.replace(with_networks, hooks=Hooks()))


def pictures(result: Any) -> list[Any]:
    return [np.asarray(image).astype(int) for image in result.images]


def wish(*tags: str, **changes: Any) -> tuple[Any, list[str]]:
    warnings: list[str] = []
    found = extract_networks("".join(tags))[1]
    return read_wish(found, SETTINGS.view(), warnings), warnings


@pytest.mark.parametrize(
    ("tag", "use"),
    [
        ("<lora:a>", LoraUse("a")),
        ("<lora: a b >", LoraUse("a b")),
        ("<lyco:a:0.5>", LoraUse("a", 0.5, 0.5)),
        ("<lora:a:0.5:0.25>", LoraUse("a", 0.5, 0.25)),
        ("<lora:a:0.5:0.25:8>", LoraUse("a", 0.5, 0.25, 8)),
        ("<lora:a:te=0.5>", LoraUse("a", 0.5, 0.5)),
        ("<lora:a:0.7:unet=0.5>", LoraUse("a", 0.7, 0.5)),
        ("<lora:a:te=0:unet=1:dyn=4>", LoraUse("a", 0.0, 1.0, 4)),
        ("<lora:a:-1.5>", LoraUse("a", -1.5, -1.5)),
    ],
)
def test_tag_of_a_lora_is_read(tag: str, use: LoraUse) -> None:
    found, warnings = wish(tag)
    assert found.loras == (use,) and not warnings


def test_tag_of_a_hypernetwork_is_read() -> None:
    found, warnings = wish("<hypernet:a:0.5><hypernet:b>")
    assert found.hypernetworks == (HypernetworkUse("a", 0.5), HypernetworkUse("b"))
    assert not warnings


@pytest.mark.parametrize(
    "tag", ["<lora:a:much>", "<lora:a:nan>", "<lora:a:1e99>", "<lora:a:1:1:x>", "<foo:a>"]
)
def test_tag_that_means_nothing_is_a_warning(tag: str) -> None:
    found, warnings = wish(tag, "<lora:b>")
    assert found.loras == (LoraUse("b"),)
    assert len(warnings) == 1 and "was left out" in warnings[0] and ":a>" in warnings[0]


def test_first_prompt_decides() -> None:
    texts, tags = cut_tags(["a <lora:x:1>", "b <lora:y:1>"])
    assert texts == ["a ", "b "]
    assert [tag.positional[0] for tag in tags] == ["x"]


def test_settings_add_their_network_to_every_prompt_that_lacks_it() -> None:
    settings = SETTINGS.view().with_overrides({"sd_lora": "x", "sd_hypernetwork": "h"})
    assert with_setting_networks(["a", "b"], settings) == [
        "a<hypernet:h:1.0><lora:x:1.0>",
        "b<hypernet:h:1.0><lora:x:1.0>",
    ]
    assert with_setting_networks(["<lora:x:0.5>"], settings) == ["<lora:x:0.5><hypernet:h:1.0>"]
    assert with_setting_networks(["a"], SETTINGS.view()) == ["a"]


def test_infotext_keeps_the_tag_and_gets_the_hash(studio: Any) -> None:
    result = studio.make(prompt=f"a fox {LORA}")
    assert result.infotexts[0].startswith(f"a fox {LORA}\n")
    assert f'Lora hashes: "{HASH}"' in result.infotexts[0]
    assert not result.warnings
    silent = studio.make({"lora_add_hashes_to_infotext": False}, prompt=f"a fox {LORA}")
    assert "Lora hashes" not in silent.infotexts[0]


def test_model_is_whole_after_jobs_with_networks(studio: Any) -> None:
    before = studio.pixels(prompt="a fox")
    changed = studio.pixels(prompt=f"a fox {LORA} <lora:t15lokr:0.5><hypernet:t15hn:1>")
    assert np.abs(changed - before).max() > 5
    assert np.array_equal(studio.pixels(prompt="a fox"), before)


def test_te_alone_and_unet_alone_differ(studio: Any) -> None:
    prompts = ("a fox", "a fox<lora:t15lora:te=1:unet=0>", "a fox<lora:t15lora:te=0:unet=1>",
               "a fox<lora:t15lora>")  # fmt: skip
    made = [studio.pixels(prompt=prompt) for prompt in prompts]
    for index, one in enumerate(made):
        assert not any(np.array_equal(one, other) for other in made[index + 1 :])


def test_weight_of_nought_is_no_network(studio: Any) -> None:
    assert np.array_equal(
        studio.pixels(prompt="a fox<lora:t15lora:0>"), studio.pixels(prompt="a fox")
    )


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("<lora:nope:1>", "nope"),
        ("<hypernet:nope:1>", "nope"),
        ("<lora:cut:1>", "cut.safetensors"),
        ("<lora:nan:1>", "not numbers"),
        ("<lora:xl:1>", "made for Stable Diffusion XL, and the checkpoint is a Stable Diffusion 1"),
        ("<foo:bar>", "foo"),
    ],
)
def test_picture_is_made_without_what_cannot_be_used(studio: Any, tag: str, words: str) -> None:
    plain = studio.pixels(prompt="a fox ")
    result = studio.make(prompt=f"a fox {tag}")
    assert np.array_equal(pictures(result)[0], plain)
    assert len(result.warnings) == 1 and words in result.warnings[0]
    assert "left out" in result.warnings[0]
    assert tag in result.infotexts[0]


def test_alias_of_the_maker_is_a_name(studio: Any) -> None:
    by_alias = studio.make(prompt="a fox<lora:alias:1>")
    by_name = studio.make(prompt="a fox<lora:file name:1>")
    assert not by_alias.warnings and not by_name.warnings
    assert np.array_equal(pictures(by_alias)[0], pictures(by_name)[0])
    assert "Lora hashes: " in by_alias.infotexts[0] and "alias: " in by_alias.infotexts[0]


def test_disabled_networks_are_cut_out_and_forgotten(studio: Any) -> None:
    result = studio.make(prompt=f"a fox{LORA}", disable_extra_networks=True)
    assert np.array_equal(pictures(result)[0], studio.pixels(prompt="a fox"))
    assert "Lora hashes" not in result.infotexts[0]


def test_setting_puts_a_network_into_prompt_and_infotext(studio: Any) -> None:
    result = studio.make({"sd_lora": "t15lora"}, prompt="a fox")
    assert result.infotexts[0].startswith("a fox<lora:t15lora:1.0>\n")
    assert np.array_equal(pictures(result)[0], studio.pixels(prompt="a fox<lora:t15lora:1>"))


HIRES = {"enable_hr": True, "hr_scale": 1.5, "hr_upscaler": "Latent", "denoising_strength": 0.5}


def test_second_pass_wears_what_its_own_prompt_asks_for(studio: Any) -> None:
    asked = {
        "same": {"prompt": f"a fox {LORA}"},
        "without": {"prompt": f"a fox {LORA}", "hr_prompt": "a fox "},
        "only second": {"prompt": "a fox ", "hr_prompt": f"a fox {LORA}"},
        "neither": {"prompt": "a fox "},
    }
    made = {name: studio.make(**HIRES, **values) for name, values in asked.items()}
    images = [pictures(result)[0] for result in made.values()]
    for index, one in enumerate(images):
        assert not any(np.array_equal(one, other) for other in images[index + 1 :])
    assert HASH in made["only second"].infotexts[0]
    assert np.array_equal(studio.pixels(**HIRES, prompt="a fox "), images[3])


def test_refiner_wears_them_too(studio: Any) -> None:
    def pixels(prompt: str) -> Any:
        return studio.pixels(prompt=prompt, refiner_checkpoint="other", refiner_switch_at=0.5)

    plain = pixels("a fox ")
    assert not np.array_equal(pixels(f"a fox {LORA}"), plain)
    assert np.array_equal(pixels("a fox "), plain)
    other = {"sd_model_checkpoint": "other"}
    bare = studio.pixels(other, prompt="a fox ")
    pixels(f"a fox {LORA}")
    assert np.array_equal(studio.pixels(other, prompt="a fox "), bare)


@pytest.mark.parametrize(
    "error", [Interrupted("stop"), RuntimeError("broken"), KeyboardInterrupt()]
)
def test_model_is_whole_after_a_job_that_failed(studio: Any, error: BaseException) -> None:
    before = studio.pixels(prompt="a fox")

    def predict(*_: Any) -> None:
        raise error

    handle = _network(studio).register_forward_pre_hook(predict)
    with pytest.raises(type(error)):
        studio.make(prompt=f"a fox {LORA}<hypernet:t15hn:1>")
    handle.remove()
    assert np.array_equal(studio.pixels(prompt="a fox"), before)


def _network(studio: Any) -> torch.nn.Module:
    from modules.model_manager import ModelChoice

    with studio.services.models.use(ModelChoice()) as pipeline:
        network = pipeline.networks.unet
        assert isinstance(network, torch.nn.Module)
        return network


def test_cached_prompt_is_not_taken_from_another_network(studio: Any) -> None:
    """The text encoder's part of a LoRA changes what a prompt means."""
    first = studio.pixels(prompt="a cat<lora:t15lora:te=1:unet=0>")
    studio.pixels(prompt="a cat")
    assert np.array_equal(studio.pixels(prompt="a cat<lora:t15lora:te=1:unet=0>"), first)
    assert not np.array_equal(studio.pixels(prompt="a cat"), first)


def test_embeddings_are_named_with_their_hashes(studio: Any) -> None:
    result = studio.make(prompt="a t15emb, t15embst", negative_prompt="t15embst")
    hashes = "t15emb: 03724cf21642, t15embst: a1b2487e3532"
    assert f'TI hashes: "{hashes}"' in result.infotexts[0]
    none = studio.make(prompt="a fox", negative_prompt="")
    assert "TI hashes" not in none.infotexts[0]


def test_embedding_in_a_schedule_is_named(studio: Any) -> None:
    result = studio.make(prompt="a [fox:t15embst:0.5]")
    assert "TI hashes" in result.infotexts[0]


def test_embedding_of_another_width_is_text_and_a_warning(studio: Any) -> None:
    result = studio.make(prompt="a wide fox")
    assert any("It is 768 wide; this model takes 32." in warning for warning in result.warnings)
    assert "TI hashes" not in result.infotexts[0]


def test_bundled_embedding_is_there_with_its_lora_only(studio: Any) -> None:
    inside = studio.make(prompt="a zqx<lora:bundle:te=0:unet=0>", negative_prompt="")
    outside = studio.make(prompt="a zqx", negative_prompt="")
    assert 'TI hashes: "zqx: bundle"' in inside.infotexts[0]
    assert not np.array_equal(pictures(inside)[0], pictures(outside)[0])
    assert "TI hashes" not in outside.infotexts[0]


def test_batches_have_their_own_hashes(studio: Any, levels: Callable[[Any, Any], int]) -> None:
    hooks = studio.services.hooks

    def other_prompt(p: Any, number: int, *_: Any) -> None:
        p.prompts = ["a fox" if number else f"a fox {LORA}"]

    hooks.add("before_process_batch", other_prompt, "test")
    first, second = studio.make(n_iter=2).infotexts
    assert HASH in first and "Lora hashes" not in second


def test_info_of_the_reply_has_the_hashes(studio: Any) -> None:
    info = studio.make(prompt=f"a fox {LORA}").info
    assert info["extra_generation_params"]["Lora hashes"] == HASH
    json.dumps(info)


def test_second_pass_may_be_read_with_the_first_passes_networks(studio: Any) -> None:
    text_only = "<lora:t15lora:1:0>"
    first = {"hires_fix_use_firstpass_conds": True}
    asked = {"prompt": "a fox ", "hr_prompt": f"a fox {text_only}"}
    without = studio.pixels(**HIRES, prompt="a fox ")
    assert np.array_equal(studio.pixels(first, **HIRES, **asked), without)
    assert not np.array_equal(studio.pixels(**HIRES, **asked), without)
    both = {"prompt": f"a fox {LORA}", "hr_prompt": "a fox "}
    result = studio.make(first, **HIRES, **both)
    assert not np.array_equal(pictures(result)[0], studio.pixels(**HIRES, **both))
    unet_only = "<lora:t15lora:0:1>"
    asked = {"prompt": "a fox ", "hr_prompt": f"a fox {unet_only}"}
    assert np.array_equal(studio.pixels(first, **HIRES, **asked), studio.pixels(**HIRES, **asked))
