"""One epoll for every pidfd and pipe of the supervisor.

Who watches a descriptor is told when it is readable; what that means is the watcher's business. The
one idea: an epoll descriptor can itself be waited for, so a single trio task serves any number of
containers, and before trio is loaded the same callbacks are run by `run_once` alone.
"""

import select
from collections.abc import Callable
from time import monotonic

STINT = 0.002
"Seconds of batch after batch before trio has a turn, which costs as much as copying a full pipe to a log."

Callback = Callable[[], None]


class Reactor:
    """Level-triggered: a callback that leaves something to read is called again in the next batch.

    That keeps the turns fair. A callback takes a bounded bite (one read of a pipe, say) and every other
    descriptor that is ready gets its turn before it is called again.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._deferred: list[Callback] = []

    def watch(self, fd: int, callback: Callback) -> None:
        """Call `callback` whenever `fd` is readable, at its end, or broken.

        Raises `OSError` when the descriptor is watched already or cannot be polled.
        """
        self._epoll.register(fd, select.EPOLLIN)
        self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Forget `fd`; to be called before it is closed. Safe inside callbacks, for any descriptor."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def defer(self, callback: Callback) -> None:
        """Call `callback` once at the end of the batch that is being served (of the next one if none is)."""
        self._deferred.append(callback)

    def run_once(self, timeout: float = 0) -> int:
        """Serve what is ready now, waiting up to `timeout` seconds for it; how many callbacks were run.

        An exception of a callback is passed on; descriptors it kept from being served are served next time.
        A Unix signal that comes just before the waiting begins does not end it (under trio it would).
        """
        callbacks = self._callbacks
        ready = [(fd, callbacks[fd]) for fd, _ in self._epoll.poll(timeout)]
        for fd, callback in ready:
            # A descriptor may have been closed by an earlier callback of this batch, and its number reused.
            if callbacks.get(fd) is callback:
                callback()
        while self._deferred:
            deferred, self._deferred = self._deferred, []
            for callback in deferred:
                callback()
        return len(ready)

    def fileno(self) -> int:
        """Readable when `run_once` has something to do."""
        return self._epoll.fileno()

    async def run(self, after_batch: Callback) -> None:
        """Serve for ever; `after_batch` is called when a batch of callbacks has been run."""
        from trio.lowlevel import wait_readable  # not before the first spawn: importing trio takes 0.14 s

        fd = self._epoll.fileno()
        while True:
            await wait_readable(fd)
            deadline = monotonic() + STINT
            while self.run_once():
                after_batch()
                if monotonic() > deadline:
                    break

    def close(self) -> None:
        self._epoll.close()
