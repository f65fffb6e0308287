"""``--require`` and ``--fail-on-skip``, as a run keeps them."""

from matrix.cli.arguments import FAIL_ON_SKIP
from matrix.errors import UsageError
from matrix.run.options import Selection
from matrix.scenario.values import parse_require, parse_skip_pattern
from matrix.scenario.wording import Refused


def required_of(selection: Selection) -> dict[str, object]:
    """What the options say of how much has to run, as a run keeps it.

    Raises:
        UsageError: they cannot be met.
    """
    if selection.require is None and not selection.fail_on_skip:
        return {}

    option = "--require"
    try:
        require = "" if selection.require is None else parse_require(selection.require)
        option = FAIL_ON_SKIP
        patterns = [parse_skip_pattern(each) for each in selection.fail_on_skip]
    except Refused as refused:
        raise UsageError(f"{option}: {refused}") from None
    return {"require": require, "fail_on_skip": patterns}
