"""Extra networks: `<lora:name:0.8>` tags, cut out of the prompt.

Knows the tags' form. Must not know which kinds of network exist or what their arguments mean.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_TAG = re.compile(r"<(\w+):([^>]+)>")


@dataclass(frozen=True, slots=True)
class NetworkTag:
    """One tag: its kind ("lora"), and its arguments as written, in order or by name."""

    kind: str
    positional: tuple[str, ...]
    named: Mapping[str, str] = field(default_factory=dict, hash=False)


def extract_networks(text: str) -> tuple[str, tuple[NetworkTag, ...]]:
    """Cut all tags out; returns the rest of the text, and the tags in order.

    For positive prompts only; the first prompt of a batch decides for all its images (A1111 1.10
    behaviour). Never raises.

    >>> extract_networks("a <lora:x:0.5:te=1>cat")
    ('a cat', (NetworkTag(kind='lora', positional=('x', '0.5'), named={'te': '1'}),))
    >>> extract_networks("<lora:> < b : c >")
    ('<lora:> < b : c >', ())
    """
    # Nothing behind the last ">" can be a tag; searching there would cost quadratic time.
    end = text.rfind(">") + 1
    tags = tuple(_tag(match[1], match[2]) for match in _TAG.finditer(text, 0, end))
    return _TAG.sub("", text[:end]) + text[end:], tags


def _tag(kind: str, arguments: str) -> NetworkTag:
    positional: list[str] = []
    named: dict[str, str] = {}
    for argument in arguments.split(":"):
        key, equals, value = argument.partition("=")
        if equals:
            named[key] = value
        else:
            positional.append(argument)
    return NetworkTag(kind, tuple(positional), named)
