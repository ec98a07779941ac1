"""What would be started, in as few words as that takes."""

import io

from minikubelet.api.manifest import load
from minikubelet.cli.dry_run import dry_run_text, shortened
from minikubelet.runtime.images import ImageResolver

MANIFEST = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 3
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      initContainers:
      - {name: init, image: busybox, command: [sh, -c, "set -e\\necho 1\\necho 2\\n"]}
      - {name: log, image: busybox, command: [tail], restartPolicy: Always}
      containers:
      - name: main
        image: busybox
        command: [echo, "a b"]
        workingDir: /tmp
        env: [{name: A, value: b}]
        envFrom: [{prefix: P_, configMapRef: {name: cm}}, {secretRef: {name: s}}]
        volumeMounts: [{name: v, mountPath: /v, subPath: sub, readOnly: true}]
      volumes: [{name: v}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: busybox}]}}}
"""


def test_one_block_per_container_and_one_for_all_replicas() -> None:
    text = dry_run_text(load(["-"], stdin=io.StringIO(MANIFEST)), ImageResolver())

    assert (
        text
        == """\
Pod db-0 and 2 more like it: init container init
  image:   busybox
  from:    built in: shell family (the container's own command)
  command: sh -c 'set -e ...' (+2 lines)

Pod db-0 and 2 more like it: sidecar log
  image:   busybox
  from:    built in: shell family (the container's own command)
  command: tail

Pod db-0 and 2 more like it: container main
  image:   busybox
  from:    built in: shell family (the container's own command)
  command: echo 'a b'
  workdir: /tmp
  env:     P_* of ConfigMap cm, * of Secret s, A
  mount:   /v <- v/sub (read only)

Job j: container c
  image:   busybox
  from:    built in: shell family
  command: sh"""
    )


def test_long_words_are_cut_and_say_so() -> None:
    assert shortened("x" * 160) == "x" * 160
    assert shortened("x" * 163) == f"{'x' * 160}... (+3 characters)"
    assert shortened("\necho\n") == "echo"
    assert shortened("a\nb") == "'a ...' (+1 line)"
    assert shortened("") == "''"


def test_words_move_nothing_on_a_terminal() -> None:
    assert shortened("echo \x1b[2Jx\x07") == "'echo x^G'"
