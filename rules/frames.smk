"""Pictures of clips, encodes, pairs and images, for models that look at pixels."""


rule extract_frames:
    """Pictures of all rungs of one clip and codec, or of the clip itself, and the table of them."""
    input:
        reference=ladder_reference,
        rungs=picture_rungs,
        records=picture_records,
    output:
        pictures=ensure(layout.FRAMES.pattern, non_empty=True),
        table=ensure(layout.FRAMES_TABLE.pattern, non_empty=True),
        manifest=layout.FRAMES.manifest,
    log:
        "logs/extract_frames/{pictures}/{corpus}/{clip}/{codec}.log",
    benchmark:
        "benchmarks/extract_frames/{pictures}/{corpus}/{clip}/{codec}.tsv"
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        clip=clip_labels,
        made_of=lambda wildcards: pictures_made_of(
            wildcards.corpus, wildcards.clip, wildcards.codec
        ),
        pictures=lambda wildcards: PLAN.picture_options(wildcards.pictures),
        rungs=picture_words,
        subject=picture_subject,
        cache=untracked(config["cache"]),
        code=picture_code("extract-frames"),
    shell:
        "vmaf-train extract-frames {params.subject:q} --clip {wildcards.clip:q} --codec {wildcards.codec:q}"
        " {params.pictures:q} --cache {params.cache:q} --code {params.code:q} --output {output.pictures:q}"
        " {params.rungs:q} > {log:q} 2>&1"


rule extract_images:
    """Pictures of a folder or list of images, their masks, and the table of both."""
    input:
        files=image_files,
    output:
        pictures=ensure(layout.IMAGES.pattern, non_empty=True),
        table=ensure(layout.IMAGES_TABLE.pattern, non_empty=True),
        manifest=layout.IMAGES.manifest,
    log:
        "logs/extract_images/{pictures}/{images}.log",
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        options=lambda wildcards: PLAN.image_options(
            wildcards.pictures, wildcards.images
        ),
        source=lambda wildcards: PLAN.images(wildcards.images)["source"],
        code=identity("extract-frames"),
    shell:
        "vmaf-train extract-frames {params.source:q} --corpus {wildcards.images:q} {params.options:q}"
        " --code {params.code:q} --output {output.pictures:q} > {log:q} 2>&1"
