from matrix.report.comment import comment
from matrix.results.compare.markdown import LARGEST
from tests import make
from tests.report.conftest import Results, RunMaker


def test_the_answer_what_broke_and_the_coverage(recorded: RunMaker) -> None:
    first = make.case("boot", "x86_64")
    second = make.case("boot", "aarch64")
    third = make.case("timer", "x86_64")
    runs = [
        recorded(
            [
                (make.run(first), make.attempt("fail", "@all: `broken`"), {}),
                (make.skip(third, "no such QEMU"), None, {}),
            ],
            "one",
        ),
        recorded([(make.run(second), make.attempt(), {})], "two"),
    ]
    text = comment(runs)
    assert text.startswith("### 1 of 2 cases did not pass; 1 was skipped\n")
    assert "#### What broke\n\n- **fail 1** `boot` `only with" in text
    assert "  - `` @all: `broken` ``\n" in text
    assert f"  - `{first.id}`\n" in text
    assert "- x86_64: emulated 0 of 1 passed, 1 not run\n" in text
    assert "- aarch64: emulated 1 of 1 passed\n" in text
    assert "<summary>Not run, by reason: 1</summary>\n\n- 1: `no such QEMU`\n" in text


def test_it_is_no_longer_than_a_comment_may_be(recorded: RunMaker) -> None:
    results: Results = [
        (make.run(make.case(f"{'t' * 150}{number}")), make.attempt("fail", f"{number}" * 90), {})
        for number in range(60)
    ]
    text = comment([recorded(results)])
    assert len(text) <= LARGEST
    assert "… and 40 more tests\n" in text
