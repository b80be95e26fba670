"""The compute port on this machine: a pool of processes."""

from carcloud.engines.compute_local.pool import LocalCompute

__all__ = ["LocalCompute"]
