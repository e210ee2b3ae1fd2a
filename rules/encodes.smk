"""Encodes: one distorted clip for each rung of a ladder, with a record of how it was made."""


rule encode_rung:
    """Make one distorted version of a clip."""
    input:
        layout.CLIP.pattern,
    output:
        video=ensure(layout.ENCODE.pattern, non_empty=True),
        record=ensure(layout.RECORD.pattern, non_empty=True),
        manifest=layout.ENCODE.manifest,
    log:
        "logs/encode_rung/{corpus}/{clip}/{codec}/{rung}.log",
    benchmark:
        "benchmarks/encode_rung/{corpus}/{clip}/{codec}/{rung}.tsv"
    conda:
        "../envs/video.yaml"
    threads: THREADS["encode_rung"]
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        options=rung_options,
        rows=rung_rows,
        made_of=lambda wildcards: clip_made_of(wildcards.corpus, wildcards.clip),
        skip=untracked_of(skip_option),
        code=ladder_code("encode"),
    shell:
        "vmaf-train encode {input:q} {output.video:q} {params.options:q}"
        " {params.skip:q}"
        " --code {params.code:q} > {log:q} 2>&1"
