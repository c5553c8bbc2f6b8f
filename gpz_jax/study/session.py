"""A study while it runs: what its parts share, and what it keeps for JAX."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import jax

from gpz_jax import interruption
from gpz_jax.study import programs
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.events import Events
from gpz_jax.study.plan import StudyPlan
from gpz_jax.study.progress import Progress
from gpz_jax.study.snapshots import SnapshotStore
from gpz_jax.study.workdir import Workdir
from gpz_jax.training.engine import Engine
from gpz_jax.types import InputError

Plan = TypeVar('Plan', bound=StudyPlan)


@dataclasses.dataclass(frozen=True)
class Session(Generic[Plan]):
  """What every part of a running study is handed.

  Attributes:
    plan: What the study does.
    engine: How lanes are computed.
    workdir: Where it is written.
    progress: What is told to whoever watches.
    events: Curves for TensorBoard.
    changed: Conditions that changed since the targets were trained; '' if none did.
  """

  plan: Plan
  engine: Engine
  workdir: Workdir
  progress: Progress
  events: Events
  changed: str = ''

  def say(self, text: str) -> None:
    """Prints one line."""
    self.progress.say(text)

  def snapshots(self, name: str, **identity: Any) -> SnapshotStore:
    """Where one training keeps its snapshots.

    Args:
      name: Name of a folder for it alone.
      **identity: JSON values that tell this training from others.
    """
    folder = self.workdir.running / name
    seconds = self.plan.config.save_seconds
    return SnapshotStore(folder, identity, self.engine, seconds, self.say)


def check_interrupted() -> None:
  """Raises Interrupted if a signal has come since the study is `watched`."""
  interruption.check()


@contextlib.contextmanager
def watched(config: StudyConfig, *, quiet: bool) -> Iterator[Progress]:
  """Within, progress is shown, signals are noted and JAX keeps what the config says.

  What JAX keeps inside the workdir waits for `kept_by_jax`, because nothing is written
  there before the study is planned.

  Args:
    config: Says where compiled programs and a trace are kept.
    quiet: Print nothing.
  """
  with contextlib.ExitStack() as stack:
    progress = stack.enter_context(Progress(quiet))
    stack.enter_context(kept_by_jax(config, inside=False))
    stack.enter_context(interruption.handled())
    yield progress


@contextlib.contextmanager
def kept_by_jax(config: StudyConfig, *, inside: bool) -> Iterator[None]:
  """Keeps compiled programs, and a trace, where the config says.

  Args:
    config: Names the folders.
    inside: Whether this is about folders inside the workdir, or about the others.

  Raises:
    InputError: A folder cannot be made.
  """
  within = {str(path) for path in Workdir(config.workdir).list_kept(config)}
  folders = {
    'compile_cache': programs.find_folder(config.compile_cache),
    'profile': config.profile,
  }
  named = {name: folder for name, folder in folders.items() if folder}
  chosen = {
    name: folder
    for name, folder in named.items()
    if (str(pathlib.Path(folder)) in within) == inside
  }
  for name, folder in chosen.items():
    _make_folder(name, folder)
  with contextlib.ExitStack() as stack:
    if cache := chosen.get('compile_cache'):
      stack.enter_context(programs.kept(cache))
    if trace := chosen.get('profile'):
      stack.enter_context(jax.profiler.trace(trace))
    yield


def _make_folder(name: str, folder: str) -> None:
  """Makes a folder now, because JAX would miss it only at the end."""
  try:
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(
      f'--{name}={folder} cannot be made: {error.strerror}; name another folder'
    ) from error
