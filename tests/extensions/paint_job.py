"""A job for img2img scripts that paints in plain colours and remembers what it was asked for."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image

from modules.core.settings import SettingsView, known_settings
from modules.model_manager.lending import lend_cpu
from modules.postprocess import NoFiles, Upscalers
from modules.processing.p import StableDiffusionProcessingImg2Img, make_p
from modules.processing.prepare import check_img2img
from modules.processing.processed import Processed


def colour(call: int) -> tuple[int, int, int]:
    """What call number `call`, counted from 0, paints with."""
    return (10 * (call + 1), 200, 30)


@dataclass
class Call:
    """What one call of `process` was asked for."""

    images: list[Image.Image]
    mask: Image.Image | None
    latent_mask: Image.Image | None
    seed: int
    size: tuple[int, int]
    values: dict[str, Any]
    extra: dict[str, Any]
    encode_seeds: list[int] | None
    start_noise: Any


@dataclass
class PaintJob:
    """The ScriptJob of a test. Paints what the mask marks, or everything."""

    stop_after: int | None = None
    """Calls that are made before the user stops."""
    skip: tuple[int, ...] = ()
    """Calls that give no picture."""
    models: Any = field(default_factory=lambda: SimpleNamespace(upscalers=_upscalers()))
    styles: Any = None
    settings: SettingsView = field(default_factory=lambda: SettingsView(known_settings(), {}))
    calls: list[Call] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    saved: list[tuple[tuple[int, int], str, int]] = field(default_factory=list)
    """(size, infotext, seed that the name is made of)."""
    grids: list[tuple[int, int]] = field(default_factory=list)

    @property
    def is_stopped(self) -> bool:
        return self.stop_after is not None and len(self.calls) >= self.stop_after

    @property
    def shows_grids(self) -> bool:
        return bool(self.settings["return_grid"])

    def expect(self, passes: int) -> None:
        self.passes.append(passes)

    def process(self, p: Any) -> Processed:
        params, sources = p.freeze(), p.sources()
        p.all_prompts = [p.prompt] * params.batch_size
        p.all_negative_prompts = [p.negative_prompt] * params.batch_size
        p.fill_seeds(params.batch_size)
        number, size = len(self.calls), (params.width, params.height)
        self.calls.append(
            Call(
                list(sources.images), sources.mask, sources.latent_mask, p.all_seeds[0], size,
                params.model_dump(), dict(p.extra_generation_params), p.encode_seeds,
                p.start_noise,
            )
        )  # fmt: skip
        if number in self.skip:
            return Processed(p, [])
        images = list(sources.images)
        images = images if len(images) > 1 else images * params.batch_size
        made = [self._painted(image, sources.mask, size, number) for image in images]
        texts = [f"call {number} seed {seed}" for seed in p.all_seeds]
        return Processed(p, made, infotexts=texts, info=texts[0])

    def _painted(
        self, image: Image.Image, mask: Image.Image | None, size: tuple[int, int], number: int
    ) -> Image.Image:
        whole = Image.new("L", size, 255)
        plain = Image.new("RGB", size, colour(number))
        image = image.convert("RGB").resize(size)
        return Image.composite(plain, image, mask.resize(size) if mask else whole)

    def save_image(
        self, p: Any, image: Image.Image, infotext: str, *, index: int = 0
    ) -> Path | None:
        self.saved.append((image.size, infotext, p.all_seeds[index]))
        return Path(f"{len(self.saved)}.png")

    def save_grid(self, p: Any, grid: Image.Image, infotext: str) -> Path | None:
        self.grids.append(grid.size)
        return Path("grid.png")

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def _upscalers() -> Upscalers:
    """Those without files."""
    return Upscalers(NoFiles(), lend_cpu)


def as_text(image: Image.Image) -> str:
    """The picture in base64, as requests have it."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def make_img2img(job: PaintJob, picture: Image.Image, **values: Any) -> Any:
    """`p` of an img2img job that starts from `picture`."""
    small = {"prompt": "a fox", "steps": 8, "width": 64, "height": 64, "seed": 7}
    params = check_img2img(small | {"init_images": [as_text(picture)]} | values)
    p = make_p(params, job.settings)
    assert isinstance(p, StableDiffusionProcessingImg2Img)
    p.job = job
    return p
