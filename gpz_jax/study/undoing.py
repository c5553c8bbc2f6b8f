"""What a study has written that fails before anything was trained is undone."""

import contextlib
import pathlib
import shutil
from collections.abc import Iterable, Iterator

from gpz_jax.interruption import Interrupted
from gpz_jax.study.workdir import Workdir
from gpz_jax.types import InputError


@contextlib.contextmanager
def undone_where_it_fails(
  workdir: Workdir, *, is_ours: bool, made: Iterable[pathlib.Path] = ()
) -> Iterator[None]:
  """Removes what was written within if it fails before anything was trained.

  A corrected command would otherwise find the folder of another study. In a folder that
  a study was begun in before, a refusal leaves what identifies it as it was. Enter it
  while the lock is held: nobody else's files are changed then.

  Args:
    workdir: The folder of the study.
    is_ours: Whether this process made the folder.
    made: Further folders inside that are written within. What holds them is removed as
      well if it was not there before.
  """
  was_begun = workdir.config.exists()
  files = (workdir.config, workdir.flags, workdir.environment, workdir.tuned)
  before = {file: file.read_bytes() for file in files if file.is_file()}
  tops = {_find_top(workdir, folder) for folder in made}
  new = [folder for folder in tops if not folder.exists()]
  try:
    yield
  except Interrupted:
    raise
  except Exception as error:
    is_trained = workdir.list_checkpoints() or any(workdir.path.glob('*.jsonl'))
    if was_begun and isinstance(error, InputError):
      _restore(files, before)
      _remove_folders(new)
    if not was_begun and not is_trained:
      _remove(workdir)
      _remove_folders(new)
      if is_ours and not any(workdir.path.iterdir()):
        workdir.path.rmdir()
    raise


def _find_top(workdir: Workdir, folder: pathlib.Path) -> pathlib.Path:
  """What lies directly in the workdir and holds a folder, or is it, or the workdir."""
  inside = folder.resolve().relative_to(workdir.path.resolve())
  return workdir.path.joinpath(*inside.parts[:1])


def _restore(files: Iterable[pathlib.Path], before: dict[pathlib.Path, bytes]) -> None:
  """Makes files what they were, or removes them where they were not there."""
  for file in files:
    if file in before:
      file.write_bytes(before[file])
    else:
      file.unlink(missing_ok=True)


def _remove(workdir: Workdir) -> None:
  """Removes the files of a study that has trained nothing."""
  files = (workdir.config, workdir.flags, workdir.environment)
  for file in (*files, workdir.ladder, workdir.tuned, workdir.attacked):
    file.unlink(missing_ok=True)
  made = (workdir.samples, workdir.events, workdir.targets, workdir.decoders)
  _remove_folders((*made, workdir.embeddings))
  workdir.tidy()
  workdir.lock.unlink(missing_ok=True)


def _remove_folders(folders: Iterable[pathlib.Path]) -> None:
  for folder in folders:
    shutil.rmtree(folder, ignore_errors=True)
