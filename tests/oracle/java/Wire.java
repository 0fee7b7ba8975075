package cdc.oracle;

import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.runtime.isolation.PluginClassLoader;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.transforms.Transformation;

/** What a Connect worker does to records: the connector's transforms, then its converters, whose plugin has a loader of its own. */
final class Wire {

    private final Converter key;
    private final Converter value;
    private final JsonConverter header = new JsonConverter();
    private final List<Transformation<SourceRecord>> transforms = new ArrayList<>();

    Wire(Map<String, String> settings, Path plugin) throws Exception {
        key = converter("key.converter", settings, plugin);
        value = converter("value.converter", settings, plugin);
        Map<String, String> ofHeader = new HashMap<>(of("header.converter.", settings));
        ofHeader.put("converter.type", "header");
        header.configure(ofHeader);
        for (String name : settings.getOrDefault("transforms", "").split(",")) {
            if (!name.isBlank()) {
                transforms.add(transform("transforms." + name.strip(), settings));
            }
        }
    }

    private static Converter converter(String name, Map<String, String> settings, Path plugin) throws Exception {
        URL[] jars;
        try (Stream<Path> files = Files.list(plugin)) {
            jars = files.filter(file -> file.toString().endsWith(".jar")).map(Wire::url).toArray(URL[]::new);
        }
        ClassLoader loader = new PluginClassLoader(url(plugin), jars, Wire.class.getClassLoader());
        ClassLoader before = Thread.currentThread().getContextClassLoader();
        Thread.currentThread().setContextClassLoader(loader);
        try {
            Object made = loader.loadClass(settings.get(name)).getConstructor().newInstance();
            Converter converter = (Converter) made;
            converter.configure(of(name + ".", settings), name.startsWith("key"));
            return converter;
        } finally {
            Thread.currentThread().setContextClassLoader(before);
        }
    }

    @SuppressWarnings("unchecked")
    private static Transformation<SourceRecord> transform(String name, Map<String, String> settings) throws Exception {
        Object made = Class.forName(settings.get(name + ".type")).getConstructor().newInstance();
        Transformation<SourceRecord> transform = (Transformation<SourceRecord>) made;
        transform.configure(of(name + ".", settings));
        return transform;
    }

    private static URL url(Path file) {
        try {
            return file.toUri().toURL();
        } catch (java.net.MalformedURLException error) {
            throw new IllegalArgumentException(error);
        }
    }

    private static Map<String, String> of(String prefix, Map<String, String> settings) {
        Map<String, String> found = new HashMap<>();
        settings.forEach((name, setting) -> {
            if (name.startsWith(prefix)) {
                found.put(name.substring(prefix.length()), setting);
            }
        });
        return found;
    }

    /** Returns the message of a record; null if a transform has dropped it. */
    Map<String, Object> message(SourceRecord read) {
        SourceRecord record = read;
        for (Transformation<SourceRecord> transform : transforms) {
            record = transform.apply(record);
            if (record == null) {
                return null;
            }
        }
        Map<String, Object> message = new LinkedHashMap<>();
        String topic = record.topic();
        message.put("topic", topic);
        message.put("key", text(key.fromConnectData(topic, record.keySchema(), record.key())));
        message.put("value", text(value.fromConnectData(topic, record.valueSchema(), record.value())));
        List<Object> headers = new ArrayList<>();
        for (Header one : record.headers()) {
            headers.add(List.of(one.key(), text(header.fromConnectHeader(topic, one.key(), one.schema(), one.value()))));
        }
        message.put("headers", headers);
        return message;
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }
}
