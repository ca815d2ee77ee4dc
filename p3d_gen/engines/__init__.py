"""The contract of a stage, and its engines: this process, a pool of local processes, or a Ray cluster."""

from p3d_gen.engines.contract import Stage, enter, make_shard, tick, worker_number
from p3d_gen.engines.local import available_cores, run_shards

__all__ = ["Stage", "available_cores", "enter", "make_shard", "run_shards", "tick", "worker_number"]
