"""`minikubelet explain`: text and JSON, exit codes, places in the file, and the diff that mends it."""

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from minikubelet.api.job import Job
from minikubelet.api.manifest import load
from minikubelet.api.pod import Pod, PodSpec
from minikubelet.cli.explain import WIDTH, explain_files
from minikubelet.cli.main import main

SPECS = Path(__file__).parents[2] / "specs"
MANIFESTS = sorted(path for path in SPECS.glob("*.yaml") if path.name != "images.yaml")

SOUND = """\
apiVersion: v1
kind: Pod
metadata: {name: sound}
spec:
  containers: [{name: web, image: nginx}]
"""
TRAP = SOUND.replace("sound", "trap").replace("image: nginx", "image: nginx, command: [sleep, infinity]")


class Outcome:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def explain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def explain(text: str, *, output: str = "text", strict: bool = False, color: bool = False) -> Outcome:
        Path("m.yaml").write_text(text)
        out, err = io.StringIO(), io.StringIO()
        code = explain_files(["m.yaml"], output=output, strict=strict, color=color, stdout=out, stderr=err)
        return Outcome(code, out.getvalue(), err.getvalue())

    return explain


def findings(explain: Any, text: str) -> list[dict[str, Any]]:
    return [
        finding
        for one in json.loads(explain(text, output="json").out)["explanations"]
        for finding in one.get("watchOut", ())
    ]


# ------------------------------------------------------------------ exit codes


@pytest.mark.parametrize(
    "text, strict, code", [(SOUND, False, 0), (SOUND, True, 0), (TRAP, False, 0), (TRAP, True, 1)]
)
def test_lints_are_an_error_only_if_strict(explain: Any, text: str, strict: bool, code: int) -> None:
    done = explain(text, strict=strict)

    assert done.code == code
    assert ("Watch out" in done.out) is (text is TRAP)


def test_an_invalid_manifest_is_2_as_with_validate(explain: Any) -> None:
    done = explain(SOUND.replace("image:", "imge:"))

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("m.yaml:5:28: Pod default/sound: spec.containers[0].imge:")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--strict`, `-o json` and the exit code get through; pytest's stdout is no terminal."""
    file = tmp_path / "m.yaml"
    file.write_text(TRAP)

    assert main(["explain", str(file), "--strict"]) == 1
    text = capsys.readouterr().out
    assert main(["explain", str(file), "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["explanations"][0]["object"] == "Pod default/trap"
    assert "\x1b" not in text


def test_standard_input(explain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(IN_CONTAINERS))
    out = io.StringIO()

    code = explain_files(["-"], output="text", strict=False, color=False, stdout=out, stderr=io.StringIO())

    assert code == 0
    assert out.getvalue().startswith("Job default/j  (<stdin>)\n")
    assert "+++ <stdin>" in out.getvalue()


# ------------------------------------------------------------------ what is shown


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_every_example_is_explained_within_the_width(manifest: Path) -> None:
    out = io.StringIO()

    code = explain_files(
        [str(manifest)], output="text", strict=False, color=False, stdout=out, stderr=io.StringIO()
    )

    text = out.getvalue()
    long = [line for line in text.splitlines() if len(line) > WIDTH]
    assert code == 0
    assert all(str(manifest) in line or line.lstrip()[:1] in "+-@" or "      " in line for line in long)
    assert all(heading in text for heading in ("\nThe pod's end\n", "\nHow it is stopped\n", "\nAt worst\n"))


def test_the_examples_have_the_traps_that_they_are_about() -> None:
    seen = {}
    for manifest in MANIFESTS:
        out = io.StringIO()
        explain_files([str(manifest)], output="json", strict=False, color=False, stdout=out, stderr=out)
        for one in json.loads(out.getvalue())["explanations"]:
            for finding in one.get("watchOut", ()):
                seen.setdefault(manifest.name, []).append(finding["name"])

    assert seen["cy-job-sidecar-as-container.yaml"] == ["keeps-job-alive"]
    assert seen["cy-job-sidecar-as-init.yaml"] == ["init-never-ends"]
    assert seen["native-sidecar-job.yaml"] == ["shell-ignores-stop-signal"]
    assert "cy-job.yaml" not in seen


def test_json_says_what_the_text_says(explain: Any) -> None:
    """Every sentence of the one is in the other, but for what the text only says once."""
    text = re.sub(r"\s+", " ", explain(IN_CONTAINERS).out)
    (one,) = json.loads(explain(IN_CONTAINERS, output="json").out)["explanations"]

    story = one["explanation"]
    containers = (container["rows"] for container in story["containers"])
    told = [
        (row["label"], sentence)
        for part in (story["job"], story["ending"], story["shutdown"], *containers)
        for row in part
        for sentence in row["sentences"]
    ]
    assert (one["object"], one["file"], one["pods"]) == ("Job default/j", "m.yaml", 1)
    assert len(told) > 10
    for _, sentence in told:
        assert sentence["text"] in text
        assert f"[{', '.join(sentence['rules'])}]" in text
    assert [case["seconds"] for case in story["worstCases"]] == [30, 630]


def test_color_only_where_it_is_wanted_and_the_words_stay_the_same(explain: Any) -> None:
    plain = explain(IN_CONTAINERS).out
    colored = explain(IN_CONTAINERS, color=True).out

    assert "\x1b" not in plain
    assert "\x1b[32m+" in colored
    assert re.sub(r"\x1b\[\d*m", "", colored) == plain


def test_the_pods_of_a_controller_are_explained_once(explain: Any) -> None:
    text = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: web, image: nginx}]}
"""

    assert explain(f"{text}---\n{SOUND}").out.count("At worst") == 2
    assert explain(text).out.startswith("Deployment default/web, 3 pods  (m.yaml)\n")


def test_objects_are_explained_in_the_order_of_the_file(explain: Any) -> None:
    """A CronJob through the Jobs that it makes."""
    cron_job = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec:
  schedule: "*/5 * * * *"
  concurrencyPolicy: Forbid
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: x, image: x}]}}}}
"""
    out = explain(f"{IN_CONTAINERS}\n---\n{cron_job}---\n{SOUND}").out

    titles = re.findall(r"^(\S+) default/", out, re.MULTILINE)
    assert titles == ["Job", "CronJob", "Pod"]
    assert "  Schedule  `*/5 * * * *`\n" in out
    assert "\nEach of its Jobs\n" in out


def test_what_is_said_of_one_container_is_not_said_again_of_the_next(explain: Any) -> None:
    out = explain((SPECS / "reverse-shutdown.yaml").read_text()).out

    assert out.count("whether it failed or not, until the pod is being stopped") == 1
    assert out.count("  Any exit  as with secrets\n") == 2


ON_FAILURE = """\
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  backoffLimit: 2
  template:
    spec:
      restartPolicy: OnFailure
      containers: [{name: a, image: a}]
      initContainers: [{name: s, image: s, restartPolicy: Always}]
"""


@pytest.mark.parametrize(
    "text, path, line",
    [
        (TRAP, "spec.containers[0].command", 5),
        (
            ON_FAILURE,
            "spec.backoffLimit",
            5,
        ),
    ],
)
def test_a_lint_names_its_place(explain: Any, text: str, path: str, line: int) -> None:
    """Also one about the Job itself, whose origin leads into its template."""
    (finding,) = findings(explain, text)

    assert (finding["file"], finding["path"], finding["line"]) == ("m.yaml", path, line)
    assert f"m.yaml:{line}: {path}\n" in explain(text).out


# ------------------------------------------------------------------ the diff

IN_CONTAINERS = """\
# a Job
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      # does the work
      - name: work
        image: busybox
        command: [work]
      - image: postgres:9  # the database
        name: db
        env:
          - name: PASSWORD
            value: |
              a
               b
      # volumes of both
      volumes: []
"""

WITH_INITS = """\
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec:
  template:
    spec:
      initContainers:
          - name: first
            image: busybox
            command: [prepare]

      containers:
        - name: db
          image: postgres
          restartPolicy: Never

        - name: work
          image: busybox
          command: [work]
      restartPolicy: Never
"""

AS_INIT = """\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  initContainers:
    - image: postgres
      name: db
      restartPolicy: OnFailure
  containers:
    - name: work
      image: busybox
"""

IN_LIST = "apiVersion: v1\nkind: List\nitems:\n- " + AS_INIT.replace("\n", "\n  ").rstrip(" ")
FLOW = """\
{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": {
"restartPolicy": "Never", "containers": [{"name": "work", "image": "x", "command": ["work"]},
{"name": "db", "image": "postgres"}]}}}}
"""
INITS_LAST = """\
      initContainers:
      - name: i
        image: x
        command: [x]
"""
AFTER = IN_CONTAINERS + INITS_LAST
SECOND = f"{SOUND}---\n{IN_CONTAINERS}---\n{TRAP}"


def patched(text: str, diff: str) -> str:
    """What `patch` would make of a text; complains as it would."""
    old, new = text.splitlines(), []
    position = 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            start = int(line.split()[1].split(",")[0].lstrip("-")) - 1
            new += old[position:start]
            position = start
        elif line.startswith("+"):
            new.append(line[1:])
        else:
            assert old[position] == line[1:]
            position += 1
            new += [line[1:]] * line.startswith(" ")
    return "\n".join([*new, *old[position:]]) + "\n"


def pod_spec(obj: Pod | Job) -> PodSpec:
    return obj.spec if isinstance(obj, Pod) else obj.spec.template.spec


@pytest.mark.parametrize(
    "text",
    [IN_CONTAINERS, WITH_INITS, AS_INIT, IN_LIST, AFTER, SECOND],
    ids=["containers", "with inits", "as init", "list", "inits last", "second"],
)
def test_SIDE_1_the_diff_makes_a_native_sidecar_and_changes_nothing_else(explain: Any, text: str) -> None:
    (finding,) = (f for f in findings(explain, text) if "diff" in f)

    mended = patched(text, finding["diff"])

    assert finding["diff"].startswith("--- m.yaml\n+++ m.yaml\n")
    assert [f["name"] for f in findings(explain, mended) if "diff" in f] == []
    before = load(["-"], stdin=io.StringIO(text))
    after = load(["-"], stdin=io.StringIO(mended))
    pairs = zip((*before.pods, *before.jobs), (*after.pods, *after.jobs), strict=True)
    ((old, new),) = ((pod_spec(one.obj), pod_spec(other.obj)) for one, other in pairs if one.obj != other.obj)
    assert list(new.sidecars) == ["db"]
    assert {**old.all_containers, "db": None} == {**new.all_containers, "db": None}
    assert new.sidecars["db"].image == old.all_containers["db"].image
    assert new.sidecars["db"].env == old.all_containers["db"].env


def test_comments_stay_where_they_belong(explain: Any) -> None:
    (finding,) = findings(explain, IN_CONTAINERS)

    mended = patched(IN_CONTAINERS, finding["diff"])

    assert "# does the work\n      - name: work\n" in mended
    assert "- image: postgres:9  # the database\n        name: db\n        restartPolicy: Always\n" in mended
    assert mended.endswith("command: [work]\n      # volumes of both\n      volumes: []\n")


def test_where_it_is_in_flow_style_the_object_is_written_out(explain: Any) -> None:
    (finding,) = findings(explain, FLOW)

    assert finding["diff"].startswith("--- Job default/j (written out)\n")
    added = [line[1:].strip() for line in finding["diff"].splitlines() if line.startswith("+")][1:]
    assert added == ["initContainers:", "- name: db", "restartPolicy: Always", "image: postgres"]


def test_where_an_anchor_would_come_after_its_alias_too(explain: Any) -> None:
    """The change in place would not be valid YAML, so it is not shown."""
    text = AFTER.replace("env:\n", "env: &env\n").replace("volumes: []", "- {name: w, image: x, env: *env}")

    (finding,) = findings(explain, text)

    assert "(written out)" in finding["diff"]
