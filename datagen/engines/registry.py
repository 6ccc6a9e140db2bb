"""From settings to an engine; the only place that knows all kinds.

Engine modules are imported when they are asked for, since each pulls in a heavy library.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from datagen.config import EMBEDDED, EngineSettings
from datagen.engines.protocol import Engine
from datagen.errors import ConfigError

WEIGHTS: Final = Path(__file__).parents[1] / "reasoner" / "weights"
"""The embedded reasoner's checkpoint."""


def _transformers(settings: EngineSettings) -> Engine:
    from datagen.engines.transformers import TransformersEngine

    return TransformersEngine(
        str(WEIGHTS) if settings.model == EMBEDDED else settings.model,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
    )


ENGINES: Final[dict[str, Callable[[EngineSettings], Engine]]] = {"transformers": _transformers}
"""Every engine by the name that ``engine.kind`` takes."""


def open_engine(settings: EngineSettings) -> Engine:
    """Load the engine that the settings name.

    Raises:
        ConfigError: if there is no such kind.
        EngineError: if its model cannot be loaded.
    """
    if settings.kind not in ENGINES:
        raise ConfigError(f"engine.kind={settings.kind!r} is unknown; use {', '.join(ENGINES)}")
    return ENGINES[settings.kind](settings)
