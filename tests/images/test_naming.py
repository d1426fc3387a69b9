"""Name patterns, and names that no file system and no attacker can use badly."""

from datetime import UTC, datetime
from pathlib import PurePath, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from modules.images.naming import (
    STEM_LIMIT_BYTES,
    NameFields,
    expand_pattern,
    file_stem,
    folder_path,
    safe_component,
)

IMAGE = Image.new("RGB", (64, 48))
FIELDS = NameFields(
    moment=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    prompt="a red fox, (running:1.2) <lora:x>",
    prompt_no_styles="a red fox",
    negative_prompt="blurry",
    seed=42,
    seed_first=40,
    seed_last=47,
    steps=20,
    cfg_scale=7.0,
    styles=("Anime", "Dark"),
    sampler_name="DPM++ 2M",
    scheduler="Karras",
    model_hash="d030ad8db7",
    model_name="dir/tiny model",
    vae_filename="vae.safetensors",
    job_timestamp="20260304050607",
    batch_number=2,
    batch_size=4,
    generation_number=6,
    image_count=8,
    clip_skip=2,
    denoising_strength=0.75,
    user="ann",
    basename="photo",
)

TOKENS = {
    "[seed]": "42",
    "[seed_first]": "40",
    "[seed_last]": "47",
    "[steps]": "20",
    "[cfg]": "7.0",
    "[width]x[height]": "64x48",
    "[styles]": "Anime, Dark",
    "[sampler]": "DPM++ 2M",
    "[sampler_scheduler]": "DPM++ 2M_Karras",
    "[scheduler]": "Karras",
    "[model_hash]": "d030ad8db7",
    "[model_name]": "dir_tiny model",
    "[date]": "2026-03-04",
    "[datetime]": "20260304050607",
    "[datetime<%H:%M>]": "05_06",
    "[datetime<%Y %H><Asia/Tokyo>]": "2026 14",
    "[datetime<%H><Nowhere/Land>]": "05",
    "[datetime<><Asia/Tokyo>]": "20260304140607",
    "[job_timestamp]": "20260304050607",
    "[prompt_hash]": "3642f258",
    "[prompt_hash<4>]": "3642",
    "[negative_prompt_hash]": "a51b6dba",
    "[full_prompt_hash]": "8fa372e8",
    "[prompt]": "a_red_fox,_(running_1.2)__lora_x_",
    "[prompt_no_styles]": "a red fox",
    "[prompt_spaces]": "a red fox, (running_1.2) _lora_x_",
    "[prompt_words]": "a red fox running 1 2 lora x",
    "[batch_number]": "2",
    "[batch_size]": "4",
    "[generation_number]": "6",
    "[hasprompt<fox|cat><dog|wolf>]": "foxwolf",
    "[hasprompt<dog>]": "",
    "[clip_skip]": "2",
    "[denoising]": "0.75",
    "[user]": "ann",
    "[vae_filename]": "vae",
    "[none]": "",
    "[basename]": "photo",
    "[SEED]": "42",
    "[unknown]-[seed]": "[unknown]-42",
    "[seed": "[seed",
    "plain": "plain",
}


@pytest.mark.parametrize(("pattern", "expected"), TOKENS.items())
def test_token_gives_its_text(pattern: str, expected: str) -> None:
    assert expand_pattern(pattern, FIELDS, IMAGE) == expected


def test_image_hash_depends_on_the_pixels() -> None:
    other = Image.new("RGB", (64, 48), "red")
    assert expand_pattern("[image_hash]", FIELDS, IMAGE) != expand_pattern(
        "[image_hash]", FIELDS, other
    )


def test_unknown_values_are_empty() -> None:
    empty = NameFields(moment=FIELDS.moment)
    pattern = "[seed][steps][cfg][model_name][user][vae_filename][styles][clip_skip][denoising]"
    assert expand_pattern(pattern, empty, IMAGE) == ""


def test_batch_number_of_a_lone_picture_takes_the_text_before_it_along() -> None:
    lone = NameFields(moment=FIELDS.moment, seed=5)
    pattern = "[seed]-batch [batch_number]-of [generation_number]-end"
    assert expand_pattern(pattern, lone, IMAGE) == "5-end"


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("[date]", "2026-03-04"),
        ("[date]/[model_name]", "2026-03-04/dir_tiny model"),
        ("[date]\\x", "2026-03-04/x"),
        ("../../etc", "etc"),
        ("/etc/passwd", "etc/passwd"),
        ("C:\\Windows", "C_/Windows"),
        ("a/./../b", "a/b"),
        ("...", "."),
        ("", "."),
        ("nul/con", "_nul/_con"),
    ],
)
def test_folder_pattern_stays_below_its_folder(pattern: str, expected: str) -> None:
    assert folder_path(pattern, FIELDS, IMAGE) == PurePath(PurePosixPath(expected))


@pytest.mark.parametrize(
    "text",
    [
        "..",
        "../../x",
        "/abs",
        "a\x00b",
        "a\nb",
        "\u202egpj.exe",
        "con",
        "LPT1.png",
        "x" * 999,
        "猫" * 999,
        "🐈" * 300,
        " lead",
        "trail. ",
        ".hidden",
        "\ud800",
        "",
    ],
)
def test_component_is_safe(text: str) -> None:
    name = safe_component(text)
    assert not set(name) & set('<>:"/\\|?*\n\r\t\x00\u202e')
    assert name == name.strip(" ")
    assert not name.startswith(".") and not name.endswith(".")
    assert len(name.encode("utf-8")) <= STEM_LIMIT_BYTES + 1
    assert name.partition(".")[0].lower() not in {"con", "lpt1"}


@given(st.text(max_size=300), st.text(max_size=60))
def test_no_prompt_leaves_the_folder(prompt: str, pattern: str) -> None:
    fields = NameFields(moment=FIELDS.moment, prompt=prompt)
    stem = file_stem(f"[prompt]{pattern}[prompt_words]", fields, IMAGE)
    assert "/" not in stem and "\\" not in stem and stem not in (".", "..")
    for part in folder_path(f"[prompt]/{pattern}", fields, IMAGE).parts:
        assert part not in ("..", "/") and ":" not in part
