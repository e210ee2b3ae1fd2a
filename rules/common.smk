"""What the rules share: the checked configuration, the plan that it gives, and lists of paths made from it."""

import atexit
import gc
from functools import cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

try:
    from pyvmaf import engines
    from pyvmaf.base.code import identity
    from pyvmaf.errors import PyvmafError
    from pyvmaf.workflow.plan import Plan, conform, made_of, read_numbers, read_yaml
except ModuleNotFoundError as err:
    raise WorkflowError(
        f"this Python has no module {err.name!r}: `make setup`, or `pip install .` in the checkout, then run again"
    ) from err


# A plan is millions of objects that live to its end: looking through them for rubbish on the way is a tenth of its time,
# and taking them apart one by one at the end a fifth.
gc.set_threshold(1_000_000, 50, 1_000)
atexit.register(gc.freeze)

# Corpora and models that come with the workflow lie beside the rules.
HOME = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parent
SCHEMAS = HOME / "workflow" / "schemas"

try:
    SCHEMA = read_yaml(SCHEMAS / "config.schema.yaml")
    config.update(read_numbers(config, SCHEMA))
    conform(config, SCHEMA, "configuration")
    PLAN = Plan(config, HOME / "config", SCHEMAS)
    MEASURED_WITH = engines.uses(config["backend"])
except PyvmafError as err:
    raise WorkflowError(str(err)) from err

THREADS = config["threads"]


wildcard_constraints:
    corpus="[a-z0-9][a-z0-9_-]*",
    clip="[a-z0-9][a-z0-9_]*",
    codec="[a-z0-9][a-z0-9_-]*",
    rung="[A-Za-z0-9_]+-crf[0-9]+",
    table="[a-z0-9][a-z0-9_-]*",
    model="[a-z0-9][a-z0-9_-]*",
    seed="[0-9]+",
    mode="[a-z0-9_]+",


def stop_looking_again():
    """Take away the limit on how fast jobs start, where nobody asked for one.

    With a limit Snakemake 9 looks at the ready jobs again a second after every look, and a look of its own follows every
    job that ends: the looks pile up until they take a whole processor. The limit by default is no use to anybody.
    """
    limit = getattr(workflow.scheduler, "job_rate_limiter", None)
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


def untracked(value):
    """A parameter that a rerun does not depend on: Snakemake compares no parameter made by a function of `output`."""
    return lambda wildcards, output: value


def spec_file(kind):
    """Where the YAML file of a corpus or model lies: untracked, because what a rule reads of it is a parameter.

    So a comment, another key or another folder rebuilds nothing.
    """
    return lambda wildcards, output: getattr(PLAN, kind)(getattr(wildcards, kind)).path


def clip_source(wildcards):
    """What a clip is made from: a video of one's own, or what was fetched.

    A video of one's own is `local`: a module's prefix is for what the module makes.
    """
    corpus = PLAN.corpus(wildcards.corpus)
    PLAN.entry(wildcards.corpus, wildcards.clip)
    if corpus.fetched:
        return f"results/corpora/{corpus.name}/.packages/fetched.json"
    return local(corpus.source(wildcards.clip))


def imported_files(wildcards):
    return [local(path) for path in PLAN.corpus(wildcards.corpus).files]


# Of many thousand jobs those that want the same share one object.
@cache
def labels_of(corpus, clip):
    entry = PLAN.entry(corpus, clip)
    return {"source": entry["source"], "group": entry["group"]}


@cache
def options_of(codec, rung):
    # The thread count is content: with another one some encoders write other bytes.
    threads = ["--encoder-threads", str(THREADS["encode_rung"])]
    return [*PLAN.rung(codec, rung).options(), *threads, "--ffmpeg", config["ffmpeg"]]


@cache
def clip_made_of(corpus, clip):
    made_from = PLAN.corpus(corpus).made_from(clip)
    return made_of(made_from, config["ffmpeg"], identity("prepare"))


@cache
def ladder_made_of(corpus, clip, codec):
    rungs = {
        rung: [*options_of(codec, rung), PLAN.rung(codec, rung).row]
        for rung in PLAN.rungs(codec)
    }
    return made_of(clip_made_of(corpus, clip), rungs, identity("encode"))


def clip_labels(wildcards):
    return labels_of(wildcards.corpus, wildcards.clip)


def rung_options(wildcards):
    return options_of(wildcards.codec, wildcards.rung)


def rungs_of(suffix):
    return lambda wildcards: [
        f"results/encodes/{wildcards.corpus}/{wildcards.clip}/{wildcards.codec}/{rung}.{suffix}"
        for rung in PLAN.rungs(wildcards.codec)
    ]


def shard_ladders(wildcards):
    return [
        f"results/features/{wildcards.corpus}/{clip}/{wildcards.codec}.parquet"
        for clip in PLAN.corpus(wildcards.corpus).clips
    ]


def shard_encodes(suffix):
    return lambda wildcards: [
        f"results/encodes/{wildcards.corpus}/{clip}/{wildcards.codec}/{rung}.{suffix}"
        for clip in PLAN.corpus(wildcards.corpus).clips
        for rung in PLAN.rungs(wildcards.codec)
    ]


def shard_times(wildcards):
    """Manifests, which hold how long each encode and extraction took."""
    return [
        f"{path}.manifest.json"
        for path in [*shard_encodes("mkv")(wildcards), *shard_ladders(wildcards)]
    ]


def table_shards(wildcards):
    return [
        f"results/shards/{corpus}/{codec}.parquet"
        for corpus, codec in PLAN.table(wildcards.table)
    ]


def table_records(wildcards):
    """Where a row is a clip: what is known of each encode beside its frames."""
    if PLAN.unit(wildcards.table) == "frame":
        return []
    return [str(Path(shard).with_suffix(".jsonl")) for shard in table_shards(wildcards)]


def corpus_clips(wildcards):
    return [
        f"results/corpora/{wildcards.corpus}/{clip}.mkv"
        for clip in PLAN.corpus(wildcards.corpus).clips
    ]


def collected_corpora(wildcards):
    return [f"results/corpora/{corpus}/corpus.json" for corpus in PLAN.encoded]


def clip_collections(wildcards):
    corpora = dict.fromkeys(corpus for corpus, _ in PLAN.clips())
    return [f"results/corpora/{corpus}/corpus.json" for corpus in corpora]


def fetched_packages(wildcards):
    return [
        f"results/corpora/{corpus}/.packages/fetched.json"
        for corpus in PLAN.encoded
        if PLAN.corpus(corpus).fetched
    ]


def prepared_clips(wildcards):
    return [f"results/corpora/{corpus}/{clip}.mkv" for corpus, clip in PLAN.clips()]


def encoded_rungs(wildcards):
    return [
        f"results/encodes/{corpus}/{clip}/{codec}/{rung}.mkv"
        for corpus, clip in PLAN.clips()
        for codec in PLAN.codecs
        for rung in PLAN.rungs(codec)
    ]


def measured_ladders(wildcards):
    return [
        f"results/features/{corpus}/{clip}/{codec}.parquet"
        for corpus, clip in PLAN.clips()
        for codec in PLAN.codecs
    ]


def training_tables(wildcards):
    return [f"results/tables/{table}.parquet" for table in PLAN.tables]


def all_shards(suffix):
    return lambda wildcards: [
        f"results/shards/{corpus}/{codec}.{suffix}"
        for corpus in PLAN.encoded
        for codec in PLAN.codecs
    ]


def verdicts(wildcards):
    return [f"results/models/{model}/verdict.json" for model in PLAN.models]


def per_seed(pattern):
    """Paths below results/models, one for each seed of a model."""
    return lambda wildcards: [
        f"results/models/{model}/seed{seed}/{pattern}"
        for model in ([wildcards.model] if hasattr(wildcards, "model") else PLAN.models)
        for seed in PLAN.seeds(model)
    ]


def judged_negatives(wildcards):
    """What no ladder holds, where the model that a rule is about, or any, has limits on it."""
    models = [wildcards.model] if hasattr(wildcards, "model") else PLAN.models
    wanted = any(PLAN.model(model).judged_on_negatives for model in models)
    return (
        ["results/features/hard_negatives.parquet"] if PLAN.clips() and wanted else []
    )


def negatives_option(wildcards, input):
    return ["--negatives", *input.negatives] if input.negatives else []


trained_models = per_seed("weights.safetensors")
exported_models = per_seed("model.onnx")


def ensembles(wildcards):
    """Manifests of ensembles, of all models or of the one that a rule is about."""
    return [
        f"results/models/{model}/ensemble.json"
        for model in PLAN.ensembles
        if model == getattr(wildcards, "model", model)
    ]


def quantized_models(suffix):
    """Int8 files or reports, of all models or of the one that a rule is about."""
    return lambda wildcards: [
        f"results/quantized/{model}/seed{seed}/{mode}.{suffix}"
        for model in ([wildcards.model] if hasattr(wildcards, "model") else PLAN.models)
        for seed in PLAN.seeds(model)
        for mode in PLAN.modes(model)
    ]


def model_cards(wildcards):
    return [f"results/reports/models/{model}.html" for model in PLAN.models]


def together(*lists):
    """One list of paths out of several, each a function of wildcards."""
    return lambda wildcards: [path for paths in lists for path in paths(wildcards)]


through_features = together(fetched_packages, collected_corpora, measured_ladders)
through_tables = together(through_features, all_shards("parquet"), training_tables)
through_models = together(
    through_tables,
    judged_negatives,
    trained_models,
    verdicts,
    exported_models,
    ensembles,
)
