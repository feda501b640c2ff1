"""The table on disk."""

import stat
from pathlib import Path

import pytest

from engine.gateway.table_store import StoredTable, TableStore
from tests.support.gateways import define_deployment, define_route, define_table

STORED = StoredTable(etag='"v1"', table=define_table(define_deployment(define_route("http://a", "a"))))


class TestTableStore:
    def test_reads_what_it_wrote(self, tmp_path: Path) -> None:
        TableStore(tmp_path / "state").save(STORED)
        assert TableStore(tmp_path / "state").load() == STORED

    def test_replaces_in_one_step_and_leaves_nothing_aside(self, tmp_path: Path) -> None:
        store = TableStore(tmp_path)
        store.save(STORED)
        newer = StoredTable(etag='"v2"', table=define_table())
        store.save(newer)
        assert store.load() == newer
        assert [path.name for path in tmp_path.iterdir()] == ["routing-table.json"]

    def test_is_private(self, tmp_path: Path) -> None:
        TableStore(tmp_path / "state").save(STORED)
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "state" / "routing-table.json").stat().st_mode) == 0o600

    def test_has_nothing_at_first(self, tmp_path: Path) -> None:
        assert TableStore(tmp_path / "none").load() is None

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"etag": 1, "table": {}}', "\udcff"])
    def test_passes_over_what_it_cannot_read(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "routing-table.json").write_bytes(text.encode(errors="surrogateescape"))
        assert TableStore(tmp_path).load() is None
