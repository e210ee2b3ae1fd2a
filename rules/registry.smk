"""Registry: the models that ship, with every hash."""


rule register_models:
    """Merge verdicts, sidecars and int8 reports into one registry; a held model is listed as held."""
    input:
        verdicts=verdicts,
        models=exported_models,
        sidecars=per_seed(layout.SIDECAR),
        quantized=quantized_models(layout.INT8),
        reports=quantized_models(layout.INT8_REPORT),
        ensembles=ensembles,
        conversions=converted(layout.CONVERSION),
        converted=converted(layout.CONVERTED),
    output:
        registry=report(
            ensure(layout.REGISTRY.pattern, non_empty=True),
            caption="../workflow/report/registry.rst",
            category="Run",
            labels={"file": "registry"},
        ),
        manifest=layout.REGISTRY.manifest,
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
        " {input.verdicts:q} {input.sidecars:q} {input.reports:q} {input.ensembles:q}"
        " {input.conversions:q} > {log:q} 2>&1"
