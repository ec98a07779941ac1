"""From `image:` to argv: the order in which answers are sought, and what an answer means (ENV-11)."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import claim_port

from minikubelet.api.errors import FieldError, ManifestError
from minikubelet.api.pod import (
    Container,
    ContainerPort,
    EnvVar,
    GRPCAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Probe,
    TCPSocketAction,
    VolumeMount,
)
from minikubelet.runtime import images, well_known_images
from minikubelet.runtime.images import ImageResolver, UnresolvedImage, base_name, reference_forms, ways_out


class Host:
    """A machine with a PATH of one directory, a user's home, and a directory for manifests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()

    def has(self, *programs: str) -> None:
        for program in programs:
            (self.bin / program).write_text("#!/bin/sh\n")
            (self.bin / program).chmod(0o755)

    def write(self, name: str, text: str) -> str:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return str(file)

    def resolver(
        self, *overrides: str, images: str | None = None, stub_missing: bool = False
    ) -> ImageResolver:
        """Without the standard directories that `load` adds to PATH: they differ between machines."""
        file = self.write("images.yaml", images) if images is not None else None
        environ = {"HOME": str(self.root / "home")}
        loaded = ImageResolver.load(overrides, file, stub_missing=stub_missing, environ=environ)
        return attrs.evolve(loaded, path=str(self.bin))

    def faults(self, images: str) -> list[FieldError]:
        with pytest.raises(ManifestError) as caught:
            self.resolver(images=images)
        return list(caught.value.errors)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def container(image: str | None = "local/none:1", *command: str, args: tuple[str, ...] = ()) -> Container:
    return Container("c", image, command, args)


# ------------------------------------------------------------------ the order


def test_an_override_beats_the_images_file(host: Host) -> None:
    """Step 1 before step 2."""
    resolver = host.resolver("redis=mine --flag 'two words'", images="redis: {entrypoint: [theirs]}")

    found = resolver.resolve(container("redis:7"))

    assert (found.argv, found.source) == (("mine", "--flag", "two words"), "--image: redis")


def test_the_images_file_beats_the_shell_family(host: Host) -> None:
    """Step 2 before step 3."""
    resolver = host.resolver(images="busybox: {entrypoint: [mine], cmd: [default]}")

    assert resolver.resolve(container("busybox:1.36")).argv == ("mine", "default")


def test_the_shell_family_has_its_shell_as_cmd(host: Host) -> None:
    """Step 3: docker.io/library/busybox runs sh, debian runs bash."""
    resolver = host.resolver()

    assert resolver.resolve(container("docker.io/library/busybox@sha256:0123")).argv == ("sh",)
    assert resolver.resolve(container("debian:bookworm-slim")).argv == ("bash",)
    assert resolver.resolve(container("busybox")).source == "built in: shell family"


def test_a_command_of_the_shell_family_is_never_refused(host: Host) -> None:
    """Step 3: what the image would bring may be missing, which the start finds out, as in a cluster."""
    assert host.resolver().resolve(container("alpine", "no-such-program")).argv == ("no-such-program",)


def test_a_command_on_the_path_is_run_as_it_is(host: Host) -> None:
    """Step 4."""
    host.has("foo")

    found = host.resolver().resolve(container("local/none:1", "foo", "-x", args=("y",)))

    assert (found.argv, found.source) == (("foo", "-x", "y"), f"host: {host.bin}/foo")


def test_a_command_is_sought_on_the_path_of_the_container(host: Host) -> None:
    """Step 4: an env entry PATH replaces the host's."""
    host.has("foo")
    elsewhere = attrs.evolve(container("local/none:1", "foo"), env=(EnvVar("PATH", "/nowhere"),))
    resolver = ImageResolver(path="/nowhere")
    here = attrs.evolve(elsewhere, env=(EnvVar("PATH", str(host.bin)),))

    assert host.resolver().resolve(elsewhere).source == "not on this host: foo"
    assert resolver.resolve(here).source == f"host: {host.bin}/foo"


def test_the_own_command_beats_the_well_known_image(host: Host) -> None:
    """Step 4 before step 5."""
    host.has("foo", "redis-server")

    assert host.resolver().resolve(container("redis", "foo")).argv == ("foo",)


def test_a_well_known_image_is_its_program_on_the_path(host: Host) -> None:
    """Step 5."""
    host.has("redis-server")

    found = host.resolver().resolve(container("bitnami/redis:7.2"))

    assert (found.argv, found.source) == (
        ("redis-server",),
        f"built in: redis, {host.bin}/redis-server",
    )


def test_a_stub_is_the_last_resort(host: Host) -> None:
    """Step 6, and only when asked for."""
    host.has("foo")
    resolver = host.resolver(stub_missing=True)

    assert resolver.resolve(container("acme/app")).is_stub
    assert resolver.resolve(container("acme/app", "/no/such/binary")).is_stub
    assert not resolver.resolve(container("acme/app", "foo")).is_stub


def test_a_command_that_is_nowhere_fails_at_the_start(host: Host) -> None:
    """An unknown image with a command is not refused: a cluster would start it and see."""
    found = host.resolver().resolve(container("local/none:1", "/no/such/binary", "x"))

    assert (found.argv, found.source) == (("/no/such/binary", "x"), "not on this host: /no/such/binary")


@pytest.mark.parametrize("image", ["acme/app:2", "redis:7", None])
def test_without_any_answer_the_image_is_refused(host: Host, image: str | None) -> None:
    """ENV-11: no command and no image that says one."""
    with pytest.raises(UnresolvedImage):
        host.resolver().resolve(container(image))


def test_args_alone_need_an_image_that_is_known(host: Host) -> None:
    """ENV-11: args without an entrypoint are refused, but belong to the cmd of a known image."""
    with pytest.raises(UnresolvedImage, match="brings args, but no command"):
        host.resolver().resolve(container("acme/app:2", args=("--serve",)))

    assert host.resolver().resolve(container("busybox", args=("echo", "hi"))).argv == ("echo", "hi")


def test_the_refusal_names_what_was_tried_and_the_stanza(host: Host) -> None:
    resolver = host.resolver(images="other: {entrypoint: [x]}")

    with pytest.raises(UnresolvedImage) as caught:
        resolver.resolve(container("ghcr.io/bitnami/redis:7"))

    message = str(caught.value)
    assert "redis-server is not on PATH" in message
    assert f"no entry in {host.root}/images.yaml" in message
    advice = ways_out([caught.value])
    assert "\n    redis:7:\n      entrypoint: [redis-server]\n" in advice
    assert "--image 'redis=redis-server'" in advice


def test_the_stanza_that_is_proposed_works(host: Host) -> None:
    """What the refusal prints can be pasted."""
    with pytest.raises(UnresolvedImage) as caught:
        host.resolver().resolve(container("ghcr.io/acme/app:2@sha256:12", args=("--serve",)))
    with pytest.raises(UnresolvedImage) as other:
        host.resolver().resolve(container("db"))
    stanzas = ways_out([caught.value, other.value, caught.value]).split("\n\n")[1]

    resolver = host.resolver(images=stanzas)

    assert resolver.resolve(container("ghcr.io/acme/app:2@sha256:12", args=("-x",))).argv == ("PROGRAM", "-x")
    assert resolver.resolve(container("db:3")).argv == ("PROGRAM",)
    assert stanzas.count("app:2:") == 1


def test_a_program_that_is_nowhere_is_known_to_be(host: Host) -> None:
    host.has("here")
    host.write("dir/supplied", "")
    (host.root / "dir" / "supplied").chmod(0o755)
    resolver = host.resolver(images="app: {pathPrefix: dir}")
    app = container("app", "here")
    mounted = attrs.evolve(app, volume_mounts=(VolumeMount("v", "/data"),), working_dir="/data")

    def lacks(program: str, container: Container = app) -> bool:
        return resolver.lacks_program(program, container, resolver.resolve(container))

    assert [lacks("here"), lacks("/opt/bin/supplied"), lacks("$(PROGRAM)")] == [False, False, False]
    assert [lacks("nowhere"), lacks("/opt/bin/nowhere"), lacks("./run")] == [True, True, True]
    assert [lacks("/data/run", mounted), lacks("./run", mounted)] == [False, False]


# ------------------------------------------------------------------ references and patterns


@pytest.mark.parametrize(
    "pattern",
    [
        "ghcr.io/acme/db:9@sha256:12",
        "ghcr.io/acme/db:9",
        "ghcr.io/acme/db",
        "acme/db:9",
        "acme/db",
        "db:9",
        "db:*",
        "db",
        "d*",
        "ghcr.io/*",
    ],
)
def test_a_pattern_may_match_any_form_of_the_reference(host: Host, pattern: str) -> None:
    resolver = host.resolver(f"{pattern}=found")

    assert resolver.resolve(container("ghcr.io/acme/db:9@sha256:12")).argv == ("found",)


def test_a_container_without_image_is_matched_by_the_star_alone(host: Host) -> None:
    resolver = host.resolver("latest=no", "?*=no", "*=found")

    assert resolver.resolve(container(None)).argv == ("found",)


@pytest.mark.parametrize("pattern", ["acme", "db:8", "hcr.io/acme/db", "9", "b"])
def test_a_pattern_never_matches_a_part_of_a_form(host: Host, pattern: str) -> None:
    resolver = host.resolver(f"{pattern}=found")

    assert resolver.resolve(container("ghcr.io/acme/db:9", "x")).source == "not on this host: x"


def test_the_most_complete_form_wins_over_the_order_of_the_file(host: Host) -> None:
    resolver = host.resolver(images="db: {entrypoint: [any]}\ndb:9: {entrypoint: [nine]}\n")

    assert resolver.resolve(container("db:9")).argv == ("nine",)
    assert resolver.resolve(container("db:10")).argv == ("any",)


def test_among_equals_the_order_of_the_file_counts(host: Host) -> None:
    resolver = host.resolver(images="d*: {entrypoint: [first]}\n'*b': {entrypoint: [second]}\n")

    assert resolver.resolve(container("db")).argv == ("first",)


def test_a_reference_without_tag_means_latest() -> None:
    assert "db:latest" in reference_forms("ghcr.io/acme/db")
    assert "db:latest" not in reference_forms("ghcr.io/acme/db@sha256:12")


component = st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True)


@given(
    registry=st.sampled_from(["", "localhost/", "registry:5000/", "docker.io/library/"]),
    path=st.lists(component, max_size=2),
    name=component,
    tag=st.one_of(st.just(""), component.map(":{}".format)),
    digest=st.sampled_from(["", "@sha256:ab"]),
)
def test_every_reference_answers_to_its_last_component(
    registry: str, path: list[str], name: str, tag: str, digest: str
) -> None:
    reference = registry + "/".join([*path, name]) + tag + digest
    forms = reference_forms(reference)

    assert base_name(reference) == name
    assert forms[0] == reference
    assert {name, name + tag} <= set(forms)
    assert len(set(forms)) == len(forms)


# ------------------------------------------------------------------ what an answer means


ENTRY = "app: {entrypoint: [run, fast], cmd: [default]}"


@pytest.mark.parametrize(
    ("command", "args", "argv", "image_words"),
    [
        ((), (), ("run", "fast", "default"), 3),
        ((), ("a", "b"), ("run", "fast", "a", "b"), 2),
        (("mine",), (), ("mine",), 0),
        (("mine",), ("a",), ("mine", "a"), 0),
    ],
)
def test_command_replaces_the_entrypoint_and_args_the_cmd(
    host: Host, command: tuple[str, ...], args: tuple[str, ...], argv: tuple[str, ...], image_words: int
) -> None:
    """ENV-11: and a command alone drops the cmd."""
    found = host.resolver(images=ENTRY).resolve(container("app", *command, args=args))

    assert (found.argv, found.image_words) == (argv, image_words)


def test_an_own_command_keeps_the_rest_of_the_entry(host: Host) -> None:
    """env, user, workingDir and pathPrefix describe the image, whatever is run in it."""
    resolver = host.resolver(
        images="app: {entrypoint: [x], env: {A: b}, user: '7', workingDir: /w, pathPrefix: tools}"
    )

    found = resolver.resolve(container("app", "no-such-program"))

    assert found.source.endswith("app (the container's own command)")
    assert (found.env, found.user, found.working_dir) == ({"A": "b"}, "7", "/w")
    assert found.path_prefix == (f"{host.root}/tools",)


def test_an_entry_without_program_adds_to_what_is_found_later(host: Host) -> None:
    """`alpine: {pathPrefix: ./bin}` leaves alpine's own shell in place."""
    resolver = host.resolver(images="alpine: {pathPrefix: ./tools, env: {A: b}, user: nobody}")

    found = resolver.resolve(container("alpine:latest"))

    assert found.argv == ("sh",)
    assert found.source == f"built in: shell family, with {host.root}/images.yaml: alpine"
    assert (found.path_prefix, found.env, found.user) == ((f"{host.root}/tools",), {"A": "b"}, "nobody")


def test_a_path_prefix_counts_when_the_command_is_sought(host: Host) -> None:
    """Step 4 sees what step 2 put in front of PATH."""
    host.write("tools/apk", "#!/bin/sh\n")
    (host.root / "tools/apk").chmod(0o755)

    found = host.resolver(images="app: {pathPrefix: tools}").resolve(container("app", "apk"))

    assert found.source.startswith(f"host: {host.root}/tools/apk")


def test_paths_of_an_entry_are_relative_to_its_file(host: Host) -> None:
    resolver = host.resolver(
        images="a: {entrypoint: [./run.sh, ./as-is]}\n"
        "b: {cmd: [bin/x]}\n"
        "c: {entrypoint: [e], cmd: [./as-is]}\n"
    )

    assert resolver.resolve(container("a")).argv == (f"{host.root}/run.sh", "./as-is")
    assert resolver.resolve(container("b")).argv == (f"{host.root}/bin/x",)
    assert resolver.resolve(container("c")).argv == ("e", "./as-is")


def test_the_program_of_an_override_is_relative_to_where_it_was_typed(host: Host) -> None:
    assert host.resolver("a=./run.sh ./as-is").resolve(container("a")).argv == (
        f"{os.getcwd()}/run.sh",
        "./as-is",
    )


def test_a_program_in_a_volume_is_believed(host: Host) -> None:
    """An init container may put it there; the host cannot tell, so no stub takes its place."""
    mounted = attrs.evolve(container("acme/app", "/tools/run"), volume_mounts=(VolumeMount("v", "/tools"),))
    beside = attrs.evolve(mounted, command=("/toolshed/run",))

    assert host.resolver(stub_missing=True).resolve(mounted).source == "in a volume: /tools/run"
    assert host.resolver(stub_missing=True).resolve(beside).is_stub


def test_a_relative_program_is_sought_in_the_working_directory(host: Host) -> None:
    host.has("foo")
    relative = attrs.evolve(container("local/none:1", "./foo"), working_dir=str(host.bin))

    assert host.resolver().resolve(relative).source == f"host: {host.bin}/./foo"


# ------------------------------------------------------------------ well-known images


def test_arguments_that_begin_with_a_dash_go_to_the_server(host: Host) -> None:
    """As redis' docker-entrypoint.sh has it; other words are a command of their own."""
    host.has("redis-server", "redis-cli")
    resolver = host.resolver()

    assert resolver.resolve(container("redis", args=("--port", "7"))).argv == ("redis-server", "--port", "7")
    assert resolver.resolve(container("redis", args=("redis-cli", "-h", "x"))).argv == (
        "redis-cli",
        "-h",
        "x",
    )


def test_arguments_that_are_no_command_go_to_a_commander(host: Host) -> None:
    """As node's and curl's scripts have it."""
    host.has("node", "npm")
    resolver = host.resolver()

    assert resolver.resolve(container("node:22", args=("app.js",))).argv == ("node", "app.js")
    assert resolver.resolve(container("node:22", args=("npm", "ci"))).argv == ("npm", "ci")
    assert resolver.resolve(container("curlimages/curl", args=("https://x",))).argv == ("curl", "https://x")


def test_the_entrypoint_script_of_the_image_means_the_image(host: Host) -> None:
    """`command: [docker-entrypoint.sh]` is what the image itself would run; no host has that script."""
    host.has("redis-server")

    found = host.resolver().resolve(container("redis", "/usr/local/bin/docker-entrypoint.sh", "redis-server"))

    assert found.argv == ("redis-server",)


def test_a_program_of_a_standard_directory_may_be_in_another(host: Host) -> None:
    """An image's /usr/local/bin/python is the host's python3; /app/redis-server is the user's own."""
    host.has("python3", "redis-server")
    resolver = host.resolver()

    assert resolver.resolve(container("python:3.12", "/usr/local/bin/python", "x.py")).argv == (
        "python3",
        "x.py",
    )
    assert resolver.resolve(container("python:3.12", "python", "x.py")).argv == ("python3", "x.py")
    own = resolver.resolve(container("redis", "/app/redis-server"))
    assert own.source == "not on this host: /app/redis-server"


def test_postgres_prepares_its_database_first(host: Host) -> None:
    """Step 5 with a setup: the words after it are the server's, and only those of the container expand."""
    host.has("postgres")

    found = host.resolver().resolve(container("postgres:16", args=("-c", "shared_buffers=$(SIZE)")))

    assert found.argv[:2] == ("sh", "-c")
    assert found.argv[3:] == ("docker-entrypoint.sh", "postgres", "-c", "shared_buffers=$(SIZE)")
    assert found.image_words == 5


def test_postgres_is_found_where_distributions_hide_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest of /usr/lib/postgresql/*/bin joins the PATH only if PATH has no postgres."""
    for version in ("9.6", "15", "16"):
        host.write(f"pg/{version}/bin/postgres", "")
        (host.root / f"pg/{version}/bin/postgres").chmod(0o755)
    hidden = attrs.evolve(well_known_images.PROGRAMS["postgres"], path_prefix=(f"{host.root}/pg/*/bin",))
    monkeypatch.setattr(images, "PROGRAMS", {"postgres": hidden})

    found = host.resolver().resolve(container("postgres:16"))
    host.has("postgres")

    assert found.path_prefix[0] == f"{host.root}/pg/16/bin"
    assert host.resolver().resolve(container("postgres:16")).path_prefix == ()


def test_postgres_behaves_like_its_image(require: Callable[[bool, str], None]) -> None:
    """The setup makes the database from the image's variables, and the process becomes the server."""
    resolver = ImageResolver.load(environ=os.environ)
    port = str(claim_port())
    found = attrs.evolve(resolver, stub_missing=True).resolve(container("postgres:16", args=("-p", port)))
    require(not found.is_stub and images.find_program("psql", resolver.path) is not None, "PostgreSQL")

    env = {"POSTGRES_PASSWORD": "it's", "POSTGRES_DB": "films", "PGPORT": port, **found.env}
    env["PATH"] = ":".join((*found.path_prefix, resolver.path))
    with tempfile.TemporaryDirectory() as directory:  # not below pytest's, which is for the user alone
        if found.user:
            shutil.chown(directory, found.user)
        server = subprocess.Popen(
            found.argv,
            cwd=directory,
            env=env,
            user=found.user,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            assert server.stdout is not None
            log = b""
            while b"ready to accept connections" not in log:
                log += (line := server.stdout.readline())
                assert line, log.decode()
            query = ["psql", "-U", "postgres", "-Atc", "SELECT current_database()", "films"]
            answer = subprocess.run(query, env=env, capture_output=True, text=True)
            server.terminate()
            log += server.communicate()[0]
        finally:
            server.kill()

    assert (answer.stdout, answer.stderr) == ("films\n", "")
    assert b"database system is shut down" in log
    assert server.returncode == 0


def is_waiting_for_sleep(pid: int) -> bool:
    """Whether the shell has set its traps, started its child and has nothing left to do."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "S" and any(Path(f"/proc/{c}/comm").read_text() == "sleep\n" for c in children)


def test_pause_waits_and_exits_with_0_on_sigterm(host: Host) -> None:
    """As the image's program does, and without leaving anything behind."""
    argv = host.resolver().resolve(container("registry.k8s.io/pause:3.9")).argv
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        while not is_waiting_for_sleep(process.pid):
            assert process.poll() is None
            os.sched_yield()
        process.terminate()
        output, _ = process.communicate(timeout=20)  # its child holds the pipe, too
    finally:
        process.kill()

    assert (process.returncode, output) == (0, b"")


def test_every_well_known_image_names_a_program() -> None:
    for name, config in {**well_known_images.PROGRAMS, **well_known_images.SHELL_FAMILY}.items():
        assert config.entrypoint or config.cmd, name


# ------------------------------------------------------------------ stubs


def duties(container: Container, *, completes: bool = False) -> tuple[str, ...]:
    found = ImageResolver(stub_missing=True, path="").resolve(container, completes=completes)
    assert found.argv[:3] == (sys.executable, "-I", "-S")
    assert found.image_words == len(found.argv)
    return found.argv[5:]


def test_a_stub_listens_where_the_container_declares_and_is_probed() -> None:
    probed = attrs.evolve(
        container("acme/app"),
        ports=(
            ContainerPort(80, "http"),
            ContainerPort(53, protocol="UDP"),
            ContainerPort(9, protocol="SCTP"),
        ),
        liveness_probe=Probe(http_get=HTTPGetAction("http")),
        readiness_probe=Probe(http_get=HTTPGetAction(8443, scheme="HTTPS")),
        startup_probe=Probe(grpc=GRPCAction(9000)),
        lifecycle=Lifecycle(
            post_start=LifecycleHandler(tcp_socket=TCPSocketAction("7")), stop_signal="SIGUSR1"
        ),
    )

    assert duties(probed) == ("tcp:7", "tcp:80", "tcp:9000", "tls:8443", "udp:53", "stop:SIGUSR1")


def test_a_stub_of_an_init_container_ends() -> None:
    """The pod waits for it, so it must."""
    assert duties(attrs.evolve(container("acme/app"), ports=(ContainerPort(80),)), completes=True) == (
        "exit",
    )


# ------------------------------------------------------------------ the images file


def test_scalars_are_taken_as_written(host: Host) -> None:
    """No YAML trap: 999:999 is no sexagesimal number, 10 and yes are words."""
    found = host.resolver(
        images="a: {entrypoint: [sleep, 10], user: 999:999, env: {A: yes, B: 010, C: }}"
    ).resolve(container("a"))

    assert (found.argv, found.user, found.env) == (
        ("sleep", "10"),
        "999:999",
        {"A": "yes", "B": "010", "C": ""},
    )


def test_an_empty_file_says_nothing(host: Host) -> None:
    assert host.resolver(images="# nothing yet\n").tables == ()


@pytest.mark.parametrize(
    ("text", "line", "path", "message"),
    [
        ("- a\n", 1, "", "expected a mapping of image patterns"),
        ("a:\n  entrypont: [x]\n", 2, "a.entrypont", "unknown field, did you mean entrypoint?"),
        ("a:\n  Cmd: [x]\n", 2, "a.Cmd", "unknown field, did you mean cmd?"),
        ("a:\n  frobnicate: x\n", 2, "a.frobnicate", "unknown field, known are entrypoint, cmd"),
        ("a:\n  entrypoint: sleep 10\n", 2, "a.entrypoint", "expected a list of words"),
        ("a:\n  cmd:\n  - [x]\n", 3, "a.cmd[0]", "expected a string"),
        ("a:\n  env: [A=b]\n", 2, "a.env", "expected a mapping"),
        ("a:\n  env: {A=: b}\n", 2, "a.env.A=", "is not the name of a variable"),
        ("a:\n  user: {name: x}\n", 2, "a.user", "expected a string"),
        ("a: sleep\n", 1, "a", "expected a mapping"),
        ("a: {}\nb: {}\na: {}\n", 3, "a", "is given twice"),
        ("a: [\n", 2, "", ""),
        ("a: {}\n---\nb: {}\n", 3, "", "but found another document"),
    ],
)
def test_a_fault_is_told_with_its_place(host: Host, text: str, line: int, path: str, message: str) -> None:
    (fault,) = host.faults(text)

    assert (fault.file, fault.line, fault.path) == (f"{host.root}/images.yaml", line, path)
    assert message in fault.message


def test_all_faults_are_told_at_once(host: Host) -> None:
    assert [fault.line for fault in host.faults("a: {x: 1}\nb: {cmd: 2}\n")] == [1, 2]


@pytest.mark.parametrize("text", ["redis", "redis=", "=x", "redis='x"])
def test_an_override_that_is_none_is_told(host: Host, text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        host.resolver(text)

    assert [(e.file, e.path) for e in caught.value.errors] == [("--image", text)]


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere.yaml: cannot be read: No such file"):
        ImageResolver.load(images_file=str(tmp_path / "nowhere.yaml"), environ={})


def test_the_file_beside_the_manifest_comes_before_the_own_one(host: Host) -> None:
    """And the user's own still answers for images that the first does not know."""
    host.write("manifests/images.yaml", "a: {entrypoint: [beside]}")
    host.write("config/minikubelet/images.yaml", "a: {entrypoint: [own]}\nb: {entrypoint: [own]}")
    environ = {"XDG_CONFIG_HOME": str(host.root / "config")}
    where = [str(host.root / "manifests"), str(host.root / "manifests")]

    resolver = ImageResolver.load(manifest_dirs=where, environ=environ)

    assert resolver.resolve(container("a")).argv == ("beside",)
    assert resolver.resolve(container("b")).argv == ("own",)
    assert len(resolver.tables) == 2


def test_a_named_file_replaces_the_one_beside_the_manifest(host: Host) -> None:
    host.write("manifests/images.yaml", "a: {entrypoint: [beside]}")
    named = host.write("named.yaml", "b: {entrypoint: [named]}")

    resolver = ImageResolver.load((), named, [str(host.root / "manifests")], environ={})

    assert [table.name for table in resolver.tables] == [named]


def test_the_own_file_is_in_dot_config_without_xdg(host: Host) -> None:
    host.write("home/.config/minikubelet/images.yaml", "a: {entrypoint: [own]}")

    resolver = ImageResolver.load(environ={"HOME": str(host.root / "home")})

    assert resolver.resolve(container("a")).argv == ("own",)


def test_nothing_slow_is_imported_for_a_manifest_without_images_file() -> None:
    """The first container starts before anything that needs these is done."""
    program = (
        "import sys; from minikubelet.runtime import environment, images;"
        "images.ImageResolver.load(environ={}); print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()

    assert "minikubelet.runtime.images" in modules
    assert not {"trio", "asyncio", "yaml", "ssl", "http", "shlex", "subprocess", "fractions"} & set(modules)
