"""What Prometheus is told of an exploration, and of several together."""

from prometheus_client import CollectorRegistry, generate_latest

from matrix.explore.cells import Cell
from matrix.explore.exploration import Exploration, Seen, Took
from matrix.explore.exploration_metrics import ExplorationMetrics

HOP = "hop by precopy over tcp"
TOTAL = Exploration(
    guests=2,
    steps=6,
    seconds=1.5,
    signatures={'hop: "late"\n': 2},
    seen=(
        Seen(Cell("x86_64", "running", "old → new", HOP), 3),
        Seen(Cell("x86_64", "running", "new → old", HOP), 1),
        Seen(Cell("x86_64", "running", "old", "reset"), 0),
        Seen(Cell("aarch64", "paused", "old", "cont"), 2),
    ),
    took={HOP: Took(4, 0.5), "cont": Took(2, 0.25)},
)


def test_what_was_seen_so_far() -> None:
    total = [Exploration()]
    registry = CollectorRegistry()
    registry.register(ExplorationMetrics(lambda: total[-1]))

    def of(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"matrix_explore_{name}", labels)

    assert (of("guests_total"), of("steps_total"), of("steps_per_second")) == (0, 0, 0)
    total.append(TOTAL)
    assert (of("guests_total"), of("steps_total"), of("seconds_total")) == (2, 6, 1.5)
    assert of("steps_per_second") == 4
    assert (of("cells", arch="x86_64"), of("cells_seen", arch="x86_64")) == (3, 2)
    assert (of("cells", arch="aarch64"), of("cells_seen", arch="aarch64")) == (1, 1)
    assert of("operations_total", arch="x86_64", operation=HOP) == 4
    assert of("operations_total", arch="aarch64", operation="cont") == 2
    assert of("operations_total", arch="x86_64", operation="reset") is None
    assert of("operation_seconds_count", operation=HOP) == 4
    assert of("operation_seconds_sum", operation=HOP) == 0.5
    (failure,) = (
        line
        for line in generate_latest(registry).decode().splitlines()
        if "failures_total{" in line
    )
    assert failure.startswith('matrix_explore_failures_total{signature="hop: \\"late\\"')
    assert failure.endswith(" 2.0")
