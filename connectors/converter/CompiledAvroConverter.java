package cdc.connect;

import java.util.Map;
import org.apache.avro.AvroRuntimeException;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.storage.Converter;

/**
 * Avro in Confluent's wire format (a zero byte, the schema's id in four bytes, Avro's binary form), schemas in a
 * registry that speaks Confluent's API. NULL stays NULL, also where a column has a default.
 *
 * <p>The schemas are those of Apicurio's {@code AvroData}, made once for each instance of a Connect schema; values are
 * written straight from Connect's form by what was compiled for that schema. Only a new schema asks the registry.
 */
public class CompiledAvroConverter implements Converter {

    private final AvroOutput output = new AvroOutput();
    private SchemaRegistry registry;
    private Encodings encodings;
    private Decoder decoder;
    private int limit;

    @Override
    public ConfigDef config() {
        return ConverterSettings.DEFINITION;
    }

    @Override
    public void configure(Map<String, ?> configs, boolean isKey) {
        ConverterSettings settings = new ConverterSettings(configs);
        NullKeepingAvroData data = new NullKeepingAvroData();
        limit = settings.limit();
        registry = new SchemaRegistry(settings);
        encodings = new Encodings(data, registry, isKey ? "-key" : "-value");
        decoder = new Decoder(data, registry);
    }

    @Override
    public synchronized byte[] fromConnectData(String topic, Schema schema, Object value) {
        if (value == null && (schema == null || schema.isOptional())) {
            return null;
        }
        byte[] message = encoded(topic, schema, value);
        if (message.length > limit) {
            String size = message.length + " bytes, more than the " + limit + " that are allowed";
            throw new DataException("a message for topic " + topic + " is too large: it has " + size);
        }
        return message;
    }

    @Override
    public SchemaAndValue toConnectData(String topic, byte[] message) {
        return message == null ? SchemaAndValue.NULL : decoder.decode(topic, message);
    }

    @Override
    public void close() {
        if (registry != null) {
            registry.close();
        }
    }

    private byte[] encoded(String topic, Schema schema, Object value) {
        try {
            return encodings.of(topic, schema).encode(value, output);
        } catch (AvroRuntimeException | ClassCastException | DataException e) {
            // The topic tells whose it is. Only Connect's messages are free of values, so nothing else is handed on.
            String why = e instanceof DataException ? e.getMessage() : e.getClass().getSimpleName();
            throw new DataException("a message for topic " + topic + " cannot be written as Avro: " + why);
        }
    }
}
