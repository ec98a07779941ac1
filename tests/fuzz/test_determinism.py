"""The same seed gives the same log, byte for byte: in either engine, process, hash seed and Python."""

import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs

from minikubelet.fuzz import generate
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap, run_under_trio
from minikubelet.invariants.text import digest, lines

GOLDEN = "d8cee0e2f3ac2a82807bd9dac808f4af60a8ccbef73a27e887350da636b04038"
"Of `LOGS`, on any machine. It changes whenever the generator or the lifecycle does something differently."

LOGS = range(20)

PROGRAM = """
import hashlib
from minikubelet.fuzz import generate
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap
from minikubelet.invariants.text import lines

log = hashlib.sha256()
for seed in range(20):
    for line in lines(run_on_heap(generate.case(SeededDraw(seed)))):
        log.update(f"{line}\\n".encode())
print(log.hexdigest())
"""


def logs():
    log = hashlib.sha256()
    for seed in LOGS:
        for line in lines(run_on_heap(generate.case(SeededDraw(seed)))):
            log.update(f"{line}\n".encode())
    return log.hexdigest()


def in_a_fresh_process(python, hash_seed):
    """What `PROGRAM` prints there, with our libraries; None if that Python cannot take them."""
    root = str(Path(__file__).parents[2])
    libraries = str(Path(attrs.__file__).parents[1])
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": str(hash_seed),
        "PYTHONPATH": os.pathsep.join((root, libraries)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [python, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def other_pythons():
    """For each further version, from 3.11 on, where it may be."""
    found = {}
    for name in (f"python3.{minor}" for minor in range(11, 20)):
        if name != f"python3.{sys.version_info.minor}":
            found[name] = sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/*/bin/{name}")))
            found[name] += [path for path in (shutil.which(name),) if path]
    return found


def test_the_log_of_fixed_seeds_is_the_one_it_has_always_been():
    """If a change is meant to change what happens, this is where it is written down."""
    assert logs() == GOLDEN


def test_a_fresh_process_with_another_hash_seed_writes_the_same_bytes():
    assert {in_a_fresh_process(sys.executable, hash_seed) for hash_seed in (1, 2)} == {logs()}


def test_other_versions_of_python_write_the_same_bytes():
    """As many as there are here; in CI each of them also has to agree with `GOLDEN`."""
    for candidates in other_pythons().values():
        written = (in_a_fresh_process(python, 3) for python in candidates)

        assert next((log for log in written if log is not None), logs()) == logs()


def test_both_engines_write_the_same_log():
    for seed in range(200):
        case = generate.case(SeededDraw(seed))

        assert list(lines(run_on_heap(case))) == list(lines(run_under_trio(case))), f"seed {seed}"


def test_each_line_is_an_object_and_says_when_what_and_to_whom():
    journal = run_on_heap(generate.case(SeededDraw(5)))
    read = [json.loads(line) for line in lines(journal)]

    assert [(one["at"], one["what"], one.get("key", "")) for one in read] == [
        (entry.at, entry.what, entry.key) for entry in journal.entries
    ]
    assert {one["detail"]["kind"] for one in read if one["what"] in ("begun", "published")} == {"Pod"}
    assert len(digest(journal)) == 64
