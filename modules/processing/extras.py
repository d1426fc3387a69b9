"""Extras: finished pictures made larger, from what a door was given to saved files. No torch.

The networks, if any, load it where they are used.
"""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from PIL import Image
from pydantic import ValidationError

from modules.core.errors import BadInput, Interrupted, OutOfSpace
from modules.core.paths import Paths
from modules.core.settings import SettingsView, known_settings
from modules.images import DigitalSource, ImageText, NameFields, decode_base64, read, save_image
from modules.images.decode import MAX_PIXELS
from modules.images.metadata_read import INFOTEXT_KEY
from modules.params.extras import SCALE_TO, ExtrasOptions, ExtrasParams
from modules.params.infotext_text import quote
from modules.params.request import ExtrasRequest
from modules.postprocess import Upscalers, Upscaling, upscale_picture
from modules.postprocess.chain import Upscale
from modules.processing.prepare import bad_input
from modules.processing.report import Report, Stop
from modules.processing.result import Result
from modules.processing.upscaling import on_tiles

log = logging.getLogger(__name__)

FOLDER_SETTING: Final = "outdir_extras_samples"
TEXT_KEY: Final = "postprocessing"
"""PNG text that says what extras did; A1111's."""
_NO_FACES = "face restoration is not supported, so only 0 can be used"


def prepare_extras(
    params: Mapping[str, Any] | ExtrasParams,
    *,
    settings: SettingsView,
    upscalers: Upscalers,
    user: str = "",
    save_samples: bool = True,
) -> ExtrasRequest:
    """A request that is checked as far as can be told without upscaling.

    Raises BadInput for values out of bounds, UnsupportedImage for pictures that cannot be read or
    are too large together, NotFound for unknown upscalers, ModelError for refused files.
    """
    try:
        values = params.model_dump() if isinstance(params, ExtrasParams) else dict(params)
        checked = ExtrasParams.model_validate(values)
    except ValidationError as error:
        raise bad_input(error) from error
    for field in ("gfpgan_visibility", "codeformer_visibility"):
        if getattr(checked, field):
            raise BadInput(field, getattr(checked, field), _NO_FACES)
    names = {
        field: upscalers.check(getattr(checked, field)) for field in ("upscaler_1", "upscaler_2")
    }
    checked = checked.model_copy(update=names)
    upscaling = upscaling_of(checked)
    if not checked.images:
        raise BadInput("image", "nothing", "a picture is needed")
    left = MAX_PIXELS
    for place, picture in enumerate(checked.images):
        field = "image" if len(checked.images) == 1 else f"imageList.{place}"
        image = decode_base64(picture.data, field=field, max_pixels=left)
        left -= image.width * image.height
        upscaling.check(image.size)
    return ExtrasRequest(
        params=checked, settings=settings.changed(), user=user, save_samples=save_samples
    )


def upscaling_of(options: ExtrasOptions) -> Upscaling:
    """The options as the chain takes them."""
    is_to = options.resize_mode == SCALE_TO
    return Upscaling(
        upscaler=options.upscaler_1,
        factor=options.upscaling_resize,
        to=(options.upscaling_resize_w, options.upscaling_resize_h) if is_to else None,
        crops=options.upscaling_crop,
        max_side=options.upscale_max_side_length,
        second=options.upscaler_2,
        second_visibility=options.extras_upscaler_2_visibility,
    )


def run_extras(
    request: ExtrasRequest, upscalers: Upscalers, paths: Paths, report: Report
) -> Result:
    """Do the work, picture by picture.

    Raises EaselError for what the user can mend, Interrupted when stopped before any picture.
    """
    started = time.perf_counter()
    settings = SettingsView(known_settings(), request.settings)
    upscaling = upscaling_of(request.params)
    words = ", ".join(f"{name}: {quote(value)}" for name, value in upscaling.pairs().items())
    names = [picture.name for picture in request.params.images]
    steps = _Steps(report, len(names) * (1 + upscaling.uses_second))
    saver = _Saver(settings, paths, is_several=len(names) > 1)
    made: list[tuple[Image.Image, str, Path | None]] = []
    for picture in request.params.images:
        if report.stop in (Stop.NOW, Stop.AFTER_CURRENT):
            break
        source = decode_base64(picture.data)
        text = read(source)
        try:
            image = upscale_picture(source, upscaling, steps.following(upscalers, picture.name))
        except Interrupted:
            if report.stop is not Stop.SKIP:
                break
            report.end_batch()
            continue
        image.info = _colours(source) | _texts(text, words)
        infotext, path = infotext_of(text, words), None
        if request.save_samples:
            path = saver.save(image, infotext, picture.name, upscaling)
        made.append((image, infotext, path))
        report.end_batch()
    if not made:
        raise Interrupted("Stopped before there was a picture.")
    infotexts = tuple(text for _, text, _ in made)
    return Result(
        images=tuple(image for image, _, _ in made),
        infotexts=infotexts,
        paths=tuple(path for _, _, path in made),
        index_of_first_image=0,
        info={"html_info": html_info(words), "infotexts": list(infotexts), "names": names},
        warnings=tuple(dict.fromkeys(saver.warnings)),
        interrupted=len(made) < len(names),
        seconds=time.perf_counter() - started,
    )


def html_info(words: str) -> str:
    """What the REST reply says was done; A1111's form.

    >>> html_info("Postprocess upscaler: a<b")
    '<p>Postprocess upscaler: a&lt;b</p>'
    """
    return f"<p>{html.escape(words)}</p>"


def infotext_of(text: ImageText, words: str) -> str:
    """The picture's own parameters, and behind them what was done now."""
    if not text.infotext or not words:
        return text.infotext or words
    has_line = "Steps: " in text.infotext.rpartition("\n")[2]
    return f"{text.infotext}{', ' if has_line else chr(10)}{words}"


def file_arguments(image: Image.Image, infotext: str, settings: SettingsView) -> dict[str, Any]:
    """How a result is written, as keyword arguments of `save_image` and `encode_image`.

    A PNG keeps the texts that the picture came with and gets ours beside them; the other formats
    hold one text, the infotext.
    """
    texts = image.info if settings["enable_pnginfo"] else {}
    is_png = settings["samples_format"] == "png"
    own = texts.get(INFOTEXT_KEY, "") if is_png else infotext
    return {
        "format": settings["samples_format"],
        "infotext": own if settings["enable_pnginfo"] else "",
        "quality": settings["jpeg_quality"],
        "lossless": settings["webp_lossless"],
        "extra": {
            key: value
            for key, value in texts.items()
            if isinstance(value, str) and key != INFOTEXT_KEY
        },
        "source": _source(infotext),
    }


def _colours(source: Image.Image) -> dict[Any, Any]:
    """What its colours mean, where they are still the same ones; a PNG keeps it."""
    profile = source.info.get("icc_profile")
    return {"icc_profile": profile} if profile and source.mode in ("RGB", "RGBA") else {}


def _texts(text: ImageText, words: str) -> dict[str, str]:
    """The texts of the result's PNG by key: what the picture came with, and ours.

    What was read from another program's texts is not written beside them.
    """
    own = {} if text.program or not text.infotext else {INFOTEXT_KEY: text.infotext}
    return {**text.items, **own, **({TEXT_KEY: words} if words else {})}


def _source(infotext: str) -> DigitalSource:
    """How the picture came to be: one with parameters was made by a model."""
    is_generated = "Steps: " in infotext
    return DigitalSource.GENERATED if is_generated else DigitalSource.ENHANCED


class _Steps:
    """Tiles of networks as steps of the job's passes."""

    def __init__(self, report: Report, passes: int) -> None:
        self._report = report
        self._left = passes
        report.begin(passes)

    def following(self, upscalers: Upscalers, title: str) -> Upscale:
        """`upscalers.upscale`, told to the report, and stopped when the user asks for it."""

        def upscale(image: Image.Image, name: str, size: tuple[int, int]) -> Image.Image:
            begun = False

            def begin(total: int) -> None:
                nonlocal begun
                self._begin(f"{name}: {title}", total, is_first=not begun)
                begun = True

            on_tile = on_tiles(self._report, begin)
            made = upscalers.upscale(image, name, size, on_tile)
            if not begun:  # without a network there are no tiles
                on_tile(0, 1)
                on_tile(1, 1)
            return made

        return upscale

    def _begin(self, text: str, total: int, *, is_first: bool) -> None:
        """A pass; a network's second one on the same picture was not counted before."""
        if is_first:
            self._left -= 1
        if not is_first or self._left < 0:
            self._report.extend(1)
        self._report.begin_pass(text, total)


class _Saver:
    """Writes results into the folder of extras."""

    def __init__(self, settings: SettingsView, paths: Paths, *, is_several: bool) -> None:
        self._settings = settings
        self._paths = paths
        self._is_several = is_several
        self.warnings: list[str] = []

    def save(
        self, image: Image.Image, infotext: str, name: str, upscaling: Upscaling
    ) -> Path | None:
        """The file; a failure is a warning, because the picture itself is there."""
        settings = self._settings
        folder = settings["outdir_samples"] or settings[FOLDER_SETTING]
        keeps_name = self._is_several and settings["use_original_name_batch"]
        has_suffix = settings["use_upscaler_name_as_suffix"] and upscaling.pairs()
        try:
            return save_image(
                image,
                self._paths.output(folder),
                fields=NameFields(moment=datetime.now(), basename=stem_of(name)),
                pattern="[basename]" if keeps_name else "[none]",
                directory_pattern=str(settings["directories_filename_pattern"])
                if settings["save_to_dirs"]
                else "",
                suffix=f"-{upscaling.upscaler}" if has_suffix else "",
                numbered=not keeps_name,
                replace=False,
                **file_arguments(image, infotext, settings),
            )
        except (OutOfSpace, OSError) as error:
            self.warnings.append(f"A picture was not saved: {error}")
            return None


def stem_of(name: str) -> str:
    r"""A file name without folders and ending, whatever system it comes from.

    >>> stem_of("a/b.c.png"), stem_of("C:\\x\\y.jpg"), stem_of("../..")
    ('b.c', 'y', '..')
    """
    return PureWindowsPath(PurePosixPath(name).name).stem
