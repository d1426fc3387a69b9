"""ComfyUI's graph of nodes, from either of its two JSON layouts, and ways to walk in it.

A graph from a file may be cyclic, deep or broken: every walk visits a node once, without
recursion, and a value of the wrong kind is no link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modules.params.foreign.found import Json, as_list, as_object, as_text

MAX_NODES: Final = 5000

WIDGETS: Final[Mapping[str, tuple[str, ...]]] = {
    "KSampler": ("seed", "", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise", "noise_seed", "", "steps", "cfg", "sampler_name", "scheduler",
        "start_at_step", "end_at_step", "return_with_leftover_noise",
    ),
    "SamplerCustom": ("add_noise", "noise_seed", "", "cfg"),
    "RandomNoise": ("noise_seed", ""),
    "KSamplerSelect": ("sampler_name",),
    "BasicScheduler": ("scheduler", "steps", "denoise"),
    "KarrasScheduler": ("steps", "sigma_max", "sigma_min", "rho"),
    "ExponentialScheduler": ("steps", "sigma_max", "sigma_min"),
    "CFGGuider": ("cfg",),
    "CLIPTextEncode": ("text",),
    "CLIPTextEncodeSDXL": (
        "width", "height", "crop_w", "crop_h", "target_width", "target_height", "text_g", "text_l",
    ),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CheckpointLoader": ("config_name", "ckpt_name"),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "VAELoader": ("vae_name",),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "EmptySD3LatentImage": ("width", "height", "batch_size"),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LatentUpscaleBy": ("upscale_method", "scale_by"),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "ImageScaleBy": ("upscale_method", "scale_by"),
    "UpscaleModelLoader": ("model_name",),
    "PrimitiveNode": ("value", ""),
    "TomePatchModel": ("ratio",),
}  # fmt: skip
"""What the values of a node mean in a `workflow`, which does not name them; "" is the browser's."""

VALUE_INPUTS: Final = (
    "value", "int", "float", "string", "text", "number", "seed", "Value", "String", "Text",
)  # fmt: skip
"""Where nodes that only hold a value hold it."""


@dataclass(frozen=True, slots=True)
class Link:
    """An output of a node."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its class, and its inputs by name, each a value or a Link."""

    kind: str
    inputs: dict[str, Any] = field(default_factory=dict)

    def links(self) -> Iterator[tuple[str, Link]]:
        """The inputs that come from other nodes."""
        return ((name, value) for name, value in self.inputs.items() if isinstance(value, Link))

    def has(self, *names: str) -> bool:
        """Whether the node has one of these inputs."""
        return any(name in self.inputs for name in names)


class Graph:
    """Nodes by id."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self.nodes = dict(nodes)

    def get(self, link: Any) -> Node | None:
        """The node at the other end; None where there is none."""
        return self.nodes.get(link.node) if isinstance(link, Link) else None

    def sinks(self) -> list[str]:
        """Nodes whose results no other node takes: those that save first, then the others."""
        used = {link.node for node in self.nodes.values() for _, link in node.links()}
        ends = [key for key in self.nodes if key not in used] or list(self.nodes)
        return sorted(ends, key=lambda key: (_rank(self.nodes[key].kind), *_numeric(key)))

    def nearest(
        self,
        start: Iterable[Link],
        wanted: Callable[[Node], bool],
        *,
        through: Callable[[str], bool] = lambda _: True,
    ) -> str | None:
        """The nearest node upstream of `start` that is wanted, by links whose name is `through`."""
        waiting = deque(start)
        seen: set[str] = set()
        while waiting:
            link = waiting.popleft()
            node = self.get(link)
            if node is None or link.node in seen:
                continue
            if wanted(node):
                return link.node
            seen.add(link.node)
            waiting.extend(inner for name, inner in node.links() if through(name))
        return None

    def between(self, start: Iterable[Link], end: str | None) -> list[str]:
        """Nodes upstream of `start`, nearest first, without those that only `end` leads to."""
        waiting, found = deque(start), []
        seen = {end} if end else set()
        while waiting:
            link = waiting.popleft()
            node = self.get(link)
            if node is None or link.node in seen:
                continue
            seen.add(link.node)
            found.append(link.node)
            waiting.extend(inner for _, inner in node.links())
        return found

    def chain(self, start: Any, name: str) -> Iterator[Node]:
        """The nodes that `start` leads to through their inputs called `name`."""
        seen: set[str] = set()
        while isinstance(start, Link) and start.node not in seen:
            seen.add(start.node)
            node = self.get(start)
            if node is None:
                return
            yield node
            start = node.inputs.get(name)
            if start is None and len(links := dict(node.links())) == 1 and is_plain(node):
                start = next(iter(links.values()))

    def value(self, node: Node | None, *names: str) -> Any:
        """The first of these inputs that has a value, also one that another node holds."""
        for name in names:
            value = node.inputs.get(name) if node else None
            for holder in self.chain(value, "") if isinstance(value, Link) else ():
                held = (holder.inputs.get(one) for one in VALUE_INPUTS)
                value = next((one for one in held if one is not None), None)
                if isinstance(value, Link):
                    value = self._held(value)
                if value is not None:
                    break
            if value is not None and not isinstance(value, Link | dict | list):
                return value
        return None

    def _held(self, link: Link) -> Any:
        """A value at most three nodes away."""
        for _ in range(3):
            node = self.get(link)
            held = (node.inputs.get(one) for one in VALUE_INPUTS) if node else ()
            value = next((one for one in held if one is not None), None)
            if not isinstance(value, Link):
                return value
            link = value
        return None


def is_plain(node: Node) -> bool:
    """Whether a node only passes something on."""
    return node.kind.lower().split(" ")[0] in ("reroute", "primitivenode", "getnode", "setnode")


def from_prompt(said: Json) -> Graph | None:
    """The layout that runs: {id: {"class_type": …, "inputs": {name: value or [id, slot]}}}."""
    nodes: dict[str, Node] = {}
    for key, row in list(said.items())[:MAX_NODES]:
        row = as_object(row)
        if kind := as_text(row.get("class_type")):
            inputs = as_object(row.get("inputs"))
            nodes[key] = Node(kind, {name: _linked(value) for name, value in inputs.items()})
    return Graph(nodes) if nodes else None


def from_workflow(said: Json) -> Graph | None:
    """The layout of the editor: nodes with positional values, and links as a list of their own."""
    sources = {
        str(row[0]): Link(as_text(row[1]), row[2] if isinstance(row[2], int) else 0)
        for row in as_list(said.get("links"))
        if isinstance(row, list) and len(row) >= 3
    }
    nodes: dict[str, Node] = {}
    for row in as_list(said.get("nodes"))[:MAX_NODES]:
        row = as_object(row)
        kind = as_text(row.get("type"))
        if not kind or row.get("mode") == 2:  # muted: it did not run
            continue
        inputs = _widget_values(kind, row.get("widgets_values"))
        for entry in map(as_object, as_list(row.get("inputs"))):
            source = sources.get(as_text(entry.get("link")))
            if source is not None:
                inputs[as_text(entry.get("name"))] = source
        nodes[as_text(row.get("id"))] = Node(kind, inputs)
    return Graph(nodes) if nodes else None


def _widget_values(kind: str, values: Any) -> dict[str, Any]:
    if isinstance(values, dict):
        return {str(name): value for name, value in values.items()}
    names = WIDGETS.get(kind, ("value",))
    return {n: value for n, value in zip(names, as_list(values), strict=False) if n}


def _linked(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 2 and isinstance(value[1], int):
        return Link(as_text(value[0]), value[1])
    return value


def _rank(kind: str) -> int:
    kind = kind.lower()
    if "image" in kind and "save" in kind:
        return 0
    return 1 if "save" in kind else 2 if "preview" in kind else 3


def _numeric(key: str) -> tuple[int, str]:
    return (int(key), "") if key.isdecimal() and len(key) < 10 else (10**9, key)
