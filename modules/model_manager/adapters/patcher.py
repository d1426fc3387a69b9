"""Putting adapters on a loaded model and taking them off again, bit by bit exactly.

A changed layer gets another tensor in its own one's place, and its own back afterwards. Changed
tensors are kept on the model until other adapters are asked for, so what stays the same from job
to job costs nothing, and a layer is computed anew only where one of its own adapters changed.

The first time, memory for so many tensors takes longer to get than they take to compute. So
weights that can be read again from their file (`origin.py`) are then changed where they lie, and
memory for the next time is fetched meanwhile (`spare.py`).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch

from modules.core.errors import ModelError
from modules.model_manager.adapters.file import Adapter
from modules.model_manager.adapters.layers import Layer, Layers
from modules.model_manager.adapters.merge import Dose, merged_bias, merged_weight, storage_dtype
from modules.model_manager.adapters.spare import Spare
from modules.model_manager.device import free_bytes
from modules.model_manager.origin import Origin, Piece, Source
from modules.model_manager.side_by_side import side_by_side
from modules.pipelines.sd import StableDiffusion

log = logging.getLogger(__name__)

FEW: Final = 0.5
"""An adapter of whose layers fewer fit was made for another family, and is left out."""

IN_PLACE_BYTES: Final = 128 << 20
"""Of new memory; for less the weights are not written to."""

MEMORY_FACTOR: Final = 1.25
"""Memory for the next time is fetched only where so many times as much is free."""

Slot = tuple[torch.nn.Module, str]
"""A module and "weight" or "bias"."""


@dataclass(frozen=True, slots=True)
class Use:
    """One adapter and how much of it the UNet and the text encoders get."""

    adapter: Adapter
    te: float = 1.0
    unet: float = 1.0
    rank: int | None = None
    """Ranks to use (DyLoRA); None: all."""

    @property
    def key(self) -> Hashable:
        """Tells two uses apart."""
        adapter = self.adapter
        return (adapter.path, adapter.stamp, self.te, self.unet, self.rank)


@dataclass(frozen=True, slots=True)
class Fit:
    """How many layers of an adapter a model has, in the right shape."""

    fitting: int
    total: int

    @property
    def is_worn(self) -> bool:
        """Whether the adapter was put on."""
        return self.fitting > 0 and self.fitting >= FEW * self.total


@dataclass(slots=True)
class _Changed:
    recipe: Hashable
    tensor: torch.nn.Parameter


@dataclass(slots=True)
class _Overwritten:
    """Own weights that adapters were written into, and the files that have them still."""

    source: Source
    pieces: dict[Slot, Piece]
    recipes: dict[Slot, Hashable] = field(default_factory=dict)
    spare: Spare[Slot] | None = None
    """Copies of them, once they are read."""


@dataclass(slots=True)
class Wardrobe:
    """What one model wears, and what it wore last. Lies on the pipeline, and goes with it."""

    layers: Layers
    own: dict[Slot, torch.nn.Parameter | None] = field(default_factory=dict)
    """The model's own tensors that are replaced now."""
    changed: dict[Slot, _Changed] = field(default_factory=dict)
    overwritten: _Overwritten | None = None
    spare: Spare[Slot] | None = None

    @property
    def spare_bytes(self) -> int:
        """Of the model's own tensors while changed ones are in their place, else of those."""
        waiting = self.spare.size_bytes if self.spare is not None else 0
        if self.own:
            return waiting + sum(one.nbytes for one in self.own.values() if one is not None)
        return waiting + sum(one.tensor.nbytes for one in self.changed.values())


def put_on(
    pipeline: StableDiffusion,
    uses: Sequence[Use],
    *,
    in_place_bytes: int = IN_PLACE_BYTES,
    free: Callable[[torch.device], int] = free_bytes,
) -> list[Fit]:
    """Let the model wear exactly `uses`; one Fit each. An adapter that hardly fits is left out.

    `in_place_bytes`: of new memory, from which on weights are written to; `free` tells how many
    bytes a device still has.

    On an exception (out of memory) the model wears nothing. Raises ModelError for a spoilt model,
    and as `take_off`.
    """
    if pipeline.is_spoilt:
        raise ModelError(pipeline.networks.path, "was changed on the disk; load it again.")
    wardrobe = _wardrobe(pipeline)
    _put_back(wardrobe)
    fits, doses = _doses(wardrobe.layers, uses)
    recipes = {layer: tuple(key for key, _ in parts) for layer, parts in doses.items()}
    wanted = {slot: layer for layer, parts in doses.items() for slot in _slots(layer, parts)}
    if not _is_worn_still(wardrobe, {slot: recipes[layer] for slot, layer in wanted.items()}):
        take_off(pipeline)
    for slot in [slot for slot in wardrobe.changed if slot not in wanted]:
        del wardrobe.changed[slot]
    compute = pipeline.dtype  # found by a walk through the whole network
    threads = torch.get_num_threads() if pipeline.device.type == "cpu" else 1
    if wardrobe.overwritten is None:
        wardrobe.overwritten = _begin_in_place(pipeline, wanted, in_place_bytes, threads)

    def prepare(slot: Slot) -> None:
        recipe, parts = recipes[wanted[slot]], [dose for _, dose in doses[wanted[slot]]]
        written = wardrobe.overwritten
        with torch.no_grad():  # each thread has its own
            if written is None or slot not in written.pieces:
                _prepare(wardrobe, slot, recipe, parts, compute)
            elif slot not in written.recipes:
                weight = _weight(wanted[slot]).data
                merged_weight(weight, parts, weight)
                written.recipes[slot] = recipe

    try:
        side_by_side(prepare, wanted, threads)
    except BaseException:
        take_off(pipeline)
        raise
    for slot in wanted:
        module, name = slot
        if slot in wardrobe.changed:
            wardrobe.own[slot] = module._parameters[name]
            module._parameters[name] = wardrobe.changed[slot].tensor
    _fetch_spare(pipeline, free)
    return fits


def take_off(pipeline: StableDiffusion) -> None:
    """Give the model its own weights back, bit by bit.

    Raises ModelError where they have to be read again and the file is no longer what it was; the
    pipeline is marked as spoilt then.
    """
    wardrobe = pipeline.wardrobe
    if not isinstance(wardrobe, Wardrobe):
        return
    _put_back(wardrobe)
    written, wardrobe.overwritten = wardrobe.overwritten, None
    if written is None:
        return
    pipeline.is_spoilt = True
    spare = written.spare
    try:
        if spare is not None and spare.is_true:
            spare.give_back(written.pieces, torch.get_num_threads())
        else:
            written.source.read(list(written.pieces.values()))
        pipeline.is_spoilt = False
    finally:
        written.source.close()
        if spare is not None:
            spare.release()


def _put_back(wardrobe: Wardrobe) -> None:
    """Every module's own tensor in its place."""
    for (module, name), own in wardrobe.own.items():
        module._parameters[name] = own
    wardrobe.own.clear()


def _is_worn_still(wardrobe: Wardrobe, recipes: dict[Slot, Hashable]) -> bool:
    """Whether what was written into the weights is wanted as it is."""
    written = wardrobe.overwritten
    return written is not None and all(
        recipes.get(slot) == written.recipes.get(slot) for slot in written.pieces
    )


def _begin_in_place(
    pipeline: StableDiffusion, wanted: dict[Slot, Layer], least_bytes: int, threads: int
) -> _Overwritten | None:
    """Where much new memory were needed: write into all weights that can be read again."""
    origin, wardrobe = pipeline.origin, _wardrobe(pipeline)
    if not isinstance(origin, Origin):
        return None
    weights = {slot: _weight(layer) for slot, layer in wanted.items() if slot[1] == "weight"}
    sharing = Counter(weight.data_ptr() for weight in weights.values())
    found: dict[Slot, Piece] = {}
    for slot, weight in weights.items():
        is_there = slot in wardrobe.changed or (wardrobe.spare and wardrobe.spare.has(slot))
        is_tied = sharing[weight.data_ptr()] > 1
        if is_there or is_tied or weight.dtype.itemsize == 1:  # 8 bits are too coarse to change
            continue
        piece = origin.find(weight)
        if piece is not None:
            found[slot] = piece
    if not found or _size(found) < least_bytes:
        return None
    source = origin.open(found.values(), threads)
    return None if source is None else _Overwritten(source, found)


def _fetch_spare(pipeline: StableDiffusion, free: Callable[[torch.device], int]) -> None:
    """Begin to copy what lies under adapters, if there is memory; it is the next ones' later."""
    wardrobe, origin = _wardrobe(pipeline), pipeline.origin
    written, before = wardrobe.overwritten, wardrobe.spare
    if written is None or written.spare is not None or not isinstance(origin, Origin):
        return
    is_fetching = before is not None and not before.is_ready
    needed = MEMORY_FACTOR * _size(written.pieces)
    if is_fetching or free(pipeline.device) < needed:
        return
    source = origin.open(written.pieces.values(), 1)
    if source is None:
        return
    kept = before.rest() if before is not None else {}
    try:
        written.spare = wardrobe.spare = Spare(written.pieces, source, kept)
    except (OSError, RuntimeError, MemoryError) as error:
        source.close()
        log.info("No memory is fetched for the next LoRA: %s", error)


def _size(pieces: dict[Slot, Piece]) -> int:
    return sum(piece.out.nbytes for piece in pieces.values())


def text_key(uses: Iterable[Use], fits: Iterable[Fit]) -> Hashable:
    """What of `uses` changes the encoding of prompts, for caches."""
    return tuple(
        (use.adapter.path, use.adapter.stamp, use.te, use.rank)
        for use, fit in zip(uses, fits, strict=True)
        if use.te and fit.is_worn and any(name.startswith("te") for name in use.adapter.layers)
    )


def _wardrobe(pipeline: StableDiffusion) -> Wardrobe:
    if not isinstance(pipeline.wardrobe, Wardrobe):
        pipeline.wardrobe = Wardrobe(Layers(pipeline))
    return pipeline.wardrobe


def _doses(
    layers: Layers, uses: Sequence[Use]
) -> tuple[list[Fit], dict[Layer, list[tuple[Hashable, Dose]]]]:
    """Of each layer, the adapters that change it; in the order of `uses`."""
    fits: list[Fit] = []
    doses: defaultdict[Layer, list[tuple[Hashable, Dose]]] = defaultdict(list)
    for use in uses:
        found = [
            (layer, patch)
            for name, patch in use.adapter.layers.items()
            if (layer := layers.find(name)) is not None
            and (patch.weight is None or patch.weight.fits(_weight(layer).shape))
            and (patch.bias is None or patch.bias.numel() == _weight(layer).shape[0])
        ]
        fit = Fit(len(found), len(use.adapter.layers))
        fits.append(fit)
        if not fit.is_worn:
            continue
        for layer, patch in found:
            multiplier = use.te if layer.part == "text" else use.unet
            if multiplier:
                key = (use.adapter.path, use.adapter.stamp, multiplier, use.rank)
                doses[layer].append((key, Dose(patch, multiplier, use.rank)))
    return fits, doses


def _slots(layer: Layer, parts: Sequence[tuple[Hashable, Dose]]) -> Iterable[Slot]:
    if any(dose.patch.weight is not None for _, dose in parts):
        yield layer.module, "weight"
    if any(dose.patch.bias is not None for _, dose in parts) and "bias" in layer.module._parameters:
        yield layer.module, "bias"


def _prepare(
    wardrobe: Wardrobe, slot: Slot, recipe: Hashable, doses: Sequence[Dose], compute: torch.dtype
) -> None:
    """Have the changed tensor of `slot` ready; one whose recipe did not change is ready."""
    module, name = slot
    own, weight = module._parameters[name], module._parameters["weight"]
    assert weight is not None
    before = wardrobe.changed.get(slot)
    model = weight if own is None else own
    shape = weight.shape[:1] if own is None else own.shape
    dtype = storage_dtype(model, compute)
    is_alike = (
        before is not None
        and before.tensor.shape == shape
        and before.tensor.dtype == dtype
        and before.tensor.device == weight.device
    )
    if is_alike and before is not None and before.recipe == recipe:
        return
    if is_alike and before is not None:
        tensor = before.tensor
        del wardrobe.changed[slot]  # half-written tensors are not kept where this fails
    else:
        wardrobe.changed.pop(slot, None)
        memory = wardrobe.spare.take(slot) if wardrobe.spare is not None else None
        if memory is None or memory.numel() != shape.numel() or memory.dtype != dtype:
            memory = torch.empty(shape, dtype=dtype, device=weight.device)
        tensor = torch.nn.Parameter(memory.view(shape), requires_grad=False)
    if name == "bias":
        merged_bias(own, doses, tensor.data)
    else:
        merged_weight(weight.data, doses, tensor.data)
    wardrobe.changed[slot] = _Changed(recipe, tensor)


def _weight(layer: Layer) -> torch.Tensor:
    weight = layer.module._parameters["weight"]
    assert weight is not None
    return weight
