"""Shared by the rules: the checked configuration, its plan, and lists of paths made from the plan."""

import atexit
import gc
import re
from functools import cache
from inspect import signature
from pathlib import Path

from snakemake.common import overwrite_function_params
from snakemake.exceptions import WorkflowError

try:
    from pyvmaf import engines
    from pyvmaf.base import families, layout
    from pyvmaf.base.code import identity
    from pyvmaf.corpora import measuring
    from pyvmaf.errors import InputError, PyvmafError
    from pyvmaf.workflow.plan import Plan, conform, made_of, read_numbers, read_schema
except ModuleNotFoundError as err:
    raise WorkflowError(
        f"this Python has no module {err.name!r}: `make setup`, or `pip install .` in the checkout, then run again"
    ) from err


# A plan has millions of objects that live to its end: garbage collection would take a tenth of its time, and freeing
# them one by one at the end a fifth.
gc.set_threshold(1_000_000, 50, 1_000)
atexit.register(gc.freeze)

# The folder `config` with the corpora and models of the workflow is beside the rules.
HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
SCHEMAS = HOME / "workflow" / "schemas"

try:
    SCHEMA = read_schema(SCHEMAS / "config.schema.yaml")
    config.update(read_numbers(config, SCHEMA))
    conform(config, SCHEMA, "configuration")
    PLAN = Plan(config, HOME / "config", SCHEMAS)
    if workflow.is_main_process:
        # Reads every file with the class of its kind: once per run is enough, jobs make the plan alone.
        from pyvmaf.workflow.check import check

        check(PLAN)
    MEASURED_WITH = engines.uses(config["backend"])
    MEASURED_WITHS = {
        corpus: engines.uses(backend) for corpus, backend in PLAN.backends.items()
    }
except PyvmafError as err:
    raise WorkflowError(str(err)) from err

THREADS = config["threads"]


wildcard_constraints:
    **layout.WILDCARDS,


def stop_looking_again():
    """Remove Snakemake's default limit on how fast jobs start; a limit of the user stays.

    With a limit, Snakemake 9 schedules again a second after it has scheduled, and also after every job that ends: the
    schedulings pile up until they take a whole processor.
    """
    limit = getattr(workflow.scheduler, "job_rate_limiter", None)
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def keep_signatures(rules):
    """Compute the parameters of each function of `rules` once; Snakemake asks for them again for every job."""
    for step in rules:
        resources = (
            getattr(value, "_evaluator", None) for value in step.resources.values()
        )
        for function in filter(callable, [*step.params, *resources]):
            overwrite_function_params(function, signature(function).parameters)


def plan_environments_alone():
    """Find the environment of a job without its parameters, which a plan needs of finished jobs only.

    Snakemake passes the parameters to a `conda:` that is a function, and works them out in any case: a seventh of the time
    of a plan. Jobs that were named as targets have theirs worked out, because a name that the plan does not have is then
    refused.
    """
    from snakemake.jobs import Job

    own = Job.conda_env_spec.fget

    def specification(job):
        if callable(job.rule._conda_env) or job in job.dag.targetjobs:
            return own(job)
        return job.rule.expand_conda_env(job.wildcards_dict)

    Job.conda_env_spec = property(specification)


def untracked(value):
    """A parameter that never makes a job run again: Snakemake does not compare parameters made by a function of `output`."""
    return lambda wildcards, output: value


def spec_file(kind):
    """The path of the YAML file of a corpus or model: untracked, because the values that a rule reads are parameters.

    So a comment, another key or another folder makes no job run again.
    """
    return lambda wildcards, output: getattr(PLAN, kind)(getattr(wildcards, kind)).path


def untracked_of(function):
    """As `untracked`, of a value that depends on the wildcards."""
    return lambda wildcards, output: function(wildcards)


def label_file(wildcards):
    """The published label file of a dataset."""
    return local(PLAN.labels(wildcards.dataset).file)


def all_labels(wildcards):
    return [layout.LABELS.path(dataset=dataset) for dataset in PLAN.datasets]


def table_labels(wildcards):
    """The labels that rows of a table get their opinion scores from."""
    return [
        (
            layout.AGGREGATED_LABELS.path()
            if dataset == layout.AGGREGATED
            else layout.LABELS.path(dataset=dataset)
        )
        for dataset in PLAN.table_datasets(wildcards.table)
    ]


def clip_source(wildcards):
    """The file that a clip is made from: the receipt of the fetched packages, or the user's own video.

    The user's own video is `local`: the prefix of a module is only for files that the module makes. A video of the movable
    folder of datasets is none: the verb finds it and checks its hash.
    """
    corpus = PLAN.corpus(wildcards.corpus)
    PLAN.entry(wildcards.corpus, wildcards.clip)
    if corpus.paired:
        raise InputError(f"{corpus.name} has pairs: no clip is made of a reference")
    if corpus.fetched:
        return layout.RECEIPT.path(corpus=corpus.name)
    return [local(path) for path in corpus.inputs([corpus.source(wildcards.clip)])]


def imported_files(wildcards):
    """The tables that a shard is imported from; of the movable folder of datasets none, as in `clip_source`."""
    corpus = PLAN.corpus(wildcards.corpus)
    return [] if corpus.movable else [local(path) for path in corpus.files]


# Many thousand jobs share these objects.
@cache
def labels_of(corpus, clip):
    entry = PLAN.entry(corpus, clip)
    return {"source": entry["source"], "group": entry["group"]}


@cache
def options_of(codec, rung):
    # The thread count is content: some encoders write other bytes with another one.
    threads = ["--encoder-threads", str(THREADS["encode_rung"])]
    return [*PLAN.rung(codec, rung).options(), *threads, "--ffmpeg", config["ffmpeg"]]


@cache
def clip_made_of(corpus, clip):
    spec = PLAN.corpus(corpus)
    code = identity("prepare", spec.uses)
    return made_of(spec.made_from(clip), config["ffmpeg"], code)


@cache
def rows_of(codec, rung):
    return PLAN.rung(codec, rung).identity


@cache
def rungs_of_ladder(codec):
    return {
        rung: [*options_of(codec, rung), rows_of(codec, rung)]
        for rung in PLAN.rungs(codec)
    }


@cache
def code_of_ladder(verb, codec):
    return identity(verb, PLAN.distortion(codec))


def ladder_code(verb):
    """Identity of the code of a verb: one value, or a function of wildcards if distortions of ladders give several.

    Snakemake handles a function again for each of many thousand jobs, which takes longer than to call it.
    """
    codes = {code_of_ladder(verb, codec) for codec in PLAN.codecs}
    if len(codes) == 1:
        return codes.pop()
    return lambda wildcards: code_of_ladder(verb, wildcards.codec)


@cache
def ladder_made_of(corpus, clip, codec):
    if PLAN.corpus(corpus).paired:
        return made_of(PLAN.corpus(corpus).pairs_made_from(clip, codec))
    return made_of(
        clip_made_of(corpus, clip),
        rungs_of_ladder(codec),
        code_of_ladder("encode", codec),
    )


def clip_labels(wildcards):
    return labels_of(wildcards.corpus, wildcards.clip)


def rung_options(wildcards):
    return options_of(wildcards.codec, wildcards.rung)


def rung_rows(wildcards):
    return rows_of(wildcards.codec, wildcards.rung)


def ladder_reference(wildcards):
    """The clip of a ladder: a prepared one, or the reference of pairs that exist, which no module makes."""
    corpus = PLAN.corpus(wildcards.corpus)
    if not corpus.paired:
        return layout.CLIP.path(**wildcards)
    return [local(path) for path in corpus.inputs([corpus.source(wildcards.clip)])]


def ladder_rungs(wildcards):
    """The distorted versions of a ladder."""
    corpus = PLAN.corpus(wildcards.corpus)
    if not corpus.paired:
        return rungs_of(layout.ENCODE)(wildcards)
    return [local(path) for path in corpus.pair_files(wildcards.clip, wildcards.codec)]


def ladder_records(wildcards):
    """The records of a ladder's encodes; pairs that exist have none."""
    if PLAN.corpus(wildcards.corpus).paired:
        return []
    return rungs_of(layout.RECORD)(wildcards)


def ladder_subject(wildcards, input, output):
    """What is measured, as options; untracked, because labels, rungs and the values in the corpus file are parameters."""
    corpus = PLAN.corpus(wildcards.corpus)
    if corpus.paired:
        return ["--corpus", corpus.path]
    labels = clip_labels(wildcards)
    words = ["--reference", input.reference, "--corpus", corpus.name]
    return [
        *(*words, "--match-depth"),
        *("--group", labels["group"], "--source", labels["source"]),
        *skip_option(wildcards),
    ]


def skip_option(wildcards):
    """Whether a clip that cannot be encoded or measured is skipped; untracked, because the shard decides how many may be."""
    return ["--skip-broken"] if PLAN.corpus(wildcards.corpus).skips else []


def ladder_words(wildcards, input):
    """The encodes of a ladder by rung; pairs that exist are in the corpus file."""
    if PLAN.corpus(wildcards.corpus).paired:
        return []
    return [f"{Path(rung).stem}={rung}" for rung in input.rungs]


def measuring_code(verb):
    """Identity of the code that measures: one value, or a function of wildcards if corpora differ in it.

    Those of pairs that exist do, and those with a backend of their own.
    """
    encoded = identity(verb, MEASURED_WITH)
    if not PLAN.paired and not config["backends"]:
        return encoded
    codes = {
        name: identity(
            verb,
            (
                measuring(PLAN.corpus(name).spec["kind"], uses)
                if name in PLAN.paired
                else uses
            ),
        )
        for name, uses in MEASURED_WITHS.items()
    }
    return lambda wildcards: codes.get(wildcards.corpus, encoded)


def measured_what(wildcards):
    """What the configuration says about the features of a corpus."""
    return {
        "features": PLAN.features,
        "teacher": config["teacher"],
        "backend": PLAN.backend(wildcards.corpus),
    }


def devices(backend):
    """The resource `gpu` of a rule that measures, by a function that gives its backend; none if no corpus needs a device."""
    if not PLAN.needs_gpu:
        return {}
    return {"gpu": lambda wildcards: PLAN.gpus(backend(wildcards))}


def training_devices():
    """The resource `gpu` of a rule that trains; none if no model is trained on a device."""
    if not any(model.gpus for model in PLAN.models.values()):
        return {}
    return {"gpu": lambda wildcards: PLAN.model(wildcards.model).gpus}


def rungs_of(file):
    """Files of one kind, one for each rung of a ladder."""

    def paths(wildcards):
        parts = dict(wildcards)
        return [file.path(**parts, rung=rung) for rung in PLAN.rungs(wildcards.codec)]

    return paths


def shard_ladders(wildcards):
    return [
        layout.LADDER.path(**wildcards, clip=clip)
        for clip in PLAN.clips_with(wildcards.corpus, wildcards.codec)
    ]


def shard_encodes(file):
    """Files of one kind, one for each encode of a shard; none for pairs that exist."""
    return lambda wildcards: [
        file.path(**wildcards, clip=clip, rung=rung)
        for clip in PLAN.clips_to_encode(wildcards.corpus)
        for rung in PLAN.rungs(wildcards.codec)
    ]


def shard_times(wildcards):
    """Manifests, which hold how long each encode and extraction took."""
    artefacts = [*shard_encodes(layout.ENCODE)(wildcards), *shard_ladders(wildcards)]
    return [f"{path}{layout.MANIFEST_SUFFIX}" for path in artefacts]


def shards_of(file):
    """Files of one kind, one for each shard of a table."""
    return lambda wildcards: [
        file.path(corpus=corpus, codec=codec)
        for corpus, codec in PLAN.table(wildcards.table)
    ]


def table_records(wildcards):
    """Records of the encodes, if a row of the table is a clip."""
    if PLAN.unit(wildcards.table) == "frame":
        return []
    return shards_of(layout.SHARD_RECORDS)(wildcards)


def clips_of(corpus):
    """The clips of a corpus: prepared ones, or the references of pairs that exist."""
    owner = PLAN.corpus(corpus)
    if owner.paired:
        return [local(path) for path in owner.inputs([*map(owner.source, owner.clips)])]
    return [layout.CLIP.path(corpus=corpus, clip=clip) for clip in owner.clips]


def corpus_clips(wildcards):
    return clips_of(wildcards.corpus)


def collected_corpora(wildcards):
    return [layout.COLLECTION.path(corpus=corpus) for corpus in PLAN.videos]


def clips_made_of(wildcards):
    """What the clips of all corpora are made of, with the labels that hard negatives have."""
    return made_of(
        {
            f"{corpus}/{clip}": [
                labels_of(corpus, clip),
                reference_made_of(corpus, clip),
            ]
            for corpus, clip in PLAN.clips()
        }
    )


def reference_made_of(corpus, clip):
    """What decides the pictures of a clip, or of the reference of pairs."""
    if PLAN.corpus(corpus).paired:
        return PLAN.corpus(corpus).reference_made_from(clip)
    return clip_made_of(corpus, clip)


def corpora_of_clips(wildcards, input, output):
    """The files of all corpora with the folders of their prepared clips; untracked, because what they say is a parameter."""
    words = []
    for name in PLAN.videos:
        corpus = PLAN.corpus(name)
        if corpus.paired:
            words += ["--corpus", corpus.path]
            continue
        # The prefix of a module is before the paths of the layout.
        clip = layout.CLIP.path(corpus=name, clip=next(iter(corpus.clips)))
        made = next(path for path in input.clips if str(path).endswith(clip))
        words += ["--corpus", f"{corpus.path}={Path(made).parent}"]
    return words


def fetched_packages(wildcards):
    return [
        layout.RECEIPT.path(corpus=corpus)
        for corpus in PLAN.encoded
        if PLAN.corpus(corpus).fetched
    ]


def prepared_clips(wildcards):
    return [
        layout.CLIP.path(corpus=corpus, clip=clip)
        for corpus in PLAN.encoded
        for clip in PLAN.clips_to_encode(corpus)
    ]


def all_clips(wildcards):
    """The clips of all corpora, prepared ones and references of pairs."""
    return [path for corpus in PLAN.videos for path in clips_of(corpus)]


def encoded_rungs(wildcards):
    return [
        layout.ENCODE.path(corpus=corpus, clip=clip, codec=codec, rung=rung)
        for corpus in PLAN.encoded
        for clip in PLAN.clips_to_encode(corpus)
        for codec in PLAN.ladders_of(corpus)
        for rung in PLAN.rungs(codec)
    ]


def measured_ladders(wildcards):
    return [
        layout.LADDER.path(corpus=corpus, clip=clip, codec=codec)
        for corpus, clip in PLAN.clips()
        for codec in PLAN.ladders(corpus, clip)
    ]


def training_tables(wildcards):
    return [layout.TABLE.path(table=table) for table in PLAN.tables]


def has_pictures(table):
    return PLAN.unit(table) == "picture"


def picture_file(file, table, corpus, clip, codec):
    name = PLAN.table_pictures(table)
    return file.path(pictures=name, corpus=corpus, clip=clip, codec=codec)


def pictures_of_table(table, video, image):
    """Files of one kind, one for each ladder of a table of pictures and one for each of its folders of images."""
    name = PLAN.table_pictures(table)
    ladders = [
        picture_file(video, table, *parts) for parts in PLAN.picture_ladders(table)
    ]
    images = PLAN.table_images(table)
    return [*ladders, *(image.path(pictures=name, images=key) for key in images)]


def pictures_of(video, image):
    """As `pictures_of_table`, of the table that a rule is about."""
    return lambda wildcards: pictures_of_table(wildcards.table, video, image)


def model_pictures(wildcards):
    """The pictures that the rows of a model's table stand for; none for a table of features."""
    table = PLAN.model(wildcards.model).table
    if not has_pictures(table):
        return []
    return pictures_of_table(table, layout.FRAMES, layout.IMAGES)


def all_pictures(wildcards):
    """Pictures of all tables that a model is trained on."""
    tables = filter(has_pictures, PLAN.tables)
    found = (pictures_of_table(table, layout.FRAMES, layout.IMAGES) for table in tables)
    return list(dict.fromkeys(path for paths in found for path in paths))


def picture_rungs(wildcards):
    """The encodes whose pictures are taken; none where the pictures are those of the clip itself."""
    return [] if wildcards.codec == layout.REFERENCE else ladder_rungs(wildcards)


def picture_records(wildcards):
    return [] if wildcards.codec == layout.REFERENCE else ladder_records(wildcards)


@cache
def pictures_made_of(corpus, clip, codec):
    """Everything that pictures are made of, as of a ladder's features."""
    if codec != layout.REFERENCE or PLAN.corpus(corpus).paired:
        return ladder_made_of(corpus, clip, codec)
    return made_of(clip_made_of(corpus, clip))


def picture_subject(wildcards, input):
    """What pictures are taken of, as options; untracked, as those of `ladder_subject`."""
    corpus = PLAN.corpus(wildcards.corpus)
    if corpus.paired:
        return ["--corpus", corpus.path]
    labels = clip_labels(wildcards)
    return [
        *("--reference", input.reference, "--corpus", corpus.name),
        *("--group", labels["group"], "--source", labels["source"]),
        *skip_option(wildcards),
    ]


def picture_words(wildcards, input):
    if PLAN.corpus(wildcards.corpus).paired:
        return []
    return [f"{Path(rung).stem}={rung}" for rung in input.rungs]


def picture_code(verb):
    """Identity of the code that takes pictures; that of pairs uses their kind of corpus, too."""
    encoded = identity(verb)
    codes = {name: identity(verb, PLAN.corpus(name).uses) for name in PLAN.paired}
    return lambda wildcards: codes.get(wildcards.corpus, encoded)


def image_files(wildcards):
    """The list or folder of images, their masks and scores."""
    keys = PLAN.images(wildcards.images)
    named = (keys.get(key) for key in ("source", "root", "masks", "mos"))
    return [local(path) for path in dict.fromkeys(named) if path]


def all_shards(file):
    """Files of one kind, one for each shard of the corpora that hold videos."""
    return lambda wildcards: [
        file.path(corpus=corpus, codec=codec)
        for corpus in PLAN.videos
        for codec in PLAN.ladders_of(corpus)
    ]


def model_table(wildcards):
    """The table that a model is trained on."""
    return layout.TABLE.path(table=PLAN.model(wildcards.model).table)


def models_of(wildcards):
    """The model that a rule is about, or all models."""
    return [wildcards.model] if hasattr(wildcards, "model") else list(PLAN.models)


def verdicts(wildcards):
    return [layout.VERDICT.path(model=model) for model in PLAN.models]


def converted(file):
    """Files of one kind, one for each published checkpoint of the configuration."""
    return lambda wildcards: [file.path(model=model) for model in PLAN.checkpoints]


def one_of(names):
    """Constraint of a wildcard: one of some names, which may be none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def per_seed(file):
    """Files of one kind, one for each seed of the model that a rule is about, or of all models."""
    return lambda wildcards: [
        file.path(model=model, seed=seed)
        for model in models_of(wildcards)
        for seed in PLAN.seeds(model)
    ]


def trained_negatives(wildcards):
    """The table of hard negatives, if the model that a rule is about is trained on them."""
    wanted = PLAN.model(wildcards.model).trained_on_negatives
    return [layout.NEGATIVES.path()] if PLAN.clips() and wanted else []


def trained_backbone(wildcards):
    """The converted weights of the published network that a model is trained on, if it is."""
    name = PLAN.model(wildcards.model).backbone
    return [] if name is None else [layout.CONVERTED_WEIGHTS.path(model=name)]


def backbone_option(wildcards, input):
    return ["--backbone", *input.backbone] if input.backbone else []


def judged_negatives(wildcards):
    """The table of hard negatives, if the model that a rule is about, or any model, has limits on them."""
    wanted = any(
        PLAN.model(model).judged_on_negatives for model in models_of(wildcards)
    )
    return [layout.NEGATIVES.path()] if PLAN.clips() and wanted else []


def negatives_option(wildcards, input):
    return ["--negatives", *input.negatives] if input.negatives else []


trained_models = per_seed(layout.WEIGHTS)
exported_models = per_seed(layout.ONNX)


def ensembles(wildcards):
    """Manifests of ensembles, of the model that a rule is about or of all models."""
    return [
        layout.ENSEMBLE.path(model=model)
        for model in PLAN.ensembles
        if model in models_of(wildcards)
    ]


def quantized_models(file):
    """Files of one kind, one for each int8 variant of the model that a rule is about, or of all models."""
    return lambda wildcards: [
        file.path(model=model, seed=seed, mode=mode)
        for model in models_of(wildcards)
        for seed in PLAN.seeds(model)
        for mode in PLAN.modes(model)
    ]


def model_cards(wildcards):
    return [
        layout.CARD.path(model=model) for model in [*PLAN.models, *PLAN.checkpoints]
    ]


def finished_line(wildcards):
    """What a run ends with; nothing if it has no models."""
    if not (PLAN.models or PLAN.checkpoints):
        return []
    pages = [layout.REGISTRY.pattern, layout.PAGE.pattern, layout.SUMMARY.pattern]
    return [*pages, *model_cards(wildcards)]


def together(*lists):
    """One list of paths from several functions of wildcards."""
    return lambda wildcards: [path for paths in lists for path in paths(wildcards)]


through_features = together(fetched_packages, collected_corpora, measured_ladders)
through_tables = together(
    through_features, all_shards(layout.SHARD), all_pictures, training_tables
)
through_models = together(
    through_tables,
    judged_negatives,
    trained_models,
    verdicts,
    exported_models,
    ensembles,
)
