package cdc.connect;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.DataException;

/** Reads what the converter has written; Connect wants both ways, Debezium needs one. */
final class Decoder {

    private static final int HEADER = 1 + Integer.BYTES;

    private final NullKeepingAvroData data;
    private final SchemaRegistry registry;
    private final Map<Integer, Schema> schemas = new HashMap<>();

    Decoder(NullKeepingAvroData data, SchemaRegistry registry) {
        this.data = data;
        this.registry = registry;
    }

    synchronized SchemaAndValue decode(String topic, byte[] message) {
        if (message.length < HEADER || message[0] != 0) {
            throw new DataException("a message of topic " + topic
                    + " does not begin with a zero byte and a schema's id");
        }
        Schema schema = schemas.computeIfAbsent(ByteBuffer.wrap(message).getInt(1), this::parsed);
        BinaryDecoder decoder = DecoderFactory.get().binaryDecoder(message, HEADER, message.length - HEADER, null);
        try {
            Object value = new GenericDatumReader<>(schema).read(null, decoder);
            SchemaAndValue result = data.toConnectData(schema, value);
            return result == null ? SchemaAndValue.NULL : result;
        } catch (IOException | AvroRuntimeException e) {
            throw new DataException("a message of topic " + topic + " does not fit its schema: "
                    + e.getClass().getSimpleName());
        }
    }

    private Schema parsed(int id) {
        return new Schema.Parser().parse(registry.schema(id));
    }
}
