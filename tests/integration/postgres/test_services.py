"""The throw-away servers other tests stand on."""

import psycopg
import pytest
import redis

from tests.support.services import find_postgres_bin, find_redis, run_postgres, run_redis

pytestmark = pytest.mark.slow


@pytest.mark.postgres
@pytest.mark.skipif(find_postgres_bin() is None, reason="PostgreSQL is not installed: there is no initdb")
class TestRunPostgres:
    def test_gives_an_empty_database_and_takes_it_away(self) -> None:
        with run_postgres() as url, psycopg.connect(url) as connection:
            rows = connection.execute("SELECT current_database(), current_user").fetchall()
            assert rows == [("medley", "medley")]
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=2)


@pytest.mark.redis
@pytest.mark.skipif(find_redis() is None, reason="Redis is not installed: there is no redis-server")
class TestRunRedis:
    def test_gives_an_empty_redis_and_takes_it_away(self) -> None:
        with run_redis() as url:
            client = redis.Redis.from_url(url)
            assert client.dbsize() == 0
            client.close()
        client = redis.Redis.from_url(url)
        with pytest.raises(redis.ConnectionError):
            client.ping()
        client.close()
