package cdc.connect;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.kafka.connect.data.Date;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;

/** Schemas and values of every kind that Connect has, by chance. */
final class RandomSchemas {

    private static final String[] TEXTS = {
        "", "a", "no ASCII: \u00e4\u00df\u20ac", "\ud834\udd1e", "\ud800", "x".repeat(300), "{\"a\": 1}"
    };
    private static final long DAY = 86_400_000L;

    private final Random random;
    private int names;

    RandomSchemas(long seed) {
        random = new Random(seed);
    }

    /** Returns the schema of a whole message. */
    Schema message() {
        return random.nextInt(10) == 0 ? schema(2) : struct(3);
    }

    Object value(Schema schema) {
        if (schema.isOptional() && random.nextInt(3) == 0) {
            return null;
        }
        if (schema.name() != null) {
            switch (schema.name()) {
                case Decimal.LOGICAL_NAME -> {
                    int scale = Integer.parseInt(schema.parameters().get(Decimal.SCALE_FIELD));
                    return new BigDecimal(new BigInteger(90, random), scale);
                }
                case Date.LOGICAL_NAME -> {
                    return new java.util.Date((random.nextInt(60_000) - 20_000) * DAY);
                }
                case Time.LOGICAL_NAME -> {
                    return new java.util.Date(random.nextInt((int) DAY));
                }
                case Timestamp.LOGICAL_NAME -> {
                    return new java.util.Date(random.nextLong() >> 12);
                }
                default -> { }
            }
        }
        return plain(schema);
    }

    private Object plain(Schema schema) {
        return switch (schema.type()) {
            case INT8 -> (byte) random.nextInt();
            case INT16 -> (short) random.nextInt();
            case INT32 -> random.nextInt() >> random.nextInt(32);
            case INT64 -> random.nextLong() >> random.nextInt(64);
            case FLOAT32 -> pick(random.nextFloat(), Float.NaN, Float.NEGATIVE_INFINITY, -0f);
            case FLOAT64 -> pick(random.nextDouble(), Double.NaN, Double.POSITIVE_INFINITY, Double.MIN_VALUE);
            case BOOLEAN -> random.nextBoolean();
            case STRING -> pick(TEXTS);
            case BYTES -> bytes();
            case ARRAY -> array(schema);
            case MAP -> map(schema);
            case STRUCT -> row(schema);
        };
    }

    private Object bytes() {
        byte[] bytes = new byte[random.nextInt(20)];
        random.nextBytes(bytes);
        if (random.nextBoolean()) {
            return bytes;
        }
        byte[] wide = new byte[bytes.length + 5];
        System.arraycopy(bytes, 0, wide, 2, bytes.length);
        ByteBuffer slice = ByteBuffer.wrap(wide, 2, bytes.length);
        return random.nextBoolean() ? slice : ByteBuffer.allocateDirect(bytes.length).put(bytes).flip();
    }

    private List<Object> array(Schema schema) {
        List<Object> elements = new ArrayList<>();
        for (int left = random.nextInt(4); left > 0; left--) {
            elements.add(value(schema.valueSchema()));
        }
        return elements;
    }

    private Map<Object, Object> map(Schema schema) {
        Map<Object, Object> entries = new LinkedHashMap<>();
        for (int left = random.nextInt(3); left > 0; left--) {
            entries.put(value(schema.keySchema()), value(schema.valueSchema()));
        }
        return entries;
    }

    private Struct row(Schema schema) {
        Struct struct = new Struct(schema);
        for (Field field : schema.fields()) {
            struct.put(field, value(field.schema()));
        }
        return struct;
    }

    private Schema schema(int depth) {
        int kind = random.nextInt(depth > 0 ? 17 : 13);
        return switch (kind) {
            case 13 -> finished(SchemaBuilder.array(schema(depth - 1)));
            case 14 -> finished(SchemaBuilder.map(Schema.STRING_SCHEMA, schema(depth - 1)));
            case 15 -> finished(SchemaBuilder.map(key(), schema(depth - 1)).name("some.name.Entry" + names++));
            case 16 -> struct(depth - 1);
            default -> scalar(kind);
        };
    }

    private Schema scalar(int kind) {
        return switch (kind) {
            case 0 -> finished(SchemaBuilder.int8());
            case 1 -> finished(SchemaBuilder.int16());
            case 2 -> finished(SchemaBuilder.int32());
            case 3 -> finished(SchemaBuilder.int64());
            case 4 -> finished(SchemaBuilder.float32());
            case 5 -> finished(SchemaBuilder.float64());
            case 6 -> finished(SchemaBuilder.bool());
            case 7 -> finished(SchemaBuilder.string());
            case 8 -> finished(SchemaBuilder.bytes());
            case 9 -> finished(Decimal.builder(random.nextInt(8)));
            case 10 -> finished(Date.builder());
            case 11 -> finished(Time.builder());
            default -> finished(Timestamp.builder());
        };
    }

    private Schema key() {
        SchemaBuilder key = random.nextBoolean() ? SchemaBuilder.int32() : SchemaBuilder.string().optional();
        return key.build();
    }

    private Schema struct(int depth) {
        SchemaBuilder builder = SchemaBuilder.struct().name("some.name.Struct" + names++);
        int count = 1 + random.nextInt(6);
        for (int index = 0; index < count; index++) {
            builder.field("f" + index, schema(depth));
        }
        if (depth > 0 && random.nextInt(3) == 0) {
            Schema twice = SchemaBuilder.struct().name("some.name.Twice" + names++).optional()
                    .field("id", Schema.INT64_SCHEMA).field("text", schema(0)).build();
            builder.field("before", twice).field("after", twice);
        }
        if (random.nextInt(3) == 0) {
            builder.optional();
        }
        return builder.build();
    }

    /** Returns the schema with what Debezium adds to a column's: parameters, a version, a name, a default. */
    private Schema finished(SchemaBuilder builder) {
        boolean named = builder.name() != null;
        if (random.nextInt(2) == 0) {
            builder.optional();
        }
        if (random.nextInt(2) == 0) {
            builder.parameter("__debezium.source.column.type", "T" + random.nextInt(9));
        }
        boolean simple = !named && builder.type().isPrimitive() && builder.type() != Schema.Type.BYTES;
        if (simple && random.nextInt(3) == 0) {
            builder.name("io.debezium.Some" + names++).version(1);
        }
        if (simple && random.nextInt(4) == 0) {
            builder.defaultValue(ordinary(builder.type()));
        }
        return builder.build();
    }

    private static Object ordinary(Schema.Type type) {
        return switch (type) {
            case INT8 -> (byte) 5;
            case INT16 -> (short) 5;
            case INT32 -> 5;
            case INT64 -> 5L;
            case FLOAT32 -> 1.5f;
            case FLOAT64 -> 1.5;
            case BOOLEAN -> true;
            default -> "text";
        };
    }

    @SafeVarargs
    private <T> T pick(T... values) {
        return values[random.nextInt(values.length)];
    }
}
