"""Which cookies are sent back."""

import pytest
from multidict import CIMultiDict

from mcwatch.sinks.splunk_hec.cookies import kept


@pytest.mark.parametrize(
    ("sent", "set_cookies", "expected"),
    [
        ("", [], ""),
        ("SRV=a", [], "SRV=a"),
        ("", ["SRV=a; Path=/; HttpOnly"], "SRV=a"),
        ("SRV=a", ["SRV=b"], "SRV=b"),
        (
            "SRV=a",
            ["AWSALB=x==; Expires=Thu, 01 Jan 2099 00:00:00 GMT", "AWSALBCORS=y"],
            "SRV=a; AWSALB=x==; AWSALBCORS=y",
        ),
        ("SRV=a; T=1", ["SRV=gone; Max-Age=0"], "T=1"),
        ("SRV=a", ["SRV="], ""),
        ("SRV=a", ["no cookie", "=x", "bad=\x01"], "SRV=a"),
        ("", ["big=" + "x" * 5000], ""),
    ],
)
def test_cookies_replace_and_remove_each_other(sent: str, set_cookies: list[str], expected: str) -> None:
    """What is set last counts; what makes no sense is passed over."""
    headers = CIMultiDict([("X-Other", "1"), *(("set-cookie", text) for text in set_cookies)])
    assert expected == kept(sent, headers)
