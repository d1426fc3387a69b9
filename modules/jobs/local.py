"""The Backend that runs jobs in this process, on this machine's device."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from modules.core.hooks import Hooks
from modules.core.paths import Paths
from modules.params.request import Request
from modules.processing.report import Report
from modules.processing.result import Result

if TYPE_CHECKING:  # carries torch, which must not be imported before the page is up
    from modules.model_manager.manager import ModelManager
    from modules.processing.run import Services


class LocalBackend:
    """One job at a time, with the models of one ModelManager."""

    def __init__(self, *, models: ModelManager, hooks: Hooks, paths: Paths) -> None:
        self._models = models
        self._hooks = hooks
        self._paths = paths
        self._services: Services | None = None
        self._lock = threading.Lock()

    def run(self, request: Request, report: Report) -> Result:
        """Do the work. Raises EaselError for what the user can mend, Interrupted when stopped."""
        from modules.processing.run import run_request  # torch: imported with the first job

        return run_request(request, self._get_services(), report)

    def _get_services(self) -> Services:
        from modules.processing.run import Services

        with self._lock:
            if self._services is None:
                self._services = Services(self._models, self._hooks, self._paths)
            return self._services
