"""Reports: pages and figures for people."""


rule render_report:
    """One page that opens offline."""
    input:
        registry=layout.REGISTRY.pattern,
        verdicts=verdicts,
        loso=per_seed(layout.LOSO),
        predictions=per_seed(layout.PREDICTIONS),
        sidecars=per_seed(layout.SIDECAR),
        models=exported_models,
        quantized=quantized_models(layout.INT8_REPORT),
        int8=quantized_models(layout.INT8),
        shards=all_shards(layout.SHARD),
        records=all_shards(layout.SHARD_RECORDS),
    output:
        page=report(
            ensure(layout.PAGE.pattern, non_empty=True),
            caption="../workflow/report/page.rst",
            category="Run",
            labels={"file": "page"},
        ),
        manifest=layout.PAGE.manifest,
    log:
        "logs/render_report/report.log",
    benchmark:
        "benchmarks/render_report/report.tsv"
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        options=dict(config["report"]),
        code=identity(
            "report",
            families.uses("report", *(model.kind for model in PLAN.models.values())),
        ),
    shell:
        "vmaf-train report --output {output.page:q} --points {params.options[points]} --cards models"
        " --code {params.code:q}"
        " {input.registry:q} {input.verdicts:q} {input.loso:q} {input.predictions:q} {input.sidecars:q}"
        " {input.quantized:q} {input.shards:q} {input.records:q} > {log:q} 2>&1"


rule render_card:
    """One page per model: data, protocol, figures, gates, limits, int8 variants, and the commands that make it again."""
    input:
        registry=layout.REGISTRY.pattern,
        verdict=layout.VERDICT.pattern,
        loso=per_seed(layout.LOSO),
        predictions=per_seed(layout.PREDICTIONS),
        sidecars=per_seed(layout.SIDECAR),
        models=exported_models,
        quantized=quantized_models(layout.INT8_REPORT),
        int8=quantized_models(layout.INT8),
        ensemble=ensembles,
        table=model_table,
    output:
        card=report(
            ensure(layout.CARD.pattern, non_empty=True),
            caption="../workflow/report/card.rst",
            category="Models",
            labels={"model": "{model}", "file": "card"},
        ),
        manifest=layout.CARD.manifest,
    log:
        "logs/render_card/{model}.log",
    wildcard_constraints:
        model=one_of(PLAN.models),
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        options=dict(config["report"]),
        code=lambda wildcards: PLAN.model(wildcards.model).code("card"),
    shell:
        "vmaf-train card --model {wildcards.model:q} --features {input.table:q} --output $(dirname {output.card:q})"
        " --points {params.options[points]} --code {params.code:q} {input.registry:q} {input.verdict:q}"
        " {input.loso:q} {input.predictions:q} {input.sidecars:q} {input.quantized:q} {input.ensemble:q} > {log:q} 2>&1"


rule render_checkpoint_card:
    """One page per published checkpoint: its origin, gates, limits, and the command that makes it again."""
    input:
        registry=layout.REGISTRY.pattern,
        report=layout.CONVERSION.pattern,
        sidecar=layout.CONVERTED_SIDECAR.pattern,
    output:
        card=report(
            ensure(layout.CARD.pattern, non_empty=True),
            caption="../workflow/report/card.rst",
            category="Models",
            labels={"model": "{model}", "file": "card"},
        ),
        manifest=layout.CARD.manifest,
    log:
        "logs/render_checkpoint_card/{model}.log",
    wildcard_constraints:
        model=one_of(PLAN.checkpoints),
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=lambda wildcards: PLAN.checkpoint(wildcards.model).code("card"),
    shell:
        "vmaf-train card --model {wildcards.model:q} --output $(dirname {output.card:q}) --code {params.code:q}"
        " {input.registry:q} {input.report:q} > {log:q} 2>&1"


rule summarize_run:
    """The closing figures of each model."""
    input:
        registry=layout.REGISTRY.pattern,
        verdicts=verdicts,
        loso=per_seed(layout.LOSO),
        sidecars=per_seed(layout.SIDECAR),
        models=exported_models,
        quantized=quantized_models(layout.INT8_REPORT),
        int8=quantized_models(layout.INT8),
    output:
        summary=report(
            ensure(layout.SUMMARY.pattern, non_empty=True),
            caption="../workflow/report/summary.rst",
            category="Run",
            labels={"file": "summary"},
        ),
        manifest=layout.SUMMARY.manifest,
    log:
        "logs/summarize_run/summary.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=identity("summary"),
    shell:
        "vmaf-train summary --output {output.summary:q} --code {params.code:q} {input.registry:q}"
        " {input.verdicts:q} {input.loso:q} {input.sidecars:q} {input.quantized:q} > {log:q} 2>&1"
