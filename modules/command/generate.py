"""`python webui.py generate "a red heart" --steps 20 -o heart.png`: one job, no server.

With `--image FILE` the picture is made from another one, with `--mask FILE` in a part of it.

The options are made from the parameter classes; nothing here knows a parameter by name but the
prompt.
"""

from __future__ import annotations

import argparse
import base64
import json
import logging
import os
import sys
import time
import typing
from collections.abc import Callable
from concurrent.futures import wait
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic.fields import FieldInfo

from modules.core.app import App
from modules.core.errors import BadInput, EaselError
from modules.images import decode_image, encode_image, image_format
from modules.jobs.queue import Job
from modules.model_manager import ModelChoice
from modules.params import Img2ImgParams, Txt2ImgParams, parameters
from modules.params.request import PARAMS, Kind
from modules.processing.prepare import prepare_request
from modules.processing.result import Result
from modules.setup.flags import Flags, parse_flags

log = logging.getLogger(__name__)

SIZE = ("width", "height")
PICTURES = ("init_images", "mask", "latent_mask")
"""Parameters that are files here."""


def generate(arguments: list[str], build: Callable[[Flags], App]) -> int:
    """Make pictures and write their files; returns the exit status, 1 with a message on failure."""
    parser = make_parser()
    options, flag_words = parser.parse_known_args(arguments)
    root = Path(__file__).resolve().parents[2]
    flags = parse_flags(flag_words, os.environ, root)
    app = build(flags)
    for warning in flags.warnings:
        log.warning(warning)
    try:
        _check_output(options.output)
        result = _run(app, options)
        paths = _write(result, options.output)
    except (EaselError, OSError) as error:
        sys.stderr.write(f"webui.py generate: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return 130
    finally:
        app.jobs.close(timeout_s=5)
    for warning in result.warnings:
        sys.stderr.write(f"warning: {warning}\n")
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    return 0


def _check_output(output: Path | None) -> None:
    """Find out before sampling whether the file can be written."""
    if output is None:
        return
    image_format(output.suffix or ".png")
    output.parent.mkdir(parents=True, exist_ok=True)


def make_parser() -> argparse.ArgumentParser:
    """The parser whose options are the parameters of txt2img and img2img."""
    parser = argparse.ArgumentParser(
        prog="webui.py generate",
        description="Make pictures from a prompt without a server.",
        epilog="Flags of webui.py for folders and devices can be given too.",
        allow_abbrev=False,
    )
    parser.add_argument("prompt", help="what to draw")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="file to write (.png, .jpg, .webp)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        dest="settings",
        help="a setting for this picture alone, such as CLIP_stop_at_last_layers=2",
    )
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="picture to start from; then this is img2img"
    )
    parser.add_argument(
        "--mask", type=Path, metavar="FILE", help="white is painted anew, black is kept"
    )
    parser.add_argument("--script", metavar="NAME", help='a script to run, such as "x/y/z plot"')
    parser.add_argument(
        "--script-args",
        type=_json_list,
        default=[],
        metavar="JSON",
        help="the script's arguments as a JSON list; those left out at its end have their defaults",
    )
    rows = {p.name: p for model in (Img2ImgParams, Txt2ImgParams) for p in parameters(model)}
    for name, parameter in rows.items():
        if name not in ("prompt", *PICTURES):
            _add_option(parser, name, parameter.field, parameter)
    return parser


def _add_option(parser: argparse.ArgumentParser, name: str, field: FieldInfo, face: Any) -> None:
    option = "--" + name.replace("_", "-")
    kind = _value_type(field)
    default = "the model's own" if name in SIZE else face.ui_default
    ending = f" (default: {default})" if default not in (None, "", ()) else ""
    shown = (face.face.tooltip or face.face.label + ".") + ending
    shared: dict[str, Any] = {"dest": name, "default": argparse.SUPPRESS, "help": shown}
    if kind is bool:
        parser.add_argument(option, action=argparse.BooleanOptionalAction, **shared)
    elif kind is tuple:
        parser.add_argument(option, nargs="+", **shared)
    else:
        parser.add_argument(option, type=kind, metavar=kind.__name__.upper(), **shared)


def _value_type(field: FieldInfo) -> type:
    """The plain type of a field: int for Annotated[int | None, …]."""
    kinds = [kind for kind in typing.get_args(field.annotation) if kind is not type(None)]
    kind = kinds[0] if kinds and typing.get_origin(field.annotation) is not tuple else None
    found = kind or typing.get_origin(field.annotation) or field.annotation
    while typing.get_origin(found) is typing.Annotated:
        found = typing.get_args(found)[0]
    return found if isinstance(found, type) else str


def _run(app: App, options: argparse.Namespace) -> Result:
    kind: Kind = "img2img" if options.image else "txt2img"
    app.scripts.check(kind, options.script, options.script_args)
    request = prepare_request(
        _values(app, options, kind),
        kind=kind,
        settings=app.settings.view(),
        catalogue=app.models.catalogue,
        styles=app.styles,
        upscalers=app.models.upscalers,
        overrides=dict(_setting(text) for text in options.settings),
        save_samples=options.output is None,
        save_grid=options.output is None,
        script_name=options.script,
        script_args=tuple(options.script_args),
    )
    job = app.jobs.submit(request)
    _watch(job)
    return job.future.result()


def _values(app: App, options: argparse.Namespace, kind: Kind) -> dict[str, Any]:
    """What was given, and the form's defaults for the rest.

    The size is the model's own, or that of the picture to start from.
    """
    model = PARAMS[kind]
    values = {p.name: p.ui_default for p in parameters(model)}
    given = {name: value for name, value in vars(options).items() if name in _ALL}
    foreign = sorted(given.keys() - values.keys())
    if foreign:
        allowed = (
            "this is for img2img: give --image FILE" if kind == "txt2img" else "not with --image"
        )
        raise BadInput("--" + foreign[0].replace("_", "-"), given[foreign[0]], allowed)
    return values | _start(app, options) | given


_ALL = frozenset(p.name for model in (Txt2ImgParams, Img2ImgParams) for p in parameters(model))


def _start(app: App, options: argparse.Namespace) -> dict[str, Any]:
    """The size, and the pictures to start from."""
    if not options.image:
        if options.mask:
            raise BadInput("--mask", str(options.mask), "it needs a picture: give --image FILE")
        size = _native_size(app, options)
        return dict.fromkeys(SIZE, size) if size else {}
    data = options.image.read_bytes()
    image = decode_image(data, field="--image")
    start: dict[str, Any] = {name: max(64, side) for name, side in zip(SIZE, image.size)}
    start["init_images"] = [base64.b64encode(data).decode("ascii")]
    if options.mask:
        start["mask"] = base64.b64encode(options.mask.read_bytes()).decode("ascii")
    return start


def _native_size(app: App, options: argparse.Namespace) -> int | None:
    """Pixels of a side; None where the job itself will say what is wrong with the model."""
    try:
        overrides = dict(_setting(text) for text in options.settings)
        choice = ModelChoice.from_settings(app.settings.view().with_overrides(overrides))
        return app.models.resolve(choice).checkpoint.native_size
    except EaselError:
        return None


def _json_list(text: str) -> list[Any]:
    """A list as JSON; argparse words what this raises."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON list: {error}") from error
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON list, such as [1, "a, b"]')
    return value


def _setting(text: str) -> tuple[str, Any]:
    """A setting's key and value; the value as JSON where it is JSON, else as text."""
    key, separator, value = text.partition("=")
    if not separator:
        raise BadInput("--set", text, "write it as SETTING=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _watch(job: Job) -> None:
    """Show the progress on a terminal until the job ends."""
    is_terminal = sys.stderr.isatty()
    while not wait([job.future], timeout=0.1).done:
        progress = job.progress
        if is_terminal and progress.steps:
            left = progress.eta_s(time.monotonic())
            line = f"\r{progress.fraction:4.0%} step {progress.step}/{progress.steps}, {left:.0f} s"
            sys.stderr.write(line.ljust(50))
            sys.stderr.flush()
    if is_terminal:
        sys.stderr.write("\r".ljust(52) + "\r")


def _write(result: Result, output: Path | None) -> list[Path]:
    """The files of the result; `output` is written here, one numbered file per picture."""
    if output is None:
        return [path for path in result.paths if path]
    everything = list(zip(result.images, result.infotexts))
    first = result.index_of_first_image
    grids, pictures = everything[:first], everything[first:]
    if not pictures:  # a plot may show its grid alone
        grids, pictures = [], grids
    named = _numbered(output, pictures)
    named += _numbered(output.with_stem(f"{output.stem}-grid"), grids)
    for path, (image, infotext) in named:
        data = encode_image(image, output.suffix or ".png", infotext)
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        part.replace(path)
    return [path for path, _ in named]


Shown = tuple[Image.Image, str]
"""A picture and its infotext."""


def _numbered(output: Path, pictures: list[Shown]) -> list[tuple[Path, Shown]]:
    """The pictures with their paths: `output` itself for a single one."""
    if len(pictures) == 1:
        return [(output, pictures[0])]
    names = (f"{output.stem}-{number}{output.suffix}" for number in range(1, len(pictures) + 1))
    return [(output.with_name(name), shown) for name, shown in zip(names, pictures)]
