"""ringserve's /metrics: fetched and summed over shards."""

import http.client
from typing import Iterable

# Column of the samples, metric, and the label that it must have.
COLUMNS = (
    ("server_connections_open", "ringserve_connections_open", ""),
    ("server_requests", "ringserve_requests_total", ""),
    ("server_refused", "ringserve_requests_refused_total", ""),
    ("server_responses_5xx", "ringserve_responses_total", 'class="5xx"'),
    ("server_accepted", "ringserve_connections_accepted_total", ""),
    ("server_turned_away", "ringserve_connections_turned_away_total", ""),
    ("server_closed_error", "ringserve_connections_closed_total", 'reason="error"'),
    ("server_enters", "ringserve_engine_enters_total", ""),
    ("server_completions", "ringserve_engine_completions_total", ""),
    ("server_sends", "ringserve_engine_sends_total", ""),
    ("server_sends_blocked", "ringserve_engine_sends_blocked_total", ""),
    ("server_out_of_buffers", "ringserve_engine_out_of_buffers_total", ""),
    ("server_cq_overflows", "ringserve_engine_cq_overflows_total", ""),
    ("server_accept_errors", "ringserve_engine_accept_errors_total", ""),
)


def parse(text: str) -> dict[str, float]:
    """The columns, each the sum over the series of all shards."""
    sums: dict[str, float] = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        for column, metric, label in COLUMNS:
            if name == metric and label in labels:
                sums[column] = sums.get(column, 0.0) + float(value)
    return sums


def fetch(address: tuple[str, int], timeout_s: float = 2.0) -> dict[str, float]:
    """Empty if nobody answers: the server may be on its way to its end."""
    connection = http.client.HTTPConnection(*address, timeout=timeout_s)
    try:
        connection.request("GET", "/metrics", headers={"Connection": "close"})
        response = connection.getresponse()
        if response.status != 200:
            return {}
        return parse(response.read().decode("utf-8"))
    except (OSError, http.client.HTTPException):
        return {}
    finally:
        connection.close()


def names() -> Iterable[str]:
    return (column for column, _, _ in COLUMNS)
