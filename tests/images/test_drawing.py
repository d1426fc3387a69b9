from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from modules.images.drawing import (
    Margins,
    blend_drawing,
    drawn_mask,
    extend_picture,
    is_blank,
    weaken_mask,
    with_drawing,
)

GREY = (90, 90, 90)


def layer(box: tuple[int, int, int, int], colour: tuple[int, int, int, int]) -> Image.Image:
    made = Image.new("RGBA", (16, 16))
    ImageDraw.Draw(made).rectangle(box, fill=colour)
    return made


@pytest.mark.parametrize("alpha", [1, 100, 178, 255])
def test_mask_is_where_the_brush_was_however_faint_it_is(alpha: int) -> None:
    mask = drawn_mask([layer((4, 4, 7, 7), (255, 0, 0, alpha))], (16, 16))
    assert mask.getbbox() == (4, 4, 8, 8)
    assert mask.getextrema() == (0, 255)


def test_masks_of_layers_are_joined_and_follow_the_pictures_size() -> None:
    layers = [layer((0, 0, 1, 1), (9, 9, 9, 255)), layer((14, 14, 15, 15), (9, 9, 9, 60))]
    mask = drawn_mask(layers, (32, 32))
    assert mask.size == (32, 32)
    assert (mask.getpixel((1, 1)), mask.getpixel((30, 30)), mask.getpixel((16, 16))) == (
        255,
        255,
        0,
    )


def test_nothing_drawn_is_blank() -> None:
    assert is_blank(drawn_mask([], (8, 8)))
    assert is_blank(drawn_mask([Image.new("RGBA", (8, 8))], (8, 8)))
    assert not is_blank(drawn_mask([layer((0, 0, 0, 0), (0, 0, 0, 255))], (16, 16)))


def test_drawing_lies_over_the_picture() -> None:
    drawn = with_drawing(Image.new("RGB", (16, 16), GREY), [layer((4, 4, 7, 7), (255, 0, 0, 255))])
    assert drawn.mode == "RGBA"
    assert drawn.getpixel((5, 5)) == (255, 0, 0, 255)
    assert drawn.getpixel((9, 9)) == (*GREY, 255)


def test_blend_changes_only_what_is_near_the_mask() -> None:
    image = Image.new("RGB", (64, 64), GREY)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (20, 20, 40, 40))
    hard = blend_drawing(image, Image.new("RGB", (64, 64), "red"), mask, 0)
    soft = blend_drawing(image, Image.new("RGB", (64, 64), "red"), mask, 4)
    assert (hard.getpixel((20, 30)), hard.getpixel((19, 30))) == ((255, 0, 0), GREY)
    assert soft.getpixel((30, 30))[0] > 250
    assert GREY[0] < soft.getpixel((19, 30))[0] < 255
    assert soft.getpixel((2, 2)) == GREY


def test_transparency_weakens_the_mask() -> None:
    mask = Image.new("L", (1, 1), 200)
    assert [weaken_mask(mask, value).getpixel((0, 0)) for value in (0, 25, 100)] == [200, 150, 0]


def test_extended_picture_keeps_the_old_one_and_continues_its_edges() -> None:
    old = Image.new("RGB", (16, 16), "blue")
    old.paste("red", (0, 0, 8, 16))
    image, mask = extend_picture(old, Margins(left=8, down=4), overlap=2)
    assert image.size == mask.size == (24, 20)
    assert image.crop((8, 0, 24, 16)).tobytes() == old.tobytes()
    near_left, below_right = image.getpixel((6, 8)), image.getpixel((22, 17))
    assert near_left[0] > 2 * near_left[2] > 0 or near_left == (255, 0, 0)  # red goes on
    assert below_right[2] > 2 * below_right[0]  # and blue does
    assert mask.crop((10, 0, 24, 14)).getextrema() == (0, 0)
    for place in ((0, 0), (9, 5), (12, 14), (23, 19)):
        assert mask.getpixel(place) == 255, place


def test_overlap_wider_than_the_picture_masks_all() -> None:
    _, mask = extend_picture(Image.new("RGB", (8, 8)), Margins(4, 4, 0, 0), overlap=4)
    assert mask.getextrema() == (255, 255)
