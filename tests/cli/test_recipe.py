"""`ferminet resolve --recipe` lists where runs depart from a published recipe."""

import re
from pathlib import Path

from ferminet.cli.main import main


def test_resolve_lists_departures_from_a_recipe(tmp_path: Path, capsys) -> None:
    """The settings of the defaults are the paper's but for those that it converts."""
    study = tmp_path / "study.yaml"
    study.write_text("systems: [H, He]\nsampler: {walkers: 64}\nseeds: [1, 2]\n")
    assert main(["resolve", "--config", str(study), "--recipe", "paper"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("H (ferminet), He (ferminet): departures from paper (Pfau et al. 2020)")
    assert re.search(r"^walkers +64 +4096 +ferminet/train.py of branch tf$", out, flags=re.M)
    assert re.search(r"^damping +0.001 +0.002 ", out, flags=re.M)
    assert main(["resolve", "--config", str(study), "--recipe", "paper", "--seed", "3"]) == 2
    assert "has no such run (--seed 3); choose one of" in capsys.readouterr().err
    out_option = ["--out", str(tmp_path / "recipe.json")]
    assert main(["resolve", "--config", str(study), "--recipe", "paper", *out_option]) == 2
    assert "redirect what --recipe prints" in capsys.readouterr().err
    assert not (tmp_path / "recipe.json").exists()
    run = tmp_path / "run.json"
    chosen = ["--config", str(study), "--system", "H", "--seed", "1"]
    assert main(["resolve", *chosen, "--out", str(run)]) == 0
    assert main(["resolve", "--config", str(run), "--recipe", "paper-jax"]) == 0
    assert capsys.readouterr().out.startswith("H (ferminet): departures from paper-jax")
