"""What a person asked for, looked up: a name of ours, a repository of the hub, or an address.

Looking up tells the files with sizes, checksums and licence; nothing is fetched yet.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from modules.core.errors import BadInput, DownloadFailed, NotFound
from modules.downloads.connection import PUBLIC, Policy, check_url, get
from modules.downloads.kinds import PICKLES, SAFE, Kind
from modules.downloads.known import KNOWN, Known, find_known

_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_HOSTS: Final = ("huggingface.co", "www.huggingface.co", "hf.co")
_VAGUE: Final = ("model", "diffusion_pytorch_model", "pytorch_lora_weights", "pytorch_model")
"""File names of the hub that say nothing without the repository's."""
_UNKNOWN_LICENCE: Final = "not stated; ask whoever offers the file"
_LONGEST_NAME: Final = 180
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class File:
    """One file that can be fetched."""

    name: str
    """How it is told from the others of its source: the path in the repository."""
    url: str
    saved_as: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What was found under a name or address."""

    asked: str
    title: str
    page: str
    """Where people can read about it."""
    licence: str
    files: tuple[File, ...]
    kind: Kind | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """May hold the user's token."""

    def file(self, name: str | None) -> File:
        """The file of that name, or the only one. Raises NotFound that lists them."""
        if name is None and len(self.files) == 1:
            return self.files[0]
        for one in self.files:
            if name in (one.name, one.saved_as):
                return one
        raise NotFound(f"file of {self.title}", name, [one.name for one in self.files])


def look(text: str, *, pickles: bool = False, policy: Policy = PUBLIC) -> Source:
    """Look up a name of `KNOWN`, a hub id with or without a file, or an https address.

    `pickles`: whether files that may hold code are offered. Raises NotFound, BadInput, and
    DownloadFailed where the server cannot be reached.
    """
    asked = text.strip()
    if "://" not in asked:
        if _REPOSITORY.fullmatch("/".join(asked.split("/")[:2])):
            return _of_hub(asked, pickles)
        return _of_known(find_known(asked))
    parts = check_url(asked, policy)
    if parts.hostname in _HUB_HOSTS:
        return _of_hub(_hub_id(parts.path), pickles)
    return _of_address(asked, pickles, policy)


def safe_name(text: str, *, pickles: bool = False) -> str:
    """A file name that is safe on every system, from what a server or an address calls it.

    Raises BadInput where it has no ending of model files, or one of pickles.

    >>> safe_name("../../A%20 b:c?.safetensors"), safe_name("C:\\\\x\\\\y.safetensors")
    ('A b_c_.safetensors', 'y.safetensors')
    """
    name = unicodedata.normalize("NFC", unquote(text)).replace("\\", "/").rsplit("/", 1)[-1]
    name = "".join(sign for sign in name if unicodedata.category(sign)[0] != "C")
    name = re.sub(r"\s+", " ", re.sub(r'[<>:"|?*]', "_", name)).strip(" .")
    stem, dot, ending = name.rpartition(".")
    ending = f".{ending.lower()}"
    if ending in PICKLES and not pickles:
        raise BadInput("file", name, f"a {ending} file may run code when it is loaded, and is only "
                       "taken when pickles are allowed; look for a .safetensors file")  # fmt: skip
    if not dot or not stem.strip(" .") or ending not in (SAFE, *PICKLES):
        raise BadInput("file", name or text, "the name of a .safetensors file is expected")
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    while len(stem.encode()) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem.strip(" ") + ending


def _of_known(row: Known) -> Source:
    """From our own table: no server is asked."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.constants import ENDPOINT

    file = File(
        row.file, hf_hub_url(row.repository, row.file), row.saved_name, row.size,
        row.sha256,
    )  # fmt: skip
    page = f"{ENDPOINT}/{row.repository}"
    return Source(row.name, row.title, page, row.licence, (file,), row.kind, _token())


def _hub_id(path: str) -> str:
    """`/owner/name/blob/main/a.safetensors` → `owner/name/a.safetensors`."""
    pieces = [unquote(piece) for piece in path.split("/") if piece]
    if len(pieces) > 3 and pieces[2] in ("blob", "resolve", "raw", "tree"):
        pieces[2:4] = []
    return "/".join(pieces)


def _of_hub(text: str, pickles: bool) -> Source:
    owner, _, rest = text.partition("/")
    name, *inner = rest.split("/")
    if not name or owner in ("datasets", "spaces"):
        raise BadInput("source", text, "a repository of models, “owner/name”, is expected")
    repository, wanted = f"{owner}/{name}", "/".join(inner)
    found = next((row for row in KNOWN if (row.repository, row.file) == (repository, wanted)), None)
    if found:
        return _of_known(found)
    from huggingface_hub import hf_hub_url

    info = _ask_hub(repository)
    endings = (SAFE, *PICKLES) if pickles else (SAFE,)
    files = [row for row in info.siblings or () if row.rfilename.lower().endswith(endings)]
    if wanted:
        files = [row for row in files if row.rfilename == wanted]
    else:
        files = [row for row in files if "/" not in row.rfilename] or files
    if not files:
        raise NotFound(f"model file in {repository}", wanted or SAFE, _names(info, endings))
    made = [
        File(
            row.rfilename,
            hf_hub_url(repository, row.rfilename, revision=info.sha),
            _saved_as(row.rfilename, name, pickles),
            row.size,
            row.lfs.sha256 if row.lfs else None,
        )
        for row in files
    ]
    page = f"{_endpoint()}/{repository}"
    return Source(text, repository, page, _licence(info), tuple(made), None, _token())


def _ask_hub(repository: str) -> Any:
    """The hub's description of a repository. Raises NotFound and DownloadFailed."""
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    host = urlsplit(_endpoint()).netloc
    try:
        return HfApi().model_info(repository, files_metadata=True, timeout=30)
    except GatedRepoError as error:
        reason = f"accept the licence of {repository} there, and set HF_TOKEN to a token of yours"
        raise DownloadFailed(host, reason) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise NotFound("repository of the hub", repository, ()) from error
    except OfflineModeIsEnabled as error:
        raise DownloadFailed(host, "HF_HUB_OFFLINE is set, so the hub is not asked") from error
    except HfHubHTTPError as error:
        if error.response.status_code == 404:
            raise NotFound("repository of the hub", repository, ()) from error
        raise DownloadFailed(host, f"it answered HTTP {error.response.status_code}") from error
    except (httpx2.HTTPError, OSError) as error:
        reason = f"it cannot be reached ({error or type(error).__name__}); is this machine offline?"
        raise DownloadFailed(host, reason) from error


def _names(info: Any, endings: tuple[str, ...]) -> list[str]:
    return [row.rfilename for row in info.siblings or () if row.rfilename.endswith(endings)]


def _saved_as(path: str, repository_name: str, pickles: bool) -> str:
    """A name that says something: many files of the hub are called like all others."""
    inner = PurePosixPath(path)
    vague = inner.stem.removesuffix(".fp16") in _VAGUE
    parts = [repository_name, *inner.parts[:-1]] if vague else [inner.stem]
    return safe_name("-".join(parts) + inner.suffix, pickles=pickles)


def _licence(info: Any) -> str:
    card = info.card_data.to_dict() if info.card_data else {}
    named = card.get("license_name") if card.get("license") == "other" else card.get("license")
    return str(named or card.get("license") or _UNKNOWN_LICENCE)


def _endpoint() -> str:
    from huggingface_hub.constants import ENDPOINT

    return str(ENDPOINT)


def _token() -> dict[str, str]:
    """The user's token for the hub (HF_TOKEN, or the one that `hf auth login` keeps), if any."""
    from huggingface_hub import get_token

    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _of_address(url: str, pickles: bool, policy: Policy) -> Source:
    """Ask the server for the first byte: its reply tells name and size."""
    with get(url, {"Range": "bytes=0-0"}, policy) as reply:
        if reply.status not in (200, 206):
            raise DownloadFailed(urlsplit(url).netloc, f"it answered HTTP {reply.status}")
        name = _named_by(reply.headers) or urlsplit(url).path or urlsplit(reply.url).path
        size = _length(reply.status, reply.headers)
    saved_as = safe_name(name, pickles=pickles)
    file = File(saved_as, url, saved_as, size)
    return Source(url, saved_as, url, _UNKNOWN_LICENCE, (file,))


def _named_by(headers: Mapping[str, str]) -> str | None:
    message = Message()
    message["content-disposition"] = headers.get("content-disposition", "")
    return message.get_filename()


def _length(status: int, headers: Mapping[str, str]) -> int | None:
    if status == 206:
        _, _, total = headers.get("content-range", "").rpartition("/")
    else:
        total = headers.get("content-length", "")
    return int(total) if total.isdigit() else None
