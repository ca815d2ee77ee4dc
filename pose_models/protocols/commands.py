"""The commands of `pose-models` as data: which options they have, and options as arguments."""

from __future__ import annotations

from collections.abc import Sequence

import click

from p3d_gen.core.errors import ConfigError, did_you_mean
from pose_models.protocols.manifest import Options, Value

TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


def leaf_command(main: click.Command, words: Sequence[str]) -> click.Command:
    """Find the command that `words` name below `main`. ValueError with the nearest name if there is none."""
    command = main
    for i, word in enumerate(words):
        names = command.commands if isinstance(command, click.Group) else {}
        if word not in names:
            said = " ".join(words[: i + 1])
            raise ConfigError(f"pose-models has no command {said!r}{did_you_mean(word, names)}")
        command = names[word]
    return command


def flags(command: click.Command, options: Options) -> list[str]:
    """Write options as arguments of a command.

    ValueError for one that it does not have, or a switch that is neither true nor false.
    """
    known = {name: parameter for parameter in command.params for name in parameter.opts}
    words = []
    for name, value in options.items():
        parameter = known.get(f"--{name}")
        if parameter is None:
            names = [each.removeprefix("--") for each in known]
            raise ConfigError(f"`{command.name}` has no option {name!r}{did_you_mean(name, names)}")
        if isinstance(parameter, click.Option) and parameter.is_flag:
            words += _switch(parameter, name, value)
            continue
        for each in value if isinstance(value, tuple) else (value,):
            words += [f"--{name}", str(each)]
    return words


def _switch(parameter: click.Option, name: str, value: Value) -> list[str]:
    text = str(value).lower()
    if text in TRUE:
        return [f"--{name}"]
    if text not in _FALSE:
        raise ConfigError(f"option {name!r} is {value!r}: it is a switch, true or false")
    return list(parameter.secondary_opts[:1])


def takes(command: click.Command, option: str, value: str) -> bool:
    """Return whether a command has an option and can take the value.

    A switch takes only true or false: --backbone is a network to one command and a switch to another.
    """
    known = next((each for each in command.params if f"--{option}" in each.opts), None)
    switch = isinstance(known, click.Option) and known.is_flag
    return known is not None and (not switch or value.lower() in (*TRUE, *_FALSE))


def option_names(command: click.Command) -> list[str]:
    """Return the options of a command, without their dashes."""
    return [name.removeprefix("--") for each in command.params for name in each.opts if name.startswith("--")]
