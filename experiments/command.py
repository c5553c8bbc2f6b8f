"""What every command shares: one line for what goes wrong, and the exit status.

0 done, 2 bad input, 74 the machine failed (disk, memory), 75 interrupted and to be run
again, 130 interrupted by Ctrl-C where nothing was running yet.
"""

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from gpz_jax.interruption import Interrupted
from gpz_jax.types import InputError

BROKEN = 74  # EX_IOERR
AGAIN = 75  # EX_TEMPFAIL
_DISK_IS_FULL = ('No space left', 'Disk quota exceeded', 'File too large')


def parse_flags(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
  """Parses a command line, the program's name first; returns what is no flag.

  Raises:
    InputError: a flag is unknown or has a value it may not have, or a flagfile cannot
      be read.
  """
  try:
    return values(argv)
  except (flags.Error, OSError) as error:  # OSError: a flagfile that is not there
    raise InputError(str(error)) from error
  except ValueError as error:  # what is in a flagfile, or in one that it names
    files = ' '.join(argument for argument in argv if 'flagfile' in argument)
    raise InputError(
      f'{files} cannot be read ({error}); give flags in UTF-8 text'
    ) from error


def check_no_more(argv: Sequence[str]) -> None:
  """Refuses what `parse_flags` left over, behind the program's name.

  Raises:
    InputError: naming the first argument that is no flag.
  """
  if len(argv) > 1:
    raise InputError(f"argument '{argv[1]}' is not a flag; flags begin with --")


def run(name: str, main: Callable[[list[str]], int | None]) -> NoReturn:
  """Parses flags and runs `main(positional arguments)`.

  Args:
    name: of the command, put before an error.
    main: returns the exit status; may raise InputError.
  """

  def fail(error: InputError) -> NoReturn:
    print(f'{name}: {error}', file=sys.stderr)
    sys.exit(2)

  def parse(argv: list[str]) -> list[str]:
    try:
      return parse_flags(flags.FLAGS, argv)
    except InputError as error:
      fail(error)
    except SystemExit:  # --help, which absl ends with 1
      sys.exit(0)

  def guarded(argv: list[str]) -> int | None:
    # TFDS and Orbax log every file they touch, and errors before they raise them.
    logging.set_verbosity(logging.FATAL)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be anything
      sys.stdout.reconfigure(errors='backslashreplace')
    # A shell that starts a command in the background has it ignore SIGINT, which is
    # what schedulers send before the time is up.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = _report_unraisable
    warnings.formatwarning = lambda message, *where: (
      f'{name}: warning: {str(message).splitlines()[0]}\n'
    )
    try:
      check_no_more(argv)
      status = main(argv[1:])
      sys.stdout.flush()
      return status
    except InputError as error:
      fail(error)
    except Interrupted as signal_received:
      print(
        f'{name}: {signal_received}; everything is saved, the same command goes on',
        file=sys.stderr,
      )
      return AGAIN
    except KeyboardInterrupt:
      print(
        f'{name}: interrupted; what is finished is kept, the same command goes on',
        file=sys.stderr,
      )
      return 130
    except BrokenPipeError:  # whoever read the output has seen enough, as head has
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
      return 128 + signal.SIGPIPE
    except Exception as error:
      reason = explain_failure(error)
      if reason is None:
        raise  # ours: with its traceback
      print(f'{name}: {reason}', file=sys.stderr)
      return BROKEN

  app.run(guarded, flags_parser=parse)
  raise AssertionError('app.run exits')


def explain_failure(error: Exception) -> str | None:
  """What the machine lacks and the way out, in one line; None for any other error."""
  text = ' '.join(str(error).split()) or type(error).__name__
  if any(words in text for words in _DISK_IS_FULL):  # Orbax wraps what the disk says
    return (
      f'the disk is full ({text[:200]}); make room and run the same command again:'
      ' what is finished is kept'
    )
  if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in text:
    return (
      f'out of memory ({text[:200]}); what is finished is kept: take fewer lanes at a'
      ' time (--cache_budget_gb, --strategy=map) or smaller batches, and run again'
    )
  if isinstance(error, OSError):
    return f'{text[:200]}; what is finished is kept: mend that and run it again'
  return None


def _report_unraisable(unraisable) -> None:
  """Of a damaged checkpoint, reads that Orbax no longer waits for fail in threads."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)
