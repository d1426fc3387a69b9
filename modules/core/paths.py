"""Where things lie on the disk: one frozen value, made once from the flags."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from modules.core.errors import BadInput
from modules.setup.flags import Flags

OUTPUT_KEYS: Final = "outdir_"
"""How the keys of the settings begin that name folders to save in."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Folders and files of one running Easel; all absolute."""

    root: Path
    """The program: webui.py lies here."""
    data: Path
    """What belongs to the user: outputs, settings, styles (`--data-dir`)."""
    models: Path
    settings_file: Path
    ui_defaults_file: Path
    styles_files: tuple[str, ...]
    """Files or glob patterns, `styles.csv` in the data folder by default."""
    checkpoints: tuple[Path, ...]
    vaes: tuple[Path, ...]
    loras: tuple[Path, ...]
    embeddings: Path
    hypernetworks: Path
    default_checkpoint: Path | None = None
    """`--ckpt`: the file to load when the settings name none."""
    default_vae: Path | None = None
    """`--vae-path`: the VAE that replaces every checkpoint's own."""

    @property
    def cache(self) -> Path:
        """Hashes and other things that can be made again."""
        return self.data / "cache"

    @property
    def queue_file(self) -> Path:
        """Jobs that wait, and what came of the newest ones."""
        return self.data / "queue.db"

    @property
    def extensions(self) -> tuple[Path, ...]:
        """Folders of extensions: the user's, then those that come with the program."""
        return tuple(dict.fromkeys((self.data / "extensions", self.root / "extensions")))

    def output(self, setting_value: str) -> Path:
        """The folder that an `outdir_*` setting means; relative values lie in the data folder."""
        folder = Path(setting_value)
        return folder if folder.is_absolute() else self.data / folder


def paths_of(flags: Flags, root: Path) -> Paths:
    """The paths that the command line asks for; `root` is the folder of webui.py."""
    models = flags.models_dir
    return Paths(
        root=root,
        data=flags.data_dir,
        models=models,
        settings_file=flags.ui_settings_file,
        ui_defaults_file=flags.ui_config_file,
        styles_files=flags.styles_files or (str(flags.data_dir / "styles.csv"),),
        checkpoints=(models / "Stable-diffusion", *flags.ckpt_dirs),
        vaes=(models / "VAE", *((flags.vae_dir,) if flags.vae_dir else ())),
        loras=(flags.lora_dir,),
        embeddings=flags.embeddings_dir,
        hypernetworks=flags.hypernetwork_dir,
        default_checkpoint=flags.ckpt,
        default_vae=flags.vae_path,
    )


def check_output_folder(paths: Paths, key: str, value: Any, own: Any) -> None:
    """Raises BadInput where a request would save outside the data folder.

    key, value: a setting and what the request wants of it; only `outdir_*` is looked at. own: what
    the setting is without the request, which is the user's own choice and always allowed. Links
    and `..` are followed first.
    """
    if not key.startswith(OUTPUT_KEYS) or not isinstance(value, str) or value in ("", own):
        return
    try:
        is_inside = paths.output(value).resolve().is_relative_to(paths.data.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links; no path at all
        raise BadInput(key, value, "it is no folder") from error
    if not is_inside:
        allowed = "requests may name folders within the data folder, or the one of config.json"
        raise BadInput(key, value, allowed)
