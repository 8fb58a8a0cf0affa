"""What Word documents hold beside paragraphs. Oracle: what was written, and what Word shows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pymupdf")
pytest.importorskip("mammoth")

from mm_megacontext.layout.reader import read
from tests.layout.flow.office_files import changed, docx_file, link, told


def paragraph(*runs: str) -> str:
    return "<w:p>" + "".join(f"<w:r>{run}</w:r>" for run in runs) + "</w:p>"


def text(value: str, look: str = "") -> str:
    return f'<w:rPr>{look}</w:rPr><w:t xml:space="preserve">{value}</w:t>'


SUPER, SUB = '<w:vertAlign w:val="superscript"/>', '<w:vertAlign w:val="subscript"/>'


def test_marks_above_the_line_are_no_digits(tmp_path: Path) -> None:
    styles = f'<w:style w:type="character" w:styleId="N"><w:rPr>{SUPER}</w:rPr></w:style>'
    body = paragraph(
        text("Income 95"), text("3", SUPER), text(" and 1,234"), text("2", '<w:rStyle w:val="N"/>'), text(" and 7"),
        text("4", '<w:position w:val="8"/>'), text(", H"), text("2", SUB), text("O, 101"), text("2", SUB),
    )  # fmt: skip
    (page,) = read(docx_file(tmp_path / "a.docx", body, styles)).pages()
    words = [(word.text, word.script) for word in page.regions[0].lines[0].words]
    assert words == [
        ("Income", ""), ("95", ""), ("3", "sup"), ("and", ""), ("1,234", ""), ("2", "sup"), ("and", ""), ("7", ""),
        ("4", "sup"), (",", ""), ("H2O,", ""), ("101", ""), ("2", "sub"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("equation", "line"),
    [
        ("<m:r><m:t>x=42</m:t></m:r>", "x=42"),
        ("<m:f><m:num><m:r><m:t>a+1</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f>", "(a+1)/2"),
        ("<m:sSup><m:e><m:r><m:t>10</m:t></m:r></m:e><m:sup><m:r><m:t>6</m:t></m:r></m:sup></m:sSup>", "10^6"),
        ("<m:sSub><m:e><m:r><m:t>x</m:t></m:r></m:e><m:sub><m:r><m:t>i</m:t></m:r></m:sub></m:sSub>", "x_i"),
        ("<m:rad><m:deg/><m:e><m:r><m:t>2</m:t></m:r></m:e></m:rad>", "\u221a(2)"),
        (
            '<m:nary><m:naryPr><m:chr m:val="\u2211"/></m:naryPr><m:sub><m:r><m:t>i=1</m:t></m:r></m:sub><m:sup><m:r>'
            "<m:t>n</m:t></m:r></m:sup><m:e><m:r><m:t>i</m:t></m:r></m:e></m:nary>",
            "\u2211_(i=1)^n i",
        ),
        ("<m:d><m:e><m:r><m:t>p</m:t></m:r></m:e><m:e><m:r><m:t>q</m:t></m:r></m:e></m:d>", "(p|q)"),
    ],
)
def test_equations_on_one_line(equation: str, line: str, tmp_path: Path) -> None:
    body = f"<w:p><w:r>{text('Levy: ')}</w:r><m:oMathPara><m:oMath>{equation}</m:oMath></m:oMathPara></w:p>"
    assert told(docx_file(tmp_path / "a.docx", body))[0] == f"Levy: {line}"


def test_headers_and_footers_are_read_once(tmp_path: Path) -> None:
    parts = {
        f"word/{name}.xml": f"<w:hdr SPACES>{paragraph(text(said))}</w:hdr>"
        for name, said in {"h1": "Case HX-1", "h2": "Case HX-1", "h3": "never shown", "f1": "Office"}.items()
    }
    links = "".join(link(n, "header" if n[0] == "h" else "footer", f"{n}.xml") for n in ("h1", "h2", "h3", "f1"))
    section = (
        '<w:sectPr><w:headerReference w:type="default" r:id="h1"/><w:headerReference w:type="default" r:id="h2"/>'
        '<w:headerReference w:type="first" r:id="h3"/><w:footerReference w:type="default" r:id="f1"/></w:sectPr>'
    )
    path = docx_file(tmp_path / "a.docx", paragraph(text("Body")) + section, links=links, parts=parts)
    found = [(region.kind, region.text) for page in read(path).pages() for region in page.regions]
    assert found == [("header", "Case HX-1"), ("text", "Body"), ("footer", "Office")]


PICTURE = (
    "<w:p><w:r><w:drawing><wp:inline><a:graphic><a:graphicData><pic:pic><pic:blipFill><a:blip {}/></pic:blipFill>"
    "</pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
)


@pytest.mark.parametrize(
    ("attributes", "links", "message"),
    [
        ('r:embed="none"', "", "not in the file"),
        ('r:embed="i"', link("i", "image", "media/none.png"), "not in the file"),
        ('r:link="i"', link("i", "image", "http://127.0.0.1/a.png", 'TargetMode="External"'), "outside the file"),
    ],
)
def test_a_picture_that_is_not_there_costs_itself_alone(
    attributes: str, links: str, message: str, tmp_path: Path
) -> None:
    body = paragraph(text("before")) + PICTURE.format(attributes) + paragraph(text("after"))
    pages = list(read(docx_file(tmp_path / "a.docx", body, links=links)).pages())
    assert [region.text for page in pages for region in page.regions] == ["before", "after"]
    (problem,) = [page.problem for page in pages if page.problem is not None]
    assert message in problem


@pytest.mark.parametrize("wrapper", ["<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt>", "<w:customXml>{}</w:customXml>"])
def test_wrappers_in_each_other_as_deep_as_they_like(wrapper: str, tmp_path: Path) -> None:
    body = paragraph(text("inner"))
    for _ in range(120):
        body = wrapper.format(body)
    assert told(docx_file(tmp_path / "a.docx", paragraph(text("before")) + body)) == ("before\ninner", {})


def test_tables_in_each_other_are_read_to_the_innermost(tmp_path: Path) -> None:
    body = paragraph(text("inner"))
    for level in range(60):
        body = f"<w:tbl><w:tr><w:tc>{paragraph(text(str(level)))}{body}</w:tc></w:tr></w:tbl>{paragraph(text('.'))}"
    shown, _ = told(docx_file(tmp_path / "a.docx", body))
    assert "inner" in shown
    assert "59" in shown


def test_what_lies_too_deep_costs_itself_alone(tmp_path: Path) -> None:
    deep = "<w:p>" + "<w:unknown>" * 400 + "</w:unknown>" * 400 + "</w:p>"
    pages = list(
        read(docx_file(tmp_path / "a.docx", paragraph(text("before")) + deep + paragraph(text("after")))).pages()
    )
    assert [region.text for page in pages for region in page.regions] == ["before", "after"]


@pytest.mark.parametrize("name", ["numbering", "footnotes", "styles", "settings"])
def test_a_part_that_a_document_can_do_without_costs_what_it_gives(name: str, tmp_path: Path) -> None:
    path = docx_file(tmp_path / "a.docx", paragraph(text("Body")), links=link("n", name, f"{name}.xml"))
    (page,) = read(changed(path, {f"word/{name}.xml": "<w:broken"})).pages()
    assert page.text == "Body"
    assert (page.problem is not None) == (name != "settings")  # which give no text


def test_a_new_box_is_read_once(tmp_path: Path) -> None:
    content = f"<w:txbxContent>{paragraph(text('Parcel PN-1'))}</w:txbxContent>"
    new = (
        "<w:drawing><wp:inline><a:graphic><a:graphicData><wps:wsp><wps:txbx>"
        f"{content}</wps:txbx></wps:wsp></a:graphicData></a:graphic></wp:inline></w:drawing>"
    )
    old = f"<w:pict><v:shape><v:textbox>{content}</v:textbox></v:shape></w:pict>"
    both = f'<mc:AlternateContent><mc:Choice Requires="wps">{new}</mc:Choice><mc:Fallback>{old}</mc:Fallback>'
    body = f"<w:p><w:r>{both}</mc:AlternateContent></w:r></w:p>"
    assert told(docx_file(tmp_path / "a.docx", body)) == ("Parcel PN-1", {})
