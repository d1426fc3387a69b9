"""The extension contract: every hook that Easel calls, declared here, one line of doc each.

A hook is called with the arguments that its row names. What a callback raises is logged, kept as
a warning for the user, and does not stop the job or the other callbacks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modules.core.errors import Interrupted, NotFound

log = logging.getLogger(__name__)

Callback = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Hook:
    """A place where callbacks are called."""

    name: str
    arguments: tuple[str, ...]
    doc: str


HOOKS: tuple[Hook, ...] = (
    Hook("app_started", ("server",), "The server answers; routes may be added to the FastAPI app."),
    Hook("model_loaded", ("model",), "A checkpoint has been loaded."),
    Hook("before_process", ("p",), "First of all, before the model is chosen; may change p."),
    Hook("process", ("p",), "The model is there; prompts and seeds are filled in; may change p."),
    Hook(
        "before_process_batch",
        ("p", "batch_number", "prompts", "seeds", "subseeds"),
        "Before extra networks are read from a batch's prompts.",
    ),
    Hook(
        "process_batch",
        ("p", "batch_number", "prompts", "seeds", "subseeds"),
        "Before a batch's prompts are encoded; last chance to change p for it.",
    ),
    Hook("process_before_every_sampling", ("p", "x", "noise"), "Before each sampling pass."),
    Hook("cfg_denoiser", ("params",), "Each step, before the network; may change its inputs."),
    Hook("cfg_denoised", ("params",), "Each step, after the network, before guidance."),
    Hook("cfg_after_cfg", ("params",), "Each step, after guidance; may change the result."),
    Hook("extra_noise", ("params",), "Before img2img's extra noise is added; may replace it."),
    Hook(
        "on_mask_blend",
        ("p", "args"),
        "Each step of inpainting, and at its end, where the kept part was put back.",
    ),
    Hook("before_hr", ("p",), "Between the first pass and the second."),
    Hook("post_sample", ("p", "latents"), "After sampling, before decoding."),
    Hook("postprocess_batch", ("p", "images", "batch_number"), "A batch as (B, 3, H, W) in 0–1."),
    Hook("postprocess_image", ("p", "image"), "Each picture, before it is saved; may replace it."),
    Hook(
        "postprocess_maskoverlay",
        ("p", "args"),
        "Each picture of inpainting: its mask and what is laid over it; may replace both.",
    ),
    Hook(
        "postprocess_image_after_composite",
        ("p", "image"),
        "Each picture of img2img, finished; may replace it.",
    ),
    Hook("before_image_saved", ("params",), "Before a file is written; may change its contents."),
    Hook("image_saved", ("params",), "After a file was written."),
    Hook("postprocess", ("p", "result"), "The job is done."),
)

_NAMES = frozenset(hook.name for hook in HOOKS)


@dataclass(frozen=True, slots=True)
class _Entry:
    owner: str
    callback: Callback


class Hooks:
    """Callbacks by hook, in the order in which they were added; safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, tuple[_Entry, ...]] = {}

    def add(self, name: str, callback: Callback, owner: str) -> None:
        """Call `callback` at the hook; `owner` is the extension, for messages and unloading."""
        if name not in _NAMES:
            raise NotFound("hook", name, sorted(_NAMES))
        with self._lock:
            self._entries[name] = (*self._entries.get(name, ()), _Entry(owner, callback))

    def remove_owner(self, owner: str) -> None:
        """Forget every callback of an extension."""
        with self._lock:
            for name, entries in self._entries.items():
                self._entries[name] = tuple(e for e in entries if e.owner != owner)

    def used(self, name: str) -> bool:
        """Whether a call would reach anyone; lets the sampler skip work at each step."""
        return bool(self._entries.get(name))

    def call(
        self, name: str, *args: Any, after: Callable[[str], object] | None = None
    ) -> list[str]:
        """Call every callback; returns a warning for each that failed.

        `after` is told each callback's owner once it ran. Interrupted passes through: a callback
        may stop the job.
        """
        warnings = []
        for entry in self._entries.get(name, ()):
            try:
                entry.callback(*args)
            except Interrupted:
                raise
            except Exception as error:
                log.exception("%s of %s failed", name, entry.owner)
                warnings.append(f"{entry.owner}: {name} failed: {type(error).__name__}: {error}")
            if after is not None:
                after(entry.owner)
        return warnings
