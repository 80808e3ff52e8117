"""The counts of `bench.gpu` for programs whose work is known, and its budgets if it can compile."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from bench.gpu import hlo
from bench.gpu.__main__ import BUDGETS, PLUGINS, exceeded
from bench.gpu.cases import ENVIRONMENT
from bench.gpu.targets import TARGETS

ROOT = Path(__file__).parents[2]

# Two kernels before a loop of five trips with a kernel and a product by a library, then a loop that
# the device's value ends, with one kernel in its body and one in its condition.
PROGRAM = Path(__file__).with_name("example.hlo").read_text()


def test_loops_count_in_full_and_names_of_memory_do_not():
    program = hlo.read(PROGRAM, unknown_trips=3)
    assert program.launches == 2 + 5 * 2 + 3 * (1 + 1) + 1
    assert program.library_calls() == {"__cublas$gemm": 5}
    assert [(wait.instruction.name, wait.times) for wait in program.waits] == [("while.2", 3)]
    assert program.collectives() == {"all-reduce": (1, 128.0)}


def test_operations_and_bytes_are_those_of_the_arrays():
    program = hlo.read(PROGRAM, unknown_trips=3)
    assert program.flops == 2 * 8 * 4 * 16 + 5 * 2 * 8 * 8 * 4
    moved = {kernel.instruction.name: kernel.bytes for kernel in program.kernels}
    assert moved["product"] == 4 * (8 * 16 + 16 * 4 + 8 * 4)
    assert moved["sliced"] == 4 * (2 * 8 * 4) + 4  # one of a hundred pieces, and where it is
    assert moved["square"] == 4 * (2 * 8 * 4 + 8 * 8)


def test_the_roofline_is_the_longest_of_three_for_each_launch():
    program = hlo.read(PROGRAM, unknown_trips=3)
    assert program.seconds(1e30, 1e30, 1.0) == program.launches
    assert program.seconds(1.0, 1e30, 0.0) == pytest.approx(program.flops)
    assert program.seconds(1e30, 1.0, 0.0) == pytest.approx(program.bytes)


def test_launches_are_traced_to_the_innermost_function_of_the_project():
    sources = hlo.read(PROGRAM).by_source()
    assert sources["ansatz/layers.py: dense"] == 1 + 5  # one of them called through another library
    assert sum(sources.values()) == hlo.read(PROGRAM).launches


def test_a_compiled_program_has_the_operations_of_its_products():
    def chain(a, b):
        return jax.lax.fori_loop(0, 7, lambda _, x: jnp.tanh(a @ x), b)

    text = jax.jit(chain).lower(jnp.ones((32, 32)), jnp.ones((32, 8))).compile().as_text()
    assert hlo.read(text).flops == 7 * 2 * 32 * 32 * 8


def test_numbers_above_their_budget_are_reported():
    entry = {"launches": 116, "library_calls": 1, "waits": 0, "temporary_gib": 1.0}
    budget = {"launches": 100, "library_calls": 1, "waits": 0, "temporary_gib": 1.0}
    found = [{"name": "Be", **entry}, {"name": "Li", **entry}]
    assert list(exceeded(found, {"Be": budget})) == [
        "Be: launches 116, more than the budget of 100.",
        "Li has no budget; run with --write-budgets.",
    ]


def test_every_case_has_a_budget_without_waits():
    budgets = json.loads(BUDGETS.read_text())
    assert all(numbers["waits"] == 0 for numbers in budgets.values())
    assert {f"{gpu}x1" for gpu in TARGETS} < {name.split()[2] for name in budgets}


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(importlib.util.find_spec, PLUGINS)),
    reason="needs JAX's CUDA plug-in: make gpu-check installs it elsewhere",
)
def test_the_programs_of_beryllium_are_within_their_budgets():
    command = [sys.executable, "-m", "bench.gpu", "--systems", "Be", "--gpus", "h200"]
    environment = os.environ | ENVIRONMENT
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
