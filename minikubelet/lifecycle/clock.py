"""Ask the time, and thereby set the alarm.

Decisions compare instants through `Clock.reached` only: a deadline that is tested is a deadline that
will wake the pod, so no wake-up can be forgotten. Instants are seconds on a monotonic clock (LOCAL-8).
"""

from math import inf


class Clock:
    __slots__ = ("alarm", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self.alarm = inf
        "The earliest instant that was asked about and has not come yet."

    def reached(self, instant: float) -> bool:
        if self.now < instant:
            if instant < self.alarm:
                self.alarm = instant
            return False
        return True
