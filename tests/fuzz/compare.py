"""Reads what snug accepted and says where expat or libxml2 disagree.

A record on stdin: u64 case, u8 stage, then four fields (u32 length, bytes, all numbers little-endian): the stream header,
what follows it, the end tag, and the tree as snug reads it. A line on stdout for each disagreement; at the end `done`,
the number of records and the parsers that looked at them.

The tree: \\x01 ns \\x02 name, then for each attribute in order \\x03 ns \\x02 name \\x04 value, then \\x05, the content, \\x06. None of these
can be in XML. Text directly inside the stream is white space between stanzas and left out.

A record of stage `x` is one that snug refused, with its error for a tree: where both parsers take it, snug is stricter than it has to be. A
line `stricter` counts those for each error, with one of them.

`compare.py names` prints the characters above ASCII that both parsers accept in names instead.
"""

import pyexpat
import struct
import sys

try:
    from lxml import etree
except ImportError:
    etree = None

SPACE = " \t\r\n"


class Refused(Exception):
    pass


def expat_tree(parts):
    out = []
    depth = 0

    def name(joined):
        ns, _, local = joined.rpartition(" ")
        return ns + "\x02" + local

    def start(tag, attributes):
        nonlocal depth
        depth += 1
        out.append("\x01" + name(tag))
        pairs = zip(attributes[::2], attributes[1::2])
        out.extend("\x03" + key + "\x04" + value for key, value in sorted((name(k), v) for k, v in pairs))
        out.append("\x05")

    def end(_tag):
        nonlocal depth
        depth -= 1
        out.append("\x06")

    def text(data):
        if depth > 1 or data.strip(SPACE):
            out.append(data)

    def unwanted(*_):
        raise Refused("a comment, processing instruction or DTD")

    parser = pyexpat.ParserCreate(namespace_separator=" ")
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.CommentHandler = parser.ProcessingInstructionHandler = parser.StartDoctypeDeclHandler = unwanted
    try:
        for part in parts:
            parser.Parse(part, False)
        parser.Parse(b"", True)
    except pyexpat.ExpatError as error:
        raise Refused(str(error)) from None
    return "".join(out)


def libxml2_tree(parts):
    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=False)
    try:
        for part in parts:
            parser.feed(part)
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise Refused(str(error)) from None
    out = []

    def name(clark):
        if clark[0] == "{":
            ns, _, local = clark[1:].partition("}")
            return ns + "\x02" + local
        return "\x02" + clark

    def write(node, depth):
        if not isinstance(node.tag, str):
            raise Refused("a comment, processing instruction or entity")
        out.append("\x01" + name(node.tag))
        out.extend("\x03" + key + "\x04" + value for key, value in sorted((name(k), v) for k, v in node.attrib.items()))
        out.append("\x05")
        out.append(node.text or "" if depth > 0 or (node.text or "").strip(SPACE) else "")
        for child in node:
            write(child, depth + 1)
            tail = child.tail or ""
            if depth > 0 or tail.strip(SPACE):
                out.append(tail)
        out.append("\x06")

    write(root, 0)
    return "".join(out)


def compare():
    read = sys.stdin.buffer.read
    parsers = [("expat", expat_tree)] + ([("libxml2", libxml2_tree)] if etree else [])
    records = 0
    stricter = {}
    while head := read(9):
        case, stage = struct.unpack("<QB", head)
        fields = [read(struct.unpack("<I", read(4))[0]) for _ in range(4)]
        parts, expected = fields[:3], fields[3].decode()
        records += 1
        if stage == ord("x"):
            try:
                for _, tree in parsers:
                    tree(parts)
            except Refused:
                continue
            count, example = stricter.get(expected, (0, None))
            stricter[expected] = (count + 1, example or f"case {case}: {b''.join(parts)!r}")
            continue
        for parser, tree in parsers:
            try:
                got = tree(parts)
            except Refused as refused:
                print(f"case {case} {chr(stage)} {parser} refuses ({refused}): {b''.join(parts)!r}")
                continue
            if got != expected:
                print(f"case {case} {chr(stage)} {parser} reads {got!r}, snug {expected!r}: {b''.join(parts)!r}")
    for error, (count, example) in stricter.items():
        print("stricter", count, error, example)
    print("done", records, " ".join(parser for parser, _ in parsers))


def names():
    def accepted(pattern):
        def fits(code):
            text = pattern.replace("X", chr(code)).encode()
            try:
                pyexpat.ParserCreate(namespace_separator=" ").Parse(text, True)
                etree.fromstring(text)
                return True
            except (pyexpat.ExpatError, etree.XMLSyntaxError):
                return False

        # Outside of the BMP expat knows no names: two planes stand for all.
        codes = [c for c in range(0x80, 0x10800) if not 0xD800 <= c < 0xE000]
        return " ".join(str(code) for code in codes if fits(code))

    print(accepted("<X/>"))
    print(accepted("<aX/>"))


if etree is None and sys.argv[1:] == ["names"]:
    print("no lxml")
elif sys.argv[1:] == ["names"]:
    names()
else:
    compare()
