from cdc.local.kafka import new_cluster_id


def test_kafka_does_not_take_a_cluster_id_for_an_option() -> None:
    """A stack in 64 did not start: its id began with a dash."""
    ids = {new_cluster_id() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(len(one) == 22 and not one.startswith("-") for one in ids)
