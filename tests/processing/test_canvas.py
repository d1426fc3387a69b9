"""Canvases: what is painted, what is kept, where it goes, and what the infotext says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.core.settings import Settings, SettingsView
from modules.images.masks import Box
from modules.params import Img2ImgParams
from modules.processing.canvas import Canvas, canvas_pairs, make_canvases
from modules.processing.pictures import Sources

PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8))


def settings(**values: Any) -> SettingsView:
    return Settings(None).view().with_overrides(values)


def marked(
    size: tuple[int, int] = (96, 64), box: tuple[int, ...] = (30, 20, 50, 40)
) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(255, box)
    return mask


def canvas(
    mask: Image.Image | None = None, picture: Image.Image = PICTURE, **values: Any
) -> Canvas:
    params = Img2ImgParams.model_validate({"width": 64, "height": 64, "mask_blur": 0} | values)
    return make_canvases(params, settings(), Sources((picture,), mask))[0]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_picture_without_mask_is_resized(mode: int) -> None:
    made = canvas(resize_mode=mode)
    assert made.picture.size == (64, 64)
    assert made.mask is made.overlay is made.place is None


def test_latent_upscale_leaves_the_picture_as_it_is() -> None:
    assert canvas(resize_mode=3).picture.tobytes() == PICTURE.tobytes()
    whole = canvas(marked(), resize_mode=3, inpaint_full_res=False)
    assert whole.picture.size == (96, 64)
    assert whole.overlay is not None
    assert whole.overlay.size == (64, 64)


def test_transparency_lies_on_the_background_of_the_setting() -> None:
    params = Img2ImgParams(width=64, height=64)
    clear = Sources((Image.new("RGBA", (8, 8)),))
    found = make_canvases(params, settings(img2img_background_color="#102030"), clear)
    assert found[0].picture.getpixel((3, 3)) == (16, 32, 48)


def test_whole_picture_keeps_what_is_not_marked() -> None:
    made = canvas(marked(), inpaint_full_res=False, inpainting_fill=1)
    assert made.place is None
    assert made.mask is not None
    assert made.mask.size == made.picture.size == (64, 64)
    assert made.overlay is not None
    assert made.overlay.getpixel((2, 2))[3] == 255
    assert made.overlay.getpixel((26, 30))[3] == 0


def test_only_masked_paints_a_box_of_the_right_shape() -> None:
    made = canvas(marked(), inpaint_full_res_padding=4, inpainting_fill=1)
    assert made.place == Box(26, 16, 54, 44)
    assert made.picture.size == (64, 64)
    assert made.overlay is not None
    assert made.overlay.size == PICTURE.size


def test_blank_mask_means_the_whole_picture() -> None:
    made = canvas(Image.new("L", (96, 64)))
    assert made.mask is made.place is None


def test_mask_of_another_size_is_brought_to_the_picture() -> None:
    made = canvas(marked((48, 32), (15, 10, 25, 20)), inpainting_fill=1)
    assert made.place is not None
    assert abs(made.place.left - 30) <= 2
    assert made.overlay is not None
    assert made.overlay.size == PICTURE.size


def test_inverted_mask_changes_everything_else() -> None:
    made = canvas(marked(), inpaint_full_res=False, inpainting_mask_invert=1)
    assert made.mask is not None
    assert made.mask.getpixel((0, 0)) == 255
    assert made.mask.getpixel((26, 30)) == 0


@pytest.mark.parametrize("fill", [0, 2, 3])
def test_marked_part_is_filled_before_it_is_encoded(fill: int) -> None:
    original = canvas(marked(), inpaint_full_res=False, inpainting_fill=1).picture
    filled = canvas(marked(), inpaint_full_res=False, inpainting_fill=fill).picture
    changed = (np.asarray(original) != np.asarray(filled)).any(-1)
    assert changed[25:35, 22:32].mean() > 0.9
    assert not changed[:10].any()


def test_own_latent_mask_is_used_in_the_latent_alone() -> None:
    params = Img2ImgParams(width=64, height=64, mask_blur=0, inpaint_full_res=False)
    sources = Sources((PICTURE,), marked(), Image.new("L", (10, 10), 255))
    made = make_canvases(params, settings(), sources)[0]
    assert made.latent_mask is not None
    assert made.latent_mask.getextrema() == (255, 255)
    assert made.mask is not None
    assert made.mask.getextrema() == (0, 255)


def test_colours_are_kept_only_for_colour_correction() -> None:
    params = Img2ImgParams(width=64, height=64)
    assert canvas().colours is None
    sources = Sources((PICTURE,))
    made = make_canvases(params, settings(img2img_color_correction=True), sources)
    assert made[0].colours is not None


@pytest.mark.parametrize(
    ("values", "pairs"),
    [
        ({"inpaint_full_res": False, "inpainting_fill": 1}, {"Mask blur": 4}),
        (
            {"inpaint_full_res": False, "inpainting_mask_invert": 1, "mask_blur_x": 2},
            {"Mask mode": "Inpaint not masked", "Masked content": "fill"},
        ),
        (
            {"inpaint_full_res_padding": 8, "mask_blur": 0, "inpainting_fill": 2},
            {
                "Inpaint area": "Only masked",
                "Masked area padding": 8,
                "Masked content": "latent noise",
            },
        ),
    ],
)
def test_infotext_names_what_differs_from_the_usual(
    values: dict[str, Any], pairs: dict[str, Any]
) -> None:
    params = Img2ImgParams.model_validate({"width": 64, "height": 64} | values)
    made = make_canvases(params, settings(), Sources((PICTURE,), marked()))
    assert canvas_pairs(params, made, has_mask=True) == pairs
    assert canvas_pairs(params, made, has_mask=False) == {}
