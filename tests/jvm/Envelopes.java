package cdc.connect;

import java.util.Random;
import java.util.UUID;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;

/** Updates of a table of eight columns, as Debezium's PostgreSQL connector hands them to a converter. */
final class Envelopes {

    static final String TOPIC = "shop.public.customers";
    private static final String VERSION = "3.7.0.Final";

    private final Random random = new Random(1);
    private final Schema row = SchemaBuilder.struct().optional().name(TOPIC + ".Value")
            .field("id", column(SchemaBuilder.int64(), "id", "INT8").build())
            .field("code", column(SchemaBuilder.string(), "code", "TEXT").build())
            .field("address", column(SchemaBuilder.string(), "address", "TEXT").build())
            .field("balance", column(SchemaBuilder.string(), "balance", "NUMERIC").build())
            .field("visits", column(SchemaBuilder.int32(), "visits", "INT4").defaultValue(0).build())
            .field("active", column(SchemaBuilder.bool(), "active", "BOOL").build())
            .field("changed_at",
                    column(SchemaBuilder.string().name("io.debezium.time.ZonedTimestamp").version(1), "changed_at",
                            "TIMESTAMPTZ").build())
            .field("token",
                    column(SchemaBuilder.string().name("io.debezium.data.Uuid").version(1), "token", "UUID").build())
            .build();
    private final Schema source = SchemaBuilder.struct().name("io.debezium.connector.postgresql.Source").version(1)
            .field("version", Schema.STRING_SCHEMA)
            .field("connector", Schema.STRING_SCHEMA)
            .field("name", Schema.STRING_SCHEMA)
            .field("ts_ms", Schema.INT64_SCHEMA)
            .field("snapshot", SchemaBuilder.string().name("io.debezium.data.Enum").version(1)
                    .parameter("allowed",
                            "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental")
                    .optional().defaultValue("false").build())
            .field("db", Schema.STRING_SCHEMA)
            .field("sequence", Schema.OPTIONAL_STRING_SCHEMA)
            .field("ts_us", Schema.OPTIONAL_INT64_SCHEMA)
            .field("ts_ns", Schema.OPTIONAL_INT64_SCHEMA)
            .field("schema", Schema.STRING_SCHEMA)
            .field("table", Schema.STRING_SCHEMA)
            .field("txId", Schema.OPTIONAL_INT64_SCHEMA)
            .field("lsn", Schema.OPTIONAL_INT64_SCHEMA)
            .field("xmin", Schema.OPTIONAL_INT64_SCHEMA)
            .build();
    private final Schema transaction = SchemaBuilder.struct().optional().name("event.block").version(1)
            .field("id", Schema.STRING_SCHEMA)
            .field("total_order", Schema.INT64_SCHEMA)
            .field("data_collection_order", Schema.INT64_SCHEMA)
            .build();
    final Schema value = SchemaBuilder.struct().name(TOPIC + ".Envelope").version(2)
            .field("before", row)
            .field("after", row)
            .field("source", source)
            .field("transaction", transaction)
            .field("op", Schema.STRING_SCHEMA)
            .field("ts_ms", Schema.OPTIONAL_INT64_SCHEMA)
            .field("ts_us", Schema.OPTIONAL_INT64_SCHEMA)
            .field("ts_ns", Schema.OPTIONAL_INT64_SCHEMA)
            .build();
    final Schema key = SchemaBuilder.struct().name(TOPIC + ".Key").field("id", Schema.INT64_SCHEMA).build();

    Struct key(Struct change) {
        return new Struct(key).put("id", change.getStruct("after").getInt64("id"));
    }

    Struct change(long number) {
        long id = random.nextInt(1_000_000);
        long now = 1_764_000_000_000_000L + number;
        return new Struct(value)
                .put("before", row(id))
                .put("after", row(id))
                .put("source", new Struct(source)
                        .put("version", VERSION).put("connector", "postgresql").put("name", "shop")
                        .put("ts_ms", now / 1000)
                        .put("snapshot", "false").put("db", "shop")
                        .put("sequence", "[\"" + (number << 8) + "\",\"" + (number << 8 | 56) + "\"]")
                        .put("ts_us", now).put("ts_ns", now * 1000).put("schema", "public").put("table", "customers")
                        .put("txId", number / 100).put("lsn", number << 8))
                .put("op", "u").put("ts_ms", now / 1000).put("ts_us", now).put("ts_ns", now * 1000);
    }

    private Struct row(long id) {
        return new Struct(row)
                .put("id", id).put("code", text(10)).put("address", text(70))
                .put("balance", random.nextInt(10_000_000) / 100 + "." + random.nextInt(10) + random.nextInt(10))
                .put("visits", random.nextInt(100_000)).put("active", random.nextBoolean())
                .put("changed_at",
                        "2026-11-2" + random.nextInt(7) + "T10:00:00." + (100_000 + random.nextInt(900_000)) + "Z")
                .put("token", new UUID(random.nextLong(), random.nextLong()).toString());
    }

    private String text(int length) {
        return random.ints(length, 'a', 'z' + 1)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString();
    }

    private static SchemaBuilder column(SchemaBuilder builder, String name, String type) {
        return (name.equals("id") ? builder : builder.optional())
                .parameter("__debezium.source.column.type", type)
                .parameter("__debezium.source.column.length", "10")
                .parameter("__debezium.source.column.scale", "0")
                .parameter("__debezium.source.column.name", name);
    }
}
