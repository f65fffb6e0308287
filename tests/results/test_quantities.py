import pytest

from matrix.results.quantities import human


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.3, "s", "300 ms"),
        (0.012, "s", "12 ms"),
        (1.877e5, "ns", "188 us"),
        (4.395e6, "ns", "4.4 ms"),
        (999.6, "us", "1 ms"),
        (255.0, "ns", "255 ns"),
        (0.0, "s", "0 s"),
        (0.5, "ns", "0.5 ns"),
        (-0.25, "s", "-250 ms"),
        (75.0, "s", "75 s"),
        (12_345.0, "s", "12,300 s"),
        (6.25e7, "Hz", "62.5 MHz"),
        (999.9, "Hz", "1 kHz"),
        (950.0, "B/s", "950 B/s"),
        (1.5e9, "B/s", "1.5 GB/s"),
        (1500.0, "cycles", "1,500 cycles"),
        (187_654.0, "", "187,700"),
        (0.25, "", "0.25"),
        (1e20, "", "1e+20"),
    ],
)
def test_people_read_it(value: float, unit: str, words: str) -> None:
    assert human(value, unit) == words
