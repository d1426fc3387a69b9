"""A script in txt2img and img2img: two jobs with seeds apart, side by side."""

import copy

from PIL import Image
from sample_words import LABEL

from modules.core.errors import BadInput
from modules.extensions import Processed, Script, process_images


class TwoSeeds(Script):
    """Makes the same picture with two seeds."""

    def title(self) -> str:
        return "Two seeds"

    def ui(self, is_img2img: bool) -> list[object]:
        import gradio as gr

        apart = gr.Slider(1, 100, value=5, step=1, label=LABEL, elem_id=self.elem_id("apart"))
        which = gr.Dropdown(
            ["row", "column"], value="row", type="index", label="Layout",
            elem_id=self.elem_id("layout"),
        )  # fmt: skip
        self.infotext_fields = [(apart, "Seeds apart"), (which, lambda pairs: pairs.get("Layout"))]
        return [apart, which]

    def check_arguments(self, apart: int, layout: int) -> None:
        if apart == 13:
            raise BadInput(LABEL, apart, "that is bad luck")

    def run(self, p: object, apart: int, layout: int) -> Processed:
        if apart > 100:
            raise BadInput(LABEL, apart, "1 to 100 are allowed")
        seed, both = p.seed, []
        for number in range(2):
            own = copy.copy(p)
            own.seed = seed + number * apart
            own.extra_generation_params = {"Script": self.title()}
            made = process_images(own)
            if not made.images:
                break
            both.append(made)
        images = [made.images[0] for made in both]
        width, height = images[0].size
        size = (width, height * 2) if layout else (width * 2, height)
        grid = Image.new("RGB", size)
        for number, image in enumerate(images):
            grid.paste(image, (0, number * height) if layout else (number * width, 0))
        texts = [made.infotexts[0] for made in both]
        return Processed(
            p, [grid, *images], all_seeds=[made.seed for made in both],
            infotexts=[texts[0], *texts], index_of_first_image=1,
        )  # fmt: skip


class OnlyPictures(Script):
    """Shown in img2img alone; leaves the work to the usual job."""

    def title(self) -> str:
        return "Only pictures!"

    def show(self, is_img2img: bool) -> bool:
        return is_img2img

    def run(self, p: object) -> None:
        p.seed = 11
