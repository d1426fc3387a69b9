"""Trains CLIP's two towers against each other: `python -m tools.embedded_model.clip`.

Contrastively, as Radford et al. 2021 did: each picture must find its caption and each caption its
picture. The text tower, on its frozen token table, is the checkpoint's text encoder; both towers
are the default model of interrogation. Resumes from clip.pt. Out: an open_clip folder, read by
`open_clip.create_model("local-dir:FOLDER")`.
"""

import argparse
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip import CLIP
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from tools.embedded_model.clip_data import (
    COUNTED_SHARE,
    ORDERED_SHARE,
    Composer,
    augment,
    ensure_pool,
    shrink,
)
from tools.embedded_model.data import ensure_pack, read_pack
from tools.embedded_model.latents import concept_pictures
from tools.embedded_model.mixed import Plan, clock, save_state
from tools.embedded_model.text import (
    TEXT_HEADS,
    TEXT_LAYERS,
    TEXT_WIDTH,
    TOKENS,
    VOCABULARY,
    build_text_model,
    ensure_table,
    tokenise,
)

log = logging.getLogger(__name__)

FOLDER_NAME = "easel-clip"
IMAGE_PX = 64
CONFIG: dict[str, Any] = {
    "embed_dim": TEXT_WIDTH,
    "quick_gelu": True,
    "vision_cfg": {"image_size": IMAGE_PX, "layers": [1, 2, 2, 1], "width": 32},
    "text_cfg": {
        "context_length": TOKENS,
        "vocab_size": VOCABULARY,
        "width": TEXT_WIDTH,
        "heads": TEXT_HEADS,
        "layers": TEXT_LAYERS,
    },
}
PREPROCESS = {
    "mean": list(open_clip.OPENAI_DATASET_MEAN),
    "std": list(open_clip.OPENAI_DATASET_STD),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}
# At most this sharp, as in the CLIP paper (Radford et al. 2021, section 2.5).
MAX_LOGIT_SCALE = 100.0
# transformers' names of one layer's parts → open_clip's.
_LAYER_NAMES = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def build_clip() -> CLIP:
    """A fresh CLIP of the shipped shape, float32."""
    return CLIP(
        CONFIG["embed_dim"],
        dict(CONFIG["vision_cfg"]),
        dict(CONFIG["text_cfg"]),
        quick_gelu=CONFIG["quick_gelu"],
    )


def to_open_clip(text: dict[str, Tensor]) -> dict[str, Tensor]:
    """A CLIPTextModel state dict under open_clip's names; the projections are not part of it."""
    plain = {name.removeprefix("text_model."): weight for name, weight in text.items()}
    result = {
        "token_embedding.weight": plain["embeddings.token_embedding.weight"],
        "positional_embedding": plain["embeddings.position_embedding.weight"],
        "ln_final.weight": plain["final_layer_norm.weight"],
        "ln_final.bias": plain["final_layer_norm.bias"],
    }
    for layer in range(TEXT_LAYERS):
        source, target = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            for old, new in _LAYER_NAMES.items():
                result[f"{target}{new}.{kind}"] = plain[f"{source}{old}.{kind}"]
            parts = [plain[f"{source}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            result[f"{target}attn.in_proj_{kind}"] = torch.cat(parts)
    return result


class Towers(nn.Module):
    """The image tower with both projections (open_clip's), and the text tower (transformers')."""

    def __init__(self, clip: CLIP, text: CLIPTextModel) -> None:
        super().__init__()
        self.clip = clip
        self.text = text

    def trained(self) -> list[nn.Parameter]:
        """Everything but the token table; open_clip's own text tower stays unused."""
        own = [*self.clip.visual.parameters(), self.clip.text_projection, self.clip.logit_scale]
        return own + [weight for weight in self.text.parameters() if weight.requires_grad]

    def weights(self) -> dict[str, dict[str, Tensor]]:
        """What clip.pt keeps."""
        kept = ("visual.", "text_projection", "logit_scale")
        clip = {n: w for n, w in self.clip.state_dict().items() if n.startswith(kept)}
        return {"clip": clip, "text": self.text.state_dict()}

    def take(self, saved: dict[str, Any]) -> None:
        """Take over what `weights` returned."""
        self.clip.load_state_dict(saved["clip"], strict=False)
        self.text.load_state_dict(saved["text"])


def train(cache: Path, plan: Plan, device: torch.device, warm_from: Path | None = None) -> None:
    """Train until `plan.minutes` are used up, counted over all resumptions.

    `warm_from` is an older clip.pt whose weights begin a new plan if the cache has no clip.pt.
    """
    torch.manual_seed(plan.seed)
    towers = Towers(build_clip(), build_text_model(np.load(ensure_table(cache)))).to(device)
    batches = Batches(cache, plan)
    optimiser = torch.optim.AdamW(towers.trained(), plan.rate, betas=(0.9, 0.98), weight_decay=0.05)
    state = {"steps": 0, "seconds": 0.0}
    path = cache / "clip.pt"
    if path.is_file():
        saved = torch.load(path, map_location=device)
        towers.take(saved)
        optimiser.load_state_dict(saved["optimiser"])
        state = {"steps": saved["steps"], "seconds": saved["seconds"]}
    elif warm_from is not None:
        towers.take(torch.load(warm_from, map_location=device))
    random = np.random.default_rng(plan.seed + state["steps"])
    losses: list[float] = []
    saved_s = state["seconds"]
    while state["seconds"] < plan.minutes * 60:
        started = clock(device)
        _set_rate(optimiser, plan, state)
        losses.append(_step(towers, optimiser, batches.draw(random, device)))
        state["steps"] += 1
        state["seconds"] += clock(device) - started
        if state["steps"] % 25 == 0:
            left = plan.minutes - state["seconds"] / 60
            log.info("clip %d loss %.3f, %.1f min left", state["steps"], np.mean(losses), left)
            losses.clear()
        if state["seconds"] - saved_s >= plan.save_s:
            saved_s = state["seconds"]
            _save(towers, optimiser, state, path)
    _save(towers, optimiser, state, path)


def load_text(cache: Path) -> CLIPTextModel:
    """The text tower of clip.pt, float32, frozen."""
    model = build_text_model(np.load(ensure_table(cache)))
    model.load_state_dict(torch.load(cache / "clip.pt", map_location="cpu")["text"])
    return model.eval().requires_grad_(False)


def export(cache: Path, folder: Path) -> Path:
    """Write `open_clip_config.json` and fp16 weights into `folder`/easel-clip; return it."""
    target = folder / FOLDER_NAME
    target.mkdir(parents=True, exist_ok=True)
    weights = _whole(cache)
    half = {
        name: weight.half().contiguous() if weight.is_floating_point() else weight
        for name, weight in weights.items()
    }
    save_file(half, target / "open_clip_model.safetensors", metadata={"format": "pt"})
    (target / "open_clip_model.safetensors").chmod(0o644)
    config = {"model_cfg": CONFIG, "preprocess_cfg": PREPROCESS}
    text = json.dumps(config, indent=1) + "\n"
    (target / "open_clip_config.json").write_text(text, encoding="utf-8")
    log.info("Wrote %s", target)
    return target


def load_clip(folder: Path) -> CLIP:
    """Read the exported folder back through open_clip, float32, for inference."""
    model = open_clip.create_model(f"local-dir:{folder}", precision="fp32")
    if not isinstance(model, CLIP):
        raise TypeError(f"{folder} holds a {type(model).__name__}, not a CLIP")
    return model.eval().requires_grad_(False)


@torch.inference_mode()
def encode_words(clip: CLIP, ids: Tensor) -> Tensor:
    """Token ids (N, 77) → unit vectors (N, D)."""
    said: Tensor = clip.encode_text(ids, normalize=True)
    return said


@torch.inference_mode()
def word_ranks(clip: CLIP, pictures: np.ndarray, said: Tensor, wanted: Sequence[int]) -> np.ndarray:
    """Pictures (B, H, W, 3) uint8 → rank (B,) of each one's wanted row of `said` (N, D)."""
    small = torch.from_numpy(np.stack([shrink(picture) for picture in pictures]))
    images = normalise(small.permute(0, 3, 1, 2).float() / 255)
    scores = clip.encode_image(images, normalize=True) @ said.T
    own = scores.gather(1, torch.tensor(list(wanted))[:, None])
    return (scores > own).sum(1).numpy()


def _whole(cache: Path) -> dict[str, Tensor]:
    clip = build_clip()
    clip.load_state_dict(torch.load(cache / "clip.pt", map_location="cpu")["clip"], strict=False)
    weights: dict[str, Tensor] = clip.state_dict()
    return weights | to_open_clip(load_text(cache).state_dict())


def _save(
    towers: Towers, optimiser: torch.optim.Optimizer, state: dict[str, Any], path: Path
) -> None:
    save_state(path, towers.weights() | {"optimiser": optimiser.state_dict()} | state)


def _set_rate(optimiser: torch.optim.Optimizer, plan: Plan, state: dict[str, Any]) -> None:
    progress = min(state["seconds"] / (plan.minutes * 60), 1.0)
    warmup = min(1.0, (state["steps"] + 1) / plan.warmup_steps)
    for group in optimiser.param_groups:
        group["lr"] = plan.rate * warmup * (0.02 + 0.49 * (1 + math.cos(math.pi * progress)))


class Batches:
    """Pictures and token ids of single things and of compositions."""

    def __init__(self, cache: Path, plan: Plan) -> None:
        self._tokenizer = CLIPTokenizer.from_pretrained(cache / "tokenizer")
        self._pool = ensure_pool(cache)
        self._composer = Composer(concept_pictures(read_pack(ensure_pack(cache))))
        self._composed = round(plan.batch * (ORDERED_SHARE + COUNTED_SHARE))
        self._single = plan.batch - self._composed

    def draw(self, random: np.random.Generator, device: torch.device) -> tuple[Tensor, Tensor]:
        """(images (B, 3, 64, 64) normalised, ids (B, n)), cut after the longest caption."""
        pictures, captions = self._pool.draw(self._single, random)
        composed, said = self._composer.draw(self._composed, random)
        images = normalise(augment(torch.cat([pictures, composed]), random))
        ids = tokenise(self._tokenizer, captions + said)
        longest = int((ids == ids[0, -1]).int().argmax(1).max()) + 1
        # Nothing after its end token reaches a caption: the tower is causal.
        return images.to(device), ids[:, :longest].to(device)


def normalise(images: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] → as CLIP's image tower wants them."""
    mean, std = torch.tensor(PREPROCESS["mean"]), torch.tensor(PREPROCESS["std"])
    return (images - mean[:, None, None]) / std[:, None, None]


def _step(towers: Towers, optimiser: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> float:
    """One contrastive update: each picture must find its caption, each caption its picture."""
    images, ids = batch
    clip = towers.clip
    towers.train()
    with torch.autocast(images.device.type, torch.bfloat16):
        features = clip.encode_image(images)
        pooled = towers.text(input_ids=ids).pooler_output
    seen = nn.functional.normalize(features.float(), dim=-1)
    said = nn.functional.normalize(pooled.float() @ clip.text_projection, dim=-1)
    logits = clip.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE) * seen @ said.T
    target = torch.arange(len(logits), device=logits.device)
    cross_entropy = nn.functional.cross_entropy
    loss = (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()
    return float(loss.detach())


def main() -> None:
    """Train or go on training, then export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=Path(".cache/embedded_model"))
    parser.add_argument("--folder", type=Path, default=Path("models/CLIP"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warm-from", type=Path, help="an older clip.pt to begin with")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    plan = Plan(arguments.minutes, arguments.batch, arguments.rate)
    train(arguments.cache, plan, torch.device(arguments.device), arguments.warm_from)
    export(arguments.cache, arguments.folder)


if __name__ == "__main__":
    main()
