"""The wheel, and an environment of its own that it is installed in.

Nothing is downloaded: the environment borrows the packages that the tests run with.
"""

import pathlib
import shutil
import subprocess
import sys
import sysconfig

ROOT = pathlib.Path(__file__).parents[1]
PARTS = ('gpz_jax', 'experiments', 'pyproject.toml', 'README.md', 'LICENSE')


def run(*arguments, **options) -> subprocess.CompletedProcess:
  """What a command prints, and its status."""
  return subprocess.run(
    arguments, capture_output=True, text=True, check=False, **options
  )


def pip(*arguments: str) -> None:
  done = subprocess.run(
    [sys.executable, '-m', 'pip', '--disable-pip-version-check', *arguments],
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout + done.stderr


def build(folder: pathlib.Path) -> pathlib.Path:
  """A wheel of a copy of the sources, so that the build leaves nothing behind."""
  ignored = shutil.ignore_patterns('__pycache__')
  (folder / 'sources').mkdir()
  for name in PARTS:
    if (ROOT / name).is_dir():
      shutil.copytree(ROOT / name, folder / 'sources' / name, ignore=ignored)
    else:
      shutil.copy(ROOT / name, folder / 'sources' / name)
  options = ('--no-deps', '--no-index', '--no-build-isolation')
  pip('wheel', *options, f'--wheel-dir={folder}', str(folder / 'sources'))
  (path,) = folder.glob('*.whl')
  return path


def install(wheel: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
  """The folder of an environment's programs; only the wheel is installed there."""
  subprocess.run([sys.executable, '-m', 'venv', '--without-pip', folder], check=True)
  programs = folder / 'bin'
  pip(
    f'--python={programs / "python"}', 'install', '--no-deps', '--no-index', str(wheel)
  )
  (packages,) = folder.glob('lib/python*/site-packages')
  (packages / 'borrowed.pth').write_text(sysconfig.get_path('purelib') + '\n')
  return programs
