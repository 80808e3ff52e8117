"""The forty-eight cases of bad input and machine failures, and what the user sees of each.

Cases that a command line shows have their files, the command, its exit code and its sentence
here, and `tests/cli/test_reliability.py` runs them. The others name the tests that show them.
`python -m tests.helpers.reliability --write` writes the table of docs/reference/failure-cases.md.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "failure-cases.md"
BEGIN, END = "<!-- made by python -m tests.helpers.reliability --write -->\n", "<!-- end -->\n"

MOLECULE = """\
name: mine
title: lithium hydride
kind: molecule
unit: bohr
atoms: [[Li, [0.0, 0.0, 0.0]], [H, [0.0, 0.0, 3.015]]]
charge: 0
unpaired_electrons: 0
source: a test
"""
STUDY = "seeds: [1]\nsystems: [{path: mine.yaml}]\n"
WATER = "3\nwater\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"
RESOLVE = "resolve --config study.yaml"
XYZ = "molecules water.xyz --charge 0 --unpaired-electrons 0"


@dataclass(frozen=True)
class Case:
    """A command that shows a case.

    Attributes:
        number: 1 to 48.
        title: what is wrong.
        sentence: a part of what is printed.
        command: arguments of ``ferminet``.
        code: its exit code.
        replaced: of the study, the molecule or the xyz file, (old, new).
        files: further files, name and text.
    """

    number: int
    title: str
    sentence: str
    command: str = RESOLVE
    code: int = 2
    replaced: tuple[str, str] | None = None
    files: dict[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        """All input files of the case."""
        texts = {"study.yaml": STUDY, "mine.yaml": MOLECULE, "water.xyz": WATER} | self.files
        if self.replaced is None:
            return texts
        old, new = self.replaced
        (name,) = [name for name, text in texts.items() if text.count(old) == 1]
        return texts | {name: texts[name].replace(old, new)}


@dataclass(frozen=True)
class Shown:
    """A case that takes a run or a machine: what is promised, and the tests that show it."""

    number: int
    title: str
    promise: str
    tests: tuple[str, ...]


CASES = (
    Case(1, "malformed xyz file", ":1: the number of nuclei is 4, but 3 lines", XYZ,
         replaced=("3\nwater", "4\nwater")),
    Case(1, "text for a number", "water.xyz:4: word 3 is a finite number", XYZ,
         replaced=("H 0 0.7572", "H 0 0,7572")),
    Case(2, "empty geometry", "atoms is []; it must have at least 1 item",
         replaced=("[[Li, [0.0, 0.0, 0.0]], [H, [0.0, 0.0, 3.015]]]", "[]")),
    Case(2, "empty file", ":1: an xyz file starts with the number of nuclei", XYZ,
         replaced=(WATER, "")),
    Case(3, "unknown element", "unknown element 'Lx'; did you mean", replaced=("Li,", "Lx,")),
    Case(4, "an element in lower case", '"symbols"', code=0, replaced=("Li,", "li,")),
    Case(4, "an element by its number", "given by its number; write Li", replaced=("Li,", "3,")),
    Case(5, "ghost atom", "ghost or dummy", replaced=("H, [", "X, [")),
    Case(5, "isotope", "'D' is an isotope", replaced=("H, [", "D, [")),
    Case(6, "coincident nuclei", "nuclei 1 (Li) and 2 (H) coincide", replaced=("3.015", "0.0")),
    Case(7, "angstrom read as bohr", "allow_close", replaced=("3.015", "1.595")),
    Case(8, "NaN", "atoms[1][1][2] is nan; it must be a finite number", replaced=("3.015", ".nan")),
    Case(9, "no unit", "the key unit is missing; add `unit: bohr`", replaced=("unit: bohr\n", "")),
    Case(9, "unknown unit", "unit is 'a.u.'; it must be bohr or angstrom",
         replaced=("unit: bohr", "unit: a.u.")),
    Case(10, "two coordinates", "atoms[1][1][2] is missing", replaced=("0.0, 3.015", "3.015")),
    Case(11, "electrons and spin that do not fit", "allowed are 0, 2, 4",
         replaced=("unpaired_electrons: 0", "unpaired_electrons: 1")),
    Case(12, "more unpaired electrons than electrons", "unpaired_electrons 6 is impossible",
         replaced=("unpaired_electrons: 0", "unpaired_electrons: 6")),
    Case(13, "multiplicity", "write unpaired_electrons: 2",
         replaced=("unpaired_electrons: 0", "multiplicity: 3")),
    Case(13, "spin below zero", "unpaired_electrons -2 is impossible",
         replaced=("unpaired_electrons: 0", "unpaired_electrons: -2")),
    Case(14, "no electron left", "charge 4 leaves 0 electrons",
         replaced=("charge: 0", "charge: 4")),
    Case(15, "a charged molecule", '"charge": 1', code=0,
         replaced=("charge: 0\nunpaired_electrons: 0", "charge: 1\nunpaired_electrons: 1")),
    Shown(16, "where walkers start", "around the nuclei, as many electrons as each has charge",
          ("tests/vmc/test_sampling.py::"
           "test_each_nucleus_starts_with_the_right_number_of_electrons",)),
    Shown(17, "molecules of unequal spins", "walkers start in every arrangement of the spins",
          ("tests/vmc/test_sampling.py::test_walkers_start_in_every_arrangement_of_the_spins",)),
    Case(18, "electrons counted by hand", "unknown key electrons; did you mean",
         replaced=("charge: 0", "charge: 0\nelectrons: 5")),
    Case(19, "zero determinants", "determinants", replaced=(
        "seeds: [1]", "seeds: [1]\nansatz: {ferminet: {options: {determinants: 0}}}")),
    Case(19, "a fraction of a walker", "sampler.walkers is 16.0; it must be a whole number",
         replaced=("seeds: [1]", "seeds: [1]\nsampler: {walkers: 16.0}")),
    Case(19, "a negative number of walkers", "sampler.walkers is -4; it must be at least 2",
         replaced=("seeds: [1]", "seeds: [1]\nsampler: {walkers: -4}")),
    Shown(20, "one electron", "its correlation energy is zero, and it has no percentage",
          ("tests/chemistry/test_coupled_cluster.py::test_one_electron_has_no_correlation",
           "tests/benchmark/test_estimates.py::test_no_percentage_where_it_means_nothing")),
    Case(21, "misspelt key", "unknown key samplr; did you mean sampler?",
         replaced=("seeds: [1]", "seeds: [1]\nsamplr: {}")),
    Case(21, "misspelt key of a block", "did you mean walkers?",
         replaced=("seeds: [1]", "seeds: [1]\nsampler: {walker: 8}")),
    Case(21, "a missing file", "other.yaml: cannot be read from",
         replaced=("mine.yaml}", "other.yaml}")),
    Case(22, "text for a number", "seeds[0] is '1'; it must be a whole number",
         replaced=("seeds: [1]", "seeds: ['1']")),
    Case(22, "a duplicate key", "the key 'seeds' is given twice",
         replaced=("seeds: [1]", "seeds: [1]\nseeds: [2]")),
    Case(23, "unknown basis", "did you mean cc-pv",
         replaced=("seeds: [1]", "seeds: [1]\nscf: {basis: cc-pvxz}")),
    Case(24, "names that differ by case", "is given twice (or differs by case alone",
         replaced=("[{path: mine.yaml}]", "[{path: mine.yaml}, {path: other.yaml}]"),
         files={"other.yaml": MOLECULE.replace("name: mine", "name: Mine")
                              .replace("lithium hydride", "the other")}),
    Shown(25, "checkpoints of other settings", "refused with the settings that differ; longer "
          "training and other checkpoint intervals are the same run",
          ("tests/runtime/test_checkpoint.py::test_the_refusal_names_the_settings_that_differ",
           "tests/workflow/test_dag.py::test_longer_training_continues_the_same_runs")),
    Shown(26, "code or packages that change during a run", "rows hold versions and commit of the "
          "evaluation and of each segment of training; another method version is another run with "
          "another hash",
          ("tests/runtime/test_provenance.py::test_a_row_lists_what_trained_its_wavefunction",
           "tests/stages/test_training.py::"
           "test_a_changed_environment_is_reported_and_changes_no_digit",
           "tests/runtime/test_provenance.py::test_changes_of_the_code_make_a_tree_dirty")),
    Shown(27, "another number of devices", "the run continues; the row lists kind and number for "
          "each segment of training",
          ("tests/vmc/test_devices.py::test_the_number_of_devices_changes_only_rounding",
           "tests/vmc/test_devices.py::test_a_run_resumed_on_other_devices_reports_it",
           "tests/runtime/test_provenance.py::test_a_row_lists_what_trained_its_wavefunction")),
    Shown(28, "products in TF32", "detected at the start and refused",
          ("tests/vmc/test_precision.py::test_products_rounded_to_tf32_are_refused",)),
    Shown(29, "rows of another schema", "newer schemas are refused with their version",
          ("tests/benchmark/test_records.py::test_schemas_that_do_not_fit_are_refused",)),
    Shown(30, "mixed rows", "duplicate keys are refused; rows of different settings are never "
          "averaged",
          ("tests/benchmark/test_records.py::"
           "test_duplicate_keys_are_refused_with_the_key_and_the_files",
           "tests/benchmark/tables/test_systems.py::"
           "test_two_wavefunctions_or_settings_are_never_averaged")),
    Shown(31, "no reference energy", "a dash with its reason, never 0 %",
          ("tests/benchmark/tables/test_systems.py::"
           "test_a_system_without_any_reference_still_has_a_line",
           "tests/benchmark/test_estimates.py::test_no_percentage_where_it_means_nothing")),
    Shown(32, "energies that are not finite in training", "exit 3, and a finite checkpoint remains",
          ("tests/stages/test_training.py::"
           "test_energies_that_are_not_finite_end_the_run_with_a_finite_checkpoint",
           "tests/stages/test_training.py::test_parameters_that_are_not_finite_never_reach_a_checkpoint")),
    Shown(33, "an energy that is not finite in an evaluation", "exit 3; they are counted and no "
          "energy is written",
          ("tests/stages/test_evaluation.py::test_energies_that_are_not_finite_are_refused",)),
    Shown(34, "walkers that are stuck", "the row is flagged with the reason",
          ("tests/benchmark/test_diagnostics.py::test_each_doubt_is_named",
           "tests/vmc/test_statistics.py::test_split_r_hat_detects_stuck_walkers")),
    Shown(35, "Hartree-Fock that does not converge", "exit 3, and no job that depends on it runs",
          ("tests/chemistry/test_scf.py::test_no_convergence_is_refused",)),
    Shown(36, "Hartree-Fock at a saddle point", "its stability is analysed and the solution "
          "followed downhill",
          ("tests/chemistry/test_scf.py::"
           "test_stability_sees_that_equal_spin_orbitals_are_no_minimum",)),
    Shown(37, "coupled cluster that does not converge", "a row without energy, with the reason",
          ("tests/chemistry/test_coupled_cluster.py::"
           "test_unconverged_coupled_cluster_is_no_number",)),
    Shown(38, "(T) beyond memory or disk", "predicted and refused before it starts; scratch files "
          "are removed",
          ("tests/chemistry/test_resources.py::test_little_memory_costs_time_and_no_digit",
           "tests/chemistry/test_resources.py::test_a_write_that_really_fails_is_understood")),
    Shown(39, "an energy below the exact one", "is kept and marked as suspicious",
          ("tests/benchmark/test_diagnostics.py::"
           "test_suspicious_is_more_than_four_combined_errors_below",)),
    Case(40, "no GPU where one is required", "The study has require_gpu: true, but JAX computes on",
         "pretrain --config study.yaml --scf none --out start.safetensors", code=4,
         replaced=("seeds: [1]", "seeds: [1]\nrequire_gpu: true")),
    Shown(41, "too little memory on a GPU", "walkers are processed in chunks whose size is "
          "chosen beforehand and changes no energy; exit 4 where memory is not enough",
          ("tests/vmc/test_hamiltonian.py::test_chunks_do_not_change_the_energies",
           "tests/cli/test_exit_codes.py::test_too_little_memory_is_a_missing_resource")),
    Shown(42, "SIGTERM, SIGUSR1", "saved at the next iteration, exit 75; a second signal "
          "ends the process at once",
          ("tests/faults/test_kill.py::test_a_training_that_is_stopped_saves_and_reports_it",
           "tests/runtime/test_interrupts.py::test_a_second_signal_ends_the_process_unless_it_is_an_echo_or_a_warning")),
    Shown(43, "SIGKILL at any moment", "a continued run ends like an undisturbed one, bit for bit",
          ("tests/faults/test_kill.py::test_a_run_killed_eight_times_ends_bit_identical",
           "tests/faults/test_kill.py::test_two_hundred_kills")),
    Shown(44, "a truncated or altered checkpoint", "is set aside, and the previous one is "
          "used; exit 5 if there is none; never a silent start from scratch",
          ("tests/runtime/test_checkpoint.py::test_a_corrupt_newest_falls_back_and_is_set_aside",
           "tests/runtime/test_checkpoint.py::test_all_corrupt_is_refused_again_and_again",
           "tests/faults/test_storage.py::test_a_byte_anywhere_in_the_newest_checkpoint")),
    Shown(45, "a full or read-only disk", "exit 4, old files stay complete; the run continues when "
          "there is room. If only the log is affected, the result is complete",
          ("tests/faults/test_storage.py::test_a_full_disk_stops_a_training_that_continues_later",
           "tests/faults/test_storage.py::test_a_read_only_file_system_is_reported",
           "tests/faults/test_storage.py::test_a_full_disk_of_logs_costs_no_result",
           "tests/cli/test_output.py::test_a_result_that_does_not_fit_is_no_success",
           "tests/cli/test_exit_codes.py::test_errors_of_the_operating_system_name_file_and_line",
           "tests/runtime/test_checkpoint.py::test_a_write_that_fails_leaves_the_old_file")),
    Shown(46, "two commands on one run", "the second ends with exit 4 and names the first",
          ("tests/runtime/test_run_lock.py::test_a_directory_has_one_process_at_a_time",
           "tests/runtime/test_run_lock.py::test_an_owner_on_another_host_is_taken_over_if_its_counter_stands_still")),
    Shown(47, "a clock that jumps", "checkpoints are ordered by iteration, durations use a clock "
          "that does not jump, seeds never come from the clock",
          ("tests/runtime/test_checkpoint.py::test_order_is_that_of_numbers_and_not_of_names_or_times",)),
    Shown(48, "Snakemake killed", "no output is half written; a new start continues",
          ("tests/faults/test_kill.py::test_two_hundred_kills",
           "tests/slurm/test_interruptions.py::test_the_head_is_killed_and_started_again")),
)  # fmt: skip


def table() -> str:
    """Return the cases as Markdown."""
    lines = ["| | case | what happens |", "|---|---|---|"]
    for case in CASES:
        if isinstance(case, Case):
            happens = f"exit {case.code}: … {case.sentence} …" if case.code else "is accepted"
        else:
            happens = case.promise
        lines.append(f"| {case.number} | {case.title} | {happens} |")
    return "\n".join(lines) + "\n"


def document() -> str:
    """Return docs/reference/failure-cases.md with this table in its place."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    DOCUMENT.write_text(document())
