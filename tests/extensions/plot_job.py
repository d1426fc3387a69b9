"""A job for scripts that makes coloured squares and remembers what it was asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from modules.core.settings import SettingsView, known_settings
from modules.model_manager import ModelManager
from modules.params.img2img import Img2ImgParams
from modules.params.request import Params
from modules.params.styles import StyleDatabase
from modules.processing.p import Processing, make_p
from modules.processing.prepare import check_img2img, check_params
from modules.processing.processed import Processed

EXTENSION = Path(__file__).resolve().parents[2] / "extensions/easel-plots"
if str(EXTENSION) not in sys.path:  # as the host does
    sys.path.append(str(EXTENSION))

from easel_plots.axes import axes_of  # noqa: E402
from easel_plots.order import Arguments  # noqa: E402

Watch = Callable[[Processing], Any]


def colour(number: int) -> tuple[int, int, int]:
    """The colour of the picture that was made as number `number`, counted from 0."""
    return (40 + 20 * number % 200, 100, 200 - 10 * number % 200)


class SquaresJob:
    """The ScriptJob of a test. `watch` picks what is remembered of each call, in `seen`."""

    def __init__(
        self,
        models: ModelManager,
        styles: StyleDatabase | None = None,
        *,
        watch: Watch = lambda p: None,
        stop_after: int | None = None,
        skip: tuple[int, ...] = (),
        saves: bool = True,
        **settings: Any,
    ) -> None:
        self.settings = SettingsView(known_settings(), {}).with_overrides(settings)
        self.models, self.styles = models, styles
        self.seen: list[Any] = []
        self.passes: list[int] = []
        self.warnings: list[str] = []
        self.grids: list[tuple[tuple[int, int], str]] = []
        self._watch, self._stop_after, self._skip = watch, stop_after, skip
        self._saves = saves

    @property
    def is_stopped(self) -> bool:
        return self._stop_after is not None and len(self.seen) >= self._stop_after

    @property
    def shows_grids(self) -> bool:
        return self._saves and bool(self.settings["return_grid"])

    def expect(self, passes: int) -> None:
        self.passes.append(passes)

    def process(self, p: Processing) -> Processed:
        number = len(self.seen)
        self.seen.append(self._watch(p))
        params = p.freeze()
        self.settings.with_overrides(p.override_settings)
        count = params.n_iter * params.batch_size
        texts = [
            list(value) if isinstance(value, list) else [value] * count
            for value in (p.prompt, p.negative_prompt)
        ]
        count = min(count, *map(len, texts))
        p.all_prompts, p.all_negative_prompts = texts[0][:count], texts[1][:count]
        p.fill_seeds(count)
        if number in self._skip:
            return Processed(p, [])
        size = (params.width, params.height)
        images = [Image.new("RGB", size, colour(number + i)) for i in range(count)]
        infotexts = [
            f"{prompt}\nSteps: {params.steps}, Seed: {seed}, Size: {size[0]}x{size[1]}, Version: v1"
            for prompt, seed in zip(p.all_prompts, p.all_seeds, strict=True)
        ]
        return Processed(p, images, infotexts=infotexts, info=infotexts[0])

    def save_image(
        self, p: Processing, image: Image.Image, infotext: str, *, index: int = 0
    ) -> Path | None:
        return Path(f"{index}.png")

    def save_grid(self, p: Processing, grid: Image.Image, infotext: str) -> Path | None:
        assert p.all_prompts and p.all_seeds  # the grid's name is made of them
        self.grids.append((grid.size, infotext))
        return Path("grid.png")

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def txt2img(job: SquaresJob, **values: Any) -> Processing:
    """`p` of a small txt2img job."""
    small = {"prompt": "a red fox", "steps": 8, "width": 16, "height": 16, "seed": 7}
    return _p(job, check_params(small | values))


def img2img(job: SquaresJob, picture: str, **values: Any) -> Processing:
    """`p` of a small img2img job; picture: base64."""
    small = {"prompt": "a red fox", "steps": 8, "width": 16, "height": 16, "seed": 7}
    return _p(job, check_img2img(small | {"init_images": [picture]} | values))


def _p(job: SquaresJob, params: Params | Img2ImgParams) -> Processing:
    p = make_p(params, job.settings)
    p.job = job
    return p


def axis(label: str, tab: str = "txt2img") -> int:
    """The place of an axis in the list of its tab."""
    return [row.label for row in axes_of(tab)].index(label)


def args(
    *axes: tuple[str, str], legend: bool = False, tab: str = "txt2img", **more: Any
) -> Arguments:
    """Arguments of a plot over (label, values) of X, Y, Z."""
    given: list[Any] = []
    for label, text in (*axes, *[("Nothing", "")] * (3 - len(axes))):
        given += [axis(label, tab), text, []]
    return Arguments(*given)._replace(draw_legend=legend, **more)


def values_of(name: str) -> Any:
    """What a job that watches one attribute remembers."""
    return lambda p: getattr(p, name)
