package cdc.connect;

import io.debezium.data.Json;
import io.debezium.spi.converter.CustomConverter;
import io.debezium.spi.converter.RelationalColumn;
import java.io.IOException;
import java.util.Properties;
import org.apache.kafka.connect.data.SchemaBuilder;

/**
 * The values of MySQL that Debezium falsifies: documents in the log, and numbers in a column declared as BOOLEAN.
 *
 * <p>A document that cannot be read is the text of {@code values.unfit}, so that no value ends the connector:
 * docs/decisions/0018.
 */
public class MySqlValues implements CustomConverter<SchemaBuilder, RelationalColumn> {

    private String unfit;

    @Override
    public void configure(Properties settings) {
        unfit = settings.getProperty("unfit");
    }

    @Override
    public void converterFor(RelationalColumn column, ConverterRegistration<SchemaBuilder> registration) {
        String type = column.typeName().toUpperCase();
        if (type.equals("JSON")) {
            registration.register(Json.builder(), value -> document(column, value));
        } else if (type.equals("BOOLEAN") || type.equals("BOOL")) { // a name for TINYINT(1), which holds any small number
            registration.register(SchemaBuilder.int16(), value -> number(column, value));
        }
    }

    private Object document(RelationalColumn column, Object value) {
        if (value == null) {
            return column.isOptional() ? null : "null";
        }
        if (!(value instanceof byte[])) { // of a snapshot
            return value.toString();
        }
        byte[] binary = (byte[]) value;
        try {
            return binary.length == 0 ? "null" : MySqlJson.text(binary); // an ALTER TABLE or IGNORE can leave nothing behind
        } catch (IOException | RuntimeException e) {
            return unfit;
        }
    }

    private static Object number(RelationalColumn column, Object value) {
        if (value instanceof Boolean) {
            return (short) ((Boolean) value ? 1 : 0);
        }
        if (value instanceof Number) {
            return ((Number) value).shortValue();
        }
        return value == null && column.isOptional() ? null : (short) 0;
    }
}
