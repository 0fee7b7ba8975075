package cdc.connect;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.storage.Converter;

/**
 * A converter that a test talks to: a command a line, an answer a line; {@code error TEXT} where it throws.
 *
 * <ul>
 *   <li>{@code open NAME CLASS key|value SETTING=VALUE ..}: a converter
 *   <li>{@code write NAME TOPIC SAMPLE}: the message in base 64, or {@code null}
 *   <li>{@code read NAME TOPIC MESSAGE}: the value, its fields by name
 * </ul>
 */
final class ConverterPeer {

    private final Map<String, Converter> converters = new HashMap<>();
    private final Map<String, SchemaAndValue> samples = new HashMap<>();

    private ConverterPeer() {
        Schema first = row().build();
        Schema second = row().field("phone", Schema.OPTIONAL_STRING_SCHEMA).build();
        samples.put("row", sample(first, 7L, "\u00c5se"));
        samples.put("row_again", sample(first, 8L, null));
        samples.put("row_equal", sample(row().build(), 9L, "a"));
        samples.put("row_wider", new SchemaAndValue(second, struct(second, 10L, "b").put("phone", "1")));
        samples.put("row_broken", sample(SchemaBuilder.struct().name("shop.Row")
                .field("id", Schema.BOOLEAN_SCHEMA).field("name", Schema.STRING_SCHEMA).build(), true, "c"));
        samples.put("row_lacking", new SchemaAndValue(first, new Struct(first).put("name", "canary")));
        Schema nulls = SchemaBuilder.struct().name("shop.Nulls")
                .field("number", SchemaBuilder.int32().optional().defaultValue(5).build())
                .field("text", SchemaBuilder.string().optional().defaultValue("x").build()).build();
        samples.put("nulls", new SchemaAndValue(nulls, new Struct(nulls).put("number", null).put("text", null)));
        samples.put("tombstone", SchemaAndValue.NULL);
        Envelopes envelopes = new Envelopes();
        Struct change = envelopes.change(1);
        samples.put("envelope", new SchemaAndValue(envelopes.value, change));
        samples.put("envelope_key", new SchemaAndValue(envelopes.key, envelopes.key(change)));
    }

    public static void main(String[] arguments) throws IOException {
        ConverterPeer peer = new ConverterPeer();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            System.out.println(peer.answer(line.split(" ")).replace("\n", " "));
        }
    }

    private String answer(String[] words) {
        try {
            return switch (words[0]) {
                case "open" -> open(words);
                case "write" -> write(converters.get(words[1]), words[2], samples.get(words[3]));
                case "read" -> {
                    byte[] message = Base64.getDecoder().decode(words[3]);
                    yield shown(converters.get(words[1]).toConnectData(words[2], message));
                }
                default -> throw new IllegalArgumentException(words[0]);
            };
        } catch (KafkaException e) {
            return "error " + e.getClass().getSimpleName() + " " + e.getMessage();
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private String open(String[] words) throws ReflectiveOperationException {
        Map<String, String> settings = new HashMap<>();
        for (int index = 4; index < words.length; index++) {
            String[] setting = words[index].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        Converter converter = (Converter) Class.forName(words[2]).getConstructor().newInstance();
        converter.configure(settings, words[3].equals("key"));
        converters.put(words[1], converter);
        return "open";
    }

    private static String write(Converter converter, String topic, SchemaAndValue sample) {
        byte[] message = converter.fromConnectData(topic, sample.schema(), sample.value());
        return message == null ? "null" : Base64.getEncoder().encodeToString(message);
    }

    private static String shown(SchemaAndValue read) {
        return String.valueOf(plain(read.value()));
    }

    private static Object plain(Object value) {
        if (!(value instanceof Struct struct)) {
            return value;
        }
        Map<String, Object> fields = new TreeMap<>();
        for (Field field : struct.schema().fields()) {
            fields.put(field.name(), plain(struct.getWithoutDefault(field.name())));
        }
        return fields;
    }

    private static SchemaBuilder row() {
        return SchemaBuilder.struct().name("shop.Row")
                .field("id", Schema.INT64_SCHEMA).field("name", Schema.OPTIONAL_STRING_SCHEMA);
    }

    private static SchemaAndValue sample(Schema schema, Object id, String name) {
        return new SchemaAndValue(schema, struct(schema, id, name));
    }

    private static Struct struct(Schema schema, Object id, String name) {
        return new Struct(schema).put("id", id).put("name", name);
    }
}
