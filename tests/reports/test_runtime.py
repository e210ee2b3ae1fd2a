"""The scripts of a page are bundled once on a machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import vl_convert

from pyvmaf.reports.runtime import charts_runtime


def test_the_bundle_is_made_once_and_again_if_the_copy_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    made: list[str] = []

    def count() -> str:
        made.append(bundle)
        return bundle

    monkeypatch.setattr(vl_convert, "javascript_bundle", count)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert charts_runtime() == charts_runtime() == bundle
    assert len(made) == 1
    (kept,) = (tmp_path / "pyvmaf").iterdir()
    damaged = kept.read_bytes()
    kept.write_bytes(damaged[:-9] + b"x" + damaged[-8:])
    assert charts_runtime() == bundle
    kept.write_bytes(b"\xff\xfe")
    assert charts_runtime() == bundle
    assert kept.read_bytes() == damaged
    assert len(made) == 3


def test_a_cache_folder_that_cannot_be_written_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda: "script")
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert charts_runtime() == "script"
