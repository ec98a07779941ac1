#!/usr/bin/env python3
"""Makes `docs/RULES.md`: each rule of `docs/SEMANTICS.md`, where it is implemented and what holds it.

Nothing here is kept twice. The implementation cites rules in docstrings and comments, tests in their names
and in what they say, conformance cases in `rules`. What cites nothing is in the small tables below, whose
entries have to exist. A group (`JOB-*`) is no citation; a range (`JOB-2..4`) is one of each rule in it.

`--check` writes nothing and exits with 1 if the table in the repository is not what would be written.
"""

import argparse
import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
SEMANTICS = ROOT / "docs" / "SEMANTICS.md"
TARGET = ROOT / "docs" / "RULES.md"

SHOWN = 2  # places and tests named for each rule

NOT_IMPLEMENTING = ("lifecycle/explain.py", "lifecycle/lints.py")
"They cite rules to the user."
NOT_HOLDING = (
    "cli/test_explain_command.py",
    "lifecycle/test_explain.py",
    "lifecycle/test_lints.py",
    "test_rules_table.py",
)
"They are about what is said of rules; that they are kept is for others to hold."

PLACES = {
    "CORE-3": "lifecycle.plan:plan",
    "CORE-4": "kubelet.pod_worker:PodWorker",
    "CORE-6": "runtime.reactor:Reactor kubelet.kubelet:Kubelet.serve",
    "INIT-9": "lifecycle.startup:keep",
    "INIT-10": "lifecycle.startup:keep_running",
    "INIT-11": "lifecycle.plan:why_end",
    "SIDE-6": "lifecycle.startup:keep_running",
    "SIDE-7": "lifecycle.startup:keep_running",
    "SIDE-8": "lifecycle.startup:keep",
    "SIDE-10": "lifecycle.startup:keep",
    "SIDE-11": "lifecycle.startup:keep lifecycle.conditions:unready",
    "SIDE-12": "lifecycle.startup:keep_running",
    "SIDE-13": "lifecycle.startup:look_after lifecycle.events:events_of",
    "SIDE-14": "lifecycle.restarts:matching_rule",
    "SIDE-15": "lifecycle.record:ContainerRecord",
    "SIDE-16": "lifecycle.conditions:unready",
    "SIDE-18": "lifecycle.phase:phase",
    "SIDE-19": "lifecycle.printing:pod_row",
    "SIDE-23": "lifecycle.plan:why_end",
    "SIDE-24": "lifecycle.plan:why_end",
    "SIDE-25": "lifecycle.plan:plan",
    "SIDE-32": "lifecycle.plan:plan",
    "SIDE-33": "lifecycle.plan:plan",
    "SIDE-34": "lifecycle.plan:plan",
    "SIDE-36": "lifecycle.plan:why_end",
    "SIDE-37": "lifecycle.job_plan:plan_job",
    "MAIN-3": "lifecycle.plan:why_end",
    "MAIN-4": "lifecycle.restarts:wants_restart",
    "MAIN-5": "lifecycle.startup:keep",
    "MAIN-6": "lifecycle.plan:why_end",
    "RESTART-1": "lifecycle.plan:plan",
    "RESTART-2": "lifecycle.startup:keep",
    "RESTART-3": "lifecycle.startup:look_after",
    "RESTART-12": "lifecycle.plan:why_end",
    "RESTART-19": "lifecycle.plan:why_end",
    "BACKOFF-12": "lifecycle.startup:keep",
    "BACKOFF-14": "lifecycle.record:ContainerRecord",
    "PROBE-32": "lifecycle.termination:stop",
    "TERM-3": "lifecycle.plan:why_end lifecycle.termination:stop",
    "TERM-7": "lifecycle.plan:plan",
    "TERM-8": "lifecycle.plan:plan",
    "TERM-9": "lifecycle.plan:plan",
    "TERM-13": "lifecycle.status:container_status",
    "TERM-15": "runtime.process:ProcessTree",
    "PHASE-1": "lifecycle.phase:phase",
    "PHASE-2": "lifecycle.phase:phase",
    "PHASE-5": "lifecycle.phase:phase",
    "PHASE-8": "lifecycle.phase:phase",
    "PHASE-13": "lifecycle.status:pod_status",
    "COND-1": "lifecycle.conditions:with_transitions",
    "COND-8": "lifecycle.conditions:containers_ready",
    "STATUS-7": "lifecycle.record:ContainerRun",
    "LOG-4": "runtime.logs:CriEncoder",
    "LOG-8": "runtime.local:LocalRuntime.close",
    "LOG-9": "runtime.process:Command",
    "EVENT-1": "lifecycle.events:events_of",
    "VALID-10": "api.defaults:default_pod_spec",
    "VALID-20": "api.schema:verdict",
    "PRINT-8": "lifecycle.printing:pod_row",
    "JOB-25": "lifecycle.job_plan:plan_job",
    "LOCAL-2": "runtime.process:ProcessTree",
    "LOCAL-5": "api.schema:notices",
    "LOCAL-7": "api.schema:notices",
    "LOCAL-10": "lifecycle.clock:Clock runtime.simulated:SimulatedRuntime",
}
"Rule to what implements it, where no docstring and no comment says so."

HELD = {
    "INIT-1": "case:init-serial-never",
    "INIT-2": "case:init-long-one-is-waited-for",
    "CORE-3": "simulation:run lifecycle/test_invariants",
    "SIDE-27": "case:term-sidecars-in-reverse-after-main",
    "SIDE-31": "case:term-sidecar-prestop-hooks-that-hang-end-together",
    "TERM-10": "case:status-deadline-fails-the-pod",
    "TMSG-3": "case:message-falls-back-to-the-log-on-error",
    "ENV-2": "case:env-empty-value-and-last-duplicate",
    "VALID-4": "case:invalid-restart-policy",
    "VALID-19": "case:invalid-every-error-is-named",
    "LOCAL-5": "api/test_schema",
    "LOCAL-7": "api/test_schema",
    "LOCAL-10": "lifecycle/test_restarts lifecycle/test_termination",
}
"Rule to tests, modules of them, or cases that hold it without naming it."

_NO_HISTORY = "about releases of Kubernetes; nothing is gated here"
_NO_ADOPTION = "a supervisor that is gone has no successor: nothing is adopted"

UNNEEDED = {
    **{f"GATE-{number}": _NO_HISTORY for number in range(1, 11)},
    "GATE-11": "not about lifecycle",
    "CORE-5": "nothing changes a spec",
    "PROBE-33": _NO_ADOPTION,
    "HOOK-12": _NO_ADOPTION,
    "STATUS-10": _NO_ADOPTION,
    "TERM-18": "nothing is emulated: processes die of signals that they do not handle, as elsewhere",
    "JOB-31": "about the load on an API server; everything is planned in one pass after each fact",
}
"Rules that need no implementation, and why."

INSTEAD = {
    "CORE-4": "hooks and probes are tasks of their container, only the order told elsewhere is kept",
    "CORE-6": "exits, timers and requests are answered at once",
    "INIT-6": "there is no other rebuilding than RestartAllContainers",
    "INIT-7": "`passed` is a latch in the record",
    "SIDE-10": "shown as CrashLoopBackOff",
    "SIDE-12": "mains restart on their own",
    "RESTART-10": "restarted whatever the back-off",
    "BACKOFF-11": "Waiting as soon as the restart is known to be delayed",
    "BACKOFF-12": "a kill counts as an exit",
    "BACKOFF-13": "a flat retry after the first delay (10s) where nothing was created",
    "BACKOFF-14": "kept in the record of the pod and nowhere else",
    "PROBE-4": "asked first at startedAt + initialDelay, then every period",
    "PROBE-13": "a new instance begins with no streak",
    "PROBE-21": "expanded from the container's real environment",
    "PROBE-22": "a process tree of its own, killed at the timeout",
    "PROBE-26": "127.0.0.1",
    "PROBE-30": "both kinds stop for all containers",
    "HOOK-4": "cancelled by termination and by the death of the process",
    "HOOK-9": "127.0.0.1",
    "HOOK-10": "ends with the process",
    "TERM-5": "zero becomes one second; a second signal is the fast way",
    "TERM-16": "SIGTERM to the main process, SIGKILL to all of the tree",
    "TERM-17": "what is left of the tree is killed when the main process ends",
    "PHASE-12": "phase looks at what never un-happens",
    "COND-9": "True once volumes and directories are prepared",
    "STATUS-8": "no image reasons",
    "STATUS-11": "`process://UID/CONTAINER/ATTEMPT`",
    "TMSG-1": "mounted at its path where there is a mount namespace",
    "ENV-1": "variables of the Services in the same files",
    "ENV-9": "addresses are 127.0.0.1, the node is this host",
    "ENV-10": "totals of this machine",
    "ENV-11": "images are names for programs of this machine",
    "ENV-13": "PATH, HOME, LANG and HOSTNAME; more with `--env-from-host`",
    "ENV-15": "an empty directory of the container, kept over restarts",
    "VOL-5": "mounted in a namespace of the container; without one refused",
    "DEF-2": "the pull policy is published and has no effect",
    "VALID-3": "optional, see ENV-11",
    "VALID-18": "collisions are reported before anything starts",
    "VALID-20": "refused by its path",
    "VALID-25": "refused by its path",
    "JOB-20": "conditions that a pod does not have match no rule",
    "JOB-22": "HOSTNAME too",
}
"What is done instead of an [artefact], and what a [local] rule came to. Groups LOCAL-* say it themselves."

HEADER = """\
# Where each rule is implemented, and what holds it

Generated by `scripts/rules_table.py` from what code, tests and conformance cases cite; do not edit.
The rules themselves are in [SEMANTICS.md](SEMANTICS.md), titles here are only their first words.
Modules are those of `minikubelet/`, tests those of `tests/`, cases those of `tests/conformance/cases/`.
Two places and two tests are named at most; `+3` means three more.
*[artefact]* is an accident of the kubelet, *[local]* a difference that plain processes force;
what is done instead follows the arrow.
"""


@dataclass(frozen=True)
class Rule:
    id: str
    text: str

    @property
    def group(self) -> str:
        return self.id.partition("-")[0]

    @property
    def tags(self) -> list[str]:
        return [tag for tag in ("artefact", "local") if re.search(rf"\[{tag}\b", self.text)]

    @property
    def title(self) -> str:
        """The first words, to the end of a clause if one ends soon enough."""
        plain = re.sub(
            r" ?\[(artefact|local|unverified|1\.36-indirect|GA|beta|alpha)\b[^\]]*\]", "", self.text
        )
        clause = re.split(r"(?<=[a-z0-9`*)])[.:;] ", plain.strip(" .").replace("|", "/"), maxsplit=1)[
            0
        ].split()
        words = clause if len(clause) > 2 else plain.replace("|", "/").split()
        return " ".join(words[:9]).rstrip(".,;:") + (" …" if len(words) > 9 else "")


@dataclass(frozen=True)
class Row:
    rule: Rule
    places: Sequence[str]
    tests: Sequence[str]
    remark: str

    def faults(self) -> Iterator[str]:
        """What is missing: nothing, if the remark says why there need be nothing."""
        if self.rule.id in UNNEEDED:
            return
        if not self.places:
            yield f"{self.rule.id} is implemented nowhere: {self.rule.text}"
        if not self.tests:
            yield f"{self.rule.id} is held by no test: {self.rule.text}"


# ------------------------------------------------------------------ what is cited where

_GROUPS = (
    "GATE CORE INIT SIDE MAIN RESTART BACKOFF PROBE HOOK TERM PHASE COND STATUS TMSG ENV VOL LOG EVENT DEF "
    "VALID PRINT JOB LOCAL"
)
_CITED = re.compile(
    rf"(?:\b|(?<=_))({'|'.join(_GROUPS.split())})[-_](\d+)(?!\d)(?:(?:\.\.| to )(?:\1-)?(\d+))?", re.ASCII
)


def cited(text: str) -> set[str]:
    """The rules that a text names: `JOB-2`, `JOB-2..4`, `JOB-2 to JOB-4`, `test_JOB_2_...`."""
    found: set[str] = set()
    for group, first, last in _CITED.findall(text):
        found.update(f"{group}-{number}" for number in range(int(first), int(last or first) + 1))
    return found


@cache
def rules() -> Mapping[str, Rule]:
    """All of them by id, in the order of the document."""
    found = re.findall(r"^- ([A-Z]+-\d+) (.*)$", SEMANTICS.read_text(), re.M)
    return {id_: Rule(id_, text) for id_, text in found}


def sections() -> Mapping[str, str]:
    """Group to the title of its section; a group without one of its own belongs to the one before."""
    titles: dict[str, str] = {}
    title = ""
    for line in SEMANTICS.read_text().splitlines():
        if line.startswith("## "):
            title = re.sub(r"^## \d+\. | \([A-Z, ]+\)| \[.*\]", "", line)
        elif match := re.match(r"- ([A-Z]+)-\d+ ", line):
            titles.setdefault(match[1], title)
    return titles


class Source:
    """One Python file and the names of its functions and classes by line."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text()
        self.tree = ast.parse(self.text)
        self._spans: list[tuple[int, int, str]] = []
        self._find_spans(self.tree, "")

    def _find_spans(self, node: ast.AST, within: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{within}{child.name}"
                start = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                assert child.end_lineno is not None
                self._spans.append((start, child.end_lineno, name))
                if isinstance(child, ast.ClassDef):
                    self._find_spans(child, f"{name}.")

    def name_at(self, line: int) -> str:
        """The innermost function or class around a line, functions inside functions left out; or nothing."""
        around = [(end - start, name) for start, end, name in self._spans if start <= line <= end]
        return min(around)[1] if around else ""

    def names(self) -> set[str]:
        return {name for _, _, name in self._spans}

    def remarks(self) -> Iterator[tuple[str, str]]:
        """Docstrings and comments, each with the name of what it is in."""
        for node in ast.walk(self.tree):
            match node:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield self.name_at(node.lineno), text
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield self.name_at(token.start[0]), token.string

    def tests(self) -> Iterator[tuple[str, str]]:
        """Test functions with all they say, and what the module says outside of them."""
        lines = self.text.splitlines()
        inside: set[int] = set()
        for start, end, name in self._spans:
            if name.rpartition(".")[2].startswith("test_"):
                inside.update(range(start, end + 1))
                yield name, "\n".join(lines[start - 1 : end])
        yield "", "\n".join(line for number, line in enumerate(lines, 1) if number not in inside)


@cache
def implementations() -> Mapping[str, list[str]]:
    """Rule to the functions that cite it, first those that begin with it; modules if there is none."""
    ranked: dict[str, dict[str, int]] = {}
    for id_, places in PLACES.items():
        ranked[id_] = dict.fromkeys(places.split(), 0)
    for path in sorted((ROOT / "minikubelet").rglob("*.py")):
        relative = path.relative_to(ROOT / "minikubelet").as_posix()
        if relative in NOT_IMPLEMENTING:
            continue
        module = relative.removesuffix(".py").replace("/", ".")
        for name, text in Source(path).remarks():
            first = cited(re.split(r"[^-A-Z0-9,.# ]", text, maxsplit=1)[0])
            for id_ in cited(text):
                rank = 3 if not name else 1 if id_ in first else 2
                place = f"{module}:{name}" if name else module
                known = ranked.setdefault(id_, {})
                known[place] = min(rank, known.get(place, rank))
    return {id_: _best(known) for id_, known in ranked.items()}


def _best(ranked: Mapping[str, int]) -> list[str]:
    """By rank; the last rank only where there is nothing else."""
    named = [name for name in sorted(ranked, key=lambda one: (ranked[one], one)) if ranked[name] < 3]
    return named or sorted(ranked)


@cache
def held_by() -> Mapping[str, list[str]]:
    """Rule to tests and cases, first those named for it; modules if there is nothing else."""
    ranked: dict[str, dict[str, int]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        relative = path.relative_to(ROOT / "tests").as_posix()
        if relative in NOT_HOLDING:
            continue
        module = relative.removesuffix(".py")
        for name, text in Source(path).tests():
            named_for = cited(name.upper())
            for id_ in cited(text) | named_for:
                rank = 3 if not name else 0 if id_ in named_for else 2
                ranked.setdefault(id_, {})[f"{module}:{name}" if name else module] = rank
    for name, ids in cases().items():
        for id_ in ids:
            ranked.setdefault(id_, {})[f"case:{name}"] = 1
    for id_, tests in HELD.items():
        ranked.setdefault(id_, {}).update(dict.fromkeys(tests.split(), 1))
    return {id_: _best(known) for id_, known in ranked.items()}


@cache
def cases() -> Mapping[str, set[str]]:
    """The conformance cases, each with the rules that it holds."""
    known = {}
    for path in sorted((ROOT / "tests" / "conformance" / "cases").glob("*.yaml")):
        for case in yaml.safe_load(path.read_text()):
            known[case["name"]] = cited(
                " ".join([*case.get("rules", ()), case.get("note", ""), case["source"]])
            )
    return known


# ------------------------------------------------------------------ the table


def rows() -> list[Row]:
    places, tests = implementations(), held_by()
    return [
        Row(
            rule,
            places.get(rule.id, ()),
            tests.get(rule.id, ()),
            UNNEEDED.get(rule.id) or INSTEAD.get(rule.id, ""),
        )
        for rule in rules().values()
    ]


def faults() -> list[str]:
    """Everything that the tables here or the repository lack."""
    found = [fault for row in rows() for fault in row.faults()]
    for name, table in (("PLACES", PLACES), ("HELD", HELD), ("UNNEEDED", UNNEEDED), ("INSTEAD", INSTEAD)):
        found += [f"{name}: there is no rule {id_}" for id_ in table if id_ not in rules()]
    for mapping, root in ((PLACES, "minikubelet"), (HELD, "tests")):
        for id_, names in mapping.items():
            found += [f"{id_}: there is no {name}" for name in names.split() if not _exists(root, name)]
    for id_, rule in rules().items():
        if rule.tags and rule.group != "LOCAL" and id_ not in INSTEAD and id_ not in UNNEEDED:
            found.append(f"{id_} is [{', '.join(rule.tags)}] and nothing says what is done instead")
    return found


def unknown() -> set[str]:
    """Rules that are cited somewhere and do not exist."""
    return {*implementations(), *held_by()} - rules().keys()


def _exists(root: str, place: str) -> bool:
    """`module`, `module:function` (with `.` or `/`) or `case:name`."""
    module, _, name = place.partition(":")
    if module == "case":
        return name in cases()
    path = ROOT / root / f"{module.replace('.', '/')}.py"
    return path.exists() and (not name or name in Source(path).names())


def render(table: Iterable[Row]) -> str:
    lines = [HEADER]
    titles = sections()
    for group, members in groupby(table, key=lambda row: row.rule.group):
        lines += [
            f"## {group}: {titles[group]}",
            "",
            "| rule | | implemented | held by |",
            "| --- | --- | --- | --- |",
        ]
        lines += [_line(row) for row in members]
        lines.append("")
    return "\n".join(lines)


def _line(row: Row) -> str:
    tags = "".join(f" *[{tag}]*" for tag in row.rule.tags)
    remark = f" → {row.remark}" if row.remark else ""
    return f"| {row.rule.id} | {row.rule.title}{tags}{remark} | {_some(row.places)} | {_some(row.tests)} |"


def _some(names: Sequence[str]) -> str:
    shown = [f"case `{name[5:]}`" if name.startswith("case:") else f"`{name}`" for name in _telling(names)]
    more = [f"+{len(names) - len(shown)}"] if len(names) > len(shown) else []
    return " ".join([*shown, *more]) or "-"


def _telling(names: Sequence[str]) -> Sequence[str]:
    """At most two, of tests and cases one each."""
    kinds = {name.startswith("case:"): name for name in reversed(names)}
    return [kinds[kind] for kind in sorted(kinds)] if len(kinds) > 1 else names[:SHOWN]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    given = parser.parse_args()
    text = render(rows())
    found = faults()
    sys.stderr.writelines(f"{fault}\n" for fault in found)
    if not given.check:
        TARGET.write_text(text)
        return 1 if found else 0
    is_new = not TARGET.exists() or TARGET.read_text() != text
    if is_new:
        print(f"{TARGET.relative_to(ROOT)} is out of date: run scripts/rules_table.py", file=sys.stderr)
    return 1 if found or is_new else 0


if __name__ == "__main__":
    sys.exit(main())
