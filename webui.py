"""Easel: the start of everything, and the only place where its parts are put together.

`python webui.py` serves the page and the REST API; `python webui.py --test` runs the tests;
`python webui.py generate "a red heart"` makes a picture and ends; `python webui.py download sd15`
gets a model. The first run makes `.venv`.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; returns the exit status."""
    from modules.setup import python_version

    refusal = python_version.refusal(tuple(sys.version_info[:3]), sys.executable)
    if refusal:  # before anything that an old Python could not even read
        sys.stderr.write(refusal + "\n")
        return 1
    from modules.setup.start import enter_environment

    command, rest = split_command(arguments)
    if command is None:
        flags_of(arguments)  # wrong flags and --help end here, before anything is installed
    enter_environment(ROOT, arguments, wants_tests=command == "--test")
    if command == "--test":
        from modules.command.test import run_tests

        return run_tests(ROOT, rest)
    if command == "generate":
        from modules.command.generate import generate

        return generate(rest, lambda flags: build(flags))
    if command == "download":
        from modules.command.download import download

        return download(rest)
    from modules.command.serve import serve

    return serve(build(flags_of(arguments), keeps_jobs=True))


def split_command(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The sub-command, if one is asked for, and what follows it."""
    if arguments and arguments[0] in ("--test", "generate", "download"):
        return arguments[0], arguments[1:]
    return None, arguments


def flags_of(arguments: list[str]) -> Flags:
    """The parsed flags of this run."""
    import os

    from modules.setup.flags import parse_flags

    return parse_flags(arguments, os.environ, ROOT)


def build(flags: Flags, *, keeps_jobs: bool = False) -> App:
    """Put one Easel together. Nothing heavy is imported: the page comes up before torch does.

    `keeps_jobs`: the queue outlives the program, and begins with the jobs of its last run.
    """
    from modules.setup import torchvision_compat

    torchvision_compat.install()  # before anything can import torchvision
    from modules.core.app import App
    from modules.core.hooks import Hooks
    from modules.core.log import configure_logging
    from modules.core.paths import paths_of
    from modules.core.settings import Settings
    from modules.jobs.local import LocalBackend
    from modules.jobs.queue import JobQueue
    from modules.jobs.store import open_store
    from modules.params.styles import StyleDatabase

    configure_logging(flags.loglevel)
    paths, hooks = paths_of(flags, ROOT), Hooks()
    settings = Settings(paths.settings_file)
    models, styles = build_models(flags, paths, hooks, settings), StyleDatabase(paths.styles_files)
    scripts = build_scripts(flags, paths)
    interrogator = build_interrogator(flags, paths, settings, models)
    backend = LocalBackend(
        models=models,
        hooks=hooks,
        paths=paths,
        styles=styles,
        caption=interrogator.caption,
        script_of=scripts.runner,
    )
    return App(
        flags=flags,
        paths=paths,
        settings=settings,
        hooks=hooks,
        styles=styles,
        models=models,
        scripts=scripts,
        interrogator=interrogator,
        jobs=JobQueue(backend, store=open_store(paths.queue_file) if keeps_jobs else None),
    )


def build_scripts(flags: Flags, paths: Paths) -> ScriptHost:
    """The scripts of the extensions; loaded by the page, a request, or when the server is up."""
    from modules.extensions.host import ScriptHost
    from modules.extensions.load import allowed_extensions

    def read_controls(script: Script) -> list[Control]:
        from modules.ui.script_arguments import read_controls  # gradio

        return read_controls(script)

    return ScriptHost(allowed_extensions(paths, flags), read_controls)


def build_interrogator(
    flags: Flags, paths: Paths, settings: Settings, models: ModelManager
) -> Interrogator:
    """CLIP over the models' device, or the CPU where the flags say so; nothing is loaded yet."""
    from modules.interrogate import Interrogator
    from modules.model_manager.lending import lend_cpu

    bases = (paths.data, paths.models, paths.root / "models")
    return Interrogator(
        tuple(dict.fromkeys(base / "CLIP" for base in bases[1:])),
        tuple(dict.fromkeys(base / "interrogate" for base in bases)),
        paths.cache / "interrogate",
        lend_cpu if {"all", "interrogate"} & set(flags.use_cpu) else models.lend_device,
        settings=settings.view,
    )


def build_models(flags: Flags, paths: Paths, hooks: Hooks, settings: Settings) -> ModelManager:
    """The model manager over the folders of this run."""
    from modules.model_manager import Catalogue, Hashes, Library, ModelManager, VaeCatalogue

    def choose_place() -> DeviceChoice:
        from modules.model_manager.device import DeviceFlags, choose_device, probe_hardware

        return choose_device(probe_hardware(), DeviceFlags.from_flags(flags))

    hashes = Hashes(paths.cache / "hashes.json", enabled=not flags.no_hashing)
    named = (paths.default_checkpoint,) if paths.default_checkpoint else ()
    return ModelManager(
        Catalogue(paths.checkpoints, hashes, *named),
        VaeCatalogue(paths.vaes, paths.checkpoints, paths.default_vae),
        choose_place,
        library=Library.of(paths),
        settings=settings.view,
        default=paths.default_checkpoint,
        on_loaded=lambda pipeline: hooks.call("model_loaded", pipeline),
    )


if __name__ == "__main__":
    status = main(sys.argv[1:])
    gc.freeze()  # or Python searches all that torch and diffusers made for cycles: a second
    sys.exit(status)
else:
    from typing import TYPE_CHECKING

    if TYPE_CHECKING:
        from modules.core.app import App
        from modules.core.hooks import Hooks
        from modules.core.paths import Paths
        from modules.core.settings import Settings
        from modules.extensions.arguments import Control
        from modules.extensions.host import ScriptHost
        from modules.extensions.script import Script
        from modules.interrogate import Interrogator
        from modules.model_manager import ModelManager
        from modules.model_manager.device import DeviceChoice
        from modules.setup.flags import Flags
