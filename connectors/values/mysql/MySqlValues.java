package cdc.connect;

import io.debezium.data.Enum;
import io.debezium.data.EnumSet;
import io.debezium.data.Json;
import io.debezium.spi.converter.CustomConverter;
import io.debezium.spi.converter.RelationalColumn;
import io.debezium.time.Year;
import java.io.IOException;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.connect.data.SchemaBuilder;

/**
 * The values of MySQL that Debezium falsifies: documents in the log, numbers in a column declared as BOOLEAN, the year
 * 0000, and labels of enumerations with a backslash.
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
        } else if (type.equals("YEAR")) {
            registration.register(Year.builder(), value -> year(column, value));
        } else if (type.equals("ENUM") || type.equals("SET")) {
            List<String> labels = MySqlLabels.of(column);
            String allowed = String.join(",", labels);
            SchemaBuilder schema = type.equals("ENUM") ? Enum.builder(allowed) : EnumSet.builder(allowed);
            registration.register(schema, value -> MySqlLabels.text(column, labels, value));
        }
    }

    /** The log counts from 1900, and has no year 1900: that is 0000. */
    private static Object year(RelationalColumn column, Object value) {
        if (value instanceof java.time.Year) {
            int year = ((java.time.Year) value).getValue();
            return year == 1900 ? 0 : year;
        }
        if (value instanceof Number) {
            return ((Number) value).intValue();
        }
        if (value instanceof String) {
            return Integer.valueOf((String) value);
        }
        return value == null && column.isOptional() ? null : 0;
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
