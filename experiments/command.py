"""What every command shares: bad input is one line on stderr and exit status 2."""

import sys
from collections.abc import Callable
from typing import NoReturn

from absl import app, flags, logging

from gpz_jax.types import InputError


def run(name: str, main: Callable[[list[str]], int | None]) -> NoReturn:
  """Parses flags and runs `main(positional arguments)`.

  Args:
    name: of the command, put before an error.
    main: returns the exit status; may raise InputError.
  """

  def fail(error: Exception) -> NoReturn:
    print(f'{name}: {str(error).splitlines()[0]}', file=sys.stderr)
    sys.exit(2)

  def parse(argv: list[str]) -> list[str]:
    try:
      return flags.FLAGS(argv)
    except (flags.Error, OSError) as error:  # OSError: a flagfile that is not there
      fail(error)
    except SystemExit:  # --help, which absl ends with 1
      sys.exit(0)

  def guarded(argv: list[str]) -> int | None:
    logging.set_verbosity(logging.ERROR)  # TFDS and Orbax log every file they touch
    try:
      if len(argv) > 1:
        raise InputError(f"argument '{argv[1]}' is not a flag; flags begin with --")
      return main(argv[1:])
    except InputError as error:
      fail(error)

  app.run(guarded, flags_parser=parse)
  raise AssertionError('app.run exits')
