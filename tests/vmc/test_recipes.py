"""Departures from a published recipe are computed, setting by setting."""

from pathlib import Path

import pytest

from ferminet.config import expand_runs, load_study
from ferminet.config.ablations import flat
from ferminet.vmc.recipes import deviations, recipes, setting_label, setting_text

# Not part of a recipe: the step size is adapted (see the choice "moves"), averaged parameters are a
# choice of the code, KFAC does not read SPRING's momentum, and plug-ins differ by their name.
NOT_COMPARED = {
    "sampler.step_size", "sampler.target_acceptance", "train.averaging", "optimizer.momentum",
    "optimizer.options",
}  # fmt: skip
PAPER, PAPER_JAX = recipes()["paper"], recipes()["paper-jax"]
STUDIES = Path(__file__).parents[2] / "workflow" / "config"


def settings_of(study: str, system: str) -> tuple[dict, int]:
    runs = expand_runs(load_study(STUDIES / f"{study}.yaml"))
    run = next(run for run in runs if run.system == system)
    return run.settings(), run.molecule.n_electrons


def departures(recipe, settings, system="LiH", n_electrons=4) -> list:
    return deviations(recipe, settings, system, n_electrons, "ferminet")


@pytest.mark.parametrize("system", ["H", "N2", "N2_curve", "methylamine", "ozone", "bicyclobutane"])
def test_the_paper_study_has_every_setting_of_the_paper(system: str) -> None:
    settings, n_electrons = settings_of("paper", system)
    assert [d for d in departures(PAPER, settings, system, n_electrons) if not d.fixed] == []


def test_only_the_iterations_of_paper_jax_are_not_the_releases() -> None:
    differ = [d for d in departures(PAPER_JAX, settings_of("paper-jax", "LiH")[0]) if not d.fixed]
    assert [str(d) for d in differ] == ["iterations 200000 (1000000)"]


def test_a_training_that_geometries_share_is_a_departure() -> None:
    settings, n_electrons = settings_of("paper", "H4")
    for recipe in (PAPER, PAPER_JAX):
        before = departures(recipe, settings, "H4", n_electrons)
        shared = {**settings, "train": {**settings["train"], "shared": True}}
        (new,) = (d for d in departures(recipe, shared, "H4", n_electrons) if d not in before)
        assert str(new) == "training shared by geometries yes (no)" and not new.fixed


def test_each_setting_alone_is_found_and_nothing_else() -> None:
    """Every setting that a row holds is compared, or is named as not compared."""
    settings, _ = settings_of("paper", "LiH")
    before = departures(PAPER, settings)
    compared = set(PAPER.settings_for("LiH", 4)) | {"build"} | NOT_COMPARED
    assert set(flat(settings)) <= compared, "a new setting belongs in the recipes"
    for key in sorted(set(PAPER.settings_for("LiH", 4)) & set(flat(settings))):
        block, _, name = key.rpartition(".")
        value = flat(settings)[key]
        other = (not value) if isinstance(value, bool) else "x" if isinstance(value, str) else 77
        changed = (
            {**settings, block: {**settings[block], name: other}}
            if block
            else {**settings, name: other}
        )
        new = [d for d in departures(PAPER, changed) if d not in before]
        assert [d.name for d in new] == [setting_label(key)], key
        assert not new[0].fixed and new[0].source
        lost = {d.name for d in before} - {d.name for d in departures(PAPER, changed)}
        # Choices about KFAC and anisotropic envelopes matter only there.
        expected = {
            "optimizer.name": {"centre of KFAC's curvature",
                               "curvature of the envelopes' weights"},
            "options.envelope": {"curvature of anisotropic envelopes"},
            "pretrain.method": {"pretraining schedule"},
        }  # fmt: skip
        assert lost == expected.get(key, set())


def test_the_recipe_has_the_network_of_the_paper() -> None:
    """Its table of hyperparameters; the paper has no Jastrow factor and no symmetrised features."""
    settings = PAPER.settings_for("LiH", 4)
    network = {key: value for key, (value, _) in settings.items() if key.startswith("options.")}
    assert network == {
        "options.layers": 4, "options.one_electron_width": 256, "options.two_electron_width": 32,
        "options.determinants": 16, "options.full_determinant": False,
        "options.envelope": "anisotropic", "options.jastrow": "none",
        "options.spin_symmetric": False, "options.rescale_inputs": False,
    }  # fmt: skip


def test_two_settings_of_the_paper_depend_on_the_system() -> None:
    """Above twenty electrons the rate is half; the published curve of N2 has 32 determinants."""
    settings, _ = settings_of("paper", "N2")
    at = lambda system, n: [str(d) for d in departures(PAPER, settings, system, n) if not d.fixed]  # noqa: E731
    assert at("N2", 14) == []
    assert at("N2_curve", 14) == ["determinants 16 (32)"]
    assert at("ozone", 24) == ["learning rate 0.0512 (0.0256)"]


def test_pretraining_walkers_default_to_those_of_the_sampler() -> None:
    settings, _ = settings_of("paper-jax", "LiH")
    assert settings["pretrain"]["walkers"] is None
    few = {**settings, "sampler": {**settings["sampler"], "walkers": 64}}
    names = [d.name for d in departures(PAPER_JAX, few) if not d.fixed]
    assert sorted(names) == ["iterations", "pretraining walkers", "walkers"]


def test_numbers_that_differ_are_written_differently() -> None:
    assert setting_text(0.0512) == "0.0512" and setting_text(0.05120004) == "0.05120004"
    assert setting_text(10000.0) == "10000" and setting_text(1000001.0) == "1000001.0"


def test_a_setting_that_an_old_row_lacks_is_no_departure() -> None:
    settings, _ = settings_of("paper", "LiH")
    old = {**settings, "options": dict(settings["options"])}
    del old["options"]["rescale_inputs"]
    assert departures(PAPER, old) == departures(PAPER, settings)
    # All pretraining was Adam's before there was a choice.
    old["pretrain"] = {k: v for k, v in settings["pretrain"].items() if k != "method"}
    assert departures(PAPER, old) == departures(PAPER, settings)


def test_least_squares_are_a_departure_without_a_rate_or_a_schedule() -> None:
    settings, _ = settings_of("paper", "LiH")
    pretrain = {k: v for k, v in settings["pretrain"].items() if k != "learning_rate"}
    other = {**settings, "pretrain": pretrain | {"method": "least_squares"}}
    before, found = departures(PAPER, settings), departures(PAPER, other)
    assert [str(d) for d in found if not d.fixed] == ["pretraining method least_squares (adam)"]
    lost = {d.name for d in before} - {d.name for d in found}
    assert lost == {"pretraining schedule"}


def test_another_wavefunction_is_a_departure_and_its_options_are_not() -> None:
    settings, _ = settings_of("paper", "LiH")
    other = {**settings, "build": "ferminet.ansatz.psiformer:build", "options": {"layers": 2}}
    differ = [d for d in deviations(PAPER, other, "LiH", 4, "psi") if not d.fixed]
    assert [str(d) for d in differ] == ["wavefunction psi (FermiNet)"]


@pytest.mark.parametrize("recipe", [PAPER, PAPER_JAX], ids=["paper", "paper-jax"])
def test_choices_of_ferminets_network_are_not_those_of_another_wavefunction(recipe) -> None:
    settings, _ = settings_of("paper", "LiH")
    other = {**settings, "build": "my_net.py:build", "options": {}}
    fixed = {d.name for d in deviations(recipe, other, "LiH", 4, "mine") if d.fixed}
    all_fixed = {d.name for d in departures(recipe, settings) if d.fixed}
    network = {"start of the envelopes", "residual connections", "two-electron stream"}
    assert {"moves", "pretraining samples"} <= fixed < all_fixed
    assert network & all_fixed and not network & fixed


@pytest.mark.parametrize("recipe", [PAPER, PAPER_JAX], ids=["paper", "paper-jax"])
def test_every_choice_and_setting_has_a_source(recipe) -> None:
    settings = recipe.settings_for("LiH", 4)
    assert all(source for _, source in settings.values())
    assert all(choice.source and choice.here != choice.there for choice in recipe.choices)
    names = [choice.name for choice in recipe.choices] + [setting_label(key) for key in settings]
    assert len(set(names)) == len(names)
