"""Benchmarks: `./dev bench` lists them, `./dev bench NAME` runs some and prints tables.

A benchmark is a module of this folder. Its docstring is the method, printed beside the figures;
its `rows()` returns a list of `Row`. Where `rows` takes an argument `small`, `--small` runs it in
a few seconds on little data, to see that it works; such figures mean nothing.
"""

from bench.row import Row

__all__ = ["Row"]
