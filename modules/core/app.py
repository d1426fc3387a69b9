"""The App: one running Easel, put together by webui.py and passed to whoever needs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # names only: core stands below these folders and must not import them
    from modules.core.hooks import Hooks
    from modules.core.paths import Paths
    from modules.core.settings import Settings
    from modules.extensions.host import ScriptHost
    from modules.interrogate.interrogator import Interrogator
    from modules.jobs.queue import JobQueue
    from modules.model_manager.manager import ModelManager
    from modules.params.styles import StyleDatabase
    from modules.setup.flags import Flags

VERSION = "0.1.0"


@dataclass(frozen=True, slots=True)
class App:
    """Everything that lives as long as the program."""

    flags: Flags
    paths: Paths
    settings: Settings
    hooks: Hooks
    styles: StyleDatabase
    models: ModelManager
    jobs: JobQueue
    scripts: ScriptHost
    interrogator: Interrogator
