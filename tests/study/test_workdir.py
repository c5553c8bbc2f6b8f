"""What a study leaves in its folder where it fails, and where it does not."""

import pytest

from gpz_jax.interruption import Interrupted
from gpz_jax.study.undoing import undone_where_it_fails
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError


def begin(workdir, *, error=None, is_ours=True, trained=False, made=()):
  """A study that fails after it has written what identifies it."""
  undone = undone_where_it_fails(workdir, is_ours=is_ours, made=made)
  with workdir.locked(print), undone:
    workdir.write_identity(SweepConfig(workdir=str(workdir)))
    for folder in made:
      folder.mkdir(parents=True, exist_ok=True)
      (folder / 'program').write_text('compiled')
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


def test_folders_that_were_made_within_go_with_the_rest(tmp_path):
  workdir = Workdir(tmp_path / 'run')
  with pytest.raises(ValueError, match='too small'):
    begin(workdir, error=ValueError('too small'), made=[workdir.path / 'jax' / 'cache'])
  assert not workdir.path.exists()


def test_a_refusal_in_a_study_that_was_begun_leaves_what_was_there(tmp_path):
  workdir = Workdir(tmp_path / 'run')
  old, new = workdir.path / 'old', workdir.path / 'new' / 'cache'
  begin(workdir, made=[old])

  def refuse():
    with undone_where_it_fails(workdir, is_ours=False, made=[old, new]):
      new.mkdir(parents=True)
      workdir.tuned.write_text('{}')
      raise InputError('refused')

  with pytest.raises(InputError):
    refuse()
  assert (old / 'program').is_file()
  assert not new.parent.exists()
  assert not workdir.tuned.exists()
