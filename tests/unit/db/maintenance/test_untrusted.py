"""How a registry may name files."""

import pytest

from db.maintenance.untrusted import is_file_name


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("scans/a.png", True), ("/data/a b.png", True), ("s3://bucket/../a.png", True), ("C:/scans/a.png", True),
        ("a.dcm#frame=3", True), ("", False), (".", True), ("../a.png", False), ("a//b", False), ("a/./b", False),
        ("file:///etc/passwd", False), ("local://x", False), ("s3://user:secret@host/a", False), ("a\0b", False),
    ],
)  # fmt: skip
def test_names_of_files(name, is_ours):
    assert is_file_name(name) is is_ours
