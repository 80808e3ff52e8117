"""The inspection stage: local energies, cusps and isotropy of a trained wavefunction."""

from pathlib import Path

import pandas as pd

from ferminet.benchmark.records import write_table
from ferminet.config import RunConfig
from ferminet.runtime.progress import Progress
from ferminet.stages.runs import run_name
from ferminet.stages.wavefunction import load_frozen
from ferminet.systems.elements import is_s_state
from ferminet.vmc import inspection


def run_inspect(run: RunConfig, trained: Path, out: Path) -> None:
    """Inspect the averaged parameters, which give the energy too.

    The file has one row per bin (`inspection.distribution`) and one per number, which has a unit in
    its name: `value`, `error`, for a slope also the middle half of the walkers from `low` to
    `high`, and `exact` where that is known.
    """
    frozen = load_frozen(run, trained, run.inspect.iterations)
    problem, molecule = frozen.problem, run.molecule
    progress = Progress(f"inspect {run_name(run)}", run.inspect.iterations)
    samples = inspection.sample(frozen, progress)
    slopes = inspection.slopes(problem, frozen.params, samples.electrons)
    numbers = inspection.energy_numbers(samples.energy)
    numbers += inspection.cusp_numbers(slopes, molecule.symbols, molecule.charges)
    if molecule.kind == "atom":
        s_state = is_s_state(molecule.n_electrons)
        numbers += inspection.quadrupole_numbers(samples.quadrupole, s_state)
    table = pd.concat([inspection.distribution(samples), pd.DataFrame(numbers)], ignore_index=True)
    table = table.assign(walkers=samples.energy.shape[1], iterations=len(samples.energy))
    write_table(out, table)
    variance = numbers[1]
    progress.log(f"variance of the local energy {variance['value']:.3g} hartree²")
