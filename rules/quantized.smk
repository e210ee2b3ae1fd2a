"""Quantised: int8 variants, with the drop measured on sources that the model has not seen."""


rule quantize_model:
    """One int8 variant of one seed's model."""
    input:
        onnx="results/models/{model}/seed{seed}/model.onnx",
        sidecar="results/models/{model}/seed{seed}/model.json",
        weights="results/models/{model}/seed{seed}/weights.safetensors",
        table=lambda wildcards: f"results/tables/{PLAN.model(wildcards.model).table}.parquet",
    output:
        onnx=ensure("results/quantized/{model}/seed{seed}/{mode}.onnx", non_empty=True),
        report=ensure(
            "results/quantized/{model}/seed{seed}/{mode}.json", non_empty=True
        ),
        manifest="results/quantized/{model}/seed{seed}/{mode}.onnx.manifest.json",
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
        code=identity("quantize-int8"),
    shell:
        "vmaf-train quantize-int8 --config {params.spec:q} --mode {wildcards.mode:q} --model {input.onnx:q}"
        " --weights {input.weights:q} --features {input.table:q} --output {output.onnx:q} --as-result"
        " --code {params.code:q} > {log:q} 2>&1"
