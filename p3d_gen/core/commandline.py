"""The contract of both command lines, p3dgen and pose-models: errors, logging, help and tables.

Rules for the commands:

- A `P3DError` becomes one line and exit status 1, a usage error exit status 2, Ctrl-C exit status 130, SIGTERM exit
  status 143. Any other exception is a bug: it keeps its traceback.
- Ctrl-C and SIGTERM end a command by an exception, so that it ends its processes and removes its temporary files. A
  second SIGTERM ends it at once.
- `--json` is a flag: it prints JSON on stdout instead of text. A file to write JSON to is named by `--json-file`.
- `--device` is the device of torch. `--render-device` is the device of Cycles.
- What a command writes is never a file that it reads: the parameters of `_OUTPUTS` are compared with the others.
- Results go to stdout, progress and log messages to stderr. `--quiet` hides progress and log messages.
"""

from __future__ import annotations

import copy
import difflib
import functools
import logging
import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.measure import Measurement

from p3d_gen.core.cache import keep_torch_cache
from p3d_gen.core.errors import DISK_FULL, ConfigError, P3DError, unwritable
from p3d_gen.core.masking import masked
from p3d_gen.core.outputs import overwritten_input

LOGGERS = ("p3d_gen", "pose_models")
HELP_WIDTH = 100
_HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": HELP_WIDTH}
INTERRUPTED, TERMINATED = 130, 143  # 128 + SIGINT and 128 + SIGTERM, as shells report them
_DEBUG, _QUIET, _VERBOSE, _LOG_FILE = (f"p3d_gen.{name}" for name in ("debug", "quiet", "verbose", "log_file"))
_OUTPUTS = ("out", "json_file", "json_target", "picture")  # parameters of both command lines that name what is written
_FILE_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_UNLIMITED = 100_000
_BUG = "This is a bug. Please report it with the traceback above and the output of `p3dgen doctor --json`."


class Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems, `timeout` and `docker stop` send it."""


def _terminate(number: int, _: FrameType | None) -> None:
    signal.signal(number, lambda *_: os._exit(TERMINATED))
    raise Terminated


@contextmanager
def _termination() -> Iterator[None]:
    """Raise `Terminated` in the block when SIGTERM comes. Only a main thread can do that: elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Choice(click.Choice[str]):
    """A choice of names whose error also suggests the nearest one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the chosen name."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            near = difflib.get_close_matches(str(value), self.choices, n=1, cutoff=0.5)
            if not near:
                raise
            raise click.BadParameter(f"{error.message.rstrip('.')}; did you mean {near[0]!r}?", ctx, param) from None


class _MaskedFormatter(logging.Formatter):
    """A formatter that hides passwords, keys and tokens."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of one log message."""
        return masked(super().format(record))


class _EchoHandler(logging.Handler):
    """A handler that writes to the stderr of the moment, which a live progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one log message."""
        click.echo(self.format(record), err=True)


class _LogFile(logging.FileHandler):
    """The log file. A full disk ends the command: what the user asked to keep would be lost without a word."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Raise RunError if the disk refuses a message."""
        error = sys.exception()
        if isinstance(error, OSError):
            raise unwritable(self.baseFilename, error) from error
        super().handleError(record)


def _configure_logging(settings: dict[str, Any]) -> None:
    """Send the messages of both packages to stderr, and to the log file if one was named."""
    level = logging.DEBUG if settings.get(_VERBOSE) else logging.WARNING if settings.get(_QUIET) else logging.INFO
    shown = _EchoHandler(level)
    shown.setFormatter(_MaskedFormatter("%(levelname)s %(name)s: %(message)s" if settings.get(_VERBOSE) else None))
    handlers: list[logging.Handler] = [shown]
    if settings.get(_LOG_FILE):
        file = _LogFile(settings[_LOG_FILE])
        file.setFormatter(_MaskedFormatter(_FILE_FORMAT))
        handlers.append(file)
    for name in LOGGERS:
        logger = logging.getLogger(name)
        for old in logger.handlers[:]:
            logger.removeHandler(old)
            old.close()
        for handler in handlers:
            logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if settings.get(_LOG_FILE) else level)
        logger.propagate = False


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Keep a shared option that was given, before or after the name of the command."""
    if value:
        context.meta[f"p3d_gen.{parameter.name}"] = value
        try:
            _configure_logging(context.meta)
        except OSError as error:
            raise click.BadParameter(f"{value}: {error.strerror}; name a file that can be written") from None


def _shared_options(hidden: bool) -> list[click.Option]:
    """Return the options of every command: listed in the help of the top group, accepted everywhere."""
    keep: dict[str, Any] = {"expose_value": False, "callback": _remember, "hidden": hidden}
    return [
        click.Option(["--debug"], is_flag=True, help="Show the traceback of every error.", **keep),
        click.Option(["--quiet"], is_flag=True, help="Show results, warnings and errors only.", **keep),
        click.Option(["--verbose"], is_flag=True, help="Show debug messages too.", **keep),
        click.Option(
            ["--log-file"],
            type=click.Path(dir_okay=False, path_type=Path),
            help="Append all log messages, with time and module, to this file.",
            **keep,
        ),
    ]


def is_quiet() -> bool:
    """Return if the user asked for --quiet: progress bars are then hidden."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET))


def _reader_is_gone() -> bool:
    """Return if stdout or stderr is a pipe that nobody reads any more, as after `| head`."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _named_files(value: Any) -> Iterator[Path]:
    """Yield the files that the value of a parameter may name; a dataset has its kind before a colon."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from _named_files(each)
    elif isinstance(value, str | Path):
        yield from (Path(text) for text in (str(value), str(value).partition(":")[2]) if text)


def _check_outputs(context: click.Context) -> None:
    """Refuse a command that would write over a file, or delete a folder, that another of its parameters names."""
    given = context.params | {_LOG_FILE: context.meta.get(_LOG_FILE)}
    outputs = [path for name in (*_OUTPUTS, _LOG_FILE) for path in _named_files(given.get(name))]
    inputs = [path for name, value in context.params.items() if name not in _OUTPUTS for path in _named_files(value)]
    if lost := overwritten_input((path for path in outputs if path.is_file()), inputs):
        raise ConfigError(f"{lost[0]} would be overwritten, and is {lost[1]}, which the command reads: name another")
    folder = context.params.get("out")
    if context.params.get("overwrite") and isinstance(folder, Path) and folder.is_dir():
        whole = folder.resolve()
        if inside := [path for path in inputs if os.path.lexists(path) and path.resolve().is_relative_to(whole)]:
            raise ConfigError(f"--overwrite would delete {inside[0]}, which the command reads: choose another --out")


def _careful(command: click.Command) -> None:
    """Let a command look at its outputs before it begins."""
    callback = command.callback
    if callback is None:
        return

    @functools.wraps(callback)
    def checked(*args: Any, **values: Any) -> Any:
        _check_outputs(click.get_current_context())
        return callback(*args, **values)

    command.callback = checked


def _is_disk_full(error: OSError) -> bool:
    """Return if a disk takes no more bytes. The search for a folder of temporary files tries to write to each."""
    return error.errno in DISK_FULL or str(error.strerror).startswith("No usable temporary directory")


class Group(click.Group):
    """A group of commands that keeps the contract of this module."""

    group_class = type

    def __init__(self, *args: Any, **attributes: Any) -> None:
        """Add the shared options."""
        attributes["context_settings"] = _HELP | (attributes.get("context_settings") or {})
        super().__init__(*args, **attributes)
        self.params += _shared_options(hidden=False)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Add a command that accepts the shared options too, after its own."""
        super().add_command(cmd, name)
        cmd.context_settings = {**_HELP, **cmd.context_settings}  # click keeps the help option of the first context
        own = {parameter.name for parameter in cmd.params}
        if isinstance(cmd, Group):
            for option in cmd.params:
                if isinstance(option, click.Option) and option.callback is _remember:
                    option.hidden = True
        else:
            _careful(cmd)
            cmd.params += [option for option in _shared_options(hidden=True) if option.name not in own]

    def add_alias(self, name: str, cmd: click.Command) -> None:
        """Accept an older name of a command, without showing it."""
        alias = copy.copy(cmd)
        alias.hidden = True
        self.commands[name] = alias

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with the whole first sentence of its help."""
        commands = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, cmd.get_short_help_str(_UNLIMITED)) for name, cmd in commands if cmd and not cmd.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say that the shared options may stand at the end, too."""
        super().format_epilog(ctx, formatter)
        if ctx.parent is None:
            formatter.write_paragraph()
            formatter.write_text("--debug, --quiet, --verbose and --log-file may also follow the name of a command.")

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command line."""
        if sys.platform == "win32":
            sys.exit("Error: Windows is not supported. Use Linux, macOS or WSL 2.")
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command and turn its errors into messages and exit statuses."""
        if ctx.parent is not None:
            return super().invoke(ctx)
        _configure_logging(ctx.meta)
        keep_torch_cache()
        try:
            with _termination():
                return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):
            raise
        except click.ClickException as error:
            vars(error)["message"] = masked(error.message)  # click declares it as final
            if ctx.meta.get(_DEBUG):
                click.echo(masked(traceback.format_exc()), err=True, nl=False)
            raise
        except P3DError as error:
            if ctx.meta.get(_DEBUG):
                click.echo(masked(traceback.format_exc()), err=True, nl=False)
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt as error:
            terminated = isinstance(error, Terminated)
            reason = "Ended by SIGTERM" if terminated else "Interrupted"
            click.echo(f"\n{reason}: repeat the command to resume.", err=True)
            raise click.exceptions.Exit(TERMINATED if terminated else INTERRUPTED) from None
        except Exception as error:
            if isinstance(error, BrokenPipeError) and _reader_is_gone():
                raise
            if isinstance(error, OSError) and _is_disk_full(error):  # of the output, or of a library's own files
                if ctx.meta.get(_DEBUG):
                    click.echo(masked(traceback.format_exc()), err=True, nl=False)
                raise click.ClickException(str(unwritable(error.filename or "the output", error))) from error
            click.echo(f"{masked(traceback.format_exc())}\n{_BUG}", err=True)
            raise click.exceptions.Exit(1) from error


def plain_console() -> Console:
    """Return a console on stdout that shows text as it is: names of files may hold [brackets] and :words:."""
    return Console(markup=False, emoji=False)


def print_wide(content: RenderableType) -> None:
    """Print a table on stdout: folded to a terminal, in its full width to a pipe or a file."""
    console = plain_console()
    if not console.is_terminal:
        console.width = _UNLIMITED
        console.width = max(Measurement.get(console, console.options, content).maximum, 1)
    console.print(content)
