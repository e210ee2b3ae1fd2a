"""Labels: opinion scores out of published label files, one row per video."""


rule read_labels:
    """The opinion scores of a dataset, on its own scale; with a folder of videos also what their files are."""
    input:
        file=label_file,
    output:
        labels=ensure(layout.LABELS.pattern, non_empty=True),
        manifest=layout.LABELS.manifest,
    log:
        "logs/read_labels/{dataset}.log",
    conda:
        "../envs/labels.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        spec=untracked_of(lambda wildcards: PLAN.labels(wildcards.dataset).path),
        reads=lambda wildcards: PLAN.labels(wildcards.dataset).reads,
        options=lambda wildcards: PLAN.labels(wildcards.dataset).options,
        code=identity("labels"),
    shell:
        "vmaf-train labels {input.file:q} --dataset {params.spec:q} --output {output.labels:q} --code {params.code:q}"
        " {params.options:q} > {log:q} 2>&1"


rule aggregate_labels:
    """The opinion scores of all datasets on one scale of 0 to 100, each video once."""
    input:
        labels=all_labels,
    output:
        labels=ensure(layout.AGGREGATED_LABELS.pattern, non_empty=True),
        manifest=layout.AGGREGATED_LABELS.manifest,
    log:
        "logs/aggregate_labels/aggregated.log",
    conda:
        "../envs/labels.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=identity("aggregate"),
    shell:
        "vmaf-train aggregate {input.labels:q} --output {output.labels:q} --code {params.code:q} > {log:q} 2>&1"
