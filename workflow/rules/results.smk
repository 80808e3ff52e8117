# From rows to one file of energies, tables, figures and the report. Each table and each figure has its own
# rule, for example table_atoms or figure_training, which is also a target on the command line.


rule collect:
    input:
        layout.energy_files(STUDY),
    output:
        layout.ENERGIES.format(study=STUDY.name),
    log:
        f"results/{STUDY.name}/logs/collect.log",
    benchmark:
        f"results/{STUDY.name}/benchmarks/collect.jsonl"
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=more_memory(2000),
        runtime=30,
    params:
        study=STUDY_FILE,
    message:
        "Collecting all energies"
    shell:
        "ferminet collect --config {params.study:q} --out {output:q} --log {log:q}"


# A table of some systems does not wait for others: table_atoms needs no molecule.
for part in targets.parts(STUDY):

    rule:
        name:
            f"collect_{part}"
        input:
            targets.energy_files(STUDY, part),
        output:
            layout.PART.format(study=STUDY.name, part=part),
        log:
            f"results/{STUDY.name}/logs/collect_{part}.log",
        benchmark:
            f"results/{STUDY.name}/benchmarks/collect_{part}.jsonl"
        conda:
            "../envs/ferminet.yaml"
        threads: 1
        resources:
            mem_mb=more_memory(2000),
            runtime=30,
        params:
            study=STUDY_FILE,
            part=part,
        message:
            "Collecting the energies of {params.part}"
        shell:
            "ferminet collect --config {params.study:q} --part {params.part} --out {output:q}"
            " --log {log:q}"


for table in targets.tables(STUDY):

    rule:
        name:
            f"table_{table.name}"
        input:
            energies=targets.rows_file(STUDY, table),
            data=layout.data_files(STUDY, table.entry.reads),
            published=PUBLISHED,
        output:
            md=layout.TABLE.format(study=STUDY.name, table=table.name, format="md"),
            csv=report(
                layout.TABLE.format(study=STUDY.name, table=table.name, format="csv"),
                category="Tables",
                caption="../report/caption.rst",
                labels={"table": table.name},
            ),
            tex=layout.TABLE.format(study=STUDY.name, table=table.name, format="tex"),
            parquet=layout.TABLE.format(
                study=STUDY.name, table=table.name, format="parquet"
            ),
        log:
            f"results/{STUDY.name}/logs/table_{table.name}.log",
        benchmark:
            f"results/{STUDY.name}/benchmarks/table_{table.name}.jsonl"
        conda:
            "../envs/ferminet.yaml"
        threads: 1
        resources:
            mem_mb=more_memory(2000),
            runtime=30,
        params:
            folder=subpath(output.md, parent=True),
            table=table.name,
            published=["--published", *PUBLISHED] if PUBLISHED else [],
        message:
            "Table {params.table}"
        shell:
            "ferminet tables --energies {input.energies:q} --only {params.table}"
            " --out-dir {params.folder:q} --log {log:q} {params.published:q}"


for figure in targets.figures(STUDY):

    rule:
        name:
            f"figure_{figure.name}"
        input:
            energies=targets.rows_file(STUDY, figure),
            data=layout.data_files(STUDY, figure.entry.reads),
        output:
            [
                (
                    report(
                        layout.FIGURE.format(
                            study=STUDY.name, figure=figure.name, format=format
                        ),
                        category="Figures",
                        caption="../report/caption.rst",
                        labels={"figure": figure.name},
                    )
                    if format == STUDY.plots.formats[0]
                    else layout.FIGURE.format(
                        study=STUDY.name, figure=figure.name, format=format
                    )
                )
                for format in STUDY.plots.formats
            ],
        log:
            f"results/{STUDY.name}/logs/figure_{figure.name}.log",
        benchmark:
            f"results/{STUDY.name}/benchmarks/figure_{figure.name}.jsonl"
        conda:
            "../envs/ferminet.yaml"
        threads: 1
        resources:
            mem_mb=more_memory(2000),
            runtime=30,
        params:
            study=STUDY_FILE,
            folder=subpath(output[0], parent=True),
            figure=figure.name,
            reads=STUDY.plots.model_dump_json(),
        message:
            "Figure {params.figure}"
        shell:
            "ferminet figures --config {params.study:q} --energies {input.energies:q}"
            " --only {params.figure} --out-dir {params.folder:q} --log {log:q}"


rule report:
    input:
        energies=rules.collect.output,
        tables=targets.table_files(STUDY),
        figures=targets.figure_files(STUDY),
        published=PUBLISHED,
    output:
        page=layout.REPORT.format(study=STUDY.name),
    log:
        f"results/{STUDY.name}/logs/report.log",
    benchmark:
        f"results/{STUDY.name}/benchmarks/report.jsonl"
    conda:
        "../envs/ferminet.yaml"
    threads: 1
    resources:
        mem_mb=more_memory(2000),
        runtime=30,
    params:
        study=STUDY_FILE,
    message:
        "Report of the study"
    shell:
        "ferminet report --config {params.study:q} --energies {input.energies:q} --out {output.page:q}"
        " --log {log:q}"


# A verdict on each wavefunction of a study that names a control. Every verdict is written; run
# `ferminet compare` for its exit code.
if BASELINE_SUITE is not None:

    rule compare:
        input:
            energies=rules.collect.output,
            baseline=BASELINE_SUITE,
        output:
            md=report(
                layout.COMPARISON.format(
                    study=STUDY.name, ansatz="{ansatz}", format="md"
                ),
                category="Comparison",
                caption="../report/comparison.rst",
                labels={"ansatz": "{ansatz}"},
            ),
            others=[
                layout.COMPARISON.format(
                    study=STUDY.name, ansatz="{ansatz}", format=format
                )
                for format in layout.COMPARISON_FORMATS[1:]
            ],
        log:
            f"results/{STUDY.name}/logs/compare-{{ansatz}}.log",
        benchmark:
            f"results/{STUDY.name}/benchmarks/compare-{{ansatz}}.jsonl"
        conda:
            "../envs/ferminet.yaml"
        threads: 1
        resources:
            mem_mb=more_memory(2000),
            runtime=30,
        params:
            folder=subpath(output.md, parent=True),
            against=COMPARE_OPTIONS,
        message:
            "Comparing {wildcards.ansatz} with {input.baseline}"
        shell:
            "ferminet compare {input.energies:q} {input.baseline:q} --ansatz {wildcards.ansatz}"
            " --out-dir {params.folder:q} --always-succeed --log {log:q} {params.against:q}"


rule regression:
    input:
        verdicts,
        # Listed explicitly so that a deleted file is made again.
        layout.ENERGIES.format(study=STUDY.name),


# Matches names of tables and figures that this study does not have.
rule other_table_or_figure:
    input:
        no_such_target,
    output:
        "{kind}_{name}",
    log:
        "{kind}_{name}.log",
    wildcard_constraints:
        kind="table|figure",
        name="[A-Za-z0-9_]+",
    conda:
        "../envs/ferminet.yaml"
    shell:
        "exit 2"
