package cdc.oracle;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.debezium.connector.oracle.Scn;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.sql.Timestamp;
import java.time.LocalDateTime;
import java.time.ZonedDateTime;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import oracle.sql.INTERVALDS;
import oracle.sql.INTERVALYM;
import oracle.sql.TIMESTAMP;
import oracle.sql.TIMESTAMPTZ;
import org.apache.kafka.connect.source.SourceRecord;

/**
 * A connector that a test talks to, a command and an answer a line, both in JSON.
 *
 * <ul>
 *   <li>{@code open}: its settings, and the folder of the converter's plugin
 *   <li>{@code learn}: a table as Oracle's JDBC driver describes it
 *   <li>{@code mine}: rows of LogMiner; answers with messages
 *   <li>{@code read}: rows of a snapshot, as the driver hands them out; answers with messages
 *   <li>{@code start}: begin anew from an SCN
 *   <li>{@code parse}: a script; answers with what Oracle's grammar has against it
 * </ul>
 */
final class Peer {

    private static final ObjectMapper JSON = new ObjectMapper();

    private Capture capture;
    private Wire wire;

    private Peer() {
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Peer peer = new Peer();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            answers.println(JSON.writeValueAsString(peer.answer(JSON.readTree(line))));
        }
    }

    private Map<String, Object> answer(JsonNode command) {
        try {
            return answered(command);
        } catch (Exception | LinkageError error) {
            List<String> told = new ArrayList<>();
            for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                told.add(cause.getClass().getName() + ": " + cause.getMessage());
            }
            error.printStackTrace();
            return Map.of("error", String.join("\n", told));
        }
    }

    private Map<String, Object> answered(JsonNode command) throws Exception {
        switch (command.get("do").textValue()) {
            case "open" -> {
                Map<String, String> settings = JSON.convertValue(command.get("settings"), Map.class);
                if (capture != null) {
                    capture.close();
                }
                capture = new Capture(settings, new Dictionary());
                wire = new Wire(settings, Path.of(command.get("plugin").textValue()));
                return Map.of();
            }
            case "learn" -> {
                List<String> key = JSON.convertValue(command.get("key"), List.class);
                capture.learn(text(command, "owner"), text(command, "table"), rows(command.get("columns")), key);
                return Map.of();
            }
            case "parse" -> {
                return Map.of("errors", Grammar.errors(text(command, "script")));
            }
            case "start" -> {
                capture.startFrom(Scn.valueOf(text(command, "scn")));
                return Map.of();
            }
            case "mine" -> {
                return messages(capture.mine(rows(command.get("rows"))));
            }
            case "read" -> {
                List<Object[]> rows = new ArrayList<>();
                command.get("rows").forEach(row -> rows.add(values(row)));
                Scn scn = Scn.valueOf(text(command, "scn"));
                return messages(capture.read(text(command, "owner"), text(command, "table"), scn, rows));
            }
            default -> throw new IllegalArgumentException(command.toString());
        }
    }

    private Map<String, Object> messages(List<SourceRecord> records) {
        List<Object> messages = new ArrayList<>();
        records.forEach(record -> messages.add(wire.message(record)));
        return Map.of("messages", messages, "position", capture.position());
    }

    private static String text(JsonNode command, String name) {
        return command.get(name).textValue();
    }

    /** Returns rows whose columns are numbered. */
    private static List<Map<Object, Object>> rows(JsonNode given) {
        List<Map<Object, Object>> rows = new ArrayList<>();
        for (JsonNode row : given) {
            Map<Object, Object> numbered = new HashMap<>();
            row.fields().forEachRemaining(one -> numbered.put(Integer.valueOf(one.getKey()),
                    one.getValue().isNull() ? null : one.getValue().asText()));
            rows.add(numbered);
        }
        return rows;
    }

    private static Object[] values(JsonNode row) {
        List<Object> values = new ArrayList<>();
        row.forEach(value -> values.add(value(value)));
        return values.toArray();
    }

    /** Returns a value of the class that Oracle's driver hands out; what it is told as is a pair of kind and text. */
    private static Object value(JsonNode told) {
        if (told.isNull()) {
            return null;
        }
        String text = told.get(1).textValue();
        return switch (told.get(0).textValue()) {
            case "number" -> new BigDecimal(text);
            case "text" -> text;
            case "raw" -> HexFormat.of().parseHex(text);
            case "float" -> Float.valueOf(text);
            case "double" -> Double.valueOf(text);
            case "date" -> Timestamp.valueOf(LocalDateTime.parse(text));
            case "timestamp" -> timestamp(text);
            case "zoned" -> zoned(text);
            case "months" -> new INTERVALYM(text);
            case "seconds" -> new INTERVALDS(text);
            default -> throw new IllegalArgumentException(told.toString());
        };
    }

    private static TIMESTAMP timestamp(String text) {
        try {
            return TIMESTAMP.of(LocalDateTime.parse(text));
        } catch (java.sql.SQLException error) {
            throw new IllegalArgumentException(error);
        }
    }

    private static TIMESTAMPTZ zoned(String text) {
        try {
            return TIMESTAMPTZ.of(ZonedDateTime.parse(text));
        } catch (java.sql.SQLException error) {
            throw new IllegalArgumentException(error);
        }
    }
}
