"""What the suites measure, and the records that they make."""

import dataclasses

from gpz_jax.commands.benchmarks import records
from gpz_jax.commands.benchmarks.peer import Peer
from gpz_jax.commands.benchmarks.records import Record
from gpz_jax.training.engine import Engine

IMAGE = (64, 64, 3)
# What VGG19 and IR-152 send at 64x64 at the splits that the paper attacks, and the
# tokens of the ViT.
ACTIVATIONS = ((32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 512), (257, 128))


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure.

  Attributes:
    engines: Ways to run the lanes, each of which is measured.
    lanes: Numbers of lanes that run at a time.
    batch: Batch size.
    steps: Steps in one timed run.
    repeats: Number of timed runs.
    peer: What to compare with, or None.
    models: Targets of the suites `sweep` and `target`; () for those of the suite.
    widths: Multiples of the channels in the suite `target`.
    case: Only cases whose name contains this text are measured.
    candidates: Candidates of a class in the suite `inversion`.
    sizes: Sides of the images that are timed in the suite `inversion`.
    clock: One of `records.CLOCKS`, for the suites `step`, `target` and `inversion`.
  """

  engines: tuple[Engine, ...]
  lanes: tuple[int, ...]
  batch: int
  steps: int
  repeats: int
  peer: Peer | None
  models: tuple[str, ...] = ()
  widths: tuple[float, ...] = (0.25, 0.5, 1.0)
  case: str = ''
  candidates: int = 8
  sizes: tuple[int, ...] = (32, 64)
  clock: str = 'wall'


def make_record(
  options: Options,
  engine: Engine,
  timing: records.Timing,
  program: records.Program,
  work: int,
  suite: str,
  case: str,
  lanes: int,
  way: str,
) -> Record:
  """Makes the record of one step of all lanes from a timed run.

  Args:
    options: What is measured.
    engine: How the lanes ran.
    timing: Seconds of a run of `options.steps` steps.
    program: The compiled program.
    work: Operations in one step of all lanes.
    suite: Name of the suite.
    case: Name of the case.
    lanes: Number of lanes that ran.
    way: How the convolutions were computed.
  """
  seconds = timing.seconds / options.steps
  peer = None if timing.peer_seconds is None else timing.peer_seconds / options.steps
  return Record(
    suite=suite,
    case=case,
    lanes=lanes,
    batch=options.batch,
    strategy=engine.strategy,
    conv=way,
    precision=engine.precision,
    device=records.device_name(),
    seconds=seconds,
    spread=timing.spread,
    peer_seconds=peer,
    gflops_per_second=work / seconds / 1e9,
    compile_seconds=program.compile_seconds,
    peak_bytes=program.peak_bytes,
    repeats=timing.repeats,
    roofline=records.roofline(work / seconds, engine.precision, options.clock),
  )
