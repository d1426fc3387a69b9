"""The lists: samplers, models, styles … each one function and one row of the table."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from modules.api.route import EaselApp, Route
from modules.model_manager import FileKind
from modules.params import parameters, soft_inpaint
from modules.processing.prepare import LATENT_UPSCALERS
from modules.sampling.table import SAMPLERS, SCHEDULERS

ALWAYS_ON_SCRIPTS: frozenset[str] = frozenset({soft_inpaint.TITLE.lower()})
IMG2IMG_ONLY_SCRIPTS: frozenset[str] = frozenset({soft_inpaint.TITLE.lower()})
ARGUMENT_FIELDS = ("label", "value", "minimum", "maximum", "step", "choices")
"""What clients are told of a script's argument."""
"""Titles in lower case."""


class SamplerItem(BaseModel):
    """A sampler; `options` holds what differs from the usual, as text."""

    name: str
    aliases: list[str]
    options: dict[str, str]


class SchedulerItem(BaseModel):
    """A schedule type."""

    name: str
    label: str
    aliases: list[str] | None = None
    default_rho: float | None = None
    need_inner_model: bool | None = None


class UpscalerItem(BaseModel):
    """An upscaler."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    model_name: str | None = None
    model_path: str | None = None
    model_url: str | None = None
    scale: float | None = None


class LatentUpscalerItem(BaseModel):
    """A way to enlarge latents between the two passes of hires fix."""

    name: str


class ModelItem(BaseModel):
    """A checkpoint."""

    model_config = ConfigDict(protected_namespaces=())

    title: str
    model_name: str
    hash: str | None = None
    sha256: str | None = None
    filename: str
    config: str | None = None


class VaeItem(BaseModel):
    """A VAE file."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    filename: str


class LoraItem(BaseModel):
    """A LoRA, or one of its kin."""

    name: str
    alias: str
    """The name that its maker gave it; its own where there is none."""
    path: str
    metadata: dict[str, Any]
    """What its maker wrote into the file."""


class EmbeddingItem(BaseModel):
    """A textual inversion embedding."""

    step: int | None = None
    sd_checkpoint: str | None = None
    sd_checkpoint_name: str | None = None
    shape: int
    """Width."""
    vectors: int
    reason: str | None = None
    """Why it is skipped."""


class EmbeddingsReply(BaseModel):
    """The embeddings that the loaded model can use, and the others."""

    loaded: dict[str, EmbeddingItem]
    skipped: dict[str, EmbeddingItem]


class HypernetworkItem(BaseModel):
    """A hypernetwork."""

    name: str
    path: str | None = None


class StyleItem(BaseModel):
    """A saved piece of prompt."""

    name: str
    prompt: str | None = None
    negative_prompt: str | None = None


class ScriptsList(BaseModel):
    """Names of scripts by tab, in lower case."""

    txt2img: list[str]
    img2img: list[str]


def samplers() -> list[SamplerItem]:
    """All samplers."""
    return [
        SamplerItem(name=row.name, aliases=list(row.aliases), options=dict(row.options))
        for row in SAMPLERS
    ]


def schedulers() -> list[SchedulerItem]:
    """All schedule types."""
    return [
        SchedulerItem(
            name=row.name,
            label=row.label,
            aliases=list(row.aliases) or None,
            default_rho=row.default_rho,
            need_inner_model=row.need_inner_model,
        )
        for row in SCHEDULERS
    ]


class NamedPath(BaseModel):
    """A model, where it lies, and how many times larger it is said to make pictures."""

    name: str
    path: str | None = None
    scale: float | None = None


def upscalers(app: EaselApp) -> list[UpscalerItem]:
    """The upscalers that work on pictures, with the files that are there now."""
    return [
        UpscalerItem(
            name=row.name,
            model_name=row.path.stem if row.path else None,
            model_path=str(row.path) if row.path else None,
            scale=row.scale,
        )
        for row in app.models.upscalers.rows()
    ]


def realesrgan_models(app: EaselApp) -> list[NamedPath]:
    """Those of them that lie in models/RealESRGAN."""
    return [
        NamedPath(name=row.name, path=str(row.path), scale=row.scale)
        for row in app.models.upscalers.rows()
        if row.path and row.path.parent.name == "RealESRGAN"
    ]


def face_restorers() -> list[NamedPath]:
    """None: Easel restores no faces."""
    return []


def latent_upscale_modes() -> list[LatentUpscalerItem]:
    """The upscalers that work on latents."""
    return [LatentUpscalerItem(name=name) for name in LATENT_UPSCALERS]


def sd_models(app: EaselApp) -> list[ModelItem]:
    """All checkpoints; hashes are there once they have been computed."""
    return [
        ModelItem(
            title=found.title,
            model_name=found.model_name,
            hash=found.hash,
            sha256=found.sha256,
            filename=str(found.path),
            config=str(found.config) if found.config else None,
        )
        for found in app.models.catalogue.checkpoints()
    ]


def sd_vae(app: EaselApp) -> list[VaeItem]:
    """All VAE files."""
    return [
        VaeItem(model_name=name, filename=str(path))
        for name, path in app.models.vaes.files().items()
    ]


def loras(app: EaselApp) -> list[LoraItem]:
    """All LoRAs, with everything that their makers wrote into them."""
    items = []
    for file in app.models.library.files(FileKind.LORA):
        metadata = file.header_metadata()
        items.append(
            LoraItem(
                name=file.name,
                alias=metadata.get("ss_output_name") or file.name,
                path=str(file.path),
                metadata={
                    key: _decoded(value)
                    for key, value in metadata.items()
                    if key != "ssmd_cover_images"  # pictures, megabytes of them
                },
            )
        )
    return items


def embeddings(app: EaselApp) -> EmbeddingsReply:
    """All textual inversion embeddings; which of them fit the loaded model."""
    reply = EmbeddingsReply(loaded={}, skipped={})
    allowed = app.settings.view()["allow_pickles"]
    widths = app.models.state.text_widths or None
    for row in app.models.networks.embeddings.listed(widths, allow_pickles=allowed):
        info = row.info
        (reply.skipped if row.reason else reply.loaded)[row.name] = EmbeddingItem(
            step=info.step if info else None,
            sd_checkpoint=info.sd_checkpoint if info else None,
            sd_checkpoint_name=info.sd_checkpoint_name if info else None,
            shape=info.shape if info else 0,
            vectors=info.vectors if info else 0,
            reason=row.reason or None,
        )
    return reply


def hypernetworks(app: EaselApp) -> list[HypernetworkItem]:
    """All hypernetworks."""
    return [
        HypernetworkItem(name=file.name, path=str(file.path))
        for file in app.models.library.files(FileKind.HYPERNETWORK)
    ]


def _decoded(value: str) -> Any:
    """A header's value; objects in JSON are read, as A1111 reads them."""
    if value.startswith("{"):
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(value)
    return value


def prompt_styles(app: EaselApp) -> list[StyleItem]:
    """All styles."""
    return [
        StyleItem(name=style.name, prompt=style.prompt, negative_prompt=style.negative_prompt)
        for style in app.styles.styles.values()
    ]


def scripts(app: EaselApp) -> ScriptsList:
    """Names of the scripts that requests may name."""
    names = {
        kind: {str(script.name) for script in app.scripts.selectable(kind)}
        for kind in ("txt2img", "img2img")
    }
    return ScriptsList(
        txt2img=sorted(names["txt2img"] | (ALWAYS_ON_SCRIPTS - IMG2IMG_ONLY_SCRIPTS)),
        img2img=sorted(names["img2img"] | ALWAYS_ON_SCRIPTS),
    )


def script_info(app: EaselApp) -> list[dict[str, Any]]:
    """The scripts' arguments, in the order in which `script_args` holds them."""
    rows = [_soft_inpainting()]
    for kind in ("txt2img", "img2img"):
        for script in app.scripts.selectable(kind):
            controls = app.scripts.controls(script)
            arguments = [{name: getattr(one, name) for name in ARGUMENT_FIELDS} for one in controls]
            rows.append(
                {
                    "name": script.name,
                    "is_alwayson": False,
                    "is_img2img": kind == "img2img",
                    "args": arguments,
                }
            )
    return rows


def _soft_inpainting() -> dict[str, Any]:
    arguments = [
        {
            "label": row.face.label,
            "value": row.ui_default,
            "minimum": getattr(row.face.widget, "minimum", None),
            "maximum": getattr(row.face.widget, "maximum", None),
            "step": getattr(row.face.widget, "step", None),
            "choices": None,
        }
        for row in parameters(soft_inpaint.SoftInpaint)
    ]
    return {
        "name": soft_inpaint.TITLE.lower(),
        "is_alwayson": True,
        "is_img2img": True,
        "args": arguments,
    }


def extensions() -> list[dict[str, Any]]:
    """The installed extensions."""
    return []


ROUTES = (
    Route("GET", "/sdapi/v1/samplers", samplers),
    Route("GET", "/sdapi/v1/schedulers", schedulers),
    Route("GET", "/sdapi/v1/upscalers", upscalers),
    Route("GET", "/sdapi/v1/realesrgan-models", realesrgan_models),
    Route("GET", "/sdapi/v1/face-restorers", face_restorers),
    Route("GET", "/sdapi/v1/latent-upscale-modes", latent_upscale_modes),
    Route("GET", "/sdapi/v1/sd-models", sd_models),
    Route("GET", "/sdapi/v1/sd-vae", sd_vae),
    Route("GET", "/sdapi/v1/loras", loras),
    Route("GET", "/sdapi/v1/embeddings", embeddings),
    Route("GET", "/sdapi/v1/hypernetworks", hypernetworks),
    Route("GET", "/sdapi/v1/prompt-styles", prompt_styles),
    Route("GET", "/sdapi/v1/scripts", scripts),
    Route("GET", "/sdapi/v1/script-info", script_info),
    Route("GET", "/sdapi/v1/extensions", extensions),
)
