"""Every exception that Easel raises on purpose.

EaselError
├── BadInput            a value that cannot be used      (REST 422; UI: notice beside the field)
│   └── UnsupportedImage  a picture that cannot be read or is too large
├── NotFound            a name that nothing answers to   (REST 404)
│   └── NoModel           there is no checkpoint at all
├── ModelError          a model file that cannot be used (REST 422)
├── OutOfSpace          the disk refused a write          (REST 507)
├── DownloadFailed      another server did not deliver    (REST 502)
├── Busy                the queue is full or closing      (REST 503)
└── Interrupted         the user stopped the job; not a failure

Messages are whole sentences that name the thing, the value and what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class EaselError(Exception):
    """Base of all errors that carry a message meant for the user."""


class BadInput(EaselError):
    """A value that cannot be used; `field` is the parameter's A1111 REST name."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(f"{field}: {_short(value)} cannot be used; {allowed}.")


class UnsupportedImage(BadInput):
    """A picture that cannot be read, or that is larger than allowed."""


class NotFound(EaselError):
    """A name that nothing answers to, with the nearest known names.

    `choices` are all that are known; None where nobody could list them.
    """

    def __init__(self, what: str, name: object, choices: Iterable[str] | None) -> None:
        self.what = what
        self.name = name
        self.choices = tuple(choices or ())
        ending = "." if choices is None else _suggestion(str(name), self.choices)
        super().__init__(f"Unknown {what} {_short(name)}{ending}")


class NoModel(NotFound):
    """There is no checkpoint at all; says where to put one."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(folders)
        super().__init__("checkpoint", None, ())
        places = " or ".join(str(folder) for folder in self.folders)
        self.args = (
            f"There is no model yet: put a Stable Diffusion checkpoint (.safetensors) into {places}"
            " and refresh the list of checkpoints.",
        )


class ModelError(EaselError):
    """A model file that cannot be used, and why."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{self.path.name}: {reason}")


class OutOfSpace(EaselError):
    """The disk refused a write."""


class DownloadFailed(EaselError):
    """Another server did not deliver a file, and why."""

    def __init__(self, host: str, reason: str) -> None:
        self.host = host
        self.reason = reason
        super().__init__(f"{host}: {reason}{'' if reason.endswith(('.', '?')) else '.'}")


class Busy(EaselError):
    """The queue is full, or the program is closing."""


class Interrupted(EaselError):
    """The user stopped the job; what was finished until then is kept."""


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _suggestion(name: str, choices: tuple[str, ...]) -> str:
    lowered = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{lowered[near[0]]}'?"
    if not choices:
        return "; there are none."
    shown = ", ".join(choices[:12])
    more = f" and {len(choices) - 12} more" if len(choices) > 12 else ""
    return f"; known: {shown}{more}."
