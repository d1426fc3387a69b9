"""What a script gives back, under the names that scripts know. Importable without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from modules.processing.result import Result

if TYPE_CHECKING:
    from modules.processing.p import Processing

LISTS = ("all_prompts", "all_negative_prompts", "all_seeds", "all_subseeds")
FIRST_OF = {
    "prompt": "all_prompts",
    "negative_prompt": "all_negative_prompts",
    "seed": "all_seeds",
    "subseed": "all_subseeds",
}


class Processed:
    """Pictures and what belongs to them; scripts may change and extend every list.

    `images` holds grids first, `index_of_first_image` of them, then the pictures. `infotexts` has
    one entry per image; what is missing at its end is filled with `info`. A1111 1.10 behaviour.
    """

    def __init__(
        self,
        p: Processing,
        images_list: Sequence[Image.Image],
        seed: int = -1,
        info: str = "",
        subseed: int | None = None,
        all_prompts: Sequence[str] | None = None,
        all_negative_prompts: Sequence[str] | None = None,
        all_seeds: Sequence[int] | None = None,
        all_subseeds: Sequence[int] | None = None,
        index_of_first_image: int = 0,
        infotexts: Sequence[str] | None = None,
        comments: str = "",
    ) -> None:
        """`comments` are warnings for the user, one per line."""
        self.images = list(images_list)
        self.infotexts = list(infotexts if infotexts is not None else [info] * len(self.images))
        self.info = info
        self.index_of_first_image = index_of_first_image
        self.comments = comments
        self.all_prompts = list(all_prompts or p.all_prompts or [_first(p.prompt)])
        self.all_negative_prompts = list(
            all_negative_prompts or p.all_negative_prompts or [_first(p.negative_prompt)]
        )
        self.all_seeds = list(all_seeds or p.all_seeds or [seed])
        self.all_subseeds = list(all_subseeds or p.all_subseeds or [subseed or -1])
        self.prompt = self.all_prompts[0]
        self.negative_prompt = self.all_negative_prompts[0]
        self.seed = self.all_seeds[0] if seed == -1 else seed
        self.subseed = self.all_subseeds[0] if subseed is None else subseed
        self.width, self.height = p.width, p.height
        self.paths: list[Path | None] = [None] * len(self.images)
        self.facts: dict[str, Any] = {}
        """The `info` object of the last job that was run for it."""
        self.interrupted = False
        self.memory: dict[str, int] = {}

    @classmethod
    def of(cls, p: Processing, result: Result) -> Processed:
        """What `p`'s job gave back."""
        made = cls(p, result.images, infotexts=result.infotexts)
        made.info = result.infotexts[0] if result.infotexts else ""
        made.index_of_first_image = result.index_of_first_image
        made.paths = list(result.paths)
        made.facts = dict(result.info)
        made.comments = "\n".join(result.warnings)
        made.interrupted, made.memory = result.interrupted, dict(result.memory)
        return made

    def infotext(self, p: Processing, index: int) -> str:
        """The infotext of picture `index`, grids not counted."""
        place = self.index_of_first_image + index
        return self.infotexts[place] if place < len(self.infotexts) else self.info

    def js(self) -> str:
        """The `info` object of REST replies, as JSON."""
        return json.dumps(self.as_info(), default=str)

    def as_info(self) -> dict[str, Any]:
        """The `info` object of REST replies."""
        own = {name: list(getattr(self, name)) for name in LISTS}
        first = {name: getattr(self, name) for name in FIRST_OF}
        return self.facts | own | first | {
            "width": self.width,
            "height": self.height,
            "index_of_first_image": self.index_of_first_image,
            "infotexts": self._all_infotexts(),
        }  # fmt: skip

    def to_result(self, *, warnings: Sequence[str], seconds: float) -> Result:
        """The job's result; `warnings` go before the comments."""
        count = len(self.images)
        comments = [line for line in self.comments.splitlines() if line.strip()]
        return Result(
            images=tuple(self.images),
            infotexts=tuple(self._all_infotexts()[:count]),
            paths=(*self.paths, *[None] * count)[:count],
            index_of_first_image=min(self.index_of_first_image, count),
            info=self.as_info(),
            warnings=tuple(dict.fromkeys([*warnings, *comments])),
            interrupted=self.interrupted,
            seconds=seconds,
            memory=self.memory,
        )

    def _all_infotexts(self) -> list[str]:
        """One for each image at least; a plot's has those of cells that it does not show."""
        missing = len(self.images) - len(self.infotexts)
        return [*self.infotexts, *[self.info] * missing]


def process_images(p: Processing) -> Processed:
    """Make `p`'s pictures, within the job whose script calls this.

    The result has no images where the job was stopped before the first. Raises EaselError for
    what the user can mend.
    """
    return p.job.process(p)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value
