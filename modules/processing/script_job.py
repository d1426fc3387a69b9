"""What a running script may ask of the job that it runs in. Importable without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from PIL import Image

from modules.core.settings import SettingsView

if TYPE_CHECKING:
    from modules.model_manager.manager import ModelManager
    from modules.params.styles import StyleDatabase
    from modules.processing.p import Processing
    from modules.processing.processed import Processed


class ScriptJob(Protocol):
    """`p.job` while a script runs."""

    @property
    def settings(self) -> SettingsView:
        """The request's settings, overrides merged in."""

    @property
    def models(self) -> ModelManager:
        """Checkpoints, VAEs and networks, by name."""

    @property
    def styles(self) -> StyleDatabase | None:
        """The user's styles."""

    @property
    def shows_grids(self) -> bool:
        """Whether `process` puts a grid before several pictures, unless `p` is without one."""

    def caption(self, image: Image.Image) -> str:
        """What CLIP sees in a picture, as words for a prompt. Raises EaselError without CLIP."""

    @property
    def is_stopped(self) -> bool:
        """Whether the user asked to stop: begin no further picture."""

    def expect(self, passes: int) -> None:
        """Say how many sampling passes the whole script makes, for the progress bar.

        Without it, the total grows with each call of `process`.
        """

    def process(self, p: Processing) -> Processed:
        """Make the pictures of `p` as an ordinary job does; hooks run, files are saved.

        `p` may be the script's own or a copy (`copy.copy(p)`); `p.override_settings` holds for this
        call; `p.prompt`, `p.negative_prompt`, `p.seed` and `p.subseed` may be lists with a value
        for each picture; `p.do_not_save_samples` and `p.do_not_save_grid` keep files from being
        written. No images come back where the job was stopped before the first.
        Raises EaselError for what the user can mend.
        """

    def save_image(
        self, p: Processing, image: Image.Image, infotext: str, *, index: int = 0
    ) -> Path | None:
        """Write a picture as samples are written, if the request saves samples.

        index: whose prompt and seed the name takes, of `p.all_prompts`.
        """

    def save_grid(self, p: Processing, grid: Image.Image, infotext: str) -> Path | None:
        """Write a grid to the grids folder, if the request saves grids."""

    def warn(self, text: str) -> None:
        """Tell the user something beside the result."""
