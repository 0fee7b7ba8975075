package cdc.connect;

import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import org.apache.avro.io.BinaryData;

/** One message in the making, in a buffer that is used again. */
final class AvroOutput extends OutputStream {

    private static final int KEPT = 1 << 20;
    private static final int NUMBER = 10;
    private static final byte MAGIC = 0;

    private byte[] bytes = new byte[1 << 12];
    private int length;

    /** Begins a message of the schema with this id. */
    void begin(int id) {
        if (bytes.length > KEPT) {
            bytes = new byte[1 << 12];
        }
        bytes[0] = MAGIC;
        ByteBuffer.wrap(bytes).putInt(1, id);
        length = 1 + Integer.BYTES;
    }

    byte[] message() {
        return Arrays.copyOf(bytes, length);
    }

    void writeBoolean(boolean value) {
        write(value ? 1 : 0);
    }

    void writeInt(int value) {
        ensure(NUMBER);
        length += BinaryData.encodeInt(value, bytes, length);
    }

    void writeLong(long value) {
        ensure(NUMBER);
        length += BinaryData.encodeLong(value, bytes, length);
    }

    void writeFloat(float value) {
        ensure(NUMBER);
        length += BinaryData.encodeFloat(value, bytes, length);
    }

    void writeDouble(double value) {
        ensure(NUMBER);
        length += BinaryData.encodeDouble(value, bytes, length);
    }

    void writeString(String value) {
        byte[] encoded = value.getBytes(StandardCharsets.UTF_8);
        writeInt(encoded.length);
        write(encoded, 0, encoded.length);
    }

    /** Writes what is left of a buffer, and leaves it as it is. */
    void writeBytes(ByteBuffer value) {
        int size = value.remaining();
        writeInt(size);
        ensure(size);
        value.duplicate().get(bytes, length, size);
        length += size;
    }

    @Override
    public void write(int value) {
        ensure(1);
        bytes[length++] = (byte) value;
    }

    @Override
    public void write(byte[] source, int from, int size) {
        ensure(size);
        System.arraycopy(source, from, bytes, length, size);
        length += size;
    }

    private void ensure(int more) {
        if (bytes.length - length < more) {
            long doubled = Math.max(2L * bytes.length, (long) length + more);
            bytes = Arrays.copyOf(bytes, (int) Math.min(doubled, Integer.MAX_VALUE - 8));
        }
    }
}
