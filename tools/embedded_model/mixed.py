"""Training in bf16 with float32 masters, averaged weights, and a rate that follows the clock.

Hidden matrices and convolutions are updated by Muon (Jordan 2024, with the AdamW-matched scale of
Liu et al. 2025), everything else by AdamW, so that one learning rate serves both.

Knows modules and optimisers only; must not know what is trained.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

DECAY = 0.01
FAST_FACTOR = 2.0
MATRIX_SIDE = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast: `minutes` of training in all, counted over every resumption."""

    minutes: float
    batch: int
    rate: float
    warmup_steps: int = 150
    floor: float = 0.02
    ema: float = 0.999
    clip: float = 1.0
    save_s: float = 180.0
    grid_s: float = 1500.0
    seed: int = 0


class MixedTraining:
    """Float32 masters and averages beside a module's bf16 working weights."""

    def __init__(
        self, module: nn.Module, plan: Plan, device: torch.device, fast: tuple[str, ...] = ()
    ) -> None:
        """Take over the trainable weights; names holding a `fast` part learn twice as fast."""
        self.plan = plan
        self.device = device
        self.trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.masters = [p.detach().to(device, torch.float32).clone() for p in self.trained.values()]
        self.averages = [master.clone() for master in self.masters]
        module.to(device, torch.bfloat16)
        names = list(self.trained)
        self._matrices = {
            index: nn.Parameter(master.view(len(master), -1))
            for index, (name, master) in enumerate(zip(names, self.masters, strict=True))
            if is_matrix(name, master)
        }
        matrices = [(names[i], matrix) for i, matrix in self._matrices.items()]
        rest = [
            (name, master)
            for index, (name, master) in enumerate(zip(names, self.masters, strict=True))
            if index not in self._matrices
        ]
        self.optimisers: list[torch.optim.Optimizer] = []
        if matrices:
            muon = torch.optim.Muon(
                _groups(matrices, fast), weight_decay=DECAY, adjust_lr_fn="match_rms_adamw"
            )
            self.optimisers.append(muon)
        if rest:
            groups = _groups(rest, fast)
            adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=DECAY, fused=True)
            self.optimisers.append(adam)
        self.steps, self.seconds = 0, 0.0

    @torch.no_grad()
    def update(self) -> None:
        """Use the gradients of the working weights, then clear them."""
        for master, parameter in zip(self.masters, self.trained.values(), strict=True):
            master.grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None
        nn.utils.clip_grad_norm_(self.masters, self.plan.clip)
        for index, matrix in self._matrices.items():
            gradient = self.masters[index].grad
            matrix.grad = None if gradient is None else gradient.view_as(matrix)
        rate = self.rate()
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["factor"]
            optimiser.step()
        self._publish(self.masters)
        self.steps += 1
        decay = min(self.plan.ema, (1 + self.steps) / (20 + self.steps))
        torch._foreach_lerp_(self.averages, self.masters, 1 - decay)

    def rate(self) -> float:
        """Learning rate now: warm-up by steps, cosine to the floor by training time."""
        progress = min(self.seconds / (self.plan.minutes * 60), 1.0)
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        warmup = min(1.0, (self.steps + 1) / self.plan.warmup_steps)
        return self.plan.rate * warmup * (self.plan.floor + (1 - self.plan.floor) * cosine)

    @property
    def is_over(self) -> bool:
        """Whether the planned time is used up."""
        return self.seconds >= self.plan.minutes * 60

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The module carries the averaged weights inside this context."""
        self._publish(self.averages)
        try:
            yield
        finally:
            self._publish(self.masters)

    def state(self) -> dict[str, Any]:
        """Everything a resumption needs; `ema` alone is what gets exported."""
        names = list(self.trained)
        return {
            "masters": dict(zip(names, self.masters, strict=True)),
            "ema": dict(zip(names, self.averages, strict=True)),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "steps": self.steps,
            "seconds": self.seconds,
        }

    def resume(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        for name, master, average in zip(self.trained, self.masters, self.averages, strict=True):
            master.copy_(state["masters"][name])
            average.copy_(state["ema"][name])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.steps, self.seconds = state["steps"], state["seconds"]
        self._publish(self.masters)

    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Begin a new plan from these weights, by name."""
        for name, master, average in zip(self.trained, self.masters, self.averages, strict=True):
            master.copy_(weights[name])
            average.copy_(weights[name])
        self._publish(self.masters)

    @torch.no_grad()
    def _publish(self, weights: list[Tensor]) -> None:
        torch._foreach_copy_(list(self.trained.values()), weights)


def clock(device: torch.device) -> float:
    """Seconds that count as training: this thread's own on a CPU, where others may be busy too."""
    return time.thread_time() if device.type == "cpu" else time.monotonic()


def is_matrix(name: str, weight: Tensor) -> bool:
    """Whether Muon may orthogonalise it: a hidden matrix or convolution, no embedding, no edge."""
    is_hidden = weight.ndim >= 2 and min(len(weight), weight.numel() // len(weight)) >= MATRIX_SIDE
    return is_hidden and "embed" not in name


def _groups(named: Sequence[tuple[str, Tensor]], fast: tuple[str, ...]) -> list[dict[str, Any]]:
    factors: dict[float, list[Tensor]] = {1.0: [], FAST_FACTOR: []}
    for name, weight in named:
        factors[FAST_FACTOR if any(part in name for part in fast) else 1.0].append(weight)
    return [{"params": weights, "factor": f} for f, weights in factors.items() if weights]


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write beside and rename, so that a kill leaves the old file whole."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)
