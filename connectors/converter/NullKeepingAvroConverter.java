package cdc.connect;

import io.apicurio.registry.utils.converter.AvroConverter;
import io.apicurio.registry.utils.converter.avro.AvroData;
import java.lang.reflect.Field;
import java.util.Map;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;

/**
 * Apicurio's Avro converter, with NULL left NULL, and with the topic named of a message that Kafka would refuse.
 *
 * <p>As it comes, the converter writes the default of a column in place of a NULL, and knows no setting against it: its
 * {@code AvroData} has a field for that which nothing sets. So this class sets it, and refuses to start where it cannot.
 *
 * <p>The producer's own error of a message that is too large does not tell whose it is. The setting {@code
 * max.message.bytes} is the limit for the value.
 */
public class NullKeepingAvroConverter<T> extends AvroConverter<T> {

    private static final String LIMIT = "max.message.bytes";

    private int limit = Integer.MAX_VALUE;

    @Override
    public void configure(Map<String, ?> configs, boolean isKey) {
        super.configure(configs, isKey);
        if (configs.get(LIMIT) != null) {
            limit = Integer.parseInt(configs.get(LIMIT).toString());
        }
        try {
            Object avroData = field(AvroConverter.class, "avroData").get(this);
            field(AvroData.class, "ignoreDefaultForNullables").setBoolean(avroData, true);
        } catch (ReflectiveOperationException e) {
            throw new ConnectException("this version of Apicurio's Avro converter cannot be told to keep NULL", e);
        }
    }

    @Override
    public byte[] fromConnectData(String topic, Schema schema, Object value) {
        return bounded(topic, super.fromConnectData(topic, schema, value));
    }

    @Override
    public byte[] fromConnectData(String topic, Headers headers, Schema schema, Object value) {
        return bounded(topic, super.fromConnectData(topic, headers, schema, value));
    }

    private byte[] bounded(String topic, byte[] message) {
        if (message != null && message.length > limit) {
            String size = message.length + " bytes, more than the " + limit + " that are allowed";
            throw new DataException("a message for topic " + topic + " is too large: it has " + size);
        }
        return message;
    }

    private static Field field(Class<?> owner, String name) throws NoSuchFieldException {
        Field field = owner.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }
}
