"""Every signing vector of every implemented venue is reproduced; `signatures/<venue>.py` says what "the same" means there."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.conftest import SHARED
from tests.recordings.vectors import entries


@pytest.mark.skipif(not (SHARED / "venues").is_dir(), reason=f"no signing vectors at {SHARED / 'venues'}")
@pytest.mark.parametrize(("slug", "entry"), list(entries()))
def test_a_signing_vector_is_reproduced(slug: str, entry: dict[str, Any]) -> None:
    importlib.import_module(f"tests.recordings.signatures.{slug}").check(entry)
