"""What people and programs see of a run."""

import json
import re
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from cli_fakes import (
    STAMP,
    WALL,
    FakeKubelet,
    Pipe,
    main_status,
    make_event,
    make_pod,
    with_status,
)
from hypothesis import given
from hypothesis import strategies as st

from minikubelet.api.pod import Container, Pod, Probe
from minikubelet.api.pod_status import (
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
)
from minikubelet.cli.ending import Ending
from minikubelet.cli.screen import (
    LONGEST_LINE,
    MANY_PODS,
    TAIL_LINES,
    Block,
    JsonScreen,
    Lines,
    Look,
    TextScreen,
    block_lines,
    container_colors,
    crash_loop_text,
    event_text,
    stopping_text,
    tame,
    wrap,
)
from minikubelet.lifecycle.backoff import BackoffEntry
from minikubelet.lifecycle.printing import PodRow
from minikubelet.lifecycle.record import (
    ContainerRecord,
    ContainerRun,
    Containers,
    HookRun,
    PodRecord,
    Stopping,
    new_record,
)
from minikubelet.lifecycle.record import Ending as PodEnding
from minikubelet.lifecycle.settings import LifecycleSettings

RUNNING = ContainerState(running=ContainerStateRunning())
CREATING = ContainerState(waiting=ContainerStateWaiting("ContainerCreating"))


def exited(code: int, **fields: Any) -> ContainerState:
    return ContainerState(
        terminated=ContainerStateTerminated(code, "Error" if code else "Completed", **fields)
    )


class Show:
    """A screen on a pipe, over a fake kubelet."""

    def __init__(self, *pods: Pod, json: bool = False, **look: bool) -> None:
        self.kubelet = FakeKubelet(*(pods or (make_pod(),)))
        self.pipe = Pipe()
        self.screen: Any = (
            JsonScreen(self.pipe.fd, wall=lambda: WALL)
            if json
            else TextScreen(self.pipe.fd, Look(**look), wall=lambda: WALL)
        )
        self.screen.kubelet = self.kubelet

    def log(self, text: bytes, container: str = "main", *, attempt: int = 0, stream: str = "stdout") -> None:
        pod = next(iter(self.kubelet._pods.values()))
        self.screen.log(pod, container, attempt, stream, text)

    def changed(self, pod: Pod) -> None:
        self.screen.changed(self.kubelet.put(pod))

    def text(self) -> str:
        """Everything shown; the screen is closed."""
        self.screen.writer.close()
        return self.pipe.read_all().decode()

    def lines(self) -> list[str]:
        return self.text().splitlines()

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture(autouse=True)
def no_colour_from_outside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    yield


# ------------------------------------------------------------------------------------ logs as text


def test_each_line_is_led_by_pod_and_container() -> None:
    """Not a terminal: `pod/container | line`, as it came."""
    show = Show()
    show.log(b"one\ntwo\n")

    assert show.lines() == ["web/main | one", "web/main | two"]


def test_a_piece_of_a_line_is_held_until_the_rest_comes() -> None:
    """Lines of two containers never mix."""
    show = Show(make_pod("web", Container("a"), Container("b")))
    show.log(b"hel", "a")
    show.log(b"between\n", "b")
    show.log(b"lo\n", "a")

    assert show.lines() == ["web/b | between", "web/a | hello"]


def test_streams_are_cut_into_lines_on_their_own() -> None:
    """LOG-4: stdout and stderr are separate."""
    show = Show()
    show.log(b"out", stream="stdout")
    show.log(b"err\n", stream="stderr")
    show.log(b"put\n", stream="stdout")

    assert show.lines() == ["web/main | err", "web/main | output"]


def test_a_last_line_without_newline_is_shown_before_the_exit() -> None:
    """What a container said last stands before what became of it."""
    show = Show()
    show.log(b"last words")
    show.screen.event(make_event("Exited", "Container main exited with code 0"))

    assert show.lines() == ["web/main | last words", "web/main * Exited: code 0"]


def test_a_line_that_never_ends_is_shown_in_pieces() -> None:
    """Memory stays bounded whatever a container writes."""
    lines = Lines()

    assert lines.add("p", "c", 0, "stdout", b"x" * (LONGEST_LINE + 5)) == b"x" * LONGEST_LINE + b"\n"
    assert lines.rest("p", "c") == [(0, "stdout", b"xxxxx\n")]


@given(st.lists(st.binary(max_size=20) | st.just(b"\n")))
def test_lines_lose_and_add_nothing(chunks: list[bytes]) -> None:
    """However the output is cut into chunks, its lines are the same."""
    lines = Lines()
    found = [lines.add("p", "c", 0, "stdout", chunk) for chunk in chunks]
    found += [line for _, _, line in lines.rest("p", "c")]
    output = b"".join(chunks)

    assert all(piece.endswith(b"\n") for piece in found if piece)
    assert b"".join(found) == output + (b"" if output.endswith(b"\n") or not output else b"\n")
    assert lines.tail("p", "c") == b"".join(found).split(b"\n")[:-1][-TAIL_LINES:]


def test_the_tail_is_that_of_the_newest_instance() -> None:
    """The report on a failure quotes the instance that failed."""
    lines = Lines()
    lines.add("p", "c", 0, "stdout", b"first run\n")
    lines.add("p", "c", 1, "stdout", b"".join(b"%d\n" % n for n in range(TAIL_LINES + 3)))

    assert lines.tail("p", "c") == [b"%d" % n for n in range(3, TAIL_LINES + 3)]
    assert lines.tail("p", "other") == []


def test_bytes_that_are_no_text_pass_through_a_pipe_unchanged() -> None:
    """Not a terminal: nothing is interpreted."""
    show = Show()
    show.log(b"\x1b[2J\xff\x00\r\n")
    show.screen.writer.close()

    assert show.pipe.read_all() == b"web/main | \x1b[2J\xff\x00\r\n"


def test_timestamps_lead_the_line() -> None:
    """--timestamps: RFC 3339."""
    show = Show(timestamps=True)
    show.log(b"one\n")
    show.screen.event(make_event("Started", "Started container main"))

    assert show.lines() == [f"{STAMP} web/main | one", f"{STAMP} web/main * Started"]


def test_timestamps_leave_a_message_less_room_on_a_terminal() -> None:
    """Lines of 80 columns, the time included."""
    show = Show(terminal=True, timestamps=True)
    show.screen.event(make_event("FailedMount", "word " * 40, type="Warning"))

    lines = re.sub(r"\x1b\[\?2026.|\x1b\[J|\r", "", show.text()).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 80


def test_namespaces_are_shown_only_where_there_are_several() -> None:
    """`default/` in front of everything would be noise."""
    show = Show(namespaces=True)
    show.log(b"one\n")

    assert show.lines() == ["default/web/main | one"]


# ------------------------------------------------------------------------------------ events as text


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (make_event("Started", "Started container main"), "web/main * Started"),
        (make_event("Killing", "Stopping container main"), "web/main * Killing: Stopping container main"),
        (
            make_event(
                "BackOff", "Back-off restarting failed container main in pod web_default(u1)", type="Warning"
            ),
            "web/main ! BackOff: Back-off restarting failed container main",
        ),
        (
            make_event("Unhealthy", "Readiness probe failed: no", type="Warning", count=2),
            "web/main ! Unhealthy: Readiness probe failed: no (2 times)",
        ),
        (
            make_event("FailedMount", "no such ConfigMap", None, type="Warning"),
            "web ! FailedMount: no such ConfigMap",
        ),
        (make_event("Completed", "Job completed", None, kind="Job"), "job/web * Completed: Job completed"),
    ],
)
def test_an_event_is_one_line_with_a_mark(event: Any, expected: str) -> None:
    """`*` for what is normal, `!` for warnings; no word twice."""
    show = Show()
    show.screen.event(event)

    assert show.lines() == [expected]


def test_created_says_nothing_that_started_does_not() -> None:
    """Noise stays out; the events file has everything."""
    show = Show()
    show.screen.event(make_event("Created", "Created container: main"))

    assert show.lines() == []


def test_a_probe_that_keeps_failing_is_told_ever_more_rarely() -> None:
    """The first three times, then each time the number doubles."""
    show = Show()
    for count in range(1, 20):
        show.screen.event(make_event("Unhealthy", "no", type="Warning", count=count))

    assert [int(line.split("(")[1].split()[0]) if "(" in line else 1 for line in show.lines()] == [
        1,
        2,
        3,
        4,
        8,
        16,
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, "web/main * Exited: code 0"),
        (3, "web/main ! Exited: code 3"),
        (137, "web/main ! Exited: code 137: killed by SIGKILL"),
        (143, "web/main ! Exited: code 143: ended by SIGTERM"),
        (128 + 40, "web/main ! Exited: code 168: ended by signal 40"),
        (255, "web/main ! Exited: code 255"),
    ],
)
def test_an_exit_names_the_signal(code: int, expected: str) -> None:
    """STATUS-5: 128+n."""
    show = Show()
    show.screen.event(make_event("Exited", f"Container main exited with code {code}"))

    assert show.lines() == [expected]


def test_an_exit_that_was_asked_for_is_no_warning() -> None:
    """SIDE-17: a sidecar's 143 at the end is how it should be."""
    show = Show()
    show.kubelet.put(make_pod(), lambda record: stopping(record, signalled_at=1.0))
    show.screen.event(make_event("Exited", "Container main exited with code 143"))

    assert show.lines() == ["web/main * Exited: code 143: ended by SIGTERM"]


def test_several_lines_of_a_message_are_all_marked() -> None:
    """A probe's output may have many lines."""
    show = Show()
    show.screen.event(make_event("Unhealthy", "Readiness probe failed: a\nb", type="Warning"))

    assert show.lines() == ["web/main ! Unhealthy: Readiness probe failed: a", "web/main ! b"]


def test_becoming_ready_is_told_of_containers_with_a_readiness_probe() -> None:
    """No event says so in Kubernetes, yet it is what everybody waits for."""
    pod = make_pod("web", Container("main", readiness_probe=Probe()))
    show = Show(pod)
    show.changed(with_status(pod, main_status(RUNNING)))
    show.changed(with_status(pod, main_status(RUNNING, ready=True)))
    show.changed(with_status(pod, main_status(RUNNING, ready=True)))
    show.changed(with_status(pod, main_status(RUNNING)))
    show.changed(with_status(pod, main_status(exited(0)), phase="Running"))

    assert show.lines() == ["web/main * Ready", "web/main ! Not ready"]


def test_ready_is_told_before_what_it_made_possible() -> None:
    """The start gate: first the sidecar is ready, then the next container starts."""
    pod = make_pod("web", Container("main", readiness_probe=Probe()), Container("next"))
    show = Show(pod)
    show.changed(with_status(pod, main_status(RUNNING)))
    show.kubelet.put(with_status(pod, main_status(RUNNING, ready=True)))
    show.screen.event(make_event("Started", "Started container next", "next"))

    assert show.lines() == ["web/main * Ready", "web/next * Started"]


def test_a_text_that_goes_into_a_pipe_asks_for_no_status() -> None:
    """It takes its time in a pod of a thousand containers, which start and end a thousand times."""
    pod = make_pod("web", Container("main", readiness_probe=Probe()), Container("next"))
    show = Show(pod)
    asked: list[str] = []
    show.kubelet.pod = asked.append  # type: ignore[method-assign, assignment]
    show.changed(with_status(pod, main_status(RUNNING, ready=True)))
    show.screen.event(make_event("Started", "Started container next", "next"))
    show.screen.event(make_event("Exited", "Container next exited with code 1", "next"))

    assert show.lines() == ["web/main * Ready", "web/next * Started", "web/next ! Exited: code 1"]
    assert asked == []


def test_without_a_readiness_probe_readiness_is_not_worth_a_line() -> None:
    """PROBE-18: it is just running."""
    show = Show()
    show.changed(with_status(make_pod(), main_status(CREATING)))
    show.changed(with_status(make_pod(), main_status(RUNNING, ready=True)))

    assert show.lines() == []


@pytest.mark.parametrize(
    ("phase", "reason", "expected"),
    [
        ("Succeeded", None, "web * Succeeded"),
        ("Failed", "DeadlineExceeded", "web ! Failed: DeadlineExceeded"),
    ],
)
def test_the_end_of_a_pod_is_told_once(phase: str, reason: str | None, expected: str) -> None:
    """PHASE-1: terminal phases are final."""
    show = Show()
    show.changed(with_status(make_pod(), main_status(RUNNING)))
    show.changed(with_status(make_pod(), main_status(exited(0)), phase=phase, reason=reason))
    show.changed(with_status(make_pod(), main_status(exited(0)), phase=phase, reason=reason))

    assert show.lines() == [expected]


def test_a_pod_that_fails_at_once_is_told_too() -> None:
    """LOCAL-3 under Never: it was over before anybody saw it run."""
    show = Show()
    show.changed(with_status(make_pod(), main_status(exited(128)), phase="Failed"))

    assert show.lines() == ["web ! Failed"]


# ------------------------------------------------------------------------------------ terminals


def test_labels_are_lined_up_on_a_terminal() -> None:
    """The text behind them begins in one column."""
    show = Show(make_pod("web", Container("a"), Container("longer")), terminal=True)
    show.log(b"x\n", "a")
    show.log(b"y\n", "longer")

    assert show.text().replace("\x1b[?2026h", "").replace("\x1b[?2026l", "").splitlines() == [
        "web/a      | x",
        "web/longer | y",
    ]


def test_colours_only_where_they_are_wanted() -> None:
    """--no-color, NO_COLOR: not one escape of ours but the block's."""
    coloured, plain = Show(terminal=True, color=True), Show(terminal=True)
    for show in (coloured, plain):
        show.log(b"x\n")
        show.screen.event(make_event("Failed", "no", type="Warning"))

    assert "\x1b[33m" in coloured.text()
    assert "m" not in plain.text().replace("web/main", "")


def test_a_containers_colour_is_the_same_for_every_pod_of_its_owner() -> None:
    """Job pods have other names in each run, and still their colours."""
    one = container_colors(make_pod("j-x7k2p", Container("a"), Container("b"), owner="j"))
    other = container_colors(make_pod("j-b4q9z", Container("a"), Container("b"), owner="j"))

    assert one == other


@given(st.lists(st.text("abcdef-", min_size=1), unique=True, min_size=1, max_size=8))
def test_containers_of_a_pod_differ_in_colour(names: list[str]) -> None:
    """As long as there are colours enough."""
    colors = container_colors(make_pod("p", *map(Container, names)))

    assert len(set(colors.values())) == len(names)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain", "plain"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]0;title never ended", ""),
        ("\x1b7saved\x1bc", "saved"),
        ("10%\r50%\r100%", "100%"),
        ("windows\r", "windows"),
        ("bell\x07", "bell^G"),
        ("delete\x7f", "delete^?"),
        ("c1 \x9b2J", "c1 \ufffd2J"),
        ("end\x1b", "end"),
    ],
)
def test_a_log_line_cannot_move_anything_on_a_terminal(line: str, expected: str) -> None:
    """Colours pass, everything else is dropped or made visible."""
    assert tame(line, color=True) == expected


@given(st.text())
def test_a_tamed_line_has_no_control_character_but_tab(line: str) -> None:
    """Without colours, there is not even an escape left."""
    assert not set(tame(line, color=False)) & {*map(chr, [*range(9), *range(10, 32), *range(127, 160)])}


def test_long_messages_are_wrapped_under_their_beginning() -> None:
    """On a terminal only; a word that is too long stays whole."""
    assert wrap("web * one two three", 13, 6) == ["web * one two", "      three"]
    assert wrap("web * onetwothree", 13, 6) == ["web * onetwothree"]


@given(st.lists(st.text("ab", min_size=1, max_size=9)), st.integers(20, 40))
def test_wrapping_keeps_every_word(words: list[str], width: int) -> None:
    """And no piece is wider than the terminal, as long as no word is."""
    line = " ".join(["web", "*", *words])
    pieces = wrap(line, width, 6)

    assert " ".join(pieces).split() == line.split()
    assert all(len(piece) <= width for piece in pieces)


# ------------------------------------------------------------------------------------ the block


def row(name: str, status: str = "Running") -> PodRow:
    return PodRow(name, "1/1", status, "0", "5s")


def test_the_block_is_the_table_of_kubectl() -> None:
    """With a note under the pod that has one."""
    lines = block_lines([(row("a"), None), (row("b", "Terminating"), "stopping: main")], 80, 10)

    assert lines == [
        "NAME   READY   STATUS        RESTARTS   AGE",
        "a      1/1     Running       0          5s",
        "b      1/1     Terminating   0          5s",
        "  stopping: main",
    ]


def test_pods_that_do_not_fit_are_counted() -> None:
    """Those that something is going on with are shown, the others summed up."""
    entries: list[tuple[PodRow, str | None]] = [(row(f"done-{n}", "Completed"), None) for n in range(20)]
    lines = block_lines([*entries, (row("busy"), None)], 80, 4)

    assert len(lines) == 4
    assert lines[1].startswith("busy")
    assert lines[-1] == "and 19 more: 19 Completed"


@given(
    st.lists(st.tuples(st.sampled_from(["Running", "Completed", "Error"]), st.sampled_from([None, "note"]))),
    st.integers(4, 12),
    st.integers(20, 100),
)
def test_the_block_never_outgrows_its_place(
    pods: list[tuple[str, str | None]], height: int, width: int
) -> None:
    """Neither in lines nor in columns; every pod is counted."""
    entries = [(row(f"pod-{n}", status), note) for n, (status, note) in enumerate(pods)]
    lines = block_lines(entries, width, height)

    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)


def test_the_block_is_wiped_before_text_and_drawn_again_after_it() -> None:
    """Text scrolls away above it."""
    pipe = Pipe()
    block = Block(pipe.fd, color=False)
    block.lines = ("one", "two")
    first, second = block.frame(b"log\n"), block.frame(b"more\n")
    pipe.close()

    assert first == b"\x1b[?2026hlog\none\ntwo\x1b[?2026l"
    assert second == b"\x1b[?2026h\r\x1b[1A\x1b[Jmore\none\ntwo\x1b[?2026l"
    assert block.frame(b"") == b""


def test_the_block_is_drawn_while_the_pod_lives_and_gone_at_the_end() -> None:
    """What stays on the screen is the summary."""
    show = Show(terminal=True)
    pod = with_status(make_pod(), main_status(RUNNING, ready=True))
    show.changed(pod)
    show.screen.finish([pod], [], Ending())
    text = show.text()

    assert "NAME   READY   STATUS    RESTARTS   AGE\nweb    1/1     Running   0          5s" in text


def test_not_a_terminal_means_no_block() -> None:
    """Nothing is drawn into a pipe."""
    show = Show()
    show.changed(with_status(make_pod(), main_status(RUNNING)))
    show.screen.tick()

    assert show.text() == ""


def stopping(record: PodRecord, **fields: Any) -> PodRecord:
    """Everything of this pod is on its way down since instant 0, with 30 s of grace."""
    pre_stop = fields.pop("pre_stop", None)
    runs = {
        name: ContainerRecord(
            run=ContainerRun(0, 0.0, 0.0, pre_stop=pre_stop, stopping=Stopping("pod", 30.0, **fields))
        )
        for name in record.spec.all_containers
    }
    containers = Containers(runs, record.spec.lasting)
    return attrs.evolve(record, containers=containers, ending=PodEnding("deleted", 30.0))


@pytest.mark.parametrize(
    ("fields", "now", "expected"),
    [
        ({"pre_stop": HookRun()}, 18.0, "stopping, 12 s of grace left: main (preStop)"),
        ({}, 0.5, "stopping, 30 s of grace left: main (waiting for its turn)"),
        ({"signalled_at": 1.0}, 10.0, "stopping, 20 s of grace left: main (SIGTERM sent)"),
        ({"signalled_at": 29.5}, 31.0, "stopping, 1 s of grace left: main (SIGTERM sent)"),
        ({"signalled_at": 1.0, "killed_at": 30.0}, 31.0, "stopping, 0 s of grace left: main (SIGKILL sent)"),
    ],
)
def test_who_is_waited_for_and_how_much_grace_is_left(
    fields: dict[str, Any], now: float, expected: str
) -> None:
    """TERM-1 step by step; TERM-2 for a signal late in the grace."""
    record = stopping(new_record(make_pod(), LifecycleSettings(), 0.0), **fields)

    assert stopping_text(record, now) == expected


def test_those_that_the_others_wait_for_are_named_first() -> None:
    """A narrow terminal cuts the end off."""
    pod = make_pod("web", init_containers=(Container("proxy", restart_policy="Always"),))
    record = stopping(new_record(pod, LifecycleSettings(), 0.0), signalled_at=1.0)
    waiting = ContainerRecord(run=ContainerRun(0, 0.0, 0.0, stopping=Stopping("pod", 30.0)))
    record = attrs.evolve(record, containers=record.containers.with_one("proxy", waiting))

    expected = "stopping, 20 s of grace left: main (SIGTERM sent), proxy (waiting for its turn)"
    assert stopping_text(record, 10.0) == expected


def crashed(record: PodRecord, **fields: Any) -> PodRecord:
    """Its main container ended with exit code 3 at instant 100 and is held back for 20 s."""
    run = ContainerRun(2, 90.0, 90.0, **{"finished_at": 100.0, "exit_code": 3, **fields})
    held = ContainerRecord(run=run, backoff=BackoffEntry(20.0, 90.0))
    return attrs.evolve(record, containers=record.containers.with_one("main", held))


def test_backoff_3_a_crash_loop_says_when_it_goes_on() -> None:
    """CrashLoopBackOff alone leaves people waiting without knowing how long."""
    record = crashed(new_record(make_pod(), LifecycleSettings(), 0.0))

    assert crash_loop_text(record, 104.5) == "main starts again in 16s (exit code 3)"
    assert crash_loop_text(record, 120.0) is None
    assert crash_loop_text(attrs.evolve(record, ending=PodEnding("deleted", 130.0)), 102.0) is None


@pytest.mark.parametrize(
    ("code", "policy", "expected"),
    [
        (3, "Always", ", next start in 20s"),
        (0, "OnFailure", ""),
        (0, "Always", ", next start in 20s; exit code 0 makes no difference to restartPolicy Always"),
    ],
)
def test_backoff_7_a_back_off_event_tells_how_long_and_of_exit_code_0(
    code: int, policy: str, expected: str
) -> None:
    """The event's own words are the kubelet's and say neither."""
    show = Show()
    show.kubelet.put(make_pod(restart_policy=policy), lambda record: crashed(record, exit_code=code))
    message = "Back-off restarting failed container main in pod web_default(u1)"
    show.screen.event(make_event("BackOff", message, type="Warning"))

    assert show.lines() == [f"web/main ! BackOff: Back-off restarting failed container main{expected}"]


def test_a_pod_that_is_not_stopping_waits_for_nobody() -> None:
    """No note, no countdown."""
    assert stopping_text(new_record(make_pod(), LifecycleSettings(), 0.0), 1.0) is None


# ------------------------------------------------------------------------------------ the end


def test_finish_tells_what_a_container_was_killed_for() -> None:
    """Of the last instance, and only if it was not stopped with its pod."""
    messages = ["Container main failed liveness probe, will be restarted", "Stopping container main"]
    for message, expected in zip(messages, (True, False), strict=True):
        show = Show()
        show.screen.event(make_event("Killing", message))
        ended = with_status(make_pod(), main_status(exited(143)), phase="Failed")
        show.screen.finish([ended], [], Ending())

        text = "SIGTERM (Container main failed liveness probe [PROBE-14])\n"
        assert (text in show.text()) is expected


@pytest.mark.parametrize(
    ("reason", "said", "killing", "expected"),
    [
        (
            "Unhealthy",
            "Liveness probe failed: sick\nvery",
            "liveness probe",
            "liveness probe [PROBE-14]: sick",
        ),
        ("Unhealthy", "Startup probe failed: no", "startup probe", "startup probe [PROBE-15]: no"),
        ("Unhealthy", "Readiness probe failed: no", "startup probe", "startup probe [PROBE-15]"),
        (
            "FailedPostStartHook",
            'Exec lifecycle hook for Container "main" failed - error: it exited with 5',
            "its postStart hook",
            "its postStart hook [HOOK-3]: it exited with 5",
        ),
    ],
)
def test_finish_tells_what_the_probe_or_hook_said(
    reason: str, said: str, killing: str, expected: str
) -> None:
    """The first line: it has been shown as a whole, somewhere above."""
    show = Show()
    show.screen.event(make_event(reason, said, type="Warning"))
    show.screen.event(make_event("Killing", f"Container main failed {killing}"))
    show.screen.finish([with_status(make_pod(), main_status(exited(143)), phase="Failed")], [], Ending())

    assert f"SIGTERM (Container main failed {expected})\n" in show.text()


def test_finish_explains_failures_and_prints_the_tables() -> None:
    """Which container, how it ended, what it said last."""
    show = Show()
    show.log(b"starting\npanic: no database\n")
    show.screen.event(make_event("Signalled", "Sent SIGKILL to container main"))
    pod = make_pod(restart_policy="Never")
    pod = with_status(pod, main_status(exited(137), restart_count=2), phase="Failed")
    show.screen.finish([pod], [], Ending())

    assert show.lines()[2:] == [
        "",
        "Pod web failed: its main containers have ended, and not all with exit code 0 [PHASE-7]",
        "  main (attempt 3): exit code 137: killed by SIGKILL (its grace was over [TERM-15])",
        "    not started again: the pod's restartPolicy is Never [RESTART-4]",
        "    | starting",
        "    | panic: no database",
        "",
        "NAME   READY   STATUS   RESTARTS   AGE",
        "web    0/1     Error    2          5s",
    ]


def test_pods_that_history_limits_have_removed_are_forgotten() -> None:
    """A CronJob may be followed for months; what its limits have removed is not told of again."""
    show = Show()
    for number in range(500):
        pod = make_pod(f"p{number}")
        show.changed(with_status(pod, main_status(RUNNING)))
        show.screen.log(pod, "main", 0, "stdout", b"hello\n")
        show.kubelet.remove(pod.key, told=number == 7)

    assert len(show.screen._told) <= MANY_PODS + 1
    assert show.screen._lines.tail("default/p7", "main") == [b"hello"], (
        "its Job's own end is still to be told"
    )
    assert show.screen._lines.tail("default/p8", "main") == []


# ------------------------------------------------------------------------------------ json


def test_json_is_one_object_per_line_and_nothing_else() -> None:
    """-o json: log, event, summary."""
    show = Show(json=True)
    show.log("gr\u00fc\u00df dich\n".encode(), stream="stderr", attempt=1)
    show.screen.event(make_event("Created", "Created container: main"))
    show.changed(with_status(make_pod(), main_status(RUNNING)))
    pod = with_status(make_pod(), main_status(exited(0)), phase="Succeeded")
    show.screen.finish([pod], [], Ending())
    log, event, summary = show.objects()

    assert log == {
        "log": {
            "time": STAMP,
            "namespace": "default",
            "pod": "web",
            "container": "main",
            "attempt": 1,
            "stream": "stderr",
            "line": "gr\u00fc\u00df dich",
        }
    }
    assert event["event"]["reason"] == "Created"
    assert event["event"]["sequence"] == 1
    assert summary == {
        "summary": {
            "ending": "finished",
            "exitCode": 0,
            "pods": [
                {
                    "namespace": "default",
                    "phase": "Succeeded",
                    "name": "web",
                    "ready": "0/1",
                    "status": "Completed",
                    "restarts": "0",
                    "age": "5s",
                }
            ],
            "jobs": [],
            "cronJobs": [],
        }
    }


def test_json_shows_a_last_line_without_newline_before_the_exit() -> None:
    """As the text screen does."""
    show = Show(json=True)
    show.log(b"last words")
    show.screen.event(make_event("Exited", "Container main exited with code 0"))

    assert [next(iter(entry)) for entry in show.objects()] == ["log", "event"]


def test_event_text_keeps_the_count_of_one_to_itself() -> None:
    """`(1 times)` is nothing to say."""
    assert event_text(make_event("Unhealthy", "no", count=1)) == "Unhealthy: no"
