"""Encoded files: pixels, determinism and XMP metadata.

The tests parse chunks and segments themselves and with Pillow, independently of the package.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from daguerre import __version__
from daguerre.imagefile.encoding import FORMATS, encode
from daguerre.params import (
    MAX_PROMPT_CODE_POINTS,
    SIZES,
    GeneratedImage,
    ImageParams,
    ModelInfo,
)

EXT = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
OWN = "{urn:daguerre:provenance:1#}"
XMP = "{http://ns.adobe.com/xap/1.0/}"
DC = "{http://purl.org/dc/elements/1.1/}"
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
NOTE = "{http://ns.adobe.com/xmp/note/}"
PNG_KEYWORD = b"XML:com.adobe.xmp\0\0\0\0\0"
JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
JPEG_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
WEIGHTS = "0123456789abcdef" * 4
FOX = "\N{FOX FACE}"

HOSTILE = {
    "plain": "a red fox at dawn",
    "markup": "]]> <![CDATA[ &amp; &#0; <b a='\"'> </rdf:li> %s {0} \\u0041 \\",
    "packet": "<?xpacket end='w'?><?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>",
    "lines": " a\rb\r\nc\n\td\x85e\u2028f ",
    "controls": "".join(map(chr, range(0x100))),
    "noncharacters": "\ufdd0\ufffe\uffff\U0001fffe\U0010ffff\ufeff",
    "lone surrogates": "\udc00 \ud83d",
    "astral": FOX * MAX_PROMPT_CODE_POINTS,
    "nul": "\0" * MAX_PROMPT_CODE_POINTS,
    "ampersands": "&" * MAX_PROMPT_CODE_POINTS,
}


def draw(width: int, height: int, noise: int = 1) -> NDArray[np.uint8]:
    """A flat illustration with noise of at most `noise` levels."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sky = np.array([90, 150, 220]) + np.array([160, 60, -40]) * (y / height)[..., None]
    sun = np.hypot(x - 0.7 * width, y - 0.3 * height) < 0.08 * width
    picture = np.where(sun[..., None], [255, 245, 200], sky)
    for i in range(3):
        ridge = height * (0.55 + 0.13 * i) + 0.05 * height * np.sin(x / width * (5 + 4 * i) + i)
        picture = np.where(
            (y > ridge)[..., None], [60 - 15 * i, 110 - 25 * i, 100 - 30 * i], picture
        )
    steps = np.random.default_rng(1).integers(-noise, noise + 1, picture.shape)
    return np.clip(np.rint(picture) + steps, 0, 255).astype(np.uint8)


SMALL = draw(96, 64)


def generated(
    pixels: NDArray[np.uint8] = SMALL,
    output_format: str = "png",
    prompt: str = "a red fox",
    negative_prompt: str = "",
    compression_quality: int = 90,
    model: str = "daguerre-1",
) -> GeneratedImage:
    params = ImageParams(
        model=model,
        prompt=prompt,
        negative_prompt=negative_prompt,
        width=pixels.shape[1],
        height=pixels.shape[0],
        seed=4_294_967_295,
        output_format=output_format,
        compression_quality=compression_quality,
    )
    return GeneratedImage(pixels, params, ModelInfo(model, WEIGHTS, created=1))


def decoded(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode == "RGB"
        return np.asarray(picture)


def png_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = [], 8
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", data, at + 8 + length) == (zlib.crc32(kind + body),)
        chunks.append((kind, body))
        at += 12 + length
    return chunks


def jpeg_segments(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, body) of everything before the first scan."""
    assert data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
    segments, at = [], 2
    while data[at + 1] != 0xDA:
        assert data[at] == 0xFF
        (length,) = struct.unpack_from(">H", data, at + 2)
        segments.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return segments


def jpeg_xmp(data: bytes) -> tuple[bytes, bytes]:
    """The packet and the reassembled extended XMP, which may be empty."""
    segments = jpeg_segments(data)
    assert segments[0][0] == 0xE0 and segments[0][1].startswith(b"JFIF\0")
    app1 = [body for marker, body in segments if marker == 0xE1]
    (packet,) = (body[len(JPEG_XMP) :] for body in app1 if body.startswith(JPEG_XMP))
    extension = b""
    for body in app1:
        if body.startswith(JPEG_EXTENDED_XMP):
            digest, length, offset = struct.unpack_from(">32sII", body, len(JPEG_EXTENDED_XMP))
            assert offset == len(extension)
            extension += body[len(JPEG_EXTENDED_XMP) + 40 :]
            whole = (digest, length)
    if extension:
        assert whole == (hashlib.md5(extension).hexdigest().upper().encode(), len(extension))
        assert f"<xmpNote:HasExtendedXMP>{digest.decode()}<" in packet.decode()
    return packet, extension


def xmp(data: bytes) -> tuple[bytes, bytes]:
    if data.startswith(b"\xff"):
        return jpeg_xmp(data)
    (text,) = (body for kind, body in png_chunks(data) if kind == b"iTXt")
    assert text.startswith(PNG_KEYWORD)
    return text[len(PNG_KEYWORD) :], b""


def properties(data: bytes) -> dict[str, str]:
    """Properties of packet and extension by qualified name, from an XML parser."""
    found: dict[str, str] = {}
    for part in filter(None, xmp(data)):
        (description,) = ElementTree.fromstring(part).iter(f"{RDF}Description")
        for element in description:
            assert element.tag not in found
            found[element.tag] = "".join(element.itertext()).strip("\n")
    return found


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: "x".join(map(str, size)))
def test_png_is_lossless_at_every_size(size: tuple[int, int]) -> None:
    """A PNG of each size decodes to the same pixels."""
    pixels = draw(*size)
    data = encode(generated(pixels), with_prompt=False)
    assert (decoded(data) == pixels).all()
    assert len(data) < pixels.size // 2


@pytest.mark.parametrize("size", SIZES.values(), ids=lambda size: "x".join(map(str, size)))
def test_jpeg_is_close_at_every_size(size: tuple[int, int]) -> None:
    """A JPEG of quality 90 has the right size and nearly the same pixels."""
    pixels = draw(*size)
    got = decoded(encode(generated(pixels, "jpeg"), with_prompt=False))
    assert got.shape == pixels.shape
    assert np.abs(got.astype(int) - pixels).mean() < 1.5


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3), (17, 31)])
def test_odd_shapes(size: tuple[int, int], output_format: str) -> None:
    """Any width and height works."""
    pixels = np.random.default_rng(2).integers(0, 256, (size[1], size[0], 3), np.uint8)
    got = decoded(encode(generated(pixels, output_format), with_prompt=False))
    assert got.shape == pixels.shape
    if not FORMATS[output_format].is_lossy:
        assert (got == pixels).all()


@pytest.mark.parametrize("output_format", FORMATS)
def test_memory_layout_does_not_matter(output_format: str) -> None:
    """A strided view is encoded to the bytes of its copy."""
    view = np.repeat(SMALL, 2, axis=1).transpose(1, 0, 2)[::-2]
    assert not view.flags.c_contiguous
    expected = encode(generated(view.copy(), output_format), with_prompt=False)
    assert encode(generated(view, output_format), with_prompt=False) == expected


def test_png_chunks() -> None:
    """A PNG is 8-bit RGB, not interlaced, declares sRGB, and has its chunks in a valid order."""
    chunks = png_chunks(encode(generated(), with_prompt=False))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"sRGB", b"iTXt", b"IDAT", b"IEND"]
    assert chunks[0][1] == struct.pack(">IIBBBBB", 96, 64, 8, 2, 0, 0, 0)
    assert chunks[1][1] == b"\0"
    assert len(zlib.decompress(chunks[3][1])) == 64 * (1 + 96 * 3)


def test_jpeg_keeps_full_chroma() -> None:
    """All components of a JPEG have full resolution, so edges of flat colours stay sharp."""
    segments = dict(jpeg_segments(encode(generated(output_format="jpeg"), with_prompt=False)))
    frame = segments[0xC0]  # baseline
    assert [frame[7 + 3 * i] for i in range(3)] == [0x11] * 3


def test_jpeg_quality() -> None:
    """A higher quality makes the file larger and closer to the pixels."""
    pixels = draw(256, 256)
    files = [
        encode(generated(pixels, "jpeg", compression_quality=q), with_prompt=False)
        for q in (0, 10, 50, 90, 100)
    ]
    errors = [np.abs(decoded(file).astype(int) - pixels).mean() for file in files]
    assert sorted(map(len, files)) == list(map(len, files))
    assert sorted(errors, reverse=True) == errors and errors[-1] < errors[0] / 4


@pytest.mark.parametrize("output_format", FORMATS)
def test_same_image_same_bytes(output_format: str) -> None:
    """Earlier and concurrent encodings do not affect the bytes."""
    pictures = [generated(draw(200 + 40 * i, 150), output_format) for i in range(4)]
    alone = [encode(picture, with_prompt=True) for picture in pictures]
    assert len(set(alone)) == 4
    with ThreadPoolExecutor(4) as pool:
        beside = list(pool.map(lambda p: encode(p, with_prompt=True), pictures * 8))
    assert beside == alone * 8


def test_same_png_at_every_address() -> None:
    """The memory address of the pixels does not affect the bytes; one compressor that was tried
    depends on it (bench/LOG.md)."""
    pictures = [generated(draw(1024 + 64 * i, 1024, noise=0)) for i in range(6)]
    alone = [encode(picture, with_prompt=True) for picture in pictures]
    held = []  # gives each round other addresses
    with ThreadPoolExecutor(8) as pool:
        for size in range(10):
            held.append(np.ones(100_001 * size, np.uint8))
            beside = pool.map(lambda p: encode(p, with_prompt=True), pictures * 4)
            assert list(beside) == alone * 4


@pytest.mark.parametrize("output_format", FORMATS)
def test_generation_metadata(output_format: str) -> None:
    """The metadata has the AI marker, model, weights, seed and size."""
    image = generated(output_format=output_format, model="a <model> & \r more")
    found = properties(encode(image, with_prompt=False))
    source = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
    assert found == {
        f"{EXT}DigitalSourceType": source,
        f"{EXT}AISystemUsed": "a <model> & \r more",
        f"{EXT}AISystemVersionUsed": f"sha256:{WEIGHTS}",
        f"{XMP}CreatorTool": f"daguerre {__version__}",
        f"{OWN}Model": "a <model> & \r more",
        f"{OWN}WeightsSha256": WEIGHTS,
        f"{OWN}Seed": "4294967295",
        f"{OWN}Width": "96",
        f"{OWN}Height": "64",
    }


@pytest.mark.parametrize("output_format", FORMATS)
def test_drawn_size(output_format: str) -> None:
    """An image that was enlarged tells the size in which it was drawn, and no other does."""
    image = generated(output_format=output_format)
    info = replace(image.model_info, drawn_sizes={"96x64": "48x32", "64x96": "32x48"})
    found = properties(encode(replace(image, model_info=info), with_prompt=False))
    assert found[f"{OWN}DrawnSize"] == "48x32" and found[f"{OWN}Width"] == "96"
    info = replace(info, drawn_sizes={"64x96": "32x48"})
    other = encode(replace(image, model_info=info), with_prompt=False)
    assert other == encode(image, with_prompt=False)


@pytest.mark.parametrize("output_format", FORMATS)
def test_prompt_only_if_requested(output_format: str) -> None:
    """Without `with_prompt` the file does not depend on the prompts."""
    one = generated(output_format=output_format, prompt="hush", negative_prompt="silence")
    other = generated(output_format=output_format, prompt="noise", negative_prompt="")
    assert encode(one, with_prompt=False) == encode(other, with_prompt=False)
    data = encode(one, with_prompt=True)
    assert b"hush" in data and b"silence" in data


def test_prompt_in_standard_fields() -> None:
    """IPTC and Dublin Core fields contain the prompt and the negative prompt."""
    both = properties(encode(generated(negative_prompt="rain"), with_prompt=True))
    assert both[f"{DC}description"] == "a red fox"
    assert both[f"{EXT}AIPromptInformation"] == "a red fox\nNegative prompt: rain"
    alone = properties(encode(generated(), with_prompt=True))
    assert alone[f"{EXT}AIPromptInformation"] == "a red fox"
    assert alone[f"{OWN}NegativePrompt"] == '""'


@pytest.mark.parametrize("output_format", FORMATS)
@pytest.mark.parametrize("prompt", HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_prompts(prompt: str, output_format: str) -> None:
    """Any prompt results in well-formed XML and a valid file, and can be read back exactly."""
    image = generated(output_format=output_format, prompt=prompt, negative_prompt=prompt[::-1])
    data = encode(image, with_prompt=True)
    found = properties(data)
    assert json.loads(found[f"{OWN}Prompt"]) == prompt
    assert json.loads(found[f"{OWN}NegativePrompt"]) == prompt[::-1]
    assert len(found[f"{DC}description"]) <= len(prompt)
    assert found[f"{EXT}DigitalSourceType"].endswith("/trainedAlgorithmicMedia")
    assert xmp(data)[0].count(b"<?xpacket") == 2
    assert decoded(data).shape == SMALL.shape


@pytest.mark.parametrize(
    ("code_point", "shown"),
    [("\0", "\ufffd"), ("\ufffe", "\ufffd"), ("\ud800", "\ufffd"), ("\r", "\r"), (FOX, FOX)],
)
def test_code_points_that_xml_forbids(code_point: str, shown: str) -> None:
    """Standard fields replace only the code points that XML 1.0 forbids."""
    found = properties(encode(generated(prompt=f"a{code_point}b"), with_prompt=True))
    assert found[f"{DC}description"] == f"a{shown}b"


@pytest.mark.parametrize("output_format", FORMATS)
def test_pillow_finds_the_packet(output_format: str) -> None:
    """Pillow finds the same packet."""
    data = encode(generated(output_format=output_format), with_prompt=True)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        seen = picture.info["xmp"]
    assert (seen if isinstance(seen, bytes) else seen.encode()) == xmp(data)[0]


def test_jpeg_extends_exactly_when_the_packet_is_full() -> None:
    """One byte over the limit of a segment moves all prompt metadata into extended XMP."""
    empty = len(xmp(encode(generated(output_format="jpeg", prompt="a"), with_prompt=True))[0])
    space = 65_502 - empty
    # The file contains each letter of the prompt three times and of the model ID twice. Together
    # they fill the segment exactly.
    model = "daguerre-1" + "m" * ({0: 0, 1: 2, 2: 1}[space % 3])
    letters = (space - 2 * (len(model) - len("daguerre-1"))) // 3
    full = generated(output_format="jpeg", prompt="a" * (1 + letters), model=model)
    packet, extension = xmp(encode(full, with_prompt=True))
    assert len(packet) == 65_502 and extension == b""
    over = generated(output_format="jpeg", prompt="a" * (2 + letters), model=model)
    packet, extension = xmp(encode(over, with_prompt=True))
    assert b"aaa" not in packet and extension
    found = properties(encode(over, with_prompt=True))
    assert found[f"{DC}description"] == "a" * (2 + letters)
    assert f"{NOTE}HasExtendedXMP" in found


def test_model_name_and_id() -> None:
    """A model served under another ID is recorded with its own name and that ID."""
    image = generated(model="an id")
    image = replace(image, model_info=replace(image.model_info, name="its name"))
    found = properties(encode(image, with_prompt=False))
    assert found[f"{EXT}AISystemUsed"] == "its name"
    assert found[f"{OWN}Model"] == "an id"
