"""What vLLM is told when it starts, by its own names.

The user's options win over all, and a name that vLLM does not know is an error before anything is
loaded. On a CPU vLLM needs other defaults than its own.
"""

import dataclasses
import difflib
import json
from collections.abc import Mapping
from typing import Any, Final

from datagen.engines.vllm.core import vllm_module
from datagen.errors import ConfigError

_ALWAYS: Final[Mapping[str, Any]] = {
    "logprobs_mode": "raw_logprobs",  # untempered
    "use_tqdm_on_load": False,
}

_ON_CPU: Final[Mapping[str, Any]] = {
    "dtype": "float32",
    # Compiling takes a minute and wants a compiler.
    "enforce_eager": True,
    # For attention's keys and values, where vLLM would take a share of the whole memory. The
    # environment variable VLLM_CPU_KVCACHE_SPACE wins over it.
    "kv_cache_memory_bytes": 1 << 30,
    # What the prefix cache keeps or drops together; vLLM's 128 tokens are many a whole prompt.
    "block_size": 32,
    # vLLM 0.32 dies when the prompt of a request with a seed is read in parts ("CPU Generator does
    # not use offset").
    "enable_chunked_prefill": False,
}

_SHAPING: Final = ("quantization", "kv_cache_dtype", "hf_overrides", "load_format", "max_model_len")
"""Arguments that change what a model says."""


def engine_arguments(given: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments that differ from vLLM's defaults.

    Args:
        given: from our own settings; ``None`` is vLLM's default, ``"auto"`` as a dtype ours.
        options: further ones, which win.

    Raises:
        ConfigError: if vLLM has no argument of an option's name.
        EngineError: if vLLM is missing.
    """
    known = [
        f.name for f in dataclasses.fields(vllm_module("vllm.engine.arg_utils").AsyncEngineArgs)
    ]
    for name, value in options.items():
        if name not in known:
            near = (
                ", ".join(difflib.get_close_matches(name, known)) or "see `vllm serve --help=all`"
            )
            raise ConfigError(
                f"engine.options.{name}={value!r}: vLLM has no such argument; {near}?"
            )
    on_cpu = vllm_module("vllm.platforms").current_platform.is_cpu()
    chosen = {name: value for name, value in given.items() if value not in (None, "auto")}
    return {**_ALWAYS, **(_ON_CPU if on_cpu else {}), **chosen, **options}


def shaping(arguments: Mapping[str, Any]) -> list[str]:
    """Those that change what a model says, for its fingerprint; in a fixed order."""
    return [
        f"{name}-{json.dumps(arguments[name], sort_keys=True, default=str)}"
        for name in _SHAPING
        if arguments.get(name) is not None
    ]
