"""The text of a table's metadata, with those of its snapshots made once: a commit writes all of them again."""

from pyiceberg.io import FileIO
from pyiceberg.serializers import Compressor
from pyiceberg.table.metadata import TableMetadata

SnapshotTexts = dict[int, str]
"""What was written of snapshots of one table, by their ids; they never change."""


def metadata_text(metadata: TableMetadata, texts: SnapshotTexts) -> str:
    """Return the JSON of a table's metadata; ``texts`` are then those of its snapshots."""
    known = {one.snapshot_id: texts.get(one.snapshot_id) or one.model_dump_json() for one in metadata.snapshots}
    texts.clear()
    texts.update(known)
    rest = metadata.model_dump_json(exclude={"snapshots"})
    return f'{rest[:-1]},"snapshots":[{",".join(known.values())}]}}'


def write_metadata(metadata: TableMetadata, io: FileIO, location: str, texts: SnapshotTexts) -> None:
    """Write a table's metadata where nothing is yet, packed if the name says so; raises as the storage does."""
    packed = Compressor.get_compressor(location).bytes_compressor()(metadata_text(metadata, texts).encode())
    with io.new_output(location).create(overwrite=True) as opened:
        opened.write(packed)
