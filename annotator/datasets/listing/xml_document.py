"""XML as labeling programs write it, parsed by defusedxml, which refuses what could blow up or reach out."""

from typing import Any


class XmlUnreadable(Exception):
    """It is no XML, or of a kind that is not read; the message says why."""


def parse_xml(data: bytes) -> Any:
    """Parse a document.

    Returns:
        Its root. Names of elements are without their namespaces: a program that writes one means the same elements.

    Raises:
        XmlUnreadable: it cannot be parsed, or declares entities.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        root = fromstring(data)
    except DefusedXmlException as exc:
        raise XmlUnreadable(f"it declares entities or refers to other files, which is not supported: {exc}") from exc
    except (ParseError, ValueError, LookupError, RecursionError) as exc:
        raise XmlUnreadable(str(exc)) from exc
    for element in root.iter():
        if isinstance(element.tag, str) and element.tag[:1] == "{":
            element.tag = element.tag.rpartition("}")[2]
    return root
