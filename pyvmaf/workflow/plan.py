"""The plan of a configuration: the names from which the workflow's rules make their paths.

The Snakefile imports this module at every start, on a cluster twice per job. Therefore it imports only the standard
library, PyYAML and jsonschema, and looks everything up in dictionaries that are built once.
"""

from __future__ import annotations

import copy
import importlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from pyvmaf import corpora
from pyvmaf.base import families, layout
from pyvmaf.base.code import Uses, identity
from pyvmaf.base.files import content_hash, read_yaml
from pyvmaf.base.roots import is_movable, locate
from pyvmaf.base.table import row_hash
from pyvmaf.corpora import ladders
from pyvmaf.encodes import distortion
from pyvmaf.encodes.distortion import Distortion
from pyvmaf.engines import CUDA, engine_name
from pyvmaf.engines.measures import MEASURES
from pyvmaf.engines.measures import identity as measured
from pyvmaf.engines.numbers import OWN_NUMBERS
from pyvmaf.errors import InputError, unknown_name
from pyvmaf.features.catalog import FEATURES, select
from pyvmaf.models.imported import architectures

_T = TypeVar("_T")

MADE_OF = "made of "
"""Prefix of the parameters that `made_of` returns."""

IMPORTED = "imported"
"""Name of the one shard of a corpus whose tables were made elsewhere."""


@dataclass(frozen=True)
class Corpus:
    """One corpus file.

    Attributes:
        name: name of the corpus.
        path: path of the file.
        spec: its content, with defaults.
        clips: its entries by key, of pairs those that are used; empty if it does not hold videos.
    """

    name: str
    path: str
    spec: Mapping[str, Any]
    clips: Mapping[str, Mapping[str, Any]]

    @property
    def kind(self) -> corpora.Kind:
        """The row of its kind."""
        return corpora.kind(self.spec["kind"])

    @property
    def fetched(self) -> bool:
        """Whether its files have to be fetched."""
        return self.kind.fetched

    @property
    def movable(self) -> bool:
        """Whether its files are found by a variable: no rule has them as inputs, so that moving them replans nothing."""
        return is_movable(self.spec.get("root", ""))

    @property
    def imported(self) -> bool:
        """Whether it gives rows of other programs, and not clips."""
        return self.kind.gives == corpora.ROWS

    @property
    def paired(self) -> bool:
        """Whether it gives pairs that exist, for which no encode is made."""
        return self.kind.gives == corpora.PAIRS

    @property
    def uses(self) -> Uses:
        """What a verb that reads it uses in addition to its imports."""
        return self.kind.uses

    @cached_property
    def pairs(self) -> dict[str, dict[str, dict[str, Mapping[str, Any]]]]:
        """The distorted versions that exist, by clip, codec and rung."""
        return {clip: ladders.ladders(entry) for clip, entry in self.clips.items()} if self.paired else {}

    @property
    def distorted(self) -> Iterator[str]:
        """The files of all distorted versions that exist."""
        for codecs in self.pairs.values():
            for rungs in codecs.values():
                yield from (self.located(pair["path"]) for pair in rungs.values())

    def pair_files(self, clip: str, codec: str) -> list[str]:
        """Return the files of the distorted versions of a clip by one codec.

        Raises:
            InputError: the clip has none by this codec.
        """
        rungs = _get(f"ladder of clip {clip} of {self.name}", codec, self.pairs[clip])
        return self.inputs([self.located(pair["path"]) for pair in rungs.values()])

    def inputs(self, files: list[str]) -> list[str]:
        """Return which files of the user's are inputs of rules.

        Those in the movable folder of datasets are not, and where files that cannot be measured are skipped, neither are
        those that are missing.
        """
        if self.movable:
            return []
        return [file for file in files if os.path.isfile(file)] if self.skips else files

    @property
    def skips(self) -> bool:
        """Whether files that cannot be measured are skipped."""
        return self.spec.get("on_error") == "skip"

    @property
    def skipped(self) -> float:
        """The largest share of a shard's encodes or pairs that may be skipped: 0 unless the corpus file says that they are."""
        return float(self.spec["max_failed_share"]) if self.skips else 0.0

    def pairs_made_from(self, clip: str, codec: str) -> dict[str, Any]:
        """Return the keys that decide the features of the pairs of a clip by one codec."""
        return dict(set_keys(ladders.made_from(self.spec, self.clips[clip], codec)))

    @property
    def files(self) -> list[str]:
        """Its files if it gives rows; a relative root starts from the corpus file."""
        return [self.located(path) for path in sorted(_pinned(self.spec))] if self.imported else []

    @property
    def pinned(self) -> dict[str, Any]:
        """The packages to fetch, and the hash of each of its files."""
        return {"packages": self.spec.get("packages", []), "files": _pinned(self.spec)}

    def made_from(self, clip: str) -> dict[str, Any]:
        """Return the keys of a clip that decide its pictures: all but its labels."""
        entry = self.clips[clip]
        return dict(set_keys({key: entry[key] for key in sorted(entry) if key not in corpora.CLIP_LABELS}))

    def reference_made_from(self, clip: str) -> dict[str, Any]:
        """Return the keys that decide the pictures of the reference of pairs."""
        return {key: value for key, value in self.made_from(clip).items() if key != "pairs"}

    def opinions(self, codec: str) -> dict[str, Any]:
        """Return the opinion scores of the rows of a codec, with their scale; empty if there are none."""
        return self._ratings.parameter(codec)

    @cached_property
    def _ratings(self) -> corpora.Ratings:
        return corpora.Ratings.of(self.spec)

    @property
    def rated(self) -> set[str]:
        """The columns of opinion scores that its file gives."""
        return {name for rating in self._ratings.encodes.values() for name in rating}

    @property
    def scale(self) -> tuple[float, float] | None:
        """The scale of these scores."""
        return self._ratings.scale

    @cached_property
    def reads(self) -> dict[str, Any]:
        """The keys of the whole file, but for those that say where a dataset comes from, and for the pairs that exist."""
        spec = {key: value for key, value in self.spec.items() if key != "dataset"}
        if self.paired:
            keys = ("name", "license", "description", "on_error", "max_clips", "mos_scale", "convert")
            spec = {key: spec.get(key) for key in keys}
            spec["entries"] = [{k: v for k, v in entry.items() if k != "pairs"} for entry in self.clips.values()]
        elif not self.skips:
            spec = {key: value for key, value in spec.items() if key not in ("on_error", "max_failed_share")}
        return dict(set_keys(spec))

    def source(self, clip: str) -> str:
        """Return the video file of a clip that is not fetched; a relative root starts from the corpus file."""
        return self.located(self.clips[clip]["path"])

    def located(self, path: str) -> str:
        """Return where a file of the corpus lies; a relative root starts from the corpus file."""
        return os.path.normpath(os.path.join(self._home, path))

    @cached_property
    def _home(self) -> str:
        return str(locate(self.spec["root"], os.path.dirname(self.path)))


@dataclass(frozen=True)
class LabelFile:
    """One label file of the configuration.

    Attributes:
        path: of the dataset's spec.
        spec: its content.
        keys: the configuration's keys.
    """

    path: str
    spec: Mapping[str, Any]
    keys: Mapping[str, Any]

    @property
    def file(self) -> str:
        """The label file."""
        return str(self.keys["file"])

    @property
    def reads(self) -> dict[str, Any]:
        """The keys of the spec."""
        return dict(set_keys(self.spec))

    @property
    def options(self) -> list[str]:
        """Options of the verb ``labels``."""
        if self.keys["videos"] is None:
            return []
        return ["--videos", str(self.keys["videos"]), "--max-missing-share", f"{self.keys['max_missing_share']:g}"]


@dataclass(frozen=True)
class Model:
    """One model file.

    Attributes:
        name: of the model.
        path: where the file lies.
        spec: its content, with defaults.
        reads: the keys that each step reads, as the spec class of the family says (`pyvmaf.models.spec`).
    """

    name: str
    path: str
    spec: Mapping[str, Any]
    reads: Mapping[str, Sequence[str]]

    @property
    def kind(self) -> str:
        """Its family."""
        return str(self.spec["kind"])

    @property
    def gpus(self) -> int:
        """How many CUDA devices its training takes: 1 or 0."""
        return int(self.spec.get("device") == "cuda")

    def code(self, verb: str) -> str:
        """The identity of a verb's code for this model: the verb's, and the parts of the family that it loads."""
        own = hasattr(self._family, "uses")
        return identity(verb, self._family.uses(verb, self.spec) if own else families.uses(verb, self.kind))

    def part(self, step: str) -> dict[str, Any]:
        """The keys that a step reads of the file: a change of another key does not concern the step."""
        # A key that is written only where it is used has no default to fill in.
        keys = dict(set_keys({key: self.spec[key] for key in self.reads[step] if key in self.spec}))
        return keys if step == "ensemble" else keys | self._rows

    @cached_property
    def _rows(self) -> dict[str, Any]:
        """The rows of tables that the inputs name."""
        return dict(self._family.rows(self.spec)) if self._family else {}

    @cached_property
    def _family(self) -> Any:
        """The family's part ``plan``; None if it has none."""
        name = families.module(self.kind, "plan")
        return importlib.import_module(name) if name.endswith(".plan") else None

    def variant(self, mode: str) -> dict[str, Any]:
        """The keys that are read for one int8 variant: of the other variants none."""
        own = [entry for entry in self.spec["quantised"] if entry["mode"] == mode]
        return {**self.part("quantize"), "quantised": set_keys(own)}

    @property
    def trained_on_negatives(self) -> bool:
        """Whether fit reads the table of hard negatives."""
        return bool(hasattr(self._family, "trained_on_negatives") and self._family.trained_on_negatives(self.spec))

    @property
    def judged_on_negatives(self) -> bool:
        """Whether judge reads the table of hard negatives."""
        return bool(self._family and self._family.judged_on_negatives(self.spec))

    @property
    def backbone(self) -> str | None:
        """The published checkpoint that fit reads; None for none."""
        return self._family.backbone(self.spec) if hasattr(self._family, "backbone") else None

    @property
    def measured(self) -> list[str]:
        """The features of frames that its inputs are made from."""
        return list(self._family.features(self.spec)) if self._family else []

    @property
    def columns(self) -> list[str]:
        """The columns of its table that its inputs and its target are; empty if its family does not say."""
        return list(self._family.columns(self.spec)) if hasattr(self._family, "columns") else []

    def refused_encoder(self, encoders: Sequence[str | None]) -> str | None:
        """Say why rows of these encoders, None for no encoder, cannot be trained on; None if they can."""
        refused: str | None = None
        if hasattr(self._family, "refused_encoder"):
            refused = self._family.refused_encoder(self.spec, encoders)
        return refused

    @property
    def table(self) -> str:
        """Name of the table that it is trained on."""
        return str(self.spec["target"]["table"])


@dataclass(frozen=True)
class PublishedCheckpoint:
    """One model file of a published checkpoint.

    Attributes:
        name: of the model.
        path: where the file lies.
        spec: its content, with defaults.
        reads: the keys that each step reads.
    """

    name: str
    path: str
    spec: Mapping[str, Any]
    reads: Mapping[str, Sequence[str]]

    def code(self, verb: str) -> str:
        """The identity of a verb's code for it: the verb's, that of the family, and that of its network."""
        used = architectures.uses(self.spec["architecture"]) if verb == "convert" else families.uses(verb, "imported")
        return identity(verb, used)

    def part(self, step: str) -> dict[str, Any]:
        """The keys that a step reads of the file."""
        return dict(set_keys({key: self.spec[key] for key in self.reads[step] if key in self.spec}))


class Plan:
    """A configuration together with the corpus and model files that it names.

    Args:
        config: the configuration, validated, with its defaults filled in.
        bundled: the workflow's ``config`` folder, which is searched last for corpora and models.
        schemas: the folder of the generated schemas.

    Raises:
        InputError: a name is unknown, or a file has a key or value that is not allowed.
    """

    def __init__(self, config: Mapping[str, Any], bundled: Path, schemas: Path) -> None:
        self._config = config
        self._bundled = bundled
        self._schemas = schemas
        self.codecs: dict[str, dict[str, Distortion]] = {
            name: self._rungs(name) for name in _distinct(config, "codecs")
        }
        self.corpora: dict[str, Corpus] = {name: self._corpus(name) for name in _distinct(config, "corpora")}
        self._check_backends()
        self.models: dict[str, Model] = {name: self._model(name) for name in _distinct(config, "models")}
        self.checkpoints: dict[str, PublishedCheckpoint] = {
            name: self._checkpoint(name) for name in _distinct(config, "checkpoints")
        }
        for model in self.models.values():
            if model.backbone not in (None, *self.checkpoints):
                raise InputError(
                    f"model {model.name} is trained on {model.backbone}, which is not converted: add it to `checkpoints` of the "
                    "configuration"
                )
        for dataset in config["labels"]:
            self.labels(dataset)
        for table in self.tables:
            self.table_datasets(table)
            self._check_engines(table)
        for table in self.picture_tables:
            self.pictures(self.table_pictures(table))
            for name in self.table_images(table):
                self.images(name)
        measured = select(config["features"]).names
        for model in self.models.values():
            shards = self.table(model.table)
            if all(self.corpora[corpus].imported for corpus, _ in shards):
                continue  # the columns of imported tables are known when they are read
            if missing := [feature for feature in model.measured if feature not in measured]:
                raise InputError(
                    f"model {model.name} needs {', '.join(missing)}, which `features: {config['features']}` of the "
                    "configuration does not measure: add them there"
                )

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration with its defaults."""
        return self._config

    def backend(self, corpus: str) -> str:
        """Return the engine that measures a corpus, as the configuration calls it."""
        return str(self._config["backends"].get(corpus, self._config["backend"]))

    @cached_property
    def backends(self) -> dict[str, str]:
        """The engine of every corpus that holds videos."""
        return {corpus: self.backend(corpus) for corpus in self.videos}

    @property
    def needs_gpu(self) -> bool:
        """Whether any corpus is measured on a CUDA device."""
        return any(engine_name(backend) in CUDA for backend in (*self.backends.values(), self._config["backend"]))

    def gpus(self, backend: str) -> int:
        """Return how many CUDA devices a job that measures with a backend takes: 1 or 0."""
        return int(engine_name(backend) in CUDA)

    def mixed_options(self, table: str) -> list[str]:
        """Return the option of ``combine`` that allows rows of engines of other numbers, if the table has it."""
        return ["--mixed-engines"] if self._config["tables"][table]["mixed_engines"] else []

    def _check_backends(self) -> None:
        """Refuse backends that this build does not have.

        Raises:
            InputError: no backend has such a name, or the run does not use a corpus that is given one.
            UnavailableError: the build lacks it.
        """
        for name in self._config["backends"]:
            _get("corpus in `backends`", name, self.corpora)
        for backend in (self._config["backend"], *self._config["backends"].values()):
            engine_name(backend)

    def _check_engines(self, table: str) -> None:
        """Refuse a table of rows that engines of other numbers measure, unless its configuration allows it.

        Raises:
            InputError: it does not.
        """
        measured = {corpus: self.backend(corpus) for corpus, _ in self.table(table) if corpus in self.videos}
        kinds = {backend if engine_name(backend) in OWN_NUMBERS else "" for backend in measured.values()}
        if len(kinds) > 1 and not self._config["tables"][table]["mixed_engines"]:
            described = ", ".join(f"{corpus} with {backend}" for corpus, backend in measured.items())
            raise InputError(
                f"the rows of table {table!r} would be measured by engines whose numbers differ: {described}: measure all with "
                f"one backend, or allow it with tables: {{{table}: {{mixed_engines: true}}}}"
            )

    # -- names ------------------------------------------------------------------------------------

    @cached_property
    def tables(self) -> list[str]:
        """Tables that some model is trained on."""
        return sorted({model.table for model in self.models.values()})

    def clips(self) -> list[tuple[str, str]]:
        """Return every (corpus, clip) of the corpora that hold videos."""
        return [(name, clip) for name, corpus in self.corpora.items() for clip in corpus.clips]

    def ladders(self, corpus: str, clip: str) -> list[str]:
        """Return the codecs of which a clip has distorted versions.

        Raises:
            InputError: the corpus does not have the clip.
        """
        return list(self._ladders(corpus, clip))

    def ladders_of(self, corpus: str) -> list[str]:
        """Return the codecs of which some clip of a corpus has distorted versions."""
        owner = self.corpus(corpus)
        if not owner.paired:
            return list(self._made_of(corpus))
        return list(dict.fromkeys(codec for found in owner.pairs.values() for codec in found))

    def rungs(self, codec: str) -> list[str]:
        """Return the names of the rungs that a codec of the configuration makes of every clip."""
        return list(self._ladder(codec))

    def clips_to_encode(self, corpus: str) -> list[str]:
        """Return the clips of a corpus that are prepared and encoded; none of a corpus of pairs that exist."""
        owner = self.corpus(corpus)
        return [] if owner.paired else list(owner.clips)

    def clips_with(self, corpus: str, codec: str) -> list[str]:
        """Return the clips of a corpus that have a ladder of a codec."""
        owner = self.corpus(corpus)
        if owner.paired:
            return [clip for clip in owner.clips if codec in owner.pairs[clip]]
        return list(owner.clips) if codec in self._made_of(corpus) else []

    def rung(self, codec: str, name: str) -> Distortion:
        """Return one rung of a ladder.

        Raises:
            InputError: the configuration has no such ladder or rung.
        """
        ladder = self._ladder(codec)
        if name not in ladder:
            raise unknown_name(f"rung of {codec}", name, ladder)
        return ladder[name]

    def distortion(self, codec: str) -> Uses:
        """Return what the verb ``encode`` uses to make a ladder.

        Raises:
            InputError: the configuration has no such ladder.
        """
        return distortion.uses(_get("ladder", codec, self._config["ladders"])["distortion"])

    def corpus(self, name: str) -> Corpus:
        """Return one corpus of the configuration.

        Raises:
            InputError: the configuration does not name the corpus.
        """
        return _get("corpus", name, self.corpora)

    def entry(self, corpus: str, clip: str) -> Mapping[str, Any]:
        """Return one clip's entry of a corpus file.

        Raises:
            InputError: the corpus does not have the clip.
        """
        return _get(f"clip of {corpus}", clip, self.corpus(corpus).clips)

    def model(self, name: str) -> Model:
        """Return one model of the configuration.

        Raises:
            InputError: the configuration does not name the model.
        """
        return _get("model", name, self.models)

    def checkpoint(self, name: str) -> PublishedCheckpoint:
        """Return one published checkpoint of the configuration.

        Raises:
            InputError: the configuration does not name it.
        """
        return _get("checkpoint", name, self.checkpoints)

    def seeds(self, model: str) -> list[int]:
        """Return the seeds that a model is trained with."""
        seeds = self._config["seeds"]
        return list(self.model(model).spec["seeds"] if seeds is None else dict.fromkeys(seeds))

    @property
    def ensembles(self) -> list[str]:
        """Models whose seeds also become an ensemble, which needs at least two."""
        return [name for name, model in self.models.items() if model.spec["ensemble"] and len(self.seeds(name)) > 1]

    def modes(self, model: str) -> list[str]:
        """Return the int8 variants of a model that its file names and the configuration does not leave out."""
        modes = [variant["mode"] for variant in self.model(model).spec["quantised"]]
        allowed = self._config["quantized"]
        return modes if allowed is None else [mode for mode in modes if mode in allowed]

    def table(self, name: str) -> list[tuple[str, str]]:
        """Return the (corpus, codec) pairs whose shards make up a table; an imported corpus has one, `IMPORTED`.

        Raises:
            InputError: the configuration does not have the table, the run does not use a corpus or codec that the table
                names, or the table has no corpora.
        """
        table = _get("table", name, self._config["tables"])
        if table["corpora"] == [] and table["images"]:
            return []
        # Imported rows are in a table only if it names their corpus.
        names = [*self.videos] if table["corpora"] is None else table["corpora"]
        for corpus in names:
            _get(f"corpus of table {name!r} (or not in `corpora`)", corpus, self.corpora)
        for codec in table["codecs"] or ():
            _get(f"codec of table {name!r} (or not in `codecs`)", codec, self.all_codecs)
        if not names:
            raise InputError(
                f"table {name!r} has no corpora: the run uses {', '.join(self.corpora)} only, whose tables were imported, "
                f"and a table has to name those. Write tables: {{{name}: {{corpora: [{next(iter(self.corpora))}]}}}}"
            )
        shards = [(corpus, codec) for corpus in names for codec in self._shards(corpus, table["codecs"])]
        if missing := [corpus for corpus in names if corpus not in dict(shards)]:
            wanted = ", ".join(self.codecs if table["codecs"] is None else table["codecs"])
            raise InputError(
                f"table {name!r} has no rows of {', '.join(missing)}, of which there are no ladders {wanted}: change `corpora` "
                "or `codecs` of the table, or `corpora` of the ladders"
            )
        return shards

    def mos_options(self, table: str) -> list[str]:
        """Return the options of ``combine`` that map a table's opinion scores; none if they stay as they are."""
        keys = _get("table", table, self._config["tables"])
        if keys["mos_scale"] is None:
            return []
        low, high = keys["mos_scale"]
        maps = [word for label, name in keys["mos_maps"].items() for word in ("--mos-map", f"{label}={name}")]
        return ["--mos-scale", f"{low:g},{high:g}", *maps]

    @cached_property
    def datasets(self) -> list[str]:
        """Datasets whose label files the configuration names."""
        return list(self._config["labels"])

    def labels(self, dataset: str) -> LabelFile:
        """Return one label file of the configuration.

        Raises:
            InputError: the configuration does not name it, or there is no spec of its dataset.
        """
        keys = _get("dataset of `labels`", dataset, self._config["labels"])
        name = keys["dataset"] or dataset
        folders = [Path("config") / "labels", self._bundled / "labels"]
        found = next((path for folder in folders if (path := folder / f"{name}.yaml").is_file()), None)
        if found is None:
            names = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
            raise unknown_name(f"dataset of `labels.{dataset}` (no {name}.yaml in config/labels)", name, names)
        return LabelFile(_from_here(found), read_yaml(found), keys)

    def table_datasets(self, table: str) -> list[str]:
        """Return the datasets whose labels rate the rows of a table; none if it gets no labels.

        Raises:
            InputError: the configuration does not name one.
        """
        keys = _get("table", table, self._config["tables"])["labels"]
        names = [] if keys is None else list(keys["datasets"])
        for name in names:
            if name != layout.AGGREGATED:
                _get(f"dataset of table {table!r} (or not in `labels`)", name, self._config["labels"])
            elif not self.datasets:
                raise InputError(
                    f"table {table!r} has the labels of all datasets, but `labels` names none: add their files"
                )
        return names

    def label_options(self, table: str, files: Sequence[str]) -> list[str]:
        """Return the options of ``combine`` that rate the rows of a table by labels.

        Args:
            table: its name.
            files: the labels' files.
        """
        keys = _get("table", table, self._config["tables"])["labels"]
        if keys is None:
            return []
        words = [word for file in files for word in ("--labels", str(file))]
        words += [word for corpus in keys["corpora"] or () for word in ("--label-corpus", corpus)]
        words += ["--feature-key", keys["feature_key"], "--label-key", keys["label_key"]]
        for option in ("feature_key_regex", "label_key_regex"):
            if keys[option] is not None:
                words += [f"--{option.replace('_', '-')}", keys[option]]
        return words

    def unit(self, table: str) -> str:
        """Return what a row of a table is: "frame", "clip" or "picture"."""
        keys = _get("table", table, self._config["tables"])
        return str(keys["unit"]) if keys["pictures"] is None else "picture"

    @cached_property
    def picture_tables(self) -> list[str]:
        """Tables of the configuration whose rows are pictures."""
        return [name for name, keys in self._config["tables"].items() if keys["pictures"] is not None]

    def pictures(self, name: str) -> dict[str, Any]:
        """Return the keys of pictures that are set.

        Raises:
            InputError: the configuration does not have such pictures.
        """
        return dict(set_keys(_get("pictures", name, self._config["pictures"])))

    def picture_options(self, name: str) -> list[str]:
        """Return the options of ``extract-frames`` that say which pictures are taken."""
        words: list[str] = []
        for key, value in self.pictures(name).items():
            text = ",".join(map(str, value)) if isinstance(value, list) else f"{value}"
            words += [f"--{key.replace('_', '-')}", text]
        return words

    def images(self, name: str) -> dict[str, Any]:
        """Return the keys of a folder or list of images that are set.

        Raises:
            InputError: the configuration does not name it.
        """
        return dict(set_keys(_get("images", name, self._config["images"])))

    def image_options(self, pictures: str, name: str) -> list[str]:
        """Return the options of ``extract-frames`` for images: those of the pictures that do not concern frames."""
        keys = self.images(name)
        options = self.picture_options(pictures)
        words = [
            word
            for option, value in zip(options[::2], options[1::2], strict=True)
            if option not in ("--every", "--count", "--per-second", "--frames")
            for word in (option, value)
        ]
        for key in ("root", "masks", "mos"):
            words += [f"--{key}", str(keys[key])] if key in keys else []
        if "mos_scale" in keys:
            words += ["--mos-scale", ",".join(f"{end:g}" for end in keys["mos_scale"])]
        return words

    def picture_ladders(self, table: str) -> list[tuple[str, str, str]]:
        """Return corpus, clip and codec of the files of pictures of a table; the codec of pristine ones is `REFERENCE`.

        Raises:
            InputError: a corpus holds no videos.
        """
        found: dict[tuple[str, str, str], None] = {}
        for corpus, codec in self.table(table):
            if self.corpora[corpus].imported:
                raise InputError(f"table {table!r} is of pictures, but corpus {corpus} holds tables of other programs")
            for clip in self.clips_with(corpus, codec):
                found |= {(corpus, clip, layout.REFERENCE): None, (corpus, clip, codec): None}
        return list(found)

    def table_pictures(self, table: str) -> str:
        """Return the name of the pictures of a table."""
        return str(_get("table", table, self._config["tables"])["pictures"])

    def table_images(self, table: str) -> list[str]:
        """Return the names of the images of a table."""
        return list(_get("table", table, self._config["tables"])["images"])

    @cached_property
    def videos(self) -> list[str]:
        """Corpora that hold videos."""
        return [name for name, corpus in self.corpora.items() if not corpus.imported]

    @cached_property
    def encoded(self) -> list[str]:
        """Corpora whose clips are encoded."""
        return [name for name in self.videos if not self.corpora[name].paired]

    @cached_property
    def paired(self) -> list[str]:
        """Corpora of pairs that exist."""
        return [name for name in self.videos if self.corpora[name].paired]

    @cached_property
    def imported(self) -> list[str]:
        """Corpora that hold tables of other programs."""
        return [name for name, corpus in self.corpora.items() if corpus.imported]

    @cached_property
    def features(self) -> str:
        """The features to measure, as text for the command line."""
        value = self._config["features"]
        return value if isinstance(value, str) else ",".join(value)

    @cached_property
    def feature_rows(self) -> dict[str, str]:
        """Hash of the catalog's row of each feature that is measured, by name, in catalog order; of own measures their version, too."""
        rows = {name: FEATURES[name] for name in select(self._config["features"]).names}
        own = {name: row.request.extractor for name, row in rows.items() if row.request.extractor in MEASURES}
        return {name: row_hash(row) + (f" {measured(own[name])}" if name in own else "") for name, row in rows.items()}

    # -- reading ----------------------------------------------------------------------------------

    def _ladder(self, codec: str) -> dict[str, Distortion]:
        return _get("codec", codec, self.codecs)

    def _ladders(self, corpus: str, clip: str) -> Mapping[str, Mapping[str, Any]]:
        self.entry(corpus, clip)
        owner = self.corpora[corpus]
        return owner.pairs[clip] if owner.paired else self._made_of(corpus)

    def _made_of(self, corpus: str) -> Mapping[str, Mapping[str, Distortion]]:
        """The ladders of the configuration that are made of the clips of a corpus."""
        return self._made_of_each[corpus]

    @cached_property
    def _made_of_each(self) -> dict[str, dict[str, dict[str, Distortion]]]:
        wanted = {codec: self._config["ladders"][codec]["corpora"] or self.encoded for codec in self.codecs}
        for codec, named in wanted.items():
            for corpus in named:
                _get(f"corpus of ladder {codec!r} (or not encoded by this run)", corpus, dict.fromkeys(self.encoded))
        return {
            corpus: {codec: rungs for codec, rungs in self.codecs.items() if corpus in wanted[codec]}
            for corpus in self.encoded
        }

    def _shards(self, corpus: str, codecs: Sequence[str] | None) -> Sequence[str]:
        """The shards of a corpus by codec, those of `codecs` only if it is given."""
        if self.corpora[corpus].imported:
            return (IMPORTED,)
        own = self.ladders_of(corpus)
        return own if codecs is None else [codec for codec in codecs if codec in own]

    @cached_property
    def all_codecs(self) -> dict[str, None]:
        """Codecs of the configuration, and of pairs that exist."""
        return dict.fromkeys([*self.codecs, *(codec for corpus in self.paired for codec in self.ladders_of(corpus))])

    def _rungs(self, name: str) -> dict[str, Distortion]:
        keys = _get("ladder", name, self._config["ladders"])
        where = f"ladder {name!r} of the configuration"
        try:
            module = distortion.kind(keys["distortion"])
        except InputError as err:
            raise InputError(f"{where}: {err}") from err
        if name in (IMPORTED, layout.REFERENCE):
            what = "the shards of imported tables" if name == IMPORTED else "the pictures of pristine clips"
            raise InputError(f"{where} is called as {what} are: choose another name")
        rungs: dict[str, Distortion] = {}
        for rung in module.ladder(name, keys):
            if not re.fullmatch(layout.WILDCARDS["rung"], rung.name):
                raise InputError(
                    f"{where} has the rung {rung.name!r}, which cannot name a file: choose other strengths"
                )
            if rungs.setdefault(rung.name, rung) != rung:
                raise InputError(f"{where} has two rungs that are both called {rung.name!r}: choose other strengths")
        return rungs

    def _corpus(self, name: str) -> Corpus:
        path, spec = self._read("corpus", "corpora", name)
        if spec["name"] != name:
            raise InputError(f"{path}: name is {spec['name']!r}, but the file is {name}.yaml: they have to be the same")
        clips: dict[str, Mapping[str, Any]] = {}
        for entry in ladders.taken(spec):
            if entry["key"] in clips:
                raise InputError(f"{path}: two entries have the key {entry['key']!r}")
            clips[entry["key"]] = entry
        corpus = Corpus(name, path, spec, clips)
        for clip, codecs in corpus.pairs.items():
            if layout.REFERENCE in codecs:
                raise InputError(
                    f"{path}: a pair of {clip} has the codec {layout.REFERENCE!r}, as the pictures of pristine clips are called: "
                    "choose another name"
                )
        if not corpus.imported and not clips:
            raise InputError(corpora.not_scanned(path, spec))
        if not corpus.fetched:
            for file in (*corpus.files, *map(corpus.source, clips), *corpus.distorted):
                if "{" in file and re.search(r"\{\s*\w", file):
                    raise InputError(
                        f"{path}: the file {file!r} has {{…}} in its name, which a rule takes for a wildcard: rename it"
                    )
        return corpus

    def _model(self, name: str) -> Model:
        path, spec = self._read("model", "models", name)
        if spec["name"] != name:
            raise InputError(f"{path}: name is {spec['name']!r}, but the file is {name}.yaml: they have to be the same")
        if spec["kind"] in families.CONVERTED:
            raise InputError(f"{path} is not trained, but converted: name it in `checkpoints`, not in `models`")
        return Model(name, path, spec, branch(self._schema("model"), spec)["reads"])

    def _checkpoint(self, name: str) -> PublishedCheckpoint:
        path, spec = self._read("model", "models", name)
        if spec["name"] != name:
            raise InputError(f"{path}: name is {spec['name']!r}, but the file is {name}.yaml: they have to be the same")
        if spec["kind"] not in families.CONVERTED:
            raise InputError(f"{path} is trained, not converted: name it in `models`, not in `checkpoints`")
        if spec["checkpoint"]["package"] is None:
            raise InputError(
                f"{path} names no package that holds the checkpoint, so that no rule can fetch it: convert it by hand "
                "(vmaf-train convert --weights FILE), and leave it out of `checkpoints`"
            )
        architectures.check_known(spec["architecture"])
        return PublishedCheckpoint(name, path, spec, branch(self._schema("model"), spec)["reads"])

    def _read(self, kind: str, folder: str, name: str) -> tuple[str, dict[str, Any]]:
        # The working folder comes first, so that a run elsewhere can bring its own files.
        own = self._config[f"{folder}_folder"]
        folders = [Path(own), self._bundled / folder]
        for parent in folders:
            path = parent / f"{name}.yaml"
            if path.is_file():
                spec = read_yaml(path)
                schema = self._schema(kind)
                return _from_here(path), conform(spec, schema, _from_here(path))
        names = sorted({path.stem for parent in folders for path in parent.glob("*.yaml")})
        raise unknown_name(f"{kind} (no {name}.yaml in {own} or in the workflow's config/{folder})", name, names)

    def _schema(self, kind: str) -> dict[str, Any]:
        return read_schema(self._schemas / f"{kind}.schema.yaml")


def read_schema(path: Path) -> dict[str, Any]:
    """Read a generated schema, once per process: to read thousands of lines takes longer than to plan a hundred jobs."""
    return _schema_of(os.path.realpath(path))


@cache
def _schema_of(path: str) -> dict[str, Any]:
    return read_yaml(path)


def _pinned(spec: Any) -> dict[str, str]:
    """Return the files that a corpus file names, at any depth, with their hashes."""
    if isinstance(spec, list):
        return {path: sha256 for item in spec for path, sha256 in _pinned(item).items()}
    if not isinstance(spec, Mapping):
        return {}
    own = {spec["path"]: spec["sha256"]} if "path" in spec and "sha256" in spec else {}
    return own | {path: sha256 for item in spec.values() for path, sha256 in _pinned(item).items()}


def set_keys(value: Any) -> Any:
    """Return a YAML value without the keys that are null, false or empty.

    Rules carry the keys that they read. A key that is added later and not set is then no reason to run a job again.
    """
    if isinstance(value, Mapping):
        kept = {key: set_keys(inner) for key, inner in value.items()}
        return {
            key: inner
            for key, inner in kept.items()
            if inner is not None and inner is not False and inner not in ([], {})
        }
    return [set_keys(inner) for inner in value] if isinstance(value, list | tuple) else value


def made_of(*parts: Any) -> str:
    """Return a short name of everything that decides the bytes of a job's inputs; equal for equal `parts`.

    A job has this as a parameter of its own. When a job fails, Snakemake removes its outputs and forgets their
    parameters: without this name, the job that reads the outputs would seem to be up to date.
    """
    return f"{MADE_OF}{content_hash(parts)[:16]}"


def check_keys(data: Mapping[str, Any], schema: Mapping[str, Any], where: str, at: str = "") -> None:
    """Refuse a key that `schema` does not know, with the nearest one that it does.

    Raises:
        InputError: there is one; the message names its place in `where`.
    """
    schema = branch(schema, data)
    properties = schema.get("properties", {})
    if schema.get("additionalProperties", True) is False and "patternProperties" not in schema:
        for key in data:
            if key not in properties:
                raise InputError(f"{where}: {unknown_name(f'key below {at!r}' if at else 'key', str(key), properties)}")
    for key, value in data.items():
        inner = _inner(schema, key)
        place = f"{at}.{key}" if at else str(key)
        if isinstance(value, Mapping):
            check_keys(value, inner, where, place)
        elif isinstance(value, list):
            items = branch(inner, value).get("items", {})
            for position, item in enumerate(value):
                if isinstance(item, Mapping):
                    check_keys(item, items, where, f"{place}[{position}]")


def read_numbers(data: Any, schema: Mapping[str, Any]) -> Any:
    """`data` with text turned into the number or null that `schema` wants at its place.

    On its command line Snakemake reads the inside of ``--config 'seeds=[0, 1]'`` as text.
    """
    if isinstance(data, Mapping):
        inside = branch(schema, data)
        return {key: read_numbers(value, _inner(inside, key)) for key, value in data.items()}
    if isinstance(data, list):
        items = branch(schema, data).get("items", {})
        return [read_numbers(item, items) for item in data]
    kinds = {choice.get("type") for choice in schema.get("anyOf", [schema])}
    if isinstance(data, str) and not kinds & {"string"}:
        if kinds & {"integer", "number"} and re.fullmatch(r"-?[0-9]+", data):
            return int(data)
        if "null" in kinds and data in ("null", "~"):
            return None
    return data


def conform(data: dict[str, Any], schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    """`data` with the defaults of `schema` filled in, after it was checked.

    Args:
        data: what a YAML file holds; filled in place.
        schema: a schema as `vmaf-train config --write` generates it, free of references.
        where: what to call the file in errors.

    Raises:
        InputError: a key is unknown, missing, or has a value that is not allowed.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    _check_choice(data, schema, where)
    check_keys(data, schema, where)
    # Held against the alternative that it chose, so that an error is about that one.
    error = best_match(Draft202012Validator(branch(schema, data)).iter_errors(data))
    if error is not None:
        place = ".".join(map(str, error.absolute_path))
        raise InputError(f"{where}: {f'{place}: ' if place else ''}{error.message}")
    _fill(data, schema)
    return data


def _fill(data: Any, schema: Mapping[str, Any]) -> None:
    schema = branch(schema, data)
    if isinstance(data, dict):
        for key, inner in schema.get("properties", {}).items():
            if "default" in inner:
                # A copy, because what is filled in below must not be part of the schema of the next file.
                data.setdefault(key, copy.deepcopy(inner["default"]))
        for key, value in data.items():
            _fill(value, _inner(schema, key))
    elif isinstance(data, list):
        for item in data:
            _fill(item, schema.get("items", {}))


def branch(schema: Mapping[str, Any], data: Any) -> Mapping[str, Any]:
    """Of a choice the alternative that describes `data`: of "this or null" the one of its type, of a union by a
    discriminator the one that its value names, or the one that is taken if the key is absent. Else `schema` itself.
    """
    discriminator = schema.get("discriminator")
    if discriminator is not None and isinstance(data, Mapping):
        key = discriminator["propertyName"]
        return _choices(schema).get(data.get(key, _default_choice(schema)), schema)
    kind = "object" if isinstance(data, Mapping) else "array"
    return next((choice for choice in schema.get("anyOf", ()) if choice.get("type") == kind), schema)


def _choices(schema: Mapping[str, Any]) -> dict[Any, Mapping[str, Any]]:
    """The alternatives of a union by the values of its discriminator."""
    key = schema["discriminator"]["propertyName"]
    choices = {}
    for choice in schema["oneOf"]:
        values = choice["properties"][key]
        choices.update(dict.fromkeys(values["enum"] if "enum" in values else [values["const"]], choice))
    return choices


def _default_choice(schema: Mapping[str, Any]) -> Any:
    """The value of a discriminator that is taken if the key is absent; None if it must be there."""
    key = schema["discriminator"]["propertyName"]
    return next((c["properties"][key]["default"] for c in schema["oneOf"] if "default" in c["properties"][key]), None)


def _check_choice(data: Mapping[str, Any], schema: Mapping[str, Any], where: str) -> None:
    """Refuse a value of a discriminator that no alternative has."""
    if "discriminator" not in schema:
        return
    key, choices = schema["discriminator"]["propertyName"], _choices(schema)
    value = data.get(key, _default_choice(schema))
    if value is None:
        raise InputError(f"{where}: key {key!r} is missing; valid: {', '.join(map(str, choices))}")
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{where}: {unknown_name(key, str(value), choices)}")


def _inner(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The schema of the value below `key`; mappings of names have one schema for all."""
    found: Mapping[str, Any] | None = schema.get("properties", {}).get(key)
    return found or next(iter(schema.get("patternProperties", {}).values()), {})


def _from_here(path: Path) -> str:
    """A path as Snakemake should see it: relative where it lies in the working folder, absolute elsewhere."""
    full = os.path.abspath(path)
    here = os.path.join(os.getcwd(), "")
    return full[len(here) :] if full.startswith(here) else full


def _distinct(config: Mapping[str, Any], key: str) -> Sequence[str]:
    return list(dict.fromkeys(config[key]))


def _get(kind: str, name: str, table: Mapping[str, _T]) -> _T:
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]
