"""A training from labels alone cannot be given a term that needs a teacher."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd.errors import SpecError


def test_a_term_that_needs_a_teacher_is_refused(run, spec, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="kd needs a teacher"):
        run(tmp_path, spec(loss={"kd": {"weight": 1.0, "arguments": {}}}))
