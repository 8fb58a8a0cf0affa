"""Text of Word documents that nobody sees. Oracle: the meaning that ECMA-376 gives what is written."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pymupdf")
pytest.importorskip("mammoth")

from tests.layout.flow.office_files import docx_file, told

SECRET = "<w:t>SECRET</w:t>"
OPEN = '<w:p><w:r><w:rPr><w:color w:val="000000"/></w:rPr><w:t>Open</w:t></w:r></w:p>'
WHITE = '<w:color w:val="FFFFFF"/>'


def run(look: str) -> str:
    return f"<w:p><w:r><w:rPr>{look}</w:rPr>{SECRET}</w:r></w:p>"


def style(kind: str, look: str, name: str = "S", more: str = "") -> str:
    return f'<w:style w:type="{kind}" w:styleId="{name}">{more}{look}</w:style>'


def table(properties: str, cell: str, row: str = "") -> str:
    other = "<w:tr><w:tc><w:p><w:r><w:t>other</w:t></w:r></w:p></w:tc></w:tr>"
    return (
        f"<w:tbl><w:tblPr>{properties}</w:tblPr><w:tr>{row}<w:tc>{cell}<w:p><w:r><w:rPr>{WHITE}</w:rPr>{SECRET}</w:r></w:p>"
        f"</w:tc></w:tr>{other}</w:tbl>"
    )


BOX = "<w:txbxContent><w:p><w:r>%s<w:t>SECRET</w:t></w:r></w:p></w:txbxContent>"
IN_STYLE = '<w:p><w:pPr><w:pStyle w:val="S"/></w:pPr><w:r>' + SECRET + "</w:r></w:p>"


def anchored(content: str, place: str = "", extent: str = 'cx="900000" cy="900000"', hidden: str = "") -> str:
    return (
        f'<w:p><w:r><w:drawing><wp:anchor>{place}<wp:extent {extent}/><wp:docPr id="1" name="B" {hidden}/><a:graphic>'
        f"<a:graphicData>{content}</a:graphicData></a:graphic></wp:anchor></w:drawing></w:r></w:p>"
    )


def word_box(fill: str = "", look: str = "") -> str:
    return f"<wps:wsp><wps:spPr>{fill}</wps:spPr><wps:txbx>{BOX % look}</wps:txbx></wps:wsp>"


HIDDEN = {
    "toggled by a style that is based on another": (
        IN_STYLE,
        style("paragraph", "", more='<w:basedOn w:val="B"/>') + style("paragraph", "<w:rPr><w:vanish/></w:rPr>", "B"),
        "not displayed",
    ),
    "white by the defaults": (
        f"<w:p><w:r>{SECRET}</w:r></w:p>",
        f"<w:docDefaults><w:rPrDefault><w:rPr>{WHITE}</w:rPr></w:rPrDefault></w:docDefaults>",
        "no contrast",
    ),
    "colour of the theme": (run('<w:color w:themeColor="background1" w:val="000000"/>'), "", "no contrast"),
    "nearly white by a tint": (
        run('<w:color w:themeColor="text1" w:themeTint="05" w:val="000000"/>'),
        "",
        "no contrast",
    ),
    "grey on the same grey": (
        run('<w:color w:val="777777"/><w:shd w:val="clear" w:fill="787878"/>'),
        "",
        "no contrast",
    ),
    "colour of its marker": (run('<w:color w:val="FFFF00"/><w:highlight w:val="yellow"/>'), "", "no contrast"),
    "colour of its paragraph": (
        '<w:p><w:pPr><w:shd w:val="clear" w:fill="112233"/></w:pPr><w:r><w:rPr><w:color w:val="112233"/></w:rPr>'
        f"{SECRET}</w:r></w:p>",
        "",
        "no contrast",
    ),
    "colour of its cell": (
        table("", '<w:tcPr><w:shd w:val="clear" w:fill="FFFFFF"/></w:tcPr>'),
        "",
        "no contrast",
    ),
    "fill of the text": (run("<w14:textFill><w14:noFill/></w14:textFill>"), "", "transparent"),
    "size by a style": (IN_STYLE, style("paragraph", '<w:rPr><w:sz w:val="2"/></w:rPr>'), "smaller than 1 pt"),
    "letters without width": (run('<w:w w:val="1"/>'), "", "smaller than 1 pt"),
    "letters in one place": (run('<w:spacing w:val="-400"/>'), "", "not displayed"),
    "row without height": (
        '<w:tbl><w:tr><w:trPr><w:trHeight w:val="1" w:hRule="exact"/></w:trPr><w:tc><w:p><w:r>'
        f"{SECRET}</w:r></w:p></w:tc></w:tr><w:tr><w:tc><w:p><w:r><w:t>x</w:t></w:r></w:p></w:tc></w:tr></w:tbl>",
        "",
        "not displayed",
    ),
    "line without height": (
        '<w:p><w:pPr><w:spacing w:line="2" w:lineRule="exact"/></w:pPr><w:r>' + SECRET + "</w:r></w:p>",
        "",
        "not displayed",
    ),
    "indent of a style": (IN_STYLE, style("paragraph", '<w:pPr><w:ind w:left="-20000"/></w:pPr>'), "outside the page"),
    "code of a field": (
        '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r>' + SECRET + "</w:r><w:r><w:fldChar w:fldCharType="
        '"separate"/></w:r><w:r><w:t>result</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>',
        "",
        "not displayed",
    ),
    "box that is switched off": (anchored(word_box(), hidden='hidden="1"'), "", "not displayed"),
    "box without size": (anchored(word_box(), extent='cx="0" cy="900000"'), "", "not displayed"),
    "box beside the page": (
        anchored(
            word_box(),
            '<wp:positionH relativeFrom="page"><wp:posOffset>-9000000</wp:posOffset></wp:positionH>',
        ),
        "",
        "outside the page",
    ),
    "colour of its box": (
        anchored(
            word_box('<a:solidFill><a:srgbClr val="204060"/></a:solidFill>', '<w:rPr><w:color w:val="204060"/></w:rPr>')
        ),
        "",
        "no contrast",
    ),
    "old box, moved away": (
        f'<w:p><w:r><w:pict><v:shape style="position:absolute;margin-left:-3000pt;width:100pt"><v:textbox>{BOX % ""}'
        "</v:textbox></v:shape></w:pict></w:r></w:p>",
        "",
        "outside the page",
    ),
    "other alternative": (
        '<w:p><mc:AlternateContent><mc:Choice Requires="w14"><w:r><w:t>chosen</w:t></w:r></mc:Choice><mc:Fallback><w:r>'
        f"{SECRET}</w:r></mc:Fallback></mc:AlternateContent></w:p>",
        "",
        "not displayed",
    ),
}
SHOWN = {
    "white on a dark cell": (table("", '<w:tcPr><w:shd w:val="clear" w:fill="1F497D"/></w:tcPr>'), ""),
    "white in the header of a style": (
        table('<w:tblStyle w:val="S"/>', ""),
        style(
            "table",
            '<w:tblStylePr w:type="firstRow"><w:tcPr><w:shd w:val="clear" w:fill="4F81BD"/></w:tcPr></w:tblStylePr>',
        ),
    ),
    "switched on again": (
        '<w:p><w:pPr><w:pStyle w:val="S"/></w:pPr><w:r><w:rPr><w:vanish w:val="0"/></w:rPr>' + SECRET + "</w:r></w:p>",
        style("paragraph", "<w:rPr><w:vanish/></w:rPr>"),
    ),
    "colour left to Word, on black": (run('<w:color w:val="auto"/><w:shd w:val="clear" w:fill="000000"/>'), ""),
    "white on its marker": (run(WHITE + '<w:highlight w:val="blue"/>'), ""),
    "white in a dark box": (
        anchored(word_box('<a:solidFill><a:schemeClr val="dk2"/></a:solidFill>', f"<w:rPr>{WHITE}</w:rPr>")),
        "",
    ),
    "white over a picture that fills the page": (
        '<w:p><w:r><w:drawing><wp:anchor behindDoc="1"><wp:extent cx="7772400" cy="10058400"/></wp:anchor></w:drawing>'
        "</w:r></w:p>" + run(WHITE),
        "",
    ),
    "white over a shape beside its own": (
        anchored(
            '<wpg:wgp xmlns:wpg="http://schemas.microsoft.com/office/word/2010/wordprocessingGroup"><wps:wsp><wps:spPr>'
            '<a:solidFill><a:srgbClr val="102030"/></a:solidFill></wps:spPr></wps:wsp>'
            + word_box("<a:noFill/>", f"<w:rPr>{WHITE}</w:rPr>")
            + "</wpg:wgp>"
        ),
        "",
    ),
    "result of a field": (
        '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>DATE</w:instrText></w:r><w:r><w:fldChar '
        'w:fldCharType="separate"/></w:r><w:r>' + SECRET + '</w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>',
        "",
    ),
    "moved to the left a little": (
        '<w:p><w:pPr><w:ind w:left="-700"/></w:pPr><w:r>' + SECRET + "</w:r></w:p>",
        "",
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_hidden(name: str, tmp_path: Path) -> None:
    body, styles, why = HIDDEN[name]
    shown, hidden = told(docx_file(tmp_path / "a.docx", OPEN + body, styles))
    assert "SECRET" not in shown
    assert hidden == {"SECRET": why}


@pytest.mark.parametrize("name", SHOWN)
def test_shown(name: str, tmp_path: Path) -> None:
    shown, hidden = told(docx_file(tmp_path / "a.docx", *SHOWN[name]))
    assert "SECRET" in shown
    assert hidden == {}
