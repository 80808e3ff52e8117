"""Count what a compiled program does on a GPU, from the text of its optimised HLO.

Every instruction of a computation that the host runs is a kernel, a library call or a copy, except
those that only rename memory. Loops count in full, fusions as one kernel.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

_BYTES = {"pred": 1, "c64": 8, "c128": 16, "token": 0}
# Instructions without work of their own.
_FREE = frozenset(
    "parameter constant tuple get-tuple-element bitcast after-all opt-barrier partition-id "
    "replica-id domain add-dependency".split()
)
_COLLECTIVES = frozenset(
    "all-reduce all-gather reduce-scatter all-to-all collective-permute collective-broadcast "
    "ragged-all-to-all send recv".split()
)
_SLICES = frozenset({"dynamic-slice", "slice", "gather"})
_INSTRUCTION = re.compile(r"\s+(?:ROOT )?%([\w.\-]+) = (.*)")
_COMPUTATION = re.compile(r"(?:ENTRY )?%([\w.\-]+) \(.*\{$")
_SHAPE = re.compile(r"([a-z]+[0-9]*)(?:e[0-9]m[0-9]\w*)?\[([0-9,]*)\]")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    shape: str
    opcode: str
    operands: list[str]
    attributes: str

    def called(self, attribute: str) -> list[str]:
        """Return the names of the computations in an attribute such as `calls`."""
        found = re.search(rf"\b{attribute}=(?:\{{([^}}]*)\}}|(%[\w.\-]+))", self.attributes)
        return re.findall(r"%([\w.\-]+)", found.group(0)) if found else []


class Kernel(NamedTuple):
    """One kernel, library call or copy, and how often an execution of the program launches it."""

    instruction: Instruction
    times: int
    flops: float  # of one launch: products and factorisations
    bytes: float  # of one launch: what it reads and writes


class Wait(NamedTuple):
    """A place where the host reads a value of the device before it can go on."""

    instruction: Instruction
    times: int


class Program(NamedTuple):
    """The work of one execution of a program."""

    kernels: list[Kernel]
    waits: list[Wait]
    sources: dict[str, str]  # stack frame -> function, of newer versions of JAX

    @property
    def launches(self) -> int:
        """The kernels, library calls and copies."""
        return sum(kernel.times for kernel in self.kernels)

    @property
    def flops(self) -> float:
        """Floating-point operations of products and factorisations."""
        return sum(kernel.times * kernel.flops for kernel in self.kernels)

    @property
    def bytes(self) -> float:
        """Bytes read and written, as if nothing stayed in a cache."""
        return sum(kernel.times * kernel.bytes for kernel in self.kernels)

    def library_calls(self) -> Counter[str]:
        """Return how often each library function is called."""
        calls: Counter[str] = Counter()
        for kernel in self.kernels:
            if kernel.instruction.opcode == "custom-call":
                calls[_target(kernel.instruction)] += kernel.times
        return calls

    def collectives(self) -> dict[str, tuple[int, float]]:
        """Return launches and bytes of each kind of communication between devices."""
        found: dict[str, tuple[int, float]] = {}
        for kernel in self.kernels:
            kind = kernel.instruction.opcode.removesuffix("-start")
            if kind in _COLLECTIVES:
                times, moved = found.get(kind, (0, 0.0))
                size = kernel.times * shape_bytes(kernel.instruction.shape)
                found[kind] = (times + kernel.times, moved + size)
        return found

    def by_source(self) -> Counter[str]:
        """Return the launches by the function of this project that they come from."""
        launches: Counter[str] = Counter()
        for kernel in self.kernels:
            frame = re.search(r"stack_frame_id=(\d+)", kernel.instruction.attributes)
            source = self.sources.get(frame.group(1), "?") if frame else "?"
            launches[source] += kernel.times
        return launches

    def seconds(self, float32: float, bandwidth: float, launch: float) -> float:
        """Return the roofline: for each kernel the longest of arithmetic, memory and launch."""
        return sum(
            kernel.times * max(kernel.flops / float32, kernel.bytes / bandwidth, launch)
            for kernel in self.kernels
        )


def read(text: str, unknown_trips: int = 1) -> Program:
    """Read a program. A loop that ends by a value of the device counts `unknown_trips` times."""
    computations = _computations(text)
    entry = re.search(r"^ENTRY %([\w.\-]+)", text, re.MULTILINE)
    if entry is None:
        raise ValueError("the text has no ENTRY computation")
    program = Program([], [], _sources(text))
    _run(computations, entry.group(1), 1, unknown_trips, program)
    return program


def shape_bytes(shape: str) -> int:
    """Return the bytes of an array, or of the arrays of a tuple, such as `(f32[2,3]{1,0}, s32[])`.

    A layout's tiles hold no shape, so they do not count.
    """
    return round(sum(_item_bytes(kind) * _size(dims) for kind, dims in _SHAPE.findall(shape)))


def _item_bytes(kind: str) -> float:
    return _BYTES[kind] if kind in _BYTES else int(re.sub(r"\D", "", kind)) / 8


def _size(dims: str) -> int:
    return math.prod(int(dim) for dim in dims.split(",") if dim)


def _dims(shape: str) -> list[int]:
    found = _SHAPE.search(shape)
    return [int(dim) for dim in found.group(2).split(",") if dim] if found else []


def _computations(text: str) -> dict[str, list[Instruction]]:
    computations: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for line in text.splitlines():
        if start := _COMPUTATION.match(line):
            current = computations.setdefault(start.group(1), [])
        elif match := _INSTRUCTION.match(line):
            current.append(_instruction(match.group(1), match.group(2)))
    return computations


def _instruction(name: str, rest: str) -> Instruction:
    """Parse `shape opcode(operands), attributes`."""
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    opening = rest.index("(")
    closing = _closing(rest, opening)
    operands = re.findall(r"%([\w.\-]+)", rest[opening:closing])
    return Instruction(name, shape, rest[:opening], operands, rest[closing + 1 :])


def _closing(text: str, opening: int) -> int:
    depth = 0
    for position in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
    raise ValueError(f"unbalanced parentheses in {text[:80]}")


def _run(
    computations: dict[str, list[Instruction]],
    name: str,
    times: int,
    unknown_trips: int,
    program: Program,
) -> None:
    """Add a computation that the host runs `times` times."""
    instructions = computations[name]
    shapes = {instruction.name: instruction.shape for instruction in instructions}

    def run(called: list[str], times: int) -> None:
        for inner in called:
            _run(computations, inner, times, unknown_trips, program)

    for instruction in instructions:
        opcode = instruction.opcode
        if opcode in _FREE or opcode.endswith(("-done", "-update")):
            continue
        if opcode == "while":
            known = _TRIPS.search(instruction.attributes)
            trips = int(known.group(1)) if known else unknown_trips
            run(instruction.called("body"), times * trips)
            if not known:
                run(instruction.called("condition"), times * trips)
                program.waits.append(Wait(instruction, times * trips))
        elif opcode == "conditional":
            program.waits.append(Wait(instruction, times))
            branches = instruction.called("branch_computations") or (
                instruction.called("true_computation") + instruction.called("false_computation")
            )
            run(branches, times)
        elif opcode in ("call", "async-start"):
            run(instruction.called("to_apply") or instruction.called("calls"), times)
        else:
            program.kernels.append(_kernel(computations, shapes, instruction, times))


def _kernel(
    computations: dict[str, list[Instruction]],
    shapes: dict[str, str],
    instruction: Instruction,
    times: int,
) -> Kernel:
    inner = [computations[name] for name in instruction.called("calls") if name in computations]
    operands = [shapes[operand] for operand in instruction.operands if operand in shapes]
    if instruction.opcode == "fusion" and inner:
        return Kernel(instruction, times, _products(inner[0]), _fusion_bytes(inner[0], instruction))
    moved = shape_bytes(instruction.shape) + sum(map(shape_bytes, operands))
    return Kernel(instruction, times, _flops(instruction, operands), moved)


def _products(computation: list[Instruction]) -> float:
    shapes = {instruction.name: instruction.shape for instruction in computation}
    return sum(
        _flops(instruction, [shapes[operand] for operand in instruction.operands])
        for instruction in computation
    )


def _flops(instruction: Instruction, operands: list[str]) -> float:
    """Return the operations of a product, a factorisation or a substitution; otherwise 0."""
    target = _target(instruction) if instruction.opcode == "custom-call" else instruction.opcode
    if target == "dot" or "gemm" in target or "matmul" in target:
        found = re.search(
            r'lhs_contracting_(?:dims=\{|dimensions":\[)([0-9,"]*)', instruction.attributes
        )
        axes = [int(axis) for axis in re.findall(r"\d+", found.group(1))] if found else []
        contracted = math.prod(_dims(operands[0])[axis] for axis in axes)
        return 2.0 * contracted * _size(_SHAPE.findall(instruction.shape)[0][1])
    if "potrf" in target:
        *batch, n, _ = _dims(operands[0])
        return math.prod(batch) * n**3 / 3
    if "triangularSolve" in target or target == "triangular-solve":
        return float(_size(_SHAPE.findall(operands[1])[0][1]) * _dims(operands[0])[-1])
    return 0.0


def _target(instruction: Instruction) -> str:
    found = re.search(r'custom_call_target="([^"]*)"', instruction.attributes)
    return found.group(1) if found else "?"


def _fusion_bytes(computation: list[Instruction], fusion: Instruction) -> float:
    """Return the bytes that a fusion reads and writes.

    Of an operand that it only takes slices of, the slices count, and of an array that it updates
    in place the update.
    """
    readers: dict[str, list[Instruction]] = defaultdict(list)
    shapes = {instruction.name: instruction.shape for instruction in computation}
    for instruction in computation:
        for operand in instruction.operands:
            readers[operand].append(instruction)
    updated = 0.0
    moved = 0.0
    for instruction in computation:
        if instruction.opcode == "dynamic-update-slice":
            updated += shape_bytes(instruction.shape)
            moved += shape_bytes(shapes[instruction.operands[1]])
        if instruction.opcode != "parameter":
            continue
        reading = readers[instruction.name]
        if reading and all(_is_slice_of(reader, instruction.name) for reader in reading):
            moved += sum(shape_bytes(reader.shape) for reader in reading)
        elif not (
            reading
            and all(
                reader.opcode == "dynamic-update-slice" and reader.operands[0] == instruction.name
                for reader in reading
            )
        ):
            moved += shape_bytes(instruction.shape)
    return moved + max(0.0, shape_bytes(fusion.shape) - updated)


def _is_slice_of(reader: Instruction, name: str) -> bool:
    return reader.opcode in _SLICES and reader.operands[0] == name


def _sources(text: str) -> dict[str, str]:
    """Return the innermost function of this project of every stack frame, as `file: function`."""
    tables: dict[str, dict[str, str]] = defaultdict(dict)
    section = ""
    for line in text.splitlines():
        if line in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
            section = line
        elif section and (entry := re.match(r'(\d+) [{"](.*)[}"]$', line)):
            tables[section][entry.group(1)] = entry.group(2)
        elif line.startswith(("%", "ENTRY")):
            break
    return dict(_frames(tables))


def _frames(tables: dict[str, dict[str, str]]) -> Iterator[tuple[str, str]]:
    def field(entry: str, name: str) -> str:
        found = re.search(rf"{name}=(\d+)", entry)
        return found.group(1) if found else ""

    for number in tables["StackFrames"]:
        frame, seen = number, set()
        while frame in tables["StackFrames"] and frame not in seen:
            seen.add(frame)
            entry = tables["StackFrames"][frame]
            location = tables["FileLocations"].get(field(entry, "file_location_id"), "")
            file = tables["FileNames"].get(field(location, "file_name_id"), "")
            if "ferminet/" in file:
                function = tables["FunctionNames"].get(field(location, "function_name_id"), "")
                path = file[file.rindex("ferminet/") + len("ferminet/") :]
                yield number, f"{path}: {function.split('.')[0]}"
                break
            frame = field(entry, "parent_frame_id")
