"""A batch at work: one job after another through the queue, and a report of each picture.

A picture that cannot be used is noted, and the rest go on. What is done already is skipped, so
a batch that was stopped goes on where it was.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from PIL import Image

from modules.batch.notes import Notes
from modules.batch.plan import Item
from modules.core.errors import BadInput, Busy, EaselError, Interrupted
from modules.images import encode_image, image_format
from modules.images.numbering import claim_name
from modules.jobs.queue import Job
from modules.params.request import AnyRequest
from modules.processing.report import Stop
from modules.processing.result import Result

log = logging.getLogger(__name__)

MakeRequest = Callable[[Item], AnyRequest]
"""The job of an item. Raises EaselError for what cannot be used."""
Submit = Callable[[AnyRequest], Job]
Encode = Callable[[Image.Image, str], bytes]
"""(picture, infotext) → its file."""
_KEPT_FAILURES: Final = 200


@dataclass(frozen=True, slots=True)
class Format:
    """How results are written."""

    name: str = "png"
    quality: int = 80
    lossless: bool = False
    with_infotext: bool = True

    def encode(self, image: Image.Image, infotext: str) -> bytes:
        """The file of a result."""
        return encode_image(
            image,
            self.name,
            infotext if self.with_infotext else "",
            self.quality,
            lossless=self.lossless,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a batch is."""

    total: int
    done: int = 0
    skipped: int = 0
    """Were done before."""
    failed: int = 0
    failures: tuple[tuple[str, str], ...] = ()
    """(picture, why not), the first ones."""
    current: str = ""
    """The picture at hand; "" between pictures."""
    job_id: str = ""
    state: str = "running"
    """running, done or stopped."""

    @property
    def is_running(self) -> bool:
        """Whether anything is still to come."""
        return self.state == "running"


@dataclass(slots=True)
class BatchRun:
    """One batch; `start` returns at once."""

    items: Sequence[Item]
    folder: Path
    make_request: MakeRequest
    submit: Submit
    format: Format = field(default_factory=Format)
    skips_done: bool = True
    encode: Encode | None = None
    """Makes the files in place of `format`, which then says only their ending."""
    notes: Notes | None = None
    """Of what the results in the folder are made from: only a noted one counts as done, and no
    file is replaced. None: a file of the right name counts."""
    _progress: Progress = field(init=False)
    _stopping: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)
    _job: Job | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Nothing runs yet."""
        self._progress = Progress(len(self.items))
        self._thread = threading.Thread(target=self._work, name="easel-batch", daemon=True)

    @property
    def progress(self) -> Progress:
        """A snapshot."""
        return self._progress

    def start(self) -> None:
        """Make the folder and begin. Raises BadInput where the folder cannot be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            allowed = f"a folder that can be written is needed ({error.strerror})"
            raise BadInput("batch_output_dir", str(self.folder), allowed) from error
        self._thread.start()

    def stop(self) -> None:
        """Stop the picture at hand and begin no further one."""
        self._stopping.set()
        if self._job:
            self._job.report.ask(Stop.NOW)

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing runs any more; False if that took longer."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            for item in self.items:
                if self._stopping.is_set():
                    break
                self._set(current=item.source.name)
                self._do(item)
        finally:
            state = "stopped" if self._stopping.is_set() else "done"
            self._set(state=state, current="", job_id="")

    def _do(self, item: Item) -> None:
        if self.skips_done and self._is_done(item):
            self._set(skipped=self._progress.skipped + 1)
            return
        try:
            self._make(item)
        except Interrupted:
            if self._was_interrupted():
                self._stopping.set()
            else:
                self._fail(item, "skipped or cancelled")
        except Busy as error:
            self._fail(item, str(error))
            self._stopping.set()
        except (EaselError, OSError) as error:
            self._fail(item, str(error))
        except Exception as error:  # a fault of the job: its log says more
            log.exception("Batch: %s failed", item.source.name)
            self._fail(item, f"{type(error).__name__}: {error}")
        else:
            self._set(done=self._progress.done + 1)

    def _make(self, item: Item) -> None:
        self._job = self.submit(self.make_request(item))
        self._set(job_id=self._job.id)
        if self._stopping.is_set():
            self._job.report.ask(Stop.NOW)
        result = self._job.future.result()
        if result.interrupted:
            raise Interrupted("The picture is not finished.")
        self._save(item, result)
        if self._was_interrupted():
            self._stopping.set()

    def _was_interrupted(self) -> bool:
        """Whether somebody pressed Interrupt; a picture that was only skipped is another thing."""
        return self._job is not None and self._job.report.stop in (Stop.NOW, Stop.AFTER_CURRENT)

    def _save(self, item: Item, result: Result) -> None:
        """Write the pictures; the one that marks the item as done comes last."""
        first = result.index_of_first_image
        images = list(zip(result.images[first:], result.infotexts[first:], strict=True))
        extension = image_format(self.format.name).extension
        replaces = self.skips_done and self.notes is None
        for place, (image, infotext) in reversed(list(enumerate(images))):
            data = (self.encode or self.format.encode)(image, infotext)
            stem = f"{item.name}-{place}" if place else item.name
            with claim_name(self.folder, stem, extension, replace=replaces) as claim:
                claim.part.write_bytes(data)
            if self.notes and not place:
                self.notes.add(item.source, claim.path)

    def _is_done(self, item: Item) -> bool:
        ending = f".{image_format(self.format.name).extension}"
        if self.notes:
            return self.notes.has(item.source, ending)
        return (self.folder / f"{item.name}{ending}").exists()

    def _fail(self, item: Item, reason: str) -> None:
        log.warning("Batch: %s: %s", item.source.name, reason)
        failures = (*self._progress.failures, (item.source.name, reason))[:_KEPT_FAILURES]
        self._set(failed=self._progress.failed + 1, failures=failures)

    def _set(self, **changes: object) -> None:
        self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]
