"""CronJobs and Services as a user meets them: `minikubelet run` with real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import gettempdir

import pytest

from minikubelet.runtime.mounts import mount_support

LIMIT = 60  # seconds for anything that is waited for; all of it takes a few


def command(folder, *arguments):
    (folder / "m.yaml").write_text(arguments[0])
    return [sys.executable, "-m", "minikubelet", "run", "m.yaml", *arguments[1:]]


def run(folder, *arguments):
    return subprocess.run(
        command(folder, *arguments), cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=False
    )


def manifest(*documents):
    return "---\n".join(json.dumps(document) + "\n" for document in documents)


def main(script, **fields):
    return {"name": "main", "image": "busybox", "command": ["sh", "-c", script], **fields}


def pod(name, script, **spec):
    body = {"restartPolicy": "Never", "containers": [main(script)], **spec}
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body}


def service(name, **spec):
    spec = {"selector": {"app": name}, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def cron_job(script, schedule, **spec):
    template = {"spec": {"restartPolicy": "Never", "containers": [main(script)]}}
    body = {"schedule": schedule, "jobTemplate": {"spec": {"template": template, "backoffLimit": 0}}, **spec}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": body}


# ------------------------------------------------------------------ CronJobs


@pytest.mark.parametrize(("script", "code"), [("echo once", 0), ("exit 3", 1)])
def test_run_now_runs_the_job_once_and_ends_with_it(tmp_path, script, code):
    text = manifest(cron_job(script, "0 0 1 1 *", suspend=True))
    ended = run(tmp_path, text, "--run-now", "--status-file", "status.json")

    assert ended.returncode == code
    (job,) = [o for o in json.loads((tmp_path / "status.json").read_text())["items"] if o["kind"] == "Job"]
    assert job["metadata"]["name"].startswith("tick-")
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"


def test_a_schedule_is_followed_until_a_signal_comes(tmp_path):
    text = manifest(cron_job("echo ticked", "@every 1s", successfulJobsHistoryLimit=0))
    arguments = command(tmp_path, text, "--status-file", "status.json", "--events-file", "events.json")
    process = subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout
        seen = b""
        while seen.count(b"| ticked") < 2:
            seen += (line := process.stdout.readline())
            assert line, seen.decode()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=LIMIT)
    finally:
        process.kill()

    assert process.returncode == 128 + signal.SIGTERM
    assert b"cronjob/tick starts at most one Job a minute" in said
    assert b"cronjob/tick * SuccessfulCreate: Created job tick-" in seen
    objects = json.loads((tmp_path / "status.json").read_text())["items"]
    (cron,) = [o for o in objects if o["kind"] == "CronJob"]
    assert cron["status"]["lastScheduleTime"] <= cron["metadata"]["deletionTimestamp"]
    events = [json.loads(line) for line in (tmp_path / "events.json").read_text().splitlines()]
    mine = [event["reason"] for event in events if event["involvedObject"]["kind"] == "CronJob"]
    assert mine[:3] == ["SuccessfulCreate", "SawCompletedJob", "SuccessfulDelete"]


def test_what_is_not_due_yet_is_announced_and_ends_with_the_timeout(tmp_path):
    text = manifest(cron_job("exit 1", "0 0 1 1 *", timeZone="UTC"))
    ended = run(tmp_path, text, "--timeout", "0.5")

    assert ended.returncode == 124
    assert "cronjob/tick starts first in " in ended.stderr
    assert f"at {time.gmtime().tm_year + 1}-01-01 00:00:00+00:00; --run-now starts it at once" in ended.stderr


def test_what_a_cron_job_would_start_is_shown_by_dry_run(tmp_path):
    ended = run(tmp_path, manifest(cron_job("echo x", "@daily")), "--dry-run")

    assert ended.returncode == 0
    assert "CronJob tick: container main" in ended.stdout


# ------------------------------------------------------------------ Services


def test_ENV_1_variables_of_services_never_win(tmp_path):
    script = "echo $DB_SERVICE_HOST:$DB_SERVICE_PORT $DB_PORT $(DB_SERVICE_PORT) $TARGET"
    client = pod("client", script)
    client["spec"]["containers"][0]["env"] = [
        {"name": "TARGET", "value": "$(DB_SERVICE_HOST)/$(DB_PORT)"},  # what is above (ENV-3)
        {"name": "DB_PORT", "value": "mine"},
    ]
    ended = run(tmp_path, manifest(client, service("db", ports=[{"port": 5432}])), "-o", "json")

    lines = [json.loads(line)["log"]["line"] for line in ended.stdout.splitlines() if '"log"' in line]
    assert lines == ["127.0.0.1:5432 mine 5432 127.0.0.1/tcp://127.0.0.1:5432"]


@pytest.fixture
def names(require):
    require(mount_support(Path(gettempdir())).kind != "none", "namespaces")


def logs(ended):
    """By pod and container."""
    found = {}
    for line in ended.stdout.splitlines():
        label, mark, text = line.partition(" | ")
        if mark:
            found.setdefault(label, []).append(text.split())
    return found


def test_pods_find_services_and_each_other_by_name(tmp_path, names):
    look_up = (
        "for name in db db.default.svc.cluster.local foo.local; do getent hosts $name || echo none; done"
    )
    ended = run(
        tmp_path,
        manifest(
            pod("client", look_up, hostAliases=[{"ip": "10.9.9.9", "hostnames": ["foo.local"]}]),
            pod("db", look_up),
            service("db", ports=[{"port": 5432}]),
        ),
    )

    found = logs(ended)
    assert [words[0] for words in found["client/main"]] == ["127.0.0.1", "127.0.0.1", "10.9.9.9"]
    assert [words[0] for words in found["db/main"]] == ["127.0.0.1", "127.0.0.1", "none"]
    assert "isolation: mounts (hostAliases, names of Services) for Pod default/client" in ended.stderr


def test_the_hosts_file_of_the_host_is_left_alone(tmp_path, names):
    before = Path("/etc/hosts").read_bytes()
    text = manifest(pod("p", "cat /etc/hosts", hostAliases=[{"ip": "10.9.9.9", "hostnames": ["foo.local"]}]))
    ended = run(tmp_path, text)

    assert ["10.9.9.9", "foo.local"] in logs(ended)["p/main"]
    assert Path("/etc/hosts").read_bytes() == before


def test_a_container_may_mount_a_hosts_file_of_its_own(tmp_path, names):
    (tmp_path / "own").write_text("10.1.1.1 mine\n")
    os.chmod(tmp_path / "own", 0o644)
    subject = pod("p", "cat /etc/hosts", hostAliases=[{"ip": "10.9.9.9", "hostnames": ["foo.local"]}])
    subject["spec"]["volumes"] = [{"name": "own", "hostPath": {"path": str(tmp_path / "own")}}]
    subject["spec"]["containers"][0]["volumeMounts"] = [{"name": "own", "mountPath": "/etc/hosts"}]

    assert logs(run(tmp_path, manifest(subject)))["p/main"] == [["10.1.1.1", "mine"]]


def test_without_isolation_it_is_told_that_names_are_missing(tmp_path):
    subject = pod("p", "true", hostAliases=[{"ip": "10.9.9.9", "hostnames": ["foo.local"]}])
    ended = run(tmp_path, manifest(subject), "--isolation", "none")

    assert ended.returncode == 0
    assert "Pod default/p: hostAliases not honoured: --isolation none forbids it" in ended.stderr


# ------------------------------------------------------------------ ports


def test_VALID_18_ports_that_clash_in_a_pod_are_told_and_run(tmp_path):
    port = [{"containerPort": 8080}]
    subject = pod("p", "echo started")
    subject["spec"]["containers"] = [
        main("echo started", ports=port),
        main("true", ports=port) | {"name": "b"},
    ]
    ended = run(tmp_path, manifest(subject))

    assert ended.returncode == 0
    assert "spec.containers[1].ports[0].containerPort: port 8080/TCP is declared" in ended.stderr
    assert "started" in ended.stdout


def test_LOCAL_4_ports_that_clash_between_pods_are_told_and_run(tmp_path):
    one, other = pod("a", "echo a"), pod("b", "echo b")
    for subject in (one, other):
        subject["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}]
    ended = run(tmp_path, manifest(one, other), "--isolation", "none")

    assert ended.returncode == 0
    assert "Pod default/a, Pod default/b: port 8080/TCP is declared by container main" in ended.stderr
