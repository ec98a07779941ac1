"""How many whole pod lifecycles a second does the fuzzer live through, on one core?

    python benchmarks/bench_fuzz.py [WORLDS] [ROUNDS]

A lifecycle is that of one pod, from its acceptance to its removal; a world has one or more. The worlds are
the same in every round. Told is the median of the rounds, in processor time, so that a busy machine matters
less. `step` is all together, as a search does it: draw, live on the heap (every 64th also under trio), check.
Garbage is collected as seldom as a search does, too.
"""

import gc
import sys
import time
from collections.abc import Callable
from statistics import fmean, median
from typing import TypeVar

from minikubelet.fuzz import generate
from minikubelet.fuzz.draw import SeededDraw
from minikubelet.fuzz.engines import run_on_heap, run_under_trio
from minikubelet.fuzz.search import GC_THRESHOLD, Search, mix
from minikubelet.invariants.checker import check

SEED = 1
T = TypeVar("T")


def main() -> None:
    worlds, rounds = (int(number) for number in (*sys.argv[1:], *("300", "7")[len(sys.argv) - 1 :]))
    draws = [SeededDraw(mix(SEED, example)) for example in range(worlds)]
    cases = [generate.case(draw) for draw in draws]
    journals = [run_on_heap(case) for case in cases]
    search = Search(SEED)
    lives = sum(entry.what == "begun" for journal in journals for entry in journal.entries)
    choices = fmean(len(draw.choices) for draw in draws)
    entries = fmean(len(journal.entries) for journal in journals)
    print(f"{worlds} worlds, {lives} lifecycles; a world: {choices:.0f} choices, {entries:.0f} entries")
    seeds = [mix(SEED, example) for example in range(worlds)]
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    tell("generation", lives, rounds, seeds, lambda seed: generate.case(SeededDraw(seed)))
    tell("heap engine", lives, rounds, cases, run_on_heap)
    tell("trio engine", lives, rounds, cases, run_under_trio)
    tell("checking", lives, rounds, journals, check)
    tell("step", lives, rounds, list(range(worlds)), search.examine)


def tell(what: str, lives: int, rounds: int, given: list[T], do: Callable[[T], object]) -> None:
    spent = []
    for _ in range(rounds):
        gc.collect()
        began = time.process_time()
        for one in given:
            do(one)
        spent.append(time.process_time() - began)
    rate = lives / median(spent)
    print(f"{what:12} {rate:9,.0f} lifecycles/s (best round {lives / min(spent):9,.0f})", flush=True)


if __name__ == "__main__":
    main()
