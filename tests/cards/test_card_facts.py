"""Metadata of trainers in words, whatever is in it."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from modules.cards import read_facts

KOHYA = {
    "ss_output_name": "ink",
    "ss_sd_model_name": "v1-5.safetensors",
    "ss_network_dim": "32",
    "ss_clip_skip": "None",
    "ss_training_started_at": "1690000000.25",
    "ss_tag_frequency": json.dumps({"10_ink": {"ink": 3, " fox ": 9}, "5_more": {"ink": 7}}),
    "ss_bucket_info": json.dumps({"buckets": {"0": {"resolution": [512, 768], "count": 4}}}),
    "modelspec.author": "someone",
    "modelspec.thumbnail": "data:image/jpeg;base64," + "A" * 50_000,
}


def test_training_is_told_in_words() -> None:
    facts = read_facts(KOHYA)
    assert facts.rows == (
        ("Author", "someone"),
        ("Name at training", "ink"),
        ("Trained on", "v1-5.safetensors"),
        ("Rank", "32"),
        ("Training began", "2023-07-22 04:26 UTC"),
    )
    assert facts.tags == (("ink", 10), ("fox", 9))
    assert facts.buckets == (("512×768", 4),)
    assert facts.raw.keys() == KOHYA.keys()
    assert len(facts.raw["modelspec.thumbnail"]) < 2100


def test_file_without_metadata_has_no_facts() -> None:
    facts = read_facts({})
    assert (facts.rows, facts.tags, facts.buckets, facts.raw) == ((), (), (), {})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(tags=_JSON, buckets=_JSON, began=st.text(max_size=10) | st.floats().map(str))
def test_nothing_that_anybody_wrote_breaks_it(tags: object, buckets: object, began: str) -> None:
    read_facts({
        "ss_tag_frequency": json.dumps({"a": tags}),
        "ss_bucket_info": json.dumps({"buckets": buckets}),
        "ss_training_started_at": began,
    })  # fmt: skip
    read_facts({"ss_tag_frequency": json.dumps(tags), "ss_bucket_info": "[" * 5000})
