"""What goes wrong before the program proper runs."""

from __future__ import annotations


class SetupError(Exception):
    """The environment could not be made; the message tells the user what to do."""
