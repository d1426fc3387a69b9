"""Is this Python new enough? The first thing that a start asks.

This file, like modules/setup/__init__.py, must run on Python 3.8, so that its message is seen.
"""

from __future__ import annotations

OLDEST = (3, 11)
NEWEST_TRIED = (3, 13)


def refusal(version: tuple[int, ...], executable: str) -> str | None:
    """Why Easel cannot run on this Python, in a sentence or two; None if it can.

    version: the first numbers of sys.version_info. executable: its path, for the message.
    """
    if tuple(version[:2]) >= OLDEST:
        return None
    return (
        "Easel needs Python {}.{} or newer; this is {}.{} ({}).\n"
        "Install a newer one from https://www.python.org/downloads/ or your system's packages, "
        "and start again with it: python{}.{} webui.py"
    ).format(*OLDEST, *version[:2], executable, *NEWEST_TRIED)


def caution(version: tuple[int, ...]) -> str | None:
    """A sentence for the log if this Python is newer than any that was tried."""
    if tuple(version[:2]) <= NEWEST_TRIED:
        return None
    return "Python {}.{} was never tried with Easel; {}.{} is the newest that was".format(
        *version[:2], *NEWEST_TRIED
    )
