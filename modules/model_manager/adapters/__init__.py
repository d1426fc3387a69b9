"""LoRA and its kin: reading their files, and wearing them on a loaded model. Loads torch."""

from modules.model_manager.adapters.file import Adapter, read_adapter
from modules.model_manager.adapters.patcher import Fit, Use, put_on, take_off, text_key

__all__ = ["Adapter", "Fit", "Use", "put_on", "read_adapter", "take_off", "text_key"]
