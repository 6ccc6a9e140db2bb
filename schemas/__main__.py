"""``python -m schemas`` writes each contract's JSON Schema to ``schemas/json``.

The files are committed, so that a change of a contract shows in review and other languages can
read the contracts; a test holds them to the code.
"""

import json
from pathlib import Path

from schemas import CONTRACTS

FOLDER = Path(__file__).parent / "json"


def render(table: str) -> str:
    """The text of a table's JSON Schema file."""
    return json.dumps(CONTRACTS[table].json_schema(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write all files, and remove those of tables that are gone."""
    FOLDER.mkdir(exist_ok=True)
    for stale in FOLDER.glob("*.schema.json"):
        stale.unlink()
    for table in CONTRACTS:
        path = FOLDER / f"{table}.schema.json"
        path.write_text(render(table), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
