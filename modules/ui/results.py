"""The panel with a job's pictures: live preview, gallery, parameters, save and zip.

The page's scripts follow the job through the status route and ask for the pictures when it is
done; what they show besides pictures comes as one JSON text.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from modules.core.app import App
from modules.core.errors import BadInput
from modules.images.encode import encode_image
from modules.jobs.queue import Job
from modules.processing.result import Result
from modules.ui.events import BROWSER, QUIET, TELLING, tell
from modules.ui.file_manager import find_file_manager, is_at_this_machine, open_folder
from modules.ui.saving import save_picture, zip_pictures

SEND_TARGETS: Final = ("img2img", "inpaint", "extras")
"""Tabs that take a picture."""

_LIVE = """
<div class="easel-live" id="{tab}_live" hidden>
  <img id="{tab}_live_picture" alt="The picture so far" hidden>
  <p id="{tab}_live_text">Starting …</p>
</div>
<div class="easel-empty" id="{tab}_empty"><p>The picture appears here.</p></div>
"""
_PROGRESS = """
<div class="easel-progress" id="{tab}_progress" role="progressbar" aria-label="Progress"
  aria-valuemin="0" aria-valuemax="100" aria-valuenow="0">
  <div class="easel-progress-bar" id="{tab}_progress_bar"></div>
</div>
"""
_SAID = """
<div class="easel-progress-text" id="{tab}_progress_text" role="status" aria-live="polite"></div>
"""
_INFO = """
<div class="easel-log" id="html_log_{tab}"></div>
<div class="easel-infotext" id="{tab}_infotext" hidden>
  <button type="button" class="easel-copy" id="{tab}_copy_infotext"
    title="Copy the parameters">Copy</button>
  <pre tabindex="0" aria-label="Parameters of the picture"></pre>
</div>
"""


class Results:
    """The panel of one tab and its events."""

    def __init__(self, app: App, tab: str, folder_setting: str) -> None:
        """`folder_setting`: the setting that names where this tab's pictures are saved."""
        self._app = app
        self._tab = tab
        self._folder_setting = folder_setting
        self.gallery: gr.Gallery
        self.info: gr.Textbox
        self.sends: dict[str, gr.Button] = {}
        """Buttons that hand the shown picture to another tab, by that tab."""

    def build(self) -> None:
        """Make the components in gradio's current layout block, and wire them."""
        tab = self._tab
        with gr.Column(elem_id=f"{tab}_gallery_container", elem_classes=["easel-stage"]):
            self.gallery = gr.Gallery(
                label="Output",
                show_label=False,
                elem_id=f"{tab}_gallery",
                preview=True,
                object_fit="contain",
                columns=4,
                buttons=["download", "fullscreen"],
                interactive=False,
            )
            gr.HTML(_LIVE.format(tab=tab), elem_id=f"{tab}_overlay")
        gr.HTML(_PROGRESS.format(tab=tab), elem_id=f"{tab}_progress_block")
        with gr.Row(elem_id=f"image_buttons_{tab}", elem_classes=["easel-tools"]):
            gr.HTML(_SAID.format(tab=tab), elem_id=f"{tab}_said")
            save = gr.Button("Save", elem_id=f"save_{tab}", size="sm")
            archive = gr.Button("Zip", elem_id=f"save_zip_{tab}", size="sm")
            folder = gr.Button("Folder", elem_id=f"{tab}_open_folder", size="sm")
            for target in SEND_TARGETS:
                self.sends[target] = gr.Button(
                    f"→ {target}", elem_id=f"{tab}_send_to_{target}", size="sm"
                )
        download = gr.File(visible="hidden", elem_id=f"download_files_{tab}")
        gr.HTML(_INFO.format(tab=tab), elem_id=f"html_info_{tab}")
        self.info = gr.Textbox("", visible="hidden", elem_id=f"generation_info_{tab}")
        self._wire(save, archive, folder, download)

    def _wire(
        self, save: gr.Button, archive: gr.Button, folder: gr.Button, download: gr.File
    ) -> None:
        tab = self._tab
        wanted = gr.Textbox(visible="hidden", elem_id=f"{tab}_wanted_job")
        index = gr.Number(-1, visible="hidden", elem_id=f"{tab}_selected_index")
        load = gr.Button("Load", visible="hidden", elem_id=f"{tab}_load_result")
        load.click(
            self.load,
            inputs=[wanted],
            outputs=[self.gallery, self.info],
            js="() => [easel.jobs.wanted()]",
            **QUIET,
        )
        self.wanted, self.index = wanted, index
        self.info.change(
            inputs=[self.info], js=f"(info) => easel.results.show('{tab}', info)", **BROWSER
        )
        shown = f"() => easel.results.shown('{tab}')"
        save.click(self.save, inputs=[wanted, index], js=shown, **TELLING)
        archive.click(
            self.zip, inputs=[wanted, index], outputs=[download], js=shown, **TELLING
        ).success(js=f"() => easel.results.download('download_files_{tab}')", **BROWSER)
        opened = gr.Textbox(visible="hidden", elem_id=f"{tab}_opened_folder")
        folder.click(
            self.open_folder, inputs=[wanted, index], outputs=[opened], js=shown, **QUIET
        ).then(inputs=[opened], js=f"(reply) => easel.results.folder('{tab}', reply)", **BROWSER)

    def load(self, job_id: str) -> tuple[Any, str]:
        """Gallery and info of a finished job; the info says so where the job is not known."""
        job = self._app.jobs.get(job_id)
        if job is None or job.result is None:
            return gr.skip(), json.dumps({"easel": {"job": job_id, "missing": True}})
        pictures = self._files(job.result)
        gallery = gr.update(value=pictures, selected_index=0 if pictures else None)
        return gallery, json.dumps(self._describe(job, job.result))

    def hand_over(self, job_id: str, index: float) -> tuple[str, str]:
        """The shown picture as a file that picture fields take, and its parameters.

        Raises BadInput where there is none.
        """
        result, place = self._result(job_id), int(index)
        if result is None or not 0 <= place < len(result.images):
            raise BadInput("picture", place, "there is no picture to send")
        data = encode_image(result.images[place], "png", result.infotexts[place])
        name = f"{self._tab}-{_seed_text(result)}-{place}.png"
        path = save_bytes_to_cache(data, name, self.gallery.GRADIO_CACHE)
        return str(path), result.infotexts[place]

    def save(self, job_id: str, index: float) -> None:
        """Copy the shown picture into the folder of kept pictures."""
        tell(
            lambda: save_picture(
                self._result(job_id), int(index), self._app.settings.view(), self._app.paths
            )
        )

    def zip(self, job_id: str, _index: float) -> str | None:
        """An archive of the shown job's pictures; None where there are none."""
        result = self._result(job_id)
        if result is None or not result.images:
            gr.Info("There are no pictures to put into an archive.")
            return None
        name = f"{self._tab}-{_seed_text(result)}.zip"
        return str(save_bytes_to_cache(zip_pictures(result), name, self.gallery.GRADIO_CACHE))

    def open_folder(self, job_id: str, index: float, request: gr.Request) -> str:
        """Open the shown picture's folder where the visitor sits at this machine.

        Returns JSON for the page, which otherwise shows and copies the path: {"folder",
        "opened"}; `call` makes each reply differ.
        """
        result = self._result(job_id)
        paths = result.paths if result else ()
        place = int(index)
        shown = paths[place] if 0 <= place < len(paths) else None
        folder = shown.parent if shown else self._folder(result)
        address = request.client.host if request.client else None
        is_here = not self._app.flags.is_public and is_at_this_machine(address, request.headers)
        opened = is_here and open_folder(folder, find_file_manager())
        return json.dumps({"call": secrets.token_hex(4), "folder": str(folder), "opened": opened})

    def _folder(self, result: Result | None) -> Path:
        """Where a job's pictures were saved, or where they would be."""
        saved = next((path for path in result.paths if path), None) if result else None
        return saved.parent if saved else self._saving_folder()

    def _saving_folder(self) -> Path:
        return self._app.paths.output(self._app.settings.view()[self._folder_setting])

    def _result(self, job_id: str) -> Result | None:
        job = self._app.jobs.get(job_id)
        return job.result if job else None

    def _files(self, result: Result) -> list[str]:
        """Files that the browser may fetch: the saved ones, copies of the others."""
        shown = self._app.paths.data / "outputs", self._saving_folder()
        return [
            str(path) if path and _lies_in(path, shown) else self._cached(result, index)
            for index, path in enumerate(result.paths)
        ]

    def _cached(self, result: Result, index: int) -> str:
        data = encode_image(result.images[index], "png", result.infotexts[index])
        return str(save_bytes_to_cache(data, f"{index:05}.png", self.gallery.GRADIO_CACHE))

    def _describe(self, job: Job, result: Result) -> dict[str, Any]:
        """What the page shows of a result, beside A1111's info object."""
        return {
            **result.info,
            "infotexts": list(result.infotexts),
            "index_of_first_image": result.index_of_first_image,
            "easel": {
                "job": job.id,
                "files": [_relative(path, self._app.paths.data) for path in result.paths],
                "warnings": list(result.warnings),
                "interrupted": result.interrupted,
                "seconds": result.seconds,
                "memory": result.memory,
                "steps": getattr(job.request.params, "steps", 0),
                "all_seeds": [str(seed) for seed in result.info.get("all_seeds", ())],
                "all_subseeds": [str(seed) for seed in result.info.get("all_subseeds", ())],
            },
        }


def _lies_in(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in folders)


def _relative(path: Path | None, folder: Path) -> str | None:
    if path is None:
        return None
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _seed_text(result: Result) -> str:
    return str(result.info.get("seed", "pictures"))
