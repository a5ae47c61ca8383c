"""A process that uses an embedded engine and obeys the lines that it reads, until there are no more.

``write ID`` commits a node, ``hold ID`` leaves one in an open transaction, ``count`` counts them.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing

from graph.driver import Graph, Tx, connect
from graph.embedded import embedded_engine


def answer(graph: Graph, line: str) -> object:
    verb, *names = line.split()
    if verb == "write":
        graph.write(lambda tx: tx.run("CREATE (:Probe {id: $id})", id=names[0]))
    elif verb == "hold":
        graph.write(lambda tx: _hold(tx, names[0]))
    return graph.read("MATCH (p:Probe) RETURN count(p) AS count")[0]["count"]


def _hold(tx: Tx, name: str) -> None:
    tx.run("CREATE (:Probe {id: $id})", id=name)
    print(json.dumps("held"), flush=True)
    time.sleep(600)


def main() -> None:
    with embedded_engine(sys.argv[1], heap="256m") as engine:
        print(json.dumps({"owned": engine.owned, "pid": engine.pid, "uri": engine.uri}), flush=True)
        connection = connect(engine.uri, engine.user, engine.password, database=engine.database, patience_s=20)
        with closing(connection) as graph:
            for line in sys.stdin:
                print(json.dumps(answer(graph, line)), flush=True)


if __name__ == "__main__":
    main()
