# Hartree-Fock orbitals for pretraining, and conventional methods for comparison.


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
        mem_mb=more_memory(4000),
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
    priority: costliest_first
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=baseline_memory,
        runtime=baseline_minutes,
        disk_mb=baseline_disk,
        baseline_mb=baseline_memory,
    params:
        study=STUDY_FILE,
        basis=lambda wildcards: baseline_of(wildcards).basis,
        reads=lambda wildcards: baseline_of(wildcards).stage_params(),
    message:
        "{wildcards.method} of {wildcards.system} {wildcards.geometry} in {params.basis}: allowed"
        " {resources.runtime} minutes, {resources.mem_mb} MB of memory, {resources.disk_mb} MB of scratch"
    shell:
        "ferminet baseline --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --method {wildcards.method}"
        " --reference {wildcards.reference} --basis {params.basis:q} --memory-mb {resources.mem_mb}"
        " --out {output:q} --log {log:q}"


rule limit:
    input:
        lambda wildcards: layout.member_files(limit_of(wildcards)),
    output:
        layout.LIMIT,
    log:
        "results/{study}/logs/baselines/{system}-{geometry}-limit-{protocol}.log",
    benchmark:
        "results/{study}/benchmarks/baselines/{system}-{geometry}-limit-{protocol}.jsonl"
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=more_memory(1000),
        runtime=10,
    params:
        study=STUDY_FILE,
        reads=lambda wildcards: limit_of(wildcards).stage_params(),
    message:
        "Basis-set limit of {wildcards.system} {wildcards.geometry} by the protocol {wildcards.protocol}"
    shell:
        "ferminet limit --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --protocol {wildcards.protocol} --out {output:q} --log {log:q}"
        " {input:q}"
