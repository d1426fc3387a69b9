"""Extra networks as cards: found, sorted, pictured, described, and put into the prompt."""

from modules.cards.facts import Facts, read_facts
from modules.cards.kinds import KINDS, CardKind, find_card_kind
from modules.cards.shelf import Card, Folder, Page, Query, Shelf
from modules.cards.thumbnails import Thumbnails
from modules.cards.user_words import save_preview, save_user_words

__all__ = [
    "KINDS",
    "Card",
    "CardKind",
    "Facts",
    "Folder",
    "Page",
    "Query",
    "Shelf",
    "Thumbnails",
    "find_card_kind",
    "read_facts",
    "save_preview",
    "save_user_words",
]
