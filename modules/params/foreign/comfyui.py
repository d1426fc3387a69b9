"""Pictures from ComfyUI: the graph is followed from the saved picture back to its samplers.

The graph stands in the texts "prompt" (as it ran) and "workflow" (as it was edited). The last
sampler made the picture; one before it, with an upscale between them, is hires fix's first pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from modules.params.foreign.comfyui_graph import Graph, Link, Node, from_prompt, from_workflow
from modules.params.foreign.comfyui_prompt import PromptReader
from modules.params.foreign.found import (
    Foreign,
    Texts,
    as_number,
    as_text,
    as_whole,
    load_object,
    lora_tag,
    size_text,
    stem,
    with_tags,
)
from modules.params.foreign.names import put_sampler

NAME: Final = "ComfyUI"
MAX_PASSES: Final = 8

LATENT_UPSCALERS: Final = {
    "nearest-exact": "Latent (nearest-exact)",
    "bilinear": "Latent",
    "bicubic": "Latent (bicubic)",
}
PIXEL_UPSCALERS: Final = {"lanczos": "Lanczos", "nearest-exact": "Nearest"}
SEEDS: Final = ("seed", "noise_seed")
LATENTS: Final = ("latent_image", "latent", "samples")


def detect(texts: Texts) -> bool:
    """Whether one of these texts is a graph."""
    return '"class_type"' in texts.get("prompt", "") or '"nodes"' in texts.get("workflow", "")


def read(texts: Texts, size: tuple[int, int]) -> Foreign | None:
    """The parameters of the first saved picture; None if no sampler leads to one."""
    for key, layout in (("prompt", from_prompt), ("workflow", from_workflow)):
        said = load_object(texts.get(key))
        graph = layout(said) if said is not None else None
        if graph is not None and (passes := _passes(graph)):
            return _Picture(graph, passes, size).read()
    return None


@dataclass(frozen=True, slots=True)
class _Sampling:
    """What one sampler was told."""

    seed: int | None
    steps: int | None
    cfg: Any
    sampler: Any
    schedule: Any
    denoise: float
    positive: Any
    negative: Any
    model: Any


def _is_sampler(node: Node) -> bool:
    if node.kind in ("SamplerCustom", "SamplerCustomAdvanced"):
        return True
    return node.has("steps") and node.has(*SEEDS) and node.has("sampler_name", "cfg", "denoise")


def _passes(graph: Graph) -> list[str]:
    """Samplers from the one that made the picture back to the first."""
    for sink in graph.sinks():
        found: list[str] = []
        start = [Link(sink, 0)]
        while len(found) < MAX_PASSES:
            sampler = graph.nearest(start, _is_sampler)
            if sampler is None or sampler in found:
                break
            found.append(sampler)
            links = dict(graph.nodes[sampler].links())
            start = [links[name] for name in LATENTS if name in links]
        if found:
            return found
    return []


class _Picture:
    """Puts one picture's parameters together."""

    def __init__(self, graph: Graph, passes: list[str], size: tuple[int, int]) -> None:
        self._graph = graph
        self._passes = passes
        self._size = size
        self._found = Foreign(NAME)
        self._prompts = PromptReader(graph, self._found)

    def read(self) -> Foreign:
        """Everything; what could not be mapped is noted along the way."""
        found, graph = self._found, self._graph
        last = graph.nodes[self._passes[0]]
        first_key = self._passes[-1]
        upscale = self._upscale(self._passes[0], self._passes[1]) if self._passes[1:] else None
        refines = bool(self._passes[1:]) and upscale is None
        if refines:
            first_key = self._passes[1]
        first = graph.nodes[first_key]
        sampling = self._sampling(first)
        self._put_base(sampling)
        self._put_latent(first, has_second=upscale is not None)
        if upscale is not None:
            self._put_hires(upscale, sampling, self._sampling(last))
        elif refines:
            self._put_refiner(sampling, self._sampling(last), last)
        elif sampling.denoise < 1:
            found.pairs["Denoising strength"] = sampling.denoise
        if len(self._passes) > 2:
            found.miss(f"{len(self._passes) - 2} of {len(self._passes)} samplers in a row")
        if "Size" not in found.pairs:
            found.pairs["Size"] = size_text(*self._size)
        self._put_vae()
        return found

    def _sampling(self, node: Node) -> _Sampling:
        """A sampler's values; custom ones hold them in nodes of their own."""
        graph, inputs = self._graph, node.inputs
        guider, sigmas = (graph.get(inputs.get(name)) for name in ("guider", "sigmas"))
        noise, chosen = (graph.get(inputs.get(name)) for name in ("noise", "sampler"))
        cond = guider or node
        steps = as_whole(graph.value(node, "steps") or graph.value(sigmas, "steps"))
        denoise = graph.value(node, "denoise", "denoise_strength")
        denoise = graph.value(sigmas, "denoise") if denoise is None else denoise
        denoise = as_number(denoise)
        if (begin := as_whole(graph.value(node, "start_at_step"))) and steps:
            denoise = max(0.0, 1 - begin / steps)
        schedule = graph.value(node, "scheduler") or graph.value(sigmas, "scheduler")
        if schedule is None and sigmas is not None and sigmas.kind.endswith("Scheduler"):
            schedule = sigmas.kind.removesuffix("Scheduler").lower()
        sampler = graph.value(node, "sampler_name") or graph.value(chosen, "sampler_name")
        if sampler is None and chosen is not None and chosen.kind.startswith("Sampler"):
            sampler = chosen.kind.removeprefix("Sampler").lower()
        return _Sampling(
            seed=as_whole(_first(graph.value(node, *SEEDS), graph.value(noise, *SEEDS))),
            steps=steps,
            cfg=as_number(_first(graph.value(node, "cfg"), graph.value(guider, "cfg"))),
            sampler=sampler,
            schedule=schedule,
            denoise=round(min(1.0, 1.0 if denoise is None else float(denoise)), 4),
            positive=_first(cond.inputs.get("positive"), cond.inputs.get("conditioning")),
            negative=cond.inputs.get("negative"),
            model=cond.inputs.get("model"),
        )

    def _put_base(self, sampling: _Sampling) -> None:
        found = self._found
        found.prompt = self._prompts.read(sampling.positive)
        skip = self._prompts.clip_skip()
        found.negative_prompt = self._prompts.read(sampling.negative, can_combine=False)
        put_sampler(found, sampling.sampler, sampling.schedule)
        model, tags = self._model(sampling.model)
        found.prompt = with_tags(found.prompt, tags)
        found.pairs |= {
            "Steps": sampling.steps,
            "CFG scale": sampling.cfg,
            "Seed": sampling.seed,
            "Model": model,
            "Clip skip": skip,
            "RNG": "CPU",
        }

    def _model(self, link: Any) -> tuple[str | None, list[str]]:
        """The checkpoint's name and the LoRAs' tags."""
        tags: list[str] = []
        for node in self._graph.chain(link, "model"):
            value = self._graph.value
            if name := value(node, "ckpt_name", "unet_name", "base_ckpt_name"):
                return stem(name) or None, tags[::-1]
            if node.has("lora_name"):
                weights = (value(node, key) for key in ("strength_model", "strength_clip"))
                model_weight, text_weight = weights
                if node.kind == "LoraLoaderModelOnly":
                    text_weight = 0
                tags.append(lora_tag(value(node, "lora_name"), model_weight, text_weight))
            elif node.kind == "TomePatchModel":
                self._found.pairs["Token merging ratio"] = as_number(value(node, "ratio"))
            elif node.kind.lower() != "reroute":
                self._found.miss(node.kind)
        return None, tags[::-1]

    def _put_latent(self, sampler: Node, *, has_second: bool) -> None:
        """The size of the first pass, or the picture that it began with."""
        links = dict(sampler.links())
        for name in LATENTS:
            for node in self._graph.chain(links.get(name), "samples"):
                value = self._graph.value
                size = size_text(value(node, "width"), value(node, "height"))
                if size and "Empty" in node.kind:
                    self._found.pairs["Size"] = size
                    return
                if node.has("pixels", "image"):
                    self._found.miss("the picture that it was made from")
                    return
        if size := size_text(
            self._graph.value(sampler, "width"), self._graph.value(sampler, "height")
        ):
            self._found.pairs["Size"] = size

    def _upscale(self, last: str, before: str) -> list[Node] | None:
        """The nodes between two samplers, if one of them changes the size."""
        links = dict(self._graph.nodes[last].links())
        start = [links[name] for name in LATENTS if name in links]
        nodes = [self._graph.nodes[key] for key in self._graph.between(start, before)]
        changes = [node for node in nodes if "upscale" in node.kind.lower() or _scales(node)]
        return nodes if changes else None

    def _put_hires(self, nodes: list[Node], first: _Sampling, second: _Sampling) -> None:
        found, value = self._found, self._graph.value
        size = scale = upscaler = None
        for node in nodes:
            method = as_text(value(node, "upscale_method"))
            if node.has("scale_by"):
                scale = scale or as_number(value(node, "scale_by"))
            if _scales(node):
                size = size or size_text(value(node, "width"), value(node, "height"))
            if node.kind == "UpscaleModelLoader":
                upscaler = stem(value(node, "model_name"))
            elif method and not upscaler:
                names = LATENT_UPSCALERS if node.kind.startswith("Latent") else PIXEL_UPSCALERS
                upscaler = names.get(method)
                if upscaler is None:
                    found.miss(f"upscale method {method}")
        by_model = any(node.kind == "UpscaleModelLoader" for node in nodes)
        is_plain_scale = scale is not None and not by_model and scale >= 1
        found.pairs |= {
            "Denoising strength": second.denoise,
            "Hires upscale": scale if is_plain_scale else None,
            "Hires resize": None if is_plain_scale else size or size_text(*self._size),
            "Hires steps": second.steps if second.steps != first.steps else None,
            "Hires upscaler": upscaler or "Latent",
        }
        self._put_second(first, second)

    def _put_second(self, first: _Sampling, second: _Sampling) -> None:
        """What the second pass does otherwise than the first."""
        found = self._found
        if (second.sampler, second.schedule) != (first.sampler, first.schedule):
            put_sampler(found, second.sampler, second.schedule, prefix="Hires ")
        if second.cfg != first.cfg:
            found.miss(f"CFG {second.cfg} of the second pass")
        if second.seed != first.seed:
            found.miss(f"seed {second.seed} of the second pass")
        model, tags = self._model(second.model)
        if model and model != found.pairs.get("Model"):
            found.pairs["Hires checkpoint"] = model
        prompt = with_tags(self._prompts.read(second.positive), tags)
        negative = self._prompts.read(second.negative, can_combine=False)
        if prompt and prompt != found.prompt:
            found.pairs["Hires prompt"] = prompt
        if negative and negative != found.negative_prompt:
            found.pairs["Hires negative prompt"] = negative

    def _put_refiner(self, first: _Sampling, second: _Sampling, last: Node) -> None:
        """Two samplers without an upscale: SDXL's base and refiner, or one that repaints."""
        begin = as_whole(self._graph.value(last, "start_at_step"))
        model, _ = self._model(second.model)
        if begin and second.steps and model:
            self._found.pairs |= {
                "Refiner": model,
                "Refiner switch at": round(begin / second.steps, 4),
            }
        else:
            self._found.miss(f"a second sampler with denoise {second.denoise}")

    def _put_vae(self) -> None:
        """A VAE of its own: the one that decoded the picture, nearest to where it was saved."""
        graph = self._graph
        for sink in graph.sinks()[:1]:
            decoder = graph.nearest([Link(sink, 0)], lambda node: node.has("vae"))
            vae = graph.nodes[decoder].inputs.get("vae") if decoder else None
            for node in graph.chain(vae, "vae"):
                if name := as_text(graph.value(node, "vae_name")):
                    self._found.pairs["VAE"] = name


def _scales(node: Node) -> bool:
    return node.kind in ("LatentUpscale", "ImageScale") and node.has("width")


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
