"""Times ours and the peer in turn, and defines what a record of the benchmark holds."""

import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gpz_jax.models.choices import Site
from gpz_jax.training import programs, tune

CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}
SLOW = 10.0  # seconds; what takes longer runs once instead of `repeats` times


@dataclasses.dataclass(frozen=True)
class Record:
  """One line of the benchmark.

  Seconds are medians. None stands for what was not measured.
  """

  suite: str
  case: str
  lanes: int
  batch: int
  strategy: str
  conv: str
  precision: str
  device: str
  seconds: float | None = None
  spread: float | None = None  # (slowest - fastest) / median of ours
  peer_seconds: float | None = None
  gflops_per_second: float | None = None  # by the analytic count
  compile_seconds: float | None = None
  peak_bytes: int | None = None  # arguments, results and temporaries of the program
  repeats: int = 0
  note: str = ''
  roofline: float | None = None  # GFLOP/s as a share of a large matrix product's

  @property
  def speedup(self) -> float | None:
    """How many times faster than the peer."""
    if self.seconds is None or self.peer_seconds is None:
      return None
    return self.peer_seconds / self.seconds

  def to_json(self) -> dict[str, Any]:
    """The record as a JSON object."""
    return dataclasses.asdict(self) | {'speedup': self.speedup}


@dataclasses.dataclass(frozen=True)
class Timing:
  """The medians of alternating runs, in seconds."""

  seconds: float
  spread: float
  peer_seconds: float | None
  repeats: int


def alternate(
  ours: Callable[[], Any],
  peer: Callable[[], float] | None,
  repeats: int,
  clock: str = 'wall',
) -> Timing:
  """Times ours and the peer in turn, so that drift of the machine affects both.

  One untimed run of each comes first.

  Args:
    ours: The function to time.
    peer: Runs the peer once and returns its seconds. None times ours alone.
    repeats: Number of timed runs of each. A run of more than SLOW seconds is the last.
    clock: One of `CLOCKS`; 'cpu' counts the seconds that processors worked.
  """
  now = CLOCKS[clock]
  jax.block_until_ready(ours())
  if peer:
    peer()
  mine, theirs = [], []
  for _ in range(repeats):
    began = now()
    jax.block_until_ready(ours())
    mine.append(now() - began)
    if peer:
      theirs.append(peer())
    if mine[-1] > SLOW:
      break
  median = statistics.median(mine)
  return Timing(
    median,
    (max(mine) - min(mine)) / median,
    statistics.median(theirs) if theirs else None,
    len(mine),
  )


@dataclasses.dataclass(frozen=True)
class Program:
  """A compiled program with the seconds it took to compile and the bytes it needs."""

  run: Callable[..., Any]
  compile_seconds: float
  peak_bytes: int | None


def compile_program(function: Any, *arguments: Any) -> Program:
  """Compiles a jitted function for its arguments."""
  began = time.perf_counter()
  compiled = function.lower(*arguments).compile()
  seconds = time.perf_counter() - began
  return Program(compiled, seconds, programs.peak_bytes(compiled))


def find_fastest(records: list[Record]) -> dict[str, str]:
  """Returns the fastest way for each convolution of the suite `conv`, per lane.

  A convolution is left out if not all of its likely implementations were timed.

  Args:
    records: What was measured. Records of other suites are ignored.

  Returns:
    Name of the convolution -> name of the way.
  """
  of_case: dict[str, list[Record]] = {}
  for record in records:
    if record.suite == 'conv':
      of_case.setdefault(record.case, []).append(record)
  return {
    case: min(timed, key=lambda r: (r.seconds or math.inf) / r.lanes).conv
    for case, timed in of_case.items()
    if {r.conv for r in timed} >= {*tune.likely_ways(Site.parse(case).kind)}
  }


def roofline(flops_per_second: float, precision: str, clock: str = 'wall') -> float:
  """A speed as a share of what a large matrix product reaches on this device."""
  return flops_per_second / _peak(precision, clock)


@functools.cache
def _peak(precision: str, clock: str) -> float:
  """Operations per second of a large matrix product, the best of several."""
  side, count = (1024, 4) if jax.default_backend() == 'cpu' else (8192, 16)
  factor, now = jnp.full((side, side), 1 / side, precision), CLOCKS[clock]

  @jax.jit
  def multiply(x):
    return jax.lax.fori_loop(0, count, lambda _, x: x @ factor, x)

  jax.block_until_ready(multiply(factor))
  seconds = []
  for _ in range(5):
    began = now()
    jax.block_until_ready(multiply(factor))
    seconds.append(now() - began)
  return 2 * count * side**3 / min(seconds)


def device_name() -> str:
  """Returns the kind of device that everything runs on."""
  return jax.devices()[0].device_kind


def format_table(records: list[Record]) -> str:
  """Formats the records as a table with one line each."""
  header = (
    f'{"suite":10}{"case":32}{"lanes":>6}{"batch":>6}  {"strategy":10}{"conv":11}'
    f'{"ms":>10}{"spread":>8}{"peer ms":>10}{"speedup":>9}{"GFLOP/s":>9}'
    f'{"share":>7}{"compile s":>11}{"MiB":>8}'
  )
  lines = [
    f'{r.suite:10}{r.case:32}{r.lanes:6}{r.batch:6}  {r.strategy:10}{r.conv:11}'
    f'{_cell(r.seconds, 1e3, 1):>10}{_percent(r.spread):>8}'
    f'{_cell(r.peer_seconds, 1e3, 1):>10}'
    f'{_cell(r.speedup, 1, 2):>9}{_cell(r.gflops_per_second, 1, 0):>9}'
    f'{_percent(r.roofline):>7}{_cell(r.compile_seconds, 1, 1):>11}'
    f'{_cell(r.peak_bytes, 2**-20, 0):>8}'
    f'{"  " + r.note if r.note else ""}'
    for r in records
  ]
  return '\n'.join([header, *lines])


def _percent(share: float | None) -> str:
  return '-' if share is None else f'{share:.0%}'


def _cell(value: float | None, scale: float, digits: int) -> str:
  return '-' if value is None else f'{scale * value:.{digits}f}'
