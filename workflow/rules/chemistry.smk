# Hartree-Fock orbitals for pretraining, and the conventional methods to compare with.


rule scf:
    output:
        layout.SCF,
    log:
        "results/{study}/logs/scf/{system}-{geometry}-{basis}.log",
    benchmark:
        "results/{study}/benchmarks/scf/{system}-{geometry}-{basis}.jsonl"
    priority: 200
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        study=STUDY_FILE,
        reads=scf_params,
    message:
        "Hartree-Fock orbitals of {wildcards.system} {wildcards.geometry}"
    shell:
        "ferminet scf --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --out {output:q} --log {log:q}"


rule baseline:
    output:
        layout.BASELINE,
    log:
        "results/{study}/logs/baselines/{system}-{geometry}-{method}-{reference}-{basis}.log",
    benchmark:
        "results/{study}/benchmarks/baselines/{system}-{geometry}-{method}-{reference}-{basis}.jsonl"
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=720,
    params:
        study=STUDY_FILE,
        basis=lambda wildcards: baseline_of(wildcards).basis,
        reads=lambda wildcards: baseline_of(wildcards).stage_params(),
    message:
        "{wildcards.method} of {wildcards.system} {wildcards.geometry} in {params.basis}"
    shell:
        "ferminet baseline --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --method {wildcards.method}"
        " --reference {wildcards.reference} --basis {params.basis:q} --out {output:q} --log {log:q}"
