"""The body of a request as parts, piece by piece: multipart/related, or a single application/dicom.

Source: DICOM PS3.18 8.6, RFC 2046 5.1, RFC 2387.
"""

from http import HTTPStatus
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from dicom_node.receive.web.refusals import RequestRefused

DICOM = b"application/dicom"
LONGEST_BOUNDARY = 200  # RFC 2046 says 70; senders were seen to have longer ones
LONGEST_PREAMBLE_BYTES = 1 << 16
MOST_HEADERS = 32


class PartSink(Protocol):
    """Takes the parts in turn: begin, data as often as it comes, end."""

    def begin(self, media_type: str) -> None: ...

    def data(self, chunk: memoryview) -> None: ...

    def end(self) -> None: ...


class BodyReader(Protocol):
    """Takes the body as it comes.

    Raises:
        RequestRefused: it is not what its Content-Type says.
    """

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...


def reader_for(content_type: str, sink: PartSink) -> BodyReader:
    """A reader for what the Content-Type says.

    Raises:
        RequestRefused: there is none (415), or a parameter is missing (400).
    """
    media_type, parameters = parse_options_header(content_type)
    if media_type == DICOM:
        return SingleReader(sink)
    if media_type != b"multipart/related" or parameters.get(b"type", DICOM).lower() != DICOM:
        raise RequestRefused(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 'send multipart/related; type="application/dicom", or one application/dicom'
        )
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise RequestRefused(HTTPStatus.BAD_REQUEST, "Content-Type names no usable boundary")
    return MultipartReader(boundary, sink)


class SingleReader:
    """The body is the one part."""

    def __init__(self, sink: PartSink) -> None:
        self._sink = sink
        sink.begin(DICOM.decode())

    def feed(self, chunk: bytes) -> None:
        self._sink.data(memoryview(chunk))

    def finish(self) -> None:
        self._sink.end()


class MultipartReader:
    """The parts between boundaries. What stands before the first and after the last is ignored."""

    def __init__(self, boundary: bytes, sink: PartSink) -> None:
        self._sink = sink
        self._in_preamble = True
        self._preamble_bytes = 0
        self._complete = False
        self._name = b""
        self._value = b""
        self._media_type = ""
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MOST_HEADERS,
        )
        # The parser knows no preamble: it is told that the body begins inside a part, which is the preamble.
        self._parser.write(b"--" + boundary + b"\r\n\r\n\r\n")

    def feed(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "the body is not multipart as its Content-Type says") from None

    def finish(self) -> None:
        if not self._complete:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "the body ends before its last boundary")

    def _on_part_begin(self) -> None:
        self._media_type, self._name, self._value = "", b"", b""

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._name.lower() == b"content-type":
            self._media_type = parse_options_header(self._value.decode("latin-1"))[0].decode("latin-1")
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        if not self._in_preamble:
            self._sink.begin(self._media_type)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._in_preamble:
            self._sink.data(memoryview(data)[start:end])
            return
        self._preamble_bytes += end - start
        if self._preamble_bytes > LONGEST_PREAMBLE_BYTES:
            raise RequestRefused(HTTPStatus.BAD_REQUEST, "no boundary at the beginning of the body")

    def _on_part_end(self) -> None:
        if not self._in_preamble:
            self._sink.end()
        self._in_preamble = False

    def _on_end(self) -> None:
        self._complete = True
