"""What a page says, before it is HTML: sections of text, facts, pictures, tables and code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["PAGE", "Code", "Fact", "Link", "Page", "Picture", "Section", "Table"]

PAGE = "index.html"
"""The name of every page's file."""


@dataclass(frozen=True)
class Fact:
    """A name and what it stands for.

    Attributes:
        name: For example `conditions`.
        value: For example `11`.
        is_code: Whether the value is a text for machines, such as a version.
    """

    name: str
    value: str
    is_code: bool = False


@dataclass(frozen=True)
class Link:
    """A link to a file next to the page, or to another page below the same folder.

    Attributes:
        text: What is read.
        address: A relative address; it need not be quoted.
    """

    text: str
    address: str


@dataclass(frozen=True)
class Picture:
    """A picture that becomes part of the page.

    Attributes:
        title: Its heading.
        alt: What is seen in it, for those who do not see it.
        caption: How it is read.
        content: The bytes of the file.
        kind: How the file's name ends: `svg`, `png`, `webp`, `gif`, `apng`, `jpg`.
        address: The file next to the page, as a relative address; empty if there is none.
        takes_color: Whether it is drawn in the colour of the text. Other pictures have a light ground.
    """

    title: str
    alt: str
    caption: str
    content: bytes
    kind: str = "svg"
    address: str = ""
    takes_color: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        caption: What it holds, with the units that all columns share.
        head: The name of each column, with its unit.
        rows: The cells, row by row.
        row_heads: How many of the first columns name the row.
        words: The numbers of the columns that hold words, not numbers, counted from 0.
        note: What its marks mean.
        links: The address behind the first cell of some rows, by the row's number.
        is_folded: Whether it is opened by a click.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    row_heads: int = 1
    words: Sequence[int] = ()
    note: str = ""
    links: dict[int, str] | None = None
    is_folded: bool = False


@dataclass(frozen=True)
class Code:
    """A block of code.

    Attributes:
        title: What it is for.
        text: The code.
        is_folded: Whether it is opened by a click.
    """

    title: str
    text: str
    is_folded: bool = False


@dataclass(frozen=True)
class Section:
    """A section of a page; its parts are shown in the order of the attributes.

    Attributes:
        anchor: Its name in addresses.
        title: Its heading.
        text: Paragraphs.
        facts: Names and values.
        pictures: Pictures.
        tables: Tables.
        codes: Blocks of code.
        notes: A list of sentences.
    """

    anchor: str
    title: str
    text: Sequence[str] = ()
    facts: Sequence[Fact] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    codes: Sequence[Code] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Its title.
        kicker: What it is, above the title: a target, for example.
        lead: The first paragraph; may be empty.
        headlines: The numbers that matter most.
        sections: Its sections, in order.
        way: The way back: pages above this one.
        files: Files next to the page.
        version: The data version that it shows; empty if it shows none.
        notice: What is to be known before anything else is read: that it is not up to date. Empty if there is nothing.
    """

    title: str
    kicker: str
    lead: str = ""
    headlines: Sequence[Fact] = ()
    sections: Sequence[Section] = ()
    way: Sequence[Link] = ()
    files: Sequence[Link] = ()
    version: str = ""
    notice: str = ""
