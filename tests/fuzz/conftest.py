"""A file that makes a reader wait for ever fails its test."""

import signal

import pytest

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
