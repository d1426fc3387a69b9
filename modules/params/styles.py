"""Styles: named pieces of prompt in styles.csv, applied to prompts and found in them again.

Knows the CSV form (name, prompt, negative_prompt) and the "{prompt}" placeholder. Must not know
the prompt language.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modules.core.errors import BadInput, NotFound

log = logging.getLogger(__name__)

PLACEHOLDER = "{prompt}"
COLUMNS = ("name", "prompt", "negative_prompt")


@dataclass(frozen=True, slots=True)
class Style:
    """A named addition to prompt and negative prompt; `path` is the file that holds it."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""
    path: Path | None = None


class StyleDatabase:
    """The styles of one or several CSV files; of equal names, the last one counts."""

    def __init__(self, patterns: Sequence[str | Path]) -> None:
        """Read the files that `patterns` name; a path's last part may hold wildcards.

        New styles go to the first pattern without wildcard, else to styles.csv beside the first.
        A missing file is an empty one. Raises BadInput without any pattern.
        """
        if not patterns:
            raise BadInput("styles_file", list(patterns), "at least one path is needed")
        self._patterns = [str(pattern) for pattern in patterns]
        self.styles: dict[str, Style] = {}
        self.problems: dict[Path, str] = {}
        self.reload()

    @property
    def default_path(self) -> Path:
        """The file for styles that have none yet."""
        plain = [pattern for pattern in self._patterns if not _has_wildcard(Path(pattern).name)]
        return Path(plain[0]) if plain else Path(self._patterns[0]).parent / "styles.csv"

    def reload(self) -> None:
        """Read all files again; one that cannot be read is in `problems`, with the reason."""
        styles: dict[str, Style] = {}
        problems: dict[Path, str] = {}
        for path in self._files():
            try:
                styles.update((style.name, style) for style in _read(path).styles(path))
            except (OSError, ValueError, csv.Error) as error:
                log.warning("Styles in %s cannot be read: %s", path, error)
                problems[path] = str(error)
        self.styles, self.problems = styles, problems

    def get(self, name: str) -> Style:
        """The style of that name; raises NotFound."""
        try:
            return self.styles[name]
        except KeyError:
            raise NotFound("style", name, self.styles) from None

    def choices(self) -> list[str]:
        """Names for a menu; with several files, a divider stands before each file's own.

        A divider names no style, so choosing it changes nothing.
        """
        by_path: dict[Path | None, list[str]] = {}
        for style in self.styles.values():
            by_path.setdefault(style.path, []).append(style.name)
        if len(by_path) < 2:
            return list(self.styles)
        return [
            entry
            for path, names in by_path.items()
            for entry in (f" {path.stem if path else ''} ".center(40, "-"), *names)
        ]

    def save(self, style: Style) -> Style:
        """Add or replace a style in its own file and return it with its path.

        A style without path stays where its name is now. Raises BadInput if the name is empty
        or the file is one that cannot be read, OSError if it cannot be written.
        """
        if not style.name.strip():
            raise BadInput("name", style.name, "a style needs a name")
        known = self.styles.get(style.name)
        path = style.path or (known.path if known else None) or self.default_path
        table = self._table(path)
        table.put(style)
        self._write(path, table)
        return self.styles[style.name]

    def delete(self, name: str) -> None:
        """Remove a style from its file; raises NotFound, BadInput or OSError."""
        path = self.get(name).path or self.default_path
        table = self._table(path)
        table.rows = [row for row in table.rows if row["name"] != name]
        self._write(path, table)

    def apply(self, prompt: str, negative_prompt: str, names: Iterable[str]) -> tuple[str, str]:
        """Prompt and negative prompt with the styles in them; unknown names change nothing."""
        for name in names:
            if style := self.styles.get(name):
                prompt = apply_style(style.prompt, prompt)
                negative_prompt = apply_style(style.negative_prompt, negative_prompt)
        return prompt, negative_prompt

    def extract(self, prompt: str, negative_prompt: str) -> tuple[list[str], str, str]:
        """Find applied styles: their names in the order to apply, and the prompts without them.

        Applying the names to the returned prompts gives back the given ones, save for blanks at
        their ends. Each style is found once at most.
        """
        found: list[str] = []
        candidates = dict(self.styles)
        while match := _find_applied(candidates.values(), prompt, negative_prompt):
            name, prompt, negative_prompt = match
            found.append(name)
            del candidates[name]
        return found[::-1], prompt, negative_prompt

    def _files(self) -> list[Path]:
        paths: dict[Path, None] = {}
        for pattern in map(Path, self._patterns):
            matches = [pattern]
            if _has_wildcard(pattern.name):
                matches = sorted(pattern.parent.glob(pattern.name))
            paths.update((path, None) for path in matches if path.is_file())
        return list(paths)

    def _table(self, path: Path) -> _Table:
        try:
            return _read(path) if path.is_file() else _Table(list(COLUMNS), [])
        except (ValueError, csv.Error) as error:
            raise BadInput("path", str(path), f"it cannot be read: {error}") from error

    def _write(self, path: Path, table: _Table) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace_file(path, table.text().encode("utf-8-sig"))
        self.reload()


def apply_style(style: str, prompt: str) -> str:
    """Put the prompt into the style's placeholders, or the style behind the prompt.

    >>> apply_style("a photo of {prompt}, 4k", "cat"), apply_style("4k", "cat")
    ('a photo of cat, 4k', 'cat, 4k')
    """
    if PLACEHOLDER in style:
        return style.replace(PLACEHOLDER, prompt)
    return ", ".join(filter(None, (prompt.strip(), style.strip())))


def extract_style(style: str, prompt: str) -> str | None:
    """The prompt to which the style was applied; None if it was not.

    >>> extract_style("a photo of {prompt}", "a photo of cat"), extract_style("4k", "cat, 4k")
    ('cat', 'cat')
    >>> extract_style("4k", "8k") is None
    True
    """
    prompt, style = prompt.strip(), style.strip()
    before, placeholder, _ = style.partition(PLACEHOLDER)
    if placeholder:
        count = style.count(PLACEHOLDER)
        length = (len(prompt) - len(style.replace(PLACEHOLDER, ""))) // count
        rest = prompt[len(before) : len(before) + max(length, 0)]
    else:
        rest = prompt.removesuffix(style).removesuffix(", ") if style else prompt
    # Whatever was cut out, it is right exactly if applying gives the prompt back.
    return rest if apply_style(style, rest).strip() == prompt else None


def _find_applied(
    styles: Iterable[Style], prompt: str, negative_prompt: str
) -> tuple[str, str, str] | None:
    """The first style that is in both prompts: its name, and the prompts without it."""
    for style in styles:
        rest = extract_style(style.prompt, prompt)
        negative_rest = extract_style(style.negative_prompt, negative_prompt)
        if rest is None or negative_rest is None:
            continue
        if len(rest) + len(negative_rest) < len(prompt.strip()) + len(negative_prompt.strip()):
            return style.name, rest, negative_rest
    return None


def _has_wildcard(name: str) -> bool:
    return any(character in name for character in "*?[")


@dataclass(slots=True)
class _Table:
    """A CSV file's rows, with columns that are not ours left as they are."""

    columns: list[str]
    rows: list[dict[str, str]]

    def styles(self, path: Path) -> Iterator[Style]:
        """The rows as styles; a row without name is none."""
        # "text" was the prompt's column before there were negative prompts.
        column = "prompt" if "prompt" in self.columns else "text"
        for row in self.rows:
            if row["name"]:
                negative_prompt = row.get("negative_prompt", "")
                yield Style(row["name"], row.get(column, ""), negative_prompt, path)

    def put(self, style: Style) -> None:
        """Replace the row of that name, or add one."""
        column = "text" if "text" in self.columns and "prompt" not in self.columns else "prompt"
        values = {
            "name": style.name,
            column: style.prompt,
            "negative_prompt": style.negative_prompt,
        }
        self.columns += [name for name in values if name not in self.columns]
        same = [row for row in self.rows if row["name"] == style.name]
        if not same:
            self.rows.append(values)
        for row in same:
            row.update(values)

    def text(self) -> str:
        """The CSV text."""
        file = io.StringIO()
        writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return file.getvalue()


def _read(path: Path) -> _Table:
    """Read a file; raises ValueError or csv.Error if it is no table of styles."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        columns = next(reader, list(COLUMNS))
        if "name" not in columns:
            raise ValueError(f"no column 'name' among {', '.join(columns)[:80]}")
        rows = [dict.fromkeys(columns, "") | dict(zip(columns, row)) for row in reader if row]
    return _Table(columns, rows)


def _replace_file(path: Path, data: bytes) -> None:
    """Write the whole file or, if that fails, nothing."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".new")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(path.stat().st_mode if path.exists() else 0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
