"""Getting models from the page: what is offered, what is under way, start, stop, take up again."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request
from pydantic import BaseModel

from modules.api.route import EaselApp, Route
from modules.core.app import App
from modules.downloads import KNOWN, Download, Downloads, Folder, Kind, Source, find_kind
from modules.downloads.kinds import folder_of
from modules.downloads.manager import Wish
from modules.downloads.source import Item

REFUSED = (
    "Models cannot be downloaded from the page while other machines can reach it without a "
    "login; start Easel with --gradio-auth, or use `python webui.py download` on its own machine."
)


class KnownItem(BaseModel):
    """A model that is offered by name."""

    name: str
    title: str
    kind: str
    words: str
    licence: str
    size: int
    page: str
    is_here: bool
    """Whether its file is in the folder."""


class DownloadItem(BaseModel):
    """A download as it is now."""

    id: int
    title: str
    file: str
    state: str
    done: int
    total: int | None
    speed: float
    """Bytes per second."""
    message: str


class DownloadsReply(BaseModel):
    """Everything that the page shows of downloads."""

    refusal: str
    """Why nothing can be downloaded from here; empty where it can."""
    known: list[KnownItem]
    kinds: list[str]
    downloads: list[DownloadItem]


class LookBody(BaseModel):
    """A name, a hub id or an https address."""

    source: str
    revision: str | None = None
    """A branch, tag or commit of a repository of the hub."""


class FileItem(BaseModel):
    """One file that was found, or a folder of them."""

    name: str
    saved_as: str
    size: int | None
    has_checksum: bool
    files: int
    """How many files it is; more than one in a folder."""


class LookReply(BaseModel):
    """What was found, to be read before it is downloaded."""

    source: str
    title: str
    page: str
    licence: str
    kind: str | None
    """Null: the content decides."""
    files: list[FileItem]


class StartBody(LookBody):
    """What to download."""

    file: str | None = None
    kind: str | None = None
    sha256: str | None = None


def current_downloads(request: Request) -> Downloads:
    """The downloads of this server."""
    return cast(Downloads, request.app.state.downloads)


AllDownloads = Annotated[Downloads, Depends(current_downloads)]


def refusal_of(app: App) -> str:
    """Why the page may not fill this machine's disk; "" where it may."""
    flags = app.flags
    return REFUSED if flags.is_public and not flags.gradio_auth else ""


def check_allowed(app: EaselApp) -> None:
    """Raises 403 where downloads are not for everybody who can reach the page."""
    refusal = refusal_of(app)
    if refusal:
        raise HTTPException(403, refusal)


Allowed = Annotated[None, Depends(check_allowed)]


def list_downloads(app: EaselApp, downloads: AllDownloads) -> DownloadsReply:
    """What is offered by name, and all downloads since the start."""
    return DownloadsReply(
        refusal=refusal_of(app),
        known=[
            KnownItem(
                name=row.name,
                title=row.title,
                kind=row.kind,
                words=row.words,
                licence=row.licence,
                size=row.size,
                page=f"https://huggingface.co/{row.repository}",
                is_here=(folder_of(row.kind, app.paths) / row.saved_name).is_file(),
            )
            for row in KNOWN
        ],
        kinds=list(Kind),
        downloads=[_item(one) for one in downloads.all()],
    )


def look_up(allowed: Allowed, app: EaselApp, downloads: AllDownloads, body: LookBody) -> LookReply:
    """What a name, hub id or address leads to: files, sizes and licence. Nothing is fetched."""
    return _found(_look(app, downloads, body))


def start(
    allowed: Allowed, app: EaselApp, downloads: AllDownloads, body: StartBody
) -> DownloadItem:
    """Download a file or folder into the folder of its kind; answers at once."""
    source = _look(app, downloads, body)
    kind = find_kind(body.kind) if body.kind else None
    wish = Wish(source, source.file(body.file or None), kind, body.sha256 or None)
    return _item(downloads.start(wish))


def stop(downloads: AllDownloads, id: int) -> dict[str, str]:
    """Stop a download; what came of it is kept."""
    downloads.stop(id)
    return {}


def resume(allowed: Allowed, downloads: AllDownloads, id: int) -> DownloadItem:
    """Take up a download that was stopped or failed."""
    return _item(downloads.resume(id))


def forget(downloads: AllDownloads, id: int) -> dict[str, str]:
    """Take a finished download off the list; what came of one that failed is thrown away."""
    downloads.forget(id)
    return {}


PAGE_ROUTES = (
    Route("GET", "/easel/v1/downloads", list_downloads),
    Route("POST", "/easel/v1/downloads/look", look_up),
    Route("POST", "/easel/v1/downloads", start),
    Route("POST", "/easel/v1/downloads/{id}/stop", stop),
    Route("POST", "/easel/v1/downloads/{id}/resume", resume),
    Route("POST", "/easel/v1/downloads/{id}/forget", forget),
)


def _look(app: App, downloads: Downloads, body: LookBody) -> Source:
    pickles = app.settings.view()["allow_pickles"]
    return downloads.look(body.source, pickles=pickles, revision=body.revision or None)


def _item(one: Download) -> DownloadItem:
    return DownloadItem(
        id=one.id,
        title=one.wish.source.title,
        file=one.wish.file.saved_as,
        state=one.state,
        done=one.done,
        total=one.total,
        speed=one.speed,
        message=one.message,
    )


def _found(source: Source) -> LookReply:
    return LookReply(
        source=source.asked,
        title=source.title,
        page=source.page,
        licence=source.licence,
        kind=source.kind,
        files=[_choice(one) for one in source.files],
    )


def _choice(one: Item) -> FileItem:
    return FileItem(
        name=one.name,
        saved_as=one.saved_as,
        size=one.size,
        has_checksum=one.has_checksum,
        files=len(one.files) if isinstance(one, Folder) else 1,
    )
