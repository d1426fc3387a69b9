"""Comments in prompts: `#` to the end of the line."""

import re

_COMMENT = re.compile(r"\n?#[^\n]*(?:\n|\Z)")


def strip_comments(text: str) -> str:
    r"""Replace each comment by a line break; one alone on its line goes with the line.

    >>> strip_comments("a cat # black\nin a box")
    'a cat \nin a box'
    >>> strip_comments("a cat\n# in a box\non a mat")
    'a cat\non a mat'
    """
    return _COMMENT.sub("\n", text)
