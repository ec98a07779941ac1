"""Manifests made of the API's own schema: valid for the most part, with odd values in a few places.

The one idea: a document is drawn as a list of words, each scalar one of them, and many inputs are made of
it by replacing a few words; so an input costs little more than joining them.
"""

import io
from collections.abc import Iterator, Sequence
from random import Random

from minikubelet.api import schema
from minikubelet.api.errors import ManifestError
from minikubelet.api.manifest import load

INPUTS_PER_DOCUMENT = 48

_KINDS = (
    ("Pod",) * 6 + ("Job",) * 3 + ("CronJob", "Deployment", "StatefulSet", "ConfigMap", "Secret", "Service")
)

_USUAL = {
    "s": ("a", "b", "web", "data", "x-1", "main"),
    "b": ("true", "false"),
    "i": ("1", "2", "5", "80", "1000"),
    "l": ("0", "1", "30", "1000"),
    "p": ("80", "http", "8080"),
    "q": ("1", "100m", "64Mi", "1.5", "1e3"),
    "t": ('"2006-01-02T15:04:05Z"',),
    "y": ("aGk=", '""'),
    "j": ("1", "{a: [1, {b: c}]}", "null"),
}

_FIXED = {
    "restartPolicy": ("Never", "Never", "OnFailure"),
    "apiVersion": ("v1",),
    "kind": ("Pod",),
    "image": ("busybox", "nginx:1.25", "registry.example/a@sha256:1"),
    "imagePullPolicy": ("Always", "IfNotPresent"),
    "dnsPolicy": ("ClusterFirst", "Default", "None"),
    "podReplacementPolicy": ("Failed", "TerminatingOrFailed"),
    "podManagementPolicy": ("Parallel", "OrderedReady"),
    "preemptionPolicy": ("Never",),
    "recursiveReadOnly": ("IfPossible", "Disabled"),
    "mountPropagation": ("None", "HostToContainer"),
    "hostIP": ("127.0.0.1",),
    "nameservers": ("10.0.0.1",),
    "procMount": ("Default",),
    "managedBy": ("kubernetes.io/job-controller",),
    "path": ("/a", "a/b"),
    "workingDir": ("/", "/tmp"),
    "command": ("sleep", '"5"', "sh", "-c", '"trap : TERM; wait"', "exec", "sleep 5 & wait"),
    "args": ('"1"', "-c", '"exit 3"'),
    "mountPath": ("/data", "/a/b", "/"),
    "subPath": ("a", "a/b"),
    "subPathExpr": ("$(A)", "a"),
    "operator": ("In", "NotIn", "Exists"),
    "action": ("FailJob", "Ignore", "Count", "Restart"),
    "schedule": ('"* * * * *"', '"*/5 1-3 * JAN MON"', '"@daily"'),
    "timeZone": ("UTC", "Europe/Berlin"),
    "fieldPath": ("metadata.name", "status.podIP", "metadata.labels['a']"),
    "resource": ("limits.cpu", "requests.memory"),
    "whenUnsatisfiable": ("DoNotSchedule",),
    "completionMode": ("Indexed", "NonIndexed"),
    "concurrencyPolicy": ("Allow", "Forbid", "Replace"),
    "succeededIndexes": ('"0-3,5"',),
    "stopSignal": ("SIGINT", "SIGRTMIN+3"),
    "protocol": ("TCP", "UDP"),
    "scheme": ("HTTP", "HTTPS"),
    "ip": ("127.0.0.1", '"::1"'),
    "replicas": ("0", "1", "3"),
    "terminationMessagePolicy": ("File", "FallbackToLogsOnError"),
    "conditionType": ("a.b/c",),
}
"Values that usually do for fields of a name."

ODD = (
    "null",
    "~",
    '""',
    "''",
    "[]",
    "{}",
    "[[]]",
    "{a: b}",
    "[a, 1, null]",
    "0",
    "-1",
    "-0",
    "1.5",
    "1e3",
    "1e400",
    "-1e400",
    "1E+308",
    "5e-324",
    ".inf",
    "-.inf",
    ".nan",
    "2147483647",
    "2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "100000000000000000000000000000",
    "0x7fffffff",
    "0o777",
    "0777",
    "0b1",
    "1_000",
    "0x_1",
    "+1",
    "- 1",
    "yes",
    "off",
    "TRUE",
    "=",
    "<<",
    "2001-01-01",
    "2001-01-01T00:00:00Z",
    "12:30:45",
    "!!str 1",
    "!!int a",
    "!!int '0x10'",
    "!!float '1e999'",
    "!!bool maybe",
    "!!null x",
    "!!binary aGk=",
    "!!binary //79",
    "!!binary '?'",
    "!!timestamp 2001-01-01",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!python/object/apply:os.system [id]",
    "!local x",
    "!<tag:x> y",
    "&x x",
    "*x",
    "&y [*y]",
    "{<<: {a: 1}}",
    "{<<: [{a: 1}, {b: 2}]}",
    "{<<: 1}",
    "{1: 2, 1.0: 3}",
    "{null: 1}",
    "{[a]: b}",
    "{{a: b}: c}",
    "{{ .Values.x }}",
    "{a: 1, a: 2}",
    '"\\0"',
    '"a\\nb"',
    '"\\e[31m"',
    '"\\u202e"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\xff"',
    '"\\U0010ffff"',
    '"é"',
    "日本",
    "🙂",
    "../../etc/passwd",
    "..",
    ".",
    "/",
    "//",
    "a//b",
    "/proc/self/root",
    "a/../b",
    "..a",
    "$(A)",
    "$$(A)",
    "$(A",
    "$(../..)",
    '"$(B)/$(C)"',
    "-",
    "a-",
    "A",
    "a_b",
    "'%s%n'",
    '"%"',
    "1Ei",
    "1e19Gi",
    "-1m",
    "1e-999",
    ".5.",
    "1e1000",
    "0-",
    '"0-99999999999"',
    '"5-1"',
    '"1,1,2-"',
    '"* * * *"',
    '"*/0 * * * *"',
    '"0-99999999 * * * *"',
    '"* * 31 2 *"',
    '"@every 1s"',
    '"CRON_TZ=x * * * * *"',
    "../UTC",
    "Windows",
    "SIGKILL",
    "SIGRTMIN+99",
    "9",
    "metadata.labels['']",
    "metadata.annotations['a''b']",
    "spec.nodeName",
    "status.hostIPs",
    "limits.hugepages-2Mi",
    "127.0.0.1:80",
    "::",
    "http://a",
    "[::1]",
    '"a b"',
    "ConfigMap",
    "v1",
    "batch/v1",
    "List",
)

_GIGANTIC = (
    lambda n: "a" * n,
    lambda n: "9" * n,
    lambda n: "0x" + "f" * n,
    lambda n: "1." + "0" * n,
    lambda n: "1e" + "9" * n,
    lambda n: '"' + "\\x41" * (n // 4) + '"',
    lambda n: "[" + "a," * (n // 2) + "]",
    lambda n: "[" + "{}," * (n // 3) + "]",
    lambda n: "{" + ",".join(f"k{i}: v" for i in range(n // 8)) + "}",
    lambda n: "[" * (n // 100) + "]" * (n // 100),
    lambda n: "a/" * (n // 2),
    lambda n: "../" * (n // 3),
    lambda n: '"' + "$(A)" * (n // 4) + '"',
    lambda n: '"' + "{{" * (n // 2) + '"',
    lambda n: '"' + "0," * (n // 2) + '0"',
    lambda n: '"' + "/" * n + '"',
    lambda n: "-" * n,
)

_STRUCTURE = (
    "",
    " ",
    "\n",
    "- ",
    ": ",
    ", ",
    "{",
    "}",
    "[",
    "]",
    "#",
    "---\n",
    "...\n",
    "? ",
    "&a ",
    "*a",
    "|",
    ">",
)


def inputs(random: Random) -> Iterator[bytes]:
    """`INPUTS_PER_DOCUMENT` inputs made of one document; the first is the document itself."""
    words, scalars = _sound(random)
    yield "".join(words).encode()
    for _ in range(INPUTS_PER_DOCUMENT - 1):
        mutant = words.copy()
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            _mutate(random, mutant, scalars)
        yield "".join(mutant).encode("utf-8", "surrogatepass")


def _sound(random: Random) -> tuple[list[str], list[int]]:
    """The words of a document, and which of them are scalars; mostly one that loads."""
    for attempt in range(4):
        document = _Document(random)
        document.draw()
        if attempt == 3 or random.random() < 0.2:
            break
        try:
            load(["-"], stdin=io.StringIO("".join(document.words)), to_run=False)
        except ManifestError:
            continue
        break
    return document.words, document.scalars


def _mutate(random: Random, words: list[str], scalars: Sequence[int]) -> None:
    chance = random.random()
    place = random.choice(scalars)
    if chance < 0.62:
        words[place] = random.choice(ODD)
    elif chance < 0.80:
        words[place] = words[random.choice(scalars)]
    elif chance < 0.86:
        words[place] = random.choice(_NAMES)
    elif chance < 0.90:
        words[place] = _jumble(random, words[place])
    elif chance < 0.94:
        words[random.randrange(len(words))] = random.choice(_STRUCTURE)
    elif chance < 0.97:
        start = random.randrange(len(words))
        piece = words[start : start + random.randrange(1, 12)]
        at = random.randrange(len(words))
        words[at] = "".join((words[at], *piece))
    elif chance < 0.9985:
        at = random.randrange(len(words))
        words[at] = random.choice(_NAMES) + ": "
    else:
        words[place] = random.choice(_GIGANTIC)(10 ** random.randrange(3, 6))


def _jumble(random: Random, word: str) -> str:
    letters = list(word) or ["x"]
    letters[random.randrange(len(letters))] = chr(
        random.choice((random.randrange(128), random.randrange(0xD7FF), random.randrange(0xE000, 0x110000)))
    )
    return "".join(letters)


_NAMES = sorted({name for type_name in schema.TYPES for name in schema.fields(type_name)})


class _Document:
    """One object of a kind as words of YAML in flow style."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.words: list[str] = []
        self.scalars: list[int] = []
        "Where in `words` they are."
        self.budget = random.choice((1, 2, 2, 4, 8, 30))
        "Fields that may still be drawn without need."
        self.names = 0
        self.is_job = False

    def draw(self) -> None:
        kind = self.random.choice(_KINDS)
        self.is_job = kind.endswith("Job")
        self.words += (f"apiVersion: {schema.KINDS[kind]}\nkind: ", kind, "\nmetadata: {name: ")
        self.scalar("a")
        self.words.append("}\n")
        known = schema.fields(kind)
        rest = [name for name in known if name not in ("apiVersion", "kind", "metadata", "status")]
        for name in rest:
            self.words += (name, ": ")
            self.value(known[name].type, name, 0)
            self.words.append("\n")
        if self.random.random() < 0.05:
            self.words.append("---\n")
            self.draw()

    def scalar(self, text: str) -> None:
        self.scalars.append(len(self.words))
        self.words.append(text)

    def value(self, kind: schema.Type, name: str, depth: int) -> None:
        random, words = self.random, self.words
        if kind.kind == "list":
            assert kind.of is not None
            least = 1 if name in ("containers", "rules", "ports", "sources", "command") else 0
            words.append("[")
            more = random.choice((0, 1, 1, 1, 1, 2)) if self.budget > 0 else 0
            for _ in range(max(least, more)):
                self.value(kind.of, name, depth + 1)
                words.append(", ")
            words.append("]")
        elif kind.kind == "map":
            assert kind.of is not None
            words.append("{")
            for key in random.sample(("a", "b", "app", "x.y/z"), random.randrange(3)):
                self.scalar(key)
                words.append(": ")
                self.value(kind.of, key, depth + 1)
                words.append(", ")
            words.append("}")
        elif kind.kind == "object":
            self.object(kind.name, depth)
        elif name == "name" and random.random() < 0.8:
            self.names += 1
            self.scalar(f"n{self.names}")
        else:
            self.scalar(random.choice(_FIXED.get(name) or _USUAL[kind.kind]))

    def object(self, type_name: str, depth: int) -> None:
        words, random = self.words, self.random
        known = schema.fields(type_name)
        wanted = [field for field in known.values() if field.required or field.name in _ALWAYS]
        if type_name == "PodSpec" and self.is_job:
            wanted.append(known["restartPolicy"])
        if type_name.endswith("TemplateSpec"):
            wanted.append(known["spec"])
        if "httpGet" in known:
            wanted.append(known[random.choice(("exec", "httpGet", "tcpSocket"))])
            wanted = wanted[-1:]
        others = [
            field for field in known.values() if field not in wanted and _is_interesting(type_name, field)
        ]
        count = min(len(others), self.budget, random.choice((0, 0, 1, 1, 2, 3, 5)))
        self.budget -= count
        words.append("{")
        for field in (*wanted, *random.sample(others, max(0, count))):
            words += (field.name, ": ")
            self.value(field.type, field.name, depth + 1)
            words.append(", ")
        words.append("}")


_ALWAYS = frozenset(("containers", "template", "jobTemplate", "schedule"))


def _is_interesting(type_name: str, field: schema.Field) -> bool:
    """What is refused for being there needs few tries."""
    try:
        return schema.verdict(type_name, field.name).ruling != "refused"
    except KeyError:
        return True
