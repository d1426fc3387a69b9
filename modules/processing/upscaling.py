"""Upscalers within a job: their tiles are told to its report, and the user may stop them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from PIL import Image

from modules.core.errors import Interrupted
from modules.core.settings import SettingsView
from modules.images.resize import Enlarge
from modules.postprocess import NONE, Upscalers
from modules.postprocess.upscalers import LANCZOS
from modules.processing.report import Report, Stop

if TYPE_CHECKING:  # carries torch
    from modules.processing.stage import Stage


def on_tiles(report: Report, begin: Callable[[int], None]) -> Callable[[int, int], None]:
    """What upscalers tell their tiles to; `begin` is called with the tiles of each pass.

    Raises Interrupted, in the upscaler, once the user asked to stop or to skip.
    """

    def on_tile(done: int, total: int) -> None:
        if report.stop in (Stop.NOW, Stop.SKIP):
            raise Interrupted("Stopped while a picture was made larger.")
        if done == 0:
            begin(total)
        report.step(done)

    return on_tile


def upscale_in_job(
    image: Image.Image,
    name: str,
    size: tuple[int, int],
    upscalers: Upscalers,
    report: Report,
    settings: Mapping[str, Any] | None = None,
) -> Image.Image:
    """The picture at `size`; one that is stopped becomes as large by Lanczos.

    settings: the job's; None: the user's. Raises NotFound, ModelError, BadInput as
    `Upscalers.upscale` does.
    """

    def begin(total: int) -> None:
        report.extend(1)
        report.begin_pass(f"Upscaling by {name}", total)

    try:
        return upscalers.upscale(image, name, size, on_tiles(report, begin), settings)
    except Interrupted:
        return upscalers.upscale(image, LANCZOS, size)


def enlarger(stage: Stage, settings: SettingsView) -> Enlarge | None:
    """What img2img makes smaller pictures larger with (setting upscaler_for_img2img)."""
    name = settings["upscaler_for_img2img"]
    if not name or name in (NONE, LANCZOS):  # Lanczos is what resizing does by itself
        return None

    def enlarge(image: Image.Image, factor: float) -> Image.Image:
        size = max(int(image.width * factor), 1), max(int(image.height * factor), 1)
        return upscale_in_job(image, name, size, stage.models.upscalers, stage.report, settings)

    return enlarge
