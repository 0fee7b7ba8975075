package cdc.connect;

import io.apicurio.registry.utils.converter.ConnectUnion;
import io.apicurio.registry.utils.converter.avro.AvroData;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.util.Collection;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.connect.data.Date;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.errors.DataException;

/** Makes the writer of a Connect schema, whose Avro schema tells where in a union NULL stands. */
final class WriterCompiler {

    private final NullKeepingAvroData data;
    private final Map<Schema, StructWriter> structs = new IdentityHashMap<>();

    WriterCompiler(NullKeepingAvroData data) {
        this.data = data;
    }

    /**
     * Returns the writer of a schema.
     *
     * @param avro what {@code AvroData} makes of it
     * @param name whose values it writes, for errors
     */
    ValueWriter compile(Schema schema, org.apache.avro.Schema avro, String name) {
        if (schema == null || isUnion(schema)) {
            return generic(schema, avro);
        }
        if (avro.getType() != org.apache.avro.Schema.Type.UNION) {
            return required(name, present(schema, avro, name));
        }
        List<org.apache.avro.Schema> branches = avro.getTypes();
        int missing = avro.getIndexNamed("null");
        return optional(missing, present(schema, branches.get(1 - missing), name));
    }

    private ValueWriter present(Schema schema, org.apache.avro.Schema avro, String name) {
        return switch (schema.type()) {
            case INT8 -> (value, output) -> output.writeInt((Byte) value);
            case INT16 -> (value, output) -> output.writeInt((Short) value);
            case INT32 -> integer(schema);
            case INT64 -> longInteger(schema);
            case FLOAT32 -> (value, output) -> output.writeFloat((Float) value);
            case FLOAT64 -> (value, output) -> output.writeDouble((Double) value);
            case BOOLEAN -> (value, output) -> output.writeBoolean((Boolean) value);
            case STRING -> (value, output) -> output.writeString((String) value);
            case BYTES -> bytes(schema, avro);
            case ARRAY -> array(compile(schema.valueSchema(), avro.getElementType(), "an element of " + name));
            case MAP -> map(schema, avro, name);
            case STRUCT -> struct(schema, avro);
        };
    }

    private static ValueWriter integer(Schema schema) {
        if (Date.LOGICAL_NAME.equals(schema.name())) {
            return (value, output) -> output.writeInt(Date.fromLogical(schema, (java.util.Date) value));
        }
        if (Time.LOGICAL_NAME.equals(schema.name())) {
            return (value, output) -> output.writeInt(Time.fromLogical(schema, (java.util.Date) value));
        }
        return (value, output) -> output.writeInt((Integer) value);
    }

    private static ValueWriter longInteger(Schema schema) {
        if (Timestamp.LOGICAL_NAME.equals(schema.name())) {
            return (value, output) -> output.writeLong(Timestamp.fromLogical(schema, (java.util.Date) value));
        }
        return (value, output) -> output.writeLong((Long) value);
    }

    private ValueWriter bytes(Schema schema, org.apache.avro.Schema avro) {
        if (avro.getType() == org.apache.avro.Schema.Type.FIXED) {
            return generic(schema, avro);
        }
        if (Decimal.LOGICAL_NAME.equals(schema.name())) {
            return (value, output) ->
                    output.writeBytes(ByteBuffer.wrap(Decimal.fromLogical(schema, (BigDecimal) value)));
        }
        return (value, output) ->
                output.writeBytes(value instanceof byte[] array ? ByteBuffer.wrap(array) : (ByteBuffer) value);
    }

    private static ValueWriter array(ValueWriter element) {
        return (value, output) -> {
            Collection<?> elements = (Collection<?>) value;
            if (!elements.isEmpty()) {
                output.writeInt(elements.size());
            }
            for (Object one : elements) {
                element.write(one, output);
            }
            output.writeInt(0);
        };
    }

    /** Returns the writer of a map: Avro's own has texts as keys, others are arrays of records. */
    private ValueWriter map(Schema schema, org.apache.avro.Schema avro, String name) {
        boolean own = avro.getType() == org.apache.avro.Schema.Type.MAP;
        org.apache.avro.Schema entry = own ? null : avro.getElementType();
        ValueWriter key = own
                ? (one, output) -> output.writeString((String) one)
                : compile(schema.keySchema(), entry.getField(AvroData.KEY_FIELD).schema(), "a key of " + name);
        org.apache.avro.Schema ofValues = own ? avro.getValueType() : entry.getField(AvroData.VALUE_FIELD).schema();
        ValueWriter value = compile(schema.valueSchema(), ofValues, "a value of " + name);
        ValueWriter entries = array((one, output) -> {
            key.write(((Map.Entry<?, ?>) one).getKey(), output);
            value.write(((Map.Entry<?, ?>) one).getValue(), output);
        });
        return (map, output) -> entries.write(((Map<?, ?>) map).entrySet(), output);
    }

    private ValueWriter struct(Schema schema, org.apache.avro.Schema avro) {
        StructWriter known = structs.get(schema);
        if (known != null) {
            return known;
        }
        StructWriter writer = new StructWriter(schema);
        structs.put(schema, writer);
        Field[] fields = writer.fields();
        for (int index = 0; index < fields.length; index++) {
            org.apache.avro.Schema.Field field = avro.getField(fields[index].name());
            if (field == null || field.pos() != index) {
                throw new DataException("two structs named " + schema.name() + " have different fields");
            }
            writer.set(index, compile(fields[index].schema(), field.schema(), "field " + field.name()));
        }
        return writer;
    }

    /** Returns the slow writer of what Debezium does not make: unions, values of fixed size, or without a schema. */
    private ValueWriter generic(Schema schema, org.apache.avro.Schema avro) {
        GenericDatumWriter<Object> writer = new GenericDatumWriter<>(avro);
        return (value, output) -> {
            try {
                writer.write(data.generic(schema, avro, value), EncoderFactory.get().directBinaryEncoder(output, null));
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        };
    }

    private static ValueWriter required(String name, ValueWriter writer) {
        return (value, output) -> {
            if (value == null) {
                throw new DataException(name + " is NULL, and its schema does not allow that");
            }
            writer.write(value, output);
        };
    }

    private static ValueWriter optional(int missing, ValueWriter writer) {
        return (value, output) -> {
            if (value == null) {
                output.writeInt(missing);
                return;
            }
            output.writeInt(1 - missing);
            writer.write(value, output);
        };
    }

    private static boolean isUnion(Schema schema) {
        return AvroData.AVRO_TYPE_UNION.equals(schema.name()) || ConnectUnion.isUnion(schema);
    }
}
