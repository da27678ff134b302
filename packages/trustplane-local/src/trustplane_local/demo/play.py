"""Run the demo: a new stack, the acts, a recap, and commands to explore the stack with."""

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
    """Play all acts on a new stack, which stays up.

    Args:
        console: Where the demo is shown.
        state: The state folder; None for the default.
        cache: The build cache; None for the default.

    Raises:
        StoryError: A claim of the demo does not hold.
        UserError: The folder has a stack that the demo did not create.
    """
    folder = state or default_folder()
    story = Story(console)
    options = [f"--state={folder}", *([f"--cache={cache}"] if cache else [])]
    with story.act("The set: a management cluster and two private registries"):
        story.say("Real etcd, API servers, Cluster API, containerd and kubelets. Nothing here is mocked.")
        _remove_earlier_demo(story, folder, options)
        _run_local(story, "up", *options)
        (folder / "demo").mkdir(mode=0o700)
    stack = read_stack(folder)
    if stack is None:
        raise StoryError("`trustplane local up` succeeded, but created no stack")
    stage = _create_stage(story, stack)
    for title, act in (*acts.ACTS, *breakdowns.ACTS):
        with story.act(title):
            act(stage)
    console.print()
    console.print(story.table())
    console.print(_farewell(stack), highlight=False, soft_wrap=True)


def _remove_earlier_demo(story: Story, folder: Path, options: list[str]) -> None:
    if read_stack(folder) is None:
        return
    if not (folder / "demo").exists():
        raise UserError(
            f"The local stack in {folder} does not belong to the demo",
            why="the demo starts before any configuration, and therefore needs a new stack",
            next_step="Remove the stack with `trustplane local down`, or choose another folder with --state",
        )
    story.say("An earlier demo left its stack here. We remove it and start from scratch.")
    _run_local(story, "down", *options[:1])


def _run_local(story: Story, *arguments: str) -> None:
    story.shell(f"trustplane local {arguments[0]}", "")
    completed = subprocess.run([sys.executable, "-m", "trustplane", "local", *arguments], check=False)
    if completed.returncode:
        raise StoryError(f"`trustplane local {arguments[0]}` exited with status {completed.returncode}")


def _create_stage(story: Story, stack: Stack) -> Stage:
    program = stack.bin / "kubectl"
    supervisor = ShownKubectl(story, program, stack.kubeconfig)
    return Stage(story, stack, DemoClusters(story, supervisor, program, stack.folder / "demo"))


def _farewell(stack: Stack) -> str:
    return f"""
That's it, and the stack is yours now. Explore it:
  export PATH={stack.bin}:$PATH KUBECONFIG={stack.kubeconfig}
  kubectl get tkgserviceconfigurations,tkc,tkr,machines.cluster.x-k8s.io
  kubectl describe tkc late
  kubectl --kubeconfig {stack.folder / "demo" / "late.kubeconfig"} get nodes,pods -A
  .venv/bin/trustplane local status --state {stack.folder}
Remove it, without a trace:
  .venv/bin/trustplane local down --state {stack.folder}"""
