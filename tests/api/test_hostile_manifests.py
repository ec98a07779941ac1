"""Whatever a manifest holds, it loads or is refused in its place: no traceback, no hang, no endless heap.

`benchmarks/fuzz_loader.py` tries millions; here are the traps that are known, and a little of the search.
"""

import io
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fuzz_loader import seeds
from benchmarks.loader.generate import inputs
from benchmarks.loader.mutate import mutated
from benchmarks.loader.oracle import Misplaced, examine
from minikubelet.api import manifest as manifest_module
from minikubelet.api.errors import FieldError, ManifestError, Notice, shown
from minikubelet.api.manifest import MAX_BYTES, Manifest, load

CRASHES = Path(__file__).parent / "crashes"
MANY = 100_000
CPU_SECONDS = 120
"Far more than any of them takes, for the machine may be busy; what has no bounds takes hours."
MEMORY_BYTES = 1024 * 1024 * 1024


def loaded(text: str | bytes) -> Manifest:
    data = text if isinstance(text, bytes) else text.encode()
    stdin = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8")
    return load(["-"], stdin=stdin)


def refused(text: str | bytes) -> list[str]:
    """What is wrong, each as the user reads it."""
    with pytest.raises(ManifestError) as caught:
        loaded(text)
    return [str(error) for error in caught.value.errors]


def bounded(work: Callable[[], object]) -> None:
    """Do it in a process that has that much time and memory."""
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert not os.WIFSIGNALED(status), f"ended by {signal.Signals(os.WTERMSIG(status)).name}"
    assert os.waitstatus_to_exitcode(status) == 0


def pod(container: str = "", spec: str = "", metadata: str = "") -> str:
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p{metadata}}}\n"
        f"spec:\n  containers:\n  - {{name: c, image: b{container}}}\n{spec}"
    )


def controller(kind: str, replicas: int) -> str:
    return (
        f"apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: d}}\nspec: {{replicas: {replicas}, "
        "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, "
        "spec: {containers: [{name: c}]}}}\n"
    )


# ------------------------------------------------------------------ size


def test_a_file_without_end_is_read_up_to_its_bound() -> None:
    """The kubelet's `maxConfigLength`."""
    with pytest.raises(ManifestError) as caught:
        load(["/dev/zero"])

    assert [str(error) for error in caught.value.errors] == ["/dev/zero: larger than 10 MiB"]


def test_a_pipe_without_end_is_read_up_to_its_bound() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            buffer[:] = b"#" * len(buffer)
            return len(buffer)

    with pytest.raises(ManifestError, match="larger than 10 MiB"):
        load(["-"], stdin=io.TextIOWrapper(io.BufferedReader(Endless())))


def test_a_file_of_just_the_bound_is_read() -> None:
    text = pod()

    assert len(loaded(text + "#" * (MAX_BYTES - len(text))).pods) == 1


def test_a_directory_holds_what_can_be_waited_for(tmp_path: Path) -> None:
    """A pipe in it would wait for its writer."""
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "deeper.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "pod.yaml").write_text(pod())

    assert len(load([str(tmp_path)]).pods) == 1


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """`minikubelet run <(generate)`."""
    read_end, write_end = os.pipe()
    with open(write_end, "w") as writer:
        writer.write(pod())
    try:
        assert len(load([f"/proc/self/fd/{read_end}"]).pods) == 1
    finally:
        os.close(read_end)


BIG = {
    "a hundred thousand containers": pod(spec="".join(f"  - {{name: c{n}}}\n" for n in range(MANY))),
    "a gigantic variable": pod(f", env: [{{name: A, value: {'x' * 5_000_000}}}]"),
    "variables of variables": pod(
        ", env: [" + ",".join(f"{{name: A{n}, value: '{f'$(A{n - 1})' * 10}'}}" for n in range(1, 20)) + "]"
    ),
}


@pytest.mark.parametrize("text", BIG.values(), ids=BIG)
def test_what_is_big_and_sound_loads_in_bounded_time_and_memory(text: str) -> None:
    bounded(lambda: loaded(text))


BOMBS = {
    "billion laughs": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "quadratic aliases": f"a: &a {'x' * 1000}\nb: [{', '.join(['*a'] * 20_000)}]\n",
    "quadratic merges": "a: &a {" + ",".join(f"k{n}: v" for n in range(1000)) + "}\n"
    f"b:\n- <<: [{','.join(['*a'] * 400)}]\n",
    "brackets": "[" * MANY,
    "braces": "{a: " * MANY,
    "dashes": "- " * MANY,
    "question marks": "? " * MANY,
    "tags": "!a " * MANY,
    "documents without content": "---\n" * 20_000,
    "documents that are no YAML": "a: [1\n---\n" * MANY,
    "open quotes": "a: '" * MANY,
    "halves of templates": "{{ " * MANY + ": a: b",
    "halves of templates in quotes": pod(f", tty: '{'{{ ' * MANY}'"),
    "halves of characters": '{"a": "' + "\\ud83d" * MANY + '"}',
    "backslashes": '{"a": "' + "\\\\" * MANY + '\\ud83d"}',
    "decimal digits": pod(spec=f"  priority: {'9' * MANY}\n"),
    "hexadecimal digits": pod(spec=f"  priority: 0x{'f' * MANY}\n"),
    "hexadecimal digits in a key": pod(metadata=f", labels: {{? 0x{'f' * MANY} : a}}"),
    "digits of a fraction": pod(spec=f"  priority: 1.{'1' * MANY}\n"),
    "digits of an exponent": pod(spec=f"  priority: 1e{'1' * MANY}\n"),
    "digits of a quantity": pod(f", resources: {{limits: {{cpu: '{'9' * MANY}'}}}}"),
    "binary": pod(spec=f"  hostname: !!binary {'A' * MANY}\n"),
    "a name": pod(metadata="p" * MANY),
    "a field": pod(spec=f"  {'x' * 1000}: 1\n"),
    "fields": pod(spec="".join(f"  containres{n}: 1\n" for n in range(5_000))),
    "a field again and again": pod(spec="  priority: 1\n" * 5_000),
    "labels": pod(metadata=", labels: {" + ",".join(f"-{n}: a" for n in range(5_000)) + "}"),
    "labels like paths": pod(metadata=", labels: {" + f"']{'.a' * 5000}': a, ']{'[0]' * 5000}': a" + "}"),
    "variables": pod(", env: [" + ",".join(["{name: '=', value: 1}"] * 5_000) + "]"),
    "containers of one name": pod(spec="  - {name: c, image: 5}\n" * 5_000),
    "replicas": controller("Deployment", 2147483647),
    "ordinals": controller("StatefulSet", 2147483647),
    "controllers": "---\n".join(
        controller("Deployment", 9_000).replace("name: d", f"name: d{n}") for n in (1, 2)
    ),
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_in_bounded_time_and_memory(text: str) -> None:
    def work() -> None:
        assert refused(text)

    bounded(work)


def test_a_machine_is_not_asked_for_more_pods_than_fit_into_its_memory() -> None:
    assert refused(controller("Deployment", 10_001)) == [
        "<stdin>:4:18: Deployment default/d: spec.replicas: "
        "Invalid value: 10001: more than 10000 pods in one run"
    ]


def test_a_job_is_not_asked_for_more_pods_than_fit_into_its_memory() -> None:
    text = (
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {parallelism: 10001, "
        "template: {spec: {restartPolicy: Never, containers: [{name: c}]}}}\n"
    )

    assert refused(text) == [
        "<stdin>:4:21: Job default/j: spec.parallelism: Invalid value: 10001: more than 10000 pods at once"
    ]


def test_of_very_many_faults_the_first_are_told_and_the_rest_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "MAX_FAULTS", 3)

    told = refused(pod(spec="".join(f"  zzz{n}: 1\n" for n in range(10))))

    assert [line.partition("default/p: ")[2] for line in sorted(told)] == [
        "7 more faults",
        "spec.zzz0: unknown field",
        "spec.zzz1: unknown field",
        "spec.zzz2: unknown field",
    ]


# ------------------------------------------------------------------ what is told


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "<stdin>: nothing to run: no Pod"),
        (b"\xef\xbb\xbf", "<stdin>: nothing to run: no Pod"),
        (pod().encode("utf-16"), "<stdin>:1:1: not UTF-8 text but UTF-16"),
        (b"a: 1\nb: \xff\xfe\n", "<stdin>:2:1: not UTF-8 text"),
        (b"a: 1\nb: \x00\n", "<stdin>:2:4: not valid YAML: control characters are not allowed"),
        (b"a: &a\n  b: *a\n", "<stdin>:2:6: the anchor &a contains itself"),
        (b"kind: Pod\nkind: Pod\napiVersion: v1\n", "<stdin>:2:1: Pod: kind: given twice, first in line 1"),
        (b"? [a]\n: b\n", "<stdin>:1:1: kind: Required value"),
        (b"apiVersion: v1\nkind: Pod\n{a: b}: 1\n", "<stdin>:3:1: Pod: a field name must be a string"),
    ],
)
def test_odd_bytes_are_told_in_their_place(data: bytes, told: str) -> None:
    assert any(line.startswith(told) for line in refused(data))


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert len(loaded(b"\xef\xbb\xbf" + pod().encode()).pods) == 1


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e400", "!!float '-1e999'"])
@pytest.mark.parametrize("field", ["priority", "terminationGracePeriodSeconds"])
def test_numbers_that_are_none_are_refused(field: str, value: str) -> None:
    (told,) = refused(pod(spec=f"  {field}: {value}\n"))

    assert f"spec.{field}: expected an integer" in told


@pytest.mark.parametrize(
    "value", ["!!timestamp 2001-01-01", "2001-01-01T00:00:00Z", "!unknown x", "!<tag:a> x"]
)
def test_timestamps_and_unknown_tags_are_their_text(value: str) -> None:
    found = loaded(pod(f", env: [{{name: A, value: {value}}}]")).pods[0].obj.spec.containers[0].env[0].value

    assert found == value.split()[-1]


def test_binary_that_is_none_is_its_text() -> None:
    found = loaded(pod(", env: [{name: A, value: !!binary é}]")).pods[0].obj.spec.containers[0].env[0].value

    assert found == "é"


@pytest.mark.parametrize(
    ("container", "spec", "path"),
    [
        (', command: ["a\\0b"]', "", "spec.containers[0].command[0]"),
        (', workingDir: "/\\0"', "", "spec.containers[0].workingDir"),
        (', terminationMessagePath: "/\\0"', "", "spec.containers[0].terminationMessagePath"),
        (', env: [{name: A, value: "\\0"}]', "", "spec.containers[0].env[0].value"),
        (', livenessProbe: {tcpSocket: {port: 1, host: "\\0"}}', "", "livenessProbe.tcpSocket.host"),
        ("", '  volumes: [{name: v, hostPath: {path: "/\\0"}}]\n', "spec.volumes[0].hostPath.path"),
        (
            ', volumeMounts: [{name: v, mountPath: /m, subPath: "\\0"}]',
            "  volumes: [{name: v, emptyDir: {}}]\n",
            "spec.containers[0].volumeMounts[0].subPath",
        ),
        (
            "",
            '  volumes: [{name: v, configMap: {name: m, items: [{key: k, path: "a\\0"}]}}]\n',
            "spec.volumes[0].configMap.items[0].path",
        ),
    ],
)
def test_no_field_holds_a_character_that_the_system_takes_for_its_end(
    container: str, spec: str, path: str
) -> None:
    (told,) = refused(pod(container, spec))

    assert f'{path}: Invalid value: "' in told
    assert told.endswith("must not contain a NUL character")


def test_the_values_of_a_config_map_hold_any_character() -> None:
    text = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: "x\\0y"}\n---\n' + pod()

    assert loaded(text).config_maps["default/m"].data == {"a": "x\0y"}


def test_an_error_is_one_line_that_moves_nothing_on_a_terminal() -> None:
    error = FieldError("f", 1, 1, "Pod a\x1b[2J", "spec\n.x\u202e", "no\x07")

    assert str(error) == "f:1:1: Pod a\\x1b[2J: spec\\n.x\\u202e: no\\x07"


def test_a_notice_is_one_line_that_moves_nothing_on_a_terminal() -> None:
    assert str(Notice("passed over \n\x1b[2J", ("Pod \r",))) == "Pod \\r: passed over \\n\\x1b[2J"


def test_an_error_is_short_whatever_it_quotes() -> None:
    (told,) = refused(pod(metadata=f", labels: {{? {'k' * 9000} : [1]}}"))

    assert len(told) < 1000
    assert "metadata.labels[kkk" in told


def test_what_is_short_and_printable_is_told_as_it_is() -> None:
    assert shown("é日本 'x'") == "é日本 'x'"
    assert len(shown("x" * 301)) == 300


# ------------------------------------------------------------------ the search


@pytest.mark.parametrize("file", sorted(CRASHES.glob("*.yaml")), ids=lambda file: file.stem)
def test_what_was_a_crash_once_is_none(file: Path) -> None:
    bounded(lambda: examine(file.read_bytes()))


def test_nothing_drawn_from_the_schema_is_a_crash() -> None:
    """`python -m benchmarks.fuzz_loader --kind schema` tries more of it."""
    stages = {examine(data) for number in range(12) for data in inputs(Random(f"smoke/{number}"))}

    assert stages >= {"schema", "validation", "loaded"}


def test_no_mutated_bytes_are_a_crash() -> None:
    """`python -m benchmarks.fuzz_loader --kind bytes` tries more of them."""
    random, corpus = Random("smoke"), seeds()

    stages = {examine(mutated(random.choice(corpus), random, corpus, 4096)) for _ in range(600)}

    assert stages >= {"text", "yaml", "schema", "loaded"}


def test_the_search_notices_an_error_without_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FieldError, "__str__", lambda error: "\x1b")

    with pytest.raises(Misplaced):
        examine(b"apiVersion: v1\nkind: Pod\n")


def test_the_search_notices_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_module, "validate_pod", lambda pod: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        examine(pod().encode())
