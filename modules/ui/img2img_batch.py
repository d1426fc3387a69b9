"""The batch panel of img2img: pictures from uploads or a folder, results into a folder.

What a batch does stands in `modules.batch`; here are its fields, and the job of each picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio.components import Component

from modules.batch import BatchRun, Item, list_pictures, plan_items
from modules.batch.run import Format
from modules.core.app import App
from modules.core.errors import BadInput
from modules.images import decode_image, read
from modules.params.infotext_read import read_infotext
from modules.params.request import Request
from modules.ui.batch_controls import BatchControls
from modules.ui.form import Form
from modules.ui.generate import Submission
from modules.ui.img2img_form import Img2ImgForm
from modules.ui.img2img_order import Start, make_order

TAKEN: Final[Mapping[str, tuple[str, ...]]] = {
    "Prompt": ("prompt",),
    "Negative prompt": ("negative_prompt",),
    "Seed": ("seed",),
    "CFG scale": ("cfg_scale",),
    "Sampler": ("sampler_name", "scheduler"),
    "Steps": ("steps",),
}
"""What can be taken from a picture's own parameters: label → parameters."""
_APPENDED: Final = ("prompt", "negative_prompt")


class BatchPanel(BatchControls):
    """The fields of one tab's batches."""

    def __init__(self, app: App, form: Form) -> None:
        super().__init__(form)
        self._app = app
        self._hides_folders = bool(app.flags.all.get("hide_ui_dir_config"))
        self._submission: Submission
        self._overrides: gr.Dropdown

    def build(self) -> None:
        """Make the fields in gradio's current layout block."""
        tab = self._form.tab
        self.uploads = gr.File(
            label="Files", file_count="multiple", elem_id=f"{tab}_batch_upload",
            elem_classes=["easel-takes-pictures"],
            file_types=["image"], height=140,
        )  # fmt: skip
        shown = not self._hides_folders
        with gr.Column(visible=shown, elem_classes=["easel-batch-folders"]):
            self.input_folder = _folder(tab, "input_dir", "Input directory", "Instead of files")
            self.output_folder = _folder(
                tab, "output_dir", "Output directory", "Empty: a new folder beside img2img's"
            )
            self.mask_folder = _folder(
                tab,
                "inpaint_mask_dir",
                "Inpaint batch mask directory",
                "Empty: no masks; one mask for all, or one of each picture's name",
            )
        self.resume = gr.Checkbox(
            True, label="Skip pictures whose result is there", elem_id=f"{tab}_batch_resume"
        )
        self.use_texts = gr.Checkbox(
            False, label="Append png info to prompts", elem_id=f"{tab}_batch_use_png_info"
        )
        self.taken = gr.CheckboxGroup(
            list(TAKEN),
            value=["Prompt", "Negative prompt"],
            label="Taken from each picture's own parameters",
            elem_id=f"{tab}_batch_png_info_props",
        )
        self._build_controls()

    def wire(self, submission: Submission, overrides: gr.Dropdown, reply: gr.Textbox) -> None:
        """Connect the fields with the tab's hidden button of this mode."""
        self._submission, self._overrides = submission, overrides
        self._wire_controls("batch", (overrides, *self._fields()), reply)

    def _fields(self) -> list[Component]:
        folders = [self.input_folder, self.output_folder, self.mask_folder]
        return [self.uploads, *folders, self.resume, self.use_texts, self.taken]

    def _plan(self, values: Mapping[Component, Any], user: str) -> BatchRun:
        base = self._form.read(values)
        settings = self._app.settings.view()
        masks = self._masks(self._path(values, self.mask_folder))
        items, folder = self._sources(values, masks)
        taken = values[self.taken] if values[self.use_texts] else ()
        chips = list(values[self._overrides] or ())

        def make(item: Item) -> Request:
            return self._request(item, base, taken, masks is not None, chips, user)

        return BatchRun(
            items,
            folder,
            make,
            self._app.jobs.submit,
            Format(
                settings["samples_format"],
                settings["jpeg_quality"],
                settings["webp_lossless"],
                settings["enable_pnginfo"],
            ),
            bool(values[self.resume]),
        )

    def _sources(
        self, values: Mapping[Component, Any], masks: list[Path] | None
    ) -> tuple[list[Item], Path]:
        """The items, and the folder of the results."""
        given = self._path(values, self.output_folder)
        own = self._app.paths.output(self._app.settings.view()["outdir_img2img_samples"])
        source = self._path(values, self.input_folder)
        if source is not None:
            items = plan_items(list_pictures(source, "batch_input_dir"), masks)
            return items, given or own / f"batch-{source.name}"
        files = [file for file in values[self.uploads] or () if file]
        if not files:
            raise BadInput("batch_upload", "nothing", "drop the pictures of the batch here")
        paths = [Path(str(file["path"])) for file in files]
        names = [Path(str(file.get("orig_name") or path.name)).name
                 for file, path in zip(files, paths, strict=True)]  # fmt: skip
        stamp = f"{datetime.now():%Y-%m-%d-%H%M%S}"
        return plan_items(paths, masks, names), given or own / f"batch-{stamp}"

    def _masks(self, folder: Path | None) -> list[Path] | None:
        return list_pictures(folder, "batch_inpaint_mask_dir") if folder else None

    def _path(self, values: Mapping[Component, Any], component: Component) -> Path | None:
        """A folder that was typed; None without one, and where folders are not for the page."""
        text = str(values[component] or "").strip().strip('"')
        if not text or self._hides_folders:
            return None
        return self._app.paths.output(str(Path(text).expanduser()))

    def _request(
        self,
        item: Item,
        base: Mapping[str, Any],
        taken: tuple[str, ...] | list[str],
        wants_mask: bool,
        chips: list[str],
        user: str,
    ) -> Request:
        """The job of one picture. Raises EaselError for what cannot be used."""
        picture = decode_image(item.source.read_bytes(), field=item.source.name)
        mask = None
        if wants_mask:
            if item.mask is None:
                raise BadInput("mask", item.name, "there is no mask of this name in the folder")
            mask = decode_image(item.mask.read_bytes(), field=item.mask.name)
        values = {**base, **_own_parameters(read(picture).infotext, base, taken)}
        order = make_order(lambda _form, _pictures: Start(picture, mask), values, ())
        request = self._submission.prepare(order, chips, user)
        return request.model_copy(update={"save_samples": False, "save_grid": False})


def _own_parameters(
    infotext: str, base: Mapping[str, Any], taken: tuple[str, ...] | list[str]
) -> dict[str, Any]:
    """What a picture's own parameters change; prompts are put behind those of the form."""
    if not infotext or not taken:
        return {}
    found = read_infotext(infotext, model=Img2ImgForm).params
    wanted = [name for label in taken for name in TAKEN.get(label, ()) if name in found]
    changes = {name: found[name] for name in wanted}
    for name in _APPENDED:
        if name in changes and base.get(name):
            changes[name] = f"{base[name]} {changes[name]}".strip()
    return changes


def _folder(tab: str, name: str, label: str, placeholder: str) -> gr.Textbox:
    return gr.Textbox(
        label=label, placeholder=placeholder, max_lines=1, elem_id=f"{tab}_batch_{name}"
    )
