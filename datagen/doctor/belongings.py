"""What ships with the package, and what other tools keep on this machine for it.

Nothing is loaded to be checked: a checkpoint says in its header how long it must be, and a token is
only seen to be there.
"""

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from datagen.doctor.finding import Finding
from datagen.doctor.machine import nearest, writable

_CHECKPOINT: Final = "model.safetensors"
_MAX_HEADER_BYTES: Final = 10_000_000


def reasoner(weights: Path) -> Iterator[Finding]:
    """Whether the embedded reasoner is whole."""
    fix = "git checkout -- datagen/reasoner, or name another model with --model"
    absent = [name for name in ("config.json", _CHECKPOINT) if not (weights / name).is_file()]
    if absent:
        yield Finding("reasoner", "missing", f"{weights} lacks {', '.join(absent)}", fix)
        return
    checkpoint = weights / _CHECKPOINT
    with checkpoint.open("rb") as file:
        n_header = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(min(n_header, _MAX_HEADER_BYTES)))
        except ValueError:
            yield Finding("reasoner", "missing", f"{checkpoint} is no checkpoint", fix)
            return
    tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
    n_bytes = 8 + n_header + max(tensor["data_offsets"][1] for tensor in tensors)
    if n_bytes != checkpoint.stat().st_size:
        yield Finding("reasoner", "missing", f"{checkpoint} is cut short", fix)
        return
    n_parameters = sum(math.prod(tensor["shape"]) for tensor in tensors)
    yield Finding(
        "reasoner", "ok", f"embedded, {n_parameters / 1e6:.1f} M parameters; a toy for trying out"
    )


def seeds(path: Path) -> Iterator[Finding]:
    """The bundled seeds."""
    try:
        n_seeds = sum(1 for line in path.read_bytes().splitlines() if line.strip())
    except OSError:
        fix = "python -m datagen.reasoner.bundle, or name your own with --seeds"
        yield Finding("seeds", "missing", f"no {path}", fix)
    else:
        yield Finding("seeds", "ok", f"{n_seeds} bundled")


def taxonomy() -> Iterator[Finding]:
    """The thought factors in force."""
    from datagen.factors.extension import VARIABLE
    from datagen.factors.taxonomy import ACTIONS, EXTENSION, TAXONOMY_VERSION, Factor

    told = f"version {TAXONOMY_VERSION}, {len(ACTIONS)} of {len(Factor)} thought factors in use"
    yield Finding("taxonomy", "ok", f"{told}, from {VARIABLE}" if EXTENSION else told)


def hugging_face(env: Mapping[str, str]) -> Iterator[Finding]:
    """The Hub's cache and token, found as ``huggingface_hub`` finds them.

    Its ``get_token`` is not asked, because it may refresh a token over the network.
    """
    cache = Path(env.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    home = Path(env.get("HF_HOME") or cache).expanduser()
    if writable(nearest(home)):
        yield Finding("HF_HOME", "ok", str(home))
    else:
        fix = "export HF_HOME=<a folder that can be written to>"
        yield Finding("HF_HOME", "missing", f"cannot write to {home}", fix)
    file = Path(env.get("HF_TOKEN_PATH") or home / "token").expanduser()
    if env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN"):
        yield Finding("HF token", "ok", "set in the environment")
    elif file.is_file() and file.stat().st_size:
        yield Finding("HF token", "ok", f"in {file}")
    else:
        detail = "none; needed to publish, and to read private or gated repositories"
        yield Finding("HF token", "note", detail, "hf auth login")


def dagster_home(env: Mapping[str, str]) -> Iterator[Finding]:
    """Where Dagster keeps what it knows of past runs."""
    home = env.get("DAGSTER_HOME")
    if not home:
        detail = "not set: `datagen run` keeps Dagster's run history in its output folder"
        yield Finding("DAGSTER_HOME", "note", detail)
    elif not Path(home).is_absolute():
        fix = f"export DAGSTER_HOME={shlex.quote(str(Path(home).absolute()))}"
        yield Finding("DAGSTER_HOME", "missing", f"{home!r} is not an absolute path", fix)
    elif not writable(nearest(Path(home))):
        yield Finding("DAGSTER_HOME", "missing", f"cannot write to {home}", "unset DAGSTER_HOME")
    else:
        yield Finding("DAGSTER_HOME", "ok", f"Dagster's run history is in {home}")
