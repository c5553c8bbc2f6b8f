"""What tests of hostile files share. A file that is read for ever fails its test."""

import pathlib
import shutil
import signal

import pytest

from gpz_jax.data.builders import shapes
from gpz_jax.data.builders.shapes import shapes_dataset_builder
from gpz_jax.types import InputError

SECONDS = 120


@pytest.fixture(autouse=True)
def _no_hang():
  def stop(number, frame):
    raise TimeoutError(f'still running after {SECONDS} s')

  before = signal.signal(signal.SIGALRM, stop)
  signal.alarm(SECONDS)
  yield
  signal.alarm(0)
  signal.signal(signal.SIGALRM, before)


@pytest.fixture
def refused():
  """Calls a function; the one line of the InputError it raised, '' where it did not."""

  def call(function, *arguments, **options) -> str:
    try:
      function(*arguments, **options)
    except InputError as error:
      message = str(error)
      assert message.isprintable()
      assert message
      return message
    return ''

  return call


@pytest.fixture(scope='session')
def whole(tmp_path_factory) -> pathlib.Path:
  """The version folder of shapes/2_low with 12 and 6 examples; not to be changed."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(shapes_dataset_builder, 'NUM_EXAMPLES', {'train': 12, 'test': 6})
    return shapes.ensure_prepared('2_low', tmp_path_factory.mktemp('tfds'))


@pytest.fixture
def folder(whole, tmp_path) -> pathlib.Path:
  """A copy of that folder, to be damaged."""
  return pathlib.Path(shutil.copytree(whole, tmp_path / 'shapes/2_low' / whole.name))
