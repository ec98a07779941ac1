"""A minute of `benchmarks.chaos`, and a short soak: what is measured for long by hand."""

import os
import subprocess
import sys


def test_nothing_survives_a_minute_of_chaos():
    """TERM-17, LOCAL-9: 200 pods a round, whose processes are killed at random, and so is minikubelet."""
    program = [sys.executable, "-m", "benchmarks.chaos", "--time", "60", "--pods", "200"]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=400, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_many_restarts_need_no_more_than_a_few():
    """Memory and descriptors. A journal to check at the end grows until it is full, so there is none here."""
    program = [sys.executable, "-m", "benchmarks.soak", "--restarts", "2000"]
    env = {name: value for name, value in os.environ.items() if name != "MINIKUBELET_CHECK"}
    ran = subprocess.run(program, env=env, capture_output=True, text=True, timeout=200, check=False)

    assert ran.returncode == 0, ran.stdout + ran.stderr
