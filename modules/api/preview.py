"""Live previews as base64, each encoded once however many clients ask for it."""

from __future__ import annotations

import base64
import threading

from modules.images import encode_image, image_format
from modules.jobs.queue import Job


class PreviewEncoder:
    """Remembers the newest preview that was asked for; safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[str, int, str] | None = None
        self._text = ""

    def encode(self, job: Job, format: str) -> str | None:
        """Base64 of the job's preview as it is now, None if there is none yet."""
        progress = job.progress
        if progress.preview is None:
            return None
        key = (job.id, progress.preview_id, format)
        with self._lock:
            if self._key != key:
                data = encode_image(progress.preview, format)
                self._key, self._text = key, base64.b64encode(data).decode("ascii")
            return self._text

    def encode_uri(self, job: Job, format: str) -> str | None:
        """The preview as a data URI."""
        text = self.encode(job, format)
        return f"data:{image_format(format).mime};base64,{text}" if text else None
