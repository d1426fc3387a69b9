"""The tokenizer files are CLIP's, and the token table keeps the meanings' geometry."""

from pathlib import Path

import numpy as np
from transformers import CLIPTokenizer

from tools.embedded_model.text import (
    END_TOKEN,
    TABLE_STD,
    TEXT_WIDTH,
    VOCABULARY,
    make_table,
    tokenise,
    write_tokenizer,
)


def test_written_tokenizer_gives_clips_ids_padded_with_the_end_token(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    ids = tokenise(CLIPTokenizer.from_pretrained(tmp_path), ["a photo of a cat"])
    assert ids.shape == (1, 77)
    assert ids[0, :7].tolist() == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert set(ids[0, 7:].tolist()) == {END_TOKEN}


def test_table_keeps_neighbours_and_fills_other_rows_at_the_same_scale() -> None:
    random = np.random.default_rng(0)
    meanings = random.normal(size=(400, 200)).astype(np.float32)
    meanings[1] = meanings[0] + 0.05
    rows = np.arange(1000, 1400)
    table = make_table(meanings, rows)
    assert table.shape == (VOCABULARY, TEXT_WIDTH)
    near = np.linalg.norm(table[1000] - table[1001])
    far = np.linalg.norm(table[1000] - table[1002])
    assert near < 0.2 * far
    assert abs(table[rows].std() - TABLE_STD) < 1e-3
    assert abs(table[:1000].std() - TABLE_STD) < 1e-2
