"""The GPUs that programs are compiled for, as XLA's text of a target and as a roofline.

Sources: NVIDIA's data sheets of the A100 80GB SXM (2021), the H100 SXM (2023) and the H200 SXM
(2024), and the CUDA programming guide's table of compute capabilities.
"""

from typing import NamedTuple

LAUNCH_S = 2.5e-6  # of a kernel in a stream, as launched from the host; 2 to 4 are common


class Target(NamedTuple):
    """One kind of GPU."""

    name: str
    capability: tuple[int, int]
    cores: int  # streaming multiprocessors
    shared_memory: int  # bytes of one core
    clock_ghz: float
    l2_bytes: int
    memory_bytes: int
    bandwidth: float  # bytes per second
    float32: float  # operations per second without tensor cores

    def text(self) -> str:
        """Return the target in the text form of XLA's `GpuTargetConfigProto`."""
        major, minor = self.capability
        # Hopper's tensor cores have instructions that later GPUs lack.
        features = " feature_extension: ACCELERATED_FEATURES" if major == 9 else ""
        info = {
            "threads_per_block_limit": 1024,
            "threads_per_warp": 32,
            "shared_memory_per_block": 49152,
            "shared_memory_per_core": self.shared_memory,
            "shared_memory_per_block_optin": self.shared_memory - 1024,
            "threads_per_core_limit": 2048,
            "core_count": self.cores,
            "fpus_per_core": round(self.float32 / (2 * self.clock_ghz * 1e9 * self.cores)),
            "block_dim_limit_x": 2147483647,
            "block_dim_limit_y": 65535,
            "block_dim_limit_z": 65535,
            "thread_dim_limit_x": 1024,
            "thread_dim_limit_y": 1024,
            "thread_dim_limit_z": 64,
            "registers_per_core_limit": 65536,
            "registers_per_block_limit": 65536,
            "memory_bandwidth": round(self.bandwidth),
            "l2_cache_size": self.l2_bytes,
            "clock_rate_ghz": self.clock_ghz,
            "device_memory_size": self.memory_bytes,
            "device_address_bits": 64,
        }
        versions = ("driver_version", "runtime_version", "compile_time_toolkit_version")
        lines = [f"{name}: {value}" for name, value in info.items()]
        lines += [f'{name}: "13.0.0"' for name in versions]
        lines += ['dnn_version: "9.10.0"']
        lines += [f"cuda_compute_capability {{ major: {major} minor: {minor}{features} }}"]
        version = "dnn_version_info { major: 9 minor: 10 }"
        return f'gpu_device_info {{ {" ".join(lines)} }} platform_name: "CUDA" {version}'


TARGETS = {
    target.name: target
    for target in (
        Target("a100", (8, 0), 108, 167936, 1.41, 41943040, 85899345920, 2.039e12, 19.5e12),
        Target("h100", (9, 0), 132, 233472, 1.98, 52428800, 85899345920, 3.35e12, 67e12),
        Target("h200", (9, 0), 132, 233472, 1.98, 52428800, 151397597184, 4.8e12, 67e12),
    )
}
