"""`python -m gpz_jax NAME ...` runs a command, as `gpz-NAME ...` does."""

import runpy
import sys

from gpz_jax.types import InputError, check_known

COMMANDS = {
  'sweep': 'trains and attacks targets at every split, and says where to cut',
  'model-inversion': 'searches for what the classes of trained models look like',
  'recommend': 'says where to cut under limits, from what a sweep has written',
  'merge': 'joins the units of a study that was done in many places',
  'report': "writes a study's page again",
  'threats': 'says which treatment protects against which of the two threats',
  'verify': 'checks that a workdir is sound',
  'probe': 'finds the zone from the theory alone, without training a decoder',
  'prepare-data': 'prepares a data set',
  'reproduce': 'runs a table or figure of a paper',
  'bench': 'measures speed',
}
HELP = ('-h', '-?', '--help')


def main() -> None:
  """Runs the command that the first argument names."""
  if len(sys.argv) < 2 or sys.argv[1] in HELP:
    print('python -m gpz_jax COMMAND [--help], where COMMAND is one of:\n')
    print('\n'.join(f'  {name:16}{what}' for name, what in COMMANDS.items()))
    sys.exit(0 if len(sys.argv) > 1 else 2)
  name = sys.argv.pop(1).replace('_', '-')
  try:
    check_known('command', name, COMMANDS)
  except InputError as error:
    print(f'gpz_jax: {error}', file=sys.stderr)
    sys.exit(2)
  module = f'gpz_jax.commands.{name.replace("-", "_")}'
  runpy.run_module(module, run_name='__main__', alter_sys=True)


if __name__ == '__main__':
  main()
