"""Playing the story: a fresh stack, the acts, the table, and how to look around afterwards."""

import subprocess
import sys
from pathlib import Path

from rich.console import Console

from trustplane.errors import UserError
from trustplane_local.demo import acts, breakdowns
from trustplane_local.demo.fleet import DemoClusters
from trustplane_local.demo.kubectl import ShownKubectl
from trustplane_local.demo.stage import Stage
from trustplane_local.demo.story import Story, StoryError
from trustplane_local.stack import Stack, default_folder, read_stack


def play_demo(console: Console, *, state: Path | None, cache: Path | None) -> None:
    """Tell the whole story on a stack of its own.

    Raises:
        StoryError: reality differs from the story.
        UserError: the folder holds a stack that the story did not make.
    """
    folder = state or default_folder()
    story = Story(console)
    options = [f"--state={folder}", *([f"--cache={cache}"] if cache else [])]
    with story.act("A management cluster, two private registries"):
        _fresh(story, folder, options)
        _local(story, "up", *options)
        (folder / "demo").mkdir(mode=0o700)
    stack = read_stack(folder)
    if stack is None:
        raise StoryError("`trustplane local up` left no stack behind")
    stage = _stage(story, stack)
    for title, act in (*acts.ACTS, *breakdowns.ACTS):
        with story.act(title):
            act(stage)
    console.print()
    console.print(story.table())
    console.print(_look_around(stack), highlight=False, soft_wrap=True)


def _fresh(story: Story, folder: Path, options: list[str]) -> None:
    if read_stack(folder) is None:
        return
    if not (folder / "demo").exists():
        raise UserError(
            f"There is a local stack in {folder} which the demo did not make",
            why="the story begins before any configuration, so it needs a fresh stack",
            next_step="remove it with `trustplane local down`, or choose another folder with --state",
        )
    story.say("A demo was played here before; its stack is removed first.")
    _local(story, "down", *options[:1])


def _local(story: Story, *arguments: str) -> None:
    story.shell(f"trustplane local {arguments[0]}", "")
    done = subprocess.run([sys.executable, "-m", "trustplane", "local", *arguments], check=False)
    if done.returncode:
        raise StoryError(f"`trustplane local {arguments[0]}` ended with status {done.returncode}")


def _stage(story: Story, stack: Stack) -> Stage:
    program = stack.bin / "kubectl"
    supervisor = ShownKubectl(story, program, stack.kubeconfig)
    return Stage(story, stack, DemoClusters(story, supervisor, program, stack.folder / "demo"))


def _look_around(stack: Stack) -> str:
    return f"""
The stack stays up. Look around:
  export PATH={stack.bin}:$PATH KUBECONFIG={stack.kubeconfig}
  kubectl get tkgserviceconfigurations,tkc,tkr,machines.cluster.x-k8s.io
  kubectl describe tkc late
  kubectl --kubeconfig {stack.folder / "demo" / "late.kubeconfig"} get nodes,pods -A
  .venv/bin/trustplane local status --state {stack.folder}
Stop it, without a trace:
  .venv/bin/trustplane local down --state {stack.folder}"""
