"""What can judge a state, and how one is loaded from its folder.

The surprising fact: a guide may be trained on anything, in any format. It is asked with states and
not with text, because each kind knows itself how it wants a state to be written.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from datagen.engines.protocol import Evaluation
from datagen.errors import ConfigError
from datagen.traces.model import Trace


class Guide(Protocol):
    """A value model, with or without a policy.

    Attributes:
        fingerprint: hash of its weights and its config; two copies of a folder have the same.
        batch_size: most states of one call.
        has_policy: whether its evaluations come with a policy.
    """

    fingerprint: str
    batch_size: int
    has_policy: bool

    def evaluate(self, states: Sequence[Trace]) -> list[Evaluation]:
        """Judge states, in order."""
        ...


def load_guide(folder: Path | str, *, device: str = "auto") -> Guide:
    """Load the guide in a folder, of the kind that its ``config.json`` says.

    Args:
        folder: made by :meth:`~datagen.guides.two_heads.TwoHeads.save`, or of a Transformers model
            for token classification with two labels.
        device: ``"auto"`` takes the first GPU if there is one, else the CPU.

    Raises:
        ConfigError: if it is neither, or does not fit this version's thought factors.
    """
    path = Path(folder)
    config = _config_of(path)
    if config.get("kind") == "two_heads":
        from datagen.guides.two_heads import TwoHeads

        return TwoHeads.load(path, device=device)
    if any(str(name).endswith("ForTokenClassification") for name in config["architectures"]):
        from datagen.guides.prm import Prm

        return Prm(path, device=device)
    raise ConfigError(
        f"{str(folder)!r} holds {config['architectures']!r}, which cannot judge states; "
        "search.value_model takes a two-headed model of datagen.guides, or a Transformers model "
        "for token classification"
    )


def _config_of(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**config, "architectures": list(config.get("architectures") or ())}
    except (OSError, ValueError, TypeError) as error:
        raise ConfigError(
            f"no value model can be loaded from {str(folder)!r}: {error}; set search.value_model "
            "to a folder with config.json and weights"
        ) from error


def content_digest(folder: Path) -> str:
    """Hash of all weights and JSON files below a folder, in hexadecimal digits."""
    digest = hashlib.sha256()
    files = (path for path in folder.rglob("*") if path.suffix in (".safetensors", ".json"))
    for path in sorted(files):
        digest.update(f"{path.relative_to(folder)}:{path.stat().st_size}:".encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
