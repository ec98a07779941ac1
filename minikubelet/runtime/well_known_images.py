"""What the images that everybody uses would start, as programs of this machine.

Two tables, keyed by the last component of the image's name: `SHELL_FAMILY` are images that are little more
than a shell and its tools, `PROGRAMS` are images that are one program. Both restate what the images' own
configurations say. A server that would open the data directory of the host's own installation when started
bare (mysql, mariadb, mongo, rabbitmq) is left out on purpose: an images file has to say where its data goes.
"""

from collections.abc import Mapping

from minikubelet.api.values import Factory, frozen


@frozen
class ImageConfig:
    """What an image says about the process made from it."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = Factory(dict)
    working_dir: str | None = None
    user: str | None = None
    "Name, uid, or `name:group`; resolved where the process is made."
    path_prefix: tuple[str, ...] = ()
    "Directories in front of PATH; those of a built-in image are globs, tried if PATH lacks the program."
    program: str | None = None
    "What the image's entrypoint script puts in front of arguments that begin with a dash."
    subcommands: bool = False
    "The script also does so when the first argument is no command: `agent -dev`, `https://…`, `app.js`."
    setup: str | None = None
    "A sh script that prepares something and then runs its arguments."


_PAUSE = "trap 'kill $!; exit 0' TERM INT; while :; do sleep 2147483647 & wait; done"
"What the pause program does: nothing, until it is told to stop, which it does with exit code 0."

_SH = ImageConfig(cmd=("sh",))
_BASH = ImageConfig(cmd=("bash",))

SHELL_FAMILY: Mapping[str, ImageConfig] = {
    **dict.fromkeys(("busybox", "alpine", "cirros", "wolfi-base", "toybox", "buildkit"), _SH),
    **dict.fromkeys(
        ("debian", "ubuntu", "buildpack-deps", "centos", "fedora", "rockylinux", "almalinux"), _BASH
    ),
    **dict.fromkeys(
        ("amazonlinux", "oraclelinux", "archlinux", "leap", "tumbleweed", "ubi", "ubi-minimal"), _BASH
    ),
    **dict.fromkeys(
        ("golang", "rust", "gcc", "netshoot", "jessie-dnsutils", "dnsutils", "kali-rolling"), _BASH
    ),
    "bash": ImageConfig(cmd=("bash",), program="bash"),
    "curl": ImageConfig(cmd=("curl",), program="curl", subcommands=True),
    "pause": ImageConfig(entrypoint=("sh", "-c", _PAUSE)),
}

# The image makes its database on the first start and then becomes the server; so does this. It trusts local
# connections, as the image does, and keeps its data in the working directory. Clients in probes and hooks go
# over TCP by means of PGHOST, since the server would not be allowed to make its socket in the usual place.
_POSTGRES = """\
set -eu
export PGDATA="${PGDATA:-$PWD/pgdata}"
superuser="${POSTGRES_USER:-postgres}"
database="${POSTGRES_DB:-$superuser}"
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
        echo 'Set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD to trust.' >&2
        exit 1
    fi
    umask 077
    mkdir -p "$PGDATA"
    initdb --username="$superuser" --encoding=UTF8 --auth=trust ${POSTGRES_INITDB_ARGS:-} -D "$PGDATA"
    echo "unix_socket_directories = ''" >> "$PGDATA/postgresql.conf"
    {
        if [ -n "${POSTGRES_PASSWORD:-}" ]; then
            password="$(printf %s "$POSTGRES_PASSWORD" | sed "s/'/''/g")"
            printf "ALTER USER \\"%s\\" PASSWORD '%s'\\n" "$superuser" "$password"
        fi
        if [ "$database" != postgres ]; then
            printf 'CREATE DATABASE "%s"\\n' "$database"
        fi
    } | postgres --single -D "$PGDATA" postgres > /dev/null
fi
exec "$@"
"""

_postgres = ImageConfig(
    cmd=("postgres",),
    env={"PGHOST": "127.0.0.1"},
    user="postgres",
    path_prefix=("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/lib/postgresql/bin"),
    program="postgres",
    setup=_POSTGRES,
)


def _server(*words: str, user: str | None = None) -> ImageConfig:
    """An image whose script hands arguments that begin with a dash to its server."""
    return ImageConfig(cmd=words, program=words[0], user=user)


def _tool(program: str, *cmd: str) -> ImageConfig:
    """An image whose entrypoint is the program itself."""
    return ImageConfig(entrypoint=(program,), cmd=cmd)


def _commander(program: str, *cmd: str) -> ImageConfig:
    """An image whose script hands everything that is no command to its program."""
    return ImageConfig(cmd=(program, *cmd), program=program, subcommands=True)


_REDIS = _server("redis-server")
_JAVA = ImageConfig(cmd=("jshell",))

PROGRAMS: Mapping[str, ImageConfig] = {
    "redis": _REDIS,
    "redis-stack-server": _REDIS,
    "valkey": _server("valkey-server"),
    "memcached": _server("memcached", user="nobody"),
    "postgres": _postgres,
    "postgresql": _postgres,
    "postgis": _postgres,
    "pgvector": _postgres,
    **dict.fromkeys(
        ("nginx", "nginx-slim", "nginx-unprivileged"),
        ImageConfig(cmd=("nginx", "-g", "daemon off;"), program="nginx"),
    ),
    "httpd": ImageConfig(cmd=("httpd", "-DFOREGROUND")),
    "caddy": ImageConfig(cmd=("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile")),
    "haproxy": _server("haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"),
    "traefik": _commander("traefik"),
    "envoy": _server("envoy", "-c", "/etc/envoy/envoy.yaml"),
    "etcd": ImageConfig(cmd=("etcd",)),
    "nats": _server("nats-server"),
    "eclipse-mosquitto": ImageConfig(cmd=("mosquitto",)),
    "consul": _commander("consul", "agent", "-dev"),
    "vault": _commander("vault", "server", "-dev"),
    "minio": _commander("minio"),
    "prometheus": _tool("prometheus", "--config.file=/etc/prometheus/prometheus.yml"),
    "alertmanager": _tool("alertmanager", "--config.file=/etc/alertmanager/alertmanager.yml"),
    "node-exporter": _tool("node_exporter"),
    "coredns": _tool("coredns"),
    "fluent-bit": _tool("fluent-bit"),
    "fluentd": _server("fluentd"),
    "telegraf": _server("telegraf"),
    "zookeeper": ImageConfig(cmd=("zkServer.sh", "start-foreground")),
    "python": ImageConfig(cmd=("python3",)),
    "node": _commander("node"),
    "ruby": ImageConfig(cmd=("irb",)),
    "php": ImageConfig(cmd=("php", "-a"), program="php"),
    "perl": ImageConfig(cmd=("perl", "-de0")),
    "openjdk": _JAVA,
    "eclipse-temurin": _JAVA,
    "maven": _server("mvn"),
    "gradle": _server("gradle"),
    "kubectl": _tool("kubectl", "--help"),
    "helm": _tool("helm", "--help"),
    "git": _tool("git", "--help"),
    "terraform": _tool("terraform"),
    "aws-cli": _tool("aws"),
    "socat": _tool("socat"),
    "jq": _tool("jq"),
    "yq": _tool("yq"),
}

STAND_INS: Mapping[str, tuple[str, ...]] = {
    "python": ("python3",),
    "python3": ("python",),
    "node": ("nodejs",),
    "redis-server": ("valkey-server",),
    "httpd": ("apache2",),
}
"""The same program under the names other distributions give it."""

ENTRYPOINT_SCRIPTS = frozenset({"docker-entrypoint.sh", "docker-php-entrypoint", "entrypoint.sh"})
"""Scripts that these images bring, and no host has: naming one means the image's own entrypoint."""
