"""What only a person can say: read as it stands, refused where it cannot be used, never invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from semeion.errors import InputError
from semeion.report.stated import FILE, KEYS, keep_stated, read_stated, stated_in


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "given.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_texts_lists_and_numbers_come_on_one_line_in_a_fixed_order(tmp_path: Path) -> None:
    text = "not_for:\n  - children\n  -\n  - emergencies\ndates: 2019\nintended_use: >\n  A second\n  look\nfunding:\n"
    found = read_stated(written(tmp_path, text))
    assert list(found.items()) == [
        ("intended_use", "A second look"),
        ("not_for", "children; emergencies"),
        ("dates", "2019"),
    ]


def test_a_copy_is_kept_byte_for_byte(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    file = written(tmp_path, "# ours\nsetting: clinic\n")
    assert keep_stated(file, run) == stated_in(run) == {"setting": "clinic"}
    assert (run / FILE).read_bytes() == file.read_bytes()
    assert keep_stated(run / FILE, run) == {"setting": "clinic"}
    assert stated_in(tmp_path) == {}


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "intended_use:\n", "intended_use: ''\nusers: []\n"])
def test_nothing_stated_is_nothing(text: str, tmp_path: Path) -> None:
    assert read_stated(written(tmp_path, text)) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("intended_us: x", "'intended_us' is no known key, did you mean 'intended_use'?"),
        ("users: a\nusers: b", "users stands twice; keep one of them"),
        ("- a\n- b", "holds no keys"),
        ("just words", "holds no keys"),
        ("a: [1", "is not readable YAML (line"),
        ("users: a: b", "text with a colon in it needs quotes"),
        ("users: {a: b}", "users: {'a': 'b'} is no text"),
        ("users: yes", "users: True is no text; write a sentence"),
        (b"users: \xff\xfe", "is not readable YAML"),
        (f"users: {'x' * 6000}", "is 6000 characters long"),
        (f"users: {'x' * 300000}", "bytes long"),
        ("users: !!python/object/apply:os.system ['ls']", "is not readable YAML"),
    ],
)
def test_what_cannot_be_used_is_refused(text: str | bytes, message: str, tmp_path: Path) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        keep_stated(file, tmp_path)
    assert message in str(caught.value) and str(file) in str(caught.value)
    assert not (tmp_path / FILE).exists()


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read_stated(tmp_path / "none.yaml")


def test_every_key_says_what_is_to_be_written() -> None:
    assert all(title and title[0].isupper() for title in KEYS.values())
