from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from open_clip import get_pretrained_cfg

from modules.core.errors import ModelError, NotFound
from modules.interrogate.clip_files import CONFIG, WEIGHTS, clip_names, find_clip

SHIPPED = Path(__file__).parents[2] / "models/CLIP"


def model(folder: Path, name: str, text: dict[str, Any] | None = None) -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / WEIGHTS).write_bytes(b"weights")
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": text or {}}}
    (place / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return place


def test_shipped_clip_is_found_without_a_name() -> None:
    found = find_clip([SHIPPED], "")
    assert found.name == "easel-clip"
    assert found.weights == SHIPPED / "easel-clip" / WEIGHTS
    assert found.config == SHIPPED / "easel-clip" / CONFIG


def test_folders_and_single_files_are_listed(tmp_path: Path) -> None:
    model(tmp_path, "mine")
    (tmp_path / "ViT-B-32.safetensors").write_bytes(b"weights")
    (tmp_path / "empty").mkdir()
    (tmp_path / "old.pt").write_bytes(b"a pickle")
    assert clip_names([tmp_path]) == ["ViT-B-32", "mine"]
    assert find_clip([tmp_path], "mine").name == "mine"


def test_users_models_go_before_the_shipped_one(tmp_path: Path) -> None:
    assert clip_names([tmp_path / "nowhere", SHIPPED]) == ["easel-clip"]
    model(tmp_path, "mine")
    model(tmp_path, "easel-clip")
    assert find_clip([tmp_path, SHIPPED], "").weights.is_relative_to(tmp_path)
    assert find_clip([tmp_path, SHIPPED], "easel-clip").weights.is_relative_to(tmp_path)
    assert find_clip([SHIPPED, tmp_path], "mine").weights.is_relative_to(tmp_path)


def test_file_named_like_an_architecture_of_open_clip_needs_no_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / "ViT-B-32-quickgelu.safetensors").write_bytes(b"weights")
    found = find_clip([tmp_path], "")
    assert (found.config, found.architecture) == (None, "ViT-B-32-quickgelu")


def test_file_of_another_name_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "holiday.safetensors").write_bytes(b"weights")
    with pytest.raises(ModelError, match=r"holiday.*no open_clip_config.json"):
        find_clip([tmp_path], "holiday")


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_no_model_at_all_says_where_to_put_one(tmp_path: Path, place: str) -> None:
    with pytest.raises(ModelError, match=r"no CLIP model. Put a folder with open_clip_config"):
        find_clip([tmp_path / place], "")


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        NotFound, match="Unknown CLIP model 'easel-clap'; did you mean 'easel-clip'"
    ):
        find_clip([SHIPPED], "easel-clap")
    with pytest.raises(NotFound, match="no-such/tag"):
        find_clip([SHIPPED], "no-such/tag")


def test_known_name_without_weights_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="fetches none by itself. Put open_clip_model.safetens"):
        find_clip([tmp_path], "ViT-L-14/openai", hub_cache=tmp_path / "hub")


def test_known_name_is_taken_from_the_hubs_cache(tmp_path: Path) -> None:
    hub = tmp_path / "hub"
    repository = get_pretrained_cfg("ViT-L-14", "openai")["hf_hub"].strip("/")
    place = hub / f"models--{repository.replace('/', '--')}"
    weights = place / "snapshots" / "abc" / WEIGHTS
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc", encoding="utf-8")
    found = find_clip([tmp_path], "ViT-L-14/openai", hub_cache=hub)
    assert (found.architecture, found.weights, found.config) == ("ViT-L-14", weights, None)
    assert found.quick_gelu


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"hf_model_name": "roberta-base"}, "'roberta-base' would have to be fetched"),
        ({"hf_tokenizer_name": "t5-base"}, "tokenizer is not beside it"),
    ],
)
def test_model_that_would_have_to_fetch_a_part_is_refused(
    tmp_path: Path, text: dict[str, Any], message: str
) -> None:
    model(tmp_path, "mine", text)
    with pytest.raises(ModelError, match=message):
        find_clip([tmp_path], "mine")


@pytest.mark.parametrize("config", ["", "[]", "{}", '{"model_cfg": {"text_cfg": 3}}', "\x00"])
def test_broken_configuration_is_a_clear_error(tmp_path: Path, config: str) -> None:
    (model(tmp_path, "mine") / CONFIG).write_text(config, encoding="utf-8")
    with pytest.raises(ModelError, match="does not describe a CLIP model"):
        find_clip([tmp_path], "mine")


def test_key_changes_with_the_file(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "easel-clip", tmp_path / "a")
    before = find_clip([tmp_path], "a").key
    (tmp_path / "a" / WEIGHTS).write_bytes(b"others")
    assert find_clip([tmp_path], "a").key != before
