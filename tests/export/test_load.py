"""Good and bad requests at once: a small version of tests/load.py."""

import linear_autoencoder as served
import load


def test_no_good_request_is_lost_among_bad_ones(tmp_path):
    served.write(tmp_path)
    with served.serving(tmp_path, body=1_000_000) as address:
        found = load.bombard(address, requests=300, clients=8)
    assert found.good > 150
    assert found.bad > 50
    assert found.lost == []
    assert found.misjudged == []
