"""
Mails with whatever headers and attachments programs have ever written.
"""

from email.message import EmailMessage
from email.policy import SMTP

import pytest

from oaflow.stages.desk import desk
from oaflow.stages.limits import Limits
from oaflow.stages.mails import read_mail, read_mailbox


def read(tmp_path, data: bytes, reader=read_mail):
    """The content of a mail, with its members as (name, bytes)."""
    path = tmp_path / "mail.eml"
    path.write_bytes(data)
    with desk(Limits(), None) as place:
        content = reader(path, place)
        return content, [(member.name, member.path.read_bytes()) for member in content.members or () if member.path]


def mail(**headers: str) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Anna Keller <anna@example.org>"
    message["To"] = "Jörg Müller <joerg@example.org>, b@example.org"
    message["Subject"] = "Grüße"
    message["Date"] = "Sat, 03 Feb 2024 09:30:00 +0100"
    message["Message-ID"] = "<1@example.org>"
    message.set_content("The money is on its way.")
    return message


def test_headers_become_properties(tmp_path):
    content, members = read(tmp_path, mail().as_bytes())

    assert content.schema == "Email"
    assert content.text is not None
    assert content.text.strip() == "The money is on its way."
    assert content.properties["from"] == ["Anna Keller <anna@example.org>"]
    assert content.properties["to"] == ["Jörg Müller <joerg@example.org>", "b@example.org"]
    assert content.properties["subject"] == ["Grüße"]
    assert content.properties["date"] == ["2024-02-03T09:30:00+01:00"]
    assert content.properties["messageId"] == ["1@example.org"]
    assert members == []


def test_attachments_are_members_under_their_own_names(tmp_path):
    message = mail()
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="Verträge/März.pdf")
    message.add_attachment(b"x", maintype="application", subtype="octet-stream", filename="../../etc/passwd")

    _, members = read(tmp_path, message.as_bytes())

    assert members == [("März.pdf", b"%PDF-"), ("passwd", b"x")]


def test_a_mail_in_a_mail_is_one_member_with_all_that_is_in_it(tmp_path):
    inner = mail()
    inner.add_attachment(b"secret", maintype="application", subtype="zip", filename="inner.zip")
    outer = mail()
    outer.add_attachment(inner)

    _, members = read(tmp_path, outer.as_bytes())

    assert [name for name, _ in members] == ["Grüße.eml"]
    assert b"inner.zip" in members[0][1]


def test_of_a_text_and_the_same_as_html_the_text_is_taken(tmp_path):
    message = mail()
    message.add_alternative("<p>The <b>money</b></p>", subtype="html")

    content, members = read(tmp_path, message.as_bytes())

    assert content.text is not None
    assert content.text.strip() == "The money is on its way."
    assert members == []


def test_a_mail_with_html_only_has_the_text_that_one_sees(tmp_path):
    message = mail()
    message.set_content("<p>The <b>money</b> &amp; more</p><script>no()</script>", subtype="html")

    content, _ = read(tmp_path, message.as_bytes())

    assert content.text is not None
    assert content.text.strip() == "The money & more"


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        ("Größe".encode("latin-1"), "Größe"),
        ("Деньги на счете".encode("windows-1251"), "Деньги на счете"),
        (b"=?utf-8?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        (b"=?no-such-charset?q?abc?=", "abc"),
        (b"=?utf-8?b?not base64?=", "=?utf-8?b?not base64?="),
    ],
)
def test_a_subject_is_readable_however_it_was_written(tmp_path, raw, subject):
    content, _ = read(tmp_path, b"From: a@example.org\r\nSubject: " + raw + b"\r\n\r\ntext")

    assert content.properties["subject"] == [subject]


def test_a_broken_date_and_a_broken_attachment_do_not_stop_a_mail(tmp_path):
    data = (
        b"From: a@example.org\nDate: yesterday\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
        b"--x\nContent-Type: text/plain\n\nwords\n--x\nContent-Type: application/pdf; name=a.pdf\n"
        b"Content-Transfer-Encoding: base64\n\n!!!not base64!!!\n"
    )

    content, _ = read(tmp_path, data)

    assert content.text == "words"
    assert "date" not in content.properties


@pytest.mark.parametrize(
    "address", ["müller@example.org".encode(), "müller@example.org".encode("latin-1"), b"<m\xfcller@example.org>"]
)
def test_an_address_with_raw_letters_is_read(tmp_path, address):
    content, _ = read(tmp_path, b"From: " + address + b"\n\nwords")

    assert content.properties["from"] == ["müller@example.org"]


def test_a_charset_that_is_spelt_in_an_odd_way_does_not_stop_a_mail(tmp_path):
    content, _ = read(
        tmp_path, b"From: a@example.org\nContent-Type: text/plain; charset*=ansi-x3.4-1968''us\n\nGr\xf6sse"
    )

    assert content.text == "Grösse"


def test_a_mail_within_is_kept_as_it_was_written_also_with_headers_that_look_like_two(tmp_path):
    inner = (
        b"Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=\nX-Odd: rfc822; a\x0cArrival-Date: b\n  folded\n"
        b"From: m\xfcller@example.org\n\nwords\n"
    )
    _, members = read(
        tmp_path,
        b"From: a@example.org\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n"
        b"--x\nContent-Type: message/rfc822\n\n" + inner + b"\n--x--\n",
    )

    assert [data.rstrip() for _, data in members] == [inner.rstrip()]


def test_a_mailbox_is_cut_at_its_from_lines_only(tmp_path):
    box = b"".join(
        b"From a@example.org Mon Jan  1 10:00:00 2024\nSubject: %d\n\nBefore\nFrom here on\n\n>From there\n\n" % n
        for n in (1, 2)
    )

    content, members = read(tmp_path, box, read_mailbox)

    assert content.schema == "Package"
    assert [name for name, _ in members] == ["00001.eml", "00002.eml"]
    assert b"From here on\n\nFrom there" in members[1][1]
