"""Tables: ladders become shards, and shards training tables; tables of other programs become shards, too."""


rule build_shard:
    """One shard per corpus and codec: its per-frame rows, and its complete encode records."""
    input:
        ladders=shard_ladders,
        records=shard_encodes(layout.RECORD),
        times=shard_times,
    output:
        shard=ensure(layout.SHARD.pattern, non_empty=True),
        records=ensure(layout.SHARD_RECORDS.pattern, non_empty=True),
        manifest=layout.SHARD.manifest,
    log:
        "logs/build_shard/{corpus}/{codec}.log",
    wildcard_constraints:
        # Not the shard of an imported corpus, which `import_table` makes.
        codec=r"(?!imported\.)[a-z0-9][a-z0-9_-]*",
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        spec=spec_file("corpus"),
        opinions=lambda wildcards: PLAN.corpus(wildcards.corpus).opinions(
            wildcards.codec
        ),
        skipped=lambda wildcards: PLAN.corpus(wildcards.corpus).skipped,
        code=lambda wildcards: identity("shard", PLAN.corpus(wildcards.corpus).uses),
    shell:
        "vmaf-train shard --corpus {params.spec:q} --output {output.shard:q} --records {output.records:q}"
        " --code {params.code:q}"
        " {input.ladders:q} {input.records:q} > {log:q} 2>&1"


rule import_table:
    """The shard of a corpus of tables of other programs: read, checked row by row, counted."""
    input:
        files=imported_files,
    output:
        shard=ensure(layout.IMPORTED_SHARD.pattern, non_empty=True),
        records=ensure(layout.IMPORTED_RECORDS.pattern, non_empty=True),
        manifest=layout.IMPORTED_SHARD.manifest,
    log:
        "logs/import_table/{corpus}.log",
    wildcard_constraints:
        corpus="|".join(PLAN.imported) or "-",
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        spec=spec_file("corpus"),
        reads=lambda wildcards: PLAN.corpus(wildcards.corpus).reads,
        code=lambda wildcards: identity(
            "import-table", PLAN.corpus(wildcards.corpus).uses
        ),
    shell:
        "vmaf-train import-table --corpus {params.spec:q} --output {output.shard:q} --records {output.records:q}"
        " --code {params.code:q} > {log:q} 2>&1"


rule combine_table:
    """A training table from shards."""
    input:
        shards=shards_of(layout.SHARD),
        records=table_records,
        labels=table_labels,
    output:
        table=ensure(layout.TABLE.pattern, non_empty=True),
        manifest=layout.TABLE.manifest,
    log:
        "logs/combine_table/{table}.log",
    wildcard_constraints:
        # Not a table of pictures, which `combine_pictures` makes.
        table="|".join(t for t in config["tables"] if not has_pictures(t)) or "-",
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        shards=lambda wildcards, input: [
            f"{Path(shard).parent.name}={shard}" for shard in input.shards
        ],
        unit=lambda wildcards: PLAN.unit(wildcards.table),
        scale=lambda wildcards: [
            *PLAN.mos_options(wildcards.table),
            *PLAN.mixed_options(wildcards.table),
        ],
        labels=lambda wildcards, input: PLAN.label_options(
            wildcards.table, input.labels
        ),
        code=identity("combine"),
    shell:
        "vmaf-train combine --output {output.table:q} --unit {params.unit:q} --code {params.code:q}"
        " {params.scale:q} {params.labels:q} {params.shards:q} > {log:q} 2>&1"


rule combine_pictures:
    """A training table whose rows are pictures, with the scores of their frames."""
    input:
        tables=pictures_of(layout.FRAMES_TABLE, layout.IMAGES_TABLE),
        pictures=pictures_of(layout.FRAMES, layout.IMAGES),
        shards=shards_of(layout.SHARD),
        labels=table_labels,
    output:
        table=ensure(layout.TABLE.pattern, non_empty=True),
        manifest=layout.TABLE.manifest,
    log:
        "logs/combine_pictures/{table}.log",
    wildcard_constraints:
        table="|".join(PLAN.picture_tables) or "-",
    conda:
        "../envs/video.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        shards=lambda wildcards, input: [
            word
            for shard in input.shards
            for word in ("--shard", f"{Path(shard).parent.name}={shard}")
        ],
        scale=lambda wildcards: PLAN.mos_options(wildcards.table),
        labels=lambda wildcards, input: PLAN.label_options(
            wildcards.table, input.labels
        ),
        code=identity("combine-pictures"),
    shell:
        "vmaf-train combine-pictures --output {output.table:q} --code {params.code:q}"
        " {params.scale:q} {params.labels:q} {params.shards:q} {input.tables:q} > {log:q} 2>&1"
