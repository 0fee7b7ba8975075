package cdc.connect;

import java.lang.management.ManagementFactory;
import java.util.Map;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.storage.Converter;

/**
 * Records a second of one core, key and value, of each converter by turns; arguments: the registry's
 * Confluent-compatible address, Apicurio's own, records of a repetition, repetitions. Each line of the output is a
 * converter and a figure.
 */
final class ConverterBench {

    private static final int DIFFERENT = 5_000;

    private final Envelopes envelopes = new Envelopes();
    private final Struct[] changes = new Struct[DIFFERENT];
    private final Struct[] keys = new Struct[DIFFERENT];

    private ConverterBench() {
        for (int number = 0; number < DIFFERENT; number++) {
            changes[number] = envelopes.change(number);
            keys[number] = envelopes.key(changes[number]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        int records = Integer.parseInt(arguments[2]);
        Map<String, String> own = Map.of("schema.registry.url", arguments[0]);
        Map<String, String> apicurio = Map.of(
                "apicurio.registry.url", arguments[1], "apicurio.registry.auto-register", "true",
                "apicurio.registry.as-confluent", "true", "apicurio.registry.use-id", "contentId",
                "apicurio.registry.headers.enabled", "false");
        ConverterBench bench = new ConverterBench();
        try (CompiledAvroConverter key = new CompiledAvroConverter();
                CompiledAvroConverter value = new CompiledAvroConverter();
                NullKeepingAvroConverter<?> oldKey = new NullKeepingAvroConverter<>();
                NullKeepingAvroConverter<?> oldValue = new NullKeepingAvroConverter<>()) {
            key.configure(own, true);
            value.configure(own, false);
            oldKey.configure(apicurio, true);
            oldValue.configure(apicurio, false);
            System.out.println("bytes " + bench.bytes(key, value) + " " + bench.bytes(oldKey, oldValue));
            bench.measure(oldKey, oldValue, records); // warms up
            bench.measure(key, value, records);
            for (int left = Integer.parseInt(arguments[3]); left > 0; left--) {
                System.out.println("apicurio " + bench.measure(oldKey, oldValue, records));
                System.out.println("compiled " + bench.measure(key, value, records));
            }
        }
    }

    private int bytes(Converter key, Converter value) {
        return key.fromConnectData(Envelopes.TOPIC, envelopes.key, keys[0]).length
                + value.fromConnectData(Envelopes.TOPIC, envelopes.value, changes[0]).length;
    }

    /** Returns records per second of processor time of this thread. */
    private long measure(Converter key, Converter value, int records) {
        long began = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
        long bytes = 0;
        for (int number = 0; number < records; number++) {
            int one = number % DIFFERENT;
            bytes += key.fromConnectData(Envelopes.TOPIC, envelopes.key, keys[one]).length;
            bytes += value.fromConnectData(Envelopes.TOPIC, envelopes.value, changes[one]).length;
        }
        long spent = ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() - began;
        return bytes == 0 ? 0 : Math.round(records * 1e9 / spent);
    }
}
