#!/usr/bin/env python3
"""Black-box conformance runner for minikubelet (needs only Python 3.9+ and PyYAML).

Each case in cases/*.yaml describes a few containers, what they do, what happens
to the supervisor while they run, and what must be true afterwards.  The harness
renders a manifest, runs `$MINIKUBELET run ...` in a temporary folder, reads the
log that the containers themselves wrote (see witness.py) and the status/events
files, and prints one PASS or FAIL line per case.  README.md describes the DSL.
"""
import argparse
import concurrent.futures
import fnmatch
import functools
import json
import os
import random
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
PYTHON = os.path.realpath(sys.executable)
DEFAULT_COMMAND = shlex.join([sys.executable, "-m", "minikubelet"])
IMAGE = "local/none:1"
DEFAULT_LIMIT = 60
TRIES = 3
DEFAULT_BACKOFF = [0.3, 1.2]
EVENTS = {"start": "Starting", "ready": "Started", "term": "Term", "exit": "Exiting", "probe": "Probe",
          "loop": "Loop", "alive": "Alive", "http": "Http", "tcp": "Tcp", "grpc": "Grpc", "last": None}
SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "KILL": signal.SIGKILL, "HUP": signal.SIGHUP}

CASE_KEYS = {"name", "topic", "source", "note", "pod", "pods", "job", "jobs", "docs", "manifest",
             "run", "when", "limit", "expect", "setup", "rules", "needs", "timed"}
RUN_KEYS = {"args", "timeout", "grace", "backoff", "no_files", "input"}
NEEDS = {"root": "root", "user": "an unprivileged user", "namespaces": "namespaces",
         "no-namespaces": "a machine without namespaces"}
INPUTS = ("file", "directory", "stdin")
WHEN_KEYS = {"seen", "delay", "signal", "touch", "remove"}
POD_KEYS = {"name", "namespace", "restartPolicy", "grace", "deadline", "init", "main", "labels", "annotations", "spec"}
JOB_KEYS = {"name", "spec", "pod", "labels"}
CONTAINER_WORDS = {"run", "exit", "start_delay", "term_delay", "term_exit", "ignore_term", "default_term", "beat",
                   "print", "eprint", "lines", "write", "read", "record", "http", "tcp", "grpc", "route", "mk", "rm",
                   "child", "kill_self", "by_index", "term_signal", "until"}
CONTAINER_KEYS = CONTAINER_WORDS | {"from_run", "sidecar", "restartPolicy", "rules", "prestop", "poststart", "liveness",
                                    "readiness", "startup", "env", "spec", "raw", "args"}
HOOK_KEYS = {"run", "exit", "mk", "out", "record", "read", "sleep", "httpGet", "tcpSocket", "raw"}
PROBE_WORDS = {"file", "exit", "hang", "fail_first", "ok_first", "out"}
PROBE_KEYS = PROBE_WORDS | {"raw", "httpGet", "tcpSocket", "grpc", "period", "delay", "failures", "successes",
                            "timeout", "grace"}
EXPECT_KEYS = {"exit_code", "phase", "reason", "message", "containers", "pod", "pods", "pod_count", "pod_phases",
               "job", "jobs", "conditions", "job_conditions", "events", "no_events", "stderr",
               "order", "gaps", "counts", "not_started", "never", "together", "none", "some", "max_concurrent",
               "min_concurrent", "record", "wall", "status_kinds", "event_shape", "event_order", "all_pods",
               "logs", "stdout"}
LOG_FACTS = {"stdout", "stderr", "tags", "rotated", "missing"}
CONTAINER_FACTS = {"exitCode", "reason", "signal", "restartCount", "message", "state", "ready", "started",
                   "lastExitCode", "lastReason", "waitingReason"}


class BadCase(Exception):
    """The case file itself is wrong: never a verdict on the program under test."""


class Late(str):
    """A problem with a duration, which a busy machine can make without the program under test."""


def only(keys, mapping, what):
    if not isinstance(mapping, dict):
        raise BadCase(f"{what}: expected a mapping, got {mapping!r}")
    extra = set(mapping) - keys
    if extra:
        raise BadCase(f"{what}: unknown key(s) {', '.join(sorted(map(str, extra)))}")


def listed(value):
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def word(key, value):
    if value is True:
        return f"{key}=1"
    return f"{key}={value}"


# ------------------------------------------------------------------ rendering

def words_of(mapping, allowed, what):
    out = []
    for key in mapping:
        if key not in allowed:
            continue
        if mapping[key] is False:
            continue
        values = map(flag_of, listed(mapping[key])) if key == "until" else listed(mapping[key])
        out += [word(key, v) for v in values]
    return out


def flag_of(selector):
    """The file in the case folder that tells a container that this moment has come."""
    return "until-" + urllib.parse.quote(selector, safe="")


def awaited(case):
    """The moments that containers wait for before they end."""
    jobs = [case.get("job"), *(case.get("jobs") or [])]
    pods = [case.get("pod"), *(case.get("pods") or []), *(job["pod"] for job in jobs if job)]
    entries = [entry for pod in pods if pod for entry in (pod.get("init") or []) + (pod.get("main") or [])]
    behaviours = [b for entry in entries for b in entry.values() if b]
    behaviours += [more for b in behaviours for more in (b.get("from_run") or {}).values()]
    return {selector for b in behaviours for selector in listed(b.get("until"))}


def helper(role, name, words):
    return ["{python}", "-I", "-S", "{dir}/w.py", role, name] + words


def render_hook(kind, cname, hook):
    only(HOOK_KEYS, hook, f"{kind} of {cname}")
    if "sleep" in hook:
        return {"sleep": {"seconds": hook["sleep"]}}
    for key in ("httpGet", "tcpSocket"):
        if key in hook:
            return {key: hook[key]}
    if "raw" in hook:
        return {"exec": {"command": hook["raw"]}}
    return {"exec": {"command": helper("h", f"{kind}-{cname}", words_of(hook, HOOK_KEYS, cname))}}


def render_probe(kind, cname, probe):
    only(PROBE_KEYS, probe, f"{kind} of {cname}")
    out = {}
    for key in ("httpGet", "tcpSocket", "grpc"):
        if key in probe:
            out[key] = probe[key]
    if "raw" in probe:
        out["exec"] = {"command": probe["raw"]}
    if not out:
        out["exec"] = {"command": helper("p", f"{kind}-{cname}", words_of(probe, PROBE_WORDS, cname))}
    names = {"period": "periodSeconds", "delay": "initialDelaySeconds", "failures": "failureThreshold",
             "successes": "successThreshold", "timeout": "timeoutSeconds", "grace": "terminationGracePeriodSeconds"}
    for short, full in names.items():
        if short in probe:
            out[full] = probe[short]
    out.setdefault("periodSeconds", 1)
    out.setdefault("timeoutSeconds", 5)
    return out


def render_container(entry):
    if not isinstance(entry, dict) or len(entry) != 1:
        raise BadCase(f"a container is one {{name: behaviour}} pair, got {entry!r}")
    (name, b), = entry.items()
    b = b or {}
    only(CONTAINER_KEYS, b, f"container {name}")
    words = words_of(b, CONTAINER_WORDS, name)
    for since, more in (b.get("from_run") or {}).items():
        only(CONTAINER_WORDS, more, f"container {name} from_run")
        words += [f"@{since}:{w}" for w in words_of(more, CONTAINER_WORDS, name)]
    c = {"name": name, "image": IMAGE}
    if "raw" in b:
        c["command"] = b["raw"]
    else:
        c["command"] = helper("c", name, words)
    if "args" in b:
        c["args"] = b["args"]
    if b.get("sidecar"):
        c["restartPolicy"] = "Always"
    if "restartPolicy" in b:
        c["restartPolicy"] = b["restartPolicy"]
    if "rules" in b:
        c["restartPolicyRules"] = b["rules"]
    life = {}
    if "poststart" in b:
        life["postStart"] = render_hook("PostStart", name, b["poststart"])
    if "prestop" in b:
        life["preStop"] = render_hook("PreStop", name, b["prestop"])
    if life:
        c["lifecycle"] = life
    for short, full, label in (("liveness", "livenessProbe", "Liveness"), ("readiness", "readinessProbe", "Readiness"),
                               ("startup", "startupProbe", "Startup")):
        if short in b:
            c[full] = render_probe(label, name, b[short])
    if "env" in b:
        c["env"] = [v if isinstance(v, dict) else {"name": k, "value": v} for k, v in b["env"].items()] \
            if isinstance(b["env"], dict) else b["env"]
    c.update(b.get("spec") or {})
    return c


def render_pod_spec(pod):
    only(POD_KEYS, pod, "pod")
    spec = {}
    for key, full in (("restartPolicy", "restartPolicy"), ("grace", "terminationGracePeriodSeconds"),
                      ("deadline", "activeDeadlineSeconds")):
        if key in pod:
            spec[full] = pod[key]
    if pod.get("init"):
        spec["initContainers"] = [render_container(c) for c in pod["init"]]
    spec["containers"] = [render_container(c) for c in pod.get("main") or []]
    spec.update(pod.get("spec") or {})
    return spec


def render_pod(pod, default_name):
    meta = {"name": pod.get("name", default_name)}
    for key in ("namespace", "labels", "annotations"):
        if key in pod:
            meta[key] = pod[key]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": render_pod_spec(pod)}


def render_job(job, default_name):
    only(JOB_KEYS, job, "job")
    meta = {"name": job.get("name", default_name)}
    if "labels" in job:
        meta["labels"] = job["labels"]
    pod = job["pod"]
    template = {"spec": render_pod_spec(pod)}
    tmeta = {k: pod[k] for k in ("labels", "annotations") if k in pod}
    if tmeta:
        template["metadata"] = tmeta
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta,
            "spec": {**(job.get("spec") or {}), "template": template}}


def render(case):
    docs = list(case.get("docs") or [])
    if "pod" in case:
        docs.append(render_pod(case["pod"], "p"))
    for i, pod in enumerate(case.get("pods") or [], 1):
        docs.append(render_pod(pod, f"p{i}"))
    if "job" in case:
        docs.append(render_job(case["job"], "j"))
    for i, job in enumerate(case.get("jobs") or [], 1):
        docs.append(render_job(job, f"j{i}"))
    return docs


def substitute(value, tokens):
    if isinstance(value, str):
        whole = tokens.get(value)
        if whole is not None:
            return whole  # a lone {port} stays a number
        for token, text in tokens.items():
            value = value.replace(token, str(text))
        return value
    if isinstance(value, list):
        return [substitute(v, tokens) for v in value]
    if isinstance(value, dict):
        return {substitute(k, tokens): substitute(v, tokens) for k, v in value.items()}
    return value


# ------------------------------------------------------- what the machine gives

@functools.cache
def given():
    """What cases may need of NEEDS: who we are, and whether the kernel makes us namespaces."""
    kinds = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork"]
    ways = [["--user", "--map-current-user"]] + ([[]] if os.geteuid() == 0 else [])
    allowed = any(subprocess.run(["unshare", *way, *kinds, "true"], stdin=subprocess.DEVNULL,
                                 capture_output=True).returncode == 0 for way in ways)
    return {"root" if os.geteuid() == 0 else "user", "namespaces" if allowed else "no-namespaces"}


def missing(case, options=()):
    """What the case needs and is not there, in words; "" if nothing."""
    things = [NEEDS[need] for need in listed(case.get("needs")) if need not in given()]
    as_pid_1 = "pod" in options  # --isolation pod: signals without a handler do nothing, pid_namespaces(7)
    if as_pid_1 and any(word in json.dumps(case) for word in ('"default_term"', '"kill_self"')):
        things.append("containers that are not PID 1")
    return " and ".join(things)


# ------------------------------------------------------------- ports, cleanup

_claims = []  # abstract sockets, unix(7): whoever holds the name may use the port


def free_port():
    """One that neither other tests on this machine nor the kernel give to anybody else meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        lowest = int(f.read().split()[0])
    for port in random.sample(range(lowest - 10000, lowest), 1000):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0minikubelet-tests-{port}")
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
        else:
            _claims.append(claim)
            return port
    raise OSError("no port is free")


def processes_of(marker):
    """Process ids whose command line, environment or working folder is that of the case."""
    found = []
    needle = marker.encode()
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        for part in ("cmdline", "environ"):
            try:
                with open(f"/proc/{entry}/{part}", "rb") as f:
                    if needle in f.read():
                        found.append(int(entry))
                        break
            except OSError:
                continue
        else:
            try:
                if (os.readlink(f"/proc/{entry}/cwd") + "/").startswith(marker + "/"):
                    found.append(int(entry))
            except OSError:
                continue
    return found


def command_of(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "?"


# -------------------------------------------------------------- the witness log

class Line:
    __slots__ = ("t", "process", "name", "event", "detail")

    def __init__(self, text):
        t, self.process, self.name, self.event, *rest = text.split(" ", 4)
        self.t = int(t) / 1e9
        self.detail = rest[0].strip() if rest else ""


class Witness:
    SELECTOR = re.compile(r"^(?P<name>[\w-]+)(?:#(?P<n>\d+|last))?\.(?P<ev>[a-z]+)(?::(?P<detail>.+))?$")

    def __init__(self, path, events=os.devnull):
        self.path, self.events = path, events
        self.lines = []
        self.offsets = {}
        self.marks = {}

    def refresh(self):
        fresh = [Line(x) for x in self.fresh(self.path)]
        if fresh:
            self.lines += fresh
            self.lines.sort(key=lambda x: x.t)
        for text in self.fresh(self.events):
            self.note_event(text)

    def fresh(self, path):
        """The lines that have been added to a file."""
        try:
            with open(path, "rb") as f:
                f.seek(self.offsets.get(path, 0))
                data = f.read()
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        self.offsets[path] = self.offsets.get(path, 0) + end
        return [x for x in data[:end].decode(errors="replace").splitlines() if x]

    def note_event(self, text):
        """That one was told: by its reason, and by its reason and container."""
        try:
            event = json.loads(text)
            where = (event.get("involvedObject") or {}).get("fieldPath") or ""
        except (ValueError, AttributeError):  # read_files() says so
            return
        name = where.partition("{")[2].rstrip("}")
        for mark in (f"event.{event.get('reason')}", f"event.{event.get('reason')}:{name}"):
            self.marks.setdefault(mark, []).append(time.monotonic())

    def runs(self, name):
        """The lines of each process that carried NAME, in order of their first line."""
        byp = {}
        for x in self.lines:
            if x.name == name:
                byp.setdefault(x.process, []).append(x)
        return sorted(byp.values(), key=lambda r: r[0].t)

    def find(self, selector):
        """All times that match a selector such as main#2.exit:1, oldest first."""
        selector, _, nth = selector.partition(" x")
        if nth:
            return self.find(selector)[int(nth) - 1:int(nth)]
        if selector.startswith(("cli.", "event.")):
            base, _, n = selector.partition("#")
            times = self.marks.get(base, [])
            if n:
                times = times[int(n) - 1:int(n)]
            return list(times)
        m = self.SELECTOR.match(selector)
        if not m or m["ev"] not in EVENTS:
            raise BadCase(f"bad selector {selector!r}")
        if m["n"]:
            runs = self.runs(m["name"])
            index = -1 if m["n"] == "last" else int(m["n"]) - 1
            lines = runs[index] if runs and -len(runs) <= index < len(runs) else []
        else:
            lines = [x for x in self.lines if x.name == m["name"]]
        if m["ev"] == "last":
            return [lines[-1].t] if lines else []
        wanted = [x for x in lines if x.event == EVENTS[m["ev"]]]
        if m["detail"]:
            wanted = [x for x in wanted if x.detail.split(" ")[0] == m["detail"] or m["detail"] in x.detail]
        return [x.t for x in wanted]

    def time(self, selector):
        """The time a selector stands for: its first match."""
        times = self.find(selector)
        return times[0] if times else None

    def birth(self, selector):
        """(kernel start time in ticks, pid, its namespace) behind a .start selector, else None.

        Two processes started back to back may log Starting in either order; when they
        were forked is what tells which one the supervisor started first.
        """
        if not selector.endswith(".start") or selector.startswith("cli."):
            return None
        t = self.time(selector)
        for x in self.lines:
            if x.t == t and x.event == "Starting" and " " in x.detail:
                _, ticks, namespace = x.detail.split(" ")
                return int(ticks), int(x.process.partition(".")[0]), namespace
        return None

    def spans(self, pattern):
        out = []
        for name in {x.name for x in self.lines if fnmatch.fnmatchcase(x.name, pattern)}:
            for run in self.runs(name):
                out.append((run[0].t, run[-1].t))
        return out

    def text(self, start):
        return "\n".join(f"  {x.t - start:8.3f} {x.process.partition('.')[0]} {x.name} {x.event} {x.detail}" for x in self.lines)


# ------------------------------------------------------- reading status objects

TOKEN = re.compile(r"\[([^\]=]+)=([^\]]*)\]|\[(\d+)\]|\['([^']*)'\]|([^.\[\]]+)")


def dig(obj, path):
    """Value at a.b[0].c[type=Ready]['odd.key'].#, or KeyError."""
    for m in TOKEN.finditer(path):
        key, value, index, odd, plain = m.groups()
        if key is not None:
            hits = [x for x in obj if str(x.get(key)) == value] if isinstance(obj, list) else []
            if not hits:
                raise KeyError(path)
            obj = hits[0]
        elif index is not None:
            if not isinstance(obj, list) or int(index) >= len(obj):
                raise KeyError(path)
            obj = obj[int(index)]
        elif plain == "#":
            obj = len(obj)
        else:
            name = odd if odd is not None else plain
            if not isinstance(obj, dict) or name not in obj:
                raise KeyError(path)
            obj = obj[name]
    return obj


CHECK = re.compile(r"^(?P<path>\S+)\s+(?:(?P<op>==|!=|>=|<=|>|<|=~|in)\s+(?P<value>.*)|(?P<word>exists|absent))$")


def compare(got, op, want):
    if op == "==":
        return got == want
    if op == "!=":
        return got != want
    if op == "=~":
        return re.search(str(want), str(got)) is not None
    if op == "in":
        return got in want
    if not isinstance(got, (int, float)) or isinstance(got, bool):
        return False
    return {">=": got >= want, "<=": got <= want, ">": got > want, "<": got < want}[op]


def check(obj, text, label):
    m = CHECK.match(text)
    if not m:
        raise BadCase(f"bad check {text!r}")
    try:
        got = dig(obj, m["path"])
    except (KeyError, TypeError):
        got = KeyError
    if m["word"] == "exists":
        return None if got is not KeyError else f"{label}: {m['path']} is missing"
    if m["word"] == "absent":
        return None if got is KeyError or got in (None, [], {}) else f"{label}: {m['path']} is {got!r}, should be absent"
    want = m["value"] if m["op"] == "=~" else yaml.safe_load(m["value"])
    if got is KeyError:
        if m["op"] == "==" and want in (0, "", None, False):  # omitempty: absent means the zero value
            return None
        if m["op"] in ("!=",):
            return None
        return f"{label}: {m['path']} is missing, want {m['op']} {want!r}"
    return None if compare(got, m["op"], want) else f"{label}: {m['path']} is {got!r}, want {m['op']} {want!r}"


def matches(got, want):
    """A wanted fact: a literal, '>=2' style text, /regex/ text, or a list of alternatives."""
    if isinstance(want, list):
        return any(matches(got, w) for w in want)
    if isinstance(want, str):
        m = re.match(r"^(>=|<=|>|<)\s*(-?[\d.]+)$", want)
        if m:
            return isinstance(got, (int, float)) and compare(got, m[1], float(m[2]))
        if len(want) > 1 and want[0] == want[-1] == "/":
            return isinstance(got, str) and re.search(want[1:-1], got, re.S) is not None
    return got == want


def container_facts(pod, name):
    status = pod.get("status") or {}
    for group in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for cs in status.get(group) or []:
            if cs.get("name") == name:
                state = cs.get("state") or {}
                term = state.get("terminated") or {}
                last = (cs.get("lastState") or {}).get("terminated") or {}
                return {"exitCode": term.get("exitCode"), "reason": term.get("reason"), "signal": term.get("signal"),
                        "message": term.get("message") or "", "restartCount": cs.get("restartCount", 0),
                        "state": next(iter(state), None), "ready": cs.get("ready", False),
                        "started": cs.get("started", False), "lastExitCode": last.get("exitCode"),
                        "lastReason": last.get("reason"), "waitingReason": (state.get("waiting") or {}).get("reason")}
    return None


# ------------------------------------------------------------------- evaluation

class Outcome:
    """What one run left behind."""

    def __init__(self):
        self.code = None
        self.wall = 0.0
        self.stdout = self.stderr = ""
        self.objects = []
        self.status_problem = None
        self.events = []
        self.events_problem = None
        self.witness = None
        self.problems = []
        self.stillborn = False
        self.dir = None

    def of_kind(self, kind):
        return [o for o in self.objects if isinstance(o, dict) and o.get("kind") == kind]

    def pod_named(self, name):
        for pod in self.of_kind("Pod"):
            if (pod.get("metadata") or {}).get("name") == name:
                return pod
        return None


RANGE = re.compile(r"^(?P<a>\S+)\s*->\s*(?P<b>\S+)\s*:\s*(?P<lo>-?[\d.]*?)\.\.(?P<hi>-?[\d.]*)$")


class Judge:
    def __init__(self, case, out):
        self.case, self.out, self.w = case, out, out.witness
        self.bad = []

    def fail(self, text):
        if text:
            self.bad.append(text)

    def at(self, selector):
        t = self.w.time(selector)
        if t is None:
            self.fail(f"never seen: {selector}")
        return t

    def judge(self):
        expect = self.case["expect"]
        only(EXPECT_KEYS, expect, "expect")
        for key, want in expect.items():
            getattr(self, "on_" + key)(want)
        return self.bad

    # --- the command line
    def on_exit_code(self, want):
        if self.out.code not in listed(want):
            note = self.out.stderr.strip().splitlines()
            tail = f" (stderr: {note[-1][:160]})" if note else ""
            self.fail(f"exit code {self.out.code}, want {want}{tail}")

    def on_wall(self, want):
        if not matches(self.out.wall, want):
            self.fail(Late(f"took {self.out.wall:.2f} s, want {want}"))

    def on_stderr(self, want):
        for text in listed(want):
            end = r"(?![A-Za-z0-9_])" if text[-1].isalnum() else ""  # a.b may go on as a.b.c, not as a.bc
            if not re.search(r"(?<![\w.])" + re.escape(text) + end, self.out.stderr):
                self.fail(f"stderr does not name {text!r}: {self.out.stderr.strip()[:200]!r}")

    def on_stdout(self, want):
        for text in listed(want):
            if not (matches(self.out.stdout, text) if text[0] == "/" else text in self.out.stdout):
                self.fail(f"stdout does not have {text!r}: {self.out.stdout.strip()[-300:]!r}")

    # --- status objects
    def pods(self):
        pods = self.out.of_kind("Pod")
        if not pods:
            self.fail(self.out.status_problem or "no Pod in the status file")
        return pods

    def the_pod(self):
        pods = self.pods()
        if len(pods) > 1:
            self.fail(f"{len(pods)} pods in the status file, want one")
        return pods[0] if pods else None

    def the_job(self):
        jobs = self.out.of_kind("Job")
        if not jobs:
            self.fail(self.out.status_problem or "no Job in the status file")
            return None
        return jobs[0]

    def facts_of(self, pod, wanted):
        label = (pod.get("metadata") or {}).get("name")
        for name, facts in wanted.items():
            only(CONTAINER_FACTS, facts, f"containers.{name}")
            got = container_facts(pod, name)
            if got is None:
                self.fail(f"pod {label} has no status for container {name}")
                continue
            for key, want in facts.items():
                if not matches(got[key], want):
                    self.fail(f"{name}: {key} is {got[key]!r}, want {want!r}")

    def conditions_of(self, obj, wanted):
        have = {c.get("type"): c for c in (obj.get("status") or {}).get("conditions") or []}
        for kind, want in wanted.items():
            c = have.get(kind)
            if want is None:
                if c is not None and c.get("status") == "True":
                    self.fail(f"condition {kind} is True, should not be")
                continue
            if c is None:
                self.fail(f"no condition {kind}, have {sorted(map(str, have))}")
                continue
            want = want if isinstance(want, dict) else {"status": want}
            only({"status", "reason", "message"}, want, "condition")
            for key, value in want.items():
                if not matches(c.get(key), value):
                    self.fail(f"condition {kind}: {key} is {c.get(key)!r}, want {value!r}")

    def one_pod(self, pod, want):
        label = (pod.get("metadata") or {}).get("name")
        only({"phase", "reason", "message", "containers", "conditions", "checks"}, want, f"pod {label}")
        status = pod.get("status") or {}
        for key in ("phase", "reason", "message"):
            if key in want and not matches(status.get(key), want[key]):
                self.fail(f"pod {label}: {key} is {status.get(key)!r}, want {want[key]!r}")
        self.facts_of(pod, want.get("containers") or {})
        self.conditions_of(pod, want.get("conditions") or {})
        for text in listed(want.get("checks")):
            self.fail(check(pod, text, f"pod {label}"))

    def single(self, key, want):
        pod = self.the_pod()
        if pod is not None:
            self.one_pod(pod, {key: want})

    def on_phase(self, want):
        self.single("phase", want)

    def on_reason(self, want):
        self.single("reason", want)

    def on_message(self, want):
        self.single("message", want)

    def on_containers(self, want):
        self.single("containers", want)

    def on_conditions(self, want):
        self.single("conditions", want)

    def on_pod(self, want):
        self.single("checks", want)

    def on_pods(self, want):
        for name, facts in want.items():
            pod = self.out.pod_named(name)
            if pod is None:
                self.fail(self.out.status_problem or f"no pod {name} in the status file")
            else:
                self.one_pod(pod, facts)

    def on_all_pods(self, want):
        for pod in self.pods():
            self.one_pod(pod, want)

    def on_pod_count(self, want):
        n = len(self.out.of_kind("Pod"))
        if self.out.status_problem:
            self.fail(self.out.status_problem)
        elif not matches(n, want):
            self.fail(f"{n} pods in the status file, want {want}")

    def on_pod_phases(self, want):
        have = {}
        for pod in self.pods():
            phase = (pod.get("status") or {}).get("phase")
            have[phase] = have.get(phase, 0) + 1
        for phase, n in want.items():
            if not matches(have.get(phase, 0), n):
                self.fail(f"{have.get(phase, 0)} pods are {phase}, want {n} (have {have})")

    def on_job(self, want):
        job = self.the_job()
        if job is not None:
            for text in listed(want):
                self.fail(check(job, text, "job"))

    def on_jobs(self, want):
        for name, checks in want.items():
            jobs = [j for j in self.out.of_kind("Job") if (j.get("metadata") or {}).get("name") == name]
            if not jobs:
                self.fail(self.out.status_problem or f"no job {name} in the status file")
                continue
            for text in listed(checks):
                self.fail(check(jobs[0], text, f"job {name}"))

    def on_job_conditions(self, want):
        job = self.the_job()
        if job is not None:
            self.conditions_of(job, want)

    def on_status_kinds(self, want):
        if self.out.status_problem:
            self.fail(self.out.status_problem)
        have = sorted(str(o.get("kind")) for o in self.out.objects)
        if have != sorted(want):
            self.fail(f"status file holds {have}, want {sorted(want)}")

    # --- events file
    def event_hits(self, want):
        only({"reason", "message", "field", "type", "name", "count"}, want, "event")
        hits = []
        for e in self.out.events:
            ref = e.get("involvedObject") or e.get("regarding") or {}
            have = {"reason": e.get("reason"), "message": e.get("message"), "field": ref.get("fieldPath"),
                    "type": e.get("type"), "name": ref.get("name")}
            if all(matches(have[k], want[k]) for k in want if k != "count"):
                hits.append(e)
        return hits

    def on_events(self, want):
        if self.out.events_problem:
            self.fail(self.out.events_problem)
            return
        for w in want:
            hits = self.event_hits(w)  # one line each time, or one line that is counted up
            n = max([len(hits)] + [int(e.get("count") or 1) for e in hits])
            need = w.get("count", ">=1")
            if not matches(n, need):
                short = {k: v for k, v in w.items() if k != "count"}
                seen = sorted({str(e.get("reason")) for e in self.out.events})
                self.fail(f"event {short} came {n} times, want {need} (reasons seen: {', '.join(seen)})")

    def on_no_events(self, want):
        if self.out.events_problem:
            self.fail(self.out.events_problem)
        for w in want:
            hits = self.event_hits(w)
            if hits:
                self.fail(f"unwanted event {hits[0].get('reason')}: {hits[0].get('message')}")

    def on_event_order(self, want):
        """The first events that match come in this order in the file."""
        last = -1
        for w in want:
            hits = self.event_hits(w)
            if not hits:
                self.fail(f"no event {w}")
                return
            later = [i for i, e in enumerate(self.out.events) if e in hits and i > last]
            if not later:
                self.fail(f"event {w} does not come after the one before it")
                return
            last = later[0]

    def on_event_shape(self, want):
        if self.out.events_problem:
            self.fail(self.out.events_problem)
        if not self.out.events:
            self.fail("the events file is empty")
        for e in self.out.events:
            ref = e.get("involvedObject") or {}
            stamps = [k for k in ("firstTimestamp", "lastTimestamp", "eventTime") if e.get(k)]
            if not e.get("reason") or "message" not in e or not ref.get("kind") or not ref.get("name") or not stamps:
                self.fail(f"not shaped like a v1 Event: {json.dumps(e)[:160]}")
                return

    # --- the witness
    def on_order(self, want):
        for chain in want:
            parts = [p.strip() for p in chain.split("<")]
            times = [self.at(p) for p in parts]
            for (pa, ta), (pb, tb) in zip(zip(parts, times), zip(parts[1:], times[1:])):
                if ta is None or tb is None:
                    continue
                ba, bb = self.w.birth(pa), self.w.birth(pb)
                if ba and bb:
                    by_pid = abs(ba[0] - bb[0]) <= 1 and ba[2] == bb[2] and bb[1] < ba[1] < bb[1] + 5000
                    if ba[0] > bb[0] + 1 or by_pid:
                        self.fail(f"{pa} was started after {pb}, should be before")
                elif not ta < tb:
                    self.fail(f"{pa} came {ta - tb:.3f} s after {pb}, should come before")

    def on_gaps(self, want):
        for text in want:
            m = RANGE.match(text)
            if not m:
                raise BadCase(f"bad gap {text!r}")
            a, b = self.at(m["a"]), self.at(m["b"])
            if a is None or b is None:
                continue
            gap = b - a
            if (m["lo"] and gap < float(m["lo"])) or (m["hi"] and gap > float(m["hi"])):
                self.fail(Late(f"{m['a']} -> {m['b']} took {gap:.2f} s, want {m['lo']}..{m['hi']}"))

    def on_counts(self, want):
        for selector, n in want.items():
            got = len(self.w.find(selector))
            if not matches(got, n):
                self.fail(f"{selector} seen {got} times, want {n}")

    def on_not_started(self, want):
        for name in listed(want):
            if self.w.find(f"{name}.start"):
                self.fail(f"{name} was started")

    def on_never(self, want):
        for selector in listed(want):
            if self.w.find(selector):
                self.fail(f"{selector} happened")

    def on_together(self, want):
        for a, b in want:
            sa, sb = self.w.spans(a), self.w.spans(b)
            if not any(x0 < y1 and y0 < x1 for x0, x1 in sa for y0, y1 in sb):
                self.fail(f"{a} and {b} never ran at the same time")

    def window(self, w):
        only({"event", "after", "before", "slack", "count"}, w, "window")
        lo = self.at(w["after"]) if "after" in w else float("-inf")
        hi = self.at(w["before"]) if "before" in w else float("inf")
        if lo is None or hi is None:
            return None
        lo += w.get("slack", 0)
        return [t for t in self.w.find(w["event"]) if lo < t < hi]

    def on_none(self, want):
        for w in want:
            hits = self.window(w)
            if hits:
                self.fail(f"{w['event']} happened {len(hits)} time(s) between {w.get('after')} and {w.get('before')}")

    def on_some(self, want):
        for w in want:
            hits = self.window(w)
            if hits is not None and not matches(len(hits), w.get("count", ">=1")):
                self.fail(f"{w['event']} happened {len(hits)} time(s) between {w.get('after')} and {w.get('before')}, "
                          f"want {w.get('count', '>=1')}")

    def concurrency(self, pattern):
        edges = []
        for a, b in self.w.spans(pattern):
            edges += [(a, 1), (b, -1)]
        most = now = 0
        for _, step in sorted(edges):
            now += step
            most = max(most, now)
        return most

    def on_max_concurrent(self, want):
        for pattern, n in want.items():
            got = self.concurrency(pattern)
            if got > n:
                self.fail(f"{got} of {pattern} ran at once, want at most {n}")

    def on_min_concurrent(self, want):
        for pattern, n in want.items():
            got = self.concurrency(pattern)
            if got < n:
                self.fail(f"{got} of {pattern} ran at once, want at least {n}")

    def on_record(self, want):
        for name, facts in want.items():
            name, _, n = name.partition("#")
            only({"env", "files", "modes", "argv_tail", "cwd", "uid"}, facts, f"record.{name}")
            path = Path(self.out.dir) / f"record-{name}-{n or 1}.json"
            try:
                rec = json.loads(path.read_text())
            except (OSError, ValueError):
                self.fail(f"{name} left no record of its surroundings")
                continue
            for key, value in (facts.get("env") or {}).items():
                got = rec["env"].get(key)
                if not matches(got, value):
                    self.fail(f"{name}: env {key} is {got!r}, want {value!r}")
            for group in ("files", "modes"):
                for p, value in (facts.get(group) or {}).items():
                    got = rec[group].get(p)
                    if not matches(got, value):
                        self.fail(f"{name}: {group[:-1]} of {p} is {got!r}, want {value!r}")
            if "argv_tail" in facts and rec["argv"][-len(facts["argv_tail"]):] != facts["argv_tail"]:
                self.fail(f"{name}: last arguments are {rec['argv'][3:]!r}, want {facts['argv_tail']!r}")
            for key in ("cwd", "uid"):
                if key in facts and not matches(rec[key], facts[key]):
                    self.fail(f"{name}: {key} is {rec[key]!r}, want {facts[key]!r}")


    # --- container logs, with `args: [--log-dir, "{dir}/logs"]`
    def on_logs(self, want):
        for name, facts in want.items():
            name, _, n = name.partition("#")
            only(LOG_FACTS, facts, f"logs.{name}")
            found = sorted(Path(self.out.dir, "logs").glob(f"*/{name}/{int(n or 1) - 1}.log"))
            if facts.get("missing"):
                if found:
                    self.fail(f"{found[0]} should be gone")
                continue
            if len(found) != 1:
                self.fail(f"{len(found)} log files of {name}, want one")
                continue
            self.one_log(name, found[0], facts)

    def one_log(self, name, path, facts):
        have, tags = {"stdout": "", "stderr": ""}, ""
        for line in path.read_bytes().decode(errors="replace").split("\n")[:-1]:
            m = LOG_ENTRY.match(line)
            if not m:
                self.fail(f"{path.name} of {name}: not a CRI log entry: {line[:100]!r}")
                return
            stream, tag, content = m.groups()
            tags += tag
            have[stream] += content + ("\n" if tag == "F" else "")
        rotated = [p.name for p in path.parent.iterdir() if ROTATED.match(p.name)]
        have |= {"tags": tags, "rotated": len(rotated)}
        for key, value in facts.items():
            if not matches(have[key], value):
                self.fail(f"log of {name}: {key} is {str(have[key])[:200]!r}, want {value!r}")


LOG_ENTRY = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP]) (.*)$", re.S)
ROTATED = re.compile(r"^\d+\.log\.\d{8}-\d{6}(\.gz)?$")


# ---------------------------------------------------------------------- running

class Runner:
    def __init__(self, command, keep, options=()):
        self.command, self.keep, self.options = command, keep, list(options)
        self.environ = dict(os.environ)  # now, for cases are played in threads, and pytest goes on changing it
        self.stop = threading.Event()

    def run(self, case):
        """Play one case: (what was wrong with it, seconds it took, witness log, Outcome).

        What is wrong with durations alone has to be wrong each time: this machine may have been busy.
        """
        for _ in range(TRIES):
            result = self.run_once(case)
            if not result[0] or not all(isinstance(problem, Late) for problem in result[0]):
                break
        return result

    def run_once(self, case):
        start = time.monotonic()
        case = json.loads(json.dumps({k: v for k, v in case.items() if k != "file"}))  # play() fills it in
        folder = tempfile.mkdtemp(prefix="mkc-" + re.sub(r"\W+", "-", case["name"])[:40] + "-")
        out = Outcome()
        out.dir = folder
        try:
            self.play(case, folder, out)
            bad = out.problems if out.stillborn else out.problems + Judge(case, out).judge()
            if case.get("timed"):
                bad = [Late(problem) for problem in bad]
        finally:
            self.sweep(folder)
            if not self.keep:
                shutil.rmtree(folder, ignore_errors=True)
        trace = out.witness.text(start) if out.witness else ""
        return bad, time.monotonic() - start, trace, out

    def sweep(self, folder):
        for _ in range(20):
            pids = processes_of(folder)
            if not pids:
                return
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.05)

    def play(self, case, folder, out):
        shutil.copy(HERE / "witness.py", os.path.join(folder, "w.py"))
        tokens = {"{dir}": folder, "{python}": PYTHON, "{w}": os.path.join(folder, "w.py")}
        text = json.dumps(case)
        for token in ("{port}", "{port2}"):
            if token in text:
                tokens[token] = free_port()
        case.update(substitute({k: case[k] for k in case if k not in ("name", "source")}, tokens))
        for path, content in (case.get("setup") or {}).items():
            target = Path(folder) / path
            if content is None:
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(content)
        run = case.get("run") or {}
        only(RUN_KEYS, run, "run")
        kind = run.get("input", "file")
        if kind not in INPUTS:
            raise BadCase(f"run: input is one of {', '.join(INPUTS)}, not {kind!r}")
        docs = [] if "manifest" in case else substitute(render(case), tokens)
        manifest = os.path.join(folder, "manifest.yaml")
        if kind == "directory":
            manifest = os.path.join(folder, "manifests")
            os.mkdir(manifest)
            for i, doc in enumerate(docs):
                Path(manifest, f"{i}.yaml").write_text(yaml.safe_dump(doc, sort_keys=False))
        else:
            Path(manifest).write_text(case.get("manifest") or yaml.safe_dump_all(docs, sort_keys=False))
        status, events = os.path.join(folder, "status.json"), os.path.join(folder, "events.jsonl")
        argv = shlex.split(self.command) + ["run", "-" if kind == "stdin" else manifest]
        if not run.get("no_files"):
            argv += ["--status-file", status, "--events-file", events]
        backoff = run.get("backoff", DEFAULT_BACKOFF)
        if backoff:
            argv += ["--backoff-base", str(backoff[0]), "--backoff-max", str(backoff[1])]
        for key, flag in (("timeout", "--timeout"), ("grace", "--grace-period")):
            if key in run:
                argv += [flag, str(run[key])]
        argv += self.options + [str(a) for a in run.get("args") or []]
        w = out.witness = Witness(os.path.join(folder, "witness.log"), events)
        env = dict(self.environ, MINIKUBELET_CASE=folder)
        begin = time.monotonic()
        w.marks["cli.begin"] = [begin]
        source = manifest if kind == "stdin" else os.devnull
        with open(source, "rb") as stdin, open(os.path.join(folder, "stdout"), "wb") as so, \
                open(os.path.join(folder, "stderr"), "wb") as se:
            try:
                proc = subprocess.Popen(argv, stdin=stdin, stdout=so, stderr=se, cwd=folder, env=env,
                                        start_new_session=True)
            except OSError as e:
                out.problems.append(f"cannot run {argv[0]}: {e.strerror}")
                out.stillborn = True
                return
            self.attend(case, proc, w, begin, out)
        out.wall = time.monotonic() - begin
        w.marks["cli.end"] = [time.monotonic()]
        self.look_for_leftovers(folder, out)
        w.refresh()
        for name in ("stdout", "stderr"):
            setattr(out, name, Path(folder, name).read_bytes().decode(errors="replace"))
        self.read_files(status, events, out)

    def attend(self, case, proc, w, begin, out):
        """Watch the witness log, fire the triggers, enforce the time limit."""
        triggers = []
        for t in listed(case.get("when")):
            only(WHEN_KEYS, t, "when")
            triggers.append(dict(t, due=None, fired=False))
        triggers += [{"seen": s, "until": flag_of(s), "due": None, "fired": False} for s in sorted(awaited(case))]
        limit = float(case.get("limit", DEFAULT_LIMIT))
        while proc.poll() is None:
            now = time.monotonic()
            if now - begin > limit or self.stop.is_set():
                out.problems.append(f"still running after {now - begin:.0f} s, killed")
                try:
                    os.killpg(proc.pid, signal.SIGKILL)
                except OSError:
                    pass
                proc.wait()
                break
            w.refresh()
            for t in triggers:
                if t["due"] is None:
                    seen = [w.time(selector) for selector in listed(t.get("seen"))]
                    if None not in seen:
                        t["due"] = max([begin, *seen]) + t.get("delay", 0)
                if t["due"] is not None and not t["fired"] and now >= t["due"]:
                    t["fired"] = True
                    self.fire(t, proc, w)
            time.sleep(0.02)
        out.code = proc.returncode
        for t in triggers:
            if not t["fired"]:
                out.problems.append(f"never came to the point {t.get('seen')!r}")

    def fire(self, t, proc, w):
        case_dir = os.path.dirname(w.path)
        if "until" in t:
            Path(case_dir, t["until"]).touch()
        if "signal" in t:
            w.marks.setdefault("cli.signal", []).append(time.monotonic())
            try:
                os.kill(proc.pid, SIGNALS[t["signal"]])
            except OSError:
                pass
        if "touch" in t:
            Path(case_dir, t["touch"]).touch()
            w.marks.setdefault("cli.touch", []).append(time.monotonic())
        if "remove" in t:
            try:
                os.unlink(os.path.join(case_dir, t["remove"]))
            except FileNotFoundError:
                pass
            w.marks.setdefault("cli.remove", []).append(time.monotonic())

    def look_for_leftovers(self, folder, out):
        deadline = time.monotonic() + 1.0
        while True:
            pids = processes_of(folder)
            if not pids:
                return
            if time.monotonic() > deadline:
                shown = "; ".join(command_of(p)[-60:] for p in pids[:2])
                out.problems.append(f"left {len(pids)} process(es) running: {shown}")
                return
            time.sleep(0.1)

    def read_files(self, status, events, out):
        try:
            with open(status) as f:
                doc = json.load(f)
            if doc.get("kind") != "List" or not isinstance(doc.get("items"), list):
                out.status_problem = f"the status file is no v1 List but {str(doc)[:80]}"
            else:
                out.objects = doc["items"]
        except FileNotFoundError:
            out.status_problem = "no status file was written"
        except (ValueError, AttributeError) as e:
            out.status_problem = f"the status file is no JSON object: {e}"
        try:
            with open(events) as f:
                for text in f:
                    if text.strip():
                        out.events.append(json.loads(text))
        except FileNotFoundError:
            out.events_problem = "no events file was written"
        except ValueError as e:
            out.events_problem = f"the events file is not JSON lines: {e}"


def background(case, trace, out):
    """What helps to understand a failure: where the rule is from, stderr, and the witness log."""
    text = "  source: " + case["source"] + "\n"
    if out.stderr.strip():
        text += "  stderr: " + out.stderr.strip().replace("\n", "\n          ")[-1500:] + "\n"
    return text + (trace or "  (the witness log is empty)")


# --------------------------------------------------------------------- case files

def load(paths):
    cases, names = [], set()
    for path in paths:
        data = yaml.safe_load(path.read_text())
        for case in data or []:
            only(CASE_KEYS, case, f"{path.name}: {case.get('name')}")
            for key in ("name", "topic", "source", "expect"):
                if not case.get(key):
                    raise BadCase(f"{path.name}: {case.get('name')}: no {key}")
            if not set(listed(case.get("needs"))) <= NEEDS.keys():
                raise BadCase(f"{path.name}: {case['name']}: needs is some of {', '.join(NEEDS)}")
            if case["name"] in names:
                raise BadCase(f"{path.name}: {case['name']} occurs twice")
            names.add(case["name"])
            case["file"] = path.name
            cases.append(case)
    return cases


def lint(cases):
    """Render every manifest and evaluate every expectation against nothing, to find faulty cases early."""
    empty = 0
    for case in cases:
        case = json.loads(json.dumps({k: v for k, v in case.items() if k != "file"}))
        if "manifest" not in case:
            render(case)
        for t in listed(case.get("when")):
            only(WHEN_KEYS, t, f"{case['name']}: when")
        only(RUN_KEYS, case.get("run") or {}, f"{case['name']}: run")
        out = Outcome()
        out.witness = Witness("/nonexistent")
        out.dir, out.code = "/nonexistent", 0
        out.status_problem, out.events_problem = "no status file", "no events file"
        if not Judge(case, out).judge():
            empty += 1
            print(f"LINT {case['name']}: a program that does nothing and exits 0 would pass")
    per_topic = {}
    for case in cases:
        per_topic[case["topic"]] = per_topic.get(case["topic"], 0) + 1
    for topic, n in sorted(per_topic.items()):
        print(f"{topic:24s} {n:3d}")
    print(f"{'all':24s} {len(cases):3d}")
    return 1 if empty else 0


def main():
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("files", nargs="*", help="case files (default: cases/*.yaml beside this file)")
    ap.add_argument("-j", type=int, default=4, metavar="N", help="cases at a time (default 4)")
    ap.add_argument("-k", action="append", default=[], metavar="TEXT",
                    help="only cases whose name contains TEXT (repeatable)")
    ap.add_argument("-t", action="append", default=[], metavar="TOPIC", help="only cases of TOPIC (repeatable)")
    ap.add_argument("-x", "--exclude", action="append", default=[], metavar="TEXT",
                    help="not the cases whose name contains TEXT (repeatable)")
    ap.add_argument("--list", action="store_true", help="list the cases and stop")
    ap.add_argument("--lint", action="store_true", help="check the case files and stop")
    ap.add_argument("--show", action="store_true", help="print the manifests instead of running them")
    ap.add_argument("-v", action="store_true", help="with each failure: all reasons, stderr and the witness log")
    ap.add_argument("--keep", action="store_true", help="keep the temporary folders")
    ap.add_argument("--options", default="", metavar="WORDS", help="further options of `run`, before a case's own")
    ap.add_argument("--retries", type=int, default=0, metavar="N", help="run a failed case again, alone, up to N times")
    args = ap.parse_args()
    paths = [Path(p) for p in args.files] or sorted((HERE / "cases").glob("*.yaml"))
    try:
        cases = load(paths)
        if args.k:
            cases = [c for c in cases if any(k in c["name"] for k in args.k)]
        if args.t:
            cases = [c for c in cases if c["topic"] in args.t]
        cases = [c for c in cases if not any(x in c["name"] for x in args.exclude)]
        if args.list:
            for c in cases:
                print(f"{c['topic']:16s} {c['name']:52s} {c['source']}")
            print(f"{len(cases)} cases")
            return 0
        if args.show:
            for c in cases:
                print(f"# {c['name']}")
                print(c["manifest"] if "manifest" in c else yaml.safe_dump_all(render(c), sort_keys=False))
            return 0
        if args.lint:
            return lint(cases)
    except BadCase as e:
        print(f"bad case file: {e}", file=sys.stderr)
        return 2
    options = shlex.split(args.options)
    skipped = [c for c in cases if missing(c, options)]
    for case in skipped:
        print(f"SKIP {case['name']}: needs {missing(case, options)}")
    cases = [c for c in cases if c not in skipped]
    runner = Runner(os.environ.get("MINIKUBELET", DEFAULT_COMMAND), args.keep, options)
    passed = failed = 0
    broken = []

    def report(case, result):
        bad, took, trace, out = result
        label = f"{case['name']} ({took:.1f}s)"
        if not bad:
            print(f"PASS {label}", flush=True)
            return True
        shown = bad if args.v else bad[:3]
        more = f"; and {len(bad) - len(shown)} more" if len(bad) > len(shown) else ""
        print(f"FAIL {label}: " + "; ".join(shown) + more, flush=True)
        if args.v:
            print(background(case, trace, out), flush=True)
        return False

    with concurrent.futures.ThreadPoolExecutor(max(1, args.j)) as pool:
        jobs = {pool.submit(runner.run, c): c for c in cases}
        again = []
        try:
            for done in concurrent.futures.as_completed(jobs):
                case = jobs[done]
                try:
                    result = done.result()
                except BadCase as e:
                    print(f"FAIL {case['name']}: bad case file: {e}", flush=True)
                    broken.append(case["name"])
                    failed += 1
                    continue
                if result[0] and args.retries:
                    again.append((case, result))
                elif report(case, result):
                    passed += 1
                else:
                    failed += 1
        except KeyboardInterrupt:
            runner.stop.set()
            for j in jobs:
                j.cancel()
            print("interrupted: ending the running cases", file=sys.stderr)
            raise
    for case, result in again:
        for _ in range(args.retries):
            if not result[0]:
                break
            result = runner.run(case)
        if report(case, result):
            passed += 1
        else:
            failed += 1
    print(f"{passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
