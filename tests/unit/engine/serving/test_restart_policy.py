"""Back-off between restarts."""

from engine.serving.restart_policy import RestartPolicy


class TestRestartPolicy:
    def test_doubles_up_to_its_cap(self) -> None:
        policy = RestartPolicy(base_delay_s=1.0, max_delay_s=10.0)
        assert [policy.compute_delay_s(crashes) for crashes in range(1, 8)] == [0.0, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]

    def test_stays_at_its_cap_for_ever(self) -> None:
        assert RestartPolicy().compute_delay_s(100_000) == 60.0

    def test_forgets_crashes_after_a_stable_time(self) -> None:
        policy = RestartPolicy(stable_after_s=60.0)
        assert not policy.is_stable(59.9)
        assert policy.is_stable(60.0)
