"""The commands that compute: each reads its configuration and calls one function of ``stages``."""

import argparse

from ferminet import stages
from ferminet.config import RunConfig, load_any_run, load_baseline, load_run, load_study
from ferminet.errors import InputError
from ferminet.layout import energy_files


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
    stages.run_scf(run, options.out, log=options.log_stream)


def pretrain(options: argparse.Namespace) -> None:
    """Matches the network's orbitals to them."""
    run = _load_run(options)
    stages.run_pretrain(run, options.scf, options.out, log=options.log_stream)


def train(options: argparse.Namespace) -> None:
    """Minimises the energy, or goes on with that."""
    run = _load_run(options)
    stages.run_train(
        run,
        options.initial,
        options.checkpoint_dir,
        options.out,
        options.history,
        log=options.log_stream,
    )


def evaluate(options: argparse.Namespace) -> None:
    """Measures the energy of the trained wavefunction: one row."""
    run = _load_run(options)
    stages.run_evaluate(
        run, options.trained, options.checkpoint_dir, options.out, log=options.log_stream
    )


def baseline(options: argparse.Namespace) -> None:
    """Does one conventional calculation: one row."""
    config = load_baseline(
        options.config,
        system=options.system,
        geometry=options.geometry,
        method=options.method,
        basis=options.basis,
        reference=options.reference,
    )
    stages.run_baseline(config, options.out, log=options.log_stream)


def collect(options: argparse.Namespace) -> None:
    """Joins rows into one file."""
    paths = list(options.rows)
    if options.config is not None:
        paths += energy_files(load_study(options.config))
    if not paths:
        raise InputError("nothing to collect: name files of rows, or a study with --config.")
    stages.collect(paths, options.out)


def tables(options: argparse.Namespace) -> None:
    """Writes tables from the energies alone."""
    stages.tables(options.energies, options.out_dir, only=options.only)


def figures(options: argparse.Namespace) -> None:
    """Draws figures from the energies and the training histories."""
    study = load_study(options.config)
    stages.figures(study, options.energies, options.out_dir, only=options.only)


def report(options: argparse.Namespace) -> None:
    """Writes the page."""
    stages.report(load_study(options.config), options.energies, options.out)
