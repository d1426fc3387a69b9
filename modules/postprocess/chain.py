"""What the extras tab does to a picture, as data, and the words that say so. PIL only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from modules.core.errors import BadInput
from modules.images.decode import MAX_PIXELS
from modules.postprocess.upscalers import NONE

Upscale = Callable[[Image.Image, str, tuple[int, int]], Image.Image]
"""(picture, upscaler, size) → the picture at exactly that size."""
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Upscaling:
    """How a picture is made larger; sizes in pixels."""

    upscaler: str = NONE
    """None: the picture stays as it is."""
    factor: float = 2.0
    to: Size | None = None
    """Width and height that the result covers, in place of the factor."""
    crops: bool = True
    """With `to`: whether what sticks out is cut off."""
    max_side: int = 0
    """With the factor: the result's longer side at most; 0: no limit."""
    second: str = NONE
    second_visibility: float = 0.0
    """Share of the second upscaler's picture in the result, 0 to 1."""

    def scaled_size(self, size: Size) -> Size:
        """What a picture of this size is scaled to; whole pixels, rounded down, at least one.

        >>> Upscaling(factor=1.5).scaled_size((33, 10)), Upscaling(to=(100, 50)).scaled_size((8, 8))
        ((49, 15), (100, 100))
        """
        width, height = size
        if self.to is None:
            made = max(int(width * self.factor), 1), max(int(height * self.factor), 1)
            longer = max(made)
            if 0 < self.max_side < longer:
                made = (
                    max(made[0] * self.max_side // longer, 1),
                    max(made[1] * self.max_side // longer, 1),
                )
            return made
        to_x, to_y = self.to
        if to_x * height >= to_y * width:  # the target is wider than the picture
            return to_x, max(height * to_x // width, to_y)
        return max(width * to_y // height, to_x), to_y

    def made_size(self, size: Size) -> Size:
        """The size of the result for a picture of this size.

        >>> Upscaling("Lanczos", to=(100, 50)).made_size((8, 8)), Upscaling().made_size((8, 8))
        ((100, 50), (8, 8))
        """
        if self.upscaler == NONE:
            return size
        return self.to if self.to is not None and self.crops else self.scaled_size(size)

    def check(self, size: Size) -> None:
        """Raise BadInput where a picture of this size would become too large."""
        width, height = self.scaled_size(size)
        if self.upscaler != NONE and width * height > MAX_PIXELS:
            field = "upscaling_resize" if self.to is None else "upscaling_resize_w"
            limit = f"a result may have at most {MAX_PIXELS / 1e6:g} million pixels"
            raise BadInput(field, f"{width}x{height}", limit)

    def pairs(self) -> dict[str, str]:
        """Names and values for the infotext; A1111 1.10's names where it has them."""
        if self.upscaler == NONE:
            return {}
        said: dict[str, str] = {}
        if self.to is None:
            said["Postprocess upscale by"] = f"{self.factor:g}"
            if self.max_side:
                said["Postprocess max side length"] = str(self.max_side)
        else:
            said["Postprocess upscale to"] = f"{self.to[0]}x{self.to[1]}"
            if self.crops:
                said["Postprocess crop to"] = f"{self.to[0]}x{self.to[1]}"
        said["Postprocess upscaler"] = self.upscaler
        if self.uses_second:
            said["Postprocess upscaler 2"] = self.second
            said["Postprocess upscaler 2 visibility"] = f"{self.second_visibility:g}"
        return said

    @property
    def uses_second(self) -> bool:
        """Whether the second upscaler has a part in the result."""
        return self.second != NONE and self.second_visibility > 0


def upscale_picture(image: Image.Image, upscaling: Upscaling, upscale: Upscale) -> Image.Image:
    """The picture as `upscaling` says. Raises BadInput, and what `upscale` raises."""
    if upscaling.upscaler == NONE:
        return image
    upscaling.check(image.size)
    size = upscaling.scaled_size(image.size)
    made = upscale(image, upscaling.upscaler, size)
    if upscaling.uses_second:
        other = upscale(image, upscaling.second, size)
        if other.mode != made.mode:
            other = other.convert(made.mode)
        made = Image.blend(made, other, upscaling.second_visibility)
    if upscaling.to is not None and upscaling.crops:
        left, top = ((made.size[axis] - upscaling.to[axis]) // 2 for axis in (0, 1))
        made = made.crop((left, top, left + upscaling.to[0], top + upscaling.to[1]))
    return made
