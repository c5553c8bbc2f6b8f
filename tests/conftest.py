"""Settings every test runs under, and the real data where it is at hand."""

import gc
import importlib.metadata
import os
import pathlib
import sys
import tempfile


def _keep_to_own_cores() -> None:
  """Gives each process of a parallel run a share of the cores for itself.

  Otherwise the threads of XLA in one process wait for those of another.
  """
  workers = int(os.environ.get('PYTEST_XDIST_WORKER_COUNT', '1'))
  if workers == 1 or not hasattr(os, 'sched_setaffinity'):  # not on macOS
    return
  cores = sorted(os.sched_getaffinity(0))
  number = int(os.environ['PYTEST_XDIST_WORKER'].removeprefix('gw'))
  os.sched_setaffinity(0, cores[number % min(workers, len(cores)) :: workers])


os.environ.setdefault('JAX_PLATFORMS', 'cpu')
# Tests compile far more than they compute: nothing twice, also in the commands they
# start.
_CACHE = tempfile.TemporaryDirectory(prefix='gpz_jax_compiled_')
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', _CACHE.name)
os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
# Nor better than needed: most programs run for less time than it takes to optimise
# them. `make test-all` optimises, and here those tests do that ask for `optimized`.
_IS_QUICK = os.environ.setdefault('JAX_DISABLE_MOST_OPTIMIZATIONS', '1') == '1'
# XLA's older emitter of loops takes a third of the time, and one module of LLVM for a
# program less than many. An XLA that does not know a flag ends the process, so only
# the one that was tried is told.
_HAS_OLD_EMITTER = _IS_QUICK and importlib.metadata.version('jaxlib').startswith(
  '0.10.'
)
if _HAS_OLD_EMITTER:
  os.environ.setdefault(
    'XLA_FLAGS',
    '--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1',
  )
if _IS_QUICK:  # `make test-all` lets XLA use all cores, as users do
  _keep_to_own_cores()
  os.environ.setdefault('JAX_TRACEBACK_IN_LOCATIONS_LIMIT', '0')  # nobody reads them

import jax  # noqa: E402 the settings above must come first
import pytest  # noqa: E402 as jax
import wheels  # noqa: E402 as jax
from matplotlib.figure import Figure  # noqa: E402 as jax

jax.config.update('jax_numpy_rank_promotion', 'raise')

# The files that take longest, longest first. They are begun first, so that no process
# is left alone with one of them at the end.
LONGEST = (
  *('launch/test_local.py', 'sweep/test_defences.py', 'faults/test_hurt_sweeps.py'),
  *('test_reproduce_skips.py', 'sweep/test_attacks.py', 'test_extending.py'),
  *('generators/test_prior_training.py', 'sweep/test_command.py'),
  *('training/test_engine.py', 'sweep/test_folder_images.py', 'models/test_skips.py'),
  *('models/test_densenet.py', 'sweep/test_memory.py', 'launch/test_real_slurm.py'),
  *('defences/test_lanes.py', 'report/test_page.py', 'model_inversion/test_study.py'),
  *('attacks/test_inversion.py', 'study/test_own_sweeps.py'),
  *('attacks_model/test_ppa.py', 'study/test_own_models.py'),
)
REAL_DATA = pathlib.Path(__file__).parents[2] / 'shared' / 'data' / 'tfds'


def pytest_collection_modifyitems(items):
  root = pathlib.Path(__file__).parent
  place = {root / name: index for index, name in enumerate(LONGEST)}
  items.sort(key=lambda item: place.get(item.path, len(place)))


def pytest_collection_finish():
  """What was imported stays: a trace makes so much garbage that it is gone through."""
  gc.collect()
  gc.freeze()
  gc.set_threshold(20_000, 50, 100)


@pytest.fixture(scope='module')
def blank_charts():
  """Charts of the page without anything in them, for what reads the rest of it."""
  draw = Figure.savefig

  def draw_blank(figure, *args, **options):
    draw(Figure(figsize=figure.get_size_inches()), *args, **options)

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Figure, 'savefig', draw_blank)
    yield


@pytest.fixture(scope='module')
def short_resnet():
  """ResNet-18 has one block in each stage: it is long to compile."""
  from gpz_jax.models import resnet

  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(resnet.STAGES, 18, (1, 1, 1, 1))
    yield


@pytest.fixture(scope='module')
def optimized():
  """Programs of the module are compiled as users have them."""
  before = jax.config.read('jax_disable_most_optimizations')
  jax.config.update('jax_disable_most_optimizations', False)
  with pytest.MonkeyPatch.context() as patch:
    if _HAS_OLD_EMITTER:
      _use_new_emitter(patch)
    yield
  jax.config.update('jax_disable_most_optimizations', before)


def _use_new_emitter(patch: pytest.MonkeyPatch) -> None:
  """Tells each compilation, because XLA reads its flags only once."""
  from jax._src import compiler

  get_options = compiler.get_compile_options
  usual = {'xla_cpu_use_fusion_emitters': True}

  def get_usual(*args, env_options_overrides=None, **options):
    overrides = usual | (env_options_overrides or {})
    return get_options(*args, env_options_overrides=overrides, **options)

  patch.setattr(compiler, 'get_compile_options', get_usual)


@pytest.fixture(scope='session', autouse=True)
def damaged_reads():
  """Hides what commands hide: threads that outlive the read of a damaged checkpoint."""
  hook = sys.unraisablehook
  sys.unraisablehook = lambda unraisable: (
    None if str(unraisable.exc_value) == 'Event loop is closed' else hook(unraisable)
  )
  yield
  sys.unraisablehook = hook


@pytest.fixture(scope='session')
def real_data_dir() -> str:
  """The TFDS folder with CIFAR-10 and MNIST; skips, saying so, where it is absent."""
  if not (REAL_DATA / 'cifar10').is_dir():
    pytest.skip(f'no prepared CIFAR-10 under {REAL_DATA}')
  return str(REAL_DATA)


@pytest.fixture(scope='session')
def wheel(tmp_path_factory) -> pathlib.Path:
  """The wheel of the sources as they are."""
  return wheels.build(tmp_path_factory.mktemp('wheel'))


@pytest.fixture(scope='session')
def installed(wheel, tmp_path_factory) -> pathlib.Path:
  """The folder of an environment's programs; only the wheel is installed there."""
  return wheels.install(wheel, tmp_path_factory.mktemp('environment'))
