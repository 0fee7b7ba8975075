package cdc.connect;

import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;

/** Writes structs, field by field. */
final class StructWriter implements ValueWriter {

    private final Schema schema;
    private final Field[] fields;
    private final boolean[] defaults;
    private final ValueWriter[] writers;
    /** The other instance of an equal schema that was seen last: comparing two takes longer than writing a row. */
    private Schema equal;

    StructWriter(Schema schema) {
        this.schema = schema;
        fields = schema.fields().toArray(new Field[0]);
        defaults = new boolean[fields.length];
        writers = new ValueWriter[fields.length];
    }

    Field[] fields() {
        return fields;
    }

    /** Sets the writer of a field; later than the constructor, since a struct may contain its own kind. */
    void set(int index, ValueWriter writer) {
        defaults[index] = fields[index].schema().defaultValue() != null;
        writers[index] = writer;
    }

    @Override
    public void write(Object value, AvroOutput output) {
        Struct struct = (Struct) value;
        check(struct.schema());
        for (int index = 0; index < writers.length; index++) {
            Field field = fields[index];
            // The slower of the two does not put the default in place of NULL.
            Object part = defaults[index] ? struct.getWithoutDefault(field.name()) : struct.get(field);
            try {
                writers[index].write(part, output);
            } catch (ClassCastException e) {
                throw new DataException("field " + field.name() + ", of type " + field.schema().type() + ", is a "
                        + part.getClass().getName());
            }
        }
    }

    private void check(Schema other) {
        if (other == schema || other == equal) {
            return;
        }
        if (!other.equals(schema)) {
            throw new DataException("a struct has another schema than the one it is announced with: " + schema.name());
        }
        equal = other;
    }
}
