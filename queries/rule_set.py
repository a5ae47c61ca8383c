"""The rules that run, taken up again when their files change.

A changed file that is no valid rule is refused with its reason, and what ran before goes on. Nothing watches the
folders: looking at them costs a few microseconds a file, and is done between batches.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from graph.errors import ConfigurationError
from queries.loader import RULES_FOLDER, RuleError, load_rule
from queries.spec import Rule

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuleChoice:
    """Which rules run: those of ``folders`` (of two with one id, the later folder's) without the ``disabled``.

    ``parameters`` are set over the defaults: rule id → parameter → value.
    """

    folders: tuple[Path, ...] = (RULES_FOLDER,)
    disabled: frozenset[str] = frozenset()
    parameters: Mapping[str, Mapping[str, int | float]] = field(default_factory=dict)

    def read(self, path: Path) -> Rule:
        """The rule in a file, with these parameters.

        Raises:
            RuleError: it is no rule, or has no such parameters.
        """
        rule = load_rule(path)
        try:
            return rule.with_parameters(self.parameters.get(rule.id, {}))
        except ValueError as error:
            raise RuleError(f"settings: {error}") from error


class Refresh(NamedTuple):
    """What has changed since the last look: ids that run anew or no more, and file → why it was refused."""

    taken: list[str]
    removed: list[str]
    refused: dict[Path, str]


class _Stamp(NamedTuple):
    """What tells that a file's content may have changed."""

    modified_ns: int
    size: int
    inode: int


class RuleSet:
    """The chosen rules; ``inspect`` says what else is wrong with a rule, which is not asked of the shipped ones.

    Raises:
        ConfigurationError: at the start, a file is no valid rule, or the choice names what does not exist.
    """

    def __init__(self, choice: RuleChoice, inspect: Callable[[Rule], Sequence[object]] = lambda _: ()) -> None:
        self._choice = choice
        self._inspect = inspect
        self._stamps = {folder: _look(folder) for folder in choice.folders}
        self._files = {
            path: choice.read(path) if folder == RULES_FOLDER else self._inspected(path)
            for folder, stamps in self._stamps.items()
            for path in stamps
        }
        self.refused: dict[Path, str] = {}
        named = choice.disabled | choice.parameters.keys()
        if unknown := named - {rule.id for rule in self._files.values()}:
            raise ConfigurationError(f"the settings name rules that do not exist: {', '.join(sorted(unknown))}")
        self.rules = self._running(self._files)

    def refresh(self) -> Refresh:
        """Look at the folders and take up what has changed.

        Raises:
            Unavailable: whoever inspects is away; nothing was taken up, the same call may be made again.
        """
        stamps = dict(self._stamps)
        refused: dict[Path, str] = {}
        for folder in self._choice.folders:
            try:
                stamps[folder] = _look(folder)
            except RuleError as error:
                refused[folder] = str(error)
        files: dict[Path, Rule] = {}
        for folder, found in stamps.items():
            for path, stamp in found.items():
                known = self._files.get(path) or self._renamed(folder, stamp, found)
                if self._stamps[folder].get(path) != stamp:
                    try:
                        files[path] = self._inspected(path)
                        continue
                    except RuleError as error:
                        refused[path] = str(error)
                elif path in self.refused:
                    refused[path] = self.refused[path]
                if known is not None:
                    files[path] = known
        return self._take(stamps, files, refused)

    def _renamed(self, folder: Path, stamp: _Stamp, found: Mapping[Path, _Stamp]) -> Rule | None:
        """The rule of a file that is no longer there under the name that it had."""
        gone = self._stamps[folder].keys() - found.keys()
        return next(
            (self._files.get(path) for path in gone if self._stamps[folder][path].inode == stamp.inode), None
        )

    def _take(
        self, stamps: dict[Path, dict[Path, _Stamp]], files: dict[Path, Rule], refused: dict[Path, str]
    ) -> Refresh:
        before, rules = {rule.id: rule for rule in self.rules}, self._running(files)
        after = {rule.id for rule in rules}
        news = Refresh(
            [rule.id for rule in rules if before.get(rule.id) != rule],
            [rule_id for rule_id in before if rule_id not in after],
            {path: why for path, why in refused.items() if self.refused.get(path) != why},
        )
        self._stamps, self._files, self.refused, self.rules = stamps, files, refused, rules
        for rule in rules:
            if rule.id in news.taken:
                log.info("rule_taken_up", extra={"rule": rule.id, "version": rule.header.version})
        for rule_id in news.removed:
            log.info("rule_removed", extra={"rule": rule_id})
        for path, why in news.refused.items():
            log.error("rule_refused", extra={"file": str(path), "why": why})
        return news

    def _running(self, files: Mapping[Path, Rule]) -> list[Rule]:
        rules = {rule.id: rule for rule in files.values()}
        return [rule for rule in rules.values() if self._runs(rule)]

    def _runs(self, rule: Rule) -> bool:
        return rule.id not in self._choice.disabled and rule.header.status != "deprecated"

    def _inspected(self, path: Path) -> Rule:
        rule = self._choice.read(path)
        if self._runs(rule) and (problems := self._inspect(rule)):
            raise RuleError(f"{path}: {'; '.join(map(str, problems))}")
        return rule


def _look(folder: Path) -> dict[Path, _Stamp]:
    return dict(sorted(_stamped(folder)))


def _stamped(folder: Path) -> Iterator[tuple[Path, _Stamp]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".cypher") and not entry.name.startswith("."):  # editors leave such
                    yield Path(entry.path), _stamp(entry)
    except OSError as error:
        raise RuleError(f"{folder}: the rules cannot be read: {error.strerror}") from error


def _stamp(entry: os.DirEntry[str]) -> _Stamp:
    try:
        found = entry.stat()
    except OSError:
        return _Stamp(0, 0, 0)  # gone meanwhile, or a link to nowhere: whoever reads it says so
    return _Stamp(found.st_mtime_ns, found.st_size, found.st_ino)
