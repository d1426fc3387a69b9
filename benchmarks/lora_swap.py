"""How long a LoRA takes to go on and off a full-size model, and whether the model is whole after.

Compares with the plain method (copy every weight aside, add up @ down to it, copy it back) in the
same run. The LoRA is random, of kohya's usual shape: all linear layers of the UNet's attention
blocks and of the text encoders:

    python -m benchmarks.lora_swap sd15.safetensors --rank 32 --dtype float32
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import torch
from safetensors.torch import save_file

from modules.setup.torchvision_compat import install

install()

from modules.model_manager.adapters import Use, put_on, read_adapter, take_off  # noqa: E402
from modules.model_manager.adapters.file import Adapter  # noqa: E402
from modules.model_manager.adapters.layers import Layers  # noqa: E402
from modules.model_manager.adapters.patches import LowRank  # noqa: E402
from modules.model_manager.load import load_checkpoint  # noqa: E402
from modules.pipelines.sd import StableDiffusion  # noqa: E402

ROUNDS = 4
SETTLE_S = 10
"""Less than any picture takes with a model of this size; what happens beside it is not counted."""


def write_lora(path: Path, pipeline: StableDiffusion, rank: int, seed: int) -> int:
    """Write a random LoRA for the model; returns the number of its layers."""
    generator = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    parts = [("lora_unet_", pipeline.networks.unet)]
    names = ("lora_te_",) if len(pipeline.networks.encoders) == 1 else ("lora_te1_", "lora_te2_")
    parts += zip(names, (encoder.model for encoder in pipeline.networks.encoders), strict=True)
    for prefix, network in parts:
        for name, module in network.named_modules():
            weight = getattr(module, "weight", None)
            is_wanted = prefix != "lora_unet_" or ".attentions." in name
            if not is_wanted or not isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
                continue
            own = name if prefix == "lora_unet_" else f"text_model.{name}"
            key = prefix + own.replace(".", "_")
            down = torch.randn(rank, *weight.shape[1:], generator=generator) / rank
            up = torch.randn(weight.shape[0], rank, *[1] * (weight.dim() - 2), generator=generator)
            tensors[f"{key}.lora_down.weight"] = down.half()
            tensors[f"{key}.lora_up.weight"] = (up * 0.01).half()
            tensors[f"{key}.alpha"] = torch.tensor(float(rank) / 2)
    save_file(tensors, path)
    return len(tensors) // 3


def digest(pipeline: StableDiffusion) -> str:
    """A hash over all weights' bytes."""
    sha = hashlib.sha256()
    for network in (pipeline.networks.unet, *pipeline.networks.encoders):
        for weight in network.parameters():
            sha.update(memoryview(weight.detach().contiguous().flatten().view(torch.uint8).numpy()))
    return sha.hexdigest()


class Plain:
    """The plain method: weights are changed in place and copied back."""

    def __init__(self, pipeline: StableDiffusion, adapter: Adapter) -> None:
        layers = Layers(pipeline)
        self._pairs = []
        for name, patch in adapter.layers.items():
            layer = layers.find(name)
            if layer is not None and isinstance(patch.weight, LowRank):
                self._pairs.append((layer.module.weight.data, patch.weight))
        self._aside: list[torch.Tensor] = []

    def on(self) -> None:
        """Copy aside, add."""
        self._aside = [weight.clone() for weight, _ in self._pairs]
        for weight, patch in self._pairs:
            up, down = patch.up.to(weight), patch.down.to(weight)
            weight += ((up @ down) * patch.scale).reshape(weight.shape)

    def off(self) -> None:
        """Copy back."""
        for (weight, _), own in zip(self._pairs, self._aside, strict=False):
            weight.copy_(own)
        self._aside = []


def least_s(work: Callable[[int], object], before: Callable[[], object]) -> float:
    """Seconds of the fastest `work`, the one that other programs disturbed least.

    `before` each, uncounted, makes the state that it starts from.
    """
    times = []
    for number in range(ROUNDS):
        before()
        started = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - started)
    return min(times)


def measure(pipeline: StableDiffusion, one: Adapter, two: Adapter) -> dict[str, float]:
    """Seconds of each change."""
    plain, before = Plain(pipeline, one), digest(pipeline)

    def wear(*uses: Use) -> None:
        put_on(pipeline, uses)

    def bare() -> None:
        take_off(pipeline)

    def worn() -> None:
        wear(Use(one))

    rows = {"plain: on": least_s(lambda _: plain.on(), plain.off)}
    plain.off()
    rows["plain: off"] = least_s(lambda _: plain.off(), plain.on)
    rows["off"] = least_s(lambda _: bare(), worn)
    rows["on again"] = least_s(lambda _: worn(), bare)
    rows["another weight"] = least_s(lambda n: wear(Use(one, 0.9 - n / 9, 0.9 - n / 9)), bare)
    rows["another LoRA"] = least_s(lambda _: wear(Use(two)), worn)
    rows["a second LoRA beside it"] = least_s(lambda _: wear(Use(one), Use(two)), worn)
    take_off(pipeline)
    if digest(pipeline) != before:
        raise SystemExit("The weights are not what they were.")
    return rows


def measure_first(pipeline: StableDiffusion, adapter: Adapter) -> tuple[float, float]:
    """Seconds of the first LoRA that a fresh process puts on, and takes off again."""
    before = digest(pipeline)
    started = time.perf_counter()
    put_on(pipeline, [Use(adapter)])
    on = time.perf_counter() - started
    time.sleep(SETTLE_S)
    started = time.perf_counter()
    take_off(pipeline)
    off = time.perf_counter() - started
    if digest(pipeline) != before:
        raise SystemExit("The weights are not what they were.")
    return on, off


def measure_return(pipeline: StableDiffusion, adapters: Sequence[Adapter], changes: int) -> str:
    """Memory after many changes of LoRA and weight, against that after the first round."""
    process, levels = psutil.Process(), []
    for number in range(changes):
        weight = 0.5 + number / (2 * changes)
        put_on(pipeline, [Use(adapters[number % len(adapters)], weight, weight)])
        if number % 3 == 2:
            take_off(pipeline)
        levels.append(process.memory_info().rss)
    take_off(pipeline)
    first, last = levels[len(adapters)], levels[-1]
    return f"memory after {changes} changes: {last / 2**30:.2f} GiB, {last / first - 1:+.2%}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--rank", type=int, default=32)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--changes", type=int, default=200, help="for the memory's return")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    asked = parser.parse_args(arguments)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    dtype = getattr(torch, asked.dtype)
    pipeline = load_checkpoint(asked.checkpoint, torch.device("cpu"), dtype)
    with tempfile.TemporaryDirectory() as folder:
        adapters = []
        for seed in (1, 2):
            path = Path(folder) / f"lora{seed}.safetensors"
            count = write_lora(path, pipeline, asked.rank, seed)
            started = time.perf_counter()
            adapters.append(read_adapter(path))
            reading = time.perf_counter() - started
        size = adapters[0].size_bytes / 2**20
        first = measure_first(pipeline, adapters[0])
        returned = measure_return(pipeline, adapters, asked.changes)
        rows = measure(pipeline, *adapters)
    print(f"{count} layers, rank {asked.rank}, {size:.0f} MiB, read in {reading:.2f} s; "
          f"{asked.dtype}, {torch.get_num_threads()} threads")  # fmt: skip
    on, off = first
    print(f"the first LoRA of a fresh process: on {on:.2f} s, off {off:.2f} s; {returned}")
    for name, seconds in rows.items():
        print(f"{name:28}{seconds:9.4f} s{seconds / rows['plain: on']:9.3f} of plain on")


if __name__ == "__main__":
    main()
