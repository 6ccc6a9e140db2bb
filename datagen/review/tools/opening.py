"""Opens the tool that the settings name.

The surprising fact: files are always read, whatever the tool. Somebody may have been sent some
while the others answer in Argilla, and what came back must count.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from datagen.review.tools.jsonl.tool import JsonlTool
from datagen.review.tools.protocol import ReviewTool
from schemas import ReviewToolName


def open_tool(
    name: ReviewToolName,
    folder: Path,
    *,
    workspace: str = "datagen",
    seniors: Sequence[str] = (),
    suggest: bool = True,
) -> ReviewTool:
    """Open a tool.

    Args:
        name: which one. Argilla is the server that ``ARGILLA_API_URL`` names; else the one that
            runs on this machine.
        folder: of the files that go out and come back.
        workspace: of Argilla.
        seniors: usernames of those who decide disputes.
        suggest: fill in beforehand what the pipeline believes.

    Raises:
        ReviewError: Argilla cannot be used.
    """
    if name == "jsonl":
        return JsonlTool(folder, suggest=suggest)
    from datagen.review.tools.argilla.tool import ArgillaTool

    url, key = _own_server()
    return ArgillaTool(url=url, key=key, workspace=workspace, seniors=seniors, suggest=suggest)


def _own_server() -> tuple[str | None, str | None]:
    """Of the server on this machine, unless another one is named."""
    if os.environ.get("ARGILLA_API_URL"):
        return None, None
    from datagen.review.server import find

    return find() or (None, None)
