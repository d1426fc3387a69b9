"""Finding, identifying, loading and lending models. Nothing named here loads torch."""

from modules.model_manager.catalogue import Catalogue, Checkpoint
from modules.model_manager.choice import ModelChoice, ResolvedChoice
from modules.model_manager.hashes import Hashes
from modules.model_manager.library import FileCard, FileKind, Library
from modules.model_manager.manager import ModelManager
from modules.model_manager.state import ModelState
from modules.model_manager.vae import VaeCatalogue

__all__ = [
    "Catalogue",
    "Checkpoint",
    "FileCard",
    "FileKind",
    "Hashes",
    "Library",
    "ModelChoice",
    "ModelManager",
    "ModelState",
    "ResolvedChoice",
    "VaeCatalogue",
]
