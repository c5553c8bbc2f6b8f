"""Times ours and the peer in turn, and defines what a record of the benchmark holds."""

import dataclasses
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from gpz_jax.models.choices import Site
from gpz_jax.training import programs, tune

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
  seconds: float
  spread: float  # (slowest - fastest) / median of ours
  peer_seconds: float | None
  gflops_per_second: float | None  # by the analytic count
  compile_seconds: float | None
  peak_bytes: int | None  # arguments, results and temporaries of the compiled program
  repeats: int
  note: str = ''

  @property
  def speedup(self) -> float | None:
    """How many times faster than the peer."""
    return None if self.peer_seconds is None else self.peer_seconds / self.seconds

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
) -> Timing:
  """Times ours and the peer in turn, so that drift of the machine affects both.

  One untimed run of each comes first.

  Args:
    ours: The function to time.
    peer: Runs the peer once and returns its seconds. None times ours alone.
    repeats: Number of timed runs of each. A run of more than SLOW seconds is the last.
  """
  jax.block_until_ready(ours())
  if peer:
    peer()
  mine, theirs = [], []
  for _ in range(repeats):
    began = time.perf_counter()
    jax.block_until_ready(ours())
    mine.append(time.perf_counter() - began)
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
    case: min(timed, key=lambda r: r.seconds / r.lanes).conv
    for case, timed in of_case.items()
    if {r.conv for r in timed} >= {*tune.likely_ways(Site.parse(case).kind)}
  }


def device_name() -> str:
  """Returns the kind of device that everything runs on."""
  return jax.devices()[0].device_kind


def format_table(records: list[Record]) -> str:
  """Formats the records as a table with one line each."""
  header = (
    f'{"suite":6}{"case":32}{"lanes":>6}{"batch":>6}  {"strategy":10}{"conv":11}'
    f'{"ms":>10}{"spread":>8}{"peer ms":>10}{"speedup":>9}{"GFLOP/s":>9}'
    f'{"compile s":>11}{"MiB":>8}'
  )
  lines = [
    f'{r.suite:6}{r.case:32}{r.lanes:6}{r.batch:6}  {r.strategy:10}{r.conv:11}'
    f'{1e3 * r.seconds:10.1f}{r.spread:8.0%}{_cell(r.peer_seconds, 1e3, 1):>10}'
    f'{_cell(r.speedup, 1, 2):>9}{_cell(r.gflops_per_second, 1, 0):>9}'
    f'{_cell(r.compile_seconds, 1, 1):>11}{_cell(r.peak_bytes, 2**-20, 0):>8}'
    f'{"  " + r.note if r.note else ""}'
    for r in records
  ]
  return '\n'.join([header, *lines])


def _cell(value: float | None, scale: float, digits: int) -> str:
  return '-' if value is None else f'{scale * value:.{digits}f}'
