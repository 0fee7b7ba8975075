package cdc.connect;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Importance;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigException;

/** The settings of the converter, as they stand behind {@code key.converter.} and {@code value.converter.}. */
final class ConverterSettings extends AbstractConfig {

    static final String ADDRESS = "schema.registry.url";
    private static final String USER = "schema.registry.username";
    private static final String PASSWORD = "schema.registry.password";
    private static final String PATIENCE = "schema.registry.retry.ms";
    private static final String LIMIT = "max.message.bytes";

    static final ConfigDef DEFINITION = new ConfigDef()
            .define(ADDRESS, Type.STRING, ConfigDef.NO_DEFAULT_VALUE, ConverterSettings::checkAddress, Importance.HIGH,
                    "Base address of the registry's Confluent-compatible API.")
            .define(USER, Type.STRING, null, Importance.MEDIUM, "User for basic authentication.")
            .define(PASSWORD, Type.PASSWORD, null, Importance.MEDIUM, "Password for basic authentication.")
            .define(PATIENCE, Type.LONG, 60_000L, ConfigDef.Range.atLeast(0), Importance.LOW,
                    "How long a registry that does not answer is tried again, in milliseconds.")
            .define(LIMIT, Type.INT, Integer.MAX_VALUE, ConfigDef.Range.atLeast(1), Importance.LOW,
                    "Bytes of the largest message: a larger one is refused with the name of its topic.");

    ConverterSettings(Map<String, ?> configs) {
        super(DEFINITION, configs, false);
    }

    /** Returns the address without a slash at its end. */
    String address() {
        return getString(ADDRESS).trim().replaceAll("/+$", "");
    }

    /** Returns the header that authenticates, or null. */
    String authorization() {
        if (getString(USER) == null) {
            return null;
        }
        String password = getPassword(PASSWORD) == null ? "" : getPassword(PASSWORD).value();
        byte[] login = (getString(USER) + ":" + password).getBytes(StandardCharsets.UTF_8);
        return "Basic " + Base64.getEncoder().encodeToString(login);
    }

    Duration patience() {
        return Duration.ofMillis(getLong(PATIENCE));
    }

    int limit() {
        return getInt(LIMIT);
    }

    private static void checkAddress(String name, Object value) {
        String address = value == null ? "" : value.toString().trim();
        if (!address.matches("https?://[^/?#@]+(/[^?#@]*)?") || !parses(address)) {
            // The value is not shown: a password may stand in it.
            throw new ConfigException(name + " is no address such as http://registry:8081, with a host name without _; "
                    + "a login is no part of it, it belongs into " + USER + " and " + PASSWORD);
        }
        if (address.contains("/apis/registry/")) {
            String compatible = address.replaceFirst("/apis/registry/.*", "/apis/ccompat/v7");
            throw new ConfigException(name + " is Apicurio's own API; the converter needs the Confluent-compatible "
                    + "one, " + compatible);
        }
    }

    private static boolean parses(String address) {
        try {
            return URI.create(address).getHost() != null;
        } catch (IllegalArgumentException e) {
            return false;
        }
    }
}
