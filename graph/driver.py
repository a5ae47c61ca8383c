"""The only module that opens a driver: one Cypher, two engines, over Bolt.

Transient failures are retried here, with jitter; what is left is raised as one of :mod:`graph.errors`.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeVar, cast

import neo4j
import tenacity
from neo4j import exceptions as driver_errors

from graph.errors import ConfigurationError, Ended, ServiceError, Unavailable

Engine = Literal["neo4j", "arcadedb"]
Row = dict[str, Any]
T = TypeVar("T")

#: Whether a failure may pass by itself.
_Judgement = Callable[[BaseException], bool]

log = logging.getLogger(__name__)

logging.getLogger("neo4j").setLevel(logging.ERROR)  # its failures reach the caller as exceptions


class _Listed(list[Any]):
    """A list that is not spelt out, as the driver does with every parameter for its log, logged or not."""

    def __repr__(self) -> str:
        return f"<a list of {len(self)}>"


class Tx:
    """An explicit transaction: everything that ``run`` does in it happens, or nothing does."""

    def __init__(self, inner: neo4j.Transaction, engine: Engine) -> None:
        self._inner = inner
        self._engine = engine

    def run(self, query: str, **parameters: Any) -> list[Row]:
        """Run one statement and return its rows."""
        return _run(self._inner, self._engine, query, parameters)


class Graph:
    """A connection to one graph.

    ``patience_s`` bounds how long a call is tried again while the graph is away or in conflict; the stream sets
    it high (an outage pauses it), a command that a person waits for keeps it low. ``ended`` says what has become
    of a graph that will never answer again, if that is so.
    """

    def __init__(
        self,
        driver: neo4j.Driver,
        database: str | None,
        *,
        patience_s: float,
        ended: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._driver = driver
        self._database = database
        self._patience_s = patience_s
        self._ended = ended
        self.agent = driver.get_server_info().agent
        self.engine: Engine = "arcadedb" if "ArcadeDB" in self.agent else "neo4j"

    def read(self, query: str, **parameters: Any) -> list[Row]:
        """Run one query in a read transaction of its own.

        Raises:
            ServiceError: the engine refused it, or has not the memory for it: that may help to ask about less.
            Unavailable: the graph is away.
            Ended: it will not come back.
        """
        return self._retried(
            lambda: self._read(query, parameters),
            lambda error: _worth_retrying(error) and not _lacks_memory(error),
        )

    def write(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` in one explicit transaction, again from the start after a transient failure.

        ``work`` must therefore have no effect but on the graph. A violated constraint counts as transient: a
        concurrent writer created the node, and the next try finds it.
        """
        return self._retried(lambda: self._write(work))

    def run_schema(self, statement: str) -> None:
        """Run one schema statement (engines want these outside explicit transactions).

        Neo4j refuses it, ``IF NOT EXISTS`` or not, where another worker makes the same meanwhile: then once more.
        """

        def run() -> None:
            with self._driver.session(database=self._database) as session:
                session.run(statement).consume()

        self._retried(run, lambda error: _worth_retrying(error) or "AlreadyExists" in _code(error))

    def explain(self, query: str, **parameters: Any) -> dict[str, Any] | None:
        """The engine's plan, if it has one: a tree on Neo4j; on ArcadeDB its text, under ``args``."""

        def run() -> dict[str, Any] | None:
            with self._driver.session(database=self._database, default_access_mode=neo4j.READ_ACCESS) as session:
                prefix = "PROFILE" if self.engine == "arcadedb" else "EXPLAIN"
                summary = session.run(f"{prefix} {query}", parameters).consume()
                return cast(dict[str, Any] | None, summary.profile or summary.plan)

        return self._retried(run)

    def await_indexes(self) -> None:
        """Wait until every index is online."""
        deadline = time.monotonic() + 60
        while any(row["state"] != "ONLINE" for row in self.read("SHOW INDEXES")):
            if time.monotonic() > deadline:
                raise ServiceError("the graph's indexes did not come online within a minute")
            time.sleep(0.1)

    def close(self) -> None:
        """Close the connections; the engine itself goes on."""
        self._driver.close()

    def _read(self, query: str, parameters: Row) -> list[Row]:
        # Begin and commit would be two more round trips, which cost as much as most reads do.
        with self._driver.session(database=self._database, default_access_mode=neo4j.READ_ACCESS) as session:
            return _run(session, self.engine, query, parameters)

    def _write(self, work: Callable[[Tx], T]) -> T:
        with (
            self._driver.session(database=self._database, default_access_mode=neo4j.WRITE_ACCESS) as session,
            session.begin_transaction() as transaction,
        ):
            result = work(Tx(transaction, self.engine))
            transaction.commit()
            return result

    def _retried(self, call: Callable[[], T], worth_retrying: _Judgement | None = None) -> T:
        worth_retrying = worth_retrying or _worth_retrying
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(worth_retrying),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=5),
            stop=tenacity.stop_after_delay(self._patience_s),
            before_sleep=_report,
            reraise=True,
        )
        try:
            return retrying(call)
        except (driver_errors.DriverError, driver_errors.Neo4jError, OSError) as error:
            failure = _translated(error, worth_retrying)
            if isinstance(failure, Unavailable) and (why := self._ended()) is not None:
                raise Ended(why) from error
            raise failure from error
        except (OverflowError, UnicodeError) as error:
            raise ServiceError(f"a value cannot be sent to the graph: {error}") from error


def _run(inner: neo4j.Transaction | neo4j.Session, engine: Engine, query: str, parameters: Row) -> list[Row]:
    parameters = {
        name: _Listed(value) if isinstance(value, (list, tuple)) else value for name, value in parameters.items()
    }
    if engine == "neo4j":
        query, parameters = _planned_once(query, parameters)
    # Not ``data()``: that walks through every value to look for nodes, of which nothing here returns any.
    return [dict(record) for record in inner.run(query, parameters)]


def _planned_once(query: str, parameters: Row) -> tuple[str, Row]:
    """The same statement with its lists in one map, and with the plan that Neo4j has of it, if any.

    Neo4j keeps a plan for each order of magnitude of a list's length, and would plan a rule five times before it
    has seen batches of all sizes, for up to two seconds each. Of a list within a map its planner asks no length.
    And it would plan each anew, while a batch waits, whenever the graph has outgrown what it was planned for. What
    takes lists begins at their entities' indexes, however large the graph is.
    """
    lists = {name: value for name, value in parameters.items() if isinstance(value, _Listed)}
    if not lists:
        return query, parameters
    others = {name: value for name, value in parameters.items() if name not in lists}
    return f"CYPHER replan=skip {_with_lists_in_a_map(query, tuple(lists))}", {**others, "lists": lists}


@lru_cache(maxsize=1024)
def _with_lists_in_a_map(query: str, names: tuple[str, ...]) -> str:
    return re.sub(rf"\$({'|'.join(names)})\b", r"$lists.\1", query)


def _worth_retrying(error: BaseException) -> bool:
    if isinstance(error, driver_errors.AuthError):
        return False
    if isinstance(error, (driver_errors.DriverError, driver_errors.Neo4jError)) and error.is_retryable():
        return True
    if isinstance(error, (driver_errors.ServiceUnavailable, driver_errors.SessionExpired, OSError)):
        return True
    # ArcadeDB reports an optimistic conflict as a general error that names the exception.
    return isinstance(error, driver_errors.ConstraintError) or "ConcurrentModification" in str(error)


def _lacks_memory(error: BaseException) -> bool:
    """Whether a read was refused since it, or what runs beside it, holds too much: its retry would fare no better.

    ArcadeDB says that by the code of a deadlock, which no read can be in.
    """
    code = _code(error)
    return "OutOfMemory" in code or code == "Neo.TransientError.Transaction.DeadlockDetected"


def _code(error: BaseException) -> str:
    return getattr(error, "code", None) or ""


def _report(state: tenacity.RetryCallState) -> None:
    if state.attempt_number in (3, 10) or state.attempt_number % 50 == 0:
        error = state.outcome.exception() if state.outcome else None
        log.warning("graph_retry", extra={"attempt": state.attempt_number, "error": type(error).__name__})


def _translated(error: Exception, worth_retrying: _Judgement) -> ServiceError | ConfigurationError:
    if isinstance(error, driver_errors.AuthError):
        return ConfigurationError(
            "the graph refused the user name or password: check RINGWATCH_GRAPH_USER and RINGWATCH_GRAPH_PASSWORD"
        )
    if worth_retrying(error) and not isinstance(error, driver_errors.ConstraintError):
        return Unavailable(f"the graph does not answer ({type(error).__name__}): {_first_line(error)}")
    return ServiceError(f"the graph refused a statement: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    """What the server says, without the codes around it, or else what the driver does."""
    said = getattr(error, "message", None) or str(error)
    return (str(said).splitlines() or [type(error).__name__])[0]


def connect(
    uri: str,
    user: str,
    password: str,
    *,
    database: str | None = None,
    patience_s: float = 30.0,
    ended: Callable[[], str | None] = lambda: None,
) -> Graph:
    """Open and verify a connection; ``ended`` as in :class:`Graph`.

    Raises:
        ConfigurationError: the address is malformed, or the credentials are refused.
        Unavailable: nothing answered for ``patience_s`` seconds.
    """
    try:
        driver = neo4j.GraphDatabase.driver(
            uri,
            auth=(user, password),
            connection_timeout=5,
            max_transaction_retry_time=0,
            notifications_min_severity="OFF",
            user_agent="ringwatch",
        )
    except (driver_errors.ConfigurationError, ValueError) as error:
        raise ConfigurationError(f"{uri!r} is not a graph address: {_first_line(error)}") from error
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_worth_retrying),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2),
        stop=tenacity.stop_after_delay(patience_s),
        reraise=True,
    )
    try:
        retrying(driver.verify_connectivity)
        return Graph(driver, database, patience_s=patience_s, ended=ended)
    except (driver_errors.DriverError, driver_errors.Neo4jError, OSError) as error:
        driver.close()
        raise _translated(error, _worth_retrying) from error
