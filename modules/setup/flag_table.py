"""The command line's flags, one row each: A1111 1.10's 126 names and defaults.

A row whose effect is IGNORED is accepted so that old start scripts go on working; its help
says why it does nothing here, and a user who gives it is told so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What stands after a flag."""

    SWITCH = "switch"
    SWITCH_OFF = "switch_off"
    TEXT = "text"
    NUMBER = "number"
    PATH = "path"
    PATHS = "paths"
    TEXTS = "texts"
    WORDS = "words"
    JSON = "json"


class Effect(Enum):
    USED = "used"
    IGNORED = "ignored"


USED: Final = Effect.USED
IGNORED: Final = Effect.IGNORED


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. A PATH default may start with {root}, {data} or {models}."""

    name: str
    kind: Kind
    effect: Effect
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def dest(self) -> str:
        """The attribute's name: --no-half-vae gives no_half_vae."""
        return self.name.lstrip("-").replace("-", "_")


def _on(name: str, help: str, default: bool = False) -> Flag:
    return Flag(name, Kind.SWITCH, USED, help, default)


def _off(name: str, reason: str, default: bool = False) -> Flag:
    return Flag(name, Kind.SWITCH, IGNORED, reason, default)


def _path(name: str, help: str, default: str | None = None) -> Flag:
    return Flag(name, Kind.PATH, USED, help, default)


_ONE_LOADER = "Easel has one way to load models"
_ATTENTION = "torch's own attention is used, which is as fast"
_GRADIO = "belongs to an older gradio"
_SETUP = "Easel's first run does this by itself"
_MEMORY = "Easel decides by itself what stays in device memory"
_WHOLE = "the model at work lies on the device as a whole; the setting fp8_storage takes half of it"
_SPANDREL = "upscalers lie in the folders below models"
_NO_TOOL = "Easel has no such tool"
_NOT_ASKED = "Easel does this always"

FOLDER_FLAGS: Final = (
    _path("--data-dir", "folder for outputs, settings, styles and models", "{root}"),
    _path("--models-dir", "folder of all models", None),
    Flag("--ckpt-dir", Kind.PATHS, USED, "one more folder of checkpoints; may be repeated"),
    _path("--vae-dir", "one more folder of VAEs"),
    _path("--lora-dir", "folder of LoRAs", "{models}/Lora"),
    _path("--embeddings-dir", "folder of textual inversion embeddings", "{models}/embeddings"),
    _path("--hypernetwork-dir", "folder of hypernetworks", "{models}/hypernetworks"),
    _path("--ckpt", "checkpoint to load when the settings name none", "{root}/model.ckpt"),
    _path("--vae-path", "VAE that takes the place of every checkpoint's own"),
    Flag("--styles-file", Kind.TEXTS, USED, "file or pattern of styles; may be repeated", []),
    _path("--ui-settings-file", "the user's settings", "{data}/config.json"),
    _path("--ui-config-file", "the form's own defaults", "{data}/ui-config.json"),
)

SERVER_FLAGS: Final = (
    _on("--listen", "answer other machines too; combine it with --gradio-auth and --api-auth"),
    Flag("--server-name", Kind.TEXT, USED, "address to listen on, such as 192.168.0.5"),
    Flag("--port", Kind.NUMBER, USED, "port; 7860 with the page, 7861 with --nowebui"),
    Flag("--gradio-auth", Kind.TEXT, USED, "who may use the page: name:word,…", secret=True),
    _path("--gradio-auth-path", "file of name:word lines for the page"),
    Flag("--api-auth", Kind.TEXT, USED, "who may use the API: name:word,…", secret=True),
    _on("--api", "answer REST requests below /sdapi/v1"),
    _on("--nowebui", "only the REST API, no page"),
    _on("--api-log", "log every request to the API"),
    _on("--api-server-stop", "let the API stop and restart the server"),
    _off("--add-stop-route", "--api-server-stop does this"),
    Flag("--cors-allow-origins", Kind.TEXT, USED, "other sites that may call the API: a,b,…"),
    Flag("--cors-allow-origins-regex", Kind.TEXT, USED, "the same, as a regular expression"),
    _path("--tls-keyfile", "key for HTTPS"),
    _path("--tls-certfile", "certificate for HTTPS"),
    Flag("--subpath", Kind.TEXT, USED, "path below which a reverse proxy shows the page"),
    Flag("--timeout-keep-alive", Kind.NUMBER, USED, "seconds an idle connection is kept", 30),
    Flag("--theme", Kind.TEXT, USED, "light or dark"),
    _on("--autolaunch", "open the page in a browser"),
    Flag("--loglevel", Kind.TEXT, USED, "DEBUG, INFO, WARNING or ERROR"),
)

DEVICE_FLAGS: Final = (
    Flag("--device-id", Kind.TEXT, USED, "number of the accelerator to use"),
    Flag("--use-cpu", Kind.WORDS, USED, "parts to compute on the CPU; 'all' for everything", []),
    _on("--no-half", "compute in 32 bits"),
    _on("--no-half-vae", "compute the VAE in 32 bits"),
    Flag(
        "--precision",
        Kind.TEXT,
        USED,
        "floating-point width",
        "autocast",
        ("full", "half", "autocast"),
    ),
    _off("--upcast-sampling", "Easel chooses the precision itself"),
)

PROGRAM_FLAGS: Final = (
    _on("--skip-install", "install nothing; use this Python as it is"),
    _on("--skip-load-model-at-start", "load the first model when it is needed"),
    _on("--no-hashing", "never compute the hash of a model file"),
    _off("--allow-code", "no script runs code that a request brings"),
    _off("--enable-insecure-extension-access", "the page installs no extensions yet"),
    _on("--disable-all-extensions", "load no extension"),
    _on("--disable-extra-extensions", "load only the extensions that come with Easel"),
)

IGNORED_FLAGS: Final = (
    _off("-f", "notebooks add it; it says nothing"),
    _off("--update-all-extensions", "update them in their folders"),
    _off("--skip-python-version-check", "older Pythons cannot run Easel's libraries"),
    _off("--skip-torch-cuda-test", "Easel runs with and without an accelerator"),
    _off("--reinstall-xformers", _ATTENTION),
    _off("--reinstall-torch", "delete the folder .venv instead"),
    _off("--update-check", "Easel does not look for updates"),
    _off("--test-server", "run the tests with --test"),
    _off("--log-startup", "start times are logged always"),
    _off("--skip-prepare-environment", "use --skip-install"),
    _off("--dump-sysinfo", _NO_TOOL),
    _off("--do-not-download-clip", "Easel downloads no model"),
    Flag("--gfpgan-dir", Kind.TEXT, IGNORED, _SPANDREL, "./GFPGAN"),
    Flag("--gfpgan-model", Kind.TEXT, IGNORED, _SPANDREL),
    _off("--no-progressbar-hiding", _GRADIO),
    Flag("--max-batch-count", Kind.NUMBER, IGNORED, "the limits are in ui-config.json", 16),
    _off("--medvram", _WHOLE),
    _off("--medvram-sdxl", _WHOLE),
    _off("--lowvram", _WHOLE),
    _off("--lowram", _MEMORY),
    _off("--always-batch-cond-uncond", _MEMORY),
    _off("--unload-gfpgan", _MEMORY),
    _off("--share", "gradio's tunnel is a downloaded program; use ssh -R or a reverse proxy"),
    Flag("--ngrok", Kind.TEXT, IGNORED, "start ngrok beside Easel", secret=True),
    Flag("--ngrok-region", Kind.TEXT, IGNORED, "start ngrok beside Easel", ""),
    Flag("--ngrok-options", Kind.JSON, IGNORED, "start ngrok beside Easel", {}),
    Flag("--clip-models-path", Kind.PATH, IGNORED, "interrogators lie below models"),
    _off("--xformers", _ATTENTION),
    _off("--force-enable-xformers", _ATTENTION),
    _off("--xformers-flash-attention", _ATTENTION),
    _off("--deepdanbooru", "it belongs to a version long past"),
    _off("--opt-split-attention", _ATTENTION),
    _off("--opt-sub-quad-attention", _ATTENTION),
    Flag("--sub-quad-q-chunk-size", Kind.NUMBER, IGNORED, _ATTENTION, 1024),
    Flag("--sub-quad-kv-chunk-size", Kind.NUMBER, IGNORED, _ATTENTION),
    Flag("--sub-quad-chunk-threshold", Kind.NUMBER, IGNORED, _ATTENTION),
    _off("--opt-split-attention-invokeai", _ATTENTION),
    _off("--opt-split-attention-v1", _ATTENTION),
    _off("--opt-sdp-attention", _NOT_ASKED),
    _off("--opt-sdp-no-mem-attention", _ATTENTION),
    _off("--disable-opt-split-attention", _ATTENTION),
    _off("--disable-nan-check", "the check costs nothing"),
    _off("--use-ipex", "torch finds Intel devices by itself"),
    _off("--disable-model-loading-ram-optimization", _ONE_LOADER),
    _off("--show-negative-prompt", "it is shown always"),
    _off("--hide-ui-dir-config", "not offered yet"),
    _off("--freeze-settings", "not offered yet"),
    Flag("--freeze-settings-in-sections", Kind.TEXT, IGNORED, "not offered yet"),
    Flag("--freeze-specific-settings", Kind.TEXT, IGNORED, "not offered yet"),
    _off("--gradio-debug", "use --loglevel DEBUG"),
    Flag("--gradio-img2img-tool", Kind.TEXT, IGNORED, _GRADIO),
    Flag("--gradio-inpaint-tool", Kind.TEXT, IGNORED, _GRADIO),
    Flag(
        "--gradio-allowed-path",
        Kind.TEXTS,
        IGNORED,
        "pictures are served from the outputs only",
        ["{data}"],
    ),
    _off("--opt-channelslast", "it gained nothing measurable"),
    _off("--use-textbox-seed", "the seed is typed always"),
    _off("--disable-console-progressbars", "progress is shown on the page"),
    _off("--enable-console-prompts", "prompts are logged with --loglevel DEBUG only"),
    _off("--disable-safe-unpickle", "see the setting allow_pickles; code in files is never run"),
    _off("--ui-debug-mode", "use --skip-load-model-at-start"),
    _off("--administrator", "Easel does not care who starts it"),
    Flag("--disable-tls-verify", Kind.SWITCH_OFF, IGNORED, "certificates are not checked at start"),
    _off("--gradio-queue", _NOT_ASKED, default=True),
    _off("--no-gradio-queue", "the page needs its queue"),
    _off("--skip-version-check", "the first run installs the versions that fit"),
    _off("--no-download-sd-model", "Easel downloads no model"),
    _off("--unix-filenames-sanitization", "names are made safe for every system"),
    Flag("--filenames-max-length", Kind.NUMBER, IGNORED, "the limit is fixed", 128),
    _off("--no-prompt-history", "the last infotext is always kept"),
    Flag("--config", Kind.PATH, IGNORED, _ONE_LOADER, "{root}/configs/v1-inference.yaml"),
    Flag(
        "--textual-inversion-templates-dir",
        Kind.PATH,
        IGNORED,
        _NO_TOOL,
        "{data}/textual_inversion_templates",
    ),
    Flag("--localizations-dir", Kind.PATH, IGNORED, "not offered yet", "{root}/localizations"),
    Flag("--codeformer-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/Codeformer"),
    Flag("--gfpgan-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/GFPGAN"),
    Flag("--esrgan-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/ESRGAN"),
    Flag("--bsrgan-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/BSRGAN"),
    Flag("--realesrgan-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/RealESRGAN"),
    Flag("--dat-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/DAT"),
    Flag("--ldsr-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/LDSR"),
    Flag(
        "--lyco-dir-backcompat",
        Kind.PATH,
        IGNORED,
        "put them in the LoRA folder",
        "{models}/LyCORIS",
    ),
    Flag("--scunet-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/ScuNET"),
    Flag("--swinir-models-path", Kind.PATH, IGNORED, _SPANDREL, "{models}/SwinIR"),
)

GROUPS: Final[dict[str, tuple[Flag, ...]]] = {
    "files": FOLDER_FLAGS,
    "server": SERVER_FLAGS,
    "device": DEVICE_FLAGS,
    "program": PROGRAM_FLAGS,
    "accepted without effect": IGNORED_FLAGS,
}

FLAGS: Final = tuple(flag for flags in GROUPS.values() for flag in flags)
