package cdc.connect;

import io.apicurio.registry.serde.avro.NonRecordContainer;
import io.apicurio.registry.utils.converter.avro.AvroData;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Map;
import org.apache.avro.generic.GenericContainer;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;

/**
 * Writes random values of random schemas with the converter and with Apicurio's {@code AvroData} and Avro's generic
 * writer, and compares schemas, bytes and what is read back; arguments: the seed and how many schemas.
 */
final class EqualToApicurio {

    private static final int HEADER = 5;
    private static final int VALUES = 5;

    private final StubRegistry registry;
    private final CompiledAvroConverter converter = new CompiledAvroConverter();
    private final NullKeepingAvroData data = new NullKeepingAvroData();
    private int written;
    private int byDecoding;

    private EqualToApicurio(StubRegistry registry) {
        this.registry = registry;
        converter.configure(Map.of(ConverterSettings.ADDRESS, registry.address()), false);
    }

    public static void main(String[] arguments) throws IOException {
        long seed = Long.parseLong(arguments[0]);
        try (StubRegistry registry = new StubRegistry()) {
            EqualToApicurio check = new EqualToApicurio(registry);
            for (int number = 0; number < Integer.parseInt(arguments[1]); number++) {
                RandomSchemas schemas = new RandomSchemas(seed + number);
                Schema schema = schemas.message();
                for (int left = VALUES; left > 0; left--) {
                    check.compare(seed + number, schema, schemas.value(schema));
                }
            }
            System.out.println("equal " + check.written + " " + check.byDecoding);
        }
    }

    private void compare(long seed, Schema schema, Object value) throws IOException {
        byte[] message = converter.fromConnectData("topic", schema, value);
        if (value == null) {
            insist(message == null, seed, "NULL is a message");
            return;
        }
        Object datum = data.fromConnectData(schema, value);
        org.apache.avro.Schema avro = ((GenericContainer) datum).getSchema();
        insist(avro.toString().equals(registry.schema(ByteBuffer.wrap(message).getInt(1))), seed, "schemas differ");
        byte[] ours = Arrays.copyOfRange(message, HEADER, message.length);
        byte[] theirs = generic(avro, datum instanceof NonRecordContainer<?> one ? one.getValue() : datum);
        if (!Arrays.equals(ours, theirs)) { // a map has no order; what is read back is compared below
            byDecoding++;
            insist(avro.toString().contains("\"map\""), seed, "bytes differ, of " + avro);
        }
        org.apache.avro.Schema parsed = new org.apache.avro.Schema.Parser().parse(avro.toString());
        SchemaAndValue back = new AvroData(10).toConnectData(parsed, read(parsed, theirs));
        insist(back.equals(converter.toConnectData("topic", message)), seed, "read back it differs, " + avro);
        written++;
    }

    private static byte[] generic(org.apache.avro.Schema avro, Object value) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(bytes, null);
        new GenericDatumWriter<>(avro).write(value, encoder);
        return bytes.toByteArray();
    }

    private static Object read(org.apache.avro.Schema avro, byte[] bytes) throws IOException {
        return new GenericDatumReader<>(avro).read(null, DecoderFactory.get().binaryDecoder(bytes, null));
    }

    private static void insist(boolean holds, long seed, String otherwise) {
        if (!holds) {
            throw new AssertionError("seed " + seed + ": " + otherwise);
        }
    }
}
