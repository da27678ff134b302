"""Epilogues of commands' help. Imports nothing, because every command needs one."""


def examples(*lines: tuple[str, str]) -> str:
    """Return an epilogue of example commands with their purpose."""
    width = max(len(command) for command, _ in lines)
    return "\b\nExamples:\n" + "\n".join(f"  {command:<{width}}  {purpose}" for command, purpose in lines)
