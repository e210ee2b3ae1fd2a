"""Quantised: int8 variants, with the drop measured on sources that the model has not seen."""


rule quantize_model:
    """One int8 variant of one seed's model."""
    input:
        onnx=layout.ONNX.pattern,
        sidecar=layout.SIDECAR.pattern,
        weights=layout.WEIGHTS.pattern,
        table=model_table,
        pictures=model_pictures,
    output:
        onnx=ensure(layout.INT8.pattern, non_empty=True),
        report=ensure(layout.INT8_REPORT.pattern, non_empty=True),
        manifest=layout.INT8.manifest,
    log:
        "logs/quantize_model/{model}/seed{seed}/{mode}.log",
    benchmark:
        "benchmarks/quantize_model/{model}/seed{seed}/{mode}.tsv"
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        spec=spec_file("model"),
        reads=lambda wildcards: PLAN.model(wildcards.model).variant(wildcards.mode),
        code=lambda wildcards: PLAN.model(wildcards.model).code("quantize-int8"),
    shell:
        "vmaf-train quantize-int8 --config {params.spec:q} --mode {wildcards.mode:q} --model {input.onnx:q}"
        " --weights {input.weights:q} --features {input.table:q} --output {output.onnx:q} --as-result"
        " --code {params.code:q} > {log:q} 2>&1"
