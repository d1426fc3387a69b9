"""The Backend that runs jobs in this process, on this machine's device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from PIL import Image

from modules.core.hooks import Hooks
from modules.core.paths import Paths
from modules.params.request import AnyRequest, ExtrasRequest, Request
from modules.processing.extras import run_extras
from modules.processing.report import Report
from modules.processing.result import Result

if TYPE_CHECKING:  # carries torch, which must not be imported before the page is up
    from modules.model_manager.manager import ModelManager
    from modules.params.styles import StyleDatabase
    from modules.processing.run import Services
    from modules.processing.script_run import RunScript


class LocalBackend:
    """One job at a time, with the models of one ModelManager."""

    def __init__(
        self,
        *,
        models: ModelManager,
        hooks: Hooks,
        paths: Paths,
        styles: StyleDatabase | None = None,
        caption: Callable[[Image.Image], str] | None = None,
        script_of: Callable[[Request], RunScript | None] = lambda _request: None,
    ) -> None:
        """`caption`: interrogation, for scripts.

        script_of: the script that runs a request, or None for an ordinary job.
        """
        self._models = models
        self._hooks = hooks
        self._paths = paths
        self._styles = styles
        self._caption = caption
        self._script_of = script_of
        self._services: Services | None = None
        self._lock = threading.Lock()

    def run(self, request: AnyRequest, report: Report) -> Result:
        """Do the work. Raises EaselError for what the user can mend, Interrupted when stopped."""
        if isinstance(request, ExtrasRequest):
            return run_extras(request, self._models.upscalers, self._paths, report)
        from modules.processing.run import run_request  # torch: imported with the first job

        script = self._script_of(request)
        if script is None:
            return run_request(request, self._get_services(), report)
        from modules.processing.script_run import run_script

        return run_script(request, script, self._get_services(), report)

    def _get_services(self) -> Services:
        from modules.processing.run import Services

        with self._lock:
            if self._services is None:
                self._services = Services(
                    self._models, self._hooks, self._paths, self._styles, self._caption
                )
            return self._services
