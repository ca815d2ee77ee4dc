"""Colour, prompt and noise seed of a sample. Pure, except for reading the prompt file."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.errors import ManifestError
from p3d_gen.spec.manifest import Manifest, resolve_file
from p3d_gen.spec.sections import check_template
from p3d_gen.spec.streams import Stream, pick, stream
from p3d_gen.spec.stylize import PROMPT_FIELDS, Stylize


@dataclass(frozen=True, kw_only=True)
class Style:
    """A sample's colour, its filled-in prompt, and the seed of its noise."""

    colour: str
    prompt: str
    seed: int


def load_templates(settings: Stylize, base_dir: Path) -> tuple[str, ...]:
    """Return the prompt templates of a stylization: the lines of its prompt file without blank ones, or its prompt.

    Raise ManifestError for an empty file, or a line that is not a template.
    """
    if not settings.prompt_file:
        return (settings.prompt,)
    path = resolve_file(settings.prompt_file, base_dir, "stylize.prompt_file")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read as text: {error}") from None
    templates = {number: line.strip() for number, line in enumerate(lines, start=1) if line.strip()}
    if not templates:
        raise ManifestError(f"{path} holds no prompt: write one on each line")
    for number, template in templates.items():
        try:
            check_template(template, *PROMPT_FIELDS)
        except ValueError as error:
            raise ManifestError(f"{path}, line {number}: {error}") from None
    return tuple(templates.values())


def check_words(settings: Stylize, templates: Iterable[str], categories: Iterable[str]) -> None:
    """Raise ManifestError if a template asks for a {word} of a category that has none.

    categories: those that define none themselves. One's own always do: their name.
    """
    wanting = next((t for t in templates if any(name == "word" for _, name, _, _ in Formatter().parse(t))), None)
    without = [category for category in categories if category not in settings.words]
    if wanting is not None and without:
        raise ManifestError(
            f"the prompt {wanting!r} asks for a {{word}} of {without[0]!r}, which has none: "
            f'give stylize.words.{without[0]} = ["..."], or write {{category}}'
        )


def style(
    manifest: Manifest,
    settings: Stylize,
    templates: tuple[str, ...],
    definition: CategoryDefinition,
    index: int,
    attempt: int = 0,
) -> Style:
    """Draw the style of sample `index` of a category. Every further attempt (from 0) has the next seed.

    The colour is drawn as the colour of realistic paint is, so both are equal for the same list of colours.
    """
    category = definition.name
    colour = pick(stream(manifest, Stream.COLOUR, category, index), settings.colours)
    wording, noise = (stream(manifest, which, category, index) for which in (Stream.PROMPT, Stream.STYLIZE))
    template = pick(wording, templates)
    word = pick(wording, settings.words.get(category) or definition.prompt_words)
    called = pick(wording, definition.prompt_words)
    seeds = [int(noise.integers(2**31)) for _ in range(attempt + 1)]
    return Style(colour=colour, prompt=template.format(colour=colour, category=called, word=word), seed=seeds[attempt])
