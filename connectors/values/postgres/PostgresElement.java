package cdc.connect;

import io.debezium.connector.postgresql.connection.DateTimeFormat;
import io.debezium.connector.postgresql.PostgresValueConverter;
import io.debezium.data.Json;
import io.debezium.data.Uuid;
import io.debezium.time.Conversions;
import io.debezium.time.Date;
import io.debezium.time.Interval;
import io.debezium.time.MicroTime;
import io.debezium.time.MicroTimestamp;
import io.debezium.time.ZonedTime;
import io.debezium.time.ZonedTimestamp;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.sql.SQLException;
import java.time.Instant;
import java.time.LocalTime;
import java.time.OffsetDateTime;
import java.time.OffsetTime;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.function.Function;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.postgresql.util.PGInterval;

/** The elements of an array: their schema, how they are made of the server's text, and of the bytes of a marker. */
final class PostgresElement {

    private static final long MICROS_OF_DAY = 86_400_000_000L;
    private static final DateTimeFormatter ZONED = new DateTimeFormatterBuilder()
            .append(DateTimeFormatter.ISO_LOCAL_TIME).appendOffset("+HH:mm:ss", "").toFormatter();

    private final SchemaBuilder schema;
    private final Function<String, Object> parse;
    private final Function<String, List<Object>> marker;

    private PostgresElement(
            SchemaBuilder schema, Function<String, Object> parse, Function<String, List<Object>> marker) {
        this.schema = schema.optional();
        this.parse = parse;
        this.marker = marker;
    }

    /** Returns the form of the elements of an array type; of those that Debezium does not know, their text. */
    static PostgresElement of(int arrayType) {
        switch (arrayType) {
            case 1000:
                return new PostgresElement(SchemaBuilder.bool(), "t"::equals, PostgresElement::bits);
            case 1005:
                return new PostgresElement(SchemaBuilder.int16(), Short::valueOf, bytes(b -> (short) b));
            case 1007:
                return new PostgresElement(SchemaBuilder.int32(), Integer::valueOf, bytes(b -> (int) b));
            case 1016:
            case 1028:
                return new PostgresElement(SchemaBuilder.int64(), Long::valueOf, bytes(b -> (long) b));
            case 1021:
                return new PostgresElement(SchemaBuilder.float32(), Float::valueOf, bytes(b -> (float) b));
            case 1022:
                return new PostgresElement(SchemaBuilder.float64(), Double::valueOf, bytes(b -> (double) b));
            case 1001:
                return new PostgresElement(SchemaBuilder.bytes(), PostgresElement::binary, PostgresElement::raw);
            case 1182:
                return new PostgresElement(Date.builder(), PostgresElement::day, bytes(b -> (int) b));
            case 1183:
                return new PostgresElement(MicroTime.builder(), PostgresElement::time, bytes(b -> (long) b));
            case 1115:
                return new PostgresElement(MicroTimestamp.builder(), PostgresElement::timestamp, bytes(b -> (long) b));
            case 1185:
                return new PostgresElement(ZonedTimestamp.builder(), PostgresElement::instant, List::of);
            case 1270:
                return new PostgresElement(ZonedTime.builder(), PostgresElement::zonedTime, List::of);
            case 1187:
                return new PostgresElement(SchemaBuilder.string(), PostgresElement::interval, List::of);
            case 2951:
                return new PostgresElement(Uuid.builder(), text -> text, PostgresElement::uuid);
            case 199:
            case 3807:
                return new PostgresElement(Json.builder(), text -> text, List::of);
            default:
                return new PostgresElement(SchemaBuilder.string(), text -> text, List::of);
        }
    }

    Schema schema() {
        return schema.build();
    }

    Object parse(String text) {
        return parse.apply(text);
    }

    List<Object> of(String markerText) {
        return marker.apply(markerText);
    }

    private static Object binary(String text) {
        byte[] bytes = new byte[text.length() / 2 - 1]; // after \x
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(text.substring(2 * i + 2, 2 * i + 4), 16);
        }
        return ByteBuffer.wrap(bytes);
    }

    private static Object day(String text) {
        return (int) DateTimeFormat.get().date(text).toEpochDay();
    }

    private static Object time(String text) {
        return text.equals("24:00:00") ? MICROS_OF_DAY : LocalTime.parse(text).toNanoOfDay() / 1000;
    }

    private static Object timestamp(String text) {
        if (text.endsWith("infinity")) {
            return text.startsWith("-") ? Long.MIN_VALUE : Long.MAX_VALUE;
        }
        Instant at = DateTimeFormat.get().timestampToInstant(text);
        return Math.addExact(Math.multiplyExact(at.getEpochSecond(), 1_000_000L), at.getNano() / 1000);
    }

    private static Object instant(String text) {
        if (text.endsWith(PostgresValueConverter.POSITIVE_INFINITY_TIMESTAMP_PG_STRING)) {
            return text;
        }
        OffsetDateTime at = DateTimeFormat.get().timestampWithTimeZoneToOffsetDateTime(text);
        return ZonedTimestamp.toIsoString(at.withOffsetSameInstant(ZoneOffset.UTC), null);
    }

    /** Returns the time at UTC: the end of UTC's own day stays one, as in Debezium's snapshot; what is beyond wraps. */
    static String zonedTime(String text) {
        if (text.equals("24:00:00+00")) {
            return "24:00:00Z";
        }
        return ZonedTime.toIsoString(OffsetTime.parse(text, ZONED).withOffsetSameInstant(ZoneOffset.UTC), null);
    }

    private static Object interval(String text) {
        try {
            PGInterval parts = new PGInterval(text);
            BigDecimal seconds = BigDecimal.valueOf(parts.getSeconds());
            return Interval.toIsoString(
                    parts.getYears(), parts.getMonths(), parts.getDays(), parts.getHours(), parts.getMinutes(), seconds);
        } catch (SQLException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private static Function<String, List<Object>> bytes(Function<Byte, Object> element) {
        return text -> {
            List<Object> list = new ArrayList<>();
            for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
                list.add(element.apply(b));
            }
            return list;
        };
    }

    private static List<Object> bits(String text) {
        List<Object> list = new ArrayList<>();
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            for (int bit = 7; bit >= 0; bit--) {
                list.add((b >> bit & 1) == 1);
            }
        }
        return list;
    }

    private static List<Object> raw(String text) {
        return List.of(ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8)));
    }

    private static List<Object> uuid(String text) {
        return List.of(UUID.nameUUIDFromBytes(text.getBytes(StandardCharsets.UTF_8)).toString());
    }
}
