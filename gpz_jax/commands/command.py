"""What every command shares: an error is one line, and the exit status says its kind.

The status is 0 if the work is done and 2 for bad input. It is 73 if another process is
writing the workdir, 74 if the machine failed (disk, memory), and 75 if the command was
interrupted and can be run again. It is 130 if Ctrl-C came before anything was running.
"""

import io
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from absl import app, flags, logging

from gpz_jax.commands import help as help_lib
from gpz_jax.commands import presets, streams
from gpz_jax.interruption import Interrupted
from gpz_jax.types import BusyError, InputError

BUSY = 73  # EX_CANTCREAT
BROKEN = 74  # EX_IOERR
AGAIN = 75  # EX_TEMPFAIL
_CONFIG, _FLAGS = 'config.json', 'run.flags'  # of a workdir, see study.workdir
_DISK_IS_FULL = (
  'No space left',
  'Disk quota exceeded',
  'File too large',
  'requested and',  # NumPy's words for a short write: 6144 requested and 3968 written
)


class ListText(flags.ArgumentParser):
  """Parses nothing, and tells that a flag's text is a list separated by commas."""


def parse_flags(values: flags.FlagValues, argv: Sequence[str]) -> list[str]:
  """Parses a command line and returns what is not a flag.

  A run.flags stands for the folder that it lies in now, wherever that was made.

  Args:
    values: The flags, which receive their values.
    argv: The command line. The first entry is the program's name.

  Raises:
    InputError: A flag or preset is unknown, a value is not allowed, a list is given
      twice, or a flagfile cannot be read.
  """
  argv = presets.expand(argv)
  _check_repeated(values, argv[1:])
  try:
    return values(_name_folders(argv) if 'workdir' in values else argv)
  except flags.UnrecognizedFlagError as error:
    reason = presets.explain_unknown(error.flagname, argv) if 'model' in values else ''
    raise InputError(reason or str(error)) from error
  except (flags.Error, OSError) as error:  # OSError: a flagfile does not exist
    raise InputError(str(error)) from error
  except ValueError as error:  # the content of a flagfile, or of one that it names
    files = ' '.join(argument for argument in argv if 'flagfile' in argument)
    raise InputError(
      f'{files} cannot be read ({error}); give flags in UTF-8 text'
    ) from error


def _check_repeated(
  values: flags.FlagValues, arguments: Sequence[str], files: Sequence[str] = ()
) -> None:
  """Refuses a list that is given twice, of which absl would keep the second alone.

  A command line and each flagfile may replace the lists of another.

  Args:
    values: The flags.
    arguments: The command line without the program's name, or the lines of a flagfile.
    files: The flagfiles that these lines are in, from the outermost on.
  """
  given: dict[str, str] = {}
  for name, value in _list_given(values, arguments):
    if name == 'flagfile':
      file = os.path.expanduser(value.strip())
      if file not in files:
        _check_repeated(values, _read_lines(file), [*files, file])
      continue
    if not isinstance(values[name].parser, (flags.ListParser, ListText)):
      continue
    if name in given:
      where = f' in {files[-1]}' if files else ''
      raise InputError(
        f'--{name} is given twice{where}; give one list, as'
        f' --{name}={given[name]},{value}'
      )
    given[name] = value


def _list_given(
  values: flags.FlagValues, arguments: Sequence[str]
) -> Iterator[tuple[str, str]]:
  """The flags that are given, with the texts of their values, in order."""
  rest = iter(arguments)
  for argument in rest:
    if argument == '--':
      return
    name, equals, value = argument.lstrip('-').partition('=')
    is_known = name in values
    if not argument.startswith('-') or not (is_known or name == 'flagfile'):
      continue
    if not equals and not (is_known and values[name].boolean):
      value = next(rest, '')
    yield name, value


def _read_lines(file: str) -> list[str]:
  """The lines of a flagfile; none where it cannot be read, as the parser will say.

  What is no file, as the pipe of a shell, can be read only once and is left to it.
  """
  if not os.path.isfile(file):
    return []
  try:
    with open(file) as lines:
      return [line.strip() for line in lines]
  except (OSError, ValueError):
    return []


def _name_folders(argv: Sequence[str]) -> list[str]:
  """The command line, with the folder of each study's flagfile behind that file."""
  found: list[str] = []
  for argument in argv:
    is_name = bool(found) and found[-1] in ('--flagfile', '-flagfile')
    found.append(argument)
    name, equals, path = argument.partition('=')
    if equals and name in ('--flagfile', '-flagfile'):
      is_name, argument = True, path
    folder, file = os.path.split(os.path.expanduser(argument.strip()))
    if is_name and file == _FLAGS and os.path.exists(os.path.join(folder, _CONFIG)):
      found.append(f'--workdir={folder or os.curdir}')
  return found


def check_no_more(argv: Sequence[str]) -> None:
  """Refuses arguments that are not flags.

  Args:
    argv: What `parse_flags` returned, beginning with the program's name.

  Raises:
    InputError: There is such an argument; the message names the first one.
  """
  if len(argv) > 1:
    raise InputError(f"argument '{argv[1]}' is not a flag; flags begin with --")


def run(
  name: str,
  main: Callable[[list[str]], int | None],
  define_flags: Callable[[], None],
  layout: help_lib.Layout | None = None,
  *,
  needs_reader: bool = False,
) -> NoReturn:
  """Parses the flags, runs the command and exits with its status.

  Args:
    name: Name of the command, which is put before every error.
    main: Receives the positional arguments and returns the exit status. It may raise
      InputError. The docstring of its module is the beginning of --help.
    define_flags: Defines the command's flags.
    layout: How --help shows them; None shows them all in their order.
    needs_reader: Whether the command only prints. It then ends as soon as nobody reads
      that any more. All others do their work, and their status tells of it.
  """
  streams.open_closed()
  if not needs_reader:
    streams.outlive_readers()
  known = set(flags.FLAGS)
  define_flags()
  own = [flag for flag in flags.FLAGS if flag not in known]
  wanted: str | None = None

  def parse(argv: list[str]) -> list[str]:
    nonlocal wanted
    argv, wanted = help_lib.split_off(argv)
    try:
      return parse_flags(flags.FLAGS, argv)
    except InputError as error:
      fail(name, error)
    except SystemExit:  # absl's --helpxml, for which it would exit with 1
      sys.exit(0)

  def guarded(argv: list[str]) -> int | None:
    _prepare_process(name)
    try:
      check_no_more(argv)
      if wanted:
        intro = sys.modules[main.__module__].__doc__ or ''
        print(help_lib.describe(intro, flags.FLAGS, own, layout, wanted))
        status = 0
      else:
        status = main(argv[1:])
      if sys.stdout is not None:  # it was closed before the command began
        sys.stdout.flush()
      return status
    except BaseException as error:
      return _status_of(name, error)

  app.run(guarded, flags_parser=parse)
  raise AssertionError('app.run exits')


def fail(name: str, error: InputError) -> NoReturn:
  """Prints the one line of an error and exits with its status."""
  print(f'{name}: {error}', file=sys.stderr)
  sys.exit(BUSY if isinstance(error, BusyError) else 2)


def _prepare_process(name: str) -> None:
  """Sets up logging, output, signals and warnings for a command."""
  # TFDS and Orbax log every file they touch, and log errors before they raise them.
  logging.set_verbosity(logging.FATAL)
  if isinstance(sys.stdout, io.TextIOWrapper):  # a file name may hold any character
    sys.stdout.reconfigure(errors='backslashreplace')
  # A shell makes a command that it starts in the background ignore SIGINT, which is
  # what schedulers send before the time is up.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  sys.unraisablehook = _report_unraisable
  warnings.formatwarning = lambda message, *where: (
    f'{name}: warning: {str(message).splitlines()[0]}\n'
  )


def _status_of(name: str, error: BaseException) -> int:
  """Reports what ended a command and returns its exit status.

  Errors of our own are raised again, so that their traceback is shown.
  """
  if isinstance(error, InputError):
    fail(name, error)
  if isinstance(error, Interrupted):
    print(
      f'{name}: {error}; everything is saved, the same command continues',
      file=sys.stderr,
    )
    return AGAIN
  if isinstance(error, KeyboardInterrupt):
    print(
      f'{name}: interrupted; what is finished is kept, the same command continues',
      file=sys.stderr,
    )
    return 130
  if isinstance(error, BrokenPipeError):  # the reader has seen enough, as head has
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE
  reason = explain_failure(error) if isinstance(error, Exception) else None
  if reason is None:
    raise error
  print(f'{name}: {reason}', file=sys.stderr)
  return BROKEN


def explain_failure(error: Exception) -> str | None:
  """Returns what the machine lacks and the way out in one line, or None.

  Args:
    error: What a command raised. None is returned if the machine is not to blame.
  """
  text = ' '.join(str(error).split()) or type(error).__name__
  if any(words in text for words in _DISK_IS_FULL):  # Orbax wraps what the disk says
    return (
      f'the disk is full ({text[:200]}); what is finished is kept: make room and run'
      ' the same command again'
    )
  if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in text:
    return (
      f'out of memory ({text[:200]}); what is finished is kept: run fewer lanes at a'
      ' time (--cache_budget_gb, --strategy=map) or smaller batches, and try again'
    )
  if isinstance(error, OSError):
    return f'{text[:200]}; what is finished is kept: fix that and run it again'
  return None


def _report_unraisable(unraisable) -> None:
  """Hides one error: reads of a damaged checkpoint fail in threads after Orbax left."""
  if str(unraisable.exc_value) != 'Event loop is closed':
    sys.__unraisablehook__(unraisable)
