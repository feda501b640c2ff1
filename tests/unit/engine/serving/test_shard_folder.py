"""How a process claims a shard's folder."""

import os
from pathlib import Path

from engine.serving import processes, shard_folder
from engine.serving.shard_folder import ShardFolder


class TestClaimFolder:
    def test_writes_down_who_holds_it(self, tmp_path: Path) -> None:
        folder = ShardFolder(path=tmp_path / "a")
        fd = shard_folder.claim_folder(folder)
        assert fd is not None
        assert shard_folder.find_claimant(folder) == processes.find_process(os.getpid())
        os.close(fd)

    def test_is_refused_while_another_one_lives(self, tmp_path: Path) -> None:
        folder = ShardFolder(path=tmp_path / "a")
        fd = shard_folder.claim_folder(folder)
        assert fd is not None
        folder.process.unlink()
        assert shard_folder.claim_folder(folder) is None
        assert shard_folder.find_claimant(folder) is None
        os.close(fd)


class TestFindClaimant:
    def test_finds_nobody_in_a_torn_file(self, tmp_path: Path) -> None:
        folder = ShardFolder(path=tmp_path)
        folder.process.write_text('{"pid": 1')
        assert shard_folder.find_claimant(folder) is None
