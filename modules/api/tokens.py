"""The token counter behind the page's "12/75"."""

from __future__ import annotations

import threading

from pydantic import BaseModel

from modules.core.settings import SettingsView
from modules.model_manager import ModelManager
from modules.model_manager.embeddings import FittingEmbeddings
from modules.prompt import (
    ClipTokenizer,
    CountOptions,
    EmbeddingLookup,
    count_tokens,
    load_tokenizer,
)


class TokenCountRequest(BaseModel):
    """A prompt, and the steps that its schedules count."""

    prompt: str
    steps: int = 20
    is_negative: bool = False


class TokenCountReply(BaseModel):
    """Tokens used, and the places that they need."""

    count: int
    limit: int


class TokenCounter:
    """Counts with CLIP's vocabulary, which is read at the first call; safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokenizer: ClipTokenizer | None = None

    def count(
        self, body: TokenCountRequest, settings: SettingsView, models: ModelManager | None = None
    ) -> TokenCountReply:
        """Count a prompt, with the embeddings that the loaded model can use.

        Raises ModelError if the vocabulary is missing.
        """
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = load_tokenizer()
        options = CountOptions(
            steps=body.steps,
            is_negative=body.is_negative,
            has_comments=settings["enable_prompt_comments"],
            emphasis=settings["emphasis"],
            comma_padding_backtrack=settings["comma_padding_backtrack"],
            use_old_scheduling=settings["use_old_scheduling"],
            embeddings=_embeddings(self._tokenizer, settings, models),
        )
        found = count_tokens(body.prompt, self._tokenizer, self._tokenizer.special, options)
        return TokenCountReply(count=found.tokens, limit=found.limit)


def _embeddings(
    tokenizer: ClipTokenizer, settings: SettingsView, models: ModelManager | None
) -> EmbeddingLookup | None:
    if models is None:
        return None
    fitting = FittingEmbeddings(
        models.networks.embeddings,
        models.state.text_widths or None,
        allow_pickles=settings["allow_pickles"],
    )
    return fitting.lookup(tokenizer)
