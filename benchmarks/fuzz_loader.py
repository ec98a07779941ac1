"""Does any manifest bring the loader a traceback, a hang or a heap without bounds?

    python -m benchmarks.fuzz_loader [--examples N | --time S] [--kind schema|bytes] [-j N] [--out DIR]

`schema` draws manifests of the API's own schema with odd values in a few places, `bytes` mutates the bytes
of real ones: guided by coverage where atheris is installed (`pip install atheris`), else, or with `blind`,
without looking. Without `--kind` both are done at once. Every input has to load, or to be refused with our
own errors, each with its place, within `CPU_SECONDS` and `MEMORY_BYTES` (`benchmarks.loader.oracle` says what
is tried).

What goes wrong is kept below DIR/crashes, once for each traceback, with the input. DIR/runs.jsonl has a line
for every run, so that inputs can be counted over all of them; DIR/corpus is what coverage has found.
"""

import argparse
import gc
import json
import mmap
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from random import Random

import attrs

CPU_SECONDS = 10
"Processor time that an input may take; far more than any needs, for a machine may be slow."
MEMORY_BYTES = 1536 * 1024 * 1024
"RLIMIT_AS of a worker."
CARRIED_ON = 4
"Every so many of those that load are explained and planned, too."
MAX_BYTES = 4096
"Of an input that is made of bytes."
STALLED_SECONDS = 180
"Without a finished input a worker is given up for dead."
SPECS = Path(__file__).parent.parent / "specs"
CRASHES = Path(__file__).parent.parent / "tests/api/crashes"

_SLOT = struct.Struct("<QI")
_SLOT_BYTES = 1 << 20


class Hung(BaseException):
    """An input took more than its time."""


# ------------------------------------------------------------------ workers


@attrs.define
class Worker:
    """Examines inputs in this process and keeps the books; what it is at stands in `slot`, should it die."""

    out: Path
    name: str
    slot: mmap.mmap
    stages: Counter[str] = attrs.Factory(Counter)
    crashes: int = 0
    slowest: float = 0.0
    began: float = attrs.Factory(time.monotonic)

    @property
    def inputs(self) -> int:
        return self.stages.total()

    def examine(self, data: bytes) -> None:
        from benchmarks.loader.oracle import examine

        kept = data[: _SLOT_BYTES - _SLOT.size]
        self.slot[: _SLOT.size] = _SLOT.pack(self.inputs, len(kept))
        self.slot[_SLOT.size : _SLOT.size + len(kept)] = kept
        signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
        began = time.process_time()
        try:
            stage: str = examine(data, carry_on=self.stages["loaded"] % CARRIED_ON == 0)
        except (Exception, Hung) as error:
            stage = "crash"
            self.crashes += 1
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            self._keep(data, error)
        spent = time.process_time() - began
        self.stages[stage] += 1
        if spent > self.slowest:
            self.slowest = spent
            (self.out / f"slowest-{self.name}").write_bytes(data)
        if self.inputs % 500 == 0:
            self.report()

    def _keep(self, data: bytes, error: BaseException) -> None:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/minikubelet/" in f.filename]
        marks = [f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in frames[-4:]]
        if not frames or isinstance(error, AssertionError):
            marks.append(re.sub(r"[0-9]+", "", str(error))[:16])
        if isinstance(error, Hung):
            marks = marks[:2]
        key = blake2b(" ".join([type(error).__name__, *marks]).encode(), digest_size=4).hexdigest()
        place = self.out / "crashes" / f"{type(error).__name__}-{key}.yaml"
        if not place.exists() or len(data) < place.stat().st_size:
            place.write_bytes(data)
            told = "".join(traceback.format_exception(error))
            place.with_suffix(".txt").write_text(told[-20_000:], errors="replace")

    def report(self) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        books = {
            "inputs": self.inputs,
            "stages": self.stages,
            "crashes": self.crashes,
            "slowest_seconds": round(self.slowest, 3),
            "peak_bytes": peak,
            "seconds": round(time.monotonic() - self.began, 1),
        }
        written = self.out / f".{self.name}.new"
        written.write_text(json.dumps(books))
        written.rename(self.out / f"{self.name}.json")


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def hung(number: int, frame: object) -> None:
        raise Hung

    signal.signal(signal.SIGVTALRM, hung)
    gc.freeze()
    gc.set_threshold(20_000)


def _work(options: argparse.Namespace) -> None:
    """The life of a worker process: until its inputs or its time are used up."""
    out = Path(options.out)
    with open(out / f"slot-{options.worker}", "r+b") as file:
        slot = mmap.mmap(file.fileno(), _SLOT_BYTES)
    worker = Worker(out, options.worker, slot)
    ends_at = time.monotonic() + options.time if options.time else float("inf")
    examples = options.examples or sys.maxsize

    def is_over() -> bool:
        return worker.inputs >= examples or time.monotonic() >= ends_at

    _bound()
    try:
        if options.kind == "schema":
            _schema(worker, options.seed, is_over)
        elif options.kind == "blind":
            _blind_bytes(worker, options.seed, is_over)
        else:
            _guided_bytes(worker, options.seed, is_over)
    finally:
        worker.report()


def _schema(worker: Worker, seed: int, is_over: Callable[[], bool]) -> None:
    from benchmarks.loader.generate import inputs

    number = 0
    while not is_over():
        for data in inputs(Random(f"{seed}/{number}")):
            worker.examine(data)
        number += 1


def _blind_bytes(worker: Worker, seed: int, is_over: Callable[[], bool]) -> None:
    from benchmarks.loader.mutate import mutated

    random, corpus = Random(seed), seeds()
    while not is_over():
        for _ in range(100):
            worker.examine(mutated(random.choice(corpus), random, corpus, MAX_BYTES))


def _guided_bytes(worker: Worker, seed: int, is_over: Callable[[], bool]) -> None:
    import atheris

    with atheris.instrument_imports(include=["minikubelet.api", "minikubelet.lifecycle.lints"]):
        from benchmarks.loader.mutate import TOKENS, mutated

    random, others = Random(seed), seeds()

    def one(data: bytes) -> None:
        worker.examine(data)
        if worker.inputs % 100 == 0 and is_over():
            worker.report()
            os._exit(0)  # libFuzzer knows no other end that keeps quiet

    def mutator(data: bytes, max_size: int, mutation_seed: int) -> bytes:
        if mutation_seed % 3:
            return mutated(data, Random(mutation_seed), others, max_size)
        return bytes(atheris.Mutate(data, max_size))

    del random, TOKENS
    corpus = worker.out / "corpus"
    arguments = [sys.argv[0], str(corpus), f"-max_len={MAX_BYTES}", f"-seed={seed % 2**31 + 1}"]
    arguments += ["-rss_limit_mb=0", "-timeout=36000", "-verbosity=0", f"-artifact_prefix={worker.out}/"]
    arguments += ["-use_value_profile=0", "-handle_segv=0", "-handle_abrt=0", "-print_final_stats=0"]
    atheris.Setup(arguments, one, custom_mutator=mutator, internal_libfuzzer=True)
    atheris.Fuzz()


def seeds() -> list[bytes]:
    """Manifests to begin with: the examples, and whatever was a crash once."""
    from benchmarks.loader.generate import inputs

    drawn = [next(inputs(Random(f"seed/{number}"))) for number in range(150)]
    files = sorted([*SPECS.glob("*.yaml"), *CRASHES.glob("*")])
    small = [data for data in (file.read_bytes() for file in files) if len(data) <= MAX_BYTES]
    return [*small, *(data for data in drawn if len(data) <= 700)]


# ------------------------------------------------------------------ the run


@attrs.define
class Shift:
    """A worker process as its employer sees it."""

    name: str
    kind: str
    process: subprocess.Popen[bytes]
    slot: mmap.mmap
    last: int = -1
    moved_at: float = attrs.Factory(time.monotonic)


def run(options: argparse.Namespace) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out = Path(options.out)
    for folder in (out, out / "crashes", out / "corpus"):
        folder.mkdir(parents=True, exist_ok=True)
    if not any((out / "corpus").iterdir()):
        for number, data in enumerate(seeds()):
            (out / "corpus" / f"seed-{number}").write_bytes(data)
    known = set((out / "crashes").glob("*.yaml"))
    began = time.monotonic()
    kinds = ["schema", _bytes_kind()] if options.kind is None else [options.kind]
    kinds = [_bytes_kind() if kind == "bytes" else kind for kind in kinds]
    workers = max(options.jobs, len(kinds))
    shifts = [_begin(options, kinds[n % len(kinds)], n, workers, out) for n in range(workers)]
    died = 0
    try:
        while any(shift.process.poll() is None for shift in shifts):
            time.sleep(0.2)
            for shift in shifts:
                died += _look_after(shift, out)
    except KeyboardInterrupt:
        pass
    finally:
        for shift in shifts:
            shift.process.terminate()
            shift.process.wait()
    books = _books(out, shifts)
    books |= {"seconds": round(time.monotonic() - began, 1), "died": died, "seed": options.seed}
    with open(out / "runs.jsonl", "a") as ledger:
        ledger.write(json.dumps(books) + "\n")
    found = sorted(set((out / "crashes").glob("*.yaml")) - known)
    _tell(books, found, out)
    return 1 if books["crashes"] or died else 0


def _bytes_kind() -> str:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return "blind"
    return "bytes"


def _begin(options: argparse.Namespace, kind: str, number: int, workers: int, out: Path) -> Shift:
    name = f"{os.getpid()}-{number}"
    with open(out / f"slot-{name}", "w+b") as file:
        file.truncate(_SLOT_BYTES)
        slot = mmap.mmap(file.fileno(), _SLOT_BYTES)
    argv = [sys.executable, "-m", "benchmarks.fuzz_loader", "--worker", name, "--kind", kind]
    argv += ["--out", str(out), "--seed", str(options.seed * 1000 + number)]
    if options.time:
        argv += ["--time", str(options.time)]
    else:
        argv += ["--examples", str(-(-options.examples // workers))]
    with open(out / f"log-{name}", "wb") as log:
        return Shift(name, kind, subprocess.Popen(argv, stdout=log, stderr=log), slot)


def _look_after(shift: Shift, out: Path) -> int:
    """Keeps the input of a worker that has died or hangs where no signal is heard. How many have."""
    done, length = _SLOT.unpack(shift.slot[: _SLOT.size])
    if done != shift.last:
        shift.last, shift.moved_at = done, time.monotonic()
    code = shift.process.poll()
    stalled = code is None and time.monotonic() - shift.moved_at > STALLED_SECONDS
    if stalled:
        shift.process.kill()
        code = shift.process.wait()
    if not code or shift.last == -2:
        return 0
    shift.last = -2
    why = "stalled" if stalled else f"exit-{code}"
    data = bytes(shift.slot[_SLOT.size : _SLOT.size + length])
    (out / "crashes" / f"{why}-{shift.name}.yaml").write_bytes(data)
    return 1


def _books(out: Path, shifts: list[Shift]) -> dict[str, object]:
    """What the workers noted, in one."""
    stages: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    crashes, slowest, peak = 0, 0.0, 0
    for shift in shifts:
        file = out / f"{shift.name}.json"
        if not file.exists():
            continue
        one = json.loads(file.read_text())
        stages.update(one["stages"])
        kinds[shift.kind] += one["inputs"]
        crashes += one["crashes"]
        peak = max(peak, one["peak_bytes"])
        if one["slowest_seconds"] >= slowest:
            slowest = one["slowest_seconds"]
            (out / "slowest").write_bytes((out / f"slowest-{shift.name}").read_bytes())
        for spent in (file, out / f"slowest-{shift.name}", out / f"slot-{shift.name}"):
            spent.unlink(missing_ok=True)
    return {
        "inputs": stages.total(),
        "kinds": kinds,
        "stages": stages,
        "crashes": crashes,
        "slowest_seconds": slowest,
        "peak_bytes": peak,
    }


def _tell(books: dict[str, object], found: list[Path], out: Path) -> None:
    stages: Counter[str] = Counter(books["stages"])  # type: ignore[call-overload]
    kinds: Counter[str] = Counter(books["kinds"])  # type: ignore[call-overload]
    total, seconds = max(1, stages.total()), float(str(books["seconds"]))
    past_yaml = total - stages["text"] - stages["yaml"] - stages["crash"]
    past_schema = stages["validation"] + stages["loaded"]
    print(f"{stages.total():,} inputs ({', '.join(f'{n:,} {kind}' for kind, n in kinds.items())})")
    print(f"in {seconds:.0f} s, {total / max(0.1, seconds):,.0f} inputs/s")
    print(f"past YAML {past_yaml / total:.1%}, past the schema {past_schema / total:.1%},")
    print(f"  loaded {stages['loaded'] / total:.1%}")
    peak = int(str(books["peak_bytes"])) // 2**20
    print(
        f"slowest input {books['slowest_seconds']} s of processor time ({out}/slowest), "
        f"peak memory {peak} MiB"
    )
    print(f"crashes: {books['crashes']} inputs, {len(found)} new tracebacks, {books['died']} workers died")
    for file in found:
        print(f"  {file}")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz_loader", description="Fuzz the manifest loader."
    )
    until = parser.add_mutually_exclusive_group()
    until.add_argument("--examples", type=int, default=0, metavar="N", help="inputs in all; default: 20000")
    until.add_argument("--time", type=float, default=0, metavar="S", help="seconds")
    parser.add_argument("--kind", choices=["schema", "bytes", "blind"], help="default: schema and bytes")
    parser.add_argument("-j", dest="jobs", type=int, default=1, metavar="N", help="worker processes")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument("--out", default="", metavar="DIR", help="default: a new directory in /tmp")
    parser.add_argument("--worker", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        _work(options)
        return 0
    if not (options.examples or options.time):
        options.examples = 20_000
    options.out = options.out or tempfile.mkdtemp(prefix="fuzz-loader-")
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
