package cdc.oracle;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.PreparedStatement;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** What the connector asks an Oracle database beside its log: its version, character sets, tables and columns. */
final class Dictionary {

    /** NLS_CHARSET_ID of AL32UTF8. */
    private static final String DATABASE_CHARACTERS = "873";

    private final List<Map<Object, Object>> tables = new ArrayList<>();
    private final List<Map<Object, Object>> columns = new ArrayList<>();
    private final List<Map<Object, Object>> keys = new ArrayList<>();
    private final DatabaseMetaData metadata = proxy(DatabaseMetaData.class, this::metadata);
    private final Connection connection = proxy(Connection.class, this::connection);

    Connection connection() {
        return connection;
    }

    /** Declares a table as {@code DatabaseMetaData} of Oracle's driver describes it, columns by their numbers there. */
    void declare(String owner, String table, List<Map<Object, Object>> described, List<String> key) {
        tables.add(row(null, owner, table, "TABLE"));
        for (Map<Object, Object> column : described) {
            column.put(2, owner);
            column.put(3, table);
            columns.add(column);
        }
        for (int part = 0; part < key.size(); part++) {
            keys.add(row(null, owner, table, key.get(part), part + 1));
        }
    }

    private Object metadata(Object self, java.lang.reflect.Method method, Object[] arguments) {
        return switch (method.getName()) {
            case "getDatabaseMajorVersion" -> 19;
            case "getDatabaseMinorVersion" -> 0;
            case "getDatabaseProductVersion" -> "Oracle Database 19c Enterprise Edition Release 19.0.0.0.0";
            case "getSearchStringEscape" -> "/";
            case "getTables" -> Rows.of(tables);
            case "getColumns" -> Rows.of(named(columns, arguments[2]));
            case "getPrimaryKeys" -> Rows.of(named(keys, arguments[2]));
            default -> throw new UnsupportedOperationException("DatabaseMetaData." + method.getName());
        };
    }

    private static List<Map<Object, Object>> named(List<Map<Object, Object>> rows, Object table) {
        return rows.stream().filter(row -> table == null || row.get(3).equals(table)).toList();
    }

    private Object connection(Object self, java.lang.reflect.Method method, Object[] arguments) {
        return switch (method.getName()) {
            case "getMetaData" -> metadata;
            case "createStatement" -> proxy(Statement.class, (s, called, with) -> statement(called.getName(), with));
            case "prepareStatement" -> proxy(PreparedStatement.class,
                    (s, called, with) -> statement(called.getName(), with == null ? arguments : with));
            case "isClosed" -> false;
            case "isValid", "getAutoCommit" -> true;
            case "setAutoCommit", "close", "commit" -> null;
            default -> throw new UnsupportedOperationException("Connection." + method.getName());
        };
    }

    private Object statement(String method, Object[] arguments) {
        return switch (method) {
            case "executeQuery" -> Rows.of(found((String) arguments[0]));
            case "isClosed" -> false;
            case "close", "setFetchSize", "setString", "setObject", "setQueryTimeout" -> null;
            case "getConnection" -> connection;
            default -> throw new UnsupportedOperationException("Statement." + method);
        };
    }

    private static List<Map<Object, Object>> found(String query) {
        if (query.contains("NLS_CHARACTERSET")) {
            return List.of(row(DATABASE_CHARACTERS));
        }
        if (query.contains("NLS_NCHAR_CHARACTERSET")) {
            return List.of(row("AL16UTF16"));
        }
        if (query.contains("ALL_OBJECTS")) {
            return List.of(row(1, 1));
        }
        if (query.contains("V$ARCHIVE_DEST_STATUS")) {
            return List.of(Map.of("STATUS", "VALID", "TYPE", "LOCAL"));
        }
        throw new UnsupportedOperationException(query);
    }

    private static Map<Object, Object> row(Object... values) {
        Map<Object, Object> row = new java.util.HashMap<>();
        for (int number = 0; number < values.length; number++) {
            row.put(number + 1, values[number]);
        }
        return row;
    }

    private static <T> T proxy(Class<T> kind, InvocationHandler handler) {
        return kind.cast(Proxy.newProxyInstance(Dictionary.class.getClassLoader(), new Class<?>[] {kind}, handler));
    }
}
