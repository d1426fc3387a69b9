"""What the maker of a model file wrote into its header, in words that people can read.

Key names are those of kohya's trainer (`ss_*`) and of Stability's ModelSpec (`modelspec.*`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

_LONGEST: Final = 2000
"""Letters of one value; embedded thumbnails are far longer."""
_MOST_TAGS: Final = 100

_ROWS: Final = (
    ("Title", "modelspec.title"),
    ("Author", "modelspec.author"),
    ("Description", "modelspec.description"),
    ("Licence", "modelspec.license"),
    ("Use", "modelspec.usage_hint"),
    ("Trigger", "modelspec.trigger_phrase"),
    ("Architecture", "modelspec.architecture"),
    ("Made from", "modelspec.merged_from"),
    ("Resolution", "modelspec.resolution"),
    ("Date", "modelspec.date"),
    ("Name at training", "ss_output_name"),
    ("Trained on", "ss_sd_model_name"),
    ("Base model", "ss_base_model_version"),
    ("Clip skip at training", "ss_clip_skip"),
    ("Network", "ss_network_module"),
    ("Rank", "ss_network_dim"),
    ("Alpha", "ss_network_alpha"),
    ("Resolution at training", "ss_resolution"),
    ("Pictures", "ss_num_train_images"),
    ("Regularisation pictures", "ss_num_reg_images"),
    ("Epochs", "ss_num_epochs"),
    ("Epoch of this file", "ss_epoch"),
    ("Steps", "ss_steps"),
    ("Batch size", "ss_total_batch_size"),
    ("Optimiser", "ss_optimizer"),
    ("Learning rate", "ss_learning_rate"),
    ("Learning rate of the UNet", "ss_unet_lr"),
    ("Learning rate of the text encoder", "ss_text_encoder_lr"),
    ("Schedule", "ss_lr_scheduler"),
    ("Precision", "ss_mixed_precision"),
    ("Seed", "ss_seed"),
    ("Comment", "ss_training_comment"),
)
_TIMES: Final = (
    ("Training began", "ss_training_started_at"),
    ("Training ended", "ss_training_finished_at"),
)


@dataclass(frozen=True, slots=True)
class Facts:
    """The header's metadata."""

    rows: tuple[tuple[str, str], ...]
    """Label and value of what is commonly asked for."""
    tags: tuple[tuple[str, int], ...]
    """The captions' most frequent words, with how often each occurs."""
    buckets: tuple[tuple[str, int], ...]
    """Sizes of the training pictures, with their numbers."""
    raw: Mapping[str, str]
    """Everything, long values cut."""


def read_facts(metadata: Mapping[str, str]) -> Facts:
    """Sort a header's metadata. Never raises: these texts come from anybody."""
    return Facts(
        rows=(*_plain(metadata), *_times(metadata)),
        tags=_tags(metadata.get("ss_tag_frequency")),
        buckets=_buckets(metadata.get("ss_bucket_info")),
        raw={key: _cut(value) for key, value in sorted(metadata.items())},
    )


def _plain(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    found = ((label, _cut(metadata.get(key, "").strip())) for label, key in _ROWS)
    return [(label, text) for label, text in found if text not in ("", "None", "null")]


def _times(metadata: Mapping[str, str]) -> list[tuple[str, str]]:
    rows = []
    for label, key in _TIMES:
        try:
            moment = datetime.fromtimestamp(float(metadata[key]), UTC)
        except (KeyError, ValueError, OverflowError, OSError):
            continue
        rows.append((label, moment.strftime("%Y-%m-%d %H:%M UTC")))
    return rows


def _tags(text: str | None) -> tuple[tuple[str, int], ...]:
    """`{"folder": {"tag": count}}` → tags of all folders, the most frequent first."""
    counted: Counter[str] = Counter()
    for words in _mapping(text).values():
        if isinstance(words, dict):
            counted.update({
                str(word).strip(): count for word, count in words.items() if isinstance(count, int)
            })  # fmt: skip
    return tuple(counted.most_common(_MOST_TAGS))


def _buckets(text: str | None) -> tuple[tuple[str, int], ...]:
    """`{"buckets": {"0": {"resolution": [w, h], "count": n}}}` → sizes and numbers."""
    rows = _mapping(text).get("buckets")
    found = []
    for row in rows.values() if isinstance(rows, dict) else ():
        size, count = (row.get("resolution"), row.get("count")) if isinstance(row, dict) else (0, 0)
        if isinstance(size, list) and len(size) == 2 and isinstance(count, int):
            found.append((f"{size[0]}×{size[1]}", count))
    return tuple(found)


def _mapping(text: str | None) -> dict[str, Any]:
    try:
        values = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} letters)"
