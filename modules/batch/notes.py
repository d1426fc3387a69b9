"""What the results in a folder were made from, so that only those of the same kind are skipped."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

log = logging.getLogger(__name__)

NAME: Final = ".easel-batch.jsonl"
"""In the folder of the results: a line of JSON for each, {"file", "source", "options"}."""


class Notes:
    """The notes of one folder, for one way to make results."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        """options: what is done to each picture. Results with other options are not ours."""
        self._folder = folder
        self._options = dict(options)
        self._files: dict[str, list[str]] | None = None

    def has(self, source: Path, ending: str) -> bool:
        """Whether a result of `source` is noted whose file, with this ending, is still there."""
        if self._files is None:
            self._files = {}
            for line in self._lines():
                if line.get("options") == self._options:
                    self._files.setdefault(str(line.get("source")), []).append(str(line["file"]))
        names = self._files.get(str(source.resolve()), ())
        return any(name.endswith(ending) and (self._folder / name).is_file() for name in names)

    def add(self, source: Path, result: Path) -> None:
        """Note a result; where that fails it is made once more some day, which the log says."""
        line: dict[str, Any] = {
            "file": result.name,
            "source": str(source.resolve()),
            "options": self._options,
        }
        try:
            with (self._folder / NAME).open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(line)}\n")
        except OSError as error:
            log.warning("%s: cannot be written (%s)", self._folder / NAME, error.strerror or error)
        if self._files is not None:
            self._files.setdefault(line["source"], []).append(result.name)

    def _lines(self) -> Iterator[Mapping[str, Any]]:
        """Those that can be read; half a line, of a program that died, is left out."""
        try:
            text = (self._folder / NAME).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        for line in text.splitlines():
            try:
                note = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(note, dict) and Path(str(note.get("file", "/"))).name == note.get("file"):
                yield note
