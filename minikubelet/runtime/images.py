"""From `image:` to a process: which words to run for a container, and what else its image would say.

There are no images here, so somebody has to say what an image stands for. The first that answers wins:

1. `--image PATTERN=COMMAND`: COMMAND is the image's entrypoint;
2. the images file: `--images FILE`, or else `images.yaml` beside the manifest; then the user's own;
3. built in: the shell family (busybox, alpine, debian, bash, pause, ...), which has no entrypoint;
4. the container's own `command`, if its program exists on this host;
5. a table of well-known images, if their program is on PATH;
6. a stub, if that was asked for.

What an answer means is Kubernetes' rule (ENV-11): the container's `command` replaces the image's entrypoint
and cmd, its `args` replace the cmd. An entry of an images file with neither entrypoint nor cmd only adds its
env, user, workingDir and pathPrefix to what the later steps find. A container that brings a command is never
refused: if its program is not here, starting it fails as it would in a cluster. `args` alone are accepted for
every image that has an answer in steps 1 to 6, and refused with the stanza to paste otherwise.

This module looks at files, never at processes, and leaves `$(NAME)` alone: see `environment`.
"""

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.pod import Container, IntOrString
from minikubelet.api.values import Factory, evolve, frozen
from minikubelet.runtime.well_known_images import (
    ENTRYPOINT_SCRIPTS,
    PROGRAMS,
    SHELL_FAMILY,
    STAND_INS,
    ImageConfig,
)

IMAGES_FILE = "images.yaml"
STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class UnresolvedImage(Exception):
    """Nobody says what the image starts. The message tells what was tried; it belongs to the container's
    `command`. What to write instead, for all of them at once, is `ways_out`."""

    def __init__(self, reason: str, pattern: str, program: str) -> None:
        super().__init__(reason)
        self.pattern = pattern
        "What an images file may call the image."
        self.program = program
        "What it probably starts; `PROGRAM` if that is anybody's guess."


def ways_out(unresolved: Iterable[UnresolvedImage]) -> str:
    """The text to paste into an images file, and what else can be done."""
    programs = {one.pattern: one.program for one in unresolved}
    stanzas = "".join(f"    {name}:\n      entrypoint: [{program}]\n" for name, program in programs.items())
    name, program = next(iter(programs.items()))
    name = name.strip("'").partition(":")[0]
    return (
        f"  Say what {'it starts' if len(programs) == 1 else 'they start'}, in {IMAGES_FILE} beside the "
        f"manifest or in a file for --images:\n\n{stanzas}\n"
        f"  or for this run: --image '{name}={program}', or --stub-missing for a stand-in."
    )


@frozen
class Resolution:
    """What to start for a container, before any expansion."""

    argv: tuple[str, ...]
    source: str
    "Who said so, for people: `images.yaml: postgres:*`, `built in: shell family`, `host: /usr/bin/foo`."
    image_words: int = 0
    "How many leading words of argv are the image's; the kubelet expands only the container's (ENV-6)."
    env: Mapping[str, str] = Factory(dict)
    working_dir: str | None = None
    "Absolute; counts where the container has no workingDir (ENV-15)."
    user: str | None = None
    "Name, uid, or `name:group`; to be resolved where the process is made."
    path_prefix: tuple[str, ...] = ()
    "Absolute directories for the front of PATH."
    is_stub: bool = False


@frozen
class ImageTable:
    """Patterns and what they mean, from one place, in the order written."""

    name: str
    "How it is called towards the user: `--image`, or the path of an images file."
    entries: tuple[tuple[str, ImageConfig], ...]

    def find(self, image: str) -> tuple[str, ImageConfig] | None:
        """The first pattern that matches the most complete form of the reference that any matches."""
        for form in reference_forms(image):
            for pattern, config in self.entries:
                if fnmatchcase(form, pattern):
                    return pattern, config
        return None


@frozen
class ImageResolver:
    tables: tuple[ImageTable, ...] = ()
    stub_missing: bool = False
    path: str = STANDARD_PATH
    "The PATH a container has when nothing in its manifest or image says otherwise."

    @classmethod
    def load(
        cls,
        overrides: Iterable[str] = (),
        images_file: str | None = None,
        manifest_dirs: Iterable[str] = (),
        stub_missing: bool = False,
        environ: Mapping[str, str] = os.environ,
    ) -> "ImageResolver":
        """Read what the user says about images.

        `overrides` are `PATTERN=COMMAND` texts; of the `manifest_dirs`, those with an `images.yaml` count,
        unless there is an `images_file`. Raises `ManifestError` with every fault of all of them.
        """
        errors: list[FieldError] = []
        tables = [_override_table(overrides, errors)]
        if images_file is not None:
            files = [images_file]
        else:
            beside = (os.path.join(directory, IMAGES_FILE) for directory in dict.fromkeys(manifest_dirs))
            files = [os.path.normpath(file) for file in beside if os.path.exists(file)]
        own = _user_images_file(environ)
        if os.path.exists(own) and not any(os.path.realpath(own) == os.path.realpath(f) for f in files):
            files.append(own)
        if files:
            from minikubelet.runtime.images_file import read_images_file

            tables += [ImageTable(file, read_images_file(file, errors)) for file in files]
        if errors:
            raise ManifestError(errors)
        return cls(tuple(table for table in tables if table.entries), stub_missing, host_path(environ))

    def resolve(self, container: Container, *, completes: bool = False) -> Resolution:
        """What to start for this container.

        `completes` tells that the pod waits for its end (a plain init container), which a stub then grants
        at once. Raises `UnresolvedImage`.
        """
        return self._resolve(container, self.tables, self._path_of(container), completes)

    def _resolve(
        self, container: Container, tables: tuple[ImageTable, ...], path: str, completes: bool
    ) -> Resolution:
        image = container.image or ""
        for index, table in enumerate(tables):
            if (found := table.find(image)) is None:
                continue
            pattern, config = found
            source = f"{table.name}: {pattern}"
            if config.entrypoint or config.cmd:
                return _configured(container, config, source)
            path = ":".join((*config.path_prefix, path))
            base = self._resolve(container, tables[index + 1 :], path, completes)
            return evolve(
                base,
                source=f"{base.source}, with {source}",
                env={**base.env, **config.env},
                user=config.user or base.user,
                working_dir=config.working_dir or base.working_dir,
                path_prefix=(*config.path_prefix, *base.path_prefix),
            )
        name = base_name(image)
        if name in SHELL_FAMILY:
            return _configured(
                container, _with_program(SHELL_FAMILY[name], container, path), "built in: shell family"
            )
        if container.command and (
            place := _place_of(container.command[0], container.working_dir, container, path)
        ):
            return Resolution((*container.command, *container.args), place)
        known = PROGRAMS.get(name)
        if known and (resolution := _well_known(container, name, known, path)):
            return resolution
        if self.stub_missing:
            return _stub(container, completes)
        if container.command:  # a cluster, too, would find out when it starts the container
            return Resolution(
                (*container.command, *container.args), f"not on this host: {container.command[0]}"
            )
        raise self._unresolved(container, name, known)

    def lacks_program(self, program: str, container: Container, found: Resolution) -> bool:
        """Whether a program that the container names is certainly nowhere on this machine."""
        path = ":".join((*found.path_prefix, self._path_of(container)))
        if _place_of(program, container.working_dir or found.working_dir, container, path):
            return False
        return not (
            program.startswith("/") and find_program(os.path.basename(program), ":".join(found.path_prefix))
        )

    def _path_of(self, container: Container) -> str:
        """The container's PATH as far as the manifest alone tells it."""
        said = [e.value for e in container.env if e.name == "PATH" and e.value and "$" not in e.value]
        return said[-1] if said else self.path

    def _unresolved(self, container: Container, name: str, known: ImageConfig | None) -> UnresolvedImage:
        image = container.image or ""
        files = [table.name for table in self.tables]
        tried = [f"no entry in {' or '.join(files)}" if files else "no images file"]
        if known:
            program = known.program or (known.entrypoint or known.cmd)[0]
            tried.append(f"{program} is not on PATH")
        else:
            program = "PROGRAM"
            tried.append("not a well-known image")
        lacks = "brings args, but no command" if container.args else "brings no command"
        subject = f"image {image!r} names no" if image else "no image names a"
        reason = f"{subject} program on this machine ({', '.join(tried)}), and the container {lacks}"
        return UnresolvedImage(reason, name + image_tag(image) if name else "'*'", program)


# ------------------------------------------------------------------ image references


def reference_forms(image: str) -> list[str]:
    """Everything a pattern may match, from the most complete to the last component alone.

    `ghcr.io/acme/db:9@sha256:…` also answers to `ghcr.io/acme/db:9`, `ghcr.io/acme/db`, `acme/db:9`,
    `acme/db`, `db:9` and `db`; a reference without tag and digest also to `:latest`.
    """
    if not image:
        return [""]  # which only `*` matches
    tagged = image.partition("@")[0]
    tag = image_tag(image)
    name = tagged.removesuffix(tag) if tag else tagged
    if not tag and tagged == image:
        tag = ":latest"
    first, _, rest = name.partition("/")
    has_registry = rest and ("." in first or ":" in first or first == "localhost")
    path = rest if has_registry else name
    base = path.rpartition("/")[2]
    return list(dict.fromkeys((image, tagged, name + tag, name, path + tag, path, base + tag, base)))


def image_tag(image: str) -> str:
    """`:1.36` of `registry:5000/busybox:1.36@sha256:…`; empty without a tag."""
    last = image.partition("@")[0].rpartition("/")[2]
    _, colon, tag = last.partition(":")
    return colon + tag


def base_name(image: str) -> str:
    """`busybox` of `registry:5000/library/busybox:1.36@sha256:…`."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]


# ------------------------------------------------------------------ programs of this host


def host_path(environ: Mapping[str, str]) -> str:
    """The host's PATH, completed with the standard directories it lacks (often the sbin ones)."""
    own = [d for d in environ.get("PATH", "").split(":") if d]
    return ":".join(dict.fromkeys((*own, *STANDARD_PATH.split(":"))))


def find_program(program: str, path: str) -> str | None:
    """The executable file a bare name means on this PATH; a name with a slash means itself."""
    if "/" in program:
        return program if _is_executable(program) else None
    candidates = (os.path.join(directory, program) for directory in path.split(":") if directory)
    return next(filter(_is_executable, candidates), None)


def is_mounted(file: str, container: Container) -> bool:
    """Whether an absolute path lies in a volume, so that the host cannot tell what will be there."""
    mounts = (os.path.normpath(mount.mount_path) for mount in container.volume_mounts)
    return any(file == mount or file.startswith(mount.rstrip("/") + "/") for mount in mounts)


def _is_executable(file: str) -> bool:
    return os.path.isfile(file) and os.access(file, os.X_OK)


def _place_of(program: str, working_dir: str | None, container: Container, path: str) -> str | None:
    """Where a program that the container names is, in words; None if it is certainly nowhere."""
    if "$" in program:
        return "the container's own command"
    if "/" in program and not program.startswith("/"):
        if not working_dir:
            return None
        program = os.path.join(working_dir, program)
    if is_mounted(program, container):
        return f"in a volume: {program}"
    found = find_program(program, path)
    return f"host: {found}" if found else None


# ------------------------------------------------------------------ from a configuration to a resolution


def _configured(container: Container, config: ImageConfig, source: str) -> Resolution:
    """ENV-11: `command` replaces entrypoint and cmd, `args` replace cmd."""
    if container.command:
        words, of_image = (*container.command, *container.args), 0
        source += " (the container's own command)"
    else:
        words = (*config.entrypoint, *(container.args or config.cmd))
        of_image = len(config.entrypoint) if container.args else len(words)
    return Resolution(
        words, source, of_image, config.env, config.working_dir, config.user, config.path_prefix
    )


def _with_program(config: ImageConfig, container: Container, path: str) -> ImageConfig:
    """What the image's entrypoint script would do with these args: put its program in front, or not."""
    if config.program is None or not container.args:
        return config
    first = container.args[0]
    unknown = config.subcommands and "$" not in first and not find_program(first, path)
    if first.startswith("-") or unknown:
        return evolve(config, entrypoint=(*config.entrypoint, config.program))
    return config


def _well_known(container: Container, name: str, config: ImageConfig, path: str) -> Resolution | None:
    """The image's program, or the container's by its usual name; None where this host has it not."""
    if container.command and os.path.basename(container.command[0]) in ENTRYPOINT_SCRIPTS:
        container = evolve(container, command=(), args=(*container.command[1:], *container.args))
    if container.command:  # then it is none of the image's own start, but may live in the same place
        config = ImageConfig(path_prefix=config.path_prefix)
    resolution = _configured(container, _with_program(config, container, path), f"built in: {name}")
    directory, wanted = os.path.split(resolution.argv[0])
    if directory and directory not in STANDARD_PATH.split(":"):
        return None  # the user's own program, whatever it is called

    for prefix in ((), _newest_directories(config.path_prefix)):
        search = ":".join((*prefix, path))
        if program := _host_name_of(wanted, search):
            break
    else:
        return None
    setup = ("sh", "-c", config.setup, "docker-entrypoint.sh") if config.setup else ()
    return evolve(
        resolution,
        argv=(*setup, program, *resolution.argv[1:]),
        source=f"{resolution.source}, {find_program(program, search)}",
        image_words=len(setup) + resolution.image_words,
        user=config.user if os.geteuid() == 0 else None,  # it is there to give root away
        path_prefix=prefix,
    )


def _host_name_of(program: str, path: str) -> str | None:
    """The name under which this host has a program."""
    return next((n for n in (program, *STAND_INS.get(program, ())) if find_program(n, path)), None)


def _newest_directories(globs: Sequence[str]) -> tuple[str, ...]:
    if not globs:
        return ()
    from glob import glob

    def version(directory: str) -> list[int]:
        digits = "".join(c if c.isdigit() else " " for c in directory)
        return [int(number) for number in digits.split()]

    return tuple(d for pattern in globs for d in sorted(glob(pattern), key=version, reverse=True))


def _stub(container: Container, completes: bool) -> Resolution:
    """`stub.py` with the ports that the container declares and those its probes and hooks ask."""
    ports = {f"{p.protocol.lower()}:{p.container_port}" for p in container.ports if p.protocol != "SCTP"}
    secure: set[str] = set()
    hooks = container.lifecycle
    for asked in (
        container.startup_probe,
        container.readiness_probe,
        container.liveness_probe,
        *((hooks.post_start, hooks.pre_stop) if hooks else ()),
    ):
        if asked is None:
            continue
        action = asked.http_get or asked.tcp_socket or getattr(asked, "grpc", None)
        if action is None or (number := _port_number(action.port, container)) is None:
            continue
        ports.add(f"tcp:{number}")
        if asked.http_get and asked.http_get.scheme.upper() == "HTTPS":
            secure.add(f"tcp:{number}")
    listen = sorted(port if port not in secure else port.replace("tcp", "tls") for port in ports)
    duties = ["exit"] if completes else listen
    if hooks and hooks.stop_signal:
        duties.append(f"stop:{hooks.stop_signal}")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stub.py")
    argv = (sys.executable, "-I", "-S", script, container.image or container.name, *duties)
    return Resolution(argv, "stub", image_words=len(argv), is_stub=True)


def _port_number(port: IntOrString, container: Container) -> int | None:
    if isinstance(port, int):
        return port
    named = (p.container_port for p in container.ports if p.name == port)
    return next(named, int(port) if port.isdigit() else None)


# ------------------------------------------------------------------ what the user says


def _override_table(overrides: Iterable[str], errors: list[FieldError]) -> ImageTable:
    entries: list[tuple[str, ImageConfig]] = []
    for text in overrides:
        from shlex import split

        pattern, equals, command = text.partition("=")
        try:
            words = split(command)
        except ValueError as error:  # shlex: "No closing quotation"
            errors.append(FieldError("--image", 0, 0, "", text, str(error)))
            continue
        if not (pattern and equals and words):
            errors.append(FieldError("--image", 0, 0, "", text, "expected PATTERN=COMMAND"))
            continue
        if "/" in words[0]:
            words[0] = os.path.abspath(words[0])  # relative to where the option was typed
        entries.append((pattern, ImageConfig(entrypoint=tuple(words))))
    return ImageTable("--image", tuple(entries))


def _user_images_file(environ: Mapping[str, str]) -> str:
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    return os.path.join(home, "minikubelet", IMAGES_FILE)
