from cdc.core.batch import Collapsed


def test_upserts_are_the_keys_that_keep_a_row() -> None:
    assert Collapsed(events=9, keys=5, deletes=2).upserts == 3
    assert Collapsed().upserts == 0
