import os
import stat

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ferminet.benchmark import records
from ferminet.benchmark.schema import COLUMN_NAMES, COLUMNS, row
from ferminet.errors import CorruptError, InputError, ResourceError


def test_rows_survive_writing_and_reading(tmp_path, rows):
    path = tmp_path / "new folder" / "energies.parquet"
    records.write_rows(path, rows)
    assert records.read_rows(path) == rows
    assert list(pd.read_parquet(path).columns) == list(COLUMN_NAMES)


def test_rows_of_many_files_keep_their_order(tmp_path, rows):
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for number, path in enumerate(paths):
        records.write_rows(path, rows[number::3])
    assert records.read_rows(paths) == rows[0::3] + rows[1::3] + rows[2::3]
    records.write_rows(paths[0], [])
    assert records.read_rows(paths[0]) == records.read_rows([]) == []


def test_columns_state_unit_and_footer_states_version(tmp_path, rows):
    path = tmp_path / "energies.parquet"
    records.write_rows(path, rows)
    schema = pq.read_schema(path)
    assert schema.metadata[b"ferminet_schema_version"] == b"1"
    units = {field.name: field.metadata[b"unit"].decode() for field in schema}
    assert units["energy"] == units["stderr"] == "hartree"
    assert units["variance"] == "hartree^2"
    assert units["tau"] == "Metropolis steps"
    assert all(column.description for column in COLUMNS)


def test_the_released_files_are_written_again_as_they_were_read(root, tmp_path):
    files = sorted((root / "results" / "published").glob("*/energies.parquet"))
    assert files
    again = tmp_path / "again.parquet"
    for file in files:
        records.write_rows(again, records.read_rows(file))
        assert pq.read_table(again).to_pylist() == pq.read_table(file).to_pylist()
        for new, old in zip(pq.read_schema(again), pq.read_schema(file), strict=True):
            assert (new.name, new.type, new.nullable) == (old.name, old.type, old.nullable)
            assert new.metadata[b"unit"] == old.metadata[b"unit"]


def test_details_of_other_versions_survive(tmp_path, make_vmc):
    text = '{"devices": 1, "flags": ["the energy drifts"], "future": {"a": [1, 2.0]}, "kinetic": 3}'
    records.write_rows(tmp_path / "a.parquet", [make_vmc("He", -2.9, 1e-4, details=text)])
    (found,) = records.read_rows(tmp_path / "a.parquet")
    assert (found.details.devices, found.details.note) == (1, None)
    assert found.stored()["details"] == text


def test_the_same_rows_give_the_same_bytes(tmp_path, rows):
    for name in "ab":
        records.write_rows(tmp_path / name, rows)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_scalars_of_numpy_and_jax_are_converted(make_vmc):
    one = make_vmc(
        "He", jnp.asarray(-2.9), np.float32(1e-4), seed=np.int64(3), variance=jnp.asarray(jnp.nan),
        details={"r": np.arange(2), "bad": float("nan"), "n": np.int32(1)},
    )  # fmt: skip
    assert one.energy == pytest.approx(-2.9)
    assert type(one.seed) is int
    assert one.variance is None
    assert one.details.model_dump(exclude_unset=True) == {"r": [0, 1], "bad": None, "n": 1}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"energie": 1.0}, "unknown key energie; did you mean energy?"),
        ({"status": "done"}, "status is 'done'; it must be complete, unfinished"),
        ({"method": "dmc"}, "method is 'dmc'; it must be hf"),
        ({"reference": "casscf"}, "reference is 'casscf'; it must be rhf, uhf or rohf"),
        ({"energy": float("nan")}, "needs a finite energy"),
        ({"energy": float("inf")}, "needs a finite energy"),
        ({"energy": None}, "needs a finite energy"),
        ({"energy": -1e308}, "no energy of an atom"),
        ({"stderr": -1e-5}, "stderr is -1e-05; it must be at least 0"),
        ({"stderr": float("inf")}, "stderr must be finite"),
        ({"variance": -1.0}, "variance is -1.0; it must be at least 0"),
        ({"acceptance": 1.5}, "acceptance is 1.5; it must be at most 1"),
        ({"schema_version": 2}, "schema_version is 2; it must be at most 1"),
        ({"stderr": None}, "needs its stderr"),
        ({"status": "failed"}, "has no energy"),
        ({"status": "not_converged", "energy": None}, "has no energy and no stderr"),
        ({"seed": None}, "needs a value for seed"),
        ({"config_hash": None}, "needs a value for config_hash"),
        ({"walkers": 512.5}, "must be a whole number"),
        ({"walkers": float("inf")}, "must be a whole number"),
        ({"walkers": True}, "must be a whole number"),
        ({"wall_s": "12"}, "must be a number"),
        ({"device": 3}, "must be text"),
        ({"study": ""}, "study is ''; it must not be empty"),
        ({"n_electrons": None}, "n_electrons is None; it must be a whole number"),
        ({"details": "{"}, "is not JSON"),
        ({"details": "[1]"}, "details is [1]; it must be a block of keys"),
        ({"details": {"n_nonfinite": "none"}}, "details.n_nonfinite is 'none'"),
        ({"details": {"f": object()}}, "JSON cannot hold"),
    ],
)
def test_wrong_rows_are_refused_in_one_sentence(make_vmc, fields, sentence):
    good = make_vmc("He", -2.9, 1e-4).stored()
    with pytest.raises(InputError) as caught:
        row(**(good | fields))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_duplicate_keys_are_refused_with_the_key_and_the_files(tmp_path, make_vmc):
    one = make_vmc("He", -2.9, 1e-4)
    with pytest.raises(InputError, match="demo/He/eq/vmc/ferminet/1a2b3c4d/seed 1"):
        records.write_rows(tmp_path / "a.parquet", [one, one])
    assert not list(tmp_path.iterdir())
    for name in ("a.parquet", "b.parquet"):
        records.write_rows(tmp_path / name, [one])
    with pytest.raises(InputError, match=r"a\.parquet and .*b\.parquet"):
        records.read_rows([tmp_path / "a.parquet", tmp_path / "b.parquet"])


def test_baselines_without_seed_are_duplicates_too(tmp_path, make_baseline):
    one = make_baseline("He", "hf", -2.85)
    with pytest.raises(InputError, match="demo/He/eq/hf/rhf/cc-pvdz"):
        records.write_rows(tmp_path / "a.parquet", [one, one])


@pytest.mark.parametrize("damage", ["garbage", "empty", "truncated", "flipped", "folder"])
def test_damaged_files_are_reported_as_corrupt(tmp_path, rows, damage):
    path = tmp_path / "energies.parquet"
    records.write_rows(path, rows)
    whole = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
        with pytest.raises(InputError, match="not a file"):
            records.read_rows(path)
        return
    middle = len(whole) // 4
    flipped = whole[:middle] + bytes(b ^ 0xFF for b in whole[middle : middle + 64])
    contents = {
        "garbage": b"\x00" * 1000,
        "empty": b"",
        "truncated": whole[:-40],
        "flipped": flipped + whole[middle + 64 :],
    }
    path.write_bytes(contents[damage])
    with pytest.raises(CorruptError, match="make it again"):
        records.read_rows(path)


def test_schemas_that_do_not_fit_are_refused(tmp_path, rows):
    path = tmp_path / "energies.parquet"

    def write() -> pa.Table:
        records.write_rows(path, rows)
        return pq.read_table(path)

    table = write()
    for version, error, sentence in (
        (b"99", InputError, r"schema version 99.*update the package"),
        (b"", CorruptError, "does not state the version"),
    ):
        footer = table.schema.metadata | {b"ferminet_schema_version": version}
        pq.write_table(table.replace_schema_metadata(footer), path)
        with pytest.raises(error, match=sentence):
            records.read_rows(path)
    table = write()
    extra = table.append_column("mood", pa.array(["good"] * table.num_rows))
    pq.write_table(extra, path)
    with pytest.raises(InputError, match="unknown column 'mood'"):
        records.read_rows(path)
    pq.write_table(write().drop_columns(["tau"]), path)
    with pytest.raises(CorruptError, match="does not have the column 'tau'"):
        records.read_rows(path)
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(InputError, match="not a file of energies"):
        records.read_rows(path)
    with pytest.raises(InputError, match="does not exist"):
        records.read_rows(tmp_path / "nothing.parquet")


def test_edited_rows_are_corrupt(tmp_path, rows):
    path = tmp_path / "energies.parquet"
    records.write_rows(path, rows)
    table = pq.read_table(path)
    index = table.column_names.index("energy")
    energies = pa.array([float("nan")] * table.num_rows)
    pq.write_table(table.set_column(index, table.schema.field("energy"), energies), path)
    with pytest.raises(CorruptError, match="does not hold valid rows"):
        records.read_rows(path)


def test_a_failed_write_leaves_the_old_file(tmp_path, rows, monkeypatch):
    path = tmp_path / "energies.parquet"
    records.write_rows(path, rows[:1])
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResourceError, match="No space left"):
        records.write_rows(path, rows)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["energies.parquet"]


def test_files_are_readable_by_others(tmp_path, rows):
    path = tmp_path / "energies.parquet"
    old = os.umask(0o022)
    try:
        records.write_rows(path, rows)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_tables_keep_columns_and_units(tmp_path, rows):
    path = tmp_path / "history.parquet"
    columns = {"iteration": np.arange(3), "energy": jnp.asarray([-1.0, -2.0, -3.0])}
    records.write_table(path, columns, {"energy": "hartree"})
    frame = records.read_table(path)
    assert frame["energy"].tolist() == [-1.0, -2.0, -3.0]
    assert frame.attrs["units"] == {"iteration": "", "energy": "hartree"}
    with pytest.raises(InputError, match="equal lengths"):
        records.write_table(path, {"a": [1], "b": [1, 2]})
    with pytest.raises(InputError, match="not a column"):
        records.write_table(path, {"a": [1]}, {"b": "hartree"})
    records.write_rows(path, rows)
    with pytest.raises(InputError, match="not a table or a training history"):
        records.read_table(path)


def test_a_table_without_a_required_column_is_corrupt(tmp_path) -> None:
    path = tmp_path / "history.parquet"
    records.write_table(path, pd.DataFrame({"iteration": [0], "energy": [-1.0]}))
    assert list(records.read_table(path, ("iteration", "energy"))) == ["iteration", "energy"]
    with pytest.raises(CorruptError, match="does not have the column 'variance'; make it again"):
        records.read_table(path, ("energy", "variance"))
