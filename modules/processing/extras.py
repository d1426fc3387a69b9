"""Extras: finished pictures made larger, from what a door was given to saved files. No torch.

The networks, if any, load it where they are used.
"""

from __future__ import annotations

import html
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from PIL import Image
from pydantic import ValidationError

from modules.core.errors import BadInput, EaselError, Interrupted, OutOfSpace
from modules.core.paths import Paths
from modules.core.settings import SettingsView, known_settings
from modules.images import DigitalSource, ImageText, NameFields, decode_base64, read, save_image
from modules.images.decode import MAX_PIXELS, measure_base64
from modules.images.metadata_read import INFOTEXT_KEY
from modules.params.extras import SCALE_TO, ExtrasOptions, ExtrasParams, NamedPicture
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
MAX_RESULT_PIXELS: Final = 4 * MAX_PIXELS
"""Of all results together, which a job holds at once; as RGB they fill 1.5 GB."""
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
    are too large, NotFound for unknown upscalers, ModelError for refused files.
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
    _check_pictures(checked.images, upscaling)
    return ExtrasRequest(
        params=checked, settings=settings.changed(), user=user, save_samples=save_samples
    )


def _check_pictures(pictures: Sequence[NamedPicture], upscaling: Upscaling) -> None:
    """Sizes first, by the headers alone; then whether each picture can be decoded."""
    several = len(pictures) > 1
    fields = [f"imageList.{place}" if several else "image" for place in range(len(pictures))]
    total = 0
    for field, picture in zip(fields, pictures, strict=True):
        size = measure_base64(picture.data, field=field)
        upscaling.check(size)
        width, height = upscaling.made_size(size)
        total += width * height
    if total > MAX_RESULT_PIXELS:
        limit = f"all together may have at most {MAX_RESULT_PIXELS / 1e6:g} million pixels"
        what = f"{len(pictures)} results with {total / 1e6:.0f} million pixels"
        raise BadInput("imageList", what, f"{limit}: send fewer pictures, or make them smaller")
    for field, picture in zip(fields, pictures, strict=True):
        upscaling.check(decode_base64(picture.data, field=field).size)


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
    """Do the work, picture by picture; one of several that cannot be made becomes a warning.

    Raises EaselError for what the user can mend where nothing was made, Interrupted when stopped
    before any picture.
    """
    started = time.perf_counter()
    work = _Work(request, upscalers, paths, report)
    for picture in request.params.images:
        if report.stop in (Stop.NOW, Stop.AFTER_CURRENT):
            break
        if not work.do(picture):
            break
        report.end_batch()
    return work.result(time.perf_counter() - started)


def html_info(words: str, *notes: str) -> str:
    """What the REST reply says was done, in A1111's form; behind it what was not, and why.

    >>> html_info("Postprocess upscaler: a<b", "Skipped: b.png")
    '<p>Postprocess upscaler: a&lt;b</p><p>Skipped: b.png</p>'
    """
    return "".join(f"<p>{html.escape(text)}</p>" for text in (words, *notes))


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


@dataclass(frozen=True, slots=True)
class _Made:
    """One result."""

    name: str
    image: Image.Image
    infotext: str
    path: Path | None


class _Work:
    """A job under way: what was made until now, and what was not."""

    def __init__(
        self, request: ExtrasRequest, upscalers: Upscalers, paths: Paths, report: Report
    ) -> None:
        settings = SettingsView(known_settings(), request.settings)
        self._pictures = request.params.images
        self._saves = request.save_samples
        self._upscaling = upscaling_of(request.params)
        pairs = self._upscaling.pairs().items()
        self._words = ", ".join(f"{name}: {quote(value)}" for name, value in pairs)
        self._upscalers, self._report = upscalers, report
        is_several = len(self._pictures) > 1
        passes = len(self._pictures) * (1 + self._upscaling.uses_second)
        self._steps = _Steps(report, passes, settings)
        self._saver = _Saver(settings, paths, is_several=is_several)
        self._made: list[_Made] = []
        self._skipped: list[str] = []
        self._errors: list[tuple[str, EaselError]] = []

    def do(self, picture: NamedPicture) -> bool:
        """Make one; False once the user stopped the job."""
        try:
            self._made.append(self._make(picture))
        except Interrupted:
            if self._report.stop is not Stop.SKIP:
                return False
            self._skipped.append(picture.name)
        except EaselError as error:
            log.warning("Extras: %s: %s", picture.name, error)
            self._errors.append((picture.name, error))
        return True

    def result(self, seconds: float) -> Result:
        """What came out. Raises the first error, or Interrupted, where there is no picture."""
        if not self._made and self._errors:
            raise self._errors[0][1]
        if not self._made:
            raise Interrupted("Stopped before there was a picture.")
        infotexts = tuple(one.infotext for one in self._made)
        failures = [f"{name} was not made: {error}" for name, error in self._errors]
        skipped = [f"Skipped: {', '.join(self._skipped)}"] if self._skipped else []
        done = len(self._made) + len(self._errors) + len(self._skipped)
        never = [picture.name for picture in self._pictures[done:]]
        stopped = [f"Stopped before: {', '.join(never)}"] if never else []
        return Result(
            images=tuple(one.image for one in self._made),
            infotexts=infotexts,
            paths=tuple(one.path for one in self._made),
            index_of_first_image=0,
            info={
                "html_info": html_info(self._words, *skipped, *stopped, *failures),
                "infotexts": list(infotexts),
                "names": [one.name for one in self._made],
            },
            warnings=tuple(dict.fromkeys((*failures, *self._saver.warnings))),
            interrupted=bool(self._skipped or never),
            seconds=seconds,
        )

    def _make(self, picture: NamedPicture) -> _Made:
        source = decode_base64(picture.data)
        text = read(source)
        upscale = self._steps.following(self._upscalers, picture.name)
        image = upscale_picture(source, self._upscaling, upscale)
        image.info = _colours(source) | _texts(text, self._words)
        infotext, path = infotext_of(text, self._words), None
        if self._saves:
            path = self._saver.save(image, infotext, picture.name, self._upscaling)
        return _Made(picture.name, image, infotext, path)


class _Steps:
    """Tiles of networks as steps of the job's passes."""

    def __init__(self, report: Report, passes: int, settings: SettingsView) -> None:
        self._report = report
        self._settings = settings
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
            made = upscalers.upscale(image, name, size, on_tile, self._settings)
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
