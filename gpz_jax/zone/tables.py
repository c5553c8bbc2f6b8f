"""Candidates and votes as lines of plain text."""

import math
from collections.abc import Mapping, Sequence

from gpz_jax.results.formats import (
  align,
  format_bytes,
  format_fixed,
  format_share,
  format_treatment,
)
from gpz_jax.zone.advice import Recommendation
from gpz_jax.zone.candidates import Candidate
from gpz_jax.zone.comparison import Agreement
from gpz_jax.zone.votes import WORDS, Vote, Votes


def format_candidates(found: Recommendation) -> str:
  """The alternatives of a recommendation, one a line.

  A star marks the one to take, and a plus the most private one.
  """
  header = ['', 'split', 'alpha', 'MSE', 'PSNR', 'edge params', 'share']
  header += ['edge FLOPs', 'share', 'payload', 'accuracy']
  is_judged = any(math.isfinite(one.recognised) for one in found.alternatives)
  table = []
  for one in found.alternatives:
    line = [_mark(one, found), *_format_candidate(one)]
    table.append([*line, format_share(one.recognised)] if is_judged else line)
  if is_judged:
    header.append('recognised')
  return '\n'.join(align([header, *table]))


def format_votes(votes: Votes) -> str:
  """Voters down, treatments across: the split, its range, and the share of resamples.

  A dash stands for a voter that finds no zone, nothing for one that was not measured.
  """
  voters = list(dict.fromkeys(v.voter for of in votes.treatments for v in of.votes))
  table = [['vote of', *(str(of.treatment) for of in votes.treatments)]]
  table += [
    [WORDS[voter], *(_format_vote(of.by(voter)) for of in votes.treatments)]
    for voter in voters
  ]
  return '\n'.join(align(table))


def format_agreements(found: Mapping[str, Sequence[Agreement]]) -> str:
  """A line for each model and probe: how often it names the split of the attack.

  Args:
    found: Model -> the record of each probe, see `comparison.agreement_by_model`.

  Returns:
    Lines of plain text; '' where nothing was compared. Shares are in percent. The
    interval is that of independent lanes. Lanes of one target are not quite that.
  """
  header = ['model', 'probe', 'lanes', 'same split', '95% interval', 'by chance']
  header += ['one off at most', 'by chance', 'no zone']
  table = [
    [
      model,
      WORDS[one.voter],
      str(one.compared),
      _percent(one.exact),
      '-' if not one.compared else ' to '.join(map(_percent, one.interval)),
      *map(_percent, (one.chance_exact, one.near, one.chance_near)),
      str(one.no_zone),
    ]
    for model, records in found.items()
    for one in records
    if one.is_measured
  ]
  return '\n'.join(align([header, *table])) if table else ''


def _percent(share: float) -> str:
  return '-' if math.isnan(share) else f'{share:.0%}'


def _mark(candidate: Candidate, found: Recommendation) -> str:
  is_choice = (candidate.split, candidate.treatment) == (found.split, found.treatment)
  is_private = candidate == found.most_private and found.bar is not None
  return ('*' if is_choice else '') + ('+' if is_private else '')


def _format_candidate(candidate: Candidate) -> list[str]:
  return [
    candidate.split,
    format_treatment(candidate.treatment),
    format_fixed(candidate.test_mse, 5),
    f'{candidate.test_psnr:.2f}',
    f'{candidate.edge_params:,}',
    format_share(candidate.edge_params_share),
    f'{candidate.edge_flops:,}',
    format_share(candidate.edge_flops_share),
    format_bytes(candidate.payload_bytes),
    format_share(candidate.target_accuracy),
  ]


def _format_vote(vote: Vote | None) -> str:
  if vote is None:
    return ''
  text = vote.split or '-'
  if vote.other:
    text += f' (range with {vote.other})'
  return text if math.isnan(vote.share) else f'{text} {vote.share:.0%}'
