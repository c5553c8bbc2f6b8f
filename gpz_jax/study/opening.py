"""A study from its config to the moment when it may write its workdir."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from gpz_jax.study import notes
from gpz_jax.study.config import StudyConfig
from gpz_jax.study.events import Events
from gpz_jax.study.plan import StudyPlan
from gpz_jax.study.session import Session, check_interrupted, kept_by_jax, watched
from gpz_jax.study.undoing import undone_where_it_fails
from gpz_jax.study.workdir import Workdir

Config = TypeVar('Config', bound=StudyConfig)
Plan = TypeVar('Plan', bound=StudyPlan)


@contextlib.contextmanager
def opened(
  config: Config,
  make_plan: Callable[[Config], Plan],
  describe: Callable[[Plan], Sequence[str]],
  *,
  quiet: bool,
) -> Iterator[Session[Any]]:
  """A study that is planned, and whose workdir is this process's alone to write.

  Args:
    config: What is asked for. A workdir that holds the same config is continued.
    make_plan: Works out everything that can be refused, and writes nothing.
    describe: The lines that are said of a plan.
    quiet: Print nothing.

  Raises:
    InputError: As of `make_plan`, and nothing is written then; or another process is
      writing the workdir.
    Interrupted: A signal came.
  """
  with contextlib.ExitStack() as stack:
    progress = stack.enter_context(watched(config, quiet=quiet))
    if not Workdir(config.workdir).config.exists():
      config.check_begins()
    progress.say(f'loading {config.dataset}')
    plan = make_plan(config)
    told = *plan.task.notes, *describe(plan), *plan.inferred.notes
    for line in (*told, *notes.describe_training(plan)):
      progress.say(line)
    check_interrupted()
    workdir = Workdir(config.workdir)
    is_ours = not workdir.path.exists()
    stack.enter_context(workdir.locked(progress.say))
    made = workdir.list_kept(config)
    stack.enter_context(undone_where_it_fails(workdir, is_ours=is_ours, made=made))
    workdir.check(config)  # until now another process may have written it
    workdir.write_identity(config)
    stack.enter_context(kept_by_jax(config, inside=True))
    events = Events(workdir.events)
    yield Session(plan, config.make_engine(), workdir, progress, events)
