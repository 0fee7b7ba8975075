package cdc.connect;

import io.debezium.connector.postgresql.PostgresValueConverter;
import io.debezium.connector.postgresql.UnchangedToastedReplicationMessageColumn;
import io.debezium.spi.converter.CustomConverter;
import io.debezium.spi.converter.RelationalColumn;
import io.debezium.time.Date;
import io.debezium.time.ZonedTime;
import java.sql.Types;
import java.time.LocalDate;
import java.util.Calendar;
import java.util.GregorianCalendar;
import java.util.Properties;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.postgresql.PGStatement;
import org.postgresql.util.PGobject;

/**
 * The values of PostgreSQL that Debezium leaves out, falsifies or fails on.
 *
 * <p>A list has the elements that Debezium's own has, those of all other types as the server prints them; a type that
 * Debezium does not know is the text that the server prints, and so is an array that {@code values.text} names, by
 * patterns that fit schema, table and column: neither the log nor the driver tells of an array's dimensions. A value that cannot be carried is the text of {@code
 * values.unfit} in the form of the column, so that no value ends the connector: docs/decisions/0018.
 */
public class PostgresValues implements CustomConverter<SchemaBuilder, RelationalColumn> {

    private static final int DATE = 1082;
    private static final int ZONED_TIME = 1266;
    private static final int VARBIT = 1562;

    /** Types of extensions that Debezium has a form for, arrays of them too; PostGIS separates elements by a colon. */
    private static final Set<String> EXTENSIONS = Set.of(
            "geometry", "geography", "hstore", "ltree", "citext", "vector", "halfvec", "sparsevec", "isbn",
            "_geometry", "_geography", "_hstore");

    /** Built-in types that JDBC calls OTHER, and that Debezium has a form for. */
    private static final Set<Integer> MAPPED = Set.of(
            114, 3802, 2950, 869, 650, 829, 774, 3904, 3906, 3926, 3908, 3910, 3912, 3614, // texts
            600, 601, 602, 603, 604, 628, 718, 1186, 790, 1560, 1700, 26, 142);

    private String unavailable;
    private String unfit;
    private Pattern text;

    @Override
    public void configure(Properties settings) {
        unavailable = settings.getProperty("unavailable");
        unfit = settings.getProperty("unfit");
        text = Pattern.compile(settings.getProperty("text", "").replace(',', '|')); // commas of names are escaped
    }

    @Override
    public void converterFor(RelationalColumn column, ConverterRegistration<SchemaBuilder> registration) {
        if (column.jdbcType() == Types.ARRAY && text.matcher(column.dataCollection() + "." + column.name()).matches()) {
            registration.register(SchemaBuilder.string().name("cdc.data.Array"), of(column, new Text()));
            return;
        }
        String type = column.typeName().replaceFirst("^.*\\.", "").replace("\"", ""); // "schema"."type" off the path
        if (EXTENSIONS.contains(type)) {
            return;
        }
        if (column.jdbcType() == Types.ARRAY) {
            PostgresElement element = PostgresElement.of(column.nativeType());
            registration.register(SchemaBuilder.array(element.schema()), of(column, new PostgresList(element, column.nativeType())));
        } else if (column.nativeType() == DATE) {
            registration.register(Date.builder(), of(column, new Day()));
        } else if (column.nativeType() == ZONED_TIME) {
            registration.register(ZonedTime.builder(), of(column, new Clock()));
        } else if (column.nativeType() == VARBIT || unknown(column)) {
            registration.register(SchemaBuilder.string(), of(column, new Text()));
        }
    }

    private static boolean unknown(RelationalColumn column) {
        boolean other = column.jdbcType() == Types.OTHER || column.jdbcType() == Types.STRUCT;
        return other && !MAPPED.contains(column.nativeType());
    }

    private Converter of(RelationalColumn column, Form form) {
        return value -> {
            if (value == null) { // an old row of which the log holds the key alone
                return column.isOptional() ? null : form.of(unfit);
            }
            if (UnchangedToastedReplicationMessageColumn.isUnchangedToastedValue(value)) {
                return form.of(unavailable);
            }
            try {
                return form.convert(value);
            } catch (RuntimeException e) {
                return form.of(unfit);
            }
        };
    }

    /** How the values of a column are made, and what stands for a text that is no value. */
    interface Form {

        /** Returns the value; throws for one that cannot be carried. */
        Object convert(Object value);

        /** Returns what stands for a marker in this form. */
        Object of(String marker);
    }

    private static class Text implements Form {

        @Override
        public Object convert(Object value) {
            return value instanceof PGobject ? ((PGobject) value).getValue() : value.toString();
        }

        @Override
        public Object of(String marker) {
            return marker;
        }
    }

    /** A time of day with its zone: Debezium does not read an offset with seconds. */
    private static final class Clock extends Text {

        @Override
        public Object convert(Object value) {
            return PostgresElement.zonedTime(value.toString());
        }
    }

    /** A date: the snapshot has its own two days for infinity, the log the ones that are kept. */
    private static final class Day implements Form {

        @Override
        public Object convert(Object value) {
            long at = value instanceof java.sql.Date ? ((java.sql.Date) value).getTime() : 0;
            if (at == PGStatement.DATE_POSITIVE_INFINITY) {
                return day(PostgresValueConverter.POSITIVE_INFINITY_LOCAL_DATE);
            }
            if (at == PGStatement.DATE_NEGATIVE_INFINITY) {
                return day(PostgresValueConverter.NEGATIVE_INFINITY_LOCAL_DATE);
            }
            return value instanceof java.sql.Date ? day(local((java.sql.Date) value)) : Date.toEpochDay(value, null);
        }

        /** The driver's date has the fields of the server's; its own conversion knows no years before Christ. */
        private static LocalDate local(java.sql.Date value) {
            Calendar fields = Calendar.getInstance();
            fields.setTime(value);
            int year = fields.get(Calendar.YEAR);
            int proleptic = fields.get(Calendar.ERA) == GregorianCalendar.BC ? 1 - year : year;
            return LocalDate.of(proleptic, fields.get(Calendar.MONTH) + 1, fields.get(Calendar.DAY_OF_MONTH));
        }

        @Override
        public Object of(String marker) {
            return 0; // of an old row alone: a date is never left out of a row, and fits always
        }

        private static int day(LocalDate date) {
            return (int) date.toEpochDay();
        }
    }
}
