# A run: pretraining, training, evaluation. `reads` holds the part of the configuration that the stage reads,
# so a change elsewhere repeats nothing. Checkpoints are a parameter and not an output, because Snakemake
# deletes the outputs of a failed job.


# A wavefunction from outside the package must satisfy the contract before any run uses it.
rule check_ansatz:
    input:
        plugin=lambda wildcards: plugin_file(checked_of(wildcards).ansatz.build) or [],
    output:
        layout.CHECK,
    log:
        "results/{study}/logs/check_ansatz/{ansatz}-{ansatz_hash}.log",
    priority: 1000
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=more_memory(4000),
        runtime=60,
    params:
        target=lambda wildcards: checked_of(wildcards).ansatz.build,
        options=lambda wildcards: canonical(checked_of(wildcards).ansatz.options),
    message:
        "Checking the wavefunction {wildcards.ansatz}: {params.target}"
    shell:
        "ferminet check-ansatz {params.target:q} --options {params.options:q} --out {output:q}"
        " --log {log:q}"


rule pretrain:
    input:
        scf=scf_file,
        plugin=PLUGIN,
        check=CHECK,
    output:
        layout.PRETRAINED,
    log:
        "results/{study}/logs/pretrain/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/pretrain/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.jsonl"
    priority: longest_first
    group:
        PACKED
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=more_memory(4000),
        runtime=run_minutes("pretrain", 120),
    params:
        study=STUDY_FILE,
        reads=run_params("pretrain"),
    message:
        "Pretraining {wildcards.system} {wildcards.geometry} {wildcards.ansatz} seed {wildcards.seed}:"
        " {predicted:pretrain/{wildcards.config_hash}}; allowed {resources.runtime} minutes"
    shell:
        "ferminet pretrain --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --ansatz {wildcards.ansatz} --seed {wildcards.seed}"
        " --expect-hash {wildcards.config_hash} --scf {input.scf:q}"
        # As a parameter it would repeat old runs.
        f" --checkpoint-dir {as_wildcards(layout.PRETRAIN_NOTES)}"
        " --out {output:q} --log {log:q}"


rule train:
    input:
        initial=layout.PRETRAINED,
        plugin=PLUGIN,
        optimizer=OPTIMIZER,
    output:
        trained=layout.TRAINED,
        history=layout.HISTORY,
    log:
        "results/{study}/logs/train/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/train/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.jsonl"
    wildcard_constraints:
        config_hash=rf"(?!{SPLIT})[0-9a-f]{{8}}" if SPLIT else "[0-9a-f]{8}",
    priority: longest_first
    group:
        PACKED
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=run_memory(8000),
        runtime=run_minutes("train", 1440),
    params:
        study=STUDY_FILE,
        reads=run_params("train"),
        checkpoints=layout.CHECKPOINTS,
    message:
        "Training {wildcards.system} {wildcards.geometry} {wildcards.ansatz} seed {wildcards.seed}:"
        " {predicted:train/{wildcards.config_hash}}; allowed {resources.runtime} minutes"
    shell:
        "ferminet train --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --ansatz {wildcards.ansatz} --seed {wildcards.seed}"
        " --expect-hash {wildcards.config_hash} --initial {input.initial:q}"
        " --checkpoint-dir {params.checkpoints:q} --out {output.trained:q} --history {output.history:q}"
        " --log {log:q}"
        f"{WITHIN}"


# Only for systems with `train: {shared: true}`: one geometry of the training of a curve.
rule split:
    input:
        trained=shared_file(layout.TRAINED),
        histories=shared_file(layout.HISTORY),
    output:
        trained=layout.TRAINED,
        history=layout.HISTORY,
    log:
        "results/{study}/logs/split/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.log",
    wildcard_constraints:
        config_hash=SPLIT or "none",
    priority: longest_first
    group:
        PACKED
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=more_memory(2000),
        runtime=30,
    params:
        study=STUDY_FILE,
        reads=run_params("split"),
    message:
        "Taking {wildcards.geometry} from the shared training of {wildcards.system} {wildcards.ansatz}"
        " seed {wildcards.seed}"
    shell:
        "ferminet split --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --ansatz {wildcards.ansatz} --seed {wildcards.seed}"
        " --expect-hash {wildcards.config_hash} --trained {input.trained:q}"
        " --histories {input.histories:q} --out {output.trained:q} --history {output.history:q}"
        " --log {log:q}"


rule evaluate:
    input:
        trained=layout.TRAINED,
        plugin=PLUGIN,
    output:
        layout.ENERGY,
    log:
        "results/{study}/logs/evaluate/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/evaluate/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.jsonl"
    priority: longest_first
    group:
        PACKED
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=run_memory(8000),
        runtime=run_minutes("evaluate", 720),
    params:
        study=STUDY_FILE,
        reads=run_params("evaluate"),
        checkpoints=layout.EVALUATION_CHECKPOINTS,
    message:
        "Evaluating {wildcards.system} {wildcards.geometry} {wildcards.ansatz} seed {wildcards.seed}:"
        " {predicted:evaluate/{wildcards.config_hash}}; allowed {resources.runtime} minutes"
    shell:
        "ferminet evaluate --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --ansatz {wildcards.ansatz} --seed {wildcards.seed}"
        " --expect-hash {wildcards.config_hash} --trained {input.trained:q}"
        " --checkpoint-dir {params.checkpoints:q} --out {output:q} --log {log:q}"
        f"{WITHIN}"


# Only for systems in the study's block `density`; only its figure depends on it.
rule density:
    input:
        trained=layout.TRAINED,
        scf=scf_file,
        plugin=PLUGIN,
    output:
        layout.DENSITY,
    log:
        "results/{study}/logs/density/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/density/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.jsonl"
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=run_memory(8000),
        runtime=360,
    params:
        study=STUDY_FILE,
        reads=run_params("density"),
    message:
        "Density of {wildcards.system} {wildcards.geometry} {wildcards.ansatz} seed {wildcards.seed}"
    shell:
        "ferminet density --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --ansatz {wildcards.ansatz} --seed {wildcards.seed}"
        " --expect-hash {wildcards.config_hash} --trained {input.trained:q} --scf {input.scf:q}"
        " --out {output:q} --log {log:q}"


# Only for systems in the study's block `inspect`; only its table and figure depend on it.
rule inspect:
    input:
        trained=layout.TRAINED,
        plugin=PLUGIN,
    output:
        layout.INSPECTION,
    log:
        "results/{study}/logs/inspect/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.log",
    benchmark:
        "results/{study}/benchmarks/inspect/{system}-{geometry}-{ansatz}-{config_hash}-seed{seed}.jsonl"
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=run_memory(8000),
        runtime=360,
    params:
        study=STUDY_FILE,
        reads=run_params("inspect"),
    message:
        "Inspecting {wildcards.system} {wildcards.geometry} {wildcards.ansatz} seed {wildcards.seed}"
    shell:
        "ferminet inspect --config {params.study:q} --system {wildcards.system}"
        " --geometry {wildcards.geometry} --ansatz {wildcards.ansatz} --seed {wildcards.seed}"
        " --expect-hash {wildcards.config_hash} --trained {input.trained:q} --out {output:q}"
        " --log {log:q}"
