"""A second engine: one module and one row make it compute, and no result of one engine answers for another."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import pyvmaf
from pyvmaf import _native, engines
from pyvmaf.base.code import Uses, identity
from pyvmaf.base.manifest import read_manifest
from pyvmaf.engines.kernels import check
from pyvmaf.engines.kernels.engine import KernelBatch
from pyvmaf.engines.libvmaf import build
from pyvmaf.engines.libvmaf.engine import Libvmaf, LibvmafBatch
from pyvmaf.engines.protocol import Request
from pyvmaf.errors import InputError, UnavailableError
from pyvmaf.features.cache import entries, read
from pyvmaf.features.catalog import FULL
from pyvmaf.features.ladder import Ladder, extract_ladder
from pyvmaf.features.options import Compute, Reading, Window
from pyvmaf.video.format import Format
from tests.features import numpy_engine
from tests.features.corpus import corpus_file
from tests.features.numpy_engine import ENGINE
from tests.make.commands import command

MODULE = "tests.features.numpy_engine"


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the engine's row."""
    monkeypatch.setattr(engines, "ENGINES", {**engines.ENGINES, "numpy": MODULE})


@pytest.fixture
def clips(pair: tuple[Path, Path], convert: Callable[..., Path]) -> dict[str, Path]:
    return {"a": pair[1], "b": convert(pair[0], "carphone40.mkv", "-c:v", "libx264", "-crf", "40")}


def ladder(pair: tuple[Path, Path], clips: dict[str, Path], backend: str, cache: Path | None = None) -> Ladder:
    compute = Compute(backend=backend, threads=2, cache=cache)
    return extract_ladder(pair[0], clips, features="psnr_y,psnr_cb,psnr_cr", model=None, compute=compute)


@pytest.mark.usefixtures("listed")
class TestNumpyEngine:
    def test_it_computes(self, pair: tuple[Path, Path], clips: dict[str, Path]) -> None:
        expected, measured = ladder(pair, clips, "cpu"), ladder(pair, clips, "numpy")
        assert sorted(measured.computed) == ["psnr on a", "psnr on b"]
        for rung in clips:
            for name, values in expected.rungs[rung].features.items():
                np.testing.assert_allclose(measured.rungs[rung].features[name], values, rtol=0, atol=1e-6)
        compute = Compute(backend="numpy")
        part = extract_ladder(
            pair[0], clips, features="psnr_y", model=None, reading=Reading(window=Window(7, 50, 3)), compute=compute
        )
        np.testing.assert_array_equal(
            part.rungs["b"].features["psnr_y"], measured.rungs["b"].features["psnr_y"][7:50:3]
        )

    def test_features_that_it_lacks_are_unavailable(self, pair: tuple[Path, Path]) -> None:
        scores = pyvmaf.score(*pair, features="full", model=None, backend="numpy")
        assert set(scores.unavailable) == {name for name in FULL if not name.startswith("psnr_") or name == "psnr_hvs"}
        assert scores.unavailable["vif_scale0"] == "the numpy engine computes psnr, not vif"
        with pytest.raises(InputError, match=r"feature 'vif_scale0' cannot be computed .* computes psnr, not vif"):
            pyvmaf.score(*pair, features="vif_scale0", model=None, backend="numpy")
        with pytest.raises(InputError, match=r"model 'vmaf_v0.6.1' cannot score 176x144 .* computes psnr"):
            pyvmaf.score(*pair, features="psnr_y", backend="numpy")

    def test_no_entry_of_one_engine_answers_for_another(
        self, pair: tuple[Path, Path], clips: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert len(ladder(pair, clips, "cpu", tmp_path).computed) == 2
        first = ladder(pair, clips, "numpy", tmp_path)
        assert (len(first.computed), first.cached) == (2, 0)
        for backend in ("cpu", "numpy"):
            again = ladder(pair, clips, backend, tmp_path)
            assert (again.computed, again.cached) == ([], 2)
        keys = [read(path)[0] for path in entries(tmp_path)]
        assert sorted((key["engine"], key["identity"]) for key in keys) == sorted(
            [("libvmaf", build.identity(())), ("numpy", ENGINE.identity())] * 2
        )
        # Another version of the same engine shares nothing with this one either.
        monkeypatch.setattr(ENGINE, "identity", lambda: "numpy-0")
        assert len(ladder(pair, clips, "numpy", tmp_path).computed) == 2

    def test_scores_of_frames_one_by_one_are_refused_by_an_engine_without_them(self) -> None:
        planes = (np.zeros((64, 64), np.uint8),)
        with (
            pyvmaf.Session("psnr_y", model=None, backend="numpy") as session,
            pytest.raises(UnavailableError, match="engine 'numpy' does not compute frames one by one"),
        ):
            session.push(planes, planes)


class Copied(Libvmaf):
    """libvmaf under another name."""

    name = "copied"

    def identity(self) -> str:
        """Return a commit."""
        return "copied-1"


def test_the_verb_computes_with_it_and_its_manifest_names_it(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_engine, "ENGINE", Copied())
    monkeypatch.setattr(engines, "ENGINES", {**engines.ENGINES, "copied": MODULE})
    corpus = corpus_file(tmp_path / "corpus", {"c": (pair[0], "c", "g")})
    for backend in ("cpu", "copied"):
        words = ["hard-negatives", corpus, "-o", tmp_path / f"{backend}.parquet", "--frames", 3]
        code = identity("hard-negatives", engines.uses(backend))
        done = command(*words, "--backend", backend, "--code", code)
        assert done.returncode == 0, done.stderr
    assert pd.read_parquet(tmp_path / "copied.parquet").equals(pd.read_parquet(tmp_path / "cpu.parquet"))
    manifest = read_manifest(tmp_path / "copied.parquet")
    assert manifest["args"]["backend"] == "copied"
    assert (manifest["engine"]["libvmaf"], manifest["engine"]["copied"]) == (build.identity(), "copied-1")
    assert "copied" not in read_manifest(tmp_path / "cpu.parquet")["engine"]


@pytest.mark.parametrize("threads", [1, 3])
def test_kernels_give_the_scores_of_libvmaf_and_share_its_cache_entries(
    pair: tuple[Path, Path], clips: dict[str, Path], tmp_path: Path, threads: int
) -> None:
    def measured(backend: str, cache: Path | None = None) -> Ladder:
        compute = Compute(backend=backend, threads=threads, cache=cache)
        return extract_ladder(
            pair[0],
            clips,
            features=["canonical6", "vif_scale1", "psnr_y"],
            model=["vmaf_v0.6.1", "vmaf_v0.6.1neg"],
            reading=Reading(window=Window(0, 20, 3)),
            compute=compute,
        )

    expected, found = measured("libvmaf", tmp_path / "cache"), measured("kernels")
    assert sorted(found.computed) == sorted(expected.computed)
    for name, rung in expected.rungs.items():
        own = found.rungs[name]
        assert own.indices.tolist() == rung.indices.tolist()
        for columns, others in ((own.features, rung.features), (own.models, rung.models)):
            assert list(columns) == list(others)
            for column, values in columns.items():
                np.testing.assert_array_equal(values, others[column], err_msg=column)
    assert measured("kernels", tmp_path / "cache").computed == []


def test_kernels_are_the_default_and_leave_all_to_libvmaf_where_they_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Compute().backend == "auto"
    assert engines.load("auto") is engines.load("kernels")
    form, requests = Format.parse("176x144"), {Request("adm"): ["integer_adm_scale0"]}
    with contextlib.closing(engines.load("auto").open(requests, form)) as batch:
        assert isinstance(batch, KernelBatch)
    # The kernel of another feature may differ: it is not used.
    monkeypatch.setattr(check, "_agrees", lambda name, what: what.extractor != "vif")
    check.instruction_set.cache_clear()
    with contextlib.closing(engines.load("auto").open(requests, form)) as batch:
        assert isinstance(batch, KernelBatch)
    monkeypatch.setattr(check, "_agrees", lambda name, what: what != check.Check("adm", 8, 100.0))
    check.instruction_set.cache_clear()
    try:
        with pytest.warns(RuntimeWarning, match="differ from libvmaf on this machine") as warned:
            batch = engines.load("auto").open(requests, form)
        assert [str(w.message).split()[3] for w in warned] == _native.instruction_sets()
        with contextlib.closing(batch):
            assert isinstance(batch, LibvmafBatch)
    finally:
        check.instruction_set.cache_clear()


def test_another_engine_changes_the_code_of_no_run_that_does_not_use_it(tmp_path: Path) -> None:
    root = Path(pyvmaf.__file__).parent
    copy = tmp_path / "pyvmaf"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    table = copy / "engines" / "__init__.py"
    row = "ENGINES: Table[str] = {"
    assert row in table.read_text()
    table.write_text(table.read_text().replace(row, row + '"other": "pyvmaf.engines.other", '))
    (copy / "engines" / "other.py").write_text("ENGINE = None\n")
    for verb in ("extract-features", "hard-negatives"):
        assert identity(verb, engines.uses("cpu"), root=copy) == identity(verb, engines.uses("cpu"))
    other = Uses(("pyvmaf.engines.other",))
    before = identity("extract-features", other, root=copy)
    shutil.copytree(copy, tmp_path / "edited" / "pyvmaf")
    (tmp_path / "edited" / "pyvmaf" / "engines" / "other.py").write_text("ENGINE = 1\n")
    assert identity("extract-features", other, root=tmp_path / "edited" / "pyvmaf") != before


def test_backends_without_an_engine_are_refused() -> None:
    if not build.cuda_architectures():
        with pytest.raises(
            UnavailableError, match="'cuda' was asked for, but this build of pyvmaf computes on the processor only"
        ):
            engines.uses("cuda")
    with pytest.raises(InputError, match="unknown backend 'gpu'"):
        engines.load("gpu")
    assert engines.load("cpu") is engines.load("libvmaf")


@pytest.mark.parametrize("width", [144, 176, 532, 533])
def test_the_identity_names_the_repairs_that_concern_a_request(width: int) -> None:
    engine, form = Libvmaf(), Format.parse(f"{width}x144")
    plain = build.identity(())
    for extractor in ("vif", "motion", "psnr", "cambi"):
        assert engine.identity_for(Request(extractor), form) == plain
    narrow = "+adm-last-column" if width in (144, 532) else ""
    assert engine.identity_for(Request("adm", (("adm_skip_aim", "true"),)), form) == f"{plain}{narrow}+adm-masking"
    gain = Request("adm", (("adm_enhn_gain_limit", "1.2"),))
    assert engine.identity_for(gain, form) == f"{plain}{narrow}+adm-masking+adm-gain"
    assert engine.identity() == f"{plain}+adm-last-column+adm-masking+adm-gain"
    assert engine.machine(form) is None
