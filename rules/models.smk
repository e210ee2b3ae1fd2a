"""Models: train each seed with all its folds, judge over the seeds, export what was judged; convert published checkpoints."""


rule fit_model:
    """All folds of one seed and the model on all sources, trained together."""
    input:
        table=model_table,
        pictures=model_pictures,
        negatives=trained_negatives,
        backbone=trained_backbone,
    output:
        weights=ensure(layout.WEIGHTS.pattern, non_empty=True),
        loso=ensure(layout.LOSO.pattern, non_empty=True),
        predictions=ensure(layout.PREDICTIONS.pattern, non_empty=True),
        manifest=layout.WEIGHTS.manifest,
    log:
        "logs/fit_model/{model}/seed{seed}.log",
    benchmark:
        "benchmarks/fit_model/{model}/seed{seed}.tsv"
    conda:
        "../envs/training.yaml"
    threads: THREADS["fit_model"]
    resources:
        **training_devices(),
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        spec=spec_file("model"),
        reads=lambda wildcards: PLAN.model(wildcards.model).part("fit"),
        negatives=negatives_option,
        backbone=backbone_option,
        code=lambda wildcards: PLAN.model(wildcards.model).code("fit"),
    shell:
        "vmaf-train fit --config {params.spec:q} --features {input.table:q} --seed {wildcards.seed}"
        " --output $(dirname {output.weights:q}) --code {params.code:q} --threads {threads} {params.negatives:q}"
        " {params.backbone:q} > {log:q} 2>&1"


rule judge_model:
    """PROMOTE or HOLD over all seeds of a model; a model that is held is a result, not a failure."""
    input:
        loso=per_seed(layout.LOSO),
        weights=trained_models,
        predictions=per_seed(layout.PREDICTIONS),
        negatives=judged_negatives,
    output:
        verdict=report(
            ensure(layout.VERDICT.pattern, non_empty=True),
            caption="../workflow/report/verdict.rst",
            category="Models",
            labels={"model": "{model}", "file": "verdict"},
        ),
        manifest=layout.VERDICT.manifest,
    log:
        "logs/judge_model/{model}.log",
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        spec=spec_file("model"),
        reads=lambda wildcards: PLAN.model(wildcards.model).part("judge"),
        negatives=negatives_option,
        seeds=lambda wildcards: ",".join(map(str, PLAN.seeds(wildcards.model))),
        code=lambda wildcards: PLAN.model(wildcards.model).code("judge"),
    shell:
        "vmaf-train judge --config {params.spec:q} --output {output.verdict:q} --seeds {params.seeds:q} --as-result"
        " --code {params.code:q} {params.negatives:q} {input.loso:q} > {log:q} 2>&1"


rule export_model:
    """ONNX and sidecar of one seed's model, checked against the network that was trained."""
    input:
        weights=layout.WEIGHTS.pattern,
        loso=layout.LOSO.pattern,
        verdict=layout.VERDICT.pattern,
        table=model_table,
    output:
        onnx=ensure(layout.ONNX.pattern, non_empty=True),
        sidecar=ensure(layout.SIDECAR.pattern, non_empty=True),
        manifest=layout.ONNX.manifest,
    log:
        "logs/export_model/{model}/seed{seed}.log",
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        spec=spec_file("model"),
        reads=lambda wildcards: PLAN.model(wildcards.model).part("export"),
        code=lambda wildcards: PLAN.model(wildcards.model).code("export"),
    shell:
        "vmaf-train export --config {params.spec:q} --checkpoint {input.weights:q} --verdict {input.verdict:q}"
        " --features {input.table:q} --output {output.onnx:q} --code {params.code:q} > {log:q} 2>&1"


rule ensemble_models:
    """One model with intervals of all seeds of a model; intervals that fail their gate are a result, not a failure."""
    input:
        verdict=layout.VERDICT.pattern,
        loso=per_seed(layout.LOSO),
        predictions=per_seed(layout.PREDICTIONS),
        onnx=exported_models,
        sidecars=per_seed(layout.SIDECAR),
        table=model_table,
    output:
        ensemble=ensure(layout.ENSEMBLE.pattern, non_empty=True),
        manifest=layout.ENSEMBLE.manifest,
    log:
        "logs/ensemble_models/{model}.log",
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 15 * attempt,
    params:
        spec=spec_file("model"),
        reads=lambda wildcards: PLAN.model(wildcards.model).part("ensemble"),
        code=lambda wildcards: PLAN.model(wildcards.model).code("ensemble"),
    shell:
        "vmaf-train ensemble --config {params.spec:q} --verdict {input.verdict:q} --features {input.table:q}"
        " --output {output.ensemble:q} --as-result --code {params.code:q} {input.sidecars:q} > {log:q} 2>&1"


rule fetch_checkpoint:
    """Take a published checkpoint out of its package, and check both hashes; nothing of it is executed."""
    output:
        checkpoint=ensure(layout.CHECKPOINT.pattern, non_empty=True),
        manifest=layout.CHECKPOINT.manifest,
    log:
        "logs/fetch_checkpoint/{model}.log",
    retries: 2
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=30,
    params:
        spec=untracked_of(lambda wildcards: PLAN.checkpoint(wildcards.model).path),
        reads=lambda wildcards: PLAN.checkpoint(wildcards.model).part(
            "fetch-checkpoint"
        ),
        code=lambda wildcards: PLAN.checkpoint(wildcards.model).code("fetch-checkpoint"),
    shell:
        "vmaf-train fetch-checkpoint --config {params.spec:q} --output {output.checkpoint:q} --code {params.code:q}"
        " > {log:q} 2>&1"


rule convert_checkpoint:
    """Safetensors, ONNX and sidecar of a published checkpoint; one that is held is a result, not a failure."""
    input:
        checkpoint=layout.CHECKPOINT.pattern,
    output:
        report=ensure(layout.CONVERSION.pattern, non_empty=True),
        onnx=ensure(layout.CONVERTED.pattern, non_empty=True),
        sidecar=ensure(layout.CONVERTED_SIDECAR.pattern, non_empty=True),
        weights=ensure(layout.CONVERTED_WEIGHTS.pattern, non_empty=True),
        manifest=layout.CONVERSION.manifest,
    log:
        "logs/convert_checkpoint/{model}.log",
    benchmark:
        "benchmarks/convert_checkpoint/{model}.tsv"
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        spec=untracked_of(lambda wildcards: PLAN.checkpoint(wildcards.model).path),
        reads=lambda wildcards: PLAN.checkpoint(wildcards.model).part("convert"),
        code=lambda wildcards: PLAN.checkpoint(wildcards.model).code("convert"),
    shell:
        "vmaf-train convert --config {params.spec:q} --weights {input.checkpoint:q} --output {output.report:q}"
        " --as-result --code {params.code:q} > {log:q} 2>&1"
