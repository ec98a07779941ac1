"""One epoll for all descriptors: who is called, when, and that nobody is starved."""

import os
import select
from collections.abc import Callable, Iterator

import pytest
import trio

from minikubelet.runtime.reactor import Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


class Ends:
    """A pipe that tells how often its reading end was called."""

    def __init__(self, reactor: Reactor) -> None:
        self.reader, self.writer = os.pipe()
        self.calls = 0
        reactor.watch(self.reader, self.called)

    def called(self) -> None:
        self.calls += 1


@pytest.fixture
def make_pipe(reactor: Reactor) -> Iterator[Callable[[], Ends]]:
    made: list[Ends] = []

    def make() -> Ends:
        made.append(Ends(reactor))
        return made[-1]

    yield make
    for ends in made:
        os.close(ends.reader)
        os.close(ends.writer)


def fail() -> None:
    raise ZeroDivisionError


def test_nothing_ready_runs_nothing(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    pipe = make_pipe()

    assert (reactor.run_once(), pipe.calls) == (0, 0)


def test_a_callback_that_reads_nothing_is_called_again(
    reactor: Reactor, make_pipe: Callable[[], Ends]
) -> None:
    pipe = make_pipe()
    os.write(pipe.writer, b"x")

    assert [reactor.run_once(), reactor.run_once(), pipe.calls] == [1, 1, 2]


def test_an_unwatched_descriptor_is_forgotten(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    pipe = make_pipe()
    os.write(pipe.writer, b"x")
    reactor.unwatch(pipe.reader)

    assert (reactor.run_once(), pipe.calls) == (0, 0)


def test_a_callback_may_unwatch_the_others_of_its_batch(
    reactor: Reactor, make_pipe: Callable[[], Ends]
) -> None:
    """Whichever of two ready callbacks comes first silences the other."""
    pipes = [make_pipe(), make_pipe()]
    called: list[int] = []

    def only(me: int) -> Callable[[], None]:
        def callback() -> None:
            called.append(me)
            reactor.unwatch(pipes[1 - me].reader)

        return callback

    for me, pipe in enumerate(pipes):
        reactor.unwatch(pipe.reader)
        reactor.watch(pipe.reader, only(me))
        os.write(pipe.writer, b"x")
    reactor.run_once()

    assert len(called) == 1


def test_a_reused_descriptor_does_not_get_its_predecessors_event(
    reactor: Reactor, make_pipe: Callable[[], Ends]
) -> None:
    """Closed and opened anew within a batch: the event was meant for the old one."""
    pipes = [make_pipe(), make_pipe()]
    stale: list[str] = []

    def replace(me: int) -> Callable[[], None]:
        def callback() -> None:
            other = pipes[1 - me].reader
            reactor.unwatch(other)
            fresh, writer = os.pipe()
            os.dup2(fresh, other)
            os.close(fresh)
            os.close(writer)  # so that it is readable: at its end
            reactor.watch(other, lambda: stale.append("called"))
            reactor.unwatch(pipes[me].reader)

        return callback

    for me, pipe in enumerate(pipes):
        reactor.unwatch(pipe.reader)
        reactor.watch(pipe.reader, replace(me))
        os.write(pipe.writer, b"x")
    reactor.run_once()
    in_first_batch = list(stale)
    reactor.run_once()

    assert (in_first_batch, stale) == ([], ["called"])


def test_exceptions_are_passed_on_and_the_others_served_next(
    reactor: Reactor, make_pipe: Callable[[], Ends]
) -> None:
    pipes = [make_pipe() for _ in range(3)]
    for pipe in pipes:
        os.write(pipe.writer, b"x")
    broken = pipes[1].reader
    reactor.unwatch(broken)
    reactor.watch(broken, fail)
    with pytest.raises(ZeroDivisionError):
        reactor.run_once()
    reactor.unwatch(broken)
    reactor.run_once()

    assert pipes[0].calls >= 1
    assert pipes[2].calls >= 1


def test_a_flood_leaves_the_others_their_turn(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    """One that is always ready is called once a batch, and so is one that has something at times."""
    flood, quiet = make_pipe(), make_pipe()
    os.write(flood.writer, b"x")
    for _ in range(5):
        reactor.run_once()
    os.write(quiet.writer, b"x")
    reactor.run_once()

    assert (flood.calls, quiet.calls) == (6, 1)


def test_deferred_callbacks_come_after_the_batch(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    """Also those that deferred callbacks defer; each once."""
    order: list[str] = []
    for _ in range(2):
        pipe = make_pipe()
        reactor.unwatch(pipe.reader)

        def callback() -> None:
            order.append("event")
            reactor.defer(deferred)

        reactor.watch(pipe.reader, callback)
        os.write(pipe.writer, b"x")

    def deferred() -> None:
        order.append("deferred")
        if order.count("deferred") == 1:
            reactor.defer(lambda: order.append("last"))

    reactor.run_once()
    reactor.unwatch(pipe.reader)

    assert order == ["event", "event", "deferred", "deferred", "last"]


def test_it_can_be_polled_itself(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    poll = select.poll()
    poll.register(reactor, select.POLLIN)
    pipe = make_pipe()
    before = poll.poll(0)
    os.write(pipe.writer, b"x")

    assert before == []
    assert poll.poll(0) == [(reactor.fileno(), select.POLLIN)]


def test_under_trio_one_task_serves_all(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    """`after_batch` is called after the callbacks of each batch, until the task is cancelled."""
    pipes = [make_pipe() for _ in range(3)]
    seen: list[list[int]] = []

    async def main() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:

                def after_batch() -> None:
                    seen.append([pipe.calls for pipe in pipes])
                    for pipe in pipes:
                        os.read(pipe.reader, 1)
                        if len(seen) < 3:
                            os.write(pipe.writer, b"x")
                    if len(seen) == 3:
                        nursery.cancel_scope.cancel()

                nursery.start_soon(reactor.run, after_batch)
                for pipe in pipes:
                    os.write(pipe.writer, b"x")

    trio.run(main)

    assert seen == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]


def test_under_trio_the_other_tasks_have_their_turns(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    """Even beside a pipe that is never empty."""
    os.write(make_pipe().writer, b"x")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reactor.run, lambda: None)
            await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    trio.run(main)  # or it would never come to an end


def test_under_trio_exceptions_end_the_run(reactor: Reactor, make_pipe: Callable[[], Ends]) -> None:
    pipe = make_pipe()
    reactor.unwatch(pipe.reader)
    reactor.watch(pipe.reader, fail)
    os.write(pipe.writer, b"x")

    with pytest.raises(ZeroDivisionError):
        trio.run(reactor.run, lambda: None)
