"""The cards of all kinds: filtered, sorted, cut into pages; one page is all that is ever sent.

Knows the lists of files and what stands beside them; must not know HTTP or the page.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from modules.cards.kinds import CardKind
from modules.core.errors import BadInput, NotFound
from modules.model_manager.library import FileCard, FileKind, Library
from modules.model_manager.scan import natural

SORTS: Final = ("Path", "Name", "Date Created", "Date Modified")
PAGE_SIZE: Final = 100
_REMEMBERED: Final = 16


@dataclass(frozen=True, slots=True)
class Query:
    """Which cards are wanted, in which order."""

    folder: str = ""
    search: str = ""
    sort: str = "Path"
    descending: bool = False
    page: int = 0
    """From 0."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say about cards."""

    hidden_models: str = "When searched"
    hidden_folders: bool = True
    """Whether folders that begin with a dot are offered as folders."""
    multiplier: float = 1.0
    separator: str = " "
    """Between the prompt and what a card adds."""
    makers_names: bool = False
    """Whether tags call a LoRA by the name that its maker gave it, not by that of the file."""

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Rules:
        """Read from a view of the settings."""
        return cls(
            hidden_models=settings["extra_networks_hidden_models"],
            hidden_folders=settings["extra_networks_show_hidden_directories"],
            multiplier=settings["extra_networks_default_multiplier"],
            separator=settings["extra_networks_add_text_separator"],
            makers_names=settings["lora_preferred_name"] == "Alias from file",
        )


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one file."""

    key: str
    """Path below the kind's folder: names the file in every later call."""
    name: str
    folder: str
    description: str
    preview_version: int | None
    """Time of the preview's last change, ns; None where there is no picture."""
    size: int
    """Bytes."""
    modified_s: float
    prompt: str
    """What a click puts into the prompt; "" for a checkpoint."""
    negative: str
    """What it puts into the negative prompt."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder below the one that is shown."""

    path: str
    name: str
    count: int


@dataclass(frozen=True, slots=True)
class Page:
    """One page of cards, and what there is in all."""

    cards: tuple[Card, ...]
    total: int
    number: int
    folders: tuple[Folder, ...]
    tree: tuple[Folder, ...] = ()
    """All folders of the kind, each before those in it; only with the first page."""


@dataclass(slots=True)
class _Kind:
    """What is remembered of one kind until its folder is read again."""

    files: tuple[FileCard, ...]
    words: dict[str, str] = field(default_factory=dict)
    found: dict[tuple[Query, Rules], list[FileCard]] = field(default_factory=dict)
    trees: dict[bool, tuple[Folder, ...]] = field(default_factory=dict)
    """All folders, with or without hidden ones."""


class Shelf:
    """Answers queries about cards; safe to use from several threads."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}

    def refresh(self, kind: CardKind) -> None:
        """Read the kind's folders again."""
        self._library.refresh(kind.files)

    def page(self, kind: CardKind, query: Query, rules: Rules) -> Page:
        """One page of what is wanted. Raises BadInput for an unknown order."""
        if query.sort not in SORTS:
            raise BadInput("sort", query.sort, f"allowed: {', '.join(SORTS)}")
        known = self._known(kind)
        found = self._found(known, query, rules)
        start = query.page * PAGE_SIZE
        shown = found[start : start + PAGE_SIZE]
        cards = tuple(_card(kind, file, rules, self._name(file, rules)) for file in shown)
        folders = _folders(known.files, query.folder, rules)
        tree = () if query.page else self._tree(known, rules.hidden_folders)
        return Page(cards, len(found), query.page, folders, tree)

    def find(self, kind: CardKind, key: str) -> FileCard:
        """The file with that key, and no other: a path is never taken apart. Raises NotFound."""
        files = self._library.files(kind.files)
        for file in files:
            if file.relative == key:
                return file
        raise NotFound(f"{kind.label} file", key, [file.relative for file in files])

    def card(self, kind: CardKind, key: str, rules: Rules) -> Card:
        """The card of the file with that key. Raises NotFound."""
        file = self.find(kind, key)
        return _card(kind, file, rules, self._name(file, rules))

    def files(self, kind: CardKind) -> tuple[FileCard, ...]:
        """All files of a kind."""
        return self._library.files(kind.files)

    def _known(self, kind: CardKind) -> _Kind:
        """What is known of the files as they are now."""
        files = self._library.files(kind.files)
        with self._lock:
            known = self._kinds.get(kind.name)
            if known is None or known.files is not files:
                known = self._kinds[kind.name] = _Kind(files)
            return known

    def _name(self, file: FileCard, rules: Rules) -> str:
        """What a tag calls it."""
        if file.kind is FileKind.LORA and rules.makers_names:
            return self._library.preferred_name(file)
        return file.name

    def _tree(self, known: _Kind, with_hidden: bool) -> tuple[Folder, ...]:
        if with_hidden not in known.trees:
            known.trees[with_hidden] = _all_folders(known.files, with_hidden)
        return known.trees[with_hidden]

    def _found(self, known: _Kind, query: Query, rules: Rules) -> list[FileCard]:
        """All cards of a query, remembered for its next page."""
        key = (Query(query.folder, query.search, query.sort, query.descending), rules)
        with self._lock:
            found = known.found.get(key)
        if found is None:
            found = _select(known, query, rules)
            with self._lock:
                while len(known.found) >= _REMEMBERED:
                    known.found.pop(next(iter(known.found)))
                known.found[key] = found
        return found


def _card(kind: CardKind, file: FileCard, rules: Rules, name: str) -> Card:
    """The card of a file, which tags call `name`; reads the user's words about it."""
    user = file.user_metadata()
    return Card(
        key=file.relative,
        name=file.name,
        folder=file.folder,
        description=_text(user, "description"),
        preview_version=_preview_version(file),
        size=file.stamp.size,
        modified_s=file.stamp.mtime_ns / 1e9,
        prompt=_prompt(kind, name, user, rules),
        negative=_text(user, "negative text") if kind.tag else "",
    )


def _prompt(kind: CardKind, name: str, user: Mapping[str, Any], rules: Rules) -> str:
    if kind.name == "checkpoints":
        return ""
    if not kind.tag:
        return name
    weight = _number(user.get("preferred weight")) or rules.multiplier
    tag = f"<{kind.tag}:{name}:{weight:g}>"
    return " ".join(part for part in (tag, _text(user, "activation text")) if part)


def _select(known: _Kind, query: Query, rules: Rules) -> list[FileCard]:
    words = query.search.lower().split()
    below = f"{query.folder}/" if query.folder else ""
    with_hidden = rules.hidden_models == "Always" or (
        rules.hidden_models == "When searched" and bool(words)
    )
    found = [
        file
        for file in known.files
        if file.relative.startswith(below)
        and (with_hidden or not file.is_hidden)
        and (not words or _holds(_searched(known, file), words))
    ]
    order = _ORDERS[query.sort]
    if order:
        found.sort(key=order)
    if query.descending:
        found.reverse()
    return found


_ORDERS: Final[Mapping[str, Callable[[FileCard], Any] | None]] = {
    "Path": None,  # the library's own order
    "Name": lambda file: natural(file.name),
    "Date Created": lambda file: _created(file),
    "Date Modified": lambda file: file.stamp.mtime_ns,
}


def _created(file: FileCard) -> float:
    """When the file came into its folder, as well as the system knows it."""
    try:
        stat = file.path.stat()
    except OSError:
        return 0.0
    return float(getattr(stat, "st_birthtime", stat.st_ctime))


def _searched(known: _Kind, file: FileCard) -> str:
    """The text that a search looks through: path, and what the user wrote."""
    if file.user_metadata_file is None:
        return file.relative.lower()
    text = known.words.get(file.relative)
    if text is None:
        written = " ".join(str(value) for value in file.user_metadata().values())
        text = known.words[file.relative] = f"{file.relative} {written}".lower()
    return text


def _holds(text: str, words: list[str]) -> bool:
    return all(word in text for word in words)


def _folders(files: tuple[FileCard, ...], inside: str, rules: Rules) -> tuple[Folder, ...]:
    """The folders right below `inside`, with the number of cards in each."""
    below = f"{inside}/" if inside else ""
    names = Counter(
        rest.split("/", 1)[0]
        for file in files
        if file.relative.startswith(below) and "/" in (rest := file.relative[len(below) :])
    )
    shown = [name for name in names if rules.hidden_folders or not name.startswith(".")]
    return tuple(Folder(below + name, name, names[name]) for name in sorted(shown, key=natural))


def _all_folders(files: tuple[FileCard, ...], with_hidden: bool) -> tuple[Folder, ...]:
    """Every folder that holds cards, in itself or below, in the order of a tree."""
    counts: Counter[tuple[str, ...]] = Counter()
    for file in files:
        parts = tuple(file.relative.split("/")[:-1])
        if with_hidden or not any(part.startswith(".") for part in parts):
            counts.update(parts[:depth] for depth in range(1, len(parts) + 1))
    ordered = sorted(counts, key=lambda parts: [natural(part) for part in parts])
    return tuple(Folder("/".join(parts), parts[-1], counts[parts]) for parts in ordered)


def _preview_version(file: FileCard) -> int | None:
    if file.preview is None:
        return None
    try:
        return file.preview.stat().st_mtime_ns
    except OSError:
        return None


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value.strip() if isinstance(value, str) else ""


def _number(value: Any) -> float:
    """0 for what is no number; files of other programs hold all kinds of things."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if 0 < number <= 100 else 0.0
