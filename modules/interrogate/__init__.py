"""Words for a picture: CLIP compares it with lists of words. Nothing named here loads torch."""

from modules.interrogate.interrogator import Interrogator, LendDevice
from modules.interrogate.words import Ranked, WordList

__all__ = ["Interrogator", "LendDevice", "Ranked", "WordList"]
