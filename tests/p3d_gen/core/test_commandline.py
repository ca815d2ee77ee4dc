"""Both command lines keep one contract: errors, exit statuses, log messages, help, and tables in a pipe."""

import logging
import signal
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from rich.table import Table

from p3d_gen.core.commandline import Choice, Group, is_quiet, print_wide
from p3d_gen.core.errors import ConfigError, RunError

SENTENCE = "Do something that takes a whole long sentence to tell, longer than a line of eighty columns has room for."
ERRORS = {
    "run": RunError("runs/x is locked: wait for the other process"),
    "config": ConfigError("--steps 0: give a positive number"),
    "value": ValueError("a bug of ours"),
    "os": FileNotFoundError(2, "No such file or directory", "some/file"),
    "interrupt": KeyboardInterrupt(),
    "usage": click.UsageError("give --a or --b"),
}
PIPED = """
import click
from p3d_gen.core.commandline import Group
@click.group(cls=Group)
def main(): pass
@main.command()
def lines():
    for i in range(100_000): click.echo(i)
main()
"""


SLEEPING = """
import click, time
from p3d_gen.core.commandline import Group
@click.group(cls=Group)
def main(): pass
@main.command()
def sleep():
    try:
        click.echo("asleep")
        time.sleep(600)
    finally:
        click.echo("cleaned")
main()
"""


@click.group(cls=Group)
def main():
    """A command line."""


@main.group(cls=Group)
def inner():
    """Commands inside."""


@inner.command(help=f"{SENTENCE} More is told only in the command's own help.")
@click.argument("error", required=False)
def act(error):
    logging.getLogger("p3d_gen.test").debug("details")
    logging.getLogger("pose_models.test").info("news")
    logging.getLogger("another").info("not ours")
    click.echo(f"result, quiet: {is_quiet()}")
    if error:
        raise ERRORS[error]


def run(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("name", ["run", "config"])
def test_an_error_of_the_user_is_one_line(name):
    result = run("inner", "act", name, "--quiet")
    assert (result.exit_code, result.stderr) == (1, f"Error: {ERRORS[name]}\n")


@pytest.mark.parametrize("name", ["value", "os"])
def test_any_other_error_keeps_its_traceback_and_asks_for_a_report(name):
    result = run("inner", "act", name)
    assert result.exit_code == 1
    assert f"{type(ERRORS[name]).__name__}: " in result.stderr
    assert result.stderr.splitlines()[-1].endswith("the output of `p3dgen doctor --json`.")


def test_ctrl_c_says_how_to_resume():
    result = run("inner", "act", "interrupt")
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, "Interrupted: repeat the command to resume.")


def test_sigterm_ends_a_command_by_an_exception():
    command = [sys.executable, "-c", SLEEPING, "sleep"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "asleep\n"
    process.terminate()
    said, errors = process.communicate(timeout=60)
    assert (process.returncode, said) == (143, "cleaned\n")
    assert errors.splitlines()[-1] == "Ended by SIGTERM: repeat the command to resume."


def test_a_command_leaves_the_handler_of_sigterm_as_it_was():
    before = signal.getsignal(signal.SIGTERM)
    assert run("inner", "act").exit_code == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    "arguments", [["nosuch"], ["inner", "nosuch"], ["inner", "act", "--nosuch"], ["inner", "act", "usage"]]
)
def test_a_usage_error_is_status_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--debug", "inner", "act"], ["inner", "--debug", "act"], ["inner", "act", "--debug"]],
)
def test_debug_shows_the_traceback_of_known_errors_wherever_it_is_given(arguments):
    result = run(*arguments, "run")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == f"Error: {ERRORS['run']}"


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ((), "news\n"),
        (("--quiet",), ""),
        (("--verbose",), "DEBUG p3d_gen.test: details\nINFO pose_models.test: news\n"),
    ],
)
def test_log_messages_go_to_stderr(option, shown):
    for arguments in ((*option, "inner", "act"), ("inner", "act", *option)):
        result = run(*arguments)
        assert (result.stdout, result.stderr) == (f"result, quiet: {option == ('--quiet',)}\n", shown)


def test_a_log_file_holds_everything_and_is_appended_to(tmp_path):
    for _ in range(2):
        assert run("inner", "act", "--quiet", "--log-file", str(tmp_path / "log")).stderr == ""
    ends = [line.split(" ", 2)[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert ends == ["DEBUG p3d_gen.test: details", "INFO pose_models.test: news"] * 2


def test_a_log_file_that_cannot_be_written_is_a_usage_error(tmp_path):
    result = run("inner", "act", "--log-file", str(tmp_path / "nosuch" / "log"))
    assert result.exit_code == 2
    assert "name a file that can be written" in result.stderr


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_gives_whole_sentences_and_names_the_shared_options_once(option):
    words = " ".join(run("inner", option).stdout.split())
    assert SENTENCE in words
    assert "..." not in words.replace("[ARGS]...", "")
    assert "--log-file FILE" in run(option).stdout
    assert "may also follow the name of a command" in " ".join(run(option).stdout.split())
    assert "--log-file" not in words + run("inner", "act", option).stdout


def test_a_command_whose_options_were_checked_alone_has_both_names_of_its_help():
    @main.command()
    def alone():
        """Do something."""

    alone.make_context("alone", [])
    assert run("alone", "-h").stdout == run("alone", "--help").stdout


def test_a_pipe_that_nobody_reads_is_no_error():
    command = f"{sys.executable} -c '{PIPED}' lines | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_table_in_a_pipe_is_as_wide_as_its_content(capsys):
    table = Table("name", "sentence")
    table.add_row("a", SENTENCE)
    print_wide(table)
    assert SENTENCE in capsys.readouterr().out


def test_tables_show_names_as_they_are(capsys):
    table = Table("name", title="[bold]a[/b]")
    for name in ("[red]x", "[/]", ":car:", SENTENCE):
        table.add_row(name)
    print_wide(table)
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("[bold]a[/b]", "[red]x", "[/]", ":car:"))


def test_an_older_name_of_a_command_is_accepted_but_not_shown():
    main.add_alias("within", inner)
    assert run("within", "act").exit_code == 0
    assert "within" not in run("-h").stdout


def test_a_wrong_choice_suggests_the_nearest_name():
    @main.command()
    @click.option("--colour", type=Choice(["red", "blue"]))
    def paint(colour):
        click.echo(colour)

    assert run("paint", "--colour", "blue").stdout == "blue\n"
    assert "is not one of 'red', 'blue'; did you mean 'blue'?" in run("paint", "--colour", "bleu").stderr
    assert "did you mean" not in run("paint", "--colour", "xyz").stderr


def test_windows_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert run("inner", "act").exception.code == "Error: Windows is not supported. Use Linux, macOS or WSL 2."


FULL = "/dev/full"  # a device on which every write fails as on a full disk
LOGGED = """
import logging
import click
from p3d_gen.core.commandline import Group
@click.group(cls=Group)
def main(): pass
@main.command()
def lines():
    logging.getLogger("p3d_gen").info("kept")
    click.echo("done")
main()
"""


def test_a_full_disk_below_the_output_is_one_line():
    with open(FULL, "w") as full:  # noqa: PTH123  as a shell opens it
        done = subprocess.run([sys.executable, "-c", PIPED, "lines"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: the output cannot be written: No space left on device; free some space")
    assert "Traceback" not in done.stderr


def test_a_log_file_on_a_full_disk_ends_the_command():
    command = [sys.executable, "-c", LOGGED, "lines", "--log-file", FULL]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: /dev/full cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_room_for_temporary_files_is_one_line():
    resource = pytest.importorskip("resource")
    code = LOGGED.replace('click.echo("done")', "import tempfile; tempfile.TemporaryFile()")
    done = subprocess.run(
        [sys.executable, "-c", code, "lines"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    assert done.returncode == 1
    assert "No usable temporary directory" in done.stderr
    assert "Traceback" not in done.stderr
