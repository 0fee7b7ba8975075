import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.util.HashMap;
import java.util.Map;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Catalog;
import org.apache.iceberg.catalog.TableIdentifier;

/**
 * A job of Flink SQL that writes what is in a replication slot into a table of Iceberg, until the slot is confirmed
 * up to a place in the log.
 *
 * Arguments: a file of statements divided by lines with a semicolon, and a file of NAME=VALUE lines. Each snapshot of
 * the table, and the end, are a line of JSON on standard output; then it waits to be ended.
 */
class FlinkDrain {
    private static final long QUIET_MILLIS = 15_000; // a commit may come later than its checkpoint is confirmed

    public static void main(String[] arguments) throws Exception {
        Map<String, String> given = new HashMap<>();
        for (String line : Files.readAllLines(Path.of(arguments[1]))) {
            int at = line.indexOf('=');
            given.put(line.substring(0, at), line.substring(at + 1));
        }
        Table table = table(given);
        Configuration settings = new Configuration();
        given.forEach((name, value) -> {
            if (name.startsWith("flink.")) settings.setString(name.substring("flink.".length()), value);
        });
        TableEnvironment flink = TableEnvironment.create(
            EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(settings).build());
        for (String statement : Files.readString(Path.of(arguments[0])).split(";\n")) {
            flink.executeSql(statement);
        }
        tell("query started");
        follow(table, given);
        tell("drained");
        Thread.sleep(Long.MAX_VALUE);
    }

    private static Table table(Map<String, String> given) {
        Map<String, String> properties = new HashMap<>();
        given.forEach((name, value) -> {
            if (name.startsWith("catalog.")) properties.put(name.substring("catalog.".length()), value);
        });
        Catalog catalog = CatalogUtil.buildIcebergCatalog(
            given.get("name"), properties, new org.apache.hadoop.conf.Configuration());
        return catalog.loadTable(TableIdentifier.parse(given.get("table")));
    }

    private static void follow(Table table, Map<String, String> given) throws Exception {
        try (Connection source = DriverManager.getConnection(given.get("url"), given.get("user"), given.get("password"));
             PreparedStatement confirmed = source.prepareStatement(
                 "SELECT confirmed_flush_lsn >= ?::pg_lsn FROM pg_replication_slots WHERE slot_name = ?")) {
            confirmed.setString(1, given.get("until"));
            confirmed.setString(2, given.get("slot"));
            Snapshot last = table.currentSnapshot();
            long quietSince = Long.MAX_VALUE;
            while (System.currentTimeMillis() - quietSince < QUIET_MILLIS) {
                table.refresh();
                Snapshot now = table.currentSnapshot();
                boolean through = isTrue(confirmed);
                if (now.snapshotId() != last.snapshotId()) {
                    tell("batch applied");
                    quietSince = Long.MAX_VALUE;
                }
                if (through) quietSince = Math.min(quietSince, System.currentTimeMillis());
                last = now;
                Thread.sleep(200);
            }
        }
    }

    private static boolean isTrue(PreparedStatement question) throws Exception {
        try (ResultSet answer = question.executeQuery()) {
            return answer.next() && answer.getBoolean(1);
        }
    }

    private static void tell(String event) {
        System.out.println("{\"event\": \"" + event + "\"}");
    }
}
