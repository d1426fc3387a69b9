"""The prompt language: text in, data out."""

from modules.prompt.attention import Emphasis, Weighted, parse_attention, uses_emphasis
from modules.prompt.bpe import ClipTokenizer, load_tokenizer
from modules.prompt.chunks import (
    Chunk,
    EmbeddingFix,
    EmbeddingIndex,
    EmbeddingLookup,
    EmbeddingMatch,
    SpecialTokens,
    Tokenize,
    chunk_tokens,
)
from modules.prompt.comments import strip_comments
from modules.prompt.compose import Part, split_and
from modules.prompt.count import CountOptions, TokenCount, count_tokens
from modules.prompt.networks import NetworkTag, extract_networks
from modules.prompt.schedule import Scheduled, parse_schedule, text_at
from modules.prompt.write import write_and, write_attention, write_schedule

__all__ = [
    "Chunk",
    "ClipTokenizer",
    "CountOptions",
    "EmbeddingFix",
    "EmbeddingIndex",
    "EmbeddingLookup",
    "EmbeddingMatch",
    "Emphasis",
    "NetworkTag",
    "Part",
    "Scheduled",
    "SpecialTokens",
    "TokenCount",
    "Tokenize",
    "Weighted",
    "chunk_tokens",
    "count_tokens",
    "extract_networks",
    "load_tokenizer",
    "parse_attention",
    "parse_schedule",
    "split_and",
    "strip_comments",
    "text_at",
    "uses_emphasis",
    "write_and",
    "write_attention",
    "write_schedule",
]
