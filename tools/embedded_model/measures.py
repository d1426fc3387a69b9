"""What can be read off a picture: concepts, ground colour, tint. Must not know how it was drawn."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from tools.embedded_model.classifier import Classifier, ranks
from tools.embedded_model.concepts import COLOURS, TINTS

BORDER_PX = 4
FIRST = 5
# A pixel this far from the ground, summed over its three channels, belongs to the drawing.
DRAWING_DISTANCE = 60
# Mean chroma (0 to 255) under which a drawing counts as grey.
GREY_CHROMA = 18.0


@dataclass(frozen=True, slots=True)
class Recognition:
    """Prompts and the shares whose concept comes first, and among the first five."""

    prompts: int
    first: float
    first_five: float

    def rounded(self) -> dict[str, float]:
        """For the report."""
        return {name.replace("_", " "): round(v, 3) for name, v in asdict(self).items()}


def recognition(places: np.ndarray) -> Recognition:
    """Ranks (B,), 0 for first, of the wanted concepts → their shares."""
    return Recognition(len(places), float((places == 0).mean()), float((places < FIRST).mean()))


def crops(pictures: np.ndarray) -> list[np.ndarray]:
    """(B, H, W, 3) → squares of the shorter side: both ends and the middle, or the whole."""
    height, width = pictures.shape[1:3]
    side = min(height, width)
    spare_y, spare_x = height - side, width - side
    if spare_x == spare_y == 0:
        return [pictures]
    corners = [(spare_y * k // 2, spare_x * k // 2) for k in range(3)]
    return [pictures[:, y : y + side, x : x + side] for y, x in corners]


def windows(pictures: np.ndarray) -> list[np.ndarray]:
    """(B, H, W, 3) → nine overlapping windows (B, H/2, W/2, 3), corners to middle."""
    height, width = pictures.shape[1] // 2, pictures.shape[2] // 2
    corners = [(height * y // 2, width * x // 2) for y in range(3) for x in range(3)]
    return [np.ascontiguousarray(pictures[:, y : y + height, x : x + width]) for y, x in corners]


def best_ranks(judge: Classifier, pictures: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Best rank (B,) of the wanted concepts over the crops of pictures of any shape."""
    found = [ranks(judge, np.ascontiguousarray(part), wanted) for part in crops(pictures)]
    return np.asarray(np.min(found, axis=0))


def halves(pictures: np.ndarray, *, is_row: bool) -> tuple[np.ndarray, np.ndarray]:
    """Left and right, or upper and lower half as white-free squares around their middle.

    Half of a square is oblong: its ends beyond the square hold only ground and are cut off.
    """
    if not is_row:
        turned = halves(pictures.swapaxes(1, 2), is_row=True)
        return turned[0].swapaxes(1, 2), turned[1].swapaxes(1, 2)
    height, width = pictures.shape[1:3]
    side = min(height, width // 2)
    top = (height - side) // 2
    band = np.ascontiguousarray(pictures[:, top : top + side])
    left = (width // 2 - side) // 2
    right = width // 2 + left
    return band[:, :, left : left + side], band[:, :, right : right + side]


def pair_ranks(
    judge: Classifier, pictures: np.ndarray, pairs: Sequence[tuple[int, int]], *, is_row: bool
) -> np.ndarray:
    """Ranks (B, 2, 2): of each picture's two concepts (last axis) in its two halves."""
    parts = [np.ascontiguousarray(part) for part in halves(pictures, is_row=is_row)]
    return np.stack(
        [
            np.stack([ranks(judge, part, [pair[k] for pair in pairs]) for k in (0, 1)], -1)
            for part in parts
        ],
        axis=1,
    )


def both_shown(places: np.ndarray, *, in_order: bool) -> np.ndarray:
    """(B, 2, 2) of `pair_ranks` → (B,) bool: both among the first five of different halves."""
    seen = places < FIRST
    straight = seen[:, 0, 0] & seen[:, 1, 1]
    return straight if in_order else straight | (seen[:, 0, 1] & seen[:, 1, 0])


def ground_colours(pictures: np.ndarray) -> list[str]:
    """The named colour, or "white", nearest to the median of each picture's border."""
    palette = COLOURS | {"white": (255, 255, 255)}
    names = list(palette)
    known = np.array([palette[name] for name in names], np.float32)
    distance = np.abs(known - _grounds(pictures)[:, None]).sum(-1)
    return [names[int(index)] for index in distance.argmin(1)]


def background_share(pictures: np.ndarray, wanted: Sequence[str]) -> float:
    """Share of pictures (B, H, W, 3) whose border is nearest to the wanted colour."""
    found = ground_colours(pictures)
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(found)


def tints(pictures: np.ndarray) -> list[str]:
    """The tint nearest in hue to each drawing's mean colour; "grey" where there is hardly any."""
    names = [tint for tint in TINTS if tint != "grey"]
    known = _chroma(np.array([COLOURS[name] for name in names], np.float32))
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    found = []
    for picture, ground in zip(pictures.astype(np.float32), _grounds(pictures), strict=True):
        is_drawing = np.abs(picture - ground).sum(-1) > DRAWING_DISTANCE
        drawing = picture[is_drawing] if is_drawing.any() else picture.reshape(-1, 3)
        chroma = _chroma(drawing.mean(0, keepdims=True))[0]
        is_grey = np.linalg.norm(chroma) < GREY_CHROMA
        found.append("grey" if is_grey else names[int((known @ chroma).argmax())])
    return found


def tint_share(pictures: np.ndarray, wanted: Sequence[str]) -> float:
    """Share of pictures whose drawing has the wanted tint."""
    found = tints(pictures)
    return sum(a == b for a, b in zip(found, wanted, strict=True)) / len(found)


def saturation(pictures: np.ndarray) -> float:
    """Mean over pixels of the largest minus the smallest channel, 0 to 1."""
    return float((pictures.max(-1).astype(np.float32) - pictures.min(-1)).mean() / 255)


def _grounds(pictures: np.ndarray) -> np.ndarray:
    """Median colour (B, 3) float32 of the upper and lower border."""
    edges = np.concatenate([pictures[:, :BORDER_PX], pictures[:, -BORDER_PX:]], axis=1)
    return np.median(edges.reshape(len(pictures), -1, 3), axis=1).astype(np.float32)


def _chroma(colours: np.ndarray) -> np.ndarray:
    """(N, 3) → the part that is not grey."""
    return np.asarray(colours - colours.mean(-1, keepdims=True))
