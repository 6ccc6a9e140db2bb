"""Benchmarks on the terminal: :mod:`datagen.bench` measures; here it is shown and written down."""

from assets.bench.commands import bench

__all__ = ["bench"]
