"""The products of others: each as its own manual would have it run the same services.

A peer is measured where its programs are on PATH. It gets the least delay before a restart that it can be
configured to, and captures output only where the log is what is measured, unless it cannot do without.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from minikubelet.bench.subjects import Subject, program_version
from minikubelet.bench.supervised import Failed, Service, Supervised


class Peer(Subject):
    needs: ClassVar[Sequence[str]]
    "Programs without which it cannot be measured."
    get: ClassVar[str]
    "Where it comes from."


class Supervisord(Peer):
    name = "supervisord"
    needs = ("supervisord",)
    get = "pip install supervisor"
    configuration = "a [program:] each; startsecs=0, autorestart=true; no timestamps"
    stamps = False

    def version(self) -> str:
        return program_version("supervisord", "--version")

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        (folder / "log").mkdir()
        sections = [
            f"[supervisord]\nnodaemon=true\nlogfile={folder}/own.log\npidfile={folder}/pid\n"
            f"childlogdir={folder}\nuser={os.geteuid()}\n"
        ]
        for service in services:
            log = f"{folder}/log/{service.name}" if logs else "NONE"
            sections.append(
                f"[program:{service.name}]\ncommand={shlex.join(service.argv)}\nredirect_stderr=true\n"
                f"stdout_logfile={log}\nstdout_logfile_maxbytes=0\nstopwaitsecs={grace}\n"
                "startsecs=0\nstartretries=1000000\nautorestart=true\n"
            )
        (folder / "supervisord.conf").write_text("".join(sections))
        return ["supervisord", "-c", f"{folder}/supervisord.conf"]


class Circus(Peer):
    name = "circus"
    needs = ("circusd",)
    get = "pip install circus"
    configuration = "a [watcher:] each; check_delay=0.1, max_retry=-1"

    def version(self) -> str:
        return program_version("circusd", "--version")

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        (folder / "log").mkdir()
        sections = [
            f"[circus]\nendpoint=ipc://{folder}/end\npubsub_endpoint=ipc://{folder}/pub\nstatsd=False\n"
            "loglevel=WARNING\ncheck_delay=0.1\n"
        ]
        for service in services:
            sections.append(
                f"[watcher:{service.name}]\ncmd={shlex.join(service.argv)}\nnumprocesses=1\n"
                f"max_retry=-1\nwarmup_delay=0\ngraceful_timeout={grace}\n"
            )
            if logs:
                sections.append(
                    f"stdout_stream.class=FileStream\nstdout_stream.filename={folder}/log/{service.name}\n"
                    "stdout_stream.time_format=%Y-%m-%dT%H:%M:%S\n"
                )
        (folder / "circus.ini").write_text("".join(sections))
        return ["circusd", f"{folder}/circus.ini"]


class Procfile(Peer):
    """Runs the lines of a Procfile; whatever they say goes to its own output, captured or not."""

    restarts = kills = False

    def procfile(self, folder: Path, services: Sequence[Service]) -> str:
        path = folder / "Procfile"
        path.write_text("".join(f"{one.name}: exec {shlex.join(one.argv)}\n" for one in services))
        return str(path)

    def log_files(self, folder: Path) -> list[Path]:
        return [folder / "output"]


class Honcho(Procfile):
    name = "honcho"
    needs = ("honcho",)
    get = "pip install honcho"
    configuration = "Procfile; captures always; no restarts, no SIGKILL"
    most = 100

    def version(self) -> str:
        return program_version("honcho", "version")

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        return ["honcho", "-f", self.procfile(folder, services), "start", "--no-colour"]


class Foreman(Procfile):
    name = "foreman"
    needs = ("nf",)
    get = "npm install -g foreman"
    configuration = "Node's: `nf start` of a Procfile; captures always; no restarts, no SIGKILL"
    most = 100

    def version(self) -> str:
        return program_version("nf", "--version")

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        return ["nf", "-j", self.procfile(folder, services), "start"]

    def stop(self, run: Supervised) -> None:
        run.signal(signal.SIGINT)  # SIGTERM ends it alone and leaves every child


class Concurrently(Procfile):
    name = "concurrently"
    needs = ("concurrently",)
    get = "npm install -g concurrently"
    configuration = "--restart-tries -1 --restart-after 0 --prefix time; captures always"
    most = 100
    restarts = True

    def version(self) -> str:
        return program_version("concurrently", "--version")

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        commands = ["exec " + shlex.join(service.argv) for service in services]
        how = ["--restart-tries", "-1", "--restart-after", "0", "--prefix", "time"]
        return ["concurrently", *how, *commands]


class Pm2(Peer):
    name = "pm2"
    needs = ("pm2-runtime",)
    get = "npm install -g pm2"
    configuration = "pm2-runtime, an app each, fork mode, restart_delay 0"
    most = 100

    def version(self) -> str:
        """Asking itself would start its daemon."""
        program = Path(shutil.which("pm2-runtime") or "").resolve()
        package = program.parent.parent / "package.json"
        return str(json.loads(package.read_text())["version"]) if package.exists() else ""

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {
            "PM2_HOME": str(folder / "pm2"),
            "PM2_DISCRETE_MODE": "true",
            "PM2_NO_INTERACTION": "true",
        }

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        (folder / "log").mkdir()
        apps = [
            {
                "name": service.name,
                "script": service.argv[0],
                "args": service.argv[1:],
                "interpreter": "none",
                "exec_mode": "fork",
                "merge_logs": True,
                "pmx": False,
                "vizion": False,
                "out_file": str(folder / "log" / service.name) if logs else os.devnull,
                "error_file": os.devnull,
                "log_date_format": "YYYY-MM-DDTHH:mm:ss.SSSZ" if logs else "",
                "max_restarts": 1_000_000,
                "min_uptime": 100,  # milliseconds, the least that it takes
                "restart_delay": 0,
                "kill_timeout": grace * 1000,
            }
            for service in services
        ]
        (folder / "bench.config.json").write_text(json.dumps({"apps": apps}))
        return ["pm2-runtime", "start", f"{folder}/bench.config.json"]

    def stop(self, run: Supervised) -> None:
        run.signal(signal.SIGINT)


# ------------------------------------------------------------------ a directory a service


class Scanner(Peer):
    """s6, runit and daemontools: a process watches a directory of directories, each with a run script."""

    def version(self) -> str:
        """None of them tells."""
        return program_version("dpkg-query", "--show", self.name)

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        for service in services:
            place = folder / "scan" / service.name
            place.mkdir(parents=True)
            merge = "2>&1 " if logs else ""
            _script(place / "run", f"exec {merge}{shlex.join(service.argv)}")
            if logs:
                (place / "log").mkdir()
                target = folder / "log" / service.name
                target.mkdir(parents=True)
                _script(place / "log" / "run", f"exec {self.logger(target)}")
            self.refine(place, grace)
        return self.scanner(f"{folder}/scan")

    def refine(self, place: Path, grace: int) -> None:
        """What else there is to say of a service."""

    def scanner(self, folder: str) -> list[str]:
        raise NotImplementedError

    def logger(self, target: Path) -> str:
        raise NotImplementedError

    def log_files(self, folder: Path) -> list[Path]:
        own = ("lock", "state", "status", "config")
        return [path for path in super().log_files(folder) if path.name not in own]


def _script(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/sh\n{line}\n")
    path.chmod(0o755)


class S6(Scanner):
    name = "s6"
    needs = ("s6-svscan", "s6-log")
    get = "apt install s6"
    configuration = "s6-svscan; an s6-log each where logs are measured; 1 s between starts is built in"

    def scanner(self, folder: str) -> list[str]:
        return ["s6-svscan", "-c", "2500", folder]

    def logger(self, target: Path) -> str:
        return f"s6-log T n4 s268435455 {target}"

    def refine(self, place: Path, grace: int) -> None:
        (place / "timeout-kill").write_text(f"{grace * 1000}\n")


class Runit(Scanner):
    name = "runit"
    needs = ("runsvdir", "svlogd")
    get = "apt install runit"
    configuration = "runsvdir; an svlogd -ttt each where logs are measured; no SIGKILL"
    kills = False
    rests = 1.1  # runsvdir sleeps for a second when its directory changed within this second

    def scanner(self, folder: str) -> list[str]:
        return ["runsvdir", folder]

    def logger(self, target: Path) -> str:
        (target / "config").write_text("s268435455\nn4\n")
        return f"svlogd -ttt {target}"

    def stop(self, run: Supervised) -> None:
        run.signal(signal.SIGHUP)  # SIGTERM to every runsv


class Daemontools(Scanner):
    name = "daemontools"
    needs = ("svscan", "multilog")
    get = "apt install daemontools"
    configuration = "svscan; a multilog t each where logs are measured; no SIGKILL"
    most = 900
    kills = False

    def scanner(self, folder: str) -> list[str]:
        return ["svscan", folder]

    def logger(self, target: Path) -> str:
        return f"multilog t n1000 s16777215 {target}"

    def stop(self, run: Supervised) -> None:
        run.signal(signal.SIGTERM)
        services = sorted((run.folder / "scan").iterdir())
        logs = [service / "log" for service in services if (service / "log").exists()]
        subprocess.run(["svc", "-dx", *map(str, services + logs)], check=True)


# ------------------------------------------------------------------ containers


class Podman(Peer):
    """Real containers, of an image that is the child alone; its own storage, in the bench's folder."""

    name = "podman"
    needs = ("podman", "conmon", "runc")
    get = "apt install podman runc"
    configuration = "kube play of one Pod; runc, vfs, hostNetwork, k8s-file logs; captures always"
    most = 10
    IMAGE = "localhost/minikubelet-bench:1"
    CONF = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]  # as root without CAP_SYS_RESOURCE may ask
[engine]
lock_type = "file"  # in its own directory, not in one of the machine
"""

    def version(self) -> str:
        return program_version("podman", "--version")

    def child(self) -> Sequence[str]:
        return ("/child",)

    def environment(self, folder: Path) -> Mapping[str, str]:
        return {"CONTAINERS_CONF": str(self.tools.folder / "containers.conf")}

    def prepare(self) -> None:
        (self.tools.folder / "containers.conf").write_text(self.CONF)
        if not self.tools.is_child_compiled:
            raise Failed("its image needs a compiled child")
        image = self.tools.folder / "image.tar"
        with tarfile.open(image, "w") as archive:
            archive.add(self.tools.child[0], "child")
        self._podman("import", str(image), self.IMAGE)

    def write(self, folder: Path, services: Sequence[Service], *, grace: int, logs: bool) -> list[str]:
        marks = str(folder / "marks")
        containers = [
            {
                "name": service.name,
                "image": self.IMAGE,
                "imagePullPolicy": "Never",
                "command": ["/child", *("/bench/marks" if one == marks else one for one in service.argv[1:])],
                "volumeMounts": [{"name": "bench", "mountPath": "/bench"}],
            }
            for service in services
        ]
        volume = {"name": "bench", "hostPath": {"path": str(folder), "type": "Directory"}}
        spec = {
            "hostNetwork": True,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": grace,
            "containers": containers,
            "volumes": [volume],
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bench"}, "spec": spec}
        (folder / "pod.json").write_text(json.dumps(pod))
        self._grace = grace
        return [*self._command(), "kube", "play", "--log-driver", "k8s-file", f"{folder}/pod.json"]

    def stop(self, run: Supervised) -> None:
        self._podman("pod", "stop", "-t", str(self._grace), "bench")

    def clean_up(self, folder: Path) -> None:
        self._podman("pod", "rm", "-f", "-t", "0", "bench")

    def log_files(self, folder: Path) -> list[Path]:
        return list((self.tools.folder / "podman").rglob("ctr.log"))

    def _command(self) -> list[str]:
        place = self.tools.folder / "podman"
        options = {
            "root": place / "root",
            "runroot": place / "run",
            "tmpdir": place / "tmp",
            "storage-driver": "vfs",
            "runtime": "runc",
            "cgroup-manager": "cgroupfs",
            "events-backend": "none",
        }
        return ["podman", *(f"--{option}={value}" for option, value in options.items())]

    def _podman(self, *arguments: str) -> None:
        done = subprocess.run(
            [*self._command(), *arguments],
            env={**os.environ, **self.environment(self.tools.folder)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode:
            raise Failed(f"podman {arguments[0]}: {done.stderr.strip()[-200:]}")


PEERS: Sequence[type[Peer]] = (
    S6,
    Runit,
    Daemontools,
    Supervisord,
    Circus,
    Honcho,
    Foreman,
    Concurrently,
    Pm2,
    Podman,
)


def missing_programs(peer: type[Peer]) -> list[str]:
    return [program for program in peer.needs if shutil.which(program) is None]
