"""Comments in prompts."""

from __future__ import annotations

import pytest

from modules.prompt.comments import strip_comments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a cat", "a cat"),
        ("a # b", "a \n"),
        ("a # b\nc", "a \nc"),
        ("a\n# b\nc", "a\nc"),
        ("# a\nb", "\nb"),
        ("a#b#c\nd", "a\nd"),
        ("#", "\n"),
    ],
)
def test_comment_becomes_a_line_break(text: str, expected: str) -> None:
    assert strip_comments(text) == expected
