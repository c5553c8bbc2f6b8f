"""What a running sweep says."""

from gpz_jax.study import progress as progress_lib


def test_a_phase_may_start_over(capsys, monkeypatch):
  monkeypatch.setattr(progress_lib, 'PLAIN_SECONDS', -1.0)
  with (
    progress_lib.Progress() as progress,
    progress.phase('shadow edges') as on_progress,
  ):
    for _ in range(2):  # one training after another, as query_free does
      on_progress(1, 2, {})
      on_progress(2, 2, {'mse': None})
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 4
  assert [line.split()[4] for line in lines] == ['1/2', '2/2', '1/2', '2/2']


def test_the_time_left_does_not_count_what_was_compiled(capsys, monkeypatch):
  clock = iter([0.0, 0.0, 50.0, 50.0, 52.0, 52.0])  # the first report takes 50 s
  monkeypatch.setattr(progress_lib, 'PLAIN_SECONDS', -1.0)
  monkeypatch.setattr(progress_lib.time, 'monotonic', lambda: next(clock))
  progress = progress_lib.Progress()
  with progress.phase('targets') as on_progress:
    on_progress(1, 9, {})
    on_progress(5, 9, {})
  first, second = capsys.readouterr().out.splitlines()
  assert first.endswith('targets: 1/9 steps')
  assert second.endswith('targets: 5/9 steps, 2/s, 2s left')  # 4 steps in 2 s


def test_quiet_says_nothing(capsys):
  with progress_lib.Progress(quiet=True) as progress:
    progress.say('a line')
    with progress.phase('a phase') as on_progress:
      on_progress(1, 1, {})
  assert capsys.readouterr().out == ''
