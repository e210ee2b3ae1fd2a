"""Features of a pair by a backend beside those of the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from pyvmaf import engines
from pyvmaf.base.manifest import read_manifest
from pyvmaf.checks import gpu_calibration
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.engine import Libvmaf
from pyvmaf.engines.protocol import Batch, Requests
from pyvmaf.features.catalog import CANONICAL6
from pyvmaf.video.format import Format
from tests.features import numpy_engine
from tests.make.commands import command


def collected(pair: tuple[Path, Path], output: Path, *words: str) -> tuple[int, str, str]:
    done = command("collect-gpu-calibration", "-r", pair[0], "-d", pair[1], "-o", output, "--frame-limit", 5, *words)
    return done.returncode, done.stdout, done.stderr


def test_the_kernels_beside_libvmaf(pair: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "calibration.parquet"
    code, said, errors = collected(pair, output, "--backend", "kernels")
    assert code == 0, errors
    assert f"{output}: {5 * len(CANONICAL6)} rows" in " ".join(said.split())
    table = pd.read_parquet(output)
    assert table.columns.tolist() == ["arch_id", "backend", "feature", "frame_index", "cpu", "value", "difference"]
    assert table.feature.unique().tolist() == list(CANONICAL6)
    assert set(table.arch_id) == {f"cpu:{build.simd()}"}
    # The kernels give libvmaf's bits, and the scores are not all the same.
    assert (table.difference == 0).all()
    assert table.groupby("feature", observed=True).cpu.nunique().drop("motion2").gt(1).all()
    manifest = read_manifest(output)
    assert manifest["details"]["frames"] == 5
    assert [item["unequal"] for item in manifest["details"]["differences"]] == [0] * len(CANONICAL6)
    assert set(manifest["engine"]) >= {"libvmaf", "kernels"}


class Off(Libvmaf):
    """libvmaf under another name, with a difference."""

    name = "off"

    def open(self, requests: Requests, form: Format) -> Batch:
        """Open a batch whose second frame differs."""
        batch = super().open(requests, form)
        harvest = batch.harvest

        def changed() -> dict[str, NDArray[np.float64]]:
            scores = harvest()
            for values in scores.values():
                values[1] += 0.5
            return scores

        batch.harvest = changed  # type: ignore[method-assign]
        return batch


def test_differences_are_kept_and_counted(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_engine, "ENGINE", Off())
    monkeypatch.setattr(engines, "ENGINES", {**engines.ENGINES, "off": "tests.features.numpy_engine"})
    output = tmp_path / "calibration.parquet"
    found = gpu_calibration.collect(
        *pair, output, backends=["off", "kernels"], features="vif_scale0,psnr_y", frames=4, arch_id="mine"
    )
    assert [(item.backend, item.feature, item.unequal, item.worst) for item in found] == [
        ("off", "vif_scale0", 1, 1), ("off", "psnr_y", 1, 1), ("kernels", "vif_scale0", 0, 0), ("kernels", "psnr_y", 0, 0)
    ]  # fmt: skip
    assert found[0].largest == pytest.approx(0.5)
    table = pd.read_parquet(output)
    assert set(table.arch_id) == {"mine"}
    changed = table[(table.backend == "off") & (table.frame_index == 1)]
    np.testing.assert_allclose(changed.difference, 0.5)
    np.testing.assert_array_equal(table.difference, table.value - table.cpu)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--backend", "libvmaf-cuda"],
            "'libvmaf-cuda' was asked for, but this build of pyvmaf computes on the processor only",
        ),
        (["--backend", "vulkan"], "unknown backend 'vulkan'"),
        (["--backend", "cpu"], "backend cpu is the processor itself, or given twice"),
        (["--backend", "kernels", "--backend", "kernels"], "backend kernels is the processor itself, or given twice"),
    ],
)
def test_backends_that_cannot_be_compared_are_refused(
    pair: tuple[Path, Path], tmp_path: Path, words: list[str], message: str
) -> None:
    if "libvmaf-cuda" in words and build.cuda_architectures():
        pytest.skip("this build has CUDA")
    code, _, errors = collected(pair, tmp_path / "calibration.parquet", *words)
    assert code == 2
    assert message in " ".join(errors.split())
    assert not list(tmp_path.iterdir())
