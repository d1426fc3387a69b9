"""Getting models: from the Hugging Face hub or any https address into the folders of models."""

from modules.downloads.hub import Hub
from modules.downloads.kinds import Kind, find_kind
from modules.downloads.known import KNOWN, Known
from modules.downloads.lookup import look
from modules.downloads.manager import Download, Downloads
from modules.downloads.source import File, Folder, Source

__all__ = [
    "KNOWN",
    "Download",
    "Downloads",
    "File",
    "Folder",
    "Hub",
    "Kind",
    "Known",
    "Source",
    "find_kind",
    "look",
]
