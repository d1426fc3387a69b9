"""Extra networks for the page: cards by the page, thumbnails, what is known of a file, notes."""

from __future__ import annotations

import json
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from modules.api.route import EaselApp, Route
from modules.cards import (
    KINDS,
    CardKind,
    Shelf,
    Thumbnails,
    find_card_kind,
    read_facts,
    save_preview,
    save_user_words,
)
from modules.cards.shelf import PAGE_SIZE, Rules
from modules.cards.shelf import Query as CardQuery
from modules.core.app import App
from modules.core.errors import BadInput, NotFound
from modules.core.settings import SettingsView

_A_YEAR = "private, max-age=31536000, immutable"


class CardItem(BaseModel):
    """What the page shows of one file."""

    model_config = ConfigDict(from_attributes=True)

    key: str
    """Path below the kind's folder; names the file in the other routes."""
    name: str
    folder: str
    description: str
    preview_version: int | None
    """Changes with the picture; null without one."""
    size: int
    modified_s: float
    prompt: str
    negative: str


class FolderItem(BaseModel):
    """A folder below the one that is shown."""

    model_config = ConfigDict(from_attributes=True)

    path: str
    name: str
    count: int


class CardOptions(BaseModel):
    """How cards look and work: settings."""

    width: int
    height: int
    text_scale: float
    shows_description: bool
    separator: str
    sort: str
    descending: bool
    tree: bool
    """Folders as a tree rather than as buttons."""
    shows_folders: bool
    tree_width: int


class CardsReply(BaseModel):
    """One page of cards."""

    total: int
    page: int
    page_size: int
    cards: list[CardItem]
    folders: list[FolderItem]
    tree: list[FolderItem]
    """All folders, each before those in it; only with page 0."""
    options: CardOptions


class FieldItem(BaseModel):
    """One thing that the editor asks, with its present value."""

    key: str
    label: str
    widget: str
    choices: list[str]
    maximum: float
    value: Any = None


class FactsReply(BaseModel):
    """What the file's maker and its user wrote."""

    name: str
    path: str
    rows: list[tuple[str, str]]
    tags: list[tuple[str, int]]
    buckets: list[tuple[str, int]]
    raw: dict[str, str]
    fields: list[FieldItem]


class CardAddress(BaseModel):
    """Which card."""

    kind: str
    key: str


class WordsBody(CardAddress):
    """What the user filled in, by the fields' keys."""

    values: dict[str, Any]


class PreviewBody(CardAddress):
    """Which picture of which job becomes the card's."""

    job: str
    index: int = Field(default=0, ge=0)


class MetadataReply(BaseModel):
    """A1111's reply: the header's metadata as JSON text."""

    metadata: str


def current_shelf(request: Request) -> Shelf:
    """The cards that all routes of this server share."""
    return cast(Shelf, request.app.state.cards)


def current_thumbnails(request: Request) -> Thumbnails:
    """The thumbnails that all routes of this server share."""
    return cast(Thumbnails, request.app.state.thumbnails)


CardShelf = Annotated[Shelf, Depends(current_shelf)]
SmallPictures = Annotated[Thumbnails, Depends(current_thumbnails)]


def cards(
    app: EaselApp,
    shelf: CardShelf,
    kind: str,
    asked: Annotated[CardQuery, Depends()],
    refresh: bool = False,
) -> CardsReply:
    """A page of cards of one kind, in the folder and below it. `sort`: Path, Name, Date …"""
    row = find_card_kind(kind)
    if asked.page < 0:
        raise BadInput("page", asked.page, "pages are counted from 0")
    if refresh:
        shelf.refresh(row)
        if row.name == "checkpoints":
            app.models.catalogue.refresh()
    settings = app.settings.view()
    found = shelf.page(row, asked, Rules.from_settings(settings))
    return CardsReply(
        total=found.total,
        page=found.number,
        page_size=PAGE_SIZE,
        cards=[CardItem.model_validate(card) for card in found.cards],
        folders=[FolderItem.model_validate(folder) for folder in found.folders],
        tree=[FolderItem.model_validate(folder) for folder in found.tree],
        options=_options(settings),
    )


def _options(settings: SettingsView) -> CardOptions:
    return CardOptions(
        width=settings["extra_networks_card_width"],
        height=settings["extra_networks_card_height"],
        text_scale=settings["extra_networks_card_text_scale"],
        shows_description=settings["extra_networks_card_show_desc"],
        separator=settings["extra_networks_add_text_separator"],
        sort=settings["extra_networks_card_order_field"],
        descending=settings["extra_networks_card_order"] == "Descending",
        tree=settings["extra_networks_tree_view_style"] == "Tree",
        shows_folders=settings["extra_networks_tree_view_default_enabled"],
        tree_width=settings["extra_networks_tree_view_default_width"],
    )


def picture(shelf: CardShelf, small: SmallPictures, kind: str, key: str) -> Response:
    """The card's picture, small, as WebP. 404 without one."""
    data = small.of(shelf.find(find_card_kind(kind), key))
    if data is None:
        raise NotFound("picture of", key, None)
    return Response(data, media_type="image/webp", headers={"Cache-Control": _A_YEAR})


def facts(shelf: CardShelf, kind: str, key: str) -> FactsReply:
    """What is known of a file: its header in readable form, and the user's own notes."""
    row = find_card_kind(kind)
    file = shelf.find(row, key)
    found, user = read_facts(file.header_metadata()), file.user_metadata()
    return FactsReply(
        name=file.name,
        path=str(file.path),
        rows=list(found.rows),
        tags=list(found.tags),
        buckets=list(found.buckets),
        raw=dict(found.raw),
        fields=[
            FieldItem(
                key=field.key,
                label=field.label,
                widget=field.widget,
                choices=list(field.choices),
                maximum=field.maximum,
                value=user.get(field.key),
            )
            for field in row.fields
        ],
    )


def write_words(app: EaselApp, shelf: CardShelf, body: WordsBody) -> CardItem:
    """Save the user's notes on a file; the card as it is now."""
    row = find_card_kind(body.kind)
    save_user_words(row, shelf.find(row, body.key), body.values)
    return _fresh(app, shelf, row, body.key)


def write_preview(app: EaselApp, shelf: CardShelf, body: PreviewBody) -> CardItem:
    """Make a picture of a job the card's; the card as it is now. 404 for an unknown picture."""
    row = find_card_kind(body.kind)
    file = shelf.find(row, body.key)
    job = app.jobs.get(body.job)
    result = job.result if job else None
    if result is None or body.index >= len(result.images):
        raise NotFound("picture of job", body.job, None)
    save_preview(file, result.images[body.index], result.infotexts[body.index])
    return _fresh(app, shelf, row, body.key)


def thumb(
    shelf: CardShelf, small: SmallPictures, filename: Annotated[str, Query()] = ""
) -> Response:
    """A1111's route: the preview file of that path, small; only files that are a card's."""
    for row in KINDS:
        for file in shelf.files(row):
            if file.preview is not None and str(file.preview) == filename:
                return picture(shelf, small, row.name, file.relative)
    raise NotFound("preview", filename, None)


def metadata(shelf: CardShelf, page: str = "", item: str = "") -> MetadataReply:
    """A1111's route: the header's metadata of a file by name, `{}` where there is none."""
    try:
        row = find_card_kind(page.replace(" ", "_").lower())
        found = next(file for file in shelf.files(row) if file.name == item)
    except (NotFound, StopIteration):
        return MetadataReply(metadata="{}")
    return MetadataReply(metadata=json.dumps(found.header_metadata(), indent=4))


def _fresh(app: App, shelf: Shelf, row: CardKind, key: str) -> CardItem:
    """The card after something beside its file has changed."""
    shelf.refresh(row)
    rules = Rules.from_settings(app.settings.view())
    return CardItem.model_validate(shelf.card(row, key, rules))


PAGE_ROUTES = (
    Route("GET", "/easel/v1/cards", cards),
    Route("GET", "/easel/v1/cards/picture", picture),
    Route("GET", "/easel/v1/cards/facts", facts),
    Route("POST", "/easel/v1/cards/words", write_words),
    Route("POST", "/easel/v1/cards/preview", write_preview),
    Route("GET", "/sd_extra_networks/thumb", thumb),
    Route("GET", "/sd_extra_networks/metadata", metadata),
)
