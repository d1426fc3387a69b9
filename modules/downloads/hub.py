"""The Hugging Face hub, or a mirror of it: which files a repository has, and where they lie.

Asks the hub's REST interface (https://huggingface.co/docs/hub/api) through `connection`, so the
same rules hold for it as for every download. Fetches no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from modules.core.errors import BadInput, DownloadFailed, EaselError, NotFound
from modules.downloads.connection import Policy, Reply, get, origin
from modules.downloads.source import UNKNOWN_LICENCE

OFFICIAL: Final = "https://huggingface.co"
_LONGEST_REPLY: Final = 64 << 20


class _Lfs(BaseModel):
    sha256: str | None = None


class _File(BaseModel):
    rfilename: str
    size: int | None = None
    blob_id: str | None = Field(None, alias="blobId")
    lfs: _Lfs | None = None


class _Description(BaseModel):
    sha: str | None = None
    siblings: list[_File] | None = None
    card: dict[str, Any] | None = Field(None, alias="cardData")
    gated: bool | str | None = False


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    path: str
    size: int | None
    sha256: str | None
    """Of large files."""
    blob_id: str | None
    """Git's checksum, of small files."""


@dataclass(frozen=True, slots=True)
class Repository:
    """What the hub says of a repository."""

    id: str
    commit: str
    """The state that was looked at; addresses of files name it, so they do not change."""
    licence: str
    files: tuple[HubFile, ...]


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub is, and as whom it is asked."""

    endpoint: str = OFFICIAL
    token: str | None = field(default=None, repr=False)
    is_offline: bool = False

    @property
    def host(self) -> str:
        """What messages call it."""
        return urlsplit(self.endpoint).netloc

    @property
    def own_server(self) -> str:
        """Its origin if the user chose another hub than the official one, else ""."""
        return "" if self.endpoint == OFFICIAL else origin(self.endpoint)

    @property
    def headers(self) -> Mapping[str, str]:
        """What says who asks."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def page(self, repository: str) -> str:
        """Where people read about a repository."""
        return f"{self.endpoint}/{repository}"

    def url(self, repository: str, path: str, revision: str = "main") -> str:
        """The address of a file."""
        return f"{self.endpoint}/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"

    def describe(self, repository: str, revision: str | None, policy: Policy) -> Repository:
        """Ask what is in a repository; `revision` is a branch, a tag or a commit.

        Raises NotFound, BadInput for an unknown revision, and DownloadFailed: not reached, not
        allowed without a token, or not understood.
        """
        if self.is_offline:
            raise DownloadFailed(self.host, "HF_HUB_OFFLINE is set, so the hub is not asked")
        at = f"/revision/{quote(revision, safe='')}" if revision else ""
        url = f"{self.endpoint}/api/models/{repository}{at}?blobs=true"
        with get(url, self.headers, policy) as reply:
            if reply.status != 200:
                raise self._refusal(reply, repository, revision)
            try:
                found = _Description.model_validate_json(_read(reply))
            except ValidationError as error:
                reason = f"its answer about {repository} is no description of a repository"
                raise DownloadFailed(self.host, reason) from error
        if found.gated and not self.token:
            raise DownloadFailed(self.host, self._needs_token(repository))
        files = tuple(
            HubFile(row.rfilename, row.size, row.lfs.sha256 if row.lfs else None, row.blob_id)
            for row in found.siblings or ()
        )
        return Repository(repository, found.sha or revision or "main", _licence(found.card), files)

    def _refusal(self, reply: Reply, repository: str, revision: str | None) -> EaselError:
        code = reply.headers.get("x-error-code", "")
        if code == "RevisionNotFound":
            return BadInput("revision", revision, f"{repository} has no such branch, tag or commit")
        if code == "GatedRepo":
            return DownloadFailed(self.host, self._needs_token(repository))
        if reply.status in (401, 403) and self.token:
            reason = f"it refuses the token in HF_TOKEN for {repository} (HTTP {reply.status})"
            return DownloadFailed(self.host, reason)
        if reply.status in (401, 403):
            reason = (
                f"it shows nobody a repository {repository}; if there is one, it needs a token: "
                "set HF_TOKEN to a token of yours"
            )
            return DownloadFailed(self.host, reason)
        if reply.status == 404:
            return NotFound("repository of the hub", repository, None)
        return DownloadFailed(self.host, f"it answered HTTP {reply.status}")

    def _needs_token(self, repository: str) -> str:
        return (
            f"{repository} needs a token: accept its licence at {self.page(repository)}, then set "
            "HF_TOKEN to a token of yours"
        )


def users_hub() -> Hub:
    """The hub of the user's environment: HF_ENDPOINT, HF_HUB_OFFLINE, and HF_TOKEN or a login."""
    from huggingface_hub import constants, get_token

    return Hub(str(constants.ENDPOINT), get_token(), bool(constants.HF_HUB_OFFLINE))


def _read(reply: Reply) -> bytes:
    """The whole body. Raises DownloadFailed for one without an end."""
    read = bytearray()
    while block := reply.read(1 << 16):
        read += block
        if len(read) > _LONGEST_REPLY:
            raise DownloadFailed(urlsplit(reply.url).netloc, "its answer has no end")
    return bytes(read)


def _licence(card: Mapping[str, Any] | None) -> str:
    """The licence that the repository's card names."""
    named = (card or {}).get("license")
    if named == "other":
        named = (card or {}).get("license_name") or named
    return str(named or UNKNOWN_LICENCE)
