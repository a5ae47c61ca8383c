"""Prints how many records of each type are split in the database of a folder, which no engine may use meanwhile.

A process of its own, since it starts a Java machine, which leaves its log in the current folder.
"""

from __future__ import annotations

import json
import sys

import arcadedb_embedded


def main() -> None:
    """Look at the types that are named after the folder."""
    folder, *types = sys.argv[1:]
    database = arcadedb_embedded.open_database(folder)
    split: dict[str, int] = {}
    for name in types:
        (row,) = database.command("sql", f"CHECK DATABASE TYPE {name}")
        split[name] = row.get("totalMultiPageRecords")
    database.close()
    print(json.dumps(split))


if __name__ == "__main__":
    main()
