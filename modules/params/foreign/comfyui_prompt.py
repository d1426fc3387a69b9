"""ComfyUI's conditioning, told as a prompt: texts, and how they are put together."""

from __future__ import annotations

from typing import Any, Final

from modules.params.foreign.comfyui_graph import Graph, Link, Node, is_plain
from modules.params.foreign.found import MAX_PROMPT, Foreign, as_number, as_text

TEXT_INPUTS: Final = (
    "text", "populated_text", "prompt", "text_positive", "positive", "string", "value", "text_g",
    "text_l", "t5xxl", "clip_l", "wildcard_text", "Text", "String",
)  # fmt: skip
"""Where nodes that encode or hold a text hold it."""

JOINED: Final = (
    ("text_a", "text_b", "text_c", "text_d"),
    ("string_a", "string_b"),
    ("text1", "text2"),
    ("string1", "string2"),
    ("prefix", "suffix"),
)
"""Inputs of nodes that put texts together."""

MAX_DEPTH: Final = 40
MAX_VISITS: Final = 1000
"""Nodes looked at for all prompts of a graph; one that shares its parts could take for ever."""


class PromptReader:
    """Reads the conditioning of one graph; what has no words here goes to `found.not_mapped`."""

    def __init__(self, graph: Graph, found: Foreign) -> None:
        self._graph = graph
        self._found = found
        self._visits = 0
        self.encoders: list[Node] = []
        """The nodes that encoded a text, in order."""

    def read(self, link: Any, *, can_combine: bool = True) -> str:
        """The prompt that a conditioning link means.

        can_combine: False for a negative prompt, where AND has no meaning.
        """
        parts = list(dict.fromkeys(self._parts(link, frozenset())))
        if len(parts) < 2:
            return "".join(parts)
        if not can_combine:
            self._found.miss("ConditioningCombine in the negative prompt")
            return ", ".join(parts)[:MAX_PROMPT]
        weight = round(1 / len(parts), 4)
        return " AND ".join(f"{part} :{weight}" for part in parts)[:MAX_PROMPT]

    def _parts(self, link: Any, seen: frozenset[str]) -> list[str]:
        """The prompts that are guided by at once."""
        node = self._visit(link, seen)
        if node is None:
            return []
        seen |= {link.node}
        inputs = node.inputs
        match node.kind:
            case "ConditioningCombine":
                both = [inputs.get("conditioning_1"), inputs.get("conditioning_2")]
                return [part for one in both for part in self._parts(one, seen)][:20]
            case "ConditioningConcat":
                both = [inputs.get("conditioning_to"), inputs.get("conditioning_from")]
                texts = [text for one in both for text in self._parts(one, seen)[:1]]
                return [" BREAK ".join(filter(None, texts))[:MAX_PROMPT]]
            case "ConditioningAverage":
                self._found.miss(node.kind)
                return self._parts(inputs.get("conditioning_to"), seen)
            case "ConditioningZeroOut":
                self._found.miss(f"{node.kind} (an empty prompt instead)")
                return [""]
        if node.kind.startswith("CLIPTextEncode") or self._encodes(node):
            self.encoders.append(node)
            return [self._text_of(node, seen)]
        return self._passed_on(node, link, seen)

    def _visit(self, link: Any, seen: frozenset[str]) -> Node | None:
        """The node at the other end, unless it was met on the way here, or enough were met."""
        node = self._graph.get(link)
        if node is None or link.node in seen or len(seen) > MAX_DEPTH:
            return None
        self._visits += 1
        return node if self._visits <= MAX_VISITS else None

    def _encodes(self, node: Node) -> bool:
        return node.has("clip") and node.has(*TEXT_INPUTS)

    def _passed_on(self, node: Node, link: Link, seen: frozenset[str]) -> list[str]:
        """A node that changes conditioning: its words stay, what it does is missed."""
        sides = [name for name in ("positive", "negative") if name in node.inputs]
        names: list[str]
        if len(sides) == 2:
            names = [sides[0 if link.slot < 1 else 1]]
        else:
            names = [name for name, _ in node.links() if name.startswith("conditioning")]
            names = names or [name for name, _ in node.links()]
        if not is_plain(node):
            self._found.miss(node.kind)
        return self._parts(node.inputs.get(names[0]), seen) if names else []

    def _text_of(self, node: Node, seen: frozenset[str]) -> str:
        """The text that a node encodes or holds; both of SDXL's if they differ."""
        if node.has("text_g", "text_l"):
            pair = [self._text(node.inputs.get(name), seen) for name in ("text_g", "text_l")]
            if pair[0] != pair[1] and all(pair):
                self._found.miss("different texts for SDXL's two encoders (joined)")
            return ", ".join(dict.fromkeys(filter(None, pair)))
        if node.has("t5xxl", "clip_l"):
            return self._text(node.inputs.get("t5xxl") or node.inputs.get("clip_l"), seen)
        for names in JOINED:
            if node.has(names[0]) and node.has(*names[1:]):
                parts = [self._text(node.inputs.get(name), seen) for name in names]
                delimiter = node.inputs.get("delimiter", ", ")
                between = delimiter if isinstance(delimiter, str) else ", "
                return between[:20].join(filter(None, parts))[:MAX_PROMPT]
        for name in TEXT_INPUTS:
            if text := self._text(node.inputs.get(name), seen):
                return text
        return ""

    def _text(self, value: Any, seen: frozenset[str]) -> str:
        """A text, or the text that another node holds."""
        if not isinstance(value, Link):
            return as_text(value) if isinstance(value, str) else ""
        node = self._visit(value, seen)
        if node is None:
            return ""
        text = self._text_of(node, seen | {value.node})
        if text or not is_plain(node):
            return text
        inner = next((link for _, link in node.links()), None)
        return self._text(inner, seen | {value.node})

    def clip_skip(self) -> int | None:
        """A1111's clip skip of the first encoded text; None without one."""
        for encoder in self.encoders[:1]:
            for node in self._graph.chain(encoder.inputs.get("clip"), "clip"):
                layer = as_number(node.inputs.get("stop_at_clip_layer"))
                if layer is not None and layer < -1:
                    return int(-layer)
        return None
