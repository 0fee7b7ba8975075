"""Snapshots of small commits: pyiceberg's, but what it makes anew for every manifest and list is made once."""

import json
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, Literal, NamedTuple

from pyiceberg.avro.codecs import AVRO_CODEC_KEY, CODEC_MAPPING_ICEBERG_TO_AVRO
from pyiceberg.avro.encoder import BinaryEncoder
from pyiceberg.avro.file import _SCHEMA_KEY, MAGIC, META_SCHEMA, AvroFileHeader, AvroOutputFile
from pyiceberg.avro.resolver import construct_writer, resolve_writer
from pyiceberg.avro.writer import Writer
from pyiceberg.io import OutputFile
from pyiceberg.manifest import (
    DEFAULT_READ_VERSION,
    MANIFEST_LIST_FILE_SCHEMAS,
    ManifestFile,
    ManifestListWriterV2,
    ManifestWriterV2,
    data_file_with_partition,
    manifest_entry_schema_with_data_file,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import AddSnapshotUpdate, UpdatesAndRequirements
from pyiceberg.table.update.snapshot import _new_manifest_list_file_name, _SnapshotProducer
from pyiceberg.types import StructType
from pyiceberg.utils.schema_conversion import AvroSchemaConversion

FORMAT: Literal[2] = 2
"""The version of Iceberg's format that is written here."""

_header = construct_writer(META_SCHEMA)


class _Form(NamedTuple):
    """What all Avro files of a kind have in common."""

    schema: str
    writer: Writer


def _form_of(name: str, file: Schema, record: Schema) -> _Form:
    return _Form(
        json.dumps(AvroSchemaConversion().iceberg_to_avro(file, schema_name=name)), resolve_writer(record, file)
    )


@lru_cache(256)
def _manifest_form(partition: StructType) -> _Form:
    return _form_of("manifest_entry", _entry(partition, FORMAT), _entry(partition, DEFAULT_READ_VERSION))


def _entry(partition: StructType, version: Literal[2]) -> Schema:
    return manifest_entry_schema_with_data_file(version, data_file_with_partition(partition, version))


@lru_cache(1)
def _list_form() -> _Form:
    schemas = MANIFEST_LIST_FILE_SCHEMAS
    return _form_of("manifest_file", schemas[FORMAT], schemas[DEFAULT_READ_VERSION])


class _AvroFile(AvroOutputFile[Any]):
    """An Avro file of a known form."""

    def __init__(self, output_file: OutputFile, form: _Form, metadata: dict[str, str]) -> None:
        super().__init__(output_file, _NOTHING, "", metadata=metadata)
        self.writer, self._form = form.writer, form

    def __enter__(self) -> "_AvroFile":
        self._buffer = BytesIO()
        self.encoder = BinaryEncoder(self._buffer)
        self._write_header()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """Write the file in one go, unless something went wrong before."""
        if kind is None:
            with self.output_file.create(overwrite=True) as opened:
                opened.write(self._buffer.getvalue())

    def _write_header(self) -> None:
        codec = self.metadata[AVRO_CODEC_KEY]
        told = {
            **self.metadata,
            _SCHEMA_KEY: self._form.schema,
            AVRO_CODEC_KEY: CODEC_MAPPING_ICEBERG_TO_AVRO.get(codec) or codec,
        }
        _header.write(self.encoder, AvroFileHeader(MAGIC, told, self.sync_bytes))


_NOTHING = Schema()


class KnownManifest(ManifestWriterV2):
    """Writes a manifest of data files."""

    def new_writer(self) -> AvroOutputFile[Any]:
        """Return what entries are written to."""
        return _AvroFile(self._output_file, _manifest_form(self._spec.partition_type(self._schema)), self._meta)


class _KnownList(ManifestListWriterV2):
    def __enter__(self) -> "_KnownList":
        self._writer = _AvroFile(self._output_file, _list_form(), self._meta)
        self._writer.__enter__()
        return self


class Produced(_SnapshotProducer[Any]):
    """Mixed into a producer of snapshots of tables in format 2; what it is told to update is the snapshot alone.

    Then ``manifests`` are the snapshot's.
    """

    manifests: Sequence[ManifestFile] = ()

    def new_manifest_writer(self, spec: PartitionSpec) -> KnownManifest:
        """Return a writer of a manifest of data files."""
        return KnownManifest(spec, self.schema(), self.new_manifest_output(), self._snapshot_id, self._compression)

    def _commit(self) -> UpdatesAndRequirements:
        metadata = self._transaction.table_metadata
        number = metadata.next_sequence_number()
        name = _new_manifest_list_file_name(self._snapshot_id, 0, self.commit_uuid)
        location = self._transaction._table.location_provider().new_metadata_location(name)  # noqa: SLF001
        output, parent = self._io.new_output(location), self._parent_snapshot_id
        with _KnownList(output, self._snapshot_id, parent, number, self._compression) as writer:
            self.manifests = [writer.prepare_manifest(one) for one in self._manifests()]
            writer.add_manifests(self.manifests)
        snapshot = Snapshot(
            snapshot_id=self._snapshot_id,
            parent_snapshot_id=parent,
            manifest_list=location,
            sequence_number=number,
            summary=self._summary(self.snapshot_properties),
            schema_id=metadata.current_schema_id,
        )
        return (AddSnapshotUpdate(snapshot=snapshot),), ()
