"""The programs that a shell script or a Makefile starts: the words where a command may begin."""

import re
from pathlib import Path

_BEGIN = re.compile(
    r"(?:^|[;|&({\n])\s*(?:(?:if|elif|then|else|do|while|until|!)\s+)*"  # where a command may begin,
    r"(?:[A-Za-z_]\w*=[^\s(]*\s+)*"  # after assignments,
    r"([A-Za-z_./$][\w./$-]*)(?=[\s;|&)]|$)",  # its first word
    re.MULTILINE,
)
_STARTED = re.compile(r"\b(?:timeout|env|exec|command -v|xargs) +(?:-\S+ +|\d+ +)*([a-z][\w-]+)")
_FUNCTION = re.compile(r"(?:^|;)\s*(\w+)\(\)", re.MULTILINE)
_COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
_PATTERN = re.compile(r"^\s*[^\s()]+\)(?=\s)", re.MULTILINE)  # of `case`
_END = re.compile(r"(<<-?\s*'?(\w+)'?\n.*?)^\2$", re.MULTILINE | re.DOTALL)  # of a here-document, with what is before
_SUM = re.compile(r"\$\(\([^)]*\)\)")
_WORDS_OF_THE_SHELL = frozenset(
    {
        *("case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "in", "then", "until", "while"),
        *("cd", "command", "continue", "echo", "exec", "exit", "export", "false", "kill", "local", "printf", "pwd"),
        *("read", "return", "set", "shift", "test", "trap", "true", "type", "ulimit", "umask", "wait"),
    }
)


def programs(script: str) -> set[str]:
    """Return the names of programs in a script of POSIX sh or bash."""
    text = _unquoted(_SUM.sub("0", _COMMENT.sub("", _END.sub(r"\1", script.replace("\\\n", " ")))))
    text = _PATTERN.sub(";", text)
    own = {*_FUNCTION.findall(text), *_WORDS_OF_THE_SHELL}
    return {word for word in {*_BEGIN.findall(text), *_STARTED.findall(text)} if word not in own and "$" not in word}


def _unquoted(script: str) -> str:
    """Return the script without its quoted texts, but with the commands that are substituted in them."""
    kept, quoted = [], [False]  # whether each `$(` or `(` that is open, and the script, is in double quotes now
    characters = iter(script)
    for character in characters:
        if character == "\\":
            next(characters, "")
        elif character == "'" and not quoted[-1]:
            kept.append("''")
            while next(characters, "'") != "'":
                pass
        elif character == '"':
            quoted[-1] = not quoted[-1]
            kept.append("''")
        elif character == "(" and (not quoted[-1] or kept[-1:] == ["$"]):
            quoted.append(False)
            kept.append(character)
        elif character == ")" and not quoted[-1]:
            quoted = quoted[:-1] or [False]
            kept.append(character)
        elif not quoted[-1] or character == "$":
            kept.append(character)
    return "".join(kept)


def in_makefile(text: str) -> set[str]:
    """Return the names of programs in a Makefile's recipes and `$(shell ...)` calls."""
    text = text.replace("\\\n", " ")
    recipes = [line.strip().lstrip("@-+") for line in text.splitlines() if line.startswith("\t")]
    calls = re.findall(r"\$\(shell (.*)\)$", text, re.MULTILINE)
    lines = [re.sub(r"\$\([A-Za-z_]+[^)]*\)", "$variable", line).replace("$$", "$") for line in (*recipes, *calls)]
    return set().union(*map(programs, lines))


def in_file(file: Path) -> set[str]:
    """Return the programs that a file starts, and the interpreter that its first line names."""
    text = file.read_text()
    if file.name == "Makefile":
        return in_makefile(text)
    first = re.match(r"#!(\S+)(?: (\S+))?", text)
    return programs(text) | ({word for word in first.groups() if word} if first else set())
