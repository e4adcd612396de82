"""Replay: a course of a gate consumed again, unit by unit, with recorded grades in the place of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from promptreg.core.canonical import Json
from promptreg.core.pair import Pair, Unit
from promptreg.core.records import VerdictRecord
from promptreg.core.run import BASELINE
from promptreg.workflow.check.course import EXCLUDED, SAME
from promptreg.workflow.check.judging import start
from promptreg.workflow.check.measure import HEAD, Running
from promptreg.workflow.gated import number
from promptreg.workflow.recount import Table, graded_of


class Replay:
    """One course consumed again, as far as the verdict's record says that it was."""

    def __init__(self, table: Table, record: VerdictRecord) -> None:
        self._table, self._course = table, table.course
        origin = table.course.stream.judge.origin
        mine = [row for row in references(record.gate) if row.get("suite_from") == origin]
        self._limit = max((int(number(row, "units") or 0) for row in mine), default=0)
        repeats = max((int(number(row, "repeats_base") or 1) for row in mine), default=1)
        self._slots = tuple(table.answers.slots()[:repeats])

    def run(self, families: Mapping[bool, int]) -> Running | None:
        """*families* as `family_sizes` has them. None where an answer is missing that was there then."""
        stream = self._course.stream
        stream.policies = tuple((origin, replace(policy, guard={}, slices=None)) for origin, policy in stream.policies)
        self._course.slots = [self._slots or (BASELINE,) for _ in self._course.flags]
        running = start(self._table.gate, self._course, families)
        taken = 0
        for key, unit in zip(self._course.keys, self._course.units, strict=True):
            there = any(flags[position] != EXCLUDED for position in unit for flags in self._course.flags)
            if there and taken >= self._limit and not self._all_same():
                break
            if not all(self._whole(position) for position in unit):
                return None
            self._consume(running, key, unit)
            taken += there
        return running

    def _all_same(self) -> bool:
        return all(self._course.all_same(index) for index in range(len(self._course.flags)))

    def _whole(self, position: int) -> bool:
        """Whether each side that was asked has as many answers (or failures) as it was asked for."""
        course = self._course
        if course.asks_head(position) and len(self._table.head(position)) < len(course.head_slots):
            return False
        return all(
            len(self._table.base(position, index, self._slots)) >= max(1, len(self._slots))
            for index in range(len(course.flags))
            if course.asks(position, index)
        )

    def _consume(self, running: Running, key: str, unit: Sequence[int]) -> None:
        running.consumed += 1
        units = [Unit(key, self._pairs(running, unit, index)) for index in range(len(self._course.flags))]
        for judged in running.views:
            for contest, one in zip(judged.contests, units, strict=True):
                if contest is not None and one.pairs:
                    contest.add(one)
            if judged.floor is not None and units:
                judged.floor.add(units[0])

    def _pairs(self, running: Running, unit: Sequence[int], index: int) -> list[Pair]:
        pairs = []
        for position in unit:
            flag = self._course.flags[index][position]
            if flag == EXCLUDED:
                continue
            head = tuple(map(graded_of, self._table.head(position)))
            base = head if flag == SAME else tuple(map(graded_of, self._table.base(position, index, self._slots)))
            for role, side in ((HEAD, head), (str(index), base)):
                running.models.setdefault(role, set()).update(each.reported_model for each in side if each.reported_model)
            pairs.append(Pair(case=self._course.spool[position].id, base=base, head=head, same=flag == SAME))
        return pairs


def references(gate: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    """The comparisons of a *gate* as `check --json` has it."""
    rows = gate.get("references")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
