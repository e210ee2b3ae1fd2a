"""What the pages' commands are run on: a small checkout with a finished run, and the files that each page needs beside it."""

from __future__ import annotations

import atexit
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from scipy.io import savemat

from docs.site import gallery
from docs.site.blocks import blocks
from pyvmaf.models.export import export
from pyvmaf.models.fit import fit
from pyvmaf.models.judge import judge
from tests.make import warm
from tests.make.archives import zipped
from tests.make.checkpoints import converted
from tests.make.commands import command as run_verb
from tests.make.images import blob, duts, save
from tests.make.logs import Log
from tests.make.models import spec_file, write_linear
from tests.make.pictures import no_reference, write_pictures
from tests.make.servers import Server, running_server
from tests.make.tables import FEATURES, table_columns, write_table
from tests.make.videos import REPOSITORY, ffmpeg_program, make_video
from tests.make.workflows import write_small_model, write_yaml

DOCS = REPOSITORY / "docs"
PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for path in (REPOSITORY / "README.md", *sorted(DOCS.glob("**/*.md")))
    if not path.is_relative_to(DOCS / "examples")
}


class Given(NamedTuple):
    """What the tests share.

    Attributes:
        files: fetched files and prepared clips of the embedded corpus, by name.
        session: folder that all test processes share.
    """

    files: dict[str, Path]
    session: Path


LINE = "snakemake --cores 4 --config 'corpora=[mine]'"
"""The command of the pages that makes the finished run."""

_COPIED = ("workflow", "rules", "envs", "profiles", "config")

# The default run in seconds: the videos of the tutorials, two encoders, a model of few epochs.
_CONFIG: dict[str, Any] = {
    "corpora": ["mine"],
    "codecs": ["libx264", "libsvtav1"],
    "models": ["vmaf_tiny_v2"],
    "ladders": {
        "libx264": {"presets": ["ultrafast"], "crfs": [30, 44]},
        "libsvtav1": {"presets": ["12"], "crfs": [50]},
    },
}


def checkout(folder: Path) -> None:
    """Copy the workflow of this checkout, with a default configuration and a model of seconds."""
    for name in _COPIED:
        shutil.copytree(REPOSITORY / name, folder / name, dirs_exist_ok=True)
    shutil.copy(REPOSITORY / "Makefile", folder)
    write_small_model(folder, name="vmaf_tiny_v2", epochs=5, seeds=[0])
    (folder / "config" / "models" / "small.yaml").rename(folder / "config" / "models" / "vmaf_tiny_v2.yaml")
    configure(folder)


def configure(folder: Path, **changes: Any) -> None:
    """Write the default configuration of such a checkout; keyword arguments replace keys."""
    whole = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
    write_yaml(folder / "config" / "config.yaml", {**whole, **_CONFIG, **changes})


def finish(folder: Path, tutorials: Path) -> None:
    """Make such a checkout and run its whole line."""
    shutil.copytree(tutorials / "home", folder / "home")
    checkout(folder)
    with gallery.home(folder / "home"):
        scan = "vmaf-train manifest-scan --root ~/videos --name mine --output config/corpora/mine.yaml"
        for command in (scan, LINE):
            done = shell(command, folder)
            assert done.returncode == 0, done.stdout + done.stderr


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command by a shell that finds this environment's programs and FFmpeg; Python's programs are forks."""
    programs = folder / "bin"
    if not programs.exists():
        programs.mkdir()
        (programs / "ffmpeg").symlink_to(ffmpeg_program())
    environment = warm.environment()
    path = os.pathsep.join((str(programs), environment["PATH"]))
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder, env={**environment, "PATH": path, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True,
    )  # fmt: skip


# --- what a page finds -----------------------------------------------------------------------------------------------


def cut(source: Path, target: Path, *words: str) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    made = [ffmpeg_program(), "-nostdin", "-v", "error", "-y", "-i", str(source), *words, str(target)]
    subprocess.run(made, check=True)
    return target


def checkpoints(folder: Path, given: Given) -> None:
    shutil.copy(folder / "reference.mkv", folder / "film.mkv")
    pd.DataFrame({"clip": ["a", "b"], "vmaf_mean": [90.0, 50.0]}).to_parquet(folder / "clips.parquet")
    for clip, name in (("a", "bikes"), ("b", "film")):
        cut(folder / "ref" / f"{name}.mkv", folder / "clips" / f"{clip}.mkv", "-c", "copy", "-frames:v", "8")
    for model in ("transnet_v2", "u2netp"):
        take(folder, given, model)
    shutil.copytree(REPOSITORY / "config", folder / "config", dirs_exist_ok=True)
    seeded_denoiser(folder / "model.pth")
    picture, mask = blob(0, 96)
    save(folder / "pictures" / "0.png", picture)
    save(folder / "masks" / "0.png", mask)


def take(folder: Path, given: Given, model: str) -> None:
    """Copy a converted checkpoint into the results."""
    path = Path("results") / "models" / model
    shutil.copytree(converted(given.session, model) / path, folder / path)


def registered(folder: Path) -> None:
    done = run_verb("register", "--output", "results/registry/registry.json", "results", cwd=folder)
    assert done.returncode == 0, done.stderr


def take_no_reference(folder: Path, given: Given) -> None:
    """Copy a model that scores pictures without a reference into the results."""
    shutil.copytree(no_reference(given.session), folder / "results" / "models" / "small_nr")
    registered(folder)


def seeded_denoiser(path: Path) -> None:
    """Weights of the layout of FastDVDnet, which cannot be had."""
    import torch

    from pyvmaf.models.imported.fastdvdnet import Network

    torch.manual_seed(0)
    torch.save(Network().state_dict(), path)


def checks(folder: Path, _: Given) -> None:
    with_models(folder)


def with_models(folder: Path) -> None:
    """The models of the tutorials, and their table, under the names of several pages."""
    seeds = folder / "results" / "models" / "mine_tiny"
    for name in ("model.onnx", "model.json"):
        shutil.copy(seeds / "seed0" / name, folder / name)
    for name in ("static_qdq.onnx", "static_qdq.json"):
        shutil.copy(folder / "results/quantized/mine_tiny/seed0" / name, folder / name)
    write_linear(folder / "third_party.onnx", [1.0] * 6, op="Hardmax")
    shutil.copy(folder / "results/tables/default.parquet", folder / "results/tables/other.parquet")
    shutil.copy(folder / "results/tables/default.parquet", folder / "table.parquet")
    for seed in (0, 1):
        (folder / "nightly").mkdir(exist_ok=True)
        shutil.copy(seeds / f"seed{seed}" / "model.onnx", folder / "nightly" / f"{seed}.onnx")


def corpora(folder: Path, given: Given) -> None:
    cut(given.files["bigbuckbunny.mp4"], folder / "bigbuckbunny.mp4", "-c", "copy", "-frames:v", "32")
    for scene, crfs in (("street", (30, 45)), ("park", (40,))):
        pristine = shutil.copy(folder / "ref" / "bikes.mkv", folder / "videos" / f"{scene}.mkv")
        if scene == "park":
            pristine = shutil.copy(folder / "ref" / "film.mkv", folder / "videos" / f"{scene}.mkv")
        for crf in crfs:
            words = ("-c:v", "libx264", "-preset", "medium", "-crf", str(crf))
            cut(Path(pristine), folder / "videos" / f"{scene}_{crf}.mp4", *words)
    [listing] = [block.text for block in blocks(PAGES["docs/corpora.md"]) if block.language == "csv"]
    (folder / "videos" / "pairs.csv").write_text(listing)
    shutil.copy(folder / "videos" / "pairs.csv", folder / "pairs.csv")
    # Clips of datasets are encoded and measured. A model takes two sources, which the two corpora of pairs have.
    configure(folder, models=[], codecs=["libx264"])
    model = folder / "config" / "models" / "vmaf_tiny_v2.yaml"
    spec = yaml.safe_load(model.read_text())
    write_yaml(model, spec | {"gates": spec["gates"] | {"hard_negatives": None}, "quantised": []})
    konvid(folder)
    youtube_ugc(folder)
    bvi_dvc(folder)
    netflix(folder / "home" / "netflix", folder)
    cut(folder / "ref" / "film.mkv", folder / "home" / "LIVE-VQC" / "A001.mp4", *SHORT)


SHORT = ("-frames:v", "4", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "10")


_OPEN = ExitStack()
atexit.register(_OPEN.close)


@cache
def server() -> Server:
    """A server on this machine that serves the files of datasets as long as the process runs."""
    return _OPEN.enter_context(running_server())


def served(corpus: Path, host: str) -> str:
    """Let a corpus file have its files from this machine instead of a host; return the address."""
    text = corpus.read_text()
    assert host in text
    corpus.write_text(text.replace(host, server().url))
    return server().url


def konvid(folder: Path) -> None:
    """The archives of KoNViD-1k with one of its videos, where the corpus file says that they are fetched from."""
    served(folder / "config" / "corpora" / "konvid-1k.yaml", "https://datasets.vqa.mmsp-kn.de")
    video = cut(folder / "ref" / "bikes.mkv", folder / "konvid.mp4", *SHORT).read_bytes()
    of = {
        "KoNViD_1k_videos": {"KoNViD_1k_videos/10053703034.mp4": video},
        "KoNViD_1k_metadata": {"KoNViD_1k_metadata/KoNViD_1k_mos.csv": konvid_scores().encode()},
    }
    for name, members in of.items():
        server().serve(f"/archives/{name}.zip", zipped(members))


def konvid_scores() -> str:
    """The table of scores of KoNViD-1k with invented scores: 1,200 rows, as many as the dataset has."""
    scores = np.random.default_rng(0).normal(3.3, 0.6, 1200).clip(1, 5)
    rows = (f"{10053703034 + index},{score:.4f}" for index, score in enumerate(scores))
    return "\n".join(["flickr_id,mos", *rows]) + "\n"


def youtube_ugc(folder: Path) -> None:
    """The bucket of YouTube-UGC with thirty stems, of which a run takes two."""
    corpus = folder / "config" / "corpora" / "youtube-ugc.yaml"
    address = served(corpus, "https://storage.googleapis.com")
    assert "\nkind: pairs\n" in corpus.read_text()
    corpus.write_text(corpus.read_text().replace("\nkind: pairs\n", "\nkind: pairs\nmax_clips: 2\n"))
    uploads = [cut(folder / "ref" / f"{name}.mkv", folder / f"{name}.mp4", *SHORT) for name in ("bikes", "film")]
    vp9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "50", "-b:v", "0")
    encodes = [cut(path, path.with_suffix(".webm"), *vp9) for path in uploads]
    items, home = [], folder / "home" / "ugc"
    home.mkdir()
    for number in range(30):
        for version in ("orig.mp4", "cbr.webm", "vod.webm", "vodlb.webm"):
            # The stems with the fewest bytes come first.
            side = uploads if version == "orig.mp4" else encodes
            data = side[number % 2].read_bytes() + bytes(number)
            name = f"Animation_360P-{number:04x}_{version}"
            if number == 0:
                (home / name).write_bytes(data)
            server().serve(f"/ugc-dataset/vp9_compressed_videos/{name}", data)
            digest = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
            items.append({"name": f"vp9_compressed_videos/{name}", "size": str(len(data)), "md5Hash": digest})
    assert address
    server().serve("/storage/v1/b/ugc-dataset/o", json.dumps({"items": items}).encode())


def bvi_dvc(folder: Path) -> None:
    """The archive of BVI-DVC with a scene in its two smallest tiers."""
    ten_bits = (
        "-frames:v",
        "2",
        "-pix_fmt",
        "yuv420p10le",
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none",
    )
    members = {}
    for tier, size in (("C", "960x544"), ("D", "480x272")):
        name = f"{tier}BookcaseBVITexture_{size}_120fps_10bit_420.mp4"
        video = cut(folder / "ref" / "city.mkv", folder / name, "-vf", f"scale={size.replace('x', ':')}", *ten_bits)
        members[f"BVI-DVC/Videos/{name}"] = video.read_bytes()
    (folder / "home" / "BVI-DVC.zip").write_bytes(zipped(members))


def netflix(target: Path, folder: Path) -> None:
    """Two scenes of Netflix Public with two versions each, raw 1920x1080."""
    raw = ("-vf", "scale=1920:1080", "-frames:v", "2", "-pix_fmt", "yuv420p", "-f", "rawvideo")
    for scene, clip in (("Tennis_24fps", "bikes"), ("FoxBird_25fps", "film")):
        cut(folder / "ref" / f"{clip}.mkv", target / "ref" / f"{scene}.yuv", *raw)
        for rung, crf in (("20_288_375", 50), ("80_1080_3800", 20)):
            name = f"{scene.partition('_')[0]}_{rung}.yuv"
            cut(folder / "dis" / f"{clip}_{crf}.mkv", target / "dis" / name, *raw)


def cuda(folder: Path, given: Given) -> None:
    # Longer than the clip of the tutorials.
    for name, side in (("pristine", "reference"), ("distorted", "distorted")):
        shutil.copy(given.files[f"carphone_{name}.mp4"], folder / f"{side}.mkv")


def frames(folder: Path, given: Given) -> None:
    take(folder, given, "u2netp")
    registered(folder)
    cut(given.files["bikes_1.mkv"], folder / "clip.mkv", "-frames:v", "30", "-vf", "scale=640:-2", "-qp", "0")
    duts(folder / "DUTS-TR", 3, 96)
    rng = np.random.default_rng(0)
    for number in range(2):
        save(folder / "photos" / f"{number}.png", rng.integers(0, 255, (300, 600, 3), np.uint8))
    (folder / "scores.csv").write_text("key,mos\n0,3.5\n1,2\n")
    (folder / "images.csv").write_text("image\n0.png\n")


def readme(folder: Path, _: Given) -> None:
    netflix(folder / "home" / "nflx", folder)
    konvid(folder)
    (folder / "KoNViD_1k_mos.csv").write_text(konvid_scores())


def kernels(folder: Path, _: Given) -> None:
    shutil.copytree(REPOSITORY / "scripts", folder / "scripts")
    (folder / ".venv").symlink_to(sys.prefix)


def labels(folder: Path, _: Given) -> None:
    runs = folder / "runs"
    of = {"konvid": ("10053703034", "10053703035"), "chug": ("1000003", "1000004")}
    shutil.copytree(REPOSITORY / "config" / "labels", folder / "config" / "labels")
    (folder / "KoNViD_1k_mos.csv").write_text(konvid_scores())
    video = cut(folder / "ref" / "bikes.mkv", folder / "konvid.mp4", *SHORT).read_bytes()
    (folder / "KoNViD_1k_videos").mkdir()
    for index in range(1200):
        # Each file has bytes of its own, as real videos do.
        data = video + b"\0\0\0\x0cfree" + index.to_bytes(4, "big")
        (folder / "KoNViD_1k_videos" / f"{10053703034 + index}.mp4").write_bytes(data)
    live_vqc = {
        "video_list": np.array([[f"A{index:03}.mp4"] for index in range(585)], dtype=object),
        "mos": np.random.default_rng(0).uniform(20, 90, (585, 1)),
    }
    savemat(folder / "data.mat", live_vqc)
    for name, clips in of.items():
        columns = table_columns(frames=2, corpus=name, clips=clips, codecs=["libx264"])
        scores = [{"src": f"{clip}.mp4", "mos": 2.0 + number, "mos_scale": [1, 5]} for number, clip in enumerate(clips)]
        text = "".join(json.dumps(row) + "\n" for row in scores)
        for place in (folder, runs):
            write_table(
                place / f"{name}.parquet", columns, features=["adm2"], unavailable={}, model="vmaf_v0.6.1", engine={}
            )
            if place == runs:
                (place / f"{name}-1k.jsonl").write_text(text)
    pd.DataFrame({"clip": of["chug"], "saliency_mean": [0.1, 0.2]}).to_csv(runs / "saliency.csv", index=False)
    [listing] = [block.text for block in blocks(PAGES["docs/labels.md"]) if block.language == "json"]
    (folder / "joins.jsonl").write_text(listing)
    pd.DataFrame({"clip": of["konvid"], "score": [80, 40]}).to_csv(folder / "nr.csv", index=False)
    frames_of = {"clip": ["a", "a", "b", "b"], "frame_index": [0, 1, 0, 1]}
    pd.DataFrame({**frames_of, "vmaf": [90.0, 91, 50, 52]}).to_parquet(folder / "clips.parquet")
    maps = {"saliency_mean": [0.1] * 4, "saliency_var": [0.01] * 4}
    pd.DataFrame({**frames_of, **maps}).to_parquet(folder / "saliency.parquet")
    contents = [{"src": f"{clip}.mp4", "chug_content_name": clip, "chug_bitladder": "ref"} for clip in "ab"]
    (folder / "chug.jsonl").write_text("".join(json.dumps(row) + "\n" for row in contents))


def models(folder: Path, given: Given) -> None:
    _with_negatives(folder)
    take(folder, given, "efficientnet_lite0")
    spec = yaml.safe_load((REPOSITORY / "config" / "models" / "nr_metric_v2.yaml").read_text())
    few = {"crops": spec["crops"] | {"views": 1}, "split": spec["split"] | {"k": 2}}
    write_yaml(folder / "config" / "models" / "nr_metric_v2.yaml", spec | few)
    write_pictures(folder / "results" / "tables" / "pictures.parquet", sources=2, frames=1, size=(224, 232))
    take_no_reference(folder, given)
    rated_videos(folder)
    ensemble(folder)
    words = ("--root", "home/videos", "--name", "embedded", "--output", "config/corpora/embedded.yaml")
    for call in (("manifest-scan", *words), ("prepare", "--corpus", "embedded"), ("manifest", "--corpus", "embedded")):
        done = run_verb(*call, cwd=folder)
        assert done.returncode == 0, done.stderr
    shutil.copy(folder / "results/tables/default.parquet", folder / "another.parquet")
    with_models(folder)
    for name in ("new", "old"):
        shutil.copy(folder / "model.onnx", folder / f"{name}.onnx")
        shutil.copy(folder / "model.json", folder / f"{name}.json")


def rated_videos(folder: Path) -> None:
    """Thirty videos, and opinions that follow the model's score of each, up to a small error."""
    import pyvmaf

    scores = {}
    for source in ("testsrc2", "smptebars", "rgbtestsrc", "testsrc", "yuvtestsrc"):
        for crf in (20, 26, 32, 38, 44, 50):
            path = folder / "videos" / f"{source}_{crf}.mkv"
            make_video(path, "96x80", 1, "-pix_fmt", "yuv420p", "-preset", "ultrafast", "-crf", str(crf), source=source)
            scores[path.stem] = float(pyvmaf.score(None, path, model="small_nr")["small_nr"].mean())
    mean, deviation = np.mean([*scores.values()]), np.std([*scores.values()])
    lines = [
        f"{name},{3 + 0.5 * (score - mean) / deviation + 0.02 * (-1) ** index:.4f}"
        for index, (name, score) in enumerate(scores.items())
    ]
    (folder / "mos.csv").write_text("\n".join(["key,mos", *lines, ""]))
    shutil.copy(folder / "videos" / "testsrc2_32.mkv", folder / "video.mkv")


def ensemble(folder: Path) -> None:
    """The seeds of an ensemble, of few epochs."""
    gates = {"mean_plcc_min": 0, "per_seed_min": -1, "plcc_spread_max": 2, "hard_negatives": None}
    keys = {"kind": "fr", "target": {"table": "default"}, "epochs": 20, "gates": gates, "quantised": []}
    config = spec_file(
        folder / "config" / "models", "fr_regressor_v2_ensemble", **keys, ensemble={"coverage_tolerance": 0.5}
    )
    table, home = folder / "results" / "tables" / "default.parquet", folder / "runs" / "e"
    for seed in (0, 1):
        fit(config, table, home / f"seed{seed}", seed=seed)
    judge(config, [home / f"seed{seed}" / "loso.json" for seed in (0, 1)], home / "verdict.json")
    for seed in (0, 1):
        place = home / f"seed{seed}"
        export(config, place / "weights.safetensors", home / "verdict.json", table, place / "model.onnx")


def _with_negatives(folder: Path) -> None:
    """Let the model of the tutorials train on hard negatives, without limits that a model of four clips would miss."""
    path = folder / "config" / "models" / "mine_tiny.yaml"
    spec = yaml.safe_load(path.read_text())
    wide = {"black_max": 100, "swapped_max": 100, "teacher_error_max": 100, "range_margin": 200}
    spec |= {
        "rows": {"negatives": True},
        "seeds": [0, 1, 2],
        "epochs": 20,
        "gates": {**spec["gates"], "hard_negatives": wide},
    }
    path.write_text(yaml.safe_dump(spec))


def quantized(folder: Path, _: Given) -> None:
    shutil.copytree(folder / "results/models/mine_tiny/seed0", folder / "runs/tiny/seed0")
    with_models(folder)


def registry(folder: Path, _: Given) -> None:
    (folder / "model" / "tiny").mkdir(parents=True)
    shutil.copy(folder / "results/models/mine_tiny/seed0/model.onnx", folder / "model/tiny/x.onnx")


def score(folder: Path, _: Given) -> None:
    cut(folder / "reference.mkv", folder / "more" / "a.webm", "-c:v", "libvpx-vp9", "-crf", "40", "-b:v", "0")
    for version in ("x264", "x265"):
        for path in (folder / "encodes" / version).glob("*.mkv"):
            cut(path, path.with_suffix(".mp4"), "-c", "copy")
            path.unlink()


def studies(folder: Path, _: Given) -> None:
    path = folder / "config" / "models" / "mine_tiny.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"epochs": 5}))
    table = folder / "results" / "tables" / "default.parquet"
    rows = table_columns(frames=4, codecs=["libx264"])
    table.unlink()
    write_table(table, rows, features=FEATURES, unavailable={}, model="vmaf_v0.6.1", engine={})
    columns = table_columns(frames=4, codecs=["libx264"])
    columns["mos"] = [1 + value / 25 for value in columns["vmaf"]]
    columns["nr_metric_v1"] = [value - 3 * (index % 5) for index, value in enumerate(columns["vmaf"])]
    write_table(folder / "clips.parquet", columns, features=["adm2"], unavailable={}, model="vmaf_v0.6.1", engine={})


def suggest(folder: Path, given: Given) -> None:
    shutil.copytree(REPOSITORY / "config" / "labels", folder / "config" / "labels")
    take_no_reference(folder, given)
    (folder / "KoNViD_1k_mos.csv").write_text(konvid_scores())
    (folder / "chug.csv").write_text(chug_scores())
    for dataset, scores in (("konvid-1k", "KoNViD_1k_mos.csv"), ("chug", "chug.csv")):
        done = run_verb("labels", scores, "--dataset", dataset, "-o", f"{dataset}.jsonl")
        assert done.returncode == 0, done.stderr
    for source in ("testsrc2", "smptebars", "yuvtestsrc"):
        make_video(folder / "clips" / f"{source}.mkv", "96x80", 3, source=source)


def chug_scores() -> str:
    """The table of scores of CHUG with invented scores: 5,992 rows, as many as the dataset has."""
    rows = ["Video,mos_j,sos_j,ref,name,bitladder,resolution,bitrate,orientation,framerate,content_name,height,width"]
    for index, score in enumerate(np.random.default_rng(1).uniform(10, 90, 5992)):
        content = f"IMG_{index // 7:04}.mp4"
        rows.append(
            f"{index:032x},{score:.4f},9.5,0,360p_0.2M_#{content},360p_0.2M_,360p,0.2M,Landscape,30.0,{content},360,640"
        )
    return "\n".join([*rows, ""])


def tables(folder: Path, _: Given) -> None:
    fr_mos(folder)
    for name in ("four", "ugc"):
        columns = table_columns(frames=2, corpus=name, clips=(f"{name}_a", f"{name}_b"), codecs=["libx264"])
        write_table(
            folder / f"{name}.parquet", columns, features=["adm2"], unavailable={}, model="vmaf_v0.6.1", engine={}
        )


def fr_mos(folder: Path) -> None:
    """The example with logs of its form, and one of its models, of few epochs."""
    home = folder / "docs" / "examples" / "fr_mos"
    (home / "data").mkdir(parents=True)
    log = Log(home / "data")
    log.options["columns"]["group"] = "lab"
    corpus = yaml.safe_load(log.corpus_file().read_text()) | {"name": "fr_mos", "root": "data"}
    write_yaml(home / "fr_mos.yaml", corpus)
    config = yaml.safe_load((DOCS / "examples" / "fr_mos" / "config.yaml").read_text())
    write_yaml(home / "config.yaml", config | {"models": ["fr_mos_v1"]})
    model = folder / "config" / "models" / "fr_mos_v1.yaml"
    spec = yaml.safe_load(model.read_text())
    write_yaml(
        model, spec | {"epochs": 2, "seeds": [0], "quantised": [], "split": spec["split"] | {"beside": ["codec"]}}
    )


def workflow(folder: Path, _: Given) -> None:
    # The folder that a command of the page names lacks the reports only.
    for name in ("config", "home", "results", ".snakemake"):
        shutil.copytree(folder / name, folder.parent / "elsewhere" / name)
    shutil.rmtree(folder.parent / "elsewhere" / "results" / "reports")
    (folder / "mine.yaml").write_text("codecs: [libx264, libsvtav1]\nseeds: [0]\nquantized: []\n")


READY: dict[str, Callable[[Path, Given], None]] = {
    f"docs/{function.__name__}.md": function
    for function in (
        checkpoints,
        checks,
        corpora,
        cuda,
        frames,
        kernels,
        labels,
        models,
        quantized,
        registry,
        score,
        studies,
        suggest,
        tables,
        workflow,
    )
}
"""What a page needs beside the files of the tutorials."""
READY["README.md"] = readme
