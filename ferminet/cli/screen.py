"""What a person sees while the workflow runs on this machine: runs, energies, time left, failures.

A handler of Snakemake's logger draws it in place of Snakemake's text, all of which stays in
Snakemake's own log file. It knows the jobs from Snakemake's events, and their progress from the
lines that they write to standard error, which it reads through a pipe.
"""

import contextlib
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from ferminet.cli.output import BAR_WIDTH
from ferminet.runtime.progress import INTERVAL_VARIABLE, clock

DRAW_S = 0.5  # seconds between redraws
_UNPREDICTED_S = 5.0  # taken for a job without a prediction: a table, a figure
_MOST_LINES = 12  # of running jobs
_BAR_COLUMNS = 100  # from this width on, each run has a bar
_CLEAR_BELOW = "\r\x1b[J"
_STAGES = {"pretrain": "pretraining", "train": "training", "evaluate": "evaluation"}
# Lines of a job: what it reports, of which run, and the text; see `runtime.progress`.
_LABELLED = re.compile(r"\[(\w+) (?:average |last )?(.+?)\] (.*)$")
_PROGRESS = re.compile(r"(\d+)/(\d+) (.*) \((.*)\)$")
_RESUMED = re.compile(r"resumed at iteration (\d+)")
_RESULT = re.compile(r"(E = .* ± .*) \(\w+\)$")
_ERROR = re.compile(r"^ferminet: (?!remark)(.*)$", re.MULTILINE)
# What Snakemake logs for every workflow, or about a failure that `failure_text` describes.
_DROPPED = (
    "workflow_started", "resources_info", "run_info", "shellcmd", "progress", "rulegraph",
    "job_started",
)  # fmt: skip
_NOISE = re.compile(
    r"Assuming unrestricted|host: |Building DAG|Using shell: |Select jobs|Conda env|Singularity|"
    r"Group jobs: in|Removing output files of failed|Exiting because a job"
)


def job_name(wildcards: Mapping[str, str] | None, message: str | None = None) -> str:
    """Return the name of a job's run as its progress lines have it, or else the job's message."""
    names = dict(wildcards or {})
    if not {"system", "geometry", "ansatz", "seed"} <= set(names):
        return (message or "").partition(":")[0]
    return "{system} {geometry} {ansatz} seed {seed}".format(**names)


@dataclass
class Job:
    """A running job and the last that it reported."""

    rule: str
    name: str  # of its run, or its message
    seconds: float  # that it is predicted to take
    began: float = field(default_factory=time.monotonic)
    first: int = 0  # iterations that an earlier process did
    done: int = 0
    total: int = 0  # iterations; 0 before the first report
    text: str = ""
    left: str = ""

    @property
    def title(self) -> str:
        """What the job does, as the start of a sentence."""
        return f"{_STAGES[self.rule]} of {self.name}" if self.rule in _STAGES else self.name

    @property
    def share(self) -> float:
        """The finished share of what this process does; without a report by the clock."""
        if self.total:
            return (self.done - self.first) / max(self.total - self.first, 1)
        return min(0.9, (time.monotonic() - self.began) / max(self.seconds, 1.0))

    def take(self, text: str) -> None:
        """Take what the job reports."""
        if found := _RESUMED.match(text):
            self.first = int(found[1])
        elif found := _PROGRESS.match(text):
            self.done, self.total = int(found[1]), int(found[2])
            self.text, self.left = found.group(3, 4)

    def line(self, name: str, columns: int) -> str:
        """Return its line on a terminal: stage, share, energy and the time left."""
        spent = f"{clock(time.monotonic() - self.began)} so far"
        if self.rule not in _STAGES:
            return f"{name}  {spent}"
        stage = f"{name}  {_STAGES[self.rule]:11}"
        if not self.total:
            return f"{stage}  starting, {spent}"
        share = self.done / self.total
        drawn = f"{bar(share)} {share:4.0%}" if columns >= _BAR_COLUMNS else f"{share:4.0%}"
        # Variance and acceptance are for the log.
        return f"{stage}  {drawn}  {re.sub(r', .*| in the last block', '', self.text)}  {self.left}"


class Screen(logging.Handler):
    """Show jobs on a terminal as lines that are redrawn, and elsewhere as one line per event."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.is_terminal = stream.isatty()
        self.is_live = self.is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        self.total = self.done = self.failed = 0  # jobs
        self.running: dict[int, Job] = {}
        self.result = ""  # the last energy of an evaluation
        self._seconds: Mapping[tuple[str, str], float] = {}
        self._short: dict[str, str] = {}
        self._all_s = self._done_s = self._share = 0.0
        self._began = time.monotonic()
        self._drawn: list[str] = []
        self._kept: dict[int, int] = {}  # copies of the descriptors that are pipes meanwhile
        self._terminal: int | None = None  # the copy to draw on
        self._stopped = threading.Event()

    def start(
        self, seconds: Mapping[tuple[str, str], float], jobs: Iterable[tuple[str, str]]
    ) -> None:
        """Begin with the jobs that are to be done, and predictions, both by rule and name."""
        jobs = list(jobs)
        self._seconds, self.total = seconds, len(jobs)
        self._all_s = sum(seconds.get(job) or _UNPREDICTED_S for job in jobs)
        self._short = short_names(name for _, name in jobs)
        self._began = time.monotonic()
        if self.is_terminal:
            reader, writer = os.pipe()
            for stream in (self.stream, sys.stdout):
                if stream.isatty():
                    stream.flush()
                    self._kept[stream.fileno()] = os.dup(stream.fileno())
                    os.dup2(writer, stream.fileno())
            os.close(writer)
            self._terminal = self._kept[self.stream.fileno()]
            threading.Thread(target=self._read, args=(reader,), daemon=True).start()
        if self.is_live:
            os.environ[INTERVAL_VARIABLE] = str(DRAW_S)
            threading.Thread(target=self._redraw, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record of Snakemake's logger if it is of use."""
        event, values = str(getattr(record, "event", None) or ""), record.__dict__
        if event == "job_info":
            self.running[values["jobid"]] = job = self._job(values)
            self._announce(values["rule_msg"] or f"Started {job.title}")
        elif event == "job_finished" and (job := self.running.pop(values["job_id"], None)):
            self.done, self._done_s = self.done + 1, self._done_s + job.seconds
            self._announce(f"Finished {job.title} ({self.done} of {self.total} jobs)")
        elif event == "job_error":
            job = self.running.pop(values["jobid"], None) or self._job(values)
            text = failure_text(job.title, values["log"])
            self.failed += text.startswith("Failed")
            self._print(text)
        elif event in _DROPPED or getattr(record, "exception", "") == "RuleException":
            return
        elif (text := str(record.msg or "")) and not _NOISE.match(text):
            self._print(text)

    def _job(self, values: Mapping[str, Any]) -> Job:
        rule = values["rule_name"]
        name = job_name(values.get("wildcards"), values.get("rule_msg")) or rule
        return Job(rule, name, self._seconds.get((rule, name)) or _UNPREDICTED_S)

    def _announce(self, what: str) -> None:
        """Write a line for an event where nothing is redrawn."""
        if not self.is_live:
            self._print(f"{time.strftime('%H:%M:%S')} {what}")

    def _read(self, reader: int) -> None:
        """Read what jobs write to the terminal until all of them have ended."""
        with open(reader, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with self.lock or contextlib.nullcontext():
                    self.hear(line.rstrip("\n"))

    def hear(self, line: str) -> None:
        """Take a line from a job: progress, a result, or something to show as it is."""
        if labelled := _LABELLED.match(line):
            rule, name, text = labelled.groups()
            for job in self.running.values():
                if (job.rule, job.name) == (rule, name):
                    job.take(text)
            if rule == "evaluate" and (found := _RESULT.match(text)):
                self.result = f"{self._short.get(name, name)}  {found[1]}"
        if not self.is_live or not (labelled or _ERROR.match(line)):
            self._print(line)

    def _redraw(self) -> None:
        while not self._stopped.wait(DRAW_S):
            with self.lock or contextlib.nullcontext():
                if self.running and not self._stopped.is_set():
                    self._write("", self.lines(*self._size()))

    def lines(self, columns: int, rows: int) -> list[str]:
        """Return the lines of running jobs and of the whole, cut to the width of the terminal."""
        jobs = sorted(self.running.values(), key=lambda job: (job.rule not in _STAGES, job.began))
        most = max(1, min(_MOST_LINES, rows - 5))
        shown = jobs if len(jobs) <= most else jobs[: most - 1]
        names = [self._short.get(job.name, job.name) for job in shown]
        width = max(
            (len(n) for n, job in zip(names, shown, strict=True) if job.rule in _STAGES), default=0
        )
        lines = [job.line(f"{n:{width}}", columns) for n, job in zip(names, shown, strict=True)]
        if len(shown) < len(jobs):
            lines.append(f"and {len(jobs) - len(shown)} more")
        if self.result:
            lines.append(f"last result: {self.result}")
        waiting = self.total - self.done - self.failed - len(jobs)
        lines.append(
            f"{self.total} jobs: {self.done} done, {len(jobs)} running, {waiting} waiting, "
            f"{self.failed} failed"
        )
        share = self.share()
        spent = time.monotonic() - self._began
        left = f"about {clock(spent * (1 / share - 1))} left" if share > 0.02 else ""
        lines.append(f"{bar(share)} {share:4.0%}  {left}")
        return [line[: columns - 1].rstrip() for line in lines]

    def share(self) -> float:
        """Return the finished share of the predicted time; it never falls."""
        running = sum(job.share * job.seconds for job in self.running.values())
        share = (self._done_s + running) / max(self._all_s, 1.0)
        self._share = min(max(self._share, share), 1.0)
        return self._share

    def _size(self) -> tuple[int, int]:
        with contextlib.suppress(OSError):
            if (
                self._terminal is not None
                and (size := os.get_terminal_size(self._terminal)).columns
            ):
                return size
        return 80, 24

    def _print(self, text: str) -> None:
        """Write lines that stay, above those that are redrawn."""
        self._write(text + "\n", self._drawn)

    def _write(self, above: str, below: list[str]) -> None:
        text = above + "\n".join(below)
        if self._drawn:
            # After a change of the width, a line may take several rows.
            columns = self._size()[0]
            rows = sum(max(1, -(-len(line) // columns)) for line in self._drawn)
            text = (f"\x1b[{rows - 1}A" if rows > 1 else "") + _CLEAR_BELOW + text
        self._drawn = below
        with contextlib.suppress(OSError, ValueError):
            if self._terminal is not None:
                os.write(self._terminal, text.encode(self.stream.encoding or "utf-8", "replace"))
            else:
                self.stream.write(text)
                self.stream.flush()

    def close(self) -> None:
        """Give the terminal back: remove what is redrawn, write the outcome, undo the pipes."""
        if self.total and not self._stopped.is_set():
            spent = clock(time.monotonic() - self._began)
            failed = f", {self.failed} failed" if self.failed else ""
            self._write(f"{self.done} of {self.total} jobs done in {spent}{failed}.\n", [])
        self._stopped.set()
        for number, copy in self._kept.items():
            with contextlib.suppress(OSError, ValueError):
                self.stream.flush()
                os.dup2(copy, number)
                os.close(copy)
        self._kept, self._terminal = {}, None
        super().close()


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Return names of runs without what they share: the equilibrium, one wavefunction, one seed.

    >>> short_names(["He eq net seed 1", "H4 a90 net seed 1", "Table atoms"])
    {'He eq net seed 1': 'He', 'H4 a90 net seed 1': 'H4 a90'}
    """
    runs = {name: name.split() for name in names if re.fullmatch(r"\S+ \S+ \S+ seed \d+", name)}
    several = [len({words[index] for words in runs.values()}) > 1 for index in range(5)]
    several[0], several[3] = True, several[4]
    return {
        name: " ".join(
            word
            for index, word in enumerate(words)
            if (several[index] if index != 1 else word != "eq")
        )
        for name, words in runs.items()
    }


def bar(share: float) -> str:
    """Return a bar for a share between 0 and 1."""
    return f"|{'#' * int(BAR_WIDTH * share):.<{BAR_WIDTH}}|"


def failure_text(title: str, logs: Iterable[str]) -> str:
    """Return what failed, the sentence with which it ended, and where its log is."""
    reasons, logs = ["it left no message; it may have been killed"], list(logs)
    for log in logs:
        with contextlib.suppress(OSError):
            reasons += _ERROR.findall(Path(log).read_text(errors="replace"))
    what = "Stopped" if reasons[-1].lower().startswith("stopped") else "Failed"
    return f"{what}: {title}: {reasons[-1]}\n    log: {', '.join(logs) or 'none'}"
