"""Features of whole ladders and of pairs that no encoder makes."""


rule extract_features:
    """Per-frame features and teacher scores of all rungs of one clip and codec."""
    input:
        reference=ladder_reference,
        rungs=ladder_rungs,
        records=ladder_records,
    output:
        table=ensure(layout.LADDER.pattern, non_empty=True),
        manifest=layout.LADDER.manifest,
    log:
        "logs/extract_features/{corpus}/{clip}/{codec}.log",
    benchmark:
        "benchmarks/extract_features/{corpus}/{clip}/{codec}.tsv"
    conda:
        "../envs/video.yaml"
    threads: THREADS["extract_features"]
    resources:
        **devices(lambda wildcards: PLAN.backend(wildcards.corpus)),
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        clip=clip_labels,
        made_of=lambda wildcards: ladder_made_of(
            wildcards.corpus, wildcards.clip, wildcards.codec
        ),
        what=(
            measured_what
            if config["backends"]
            else {
                "features": PLAN.features,
                "teacher": config["teacher"],
                "backend": config["backend"],
            }
        ),
        rows=PLAN.feature_rows,
        rungs=ladder_words,
        subject=ladder_subject,
        cache=untracked(config["cache"]),
        code=measuring_code("extract-features"),
    shell:
        "vmaf-train extract-features {params.subject:q} --clip {wildcards.clip:q} --codec {wildcards.codec:q}"
        " --features {params.what[features]:q} --model {params.what[teacher]:q}"
        " --backend {params.what[backend]:q} --cache {params.cache:q} --code {params.code:q}"
        " --threads {threads} --output {output.table:q} {params.rungs:q} > {log:q} 2>&1"


rule hard_negatives:
    """Features of frozen, black, flat and swapped pictures, as a test of models."""
    input:
        clips=all_clips,
    output:
        table=ensure(layout.NEGATIVES.pattern, non_empty=True),
        manifest=layout.NEGATIVES.manifest,
    log:
        "logs/hard_negatives/hard_negatives.log",
    benchmark:
        "benchmarks/hard_negatives/hard_negatives.tsv"
    conda:
        "../envs/video.yaml"
    threads: THREADS["extract_features"]
    resources:
        **devices(lambda wildcards: config["backend"]),
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        what={
            "features": PLAN.features,
            "teacher": config["teacher"],
            "backend": config["backend"],
        },
        rows=PLAN.feature_rows,
        made_of=clips_made_of,
        corpora=corpora_of_clips,
        cache=untracked(config["cache"]),
        code=identity("hard-negatives", MEASURED_WITH),
    shell:
        "vmaf-train hard-negatives --features {params.what[features]:q} --model {params.what[teacher]:q}"
        " --backend {params.what[backend]:q} --cache {params.cache:q} --code {params.code:q}"
        " --threads {threads} --output {output.table:q} {params.corpora:q} > {log:q} 2>&1"
