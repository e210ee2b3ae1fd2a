"""Registry: what ships, with every hash."""


rule register_models:
    """Merge verdicts, sidecars and int8 reports into one registry; a held model is listed as held."""
    input:
        verdicts=verdicts,
        models=exported_models,
        sidecars=per_seed("model.json"),
        quantized=quantized_models("onnx"),
        reports=quantized_models("json"),
        ensembles=ensembles,
    output:
        registry=report(
            ensure("results/registry/registry.json", non_empty=True),
            caption="../workflow/report/registry.rst",
            category="Run",
            labels={"file": "registry"},
        ),
        manifest="results/registry/registry.json.manifest.json",
    log:
        "logs/register_models/registry.log",
    conda:
        "../envs/training.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        code=identity("register"),
    shell:
        "vmaf-train register --output {output.registry:q} --code {params.code:q}"
        " {input.verdicts:q} {input.sidecars:q} {input.reports:q} {input.ensembles:q} > {log:q} 2>&1"
