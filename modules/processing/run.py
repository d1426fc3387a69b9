"""A job from request to result: the stages in order. Re-entrant, one job per model at a time.

Hooks run where the stages name them; a batch's hooks end with `p.freeze()`, and what follows
sees frozen parameters only.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from modules.core.errors import Interrupted, NotFound, OutOfSpace
from modules.core.hooks import Hooks
from modules.core.paths import Paths
from modules.core.settings import SettingsView, known_settings
from modules.images import write_text
from modules.images.grid import grid_rows, image_grid
from modules.model_manager import ModelChoice, ModelManager
from modules.params.generation import Txt2ImgParams
from modules.params.img2img import Img2ImgParams
from modules.params.request import Params, Request
from modules.params.styles import StyleDatabase, apply_style
from modules.processing.batch import make_batch
from modules.processing.blame import blamed, check_lists
from modules.processing.composite import Piece, composite_pieces
from modules.processing.conditioning import PromptCache
from modules.processing.facts import (
    guidance_pairs,
    hypertile_pairs,
    prompt_pairs,
    schedule_label,
    second_pass_pairs,
)
from modules.processing.finish import (
    Job,
    ModelFacts,
    Picture,
    picture_infotext,
    reply_info,
    save_grid,
    save_picture,
    to_images,
)
from modules.processing.networks import batch_networks, cut_tags, with_setting_networks
from modules.processing.p import Processing, make_p
from modules.processing.painting import composed, with_canvases
from modules.processing.report import Report, Stop
from modules.processing.result import Result
from modules.processing.stage import Batch, Stage
from modules.prompt import NetworkTag, strip_comments
from modules.sampling.table import find_sampler

log = logging.getLogger(__name__)

NOT_YET = {"restore_faces": "Restore faces"}
"""Parameters that A1111 knows and Easel accepts, but does not act on yet; a result says so."""
NEUTRAL = (None, False, 0, "", "None", "Use same checkpoint")


@dataclass(frozen=True, slots=True)
class Services:
    """What jobs share: models, hooks, folders, and prompts that were encoded before."""

    models: ModelManager
    hooks: Hooks
    paths: Paths
    styles: StyleDatabase | None = None
    caption: Callable[[Image.Image], str] | None = None
    """CLIP interrogation, for scripts; None where there is none."""
    prompts: PromptCache = field(default_factory=PromptCache)


FindFacts = Callable[[], ModelFacts]
"""Waits for the model's hash, so it is first called when a picture is there to be named."""


@dataclass(slots=True)
class _Output:
    """Pictures as they come; grids are put before them at the end."""

    images: list[Image.Image] = field(default_factory=list)
    infotexts: list[str] = field(default_factory=list)
    paths: list[Path | None] = field(default_factory=list)
    beside: list[tuple[Image.Image, str, Path | None]] = field(default_factory=list)
    """Masks and the like, which go behind all pictures and into no grid."""

    def add(
        self,
        image: Image.Image,
        infotext: str,
        path: Path | None,
        *,
        first: bool = False,
        beside: bool = False,
    ) -> None:
        if beside:
            self.beside.append((image, infotext, path))
            return
        place = 0 if first else len(self.images)
        self.images.insert(place, image)
        self.infotexts.insert(place, infotext)
        self.paths.insert(place, path)

    def finish(self) -> None:
        """Put what stands beside the pictures behind them."""
        for image, infotext, path in self.beside:
            self.add(image, infotext, path)


def run_request(request: Request, services: Services, report: Report) -> Result:
    """Make the pictures of a request.

    Raises EaselError for what the user can mend, Interrupted when stopped before any picture.
    """
    settings = SettingsView(known_settings(), request.settings)
    return run_p(make_p(request.params, settings), request, settings, services, report)


def run_p(
    p: Processing, request: Request, settings: SettingsView, services: Services, report: Report
) -> Result:
    """Make the pictures of `p` as it stands; the request says the rest. See `run_request`."""
    started = time.perf_counter()
    p.upscalers = services.models.upscalers
    p.watch()
    warnings = services.hooks.call("before_process", p, after=p.note_writer)
    job = Job(request, settings, services.paths, services.hooks, p, datetime.now(), warnings)
    choice = ModelChoice.from_settings(settings)
    with services.models.use(choice) as pipeline:
        stage = Stage(
            pipeline=pipeline,
            models=services.models,
            choice=choice,
            cache=services.prompts if settings["persistent_cond_cache"] else PromptCache(),
            hooks=services.hooks,
            report=report,
            p=p,
            saves=request.save_samples and settings["samples_save"],
            warnings=warnings,
        )
        find_facts = functools.cache(lambda: model_facts(services.models, choice))
        try:
            output, params = _make_all(job, stage, find_facts)
        except NotFound as error:  # a checkpoint that a hook wants
            raise blamed(p, error) from error
        memory = services.models.memory()
    facts = find_facts()
    grids = _add_grid(job, params, facts, output)
    output.finish()
    _remember(services.paths, output)
    result = Result(
        images=tuple(output.images),
        infotexts=tuple(output.infotexts),
        paths=tuple(output.paths),
        index_of_first_image=grids,
        info=reply_info(job, params, facts, output.infotexts, grids),
        warnings=tuple(dict.fromkeys(warnings)),
        interrupted=stage.interrupted,
        seconds=time.perf_counter() - started,
        memory=memory,
    )
    late = services.hooks.call("postprocess", p, result)
    return dataclasses.replace(result, warnings=(*result.warnings, *late)) if late else result


def model_facts(models: ModelManager, choice: ModelChoice) -> ModelFacts:
    """Names and hashes for infotexts; waits for a hash that is still being computed."""
    resolved = models.resolve(choice)
    checkpoint, vae = resolved.checkpoint, resolved.vae
    return ModelFacts(
        name=checkpoint.name,
        hash=models.catalogue.short_hash(checkpoint.path),
        vae_name=vae.name if vae else None,
        vae_hash=models.catalogue.short_hash(vae) if vae else None,
        fp8=models.fp8_of(choice),
    )


def _make_all(job: Job, stage: Stage, find_facts: FindFacts) -> tuple[_Output, Params]:
    """All batches, and the parameters as the last one's hooks left them."""
    p, output = job.p, _Output()
    params = p.freeze()
    stage.warnings += _ignored(params)
    _fill_lists(job, params)
    stage.call("process", p)
    params = p.freeze()
    stage.report.begin(params.n_iter * (2 if _has_two_passes(params) else 1))
    for number in range(params.n_iter):
        if stage.report.stop in (Stop.NOW, Stop.AFTER_CURRENT):
            stage.interrupted = True
            break
        p.iteration = number
        batch, params = _prepare_batch(job, stage, params, number)
        _make_one(job, stage, find_facts, batch, output)
        if stage.report.stop is Stop.SKIP:
            stage.interrupted = False
        stage.report.end_batch()
    if not output.images:
        raise Interrupted("Stopped before there was a picture.")
    return output, params


def _has_two_passes(params: Params) -> bool:
    return isinstance(params, Txt2ImgParams) and params.enable_hr and not params.firstpass_image


def _fill_lists(job: Job, params: Params) -> None:
    """Prompts with styles, and seeds, of every picture of the job."""
    p, count = job.p, params.n_iter * params.batch_size
    prompts, negatives = (
        value if isinstance(value, list) else [value] * count
        for value in (p.prompt, p.negative_prompt)
    )
    count = min(count, len(prompts), len(negatives))  # a list may leave the last batch short
    p.all_prompts = [_with_styles(job, text, 0) for text in prompts[:count]]
    if not params.disable_extra_networks:
        p.all_prompts = with_setting_networks(p.all_prompts, job.settings)
    p.all_negative_prompts = [_with_styles(job, text, 1) for text in negatives[:count]]
    p.fill_seeds(count)


def _with_styles(job: Job, text: str, side: int) -> str:
    """The text with the request's styles; side: 0 the prompts, 1 the negative prompts."""
    for style in job.request.style_texts:
        text = apply_style(style[side], text)
    return text


def _prepare_batch(job: Job, stage: Stage, params: Params, number: int) -> tuple[Batch, Params]:
    """Cut one batch out of the lists, let its hooks change it, and freeze it."""
    p, settings = job.p, job.settings
    p.take_batch(number, params.batch_size)
    stage.call("before_process_batch", p, number, p.prompts, p.seeds, p.subseeds)
    check_lists(p)
    clean = strip_comments if settings["enable_prompt_comments"] else str
    texts, tags = cut_tags([clean(prompt) for prompt in p.prompts])
    stage.call("process_batch", p, number, texts, p.seeds, p.subseeds)
    params = p.freeze()
    negatives = tuple(clean(text) for text in p.negative_prompts)
    own = _second_prompts(job, params, clean)
    batch = Batch(
        params=params,
        settings=settings,
        prompts=tuple(texts),
        negative_prompts=negatives,
        hr_prompts=tuple(texts) if own.prompt is None else (own.prompt,) * len(texts),
        hr_negative_prompts=negatives if own.negative is None else (own.negative,) * len(texts),
        seeds=tuple(map(int, p.seeds)),
        subseeds=tuple(map(int, p.subseeds)),
        networks=batch_networks(
            stage.models.networks,
            () if params.disable_extra_networks else tags,
            None if params.disable_extra_networks else own.tags,
            settings,
            warnings=stage.warnings,
            extra=p.extra_generation_params,
        ),
    )
    if isinstance(params, Img2ImgParams):
        batch = with_canvases(job, stage, batch, params)
    _note_parameters(job, batch.params, texts)
    return batch, batch.params


@dataclass(frozen=True, slots=True)
class _SecondPrompts:
    """What the second pass has of its own; None: the first pass's."""

    prompt: str | None = None
    negative: str | None = None
    tags: tuple[NetworkTag, ...] | None = None


def _second_prompts(job: Job, params: Params, clean: Callable[[str], str]) -> _SecondPrompts:
    if not isinstance(params, Txt2ImgParams):
        return _SecondPrompts()
    prompt = negative = tags = None
    if params.hr_prompt:
        text = clean(_with_styles(job, params.hr_prompt, 0))
        (prompt,), tags = cut_tags(with_setting_networks([text], job.settings))
    if params.hr_negative_prompt:
        negative = clean(_with_styles(job, params.hr_negative_prompt, 1))
    return _SecondPrompts(prompt, negative, tags)


def _ignored(params: Params) -> list[str]:
    asked = [label for name, label in NOT_YET.items() if getattr(params, name) not in NEUTRAL]
    return [f"{label} was left out: it is not supported yet." for label in asked]


def _note_parameters(job: Job, params: Params, texts: list[str]) -> None:
    """Names and values that the infotext gets beyond the parameters; extensions' own stay."""
    extra = job.p.extra_generation_params
    for name, value in {
        **second_pass_pairs(params, job.settings),
        **hypertile_pairs(job.settings),
        **prompt_pairs(params, job.settings, texts),
        **guidance_pairs(params, job.settings),
    }.items():
        extra.setdefault(name, value)


def _make_one(job: Job, stage: Stage, find_facts: FindFacts, batch: Batch, output: _Output) -> None:
    """Sample, decode, save one batch and put its pictures into the output."""
    made = make_batch(stage, batch)
    if made is None:
        return
    model = find_facts()
    _name_models(stage.models, job.p.extra_generation_params)
    stage.call("postprocess_batch", job.p, made.pictures, job.p.iteration)
    saves = job.request.save_samples and job.settings["samples_save"]
    if stage.interrupted:
        saves = saves and job.settings["save_incomplete_images"]
    sampler = find_sampler(str(batch.params.sampler_name))
    schedule = schedule_label(batch.params)
    for place, image in enumerate(to_images(made.pictures)):
        index = job.p.iteration * batch.params.batch_size + place
        picture = Picture(image, index)
        stage.call("postprocess_image", job.p, picture)
        text = picture_infotext(job, batch.params, model, index, schedule, sampler.uses_ensd)
        pieces: list[Piece] = []
        if made.canvases:
            composite = composed(stage, batch, made.canvases[place], place, picture)
            pieces = composite_pieces(composite, job.settings)
        first = made.first_pass[place : place + 1]
        before = [Piece(image, "-before-highres-fix", is_shown=False) for image in first]
        for piece in (*before, Piece(picture.image), *pieces):
            path = None
            if saves and piece.is_saved:
                save = functools.partial(save_picture, job, batch.params, model, piece.image)
                save = functools.partial(save, index, text, suffix=piece.suffix)
                path = _saved(job.warnings, save)
            if piece.is_shown:
                output.add(piece.image, text, path, beside=bool(piece.suffix))


def _name_models(models: ModelManager, extra: dict[str, Any]) -> None:
    """Write checkpoints beside the job's own as A1111 does: `name [hash]`; waits for hashes."""
    for key in ("Hires checkpoint", "Refiner"):
        if key in extra:
            try:
                checkpoint = models.catalogue.find(str(extra[key]))
            except NotFound:  # deleted since: its name alone remains
                continue
            short = models.catalogue.short_hash(checkpoint.path)
            extra[key] = f"{checkpoint.name} [{short}]" if short else checkpoint.name


def _saved(warnings: list[str], save: Callable[[], Path]) -> Path | None:
    """Where a picture was saved; a failure is a warning, because the picture itself is there."""
    try:
        return save()
    except (OutOfSpace, OSError) as error:
        warnings.append(f"A picture was not saved: {error}")
        return None


def _remember(paths: Paths, output: _Output) -> None:
    """Write params.txt, which "Read parameters" takes after a restart (A1111 1.10 behaviour)."""
    try:
        paths.data.mkdir(parents=True, exist_ok=True)
        write_text(paths.data / "params.txt", output.infotexts[0])
    except OSError as error:
        log.warning("params.txt cannot be written: %s", error)


def _add_grid(job: Job, params: Params, model: ModelFacts, output: _Output) -> int:
    """Put a grid before several pictures when it is wanted; returns the number of grids."""
    settings = job.settings
    wanted = job.request.save_grid and (settings["grid_save"] or settings["return_grid"])
    least = 2 if settings["grid_only_if_multiple"] else 1
    if not wanted or len(output.images) < least:
        return 0
    rows = grid_rows(
        len(output.images),
        rows=settings["n_rows"],
        batch_size=params.batch_size,
        prevent_empty=settings["grid_prevent_empty_spots"],
    )
    pixels = sum(image.width * image.height for image in output.images)
    if pixels > settings["img_max_size_mp"] * 1_000_000:
        job.warnings.append(f"No grid: it would be larger than {settings['img_max_size_mp']} MP.")
        return 0
    grid = image_grid(output.images, rows, background=settings["grid_background_color"])
    text, path = output.infotexts[0], None
    if settings["grid_save"]:
        path = _saved(job.warnings, functools.partial(save_grid, job, params, model, grid, text))
    if not settings["return_grid"]:
        return 0
    output.add(grid, text, path, first=True)
    return 1
