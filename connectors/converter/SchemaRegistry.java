package cdc.connect;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;

/** A schema registry by Confluent's API: Confluent's own, Karapace, Apicurio below {@code /apis/ccompat/v7}. */
final class SchemaRegistry {

    /** Hashes of schemas, not the schemas: some kilobytes each. */
    private static final int REMEMBERED = 10_000;
    private static final int LONGEST = 500;

    private final ObjectMapper json = new ObjectMapper();
    private final RegistryConnection connection;
    private final Map<String, Integer> ids = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Integer> eldest) {
            return size() > REMEMBERED;
        }
    };

    SchemaRegistry(ConverterSettings settings) {
        connection = new RegistryConnection(settings);
    }

    /** Returns the id of a schema, registered under the subject unless it is there already. */
    synchronized int id(String subject, String schema) {
        String known = subject + " " + hash(schema);
        Integer id = ids.get(known);
        if (id == null) {
            id = register(subject, schema);
            ids.put(known, id);
        }
        return id;
    }

    /** Returns the text of the schema with this id. */
    String schema(int id) {
        return wanted(answer(connection.get("/schemas/ids/" + id), "schema " + id), "schema").textValue();
    }

    void close() {
        connection.close();
    }

    private int register(String subject, String schema) {
        String request = json.createObjectNode().put("schema", schema).toString();
        RegistryConnection.Answer answer = connection.post("/subjects/" + subject + "/versions", request);
        return wanted(answer(answer, "subject " + subject), "id").intValue();
    }

    private JsonNode answer(RegistryConnection.Answer answer, String what) {
        JsonNode body = parsed(answer.body());
        String message = body.path("message").asText("");
        String why = message.substring(0, Math.min(message.length(), LONGEST));
        return switch (answer.status()) {
            case 200 -> body;
            // Of the subject alone; everything else would be the same for any subject, so it names none: a table that
            // is named is taken out of the connector.
            case 409, 422 ->
                    throw new DataException(connection + " refuses " + what + " (" + answer.status() + "): " + why);
            case 401, 403 -> throw new ConnectException(connection + ": access denied (" + answer.status()
                    + "); see registry.username and registry.password");
            default -> throw new ConnectException(connection + " answers with status " + answer.status()
                    + "; is it the base address of a Confluent-compatible API?");
        };
    }

    private JsonNode wanted(JsonNode body, String field) {
        if (!body.hasNonNull(field)) {
            throw new ConnectException(connection + " answers without " + field
                    + "; is it the base address of a Confluent-compatible API?");
        }
        return body.get(field);
    }

    private JsonNode parsed(String body) {
        try {
            JsonNode node = json.readTree(body);
            return node == null ? json.createObjectNode() : node;
        } catch (JsonProcessingException e) {
            return json.createObjectNode();
        }
    }

    private static String hash(String text) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            return HexFormat.of().formatHex(digest.digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
