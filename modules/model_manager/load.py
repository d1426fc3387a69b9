"""The one path from a file or folder to a pipeline."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from modules.core.errors import ModelError
from modules.model_manager.blueprint import Blueprint, Placement
from modules.model_manager.build import build, build_vae, check_latents
from modules.model_manager.check import PICKLES
from modules.model_manager.choice import Fp8Storage
from modules.model_manager.diffusers_folder import (
    is_diffusers_folder,
    read_diffusers_folder,
    read_folder_vae,
)
from modules.model_manager.folder_files import (
    NETWORKS,
    find_weights,
    is_pickled,
    naming,
    pickled_parts,
)
from modules.model_manager.fp8 import is_wanted, widen_on_use
from modules.model_manager.ldm_file import read_ldm_checkpoint, read_ldm_vae
from modules.model_manager.origin import Origin
from modules.model_manager.probe import probe_prediction
from modules.model_manager.tensor_file import Progress, open_sharded, open_tensors
from modules.pipelines.sd import StableDiffusion

log = logging.getLogger(__name__)

PICKLED_ITEM_BYTES = 2
"""Of a number in a pickle, as far as can be told without opening it."""


def load_checkpoint(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    vae: Path | None = None,
    vae_dtype: torch.dtype | None = None,
    progress: Progress | None = None,
    fp8: Fp8Storage = "Disable",
    allow_pickles: bool = False,
) -> StableDiffusion:
    """Load a `.safetensors` checkpoint, a pickle, or a diffusers folder; asks no hub.

    `vae` is a file that replaces the model's own autoencoder, which computes in `vae_dtype`
    (`dtype` where None). `progress` hears the fraction read. `fp8` and `allow_pickles` are the
    settings of these names. Raises ModelError naming the file.
    """
    started = time.perf_counter()
    origin = Origin()
    placement = Placement(
        torch.device(device), dtype, vae_dtype or dtype, fp8, allow_pickles, origin.note
    )
    blueprint = _read(path, placement, vae, progress or _silent)
    check_latents(vae or path, blueprint.vae, blueprint.spec)
    pipeline = build(blueprint)
    pipeline.origin = origin
    if is_wanted(fp8, pipeline.spec.family):
        widen_on_use(pipeline.networks.unet)
    if blueprint.spec.prediction is None:
        pipeline.spec = replace(blueprint.spec, prediction=probe_prediction(pipeline))
    log.info("Loaded %s in %.2f s", path.name, time.perf_counter() - started)
    return pipeline


def read_vae(
    pipeline: StableDiffusion,
    vae: Path | None,
    vae_dtype: torch.dtype,
    progress: Progress | None = None,
    *,
    allow_pickles: bool = False,
) -> AutoencoderKL:
    """The autoencoder in the file `vae`, or `pipeline`'s own where None. Raises ModelError."""
    path = pipeline.networks.path
    placement = Placement(pipeline.device, pipeline.dtype, vae_dtype, allow_pickles=allow_pickles)
    heard = progress or _silent
    if vae is None and is_diffusers_folder(path):
        part = read_folder_vae(path, placement, heard)
    else:
        part = read_ldm_vae(vae or path, pipeline.spec.scale_factor, placement, heard)
    check_latents(vae or path, part, pipeline.spec)
    return build_vae(vae or path, part)


def size_in_memory(path: Path, dtype: torch.dtype) -> int:
    """Bytes that the tensors of a checkpoint or diffusers folder take in `dtype`.

    Of pickles at most as many as if they held numbers of 2 bytes. 0 where `path` is something
    else. Raises ModelError where a file cannot be read.
    """
    if path.is_dir():
        size = 0
        for weights in filter(None, (find_weights(path / network) for network in NETWORKS)):
            with naming(path, weights):
                size += _weights_size(weights, dtype)
        return size
    return _weights_size(path, dtype) if path.suffix.lower() in (".safetensors", *PICKLES) else 0


def _weights_size(weights: Path, dtype: torch.dtype) -> int:
    if is_pickled(weights):
        stored = sum(part.stat().st_size for part in pickled_parts(weights) if part.is_file())
        return stored * max(1, dtype.itemsize // PICKLED_ITEM_BYTES)
    file = open_sharded(weights) if weights.suffix == ".json" else open_tensors(weights)
    return sum(math.prod(entry.shape) for entry in file.entries.values()) * dtype.itemsize


def _read(path: Path, placement: Placement, vae: Path | None, progress: Progress) -> Blueprint:
    if is_diffusers_folder(path):
        return read_diffusers_folder(path, placement, vae, progress)
    if path.suffix.lower() not in (".safetensors", *PICKLES):
        raise ModelError(path, "is neither a .safetensors file nor a diffusers folder.")
    return read_ldm_checkpoint(path, placement, vae, progress)


def _silent(_done: float) -> None:
    """Nobody listens."""
