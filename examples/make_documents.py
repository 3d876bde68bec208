"""
Makes the sample documents: one small invented story, told by the files that a reporter might be sent.

    python examples/make_documents.py            writes examples/documents anew
    python examples/make_documents.py FOLDER     writes them there

Every person, company and place is invented. Mail addresses are of example.org and its like, telephone numbers of the
ranges that Ofcom and the Bundesnetzagentur keep for films, IBANs are the examples of the registry, IP addresses are
of the documentation blocks. The committed files are what counts; this shows how they came to be, and makes the same
bytes on every run with the libraries of the dependency group `corpus`.
"""

# ruff: noqa: E501  the sentences of the story are as long as they are

import csv
import gzip
import io
import json
import random
import re
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from importlib.metadata import version
from pathlib import Path

import openpyxl
from docx import Document
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pptx import Presentation
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

HERE = Path(__file__).parent

# With these the bytes come out as committed; with others the documents say the same in other bytes.
MADE_WITH = {
    "openpyxl": "3.1.5",
    "pillow": "13.0.0",
    "python-docx": "1.2.0",
    "python-pptx": "1.0.2",
    "reportlab": "5.1.0",
}
ZLIB = "1.2.13"

MOMENT = datetime(2024, 10, 1, 9, 30)
STAMP = "2024-10-01T09:30:00Z"

NORTHLIGHT = (
    "Northlight Dredging Ltd, 17 Saltmarsh Lane, Vessby VS1 4QA, +44 20 7946 0117, t.ruiz@northlight.example.com"
)
BALTMAR = "Baltmar Holding GmbH, Kranweg 17, 20457 Hamburg, +49 30 23125 014, vogt@baltmar.example.net"
AUTHORITY = "Vessby Harbour Authority, 3 Quay Road, Vessby VS1 1AA, +44 1632 960140, office@harbour.example.org"
BANK = "Bankhaus Lindenhof, Lindenhofgasse 4, 8001 Zürich, u.frei@lindenhof.example.com"
CEDAR = "Cedar Bay Trading FZE, Warehouse 9, Creek Road, Dubai, office@cedarbay.example.net"

IBAN_NORTHLIGHT = "GB29 NWBK 6016 1331 9268 19"
IBAN_BALTMAR = "DE89 3704 0044 0532 0130 00"
IBAN_CEDAR = "AE07 0331 2345 6789 0123 456"
IBAN_LINDENHOF = "CH93 0076 2011 6238 5295 7"
IBAN_HAIXING = "FR14 2004 1010 0505 0001 3M02 606"


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "documents"
    write(folder)


def write(folder: Path) -> None:
    """
    Writes the documents into a folder, in place of what was there.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in documents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def reproducible() -> bool:
    """
    Whether the libraries here are those that the committed bytes were made with.
    """
    return ZLIB == zlib.ZLIB_RUNTIME_VERSION and all(version(name) == wanted for name, wanted in MADE_WITH.items())


def documents() -> dict[str, bytes]:
    """
    All documents, by their path.
    """
    return tender() | money() | mail() | press() | languages() | archives() | odd()


# --- 1: a tender ----------------------------------------------------------------------------------------------------


def tender() -> dict[str, bytes]:
    return {
        "tender/notice.html": html(
            "Notice: dredging of the outer basin",
            f"""<p>The <b>Vessby Harbour Authority</b> invites bids for the dredging of the outer basin, 240,000 cubic metres
of sediment, between March and September 2024.</p>
<p>Questions to the director, <a href="mailto:m.kuehn@harbour.example.org">Marta Kühn</a>, telephone +44 1632 960141.</p>
<table><tr><th>Step</th><th>Date</th></tr><tr><td>Questions</td><td>2023-11-30</td></tr>
<tr><td>Bids</td><td>2023-12-18</td></tr><tr><td>Award</td><td>2024-01-22</td></tr></table>
<p>{AUTHORITY}. See <a href="https://harbour.example.org/tenders/2023-07">tender 2023-07</a>.</p>""",
        ),
        "tender/terms.pdf": pdf(
            "Terms of tender 2023-07",
            [
                [
                    "1. Subject",
                    "The outer basin of Vessby is to be dredged to 11.5 metres below chart datum.",
                    "The contractor supplies ship, crew and survey. The dredger MV Grey Heron is known to the authority.",
                    AUTHORITY,
                ],
                [
                    "2. Payment",
                    "Payment is by the cubic metre, against the log of the ship and the weighbridge of the dumping ground.",
                    "No part of the price may be passed on to advisers without consent. Advance payment is ten per cent.",
                    "The log is countersigned each week by the harbour master, Per Lindqvist.",
                ],
                [
                    "3. Disputes",
                    "Disputes go before the chamber of commerce in Zürich. The seat of arbitration is Zürich.",
                    "Signed for the authority: Marta Kühn, director. Jana Novák, accounts.",
                ],
            ],
        ),
        "tender/bid_northlight.docx": docx(
            "Bid of Northlight Dredging Ltd",
            [
                "We offer the dredging of the outer basin at 9.40 EUR a cubic metre, 2,256,000 EUR in all.",
                "The work is done by MV Grey Heron, captain Viktor Sokolov, formerly of Krestovsky Port LLC.",
                f"Account: {IBAN_NORTHLIGHT}. Contact: Tomás Ruiz, managing director.",
                NORTHLIGHT,
            ],
            table=[("Item", "Quantity", "EUR"), ("Dredging", "240,000 m3", "2,256,000"), ("Survey", "6", "included")],
        ),
        "tender/bid_baltmar.odt": odt(
            "Angebot der Baltmar Holding GmbH",
            [
                "Wir bieten die Baggerung des Außenbeckens zu 11,90 EUR je Kubikmeter an.",
                "Ein Schiff besitzen wir nicht; wir würden die MV Grey Heron chartern.",
                f"Geschäftsführer: Dieter Vogt. Konto: {IBAN_BALTMAR}.",
                BALTMAR,
            ],
        ),
        "tender/scores.xlsx": xlsx(
            {
                "Scores": [
                    ("Bidder", "Price EUR", "Points", "Remark"),
                    ("Northlight Dredging Ltd", 2256000, 91, "ship on hand"),
                    ("Baltmar Holding GmbH", 2856000, 64, "no ship of its own"),
                    ("Haixing Logistics Co. Ltd", 2390000, 83, "withdrawn on 15 January 2024"),
                ],
                "Jury": [
                    ("Name", "Role"),
                    ("Marta Kühn", "director"),
                    ("Jana Novák", "accounts"),
                    ("Per Lindqvist", "harbour master"),
                ],
            }
        ),
        "tender/kickoff.pptx": pptx(
            [
                ("Outer basin: kick-off", ["4 March 2024, Quay Road", "Marta Kühn, Tomás Ruiz, Viktor Sokolov"]),
                ("Who does what", ["MV Grey Heron dredges by day and by night", "Per Lindqvist countersigns the log"]),
                ("Money", ["Ten per cent in advance", "Adviser to the contractor: Baltmar Holding GmbH, Hamburg"]),
            ]
        ),
        "tender/chart.png": picture(
            [
                "OUTER BASIN OF VESSBY",
                "",
                "North pier and LIGHTHOUSE",
                "Dredged area: 240,000 m3",
                "Dumping ground: 54 10 N, 7 32 E",
            ],
            "PNG",
        ),
        "tender/questions.txt": text(
            """Questions of the bidders, and our answers (30 November 2023)

Q: May the survey be done by the contractor's own people?
A: Yes. The harbour master checks one survey in six.

Q: Who weighs the sediment at the dumping ground?
A: Nobody, if the weighbridge is out of order. Then the log of the ship counts.

Chen Wei of Haixing Logistics asked by telephone whether the weighbridge is often out of order. Not answered. J. Novák
"""
        ),
        "tender/award.rtf": rtf(
            [
                "Award of tender 2023-07",
                "The contract goes to Northlight Dredging Ltd, 22 January 2024.",
                "Signed: Marta Kühn",
            ]
        ),
        "tender/withdrawal.md": text(
            """# Withdrawal

*Haixing Logistics Co. Ltd* withdraws its bid of 18 December 2023.

- reason given: no ship is free before October
- told to **Jana Novák** on the telephone: we were advised to

Chen Wei, 15 January 2024
"""
        ),
    }


# --- 2: the money ---------------------------------------------------------------------------------------------------

PAYMENTS = (
    (
        "2024-02-05",
        "Vessby Harbour Authority",
        "Northlight Dredging Ltd",
        IBAN_NORTHLIGHT,
        "225600.00",
        "advance 2023-07",
    ),
    ("2024-02-09", "Northlight Dredging Ltd", "Baltmar Holding GmbH", IBAN_BALTMAR, "90000.00", "advice"),
    ("2024-02-12", "Baltmar Holding GmbH", "Cedar Bay Trading FZE", IBAN_CEDAR, "81000.00", "spare parts"),
    ("2024-03-28", "Vessby Harbour Authority", "Northlight Dredging Ltd", IBAN_NORTHLIGHT, "338400.00", "invoice 0117"),
    ("2024-04-03", "Northlight Dredging Ltd", "Baltmar Holding GmbH", IBAN_BALTMAR, "120000.00", "advice"),
    (
        "2024-04-04",
        "Baltmar Holding GmbH",
        "Haixing Logistics Co. Ltd",
        IBAN_HAIXING,
        "40000.00",
        "freight, not shipped",
    ),
    ("2024-05-02", "Vessby Harbour Authority", "Northlight Dredging Ltd", IBAN_NORTHLIGHT, "451200.00", "invoice 0118"),
    ("2024-05-07", "Baltmar Holding GmbH", "Cedar Bay Trading FZE", IBAN_CEDAR, "108000.00", "spare parts"),
    ("2024-06-10", "Cedar Bay Trading FZE", "M. K., Zürich", IBAN_LINDENHOF, "60000.00", "gift"),
    ("2024-07-01", "Vessby Harbour Authority", "Northlight Dredging Ltd", IBAN_NORTHLIGHT, "564000.00", "invoice 0119"),
)


def money() -> dict[str, bytes]:
    header = ("date", "from", "to", "iban", "amount_eur", "purpose")
    return {
        "money/payments.csv": table([header, *PAYMENTS]),
        "money/zahlungen_latin1.csv": table(
            [
                ("Datum", "Empfänger", "Betrag", "Zweck"),
                ("09.02.2024", "Baltmar Holding GmbH", "90.000,00", "Beratung für das Außenbecken"),
                ("10.06.2024", "Kühn, Zürich", "60.000,00", "Geschenk, mit schönen Grüßen"),
            ],
            delimiter=";",
            encoding="latin-1",
        ),
        "money/accounts.json": as_json(
            {
                "bank": "Bankhaus Lindenhof",
                "adviser": "Ursula Frei",
                "accounts": [
                    {
                        "iban": IBAN_LINDENHOF,
                        "holder": "Marta Kühn",
                        "opened": "2024-01-29",
                        "codeword": "Seidenspinner",
                    },
                    {"iban": IBAN_BALTMAR, "holder": "Baltmar Holding GmbH", "signatory": "Dieter Vogt"},
                    {"iban": IBAN_CEDAR, "holder": "Cedar Bay Trading FZE", "signatory": "Ibrahim al-Masri"},
                ],
            }
        ),
        "money/report_2024-Q3.pdf": pdf(
            "Report of the auditors, third quarter of 2024",
            [
                [
                    "Vessby Harbour Authority paid Northlight Dredging Ltd 1,579,200 EUR.",
                    "It was owed, by the cubic metre, half of that.",
                ],
                [
                    "The log of MV Grey Heron shows 168,000 cubic metres.",
                    "The weighbridge of the dumping ground was out of order on 61 of 90 days.",
                    "On the 29 others it weighed 27,300 cubic metres.",
                ],
                [
                    "Baltmar Holding GmbH received 210,000 EUR for advice that we have not seen.",
                    f"From there {IBAN_CEDAR} received 189,000 EUR for spare parts that no ship received.",
                ],
                [
                    "We could not reach Marta Kühn. We thank Jana Novák for the boxes.",
                    "Auditors: Whitlow & Partners, 20 September 2024",
                ],
            ],
        ),
        "money/invoice_0117.pdf": pdf("Invoice 0117", [[*invoice("0117", "36,000", "338,400")]]),
        "money/invoice_0118.pdf": pdf("Invoice 0118", [[*invoice("0118", "48,000", "451,200")]]),
        "money/invoice_0119_scan.pdf": scan_pdf(
            [
                [
                    "INVOICE 0119",
                    "Northlight Dredging Ltd",
                    "",
                    "60,000 cubic metres",
                    "564,000 EUR",
                    "",
                    "Code name: MARMALADE",
                    "Paid 1 July 2024",
                ],
                ["Page two", "Received by Jana Novak", "The log is missing."],
            ]
        ),
        "money/bank_letter_scan.jpg": picture(
            [
                "BANKHAUS LINDENHOF",
                "Zurich, 12 June 2024",
                "",
                "Dear Mrs Kuehn,",
                "60,000 EUR have arrived.",
                "Your box is number 212.",
                "Keyword: BARNACLE",
                "",
                "Ursula Frei",
            ],
            "JPEG",
        ),
        "money/ledger.xlsx": xlsx(
            {
                "2024": [header, *PAYMENTS],
                "Totals": [
                    ("Company", "EUR"),
                    ("Northlight Dredging Ltd", 1579200),
                    ("Baltmar Holding GmbH", 210000),
                    ("Cedar Bay Trading FZE", 189000),
                ],
            }
        ),
        "money/statement_locked.pdf": pdf(
            "Statement of account", [["Nobody reads this without the password."]], password="Seidenspinner"
        ),
        "money/statement_broken.docx": docx(
            "Statement of account", ["This file was cut off while it was copied."] * 20
        )[:9000],
        "money/receipt_empty.txt": b"",
        "money/rates.xml": text(
            """<?xml version="1.0" encoding="UTF-8"?>
<rates date="2024-07-01">
  <rate from="EUR" to="CHF">0.9634</rate>
  <rate from="EUR" to="AED">3.9432</rate>
  <note>as used by Bankhaus Lindenhof for the transfers of Cedar Bay Trading FZE</note>
</rates>
"""
        ),
    }


def invoice(number: str, quantity: str, amount: str) -> list[str]:
    return [
        NORTHLIGHT,
        f"To: {AUTHORITY}",
        f"Invoice {number}: dredging of the outer basin by MV Grey Heron, {quantity} cubic metres at 9.40 EUR",
        f"Amount: {amount} EUR, payable to {IBAN_NORTHLIGHT}",
        "Countersigned: P. Lindqvist",
    ]


# --- 3: mail --------------------------------------------------------------------------------------------------------

JANA = "Jana Novák <jana.novak@harbour.example.org>"
MARTA = "Marta Kühn <m.kuehn@harbour.example.org>"
TOMAS = "Tomás Ruiz <t.ruiz@northlight.example.com>"
VOGT = "Dieter Vogt <vogt@baltmar.example.net>"
AOIFE = "Aoife O'Rourke <aoife@courier.example.org>"


def mail() -> dict[str, bytes]:
    contract = docx(
        "Agreement on advice",
        [
            "Baltmar Holding GmbH advises Northlight Dredging Ltd. About what is agreed by word of mouth.",
            "The fee is forty per cent of what the authority pays. Between the parties this paper is called SEXTANT.",
            f"Payable to {IBAN_BALTMAR}. Signed: Tomás Ruiz, Dieter Vogt.",
        ],
    )
    survey = pdf(
        "Survey of 18 March 2024",
        [
            ["Depth of the outer basin: 9.1 metres."],
            ["Depth on the day before: 9.1 metres. Nobody dredged here.", "Surveyor: Henrik Maas, gannet 7"],
        ],
    )
    agreement = message(
        VOGT,
        TOMAS,
        "Agreement",
        "2024-02-03",
        "Please sign, and keep it in your own drawer.\n\nD. Vogt, +49 30 23125 014\n",
    )
    agreement.add_attachment(
        contract,
        maintype="application",
        subtype="vnd.openxmlformats-officedocument.wordprocessingml.document",
        filename="agreement.docx",
    )
    depth = message(
        JANA,
        MARTA,
        "The depth has not changed",
        "2024-03-19",
        "Dear Marta,\n\nthe survey is attached. Who countersigned the log?\n\nJana\n",
    )
    depth.add_attachment(survey, maintype="application", subtype="pdf", filename="survey_2024-03-18.pdf")
    depth.add_attachment("week;m3;helmsman\n11;12000;nobody\n12;12000;nobody\n", subtype="csv", filename="log.csv")
    styled = message(TOMAS, MARTA, "Summer", "2024-05-02", "The boat is yours in August. Tomás\n")
    styled.add_alternative(
        "<html><body><p>The <b>boat</b> is yours in August.</p><p>Tomás</p></body></html>", subtype="html"
    )
    forwarded = message(JANA, AOIFE, "Fwd: Summer", "2024-06-11", "As you insisted. I did not send this.\n\nJ.\n")
    forwarded.add_attachment(
        message(
            TOMAS, MARTA, "Summer", "2024-05-02", "The boat is yours in August. The key hangs behind the cormorant.\n"
        )
    )
    latin = message(
        MARTA,
        VOGT,
        "Grüße aus Zürich",
        "2024-06-14",
        "Lieber Dieter,\n\nschöne Grüße vom See. Alles ist angekommen.\n\nMarta\n",
        charset="latin-1",
    )
    box = [
        message(
            AOIFE,
            JANA,
            "Two questions",
            "2024-06-02",
            "Who is M. K. in Zürich? And who weighs the sediment?\n\nAoife O'Rourke, Vessby Courier\n",
        ),
        message(JANA, AOIFE, "Re: Two questions", "2024-06-03", "Not by mail. Tuesday at noon, under the clock.\n"),
        message(
            TOMAS,
            VOGT,
            "Weighbridge",
            "2024-06-20",
            "It is repaired on Monday. Viktor asks what to do. Call +44 20 7946 0117.\n",
        ),
        message(
            VOGT,
            TOMAS,
            "Re: Weighbridge",
            "2024-06-20",
            "Then it breaks again on Tuesday. From rowan, not from here.\n",
        ),
        message(MARTA, JANA, "Boxes", "2024-09-02", "Where are the boxes with the logs?\n"),
    ]
    box[2].add_attachment("Weighbridge: +44 1632 960150, ask for the weighman.\n", filename="phone.txt")
    return {
        "mail/2024-02-03_agreement.eml": eml(agreement),
        "mail/2024-03-19_depth.eml": eml(depth),
        "mail/2024-05-02_summer.eml": eml(styled),
        "mail/2024-06-11_forwarded.eml": eml(forwarded),
        "mail/2024-06-14_latin1.eml": eml(latin),
        "mail/inbox.mbox": b"".join(
            b"From sender@example.org Mon Sep 02 09:30:00 2024\n"
            + re.sub(rb"(?m)^(>*From )", rb">\1", eml(one).replace(b"\r\n", b"\n"))
            + b"\n"
            for one in box
        ),
    }


# --- 4: the newspaper -----------------------------------------------------------------------------------------------


def press() -> dict[str, bytes]:
    return {
        "press/interview.txt": text(
            """Interview with the foreman of the weighbridge. Vessby, 18 June 2024, in the canteen. Not for quotation.

AO: How often is the weighbridge out of order?
F: When MV Grey Heron comes in, and when she does not. It was in order for six weeks last autumn. Then they hung the
curtain in front of it, and a man came from Hamburg with a spanner.

AO: What was his name?
F: He had a card. Vogt, Baltmar Holding GmbH, +49 30 23125 014. He said that he was the adviser. I asked of what. He
said, of everything that floats.

AO: And who countersigned the log in those weeks?
F: Per Lindqvist, every Friday. He is the harbour master, he countersigns what lies on his desk. In week 11 and in week
12 the ship lay at the quay. I could see her from here. She had washing on the line.

AO: Did you tell the director?
F: Mrs Kühn was in Zürich. She is often in Zürich. I told Jana Novák, who wrote it down and gave me a biscuit.

AO: How much sediment is there really, at the dumping ground?
F: Go and look. At low water you can stand on it with dry ankles, if you do not mind the whimbrels. Where 168,000
cubic metres should be, there is a hill that my grandchildren would not sledge on.

AO: Would you say this in court?
F: In which one? The paper says Zürich.
"""
        ),
        "press/timeline.md": text(
            """# Timeline

| date | what | source |
|---|---|---|
| 2023-12-18 | three bids: Northlight, Baltmar, Haixing | tender/scores.xlsx |
| 2024-01-15 | Haixing Logistics steps back; Chen Wei says on whose advice, then denies it | telephone |
| 2024-01-29 | an account is opened at Bankhaus Lindenhof, Zürich | money/accounts.json |
| 2024-02-03 | the agreement on advice, forty per cent | mail to Tomás Ruiz |
| 2024-02-12 | first payment to Cedar Bay Trading FZE, Ibrahim al-Masri | money/payments.csv |
| 2024-03-18 | a survey finds the depth of the day before | mail of Jana Novák |
| 2024-06-10 | 60,000 EUR to M. K. | money/payments.csv |
| 2024-09-02 | the boxes leave the office in a pushchair | J. N. |
"""
        ),
        "press/draft.odt": odt(
            "Draft: the captain who did not sail",
            [
                "Viktor Sokolov has commanded MV Grey Heron since he left Krestovsky Port LLC. In March she did not sail.",
                "He says that he was told to wait for spare parts. The spare parts were paid to Cedar Bay Trading FZE in Dubai.",
                "Ibrahim al-Masri, who signs there, says that no ship ever ordered any. He sounded astonished, and hung up.",
                "To be checked before print: the number of the box in Zürich. Aoife O'Rourke",
            ],
        ),
    }


# --- 5: languages ---------------------------------------------------------------------------------------------------


def languages() -> dict[str, bytes]:
    russian = """Служебная записка

Капитан земснаряда «Серая цапля» Виктор Соколов сообщает: весы на свалке грунта не работают с марта.
ООО «Крестовский порт», Набережная ул., д. 8. Деньги пришли от Northlight Dredging Ltd.
Встреча в гостинице «МОСКВА», номер 212. Пароль: подснежник.
"""
    chinese = """海星物流有限公司 会议记录

陈伟总经理说明：公司于二〇二四年一月十五日撤回投标。
合同由北京市朝阳区望江路88号办公室签署，运费四万欧元已经到账，但是没有货物。
付款方：Baltmar Holding GmbH。暗号：翡翠。
"""
    arabic = """شركة خليج الأرز للتجارة
دبي، طريق الخور، المستودع رقم ٩

السيد إبراهيم المصري يؤكد استلام مبلغ ٨١٠٠٠ يورو من شركة بالتمار.
لم تُرسَل أي قطع غيار إلى السفينة. كلمة السر: يـاسـمـيـن.
"""
    return {
        "languages/записка.txt": text(russian),
        "languages/письмо_cp1251.txt": """Виктор,

груз не взвешивать. Журнал подпишет Линдквист. Деньги как обычно, через Гамбург.
Сожги это письмо. Твой Журавль.

Томас Руис, Northlight Dredging Ltd
""".encode("cp1251"),
        "languages/журнал.docx": docx(
            "Судовой журнал «Серая цапля»",
            [
                "11 марта: стоим у причала.",
                "12 марта: стоим у причала. Записано 12000 кубометров.",
                "Капитан В. Соколов",
            ],
        ),
        "languages/会议记录.txt": text(chinese),
        "languages/运费_gb18030.txt": "运费通知\n\n收款人：海星物流有限公司，陈伟。金额：四万欧元。\n银行账号：FR14 2004 1010 0505 0001 3M02 606。\n备注：白鹭号没有装货。\n".encode(
            "gb18030"
        ),
        "languages/货单.csv": table(
            [("日期", "货物", "数量"), ("2024-04-04", "备件", "0"), ("2024-05-07", "备件", "0")], encoding="utf-8-sig"
        ),
        "languages/إيصال.txt": text(arabic),
        "languages/عقد.html": html(
            "عقد",
            "<p>بين شركة خليج الأرز للتجارة وشركة بالتمار القابضة.</p><p>التوقيع: إِبْرَاهِيم المِصْرِيّ، زعفران.</p>",
            language="ar",
        ),
        "languages/notiz_latin1.txt": "Notiz über das Gespräch in Zürich\n\nFrau Kühn möchte ein Schließfach. Schlüssel übergeben, Nr. 212.\nStraße und Hausnummer bekannt. Stichwort: Löwenzahn.\nU. Frei\n".encode(
            "latin-1"
        ),
        "languages/lettre.txt": text(
            "Chère Madame Kühn,\n\nle bateau vous attend à l'anse. La clé est derrière le cormoran. Mot de passe : églantine.\n\nT. Ruiz\n"
        ),
        "languages/utf16.txt": "Nota de Tomás Ruiz\n\nEl barco no salió del puerto en marzo. Contraseña: golondrina.\n".encode(
            "utf-16"
        ),
    }


# --- 6: archives ----------------------------------------------------------------------------------------------------


def archives() -> dict[str, bytes]:
    note = text("Found on the old laptop of Dieter Vogt.\n\nAll of it is called PEREGRINE. Tell nobody in Zürich.\n")
    inner = pack(
        {
            "desktop/notes.txt": note,
            "desktop/numbers.csv": table([("who", "share"), ("M. K.", "60000"), ("D. V.", "21000")]),
        }
    )
    middle = {"laptop/old_laptop.zip": inner, "laptop/readme.txt": text("Copied by J. Novák on 2 September 2024.\n")}
    return {
        "archives/evidence.zip": pack(
            middle | {"photo.png": picture(["Weighbridge", "OUT OF ORDER", "KITTIWAKE"], "PNG", size=(640, 320))}
        ),
        "archives/logs.tar.gz": tar_gz(
            {
                b"logs/week_11.txt": text("Week 11: at the quay. Written: 12000. Captain V. Sokolov. Guillemot.\n"),
                b"logs/week_12.txt": text("Week 12: at the quay. Written: 12000. Captain V. Sokolov.\n"),
                # A name that is not UTF-8: here it reaches every system, as a file of its own it would not.
                "logs/Aufträge für März.txt".encode("latin-1"): text("Aufträge: keine. Stichwort: Turmfalke.\n"),
                b"logs/index.html": html("Logs", "<p>A fortnight of MV Grey Heron</p>"),
            }
        ),
        "archives/minutes.txt.gz": gzip_bytes(text("Minutes of 8 January 2024: nobody was against it. Puffin.\n")),
    }


# --- 7: odd names and small formats ---------------------------------------------------------------------------------


def odd() -> dict[str, bytes]:
    lines = [
        f"2024-09-0{day} 0{hour}:15:0{hour} 203.0.113.{40 + hour} GET /boxes/{hour} 200"
        for day in range(1, 4)
        for hour in range(1, 6)
    ]
    return {
        # As a path this reads `report[/red].pdf`: markup to a careless terminal.
        "odd/report[/red].pdf": pdf("Red report", [["This name closes a colour that nobody opened.", "Nightjar."]]),
        "odd/Protokoll (Kopie) [bold].txt": text("A copy of the minutes, by M. Kühn. Sandpiper.\n"),
        "odd/deep/er/and/deeper/note.txt": text("Whoever reads this deep knows of the oystercatcher.\n"),
        "odd/server.log": text(
            "\n".join([*lines, "2024-09-04 09:15:00 198.51.100.7 DELETE /boxes 403 user=m.kuehn"]) + "\n"
        ),
        "odd/contacts.vcf": text(
            "".join(
                f"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:{name}\r\nORG:{company}\r\nTEL:{phone}\r\nEMAIL:{address}\r\nEND:VCARD\r\n"
                for name, company, phone, address in (
                    ("Tomás Ruiz", "Northlight Dredging Ltd", "+44 20 7946 0117", "t.ruiz@northlight.example.com"),
                    ("Dieter Vogt", "Baltmar Holding GmbH", "+49 30 23125 014", "vogt@baltmar.example.net"),
                    ("Jana Novák", "Vessby Harbour Authority", "+44 1632 960147", "jana.novak@harbour.example.org"),
                )
            )
        ),
        "odd/calendar.ics": text(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//EN\r\nBEGIN:VEVENT\r\nUID:1@harbour.example.org\r\n"
            "DTSTAMP:20240301T090000Z\r\nDTSTART:20240304T100000Z\r\nSUMMARY:Kick-off\\, Quay Road\r\n"
            "DESCRIPTION:Marta Kühn\\, Tomás Ruiz\\, Viktor Sokolov\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        ),
        "odd/article.html": html(
            "The basin that nobody dredged",
            f"""<p>By Aoife O'Rourke, Vessby Courier, 1 October 2024</p>
<p>Northlight Dredging Ltd was paid 1.6 million euros. The outer basin is as shallow as before.</p>
<p>Part of the money went by way of {BALTMAR} to {CEDAR}, and from there to {BANK}.</p>
<p>Marta Kühn has resigned. Jana Novák has not been thanked.</p><script>var tracked = "not part of the text";</script>""",
        ),
    }


# --- formats --------------------------------------------------------------------------------------------------------


def text(content: str) -> bytes:
    return content.encode()


def as_json(content: object) -> bytes:
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()


def html(title: str, body: str, language: str = "en") -> bytes:
    page = f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title></head>\n'
    return f"{page}<body><h1>{title}</h1>\n{body}\n</body></html>\n".encode()


def table(rows: Iterable[Iterable[str]], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return out.getvalue().encode(encoding)


def rtf(lines: Iterable[str]) -> bytes:
    def escaped(line: str) -> str:
        return "".join(c if c.isascii() else f"\\u{ord(c)}?" for c in line)

    return (
        "{\\rtf1\\ansi\\deff0 {\\fonttbl{\\f0 Times;}}\n" + "".join(f"{escaped(line)}\\par\n" for line in lines) + "}\n"
    ).encode()


def pdf(title: str, pages: Iterable[Iterable[str]], password: str | None = None) -> bytes:
    out = io.BytesIO()
    # RC4 with 128 bits takes no random numbers, so that the same bytes come out; nobody's secrets are in here.
    lock = StandardEncryption(password, ownerPassword="harbour", strength=128) if password else None
    canvas = Canvas(out, pagesize=A4, invariant=1, encrypt=lock)
    canvas.setTitle(title)
    for number, lines in enumerate(pages, 1):
        canvas.setFont("Helvetica-Bold", 16)
        canvas.drawString(60, 770, title if number == 1 else f"{title}, page {number}")
        canvas.setFont("Helvetica", 11)
        height = 730
        for line in lines:
            for piece in wrapped(line, 88):
                canvas.drawString(60, height, piece)
                height -= 16
            height -= 8
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def wrapped(line: str, width: int) -> list[str]:
    pieces = [""]
    for word in line.split():
        if len(pieces[-1]) + len(word) >= width:
            pieces.append("")
        pieces[-1] = f"{pieces[-1]} {word}".strip()
    return pieces


def drawn(lines: Iterable[str], size: tuple[int, int]) -> Image.Image:
    image = Image.new("L", size, 250)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=36)  # the font inside Pillow: no system's fonts take part
    for number, line in enumerate(lines):
        draw.text((60, 50 + 62 * number), line, fill=20, font=font)
    return image


def scanned(lines: Iterable[str], size: tuple[int, int] = (1000, 720)) -> Image.Image:
    image = drawn(lines, size).rotate(0.6, fillcolor=250, resample=Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    dust = random.Random(7)
    for _ in range(250):
        draw.point((dust.randrange(size[0]), dust.randrange(size[1])), fill=dust.randrange(60, 200))
    return image.filter(ImageFilter.GaussianBlur(0.6))


def picture(lines: Iterable[str], kind: str, size: tuple[int, int] = (1000, 720)) -> bytes:
    out = io.BytesIO()
    if kind == "PNG":
        drawn(lines, size).save(out, "PNG", optimize=True)
    else:
        scanned(lines, size).save(out, "JPEG", quality=70, dpi=(150, 150))
    return out.getvalue()


def scan_pdf(pages: Iterable[Iterable[str]]) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1)
    for lines in pages:
        jpeg = io.BytesIO(picture(lines, "JPEG"))
        canvas.drawImage(ImageReader(jpeg), 40, 430, width=515, height=371)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def docx(title: str, paragraphs: Iterable[str], table: Iterable[Iterable[str]] = ()) -> bytes:
    document = Document()
    document.add_heading(title, 1)
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    rows = [tuple(row) for row in table]
    if rows:
        grid = document.add_table(rows=0, cols=len(rows[0]))
        for row in rows:
            for cell, value in zip(grid.add_row().cells, row, strict=True):
                cell.text = value
    document.core_properties.author = "Vessby"
    document.core_properties.title = title
    return repacked(document.save)


def pptx(slides: Iterable[tuple[str, Iterable[str]]]) -> bytes:
    show = Presentation()
    for title, lines in slides:
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(lines)
    return repacked(show.save)


def xlsx(sheets: dict[str, Iterable[Iterable[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    return repacked(book.save)


def repacked(save: Callable[[io.BytesIO], object]) -> bytes:
    """
    An office file with the moment of its making fixed.
    """
    out = io.BytesIO()
    save(out)
    with zipfile.ZipFile(out) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    core = members["docProps/core.xml"].decode()
    members["docProps/core.xml"] = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", STAMP, core).encode()
    return pack(members)


def odt(title: str, paragraphs: Iterable[str]) -> bytes:
    office = "urn:oasis:names:tc:opendocument:xmlns:"
    body = "".join(f"<text:p>{paragraph}</text:p>" for paragraph in paragraphs)
    content = f"""<?xml version="1.0" encoding="UTF-8"?>
<office:document-content xmlns:office="{office}office:1.0" xmlns:text="{office}text:1.0" office:version="1.2">
<office:body><office:text><text:h text:outline-level="1">{title}</text:h>{body}</office:text></office:body>
</office:document-content>
"""
    manifest = f"""<?xml version="1.0" encoding="UTF-8"?>
<manifest:manifest xmlns:manifest="{office}manifest:1.0" manifest:version="1.2">
<manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.text"/>
<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>
</manifest:manifest>
"""
    members = {"content.xml": content.encode(), "META-INF/manifest.xml": manifest.encode()}
    return pack({"mimetype": b"application/vnd.oasis.opendocument.text", **members}, plain=("mimetype",))


def pack(members: dict[str, bytes], plain: tuple[str, ...] = ()) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, MOMENT.timetuple()[:6])
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content, zipfile.ZIP_STORED if name in plain else zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()


def tar_gz(members: dict[bytes, bytes]) -> bytes:
    out = io.BytesIO()
    # GNU format keeps a name as the bytes that it is; pax would refuse what is not UTF-8.
    with tarfile.open(
        fileobj=out, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
            info.size, info.mtime, info.mode = len(content), 1727775000, 0o644
            archive.addfile(info, io.BytesIO(content))
    return gzip_bytes(out.getvalue())


def gzip_bytes(content: bytes) -> bytes:
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=out, mtime=0) as archive:
        archive.write(content)
    return out.getvalue()


def message(sender: str, to: str, subject: str, day: str, body: str, charset: str = "utf-8") -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = sender, to, subject
    mail["Date"] = datetime.fromisoformat(f"{day}T09:30:00+00:00")
    mail["Message-ID"] = f"<{zlib.crc32((subject + day + sender).encode()):08x}@example.org>"
    mail.set_content(body, charset=charset)
    return mail


def eml(mail: EmailMessage) -> bytes:
    # Parts that were made, and their boundaries, would otherwise be named at random.
    for number, part in enumerate(mail.walk()):
        if part.is_multipart() and part.get_content_maintype() == "multipart":
            part.set_boundary(f"=_part_{number}_")
    return mail.as_bytes()


if __name__ == "__main__":
    main()
