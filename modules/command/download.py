"""`python webui.py download sd15`: get a model into its folder, from the hub or an https address.

Shows the licence and asks before anything is fetched; goes on with what an earlier try left.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from modules.core.errors import BadInput, EaselError, Interrupted
from modules.core.paths import paths_of
from modules.downloads import KNOWN, Downloads, Folder, Hub, Kind, Source, find_kind
from modules.downloads.diffusers_layout import NAME as LAYOUT
from modules.downloads.manager import Wish
from modules.downloads.source import Item
from modules.downloads.transfer import Transfer
from modules.setup.flags import parse_flags

_REDRAW_S = 0.2


def download(
    arguments: list[str],
    *,
    transfer: Transfer | None = None,
    ask: Callable[[str], str] | None = None,
    hub: Hub | None = None,
) -> int:
    """Fetch one model; returns the exit status, 1 with a message on failure.

    ask: shows a question and returns what was typed; None where nobody sits at the terminal. hub:
    None is the one of the user's environment.
    """
    options, flag_words = make_parser().parse_known_args(arguments)
    root = Path(__file__).resolve().parents[2]
    flags = parse_flags(flag_words, os.environ, root)
    if options.list or options.source is None:
        sys.stdout.write(_table())
        return 0
    downloads = Downloads(paths_of(flags, root), transfer, hub=hub)
    try:
        source = downloads.look(
            options.source, pickles=options.allow_pickle, revision=options.revision
        )
        kind = find_kind(options.kind) if options.kind else None
        wish = Wish(source, source.file(_file_name(options)), kind, options.sha256)
        wish.check()
        sys.stdout.write(_terms(source, wish.file))
        if not _is_accepted(options.yes, ask):
            return 1
        path, found = downloads.fetch(wish, _progress())
    except Interrupted:
        return 130
    except (EaselError, OSError) as error:
        sys.stderr.write(f"\nwebui.py download: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped; the same command goes on where it ended.\n")
        return 130
    sys.stdout.write(f"\n{found}: {path}\n")
    return 0


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command's own options."""
    parser = argparse.ArgumentParser(
        prog="webui.py download",
        description="Get a model into the folder of its kind.",
        epilog="Flags of webui.py for folders can be given too.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "source",
        nargs="?",
        help="a name of --list, a Hugging Face id owner/name[/file], or https://…",
    )
    parser.add_argument("--list", action="store_true", help="show the models that have a name")
    parser.add_argument("--file", help="which file, where a repository has several")
    parser.add_argument(
        "--variant",
        metavar="fp16",
        help="which weights, where a repository has a folder of diffusers (default: the full ones)",
    )
    parser.add_argument("--revision", help="a branch, tag or commit of a repository")
    parser.add_argument("--kind", help=f"what it is: {', '.join(Kind)} (default: by its content)")
    parser.add_argument("--sha256", help="the checksum that the file must have")
    parser.add_argument(
        "--allow-pickle", action="store_true", help="take .ckpt, .pt, .bin files too"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    return parser


def _table() -> str:
    rows = [f"{row.name:14} {_size(row.size):>8}  {row.title} ({row.licence})\n" for row in KNOWN]
    return "".join(rows)


def _file_name(options: argparse.Namespace) -> str | None:
    """Which of a source's files was asked for. Raises BadInput for a file of a variant."""
    if options.variant is None:
        return cast("str | None", options.file)
    if options.file is not None:
        raise BadInput("variant", options.variant, "a single file has none; leave --file out")
    return f"{LAYOUT}.{options.variant}"


def _terms(source: Source, file: Item) -> str:
    if isinstance(file, Folder):
        what = f"{file.name}, {len(file.files)} files, {_size(file.size)}"
        check = f"of each file, {'from the hub' if file.has_checksum else 'not all known'}"
    else:
        what, check = f"{file.name}, {_size(file.size)}", file.sha256 or "not known"
    others = [one.name for one in source.files if one is not file]
    also = f"Others:  --file {', '.join(others)}\n" if others else ""
    return (
        f"{source.title}: {what}\n{also}"
        f"Licence: {source.licence}\n         {source.page}\nSHA-256: {check}\n"
    )


def _is_accepted(yes: bool, ask: Callable[[str], str] | None) -> bool:
    if yes:
        return True
    if ask is None:
        if not sys.stdin.isatty():
            sys.stderr.write("Nobody is there to accept the licence: give --yes.\n")
            return False
        ask = input
    return ask("Accept the licence and download it? [y/N] ").strip().lower() in ("y", "yes")


def _progress() -> Callable[[int, int | None], None]:
    """Writes one line over and over on a terminal; nothing elsewhere."""
    is_terminal = sys.stderr.isatty()
    began: list[tuple[float, int]] = []
    last = [0.0]

    def report(done: int, total: int | None) -> None:
        now = time.monotonic()
        began[:] = began or [(now, done)]
        if not is_terminal or (now - last[0] < _REDRAW_S and done != total):
            return
        last[0] = now
        taken = now - began[0][0]
        speed = (done - began[0][1]) / taken if taken > 0 else 0.0
        share = f"{done / total:4.0%} of {_size(total)}" if total else _size(done)
        sys.stderr.write(f"\r{share}, {_size(int(speed))}/s".ljust(50))
        sys.stderr.flush()

    return report


def _size(value: int | None) -> str:
    """Bytes for people.

    >>> _size(4_265_146_304), _size(66_857_836), _size(None)
    ('4.27 GB', '66.9 MB', 'size unknown')
    """
    if value is None:
        return "size unknown"
    return f"{value / 1e9:.2f} GB" if value >= 1e9 else f"{value / 1e6:.1f} MB"
