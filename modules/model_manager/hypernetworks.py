"""Hypernetworks: small networks that turn the context of every attention layer (use only).

Layout of A1111's files: by width of the context a pair of networks, for keys and for values,
each a chain of linear layers with an activation between them; what a chain makes is added to its
input (A1111 1.10 behaviour). Trained ones lie about as `.pt`; `.safetensors` with the names
`<width>.<0 or 1>.linear.<n>.weight` is read too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from modules.core.errors import ModelError
from modules.model_manager.pickle_file import PICKLES, read_small
from modules.model_manager.tensor_file import open_tensors, read_tensors
from modules.pipelines.sd import StableDiffusion

_OLD_NAMES: Final = {"linear1": "linear.0", "linear2": "linear.1"}
"""Of files from before 2022-10-18."""
_ACTIVATIONS: Final[Mapping[str, type[nn.Module]]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "swish": nn.Hardswish,
    "hardswish": nn.Hardswish,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "selu": nn.SELU,
    "celu": nn.CELU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "hardtanh": nn.Hardtanh,
    "hardsigmoid": nn.Hardsigmoid,
    "relu6": nn.ReLU6,
    "logsigmoid": nn.LogSigmoid,
    "tanhshrink": nn.Tanhshrink,
}


@dataclass(frozen=True, slots=True, eq=False)
class Hypernetwork:
    """A hypernetwork in memory (CPU, float32)."""

    name: str
    chains: Mapping[int, tuple[nn.Sequential, nn.Sequential]]
    """For keys and for values, by width of the context."""


def read_hypernetwork(path: Path, *, allow_pickles: bool) -> Hypernetwork:
    """Read a file. Raises ModelError where it is damaged, none, or a pickle that is not allowed."""
    content: Any
    if path.suffix.lower() in PICKLES:
        content = read_small(path, allowed=allow_pickles)
    else:
        content = _read_safetensors(path)
    if not isinstance(content, Mapping):
        raise ModelError(path, "is no hypernetwork.")
    activation = str(content.get("activation_func") or "linear").lower()
    if activation not in _ACTIVATIONS:
        raise ModelError(path, f"uses the unknown activation {activation}.")
    ends_active = bool(content.get("activate_output", False))
    chains = {}
    for width, pair in content.items():
        if isinstance(width, int) and isinstance(pair, list | tuple) and len(pair) >= 2:
            keys, values = (
                _chain(path, part, width, _ACTIVATIONS[activation], ends_active=ends_active)
                for part in pair[:2]
            )
            chains[width] = keys, values
    if not chains:
        raise ModelError(path, "is no hypernetwork.")
    return Hypernetwork(path.stem, chains)


@contextmanager
def hypernetworks_on(
    pipeline: StableDiffusion, uses: Sequence[tuple[Hypernetwork, float]]
) -> Iterator[None]:
    """Inside, each hypernetwork turns the context, in order, as much as its multiplier says."""
    if not uses:
        yield
        return
    moved = [(_moved(one, pipeline), multiplier) for one, multiplier in uses]
    with ExitStack() as hooks:
        for module in pipeline.networks.unet.modules():
            for place, name in enumerate(("to_k", "to_v")):
                layer = getattr(module, name, None)
                if isinstance(layer, nn.Linear):
                    handle = layer.register_forward_pre_hook(_Turn(moved, place))
                    hooks.callback(handle.remove)
        yield


class _Turn:
    """Runs before a layer of keys (`place` 0) or values (1)."""

    def __init__(self, uses: Sequence[tuple[Hypernetwork, float]], place: int) -> None:
        self._uses = uses
        self._place = place

    def __call__(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        context, *rest = arguments
        for network, multiplier in self._uses:
            pair = network.chains.get(context.shape[-1])
            if pair is not None:
                context = context + pair[self._place](context) * multiplier
        return (context, *rest)


def _moved(network: Hypernetwork, pipeline: StableDiffusion) -> Hypernetwork:
    """A copy where the model is, in the format that it computes in."""
    return Hypernetwork(
        network.name,
        {
            width: (
                copy.deepcopy(pair[0]).to(pipeline.device, pipeline.dtype),
                copy.deepcopy(pair[1]).to(pipeline.device, pipeline.dtype),
            )
            for width, pair in network.chains.items()
        },
    )


def _chain(
    path: Path, part: Any, width: int, activation: type[nn.Module], *, ends_active: bool
) -> nn.Sequential:
    """One chain: matrices are linear layers, vectors alone are layer norms, by their numbers."""
    layers: dict[int, dict[str, Tensor]] = {}
    for name, tensor in part.items() if isinstance(part, Mapping) else ():
        for old, new in _OLD_NAMES.items():
            name = str(name).replace(f"{old}.", f"{new}.")
        pieces = str(name).split(".")
        if len(pieces) == 3 and pieces[1].isdecimal() and isinstance(tensor, Tensor):
            layers.setdefault(int(pieces[1]), {})[pieces[2]] = tensor.float()
    ordered = [layers[number] for number in sorted(layers)]
    linear = [index for index, one in enumerate(ordered) if _is_matrix(one)]
    made: list[nn.Module] = []
    size = width
    for index, tensors in enumerate(ordered):
        if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
            raise ModelError(path, "holds values that are not numbers.")
        weight = tensors.get("weight")
        if weight is None or weight.shape[-1] != size:
            raise ModelError(path, f"has layers that do not fit together (width {width}).")
        module: nn.Module
        if _is_matrix(tensors):
            size = weight.shape[0]
            module = nn.Linear(weight.shape[1], size, bias="bias" in tensors)
        else:
            module = nn.LayerNorm(size)
        try:
            module.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelError(path, f"has a damaged layer (width {width}).") from error
        made.append(module)
        if _is_matrix(tensors) and (index != linear[-1] or ends_active):
            made.append(activation())
    if not linear or size != width:
        raise ModelError(path, f"has layers that do not fit together (width {width}).")
    return nn.Sequential(*made).requires_grad_(False).eval()


def _is_matrix(tensors: Mapping[str, Tensor]) -> bool:
    return "weight" in tensors and tensors["weight"].dim() == 2


def _read_safetensors(path: Path) -> dict[Any, Any]:
    """The layout of a pickle, from flat names; what is not a tensor stands in the metadata."""
    file = open_tensors(path)
    content: dict[Any, Any] = dict(file.metadata)
    for name, tensor in read_tensors(file, file.entries, torch.device("cpu")).items():
        width, _, rest = name.partition(".")
        place, _, own = rest.partition(".")
        if width.isdecimal() and place in ("0", "1"):
            pair = content.setdefault(int(width), ({}, {}))
            pair[int(place)][own] = tensor
    if content.get("activate_output") in ("False", "false", "0"):
        content["activate_output"] = False
    return content
