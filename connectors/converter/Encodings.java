package cdc.connect;

import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;

/**
 * How messages of a topic are written, for each instance of a schema that was seen there.
 *
 * <p>Debezium makes a table's schema once and hands the same instance on with every row, until the table is described
 * to it anew. Comparing instances costs nothing; comparing schemas, or rendering them, costs more than writing a row.
 */
final class Encodings {

    /** Instances of one topic; whatever is forgotten is made again without asking the registry. */
    private static final int INSTANCES = 64;

    private final NullKeepingAvroData data;
    private final SchemaRegistry registry;
    private final String suffix;
    private final Map<String, Map<Schema, Encoding>> topics = new HashMap<>();

    Encodings(NullKeepingAvroData data, SchemaRegistry registry, String suffix) {
        this.data = data;
        this.registry = registry;
        this.suffix = suffix;
    }

    /** One schema under its id. */
    record Encoding(int id, ValueWriter writer) {

        byte[] encode(Object value, AvroOutput output) {
            output.begin(id);
            writer.write(value, output);
            return output.message();
        }
    }

    /** Returns how a value of this schema is written; registers a schema that the topic's subject has not got yet. */
    Encoding of(String topic, Schema schema) {
        Map<Schema, Encoding> known = topics.computeIfAbsent(topic, ignored -> new IdentityHashMap<>());
        Encoding encoding = known.get(schema);
        if (encoding == null) {
            encoding = made(topic, schema);
            if (known.size() == INSTANCES) {
                known.clear();
            }
            known.put(schema, encoding);
        }
        return encoding;
    }

    private Encoding made(String topic, Schema schema) {
        org.apache.avro.Schema avro = data.fromConnectSchema(schema);
        if (schema != null && schema.type() == Schema.Type.STRUCT && avro.isUnion()) {
            avro = record(avro);
        }
        ValueWriter writer = new WriterCompiler(data).compile(schema, avro, "the value");
        return new Encoding(registry.id(topic + suffix, avro.toString()), writer);
    }

    /** Returns the record of an optional struct: NULL as a whole message is none, so its schema needs no union. */
    private static org.apache.avro.Schema record(org.apache.avro.Schema union) {
        return union.getTypes().stream()
                .filter(branch -> branch.getType() == org.apache.avro.Schema.Type.RECORD)
                .findFirst()
                .orElse(union);
    }
}
