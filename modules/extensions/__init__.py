"""Extensions: what they may derive from, where they are found, how their scripts run."""

from modules.extensions.script import Script
from modules.processing.processed import Processed, process_images

__all__ = ["Processed", "Script", "process_images"]
