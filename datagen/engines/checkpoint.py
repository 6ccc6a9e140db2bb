"""Which weights a model name stands for.

Engines put this into their fingerprints: a folder can be written over and a Hub name can move on,
and answers of other weights must not be found in a journal.
"""

import hashlib
from pathlib import Path


def checkpoint_digest(name: str, commit: str | None) -> str:
    """Hash of the weights, in hexadecimal digits.

    Args:
        name: folder or Hub name of the model.
        commit: of a Hub model, for whose files it stands; a folder is read.
    """
    digest = hashlib.sha256(str(commit).encode())
    folder = Path(name)
    if folder.is_dir():
        for path in sorted((*folder.glob("*.safetensors"), *folder.glob("*.json"))):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
