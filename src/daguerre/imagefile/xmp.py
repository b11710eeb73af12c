"""Where an image came from, as XMP: that a model made it, which one, and the words if asked.

Standard fields that readers know (IPTC Photo Metadata 2025.1, Dublin Core, XMP) stand beside the
project's own exact ones. XML 1.0 cannot hold every code point that a prompt may: the standard
fields show U+FFFD for those, while `Prompt` and `NegativePrompt` are JSON strings, from which the
prompt comes back as it was sent. `daguerre.imagefile.encoding` embeds it.
"""

from __future__ import annotations

import json
import re
from xml.sax.saxutils import escape

from daguerre import __version__
from daguerre.params import GeneratedImage, ImageParams

TRAINED_ALGORITHMIC_MEDIA = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "daguerre": "urn:daguerre:provenance:1#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
}
# Everything but the Char production of XML 1.0.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def mark() -> str:
    """The one property that says that a model made it."""
    return _element("Iptc4xmpExt:DigitalSourceType", _plain(TRAINED_ALGORITHMIC_MEDIA))


def facts(image: GeneratedImage) -> str:
    """The properties that hold nothing of what the user wrote."""
    height, width = image.pixels.shape[:2]
    info = image.model_info
    return "".join(
        (
            mark(),
            _element("Iptc4xmpExt:AISystemUsed", _plain(info.name or info.model)),
            _element("Iptc4xmpExt:AISystemVersionUsed", _plain(f"sha256:{info.weights_sha256}")),
            _element("xmp:CreatorTool", _plain(f"daguerre {__version__}")),
            _element("daguerre:Model", _plain(info.model)),
            _element("daguerre:WeightsSha256", _plain(info.weights_sha256)),
            _element("daguerre:Seed", str(image.params.seed)),
            _element("daguerre:Width", str(width)),
            _element("daguerre:Height", str(height)),
        )
    )


def words(params: ImageParams) -> str:
    """The properties that repeat what the user wrote."""
    # IPTC has one field for both: "may include negative [excludes] and positive [includes]".
    both = params.prompt
    if params.negative_prompt:
        both += f"\nNegative prompt: {params.negative_prompt}"
    description = _element("rdf:li", _plain(params.prompt), ' xml:lang="x-default"')
    return "".join(
        (
            _element("dc:description", _element("rdf:Alt", description)),
            _element("Iptc4xmpExt:AIPromptInformation", _plain(both)),
            _element("daguerre:Prompt", _exact(params.prompt)),
            _element("daguerre:NegativePrompt", _exact(params.negative_prompt)),
        )
    )


def has_extended(digest: str) -> str:
    """The property by which a JPEG's packet names the extension that belongs to it."""
    return _element("xmpNote:HasExtendedXMP", digest)


def document(properties: str) -> bytes:
    """`properties` as one XMP document in UTF-8."""
    names = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    description = _element("rdf:Description", properties, ' rdf:about=""')
    rdf = _element("rdf:RDF", description, names)
    return _element("x:xmpmeta", rdf, ' xmlns:x="adobe:ns:meta/"').encode()


def packet(properties: str) -> bytes:
    """The document between the marks by which a scanner finds it in any file; read-only."""
    begin = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
    return begin.encode() + document(properties) + b'<?xpacket end="r"?>'


def _element(name: str, content: str, attributes: str = "") -> str:
    return f"<{name}{attributes}>{content}</{name}>\n"


def _plain(value: str) -> str:
    # A parser turns a bare carriage return into a line feed; a reference survives.
    return escape(_NOT_XML.sub("\ufffd", value), {"\r": "&#13;"})


def _exact(value: str) -> str:
    # JSON escapes what lies below U+0020 itself; surrogates and U+FFFE, U+FFFF are left to us.
    quoted = json.dumps(value, ensure_ascii=False)
    return escape(_NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted))
