"""The commands that compute: each reads its configuration and calls one function.

JAX and PySCF are imported after the configuration is read, so that bad input is told at once.
"""

import argparse
import os
import shlex
from pathlib import Path
from typing import Any

from ferminet.config import RunConfig, load_any_run, load_baseline, load_limit, load_run, load_study
from ferminet.config.layout import (
    BASELINE,
    ENERGY,
    LIMIT,
    baseline_fields,
    energy_files,
    limit_fields,
    member_files,
    run_fields,
)
from ferminet.config.study import references_directory
from ferminet.errors import InputError
from ferminet.runtime.interrupts import TimeLimit
from ferminet.stages.failures import noted

# Options that say how a command is run and not what it computes.
_NOT_REPEATED = ("command", "name", "log", "log_stream", "retry_failed", "time_limit_minutes")


def command_line(options: argparse.Namespace, place: str) -> str:
    """The command that makes a row again, quoted for a shell, its paths seen from here.

    Args:
        options: of the command that computes the row now.
        place: where the row lies in the study's results. If it is written there, the command is the
            workflow's, which also makes what the row is computed from.
    """
    config, out = Path(options.config), os.path.relpath(options.out)
    if config.suffix == ".yaml" and out == os.path.normpath(place):
        # The file before --configfile, which takes all words that follow it for studies.
        words = ["snakemake", "--cores", "2", out, "--configfile", os.path.relpath(config)]
        return shlex.join(words)
    words = ["ferminet", options.name]
    for name, value in vars(options).items():
        if name not in _NOT_REPEATED and value not in (None, False, []) and name != "rows":
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [_word(value)])]
    return shlex.join([*words, *map(_word, getattr(options, "rows", []))])


def _word(value: Any) -> str:
    return os.path.relpath(value) if isinstance(value, Path) else str(value)


def _load_run(options: argparse.Namespace) -> RunConfig:
    run = load_run(
        options.config,
        system=options.system,
        geometry=options.geometry,
        ansatz=options.ansatz,
        seed=options.seed,
    )
    if options.expect_hash is not None and options.expect_hash != run.config_hash():
        raise InputError(
            f"{options.config} now describes another run ({run.config_hash()}) than the one "
            f"asked for ({options.expect_hash}); start the workflow again to compute the new one."
        )
    return run


def scf(options: argparse.Namespace) -> None:
    """Computes the orbitals that pretraining matches."""
    run = load_any_run(options.config, system=options.system, geometry=options.geometry)
    from ferminet.stages import chemistry as stages_chemistry

    stages_chemistry.run_scf(run, options.out, log=options.log_stream)


def pretrain(options: argparse.Namespace) -> None:
    """Matches the network's orbitals to them."""
    run = _load_run(options)
    files = [options.scf, options.out]
    with noted(run, options.checkpoint_dir, files, options.retry_failed):
        from ferminet.stages import runs as stages

        stages.run_pretrain(run, options.scf, options.out, log=options.log_stream)


def train(options: argparse.Namespace) -> None:
    """Minimises the energy, or goes on with that."""
    limit = TimeLimit(options.time_limit_minutes)
    run = _load_run(options)
    files = [options.initial, options.out, options.history]
    with noted(run, options.checkpoint_dir, files, options.retry_failed):
        from ferminet.stages import runs as stages

        stages.run_train(
            run,
            options.initial,
            options.checkpoint_dir,
            options.out,
            options.history,
            log=options.log_stream,
            limit=limit,
        )


def evaluate(options: argparse.Namespace) -> None:
    """Measures the energy of the trained wavefunction: one row."""
    limit = TimeLimit(options.time_limit_minutes)
    run = _load_run(options)
    command = command_line(options, ENERGY.format(**run_fields(run)))
    files = [options.trained, options.out, *sorted(references_directory().glob("*.csv"))]
    with noted(run, options.checkpoint_dir, files, options.retry_failed):
        from ferminet.stages import runs as stages

        stages.run_evaluate(
            run,
            options.trained,
            options.checkpoint_dir,
            options.out,
            log=options.log_stream,
            command=command,
            limit=limit,
        )


def density(options: argparse.Namespace) -> None:
    """Measures the one-electron density of the trained wavefunction, beside Hartree-Fock's."""
    run = _load_run(options)
    from ferminet.stages import density as stages_density

    stages_density.run_density(
        run, options.trained, options.scf, options.out, log=options.log_stream
    )


def baseline(options: argparse.Namespace) -> None:
    """Does one conventional calculation: its row, for ccsd_t those of MP2 and CCSD too."""
    config = load_baseline(
        options.config,
        system=options.system,
        geometry=options.geometry,
        method=options.method,
        basis=options.basis,
        reference=options.reference,
    )
    command = command_line(options, BASELINE.format(**baseline_fields(config)))
    from ferminet.stages import chemistry as stages_chemistry

    stages_chemistry.run_baseline(
        config,
        options.out,
        log=options.log_stream,
        memory_mb=options.memory_mb,
        command=command,
    )


def limit(options: argparse.Namespace) -> None:
    """Extrapolates finished calculations to the basis-set limit."""
    config = load_limit(
        options.config,
        system=options.system,
        geometry=options.geometry,
        protocol=options.protocol,
    )
    files = options.rows or _computed(member_files(config), options.config)
    command = command_line(options, LIMIT.format(**limit_fields(config)))
    from ferminet.stages import limits as stages_limits

    stages_limits.run_limit(config, files, options.out, log=options.log_stream, command=command)


def collect(options: argparse.Namespace) -> None:
    """Joins rows into one file."""
    paths = list(options.rows)
    if options.unfinished:
        _collect_so_far(options)
        return
    if options.part is not None and options.config is None:
        raise InputError("--part goes with --config STUDY.")
    if options.config is not None:
        paths += _computed(energy_files(load_study(options.config), options.part), options.config)
    if not paths:
        raise InputError("nothing to collect: name files of rows, or a study with --config.")
    from ferminet.stages import results

    results.collect(paths, options.out)


def _collect_so_far(options: argparse.Namespace) -> None:
    if options.config is None or options.rows:
        raise InputError("--unfinished goes with --config STUDY and without files of rows.")
    study = load_study(options.config)
    from ferminet.stages import results

    finished, partial, missing = results.collect_so_far(study, options.out, options.part)
    print(
        f"{options.out}: {finished} finished rows, {partial} of unfinished runs, {missing} "
        "calculations without any."
    )


def _computed(paths: list[Path], study: Path) -> list[Path]:
    """The same files, refused if some are not there yet."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        command = f"snakemake --cores 2 --configfile {shlex.quote(str(study))}"
        raise InputError(
            f"{len(missing)} of {len(paths)} energies of {study} are not computed yet, "
            f"{missing[0]} for one; `{command}` computes them."
        )
    return paths


def tables(options: argparse.Namespace) -> None:
    """Writes tables from the energies alone, or shows the main ones."""
    from ferminet.stages import results

    if options.show:
        print(results.summary(options.energies, options.published))
    else:
        only = _without(options.only, "table_")
        results.write_tables(options.energies, options.out_dir, only, options.published)


def figures(options: argparse.Namespace) -> None:
    """Draws figures from the energies and the training histories."""
    study = load_study(options.config)
    from ferminet.stages import results

    results.write_figures(
        study, options.energies, options.out_dir, only=_without(options.only, "figure_")
    )


def report(options: argparse.Namespace) -> None:
    """Writes the page."""
    study = load_study(options.config)
    from ferminet.stages import results

    results.write_report(study, options.energies, options.out)


def bless(options: argparse.Namespace) -> None:
    """Copies rows into a published suite."""
    if options.energies is None and not options.remove:
        raise InputError(
            "nothing to do: name rows with --energies, or published ones with --remove."
        )
    from ferminet.benchmark.publishing import publish

    publish.bless(options.energies, options.suite, options.only, options.remove, options.dry_run)


def verify(options: argparse.Namespace) -> None:
    """Recomputes the hashes of published suites."""
    from ferminet.benchmark.publishing import publish

    publish.verify(options.suites)


def _without(name: str | None, prefix: str) -> str | None:
    """A table or figure by its own name or by that of the workflow's target."""
    return name.removeprefix(prefix) if name else name
