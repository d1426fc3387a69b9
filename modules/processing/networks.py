"""The extra networks that prompts ask for: `<lora:name:te:unet:dyn>`, `<hypernet:name:weight>`.

The first prompt of a batch decides for the whole batch, the second pass has the tags of its own
prompt (A1111 1.10 behaviour). What cannot be used is a warning on the result, and the picture is
made without it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from modules.core.errors import BadInput
from modules.core.settings import SettingsView
from modules.model_manager.networks import (
    HypernetworkUse,
    LoraUse,
    Networks,
    Wearing,
    Wish,
    Worn,
)
from modules.pipelines.base import Pipeline
from modules.pipelines.sd import StableDiffusion
from modules.prompt import NetworkTag, extract_networks

LORAS, EMBEDDINGS = "Lora hashes", "TI hashes"
"""Names in infotexts."""
_FROM_SETTINGS = (("hypernet", "sd_hypernetwork"), ("lora", "sd_lora"))


def with_setting_networks(prompts: Sequence[str], settings: SettingsView) -> list[str]:
    """The prompts with the networks that settings add to all of them, unless they have them."""
    result = list(prompts)
    for kind, key in _FROM_SETTINGS:
        name = settings[key]
        tags = extract_networks(result[0])[1] if result else ()
        if name in (None, "", "None") or any(_name(tag) == name for tag in tags):
            continue
        tag = f"<{kind}:{name}:{settings['extra_networks_default_multiplier']}>"
        result = [prompt + tag for prompt in result]
    return result


def cut_tags(prompts: Sequence[str]) -> tuple[list[str], tuple[NetworkTag, ...]]:
    """The prompts without their tags, and the tags of the first."""
    cut = [extract_networks(prompt) for prompt in prompts]
    return [text for text, _ in cut], cut[0][1] if cut else ()


def read_wish(tags: Sequence[NetworkTag], settings: SettingsView, warnings: list[str]) -> Wish:
    """What the tags mean; those that mean nothing become warnings."""
    loras: list[LoraUse] = []
    hypernetworks: list[HypernetworkUse] = []
    for tag in tags:
        try:
            if tag.kind in ("lora", "lyco"):
                loras.append(_lora(tag))
            elif tag.kind == "hypernet":
                weight = tag.positional[1] if len(tag.positional) > 1 else "1"
                hypernetworks.append(HypernetworkUse(_name(tag), _number(tag, weight)))
            else:
                kinds = "lora, lyco, hypernet"
                raise BadInput("network", tag.kind, f"kinds that there are: {kinds}")
        except BadInput as error:
            warnings.append(f"<{tag.kind}:{_name(tag)}> was left out: {error}")
    return Wish(
        loras=tuple(loras),
        hypernetworks=tuple(hypernetworks),
        allow_pickles=settings["allow_pickles"],
        keep=settings["lora_in_memory_limit"],
    )


@dataclass(slots=True)
class BatchNetworks:
    """What one batch's models wear, pass by pass; a `Change` of models."""

    networks: Networks
    first: Wish
    second: Wish
    """Of the second pass."""
    settings: SettingsView
    warnings: list[str]
    extra: dict[str, Any]
    """Names and values for infotexts."""
    _wish: Wish | None = None
    _wearing: list[Wearing] = field(default_factory=list)
    _worn: list[Worn] = field(default_factory=list)
    """Of the job's own model, in each pass."""
    _used: dict[str, str] = field(default_factory=dict)
    """Embeddings in the prompts, with their hashes."""

    @contextmanager
    def __call__(self, pipeline: Pipeline) -> Iterator[None]:
        """Inside, the model wears what the pass at hand asks for."""
        model = cast(StableDiffusion, pipeline)
        with self.networks.wearing(model) as wearing:
            self._change(wearing, is_own=not self._wearing)
            self._wearing.append(wearing)
            yield

    def begin_second_pass(self) -> None:
        """Let all models at work wear what the second pass's prompt asks for."""
        if self.second == self._now:
            return
        self._wish = self.second
        for place, wearing in enumerate(self._wearing):
            self._change(wearing, is_own=place == 0)

    def note_embeddings(self, names: Sequence[str]) -> None:
        """Remember the embeddings that prompts used, for the infotext."""
        worn = self._worn[-1] if self._worn else None
        if worn is None or worn.embeddings is None:
            return
        self.warnings += [
            f"The embedding {name} was left as text: {reason}"
            for name, reason in worn.embeddings.skipped.items()
        ]
        for name in names:
            card = worn.embeddings.card(name)
            if card is not None and self.settings["textual_inversion_add_hashes_to_infotext"]:
                self._used[name] = self.networks.file_hash(card) or ""
            elif card is None and self.settings["lora_bundled_ti_to_infotext"]:
                self._used[name] = worn.bundles.get(name, "")
        _put(self.extra, EMBEDDINGS, self._used)

    @property
    def _now(self) -> Wish:
        return self.first if self._wish is None else self._wish

    def _change(self, wearing: Wearing, *, is_own: bool) -> None:
        worn = wearing.change(self._now)
        if not is_own:  # a refiner need not have what the job's own model has
            return
        self._worn.append(worn)
        self.warnings += worn.warnings + worn.misfits
        if self.settings["lora_add_hashes_to_infotext"]:
            hashes = {
                _plain(asked.name): self.networks.lora_hash(card) or ""
                for one in self._worn
                for asked, card in one.loras
            }
            _put(self.extra, LORAS, hashes)


def batch_networks(
    networks: Networks,
    tags: Sequence[NetworkTag],
    hires_tags: Sequence[NetworkTag] | None,
    settings: SettingsView,
    *,
    warnings: list[str],
    extra: dict[str, Any],
) -> BatchNetworks:
    """The networks of a batch; `hires_tags` None: the second pass has those of the first.

    What `extra` says of an earlier batch's networks is forgotten.
    """
    for key in (LORAS, EMBEDDINGS):
        extra.pop(key, None)
    first = read_wish(tags, settings, warnings)
    second = first if hires_tags is None else read_wish(hires_tags, settings, warnings)
    return BatchNetworks(networks, first, second, settings, warnings, extra)


def _put(extra: dict[str, Any], key: str, hashes: dict[str, str]) -> None:
    text = ", ".join(f"{name}: {value}" for name, value in hashes.items() if value)
    if text:
        extra[key] = text


def _lora(tag: NetworkTag) -> LoraUse:
    """A1111's arguments: name, te, unet (as te), dyn; names in front go before places."""
    read: Callable[[int, str], str | None] = lambda place, name: tag.named.get(  # noqa: E731
        name, tag.positional[place] if len(tag.positional) > place else None
    )
    te, unet, rank = read(1, "te"), read(2, "unet"), read(3, "dyn")
    text = 1.0 if te is None else _number(tag, te)
    return LoraUse(
        name=_name(tag),
        te=text,
        unet=text if unet is None else _number(tag, unet),
        rank=None if rank is None else max(1, int(_number(tag, rank))),
    )


def _number(tag: NetworkTag, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise BadInput(f"weight of {_name(tag)}", text, "a number") from error
    if not -1e4 < number < 1e4:  # infinity and NaN too
        raise BadInput(f"weight of {_name(tag)}", text, "a number that is not so large")
    return number


def _name(tag: NetworkTag) -> str:
    return tag.positional[0].strip() if tag.positional else ""


def _plain(name: str) -> str:
    """A name as infotexts can list it."""
    return name.replace(":", "").replace(",", "")
