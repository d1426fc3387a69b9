"""Checkpoints in the original single-file layout (CompVis LDM, Stability), and their VAE files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)

from modules.core.errors import ModelError
from modules.model_manager import fp8
from modules.model_manager.architecture import text_config, unet_config, vae_config
from modules.model_manager.blueprint import (
    Blueprint,
    EncoderPart,
    Part,
    Placement,
    Weights,
    checked_schedule,
    scaled_linear,
)
from modules.model_manager.detect import UNET_PREFIX, VAE_PREFIX, describe, identify
from modules.model_manager.ldm_config import LdmConfig, find_ldm_config
from modules.model_manager.pickle_file import opened
from modules.model_manager.tensor_file import Entry, Formats, Progress, TensorFile, read_tensors
from modules.model_manager.text_names import rename_text_weights
from modules.pipelines.spec import SPECS, EncoderSpec, Family, Spec

log = logging.getLogger(__name__)

PREDICTION_MARK = "v_pred"
"""A tensor of this name says that the network answers v (a convention of SDXL trainers)."""


def read_ldm_checkpoint(
    path: Path, placement: Placement, vae: Path | None, progress: Progress
) -> Blueprint:
    """Read a checkpoint; `vae` replaces its own autoencoder. Raises ModelError."""
    with opened(path, allowed=placement.allow_pickles) as file:
        return _read_checkpoint(file, placement, vae, progress)


def _read_checkpoint(
    file: TensorFile, placement: Placement, vae: Path | None, progress: Progress
) -> Blueprint:
    path = file.path
    ldm = find_ldm_config(path)
    spec = _spec(file, ldm)
    has_vae = f"{VAE_PREFIX}decoder.conv_in.weight" in file
    if vae is None and not has_vae:
        raise ModelError(path, "holds no VAE; choose one in the settings (sd_vae).")
    texts = [_text_prefix(file, row) for row in spec.encoders]
    networks = (UNET_PREFIX, *texts)
    size = _size(file, (*networks, *(() if vae else (VAE_PREFIX,)))) or 1
    share = _size(file, networks) / size
    weights = read_tensors(
        file,
        _under(file, networks),
        placement.device,
        _formats(placement, spec.family),
        lambda done: progress(done * share),
        placement.on_read,
    )
    try:
        return Blueprint(
            path=path,
            spec=spec,
            unet=_unet(file, weights, spec, ldm),
            vae=_checkpoint_vae(file, spec, placement, _rest(progress, share))
            if vae is None
            else read_ldm_vae(vae, spec.scale_factor, placement, _rest(progress, share)),
            encoders=tuple(
                _encoder(weights, row, prefix, ldm)
                for row, prefix in zip(spec.encoders, texts, strict=True)
            ),
            alphas_cumprod=_schedule(file, ldm),
        )
    except (KeyError, StopIteration) as error:
        raise ModelError(path, f"lacks the tensor {error} of a {spec.label} model.") from error


def read_ldm_vae(path: Path, scale_factor: float, placement: Placement, progress: Progress) -> Part:
    """Read a VAE from its own file, or out of a checkpoint. Raises ModelError."""
    with opened(path, allowed=placement.allow_pickles) as file:
        return _read_vae(file, scale_factor, placement, progress)


def _read_vae(
    file: TensorFile, scale_factor: float, placement: Placement, progress: Progress
) -> Part:
    path = file.path
    prefix = VAE_PREFIX if f"{VAE_PREFIX}decoder.conv_in.weight" in file else ""
    if (
        f"{prefix}encoder.conv_in.weight" not in file
        or f"{prefix}decoder.conv_in.weight" not in file
    ):
        raise ModelError(path, f"is no VAE: it is {describe(file)}.")
    if f"{prefix}decoder.mid.block_1.norm1.weight" not in file:
        raise ModelError(path, "is a VAE in an unknown layout.")
    try:
        return _vae(file, prefix, scale_factor, placement, progress)
    except KeyError as error:
        raise ModelError(path, f"lacks the tensor {error} of a VAE.") from error


def _formats(placement: Placement, family: Family) -> torch.dtype | Formats:
    """What each tensor of UNet and text encoders becomes."""
    if not fp8.is_wanted(placement.fp8, family):
        return placement.dtype

    def choose(name: str, entry: Entry) -> torch.dtype:
        is_unet = name.startswith(UNET_PREFIX)
        is_stored = is_unet and fp8.is_stored(name.removeprefix(UNET_PREFIX), entry)
        return fp8.STORAGE if is_stored else placement.dtype

    return choose


def _spec(file: TensorFile, ldm: LdmConfig | None) -> Spec:
    spec = SPECS[identify(file)]
    shape = file.shape(f"{UNET_PREFIX}input_blocks.0.0.weight")
    spec = replace(spec, in_channels=shape[1])
    if PREDICTION_MARK in file or file.metadata.get("modelspec.prediction_type") == "v":
        spec = replace(spec, prediction="v")
    if ldm is None:
        return spec
    _compare(file, ldm)
    return replace(
        spec,
        prediction=ldm.prediction,
        scale_factor=ldm.scale_factor or spec.scale_factor,
    )


def _compare(file: TensorFile, ldm: LdmConfig) -> None:
    """Refuse a yaml that describes another network than the file holds."""
    width, channels = file.shape(f"{UNET_PREFIX}input_blocks.0.0.weight")[:2]
    for name, said, held in (
        ("model_channels", ldm.model_channels, width),
        ("in_channels", ldm.in_channels, channels),
    ):
        if said is not None and said != held:
            raise ModelError(
                file.path, f"does not fit {ldm.path.name}: {name} is {said} there and {held} here."
            )


def _unet(file: TensorFile, weights: Weights, spec: Spec, ldm: LdmConfig | None) -> Part:
    heads = ldm.num_heads if ldm else None
    per_head = ldm.num_head_channels if ldm else None
    if heads is None and per_head is None:
        heads = spec.heads
    config = unet_config(file.under(UNET_PREFIX), heads, per_head)
    return Part(config, convert_ldm_unet_checkpoint(_take(weights, UNET_PREFIX, keep=True), config))


def _checkpoint_vae(file: TensorFile, spec: Spec, placement: Placement, progress: Progress) -> Part:
    return _vae(file, VAE_PREFIX, spec.scale_factor, placement, progress)


def _vae(
    file: TensorFile, prefix: str, scale_factor: float, placement: Placement, progress: Progress
) -> Part:
    config = vae_config(file.under(prefix), scale_factor)
    names = [
        name
        for name in _under(file, (prefix,))
        if not name.startswith((f"{prefix}loss.", "model_ema."))
    ]
    weights = read_tensors(file, names, placement.device, placement.vae_dtype, progress)
    return Part(config, convert_ldm_vae_checkpoint(_take(weights, prefix), config))


def _encoder(weights: Weights, row: EncoderSpec, prefix: str, ldm: LdmConfig | None) -> EncoderPart:
    renamed = rename_text_weights(_take(weights, prefix), row.layout)
    shapes = {name: tuple(tensor.shape) for name, tensor in renamed.items()}
    folder = ldm.text_folder() if ldm else None
    return EncoderPart(row, Part(text_config(shapes, row, folder), renamed), _vocabulary(folder))


def _vocabulary(folder: Path | None) -> Path | None:
    return folder if folder and (folder / "vocab.json").is_file() else None


def _schedule(file: TensorFile, ldm: LdmConfig | None) -> torch.Tensor:
    """The file's own alphas_cumprod, as A1111 takes it; else the yaml's, else SD's."""
    if "alphas_cumprod" in file:
        stored = read_tensors(file, ["alphas_cumprod"], torch.device("cpu"))
        try:
            return checked_schedule(file.path, stored["alphas_cumprod"])
        except ModelError as error:
            log.warning("%s The usual one is used.", error)
    if ldm is None:
        return scaled_linear()
    values = scaled_linear(
        ldm.linear_start or 0.00085, ldm.linear_end or 0.012, ldm.timesteps or 1000
    )
    return checked_schedule(ldm.path, values)


def _text_prefix(file: TensorFile, row: EncoderSpec) -> str:
    """The row's prefix, or the older one without `text_model.` where the file uses that."""
    if any(name.startswith(row.prefix) for name in file.entries):
        return row.prefix
    return row.prefix.removesuffix("text_model.")


def _under(file: TensorFile, prefixes: tuple[str, ...]) -> Iterable[str]:
    return [name for name in file.entries if name.startswith(prefixes)]


def _size(file: TensorFile, prefixes: tuple[str, ...]) -> int:
    entries = (file.entries[name] for name in _under(file, prefixes))
    return sum(entry.end - entry.start for entry in entries)


def _take(weights: Weights, prefix: str, *, keep: bool = False) -> Weights:
    """Move the weights under `prefix` out of `weights`; the prefix stays where `keep`."""
    cut = 0 if keep else len(prefix)
    names = [name for name in weights if name.startswith(prefix)]
    return {name[cut:]: weights.pop(name) for name in names}


def _rest(progress: Progress, share: float) -> Callable[[float], None]:
    return lambda done: progress(share + done * (1 - share))
