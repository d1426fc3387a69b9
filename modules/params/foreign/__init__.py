"""Parameters of pictures that other programs made, told in A1111's infotext."""

from modules.params.foreign.found import Foreign
from modules.params.foreign.table import PROGRAMS, read_foreign

__all__ = ["PROGRAMS", "Foreign", "read_foreign"]
