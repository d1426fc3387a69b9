"""Networks whose weights are kept in 8 bits and computed with in their usual format.

float8_e4m3fn: 4 bits of exponent, 3 of mantissa (Micikevicius et al., "FP8 formats for deep
learning", 2022). Half the memory of float16 for about 2 decimal digits less.
"""

from __future__ import annotations

from typing import Final, cast

import torch
from torch.nn import functional

from modules.model_manager.choice import Fp8Storage
from modules.model_manager.tensor_header import Entry
from modules.pipelines.spec import Family

STORAGE: Final = torch.float8_e4m3fn
_KEPT: Final = ("time_embed", "label_emb", "input_blocks.0.0.", "conv_in.", "conv_out.",
                "class_embedding.", "add_embedding.")  # fmt: skip
"""Names of small layers that pictures hang on much; `out.2.` is told by its beginning."""


def is_wanted(fp8: Fp8Storage, family: Family) -> bool:
    """Whether the setting `fp8_storage` means models of this family."""
    is_xl = family in (Family.SDXL, Family.SDXL_REFINER)
    return fp8 == "Enable" or (fp8 == "Enable for SDXL" and is_xl)


def is_stored(name: str, entry: Entry) -> bool:
    """Whether a tensor of a denoising network, by its bare name, is kept in 8 bits."""
    return (
        len(entry.shape) >= 2
        and name.endswith(".weight")
        and not name.startswith("out.2.")
        and not any(kept in name for kept in _KEPT)
    )


class Fp8Linear(torch.nn.Linear):
    """A linear layer that widens its weight to its input's format."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As Linear."""
        return functional.linear(input, self.weight.to(input.dtype), self.bias)


class Fp8Conv2d(torch.nn.Conv2d):
    """A convolution that widens its weight to its input's format."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As Conv2d."""
        weight = self.weight.to(input.dtype)
        return cast(torch.Tensor, self._conv_forward(input, weight, self.bias))


def widen_on_use(network: torch.nn.Module) -> None:
    """Let every layer of `network` with an 8-bit weight compute in its input's format.

    A weight in another format that is put in its place (a patched one) is used as it is.
    """
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if not isinstance(weight, torch.Tensor) or weight.dtype != STORAGE:
            continue
        if type(module) is torch.nn.Linear:
            module.__class__ = Fp8Linear
        elif isinstance(module, torch.nn.Conv2d):
            module.__class__ = Fp8Conv2d
        else:
            module.weight = torch.nn.Parameter(weight.to(torch.float32), requires_grad=False)
