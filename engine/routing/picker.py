"""Picker: from scores to one shard. Smooth weighted round robin, deterministic, its state in and out.

Every shard earns its score per pick; the richest is picked and pays what all earned together. After any number of
picks each shard's part differs from its share by less than one pick, and its picks are spread as evenly as can be.
Source: the smooth weighted balancing of nginx's upstream module (2012).
"""

from collections.abc import Mapping, Sequence


def pick_smoothly(
    shard_ids: Sequence[str], scores: Sequence[float], credits_: Mapping[str, float]
) -> tuple[str, Mapping[str, float]]:
    """Return the shard to use and the credits afterwards.

    Args:
        shard_ids: shards to choose from, at least one; of equals the first is picked.
        scores: score per shard, same order; a shard with score 0 is never picked; at least one is positive.
        credits_: credits after the previous pick; a shard that is not in it starts at 0, and one that is in it
            without being among `shard_ids` keeps what it has.
    """
    after = dict(credits_)
    eligible = [(shard_id, score) for shard_id, score in zip(shard_ids, scores, strict=True) if score > 0.0]
    for shard_id, score in eligible:
        after[shard_id] = after.get(shard_id, 0.0) + score
    picked = max((shard_id for shard_id, _ in eligible), key=after.__getitem__)
    after[picked] -= sum(score for _, score in eligible)
    return picked, after
