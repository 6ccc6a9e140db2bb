"""From settings to an engine; the only place that knows all kinds.

Engine modules are imported when they are asked for, since each pulls in a heavy library.
"""

from collections.abc import Callable
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, Final

from datagen.config import EMBEDDED, EngineSettings, Settings
from datagen.engines.protocol import Engine
from datagen.errors import ConfigError
from datagen.own_code import load_own_function
from datagen.prompts.dialect import NATIVE

WEIGHTS: Final = Path(__file__).parents[1] / "reasoner" / "weights"
"""The embedded reasoner's checkpoint."""


def _checkpoint(settings: EngineSettings) -> str:
    """Folder or Hub name of the model."""
    return str(WEIGHTS) if settings.model == EMBEDDED else settings.model


def _transformers(settings: EngineSettings) -> Engine:
    from datagen.engines.transformers import TransformersEngine

    return TransformersEngine(
        _checkpoint(settings),
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
    )


def _vllm(settings: EngineSettings) -> Engine:
    from datagen.engines.vllm.engine import VllmEngine

    return VllmEngine(
        _checkpoint(settings),
        dtype=settings.dtype,
        concurrency=settings.concurrency,
        max_context=settings.max_context,
        tensor_parallel=settings.tensor_parallel,
        data_parallel=settings.data_parallel,
        quantization=settings.quantization,
        memory_share=settings.memory_share,
        options=settings.options,
    )


def _openai(settings: EngineSettings) -> Engine:
    from datagen.engines.openai.engine import OpenAIEngine

    return OpenAIEngine(
        settings.model,
        url=settings.url,
        endpoint=settings.endpoint,
        key_variable=settings.key_variable,
        timeout_s=settings.timeout_s,
        max_retries=settings.max_retries,
        concurrency=settings.concurrency,
    )


ENGINES: Final[dict[str, Callable[[EngineSettings], Engine]]] = {
    "transformers": _transformers,
    "vllm": _vllm,
    "openai": _openai,
}
"""Every built-in engine by the name that ``engine.kind`` takes."""

_FIELDS: Final = ("fingerprint", "batch_size", "concurrency", "usage", "close")
_METHODS: Final = ("complete", "choose", "score")


def _own(settings: EngineSettings) -> Engine:
    """One of the user's own, opened with the settings, as far as it can be told that it is one."""
    engine = load_own_function("engine.kind", settings.kind, "settings")(settings)
    gave = f"engine.kind={settings.kind!r} gave an object of type {type(engine).__name__!r}"
    if lacking := [name for name in (*_FIELDS, *_METHODS) if not hasattr(engine, name)]:
        raise ConfigError(
            f"{gave} without {', '.join(lacking)}; add what datagen.engines.protocol.Engine has"
        )
    for name in _METHODS:
        if not iscoroutinefunction(getattr(engine, name)):
            raise ConfigError(f"{gave} whose {name!r} cannot be awaited; write `async def {name}`")
    return engine


def open_engine(settings: EngineSettings) -> Engine:
    """Load the engine that the settings name.

    Raises:
        ConfigError: if there is no such kind, or one of the user's own is no engine.
        EngineError: if its model cannot be loaded.
    """
    if settings.kind not in ENGINES and ":" not in settings.kind:
        raise ConfigError(f"engine.kind={settings.kind!r} is unknown; use {', '.join(ENGINES)}")
    engine = ENGINES.get(settings.kind, _own)(settings)
    if settings.dialect is not NATIVE:  # whose name older journals do not have
        engine.fingerprint += f":{settings.dialect.fingerprint}"
    return engine


def open_tokenizer(settings: EngineSettings) -> Any | None:
    """The model's tokenizer, of ``transformers``; ``None`` if it is a server's, or unknown."""
    if settings.kind not in ("transformers", "vllm"):
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(_checkpoint(settings))


def open_team(settings: Settings) -> Engine:
    """Load the engine of a run, with the replicas and the value model that its search names.

    Without any it is the engine alone. All replicas are of the engine's kind, are asked in its
    dialect, and share with it what ``engine.memory_share`` allows.

    Raises:
        ConfigError: if a setting names something that cannot be what it should be.
        EngineError: if a model cannot be loaded.
    """
    search, engine = settings.search, settings.engine
    if search.value_model is None and not search.replica_models:
        return open_engine(engine)
    from datagen.engines.team import EngineTeam
    from datagen.guides import load_guide

    # First what can only be mistyped, since the engines may take minutes.
    guide = load_guide(search.value_model, device=engine.device) if search.value_model else None
    share = engine.memory_share / (1 + len(search.replica_models))
    opened: list[Engine] = []
    try:
        for model in (engine.model, *search.replica_models):
            update = {"model": model, "memory_share": share}
            opened.append(open_engine(engine.model_copy(update=update)))
        return EngineTeam(opened[0], opened[1:], guide)
    except BaseException:
        for one in opened:
            one.close()
        raise
