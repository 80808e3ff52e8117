"""Files from elsewhere, altered at random: read, or refused in one sentence, and nothing else."""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ferminet.benchmark.records import read_rows, write_rows
from ferminet.benchmark.schema import row
from ferminet.config import load_run, load_study
from ferminet.config.plugins import is_own, plugin_digest
from ferminet.errors import FermiNetError, InputError
from ferminet.runtime.checkpoint import load_arrays, read_header, save_arrays
from ferminet.stages.wavefunction import load
from ferminet.systems.files import read_system
from tests.helpers.reliability import MOLECULE, STUDY, WATER

N_FILES = 400
SEEDS = (496, 1, 3)
# What breaks readers: tags and aliases of YAML, numbers that are none, long and empty things.
TOKENS = [
    b"!!python/object/apply:os.system [touch hacked]", b"&a [*a]", b"<<: *a", b"{", b"[", b"]: ",
    b"\x00", b"\xff\xfe", b"\xf0\x9f\xa7\xaa", b"1e999", b"-1e-999", b".nan", b"0x10", b"1_000",
    b"9" * 400, b"\n", b"\r\n", b"\t", b"'", b'"', b"? ", b"- - - -", b"null", b"~", b"2026-01-01",
    b"../../etc/passwd", b"file.py:build", b"#", b"|", b">", b"%", b"---\n", b"...\n",
]  # fmt: skip


def altered(rng: random.Random, data: bytes) -> bytes:
    """The file with one to four changes: a piece cut, doubled or moved, a bit, a token."""
    for _ in range(rng.randint(1, 4)):
        low = rng.randrange(len(data) + 1)
        high = min(len(data), low + rng.choice([0, 1, 3, 20, 400]))
        piece = data[low:high]
        kind = rng.randrange(5)
        if kind == 0:
            data = data[:low] + data[high:]
        elif kind == 1:
            data = data[:high] + piece + data[high:]
        elif kind == 2 and data:
            low %= len(data)
            data = data[:low] + bytes([data[low] ^ (1 << rng.randrange(8))]) + data[low + 1 :]
        elif kind == 3:
            data = data[:low]
        else:
            data = data[:low] + rng.choice(TOKENS) + data[low:]
    return data


def write_checkpoint(path: Path) -> None:
    arrays = {"electrons": np.arange(24.0).reshape(2, 4, 3), "step": np.array(3)}
    save_arrays(path, arrays, {"stage": "train", "iteration": 3})


def write_energies(path: Path) -> None:
    text = {"geometry": "eq", "method": "hf", "reference": "rhf", "basis": "cc-pvdz"}
    numbers = {"energy": -2.855, "n_electrons": 2, "unpaired_electrons": 0}
    write_rows(path, [row(study="s", system="He", status="complete", **text, **numbers)])


def text(content: str) -> Callable[[Path], None]:
    return lambda path: (path.write_text(content), None)[1]


READERS = {
    "study": ("study.yaml", text(STUDY), load_study),
    "molecule": ("mine.yaml", text(MOLECULE), read_system),
    "xyz": (
        "water.xyz",
        text(WATER),
        lambda path: read_system(path, charge=0, unpaired_electrons=0),
    ),
    "checkpoint": ("c.safetensors", write_checkpoint, load_arrays),
    "header": ("c.safetensors", write_checkpoint, read_header),
    "energies": ("e.parquet", write_energies, read_rows),
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", READERS)
def test_altered_files_are_refused(tmp_path: Path, monkeypatch, kind: str, seed: int) -> None:
    name, write, read = READERS[kind]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(MOLECULE)
    path = tmp_path / name
    write(path)
    whole = path.read_bytes()
    read(path)
    rng = random.Random(seed)
    refused = 0
    for number in range(N_FILES):
        data = altered(rng, whole)
        path.write_bytes(data)
        try:
            read(path)
        except FermiNetError as error:
            refused += 1
            assert "\n" not in str(error), (number, str(error))
            assert len(str(error)) < 2000, (number, str(error))
        except Exception as error:
            pytest.fail(f"file {number}, {data!r}: {error!r}")
    if kind != "header":  # which answers None
        assert refused > N_FILES // 4
    assert not (tmp_path / "hacked").exists()


def test_a_table_cannot_be_larger_than_its_file(tmp_path: Path) -> None:
    """Two numbers at the place of a length must not make the reader ask for the memory."""
    path = tmp_path / "c.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(FermiNetError):
        load_arrays(path)


def test_nothing_named_in_a_checkpoint_is_loaded(tmp_path: Path) -> None:
    """A plug-in's path in a header is text; the study alone names what is loaded."""
    plugin = tmp_path / "evil.py"
    plugin.write_text(f"open({str(tmp_path / 'hacked')!r}, 'w')\n")
    path = tmp_path / "c.safetensors"
    save_arrays(path, {"a": np.zeros(1)}, {"run": {"ansatz": {"build": f"{plugin}:build"}}})
    load_arrays(path)
    read_header(path)
    assert not (tmp_path / "hacked").exists()


PLUGIN = """\
open("hacked", "w").close()
from ferminet.ansatz.hydrogenic import build
"""


@pytest.fixture
def received(tmp_path: Path, monkeypatch) -> Path:
    """A run's folder as someone else may have made it, and code that it names next to it."""
    monkeypatch.chdir(tmp_path)
    Path("evil.py").write_text(PLUGIN)
    Path("mine.yaml").write_text(MOLECULE)
    Path("study.yaml").write_text(STUDY)
    write_trained(tmp_path, "evil.py:build")
    return tmp_path


def write_trained(folder: Path, build: str) -> None:
    run = load_run("study.yaml").model_dump()
    run["ansatz"]["build"] = build
    run["plugin_digest"] = plugin_digest(build) if build == "evil.py:build" else None
    arrays = {"average['zeta']": np.array(1.5, np.float32), "electrons": np.ones((2, 4, 3))}
    save_arrays(folder / "trained.safetensors", arrays, {"stage": "train", "run": run})


def loaded_plugins() -> set[str]:
    return {name for name in sys.modules if "evil" in name}


def test_a_folder_does_not_name_the_code_that_is_run(received: Path) -> None:
    with pytest.raises(InputError, match=r"evil\.py:build.* not part of this package") as refused:
        load(received)
    assert str(refused.value).count("\n") == 0
    # Another file under a name that the user gives is none of the run's either.
    Path("other.py").write_text(PLUGIN + "# changed\n")
    with pytest.raises(InputError, match=r"'other\.py:build' is another builder"):
        load(received, build="other.py:build")
    with pytest.raises(InputError, match="is another builder"):
        load(received, build="ferminet.ansatz.hydrogenic:build")
    assert loaded_plugins() == set()
    assert not Path("hacked").exists()


def test_the_code_that_the_user_names_is_run_wherever_it_lies(received: Path) -> None:
    Path("evil.py").rename("trusted.py")
    found = load(received, build="trusted.py:build")
    psi = found.apply(found.params, found.walkers[0], found.nuclei)
    distances = np.linalg.norm(np.ones((4, 3)), axis=-1)
    assert float(psi.logabs) == pytest.approx(-1.5 * distances.sum(), rel=1e-5)
    assert Path("hacked").exists()


@pytest.mark.parametrize(
    "build",
    ["ferminet.ansatz./tmp/evil.py:build", "ferminet.ansatz.py:build",
     "ferminet.conformance.checks:build",
     "ferminet.ansatz.hydrogenic:jnp.save", "ferminet.ansatz.options:dataclass", "evil:build",
     "evil", "os:system", "ferminet.ansatz.hydrogenic:build\n"],
)  # fmt: skip
def test_names_that_look_like_the_packages_own(received: Path, build: str) -> None:
    write_trained(received, build)
    with pytest.raises(InputError, match="not part of this package"):
        load(received)
    assert not is_own(build)


def test_own_wavefunctions_need_no_name(received: Path) -> None:
    Path("evil.py").unlink()
    Path("study.yaml").write_text(
        STUDY + "ansatz: {own: {build: ferminet.ansatz.hydrogenic:build}}\n"
    )
    write_trained(received, "ferminet.ansatz.hydrogenic:build")
    assert float(load(received).params["zeta"]) == 1.5
    assert float(load(received, build="ferminet.ansatz.hydrogenic:build").params["zeta"]) == 1.5


@pytest.mark.parametrize("header", [{}, {"run": None}, {"run": {"system": 3}}, {"run": [[]]}])
def test_a_file_that_belongs_to_no_run_is_reported(tmp_path: Path, header: dict) -> None:
    save_arrays(tmp_path / "trained.safetensors", {"a": np.zeros(1)}, header)
    with pytest.raises(InputError, match="is not the trained wavefunction of a run") as refused:
        load(tmp_path)
    assert "\n" not in str(refused.value)
