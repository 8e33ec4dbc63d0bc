"""Handle record batches of Kafka's message format 2 as raw bytes.

Layout: https://kafka.apache.org/documentation/#recordbatch. Offsets and times of records are stored
relative to their batch, so that a batch can be given its offset, or lose records, without encoding
the rest again.
"""

import struct
import zlib
from collections.abc import Iterator
from mmap import mmap
from typing import Final, NamedTuple

from aiokafka.record.util import calc_crc32c

from deploy.localkafka.errors import Code, Refused

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_STARTS_AT: Final = 21
_COMPRESSION: Final = 0b111
_TRANSACTIONAL_OR_CONTROL: Final = 0b110000
_GZIP: Final = 1
_INFLATED_LIMIT: Final = 64 * 1024 * 1024
_START: Final = struct.Struct(">qii")
HEADER_SIZE: Final = _HEADER.size
START_SIZE: Final = _START.size
NO_PRODUCER: Final = -1


class Header(NamedTuple):
    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    first_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def size(self) -> int:
        return self.length + 12

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta


class Record(NamedTuple):
    """One record. ``start`` and ``end`` are positions in the batch's uncompressed body."""

    start: int
    end: int
    offset: int
    timestamp: int
    key: bytes | None
    has_value: bool


def header_at(data: bytes | mmap, position: int = 0) -> Header:
    return Header(*_HEADER.unpack_from(data, position))


def stored_start(base_offset: int, header: Header) -> bytes:
    """Return the first ``START_SIZE`` bytes of a stored batch.

    They are its offset, its length, and the leader's epoch (always 0). The checksum does not cover
    them.
    """
    return _START.pack(base_offset, header.length, 0)


def intact(data: bytes | mmap, header: Header, position: int = 0) -> bool:
    return bool(calc_crc32c(data[position + _CRC_STARTS_AT : position + header.size]) == header.crc)


def checked(data: bytes, *, limit: int) -> Header:
    """Return the header of the one batch that ``data`` must hold.

    Raises:
        Refused: not exactly one whole, intact batch of format 2; a transactional one; or larger
            than ``limit`` bytes.
    """
    if len(data) < HEADER_SIZE:
        raise Refused(Code.CORRUPT_MESSAGE, "the batch is shorter than its header")
    header = header_at(data)
    if header.magic != 2:
        raise Refused(
            Code.UNSUPPORTED_FOR_MESSAGE_FORMAT,
            "only message format 2 (Kafka 0.11 and later) is stored",
        )
    if len(data) > limit:
        raise Refused(
            Code.MESSAGE_TOO_LARGE, f"the batch has {len(data)} bytes, the topic takes {limit}"
        )
    if header.size != len(data) or not intact(data, header):
        raise Refused(Code.CORRUPT_MESSAGE, "the batch does not match its length or checksum")
    if header.attributes & _TRANSACTIONAL_OR_CONTROL:
        raise Refused(Code.INVALID_RECORD, "transactions are not supported")
    if header.records < 1 or header.last_offset_delta != header.records - 1:
        raise Refused(Code.INVALID_RECORD, "the batch's offsets do not match its number of records")
    return header


def records(header: Header, batch: bytes) -> tuple[bytes, Iterator[Record]]:
    """Return the uncompressed body of a batch, and its records.

    Raises:
        Refused: a compression other than gzip; while iterating, also a body that is no list of
            records.
    """
    body = _inflated(header.attributes & _COMPRESSION, batch[HEADER_SIZE:])
    return body, _walk(header, body)


def rebuilt(header: Header, body: bytes, kept: list[Record]) -> bytes:
    """Return the batch with only these records, uncompressed.

    It keeps its range of offsets and sequence numbers.
    """
    parts = b"".join(body[record.start : record.end] for record in kept)
    attributes = header.attributes & ~_COMPRESSION
    length = HEADER_SIZE - 12 + len(parts)
    draft = header._replace(length=length, attributes=attributes, records=len(kept), crc=0)
    data = _HEADER.pack(*draft) + parts
    return _HEADER.pack(*draft._replace(crc=calc_crc32c(data[_CRC_STARTS_AT:]))) + parts


def _inflated(compression: int, body: bytes) -> bytes:
    if compression == 0:
        return body
    if compression != _GZIP:
        raise Refused(
            Code.UNSUPPORTED_COMPRESSION_TYPE,
            "compacted topics take uncompressed and gzip batches only",
        )
    try:
        unpacker = zlib.decompressobj(wbits=31)
        inflated = unpacker.decompress(body, _INFLATED_LIMIT)
    except zlib.error as error:
        raise Refused(Code.CORRUPT_MESSAGE, "the batch is not valid gzip") from error
    if not unpacker.eof:
        raise Refused(
            Code.MESSAGE_TOO_LARGE,
            f"the batch is longer than {_INFLATED_LIMIT} bytes when unpacked",
        )
    return inflated


def _walk(header: Header, body: bytes) -> Iterator[Record]:
    position = 0
    try:
        for _ in range(header.records):
            start = position
            length, position = _varint(body, start)
            end = position + length
            time_delta, position = _varint(body, position + 1)
            offset_delta, position = _varint(body, position)
            key_length, position = _varint(body, position)
            key = None if key_length < 0 else body[position : position + key_length]
            value_length, position = _varint(body, position + max(key_length, 0))
            if not start < position <= end <= len(body):
                raise Refused(Code.INVALID_RECORD, "a record does not fit its batch")
            offset = header.base_offset + offset_delta
            timestamp = header.first_timestamp + time_delta
            yield Record(start, end, offset, timestamp, key, value_length >= 0)
            position = end
    except IndexError:
        raise Refused(Code.INVALID_RECORD, "the batch holds fewer records than it says") from None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    byte = data[position]
    position += 1
    value, shift = byte & 0x7F, 7
    while byte & 0x80:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return (value >> 1) ^ -(value & 1), position
