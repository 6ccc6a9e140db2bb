"""Where the ``transformers`` engine spends its time on one batch, by kind of operation.

Operations are told apart by name, so nothing has to be known of the engine's insides. They are
timed in one run and held against the wall time of the same batch without a profiler, since
profiling slows Python down more than anything else: what is left over is Python.
"""

import os
from collections.abc import Sequence
from typing import Final

from torch.profiler import ProfilerActivity, profile

from datagen.bench.ceilings import engine_rate
from datagen.engines.protocol import CompletionRequest, Engine

_PARTS: Final[dict[str, tuple[str, ...]]] = {
    "linear layers": ("linear", "addmm", "addmm_", "mm", "matmul"),
    "attention": (
        "scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu", "bmm",
        "baddbmm", "softmax", "_softmax", "masked_fill_", "bitwise_not",
    ),
    "norms, rotary, activation": (
        "add", "add_", "cat", "cos", "mean", "mul", "mul_", "neg", "pow", "rms_norm", "rsqrt",
        "silu", "silu_", "sin", "sqrt",
    ),
    "sampling": (
        "__and__", "any", "argmax", "argsort", "cumsum", "div", "div_", "gather", "gt",
        "log_softmax", "logsumexp", "lt", "scatter", "searchsorted", "sort", "where",
    ),
    "copies of cache and rows": (
        "clone", "contiguous", "copy_", "index", "index_put_", "index_select", "repeat_interleave",
    ),
}  # fmt: skip
"""Kinds of time, and the operations that make them up, without their prefix ``aten::``."""

OTHER: Final = "other operations"
PYTHON: Final = "Python"


def profile_batch(
    engine: Engine, requests: Sequence[CompletionRequest], *, wall_s: float
) -> dict[str, float]:
    """Seconds by kind of time for one call of an engine on the CPU, the longest first.

    Args:
        engine: the engine.
        requests: one batch.
        wall_s: seconds that this very call takes without a profiler.
    """
    part_of = {f"aten::{name}": part for part, names in _PARTS.items() for name in names}
    # The profiler writes to standard error whenever it starts and stops; only errors may.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        engine_rate(engine, requests)
    seconds = dict.fromkeys([*_PARTS, OTHER], 0.0)
    for event in profiled.events() or ():
        # What an operation calls in turn is in its time already.
        if event.cpu_parent is None:
            seconds[part_of.get(event.name, OTHER)] += event.cpu_time_total / 1e6
    seconds[PYTHON] = max(wall_s - sum(seconds.values()), 0.0)
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))
