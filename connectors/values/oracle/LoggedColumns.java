package cdc.connect;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;

/**
 * Tells columns that an update has left as they are, and that Oracle has not logged, from columns that are NULL.
 *
 * <p>Without supplemental logging of all columns Debezium makes NULL of the others, or a zero where a column is never
 * NULL. The statement that LogMiner hands out names every column that is logged or changed; one that it does not name
 * is unchanged, and gets the placeholder of an unchanged value: docs/decisions/0036. The statement itself is dropped.
 */
public class LoggedColumns implements Transformation<SourceRecord> {

    private static final String STATEMENT = "redo_sql";
    private static final String SOURCE_NAME = "__debezium.source.column.name";

    private String placeholder;

    @Override
    public void configure(Map<String, ?> settings) {
        placeholder = (String) settings.get("placeholder");
    }

    @Override
    public ConfigDef config() {
        return new ConfigDef().define("placeholder", ConfigDef.Type.STRING, ConfigDef.Importance.HIGH,
                "The connector's unavailable.value.placeholder.");
    }

    @Override
    public SourceRecord apply(SourceRecord record) {
        if (!(record.value() instanceof Struct envelope) || envelope.schema().field("source") == null) {
            return record;
        }
        Struct source = envelope.getStruct("source");
        if (source == null || source.schema().field(STATEMENT) == null) {
            return record;
        }
        String statement = source.getString(STATEMENT);
        envelope.put("source", without(source)); // both halves of a key change have the same one
        Struct row = envelope.schema().field("after") == null ? null : envelope.getStruct("after");
        if (row != null && statement != null && statement.startsWith("update ")) {
            mark(record, row, NamedColumns.of(statement));
        }
        return record;
    }

    private static Struct without(Struct source) {
        Struct copy = new Struct(source.schema());
        for (Field field : source.schema().fields()) {
            copy.put(field, field.name().equals(STATEMENT) ? null : source.getWithoutDefault(field.name()));
        }
        return copy;
    }

    private void mark(SourceRecord record, Struct row, Set<String> logged) {
        if (NamedColumns.numbered(logged)) { // of a definition that is gone; the connector has put the names to them
            return;
        }
        for (Field field : row.schema().fields()) {
            if (!logged.contains(name(field))) {
                row.put(field, unchanged(record, field, row.get(field)));
            }
        }
    }

    private static String name(Field field) {
        Map<String, String> parameters = field.schema().parameters();
        return parameters == null ? field.name() : parameters.getOrDefault(SOURCE_NAME, field.name());
    }

    private Object unchanged(SourceRecord record, Field field, Object value) {
        boolean key = record.keySchema() != null && record.keySchema().field(field.name()) != null;
        if (!key && field.schema().type() == Schema.Type.STRING) {
            return placeholder;
        }
        if (!key && field.schema().type() == Schema.Type.BYTES) {
            return ByteBuffer.wrap(placeholder.getBytes(StandardCharsets.UTF_8));
        }
        throw new DataException("an update for topic " + record.topic() + " was logged without column " + field.name()
                + ", which is unchanged and not known: the table needs ADD SUPPLEMENTAL LOG DATA (ALL) COLUMNS");
    }

    @Override
    public void close() {
        // holds nothing
    }
}
