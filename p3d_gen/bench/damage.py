"""The damage census: every file of a run, a dataset, trainings and adaptations is damaged in every way, once each.

After each damage the check of the folder runs, and then the commands that use it, each as a process, see
`bench.forked`, on a copy of the folder.

The outcome of a damage to data is the first of these that holds:

- named: a command that uses the folder names the damaged file.
- made again: after these commands the folder holds what it held before.
- checked: the check names the damaged file.
- ignored: of a file that was added only: all commands succeed, and the folder is otherwise as it was.
- undetected.

A view is made again or ignored; if any command fails, or the data differ afterwards, it was believed, which counts as
undetected. A shard and its ledger are one thing: to name one is to name the other, since either may be the damaged one.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from p3d_gen.bench import show
from p3d_gen.bench.damage_folders import Command, Specimen, make_specimens
from p3d_gen.bench.damages import DAMAGES, Case, cases_of, files_of, inflict
from p3d_gen.bench.forked import Server
from p3d_gen.core.errors import RunError
from p3d_gen.run.files import file_sha256
from p3d_gen.run.kept import kept_file

SPECIMENS = ("run", "dataset", "training", "interrupted training", "adaptation", "interrupted adaptation")
NAMED, MADE_AGAIN, CHECKED, IGNORED, UNDETECTED = "named", "made again", "checked", "ignored", "undetected"
_OUTCOMES = (NAMED, MADE_AGAIN, CHECKED, IGNORED, UNDETECTED)
_TRACEBACK = "Traceback (most recent call last)"
# What differs if the same thing is made twice.
_VOLATILE = {"seconds", "model_seconds", "notes", "made_with", "command", "checksum", "base_dir_from_run"}
# Checksums of files that hold such things.
_OF_VOLATILE = {"checksums.json"}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a command said. is_check: it looked for damage only."""

    command: Command
    is_check: bool
    status: int
    said: str

    def names(self, names: Iterable[str]) -> bool:
        """Tell if it names one of these files of a folder."""
        return any(each in self.said for name in names for each in _known_as(name))


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of a case. misblamed: a command that failed names none of the damaged files. answers: of all."""

    case: Case
    outcome: str
    misblamed: bool
    traceback: bool
    answers: tuple[Answer, ...] = field(repr=False)

    def entry(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {
            "folder": self.case.specimen.name,
            "file": self.case.name,
            "damage": self.case.damage,
            "outcome": self.outcome,
            "misblamed": self.misblamed,
            "traceback": self.traceback,
            "answers": [
                {"command": " ".join(each.command), "status": each.status, "said": each.said} for each in self.answers
            ],
        }


def _known_as(name: str) -> Iterator[str]:
    """Yield the names that messages give a file: a shard and its ledger share one."""
    yield name
    stem, _, suffix = name.rpartition(".")
    if suffix == "tar" or (suffix == "json" and stem[-5:].isdigit()):
        yield f"{stem}.tar"
        yield f"{stem}.json"
        yield f"{stem}:"


def _stable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stable(each) for name, each in value.items() if name not in _VOLATILE}
    return value


def _content(path: Path) -> Any:
    """Return what is the same whenever a file is made again."""
    if path.name in _OF_VOLATILE:
        return True
    try:
        if path.suffix == ".json":
            return _stable(json.loads(path.read_bytes()))
        if path.suffix == ".jsonl":
            return [_stable(json.loads(line)) for line in path.read_bytes().splitlines()]
    except ValueError:
        pass
    return file_sha256(path)


def _data(folder: Path, kind: str, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return the content of the data in a folder, by path. without: files that were added."""
    names = [name for name in files_of(folder) if name not in without and kept_file(kind, name).is_data]
    return {name: _content(folder / name) for name in names}


def _answers(case: Case, folder: Path, work: Path, servers: Mapping[str, Server]) -> Iterator[Answer]:
    """Run the commands that use a folder, one after the other. servers: by the name of the program."""
    uses = case.specimen.uses_of(case.name)
    for number, template in enumerate((*uses.check, *uses.use)):
        new = folder.parent / f"new{number}"
        words = tuple(word.format(folder=folder, new=new) for word in template)
        done = servers[words[0]].run(words[1:], work)
        yield Answer(
            command=words,
            is_check=number < len(uses.check),
            status=done.returncode,
            said=done.stderr + (done.stdout if done.returncode else ""),
        )


def _is_whole(case: Case, folder: Path, hurt: dict[str, bytes], reference: dict[str, Any], added: list[str]) -> bool:
    """Tell if a folder holds what it holds without the damage. hurt: content of the files that were damaged."""
    if _data(folder, case.specimen.kind, added) != reference:
        return False
    left = [name for name, content in hurt.items() if (folder / name).exists() and name not in added]
    return all((folder / name).read_bytes() != hurt[name] for name in left)


def _outcome(case: Case, answers: Sequence[Answer], names: list[str], whole: bool, same: bool) -> str:
    """Return the outcome. whole: all data are what they should be. same: a view is as it was before the damage."""
    failed = [answer for answer in answers if answer.status]
    if not case.kind.is_data:
        believed = any(failed) or not whole
        return UNDETECTED if believed else MADE_AGAIN if same else IGNORED
    if any(answer.names(names) for answer in answers if not answer.is_check):
        return NAMED
    if whole and case.damage != "duplicate":
        return MADE_AGAIN
    if any(answer.names(names) for answer in failed):
        return CHECKED
    return IGNORED if whole and not failed else UNDETECTED


class Census:
    """The census of some folders. work: the folder that holds them, and a folder for the copies."""

    def __init__(self, work: Path, specimens: Sequence[Specimen], servers: Sequence[Mapping[str, Server]]) -> None:
        """Name the folders; nothing is read before the first case. servers: of each case at the same time."""
        self._work, self._cases = work, work / "cases"
        self._servers: SimpleQueue[Mapping[str, Server]] = SimpleQueue()
        for each in servers:
            self._servers.put(each)
        self._specimens = list(specimens)
        self._references: dict[tuple[str, bool], dict[str, Any]] = {}

    def learn(self) -> None:
        """Run the commands on undamaged copies: their data are what every damaged folder is compared with.

        RunError if a command fails.
        """
        for specimen in self._specimens:
            for name in files_of(specimen.root):
                of_stylization = specimen.uses_of(name) is not specimen.uses
                if (specimen.name, of_stylization) in self._references:
                    continue
                case = Case(specimen=specimen, name=name, damage="none", seed=0)
                with_place = self._copy(case)
                for answer in self._answers(case, with_place):
                    if answer.status or _TRACEBACK in answer.said:
                        raise RunError(f"`{' '.join(answer.command)}` fails without any damage: {answer.said.strip()}")
                self._references[specimen.name, of_stylization] = _data(with_place, specimen.kind)
                shutil.rmtree(with_place.parent)

    def _answers(self, case: Case, folder: Path) -> tuple[Answer, ...]:
        servers = self._servers.get()
        try:
            return tuple(_answers(case, folder, self._work, servers))
        finally:
            self._servers.put(servers)

    def _copy(self, case: Case) -> Path:
        """Copy the folder of a case to a place of its own, with its times; a dataset is called as its folder is."""
        place = self._cases / f"{case.specimen.root.name}-{case.seed}-{case.damage}"
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(case.specimen.root, place / case.specimen.root.name))

    def run(self, case: Case) -> Result:
        """Do a damage, and see what the commands say and do."""
        folder, specimen = self._copy(case), case.specimen
        names = inflict(case, folder)
        hurt = {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}
        added = names if case.damage == "duplicate" else []
        answers = self._answers(case, folder)
        reference = self._references[specimen.name, specimen.uses_of(case.name) is not specimen.uses]
        view, before = folder / case.name, specimen.root / case.name
        is_data = case.kind.is_data
        whole = _is_whole(case, folder, hurt if is_data else {}, reference, added)
        same = view.exists() and view.read_bytes() == before.read_bytes()
        result = Result(
            case=case,
            outcome=_outcome(case, answers, names, whole, same),
            misblamed=is_data and any(answer.status and not answer.names(names) for answer in answers),
            traceback=any(_TRACEBACK in answer.said for answer in answers),
            answers=answers,
        )
        shutil.rmtree(folder.parent)
        return result


def measure(
    work: Path,
    *,
    specimens: Sequence[str] = SPECIMENS,
    damages: Sequence[str] = tuple(DAMAGES),
    one_of_each: bool = False,
    workers: int = 2,
    on_case: Callable[[int], None] = lambda total: None,
) -> dict[str, Any]:
    """Run the census in a folder, and return its figures. The folders are made if they are not there.

    specimens, damages: those to take. one_of_each: only the first file of each kind. workers: cases at the same time.
    on_case: called after each case with the number of all. OUT/cases.jsonl holds what was said in each.
    """
    work = work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    made = make_specimens(work, specimens)
    cases = [case for each in made for case in cases_of(each, list(damages), one_of_each=one_of_each)]
    programs = {command[0] for each in made for command in (*each.uses.check, *each.uses.use)}
    with ExitStack() as stack:
        servers = [{name: stack.enter_context(Server(name)) for name in programs} for _ in range(workers)]
        census = Census(work, made, servers)
        census.learn()

        log = stack.enter_context((work / "cases.jsonl").open("w", buffering=1))
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        results = []
        for result in pool.map(census.run, cases):
            log.write(json.dumps(result.entry()) + "\n")
            on_case(len(cases))
            results.append(result)
    _show(results)
    return _figures(results)


def _figures(results: Sequence[Result]) -> dict[str, Any]:
    outcomes = Counter(result.outcome for result in results)
    return {
        "cases": len(results),
        **{outcome.replace(" ", "_"): outcomes[outcome] for outcome in _OUTCOMES},
        "misblamed": sum(result.misblamed for result in results),
        "tracebacks": sum(result.traceback for result in results),
    }


def _show(results: Sequence[Result]) -> None:
    """Print the outcomes by folder, kind of file and damage, and what went wrong."""
    counts: dict[tuple[str, str, str], Counter[str]] = {}
    for result in results:
        kind = result.case.kind
        row = result.case.specimen.name, kind.pattern, "data" if kind.is_data else "view"
        counts.setdefault(row, Counter())[f"{result.case.damage}: {result.outcome}"] += 1
    header = ("folder", "file", "is", *DAMAGES)
    rows = []
    for row, outcomes in counts.items():
        cells = []
        for damage in DAMAGES:
            told = [f"{n} {each.partition(': ')[2]}" for each, n in outcomes.items() if each.startswith(f"{damage}:")]
            cells.append(", ".join(told))
        rows.append((*row, *cells))
    show("outcomes of damage to every file, by its kind", header, rows)
    wrong = [
        (str(result.case), ", ".join(told))
        for result in results
        if (
            told := [
                *([UNDETECTED] if result.outcome == UNDETECTED else []),
                *(["misblamed"] if result.misblamed else []),
                *(["traceback"] if result.traceback else []),
            ]
        )
    ]
    if wrong:
        show("what went wrong", ("case", "fault"), wrong)
