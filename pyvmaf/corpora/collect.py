"""Collection of the prepared clips of a corpus in one file."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pyvmaf.base.document import Call, publish
from pyvmaf.base.files import relative, sha256_file
from pyvmaf.base.manifest import read_manifest
from pyvmaf.base.outputs import publishes
from pyvmaf.corpora.failure import failure_at
from pyvmaf.corpora.manifest import CorpusClip, CorpusManifest, VideoFacts
from pyvmaf.corpora.skipped import check_skipped
from pyvmaf.corpora.spec import VideoCorpus
from pyvmaf.errors import IntegrityError


@publishes("manifest")
def collect(corpus: VideoCorpus, folder: Path, output: Path) -> CorpusManifest:
    """Collect the clips of a corpus in one JSON file, with a manifest.

    Args:
        corpus: the corpus.
        folder: folder of its prepared clips, or the root of a corpus of pairs that exist.
        output: the file to write.

    Raises:
        MissingFileError: a clip or its manifest does not exist.
        IntegrityError: the SHA-256 of a clip differs from its manifest.
        InputError: more clips could not be prepared than may be skipped.
    """
    in_place = corpus.collected(folder)
    if in_place is None:
        paths = corpus.clip_paths(folder)
        failures = {key: failure for key, path in paths.items() if (failure := failure_at(path))}
        clips = {key: _clip(corpus, key, path) for key, path in paths.items() if key not in failures}
        check_skipped(
            [failure.as_dict() for failure in failures.values()],
            len(clips),
            corpus.skipped,
            f"corpus {corpus.name}",
            "clips",
        )
        failed = {key: failure.why for key, failure in failures.items()}
    else:
        paths, clips, failed = in_place
    used = [corpus.entry(key) for key in clips]
    call = Call("manifest", args={"corpus": corpus.name}, inputs={"clips": list(paths.values())}, uses=corpus.uses)
    document = CorpusManifest(
        name=corpus.name,
        license=corpus.license,
        description=corpus.description,
        sources=sorted({entry.source for entry in used}),
        mos_scale=None if corpus.mos_scale is None else list(corpus.mos_scale),
        groups=Counter(entry.group for entry in used),
        clips=clips,
        failed=failed or None,
    )
    return publish(document, output, call, role="manifest")


def _clip(corpus: VideoCorpus, key: str, path: Path) -> CorpusClip:
    entry = corpus.entry(key)
    manifest = read_manifest(path)
    sha256, recorded = sha256_file(path), manifest["outputs"]["clip"]["sha256"]
    if sha256 != recorded:
        raise IntegrityError(f"{path} has SHA-256 {sha256}, but its manifest says {recorded}: prepare it again")
    details = manifest["details"]
    return CorpusClip(
        path=relative(path),
        sha256=sha256,
        source=entry.source,
        group=entry.group,
        mos=entry.mos,
        mos_std=entry.mos_std,
        n_ratings=entry.n_ratings,
        source_path=entry.path,
        source_sha256=entry.sha256,
        source_frames=list(entry.frames) if entry.frames else None,
        crop=details["crop"],
        scale=details["scale"],
        own_bytes=details["own_bytes"],
        video=VideoFacts(**details["video"]),
    )
