"""What a study leaves in its folder where it fails, and where it does not."""

import pytest

from gpz_jax.interruption import Interrupted
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import SweepConfig


def begin(workdir, *, error=None, is_ours=True, trained=False):
  """A study that fails after it has written what identifies it."""
  with workdir.locked(print), workdir.undone_where_it_fails(is_ours=is_ours):
    workdir.write_identity(SweepConfig(workdir=str(workdir)))
    if trained:
      (workdir.targets / '0').mkdir(parents=True)
    if error is not None:
      raise error


def test_a_failure_before_anything_was_trained_leaves_nothing(tmp_path):
  workdir = Workdir(tmp_path / 'run')
  with pytest.raises(ValueError, match='too small'):
    begin(workdir, error=ValueError('too small'))
  assert not workdir.path.exists()


def test_a_folder_that_was_there_and_its_other_files_stay(tmp_path):
  workdir = Workdir(tmp_path)
  with pytest.raises(ValueError, match='too small'):
    begin(workdir, error=ValueError('too small'), is_ours=False)
  assert workdir.path.is_dir()
  assert list(workdir.path.iterdir()) == []


@pytest.mark.parametrize(
  ('error', 'trained'), [(Interrupted('SIGTERM received'), False), (ValueError(), True)]
)
def test_what_was_trained_or_interrupted_stays(tmp_path, error, trained):
  workdir = Workdir(tmp_path / 'run')
  with pytest.raises(type(error)):
    begin(workdir, error=error, trained=trained)
  assert workdir.config.exists()


def test_a_study_that_was_begun_before_stays(tmp_path):
  workdir = Workdir(tmp_path / 'run')
  begin(workdir)
  with pytest.raises(ValueError, match='too small'):
    begin(workdir, error=ValueError('too small'))
  assert workdir.config.exists()
