"""Models as diffusers saves them: a folder with model_index.json and one folder per network."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from modules.core.errors import ModelError
from modules.model_manager import fp8
from modules.model_manager.architecture import text_config
from modules.model_manager.blueprint import (
    Blueprint,
    EncoderPart,
    Part,
    Placement,
    Weights,
    checked_schedule,
    scaled_linear,
)
from modules.model_manager.check import check_weights
from modules.model_manager.folder_files import find_weights, is_pickled, naming, pickled_parts
from modules.model_manager.ldm_file import read_ldm_vae
from modules.model_manager.pickle_file import converted_checkpoint
from modules.model_manager.tensor_file import (
    Formats,
    Progress,
    TensorFile,
    open_sharded,
    open_tensors,
    read_tensors,
)
from modules.model_manager.text_names import rename_text_weights
from modules.pipelines.spec import SPECS, EncoderSpec, Family, Prediction, Spec

INDEX = "model_index.json"
_Source = TensorFile | Path
"""An open safetensors file, or a pickle."""
_PREDICTIONS: Mapping[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}
_OLD_ATTENTION = (
    (".query.", ".to_q."),
    (".key.", ".to_k."),
    (".value.", ".to_v."),
    (".proj_attn.", ".to_out.0."),
)
"""Names of the VAE's attention before diffusers 0.15."""


def is_diffusers_folder(path: Path) -> bool:
    """Whether `path` is a folder that a diffusers pipeline was saved to."""
    return (path / INDEX).is_file()


def read_diffusers_folder(
    path: Path, placement: Placement, vae: Path | None, progress: Progress
) -> Blueprint:
    """Read every network of the folder; `vae` replaces its own autoencoder. Raises ModelError."""
    unet_config = _json(path / "unet" / "config.json")
    spec = _spec(path, unet_config)
    names = ["unet", *(("vae",) if vae is None else ()), *(row.folder for row in spec.encoders)]
    networks = {name: _open(path, name, placement) for name in names}
    total = sum(map(_size, networks.values()))
    before = 0
    read: dict[str, Weights] = {}
    for name, parts in networks.items():
        dtype = _formats(name, placement, spec.family)
        heard = _span(progress, before, _size(parts), total)
        # a VAE may be replaced, and its memory must not be held then
        place = replace(placement, on_read=None) if name == "vae" else placement
        read[name] = _read(path, parts, place, dtype, heard)
        before += _size(parts)
    vae_part = (
        read_ldm_vae(vae, spec.scale_factor, placement, progress)
        if vae is not None
        else _vae(path, read["vae"])
    )
    try:
        encoders = tuple(_encoder(path, row, read[row.folder]) for row in spec.encoders)
    except KeyError as error:
        raise ModelError(path, f"lacks the tensor {error} of a text encoder.") from error
    return Blueprint(
        path, spec, _unet(unet_config, read["unet"]), vae_part, encoders, _alphas(path)
    )


def _formats(network: str, placement: Placement, family: Family) -> torch.dtype | Formats:
    """What the tensors of a network become."""
    if network == "vae":
        return placement.vae_dtype
    if network != "unet" or not fp8.is_wanted(placement.fp8, family):
        return placement.dtype
    return lambda name, entry: fp8.STORAGE if fp8.is_stored(name, entry) else placement.dtype


def read_folder_vae(path: Path, placement: Placement, progress: Progress) -> Part:
    """Read the autoencoder of a folder alone. Raises ModelError."""
    parts = _open(path, "vae", placement)
    return _vae(path, _read(path, parts, placement, placement.vae_dtype, progress))


def _spec(path: Path, unet: Mapping[str, Any]) -> Spec:
    has_first = (path / "text_encoder").is_dir()
    if (path / "text_encoder_2").is_dir():
        family = Family.SDXL if has_first else Family.SDXL_REFINER
    elif has_first and "cross_attention_dim" in unet:
        family = Family.SD2 if unet.get("use_linear_projection") else Family.SD1
    else:
        name = _json(path / INDEX).get("_class_name")
        raise ModelError(path, f"is a {name}, which Easel cannot load.")
    spec = SPECS[family]
    if family is Family.SD2:
        # diffusers saves SD2's text encoder without its unused last layer
        spec = replace(spec, encoders=tuple(replace(row, fixed_skip=1) for row in spec.encoders))
    scheduler = _scheduler(path)
    scale = _json(path / "vae" / "config.json").get("scaling_factor", spec.scale_factor)
    return replace(
        spec,
        in_channels=int(unet.get("in_channels", 4)),
        scale_factor=float(scale),
        prediction=_PREDICTIONS.get(str(scheduler.get("prediction_type")), spec.prediction),
    )


def _unet(config: Mapping[str, Any], weights: Weights) -> Part:
    arguments = _arguments(UNet2DConditionModel, config)
    if arguments.get("addition_embed_type") == "text_time":
        # the whole vector at once, see architecture.unet_config
        arguments |= {"addition_embed_type": None, "class_embed_type": "projection"}
        weights = {
            name.replace("add_embedding.", "class_embedding."): tensor
            for name, tensor in weights.items()
        }
    return Part(arguments, weights)


def _vae(path: Path, weights: Weights) -> Part:
    renamed: Weights = {}
    for name, tensor in weights.items():
        new = name
        if ".attentions." in name:
            for old, modern in _OLD_ATTENTION:
                new = new.replace(old, modern)
        renamed[new] = tensor
    return Part(_arguments(AutoencoderKL, _json(path / "vae" / "config.json")), renamed)


def _encoder(path: Path, row: EncoderSpec, weights: Weights) -> EncoderPart:
    bare = {name.removeprefix("text_model."): tensor for name, tensor in weights.items()}
    # both layouts have transformers' names here
    renamed = rename_text_weights(bare, "clip")
    shapes = {name: tuple(tensor.shape) for name, tensor in renamed.items()}
    tokenizer = path / row.folder.replace("text_encoder", "tokenizer")
    return EncoderPart(
        row,
        Part(text_config(shapes, row, path / row.folder), renamed),
        tokenizer if (tokenizer / "vocab.json").is_file() else None,
    )


def _alphas(path: Path) -> torch.Tensor:
    config = _scheduler(path)
    start = float(config.get("beta_start", 0.00085))
    end = float(config.get("beta_end", 0.012))
    steps = int(config.get("num_train_timesteps", 1000))
    kind = config.get("beta_schedule", "scaled_linear")
    if kind == "scaled_linear":
        return checked_schedule(path, scaled_linear(start, end, steps))
    if kind == "linear":
        betas = torch.linspace(start, end, steps, dtype=torch.float64)
        return checked_schedule(path, torch.cumprod(1 - betas, dim=0))
    raise ModelError(path, f"has the noise schedule {kind!r}; scaled_linear and linear are known.")


def _scheduler(path: Path) -> dict[str, Any]:
    file = path / "scheduler" / "scheduler_config.json"
    return _json(file) if file.is_file() else {}


def _arguments(model: type, config: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(model).parameters
    return {name: value for name, value in config.items() if name in known}


def _open(model: Path, network: str, placement: Placement) -> Sequence[_Source]:
    """The weights of one network: safetensors, opened, or pickles, which are opened when read."""
    weights = find_weights(model / network)
    if weights is None:
        raise ModelError(model / network, "holds no .safetensors file.")
    if not is_pickled(weights):
        is_index = weights.suffix == ".json"
        return [open_sharded(weights) if is_index else open_tensors(weights)]
    check_weights(model, weights, allow_pickles=placement.allow_pickles)
    with naming(model, weights):
        return pickled_parts(weights)


def _read(
    model: Path,
    parts: Sequence[_Source],
    placement: Placement,
    dtype: torch.dtype | Formats,
    progress: Progress,
) -> Weights:
    """All tensors of a network; of its pickles only one is converted at a time."""
    read: Weights = {}
    before, total = 0, _size(parts)
    for part in parts:
        size = _size([part])
        heard = _span(progress, before, size, total)
        with _opened(model, part, placement) as file:
            read |= read_tensors(
                file, file.entries, placement.device, dtype, heard, placement.on_read
            )
        before += size
    return read


@contextmanager
def _opened(model: Path, part: _Source, placement: Placement) -> Iterator[TensorFile]:
    if isinstance(part, TensorFile):
        yield part
        return
    with naming(model, part), converted_checkpoint(part, allowed=placement.allow_pickles) as file:
        yield file


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(path, f"cannot be read ({error}).") from error
    if not isinstance(document, dict):
        raise ModelError(path, "is not a JSON object.")
    return document


def _size(parts: Sequence[_Source]) -> int:
    """Bytes to read; of a pickle those of its file, which are hardly more."""
    files = [part for part in parts if isinstance(part, TensorFile)]
    pickles = [part for part in parts if isinstance(part, Path)]
    entries = [entry for file in files for entry in file.entries.values()]
    return sum(entry.end - entry.start for entry in entries) + sum(map(_file_size, pickles))


def _file_size(path: Path) -> int:
    return path.stat().st_size


def _span(progress: Progress, before: int, size: int, total: int) -> Progress:
    """What hears a part of `size` of `total` bytes, after `before` bytes."""
    return lambda done: progress((before + done * size) / (total or 1))
