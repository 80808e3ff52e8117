# Entry point of the workflow. `snakemake --cores 2` computes the study "quickstart";
# `--configfile workflow/config/NAME.yaml` selects another. Each rule is one command of the package, which
# you can copy from the log and run without Snakemake.
from snakemake.utils import min_version

min_version("9.20")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/screen.smk"
include: "workflow/rules/chemistry.smk"
include: "workflow/rules/vmc.smk"
include: "workflow/rules/results.smk"


onstart:
    if workflow.executor_plugin.name == "slurm":
        patch_status_query()
        validate_submissions()
    cost = study_cost(STUDY, DEVICE)
    logger.info(
        f"Left to do in {STUDY.name}: {summary(cost)}. `ferminet cost --config"
        f" {STUDY_FILE}` lists it."
    )
    # Show which differences the planned seeds can detect, before they are trained.
    if BASELINE_SUITE is not None:
        shell(PLAN_COMMAND)
    start_screen(cost)


rule all:
    default_target: True
    input:
        rules.report.output,
        # Listed explicitly so that deleted results are made again.
        layout.ENERGIES.format(study=STUDY.name),
        targets.table_files(STUDY),
        targets.figure_files(STUDY),
        layout.trained_files(STUDY),
        list(layout.density_files(STUDY)),
        list(layout.inspection_files(STUDY)),
        layout.comparison_files(STUDY),
