package cdc.connect;

import io.apicurio.registry.serde.avro.NonRecordContainer;
import io.apicurio.registry.utils.converter.avro.AvroData;
import io.apicurio.registry.utils.converter.avro.AvroDataConfig;
import java.lang.reflect.Field;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.errors.ConnectException;

/**
 * Apicurio's rules of what a Connect schema is in Avro, with NULL left NULL.
 *
 * <p>As it comes, it puts the default of a column in place of a NULL: it has a field against that which nothing sets.
 * So this class sets it, and refuses to start where it cannot.
 */
final class NullKeepingAvroData extends AvroData {

    NullKeepingAvroData() {
        super(new AvroDataConfig(Map.of()));
        try {
            Field field = AvroData.class.getDeclaredField("ignoreDefaultForNullables");
            field.setAccessible(true);
            field.setBoolean(this, true);
        } catch (ReflectiveOperationException e) {
            throw new ConnectException("this version of Apicurio's AvroData cannot be told to keep NULL", e);
        }
    }

    /** Returns a value in Avro's generic form, for a part of a schema. */
    Object generic(Schema schema, org.apache.avro.Schema avro, Object value) {
        Object converted = fromConnectData(schema, avro, value);
        return converted instanceof NonRecordContainer<?> container ? container.getValue() : converted;
    }
}
