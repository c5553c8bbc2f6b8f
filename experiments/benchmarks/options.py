"""What the suites measure, and the records they make of it."""

import dataclasses

from experiments.benchmarks import records
from experiments.benchmarks.peer import Peer
from experiments.benchmarks.records import Record
from gpz_jax.training.engine import Engine

IMAGE = (64, 64, 3)
# What VGG19 and IR-152 send at 64x64 in the splits the paper attacks; ViT's tokens.
ACTIVATIONS = ((32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 512), (257, 128))


@dataclasses.dataclass(frozen=True)
class Options:
  """What to measure."""

  engines: tuple[Engine, ...]
  lanes: tuple[int, ...]
  batch: int
  steps: int  # of one timed run
  repeats: int
  peer: Peer | None
  models: tuple[str, ...] = ('vgg19', 'ir152')
  case: str = ''  # only cases that contain this


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
  """A record of one step of all lanes, `work` operations, out of a timed run."""
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
  )
