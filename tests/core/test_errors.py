from __future__ import annotations

from collections.abc import Iterable

import pytest

from modules.core.errors import NotFound


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["Euler", "LMS"], "Unknown sampler 'Eular'; did you mean 'Euler'?"),
        (["LMS", "DDIM"], "Unknown sampler 'Eular'; known: LMS, DDIM."),
        (map(str, range(14)), "Unknown sampler 'Eular'; known: "
         "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more."),
        ((), "Unknown sampler 'Eular'; there are none."),
        (None, "Unknown sampler 'Eular'."),
    ],
)  # fmt: skip
def test_unknown_name_tells_what_is_known(choices: Iterable[str] | None, message: str) -> None:
    error = NotFound("sampler", "Eular", choices)
    assert str(error) == message
    assert isinstance(error.choices, tuple)
