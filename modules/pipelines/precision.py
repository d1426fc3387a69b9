"""Attention in float32 where the rest of the network computes in half precision.

Scores of some models (SD 2.1) overflow in float16. A1111's setting upcast_attn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _Float32Attention(TorchFunctionMode):
    """Casts what goes into scaled dot product attention, and casts its answer back."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = dict(kwargs or {})
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **named)
        query = args[0] if args else named["query"]
        wide = [_float32(value) for value in args]
        return func(*wide, **{name: _float32(v) for name, v in named.items()}).to(query.dtype)


@contextmanager
def float32_attention() -> Iterator[None]:
    """Inside, attention of this thread computes in float32, whatever it is given."""
    with _Float32Attention():
        yield


def _float32(value: Any) -> Any:
    is_float = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.float() if is_float else value
