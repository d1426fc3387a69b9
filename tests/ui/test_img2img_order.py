from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from modules.core.errors import BadInput, UnsupportedImage
from modules.params.soft_inpaint import read_soft_inpaint
from modules.ui import img2img_order as order
from modules.ui.img2img_order import make_order

PAINTED = (4, 8, 11, 15)
Save = Callable[[Image.Image], dict[str, Any]]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Saves a picture as gradio describes uploaded files."""

    def save_it(image: Image.Image) -> dict[str, Any]:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.png"
        image.save(path)
        return {"path": str(path), "url": f"/file={path}", "orig_name": "x.png"}

    return save_it


@pytest.fixture
def picture(save: Save) -> dict[str, Any]:
    return save(Image.new("RGB", (40, 24), (10, 20, 30)))


@pytest.fixture
def editor(save: Save, picture: dict[str, Any]) -> dict[str, Any]:
    """A picture with a red, half transparent mark."""
    layer = Image.new("RGBA", (40, 24))
    ImageDraw.Draw(layer).rectangle(PAINTED, fill=(255, 0, 0, 128))
    return {"background": picture, "layers": [save(layer)], "composite": None}


def decoded(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


def start(read: Any, pictures: list[Any], **values: Any) -> tuple[Any, Image.Image, Any]:
    """Parameters, picture and mask of the job."""
    made = make_order(read, values, pictures)
    params = made.params
    mask = decoded(params.mask) if params.mask else None
    return params, decoded(params.init_images[0]), mask


def test_picture_alone_takes_the_forms_size(picture: dict[str, Any]) -> None:
    params, image, mask = start(order.plain, [picture], width=64, height=96, prompt="a fox")
    assert (params.width, params.height, params.prompt) == (64, 96, "a fox")
    assert (image.size, image.getpixel((3, 3)), mask) == ((40, 24), (10, 20, 30), None)


@pytest.mark.parametrize(("scale", "size"), [(2, (80, 48)), (1.3, (48, 24)), (0.5, (16, 8))])
def test_size_by_factor_is_whole_latents(
    picture: dict[str, Any], scale: float, size: tuple[int, int]
) -> None:
    params, _, _ = start(order.plain, [picture], resize_by=1, scale=scale)
    assert (params.width, params.height) == size


def test_factor_that_leaves_nothing_is_refused(picture: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="scale"):
        start(order.plain, [picture], resize_by=1, scale=0.05)


@pytest.mark.parametrize("read", [order.plain, order.sketch, order.inpaint, order.outpaint])
@pytest.mark.parametrize("value", [None, {"background": None, "layers": [], "composite": None}])
def test_empty_field_is_refused_by_name(read: Any, value: Any) -> None:
    with pytest.raises(BadInput, match="init_images: 'nothing'.*a picture is needed"):
        make_order(read, {}, [value, value])


def test_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(UnsupportedImage, match="init_images"):
        make_order(order.plain, {}, [{"path": str(tmp_path / "x.png")}])


def test_upload_that_was_cleaned_up_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="load it again"):
        make_order(order.plain, {}, [{"path": str(tmp_path / "gone.png")}])


def test_sketch_starts_from_the_colours(editor: dict[str, Any]) -> None:
    _, image, mask = start(order.sketch, [editor])
    assert mask is None
    red, green, blue, alpha = image.getpixel((5, 10))
    assert (red > 120, green < 20, blue < 20, alpha) == (True, True, True, 255)


def test_inpaint_marks_what_was_painted_and_leaves_the_picture(editor: dict[str, Any]) -> None:
    params, image, mask = start(order.inpaint, [editor])
    assert mask.getbbox() == (4, 8, 12, 16)
    assert image.getextrema() == ((10, 10), (20, 20), (30, 30))
    assert (params.inpaint_full_res, params.inpainting_fill) == (True, 0)


def test_blank_mask_is_refused(picture: dict[str, Any]) -> None:
    value = {"background": picture, "layers": [], "composite": None}
    for read in (order.inpaint, order.inpaint_sketch):
        with pytest.raises(BadInput, match="mask: 'nothing'"):
            make_order(read, {}, [value])


def test_inpaint_sketch_takes_colours_and_a_weaker_mask(editor: dict[str, Any]) -> None:
    _, image, mask = start(order.inpaint_sketch, [editor], mask_alpha=40, mask_blur=0)
    assert image.getpixel((5, 10))[0] > 120
    assert image.getpixel((30, 4)) == (10, 20, 30)
    assert mask.getextrema() == (0, 153)


def test_uploaded_mask_goes_through(picture: dict[str, Any], save: Save) -> None:
    made = Image.new("L", (10, 10), 7)
    _, _, mask = start(order.inpaint_upload, [picture, save(made)])
    assert (mask.size, mask.getpixel((0, 0))) == ((10, 10), 7)
    with pytest.raises(BadInput, match="mask: 'nothing'"):
        make_order(order.inpaint_upload, {}, [picture, None])


def test_outpaint_grows_by_whole_latents_where_asked(save: Save) -> None:
    picture = save(Image.new("RGB", (37, 24), "blue"))
    values = {"outpaint_left": 16, "outpaint_right": 0, "outpaint_up": 8, "inpaint_full_res": False}
    params, image, mask = start(order.outpaint, [picture], **values)
    assert image.size == mask.size == (params.width, params.height) == (56, 32)
    assert image.crop((19, 8, 56, 32)).getextrema() == ((0, 0), (0, 0), (255, 255))
    assert mask.crop((27, 16, 56, 32)).getextrema() == (0, 0)
    assert mask.crop((0, 0, 19, 32)).getextrema() == (255, 255)


def test_outpaint_of_only_the_new_part_keeps_the_forms_size(picture: dict[str, Any]) -> None:
    params, image, _ = start(order.outpaint, [picture], inpaint_full_res=True, width=64, height=64)
    assert (params.width, params.height, image.width) == (64, 64, 40 + 256)


def test_outpaint_to_no_side_is_refused(picture: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="at least one side"):
        make_order(order.outpaint, {"outpaint_left": 0, "outpaint_right": 0}, [picture])


def test_soft_inpainting_travels_as_an_always_on_script(editor: dict[str, Any]) -> None:
    values = {"enabled": True, "mask_blend_power": 2, "composite_difference_contrast": 3}
    soft = read_soft_inpaint(
        make_order(order.inpaint, values, [editor]).envelope["alwayson_scripts"]
    )
    assert soft is not None
    assert (soft.mask_blend_power, soft.composite_difference_contrast) == (2, 3)
    off = make_order(order.inpaint, {"enabled": False}, [editor]).envelope["alwayson_scripts"]
    without_mask = make_order(order.sketch, values, [editor]).envelope["alwayson_scripts"]
    assert off == without_mask == {}


def test_bad_number_is_refused_by_name(picture: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="denoising_strength"):
        make_order(order.plain, {"denoising_strength": 2}, [picture])
