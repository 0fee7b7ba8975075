package cdc.connect;

import io.debezium.relational.Column;
import io.debezium.spi.converter.RelationalColumn;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.connect.errors.ConnectException;

/**
 * The labels of an ENUM or a SET, as they are, and the text of a value of them.
 *
 * <p>Debezium leaves the backslashes of the declaration in them. A converter is not told of labels, so the column behind
 * is asked; a version where it is not there is refused.
 */
final class MySqlLabels {

    private MySqlLabels() {}

    /** Returns the labels in their order. */
    static List<String> of(RelationalColumn column) {
        List<String> labels = new ArrayList<>();
        for (String declared : behind(column).enumValues()) {
            labels.add(plain(declared));
        }
        return labels;
    }

    /** Returns the label that an index of the log is of, or those of a set of bits; a text of a snapshot as it is. */
    static Object text(RelationalColumn column, List<String> labels, Object value) {
        if (value instanceof Integer) {
            int index = (Integer) value;
            return index < 1 || index > labels.size() ? "" : labels.get(index - 1); // 0: what was not valid
        }
        if (value instanceof Long) {
            List<String> chosen = new ArrayList<>();
            for (int bit = 0; bit < labels.size(); bit++) {
                if (((Long) value >> bit & 1) == 1) {
                    chosen.add(labels.get(bit));
                }
            }
            return String.join(",", chosen);
        }
        return value != null ? value.toString() : column.isOptional() ? null : "";
    }

    private static Column behind(RelationalColumn column) {
        try {
            Field field = column.getClass().getDeclaredField("val$column");
            field.setAccessible(true);
            return (Column) field.get(column);
        } catch (ReflectiveOperationException | RuntimeException e) {
            throw new ConnectException("this version of Debezium does not tell the labels of " + column.name(), e);
        }
    }

    /** Returns a label out of its quotes; two of them are one, and a backslash keeps the next character. */
    private static String plain(String declared) {
        boolean quoted = declared.length() > 1 && declared.startsWith("'") && declared.endsWith("'");
        String inner = quoted ? declared.substring(1, declared.length() - 1) : declared;
        return inner.replace("''", "'").replaceAll("\\\\(.)", "$1");
    }
}
