"""Trains the sample LoRA and the sample embedding: `python -m tools.embedded_model.adapt`.

Both on the finished UNet and text tower, frozen. The LoRA (Hu et al. 2021) teaches the attention
layers a look, "blueprint"; the embedding (textual inversion, Gal et al. 2022) learns a word for a
tint that was never trained, teal. Each resumes from its .pt in the cache as long as the UNet is the
one that it began with, and begins anew with another.
"""

import argparse
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize
from transformers import CLIPTokenizer

from tools.embedded_model.block_pca import BlockPca
from tools.embedded_model.compose import CANVAS_PX, draw_look, duotone
from tools.embedded_model.concepts import COLOURS, CONCEPTS, STYLES, Rgb
from tools.embedded_model.data import Picture, ensure_pack, read_pack
from tools.embedded_model.diffusion import alphas_cumprod, draw_timesteps, loss_weight
from tools.embedded_model.export import load_averaged
from tools.embedded_model.latents import concept_pictures, ensure_pca, to_tensor
from tools.embedded_model.mixed import Plan, clock, save_state
from tools.embedded_model.text import tokenise
from tools.embedded_model.unet import Models

log = logging.getLogger(__name__)

RANK = 8
LORA_NAME = "easel-blueprint"
LORA_TRIGGER = "blueprint style"
LORA_LAYERS = re.compile(r"\.attn[12]\.(to_q|to_k|to_v|to_out\.0)$|\.proj_(in|out)$")
PAPER: Rgb = (28, 62, 140)
INK: Rgb = (120, 165, 235)
EMBEDDING_NAME = "easel-teal"
EMBEDDING_VECTORS = 2
EMBEDDING_START = ("blue", "green")
PLACEHOLDER = "zzz"

SAVE_STEPS = 25

Batches = Iterator[tuple[Tensor, list[str]]]


class LowRank(nn.Module):
    """Weight (out, in) or (out, in, 1, 1) → weight + up @ down."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(RANK, weight.shape[1]) / RANK)
        self.up = nn.Parameter(torch.zeros(len(weight), RANK))

    def forward(self, weight: Tensor) -> Tensor:
        """The changed weight."""
        return weight + (self.up @ self.down).view_as(weight)


def blueprint(rgba: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Drawing (128, 128, 4) → picture (128, 128, 3): pale fill and white edges on blue paper."""
    look = draw_look(random)
    image = Image.fromarray(duotone(rgba, INK))
    image = image.resize((look.size_px, look.size_px), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (CANVAS_PX, CANVAS_PX), PAPER)
    canvas.paste(image, (look.left_px, look.top_px), image)
    light = canvas.convert("L")
    high = np.asarray(light.filter(ImageFilter.MaxFilter(3)), np.float32)
    low = np.asarray(light.filter(ImageFilter.MinFilter(3)), np.float32)
    edges = np.clip((high - low) / 60, 0, 1)[..., None]
    painted = np.asarray(canvas) * (1 - edges) + 255 * edges
    return painted.astype(np.uint8)


def teal(rgba: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Drawing (128, 128, 4) → picture (128, 128, 3): tinted teal on white."""
    look = draw_look(random)
    image = Image.fromarray(duotone(rgba, COLOURS["teal"]))
    image = image.resize((look.size_px, look.size_px), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (CANVAS_PX, CANVAS_PX), (255, 255, 255))
    canvas.paste(image, (look.left_px, look.top_px), image)
    return np.asarray(canvas)


def train_lora(cache: Path, plan: Plan, device: torch.device) -> dict[str, Tensor]:
    """Train the look into the attention layers; return the file's tensors in kohya's layout."""
    torch.manual_seed(plan.seed)
    models = load_averaged(cache).to(device)
    layers = {n: m for n, m in models.unet.named_modules() if LORA_LAYERS.search(n)}
    for layer in layers.values():
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight))
    changes = {name: layer.parametrizations.weight[0] for name, layer in layers.items()}
    trained = [p for change in changes.values() for p in change.parameters()]
    for change in changes.values():
        change.requires_grad_(True).to(device)

    def encode(ids: Tensor) -> Tensor:
        with torch.no_grad():
            return models.encode(ids)

    batches = _batches(cache, plan, blueprint, f"{{}}, {LORA_TRIGGER}")
    _optimise(cache / "lora.pt", models, trained, plan, batches, encode)
    tensors: dict[str, Tensor] = {}
    for name, change in changes.items():
        key = "lora_unet_" + name.replace(".", "_")
        spatial = (1, 1) if isinstance(layers[name], nn.Conv2d) else ()
        tensors[f"{key}.lora_down.weight"] = change.down.detach().view(*change.down.shape, *spatial)
        tensors[f"{key}.lora_up.weight"] = change.up.detach().view(*change.up.shape, *spatial)
        tensors[f"{key}.alpha"] = torch.tensor(float(RANK))
    return tensors


def train_embedding(cache: Path, plan: Plan, device: torch.device) -> Tensor:
    """Learn the vectors (2, 128) of a new word; everything else stays."""
    torch.manual_seed(plan.seed)
    models = load_averaged(cache).to(device)
    tokenizer = CLIPTokenizer.from_pretrained(cache / "tokenizer")
    table = models.text.get_input_embeddings()
    start = tokenise(tokenizer, EMBEDDING_START)[:, 1].to(device)
    vectors = nn.Parameter(table.weight[start].clone())
    placeholder = int(tokenise(tokenizer, [PLACEHOLDER])[0, 1])

    def fill(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        # The placeholder stands once for each vector, in their order.
        is_ours = inputs[0] == placeholder
        order = (is_ours.cumsum(1) - 1).clamp(0, EMBEDDING_VECTORS - 1)
        return torch.where(is_ours[..., None], vectors[order], output)

    handle = table.register_forward_hook(fill)
    words = " ".join([PLACEHOLDER] * EMBEDDING_VECTORS)
    batches = _batches(cache, plan, teal, f"{words} {{}}")
    _optimise(cache / "embedding.pt", models, [vectors], plan, batches, models.encode)
    handle.remove()
    return vectors.detach()


def _batches(
    cache: Path, plan: Plan, draw: Callable[[np.ndarray, np.random.Generator], np.ndarray],
    form: str,
) -> Batches:  # fmt: skip
    """Endless latents (B, 4, 16, 16) of drawings painted by `draw`, captions by `form`."""
    pack = ensure_pack(cache)
    pca: BlockPca = ensure_pca(cache, pack)
    drawings: dict[tuple[int, int], Picture] = concept_pictures(read_pack(pack))
    styles = [index for index, style in enumerate(STYLES) if style.draws > 0]
    known = [index for index, concept in enumerate(CONCEPTS) if not concept.is_postponed]
    random = np.random.default_rng(plan.seed)
    while True:
        concepts = random.choice(known, plan.batch)
        chosen = [(int(c), int(random.choice(styles))) for c in concepts]
        painted = np.stack([draw(drawings[key].rgba, random) for key in chosen])
        article = ["a " if random.random() < 0.5 else "" for _ in chosen]
        captions = [
            a + form.format(CONCEPTS[c].name) for a, (c, _) in zip(article, chosen, strict=True)
        ]
        yield pca.encode(to_tensor(painted)), captions


def _optimise(
    path: Path,
    models: Models,
    trained: list[nn.Parameter],
    plan: Plan,
    batches: Batches,
    encode: Callable[[Tensor], Tensor],
) -> None:
    """AdamW on `trained` until the plan's minutes are used up; resumes from `path`."""
    device, cache = trained[0].device, path.parent
    optimiser = torch.optim.AdamW(trained, plan.rate, betas=(0.9, 0.99), weight_decay=0.01)
    tokenizer = CLIPTokenizer.from_pretrained(cache / "tokenizer")
    state = _resume(path, trained, optimiser)
    generator = torch.Generator().manual_seed(plan.seed + state["steps"])
    losses: list[float] = []
    while state["seconds"] < plan.minutes * 60:
        started = clock(device)
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * max(1 - state["seconds"] / (plan.minutes * 60), 0.02)
        latents, captions = next(batches)
        loss = _loss(models, latents, encode(tokenise(tokenizer, captions).to(device)), generator)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(trained, plan.clip)
        optimiser.step()
        losses.append(float(loss.detach()))
        state["steps"] += 1
        state["seconds"] += clock(device) - started
        if state["steps"] % SAVE_STEPS == 0:
            log.info("%s %d loss %.4f", path.stem, state["steps"], np.mean(losses))
            losses.clear()
            _keep(path, trained, optimiser, state)
    _keep(path, trained, optimiser, state)


def _loss(models: Models, latents: Tensor, context: Tensor, generator: torch.Generator) -> Tensor:
    """The UNet's own loss on latents (B, 4, 16, 16), each at one level, most of them noisy."""
    device = context.device
    latents = latents.to(device)
    alphas = alphas_cumprod().to(device)
    t = draw_timesteps(len(latents), generator)[len(latents) :].to(device)
    noise = torch.randn(latents.shape, generator=generator).to(device)
    signal = alphas[t][:, None, None, None]
    noisy = latents * signal.sqrt() + noise * (1 - signal).sqrt()
    error = (models.predict(noisy, t, context) - noise).square().mean((1, 2, 3))
    return (error * loss_weight(alphas[t])).mean()


def _resume(
    path: Path, trained: list[nn.Parameter], optimiser: torch.optim.Optimizer
) -> dict[str, Any]:
    """Take over what `path` holds, if the UNet is still the same; steps and seconds so far."""
    base = _base(path.parent)
    saved = torch.load(path, map_location=trained[0].device) if path.is_file() else {}
    if saved.get("base") != base:
        return {"base": base, "steps": 0, "seconds": 0.0}
    with torch.no_grad():
        for parameter, weight in zip(trained, saved["trained"], strict=True):
            parameter.copy_(weight)
    optimiser.load_state_dict(saved["optimiser"])
    return {name: saved[name] for name in ("base", "steps", "seconds")}


def _base(cache: Path) -> list[float]:
    """Steps and seconds of the UNet, which tell one state of its training from another."""
    state = torch.load(cache / "unet.pt", map_location="cpu", mmap=True)
    return [state["steps"], state["seconds"]]


def _keep(
    path: Path,
    trained: list[nn.Parameter],
    optimiser: torch.optim.Optimizer,
    state: dict[str, Any],
) -> None:
    weights = [parameter.detach() for parameter in trained]
    save_state(path, {"trained": weights, "optimiser": optimiser.state_dict()} | state)


def make(cache: Path, models: Path, minutes: float, device: torch.device) -> None:
    """Train each sample for `minutes` and write it into the folders of `models`."""
    lora = train_lora(cache, Plan(minutes, 16, 3e-3), device)
    metadata = {
        "format": "pt",
        "ss_network_dim": str(RANK),
        "ss_network_alpha": str(RANK),
        "ss_network_module": "networks.lora",
        "ss_output_name": LORA_NAME,
        "ss_base_model_version": "sd_v1",
        "ss_resolution": "(128, 128)",
        "modelspec.title": "Easel mini, blueprint",
        "modelspec.trigger_phrase": LORA_TRIGGER,
        "modelspec.license": "Apache-2.0",
    }
    _write(lora, models / "Lora" / f"{LORA_NAME}.safetensors", metadata)
    vectors = train_embedding(cache, Plan(minutes, 16, 2e-2), device)
    metadata = {"format": "pt", "modelspec.title": "Easel mini, teal"}
    _write(
        {"emb_params": vectors}, models / "embeddings" / f"{EMBEDDING_NAME}.safetensors", metadata
    )


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {name: tensor.cpu().half().contiguous() for name, tensor in tensors.items()}
    save_file(half, path, metadata=metadata)
    path.chmod(0o644)
    log.info("Wrote %s, %.2f MB", path, path.stat().st_size / 1e6)


def main() -> None:
    """Train and write both samples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--minutes", type=float, default=3, help="for each")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    make(arguments.cache, arguments.models, arguments.minutes, torch.device(arguments.device))


if __name__ == "__main__":
    main()
