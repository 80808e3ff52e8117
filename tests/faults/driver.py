"""Trains a tiny helium atom; with a number, the process kills itself at that event.

Usage: ``python driver.py DIRECTORY OUT [EVENT]``. Events are counted from the start of the process:
each iteration, each write to a file, each fsync and each rename is one, and SIGKILL comes in the
middle of it: a write has put down half of its data, an fsync or rename has not happened yet. At the
end the number of events is printed.
"""

import builtins
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ferminet.environment import prepare_environment

prepare_environment()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

from ferminet import checkpoint  # noqa: E402
from ferminet.ansatz import ferminet  # noqa: E402
from ferminet.ansatz.base import AnsatzSpec, Nuclei  # noqa: E402
from ferminet.config import OptimizerConfig, SamplerConfig, TrainConfig  # noqa: E402
from ferminet.progress import Progress  # noqa: E402
from ferminet.vmc import history, train  # noqa: E402
from ferminet.vmc.programs import Problem  # noqa: E402
from ferminet.vmc.sampling import init_walkers  # noqa: E402
from ferminet.vmc.trees import tree_to_arrays  # noqa: E402

ITERATIONS, INTERVAL = 30, 5


class Events:
    """Counts, and kills the process at one event."""

    def __init__(self, fatal: int | None):
        self.count, self.fatal = 0, fatal

    def happen(self) -> bool:
        """Counts one event; true if it is the fatal one."""
        self.count += 1
        return self.count == self.fatal

    def before(self, function):
        """The function, with the process killed instead of its fatal call."""

        def wrapped(*args, **kwargs):
            if self.happen():
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return wrapped

    def open(self, *args: Any, **kwargs: Any) -> "Stream":
        """As the built-in ``open``."""
        return Stream(builtins.open(*args, **kwargs), self)


class Stream:
    """A file whose fatal write puts down only half."""

    def __init__(self, stream, events: Events):
        self.stream, self.events = stream, events

    def write(self, data):
        if self.events.happen():
            self.stream.write(data[: len(data) // 2])
            self.stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.stream.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *details):
        self.stream.close()

    def __getattr__(self, name):
        return getattr(self.stream, name)


def main(directory: Path, out: Path, fatal: int | None) -> None:
    """Starts, or goes on with, the one run of this file."""
    events = Events(fatal)
    vars(checkpoint)["open"] = vars(history)["open"] = events.open
    os.fsync, os.replace = events.before(os.fsync), events.before(os.replace)
    train.Trainer.step = events.before(train.Trainer.step)

    nuclei = Nuclei(jnp.zeros((1, 3)), jnp.array([2.0]))
    ansatz = ferminet.build(
        AnsatzSpec(1, 1, 1),
        layers=1,
        one_electron_width=4,
        two_electron_width=2,
        determinants=1,
        envelope="isotropic",
    )
    settings = train.TrainSettings(
        SamplerConfig(walkers=32, decorrelation_steps=4, burn_in=4),
        OptimizerConfig(name="kfac", learning_rate=0.05),
        TrainConfig(iterations=ITERATIONS, checkpoint_interval=INTERVAL),
        seed=3,
        config_hash="0123abcd",
        trajectory={},
    )
    result = train.train(
        Problem(ansatz, nuclei, 1, 1),
        settings,
        ansatz.init(jax.random.key(3), nuclei),
        init_walkers(jax.random.key(4), nuclei, 1, 1, 32),
        directory,
        Progress("helium", ITERATIONS),
    )
    count = events.count
    arrays = tree_to_arrays(result.state, "state")
    arrays |= {f"history.{name}": column for name, column in result.history.items()}
    np.savez(out, **{name.replace("/", "_"): array for name, array in arrays.items()})
    print(count)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None)
