"""What a person asked for, looked up: a name of ours, a repository of the hub, or an address.

Looking up tells the files with sizes, checksums and licence; nothing is fetched yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from email.message import Message
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from modules.core.errors import BadInput, DownloadFailed, NotFound
from modules.downloads.connection import PUBLIC, Policy, check_url, get, origin
from modules.downloads.diffusers_layout import INDEX, folders_of, what_lacks
from modules.downloads.hub import Hub, HubFile, Repository, users_hub
from modules.downloads.kinds import PICKLES, SAFE
from modules.downloads.known import KNOWN, Known, find_known
from modules.downloads.source import UNKNOWN_LICENCE, File, Folder, Item, Source, safe_name

_REPOSITORY: Final = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_HOSTS: Final = ("huggingface.co", "www.huggingface.co", "hf.co")
_VAGUE: Final = ("model", "diffusion_pytorch_model", "pytorch_lora_weights", "pytorch_model")
"""File names of the hub that say nothing without the repository's."""


def look(
    text: str,
    *,
    pickles: bool = False,
    revision: str | None = None,
    policy: Policy = PUBLIC,
    hub: Hub | None = None,
) -> Source:
    """Look up a name of `KNOWN`, a hub id with or without a file, or an https address.

    pickles: whether files that may hold code are offered. revision: a branch, tag or commit of a
    repository. hub: None is the one of the user's environment. Raises NotFound, BadInput, and
    DownloadFailed where the server cannot be reached.
    """
    asked, hub = text.strip(), hub or users_hub()
    if "://" not in asked:
        if _REPOSITORY.fullmatch("/".join(asked.split("/")[:2])):
            return _of_hub(asked, revision, pickles, policy, hub)
        _refuse_revision(revision, asked)
        return _of_known(find_known(asked), hub)
    policy_of_hub = _reaching(policy, hub)
    parts = check_url(asked, policy_of_hub)
    if parts.hostname in _HUB_HOSTS or origin(asked) == origin(hub.endpoint):
        path, stated = _hub_id(parts.path.removeprefix(urlsplit(hub.endpoint).path))
        found = _of_hub(path, revision or stated, pickles, policy, hub)
        return replace(found, asked=asked)
    _refuse_revision(revision, asked)
    return _of_address(asked, pickles, policy)


def _refuse_revision(revision: str | None, asked: str) -> None:
    if revision:
        reason = f"only repositories of the hub have revisions, and {asked} is none"
        raise BadInput("revision", revision, reason)


def _reaching(policy: Policy, hub: Hub) -> Policy:
    """The policy, and the user's own hub beyond it."""
    return replace(policy, own_server=hub.own_server)


def _of_known(row: Known, hub: Hub) -> Source:
    """From our own table: no server is asked."""
    url = hub.url(row.repository, row.file)
    file = File(row.file, url, row.saved_name, row.size, row.sha256)
    page = hub.page(row.repository)
    return Source(
        row.name, row.title, page, row.licence, (file,), row.kind, hub.headers, hub.own_server
    )


def _hub_id(path: str) -> tuple[str, str | None]:
    """`/owner/name/blob/v2/a.safetensors` → `owner/name/a.safetensors` and `v2`."""
    pieces = [unquote(piece) for piece in path.split("/") if piece]
    revision = None
    if len(pieces) > 3 and pieces[2] in ("blob", "resolve", "raw", "tree"):
        revision = pieces[3]
        pieces[2:4] = []
    return "/".join(pieces), revision


def _of_hub(text: str, revision: str | None, pickles: bool, policy: Policy, hub: Hub) -> Source:
    owner, _, rest = text.partition("/")
    name, *inner = rest.split("/")
    if not name or owner in ("datasets", "spaces"):
        raise BadInput("source", text, "a repository of models, “owner/name”, is expected")
    id, wanted = f"{owner}/{name}", "/".join(inner)
    found = next((row for row in KNOWN if (row.repository, row.file) == (id, wanted)), None)
    if found and revision in (None, "main"):
        return _of_known(found, hub)
    repository = hub.describe(id, revision, _reaching(policy, hub))
    items = _items(repository, wanted, pickles, hub)
    return Source(
        text, id, hub.page(id), repository.licence, items, None, hub.headers, hub.own_server
    )


def _items(repository: Repository, wanted: str, pickles: bool, hub: Hub) -> tuple[Item, ...]:
    """What a repository offers: the model in its folders, and files. Raises NotFound."""

    def url_of(path: str) -> str:
        return hub.url(repository.id, path, repository.commit)

    endings = (SAFE, *PICKLES) if pickles else (SAFE,)
    rows = [row for row in repository.files if row.path.lower().endswith(endings)]
    folders: tuple[Folder, ...] = ()
    if wanted in ("", INDEX):
        folders = folders_of(repository.id, repository.files, url_of, pickles=pickles)
    if wanted:
        rows = [row for row in rows if row.path == wanted]
    else:
        on_top = [row for row in rows if "/" not in row.path]
        rows = on_top if on_top or folders else rows
    if not rows and not folders:
        raise _nothing(repository, wanted, endings, pickles)
    name = repository.id.partition("/")[2]
    return (*folders, *(_file(row, name, pickles, url_of(row.path)) for row in rows))


def _nothing(
    repository: Repository, wanted: str, endings: tuple[str, ...], pickles: bool
) -> Exception:
    """Why there is nothing to fetch."""
    paths = [row.path for row in repository.files]
    if INDEX in paths and wanted in ("", INDEX):
        return BadInput("source", repository.id, what_lacks(paths, pickles=pickles))
    names = [path for path in paths if path.endswith(endings)]
    return NotFound(f"model file in {repository.id}", wanted or SAFE, names)


def _file(row: HubFile, repository_name: str, pickles: bool, url: str) -> File:
    saved_as = _saved_as(row.path, repository_name, pickles)
    return File(row.path, url, saved_as, row.size, row.sha256)


def _saved_as(path: str, repository_name: str, pickles: bool) -> str:
    """A name that says something: many files of the hub are called like all others."""
    inner = PurePosixPath(path)
    vague = inner.stem.removesuffix(".fp16") in _VAGUE
    parts = [repository_name, *inner.parts[:-1]] if vague else [inner.stem]
    return safe_name("-".join(parts) + inner.suffix, pickles=pickles)


def _of_address(url: str, pickles: bool, policy: Policy) -> Source:
    """Ask the server for the first byte: its reply tells name and size."""
    with get(url, {"Range": "bytes=0-0"}, policy) as reply:
        if reply.status not in (200, 206):
            raise DownloadFailed(urlsplit(url).netloc, f"it answered HTTP {reply.status}")
        name = _named_by(reply.headers) or urlsplit(url).path or urlsplit(reply.url).path
        size = _length(reply.status, reply.headers)
    saved_as = safe_name(name, pickles=pickles)
    file = File(saved_as, url, saved_as, size)
    return Source(url, saved_as, url, UNKNOWN_LICENCE, (file,))


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
