"""The programs that Python code starts, extracted from its source: no new one goes unnoticed.

A start is a call of one of SPAWNS. Its program is the first element of the command: a literal, or the first element of
a list assigned in the same function or module. `needs.ANSWERS` lists all others.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Calls that start a program: position of the command, or of its first word if each word is an argument.
SPAWNS = {
    "subprocess.run": 0,
    "subprocess.Popen": 0,
    "subprocess.call": 0,
    "subprocess.check_call": 0,
    "subprocess.check_output": 0,
    "asyncio.create_subprocess_exec": 0,
    "asyncio.create_subprocess_shell": 0,
    "os.system": 0,
    "os.popen": 0,
    "os.posix_spawn": 0,
    "os.posix_spawnp": 0,
    "os.execv": 0,
    "os.execve": 0,
    "os.execvp": 0,
    "os.execvpe": 0,
    "functools.partial": 1,  # of one of these
    "shutil.which": 0,
    # Of the project: they start their arguments.
    "step.run_step": 1,
    "_output": 0,
}
PYTHON = "sys.executable"


@dataclass(frozen=True)
class Start:
    """A place that starts a program."""

    place: str  # file:function
    program: str | None  # a name on PATH or an absolute path; None: the source does not show it
    path: bool = False  # whether it is the last part of a computed path: a program of Trustplane, not one on PATH


def starts(root: Path, *folders: str) -> Iterator[Start]:
    """Yield every start of a program in the Python files below these folders."""
    for folder in folders:
        for file in sorted((root / folder).rglob("*.py")):
            source = file.read_text()
            if any(name in source for name in SPAWNS):  # parse only the few that need it
                yield from in_source(source, str(file.relative_to(root)))


def in_source(source: str, name: str) -> Iterator[Start]:
    """Yield every start of a program in one file."""
    module = ast.parse(source)
    yield from _in_scope(module, [module], f"{name}:")


def _in_scope(node: ast.AST, scopes: list[ast.AST], place: str) -> Iterator[Start]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in_scope(child, [child, *scopes], place if len(scopes) > 1 else place + child.name)
        else:
            if isinstance(child, ast.Call) and (command := _command(child)) is not None:
                yield _read(command, scopes, place)
            yield from _in_scope(child, scopes, place)


def _command(call: ast.Call) -> ast.expr | None:
    name = _name(call.func)
    position = SPAWNS.get(name)
    if name == "functools.partial" and not (call.args and _name(call.args[0]) in SPAWNS):
        return None
    return None if position is None or len(call.args) <= position else call.args[position]


def _read(command: ast.expr, scopes: list[ast.AST], place: str) -> Start:
    words = _first(command, scopes, set())
    if isinstance(words, ast.Constant) and isinstance(words.value, str):
        return Start(place, words.value.split()[0])
    if isinstance(words, ast.Attribute) and _name(words) == PYTHON:
        return Start(place, PYTHON)
    if isinstance(words, ast.BinOp) and isinstance(words.op, ast.Div) and isinstance(words.right, ast.Constant):
        return Start(place, str(words.right.value), path=True)
    return Start(place, None)


def _first(node: ast.expr, scopes: list[ast.AST], seen: set[str]) -> ast.expr | None:
    """Return the expression that is the command's first word."""
    match node:
        case ast.List(elts=[first, *_]) | ast.Tuple(elts=[first, *_]) | ast.Starred(value=first):
            return _first(first, scopes, seen)
        case ast.BinOp(left=first, op=ast.Add()):
            return _first(first, scopes, seen)
        case ast.Call(func=ast.Name(id="str"), args=[first]):
            return _first(first, scopes, seen)
        case ast.Name(id=name) if name not in seen:
            values = [value for scope in scopes for value in _values(scope, name)]
            return _first(values[0], scopes, seen | {name}) if values else None
    return node


def _values(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets=[ast.Name(id=found)], value=ast.expr() as value) if found == name:
                yield value
            case ast.AnnAssign(target=ast.Name(id=found), value=ast.expr() as value) if found == name:
                yield value


def _name(node: ast.expr) -> str:
    """Return a name as written, such as `subprocess.run`."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=ast.Name(id=module), attr=name):
            return f"{module}.{name}"
    return ""
