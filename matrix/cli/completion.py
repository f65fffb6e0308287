"""Scripts by which shells complete ``matrix``, installed with the package."""

from typer import completion

PLACES = {
    "bash": "bash-completion/completions/matrix",
    "zsh": "zsh/site-functions/_matrix",
    "fish": "fish/vendor_completions.d/matrix.fish",
}
"""Shell → where it looks for them, below ``share``."""


def completion_script(shell: str) -> str:
    """What a shell has to read so that it asks ``matrix`` for completions."""
    return completion.get_completion_script(  # type: ignore[attr-defined]  # only imported there
        prog_name="matrix", complete_var="_MATRIX_COMPLETE", shell=shell
    )
