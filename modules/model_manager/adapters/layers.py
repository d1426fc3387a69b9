"""The layers of a loaded model under every name that adapter files call them.

Knows naming schemes: kohya's (`lora_unet_…`, `lora_te1_…`), LDM's, diffusers' and PEFT's. A name
of a file is first made canonical (`canonical_name`): part, underscore, path with underscores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import torch

from modules.model_manager.adapters.ldm_names import ldm_names
from modules.pipelines.sd import StableDiffusion

Part = Literal["unet", "text"]

PREFIXES: Final = (
    ("base_model.model.", ""),
    ("model.diffusion_model.", "unet."),
    ("diffusion_model.", "unet."),
    ("lora_unet_", "unet."),
    ("lycoris_unet_", "unet."),
    ("lora_te1_", "te1."),
    ("lora_te2_", "te2."),
    ("lora_te_", "te."),
    ("lycoris_te1_", "te1."),
    ("lycoris_te2_", "te2."),
    ("lycoris_te_", "te."),
    ("text_encoder_2.", "te2."),
    ("text_encoder.", "te1."),
)
"""How files call the parts of a model; tried in this order, each once."""

_KNOWN_PARTS = ("unet.", "te.", "te1.", "te2.")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One module with weights; `part` decides which of an adapter's two multipliers applies."""

    part: Part
    module: torch.nn.Module
    name: str


class Layers:
    """All layers of one model. Holds its modules, so it must not outlive the model."""

    def __init__(self, pipeline: StableDiffusion) -> None:
        self._by_name: dict[str, Layer] = {}
        unet = pipeline.networks.unet
        ldm = ldm_names(unet)
        for path, module in _weighted(unet):
            layer = Layer("unet", module, f"unet.{path}")
            diffusers = path.replace("class_embedding.", "add_embedding.")  # SDXL's, in files
            for name in (path, diffusers, ldm.get(path, path)):
                self._by_name[_underscored(f"unet.{name}")] = layer
        encoders = pipeline.networks.encoders
        for encoder in encoders:
            parts = _encoder_parts(encoder.row.folder, alone=len(encoders) == 1)
            for path, module in _weighted(encoder.model):
                path = path.removeprefix("text_model.")
                self._add_text(module, parts, path, f"text_model.{path}")
            if encoder.projection is not None:
                self._add_text(encoder.projection, parts, "text_projection")

    def _add_text(self, module: torch.nn.Module, parts: tuple[str, ...], *names: str) -> None:
        layer = Layer("text", module, f"{parts[0]}.{names[0]}")
        for name in (f"{part}.{name}" for part in parts for name in names):
            self._by_name[_underscored(name)] = layer

    def find(self, name: str) -> Layer | None:
        """The layer with this canonical name."""
        return self._by_name.get(name)


def canonical_name(name: str) -> str:
    """A file's name of a layer, made equal for all schemes; one of the UNet where it says nothing.

    >>> canonical_name("lora_te1_text_model_encoder_layers_0_mlp_fc1")
    'te1_text_model_encoder_layers_0_mlp_fc1'
    >>> canonical_name("unet.mid_block.attentions.0.proj_in")
    'unet_mid_block_attentions_0_proj_in'
    >>> canonical_name("unet.mid_block.attentions.0.processor.to_out_lora")
    'unet_mid_block_attentions_0_to_out_0'
    """
    for prefix, part in PREFIXES:
        if name.startswith(prefix):
            name = part + name.removeprefix(prefix)
    if not name.startswith(_KNOWN_PARTS):
        name = f"unet.{name}"
    if ".processor." in name:  # diffusers before 0.20 hung LoRAs onto attention processors
        name = name.replace(".processor.", ".").removesuffix("_lora")
        name = f"{name}.0" if name.endswith(".to_out") else name
    return _underscored(name)


def _encoder_parts(folder: str, *, alone: bool) -> tuple[str, ...]:
    own = "te2" if folder == "text_encoder_2" else "te1"
    return ("te", own) if alone else (own,)


def _weighted(model: torch.nn.Module) -> Iterator[tuple[str, torch.nn.Module]]:
    for path, module in model.named_modules():
        if isinstance(getattr(module, "weight", None), torch.nn.Parameter):
            yield path, module


def _underscored(name: str) -> str:
    return name.replace(".", "_")
