package cdc.connect;

import com.github.shyiko.mysql.binlog.event.deserialization.ColumnType;
import com.github.shyiko.mysql.binlog.event.deserialization.json.JsonBinary;
import com.github.shyiko.mysql.binlog.event.deserialization.json.JsonFormatter;
import com.github.shyiko.mysql.binlog.event.deserialization.json.JsonStringFormatter;
import java.io.IOException;
import java.util.Base64;

/**
 * A document as MySQL prints it, out of its binary form in the log.
 *
 * <p>The reader that Debezium has prints neither negative times, nor fractions, nor binary values as MySQL does. How
 * dates and times are packed: mysql-server, sql-common/my_time.cc, TIME_to_longlong_packed.
 */
final class MySqlJson extends JsonBinary {

    private static final int FRACTION_BITS = 24;

    private MySqlJson(byte[] document) {
        super(document);
    }

    /** Returns the text of a document; raises IOException if it is none. */
    static String text(byte[] document) throws IOException {
        JsonStringFormatter formatter = new Printer();
        new MySqlJson(document).parse(formatter);
        return formatter.getString();
    }

    @Override
    protected void parseTime(JsonFormatter formatter) throws IOException {
        long packed = readInt64();
        formatter.value((packed < 0 ? "-" : "") + time(Math.abs(packed)));
    }

    @Override
    protected void parseDate(JsonFormatter formatter) throws IOException {
        formatter.value(date(readInt64()));
    }

    @Override
    protected void parseDatetime(JsonFormatter formatter) throws IOException {
        long packed = readInt64();
        formatter.value(date(packed) + " " + time(packed & (1L << 17 + FRACTION_BITS) - 1));
    }

    private static String date(long packed) {
        long days = packed >> 17 + FRACTION_BITS;
        long months = days >> 5;
        return String.format("%04d-%02d-%02d", months / 13, months % 13, days & 31);
    }

    private static String time(long packed) {
        long seconds = packed >> FRACTION_BITS;
        long micros = packed & (1L << FRACTION_BITS) - 1;
        return String.format("%02d:%02d:%02d.%06d", seconds >> 12, seconds >> 6 & 63, seconds & 63, micros);
    }

    private static final class Printer extends JsonStringFormatter {

        @Override
        public void valueOpaque(ColumnType type, byte[] value) {
            value("base64:type" + type.getCode() + ":" + Base64.getEncoder().encodeToString(value));
        }
    }
}
