"""argv -> Settings -> session -> exit code. Exit codes: 0 reduced, 1 nothing to reduce, 2 usage, 3 a fault of
onnx-reduce, 130 interrupted with the best saved."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

from reducer import __version__
from reducer.errors import OnnxReduceError, UsageError
from reducer.settings import Settings

REDUCED, NOTHING, USAGE, FAULT, INTERRUPTED = 0, 1, 2, 3, 130

EXAMPLES = """Examples:

  onnx-reduce bad.onnx

  onnx-reduce bad.onnx --inputs inputs.npz --output small

  onnx-reduce bad.onnx --expected right.npz --rtol 1e-2

  onnx-reduce bad.onnx --stage compare --reference onnxruntime-noopt

  onnx-reduce net.py --exporter dynamo

  onnx-reduce saved_model_dir/ --opset 18

  onnx-reduce bad.onnx --fail-regex "Could not find" --check python check.py {}

Exit codes: 0 reduced, 1 nothing fails, 2 wrong usage, 3 a fault of onnx-reduce, 130 interrupted (best saved).
"""

app = App(
    name="onnx-reduce",
    version=__version__,
    help="Shrink a failing ONNX, PyTorch or TensorFlow model to the nodes that matter, name the suspect, and draft the "
    "issue.",
    help_epilogue=EXAMPLES,
)

app.command("reducer.commands.report:report", help="Write the reports of a finished run again.")
app.command("reducer.commands.bisect:bisect", name="bisect", help_epilogue="")


@app.default
def reduce_model(
    model: Annotated[
        str,
        Parameter(
            help="What fails: an ONNX model (.onnx, or text: .onnxtxt); a PyTorch module (net.py, .pt2, "
            "package.module:factory); a TensorFlow or Keras model (SavedModel folder, .keras, .h5, .pb, .tflite, "
            "case.py)."
        ),
    ],
    /,
    *,
    settings: Settings = Settings(),  # noqa: B008 - frozen, and cyclopts reads the defaults from it
) -> int:
    """Reduce one model."""
    _consistent(settings)
    from reducer.discovery import source_kind
    from reducer.worker.host import Host, HostOptions
    from reducer.worker.machine import memory_cap

    source = source_kind(model)
    options = HostOptions(preload=source.preload, memory=memory_cap(settings.memory_limit))
    elsewhere = bool(settings.with_packages or settings.python)
    # Before the session is loaded: the zygote imports its backends meanwhile.
    host = None if elsewhere else Host(options)
    from reducer.progress import make_progress

    progress = make_progress(as_json=settings.json, quiet=settings.quiet, verbose=settings.verbose)
    try:
        if host is None:
            from reducer.environments.elsewhere import options_elsewhere

            host = Host(options_elsewhere(options, settings.python, settings.with_packages, progress.say))
        with source.load()(settings, model, progress, progress.say, host) as session:
            code, finding, folder = _run(session, settings, progress)
    finally:
        progress.close()
    _tell(code, finding, folder, settings, progress)
    return code


def _run(session: Any, settings: Settings, progress: Any) -> tuple[int, Any, Any]:
    """(exit code, finding, folder with the result or None); says where the best lies when the run does not end."""
    try:
        finding = session.run()
        if finding.status == "not_reproduced":
            return NOTHING, finding, None
        from reducer.delivery import Place, deliver

        if settings.tracker is not None:
            finding = replace(finding, tracker=settings.tracker)
        if settings.versions:
            from reducer.bisection.beside import with_versions

            finding = with_versions(finding, session.workspace.folder, progress.say)
        progress.say("running the repro script in fresh processes")
        place = Place(session.host.folder, session.host.options.python)
        finding = deliver(finding, session.workspace, place, session.completed)
        return INTERRUPTED if finding.status == "interrupted" else REDUCED, finding, session.workspace.target
    finally:
        kept = session.abandon()
        if kept is not None:
            sys.stderr.write(f"onnx-reduce: the best so far lies in {kept}; --resume goes on from there\n")


def _tell(code: int, finding: Any, folder: Any, settings: Settings, progress: Any) -> None:
    """The result, for programs or for people, and for GitHub's log where this runs there."""
    from reducer.progress import JsonProgress

    if isinstance(progress, JsonProgress):
        progress.emit(
            {"event": "finding", "exit_code": code, "output": str(folder or ""), "finding": finding.to_json()}
        )
    elif not settings.quiet:
        _show(finding, folder, verbose=settings.verbose)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from reporters.github_actions import announce

        announce(finding, sys.stderr if settings.json else sys.stdout)


def _show(finding: Any, folder: Any, *, verbose: bool) -> None:
    from rich.console import Console

    import reporters.terminal as terminal

    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    if folder is None:
        terminal.print_ladder(finding, console)
    else:
        terminal.print_summary(finding, console, folder)
        if verbose:
            terminal.print_passes(finding, console)


def _consistent(settings: Settings) -> None:
    """Raise UsageError for options that contradict each other."""
    if settings.check and settings.stage:
        raise UsageError("--check and --stage exclude each other", "a check decides by itself what fails: drop --stage")
    if not settings.check and (settings.fail_regex or settings.fail_code or settings.ignore_fail_code):
        raise UsageError("--fail-regex, --fail-code and --ignore-fail-code belong to --check", "add --check CMD...")
    for name, value in (("--timeout", settings.timeout), ("--budget-seconds", settings.budget_seconds)):
        if value is not None and value <= 0:
            raise UsageError(f"{name} takes a positive number of seconds, not {value:g}")
    if settings.tracker is not None:
        from reporters.routing import check_name

        check_name(settings.tracker)
    if settings.jobs < 1:
        raise UsageError(f"--jobs takes 1 or more, not {settings.jobs}")


def _split_check(argv: Sequence[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """The options, and the command after --check: all that follows, or one quoted string."""
    for position, word in enumerate(argv):
        if word == "--check":
            command = tuple(argv[position + 1 :])
            return list(argv[:position]), tuple(shlex.split(command[0])) if len(command) == 1 else command
        if word.startswith("--check="):
            return [*argv[:position], *argv[position + 1 :]], tuple(shlex.split(word.removeprefix("--check=")))
    return list(argv), None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code and never raises for what the user or the model did."""
    own, check = _split_check(sys.argv[1:] if argv is None else argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if check is not None and not check:
            raise UsageError("--check needs a command", "for example --check python check.py {}")
        command, bound, _ = app.parse_args(own, exit_on_error=False, print_error=False)
        if check is not None and "settings" in bound.arguments:
            bound.arguments["settings"] = replace(bound.arguments["settings"], check=check)
        elif check is not None and command is reduce_model:
            bound.arguments["settings"] = Settings(check=check)
        return int(command(*bound.args, **bound.kwargs) or 0)
    except CycloptsError as error:
        return _complain(str(error).strip(), "onnx-reduce --help lists all options", USAGE)
    except UsageError as error:
        return _complain(str(error), error.hint, USAGE)
    except OnnxReduceError as error:
        return _complain(str(error), "", FAULT)
    except KeyboardInterrupt:
        return _complain("interrupted before anything could be reduced", "", INTERRUPTED)
    except Exception:  # noqa: BLE001 - the last resort: say so and keep the exit code
        traceback.print_exc()
        return _complain("this is a fault of onnx-reduce", "please report it with the lines above", FAULT)


def _complain(message: str, hint: str, code: int) -> int:
    sys.stderr.write(f"onnx-reduce: error: {message}\n")
    if hint:
        sys.stderr.write(f"  {hint}\n")
    return code


def entry() -> None:
    """The console script."""
    sys.exit(main())
