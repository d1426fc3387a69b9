"""A site that answers as the Hugging Face hub does, with repositories that a test puts there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modules.downloads.hub import Hub
from tests.downloads.web_site import Site, safetensors

COMMIT = "a" * 40
TOKEN = "hf_secret"
PIPELINE = "me/pipeline"


@dataclass
class HubSite:
    """A hub on a test's server."""

    site: Site

    @property
    def hub(self) -> Hub:
        """The hub as somebody with a token sees it."""
        return Hub(self.site.url, TOKEN)

    def url(self, repository: str, path: str, commit: str = COMMIT) -> str:
        """Where a file lies, on the site."""
        return f"/{repository}/resolve/{commit}/{path}"

    def put(
        self,
        repository: str,
        files: Mapping[str, bytes],
        *,
        revision: str | None = None,
        commit: str = COMMIT,
        gated: str | bool = False,
        **card: Any,
    ) -> None:
        """Put a repository there, under a revision or as its main state."""
        rows = [_row(path, data) for path, data in files.items()]
        info = {"id": repository, "sha": commit, "siblings": rows, "gated": gated, "tags": []}
        at = f"/revision/{revision}" if revision else ""
        told = json.dumps(info | ({"cardData": card} if card else {}))
        self.site.files[f"/api/models/{repository}{at}"] = told.encode()
        for path, data in files.items():
            self.site.files[self.url(repository, path, commit)] = data


def _row(path: str, data: bytes) -> dict[str, Any]:
    """A file as the hub states it: large ones by SHA-256, small ones by Git's checksum."""
    row: dict[str, Any] = {"rfilename": path, "size": len(data)}
    row["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    if path.endswith((".safetensors", ".bin", ".ckpt")):
        sha256 = hashlib.sha256(data).hexdigest()
        row["lfs"] = {"size": len(data), "sha256": sha256, "pointerSize": 134}
    return row


def pipeline_files(size: int = 50_000) -> dict[str, bytes]:
    """A repository as diffusers saves a model of the 1.x family, with all that lies beside it."""
    files = {
        "model_index.json": b'{"_class_name": "StableDiffusionPipeline"}',
        "README.md": b"# A model",
        "pipeline.py": b"print('never fetched')",
        "unet/config.json": b'{"in_channels": 4}',
        "unet/modeling.py": b"print('never fetched')",
        "unet/diffusion_pytorch_model.bin": b"pickle",
        "vae/config.json": b"{}",
        "text_encoder/config.json": b'{"hidden_size": 4}',
        "tokenizer/vocab.json": b'{"a": 0}',
        "tokenizer/merges.txt": b"#version: 0.2\n",
        "scheduler/scheduler_config.json": b"{}",
        "safety_checker/config.json": b"{}",
        "safety_checker/model.safetensors": safetensors("safe", size=size),
        "feature_extractor/preprocessor_config.json": b"{}",
    }
    for number, name in enumerate(WEIGHTS, 1):
        files[name] = safetensors(name, size=size * number)
        files[half(name)] = safetensors(name, size=size * number // 2)
    return files


WEIGHTS = (
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
    "unet/diffusion_pytorch_model.safetensors",
)
CONFIGURATION = {
    "model_index.json",
    "unet/config.json",
    "vae/config.json",
    "text_encoder/config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "scheduler/scheduler_config.json",
}
FULL = CONFIGURATION | set(WEIGHTS)
"""What Easel fetches of it."""


PICKLED = (
    "vae/diffusion_pytorch_model.bin",
    "text_encoder/pytorch_model.bin",
    "unet/diffusion_pytorch_model.bin",
)
"""The same networks as pickles."""


def pickled_files() -> dict[str, bytes]:
    """A repository of which only pickles were saved."""
    files = {name: data for name, data in pipeline_files().items() if "safetensors" not in name}
    return files | {name: b"PK\x03\x04 of " + name.encode() for name in PICKLED}


def half(name: str) -> str:
    """The name of a weights file in half precision."""
    return name.replace(".safetensors", ".fp16.safetensors")
