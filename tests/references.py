"""Finds references in sources and documents that lead nowhere.

Each check takes the root of a repository and returns one line for each problem, which
names the file and the reference.
"""

import ast
import fnmatch
import pathlib
import re
from collections.abc import Iterable, Iterator

FOLDERS = ('gpz_jax', 'experiments', 'tests', 'launch', 'docs')
SUFFIXES = ('.py', '.md', '.cfg', '.sh', '.html', '.csv')
OWN = ('references.py', 'test_references.py')  # they spell what must not be

PAGE = re.compile(r'docs/([\w-]+\.md)(?:#([\w-]+))?')
LINK = re.compile(r'\]\(([^)\s]+)\)')
# A document that is not in the repository, by its name or by a numbered section of it.
SPEC = re.compile(
  r'\bspec/\w+|\(spec\b|\bspec:|\bspec (?:D\d|\d|section)', re.IGNORECASE
)
FILE = re.compile(r'(?<![\w/.<>*-])([\w/{},*.-]*[\w}]\.(?:py|cfg|sh|csv|md))\b')
# Every way to name a command: its module, the entry point, the dispatcher.
COMMAND = re.compile(
  r'(python -m experiments\.|\bgpz-|python -m gpz_jax )(\w[\w-]*)((?:[^`#\n]|\\\n)*)'
)
SHARED = {'flagfile', 'preset', 'help', 'helpfull'}  # flags that every command has
# What Slurm is given by a document.
SBATCH = {'partition', 'gres', 'cpus', 'time', 'exclusive'}
FLAG = re.compile(r'(?<![\w-])--(\w+)')
DATA = ('parquet', 'json', 'jsonl', 'flags', 'html')  # names of files
DOTTED = re.compile(r'`([a-z_]+(?:\.[A-Za-z_]\w*)+)(?:\([^`]*\))?`')


def sources(root: pathlib.Path) -> list[pathlib.Path]:
  """Every text file of the repository that may hold a reference."""
  found = [root / 'README.md', root / 'Makefile']
  for folder in FOLDERS:
    found += sorted((root / folder).rglob('*'))
  return [
    path
    for path in found
    if path.is_file()
    and (path.suffix in SUFFIXES or path.name == 'Makefile')
    and path.name not in OWN
  ]


def documents(root: pathlib.Path) -> list[pathlib.Path]:
  """README.md and the pages under docs."""
  return [root / 'README.md', *sorted((root / 'docs').glob('*.md'))]


def anchors(text: str) -> set[str]:
  """The anchors of a page's headings, spelled as GitHub spells them."""
  prose = re.sub(r'```.*?```', '', text, flags=re.DOTALL)
  headings = re.findall(r'^#+ +(.+?) *$', prose, re.MULTILINE)
  plain = (re.sub(r'[^\w\- ]', '', heading.lower()) for heading in headings)
  return {heading.replace(' ', '-') for heading in plain}


def bad_pages(root: pathlib.Path) -> list[str]:
  """Pages and headings of docs that a source names and that are not there."""
  problems = []
  for path, text in _texts(sources(root)):
    for name, anchor in PAGE.findall(text):
      problems += _target(root, path, root / 'docs' / name, anchor)
  return problems


def bad_links(root: pathlib.Path) -> list[str]:
  """Relative links of the documents that lead to no file or to no heading."""
  problems = []
  for path, text in _texts(documents(root)):
    for link in LINK.findall(text):
      if '://' not in link:
        name, _, anchor = link.partition('#')
        goal = path.parent / name if name else path
        problems += _target(root, path, goal, anchor)
  return problems


def _target(
  root: pathlib.Path, path: pathlib.Path, goal: pathlib.Path, anchor: str
) -> list[str]:
  where, name = path.relative_to(root), goal.resolve().relative_to(root.resolve())
  if not goal.is_file():
    return [f'{where}: {name} does not exist']
  if anchor and anchor not in anchors(goal.read_text(encoding='utf-8')):
    return [f'{where}: {name} has no heading for #{anchor}']
  return []


def specs(root: pathlib.Path) -> list[str]:
  """References to a specification, which is not in the repository."""
  return [
    f'{path.relative_to(root)}: {found}'
    for path, text in _texts(sources(root))
    for found in SPEC.findall(text)
  ]


def bad_files(root: pathlib.Path) -> list[str]:
  """Files that a document or a docstring names and that are not there.

  The folders that lead to a file may be left out.
  """
  known = [f'/{path.name}' for path in root.iterdir()]
  known += [
    f'/{path.relative_to(root)}'
    for folder in FOLDERS
    for path in (root / folder).rglob('*.*')
  ]
  modules = [p for p in sources(root) if p.suffix == '.py' and 'tests' not in p.parts]
  return [
    f'{path.relative_to(root)}: {name} does not exist'
    for path, text in _texts([*documents(root), *modules])
    for named in FILE.findall(re.sub(r'https?://\S+', '', _prose(path, text)))
    for name in _expand(named.removeprefix('../'))
    if not fnmatch.filter(known, f'*/{name}')
    # data that users bring
    and not (path.suffix == '.py' and name.endswith('.csv'))
    and name != 'metadata.csv'
  ]


def _prose(path: pathlib.Path, text: str) -> str:
  if path.suffix != '.py':
    return _without_code(text)
  kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
  nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))
  return '\n'.join(ast.get_docstring(node) or '' for node in nodes)


def _without_code(text: str) -> str:
  return re.sub(r'```.*?```', '', text, flags=re.DOTALL)


def _expand(name: str) -> Iterator[str]:
  """The names that one with an alternative in braces stands for."""
  found = re.fullmatch(r'(.*)\{([^}]*)\}(.*)', name)
  if not found:
    yield name
    return
  for choice in found[2].split(','):
    yield from _expand(found[1] + choice + found[3])


def bad_commands(root: pathlib.Path, more_flags: Iterable[str] = ()) -> list[str]:
  """Modules and flags of commands that a document names and that are not there.

  Args:
    root: The repository.
    more_flags: Flags that no command spells out, because it makes them of fields.
  """
  commands = root / 'gpz_jax' / 'commands'
  every = {*SHARED, *SBATCH, *more_flags}
  scripts = [*commands.glob('*.py'), *(root / 'launch').glob('*.sh')]
  for path in (*scripts, *root.glob('tests/faults/soak.py')):
    every |= _words(path)
  problems = []
  for path, text in _texts(documents(root)):
    where = path.relative_to(root)
    for how, name, rest in COMMAND.findall(text):
      command = f'{how.removeprefix("python -m ")}{name}'
      source = commands / f'{name.replace("-", "_")}.py'
      if not source.is_file():
        problems.append(f'{where}: no command {command}')
        continue
      mine = {*SHARED, *_words(source), *more_flags}
      problems += [
        f'{where}: {command} has no --{flag}'
        for flag in FLAG.findall(rest)
        if _plain(flag, mine) not in mine
      ]
    problems += [
      f'{where}: no command has --{flag}'
      for flag in FLAG.findall(text)
      if _plain(flag, every) not in every
    ]
  return problems


def _plain(flag: str, known: set[str]) -> str:
  """The flag that `--noNAME` switches off."""
  return flag if flag in known else flag.removeprefix('no')


def _words(path: pathlib.Path) -> set[str]:
  """What may be a flag of a script: the strings of a module, options of a shell."""
  text = path.read_text(encoding='utf-8')
  if path.suffix == '.sh':
    return set(FLAG.findall(text))
  constants = (
    n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)
  )
  return {value.lstrip('-') for value in constants if isinstance(value, str)}


def bad_names(root: pathlib.Path) -> list[str]:
  """Dotted names of the documents whose module is not in the package.

  Only names that begin with a module or package of gpz_jax are looked up. What follows
  the module must be a word of its source.
  """
  package = root / 'gpz_jax'
  problems = []
  for path, text in _texts(documents(root)):
    for name in DOTTED.findall(_without_code(text)):
      parts = name.removeprefix('gpz_jax.').split('.')
      if parts[-1] not in DATA and not _resolves(package, parts):
        problems.append(f'{path.relative_to(root)}: {name} does not exist')
  return problems


def _resolves(package: pathlib.Path, parts: list[str]) -> bool:
  here, depth = package, 0
  while depth < len(parts) and (here / parts[depth]).is_dir():
    here, depth = here / parts[depth], depth + 1
  source = here / '__init__.py'
  if depth < len(parts) and (here / f'{parts[depth]}.py').is_file():
    source, depth = here / f'{parts[depth]}.py', depth + 1
  if not depth or depth == len(parts):
    return True  # not a name of the package, or a module of it
  text = source.read_text(encoding='utf-8') if source.is_file() else ''
  return re.search(rf'\b{parts[depth]}\b', text) is not None


def _texts(paths: Iterable[pathlib.Path]) -> Iterator[tuple[pathlib.Path, str]]:
  for path in paths:
    if path.is_file():
      yield path, path.read_text(encoding='utf-8')
