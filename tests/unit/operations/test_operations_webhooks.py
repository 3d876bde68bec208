"""
What webhooks are signed with, when they are tried again, and what is shown of them.
"""

import pytest
from pydantic import SecretStr

from oaflow.errors import UsageError
from oaflow.operations.webhooks import (
    DELAYS,
    WebhookSecretError,
    add_webhook,
    delay_after,
    keys_of,
    new_secret,
    send,
    shown,
    signed,
)
from oaflow.settings import Settings

# Of the text of the specification.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_signature_is_that_of_the_specification() -> None:
    assert signed(keys_of(SecretStr(SECRET)), *MESSAGE) == {
        "webhook-id": MESSAGE[0],
        "webhook-timestamp": str(MESSAGE[1]),
        "webhook-signature": SIGNATURE,
    }


def test_while_the_secret_changes_both_sign() -> None:
    both = signed(keys_of(SecretStr(f"{new_secret()} {SECRET}")), *MESSAGE)["webhook-signature"].split(" ")

    assert len(both) == 2
    assert both[1] == SIGNATURE


@pytest.mark.parametrize("given", [None, " ", "canary", "whsec_canary", "whsec_" + "A" * 8, f"{SECRET} canary"])
def test_a_secret_that_is_none_is_refused_and_not_shown(given: str | None) -> None:
    with pytest.raises(WebhookSecretError) as refused:
        keys_of(SecretStr(given) if given is not None else None)

    assert "canary" not in f"{refused.value} {refused.value.help}"


def test_it_is_tried_again_for_three_days_and_not_where_it_is_gone() -> None:
    for attempts, delay in enumerate(DELAYS, 1):
        found = delay_after(attempts, 500)
        assert found is not None
        assert delay <= found <= delay * 1.2
    assert delay_after(len(DELAYS) + 1, 500) is None
    assert delay_after(1, 410) is None
    assert 3 * 86400 < sum(DELAYS) < 4 * 86400


@pytest.mark.parametrize(
    "url",
    ["example.org/hook", "ftp://example.org", "https://", "https://[", "https://a b", "https://u:canary@example.org"],
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        add_webhook(url, settings=Settings(db_uri="postgresql://nowhere.invalid/"))

    assert "canary" not in f"{refused.value} {refused.value.help}"


@pytest.mark.parametrize("more", ["/hook?token=canary#canary", "/services/T0/canary", "/?canary", "?canary"])
def test_what_stands_behind_the_host_is_not_shown(more: str) -> None:
    assert shown(f"https://example.org:8443{more}") == "https://example.org:8443/..."


@pytest.mark.parametrize("url", ["https://example.org", "https://example.org/"])
def test_of_an_address_that_is_a_host_all_is_shown(url: str) -> None:
    assert shown(url) == "https://example.org"


def test_why_nothing_was_sent_does_not_say_the_address() -> None:
    problem, status = send(keys_of(SecretStr(SECRET)), "http://127.0.0.1:1/canary?canary", "1", "{}")

    assert problem is not None
    assert status is None
    assert "canary" not in problem
