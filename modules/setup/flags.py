"""The command line: argv and COMMANDLINE_ARGS in, one frozen `Flags` out.

Reads no file but --gradio-auth-path, sets nothing up, logs nothing: what the user should be
told is in `Flags.warnings`.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from modules.setup.flag_table import FLAGS, GROUPS, Effect, Flag, Kind

Preload = Callable[[argparse.ArgumentParser], object]
"""An extension's `preload(parser)`, which adds its own flags."""

_LOOPBACK: Final = ("127.", "localhost", "::1")
_DESCRIPTION: Final = "Easel: a Stable Diffusion web UI."
_EPILOG: Final = (
    "The environment variable COMMANDLINE_ARGS may hold flags too; those typed here win. "
    "'webui.py --test' runs the tests, 'webui.py generate --help' makes pictures without a page."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """The flags that have an effect, typed; paths are absolute.

    `all` holds every flag under A1111's attribute names (what extensions call cmd_opts), with
    the extensions' own. `warnings` are sentences for the log.
    """

    data_dir: Path
    models_dir: Path
    ckpt_dirs: tuple[Path, ...]
    vae_dir: Path | None
    lora_dir: Path
    embeddings_dir: Path
    hypernetwork_dir: Path
    ckpt: Path | None
    vae_path: Path | None
    styles_files: tuple[str, ...]
    ui_settings_file: Path
    ui_config_file: Path

    listen: bool
    host: str
    port: int
    gradio_auth: tuple[tuple[str, str], ...] = field(repr=False)
    api_auth: tuple[tuple[str, str], ...] = field(repr=False)
    api: bool
    nowebui: bool
    api_log: bool
    api_server_stop: bool
    add_stop_route: bool
    cors_allow_origins: tuple[str, ...]
    cors_allow_origins_regex: str | None
    tls_keyfile: Path | None
    tls_certfile: Path | None
    subpath: str
    timeout_keep_alive: int
    theme: str | None
    autolaunch: bool
    loglevel: str | None

    device_id: str | None
    use_cpu: tuple[str, ...]
    no_half: bool
    no_half_vae: bool
    precision: str
    upcast_sampling: bool

    skip_install: bool
    skip_load_model_at_start: bool
    no_hashing: bool
    allow_code: bool
    enable_insecure_extension_access: bool
    disable_all_extensions: bool
    disable_extra_extensions: bool

    all: dict[str, Any] = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def is_public(self) -> bool:
        """Whether other machines can reach the server."""
        return not self.host.startswith(_LOOPBACK)

    def namespace(self) -> argparse.Namespace:
        """`all` as attributes: what extensions know as cmd_opts."""
        return argparse.Namespace(**self.all)

    def without_secrets(self) -> dict[str, Any]:
        """`all` for /sdapi/v1/cmd-flags: passwords that were given read "***"."""
        secret = {flag.dest for flag in FLAGS if flag.secret}
        return {k: "***" if k in secret and v else v for k, v in self.all.items()}


def parse_flags(
    argv: Sequence[str],
    environ: Mapping[str, str],
    root: Path,
    *,
    preloads: Iterable[Preload] = (),
    strict: bool = True,
) -> Flags:
    """Parse COMMANDLINE_ARGS and then `argv` (without the program's name).

    root: the folder of webui.py. strict: False lets unknown flags pass, for the start before
    extensions have added theirs. Wrong flags and --help end the program (SystemExit 2, 0).
    """
    parser = build_parser()
    conflicts = tuple(_preload(parser, preloads))
    words = [*split_arguments(environ.get("COMMANDLINE_ARGS", "")), *argv]
    namespace, unknown = parser.parse_known_args(words)
    if unknown and strict:
        _refuse(parser, unknown)
    given = vars(namespace)
    values = _with_absolute_paths({**_defaults(namespace, root), **given})
    warnings = (*conflicts, *_ignored(given))
    flags = _typed(parser, values, given, warnings)
    return replace(flags, warnings=(*warnings, *_exposure(flags)))


def split_arguments(text: str, *, windows: bool = os.name == "nt") -> list[str]:
    """Split like a shell; on Windows a backslash is part of a path.

    >>> split_arguments(r'--ckpt "C:\\my models\\a.ckpt" --api', windows=True)
    ['--ckpt', 'C:\\\\my models\\\\a.ckpt', '--api']
    """
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if windows:
        lexer.escape = ""
    return list(lexer)


def build_parser() -> argparse.ArgumentParser:
    """The parser over the flag table; a flag that was not given leaves no attribute."""
    parser = argparse.ArgumentParser(
        prog="webui.py",
        usage="webui.py [flags]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    for title, flags in GROUPS.items():
        group = parser.add_argument_group(title)
        for flag in flags:
            _add(group, flag)
    return parser


def _add(group: argparse._ArgumentGroup, flag: Flag) -> None:
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": flag.help.replace("%", "%%")}
    if flag.kind in (Kind.SWITCH, Kind.SWITCH_OFF):
        options["action"] = "store_true" if flag.kind is Kind.SWITCH else "store_false"
    else:
        options.update(_VALUE_OPTIONS[flag.kind])
        options["metavar"] = flag.kind.value.upper()
    if flag.choices:
        options["choices"] = flag.choices
        del options["metavar"]
    group.add_argument(flag.name, **options)


def _json(text: str) -> Any:
    return json.loads(text)


_VALUE_OPTIONS: Final[dict[Kind, dict[str, Any]]] = {
    Kind.TEXT: {"type": str},
    Kind.NUMBER: {"type": int},
    Kind.PATH: {"type": str},
    Kind.PATHS: {"type": str, "action": "append"},
    Kind.TEXTS: {"type": str, "action": "append"},
    Kind.WORDS: {"type": str.lower, "nargs": "+"},
    Kind.JSON: {"type": _json},
}


def _preload(parser: argparse.ArgumentParser, preloads: Iterable[Preload]) -> Iterable[str]:
    for preload in preloads:
        try:
            preload(parser)
        except argparse.ArgumentError as error:
            yield f"An extension's flag was left out: {error}"


def _refuse(parser: argparse.ArgumentParser, unknown: list[str]) -> NoReturn:
    word = unknown[0].partition("=")[0]
    known = [name for action in parser._actions for name in action.option_strings]
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]}?" if near else "; --help lists them"
    parser.error(f"unknown flag {word}{hint}")


def _defaults(namespace: argparse.Namespace, root: Path) -> dict[str, Any]:
    """Every flag's default, with its folders filled in from what the user gave."""
    data = _absolute(getattr(namespace, "data_dir", str(root)))
    models = _absolute(getattr(namespace, "models_dir", None) or str(data / "models"))
    places = {"root": str(root.absolute()), "data": str(data), "models": str(models)}

    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [fill(item) for item in value]
        if isinstance(value, str) and value.startswith("{"):
            return str(Path(value.format_map(places)))
        return dict(value) if isinstance(value, dict) else value

    return {flag.dest: fill(flag.default) for flag in FLAGS}


def _absolute(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _with_absolute_paths(values: dict[str, Any]) -> dict[str, Any]:
    paths = {flag.dest for flag in FLAGS if flag.kind in (Kind.PATH, Kind.PATHS)}

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        return str(_absolute(value)) if isinstance(value, str) and value else value

    return {name: resolve(value) if name in paths else value for name, value in values.items()}


def _typed(
    parser: argparse.ArgumentParser,
    values: dict[str, Any],
    given: Mapping[str, Any],
    warnings: tuple[str, ...],
) -> Flags:
    """The effective flags; where Easel's type differs from A1111's, the row is spelt out."""
    checkpoints = values["ckpt_dir"] or []
    plain = {name: values[name] for name in Flags.__slots__ if name in values}
    plain.update({name: _path_or_none(plain[name]) for name in _PATH_FIELDS})
    plain.update(
        models_dir=Path(values["models_dir"] or Path(values["data_dir"]) / "models"),
        ckpt_dirs=tuple(Path(folder) for folder in checkpoints),
        ckpt=_path_or_none(given.get("ckpt")) and Path(values["ckpt"]),
        styles_files=tuple(values["styles_file"]),
        host=values["server_name"] or ("0.0.0.0" if values["listen"] else "127.0.0.1"),
        port=values["port"] or (7861 if values["nowebui"] else 7860),
        gradio_auth=_page_users(parser, values),
        api_auth=_users(parser, "--api-auth", values["api_auth"] or ""),
        cors_allow_origins=_comma_list(values["cors_allow_origins"]),
        subpath=(values["subpath"] or "").strip("/"),
        use_cpu=tuple(values["use_cpu"]),
        # Extensions join one folder to this name, so it stays a single one for them.
        all={**values, "ckpt_dir": checkpoints[0] if checkpoints else None},
        warnings=warnings,
    )
    return Flags(**plain)


_PATH_FIELDS: Final = (
    *("data_dir", "vae_dir", "lora_dir", "embeddings_dir", "hypernetwork_dir", "vae_path"),
    *("ui_settings_file", "ui_config_file", "tls_keyfile", "tls_certfile"),
)


def _path_or_none(value: str | None) -> Path | None:
    return Path(value) if value else None


def _comma_list(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _page_users(
    parser: argparse.ArgumentParser, values: dict[str, Any]
) -> tuple[tuple[str, str], ...]:
    """--gradio-auth and the lines of --gradio-auth-path together."""
    text = values["gradio_auth"] or ""
    if values["gradio_auth_path"]:
        try:
            listed = Path(values["gradio_auth_path"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            parser.error(f"--gradio-auth-path: {error}")
        text = f"{text},{listed}"
    return _users(parser, "--gradio-auth", text)


def _users(parser: argparse.ArgumentParser, flag: str, text: str) -> tuple[tuple[str, str], ...]:
    users = []
    for entry in _comma_list(text.replace("\n", ",")):
        name, colon, word = entry.partition(":")
        if not (name and colon and word):
            parser.error(f"{flag}: every entry must read name:password")
        users.append((name, word))
    return tuple(users)


def _ignored(given: Mapping[str, Any]) -> Iterable[str]:
    for flag in FLAGS:
        if flag.effect is Effect.IGNORED and flag.dest in given:
            yield f"{flag.name} has no effect in Easel: {flag.help}"


def _exposure(flags: Flags) -> Iterable[str]:
    """What a server that other machines can reach leaves unprotected."""
    if not flags.is_public:
        return
    if not flags.nowebui and not flags.gradio_auth:
        yield f"Anyone who can reach {flags.host} may use the page; --gradio-auth protects it"
    if (flags.api or flags.nowebui) and not flags.api_auth:
        yield f"Anyone who can reach {flags.host} may use the API; --api-auth protects it"
