"""The token counter: how many tokens a prompt has, and how many fit into its chunks."""

from dataclasses import dataclass

from modules.prompt.attention import Emphasis, parse_attention
from modules.prompt.chunks import (
    CHUNK_LENGTH,
    COMMA_BACKTRACK,
    EmbeddingLookup,
    SpecialTokens,
    Tokenize,
    chunk_tokens,
)
from modules.prompt.comments import strip_comments
from modules.prompt.compose import split_and
from modules.prompt.networks import extract_networks
from modules.prompt.schedule import parse_schedule


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens used and the places in the chunks that they need, as "12/75" shows them."""

    tokens: int
    limit: int

    def __str__(self) -> str:
        return f"{self.tokens}/{self.limit}"


@dataclass(frozen=True, slots=True)
class CountOptions:
    """What counting depends on beside the text; names of settings, A1111's defaults."""

    steps: int = 20
    is_negative: bool = False
    has_comments: bool = True
    emphasis: Emphasis = "Original"
    comma_padding_backtrack: int = COMMA_BACKTRACK
    use_old_scheduling: bool = False
    embeddings: EmbeddingLookup | None = None


def count_tokens(
    text: str, tokenize: Tokenize, special: SpecialTokens, options: CountOptions | None = None
) -> TokenCount:
    """Count the longest of the prompt's texts over all its AND parts and steps; never raises.

    Comments and networks' tags do not count; a negative prompt has neither tags nor AND.

    >>> letters = lambda text: [ord(letter) for letter in text]
    >>> str(count_tokens("ab [c:def:0.5] <lora:x:1> # why", letters, SpecialTokens()))
    '6/75'
    """
    options = options or CountOptions()
    return max(
        (_count(one, tokenize, special, options) for one in _texts(text, options)),
        key=lambda count: count.tokens,
    )


def _texts(text: str, options: CountOptions) -> set[str]:
    """Every text that some step of some part encodes."""
    if options.has_comments:
        text = strip_comments(text)
    parts = [text]
    if not options.is_negative:
        parts = [part.text for part in split_and(extract_networks(text)[0])]
    return {
        scheduled.text
        for part in parts
        for scheduled in parse_schedule(part, options.steps, old=options.use_old_scheduling)
    }


def _count(
    text: str, tokenize: Tokenize, special: SpecialTokens, options: CountOptions
) -> TokenCount:
    chunks = chunk_tokens(
        parse_attention(text, options.emphasis),
        tokenize,
        special,
        backtrack=options.comma_padding_backtrack,
        embeddings=options.embeddings,
    )
    return TokenCount(sum(chunk.counted for chunk in chunks), len(chunks) * CHUNK_LENGTH)
