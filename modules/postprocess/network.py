"""An upscaler's network: what spandrel makes of a file's weights, and pictures through it.

spandrel tells the architecture by the names and shapes of the tensors, and reads the same files
as A1111, chaiNNer and ComfyUI do (https://github.com/chaiNNer-org/spandrel).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modules.core.errors import ModelError
from modules.postprocess.tiling import OnTile, run_tiled

log = logging.getLogger(__name__)

CHANNELS: Final = (1, 3, 4)
"""What networks may read: brightness, RGB, or RGB with transparency."""
_MISFIT: Final = (
    *(RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError),
    *(AssertionError, ArithmeticError),
)
"""What spandrel's forty architectures raise for tensors that do not fit together."""


class Network:
    """One loaded network."""

    def __init__(self, path: Path, descriptor: Any) -> None:
        """descriptor: spandrel's ImageModelDescriptor."""
        self._path = path
        self._descriptor = descriptor
        self.scale: int = descriptor.scale

    def to(self, device: torch.device) -> None:
        """Move it, in the format in which that device is fast: float16 on CUDA where it can."""
        is_short = device.type == "cuda" and self._descriptor.supports_half
        self._descriptor.to(device, torch.float16 if is_short else torch.float32)

    def upscale(
        self, image: Image.Image, *, tile: int, overlap: int, on_tile: OnTile
    ) -> Image.Image:
        """The picture `scale` times larger, in its own mode: L, LA, RGB or RGBA.

        tile, overlap: pixels; a tile of 0 is the whole picture. Transparency is enlarged by
        Lanczos where the network cannot. Raises ModelError where it makes no picture, and what
        `on_tile` raises.
        """
        from spandrel import ModelTiling

        if self._descriptor.tiling is ModelTiling.INTERNAL:
            tile = 0
        channels = self._descriptor.input_channels
        has_alpha = image.mode in ("LA", "RGBA")
        source = image.convert("RGBA" if channels == 4 else "RGB")
        made = run_tiled(
            self._run, to_tensor(source), self.scale, tile=tile, overlap=overlap, on_tile=on_tile
        )
        larger = to_image(made)
        if has_alpha and larger.mode != "RGBA":
            alpha = image.getchannel("A").resize(larger.size, Image.Resampling.LANCZOS)
            larger.putalpha(alpha)
        return larger.convert(image.mode) if larger.mode != image.mode else larger

    def _run(self, tile: Tensor) -> Tensor:
        """One tile (C, h, w); networks of one channel see each colour by itself."""
        model = self._descriptor
        colours = tile.unsqueeze(1) if model.input_channels == 1 else tile.unsqueeze(0)
        try:
            made = self._called(colours)
            if not bool(torch.isfinite(made).all()) and model.dtype is torch.float16:
                log.warning("%s goes on in float32: float16 is not enough", self._path.name)
                model.to(model.device, torch.float32)
                made = self._called(colours)
        except torch.OutOfMemoryError:
            reason = "there is too little memory for it; make the setting ESRGAN_tile smaller."
            raise ModelError(self._path, reason) from None
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            raise ModelError(self._path, f"cannot enlarge this picture ({error}).") from error
        if not bool(torch.isfinite(made).all()):
            raise ModelError(self._path, "makes no picture: its weights are damaged.")
        made = made.clamp(0, 1)
        made = made[:, 0] if model.input_channels == 1 else made[0]
        wanted = (tile.shape[1] * self.scale, tile.shape[2] * self.scale)
        if tuple(made.shape[1:]) != wanted:
            sizes = f"{made.shape[2]}x{made.shape[1]}, not {wanted[1]}x{wanted[0]}"
            raise ModelError(self._path, f"makes pictures of another size than it says: {sizes}.")
        return made

    def _called(self, colours: Tensor) -> Tensor:
        """The batch through the network, one by one, as spandrel wants it; float32 on the CPU."""
        model = self._descriptor
        placed = colours.to(model.device, model.dtype)
        made = [model(one.unsqueeze(0)).float().cpu() for one in placed]
        return torch.cat(made)


def load_network(path: Path, weights: Mapping[str, Any]) -> Network:
    """The network of these weights, on the CPU. `path` is what errors name.

    Raises ModelError for weights of nothing that enlarges or restores pictures, and for damage.
    """
    from spandrel import MAIN_REGISTRY, ImageModelDescriptor, UnsupportedModelError

    try:
        descriptor = MAIN_REGISTRY.load(dict(weights))
    except UnsupportedModelError as error:
        raise ModelError(path, "is no upscaler of a kind that Easel knows.") from error
    except _MISFIT as error:
        reason = str(error).partition("\n")[0]
        raise ModelError(path, f"is damaged, or no upscaler ({reason}).") from error
    if not isinstance(descriptor, ImageModelDescriptor) or descriptor.purpose == "FaceSR":
        raise ModelError(path, f"is no upscaler: it is for {descriptor.purpose.lower()}.")
    channels = descriptor.input_channels
    if channels not in CHANNELS or descriptor.output_channels != channels:
        sizes = f"{channels} channels become {descriptor.output_channels}"
        raise ModelError(path, f"does not turn pictures into pictures: {sizes}.")
    descriptor.eval()
    for weight in descriptor.model.parameters():
        weight.requires_grad_(False)
    return Network(path, descriptor)


def to_tensor(image: Image.Image) -> Tensor:
    """(C, H, W) float32 in [0, 1] of an RGB or RGBA picture."""
    levels = torch.from_numpy(np.array(image, dtype=np.uint8))
    return levels.permute(2, 0, 1).float() / 255.0


def to_image(levels: Tensor) -> Image.Image:
    """An RGB or RGBA picture of (C, H, W) uint8."""
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()))
