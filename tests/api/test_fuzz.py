"""Whatever the body says, the server answers it: never with 500, never by dying."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modules.api.body import Txt2ImgRequest

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(sorted(Txt2ImgRequest.model_fields))
SETTINGS = st.dictionaries(
    st.sampled_from(["n_rows", "samples_format", "sd_vae", "eta_noise_seed_delta", "tiling", "x"]),
    JSON,
    max_size=3,
)
# Small enough to be drawn quickly when everything happens to be right.
SMALL = {"steps": 1, "width": 8, "height": 8, "batch_size": 1, "n_iter": 1}
BODIES = st.one_of(
    JSON,
    st.dictionaries(FIELDS, JSON, max_size=4),
    st.builds(lambda chosen: {"override_settings": chosen}, SETTINGS),
    st.builds(
        lambda text: {"infotext": f"{text}\nSteps: 1, Sampler: {text}, Size: 8x8"}, st.text()
    ),
)
EFFORT = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def kept_small(body: Any) -> Any:
    """The body with sizes and counts that a test can afford, unless they are no numbers."""
    if not isinstance(body, dict):
        return body
    numbers = {k for k in SMALL if isinstance(body.get(k, 0), int | float)}
    return {**body, **{name: SMALL[name] for name in numbers}}


@EFFORT
@given(body=BODIES)
def test_txt2img_never_breaks(client: TestClient, body: Any) -> None:
    reply = client.post(
        "/sdapi/v1/txt2img",
        content=orjson.dumps(kept_small(body), option=orjson.OPT_NON_STR_KEYS),
        headers={"Content-Type": "application/json"},
    )
    assert reply.status_code in (200, 404, 422), (body, reply.text)
    assert reply.json()


@EFFORT
@given(body=st.dictionaries(st.sampled_from(sorted(SMALL)), JSON, min_size=1))
def test_sizes_and_counts_of_other_kinds_are_checked(client: TestClient, body: Any) -> None:
    odd = {name: value for name, value in body.items() if not isinstance(value, int | float | str)}
    reply = client.post("/sdapi/v1/txt2img", json={**SMALL, **odd})
    assert reply.status_code in (200, 422), (body, reply.text)


@EFFORT
@given(body=SETTINGS | JSON)
def test_options_never_break(client: TestClient, body: Any) -> None:
    reply = client.post(
        "/sdapi/v1/options",
        content=orjson.dumps(body),
        headers={"Content-Type": "application/json"},
    )
    assert reply.status_code in (200, 404, 422), (body, reply.text)
    assert client.get("/sdapi/v1/options").status_code == 200


@EFFORT
@given(content=st.binary(max_size=60), kind=st.sampled_from(["application/json", "text/plain"]))
def test_any_bytes_are_answered(client: TestClient, content: bytes, kind: str) -> None:
    for path in ("/sdapi/v1/png-info", "/sdapi/v1/options", "/internal/progress"):
        reply = client.post(path, content=content, headers={"Content-Type": kind})
        assert reply.status_code in (200, 404, 422), (content, reply.text)
