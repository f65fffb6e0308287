"""Compressed data within a budget."""

import base64
import gzip
import json
import random
import string
from typing import Any

from matrix.report.packing import CHUNK, Packer, packed


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def noise(size: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices(string.printable, k=size))


def test_round_trip() -> None:
    value = {"text": "</script>\u2028", "numbers": [1, 2.5, None]}
    assert unpacked(packed(value)) == value


def test_nothing_in_it_means_anything_to_html() -> None:
    text = packed({"text": "</script><!-- &amp; \u2028"})
    assert set(text) <= set(string.ascii_letters + string.digits + "+/=")


def test_documents_are_found_where_the_packer_says() -> None:
    packer = Packer(10**7)
    documents = [{"number": number, "text": noise(CHUNK // 3, number)} for number in range(8)]
    places = [packer.add(each) for each in documents]
    packer.close()
    assert len(packer.chunks) > 1
    for document, where in zip(documents, places, strict=True):
        assert where is not None
        assert unpacked(packer.chunks[where.chunk])[where.place] == document


def test_a_budget_is_kept_and_small_documents_still_fit() -> None:
    packer = Packer(200_000)
    while packer.add(noise(20_000, len(packer.chunks)), keep=20_000) is not None:
        pass
    assert packer.add("small") is not None
    packer.close()
    assert sum(map(len, packer.chunks)) < 300_000
    assert packer.add(noise(10**6)) is None


def test_the_same_data_gives_the_same_page() -> None:
    assert packed([1, 2, 3]) == packed([1, 2, 3])
