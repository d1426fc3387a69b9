"""Which files of a repository are a model in the layout of diffusers."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from modules.downloads.diffusers_layout import folders_of, what_lacks
from modules.downloads.hub import HubFile
from modules.downloads.source import Folder
from tests.downloads.hub_site import CONFIGURATION, FULL, PICKLED, WEIGHTS, half, pipeline_files

UNET = "unet/diffusion_pytorch_model"
HALVES = {half(name) for name in WEIGHTS}


def found(
    paths: Iterable[str], repository: str = "me/tale", *, pickles: bool = False
) -> dict[str, Folder]:
    rows = [HubFile(path, 10, None, "b" * 40) for path in paths]
    folders = folders_of(repository, rows, lambda path: f"hub:{path}", pickles=pickles)
    return {one.name: one for one in folders}


def names(folder: Folder) -> set[str]:
    assert all(file.name == file.saved_as for file in folder.files)
    return {file.name for file in folder.files}


def test_one_set_of_weights_is_taken_and_no_code() -> None:
    folders = found(pipeline_files())
    assert list(folders) == ["diffusers", "diffusers.fp16"]
    assert names(folders["diffusers"]) == FULL
    assert names(folders["diffusers.fp16"]) == CONFIGURATION | HALVES
    assert [one.saved_as for one in folders.values()] == ["tale", "tale-fp16"]
    assert folders["diffusers"].size == 10 * len(FULL)
    assert folders["diffusers"].files[0].url.startswith("hub:")


def test_half_precision_is_taken_where_there_is_no_other() -> None:
    assert list(found(CONFIGURATION | HALVES)) == ["diffusers.fp16"]


def test_network_without_the_variant_gives_what_it_has() -> None:
    vae, text, unet = WEIGHTS
    folders = found(CONFIGURATION | {vae, text, unet, half(unet), f"{UNET}.non_ema.safetensors"})
    assert names(folders["diffusers"]) == CONFIGURATION | set(WEIGHTS)
    assert names(folders["diffusers.fp16"]) == CONFIGURATION | {vae, text, half(unet)}
    assert list(folders) == ["diffusers", "diffusers.fp16", "diffusers.non_ema"]


SHARDS = {f"{UNET}-0000{i}-of-00002.safetensors" for i in (1, 2)}
HALF_SHARDS = {f"{UNET}.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)}
OLD_HALF_SHARDS = {f"{UNET}-0000{i}-of-00002.fp16.safetensors" for i in (1, 2)}
INDEX = f"{UNET}.safetensors.index.json"
HALF_INDEX = f"{UNET}.safetensors.index.fp16.json"


@pytest.mark.parametrize(
    ("unet", "name", "taken"),
    [
        (SHARDS | {INDEX}, "diffusers", SHARDS | {INDEX}),
        (HALF_SHARDS | {HALF_INDEX}, "diffusers.fp16", HALF_SHARDS | {HALF_INDEX}),
        (OLD_HALF_SHARDS | {HALF_INDEX}, "diffusers.fp16", OLD_HALF_SHARDS | {HALF_INDEX}),
        (SHARDS | {INDEX, WEIGHTS[2]}, "diffusers", {WEIGHTS[2]}),
        (SHARDS | {INDEX} | HALF_SHARDS | {HALF_INDEX}, "diffusers", SHARDS | {INDEX}),
    ],
)
def test_shards_come_with_their_index_or_not_at_all(
    unet: set[str], name: str, taken: set[str]
) -> None:
    folders = found(CONFIGURATION | set(WEIGHTS[:2]) | unet)
    assert {one for one in names(folders[name]) if "model" in one and "unet" in one} == taken


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        ({"a.safetensors"}, "no model_index.json"),
        ({"model_index.json", "transformer/config.json"}, "no unet and vae"),
        (FULL - {WEIGHTS[0]}, "its vae has no whole"),
        (FULL - {WEIGHTS[1]}, "its text_encoder has no whole"),
        (FULL - {WEIGHTS[2]} | SHARDS, "its unet has no whole"),
        (FULL - {WEIGHTS[2]} | {INDEX, *sorted(SHARDS)[:1]}, "its unet has no whole"),
        (FULL | {"text_encoder_2/config.json"}, "its text_encoder_2 has no whole"),
    ],
)
def test_what_is_not_whole_is_not_offered(paths: set[str], words: str) -> None:
    assert words in what_lacks(paths)
    assert found(paths) == {}


BIN_SHARDS = {f"{UNET}-0000{i}-of-00002.bin" for i in (1, 2)}
BIN_INDEX = f"{UNET}.bin.index.json"
OTHER_BINS = {"unet/openvino_model.bin", "unet/optimizer.bin", "safety_checker/pytorch_model.bin"}


@pytest.mark.parametrize(
    ("weights", "taken"),
    [
        (set(PICKLED), {"diffusers": set(PICKLED)}),
        ({*PICKLED, *WEIGHTS}, {"diffusers": set(WEIGHTS)}),
        ({*PICKLED, *WEIGHTS[:2]}, {"diffusers": {*WEIGHTS[:2], PICKLED[2]}}),
        ({*PICKLED, half(WEIGHTS[2])}, {"diffusers.fp16": {*PICKLED[:2], half(WEIGHTS[2])}}),
        (
            {*PICKLED, f"{UNET}.fp16.bin"},
            {"diffusers": set(PICKLED), "diffusers.fp16": {*PICKLED[:2], f"{UNET}.fp16.bin"}},
        ),
        (
            {*PICKLED[:2], *BIN_SHARDS, BIN_INDEX},
            {"diffusers": {*PICKLED[:2], *BIN_SHARDS, BIN_INDEX}},
        ),
    ],
)
def test_pickles_are_taken_where_allowed_and_there_is_nothing_else(
    weights: set[str], taken: dict[str, set[str]]
) -> None:
    folders = found(CONFIGURATION | weights | OTHER_BINS, pickles=True)
    wanted = {name: CONFIGURATION | files for name, files in taken.items()}
    assert {name: names(folder) for name, folder in folders.items()} == wanted


@pytest.mark.parametrize(("lost", "part"), [(0, "vae"), (1, "text_encoder"), (2, "unet")])
def test_pickles_that_are_not_allowed_are_refused_with_the_way_out(lost: int, part: str) -> None:
    paths = FULL - {WEIGHTS[lost]} | {PICKLED[lost]} | OTHER_BINS
    said = what_lacks(paths)
    assert said.startswith(f"its {part} has only .bin weights; a .bin file may run code")
    assert said.endswith("(allow_pickles in config.json, or --allow-pickle)")
    assert (found(paths), what_lacks(paths, pickles=True)) == ({}, "")


@pytest.mark.parametrize("unet", [OTHER_BINS, BIN_SHARDS, {BIN_INDEX, *sorted(BIN_SHARDS)[:1]}])
def test_nobody_is_asked_to_allow_pickles_that_are_not_whole(unet: set[str]) -> None:
    paths = CONFIGURATION | set(PICKLED[:2]) | unet
    assert what_lacks(paths) == "its unet has no whole .safetensors weights"
    assert what_lacks(paths, pickles=True) == "its unet has no whole .safetensors or .bin weights"
    assert found(paths, pickles=True) == {}


def test_sdxl_brings_both_encoders_and_its_refiner_one() -> None:
    second = {
        "text_encoder_2/config.json",
        "text_encoder_2/model.safetensors",
        "tokenizer_2/vocab.json",
    }
    assert names(found(FULL | second)["diffusers"]) == FULL | second
    refiner = {path for path in FULL if not path.startswith(("text_encoder/", "tokenizer/"))}
    assert names(found(refiner | second)["diffusers"]) == refiner | second


@pytest.mark.parametrize(
    "path",
    [
        "../unet/x.json",
        "unet/../../x.json",
        "/unet/x.json",
        "unet/.x.json",
        "unet/x/y.json",
        "unet\\x.json",
        "unet/x.py",
        "unet/x.bin",
        "safety_checker/x.json",
        "x.json",
    ],
)
def test_other_paths_are_not_fetched(path: str) -> None:
    assert names(found(FULL | {path})["diffusers"]) == FULL


@pytest.mark.parametrize(
    ("repository", "name"), [("me/con", "_con"), ("me/..", "model"), ("me/v1.5.", "v1.5")]
)
def test_folder_has_a_safe_name(repository: str, name: str) -> None:
    assert found(FULL, repository)["diffusers"].saved_as == name
