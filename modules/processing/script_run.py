"""A job that a script runs: the script makes jobs of its own, one after another."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PIL import Image

from modules.core.errors import EaselError, Interrupted, NotFound, OutOfSpace
from modules.core.paths import check_output_folder
from modules.core.settings import SettingsView, known_settings
from modules.model_manager import ModelChoice, ModelManager
from modules.params.request import Request
from modules.params.styles import StyleDatabase
from modules.processing.finish import Job, ModelFacts, save_grid, save_picture
from modules.processing.p import Processing, make_p
from modules.processing.prepare import style_texts
from modules.processing.processed import Processed
from modules.processing.report import Report, Stop
from modules.processing.result import Result
from modules.processing.run import Services, model_facts, run_p

RunScript = Callable[[Processing], Processed | None]
"""A script with its arguments; None: make the pictures as an ordinary job does."""


def run_script(request: Request, run: RunScript, services: Services, report: Report) -> Result:
    """Let a script make the pictures of a request.

    Raises EaselError for what the user can mend, Interrupted when stopped before any picture.
    """
    started = time.perf_counter()
    job = RunningScript(request, services, report)
    p = make_p(request.params, job.settings)
    p.job, p.upscalers = job, services.models.upscalers
    if request.draws_from is not None:
        p.draws = random.Random(request.draws_from)
    processed = run(p)
    if processed is None:
        processed = job.process(p)
    if not processed.images:
        raise Interrupted("Stopped before there was a picture.")
    processed.interrupted = processed.interrupted or job.was_cut_short
    if job.last:
        processed.facts = processed.facts or job.last.info
        processed.memory = processed.memory or job.last.memory
    return processed.to_result(warnings=job.warnings, seconds=time.perf_counter() - started)


class RunningScript:
    """The ScriptJob of one request."""

    def __init__(self, request: Request, services: Services, report: Report) -> None:
        self.settings = SettingsView(known_settings(), request.settings)
        self.warnings: list[str] = []
        self.was_cut_short = False
        """Whether the script was told to stop: one that had just ended was not."""
        self.last: Result | None = None
        """What the last call of `process` gave."""
        self._request = request
        self._services = services
        self._report = report
        self._part = _PartReport(report)

    @property
    def models(self) -> ModelManager:
        """Checkpoints, VAEs and networks, by name."""
        return self._services.models

    @property
    def styles(self) -> StyleDatabase | None:
        """The user's styles."""
        return self._services.styles

    @property
    def shows_grids(self) -> bool:
        """Whether `process` puts a grid before several pictures, unless `p` is without one."""
        return self._request.save_grid and bool(self.settings["return_grid"])

    def caption(self, image: Image.Image) -> str:
        """What CLIP sees in a picture, as words for a prompt. Raises EaselError without CLIP."""
        if self._services.caption is None:
            raise EaselError("There is no interrogation in this program.")
        return self._services.caption(image)

    @property
    def is_stopped(self) -> bool:
        """Whether the user asked to stop: begin no further picture."""
        is_stopped = self._report.stop in (Stop.NOW, Stop.AFTER_CURRENT)
        self.was_cut_short |= is_stopped
        return is_stopped

    def expect(self, passes: int) -> None:
        """Say how many sampling passes the whole script makes, for the progress bar."""
        self._part.expect(passes)

    def process(self, p: Processing) -> Processed:
        """Make the pictures of `p` as an ordinary job does; see `ScriptJob`."""
        for key, value in p.override_settings.items():
            check_output_folder(self._services.paths, key, value, self.settings.get(key))
        settings = self.settings.with_overrides(p.override_settings)
        request, own = self._request_of(p, settings), p.extra_generation_params
        # What one call notes in the infotext must not stand in that of the next.
        p.settings, p.extra_generation_params = settings, dict(own)
        try:
            result = run_p(p, request, settings, self._services, self._part)
        except Interrupted:
            made = Processed(p, [])
            made.interrupted = self.was_cut_short = True
            return made
        finally:
            p.extra_generation_params = own
        self.warnings += result.warnings
        self.last = result
        self.was_cut_short |= result.interrupted
        return Processed.of(p, result)

    def save_image(
        self, p: Processing, image: Image.Image, infotext: str, *, index: int = 0
    ) -> Path | None:
        """Write a picture as samples are written, if the request saves samples."""
        if not (self._request.save_samples and self.settings["samples_save"]):
            return None
        job, facts = self._finished(p)
        save = functools.partial(save_picture, job, p.freeze(), facts, image, index, infotext)
        return self._saved(save)

    def save_grid(self, p: Processing, grid: Image.Image, infotext: str) -> Path | None:
        """Write a grid to the grids folder, if the request saves grids."""
        if not (self._request.save_grid and self.settings["grid_save"]):
            return None
        if self.was_cut_short and not self.settings["save_incomplete_images"]:
            return None
        job, facts = self._finished(p)
        return self._saved(functools.partial(save_grid, job, p.freeze(), facts, grid, infotext))

    def warn(self, text: str) -> None:
        """Tell the user something beside the result."""
        self.warnings.append(text)

    def _request_of(self, p: Processing, settings: SettingsView) -> Request:
        request = self._request
        texts = request.style_texts
        if tuple(p.styles) != tuple(request.params.styles):
            texts = style_texts(p.styles, self.styles)
        return request.model_copy(
            update={
                "settings": settings.changed(),
                "style_texts": texts,
                "save_samples": request.save_samples and not p.do_not_save_samples,
                "save_grid": request.save_grid and not p.do_not_save_grid,
            }
        )

    def _finished(self, p: Processing) -> tuple[Job, ModelFacts]:
        services = self._services
        job = Job(
            self._request,
            self.settings,
            services.paths,
            services.hooks,
            p,
            datetime.now(),
            self.warnings,
        )
        try:
            facts = model_facts(services.models, ModelChoice.from_settings(self.settings))
        except NotFound:  # the model was deleted while the script ran
            facts = ModelFacts(name="", hash=None)
        return job, facts

    def _saved(self, save: Callable[[], Path]) -> Path | None:
        try:
            return save()
        except (OutOfSpace, OSError) as error:
            self.warnings.append(f"A picture was not saved: {error}")
            return None


class _PartReport:
    """The Report of jobs within a job: their passes add up to one progress."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._is_total_known = self._has_begun = False
        self.begin_pass, self.step = report.begin_pass, report.step
        self.end_batch = report.end_batch

    @property
    def stop(self) -> Stop:
        """What the user asked for until now."""
        return self._report.stop

    def expect(self, passes: int) -> None:
        """From now on the total is known."""
        self._report.begin(passes)
        self._is_total_known = True

    def begin(self, passes: int) -> None:
        """One of the jobs begins."""
        if self._is_total_known:
            return
        (self._report.extend if self._has_begun else self._report.begin)(passes)
        self._has_begun = True

    def extend(self, passes: int) -> None:
        """One of the jobs has so many passes more."""
        if not self._is_total_known:
            self._report.extend(passes)
