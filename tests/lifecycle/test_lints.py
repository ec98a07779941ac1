"""Each lint with a manifest that it is for, and with near misses that it has to keep quiet about."""

import io
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.manifest import load
from minikubelet.lifecycle.lints import Lint, lints
from minikubelet.lifecycle.shell_script import Command, commands_of, loops_forever, script_in


def found(text: str) -> list[Lint]:
    manifest = load(["-"], stdin=io.StringIO(text))
    seen: list[Lint] = []
    for pod in manifest.pods:
        seen += lints(pod.obj.spec)
    for job in manifest.jobs:
        seen += lints(job.obj.spec.template.spec, job.obj.spec)
    return seen


def names(text: str) -> list[str]:
    return [lint.name for lint in found(text)]


def pod(spec: str) -> str:
    """A Pod whose spec is given as YAML."""
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n" + textwrap.indent(
        textwrap.dedent(spec).strip("\n"), "  "
    )


def job(template: str, spec: str = "") -> str:
    """A Job whose template's spec is given as YAML, and what else its own spec says."""
    head = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec:\n"
    body = textwrap.indent(textwrap.dedent(template).strip("\n"), "      ")
    return f"{head}{textwrap.indent(textwrap.dedent(spec).strip(), '  ')}\n  template:\n    spec:\n{body}\n"


def main(command: str, **fields: str) -> str:
    """A Pod of one container with that command, in flow style."""
    extra = "".join(f"\n{key}: {value}" for key, value in fields.items())
    return pod(f"containers: [{{name: main, image: busybox, command: {command}}}]{extra}")


def sidecar(command: str) -> str:
    return pod(f"""
        restartPolicy: Never
        initContainers: [{{name: side, image: busybox, restartPolicy: Always, command: {command}}}]
        containers: [{{name: main, image: busybox, command: [work]}}]
    """)


# ------------------------------------------------------------------ TERM-18: PID 1

SHELL, PROGRAM, TRAP = "shell-ignores-stop-signal", "program-ignores-stop-signal", "trap-waits-for-child"

IGNORED = {
    "a loop": "[sh, -c, 'while true; do work; sleep 5; done']",
    "a loop of another kind": "[sh, -c, 'until false; do work; done']",
    "a loop that sleeps in its condition": "[bash, -c, 'while sleep 5; do work; done']",
    "a list, and sh does not put the last one in its place": "[sh, -c, 'migrate && serve']",
    "a pipeline": "[bash, -c, 'serve | tee log']",
    "in the background, waited for": "[bash, -c, 'serve & wait']",
    "in a group": "[bash, -c, '{ serve; }']",
    "behind options": "[/bin/bash, -euo, pipefail, -c, 'while :; do work; done']",
    "busybox": "[busybox, sh, -c, 'while true; do work; done']",
    "several lines": '[sh, -c, "prepare\\nserve\\n"]',
    "a trap for another signal": "[sh, -c, \"trap 'x' INT; while true; do sleep 1; done\"]",
    "dash runs no EXIT trap for a signal": "[sh, -c, \"trap 'x' EXIT; while true; do sleep 1; done\"]",
}


@pytest.mark.parametrize("command", IGNORED.values(), ids=IGNORED)
def test_TERM_18_a_shell_as_pid_1_ignores_its_stop_signal(command: str) -> None:
    assert names(main(command)) == [SHELL]
    assert names(sidecar(command)) == [SHELL]


HEARD = {
    "a single command, which many shells put in their place": "[sh, -c, 'serve --port 80']",
    "a single command with a variable before it": "[sh, -c, 'PORT=80 serve']",
    "exec": "[sh, -c, 'migrate; exec serve']",
    "exec after and": "[sh, -c, 'migrate && exec serve']",
    "bash puts the last one of a list in its place": "[bash, -c, 'migrate; serve']",
    "a trap": "[sh, -c, \"trap 'exit 0' TERM; while true; do sleep 1; done\"]",
    "a trap by number": "[sh, -c, \"trap 'exit 0' 2 15; serve & wait\"]",
    "a trap with SIG": "[sh, -c, 'stop() { exit; }; trap stop SIGTERM; serve & wait $!']",
    "bash runs its EXIT trap": "[bash, -c, \"trap 'x' EXIT; while true; do sleep 1; done\"]",
    "what a sourced file does nobody knows": "[sh, -c, '. ./lib.sh; while true; do work; done']",
    "an init that reaps and handles signals": "[tini, --, sh, -c, 'while true; do work; done']",
    "not a shell": "[python3, -c, 'while True: pass']",
    "not -c": "[sh, run.sh]",
    "done soon": "[sh, -c, 'prepare; echo done']",
}


@pytest.mark.parametrize("command", HEARD.values(), ids=HEARD)
def test_TERM_18_near_misses(command: str) -> None:
    assert names(main(command)) == []


def test_TERM_18_a_shell_that_runs_to_its_end_may_ignore_signals() -> None:
    """A main container under Never that does its work and exits; the same one under Always is a server."""
    command = "[sh, -c, 'prepare; work']"

    assert names(main(command, restartPolicy="Never")) == []
    assert names(main(command)) == [SHELL]
    assert names(main("[sh, -c, 'prepare; sleep 3600']", restartPolicy="Never")) == [SHELL]


@pytest.mark.parametrize("field", ["shareProcessNamespace", "hostPID"])
def test_TERM_18_only_as_pid_1(field: str) -> None:
    command = "[sh, -c, 'while true; do work; done']"

    assert names(main(command, **{field: "true"})) == []


@pytest.mark.parametrize(
    "signal, expected",
    [("SIGTERM", []), ("SIGUSR1", [SHELL]), ("SIGKILL", [])],
)
def test_HOOK_11_the_trap_has_to_be_for_the_container_s_stop_signal(signal: str, expected: list[str]) -> None:
    text = pod(f"""
        os: {{name: linux}}
        containers:
          - name: main
            image: busybox
            command: [sh, -c, "trap 'exit 0' TERM; while true; do sleep 1; done"]
            lifecycle: {{stopSignal: {signal}}}
    """)

    assert names(text) == expected


@pytest.mark.parametrize(
    "command", ["[sleep, infinity]", "[sleep, '3600']", "[tail, -f, /dev/null]", "[sh, -c, 'exec sleep 1d']"]
)
def test_TERM_18_a_program_that_handles_no_signals(command: str) -> None:
    (lint,) = found(main(command))

    assert lint.name == PROGRAM
    assert "trap 'exit 0' TERM" in lint.change


@pytest.mark.parametrize("command", ["[sleep, '5']", "[tail, -n, '5', file]", "[sleep, x]", "[serve]"])
def test_TERM_18_programs_that_end_soon_or_are_not_known(command: str) -> None:
    assert names(main(command)) == []


@pytest.mark.parametrize(
    "script",
    ["trap 'exit 0' TERM; sleep 3600", "trap x TERM; while true; do sleep 40; done", "trap x 15; tail -f l"],
)
def test_TERM_15_a_trap_waits_for_the_program_in_the_foreground(script: str) -> None:
    assert names(main(f'[sh, -c, "{script}"]')) == [TRAP]
    assert names(main(f'[sh, -c, "{script}"]', shareProcessNamespace="true")) == [TRAP]


@pytest.mark.parametrize(
    "script",
    [
        "trap 'exit 0' TERM; sleep 3600 & wait",
        "trap 'exit 0' TERM; while true; do sleep 5; done",
        "trap 'exit 0' TERM; (sleep 3600; report) & serve & wait",
        "trap 'sleep 3600' TERM; serve & wait",
    ],
)
def test_TERM_15_a_trap_that_runs_soon(script: str) -> None:
    assert names(main(f'[sh, -c, "{script}"]')) == []


def test_each_shell_is_told_what_helps_it() -> None:
    advice = {
        "while true; do work; done": "in the background",
        "serve & wait": "pass the signal on",
        "migrate; serve": "begin the last command with `exec`",
        "migrate; sleep 600": "trap 'exit 0' TERM; sleep 600 & wait $!",
    }

    for script, words in advice.items():
        (lint,) = found(main(f"[sh, -c, '{script}']"))
        assert words in lint.change


# ------------------------------------------------------------------ HOOK-6: preStop


def with_hook(hook: str, grace: int = 30, probe: str = "") -> str:
    return pod(f"""
        terminationGracePeriodSeconds: {grace}
        containers:
          - name: main
            image: app
            lifecycle: {{preStop: {hook}}}
            {probe}
    """)


@pytest.mark.parametrize(
    "hook",
    [
        "{sleep: {seconds: 30}}",
        "{exec: {command: [sleep, '30']}}",
        "{exec: {command: [/bin/sleep, 1m]}}",
        "{exec: {command: [sh, -c, 'sleep 20; nginx -s quit; sleep 20']}}",
    ],
)
def test_HOOK_6_a_pre_stop_that_eats_the_grace(hook: str) -> None:
    (lint,) = found(with_hook(hook))

    assert (lint.name, lint.path) == ("prestop-eats-grace", "spec.containers[0].lifecycle.preStop")


@pytest.mark.parametrize(
    "hook",
    [
        "{sleep: {seconds: 29}}",
        "{exec: {command: [sleep, '5']}}",
        "{exec: {command: [sh, -c, 'sleep 60 & drain']}}",
        "{exec: {command: [sh, -c, 'while busy; do sleep 31; done']}}",
        "{exec: {command: [drain]}}",
    ],
)
def test_HOOK_6_a_pre_stop_that_leaves_something_of_it(hook: str) -> None:
    assert names(with_hook(hook)) == []


def test_PROBE_31_the_grace_of_a_probe_may_be_the_shorter_one() -> None:
    def with_probe(grace: int) -> str:
        probe = f"startupProbe: {{exec: {{command: [up]}}, terminationGracePeriodSeconds: {grace}}}"
        return with_hook("{sleep: {seconds: 10}}", probe=probe)

    (lint,) = found(with_probe(10))
    assert lint.path == "spec.containers[0].startupProbe.terminationGracePeriodSeconds"
    assert names(with_probe(11)) == []


# ------------------------------------------------------------------ SIDE-3: gates


def gated(probe: str, ports: str = "[{containerPort: 9901}]") -> str:
    return pod(f"""
        initContainers:
          - name: proxy
            image: envoy
            restartPolicy: Always
            ports: {ports}
            {probe}
        containers:
          - name: app
            image: app
            ports: [{{name: http, containerPort: 8080}}]
    """)


@pytest.mark.parametrize(
    "probe",
    [
        "{httpGet: {port: 8080}}",
        "{tcpSocket: {port: 8080, host: 127.0.0.1}}",
        "{grpc: {port: 8080}}",
        "{exec: {command: [curl, -f, 'http://localhost:8080/up']}}",
        "{exec: {command: [sh, -c, 'nc -z 127.0.0.1 8080']}}",
    ],
)
def test_SIDE_3_a_gate_that_waits_for_what_waits_for_it(probe: str) -> None:
    """Readiness holds up only `--start-gate ready`; a startupProbe holds up a kubelet as well."""
    (ready,) = found(gated(f"readinessProbe: {probe}"))
    (started,) = found(gated(f"startupProbe: {probe}"))

    assert (ready.name, ready.path) == ("gate-never-opens", "spec.initContainers[0].readinessProbe")
    assert "`--start-gate ready`" in ready.happens
    assert (started.name, started.path) == ("gate-never-opens", "spec.initContainers[0].startupProbe")
    assert "--start-gate" not in started.happens


@pytest.mark.parametrize(
    "probe",
    [
        "readinessProbe: {httpGet: {port: 9901}}",
        "readinessProbe: {httpGet: {port: 8080, host: example.com}}",
        "readinessProbe: {httpGet: {port: 8080}}\n            startupProbe: {httpGet: {port: 9901}}",
        "livenessProbe: {httpGet: {port: 8080}}",
        "readinessProbe: {exec: {command: [test, -e, '8080']}}",
    ],
)
def test_SIDE_3_gates_that_open(probe: str) -> None:
    assert names(gated(probe)) == []


def test_SIDE_3_a_port_of_its_own_is_no_reason_to_wait() -> None:
    """What app declares too is another trap."""
    assert names(gated("readinessProbe: {httpGet: {port: 8080}}", ports="[{containerPort: 8080}]")) == [
        "port-taken-twice"
    ]


# ------------------------------------------------------------------ PROBE-7: liveness


def alive(probe: str, more: str = "", command: str = "[serve]") -> str:
    return pod(f"""
        containers:
          - name: app
            image: app
            command: {command}
            livenessProbe: {{httpGet: {{port: 80}}, {probe}}}
            {more}
    """)


@pytest.mark.parametrize(
    "text",
    [
        alive("periodSeconds: 2"),
        alive("failureThreshold: 1"),
        alive("periodSeconds: 10", "readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 60}"),
        alive("periodSeconds: 10", command="[sh, -c, 'echo waiting; sleep 45; exec serve']"),
    ],
    ids=["short", "one failure", "readiness knows better", "the script sleeps first"],
)
def test_PROBE_7_a_liveness_probe_that_is_faster_than_the_start(text: str) -> None:
    (lint,) = found(text)

    assert (lint.name, lint.path) == ("liveness-before-started", "spec.containers[0].livenessProbe")


@pytest.mark.parametrize(
    "text",
    [
        alive("periodSeconds: 5"),
        alive("periodSeconds: 2", "startupProbe: {httpGet: {port: 80}}"),
        alive("periodSeconds: 2, initialDelaySeconds: 10"),
        alive("periodSeconds: 10", "readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 20}"),
        alive("periodSeconds: 10", command="[sh, -c, 'echo waiting; sleep 15; exec serve']"),
    ],
)
def test_PROBE_7_a_liveness_probe_that_gives_time(text: str) -> None:
    assert names(text) == []


# ------------------------------------------------------------------ PROBE-19: names of ports


def with_port(handler: str) -> str:
    return pod(f"""
        containers:
          - name: other
            image: app
            ports: [{{name: metrics, containerPort: 9090}}]
          - name: app
            image: app
            ports: [{{name: http, containerPort: 80}}]
            {handler}
    """)


@pytest.mark.parametrize("kind", ["startupProbe", "readinessProbe", "livenessProbe"])
@pytest.mark.parametrize("action", ["httpGet", "tcpSocket"])
def test_PROBE_19_a_probe_of_a_port_that_the_container_has_not(kind: str, action: str) -> None:
    """PROBE-29: a port of another container does not count."""
    (lint,) = found(with_port(f"{kind}: {{{action}: {{port: metrics}}}}"))

    assert (lint.name, lint.path) == ("probe-port-unknown", f"spec.containers[1].{kind}.{action}.port")
    assert names(with_port(f"{kind}: {{{action}: {{port: http}}, initialDelaySeconds: 10}}")) == []
    assert names(with_port(f"{kind}: {{{action}: {{port: 9090}}, initialDelaySeconds: 10}}")) == []


@pytest.mark.parametrize("hook, rule", [("postStart", "HOOK-3"), ("preStop", "HOOK-6")])
def test_HOOK_1_hooks_that_never_work(hook: str, rule: str) -> None:
    (unknown,) = found(with_port(f"lifecycle: {{{hook}: {{httpGet: {{port: metrics}}}}}}"))
    (unable,) = found(with_port(f"lifecycle: {{{hook}: {{tcpSocket: {{port: http}}}}}}"))

    assert unknown.name == unable.name == "hook-never-works"
    assert rule in unknown.rules and rule in unable.rules
    assert names(with_port(f"lifecycle: {{{hook}: {{httpGet: {{port: http}}}}}}")) == []


# ------------------------------------------------------------------ LOCAL-1: other people's processes

DEADLY = {
    "killall": "killall envoy",
    "pkill": "work; pkill -f agent",
    "with a path": "/usr/bin/pkill agent",
    "all processes": "kill -9 -1",
    "all processes, named": "kill -s TERM -1",
    "all processes, after --": "kill -TERM -- -1",
    "without a signal": "kill -1",
    "init": "kill -TERM 1",
    "init, without a signal": "kill 1",
    "what pidof finds": "kill $(pidof nginx)",
    "what pgrep finds": "kill -HUP `pgrep nginx`",
    "in a trap": 'trap "pkill serve" TERM',
    "in a shell in a shell": "sh -c 'killall serve'",
    "behind exec": "exec killall serve",
    "in a condition": "if busy; then killall serve; fi",
}


@pytest.mark.parametrize("script", DEADLY.values(), ids=DEADLY)
def test_LOCAL_1_commands_that_reach_beyond_the_container(script: str) -> None:
    text = pod(f"""
        restartPolicy: Never
        containers:
          - name: app
            image: app
            lifecycle:
              preStop:
                exec:
                  command:
                    - sh
                    - -c
                    - |
                      {script}
    """)

    (lint,) = found(text)

    assert (lint.name, lint.path) == (
        "kills-beyond-container",
        "spec.containers[0].lifecycle.preStop.exec.command",
    )


HARMLESS = {
    "a process of its own": "kill -1 $PID",
    "its children": "pkill -P $$",
    "its group": "kill 0",
    "from a file": "kill $(cat nginx.pid)",
    "a job": "kill %1",
    "said only": "echo killall envoy",
    "a comment": "work # killall envoy",
    "a text": "cat <<END\nkillall envoy\nEND",
    "another program": "my-killall envoy",
    "its last child": "kill -TERM $!",
    "a question": "kill -0 $PID",
}


@pytest.mark.parametrize("script", HARMLESS.values(), ids=HARMLESS)
def test_LOCAL_1_commands_that_do_not(script: str) -> None:
    block = textwrap.indent(script, " " * 8)
    text = pod("restartPolicy: Never\ncontainers:\n- name: app\n  image: app") + (
        f"\n    command:\n    - sh\n    - -c\n    - |\n{block}\n"
    )

    assert names(text) == []


def test_LOCAL_1_also_without_a_shell_and_in_probes() -> None:
    text = pod("""
        containers:
          - name: app
            image: app
            args: [pkill, x]
            readinessProbe: {exec: {command: [killall, x]}}
    """)

    assert [lint.path for lint in found(text)] == [
        "spec.containers[0].args",
        "spec.containers[0].readinessProbe.exec.command",
    ]


# ------------------------------------------------------------------ VALID-18: ports


INIT_WITH_PORT = "[{name: i, image: i, command: [x], ports: [{containerPort: 80}]}]"


def two(first: str, second: str, inits: str = "[]") -> str:
    return pod(f"""
        initContainers: {inits}
        containers:
          - {{name: a, image: a, ports: [{first}]}}
          - {{name: b, image: b, ports: [{second}]}}
    """)


def test_VALID_18_two_containers_with_the_same_port() -> None:
    (lint,) = found(two("{containerPort: 80}", "{containerPort: 81}, {containerPort: 80}"))

    assert (lint.name, lint.path) == ("port-taken-twice", "spec.containers[1].ports[1].containerPort")
    assert lint.happens.startswith("a declares port 80 too")


@pytest.mark.parametrize(
    "text",
    [
        two("{containerPort: 80}", "{containerPort: 81}"),
        two("{containerPort: 53}", "{containerPort: 53, protocol: UDP}"),
        two(
            "{containerPort: 80}",
            "{containerPort: 81}",
            INIT_WITH_PORT,
        ),
    ],
    ids=["other ports", "other protocols", "one after the other"],
)
def test_VALID_18_ports_that_do_not_meet(text: str) -> None:
    assert "port-taken-twice" not in names(text)


# ------------------------------------------------------------------ TMSG-1


def message(path: str, mounts: str = "[]", command: str = "[serve]") -> str:
    return pod(f"""
        volumes:
          - {{name: data, emptyDir: {{}}}}
          - {{name: config, configMap: {{name: c, optional: true}}}}
        containers:
          - name: app
            image: app
            command: {command}
            terminationMessagePath: {path}
            volumeMounts: {mounts}
          - name: other
            image: app
            volumeMounts: [{{name: data, mountPath: /data}}]
    """)


@pytest.mark.parametrize(
    "text",
    [
        message("/data", "[{name: data, mountPath: /data}]"),
        message("/data", "[{name: data, mountPath: /data/inner}]"),
        message("/data/log", "[{name: data, mountPath: /data, readOnly: true}]"),
        message("/etc/c/log", "[{name: config, mountPath: /etc/c}]"),
        message("/data/log", "[{name: data, mountPath: /data}]"),
        message("/dev/stdout"),
        message("/out/log", command="[sh, -c, 'echo failed >/dev/termination-log; exit 1']"),
    ],
    ids=[
        "a volume",
        "above a volume",
        "read-only",
        "config",
        "others look for it",
        "a device",
        "another file",
    ],
)
def test_TMSG_1_a_termination_message_that_gets_lost(text: str) -> None:
    (lint,) = found(text)

    assert (lint.name, lint.path) == ("termination-message-lost", "spec.containers[0].terminationMessagePath")


@pytest.mark.parametrize(
    "text",
    [
        message("/out/log", "[{name: data, mountPath: /data}]"),
        message("/database/log", "[{name: data, mountPath: /data}]"),
        message("/out/log", command="[sh, -c, 'echo failed >/out/log; exit 1']"),
        message("/dev/termination-log", command="[sh, -c, 'echo failed >/dev/termination-log; exit 1']"),
        message("/dev/termination-log", "[{name: data, mountPath: /dev/shm}]"),
    ],
)
def test_TMSG_1_a_termination_message_that_does_not(text: str) -> None:
    assert names(text) == []


# ------------------------------------------------------------------ JOB-12, MAIN-2, INIT-1: what never ends

SIDECAR = "initContainers: [{name: side, image: x, restartPolicy: Always}]"


@pytest.mark.parametrize("limit", ["", "backoffLimit: 3", "backoffLimit: 0"])
def test_JOB_12_restarts_of_sidecars_count(limit: str) -> None:
    (lint,) = found(
        job(f"restartPolicy: OnFailure\n{SIDECAR}\ncontainers: [{{name: work, image: x}}]", limit)
    )

    assert (lint.name, lint.path, lint.of_job) == ("backoff-limit-eaten", "spec.backoffLimit", True)


@pytest.mark.parametrize(
    "text",
    [
        job(f"restartPolicy: Never\n{SIDECAR}\ncontainers: [{{name: work, image: x}}]"),
        job("restartPolicy: OnFailure\ncontainers: [{name: work, image: x}]"),
        job(
            f"restartPolicy: OnFailure\n{SIDECAR}\ncontainers: [{{name: work, image: x}}]",
            "completionMode: Indexed\ncompletions: 2\nbackoffLimitPerIndex: 1",
        ),
        pod(f"restartPolicy: OnFailure\n{SIDECAR}\ncontainers: [{{name: work, image: x}}]"),
    ],
    ids=["Never", "no sidecar", "limits per index", "no Job"],
)
def test_JOB_12_near_misses(text: str) -> None:
    assert names(text) == []


def beside(container: str, work: str = "{name: work, image: x, command: [work]}") -> str:
    return f"restartPolicy: Never\ncontainers: [{work}, {container}]"


SERVERS = {
    "a loop": "{name: b, image: x, command: [sh, -c, \"trap 'exit' TERM; while true; do x; sleep 1; done\"]}",
    "a server's image": "{name: b, image: 'docker.io/library/postgres:9-alpine'}",
    "a server's image with options": "{name: b, image: nginx, args: [-g, daemon off;]}",
    "a server's program": "{name: b, image: x, command: [/usr/bin/redis-server, --port, '1']}",
    "a server in a script": "{name: b, image: x, command: [sh, -c, 'prepare; exec envoy -c x']}",
    "a name": "{name: log-shipper, image: x}",
    "ports": "{name: b, image: x, ports: [{containerPort: 80}]}",
    "probes": "{name: b, image: x, readinessProbe: {exec: {command: [x]}}}",
}


@pytest.mark.parametrize("container", SERVERS.values(), ids=SERVERS)
def test_MAIN_2_a_regular_container_that_keeps_a_job_from_ending(container: str) -> None:
    (lint,) = found(job(beside(container)))

    assert (lint.name, lint.path, lint.make_sidecar) == (
        "keeps-job-alive",
        "spec.containers[1]",
        "spec.containers[1]",
    )


@pytest.mark.parametrize("container", SERVERS.values(), ids=SERVERS)
def test_MAIN_2_only_in_a_job_and_beside_work_that_ends(container: str) -> None:
    """A pod may be meant to serve, and so may all containers of a Job, for all that can be seen."""
    assert "keeps-job-alive" not in names(pod(beside(container)))
    assert "keeps-job-alive" not in names(job(f"restartPolicy: Never\ncontainers: [{container}]"))


@pytest.mark.parametrize(
    "container",
    [
        "{name: b, image: x, command: [sh, -c, 'until test -e /done; do sleep 1; done']}",
        "{name: b, image: x, command: [sh, -c, 'while true; do test -e /done && exit 0; sleep 1; done']}",
        "{name: b, image: x, command: [sh, -c, 'while :; do if test -e x; then break; fi; sleep 1; done']}",
        "{name: b, image: postgres, command: [pg_dump]}",
        "{name: b, image: postgres, args: [psql, -c, x]}",
        "{name: proxyless, image: x}",
    ],
)
def test_MAIN_2_containers_that_end(container: str) -> None:
    assert names(job(beside(container))) == []


def test_INIT_1_an_init_container_that_never_ends() -> None:
    spec = "initContainers: [{name: db, image: 'postgres:9'}]\ncontainers: [{name: app, image: x}]"
    (lint,) = found(pod(spec))

    assert (lint.name, lint.make_sidecar) == ("init-never-ends", "spec.initContainers[0]")


@pytest.mark.parametrize(
    "container",
    [
        "{name: db, image: postgres, restartPolicy: Always}",
        "{name: db, image: postgres, command: [sh, -c, 'until pg_isready -h db; do sleep 1; done']}",
        "{name: db, image: postgres, command: [pg_restore, dump]}",
    ],
)
def test_INIT_1_near_misses(container: str) -> None:
    assert names(pod(f"initContainers: [{container}]\ncontainers: [{{name: app, image: x}}]")) == []


def test_a_plain_manifest_has_no_lints() -> None:
    text = pod("""
        containers:
          - name: web
            image: nginx:latest
            ports: [{name: http, containerPort: 80}]
            livenessProbe: {httpGet: {port: http}}
            readinessProbe: {httpGet: {port: http}}
            lifecycle: {preStop: {sleep: {seconds: 5}}}
    """)

    assert names(text) == []


# ------------------------------------------------------------------ the reader of shell scripts


def simple(script: str) -> list[tuple[str, ...]]:
    return [c.words for c in commands_of(script)]


@pytest.mark.parametrize(
    "script, words",
    [
        ("a b; c", [("a", "b"), ("c",)]),
        ("a 'b; c' \"d e\" f\\ g", [("a", "b; c", "d e", "f g")]),
        ("a >out 2>&1 <in; b &>log", [("a",), ("b",)]),
        ("a $(b; c) ${d} `e f`", [("a", "$(b; c)", "${d}", "`e f`")]),
        ("X=1 Y=2 a", [("a",)]),
        ("X=1", [("X=1",)]),
        ("a # b\nc", [("a",), ("c",)]),
        ("a#b", [("a#b",)]),
        ("a \\\n  b", [("a", "b")]),
        ("cat <<'E' | b\nkill 1\nE\nc", [("cat",), ("b",), ("c",)]),
        ("for x in 1 2; do a; done", [("x", "in", "1", "2"), ("a",)]),
        ("case $x in a) b;; *) c;; esac; d", [("$x", "in", "a"), ("b",), ("*",), ("c",), ("d",)]),
        ("f() { a; }; f", [("a",), ("f",)]),
        ("! a && b || c", [("a",), ("b",), ("c",)]),
        (
            "[[ x =~ (a|b)$ && c ]] || d",
            [("[[", "x", "=~", "(", "a", "|", "b", ")", "$", "&&", "c", "]]"), ("d",)],
        ),
        ("", []),
    ],
)
def test_simple_commands(script: str, words: list[tuple[str, ...]]) -> None:
    assert simple(script) == words


def test_commands_know_what_follows_and_what_is_around_them() -> None:
    assert commands_of("while a; do b & done; (c | d)") == [
        Command(("a",), ";", ("while",)),
        Command(("b",), "&", ("while do",)),
        Command(("c",), "|", ("(",)),
        Command(("d",), ";", ("(",)),
    ]


@pytest.mark.parametrize(
    "argv, script",
    [
        (("sh", "-c", "x"), "x"),
        (("/bin/bash", "-euxo", "pipefail", "-c", "x", "arg"), "x"),
        (("ash", "-ec", "x"), "x"),
        (("bash", "-c", "-e", "x"), "x"),
        (("busybox", "sh", "-c", "x"), "x"),
        (("bash", "--norc", "-c", "x"), "x"),
        (("sh", "x"), None),
        (("sh", "-e", "x"), None),
        (("sh", "-c"), None),
        (("env", "sh", "-c", "x"), None),
        ((), None),
    ],
)
def test_the_script_of_a_shell(argv: tuple[str, ...], script: str | None) -> None:
    inside = script_in(argv)

    assert (inside.script if inside else None) == script


@pytest.mark.parametrize(
    "script, forever",
    [
        ("while true; do a; done", True),
        ("while :; do a; done", True),
        ("while [ 1 ]; do a; done", True),
        ("for ((;;)); do a; done", True),
        ("a; while true\ndo\n  if b; then c; fi\ndone", True),
        ("while true; do a; done; exit 0", True),
        ("while true; do a && break; done", False),
        ("while true; do if a; then exit; fi; done", False),
        ("while read x; do a; done", False),
        ("until a; do b; done", False),
        ("echo while true; a", False),
    ],
)
def test_loops_without_a_way_out(script: str, forever: bool) -> None:
    assert loops_forever(script) is forever


@given(st.text(st.sampled_from(" \n\t;&|(){}<>'\"`$\\#!=ab1-")) | st.text())
def test_any_text_can_be_read(script: str) -> None:
    """Whatever it is: the reader comes to an end, without an error, and makes no empty commands."""
    assert all(command.words for command in commands_of(script))
    assert loops_forever(script) in (True, False)
