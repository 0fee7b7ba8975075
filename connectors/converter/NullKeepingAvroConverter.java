package cdc.connect;

import io.apicurio.registry.utils.converter.AvroConverter;
import io.apicurio.registry.utils.converter.avro.AvroData;
import java.lang.reflect.Field;
import java.util.Map;
import org.apache.kafka.connect.errors.ConnectException;

/**
 * Apicurio's Avro converter, with NULL left NULL.
 *
 * <p>As it comes, the converter writes the default of a column in place of a NULL, and knows no setting against it: its
 * {@code AvroData} has a field for that which nothing sets. So this class sets it, and refuses to start where it cannot.
 */
public class NullKeepingAvroConverter<T> extends AvroConverter<T> {

    @Override
    public void configure(Map<String, ?> configs, boolean isKey) {
        super.configure(configs, isKey);
        try {
            Object avroData = field(AvroConverter.class, "avroData").get(this);
            field(AvroData.class, "ignoreDefaultForNullables").setBoolean(avroData, true);
        } catch (ReflectiveOperationException e) {
            throw new ConnectException("this version of Apicurio's Avro converter cannot be told to keep NULL", e);
        }
    }

    private static Field field(Class<?> owner, String name) throws NoSuchFieldException {
        Field field = owner.getDeclaredField(name);
        field.setAccessible(true);
        return field;
    }
}
