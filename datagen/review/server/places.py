"""Where the server's environment and its data are kept.

They are apart, because the environment (600 MB) serves every folder of data, and can be deleted at
any time, which the data cannot.
"""

import os
from pathlib import Path
from typing import Final

SERVER_VERSION: Final = "2.8.0"
"""Of Argilla's server. The SDK of the extra ``review`` talks to it."""

VENV_VARIABLE: Final = "DATAGEN_ARGILLA_VENV"


def datagen_home() -> Path:
    """``DATAGEN_HOME``, else ``datagen`` in the user's folder for data (``~/.local/share``)."""
    if given := os.environ.get("DATAGEN_HOME"):
        return Path(given).expanduser().absolute()
    shared = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(shared).expanduser().absolute() / "datagen"


def server_venv() -> Path:
    """The server's environment: what ``DATAGEN_ARGILLA_VENV`` names, else one in the home."""
    if given := os.environ.get(VENV_VARIABLE):
        return Path(given).expanduser().absolute()
    return datagen_home() / f"argilla-{SERVER_VERSION}"


def review_home() -> Path:
    """The server's data unless another folder is given: database, credentials and log."""
    return datagen_home() / "review"
