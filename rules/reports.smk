"""Reports: the pictures and figures that people read."""


rule render_report:
    """One page that opens offline."""
    input:
        registry="results/registry/registry.json",
        verdicts=verdicts,
        loso=per_seed("loso.json"),
        predictions=per_seed("predictions.parquet"),
        sidecars=per_seed("model.json"),
        models=exported_models,
        quantized=quantized_models("json"),
        int8=quantized_models("onnx"),
        shards=all_shards("parquet"),
        records=all_shards("jsonl"),
    output:
        page=report(
            ensure("results/reports/report.html", non_empty=True),
            caption="../workflow/report/page.rst",
            category="Run",
            labels={"file": "page"},
        ),
        manifest="results/reports/report.html.manifest.json",
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
        code=identity("report"),
    shell:
        "vmaf-train report --output {output.page:q} --points {params.options[points]} --cards models"
        " --code {params.code:q}"
        " {input.registry:q} {input.verdicts:q} {input.loso:q} {input.predictions:q} {input.sidecars:q}"
        " {input.quantized:q} {input.shards:q} {input.records:q} > {log:q} 2>&1"


rule render_card:
    """One page per model: data, protocol, figures, gates, limits, int8 variants, and how to make it again."""
    input:
        registry="results/registry/registry.json",
        verdict="results/models/{model}/verdict.json",
        loso=per_seed("loso.json"),
        predictions=per_seed("predictions.parquet"),
        sidecars=per_seed("model.json"),
        models=exported_models,
        quantized=quantized_models("json"),
        int8=quantized_models("onnx"),
        ensemble=ensembles,
        table=lambda wildcards: f"results/tables/{PLAN.model(wildcards.model).table}.parquet",
    output:
        card=report(
            ensure("results/reports/models/{model}.html", non_empty=True),
            caption="../workflow/report/card.rst",
            category="Models",
            labels={"model": "{model}", "file": "card"},
        ),
        manifest="results/reports/models/{model}.html.manifest.json",
    log:
        "logs/render_card/{model}.log",
    conda:
        "../envs/report.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        options=dict(config["report"]),
        code=identity("card"),
    shell:
        "vmaf-train card --model {wildcards.model:q} --features {input.table:q} --output $(dirname {output.card:q})"
        " --points {params.options[points]} --code {params.code:q} {input.registry:q} {input.verdict:q}"
        " {input.loso:q} {input.predictions:q} {input.sidecars:q} {input.quantized:q} {input.ensemble:q} > {log:q} 2>&1"


rule summarize_run:
    """The closing figures of each model."""
    input:
        registry="results/registry/registry.json",
        verdicts=verdicts,
        loso=per_seed("loso.json"),
        sidecars=per_seed("model.json"),
        models=exported_models,
        quantized=quantized_models("json"),
        int8=quantized_models("onnx"),
    output:
        summary=report(
            ensure("results/reports/summary.json", non_empty=True),
            caption="../workflow/report/summary.rst",
            category="Run",
            labels={"file": "summary"},
        ),
        manifest="results/reports/summary.json.manifest.json",
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
