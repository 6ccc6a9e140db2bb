"""``python -m datagen.config.document`` writes the table of settings in ``docs/configure.md``.

Only its rows are replaced: the rest of the page is written by people.
"""

from pathlib import Path
from typing import Final

from datagen.config.settings import Settings

PAGE: Final = Path(__file__).parents[2] / "docs" / "configure.md"

_HEAD: Final = "| setting | default | meaning |\n| --- | --- | --- |\n"


def document(page: str) -> str:
    """The page with the settings of today; its table ends where the first empty line is."""
    before, head, behind = page.partition(_HEAD)
    _, gap, rest = behind.partition("\n\n")
    rows = [
        f"| `{name}` | `{default}` | {meaning} |" for name, default, meaning in Settings().table()
    ]
    return before + head + "\n".join(rows) + (gap + rest if gap else "\n")


def main() -> None:
    """Write the page."""
    PAGE.write_text(document(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
