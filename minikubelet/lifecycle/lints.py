"""Traps in a manifest that is valid: what will surprise its author, why, and what to write instead.

Reads the spec alone. It cannot know what a program does, so each lint waits for evidence in the manifest
and keeps quiet without it: a lint that cries wolf is worse than none. Shell scripts are read, not run
(`shell_script`).
"""

import re
from collections.abc import Iterator, Sequence
from math import inf
from posixpath import basename, normpath
from signal import SIGKILL
from typing import Literal, NamedTuple

from minikubelet.api.job import JobSpec
from minikubelet.api.pod import (
    Container,
    HTTPGetAction,
    LifecycleHandler,
    PodSpec,
    Probe,
    TCPSocketAction,
)
from minikubelet.api.values import frozen
from minikubelet.lifecycle.backoff import go_duration
from minikubelet.lifecycle.restarts import effective_policy, will_restart_after_kill
from minikubelet.lifecycle.shell_script import Command, commands_of, loops_forever, script_in, sleep_seconds
from minikubelet.lifecycle.startup import needs_readiness_to_pass
from minikubelet.lifecycle.termination import signal_name, stop_signal


@frozen
class Lint:
    name: str
    "Stable, for programs: `shell-ignores-stop-signal`."
    path: str
    "Relative to the pod, `spec.containers[0].command`; with `of_job` relative to the Job."
    happens: str
    change: str
    rules: tuple[str, ...]
    of_job: bool = False
    make_sidecar: str | None = None
    "Path of the container that a `restartPolicy: Always` among the initContainers would mend."


def lints(spec: PodSpec, job: JobSpec | None = None) -> Iterator[Lint]:
    """Every trap of a pod, and of the Job whose template it is; in the order of the containers."""
    for path, container in _containers(spec):
        yield from _shell_ignores_stop_signal(spec, container, path)
        yield from _pre_stop_too_long(spec, container, path)
        yield from _gate_never_opens(spec, container, path)
        yield from _liveness_before_started(spec, container, path)
        yield from _port_name_unknown(container, path)
        yield from _kills_other_processes(container, path)
        yield from _termination_message_lost(spec, container, path)
        yield from _init_never_ends(spec, container, path)
    yield from _port_taken_twice(spec)
    if job is not None:
        yield from _keeps_job_alive(spec)
        yield from _backoff_limit_eaten(spec, job)


def _containers(spec: PodSpec) -> Iterator[tuple[str, Container]]:
    """Every container with its path, in the order in which they start."""
    for field, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            yield f"spec.{field}[{index}]", container


KINDS = ("startup", "liveness", "readiness")


# ------------------------------------------------------------------ signals


class Deaf(NamedTuple):
    """What does not hear the stop signal."""

    program: str
    how: Literal["shell", "program", "trap"]
    "A shell that is PID 1, a program that handles no signal, or one that a shell's trap has to wait for."


def _shell_ignores_stop_signal(spec: PodSpec, container: Container, path: str) -> Iterator[Lint]:
    """PID 1 of a container is not ended by a signal that it does not handle."""
    deaf = _deaf_to_stop_signal(spec, container)
    if deaf is None:
        return
    program = deaf.program
    field = f"{path}.{'command' if container.command else 'args'}"
    signal = signal_name(stop_signal(container))
    grace = go_duration(max(spec.termination_grace_period_seconds, 2))
    if deaf.how == "trap":
        yield Lint(
            "trap-waits-for-child",
            field,
            f"a shell runs its trap only when the program in the foreground has ended, and `{program}` takes "
            f"its time: {signal} changes nothing until the grace of {grace} is over and SIGKILL comes",
            f"put the program in the background and wait for it: `{program} & wait $!`",
            ("TERM-15", "TERM-16"),
        )
        return
    when = ", also whenever the main containers are done" if container.name in spec.sidecars else ""
    yield Lint(
        "shell-ignores-stop-signal" if deaf.how == "shell" else "program-ignores-stop-signal",
        field,
        f"in a cluster `{program}` is PID 1, which is not ended by a signal that it does not handle: "
        f"{signal} does nothing, and stopping {container.name} takes the whole grace of {grace}, until "
        f"SIGKILL comes{when}. A plain process is ended by it at once, so this does not show here without "
        "a process namespace",
        _advice(deaf, container, signal),
        ("TERM-18", "TERM-15"),
    )


def _advice(deaf: Deaf, container: Container, signal: str) -> str:
    name = signal.removeprefix("SIG")
    found = script_in((*container.command, *container.args))
    if deaf.how == "program" or found is None:
        return (
            f"run it from a shell that handles the signal: `trap 'exit 0' {name}; {deaf.program} & wait $!`"
        )
    last = commands_of(found.script)[-1]
    if (hopeless := _unhandling(last.words)) is not None:
        return _advice(hopeless, container, signal)
    if last.words[0] == "wait":
        return f"pass the signal on: `trap 'kill $!' {name}` before `wait $!`"
    if loops_forever(found.script) or last.inside:
        return (
            f"begin with `trap 'exit 0' {name}`, and put what takes long in the background: "
            "`sleep 10 & wait $!` instead of `sleep 10`"
        )
    return f"begin the last command with `exec`: then its program is PID 1, and gets {signal} itself"


def _deaf_to_stop_signal(spec: PodSpec, container: Container) -> Deaf | None:
    """What would stand there deaf, if the manifest shows that; None where it does not."""
    number = stop_signal(container)
    if number == SIGKILL:
        return None
    argv = (*container.command, *container.args)
    is_pid_1 = not (spec.share_process_namespace or spec.host_pid)
    found = script_in(argv)
    if found is None:
        return _unhandling(argv) if is_pid_1 else None
    commands = commands_of(found.script)
    if not commands or any(c.words[0] in (".", "source") for c in commands):
        return None
    if any(_handles(c, number, found.shell) for c in commands):
        return _blocking_a_trap(commands, spec.termination_grace_period_seconds)
    if not is_pid_1:
        return None
    last = commands[-1]
    if any(c.words[0] == "exec" and len(c.words) > 1 for c in commands):
        return _unhandling(last.words[1:]) if last.words[0] == "exec" else None
    shell = Deaf(found.shell, "shell")
    if loops_forever(found.script):
        return shell
    is_simple = not last.inside and last.end == ""
    if len(commands) == 1 and is_simple:  # many shells put it in their own place
        return _unhandling(last.words)
    is_server = container.name in spec.sidecars or effective_policy(spec, container) == "Always"
    runs_long = _unhandling(last.words) is not None or (is_server and not _BRIEF.fullmatch(last.words[0]))
    if not runs_long:
        return None
    if found.shell == "bash" and is_simple and last.words[0] != "wait" and commands[-2].end != "|":
        return _unhandling(last.words)  # bash does so with the last one of a list too; dash and ash do not
    return shell


_BRIEF = re.compile(
    r"\[|:|break|cat|cd|chmod|chown|cp|curl|echo|exit|export|false|kill|ln|ls|mkdir|mv|printf|return|rm|set|test"
    r"|touch|true|unset|wget"
)
"Commands that are done soon."


def _unhandling(words: Sequence[str]) -> Deaf | None:
    """A program that is known to handle no signals, and to run long."""
    if not words:
        return None
    name = basename(words[0])
    is_long = (name == "sleep" and (sleep_seconds(words) or 0) >= 60) or (
        name == "tail" and any(re.match(r"-[a-zA-Z]*[fF]|--follow", word) for word in words[1:])
    )
    return Deaf(" ".join((name, *words[1:])), "program") if is_long else None


def _blocking_a_trap(commands: Sequence[Command], grace: int) -> Deaf | None:
    """A program in the foreground that keeps a shell from running its trap for longer than the grace."""
    for command in commands:
        if command.end == "&" or {"(", "{", "function"} & set(command.inside):
            continue
        seconds = sleep_seconds(command.words)
        found = _unhandling(command.words)
        if (seconds is None and found is not None) or (seconds or 0) > grace:
            return Deaf(" ".join(command.words), "trap")
    return None


def _handles(command: Command, number: int, shell: str) -> bool:
    """Whether a command is a `trap` for that signal, as far as can be seen."""
    words = command.words
    if words[0] != "trap" or len(words) < 3:
        return False
    name = signal_name(number)
    wanted = {name, name.removeprefix("SIG"), str(number)}
    if shell == "bash":  # it alone runs its EXIT trap when a signal ends it
        wanted |= {"EXIT", "0"}
    return any(word.upper() in wanted or "$" in word for word in words[2:])


# ------------------------------------------------------------------ grace


def _pre_stop_too_long(spec: PodSpec, container: Container, path: str) -> Iterator[Lint]:
    hook = container.lifecycle.pre_stop if container.lifecycle else None
    seconds = hook_seconds(hook) if hook is not None else None
    if seconds is None:
        return
    grace = spec.termination_grace_period_seconds
    if 0 < grace <= seconds:
        yield _too_long(f"{path}.lifecycle.preStop", "terminationGracePeriodSeconds", seconds, grace)
    for kind, probe in (("liveness", container.liveness_probe), ("startup", container.startup_probe)):
        own = probe.termination_grace_period_seconds if probe else None
        if own is not None and own <= seconds and own != grace:
            yield _too_long(
                f"{path}.{kind}Probe.terminationGracePeriodSeconds",
                f"terminationGracePeriodSeconds of the {kind}Probe",
                seconds,
                own,
            )


def _too_long(path: str, what: str, seconds: float, grace: int) -> Lint:
    return Lint(
        "prestop-eats-grace",
        path,
        f"preStop takes {go_duration(seconds)} and {what} is {grace}: the hook's time comes out of the grace,"
        " so the stop signal comes when nothing is left of it, and SIGKILL two seconds later",
        f"make {what} longer than the hook and the program's own shutdown together, or the hook shorter",
        ("HOOK-6", "TERM-2"),
    )


def hook_seconds(hook: LifecycleHandler) -> float | None:
    """How long a hook takes at least: its `sleep`, or the `sleep N` of its command; None: not known."""
    if hook.sleep is not None:
        return float(hook.sleep.seconds)
    if hook.exec is None:
        return None
    found = script_in(hook.exec.command)
    commands = commands_of(found.script) if found else [Command(hook.exec.command)]
    lengths = [sleep_seconds(c.words) for c in commands if c.end != "&" and not c.inside]
    return sum(length for length in lengths if length is not None) or None


# ------------------------------------------------------------------ probes


def _gate_never_opens(spec: PodSpec, container: Container, path: str) -> Iterator[Lint]:
    """SIDE-3: what a sidecar's gate waits for must not come after the gate."""
    if container.name not in spec.sidecars:
        return
    kind, probe = "startup", container.startup_probe
    if needs_readiness_to_pass(container):
        kind, probe = "readiness", container.readiness_probe
    if probe is None:
        return
    order = [c for _, c in _containers(spec)]
    position = order.index(container)
    known = {p.container_port for c in order[: position + 1] for p in c.ports}
    for later in order[position + 1 :]:
        for port in later.ports:
            if port.container_port in known or port.container_port not in _asked_ports(container, probe):
                continue
            if kind == "startup":
                happens = (
                    f"{later.name} starts only once this probe has succeeded, and the probe asks port "
                    f"{port.container_port}, which is {later.name}'s: {container.name} is restarted again "
                    "and again, and the pod stays Pending for ever"
                )
                change = "ask something of the sidecar's own"
            else:
                happens = (
                    f"the probe asks port {port.container_port}, which is {later.name}'s, and with "
                    f"`--start-gate ready`, the default here, {later.name} waits for this sidecar to be ready"
                    ": each waits for the other. A kubelet does not wait for readiness"
                )
                change = (
                    "ask something of the sidecar's own, or give it a startupProbe: then that is the gate. "
                    "`--start-gate started` does as a kubelet"
                )
            rules = ("SIDE-3", "SIDE-8") if kind == "startup" else ("SIDE-4", "PROBE-11")
            yield Lint("gate-never-opens", f"{path}.{kind}Probe", happens, change, rules)
            return


def _asked_ports(container: Container, probe: Probe) -> set[int]:
    """Ports on this pod that a probe asks, by number."""
    for action in (probe.http_get, probe.tcp_socket):
        if action is not None and isinstance(action.port, int) and _is_local(action.host):
            return {action.port}
    if probe.grpc is not None:
        return {probe.grpc.port}
    if probe.exec is not None:
        return {int(port) for port in _LOCAL_PORT.findall(" ".join(probe.exec.command))}
    return set()


_LOCAL_PORT = re.compile(r"(?:\blocalhost|\b127\.0\.0\.1|\[::1\])(?:[:/]|\s+)(\d{1,5})\b")


def _is_local(host: str | None) -> bool:
    return host in (None, "", "localhost", "127.0.0.1", "::1")


QUICK_START = 5
"Seconds: a liveness probe that gives a container less to come up is hasty."


def _liveness_before_started(spec: PodSpec, container: Container, path: str) -> Iterator[Lint]:
    probe = container.liveness_probe
    if probe is None or container.startup_probe is not None:
        return
    names = [port.name for port in container.ports if port.name]
    if not all(_is_resolved(action, names) for _, action in _network(probe)):
        return  # it never fires
    gives = probe.initial_delay_seconds + probe.period_seconds * (probe.failure_threshold - 1)
    readiness = container.readiness_probe
    sleeps = _leading_sleep(container)
    if sleeps > gives:
        why = f"the command begins with `sleep {sleeps:g}`"
    elif readiness is not None and readiness.initial_delay_seconds > gives:
        why = f"its readinessProbe expects a start of {readiness.initial_delay_seconds}s"
    elif gives < QUICK_START:
        why = "on a busy machine a start takes longer than usual"
    else:
        return
    after = go_duration(gives) if gives else "at the first failure, right"
    fate = "stopped and restarted, again and again"
    if not will_restart_after_kill(spec, container):
        fate = "stopped for good"
    yield Lint(
        "liveness-before-started",
        f"{path}.livenessProbe",
        f"{container.name} is given up {after} after its start, if it does not answer by then; {why}. Where "
        f"that takes longer it is {fate}",
        "add a startupProbe: the livenessProbe rests until it has succeeded",
        ("PROBE-7", "PROBE-14"),
    )


def _leading_sleep(container: Container) -> float:
    """Seconds that a script sleeps before it does anything."""
    found = script_in((*container.command, *container.args))
    total = 0.0
    for command in commands_of(found.script) if found else ():
        if command.words[0] in ("echo", "set", "trap", "cd", "export"):
            continue
        seconds = None if command.inside or command.end == "&" else sleep_seconds(command.words)
        if seconds is None:
            return total
        if command.end == "":  # nothing follows: this is all that it does
            return 0.0
        total += seconds
    return 0.0


def _port_name_unknown(container: Container, path: str) -> Iterator[Lint]:
    """PROBE-29: names are looked up among the container's own ports."""
    names = [port.name for port in container.ports if port.name]
    own = f"it has {', '.join(names)}" if names else "it has no port with a name"
    for kind in KINDS:
        probe = container.probe_of(kind)
        for field, action in _network(probe):
            if _is_resolved(action, names):
                continue
            yield Lint(
                "probe-port-unknown",
                f"{path}.{kind}Probe.{field}.port",
                f"no port of {container.name} is called {action.port} ({own}). A probe that cannot be asked "
                f"is discarded and counts for nothing: {_NEVER[kind]}",
                "name one of the container's own ports, or write the number",
                ("PROBE-19", "PROBE-29"),
            )
    for hook, handler in _hooks(container):
        consequence = ": the container is stopped each time it starts" if hook == "postStart" else ""
        rule = "HOOK-3" if hook == "postStart" else "HOOK-6"
        if handler.tcp_socket is not None:
            yield Lint(
                "hook-never-works",
                f"{path}.lifecycle.{hook}.tcpSocket",
                f"tcpSocket may be written in a hook, but always fails{consequence}",
                "use exec, httpGet or sleep",
                ("HOOK-1", rule),
            )
        elif handler.http_get is not None and not _is_resolved(handler.http_get, names):
            yield Lint(
                "hook-never-works",
                f"{path}.lifecycle.{hook}.httpGet.port",
                f"no port of {container.name} is called {handler.http_get.port} ({own}), so this hook always "
                f"fails{consequence}",
                "name one of the container's own ports, or write the number",
                (rule,),
            )


def _hooks(container: Container) -> Iterator[tuple[str, LifecycleHandler]]:
    lifecycle = container.lifecycle
    if lifecycle is not None and lifecycle.post_start is not None:
        yield "postStart", lifecycle.post_start
    if lifecycle is not None and lifecycle.pre_stop is not None:
        yield "preStop", lifecycle.pre_stop


_NEVER = {
    "startup": "the container never counts as started, and is never given up either",
    "liveness": "a container that hangs is never restarted",
    "readiness": "the container is never ready",
}


def _network(
    handler: Probe | LifecycleHandler | None,
) -> Iterator[tuple[str, HTTPGetAction | TCPSocketAction]]:
    if handler is not None and handler.http_get is not None:
        yield "httpGet", handler.http_get
    if handler is not None and handler.tcp_socket is not None:
        yield "tcpSocket", handler.tcp_socket


def _is_resolved(action: HTTPGetAction | TCPSocketAction, names: Sequence[str]) -> bool:
    return isinstance(action.port, int) or action.port.isdecimal() or action.port in names


# ------------------------------------------------------------------ other people's processes


def _kills_other_processes(container: Container, path: str) -> Iterator[Lint]:
    for field, argv in _programs(container, path):
        found = script_in(argv)
        for command in commands_of(found.script) if found else [Command(tuple(argv))]:
            danger = _danger(command.words)
            if danger is not None:
                yield Lint(
                    "kills-beyond-container",
                    field,
                    f"`{' '.join(command.words)}`: {danger}. A container has processes of its own to itself; "
                    "plain processes share the machine's with everybody, you included",
                    "signal a process by the number that you kept when you started it: `kill $PID`",
                    ("LOCAL-1",),
                )
                break


def _programs(container: Container, path: str) -> Iterator[tuple[str, Sequence[str]]]:
    """Everything that a container executes, with its path."""
    yield f"{path}.{'command' if container.command else 'args'}", (*container.command, *container.args)
    for kind in KINDS:
        probe = container.probe_of(kind)
        if probe is not None and probe.exec is not None:
            yield f"{path}.{kind}Probe.exec.command", probe.exec.command
    for hook, handler in _hooks(container):
        if handler.exec is not None:
            yield f"{path}.lifecycle.{hook}.exec.command", handler.exec.command


def _danger(words: Sequence[str]) -> str | None:
    while words and basename(words[0]) in ("exec", "sudo", "command", "nohup", "busybox", "setsid"):
        words = words[1:]
    if not words:
        return None
    name, arguments = basename(words[0]), list(words[1:])
    if name == "trap" and arguments:
        inner = (_danger(c.words) for c in commands_of(arguments[0]))
        return next(filter(None, inner), None)
    if (nested := script_in(words)) is not None:
        inner = (_danger(c.words) for c in commands_of(nested.script))
        return next(filter(None, inner), None)
    if name in ("killall", "killall5", "pkill", "skill"):
        if any(re.match(r"-\w*[Pgs]$|--parent|--pgroup|--session", a) for a in arguments) and name == "pkill":
            return None  # limited to processes of its own
        return f"{name} looks at all processes of this machine"
    if name != "kill":
        return None
    if any(re.search(r"[$`(]\s*\(?\s*(pidof|pgrep)\b", a) for a in arguments):
        return "it finds processes of that name anywhere on this machine"
    targets = _kill_targets(arguments)
    if "-1" in targets:
        return "-1 is every process of this machine that it may signal"
    if "1" in targets:
        return "process 1 is this machine's init, not the container's program"
    return None


def _kill_targets(arguments: list[str]) -> list[str]:
    """What `kill` is to signal; a lone `kill -1` is taken as it was surely meant."""
    rest = list(arguments)
    if rest and rest[0] in ("-s", "-n", "--signal"):
        rest = rest[2:]
    elif len(rest) > 1 and re.fullmatch(r"-[A-Za-z0-9]+|--signal=\w+", rest[0]):
        rest = rest[1:]
    return [word for word in rest if word != "--"]


# ------------------------------------------------------------------ ports and files


def _port_taken_twice(spec: PodSpec) -> Iterator[Lint]:
    """VALID-18: the containers of a pod share one network."""
    taken: dict[tuple[int, str], str] = {}
    for path, container in _containers(spec):
        for index, port in enumerate(container.ports):
            key = port.container_port, port.protocol
            other = taken.get(key)
            if other is not None and other != container.name:
                yield Lint(
                    "port-taken-twice",
                    f"{path}.ports[{index}].containerPort",
                    f"{other} declares port {port.container_port} too. The containers of a pod share one "
                    "network, in a cluster as well: the second to listen there fails, and crashes again and "
                    "again",
                    "give one of them another port",
                    ("LOCAL-4", "VALID-18"),
                )
            elif container.name not in spec.plain_inits:  # which are gone when the others listen
                taken.setdefault(key, container.name)


_NO_FILES = re.compile(r"/dev/(stdout|stderr|stdin|null|fd/.*|pts/.*|tty.*)|/proc/.*")


def _termination_message_lost(spec: PodSpec, container: Container, path: str) -> Iterator[Lint]:
    """TMSG-1: the file is the kubelet's, put at that path for this instance alone."""
    where = normpath(container.termination_message_path or "/dev/termination-log")
    texts = " ".join(word for _, argv in _programs(container, path) for word in argv)
    default = "/dev/termination-log"
    field, happens = f"{path}.terminationMessagePath", ""
    change = f"leave it at {default}, or name a file in a directory that is no volume"
    if _NO_FILES.fullmatch(where):
        happens = f"{where} is no place for a file: one is mounted there, in the way of what it stands for"
    for mount in container.volume_mounts:
        mounted = normpath(mount.mount_path)
        if where == mounted or mounted.startswith(f"{where}/"):
            happens = f"{where} is a directory, because of the volumeMount at {mounted}: no file can be there"
        elif where.startswith(f"{mounted}/") and (mount.read_only or mount.name in _read_only(spec)):
            happens = f"{mounted} is a read-only volume: the file cannot be made in it, and nothing starts"
        elif where.startswith(f"{mounted}/"):
            readers = [c.name for _, c in _containers(spec) if c is not container and _mounts(c, mount.name)]
            if readers:
                happens = (
                    f"the file is put over {where} for {container.name} alone: {', '.join(readers)}, with "
                    "the same volume, will find an empty one there"
                )
    if not happens and where != default and default in texts and where not in texts:
        happens = f"{container.name} writes to {default}, but its message is read from {where}"
        change = f"write to {where}, or leave terminationMessagePath out"
    if happens:
        yield Lint("termination-message-lost", field, happens, change, ("TMSG-1", "TMSG-2"))


def _read_only(spec: PodSpec) -> set[str]:
    """Volumes that nobody can write to."""
    return {v.name for v in spec.volumes if v.config_map or v.secret or v.downward_api or v.projected}


def _mounts(container: Container, volume: str) -> bool:
    return any(mount.name == volume for mount in container.volume_mounts)


# ------------------------------------------------------------------ containers that never end


def _init_never_ends(spec: PodSpec, container: Container, path: str) -> Iterator[Lint]:
    if container.name not in spec.plain_inits:
        return
    why = _why_for_ever(container)
    if why is not None:
        yield Lint(
            "init-never-ends",
            path,
            f"{why}, and an init container has to exit before anything after it may start: the pod stays "
            "Pending for ever",
            "if it is to run beside the others, make it a sidecar, with `restartPolicy: Always`",
            ("INIT-1", "INIT-2"),
            make_sidecar=path,
        )


def _keeps_job_alive(spec: PodSpec) -> Iterator[Lint]:
    reasons = [_why_for_ever(container) for container in spec.containers]
    if None not in reasons:
        return  # no work among them that could end
    for index, (container, why) in enumerate(zip(spec.containers, reasons, strict=True)):
        if why is not None:
            workers = [c.name for c, reason in zip(spec.containers, reasons, strict=True) if reason is None]
            done = f"{' and '.join(workers)} {'is' if len(workers) == 1 else 'are'} done"
            path = f"spec.containers[{index}]"
            yield Lint(
                "keeps-job-alive",
                path,
                f"{why}, and a pod ends only when all of its main containers have: when {done}, "
                f"{container.name} goes on, and the Job never ends",
                f"make {container.name} a sidecar: an initContainer with `restartPolicy: Always` starts first"
                " and is stopped when the main containers are done",
                ("MAIN-2", "SIDE-21"),
                make_sidecar=path,
            )


_SERVER = re.compile(
    r"apache2|caddy|cassandra|cloud-?sql-proxy|cockroach|consul|coredns|couchdb|dnsmasq|elasticsearch|envoy|etcd"
    r"|filebeat|fluent-bit|fluentd|grafana|gunicorn|haproxy|httpd|influxdb|istio-proxy|jaeger|kafka|linkerd-proxy"
    r"|loki|mariadb|memcached|minio|mongod?|mosquitto|mysqld?|nats(-server)?|nginx|opentelemetry-collector|otelcol"
    r"|pgbouncer|postgres(ql)?|prometheus|promtail|proxyv2|rabbitmq(-server)?|redis(-server)?|rsyslogd?|sshd"
    r"|statsd-exporter|traefik|uvicorn|valkey(-server)?|vault|zookeeper"
)
"Programs, and images, that serve until they are stopped."
_HELPER = re.compile(r"(^|-)(side-?car|proxy|exporter|shipper|log-?agent|forwarder)(-|$)")


def _why_for_ever(container: Container) -> str | None:
    """The evidence that a container runs until it is stopped, in words."""
    name = container.name
    argv = (*container.command, *container.args)
    found = script_in(argv)
    if found is not None:
        if loops_forever(found.script):
            return f"the script of {name} loops for ever"
        last = commands_of(found.script)[-1:]
        words = [w for c in last for w in c.words]
        words = words[1:] if words[:1] == ["exec"] else words
        if words and _SERVER.fullmatch(basename(words[0])):
            return f"{name} runs {basename(words[0])}, a server"
        if last and last[0].end != "&" and not last[0].inside and _endless(words):
            return f"the script of {name} ends with `{' '.join(words)}`"
    elif _endless(argv):
        return f"{name} runs `{' '.join(argv)}`"
    elif argv and _SERVER.fullmatch(basename(argv[0])):
        return f"{name} runs {basename(argv[0])}, a server"
    elif not container.command and _SERVER.fullmatch(image := _image_name(container)):
        if not container.args or container.args[0].startswith("-"):
            return f"{name} runs a server ({image})"
    elif _HELPER.search(name):
        return f"{name} looks like a helper that serves as long as it is let"
    if container.ports or container.readiness_probe or container.liveness_probe:
        return f"{name} looks like a server, with its {'ports' if container.ports else 'probes'}"
    return None


def _endless(words: Sequence[str]) -> bool:
    """`tail -f`, `sleep infinity` and what comes close to it."""
    return _unhandling(words) is not None and (sleep_seconds(words) or inf) >= 86400


def _image_name(container: Container) -> str:
    """`postgres` of `docker.io/library/postgres:9-alpine`."""
    return (container.image or "").partition("@")[0].rpartition("/")[2].partition(":")[0]


def _backoff_limit_eaten(spec: PodSpec, job: JobSpec) -> Iterator[Lint]:
    limit = 6 if job.backoff_limit is None else job.backoff_limit
    if spec.restart_policy != "OnFailure" or not spec.sidecars or limit > 1000:
        return
    names = list(spec.sidecars)
    tolerated = limit - 1
    who = names[0] if len(names) == 1 else "one of " + ", ".join(names)
    first = "The first restart" if tolerated <= 0 else f"Restart {limit}"
    yield Lint(
        "backoff-limit-eaten",
        "spec.backoffLimit",
        "under restartPolicy OnFailure the restarts of all containers of a running pod are added up and "
        f"compared with backoffLimit ({limit}), also those of {who}, and a sidecar is restarted whatever its "
        f"exit code. {first} fails the Job, though its work may be going well",
        "write `restartPolicy: Never` in the template (then failed pods are counted, and sidecars restart "
        "freely), or a higher backoffLimit",
        ("JOB-12", "SIDE-37"),
        of_job=True,
    )
