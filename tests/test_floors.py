"""The architecture, held: nine floors, imports go down only, and decisions stay pure."""

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "minikubelet"
FLOORS = ["api", "lifecycle", "runtime", "kubelet", "assertions", "invariants", "fuzz", "bench", "cli"]
MODULES = [path for floor in FLOORS for path in sorted((PACKAGE / floor).glob("*.py"))]

# Pure modules may name signals and say what they are typed with, but not reach for the world.
IMPURE = {
    "asyncio",
    "logging",
    "os",
    "pathlib",
    "random",
    "socket",
    "subprocess",
    "threading",
    "time",
    "trio",
}


def imports(path: Path, *, at_start: bool) -> Iterator[str]:
    """Names of imported modules; `at_start` leaves out what is only loaded when a function is called."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_start else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_a_module_imports_from_its_own_floor_or_below(path):
    own = FLOORS.index(path.parent.name)
    for name in imports(path, at_start=False):
        parts = name.split(".")
        if parts[0] == "minikubelet" and len(parts) > 1:
            assert FLOORS.index(parts[1]) <= own, f"{path.name} reaches up to {name}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "lifecycle").glob("*.py")), ids=lambda p: p.name)
def test_decisions_know_no_world(path):
    assert not IMPURE & set(imports(path, at_start=False))


@pytest.mark.parametrize("module", ["minikubelet.cli.run", "minikubelet.kubelet.kubelet", "minikubelet"])
def test_the_way_to_the_first_spawn_loads_neither_trio_nor_ssl(module):
    """LOCAL start-up: the first container starts before the slow libraries are loaded."""
    import subprocess

    program = f"import {module}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {"trio", "ssl", "asyncio", "http.client", "hypothesis"} & set(loaded.stdout.split())


PLAIN_POD = """
apiVersion: v1
kind: Pod
metadata: {name: plain}
spec: {containers: [{name: main, image: any, command: [/bin/true]}]}
"""

TO_THE_FIRST_SPAWN = """
import os, sys
from minikubelet.cli.main import command

def posix_spawn(path, *arguments, _spawn=os.posix_spawn, **settings):
    if path == "/bin/true":
        print(*sys.modules)
        print(type(sys.modules["yaml.reader"].Reader.NON_PRINTABLE).__name__, flush=True)
        os.kill(os.getpid(), 9)
    return _spawn(path, *arguments, **settings)

os.posix_spawn = posix_spawn
sys.argv[1:] = ["run", "--log-dir", "logs", "-"]
command()
"""

NOT_BEFORE_IT_RUNS = """
    attr attrs ctypes dataclasses datetime inspect json logging socket subprocess trio
    weakref yaml.constructor minikubelet.api.job
    minikubelet.api.validation_jobs minikubelet.cli.files minikubelet.cli.screen minikubelet.cli.summary
    minikubelet.lifecycle.printing minikubelet.lifecycle.verdicts
    minikubelet.runtime.handlers minikubelet.runtime.mounts minikubelet.runtime.sandbox
    minikubelet.runtime.services minikubelet.runtime.volumes
"""


def test_a_plain_container_runs_before_what_it_has_no_use_for_is_loaded(tmp_path):
    """LOCAL start-up: on the way to the first spawn stands what decides about it and what does it. Who
    shows it, what other pods ask for, and attrs, whose place `api.values` takes, come after; what PyYAML's
    own reader would look for is not compiled."""
    import subprocess

    program = [sys.executable, "-c", TO_THE_FIRST_SPAWN]
    env = {name: value for name, value in os.environ.items() if name != "MINIKUBELET_CHECK"}
    ended = subprocess.run(program, input=PLAIN_POD, env=env, cwd=tmp_path, capture_output=True, text=True)
    *loaded, printable = ended.stdout.split()
    assert "minikubelet.runtime.spawn" in loaded
    assert not set(NOT_BEFORE_IT_RUNS.split()) & set(loaded)
    assert printable != "Pattern"


WITHOUT_LIBYAML = """
import sys
from minikubelet.cli.main import command

sys.modules["yaml._yaml"] = None
sys.argv[1:] = ["validate", "-"]
command()
"""


def test_a_pattern_that_was_put_off_finds_what_it_looks_for():
    """Without libyaml it is PyYAML's own reader that reads."""
    import subprocess

    program = [sys.executable, "-c", WITHOUT_LIBYAML]
    fine, unfit = (
        subprocess.run(program, input=text, capture_output=True, text=True)
        for text in (PLAIN_POD, "kind: \x01")
    )
    assert fine.returncode == 0, fine.stderr
    assert unfit.returncode == 2
    assert "1:7: not valid YAML: special characters are not allowed" in unfit.stdout + unfit.stderr


TLS_FOR_LATER = """
import sys
from minikubelet.cli.main import stand_in

sys.modules |= {name: stand_in(name) for name in ("ssl", "hmac")}
import ssl, trio
print(*({"_ssl", "_hashlib"} & sys.modules.keys()))
import trio.testing

async def shake_hands():
    ours, theirs = trio.testing.memory_stream_pair()
    stream = trio.SSLStream(ours, ssl.create_default_context(), server_hostname="any")
    await theirs.send_all(b"what is no TLS")
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as error:
        print(type(error.__cause__) is sys.modules["ssl"].SSLError)

trio.run(shake_hands)
"""


def test_openssl_is_loaded_when_tls_is_spoken():
    """trio loads what it needs for that, whoever uses it; to us it is a sixth of the memory."""
    import subprocess

    ended = subprocess.run([sys.executable, "-c", TLS_FOR_LATER], check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines() == ["", "True"]


QUICK_POD = """
apiVersion: v1
kind: Pod
metadata: {name: quick}
spec:
  restartPolicy: Never
  initContainers: [{name: first, image: any, command: [/bin/true]}]
  containers: [{name: main, image: any, command: [/bin/sh, -c, echo done; exit 3]}]
"""

AT_FIRST = """
import sys
from minikubelet.cli import run
from minikubelet.cli.main import main

run.TRIO_SECONDS = run.PEACE_SECONDS = 60.0  # however slow this machine is
main(["run", "-"])
print("trio" in sys.modules)
"""


def test_what_is_over_soon_does_not_wait_for_trio():
    """Nobody is served while trio is loaded, which takes longer than a chain of quick init containers."""
    import subprocess

    ended = subprocess.run([sys.executable, "-c", AT_FIRST], input=QUICK_POD, capture_output=True, text=True)
    lines = ended.stdout.splitlines()
    assert lines[-1] == "False"
    assert lines[0] == "quick/first * Started"
    assert lines.index("quick/main * Started") < lines.index("quick/main | done")
    assert lines.index("quick/main | done") < lines.index("quick/main ! Exited: code 3")


CHAIN = """
apiVersion: v1
kind: Pod
metadata: {name: chain}
spec:
  restartPolicy: Never
  initContainers:
  - {name: first, image: any, command: [/bin/true]}
  - {name: second, image: any, command: [/bin/true]}
  containers: [{name: main, image: any, command: [/bin/false]}]
"""

WHAT_THE_CHAIN_WAITS_FOR = """
import os, sys
from minikubelet.cli import run
from minikubelet.cli.main import main

def posix_spawn(path, *arguments, _spawn=os.posix_spawn, **settings):
    if path in ("/bin/true", "/bin/false"):
        print(path, "minikubelet.cli.screen" in sys.modules, file=sys.stderr, flush=True)
    return _spawn(path, *arguments, **settings)

os.posix_spawn = posix_spawn
run.TRIO_SECONDS = run.PEACE_SECONDS = 60.0  # however slow this machine is
main(["run", "-"])
"""


def test_a_chain_of_init_containers_does_not_wait_for_those_who_show_it():
    """INIT-1: what shows the starts is loaded when nothing is due, and tells them in their order."""
    import subprocess

    program = [sys.executable, "-c", WHAT_THE_CHAIN_WAITS_FOR]
    env = {name: value for name, value in os.environ.items() if name != "MINIKUBELET_CHECK"}
    ended = subprocess.run(program, input=CHAIN, env=env, capture_output=True, text=True)
    assert ended.stderr.splitlines() == ["/bin/true False", "/bin/true False", "/bin/false False"]
    assert ended.stdout.splitlines()[:7] == [
        "chain/first * Started",
        "chain/first * Exited: code 0",
        "chain/second * Started",
        "chain/second * Exited: code 0",
        "chain/main * Started",
        "chain/main ! Exited: code 1",
        "chain ! Failed",
    ]


PARTS_OF_YAML = """
import sys
from minikubelet.cli import main

main.main = lambda: 0
main.os._exit = lambda code: None
main.command()
from minikubelet.api import nodes
print(*(part for part in ("constructor", "dumper") if f"yaml.{part}" in sys.modules))
(root,), (fault,) = nodes.parse("a: [1]"), nodes.parse("a: [")
print(type(root).__name__, fault.message)
import yaml
print(yaml.load("{a: [1]}", yaml.CSafeLoader), yaml.safe_dump([1], default_flow_style=True).strip())
import yaml
print(yaml.constructor.ConstructorError.__name__, yaml.parser.ParserError.__name__)
"""


def test_of_pyyaml_what_reads_is_loaded_first_and_the_rest_when_it_is_asked_for():
    """In a process of our own; who uses us as a library gets PyYAML as it is."""
    import subprocess

    ended = subprocess.run([sys.executable, "-c", PARTS_OF_YAML], check=True, capture_output=True, text=True)
    assert ended.stdout.splitlines() == [
        "",
        "MappingNode not valid YAML: while parsing a flow node, did not find expected node content",
        "{'a': [1]} [1]",
        "ConstructorError ParserError",
    ]
